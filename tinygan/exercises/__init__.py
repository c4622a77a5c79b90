"""Exercises: a few lines of one's own, judged by values, with the usual mistakes recognised and answered."""

from .exercise import Exercise, Verdict
from .runner import check
from .table import EXERCISES

__all__ = ["EXERCISES", "Exercise", "Verdict", "check"]

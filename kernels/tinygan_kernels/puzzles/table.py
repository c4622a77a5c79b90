"""All puzzles by name, in the order in which one best solves them: each uses what those before it have taught."""

from __future__ import annotations

from .maps import MAPS
from .puzzle import Puzzle

PUZZLES: dict[str, Puzzle] = {puzzle.name: puzzle for puzzle in (*MAPS,)}

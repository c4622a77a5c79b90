"""One training step taken apart: an account of the real moves in numbers and formulas, and the same numbers by hand in NumPy."""

from .account import Account, Line, Move
from .front import explain

__all__ = ["Account", "Line", "Move", "explain"]

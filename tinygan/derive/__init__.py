"""Derivations, judged: is a claimed gradient right, and if not, where is it wrong, and by which mistake."""

from .calls import DerivationInputError
from .check import assert_gradients, check_derivation
from .lines import FalseEquality, check_lines, read_lines
from .mistakes import KINDS, Mistake
from .report import DerivationReport
from .verdict import InputVerdict

__all__ = [
    "KINDS",
    "DerivationInputError",
    "DerivationReport",
    "FalseEquality",
    "InputVerdict",
    "Mistake",
    "assert_gradients",
    "check_derivation",
    "check_lines",
    "read_lines",
]

"""Derivations, judged: is a claimed gradient right, and if not, where is it wrong, and by which mistake."""

from .calls import DerivationInputError
from .check import assert_gradients, check_derivation
from .mistakes import KINDS, Mistake
from .verdict import DerivationReport, InputVerdict

__all__ = ["KINDS", "DerivationInputError", "DerivationReport", "InputVerdict", "Mistake", "assert_gradients", "check_derivation"]

"""Reverse-mode autodiff: tensors, ops with their VJPs, the gradient checker, replay of recorded steps, random arrays."""

from . import ops
from .changes import detect_changes
from .functional import grad
from .gradcheck import GradcheckComparison, GradcheckReport, KinkError, gradcheck
from .randomness import Draws
from .replay import Plan, Replayed
from .tensor import BackendMismatch, ChangedArray, NotReplayable, Tensor, ValuesNotThere, gradients, stop

__all__ = [
    "BackendMismatch", "ChangedArray", "Draws", "GradcheckComparison", "GradcheckReport", "KinkError", "NotReplayable", "Plan",
    "Replayed", "Tensor", "ValuesNotThere", "detect_changes", "grad", "gradcheck", "gradients", "ops", "stop",
]

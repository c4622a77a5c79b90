"""Reverse-mode autodiff: tensors, ops with their VJPs, the gradient checker, replay of recorded steps, random arrays."""

from . import ops
from .gradcheck import Comparison, KinkError, Report, gradcheck
from .randomness import Draws
from .replay import Plan, Replayed
from .tensor import BackendMismatch, Tensor, grad, gradients, stop

__all__ = [
    "BackendMismatch", "Comparison", "Draws", "KinkError", "Plan", "Replayed", "Report", "Tensor", "grad", "gradcheck", "gradients",
    "ops", "stop",
]

"""Reverse-mode autodiff: tensors, ops with their VJPs, the gradient checker, replay of recorded steps, random arrays."""

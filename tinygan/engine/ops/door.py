"""The way from ops to kernels: one launch through the backend, and numbers made into tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygan_kernels import Backend

from tinygan.engine.tensor import BackendMismatch, Tensor, wrap

Number = float | int
Axes = int | Sequence[int] | None


def launch(kernel: str, *tensors: Tensor, **params: Any) -> Any:
    """Launch a kernel on tensors, through their backend's one door. Returns its array. Raises BackendMismatch, ContractError."""
    return shared_backend(kernel, tensors).launch(kernel, [t.array for t in tensors], **params)


def shared_backend(kernel: str, tensors: Sequence[Tensor]) -> Backend:
    """Return the backend that all tensors live on. Raises BackendMismatch, naming the kernel, where they do not share one."""
    backend = tensors[0].backend
    for tensor in tensors:
        if tensor.backend is not backend:
            raise BackendMismatch(f"{kernel}: its tensors live on different backends, {backend!r} and {tensor.backend!r}")
    return backend


def as_tensor(value: Tensor | Number | Any, like: Tensor) -> Tensor:
    """Return a number or an array as a constant of the dtype and backend of `like`; a Tensor as it is."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, (int, float)):
        return wrap(like.backend.asarray(value, like.dtype), like.backend)
    number = like.backend.empty((), like.dtype)
    like.backend.launch("fill", (), out=number, value=value)  # a launch, so that a recording knows that it never changes
    return wrap(number, like.backend)


def pair(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Return both operands as tensors, of which one may be a number or an array."""
    like = a if isinstance(a, Tensor) else b
    return as_tensor(a, like), as_tensor(b, like)

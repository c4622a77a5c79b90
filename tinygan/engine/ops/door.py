"""The way from ops to kernels: one launch through the backend, and numbers made into tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygan_kernels import Backend

from tinygan.engine.conversion import is_number, real_array, real_number
from tinygan.engine.tensor import BackendMismatch, Tensor, wrap

Number = float | int
_FLOAT32_MAX = 3.4028234663852886e38
Axes = int | Sequence[int] | None


def launch(kernel: str, *tensors: Tensor, **params: Any) -> Any:
    """Launch a kernel on tensors, through their backend's one door. Returns its array. Raises BackendMismatch, ContractError."""
    return shared_backend(kernel, tensors).launch(kernel, [t.array for t in tensors], **params)


def shared_backend(kernel: str, tensors: Sequence[Tensor]) -> Backend:
    """Return the backend that all tensors live on. Raises BackendMismatch, naming the kernel, where they do not share one."""
    backend = tensors[0].backend
    for tensor in tensors:
        if tensor.backend is not backend:
            raise BackendMismatch(f"{kernel}: its tensors live on different backends, {backend!r} and {tensor.backend!r}"
                                  f"{_two_of_one_name(backend, tensor.backend)}")
    return backend


def _two_of_one_name(a: Backend, b: Backend) -> str:
    """Say how two backends of one name come to be, and what to do."""
    same = "; each `load` makes one of its own: load one and hand it to both, or give both its name"
    return same if a.name == b.name else ""


def as_tensor(value: Any, like: Tensor) -> Tensor:
    """Return a number, or a copy of a list or array, as a constant of the dtype and backend of `like`; a Tensor as it is.

    Raises TypeError, ValueError for what that dtype cannot hold (conversion.py).
    """
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, (int, float)):
        if not is_number(value):
            return wrap(like.backend.xp.array(real_array(value, "the operand", like.dtype)), like.backend)
        value = real_number(value, like.dtype, "the operand")
    elif not -_FLOAT32_MAX <= value <= _FLOAT32_MAX or value is True or value is False:
        value = real_number(value, like.dtype, "the operand")
    number = like.backend.empty((), like.dtype)
    like.backend.launch("fill", (), out=number, fresh=True, value=value)  # a launch, so a recording knows that it never changes
    return wrap(number, like.backend)


def pair(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Return both operands as tensors, of which one may be a number or an array; two that are no tensors live on `cpu`."""
    like = a if isinstance(a, Tensor) else b if isinstance(b, Tensor) else Tensor(a)
    return as_tensor(a, like), as_tensor(b, like)

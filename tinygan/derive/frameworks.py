"""Functions of NumPy, tinygan, PyTorch and JAX, made to take and give NumPy arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine.tensor import Tensor, gradients, wrap


class Framework:
    """NumPy itself: arrays go in and come out as they are."""

    name = "NumPy"
    strict = False  # whether arguments of two dtypes are an error

    def wrapped(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        """Return the arguments that a function of this framework takes."""
        return list(arrays)

    def unwrapped(self, value: Any) -> Any:
        """Return a result of this framework as NumPy takes it."""
        if isinstance(value, Tensor):
            return value.numpy()
        detached = getattr(value, "detach", None)
        return detached().cpu().numpy() if callable(detached) else value

    def own_vjp(self, f: Callable[..., Any], arrays: Sequence[np.ndarray], u: Sequence[np.ndarray], floats: Sequence[int]) -> Any:
        """Return the gradient by which the framework itself would differentiate f."""
        raise TypeError("check_derivation: the claimed gradient is missing; pass it after f: check_derivation(f, vjp, x)")

    def own_second(
        self, f: Callable[..., Any], arrays: Sequence[np.ndarray], u: Sequence[np.ndarray], directions: Sequence[np.ndarray]
    ) -> list[Any] | None:
        """Return the gradients of <directions, vjp> in the inputs and in the cotangents u, by the framework; None if it cannot."""
        return None


class OfTinygan(Framework):
    """Ops and layers of this project, on the backend of the first tensor."""

    name = "tinygan"
    strict = True

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def wrapped(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        return [wrap(self.backend.asarray(a), self.backend) if a.dtype.kind == "f" else a for a in arrays]

    def own_vjp(self, f: Callable[..., Any], arrays: Sequence[np.ndarray], u: Sequence[np.ndarray], floats: Sequence[int]) -> Any:
        inputs = self.wrapped(arrays)
        for i in floats:
            inputs[i].requires_grad = True
        y = f(*inputs)
        parts = list(y) if isinstance(y, (tuple, list)) else [y]
        total: list[Any] = [None for _ in floats]
        for part, cotangent in zip(parts, u, strict=True):
            if part.tracked:
                found = gradients(
                    part, [inputs[i] for i in floats], wrap(self.backend.asarray(cotangent), self.backend), unused="zeros"
                )
                total = [g.numpy() if t is None else t + g.numpy() for t, g in zip(total, found, strict=True)]
        return total


class OfTorch(Framework):
    """Functions of PyTorch, a `torch.autograd.Function` among them."""

    name = "PyTorch"
    strict = True

    def wrapped(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        torch = sys.modules["torch"]
        return [torch.from_numpy(np.ascontiguousarray(a)).reshape(a.shape) for a in arrays]

    def own_vjp(self, f: Callable[..., Any], arrays: Sequence[np.ndarray], u: Sequence[np.ndarray], floats: Sequence[int]) -> Any:
        torch = sys.modules["torch"]
        inputs = self.wrapped(arrays)
        for i in floats:
            inputs[i].requires_grad_(True)
        y = f(*inputs)
        parts = list(y) if isinstance(y, (tuple, list)) else [y]
        pairs = [(p, torch.from_numpy(c).to(p.dtype)) for p, c in zip(parts, u, strict=True) if p.requires_grad]
        if not pairs:
            return [None for _ in floats]
        found = torch.autograd.grad([p for p, _ in pairs], [inputs[i] for i in floats], [c for _, c in pairs], allow_unused=True)
        return list(found)

    def own_second(
        self, f: Callable[..., Any], arrays: Sequence[np.ndarray], u: Sequence[np.ndarray], directions: Sequence[np.ndarray]
    ) -> list[Any]:
        torch = sys.modules["torch"]
        inputs, cotangents = ([x.requires_grad_(True) for x in self.wrapped(given)] for given in (arrays, u))
        y = f(*inputs)
        parts = list(y) if isinstance(y, (tuple, list)) else [y]
        pulled = torch.autograd.grad(parts, inputs, cotangents, create_graph=True, allow_unused=True)
        along = sum((g * d).sum() for g, d in zip(pulled, self.wrapped(directions), strict=True) if g is not None)
        found = torch.autograd.grad(along, [*inputs, *cotangents], allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for g, x in zip(found, [*inputs, *cotangents], strict=True)]


class OfJax(Framework):
    """Functions of JAX, with its 64-bit numbers."""

    name = "JAX"
    strict = True

    def wrapped(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        return [_jax().numpy.asarray(a) for a in arrays]

    def unwrapped(self, value: Any) -> Any:
        return np.asarray(value) if type(value).__module__.startswith("jax") else super().unwrapped(value)

    def own_vjp(self, f: Callable[..., Any], arrays: Sequence[np.ndarray], u: Sequence[np.ndarray], floats: Sequence[int]) -> Any:
        inputs = self.wrapped(arrays)

        def of_floats(*xs: Any) -> Any:
            given = list(inputs)
            for i, x in zip(floats, xs, strict=True):
                given[i] = x
            return f(*given)

        y, pull = _jax().vjp(of_floats, *(inputs[i] for i in floats))
        parts = self.wrapped(u)
        return list(pull(type(y)(parts) if isinstance(y, (tuple, list)) else parts[0]))

    def own_second(
        self, f: Callable[..., Any], arrays: Sequence[np.ndarray], u: Sequence[np.ndarray], directions: Sequence[np.ndarray]
    ) -> list[Any]:
        count = len(arrays)

        def along(*given: Any) -> Any:
            y, pull = _jax().vjp(f, *given[:count])
            parts = list(given[count:])
            pulled = pull(type(y)(parts) if isinstance(y, (tuple, list)) else parts[0])
            return sum((g * d).sum() for g, d in zip(pulled, self.wrapped(directions), strict=True))

        given = self.wrapped([*arrays, *u])
        return list(_jax().grad(along, argnums=tuple(range(len(given))))(*given))


def _jax() -> Any:
    return sys.modules["jax"]


def framework_of(f: Any, vjp: Any, arguments: Sequence[Any]) -> tuple[Framework, Callable[..., Any]]:
    """Return the framework that f and vjp are written for, and f as something to call.

    It is told by the arguments, by f being a class or layer of the framework, or by f being JAX's. Raises TypeError.
    """
    for x in arguments:
        if isinstance(x, Tensor):
            return OfTinygan(x.backend), f
        where = type(x).__module__.split(".")[0]
        if where == "torch":
            return OfTorch(), _torch_function(f)
        if where in ("jax", "jaxlib"):
            return _jax_of_64_bits(), f
    where = (f.__module__ if isinstance(f, type) else type(f).__module__) or ""
    if _is_torch(f):
        return OfTorch(), _torch_function(f)
    if where.split(".")[0] in ("jax", "jaxlib"):
        return _jax_of_64_bits(), f
    of_layer = getattr(f, "parameters", None)  # a layer of this project, whose parameters are tensors
    parameters = of_layer() if callable(of_layer) and not isinstance(f, type) else None
    if isinstance(parameters, dict):
        for parameter in parameters.values():
            if isinstance(parameter, Tensor):
                return OfTinygan(parameter.backend), f
    return Framework(), f


def _is_torch(f: Any) -> bool:
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    return (isinstance(f, type) and issubclass(f, torch.autograd.Function)) or isinstance(f, torch.nn.Module)


def _torch_function(f: Any) -> Any:
    return getattr(f, "apply") if isinstance(f, type) and _is_torch(f) else f  # noqa: B009  (a class of PyTorch's)


def _jax_of_64_bits() -> OfJax:
    jax = _jax()
    if not jax.config.jax_enable_x64:
        raise ValueError('check_derivation: JAX computes in float32 here; write jax.config.update("jax_enable_x64", True) first')
    return OfJax()

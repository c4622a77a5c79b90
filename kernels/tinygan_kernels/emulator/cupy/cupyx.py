"""`cupyx` of `emulator.cupy`: SciPy under the names of `cupyx.scipy`, pinned arrays, scattered sums, the profiler's functions.

`cupyx.jit` is refused, as CuPy writes CUDA C++ of Python by rules of its own: Numba's `@cuda.jit` is emulated.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from . import cuda
from .arrays import ndarray, returning_arrays, wrapped
from .memory import pinned

__all__ = [
    "empty_like_pinned", "empty_pinned", "errstate", "optimizing", "profiler", "rsqrt", "scatter_add", "scatter_max", "scatter_min",
    "zeros_like_pinned", "zeros_pinned",
]  # fmt: skip
__path__: list[str] = []  # so that its submodules can be imported


def rsqrt(x: Any) -> np.ndarray:
    """Return 1 / sqrt(x), of every element."""
    root = np.sqrt(x)
    return wrapped(np.asarray(1, root.dtype) / root)


def scatter_add(a: np.ndarray, slices: Any, value: Any) -> None:
    """Add values at indices of `a`, each as often as its index is there."""
    np.add.at(a, slices, value)


def scatter_max(a: np.ndarray, slices: Any, value: Any) -> None:
    """Keep the larger of the element of `a` and each value at its index."""
    np.maximum.at(a, slices, value)


def scatter_min(a: np.ndarray, slices: Any, value: Any) -> None:
    """Keep the smaller of the element of `a` and each value at its index."""
    np.minimum.at(a, slices, value)


def empty_pinned(shape: Any, dtype: Any = float, order: Any = "C") -> np.ndarray:
    """Return an array of the host whose elements nothing has written."""
    return pinned(np.empty(shape, dtype, order))


def zeros_pinned(shape: Any, dtype: Any = float, order: Any = "C") -> np.ndarray:
    """Return an array of the host, of zeros."""
    return pinned(np.zeros(shape, dtype, order))


def empty_like_pinned(a: Any, dtype: Any = None, order: Any = "K", subok: Any = None, shape: Any = None) -> np.ndarray:
    """Return an array of the host like `a`, whose elements nothing has written."""
    return pinned(np.empty_like(np.asarray(a), dtype, order, False, shape))


def zeros_like_pinned(a: Any, dtype: Any = None, order: Any = "K", subok: Any = None, shape: Any = None) -> np.ndarray:
    """Return an array of the host like `a`, of zeros."""
    return pinned(np.zeros_like(np.asarray(a), dtype, order, False, shape))


def errstate(**_settings: Any) -> AbstractContextManager:
    """Return a `with` that does nothing: it is for the solvers of CuPy, which SciPy stands for."""
    return nullcontext()


class Times:
    """What `benchmark` returns: `cpu_times` (n,) and `gpu_times` (1, n) in seconds. They are the emulator's, of no GPU."""

    def __init__(self, name: str, seconds: list[float]):
        self.name, self.cpu_times, self.gpu_times = name, np.array(seconds), np.array([seconds])

    def to_str(self, show_gpu: bool = False) -> str:
        """Return the name and the mean, in a line."""
        times = self.cpu_times if self.cpu_times.size else np.zeros(1)
        return f"{self.name:<20}: on the emulator, which says nothing about a GPU: {1e6 * times.mean():9.3f} us"

    __str__ = __repr__ = to_str


def benchmark(
    func: Callable, args: tuple = (), kwargs: dict[str, Any] | None = None, n_repeat: int = 10000, *, name: str | None = None,
    n_warmup: int = 10, max_duration: float = float("inf"), devices: Any = None,
) -> Times:  # fmt: skip
    """Call a function n_warmup and then n_repeat times, until max_duration seconds are over, and return how long it took."""
    for _ in range(n_warmup):
        func(*args, **(kwargs or {}))
    seconds: list[float] = []
    while len(seconds) < n_repeat and sum(seconds) < max_duration:
        start = time.perf_counter()
        func(*args, **(kwargs or {}))
        seconds.append(time.perf_counter() - start)
    return Times(name or str(getattr(func, "__name__", "function")), seconds)


class time_range:
    """A range for a profiler, as a `with` or a decorator, which does nothing."""

    def __init__(self, message: str | None = None, color_id: int | None = None, argb_color: int | None = None, sync: Any = 0): ...

    def __enter__(self) -> time_range:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def __call__(self, function: Callable) -> Callable:
        return function


profiler = SimpleNamespace(benchmark=benchmark, time_range=time_range, profile=cuda.profile)
optimizing = SimpleNamespace(optimize=lambda **_settings: nullcontext())


class OverSciPy:
    """A module of SciPy's under the name that it has in `cupyx.scipy`; what its functions return are arrays of `emulator.cupy`.

    Its classes are SciPy's own, so that methods of a sparse matrix return NumPy's arrays.
    """

    def __init__(self, name: str):
        self._name, self._module = name, importlib.import_module(name)

    def get_array_module(self, *args: Any) -> ModuleType:
        """Return `emulator.cupy` if one of the arguments is an array of it, else NumPy."""
        return sys.modules[__package__] if any(isinstance(a, ndarray) for a in args) else np

    def __dir__(self) -> list[str]:
        return list(getattr(self._module, "__all__", dir(self._module)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            value = getattr(self._module, name)
        except AttributeError:
            raise AttributeError(f"cupyx.{self._name} has no {name} here: it has what SciPy has") from None
        return OverSciPy(f"{self._name}.{name}") if isinstance(value, ModuleType) else returning_arrays(value, name)


def __getattr__(name: str) -> Any:
    if name == "scipy":
        return OverSciPy("scipy")
    if name == "jit":
        raise NotImplementedError(
            "cupyx.jit is not there, as its Python becomes CUDA C++ by CuPy's own rules: write the kernel as a cupy.RawKernel, or "
            "for Numba's @cuda.jit, which takes arrays of cupy"
        )
    raise AttributeError(f"emulator.cupy.cupyx has no {name}: it has scipy, profiler, scatter_add and pinned arrays")

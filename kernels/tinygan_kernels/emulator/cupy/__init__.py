"""A stand-in for CuPy, for scripts that use it for arrays and kernels of their own: NumPy's arrays, and the emulator for kernels.

    from tinygan_kernels.emulator import cupy as cp

    x = cp.arange(1000, dtype=cp.float32)
    square = cp.ElementwiseKernel("float32 x", "float32 y", "y = x * x", "square")
    kernel = cp.RawKernel(source, "axpy")                        # as emulator.RawKernel
    cp.asnumpy(square(x))

Functions, dtypes and submodules are NumPy's; what they return are arrays with CuPy's `get`, `set` and `data.ptr`. Reductions return
arrays of no dimensions, as CuPy's do. Random numbers are NumPy's, not those of cuRAND. `cupyx` is there too, over SciPy.
`python -m tinygan_kernels.emulator script.py` puts these modules in the place of `cupy` and `cupyx`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygan_kernels.emulator.host.rawmodule import RawKernel, RawModule
from tinygan_kernels.emulator.host.script_order import ORDER

from . import cuda, cupyx, memory, random
from .arrays import ndarray, of_device, returning_arrays, wrapped
from .recording import recorded
from .user_kernels import ElementwiseKernel, ReductionKernel

__all__ = [
    "ElementwiseKernel", "RawKernel", "RawModule", "ReductionKernel", "array", "asanyarray", "asarray", "ascontiguousarray",
    "asfortranarray", "asnumpy", "cuda", "cupyx", "fuse", "get_array_module", "get_default_memory_pool",
    "get_default_pinned_memory_pool", "is_available", "memoize", "ndarray", "random", "rsqrt",
]  # fmt: skip
__all__ += [name for name in np.__all__ if not name.startswith("_") and name not in __all__]  # for `from cupy import *`
__version__ = "14.0.0"  # of the CuPy whose names are here
is_available, rsqrt = cuda.is_available, cupyx.rsqrt


def get_default_memory_pool() -> memory.MemoryPool:
    """Return the pool of the device's memory, which keeps nothing."""
    return memory.default_pool


def get_default_pinned_memory_pool() -> memory.PinnedMemoryPool:
    """Return the pool of pinned memory, which keeps nothing."""
    return memory.default_pinned_pool


def memoize(for_each_device: bool = False):
    """Return a decorator that keeps what a function returned for each tuple of arguments. There is one device only."""
    return functools.cache


def array(obj, *args, **options):
    """Return a new array of what NumPy takes, or of another library's device array. The arguments besides are `numpy.array`'s."""
    return _taken(np.array, obj, *args, **options)


def asarray(a, *args, **options):
    """Return an array of what NumPy takes, a copy of what is the host's, or over the memory of another library's device array."""
    return _taken(np.asarray, a, *args, **options)


asanyarray = asarray


def ascontiguousarray(a, dtype=None):
    """Return an array in C order of what NumPy takes, or of another library's device array."""
    return _taken(np.ascontiguousarray, a, dtype)


def asfortranarray(a, dtype=None):
    """Return an array in Fortran's order of what NumPy takes, or of another library's device array."""
    return _taken(np.asfortranarray, a, dtype)


def _taken(function: Callable[..., np.ndarray], a: Any, *args: Any, **options: Any) -> ndarray:
    """Return what a function of NumPy's makes of something, which is never over memory of the host, as a device has its own.

    The option `blocking` is CuPy's own: whether the host waits for the copy.
    """
    blocking = options.pop("blocking", False)

    def take(given: Any) -> ndarray:
        made = function(of_device(given), *args, **options)
        of_host = not hasattr(given, "__cuda_array_interface__") and (made is given or made.base is not None)
        return wrapped(made.copy("K") if of_host else made)

    taken = recorded(function.__name__, take, (a,), {})
    if blocking:
        ORDER.host_waits(cuda.get_current_stream().ptr)
    return taken


def show_config() -> None:
    """Print what stands in for CuPy."""
    print(f"emulator.cupy, for CuPy {__version__}: NumPy {np.__version__}, kernels emulated")


def asnumpy(a, stream=None, order: str = "C", out=None, *, blocking: bool = True) -> np.ndarray:
    """Return an array as a plain NumPy array, by a copy. The arguments besides are those of `ndarray.get`."""
    return wrapped(np.asarray(a)).get(stream, order, out, blocking)


def get_array_module(*args):
    """Return this module if one of the arguments is an array of it, else NumPy."""
    return sys.modules[__name__] if any(isinstance(a, ndarray) for a in args) else np


def fuse(*args, **options):
    """Return a function as it is, as a decorator with options or without. On a GPU fusing makes it faster, with the same result."""
    if len(args) == 1 and callable(args[0]) and not options:
        return args[0]
    return lambda function: function


def __getattr__(name: str):
    """Return what NumPy has of this name, returning arrays of this module."""
    if name.startswith("_") or not hasattr(np, name):
        raise AttributeError(f"emulator.cupy has no {name}: it has what NumPy has, kernels and cuda")
    return returning_arrays(getattr(np, name), name)

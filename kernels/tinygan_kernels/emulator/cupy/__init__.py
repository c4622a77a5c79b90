"""A stand-in for CuPy, for scripts that use it for arrays and kernels of their own: NumPy's arrays, and the emulator for kernels.

    from tinygan_kernels.emulator import cupy as cp

    x = cp.arange(1000, dtype=cp.float32)
    square = cp.ElementwiseKernel("float32 x", "float32 y", "y = x * x", "square")
    kernel = cp.RawKernel(source, "axpy")                        # as emulator.RawKernel
    cp.asnumpy(square(x))

Functions, dtypes and submodules are NumPy's; what they return are arrays with CuPy's `get`, `set` and `data.ptr`. Reductions return
arrays of no dimensions, as CuPy's do. `python -m tinygan_kernels.emulator script.py` puts this module in the place of `cupy`.
"""

from __future__ import annotations

import sys

import numpy as np

from tinygan_kernels.emulator.host.rawmodule import RawKernel, RawModule

from . import cuda
from .arrays import ndarray, returning_arrays, wrapped
from .user_kernels import ElementwiseKernel, ReductionKernel

__all__ = ["ElementwiseKernel", "RawKernel", "RawModule", "ReductionKernel", "asnumpy", "cuda", "get_array_module", "ndarray"]


def asnumpy(a, stream=None, order: str = "C", out=None) -> np.ndarray:
    """Return an array as a plain NumPy array, by a copy."""
    return wrapped(np.asarray(a)).get(stream, order, out)


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

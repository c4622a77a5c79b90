"""The compiler of the CPU's loops: Numba, with the options of all of them, and its disk cache with the remedies of `disk_cache`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from . import disk_cache
from .inner_code import compiler_of_inner_functions

OPTIONS = {"error_model": "numpy"}  # division by 0 gives an infinity or NaN, as in NumPy, and raises nothing


def njit(function: Callable, **options: Any) -> Any:
    """Compile a function, with a disk cache. It runs in the calling thread and does not hold the interpreter's lock."""
    dispatcher = numba.njit(nogil=True, **OPTIONS, **options)(function)
    disk_cache.enable(dispatcher.enable_caching)
    disk_cache.mend(getattr(dispatcher, "_cache", None))
    return dispatcher


def njit_parallel(function: Callable) -> Any:
    """Compile a function whose loops over `numba.prange` are shared out among the threads."""
    return njit(function, parallel=True)


def njit_inner(function: Callable, **options: Any) -> Any:
    """Compile a function that only other compiled functions call, not Python.

    It has no wrapper for calls from Python, no cache file and no machine code of its own, which makes compiling faster.
    """
    if pipeline := compiler_of_inner_functions():
        options["pipeline_class"] = pipeline
    return numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS, **options)(function)


def code_of(function: Callable, signature: str) -> tuple[int, bool]:
    """Compile a Python function to a C function. Returns (its address, whether its code was found in the disk cache).

    The address stays valid for as long as the process lives. signature: the C types, as Numba writes them.
    """
    from numba.core.ccallback import CFunc
    from numba.core.sigutils import normalize_signature

    # numba.cfunc compiles as soon as it is called, before the remedies could be applied to the cache
    made = CFunc(function, normalize_signature(signature), locals={}, options=dict(OPTIONS))
    disk_cache.enable(made.enable_caching)
    disk_cache.mend(made._cache)
    made.compile()
    _ALIVE.append(made)
    return made.address, made.cache_hits > 0


_ALIVE: list[Any] = []  # the C functions compiled so far: if Python freed such an object, its machine code would go too

"""The compiler of the CPU's loops: Numba with its disk cache, and a remedy for two faults of that cache.

1. Numba notices a change only in the file in which a compiled function stands, but a loop here calls functions from several files.
   So the cache of each function is told to watch all files from which loops are made: an edit of any of them is compiled anew.
2. Numba keeps one file for each variant of a function (its argument types), and numbers these files 1, 2, 3 in the order in which
   they are compiled. Two processes that compile different variants at the same time can both write number 1, and a third process
   then loads the code of the wrong variant. So the name of a file here holds a hash of its variant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba

PACKAGE = Path(__file__).parents[2]  # tinygan_kernels
OPTIONS = {"error_model": "numpy"}  # division by 0 gives an infinity or NaN, as in NumPy, and raises nothing


@lru_cache
def stamp() -> tuple[float, int]:
    """Return (time of the latest change, total size in bytes) of the files from which loops are made: those in cpu/, and the
    modules beside it.
    """
    found = [path.stat() for path in (*PACKAGE.glob("*.py"), *(PACKAGE / "cpu").rglob("*.py"))]
    return max(s.st_mtime for s in found), sum(s.st_size for s in found)


def _mend(function_cache: Any) -> None:
    """Apply both remedies to the cache of a function. Leave it as it is if a future Numba keeps its cache in another way."""
    cache = getattr(function_cache, "_cache_file", None)
    if not (hasattr(cache, "_source_stamp") and hasattr(cache, "_data_name_pattern")):
        return
    cache._source_stamp = stamp()
    stem, save = cache._data_name_pattern.removesuffix(".{number:d}.nbc"), cache.save

    def save_by_name(key: Any, data: Any) -> None:
        name = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        cache._data_name_pattern = f"{stem}.{name}.{{number:d}}.nbc"
        save(key, data)

    cache.save = save_by_name


def njit(function: Callable, **options: Any) -> Any:
    """Compile a function, with a disk cache. It runs in the calling thread and does not hold the interpreter's lock."""
    dispatcher = numba.njit(nogil=True, cache=True, **OPTIONS, **options)(function)
    _mend(getattr(dispatcher, "_cache", None))
    return dispatcher


def njit_parallel(function: Callable) -> Any:
    """Compile a function whose loops over `numba.prange` are shared out among the threads."""
    return njit(function, parallel=True)


def njit_inner(function: Callable, **options: Any) -> Any:
    """Compile a function that only other compiled functions call, not Python.

    It has no wrapper for calls from Python and no cache file of its own, which makes compiling faster.
    """
    return numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS, **options)(function)


def code_of(function: Callable, signature: str) -> tuple[int, bool]:
    """Compile a Python function to a C function. Returns (its address, whether its code was found in the disk cache).

    The address stays valid for as long as the process lives. signature: the C types, as Numba writes them.
    """
    from numba.core.ccallback import CFunc
    from numba.core.sigutils import normalize_signature

    # numba.cfunc compiles as soon as it is called, before the remedies could be applied to the cache
    made = CFunc(function, normalize_signature(signature), locals={}, options=dict(OPTIONS))
    made.enable_caching()
    _mend(made._cache)
    made.compile()
    _ALIVE.append(made)
    return made.address, made.cache_hits > 0


_ALIVE: list[Any] = []  # the C functions compiled so far: if Python freed such an object, its machine code would go too

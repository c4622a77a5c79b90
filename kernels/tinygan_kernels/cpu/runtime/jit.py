"""The compiler of the CPU's loops: Numba, with its disk cache, which is valid for as long as no file of this package changes.

Two things about Numba's cache are mended. It notices a change only in the file that a function stands in, while our loops are put
together from functions in several files: each function's cache is told to watch all of them, so that whoever edits one sees what
the edit does. And it numbers the files of a function's variants one by one, so that two processes that compile different variants
at the same time write both to one file, and the next process runs the one for the other: here a file is named after what is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba

# OpenMP's threads are ready sooner than those of Numba's own queue, and OpenMP is everywhere but on some Macs.
numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
PACKAGE = Path(__file__).parents[2]  # tinygan_kernels
OPTIONS = {"error_model": "numpy"}  # division by 0 gives an infinity or NaN, as in NumPy, and raises nothing


@lru_cache
def stamp() -> tuple[float, int]:
    """Return when a file that loops are made of last changed (the CPU backend's, and those that it stands on), and their total
    bytes.
    """
    found = [path.stat() for path in (*PACKAGE.glob("*.py"), *(PACKAGE / "cpu").rglob("*.py"))]
    return max(s.st_mtime for s in found), sum(s.st_size for s in found)


def _mend(function_cache: Any) -> None:
    """Mend a function's cache as described above. A later Numba's cache, kept in another way, is left alone."""
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
    """Compile a function that runs in the calling thread, without the interpreter's lock."""
    dispatcher = numba.njit(nogil=True, cache=True, **OPTIONS, **options)(function)
    _mend(getattr(dispatcher, "_cache", None))
    return dispatcher


def njit_parallel(function: Callable) -> Any:
    """Compile a function whose loops over `numba.prange` are shared out among the threads."""
    return njit(function, parallel=True)


def njit_inner(function: Callable, **options: Any) -> Any:
    """Compile a function that only other compiled functions call. It has neither a cache file nor an entry from Python of its own,
    so that it is compiled faster.
    """
    return numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS, **options)(function)


def code_of(function: Callable, signature: str) -> tuple[int, bool]:
    """Compile a C function. Returns (its address, valid for as long as the process lives; whether it was found on disk)."""
    from numba.core.ccallback import CFunc
    from numba.core.sigutils import normalize_signature

    # numba.cfunc, which compiles at once, would leave no time to mend the cache
    made = CFunc(function, normalize_signature(signature), locals={}, options=dict(OPTIONS))
    made.enable_caching()
    _mend(made._cache)
    made.compile()
    _ALIVE.append(made)
    return made.address, made.cache_hits > 0


_ALIVE: list[Any] = []  # compiled C functions, whose code would be freed with them

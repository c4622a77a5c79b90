"""How the CPU's loops are compiled: by Numba, kept in its disk cache for as long as no file of this package changes.

Numba's cache notices a change in the file that a function stands in. Our loops are made of pieces from several files, put together
when they are compiled, so each function's cache is told to watch all of them: whoever edits a piece sees what the edit does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba

# OpenMP's threads are ready sooner than those of Numba's own queue; it is everywhere but on some Macs.
numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]


@lru_cache
def stamp() -> tuple[float, int]:
    """When a file of the package last changed, and how many bytes they all have."""
    found = [path.stat() for path in Path(__file__).parent.glob("*.py")]
    return max(s.st_mtime for s in found), sum(s.st_size for s in found)


def _watching_all(dispatcher: Any) -> Any:
    """The compiled function, with a cache that is stale if any file of the package is newer."""
    cache = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if hasattr(cache, "_source_stamp"):  # Numba's own affair, so it may be called something else one day
        cache._source_stamp = stamp()
    return dispatcher


def njit(function: Callable) -> Any:
    """Compiled for the thread that calls it. Runs without the interpreter's lock, and divides as NumPy does."""
    return _watching_all(numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def njit_parallel(function: Callable) -> Any:
    """The same, with the loops over `numba.prange` shared out among the threads."""
    return _watching_all(numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)(function))

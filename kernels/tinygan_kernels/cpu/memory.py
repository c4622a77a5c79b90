"""Memory that is kept between calls, as fresh memory costs a page fault every 4 KiB; in pages of 2 MiB where there are such.

A matrix whose rows lie in as many pages of 4 KiB has a processor look up more addresses than it remembers. Linux gives large pages
to who asks (madvise, MADV_HUGEPAGE); elsewhere, and where it has none to give, memory is what it always is.
"""

from __future__ import annotations

import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np

LINE = 64  # bytes: a cache line, and the widest vector register
LARGE_PAGE = 2 << 20


class Scratch:
    """take(use, shape, dtype): memory for one use, the same each time, anew only where more is needed than ever before.

    Who takes it for one use shares it with all who do, so of their calls no two may run at the same time.
    """

    def __init__(self) -> None:
        self._kept: dict[str, np.ndarray] = {}

    def take(self, use: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        size = math.prod(shape) * dtype.itemsize
        if use not in self._kept or self._kept[use].size < size:
            self._kept[use] = aligned(size)
        return self._kept[use][:size].view(dtype).reshape(shape)


def aligned(size: int) -> np.ndarray:
    """So many bytes, from the start of a cache line, or of a large page if they fill one."""
    raw = empty((size + LINE,), np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size]


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """As np.empty, in large pages if it fills one. Raises MemoryError."""
    if math.prod(shape) * np.dtype(dtype).itemsize >= LARGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        return _in_large_pages(shape, dtype)
    return np.empty(shape, dtype)


def _in_large_pages(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        memory = mmap.mmap(-1, size + LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"there are no {size} bytes to be had for an array of shape {shape}") from error
    with suppress(OSError):  # a kernel built without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    start = -np.frombuffer(memory, np.uint8).ctypes.data % LARGE_PAGE
    return np.ndarray(shape, dtype, memory, start)

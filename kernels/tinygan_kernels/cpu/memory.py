"""Memory of the CPU backend: scratch that is kept between calls, as fresh memory costs a page fault every 4 KiB, and large pages.

Where each row of a matrix lies in a 4 KiB page of its own, the processor looks up more page addresses than its TLB holds. Linux
gives pages of 2 MiB to whoever asks (madvise, MADV_HUGEPAGE); elsewhere, and where it has none to give, memory is as usual.
"""

from __future__ import annotations

import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np

LINE = 64  # bytes: a cache line, and the widest vector register
LARGE_PAGE = 2 << 20


def as_matrix(a: np.ndarray) -> np.ndarray:
    """View a (..., C) as a matrix (rows, C). With -1 for the rows, reshape would not know their number where C is 0."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


class Scratch:
    """Scratch memory: one piece for each use, kept between calls and made anew only where more is needed than ever before.

    All calls that take memory for one use share it, so no two of them may run at the same time.
    """

    def __init__(self) -> None:
        self._kept: dict[str, np.ndarray] = {}

    def take(self, use: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return the memory for `use` as an array of this shape and dtype, with whatever it held before."""
        size = math.prod(shape) * dtype.itemsize
        if use not in self._kept or self._kept[use].size < size:
            self._kept[use] = aligned(size)
        return self._kept[use][:size].view(dtype).reshape(shape)


def aligned(size: int) -> np.ndarray:
    """Return `size` bytes that begin at the start of a cache line, or of a large page if they fill one."""
    raw = empty((size + LINE,), np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size]


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array as np.empty does, in large pages if it fills one. Raises MemoryError."""
    if math.prod(shape) * np.dtype(dtype).itemsize >= LARGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        return _in_large_pages(shape, dtype)
    return np.empty(shape, dtype)


def _in_large_pages(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array in memory of its own, which Linux is asked to give in large pages."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        memory = mmap.mmap(-1, size + LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"there are no {size} bytes to be had for an array of shape {shape}") from error
    with suppress(OSError):  # a Linux kernel that was built without large pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    start = -np.frombuffer(memory, np.uint8).ctypes.data % LARGE_PAGE
    return np.ndarray(shape, dtype, memory, start)

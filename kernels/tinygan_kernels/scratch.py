"""Scratch memory that is kept between calls: fresh memory costs a page fault every 4 KiB."""

from __future__ import annotations

import math

import numpy as np

LINE = 64  # bytes: a cache line, and the widest vector register


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
    """So many bytes, from the start of a cache line."""
    raw = np.empty(size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size]

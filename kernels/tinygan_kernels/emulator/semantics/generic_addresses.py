"""Generic addresses: which state space an address belongs to. (PTX ISA, 5.1.1 and 6.4.1.1)

Global memory has the true addresses of the arrays; shared and local memory begin at SHARED and LOCAL, far above them.
"""

from __future__ import annotations

import numpy as np

SHARED, LOCAL = 1 << 60, 1 << 61
REMOTE = 1 << 24
"""In shared memory, where the bytes of the block of rank 0 of the cluster begin; those of rank r at (r + 1) * REMOTE."""


def window_of(address: np.ndarray) -> list[tuple[str, int, np.ndarray | None]]:
    """Split a vector of generic addresses by space: (space, base to subtract, mask of the lanes or None for all), ..."""
    low, high = int(address.min()), int(address.max())
    if high < SHARED:
        return [("global", 0, None)]
    if low >= SHARED and high < LOCAL:
        return [("shared", SHARED, None)]
    if low >= LOCAL:
        return [("local", LOCAL, None)]
    shared, local = (address >= SHARED) & (address < LOCAL), address >= LOCAL
    pieces = [("global", 0, ~shared & ~local), ("shared", SHARED, shared), ("local", LOCAL, local)]
    return [p for p in pieces if p[2].any()]


def mapped(address: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Compute mapa: the address, of the same width and window, of the same place in the shared memory of the block of that rank."""
    kind = address.dtype.type
    low = address & kind(REMOTE - 1)
    window = address & ~kind(0xFFFFFFFF) if address.dtype.itemsize == 8 else kind(0)
    return window | low | (rank.astype(address.dtype) + kind(1)) * kind(REMOTE)


def rank_of(address: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Compute getctarank: the rank of the block whose shared memory an address leads to; own: that of the thread's block."""
    tag = (address & address.dtype.type(0xFFFFFFFF)) // address.dtype.type(REMOTE)
    return np.where(tag == 0, own, tag.astype("u4") - np.uint32(1))

"""Generic addresses: which state space an address belongs to. (PTX ISA, 5.1.1 and 6.4.1.1)

Global memory has the true addresses of the arrays; shared and local memory begin at SHARED and LOCAL, far above them.
"""

from __future__ import annotations

import numpy as np

SHARED, LOCAL = 1 << 60, 1 << 61


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

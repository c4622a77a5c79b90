"""Two numbers in one register: the same function of both (f32x2, u16x2, s16x2), and cvt.pack. (PTX ISA, 9.7.1, 9.7.3, 9.7.9.22)"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CODES = {"f32x2": "f4", "u16x2": "u2", "s16x2": "i2"}
"""NumPy's type of each of the two numbers."""


def by_parts(function: Callable[..., np.ndarray], kind: str) -> Callable[..., np.ndarray]:
    """Return the function from words to words that computes `function` of each of their two numbers. kind: one of CODES."""

    def apply(*words: np.ndarray) -> np.ndarray:
        arrays = np.broadcast_arrays(*(np.atleast_1d(w) for w in words))
        parts = [np.ascontiguousarray(a).view(CODES[kind]) for a in arrays]
        return np.ascontiguousarray(function(*parts)).view(arrays[0].dtype)

    return apply


def limits(kind: str) -> tuple[int, int]:
    """Return the least and the greatest integer of a type of any number of bits: s4 -> (-8, 7)."""
    bits = int(kind[1:])
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if kind[0] == "s" else (0, (1 << bits) - 1)


def saturating_pack(kind: str, a: np.ndarray, b: np.ndarray, c: np.ndarray | None = None) -> np.ndarray:
    """Compute cvt.pack.sat: a and b (int32 or uint32) clamped to `kind`, b in the lowest bits, a above it, and c above both."""
    bits, (low, high) = int(kind[1:]), limits(kind)
    clamped = [np.clip(np.asarray(v, "i8"), low, high).astype("u4") & np.uint32((1 << bits) - 1) for v in (a, b)]
    word = clamped[1] | clamped[0] << np.uint32(bits)
    return word if c is None else word | np.asarray(c) << np.uint32(2 * bits)

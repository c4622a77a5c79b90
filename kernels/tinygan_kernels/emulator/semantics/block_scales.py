"""Products of narrow floats by mma: what their registers hold, and the scales of blocks of A and B. (PTX ISA, 9.7.14.3, 9.7.14.5)

With .kind::f8f6f4 and .kind::mxf8f6f4 every element has a byte: six-bit floats have its lower six bits, e2m1 the four in the middle
(CUTLASS, cute/atom/mma_traits_sm120.hpp, on what ldmatrix has to be shifted by). With the other kinds e2m1 has four bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .narrow_floats import UE8M0_NAN, VALUES
from .warps import WARP

IN_BYTE = "e2m1 in a byte"
"""The type e2m1 where every element has a byte."""
BYTES = ("e4m3", "e5m2", "e3m2", "e2m3", IN_BYTE)
"""The types of elements of a byte, each of which may be multiplied with each."""


class Kind(NamedTuple):
    """What a .kind has: the k of its dense shape m16n8k, the types of its elements, and of its scales the type with how many there
    are for a row of A (the first one where the instruction does not say)."""

    depth: int
    types: tuple[str, ...]
    scales: tuple[tuple[str, int], ...] = ()


KINDS = {
    "kind::f8f6f4": Kind(32, BYTES), "kind::mxf8f6f4": Kind(32, BYTES, (("ue8m0", 1),)),
    "kind::mxf4": Kind(64, ("e2m1",), (("ue8m0", 2),)),
    "kind::mxf4nvf4": Kind(64, ("e2m1",), (("ue8m0", 2), ("ue8m0", 4), ("ue4m3", 4))),
}  # fmt: skip


def values_of(raw: np.ndarray, kind: str) -> np.ndarray:
    """Return the numbers of elements, given as unsigned integers of a byte (of e2m1 without one: of four bits), as float64."""
    if kind == IN_BYTE:
        return VALUES["e2m1"][raw >> 2 & 15]
    return VALUES[kind][raw & (len(VALUES[kind]) - 1)]


def scale_values(raw: np.ndarray, kind: str) -> np.ndarray:
    """Return scales, given as bytes, as float64: powers of two (ue8m0), or e4m3 without its sign (ue4m3)."""
    if kind == "ue4m3":
        return VALUES["e4m3"][raw & 0x7F]
    return np.where(raw == UE8M0_NAN, np.nan, np.ldexp(1.0, raw.astype("i8") - 127))


def scales_of(which: str, words: np.ndarray, byte: np.ndarray, thread: np.ndarray, kind: str, count: int) -> np.ndarray:
    """Return the scales (warps, rows of A, count) or (warps, columns of B, count) that the lanes of each warp hold.

    which: "a" or "b"; words: of all lanes; byte, thread: the selectors, of which the first lane of a warp tells. Of A, the lanes
    4 g + 2 thread and the next have the rows g and g + 8 (CUTLASS: SFALayout); of B, lane 4 g + thread has column g.
    """
    each, shift, chosen = (np.broadcast_to(v, words.shape).reshape(-1, WARP) for v in (words, byte, thread))
    places = np.arange(16 if which == "a" else 8)
    offset = places // 8 if which == "a" else 0 * places
    lane = 4 * (places % 8) + (2 if which == "a" else 1) * chosen[:, :1].astype("i8") + offset
    word = np.take_along_axis(each, np.minimum(lane, WARP - 1), axis=1)[..., None]
    bits = 8 * np.minimum(shift[:, :1].astype("i8")[..., None] + np.arange(count), 3)
    return scale_values((word >> bits.astype("u4") & np.uint32(255)).astype("u1"), kind)


def selectors(which: str, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the values that byte-id and thread-id can have. (table "Valid values for various selector components")"""
    return {1: (0, 1, 2, 3), 2: (0, 2), 4: (0,)}[count], (0, 1) if which == "a" else (0, 1, 2, 3)

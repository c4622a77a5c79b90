"""wgmma: products that four warps compute together, of matrices in shared memory that a descriptor describes. (PTX ISA, 9.7.15)

Products are exact, sums are formed in float64 and rounded once, as for mma.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from . import sparsity
from .floats import widen_half
from .fragments import BITS, FP8, pack, places, unpack
from .tensor_maps import swizzled
from .warps import WARP

WARPS = 4
"""Warps of a warpgroup; it is a run of them that begins at a multiple of this."""
ROWS, WARP_ROWS = 64, 16
"""Rows of A and D, and those of one warp's part."""
DEPTH = {"f16": 16, "bf16": 16, "tf32": 8, "e4m3": 32, "e5m2": 32, "s8": 32, "u8": 32, "b1": 256}
"""The k of the shape, by the type of A."""
RESULTS = {"f16": ("f16", "f32"), "bf16": ("f32",), "tf32": ("f32",), "e4m3": ("f16", "f32"), "e5m2": ("f16", "f32"),
           "s8": ("s32",), "u8": ("s32",), "b1": ("s32",)}  # fmt: skip
"""The types that D can have, by the type of A."""
TRANSPOSED = ("f16", "bf16")
"""Types of which a matrix in shared memory may be M- or N-major."""
_SWIZZLES = (0, 128, 64, 32)


def widths(kind: str) -> tuple[int, ...]:
    """Return the values of n in the shapes of a type of A."""
    if kind in ("s8", "u8", "b1"):
        return (8, 16, 24, *range(32, 257, 16))
    return tuple(range(8, 257, 8))


class Descriptor(NamedTuple):
    """What a 64-bit matrix descriptor says. start: an address; leading, stride: byte offsets; base: of the swizzle's rows; swizzle:
    bytes. (PTX ISA, "Matrix Descriptor Format")"""

    start: int
    leading: int
    stride: int
    base: int
    swizzle: int


def described(word: int) -> Descriptor:
    """Return what the bits of a matrix descriptor say."""
    start, leading, stride = ((word >> at & 0x3FFF) << 4 for at in (0, 16, 32))
    return Descriptor(start, leading, stride, word >> 49 & 7, _SWIZZLES[word >> 62 & 3])


@cache
def _offsets(rows: int, columns: int, size: int, swizzle: int, transposed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each element (rows, columns) of a canonical layout its byte offset but for the descriptor's two offsets, and how
    often it adds the leading and the stride one. (PTX ISA, "Canonical Layouts")

    rows: along M or N; columns: along k; size: bytes of an element; transposed: M- or N-major in place of K-major.
    """
    in_piece = 16 // size
    row, column = np.arange(rows)[:, None], np.arange(columns)[None, :]
    if not transposed:
        piece = column // in_piece
        fixed = column % in_piece * size + row % 8 * max(16, swizzle)
        fixed = fixed + piece * 16 if swizzle else fixed
        leading = piece * (0 if swizzle else 1) + 0 * row
        return fixed, leading, row // 8 + 0 * column
    piece = row // in_piece
    wide = max(1, swizzle // 16)
    fixed = row % in_piece * size + piece % wide * 16 + column % 8 * max(16, swizzle)
    outer, inner = piece // wide + 0 * column, column // 8 + 0 * row
    return (fixed, outer, inner) if swizzle else (fixed, inner, outer)


def matrix_places(matrix: Descriptor, rows: int, columns: int, size: int, transposed: bool) -> np.ndarray:
    """Return the addresses (rows, columns) in shared memory of the elements of a matrix. The parameters are those of `_offsets`."""
    fixed, leading, stride = _offsets(rows, columns, size, matrix.swizzle, transposed)
    address = matrix.start + fixed + leading * matrix.leading + stride * matrix.stride
    return swizzled(address, matrix.swizzle, matrix.base)


def element_bytes(kind: str) -> int:
    """Return the bytes of what is read at once of a type: an element, or eight bits of b1."""
    return max(1, BITS[kind] // 8)


def values_of(raw: np.ndarray, kind: str) -> np.ndarray:
    """Return the numbers of elements read from shared memory, unsigned integers (rows, k) (of b1: bytes), as float64 (rows, k)."""
    if kind in ("f16", "bf16"):
        return widen_half(raw.view("f2") if kind == "f16" else raw, kind)
    if kind == "tf32":
        return (raw & np.uint32(0xFFFFE000)).view("f4").astype("f8")
    if kind in FP8:
        return FP8[kind][raw]
    if kind == "b1":
        return np.unpackbits(raw, axis=1, bitorder="little").astype("f8")
    return raw.view("i1" if kind == "s8" else "u1").astype("f8")


def held_rows(registers: list[np.ndarray], kind: str) -> np.ndarray:
    """Return (warpgroups, 64, k) values of A, which the lanes of whole warpgroups hold in four registers each."""
    depth = DEPTH[kind]
    rows, columns = places("a", (WARP_ROWS, 8, depth), kind)
    values = unpack(registers, kind)
    matrix = np.empty((len(values), WARP_ROWS, depth))
    matrix[:, rows, columns] = values[:, :, : rows.shape[1]]
    return matrix.reshape(-1, ROWS, depth)


def placed(stored: np.ndarray, metadata: np.ndarray, kind: str, selector: int) -> np.ndarray:
    """Return the sparse A (warpgroups, 64, 2 k) of which (warpgroups, 64, k) is stored. metadata: one word for each lane, of which
    each warp has those of its 16 rows; selector: which of its lanes have them."""
    depth = 2 * DEPTH[kind]
    found = sparsity.codes(metadata, kind, depth, selector)
    return sparsity.expanded(stored.reshape(-1, WARP_ROWS, depth // 2), found, kind).reshape(-1, ROWS, depth)


def accumulated(
    a: np.ndarray, b: np.ndarray, registers: list[np.ndarray] | None, kind: str, clamp: bool = False
) -> list[np.ndarray]:
    """Return the registers of D = A B + D, or of A B without `registers`, for lanes of whole warpgroups.

    a: (warpgroups, 64, k); b: (warpgroups, k, n); kind: type of D; clamp: whether integers are kept in their range (.satfinite).
    """
    count, width = len(a), b.shape[2]
    product = (a @ b).reshape(count * WARPS, WARP_ROWS, width)
    rows, columns = places("c", (WARP_ROWS, width, 8), kind)
    total = product[:, rows, columns]
    if registers is not None:
        total = total + unpack(registers, kind)
    if kind == "s32":
        total = np.clip(total, -(2**31), 2**31 - 1) if clamp else total.astype("i8")
    return pack(total, kind)


def groups_of(width: int, stride: int) -> np.ndarray:
    """Return for each lane the number of its warpgroup; stride: lanes of a block. Warpgroups of different blocks differ."""
    lane = np.arange(width)
    each = -(-stride // (WARPS * WARP))
    return lane // stride * each + lane % stride // (WARPS * WARP)


def incomplete(active: np.ndarray, wanted: np.ndarray, stride: int) -> np.ndarray:
    """Mark the active lanes in whose warpgroup a lane of `wanted` is not active, or that is no whole warpgroup."""
    groups = groups_of(active.size, stride)
    count = int(groups[-1]) + 1
    missing = np.bincount(groups[wanted & ~active], minlength=count)
    size = np.bincount(groups, minlength=count)
    return active & ((missing[groups] > 0) | (size[groups] < WARPS * WARP))

"""Fragments: which lane of a warp holds which elements of a matrix in its registers, for mma and wmma. (PTX ISA, 9.7.14)

One rule gives the documented layout of every mma with registers of 32 bits. With g = lane // 4, t = lane % 4 and p elements
in a register, a lane holds pieces of p neighbours along k: of A the row 8 i + g at the columns 4 p j + t p, of B the column 8 i + g
at such rows, and of C and D the row 8 i + g at the columns 8 j + 2 t. Registers count i fastest in A, C and D, and j fastest in B.
PTX leaves the layout of wmma open. The same rule is used for it; where its fragment has more registers, they repeat the elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from . import floats, narrow_floats
from .block_scales import BYTES, IN_BYTE, values_of
from .warps import WARP

_LANE = np.arange(WARP)
_G, _T = _LANE // 4, _LANE % 4
BITS = {
    "f64": 64, "tf32": 32, "f16": 16, "bf16": 16, "s8": 8, "u8": 8, "e4m3": 8, "e5m2": 8, "s4": 4, "u4": 4, "b1": 1,
    "e3m2": 8, "e2m3": 8, IN_BYTE: 8, "e2m1": 4, "f32": 32, "s32": 32,
}  # fmt: skip
"""Bits of an element, by type."""
_TF32_BITS = np.uint32(0xFFFFE000)  # the low 13 bits do not take part


def shape_of(modifiers: Iterable[str]) -> tuple[int, int, int]:
    """Return (m, n, k) of the modifier "m16n8k8"."""
    match = next(m for m in (re.fullmatch(r"m(\d+)n(\d+)k(\d+)", text) for text in modifiers) if m)
    return int(match[1]), int(match[2]), int(match[3])


def in_register(kind: str) -> int:
    """Return how many elements of a type a register has."""
    return 1 if kind == "f64" else 32 // BITS[kind]


def places(which: str, shape: tuple[int, int, int], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, columns), each (32, elements), of what every lane holds of matrix `which` ("a", "b", "c" or "d")."""
    m, n, k = shape
    if which in "cd":
        pieces = [(8 * i + _G, 8 * j + 2 * _T + e) for j in range(n // 8) for i in range(m // 8) for e in (0, 1)]
    else:
        p = in_register(kind)
        outer, inner = range((m if which == "a" else n) // 8), range(k // (4 * p))
        order = [(i, j) for j in inner for i in outer] if which == "a" else [(i, j) for i in outer for j in inner]
        pieces = [(8 * i + _G, 4 * p * j + _T * p + e) for i, j in order for e in range(p)]
    outer_index, inner_index = (np.stack(vectors, axis=1) for vectors in zip(*pieces, strict=True))
    return (inner_index, outer_index) if which == "b" else (outer_index, inner_index)


def unpack(registers: Sequence[np.ndarray], kind: str) -> np.ndarray:
    """Return the (warps, 32, elements) values in the registers of every lane as float64, which is exact for every type."""
    words = np.stack([np.ascontiguousarray(r).reshape(-1, WARP) for r in registers], axis=2)
    if kind == "tf32":
        words = words & _TF32_BITS
    if kind in ("s4", "u4", "b1", "e2m1"):
        return _unpack_bits(words, kind)
    if kind in BYTES:
        return values_of(words.view("u1"), kind)
    code = {"f16": "f2", "bf16": "u2", "s8": "i1", "u8": "u1", "s32": "i4", "f64": "f8"}.get(kind, "f4")
    values = words.view(code)
    if kind in ("f16", "bf16"):
        return floats.widen_half(values, kind)
    return values.astype("f8")


def _unpack_bits(words: np.ndarray, kind: str) -> np.ndarray:
    """Return elements of less than a byte, the lowest bits of a register first."""
    bits = BITS[kind]
    shifts = np.arange(0, 32, bits, dtype="u4")
    patterns = (words[..., None] >> shifts) & np.uint32((1 << bits) - 1)
    values = values_of(patterns, kind) if kind == "e2m1" else patterns.astype("f8")
    if kind == "s4":
        values = np.where(values >= 8, values - 16, values)
    return values.reshape(*words.shape[:2], -1)


def pack(values: np.ndarray, kind: str) -> list[np.ndarray]:
    """Return the registers of an accumulator with these (warps, 32, elements), rounded once: unsigned vectors over all lanes."""
    code = {"f32": "f4", "f16": "f2", "s32": "i4", "f64": "f8"}[kind]
    words = np.ascontiguousarray(values.astype(code)).view("u8" if kind == "f64" else "u4")
    return [np.ascontiguousarray(words[:, :, i]).ravel() for i in range(words.shape[2])]


FP8 = {kind: narrow_floats.VALUES[kind] for kind in ("e4m3", "e5m2")}


@dataclass(frozen=True)
class Transfer:
    """How wmma.load and wmma.store move one fragment: the pieces of memory that every lane moves, and the registers that take them.

    outer, inner: (32, pieces), of the first element of each piece, its index along the strided dimension and along the other one;
    bits: of an element; run: how many neighbours in memory a piece has; held: how many elements a register has; alignment: bytes to
    which PTX wants every row (or column) aligned, of which more than 16 are not asked for, as CUDA C++ does not.
    """

    outer: np.ndarray
    inner: np.ndarray
    bits: int
    run: int
    held: int
    alignment: int

    def addresses(self, address: np.ndarray, stride: np.ndarray | int) -> list[np.ndarray]:
        """Return the address of every piece, a vector over all lanes for each. stride: in elements, a vector or a scalar."""
        address = address.reshape(-1, WARP)
        step = np.asarray(stride).astype("i8")
        step = step.reshape(-1, WARP) if step.ndim else step
        return [
            (address + (self.outer[:, i] * step + self.inner[:, i]) * self.bits // 8).ravel() for i in range(self.outer.shape[1])
        ]


def transfer(which: str, shape: tuple[int, int, int], kind: str, layout: str, registers: int) -> Transfer:
    """Return how a fragment is moved. which: a, b, c or d; layout: row or col; registers: how many it has."""
    rows, columns = places(which, shape, kind)
    outer, inner = (rows, columns) if layout == "row" else (columns, rows)
    held = in_register(kind)
    along = {"a": "row", "b": "col"}.get(which, "row")  # the layout in which neighbours in a register are neighbours in memory
    run = 1 if layout != along else 2 if which in "cd" else held
    alignment = min(16, registers * (8 if kind == "f64" else 4))
    return Transfer(outer[:, ::run], inner[:, ::run], BITS[kind], run, held, alignment)


def default_stride(which: str, shape: tuple[int, int, int], layout: str) -> int:
    """Return the stride of a wmma.load or wmma.store that names none: the matrix has no gaps."""
    m, n, k = shape
    rows, columns = {"a": (m, k), "b": (k, n)}.get(which, (m, n))
    return columns if layout == "row" else rows

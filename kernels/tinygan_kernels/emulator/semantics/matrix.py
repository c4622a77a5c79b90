"""The tensor cores' instructions mma, wmma.mma and ldmatrix, a warp at a time. (PTX ISA, 9.7.14)

Which lane holds which element stands in `fragments`. Products are exact, sums are formed in float64 and rounded once: hardware adds
in an order of its own, with at least as large an error.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from . import block_scales, sparsity
from .fragments import pack, places, unpack
from .warps import WARP

_LANE = np.arange(WARP)
_G, _T = _LANE // 4, _LANE % 4
_HALVES, _BYTES, _NIBBLES = ("f16", "bf16"), ("s8", "u8"), ("s4", "u4")
SUPPORTED = {
    *(("tf32", 16, 8, k) for k in (4, 8)),
    *((kind, 16, 8, k) for kind in _HALVES for k in (8, 16)),
    *((kind, *shape) for kind in _BYTES for shape in ((8, 8, 16), (16, 8, 16), (16, 8, 32))),
    *((kind, *shape) for kind in _NIBBLES for shape in ((8, 8, 32), (16, 8, 32), (16, 8, 64))),
    *((kind, 16, 8, k) for kind in ("e4m3", "e5m2") for k in (16, 32)),
    *(("b1", *shape) for shape in ((8, 8, 128), (16, 8, 128), (16, 8, 256))),
    *(("f64", *shape) for shape in ((8, 8, 4), (16, 8, 4), (16, 8, 8), (16, 8, 16))),
}
"""The types of A and the shapes (m, n, k) that mma.sync has."""
_WIDE_TILES = ((16, 16, 16), (32, 8, 16), (8, 32, 16))
WMMA = {
    *((kind, *shape) for kind in (*_HALVES, *_BYTES) for shape in _WIDE_TILES),
    ("tf32", 16, 16, 8),
    *((kind, 8, 8, 32) for kind in _NIBBLES),
    ("b1", 8, 8, 128),
    ("f64", 8, 8, 4),
}
"""The same of wmma."""


@cache
def _places(which: str, shape: tuple[int, int, int], kind: str):
    return places(which, shape, kind)


def multiply(
    kinds: tuple[str, str, str, str], shape: tuple[int, int, int], a, b, c, operation: str = "", clamp: bool = False
):
    """Compute D = A B + C and return D's registers.

    kinds: types of D, A, B, C; shape: (m, n, k); a, b, c: the registers, unsigned vectors over all lanes, of which those
    that repeat elements are not looked at. operation: "and" or "xor", by which bits of type b1 are combined before they are
    counted. clamp: whether integers are kept within their range (.satfinite) instead of wrapping.
    """
    m, n, k = shape
    left, right = _matrix("a", shape, kinds[1], a, (m, k)), _matrix("b", shape, kinds[2], b, (k, n))
    return _accumulated(kinds, shape, left, right, c, operation, clamp)


def multiply_sparse(
    kinds: tuple[str, str, str, str], shape: tuple[int, int, int], a, b, c, metadata, selector: int, clamp: bool = False
):
    """Compute D = A B + C of mma.sp. The parameters are those of `multiply`; a: the half of A that is stored, in the layout of a
    dense A of half the depth; metadata: where it stands, unsigned integers over all lanes; selector: which lanes say so."""
    m, n, k = shape
    stored = _matrix("a", (m, n, k // 2), kinds[1], a, (m, k // 2))
    found = sparsity.codes(np.broadcast_to(metadata, (WARP * len(stored),)), kinds[1], k, selector)
    right = _matrix("b", shape, kinds[2], b, (k, n))
    return _accumulated(kinds, shape, sparsity.expanded(stored, found, kinds[1]), right, c, "", clamp)


def multiply_narrow(kinds: tuple[str, str, str, str], shape: tuple[int, int, int], a, b, c, sparse, scales):
    """Compute D = A B + C of mma with a .kind. The parameters are those of `multiply`.

    sparse: None, or of a sparse A the metadata and their selector; scales: None, or (type, how many for a row, of A and of B each
    the word that holds them, the byte and the thread that select them), by which the parts of rows of A and columns of B are
    multiplied.
    """
    m, n, k = shape
    depth = k // 2 if sparse else k
    left, right = _matrix("a", (m, n, depth), kinds[1], a, (m, depth)), _matrix("b", shape, kinds[2], b, (k, n))
    lanes = WARP * len(left)
    if sparse:
        found = sparsity.codes(np.broadcast_to(sparse[0], (lanes,)), kinds[1], k, sparse[1])
        left = sparsity.expanded(left, found, kinds[1])
    if scales:
        kind, count, of_a, of_b = scales
        rows = block_scales.scales_of("a", np.broadcast_to(of_a[0], (lanes,)), *of_a[1:], kind, count)
        columns = block_scales.scales_of("b", np.broadcast_to(of_b[0], (lanes,)), *of_b[1:], kind, count)
        left = left * np.repeat(rows, k // count, axis=2)
        right = right * np.repeat(columns, k // count, axis=2).transpose(0, 2, 1)
    return _accumulated(kinds, shape, left, right, c, "", False)


def _accumulated(kinds, shape, left: np.ndarray, right: np.ndarray, c, operation: str, clamp: bool):
    """Return the registers of D = A B + C for matrices A (warps, m, k) and B (warps, k, n) and the registers of C."""
    product = left @ right
    if operation == "xor":  # bits that differ: those set in one, and in the other, less twice those set in both
        product = left.sum(axis=2, keepdims=True) + right.sum(axis=1, keepdims=True) - 2 * product
    rows, columns = _places("c", shape, kinds[3])
    total = product[:, rows, columns] + unpack(c, kinds[3])
    if kinds[0] == "s32":
        total = np.clip(total, -(2**31), 2**31 - 1) if clamp else total.astype("i8")
    return pack(total, kinds[0])


def _matrix(which: str, shape: tuple[int, int, int], kind: str, registers, size: tuple[int, int]) -> np.ndarray:
    """Return the (warps, rows, columns) matrix that the registers of a fragment hold."""
    rows, columns = _places(which, shape, kind)
    values = unpack(registers, kind)
    matrix = np.empty((len(values), *size))
    matrix[:, rows, columns] = values[:, :, : rows.shape[1]]
    return matrix


def distribute(rows, count: int, transposed: bool):
    """Return ldmatrix's registers, from the 16 bytes at each lane's address (lane 8 j + i: row i of matrix j)."""
    matrices = rows.view("u2").reshape(-1, WARP, 8)
    registers = []
    for j in range(count):
        matrix = matrices[:, 8 * j : 8 * j + 8]
        pair = [matrix[:, 2 * _T + i, _G] if transposed else matrix[:, _G, 2 * _T + i] for i in (0, 1)]
        registers.append((pair[0].astype("u4") | pair[1].astype("u4") << np.uint32(16)).ravel())
    return registers


def transpose(register):
    """Compute movmatrix: lane 4 i + t holds elements 2 t and 2 t + 1 of row i, before and after."""
    rows = register.view("u2").reshape(-1, 8, 8)
    return np.ascontiguousarray(rows.transpose(0, 2, 1)).reshape(-1).view("u4")


def spread_bits(bits: int, *parts):
    """Return rows (lanes, 16) of a byte for each of 16 elements of `bits`, which `parts` have packed, the first one lowest."""
    packed = np.unpackbits(np.concatenate(parts, axis=1), axis=1, bitorder="little").reshape(len(parts[0]), 16, bits)
    return np.packbits(packed, axis=2, bitorder="little").reshape(len(parts[0]), 16)


def collect(registers, transposed: bool):
    """Return the (lanes, 16) bytes that stmatrix stores at each lane's address: the inverse of `distribute`."""
    matrices = np.zeros((registers[0].size // WARP, WARP, 8), "u2")
    for j, register in enumerate(registers):
        matrix = matrices[:, 8 * j : 8 * j + 8]
        halves = np.ascontiguousarray(register).view("u2").reshape(-1, WARP, 2)
        for i in (0, 1):
            if transposed:
                matrix[:, 2 * _T + i, _G] = halves[:, :, i]
            else:
                matrix[:, _G, 2 * _T + i] = halves[:, :, i]
    return matrices.reshape(-1, 8).view("u1")

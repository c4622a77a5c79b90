"""The linear maps of Winograd's convolution as straight-line vector code: M t M^T of a tile, for a register full of channels at a time.

A tile's numbers are loaded where they lie, M is applied along its rows and down its columns in registers, with its entries as
constants (no code for a 0, an addition for a 1), and the results are stored where they belong: the only traffic is what the map has
to read and to write. Where a tile lies is one of three forms of address,

    Grid    evenly spaced: the (m+1)^2 planes of transformed tiles, the taps of a filter
    Patch   pixels of an image, some of them perhaps outside of it
    Seams   planes, together with the last ones of the tiles above and to the left, which overlap

Numba compiles a loop once for each m, as it is told m by the length of a tuple.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .minimal_filtering import transforms
from .simd import WORD, Vectors, counted

Address = Callable[[int, int], ir.Value]


class Grid(NamedTuple):
    """Element (i, j) lies at base + i * down + j * across, in bytes."""

    base: int
    down: int
    across: int


class Patch(NamedTuple):
    """Element (i, j) is pixel (y + i * step, x + j * step) of a (height, width) image at `base`."""

    base: int
    height: int
    width: int
    y: int
    x: int
    step: int


class Seams(NamedTuple):
    """Elements (1 + k, 1 + l) are a tile's numbers in the planes (k, l), the first of them at `base`; (0, ...) and (..., 0) are those
    of the last planes, `up` and `left` bytes before: the tiles above and to the left. 0: there is none."""

    base: int
    plane: int
    up: int
    left: int


# ---- the maps -------------------------------------------------------------------------------------------------------------------


def seam_sums(m: int) -> np.ndarray:
    """B, without its last row, for tiles that overlap by one pixel: (m, m + 2), over the last product before and the tile's own.

    The points 0 and infinity make e_0 and e_m of the first and last column of B^T: pixel 0 enters product 0 alone, and pixel m, which is
    the next tile's pixel 0, product m alone. So that pixel is product m of the one plus product 0 of the other.
    """
    B = transforms(m)[2].T
    before = np.eye(m)[:, :1]
    return np.hstack([before, B[:m]])


def matrix(name: str, m: int) -> np.ndarray:
    At, G, Bt = transforms(m)
    named = {"A^T": At, "A": At.T, "G": G, "G^T": G.T, "B^T": Bt, "seams": seam_sums(m), "before": np.ones((1, 1))}
    return named[name]


def _weighted(vectors: Vectors, weights: np.ndarray, terms: list[ir.Value]) -> ir.Value:
    """The sum of weights * terms, begun with a term of weight 1 if there is one."""
    builder, total = vectors.builder, None
    for weight, term in sorted(zip(weights.tolist(), terms, strict=True), key=lambda pair: pair[0] != 1):
        if weight == 0:
            continue
        if total is None:
            total = term if weight == 1 else builder.fmul(vectors.constant(weight), term)
        elif abs(weight) == 1:
            total = builder.fadd(total, term) if weight == 1 else builder.fsub(total, term)
        else:
            total = vectors.multiply_add(vectors.constant(weight), term, total)
    return total


def _map(vectors: Vectors, down: np.ndarray, across: np.ndarray, source: Address, target: Address) -> None:
    """target = down source across^T. A row is done with before the next is loaded, so that registers hold few unfinished numbers."""
    rows = []
    for i in range(down.shape[1]):
        row = [vectors.load(source(i, j)) for j in range(across.shape[1])]
        rows.append([_weighted(vectors, weights, row) for weights in across])
    for k, weights in enumerate(down):
        for l in range(len(across)):
            vectors.store(_weighted(vectors, weights, [row[l] for row in rows]), target(k, l))


# ---- addresses ------------------------------------------------------------------------------------------------------------------


def _grid(builder: ir.IRBuilder, grid: Grid, pixel: ir.Value, outside: ir.Value) -> Address:
    def address(i, j):
        down, across = (builder.mul(ir.Constant(WORD, k), step) for k, step in ((i, grid.down), (j, grid.across)))
        return builder.add(grid.base, builder.add(down, across))

    return address


def _patch(builder: ir.IRBuilder, patch: Patch, pixel: ir.Value, outside: ir.Value) -> Address:
    def place(start, k, size):
        at = builder.add(start, builder.mul(ir.Constant(WORD, k), patch.step))
        return at, builder.icmp_unsigned("<", at, size)  # negative numbers are huge ones

    def address(i, j):
        (y, y_inside), (x, x_inside) = place(patch.y, i, patch.height), place(patch.x, j, patch.width)
        number = builder.add(builder.mul(y, patch.width), x)
        return builder.select(builder.and_(y_inside, x_inside), builder.add(patch.base, builder.mul(number, pixel)), outside)

    return address


def _seams(m: int) -> Callable:
    def form(builder: ir.IRBuilder, seams: Seams, pixel: ir.Value, outside: ir.Value) -> Address:
        def address(i, j):
            k, l = i - 1 if i else m, j - 1 if j else m
            at, inside = builder.add(seams.base, builder.mul(ir.Constant(WORD, k * (m + 1) + l), seams.plane)), ir.Constant(ir.IntType(1), 1)
            for shift in [seams.up] * (i == 0) + [seams.left] * (j == 0):
                at = builder.sub(at, shift)
                inside = builder.and_(inside, builder.icmp_signed("!=", shift, ir.Constant(WORD, 0)))
            return builder.select(inside, at, outside)

        return address

    return form


@intrinsic(prefer_literal=True)
def apply(typing_context, down, across, size, source, target, channels, outside):
    """target = M t N^T of a tile t at source, for `channels` of them (at least a register full) that lie side by side.

    down, across: the names of M and N; size: a tuple of m numbers; source, target: Grid, Patch or Seams; outside: (2, channels), what
    stands for all pixels that an image does not have: zeros to read, and room to write to.
    """
    m = size.count
    M, N = matrix(down.literal_value, m), matrix(across.literal_value, m)
    forms = {Grid: _grid, Patch: _patch, Seams: _seams(m)}
    signature = types.void(down, across, size, source, target, types.int64, outside)

    def generate(context, builder, signature, arguments):
        *_, source_value, target_value, count, nowhere = arguments
        vectors = Vectors(builder, context.get_value_type(outside.dtype))
        spare = builder.ptrtoint(cgutils.create_struct_proxy(outside)(context, builder, nowhere).data, WORD)
        pixel = builder.mul(count, ir.Constant(WORD, vectors.itemsize))

        def table(kind, value, elsewhere, shape):
            fields = kind.instance_class(*cgutils.unpack_tuple(builder, value))
            address = forms[kind.instance_class](builder, fields, pixel, elsewhere)
            return {(i, j): address(i, j) for i in range(shape[0]) for j in range(shape[1])}

        reads = table(source, source_value, spare, (M.shape[1], N.shape[1]))
        writes = table(target, target_value, builder.add(spare, pixel), (len(M), len(N)))
        last = builder.sub(pixel, ir.Constant(WORD, vectors.bytes))  # where channels do not fill a register, some are done twice

        def group(values):
            (offset,) = values
            _map(vectors, M, N, *[lambda i, j, t=t: vectors.at(t[i, j], offset) for t in (reads, writes)])
            following = vectors.at(offset, vectors.bytes)
            return [builder.select(builder.icmp_signed("<", following, last), following, last)]

        groups = builder.sdiv(vectors.at(pixel, vectors.bytes - 1), ir.Constant(WORD, vectors.bytes))
        counted(builder, groups, [ir.Constant(WORD, 0)], group)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def transpose_block(typing_context, like, source, source_step, target, target_step):
    """A square of lanes x lanes numbers of the dtype of `like` at address `source`, rows `source_step` bytes apart, transposed to `target`.

    Each of log2(lanes) rounds interleaves row i of the upper half with row i of the lower: together they move row bits to lane bits.
    """

    def generate(context, builder, signature, arguments):
        v = Vectors(builder, context.get_value_type(like.dtype))
        _, source, source_step, target, target_step = arguments
        half, word = v.lanes // 2, ir.IntType(32)
        picks = [
            ir.Constant(ir.VectorType(word, v.lanes), [first + lane // 2 + lane % 2 * v.lanes for lane in range(v.lanes)])
            for first in (0, half)
        ]
        rows = [v.load(v.at(source, builder.mul(source_step, ir.Constant(WORD, r)))) for r in range(v.lanes)]
        for _ in range(v.lanes.bit_length() - 1):
            rows = [builder.shuffle_vector(rows[i], rows[i + half], pick) for i in range(half) for pick in picks]
        for r, row in enumerate(rows):
            v.store(row, v.at(target, builder.mul(target_step, ir.Constant(WORD, r))))
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), generate


@numba.njit
def address_of(array):
    """Of an array's first element, signed: with an unsigned one, adding an offset would give a float."""
    return np.int64(array.ctypes.data)

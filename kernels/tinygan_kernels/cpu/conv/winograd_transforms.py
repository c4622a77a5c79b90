"""The linear maps of Winograd's convolution as straight-line vector code: M t N^T of a tile t, for a register full of channels.

A tile's numbers are loaded from where they lie, N is applied along its rows and M down its columns in registers, with their entries
as constants (no code for a 0, an addition for a 1), and the results are stored where they belong. So each number is read and
written once. The addresses of a tile's elements have one of three forms:

    Grid    evenly spaced: the (m+1)^2 planes of transformed tiles, or the taps of a filter
    Patch   pixels of an image, some of them perhaps outside it
    Seams   planes, together with the last ones of the tiles above and to the left, which overlap

Numba compiles a loop once for each m, which the length of a tuple argument tells it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinygan_kernels.cpu.runtime.simd import WORD, Vectors, counted
from tinygan_kernels.winograd_formulas import transforms

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
    """Element (1 + k, 1 + l) is the tile's number in plane (k, l), `base` that in the first, and planes are `plane` bytes apart.

    Element (0, ...) is the last row's number, (m, ...), of the tile `up` bytes before, and (..., 0) the last column's of the tile
    `left` bytes before; 0 says that there is no such tile.
    """

    base: int
    plane: int
    up: int
    left: int


# ---- the maps -------------------------------------------------------------------------------------------------------------------


def seam_sums(m: int) -> np.ndarray:
    """Return B for tiles that overlap by a pixel: (m, m + 2), from product m of the tile before and the tile's own products to the
    tile's first m pixels.

    As 0 and infinity are among the points, the first column of B^T is e_0 and the last e_m: pixel 0 enters product 0 alone, and
    pixel m, which is pixel 0 of the next tile, product m alone. The adjoint adds the two.
    """
    return np.hstack([np.eye(m)[:, :1], transforms(m)[2].T[:m]])


def matrix(name: str, m: int) -> np.ndarray:
    """Return a map of F(m, 2) by name. "seams" is B for tiles that overlap; "before" takes what the last tile would leave to the
    next.
    """
    At, G, Bt = transforms(m)
    return {"A^T": At, "A": At.T, "G": G, "G^T": G.T, "B^T": Bt, "seams": seam_sums(m), "before": np.ones((1, 1))}[name]


def _weighted(v: Vectors, weights: np.ndarray, terms: list[ir.Value]) -> ir.Value:
    """Return the sum of weights * terms, begun with a term of weight 1 if there is one."""
    total = None
    for weight, term in sorted(zip(weights.tolist(), terms, strict=True), key=lambda pair: pair[0] != 1):
        if weight == 0:
            continue
        if total is None:
            total = term if weight == 1 else v.builder.fmul(v.constant(weight), term)
        elif abs(weight) == 1:
            total = v.builder.fadd(total, term) if weight == 1 else v.builder.fsub(total, term)
        else:
            total = v.multiply_add(v.constant(weight), term, total)
    return total


def _map(v: Vectors, M: np.ndarray, N: np.ndarray, source: Address, target: Address) -> None:
    """Write target = M source N^T. N is applied to one row before the next is loaded, so that few registers are needed."""
    rows = []
    for i in range(M.shape[1]):
        row = [v.load(source(i, j)) for j in range(N.shape[1])]
        rows.append([_weighted(v, weights, row) for weights in N])
    for k, weights in enumerate(M):
        for l in range(len(N)):
            v.store(_weighted(v, weights, [row[l] for row in rows]), target(k, l))


# ---- addresses, from a form's fields, the bytes of a pixel, and the address that stands for what lies outside --------------------


def _grid(builder: ir.IRBuilder, grid: Grid, pixel: ir.Value, outside: ir.Value) -> Address:
    def address(i, j):
        down, across = (builder.mul(ir.Constant(WORD, k), step) for k, step in ((i, grid.down), (j, grid.across)))
        return builder.add(grid.base, builder.add(down, across))

    return address


def _patch(builder: ir.IRBuilder, patch: Patch, pixel: ir.Value, outside: ir.Value) -> Address:
    def place(start, k, size):
        at = builder.add(start, builder.mul(ir.Constant(WORD, k), patch.step))
        return at, builder.icmp_unsigned("<", at, size)  # unsigned, a negative index is a huge one

    def address(i, j):
        (y, y_inside), (x, x_inside) = place(patch.y, i, patch.height), place(patch.x, j, patch.width)
        number = builder.add(builder.mul(y, patch.width), x)
        return builder.select(builder.and_(y_inside, x_inside), builder.add(patch.base, builder.mul(number, pixel)), outside)

    return address


def _seams(m: int, builder: ir.IRBuilder, seams: Seams, pixel: ir.Value, outside: ir.Value) -> Address:
    def address(i, j):
        k, l = i - 1 if i else m, j - 1 if j else m
        at = builder.add(seams.base, builder.mul(ir.Constant(WORD, k * (m + 1) + l), seams.plane))
        for shift in [seams.up] * (i == 0) + [seams.left] * (j == 0):
            inside = builder.and_(builder.icmp_signed("!=", shift, ir.Constant(WORD, 0)), builder.icmp_signed("!=", at, outside))
            at = builder.select(inside, builder.sub(at, shift), outside)
        return at

    return address


def _table(builder: ir.IRBuilder, m: int, form: types.Type, fields: ir.Value, pixel: ir.Value, outside: ir.Value, shape) -> Address:
    """Compute the addresses of all elements, before the loop over channels."""
    addresses = {Grid: _grid, Patch: _patch, Seams: partial(_seams, m)}[form.instance_class]
    address = addresses(builder, form.instance_class(*cgutils.unpack_tuple(builder, fields)), pixel, outside)
    found = {(i, j): address(i, j) for i in range(shape[0]) for j in range(shape[1])}
    return lambda i, j: found[i, j]


# ---- intrinsics -----------------------------------------------------------------------------------------------------------------


@intrinsic(prefer_literal=True)
def apply(typing_context, down, across, size, source, target, channels, outside):
    """target = M t N^T for the tile t at source, for each of `channels` channels that lie side by side: at least a register full.

    down, across: the names of M and N. size: a tuple of m numbers. source, target: Grid, Patch or Seams. outside: an array of twice
    `channels` numbers that stands for what an image does not have: zeros to read, then room to write to; without a Patch or Seams,
    any array of the dtype. Channels that do not fill a register go together with some that are done twice.
    """
    m = size.count
    M, N = matrix(down.literal_value, m), matrix(across.literal_value, m)

    def generate(context, builder, signature, arguments):
        _, _, _, at_source, at_target, count, array = arguments
        v = Vectors(builder, context.get_value_type(outside.dtype))
        pixel = builder.mul(count, ir.Constant(WORD, v.itemsize))
        zeros = builder.ptrtoint(cgutils.create_struct_proxy(outside)(context, builder, array).data, WORD)
        reads = _table(builder, m, source, at_source, pixel, zeros, (M.shape[1], N.shape[1]))
        writes = _table(builder, m, target, at_target, pixel, builder.add(zeros, pixel), (len(M), len(N)))
        last = v.at(pixel, -v.bytes)

        def register(values):
            (offset,) = values
            _map(v, M, N, lambda i, j: v.at(reads(i, j), offset), lambda i, j: v.at(writes(i, j), offset))
            following = v.at(offset, v.bytes)
            return [builder.select(builder.icmp_signed("<", following, last), following, last)]

        registers = builder.sdiv(v.at(pixel, v.bytes - 1), ir.Constant(WORD, v.bytes))
        counted(builder, registers, [ir.Constant(WORD, 0)], register)
        return context.get_dummy_value()

    return types.void(down, across, size, source, target, types.int64, outside), generate

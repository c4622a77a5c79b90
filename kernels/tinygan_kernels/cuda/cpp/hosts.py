"""The host's side of cuda/cpp/*.cu: which kernels a call launches, with which arguments, in how many blocks.

A host function is called as host(device, rung, *inputs, *outputs, **params) with arguments that the contract has passed, and yields
CudaLaunch values. Names of kernels, tiles and blocks come from the rung. Scalars are given as the NumPy type that the C declaration
names, never as Python's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygan_kernels.cuda.device import CudaLaunch
from tinygan_kernels.cuda.ladder import Host, ceil_div
from tinygan_kernels.shapes import ACTIVATIONS, ContractError

from .entries import Instance

ENOUGH_BLOCKS = 256  # to fill a large GPU about twice


def int32(value: int, what: str) -> np.int32:
    """Return the value as the kernels count. Raises ContractError where 32 bits do not hold it."""
    if value > 0x7FFFFFFF:
        raise ContractError(f"{what} would be {value}; the kernels count to 2147483647: divide the work")
    return np.int32(value)


def ints(kernel: str, **values: int) -> list[np.int32]:
    """Return the values as int32, in order. Raises ContractError naming the one that 32 bits do not hold."""
    return [int32(value, f"{kernel}: {name}") for name, value in values.items()]


# ---- products -----------------------------------------------------------------------------------------------------------------


class ProductSizes(NamedTuple):
    """M, N, K of C (M, N) = A (M, K) B (K, N), as every kernel of matmul.cu takes them."""

    M: np.int32
    N: np.int32
    K: np.int32


def product_sizes(a: Any, c: Any, trans_a: bool) -> ProductSizes:
    """Return M, N, K of a product, given its left operand and its output. Raises ContractError beyond 32 bits."""
    (m, n), k = c.shape, a.shape[0 if trans_a else 1]
    return ProductSizes(*ints("matmul", M=m, N=n, K=k))


def matmul_simple(device, rung, a, b, c, trans_a=False, trans_b=False) -> Iterator[CudaLaunch]:
    """Launch a kernel that is told by two arguments which operands are transposed."""
    args = (a, b, c, *product_sizes(a, c, trans_a), np.int32(trans_a), np.int32(trans_b))
    yield CudaLaunch(rung.declared[0].of(a), rung.blocks(c.shape), rung.threads, args)


def matmul_tiled(device, rung, a, b, c, trans_a=False, trans_b=False) -> Iterator[CudaLaunch]:
    """Launch the instance that a kernel has for these operands, transposed or not."""
    instance = rung.declared[0].instance(operands="nt"[trans_a] + "nt"[trans_b])
    yield CudaLaunch(instance, rung.blocks(c.shape), rung.threads, (a, b, c, *product_sizes(a, c, trans_a)))


LONGEST_ROWS = 1 << 23  # from this K on, 32-bit offsets do not reach over the 128 rows of a tile


def matmul_with_32_bit_offsets(for_long_rows: Any) -> Host:
    """Return the host function of a tiled kernel that launches the rung `for_long_rows` instead where K is 2^23 and more."""

    def host(device, rung, a, b, c, trans_a=False, trans_b=False) -> Iterator[CudaLaunch]:
        k = a.shape[0 if trans_a else 1]
        return matmul_tiled(device, for_long_rows if k >= LONGEST_ROWS else rung, a, b, c, trans_a, trans_b)

    return host


FEW_BLOCKS = 96  # fewer than that leave multiprocessors without work: an A100 has 108, an H100 132


def matmul_by_size(for_few_blocks: Any) -> Host:
    """Return the host function for where no version was asked for: products of fewer than FEW_BLOCKS blocks are launched as the
    rung `for_few_blocks`, whose smaller tiles occupy more of a GPU."""

    def host(device, rung, a, b, c, trans_a=False, trans_b=False) -> Iterator[CudaLaunch]:
        chosen = for_few_blocks if rung.blocks(c.shape) < FEW_BLOCKS else rung
        return chosen.host(device, chosen, a, b, c, trans_a, trans_b)

    return host


# ---- convolutions -------------------------------------------------------------------------------------------------------------


class Geometry(NamedTuple):
    """The sizes that every kernel of conv2d.cu takes: the parameters of its macro GEOMETRY, in that order."""

    images: np.int32
    H: np.int32
    W: np.int32
    C_in: np.int32
    OH: np.int32
    OW: np.int32
    C_out: np.int32
    KH: np.int32
    KW: np.int32
    stride: np.int32
    pad: np.int32


def geometry(x: Any, w: Any, y: Any, stride: int, pad: int) -> Geometry:
    """Return the sizes of a convolution, given arrays of the shapes of x, w and y. Raises ContractError beyond 32 bits."""
    (images, height, width, c_in), (kh, kw, _, c_out), (_, oh, ow, _) = x.shape, w.shape, y.shape
    for name, count in (("pixels", max(height * width, oh * ow) * images), ("an image", height * width * c_in),
                        ("an output", oh * ow * c_out), ("taps", kh * kw * max(c_in, c_out))):  # fmt: skip
        int32(count, f"conv2d: the size of {name}")
    return Geometry(*ints("conv2d", images=images, H=height, W=width, C_in=c_in, OH=oh, OW=ow, C_out=c_out,
                          KH=kh, KW=kw, stride=stride, pad=pad))  # fmt: skip


def conv2d(device, rung, x, w, y, stride, pad) -> Iterator[CudaLaunch]:
    """Launch a kernel that covers y tile by tile."""
    yield _one_convolution(rung, x, w, y, geometry(x, w, y, stride, pad))


def conv2d_dx(device, rung, g, w, dx, stride, pad, height, width) -> Iterator[CudaLaunch]:
    """Launch a kernel that covers dx tile by tile."""
    yield _one_convolution(rung, g, w, dx, geometry(dx, w, g, stride, pad))


def conv2d_dw(device, rung, x, g, dw, stride, pad, kh, kw) -> Iterator[CudaLaunch]:
    """Launch a kernel that covers dw tile by tile."""
    yield _one_convolution(rung, x, g, dw, geometry(x, dw, g, stride, pad))


def _one_convolution(rung, first, second, out, sizes: Geometry) -> CudaLaunch:
    """Return the launch of a kernel that covers its output tile by tile."""
    return CudaLaunch(rung.declared[0].of(out), rung.blocks(out.shape), rung.threads, (first, second, out, *sizes))


def conv2d_dx_in_phases(device, rung, g, w, dx, stride, pad, height, width) -> Iterator[CudaLaunch]:
    """Launch stride^2 phases in one grid, each with as many blocks as the largest of them needs."""
    largest = (dx.shape[0], ceil_div(height, stride), ceil_div(width, stride), dx.shape[3])
    args = (g, w, dx, *geometry(dx, w, g, stride, pad))
    yield CudaLaunch(rung.declared[0].of(dx), stride**2 * rung.blocks(largest), rung.threads, args)


def conv2d_dw_in_parts(device, rung, x, g, dw, stride, pad, kh, kw) -> Iterator[CudaLaunch]:
    """Launch several blocks for each tile, which share its sum over pixels and each write a dw; a second kernel adds those up."""
    product, total = (entry.of(dw) for entry in rung.declared)
    tiles, pixels = rung.blocks(dw.shape), math.prod(g.shape[:3])
    parts = max(1, min(ENOUGH_BLOCKS // max(tiles, 1), pixels // 128))
    partial = dw if parts == 1 else device.workspace("partial dw", (parts, *dw.shape), dw.dtype)
    args = (x, g, partial, *geometry(x, dw, g, stride, pad), np.int32(parts))
    yield CudaLaunch(product, tiles * parts, rung.threads, args)
    if parts > 1:
        yield flat_launch(total, dw.size, partial, dw, *ints("conv2d_dw", size=dw.size, parts=parts))


# ---- the game's loss ----------------------------------------------------------------------------------------------------------


def flat_launch(instance: Instance, size: int, *args: Any) -> CudaLaunch:
    """Return a launch with one thread for each of `size` numbers, in blocks of 256."""
    return CudaLaunch(instance, ceil_div(size, 256), (256,), args)


def bce_logits_two_pass(device, rung, s, t, loss, ds) -> Iterator[CudaLaunch]:
    """Launch a kernel for the terms of the loss and the gradient, and one that takes the terms' mean."""
    write_terms, mean = (entry.of(s) for entry in rung.declared)
    (n,) = ints("bce_logits", n=s.size)
    terms = device.workspace("loss terms", s.shape, s.dtype)
    yield CudaLaunch(write_terms, rung.blocks(s.shape), rung.threads, (s, t, terms, ds, n))
    yield CudaLaunch(mean, 1, (256,), (terms, loss, n))


def bce_logits_one_pass(device, rung, s, t, loss, ds) -> Iterator[CudaLaunch]:
    """Launch at most ENOUGH_BLOCKS blocks, as they have to meet; each walks over the logits in steps of the whole grid."""
    (n,) = ints("bce_logits", n=s.size)
    partials = device.workspace("loss partials", (ENOUGH_BLOCKS,), s.dtype)
    blocks = min(rung.blocks(s.shape), ENOUGH_BLOCKS)
    yield CudaLaunch(rung.declared[0].of(s), blocks, rung.threads, (s, t, loss, ds, partials, device.ticket, n))


# ---- fused layers and updates -------------------------------------------------------------------------------------------------


def bias_act(device, rung, x, b, y, act, slope=0.0) -> Iterator[CudaLaunch]:
    """Launch a kernel that covers y tile by tile."""
    sizes = ints("bias_act", size=x.size, channels=b.size, act=ACTIVATIONS.index(act))
    yield CudaLaunch(rung.declared[0].of(x), rung.blocks(x.shape), rung.threads, (x, b, y, *sizes, x.dtype.type(slope)))


def bias_act_grad(device, rung, g, y, dx, db, act, slope=0.0) -> Iterator[CudaLaunch]:
    """Launch blocks that sum dx over a share of the rows, for the tile's channels; a second kernel adds up the shares."""
    backward, total = (entry.of(g) for entry in rung.declared)
    channels = db.size
    rows, strips = g.size // channels if channels else 0, rung.blocks((1, channels))
    parts = max(1, min(ENOUGH_BLOCKS // max(strips, 1), rows // 64))
    partial = db if parts == 1 else device.workspace("partial db", (parts, channels), db.dtype)
    sizes = ints("bias_act_grad", rows=rows, channels=channels, act=ACTIVATIONS.index(act))
    args = (g, y, dx, partial, *sizes, g.dtype.type(slope), np.int32(ceil_div(rows, parts)))
    yield CudaLaunch(backward, strips * parts, rung.threads, args)
    if parts > 1:
        yield flat_launch(total, channels, partial, db, np.int32(channels), np.int32(parts))


def adam(device, rung, g, rate, theta, m, v, t, *, sign, beta1, beta2, eps) -> Iterator[CudaLaunch]:
    """Launch one thread that counts the step and computes what all parameters share, then a thread for each parameter."""
    begin, update = (entry.of(g) for entry in rung.declared)
    real, factors = g.dtype.type, device.workspace("adam factors", (2,), g.dtype)
    yield CudaLaunch(begin, 1, (1,), (rate, t, factors, np.int32(sign), np.float64(beta1), np.float64(beta2)))
    numbers = [real(value) for value in (beta1, 1 - beta1, beta2, 1 - beta2, eps)]
    args = (g, theta, m, v, factors, *numbers, *ints("adam", size=g.size))
    yield CudaLaunch(update, rung.blocks(g.shape), rung.threads, args)

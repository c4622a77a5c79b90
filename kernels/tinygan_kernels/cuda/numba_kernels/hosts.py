"""The host's side of the Numba kernels: which of them a call launches, with which arguments, in how many blocks.

A host function is called as host(device, rung, *inputs, *outputs, **params) with arguments that the contract has passed, and yields
CudaLaunch values. Kernels, tiles and blocks come from the rung. Numbers are NumPy scalars: those in which indices are computed are
int64, as Numba's are, and the others have the arrays' dtype, as a Python float would turn the arithmetic into float64. This module
does not import numba.cuda, which `rung.kernels` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tinygan_kernels.cuda.device import CudaLaunch
from tinygan_kernels.cuda.ladder import ceil_div
from tinygan_kernels.shapes import ACTIVATIONS

# ---- products -----------------------------------------------------------------------------------------------------------------


def matmul_views(device, rung, a, b, c, trans_a=False, trans_b=False) -> Iterator[CudaLaunch]:
    """Launch a kernel that reads views: a transposed operand is one whose strides are swapped."""
    args = (a.T if trans_a else a, b.T if trans_b else b, c)
    yield CudaLaunch(rung.kernels[0], rung.blocks(c.shape), rung.threads, args)


class Strides(NamedTuple):
    """How far apart neighbours of an operand lie, counted in numbers: along its own side of C, and along k."""

    side: np.int64
    k: np.int64


def matmul_strides(device, rung, a, b, c, trans_a=False, trans_b=False) -> Iterator[CudaLaunch]:
    """Launch a kernel that is given the operands' memory, flat, and their strides."""
    depth = np.int64(a.shape[0 if trans_a else 1])
    one, a_row, b_row = np.int64(1), np.int64(a.shape[1]), np.int64(b.shape[1])
    a_strides = Strides(side=one, k=a_row) if trans_a else Strides(side=a_row, k=one)
    b_strides = Strides(side=b_row, k=one) if trans_b else Strides(side=one, k=b_row)
    args = (a.reshape(-1), *a_strides, b.reshape(-1), *b_strides, c, depth)
    yield CudaLaunch(rung.kernels[0], rung.blocks(c.shape), rung.threads, args)


# ---- convolutions -------------------------------------------------------------------------------------------------------------


def convolution(device, rung, first, second, out, stride, pad, **sizes) -> Iterator[CudaLaunch]:
    """Launch a kernel of conv2d, conv2d_dx or conv2d_dw that covers `out` tile by tile and reads the sizes off its arrays."""
    yield CudaLaunch(rung.kernels[0], rung.blocks(out.shape), rung.threads, (first, second, out, np.int64(stride), np.int64(pad)))


def implicit_gemm(device, rung, first, second, out, stride, pad, **sizes) -> Iterator[CudaLaunch]:
    """Launch a kernel of conv2d, conv2d_dx or conv2d_dw that is given `out` as a matrix too, and K, the length of its sums."""
    (d0, d1, d2, d3) = second.shape  # w (KH, KW, C_in, C_out), or g (N, OH, OW, C_out) in conv2d_dw
    depth = d0 * d1 * (d3 if rung.kernel == "conv2d_dx" else d2)
    if out.size:
        numbers = (np.int64(depth), np.int64(stride), np.int64(pad))
        args = (first, second, out, out.reshape(-1, out.shape[3]), *numbers)
        yield CudaLaunch(rung.kernels[0], rung.blocks(out.shape), rung.threads, args)


# ---- the game's loss ----------------------------------------------------------------------------------------------------------

MOST_SUMS = 1024  # blocks of a loss kernel, at most: beyond that, threads walk on to further logits
WARP = 32


def _flat_loss(rung, s, t, loss, ds):
    """Return s, t, loss and ds as flat arrays, the number of logits in their dtype, and the blocks for them."""
    count, blocks = s.dtype.type(s.size), min(MOST_SUMS, rung.blocks(s.shape))
    return s.reshape(-1), t.reshape(-1), loss.reshape(1), ds.reshape(-1), count, blocks


def bce_logits_two_pass(device, rung, s, t, loss, ds) -> Iterator[CudaLaunch]:
    """Launch a kernel for the sums of blocks, one thread that makes the loss of them, and a kernel for the gradient."""
    sums, mean, slopes = rung.kernels
    s, t, loss, ds, count, blocks = _flat_loss(rung, s, t, loss, ds)
    partial = device.workspace("bce_logits", (blocks,), s.dtype)
    yield CudaLaunch(sums, blocks, rung.threads, (s, t, partial))
    yield CudaLaunch(mean, 1, (1,), (partial, count, loss))
    yield CudaLaunch(slopes, blocks, rung.threads, (s, t, count, ds))


def bce_logits_one_pass(device, rung, s, t, loss, ds) -> Iterator[CudaLaunch]:
    """Launch a kernel for sums of blocks and gradient. One block's sum is the loss; those of several are added up by a warp."""
    one_pass, add_blocks = rung.kernels
    s, t, loss, ds, count, blocks = _flat_loss(rung, s, t, loss, ds)
    sums = loss if blocks == 1 else device.workspace("bce_logits", (blocks,), s.dtype)
    yield CudaLaunch(one_pass, blocks, rung.threads, (s, t, count, sums, ds))
    if blocks > 1:
        yield CudaLaunch(add_blocks, 1, (WARP,), (sums, loss))


# ---- fused layers and updates -------------------------------------------------------------------------------------------------


def bias_act(device, rung, x, b, y, act, slope=0.0) -> Iterator[CudaLaunch]:
    """Launch a kernel that covers y, flat, tile by tile."""
    numbers = np.int64(ACTIVATIONS.index(act)), x.dtype.type(slope)
    yield CudaLaunch(rung.kernels[0], rung.blocks(x.shape), rung.threads, (x.reshape(-1), b, *numbers, y.reshape(-1)))


def bias_act_grad(device, rung, g, y, dx, db, act, slope=0.0) -> Iterator[CudaLaunch]:
    """Launch blocks that sum dx over one chunk of rows, as many as the tile has; a second kernel adds up the chunks.

    Without rows there are no chunks, and the second kernel writes db = 0.
    """
    backward, add_chunks = rung.kernels
    columns = db.size
    g, y, dx = (a.reshape(math.prod(a.shape[:-1]), columns) for a in (g, y, dx))
    chunks, strips = ceil_div(g.shape[0], rung.tile[0]), ceil_div(columns, rung.tile[1])
    partial = db.reshape(1, columns) if chunks == 1 else device.workspace("bias_act_grad", (chunks, columns), db.dtype)
    numbers = np.int64(ACTIVATIONS.index(act)), g.dtype.type(slope)
    yield CudaLaunch(backward, chunks * strips, rung.threads, (g, y, *numbers, dx, partial))
    if chunks != 1:
        yield CudaLaunch(add_chunks, strips, rung.threads, (partial, db))


def adam(device, rung, g, rate, theta, m, v, t, *, sign, beta1, beta2, eps) -> Iterator[CudaLaunch]:
    """Launch one thread that counts the step and computes what all parameters share, then a thread for each parameter."""
    correct, update = rung.kernels
    corrections = device.workspace("adam", (2,), g.dtype)
    wide = [np.float64(number) for number in (sign, beta1, beta2)]
    yield CudaLaunch(correct, 1, (1,), (rate.reshape(1), t.reshape(1), *wide, corrections))
    numbers = [g.dtype.type(number) for number in (beta1, 1 - beta1, beta2, 1 - beta2, eps)]
    flat = [a.reshape(-1) for a in (theta, m, v)]
    yield CudaLaunch(update, rung.blocks(g.shape), rung.threads, (g.reshape(-1), corrections, *numbers, *flat))

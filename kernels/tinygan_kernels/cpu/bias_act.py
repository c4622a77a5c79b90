"""Bias and activation over the last axis, fused, and their gradient from the output alone: the CPU backend's loops.

Arrays are matrices (rows, C), biases (C,). The bias's gradient leaves as sums of blocks of rows, which `reductions.add_up` adds up.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.cpu import row_formulas
from tinygan_kernels.cpu.runtime.jit import njit_inner
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, share, span

from .reductions import BLOCK
from .row_formulas import address_of

SHORT = 16  # columns below which the rows of a matrix are too short for vector instructions along each of them


@ParallelLoop
def bias_leaky_relu(x, b, slope, y, part, parts):
    """y = x + b where that is positive, else slope (x + b); slope 1 is a bias alone. x, y (rows, C), b (C,)."""
    start, stop = share(x.shape[0], parts, part)
    at_once = _rows_at_once(b.size)
    biases = np.empty((at_once, b.size), b.dtype)
    for r in range(at_once):
        biases[r] = b
    for r in range(start, stop, at_once):
        count = min(at_once, stop - r) * b.size
        row_formulas.bias_leaky_relu(x, (address_of(x[r]), address_of(biases), address_of(y[r])), count, (slope,))


@ParallelLoop
def bias_act_grad(g, y, curve, slope, dx, sums, part, parts):
    """dx = g act'(y), and sums (blocks, C) = dx summed over BLOCK rows each. curve: the activation's number in row_formulas.CURVES.

    Parts are runs of blocks, or of columns where there are more parts than blocks.
    """
    blocks, columns = sums.shape
    by_columns = blocks < parts and columns >= SHORT
    first, last = (0, blocks) if by_columns else share(blocks, parts, part)
    left, right = span(columns, parts, part) if by_columns else (0, columns)
    at_once = _rows_at_once(columns)
    totals = np.empty((at_once, right - left), dx.dtype)
    for block in range(first, last):
        totals[:] = 0
        end = min((block + 1) * BLOCK, g.shape[0])
        for r in range(block * BLOCK, end, at_once):
            at = (address_of(g[r, left:]), address_of(y[r, left:]), address_of(dx[r, left:]), address_of(totals))
            row_formulas.act_grad_sum(g, curve, at, min(at_once, end - r) * totals.shape[1], slope)
        for j in range(totals.shape[1]):
            total = totals[0, j]
            for r in range(1, at_once):
                total += totals[r, j]
            sums[block, left + j] = total


@njit_inner
def _rows_at_once(columns):
    """Return how many rows are passed as if they were one: several where rows are too short for vector instructions."""
    return np.int64(1) if columns >= SHORT else BLOCK // max(columns, 1) + 1

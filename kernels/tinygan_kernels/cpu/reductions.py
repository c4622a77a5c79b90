"""The reductions of the CPU backend: sums of an array, sums down the columns and along the rows of a matrix, and maxima of rows.

A sum over the rows of a matrix, or over a whole array, takes two loops: the first sums blocks of fixed length, which threads share,
and the second adds up the blocks' sums in order. So the number of threads changes no bit, and rounding errors stay small.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.cpu.runtime.jit import njit_inner
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, share, span

BLOCK = 64  # rows that are summed before their sum is added to others: keeps rounding errors small, and the order fixed


@njit_inner
def add_blocks(sums, start, stop, y):
    """y (C,) = sums (blocks, C) summed over the blocks, in order, in the columns start..stop.

    The columns are cut out of each row: of a matrix of some columns the compiler would not know that its rows are in one piece.
    """
    total = y[start:stop]
    total[:] = 0
    for block in range(sums.shape[0]):
        a = sums[block, start:stop]
        for j in range(total.size):
            total[j] += a[j]


@ParallelLoop
def row_sums(x, sums, part, parts):
    """sums (blocks, C) = x (rows, C) summed over BLOCK rows each."""
    first, last = share(sums.shape[0], parts, part)
    for block in range(first, last):
        total = sums[block]
        total[:] = 0
        for r in range(block * BLOCK, min((block + 1) * BLOCK, x.shape[0])):
            a = x[r]
            for j in range(total.size):
                total[j] += a[j]


@ParallelLoop
def add_up(sums, y, part, parts):
    """y (C,) = sums (blocks, C) summed over the blocks, in order."""
    start, stop = span(y.size, parts, part)
    add_blocks(sums, start, stop, y)


@ParallelLoop
def block_sums(x, sums, part, parts):
    """sums (blocks,) = x (n,) summed over BLOCK runs of 16 numbers each.

    The runs are added lane by lane, which the compiler turns into vector instructions, and the 16 lanes last.
    """
    first, last = share(sums.size, parts, part)
    lanes = np.empty(16, x.dtype)
    for block in range(first, last):
        lanes[:] = 0
        a = x[block * 16 * BLOCK : min((block + 1) * 16 * BLOCK, x.size)]
        for start in range(0, a.size - 15, 16):
            run = a[start : start + 16]
            for j in range(16):
                lanes[j] += run[j]
        total = x.dtype.type(0)
        for j in range(16):
            total += lanes[j]
        for i in range(a.size // 16 * 16, a.size):
            total += a[i]
        sums[block] = total


@ParallelLoop
def total_of(sums, y, part, parts):
    """y (0-d) = the sum of sums, in order."""
    total = sums.dtype.type(0)
    for i in range(sums.size):
        total += sums[i]
    y[()] = total


@ParallelLoop
def sums_of_rows(x, y, part, parts):
    """y (rows,) = x (rows, C) summed over each row."""
    start, stop = span(y.size, parts, part)
    for r in range(start, stop):
        total = y.dtype.type(0)
        for j in range(x.shape[1]):
            total += x[r, j]
        y[r] = total


@ParallelLoop
def largest_of_rows(x, y, part, parts):
    """y (rows,) = the largest number of each row of x (rows, C), C at least 1; NaN where a row has one."""
    start, stop = span(y.size, parts, part)
    for r in range(start, stop):
        largest = x[r, 0]
        for j in range(1, x.shape[1]):
            if x[r, j] > largest or x[r, j] != x[r, j]:
                largest = x[r, j]
        y[r] = largest

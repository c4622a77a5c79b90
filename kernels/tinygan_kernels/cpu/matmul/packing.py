"""Packing: copies that put what a matrix product reads into the order in which it reads it, and tiles of C that are worked on in
scratch memory.

The loops in `jobs` and `zero_skipping` are made of these. job: one record of `jobs.JOB`. Addresses and steps are in bytes.
"""

from __future__ import annotations

from tinygan_kernels.cpu.runtime.jit import njit_inner
from tinygan_kernels.cpu.runtime.simd import lanes

from .microkernel import copy_numbers, copy_register, transpose_block

LANES_32, LANES_64 = lanes(4), lanes(8)


@njit_inner
def pack_transposed_b(like, job, column, width, start, depth, panel):
    """Copy rows start..start+depth and columns column..column+width of a B that lies transposed into the panel (depth, width) at
    address `panel`.
    """
    item = like.itemsize
    side = LANES_32 if item == 4 else LANES_64
    corner = job.b + column * job.b_step + start * item
    if depth < side:
        for k in range(depth):
            for i in range(width):
                copy_numbers(like, corner + i * job.b_step + k * item, panel + (k * width + i) * item, (0,))
        return
    for i in range(0, width, side):
        for first in range(0, depth, side):  # squares transposed in registers; the last overlaps the one before
            k = min(first, depth - side)
            transpose_block(like, corner + i * job.b_step + k * item, job.b_step, panel + (k * width + i) * item, width * item)


@njit_inner
def pack_a_into_strips(height, like, job, block, strips):
    """Copy a block of an A that lies transposed into strips (depth, height) from address `strips` on, one for each tile."""
    item = like.itemsize
    for first in range(block.top, block.bottom, len(height)):
        i, strip = min(first, job.bottom - len(height)), strips + (first - block.top) * block.depth * item
        for k in range(block.depth):
            copy_numbers(like, job.a + i * item + (block.start + k) * job.a_step, strip + k * len(height) * item, height)


@njit_inner
def load_tile(height, across, like, c, c_step, scratch):
    """Copy a tile of C at address `c` to scratch memory, its rows one after the other."""
    side = LANES_32 if like.itemsize == 4 else LANES_64
    for r in range(len(height)):
        for q in range(len(across)):
            number = q * side * like.itemsize
            copy_register(like, c + r * c_step + number, scratch + r * len(across) * side * like.itemsize + number)


@njit_inner
def store_rest_of_tile(height, width, like, c, c_step, scratch, first_row, first_column):
    """Copy a tile from scratch memory back to C, from `first_row` and `first_column` on: what no tile before has computed."""
    for r in range(first_row, len(height)):
        for q in range(first_column, width):
            copy_numbers(like, scratch + (r * width + q) * like.itemsize, c + r * c_step + q * like.itemsize, (0,))

"""Copies that put what a matrix product reads into the order in which it reads it, and parts of C that are worked on elsewhere.

Pieces of the loops in `cpu_matmul` and `zeros`. job: what a product is to do, a record as `cpu_matmul.JOB` says. Addresses and
steps are in bytes.
"""

from __future__ import annotations

from tinygan_kernels.cpu.runtime.jit import piece
from tinygan_kernels.cpu.runtime.simd import lanes

from .microkernel import copy_numbers, copy_register, transpose_block

LANES_32, LANES_64 = lanes(4), lanes(8)


@piece
def turn(like, job, j, width, start, depth, panel):
    """Rows start..start+depth and columns j..j+width of a B that lies transposed, into the panel (depth, width) at an address."""
    item = like.itemsize
    side = LANES_32 if item == 4 else LANES_64
    corner = job.b + j * job.b_step + start * item
    if depth < side:
        for k in range(depth):
            for i in range(width):
                copy_numbers(like, corner + i * job.b_step + k * item, panel + (k * width + i) * item, (0,))
        return
    for i in range(0, width, side):
        for first in range(0, depth, side):  # squares turned in registers; the last overlaps the one before
            k = min(first, depth - side)
            transpose_block(like, corner + i * job.b_step + k * item, job.b_step, panel + (k * width + i) * item, width * item)


@piece
def gather(height, like, job, top, bottom, start, depth, block):
    """Rows top..bottom of A, terms start..start+depth, into strips (depth, height) at an address, one strip for each tile."""
    item = like.itemsize
    for first in range(top, bottom, len(height)):
        i, strip = min(first, job.bottom - len(height)), block + (first - top) * depth * item
        for k in range(depth):
            copy_numbers(like, job.a + i * item + (start + k) * job.a_step, strip + k * len(height) * item, height)


@piece
def fetch(height, across, like, c, c_step, scratch):
    """A tile of C into scratch memory, its rows one after the other."""
    side = LANES_32 if like.itemsize == 4 else LANES_64
    for r in range(len(height)):
        for q in range(len(across)):
            number = q * side * like.itemsize
            copy_register(like, c + r * c_step + number, scratch + r * len(across) * side * like.itemsize + number)


@piece
def bring_back(height, width, like, c, c_step, scratch, first_row, first_column):
    """The rows and columns of a tile in scratch memory that are new, to where they belong."""
    for r in range(first_row, len(height)):
        for q in range(first_column, width):
            copy_numbers(like, scratch + (r * width + q) * like.itemsize, c + r * c_step + q * like.itemsize, (0,))

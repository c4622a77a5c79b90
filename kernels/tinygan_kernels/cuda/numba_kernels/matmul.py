"""matmul in Numba CUDA, C = A B, as a ladder: each version differs from the one before by one idea.

A (M, K), B (K, N), C (M, N), all of one dtype. Versions 1 to 3 take views: a transposed operand has its strides swapped, and the
same code reads it. Blocks are numbered in one dimension, along C's rows first, because the other two grid dimensions end at
65,535 blocks. Tiles and block sizes stand in the rows of numba_backend.py too, from which launches are made.
"""

from __future__ import annotations

import numpy as np
from numba import cuda

TILE = 16  # side of version 3's tile
SIDE, DEPTH, LANES = 64, 8, 8  # version 4: the side of a block's tile of C, its depth along K, the threads along each side
PER_THREAD = SIDE // LANES  # each thread owns PER_THREAD x PER_THREAD elements of C
PADDED = SIDE + 4  # the pitch of a shared tile: neighbours along K lie 4 banks apart, so 8 of them by 4 rows fill 32 banks

device_function = cuda.jit(device=True)


# ---- version 1 ----------------------------------------------------------------------------------------------------------------


@cuda.jit
def naive_kernel(a, b, c):
    """Version 1, naive: one thread for each element of C, numbered down the columns.

    What still hurts: the 32 lanes of a warp hold 32 rows of one column, so each load of A and each store to C touches 32
    far-apart places: 32 sectors of 32 bytes to use 4 bytes of each. Every operand is fetched anew for every element of C.
    """
    rows, columns = c.shape
    cell = cuda.grid(1)
    if cell >= rows * columns:
        return
    row, column = cell % rows, cell // rows
    total = c.dtype.type(0)
    for k in range(a.shape[1]):
        total += a[row, k] * b[k, column]
    c[row, column] = total


# ---- version 2 ----------------------------------------------------------------------------------------------------------------


@cuda.jit
def coalesced_kernel(a, b, c):
    """Version 2, coalesced: the same work, the elements numbered along the rows of C.

    What changed: row and column of a thread, and nothing else.
    Why: 32 lanes now hold 32 neighbours of one row. A load of B and a store to C are 128 bytes in one piece, 4 sectors instead
    of 32, and a load of A is one address for all lanes, 1 sector.
    What still hurts: two loads from global memory for one multiply-add. A transposed B is read against its grain.
    """
    rows, columns = c.shape
    cell = cuda.grid(1)
    if cell >= rows * columns:
        return
    row, column = cell // columns, cell % columns
    total = c.dtype.type(0)
    for k in range(a.shape[1]):
        total += a[row, k] * b[k, column]
    c[row, column] = total


# ---- version 3 ----------------------------------------------------------------------------------------------------------------


@cuda.jit
def shared_tile_kernel(a, b, c):
    """Version 3, shared tile: a block of 16 x 16 threads walks along K and brings tiles of A and B into shared memory.

    What changed: each thread loads one element of either tile, and all 256 threads read them from there.
    Why: an element that came from global memory once is used 16 times, so there is 1/16 of the traffic.
    What still hurts: two loads from shared memory for one multiply-add; that memory now is the limit. Transposed operands are
    still read against their grain, 16 sectors to a request.
    """
    a_tile = cuda.shared.array((TILE, TILE), c.dtype)
    b_tile = cuda.shared.array((TILE, TILE), c.dtype)
    zero = c.dtype.type(0)
    (rows, columns), depth = c.shape, a.shape[1]
    i, j = cuda.threadIdx.x // TILE, cuda.threadIdx.x % TILE
    across = (columns + TILE - 1) // TILE
    row, column = cuda.blockIdx.x // across * TILE + i, cuda.blockIdx.x % across * TILE + j
    total = zero
    for start in range(0, depth, TILE):
        a_tile[i, j] = a[row, start + j] if row < rows and start + j < depth else zero
        b_tile[i, j] = b[start + i, column] if start + i < depth and column < columns else zero
        cuda.syncthreads()
        for k in range(TILE):
            total += a_tile[i, k] * b_tile[k, j]
        cuda.syncthreads()
    if row < rows and column < columns:
        c[row, column] = total


# ---- version 4 ----------------------------------------------------------------------------------------------------------------


@device_function
def load_tile(tile, operand, stride, k_stride, start, first_k, length, depth):
    """Fill tile[k, i] with element (start + i, first_k + k) of a (length, depth) matrix, with 0 outside it.

    operand: the matrix's memory, flat; stride and k_stride: from one element to the next along either axis. One of them is 1, and
    neighbouring lanes follow it, so every request of a full tile is 4 sectors, transposed or not. A place that steps from turn to
    turn spares a 64-bit multiplication for each element; as an unsigned index it is not checked for being negative.
    """
    thread = cuda.threadIdx.x
    if k_stride == 1:  # 8 neighbours along k of 8 rows at a time
        i, k, i_step, k_step = thread // DEPTH, thread % DEPTH, SIDE // DEPTH, 0
    else:  # all 64 rows of one k at a time
        i, k, i_step, k_step = thread, 0, 0, 1
    place = (start + i) * stride + (first_k + k) * k_stride
    place_step = i_step * stride + k_step * k_stride
    for _ in range(DEPTH):
        inside = start + i < length and first_k + k < depth
        tile[k, i] = operand[np.uint64(place)] if inside else tile.dtype.type(0)
        i, k, place = i + i_step, k + k_step, place + place_step


@device_function
def multiply_add(a_tile, b_tile, k, i, j, a_part, b_part, sums):
    """Add one k: sums[u, v] += A[i + 8 u, k] B[k, j + 8 v], by 16 shared loads and 64 multiply-adds."""
    for u in range(PER_THREAD):
        a_part[u], b_part[u] = a_tile[k, i + u * LANES], b_tile[k, j + u * LANES]
    for u in range(PER_THREAD):
        for v in range(PER_THREAD):
            sums[u, v] += a_part[u] * b_part[v]


@device_function
def multiply_tiles(a_tile, b_tile, i, j, a_part, b_part, sums):
    """Add all k of the two tiles to sums. Written out for DEPTH = 8, as the compiler will not unroll a loop this large, and Numba
    has no pragma to insist."""
    multiply_add(a_tile, b_tile, 0, i, j, a_part, b_part, sums)
    multiply_add(a_tile, b_tile, 1, i, j, a_part, b_part, sums)
    multiply_add(a_tile, b_tile, 2, i, j, a_part, b_part, sums)
    multiply_add(a_tile, b_tile, 3, i, j, a_part, b_part, sums)
    multiply_add(a_tile, b_tile, 4, i, j, a_part, b_part, sums)
    multiply_add(a_tile, b_tile, 5, i, j, a_part, b_part, sums)
    multiply_add(a_tile, b_tile, 6, i, j, a_part, b_part, sums)
    multiply_add(a_tile, b_tile, 7, i, j, a_part, b_part, sums)


@cuda.jit
def register_tile_kernel(a, a_stride, a_k_stride, b, b_stride, b_k_stride, c, depth):
    """Version 4, 2-D register tile: a thread owns 8 x 8 elements of C; 64 threads make a 64 x 64 tile.

    What changed: for each k a thread fetches 8 numbers of A and 8 of B from shared memory into registers and multiplies each
    with each. Its elements lie 8 apart, so that 8 neighbouring lanes read 8 neighbouring banks and store 8 neighbours of C.
    Both tiles are loaded along whichever side is contiguous, and padded so that this costs no bank conflict.
    Why: 64 multiply-adds for 16 shared loads, where version 3 had 1 for 2; and 1/64 of the naive global traffic.
    What still hurts: one buffer only, so a block waits at the barrier for its loads; shared loads take 4 bytes, not 16; Numba's
    indices are 64 bits wide; some 250 registers per thread leave a multiprocessor room for 8 warps. Small products give few blocks.
    """
    a_tile = cuda.shared.array((DEPTH, PADDED), c.dtype)
    b_tile = cuda.shared.array((DEPTH, PADDED), c.dtype)
    sums = cuda.local.array((PER_THREAD, PER_THREAD), c.dtype)
    a_part, b_part = cuda.local.array(PER_THREAD, c.dtype), cuda.local.array(PER_THREAD, c.dtype)
    rows, columns = c.shape
    i, j = cuda.threadIdx.x // LANES, cuda.threadIdx.x % LANES
    across = (columns + SIDE - 1) // SIDE
    top, left = cuda.blockIdx.x // across * SIDE, cuda.blockIdx.x % across * SIDE
    for u in range(PER_THREAD):
        for v in range(PER_THREAD):
            sums[u, v] = 0
    for start in range(0, depth, DEPTH):
        load_tile(a_tile, a, a_stride, a_k_stride, top, start, rows, depth)
        load_tile(b_tile, b, b_stride, b_k_stride, left, start, columns, depth)
        cuda.syncthreads()
        multiply_tiles(a_tile, b_tile, i, j, a_part, b_part, sums)
        cuda.syncthreads()
    for u in range(PER_THREAD):
        for v in range(PER_THREAD):
            row, column = top + i + u * LANES, left + j + v * LANES
            if row < rows and column < columns:
                c[row, column] = sums[u, v]

"""Products that leave out A's zeros: of what comes out of a ReLU half is 0, often more, and 0 times a row of B adds nothing.

    C[i, :] = sum over the k with A[i, k] != 0 of A[i, k] B[k, :]

For each row of A the terms are listed that it needs, and a tile of one row goes through the list instead of all k (`lists`). It has
to load a register of B for every multiply-add, so it is slower (SLOWER) than a tile of many rows, which would seldom find a term
that none of its rows needs. The sum runs in the same order with lists and without, and adding 0 changes no
number: the result is that of the whole product bit for bit, but for the sign of a 0. As 0 times an infinity or a NaN is a NaN,
every term counts where B has one.

Whether it pays is seen from a sample of A's numbers, each time the product runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinygan_kernels.cpu.memory import LINE
from tinygan_kernels.cpu.row_formulas import address_of
from tinygan_kernels.cpu.runtime.jit import piece
from tinygan_kernels.cpu.runtime.simd import register_bytes
from tinygan_kernels.cpu.runtime.stages import Loop, Stage
from tinygan_kernels.cpu.runtime.team import MOST_THREADS

from .microkernel import copy_register
from .nonzero_lists import COUNT, all_finite, is_not_zero, list_terms, listed_tile, word_at
from .packing import LANES_32, LANES_64, turn

# Registers of the width of a panel of B; others have one less, so that few columns are left over. In so many sums multiply-adds
# need not wait for each other.
WIDE = 1 + max(256 // register_bytes(), 4)
PANEL_BYTES = 32 << 10  # of a panel of B, which has to stay in the level-1 cache, as terms are picked from it
ROWS = 128  # of A that have their terms listed at a time
TOGETHER = 4  # rows listed at once, so that a line of an A that lies transposed is not fetched anew for each
FIRST_LOOK, LOOKS = 16, 96  # numbers of A in the sample: if none of the first are 0, that is that
LEAST_WORK, LEAST = 1 << 23, 16  # multiplications, and rows and terms, from which on a look at A is worth its time
SLOWER, LOST = 1.28, 0.1  # the time of a tile that goes by a list of all terms, and by an empty one: of one that does not
# The time to list a term, in multiply-adds of registers: of rows that lie in one piece, of others.
LISTING = (0.6, 2.3) if register_bytes() == 64 else (5.0, 5.0)


def terms_at_a_time(depth: int) -> int:
    """How many of `depth` terms, about the same number each time, a panel of B has room for."""
    most = PANEL_BYTES // ((WIDE - 1) * register_bytes())
    return -(-depth // -(-depth // most))


def memory_bytes(terms: int, item: int) -> int:
    """What is needed for a panel of B and lists of so many terms."""
    return terms * WIDE * register_bytes() + ROWS * (COUNT + 2 * (terms + register_bytes() // item) * item)


@piece
def pays(like, job):
    """Whether so many terms can be left out that lists are worth their time, as far as a sample of A tells."""
    needed = 0
    for look in range(LOOKS):
        i, k = job.top + look * 40503 % (job.bottom - job.top), look * 30011 % job.depth
        needed += is_not_zero(like, job.a + word_at(job.rows + 8 * i) + k * job.a_step)
        if look == FIRST_LOOK - 1 and needed == FIRST_LOOK:
            return False
    across = (job.right - job.left) // (LANES_32 if like.itemsize == 4 else LANES_64)
    listing = LISTING[0] if job.a_step == like.itemsize else LISTING[1]
    return across >= WIDE - 1 and across * (LOST + (SLOWER - LOST) * needed / LOOKS) + listing < across


@piece
def _list_all(together, like, job, rows, terms, every, lists, room):
    """The terms of the rows top..bottom; every one of them where `every` is 1."""
    (start, depth), (top, bottom) = terms, rows
    a = (job.a + start * job.a_step, job.a_step)
    for i in range(top, bottom, len(together)):
        some = (lists[0] + (i - top) * lists[1], lists[1])
        list_terms(together, like, a, (job.rows, i, bottom - 1), depth, every, some, room)


@piece
def _pack(columns, like, job, j, terms, panel):
    """As many columns of B from the j-th on as a tile is wide, in one piece. Whether all of its numbers are finite."""
    (start, depth), item = terms, like.itemsize
    side = LANES_32 if item == 4 else LANES_64
    width = len(columns) * side
    if job.turned:
        turn(like, job, j, width, start, depth, panel)
    else:
        for k in range(depth):
            row = job.b + (start + k) * job.b_step + j * item
            for q in range(len(columns)):
                copy_register(like, row + q * side * item, panel + (k * width + q * side) * item)
    return all_finite(like, panel, depth * len(columns))


@piece
def _down(columns, together, like, job, j, rows, terms, panel, lists, room):
    """All tiles of the rows top..bottom and of as many columns from the j-th on as a tile is wide."""
    (start, depth), (top, bottom), item = terms, rows, like.itemsize
    bias = job.bias + j * item if job.bias and start + depth == job.depth else np.int64(0)
    finish, slope = (np.int64(job.add != 0 or start > 0), bias), like.dtype.type(job.slope)
    finite = _pack(columns, like, job, j, terms, panel)
    if not finite:
        _list_all(together, like, job, rows, terms, np.int64(1), lists, room)
    for i in range(top, bottom):
        listed = (lists[0] + (i - top) * lists[1], room)
        listed_tile(columns, like, listed, panel, job.c + i * job.c_step + j * item, finish, slope)
    if not finite:
        _list_all(together, like, job, rows, terms, np.int64(0), lists, room)


@Loop
def leave_out_zeros(wide, narrow, together, like, jobs, most, memory, part, parts, thread):
    """A job's C up to its column `done`, which is set: its left edge if lists do not pay, otherwise the right one, or a few
    registers before, if tiles of these widths cannot fill up what there is.

    wide, narrow: of WIDE and of WIDE - 1 numbers, together: of TOGETHER. most: terms to take at a time. memory (threads, bytes).
    """
    job, item = jobs[part], like.itemsize
    job.done = job.left
    if not pays(like, job):
        return
    side = LANES_32 if item == 4 else LANES_64
    room, panel = most + side, address_of(memory[thread])
    across = (job.right - job.left) // side
    wides = min(across % len(narrow), across // len(wide))  # so that narrow panels do the rest, unless there are very few columns
    narrows = (across - wides * len(wide)) // len(narrow)
    lists = (panel + most * len(wide) * side * item, np.int64(COUNT + 2 * room * item))
    for top in range(job.top, job.bottom, ROWS):
        rows = (top, min(top + ROWS, job.bottom))
        for start in range(0, job.depth, most):
            terms, j = (start, min(most, job.depth - start)), job.left
            _list_all(together, like, job, rows, terms, np.int64(0), lists, room)
            for _ in range(wides):
                _down(wide, together, like, job, j, rows, terms, panel, lists, room)
                j += len(wide) * side
            for _ in range(narrows):
                _down(narrow, together, like, job, j, rows, terms, panel, lists, room)
                j += len(narrow) * side
            job.done = j


def may_pay(m: int, n: int, depth: int) -> bool:
    """Whether lists may be worth their time for a C (m, n), a sum of so many terms. Where registers are narrow it is not known."""
    return m * n * depth > LEAST_WORK and min(m, depth) >= LEAST and register_bytes() >= 32


def stage(jobs: np.ndarray, depth: int, like: np.ndarray, take: Callable[..., np.ndarray], alive: tuple) -> Stage:
    """What comes before the jobs, and may do them. jobs, take: as in `cpu_matmul`. alive: what the jobs hold the addresses of."""
    most = terms_at_a_time(depth)
    size = -(-memory_bytes(most, like.itemsize) // LINE) * LINE
    memory = take("lists", (MOST_THREADS, size), np.dtype(np.uint8))
    tuples = [(0,) * length for length in (WIDE, WIDE - 1, TOGETHER)]
    made = leave_out_zeros.stage(len(jobs), *tuples, like, jobs, most, memory)
    return replace(made, alive=(*made.alive, *alive))

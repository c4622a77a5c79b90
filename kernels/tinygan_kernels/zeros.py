"""Products that leave out A's zeros: of what comes out of a ReLU half is 0, often more, and 0 times a row of B adds nothing.

    C[i, :] = sum over the k with A[i, k] != 0 of A[i, k] B[k, :]

For each pair of rows of A the terms are listed that at least one of them needs, and a tile of two rows goes through the list
instead of all k (`lists`). Two rows read B half as often for what they multiply as one would, so that loading keeps up with
multiplying; four would seldom find a term that none of them needs. Where half of A's numbers are 0, in any order, a pair needs
three terms out of four; where 7 of 10 are, half. The sum runs in the same order with lists and without, and adding 0 changes no
number: the result is that of the whole product bit for bit, but for the sign of a 0. As 0 times an infinity or a NaN is a NaN,
every term counts where B has one.

Whether it pays is seen from a sample of A's numbers, each time the product runs.
"""

from __future__ import annotations

import numpy as np

from .compiled import piece
from .lists import COUNT, all_finite, either_counts, list_terms, listed_tile
from .packing import LANES_32, LANES_64, turn
from .simd import register_bytes
from .tiles import copy_register, tile

REGISTERS = 4  # of a panel of B's width, and 1 for the columns that these leave over: fewer load too much, more reach into level 2
PANEL_BYTES = 32 << 10  # of a panel of B, which has to stay in the level-1 cache, as terms are picked from it
ROWS = 128  # of A that have their terms listed at a time
TOGETHER = 4  # pairs of rows listed at once, so that a line of an A that lies transposed is seldom fetched twice
FIRST_LOOK, LOOKS = 16, 96  # pairs of numbers of A in the sample: if none of the first are 0, that is that
LEAST_ROWS, LEAST_TERMS = 16, 32  # below which a list is not worth the time to make it
# The time to list a term, in multiply-adds of registers: of rows that lie in one piece, of others.
LISTING = (1.0, 4.5) if register_bytes() == 64 else (8.0, 8.0)
LOST = 0.1  # of the time of a tile with all terms, when it goes by a list


def fits(rows: int, across: int, terms: int) -> bool:
    """Whether lists may pay for a C of so many rows, `across` registers wide. Where registers are narrow it is not known."""
    return rows >= LEAST_ROWS and across >= REGISTERS and terms >= LEAST_TERMS and register_bytes() >= 32


def terms_at_a_time(depth: int) -> int:
    """How many of `depth` terms, about the same number each time, a panel of B has room for."""
    most = PANEL_BYTES // (REGISTERS * register_bytes())
    return -(-depth // -(-depth // most)) if depth else 0


def memory_bytes(terms: int, item: int) -> int:
    """How much memory `without_zeros` needs for a panel and lists of so many terms."""
    return terms * REGISTERS * register_bytes() + (ROWS // 2) * (COUNT + 3 * (terms + register_bytes() // item) * item)


@piece
def pays(like, job, rows, terms):
    """Whether so many terms can be left out that lists are worth their time, as far as a sample of A tells."""
    (start, depth), (top, bottom) = terms, rows
    whole = 2 * ((job.right - job.left) // (LANES_32 if like.itemsize == 4 else LANES_64))  # multiply-adds for a term, all counting
    pairs, needed = (bottom - top) // 2, 0
    if pairs == 0:
        return False
    for look in range(LOOKS):
        i, k = top + 2 * (look * 40503 % pairs), start + look * 30011 % depth
        needed += either_counts(like, job.a + k * job.a_step, job.rows, i, i + 1)
        if look == FIRST_LOOK - 1 and needed == FIRST_LOOK:
            return False
    listing = LISTING[0] if job.a_step == like.itemsize else LISTING[1]
    return whole * needed + (whole * LOST + listing) * LOOKS < whole * LOOKS


@piece
def _list_all(pairs, like, job, rows, terms, lists, room):
    """The terms of all pairs of rows top..bottom."""
    (start, depth), (top, bottom) = terms, rows
    a = (job.a + start * job.a_step, job.a_step)
    for pair in range(0, (bottom - top + 1) // 2, len(pairs)):
        list_terms(pairs, like, a, (job.rows, top + 2 * pair, bottom - 1), depth, (lists[0] + pair * lists[1], lists[1]), room)


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
def _down(columns, like, job, j, rows, terms, panel, lists, room):
    """All tiles of the rows top..bottom and of as many columns from the j-th on as a tile is wide."""
    (start, depth), (top, bottom), item = terms, rows, like.itemsize
    width = len(columns) * (LANES_32 if item == 4 else LANES_64)
    corner, step, last, slope = job.c + j * item, job.c_step, bottom - 1, like.dtype.type(job.slope)
    bias = job.bias + j * item if job.bias and start + depth == job.depth else np.int64(0)
    finish = (np.int64(job.add != 0 or start > 0), bias)
    if _pack(columns, like, job, j, terms, panel):
        for pair in range((bottom - top + 1) // 2):
            i = top + 2 * pair
            c = (corner + i * step, corner + min(i + 1, last) * step)
            listed_tile(columns, like, (lists[0] + pair * lists[1], room), panel, c, finish, slope)
    else:
        b = (panel, np.int64(width * item), np.int64(0))
        for i in range(top, bottom):
            a, sizes = (job.a + start * job.a_step, job.rows + 8 * i, job.a_step, np.int64(0)), (np.int64(1), depth)
            tile((0,), columns, like, a, b, (corner + i * step, step), sizes, finish, slope, np.int64(0))


@piece
def without_zeros(wide, pairs, like, job, rows, terms, memory):
    """The part of a job's C in the rows top..bottom, for some terms (first, how many), but for the last columns that do not fill a
    register. Returns the first of those. wide: of REGISTERS, pairs: of TOGETHER numbers. memory: address of `memory_bytes`.
    """
    (start, depth), (top, bottom), item = terms, rows, like.itemsize
    side = LANES_32 if item == 4 else LANES_64
    most, room, done = job.listed, job.listed + side, job.left + (job.right - job.left) // side * side
    lists = (memory + most * len(wide) * side * item, np.int64(COUNT + 3 * room * item))
    for first_row in range(top, bottom, ROWS):
        some_rows = (first_row, min(first_row + ROWS, bottom))
        for first in range(start, start + depth, most):
            some_terms, j = (first, min(most, start + depth - first)), job.left
            _list_all(pairs, like, job, some_rows, some_terms, lists, room)
            while j + len(wide) * side <= job.right:
                _down(wide, like, job, j, some_rows, some_terms, memory, lists, room)
                j += len(wide) * side
            while j < done:
                _down((0,), like, job, j, some_rows, some_terms, memory, lists, room)
                j += side
    return done

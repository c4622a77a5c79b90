"""Products that leave out A's zeros: half of what comes out of a ReLU is 0, often more, and 0 times a row of B adds nothing.

    C[i, :] = sum over the k with A[i, k] != 0 of A[i, k] B[k, :]

For each row of A the terms with a factor other than 0 are listed, and a tile of one row goes through the list instead of all k
(`nonzero_lists`). Such a tile loads a register of B for every multiply-add, so it is slower (SLOWER) than a tile of many rows,
which could leave out only the terms that none of its rows needs. The sum runs in the same order with lists and without, and adding
0 changes no number: the result is that of the whole product bit for bit, but for the sign of a 0. As 0 times an infinity or a NaN
is a NaN, every term counts where B has one.

Whether lists pay is decided from a sample of A's numbers, each time the product runs. The constants of this decision are measured
by `python -m benchmarks.speed.tune`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

import numpy as np

from tinygan_kernels.cpu.memory import LINE
from tinygan_kernels.cpu.row_formulas import address_of
from tinygan_kernels.cpu.runtime.jit import njit_inner
from tinygan_kernels.cpu.runtime.simd import register_bytes
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, Stage
from tinygan_kernels.cpu.runtime.threads import MOST_THREADS

from .microkernel import Epilogue, copy_register
from .nonzero_lists import COUNT, Lists, RowTable, TermsOfA, all_finite, compute_listed_tile, is_not_zero, list_terms, word_at
from .packing import LANES_32, LANES_64, pack_transposed_b

# The sizes of pieces: `python -m benchmarks.speed.tune` times products under these values and others.
# Registers across a wide panel of B; a narrow one has one less, so that few columns are left over. With so many sums at a time no
# multiply-add waits for the one before.
WIDE = 1 + max(256 // register_bytes(), 4)
# Of a panel of B, at most: it stays in the level-1 cache, as its rows are picked here and there. Half as much is 5 % faster in a
# product alone and 2 % slower in a step of mlp28, where other arrays want room in the cache too.
PANEL_BYTES = 32 << 10
ROWS = 128  # rows of A whose terms are listed at a time
TOGETHER = 4  # rows listed at once, so that a cache line of an A that lies transposed is not fetched anew for each
# The decision: `python -m benchmarks.speed.tune` measures the costs, and what each value costs next to others.
FIRST_LOOK, LOOKS = 16, 96  # numbers of A in the sample; where none of the first 16 is 0, lists are not considered
LEAST_WORK, LEAST = 1 << 20, 16  # multiplications, and rows and terms, from which a sample of A is worth its time
SLOWER, LOST = 1.28, 0.15  # the time of a listed tile, relative to register tiles: with all terms in its list, and with none
# The time to list one term, in multiply-adds of a register: where A's rows lie in one piece, and where A lies transposed.
LISTING = (0.8, 3.0) if register_bytes() == 64 else (5.0, 5.0)


class SkipZeros(Enum):
    """When a product leaves out A's zeros: where a sample of A, taken each time it runs, says that it pays, or always."""

    WHERE_IT_PAYS = 0
    ALWAYS = 1


class TermRows(NamedTuple):
    """The terms start..start+depth of the sums, for the rows top..bottom."""

    start: int
    depth: int
    top: int
    bottom: int


def terms_at_a_time(depth: int) -> int:
    """Return how many of `depth` terms, about the same number each time, a panel of B has room for."""
    most = PANEL_BYTES // ((WIDE - 1) * register_bytes())
    return -(-depth // -(-depth // most))


def memory_bytes(terms: int, item: int) -> int:
    """Return the bytes that a panel of B and the lists of ROWS rows need for so many terms of `item` bytes."""
    return terms * WIDE * register_bytes() + ROWS * (COUNT + 2 * (terms + register_bytes() // item) * item)


@njit_inner
def listed_time(across, needed, lost, slower, listing):
    """Return the time per term and row of a panel `across` registers wide, by lists, in multiply-adds of a register. needed: the
    share of A's numbers that are not 0. lost, slower, listing: as LOST, SLOWER and LISTING.
    """
    return across * (lost + (slower - lost) * needed) + listing


@njit_inner
def lists_pay(like, job):
    """Estimate, from a sample of A, whether so many terms can be left out that lists are worth their time."""
    needed = 0
    for look in range(LOOKS):
        i, k = job.top + look * 40503 % (job.bottom - job.top), look * 30011 % job.depth
        needed += is_not_zero(like, job.a + word_at(job.row_offsets + 8 * i) + k * job.a_step)
        if look == FIRST_LOOK - 1 and needed == FIRST_LOOK:
            return False
    across = (job.right - job.left) // (LANES_32 if like.itemsize == 4 else LANES_64)
    listing = LISTING[0] if job.a_step == like.itemsize else LISTING[1]
    return across >= WIDE - 1 and listed_time(across, needed / LOOKS, LOST, SLOWER, listing) < across


@njit_inner
def _list_all(together, like, job, block, every, lists):
    """List the terms of a block's rows that are not 0; all of its terms where `every` is 1."""
    a = TermsOfA(job.a + block.start * job.a_step, job.a_step)
    for i in range(block.top, block.bottom, len(together)):
        some = Lists(lists.address + (i - block.top) * lists.step, lists.step, lists.room)
        list_terms(together, like, a, RowTable(job.row_offsets, i, block.bottom - 1), block.depth, every, some)


@njit_inner
def _pack(columns, like, job, j, block, panel):
    """Pack as many columns of B from the j-th on as a tile is wide. Returns whether all of their numbers are finite."""
    item = like.itemsize
    side = LANES_32 if item == 4 else LANES_64
    width = len(columns) * side
    if job.b_transposed:
        pack_transposed_b(like, job, j, width, block.start, block.depth, panel)
    else:
        for k in range(block.depth):
            row = job.b + (block.start + k) * job.b_step + j * item
            for q in range(len(columns)):
                copy_register(like, row + q * side * item, panel + (k * width + q * side) * item)
    return all_finite(like, panel, block.depth * len(columns))


@njit_inner
def _compute_columns(columns, together, like, job, j, block, panel, lists):
    """Compute the tiles of a block's rows for as many columns from the j-th on as a tile is wide."""
    item = like.itemsize
    bias = job.bias + j * item if job.bias and block.start + block.depth == job.depth else np.int64(0)
    epilogue, slope = Epilogue(np.int64(job.add != 0 or block.start > 0), bias), like.dtype.type(job.slope)
    finite = _pack(columns, like, job, j, block, panel)
    if not finite:
        _list_all(together, like, job, block, np.int64(1), lists)
    for i in range(block.top, block.bottom):
        head = lists.address + (i - block.top) * lists.step
        compute_listed_tile(columns, like, head, lists.room, panel, job.c + i * job.c_step + j * item, epilogue, slope)
    if not finite:
        _list_all(together, like, job, block, np.int64(0), lists)


@ParallelLoop
def leave_out_zeros(wide, narrow, together, like, jobs, most, rows, always, memory, part, parts, thread):
    """Compute a job's C up to its column `done_to`, which is set: the left edge if lists do not pay, otherwise the right edge, or a
    few registers before it, where tiles of these widths cannot fill up the columns.

    wide, narrow: tuples of WIDE and of WIDE - 1 numbers; together: of TOGETHER. most, rows: terms, and rows of A, to take at a
    time. always: not 0 where lists are used whether they pay or not. memory (threads, bytes).
    """
    job, item = jobs[part], like.itemsize
    job.done_to = job.left
    if not (always or lists_pay(like, job)):
        return
    side = LANES_32 if item == 4 else LANES_64
    room, panel = most + side, address_of(memory[thread])
    across = (job.right - job.left) // side
    wides = min(across % len(narrow), across // len(wide))  # so that narrow panels do the rest, unless there are very few columns
    narrows = (across - wides * len(wide)) // len(narrow)
    lists = Lists(panel + most * len(wide) * side * item, np.int64(COUNT + 2 * room * item), room)
    for top in range(job.top, job.bottom, rows):
        for start in range(0, job.depth, most):
            block, j = TermRows(start, min(most, job.depth - start), top, min(top + rows, job.bottom)), job.left
            _list_all(together, like, job, block, np.int64(0), lists)
            for _ in range(wides):
                _compute_columns(wide, together, like, job, j, block, panel, lists)
                j += len(wide) * side
            for _ in range(narrows):
                _compute_columns(narrow, together, like, job, j, block, panel, lists)
                j += len(narrow) * side
            job.done_to = j


def narrow() -> str:
    """Say which registers lists need, if the processor's are too narrow, where the gain was not measured; "" if they are not."""
    width = register_bytes()
    return "" if width >= 32 else f"registers of 32 bytes or more, and those of the processor that Numba compiles for have {width}"


def lists_fit(n: int, item: int) -> bool:
    """Return whether C has enough columns for a listed tile, and the machine registers as wide as its code wants them."""
    return not narrow() and n * item >= (WIDE - 1) * register_bytes()


def may_pay(m: int, n: int, depth: int) -> bool:
    """Return whether a C (m, n), sums of `depth` terms, is large enough for a sample of A to be worth its time. With narrow
    registers it never is.
    """
    return m * n * depth > LEAST_WORK and min(m, depth) >= LEAST and not narrow()


def stage(
    jobs: np.ndarray, depth: int, like: np.ndarray, take: Callable[..., np.ndarray], alive: tuple, skip: SkipZeros
) -> Stage:
    """Return the stage that comes before the tiles of these jobs and may do them. jobs, take: as in `jobs`. alive: the arrays whose
    addresses the jobs hold.
    """
    most = terms_at_a_time(depth)
    size = -(-memory_bytes(most, like.itemsize) // LINE) * LINE
    memory = take("lists", (MOST_THREADS, size), np.dtype(np.uint8))
    tuples = [(0,) * length for length in (WIDE, WIDE - 1, TOGETHER)]
    made = leave_out_zeros.stage(len(jobs), *tuples, like, jobs, most, ROWS, skip.value, memory)
    return replace(made, alive=(*made.alive, *alive))

"""Matrix products on the CPU by register tiles, in blocks that stay in the caches, shared out among threads.

A product is cut into jobs when its shapes are known: rectangles of C, each with the addresses of what it needs. Each job is a part
of a stage (`runtime.stages`). Within a job the loops are those of Goto and van de Geijn 2008 ("Anatomy of high-performance matrix
multiplication", figure 8): over blocks of k so short that a panel of B, as wide as a tile, stays in the level-2 cache; over blocks
of rows so few that those of A stay there too; over panels; over tiles. A panel whose rows lie far apart is packed by the first tile
that reads it, while that tile multiplies; an A or a B that lies transposed is packed before. The sum over k runs in one order
whatever the blocking, with C carrying it from one block of k to the next, so neither blocks nor threads change a bit.
Where A is full of zeros, a stage before (`zero_skipping`) does a job, or part of it, with the same bits but for the sign of a 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinygan_kernels.cpu.matmul import zero_skipping
from tinygan_kernels.cpu.row_formulas import address_of
from tinygan_kernels.cpu.runtime.jit import njit_inner
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, Pipeline, Stage
from tinygan_kernels.cpu.runtime.threads import MOST_THREADS, thread_count

from .blocking import FAR, LINE_NUMBERS, Blocking, choose_blocking
from .microkernel import Epilogue, RowsOfA, RowsOfB, SumLength, TileOfC, compute_tile
from .packing import LANES_32, LANES_64, load_tile, pack_a_into_strips, pack_transposed_b, store_rest_of_tile

# `python -m benchmarks.speed.tune` measures both.
WORTH_SPLITTING = 30_000  # multiplications below which a second thread of a team costs more than it brings
PER_ELEMENT = 3  # multiply-adds that take as long as a simple loop over one element

_ADDRESSES = ("a", "row_offsets", "b", "c", "bias")
_STEPS = ("a_step", "a_segment", "b_step", "b_segment", "c_step")
_EDGES = ("top", "bottom", "left", "done_to", "narrow_from", "right")
_SIZES = ("segments", "depth", "block", "block_rows", "pack_b", "b_transposed", "pack_a", "add", *_EDGES)
JOB = np.dtype([(name, np.int64) for name in (*_ADDRESSES, *_STEPS, *_SIZES)] + [("slope", np.float64)])
"""One rectangle of C, rows top..bottom and columns left..right. Steps are in bytes.

    C[i, j] (+)= sum over s < segments and k < depth of A(i, s, k) B(s, k, j),   then act(C + bias) if there is a bias
    A(i, s, k) at a + row_offsets[i] + s a_segment + k a_step      B(s, k, j) at b + s b_segment + k b_step + j itemsize

With one segment, k is taken `block` terms at a time, and A `block_rows` rows at a time. pack_b: the first tile that goes over a
panel of B copies it into one piece. b_transposed: B(0, k, j) lies at b + j b_step + k itemsize, and is packed before. pack_a: A
lies transposed, A(i, 0, k) at a + i itemsize + k a_step, and is packed into strips as many rows high as a tile. done_to: the column
up to which `zero_skipping` has computed C already. narrow_from: the column from which the tiles are the narrower ones.
"""


class Block(NamedTuple):
    """The terms start..start+depth of the sums, for the rows top..bottom."""

    start: int
    depth: int
    top: int
    bottom: int


class Room(NamedTuple):
    """Addresses of a thread's scratch memory: for a packed panel of B, for a tile of C, for strips of A; and of the table with the
    offsets of a strip's rows.
    """

    panel: int
    tile: int
    strips: int
    strip_offsets: int


class Panel(NamedTuple):
    """A panel of B at column `column`: where its first tile reads it, the address to which that tile packs it or 0, and where the
    other tiles read it.
    """

    column: int
    first: RowsOfB
    copy: int
    others: RowsOfB


@njit_inner
def _compute_panel(height, across, like, job, block, panel, epilogue, room):
    """Compute all tiles of a block's rows over one panel of B.

    The last tile in either direction overlaps the one before and computes the same numbers again. Where C is added to, such a tile
    is computed in scratch memory, from which only what is new goes back.
    """
    item, high = like.itemsize, len(height)
    width = len(across) * (LANES_32 if item == 4 else LANES_64)
    j = min(panel.column, job.right - width)
    for number in range(-(-(block.bottom - block.top) // high)):
        start_i = block.top + number * high
        i = min(start_i, job.bottom - high)
        if job.pack_a:
            strip = room.strips + number * high * block.depth * item
            a = RowsOfA(strip, room.strip_offsets, np.int64(high * item), np.int64(0))
        else:
            a = RowsOfA(job.a + block.start * job.a_step, job.row_offsets + 8 * i, job.a_step, job.a_segment)
        b, copy = (panel.first, panel.copy) if number == 0 else (panel.others, np.int64(0))
        c, again = job.c + i * job.c_step + j * item, epilogue.add != 0 and (i < start_i or j < panel.column)
        if again:
            load_tile(height, across, like, c, job.c_step, room.tile)
        place = TileOfC(room.tile, np.int64(width * item)) if again else TileOfC(c, job.c_step)
        length = SumLength(job.segments, block.depth)
        compute_tile(height, across, like, a, b, place, length, epilogue, like.dtype.type(job.slope), copy)
        if again:
            store_rest_of_tile(height, width, like, c, job.c_step, room.tile, start_i - i, panel.column - j)


@njit_inner
def _compute_block(height, across, like, job, block, left, right, room):
    """Compute all tiles of a block's rows, panel after panel of the columns left..right."""
    item = like.itemsize
    width = len(across) * (LANES_32 if item == 4 else LANES_64)
    packed = RowsOfB(room.panel, np.int64(width * item), np.int64(0))
    last = block.start + block.depth == job.depth
    add, bias = np.int64(job.add != 0 or block.start > 0), job.bias if last else np.int64(0)
    for column in range(left, right, width):
        j = min(column, job.right - width)
        plain = RowsOfB(job.b + block.start * job.b_step + j * item, job.b_step, job.b_segment)
        if job.b_transposed:
            pack_transposed_b(like, job, j, width, block.start, block.depth, room.panel)
            panel = Panel(column, packed, np.int64(0), packed)
        else:
            panel = Panel(column, plain, room.panel, packed) if job.pack_b else Panel(column, plain, np.int64(0), plain)
        epilogue = Epilogue(add, bias + j * item if bias else np.int64(0))
        _compute_panel(height, across, like, job, block, panel, epilogue, room)


@ParallelLoop
def run_job(height, across, narrow_across, like, strip_offsets, jobs, memory, part, parts, thread):
    """Compute a job from the column `done_to` on: tiles of `len(height)` rows and `len(across)` registers, and of
    `len(narrow_across)` registers from the column `narrow_from` on.

    like: an array of the dtype. strip_offsets: the offsets of a strip's rows, in bytes. memory (threads, bytes): scratch memory for
    a panel, a tile and the strips of a block of A.
    """
    job, item = jobs[part], like.itemsize
    if job.done_to == job.right:
        return
    narrow = job.narrow_from if job.done_to == job.left else job.left  # after zero_skipping little is left
    width = len(across) * (LANES_32 if item == 4 else LANES_64)
    panel = address_of(memory[thread])
    tile = panel + job.block * width * item
    room = Room(panel, tile, tile + len(height) * width * item, address_of(strip_offsets))
    for start in range(0, job.depth, job.block):
        for top in range(job.top, job.bottom, job.block_rows):
            block = Block(start, min(job.block, job.depth - start), top, min(top + job.block_rows, job.bottom))
            if job.pack_a:
                pack_a_into_strips(height, like, job, block, room.strips)
            _compute_block(height, across, like, job, block, job.left, narrow, room)
            _compute_block(height, narrow_across, like, job, block, max(job.done_to, narrow), job.right, room)


# ---- from arrays to jobs --------------------------------------------------------------------------------------------------------

TakeScratch = Callable[[str, tuple[int, ...], np.dtype], np.ndarray]
"""take(use, shape, dtype): scratch memory, which calls may share that never run at the same time (`memory.Scratch.take`)."""


def fresh_scratch(use: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return new scratch memory, which no other call shares (a TakeScratch)."""
    return np.empty(shape, dtype)


def _address(array: np.ndarray) -> int:
    return array.ctypes.data


class ProductPlan(NamedTuple):
    """A product's jobs as far as shapes decide them: addresses are counted from the start of each array.

    row_offsets: where each row of A begins, likewise in bytes from A's start.
    """

    blocking: Blocking
    jobs: np.ndarray
    row_offsets: np.ndarray


def threads_for(c_size: int, k: int) -> int:
    """Return how many threads a product with C of that size and sums of k terms is worth."""
    return thread_count() if c_size * k >= WORTH_SPLITTING else 1


def plan_of(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, add: bool = False,
    most_parts: int | None = None,
) -> ProductPlan | None:
    """Return the plan for `tiled_products` on these stacks; None where the matrices are too thin for tiles. Plans are kept, as a
    step that runs without replay asks for the same few products again and again.
    """
    k = a.shape[1] if trans_a else a.shape[2]
    parts = threads_for(c.size, k) if most_parts is None else min(most_parts, threads_for(c.size, k))
    return _plan(c.shape, k, c.itemsize, (a.strides, b.strides, c.strides), trans_a, trans_b, add, parts)


def tiled_products(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, add: bool = False,
    bias: np.ndarray | None = None, slope: float = 1.0, take: TakeScratch = fresh_scratch,
    skip_zeros: zero_skipping.SkipZeros | None = None, most_parts: int | None = None,
) -> Pipeline | None:
    """Bind C[p] (+)= A[p] B[p] for stacks of matrices, (P, M, K) (P, K, N) (P, M, N), rows in one piece.

    bias (N,): C[p] = v where v = A[p] B[p] + bias is positive, slope v elsewhere. skip_zeros: leave out zeros of A, in a stage
    before the tiles; for a single product. most_parts: parts for threads, where fewer are wanted than there are threads. Returns
    None where the matrices are too thin for tiles.
    """
    plan = plan_of(a, b, c, trans_a, trans_b, add, most_parts)
    if plan is None:
        return None
    jobs = plan.jobs.copy()
    for name, array in (("a", a), ("b", b), ("c", c)):
        jobs[name] += _address(array)
    jobs["slope"], jobs["bias"] = slope, 0 if bias is None else _address(bias)
    alive = a, b, c, bias, plan.row_offsets
    k, dtype = a.shape[1] if trans_a else a.shape[2], c.dtype
    before = [] if skip_zeros is None else [zero_skipping.stage(jobs, k, _LIKE[dtype.itemsize], take, alive, skip_zeros)]
    return Pipeline([*before, stage_of(plan.blocking, jobs, dtype, take, *alive)])


@lru_cache(maxsize=512)
def _plan(
    shape: tuple[int, int, int], k: int, item: int, strides: tuple[tuple[int, ...], ...], trans_a: bool, trans_b: bool, add: bool,
    parts: int,
) -> ProductPlan | None:
    (count, m, n), (of_a, of_b, of_c) = shape, strides
    blocking = choose_blocking(m, n, k, item, parts, of_b[1], trans_b, trans_a and of_a[1] >= FAR) if k else None
    if blocking is None:
        return None
    regions = blocking.regions(m, n)
    a_row, a_step = (item, of_a[1]) if trans_a else (of_a[1], item)
    row_offsets = np.arange(m) * a_row
    jobs = np.zeros((count, len(regions)), JOB)
    for name, step in (("a", of_a[0]), ("b", of_b[0]), ("c", of_c[0])):
        jobs[name] = np.arange(count)[:, None] * step
    jobs["top"], jobs["bottom"], jobs["left"], jobs["right"] = np.array(regions).T
    jobs["row_offsets"], jobs["a_step"], jobs["b_step"], jobs["c_step"] = _address(row_offsets), a_step, of_b[1], of_c[1]
    jobs["segments"], jobs["depth"], jobs["add"] = 1, k, add
    blocking.describe(jobs)
    return ProductPlan(blocking, jobs.reshape(-1), row_offsets)


def forget_plans() -> None:
    """Forget the plans that are kept, for whoever changes the constants they were made from."""
    _plan.cache_clear()


_LIKE = {item: np.empty(1, f"f{item}") for item in (4, 8)}


@lru_cache(maxsize=64)
def _strip_offsets(height: int, item: int) -> np.ndarray:
    """Return the offsets of the rows of a strip of A: its numbers for one k lie side by side."""
    return np.arange(height) * item


def multiplications(jobs: np.ndarray) -> int:
    """Return how many multiplications all jobs together do."""
    return int(((jobs["bottom"] - jobs["top"]) * (jobs["right"] - jobs["left"]) * jobs["segments"] * jobs["depth"]).sum())


def stage_of(blocking: Blocking, jobs: np.ndarray, dtype: np.dtype, take: TakeScratch, *alive: np.ndarray | None) -> Stage:
    """Return the jobs as a stage that keeps the arrays alive whose addresses they hold."""
    strips = blocking.block * (blocking.block_rows + blocking.height) if blocking.pack_a else 0
    numbers = blocking.width * (blocking.block + blocking.height) + -(-strips // LINE_NUMBERS) * LINE_NUMBERS
    memory = take("products", (MOST_THREADS, numbers * dtype.itemsize), np.dtype(np.uint8))
    sizes = [(0,) * length for length in (blocking.height, blocking.across, blocking.narrow_across)]
    given = *sizes, _LIKE[dtype.itemsize], _strip_offsets(blocking.height, dtype.itemsize)
    made = run_job.stage(len(jobs), *given, jobs, memory, size=multiplications(jobs) // PER_ELEMENT)
    return replace(made, alive=(*made.alive, *alive))

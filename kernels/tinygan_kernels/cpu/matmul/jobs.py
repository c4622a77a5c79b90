"""Matrix products on the CPU: C = A B by tiles that stay in registers, in blocks that stay in the caches, shared out among threads.

A product is cut into jobs, rectangles of C with the addresses of what they need, when its shapes are known; each job is a part of a
stage (`program`). Within a job the loops are those of Goto and van de Geijn 2008 ("Anatomy of high-performance matrix
multiplication", figure 8): over blocks of k so short that a panel of B, as wide as a tile, stays in the level-2 cache; over blocks
of rows so few that those of A stay there too; over panels; over tiles. A panel whose rows lie far apart is copied into one piece by
the first tile that reads it, while that multiplies; an A or a B that lies transposed is copied before. The sum over k runs in one
order whatever the cut, C taking it from one block of k to the next, so that neither blocks nor threads change a bit.
Where A is full of zeros, `zeros` does a job before its turn comes, to the same bits but for the sign of a 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numba
import numpy as np

from tinygan_kernels.cpu.matmul import zero_skipping
from tinygan_kernels.cpu.row_formulas import address_of
from tinygan_kernels.cpu.runtime.arguments import RECORDS
from tinygan_kernels.cpu.runtime.jit import piece
from tinygan_kernels.cpu.runtime.stages import Loop, Stage, Work
from tinygan_kernels.cpu.runtime.team import MOST_THREADS

from .blocking import FAR, LINE_NUMBERS, Cut, cut
from .microkernel import tile
from .packing import LANES_32, LANES_64, bring_back, fetch, gather, turn
from .skinny import shallow_product, thin_product

WORTH_SPLITTING = 30_000  # multiplications below which a second thread costs more than it brings
PER_ELEMENT = 16  # multiply-adds that take as long as a simple loop over one element

_ADDRESSES = ("a", "rows", "b", "c", "bias")
_STEPS = ("a_step", "a_segment", "b_step", "b_segment", "c_step")
_EDGES = ("top", "bottom", "left", "done", "narrow", "right")
_SIZES = ("segments", "depth", "block", "block_rows", "packed", "turned", "gathered", "add", *_EDGES)
JOB = np.dtype([(name, np.int64) for name in (*_ADDRESSES, *_STEPS, *_SIZES)] + [("slope", np.float64)])
"""One rectangle of C, rows top..bottom and columns left..right. Steps are in bytes.

    C[i, j] (+)= sum over s < segments and k < depth of A(i, s, k) B(s, k, j),   then act(C + bias) if there is a bias
    A(i, s, k) at a + rows[i] + s a_segment + k a_step      B(s, k, j) at b + s b_segment + k b_step + j itemsize

With one segment, k is taken `block` terms at a time, and `block_rows` rows of A. packed: the first tile that goes over a panel of B
copies it into one piece. turned: B(0, k, j) lies at b + j b_step + k itemsize, and is packed before. gathered: the rows of A lie
side by side, A(i, 0, k) at a + i itemsize + k a_step, and are copied, as many as a tile is high, into one piece. done: the
column up to which C is there already (`zeros`). narrow: that from which the tiles are the narrower ones, so that few columns are
left to overlap.
"""

RECORDS[JOB.str] = JOB


@piece
def _down_a_panel(height, across, like, job, a_of, b_of, finish, terms, rows, start_j, scratch):
    """All tiles of the rows top..bottom that one panel of B goes past.

    a_of: (address of the strips of these rows, of the offsets of a strip's rows) if they are gathered. b_of: (where the first tile
    reads the panel, where it copies it to or 0, where the others read it). terms: (first, how many).

    The last tile in either direction overlaps the one before, computing the same numbers again. Where C is added to, such a tile is
    done in scratch memory, from which only what is new goes back.
    """
    item, high, (start, depth), (top, bottom) = like.itemsize, len(height), terms, rows
    width = len(across) * (LANES_32 if item == 4 else LANES_64)
    j = min(start_j, job.right - width)
    for number in range(-(-(bottom - top) // high)):
        start_i = top + number * high
        i = min(start_i, job.bottom - high)
        if job.gathered:
            a = (a_of[0] + number * high * depth * item, a_of[1], np.int64(high * item), np.int64(0))
        else:
            a = (job.a + start * job.a_step, job.rows + 8 * i, job.a_step, job.a_segment)
        b, copy = (b_of[0], b_of[1]) if number == 0 else (b_of[2], np.int64(0))
        c, again = job.c + i * job.c_step + j * item, finish[0] != 0 and (i < start_i or j < start_j)
        if again:
            fetch(height, across, like, c, job.c_step, scratch)
        place = (scratch, np.int64(width * item)) if again else (c, job.c_step)
        tile(height, across, like, a, b, place, (job.segments, depth), finish, like.dtype.type(job.slope), copy)
        if again:
            bring_back(height, width, like, c, job.c_step, scratch, start_i - i, start_j - j)


@piece
def _along_panels(height, across, like, job, strips, terms, rows, columns, room):
    """All tiles of the rows top..bottom, panel after panel of the columns left..right, for some terms (first, how many).

    strips: (where A's strips lie if they are gathered, the offsets of a strip's rows). room: (for a panel, for a tile).
    """
    item, (start, depth), (left, right), (panel, scratch) = like.itemsize, terms, columns, room
    width = len(across) * (LANES_32 if item == 4 else LANES_64)
    packed = (panel, np.int64(width * item), np.int64(0))
    add, bias = np.int64(job.add != 0 or start > 0), job.bias if start + depth == job.depth else np.int64(0)
    for start_j in range(left, right, width):
        j = min(start_j, job.right - width)
        plain = (job.b + start * job.b_step + j * item, job.b_step, job.b_segment)
        if job.turned:
            turn(like, job, j, width, start, depth, panel)
            b_of = (packed, np.int64(0), packed)
        else:
            b_of = (plain, panel, packed) if job.packed else (plain, np.int64(0), plain)
        finish = (add, bias + j * item if bias else np.int64(0))
        _down_a_panel(height, across, like, job, strips, b_of, finish, terms, rows, start_j, scratch)


@Loop
def run_job(height, across, edge, like, strip_rows, jobs, memory, part, parts, thread):
    """All tiles of a job from the column `done` on, `len(height)` rows high and `len(across)` registers wide, or `len(edge)` from
    the column `narrow` on.

    like: an array of the dtype. strip_rows: the offsets of a strip's rows, in bytes. memory (threads, bytes): room for a panel, a
    tile and a block of A.
    """
    job, item = jobs[part], like.itemsize
    if job.done == job.right:
        return
    narrow = job.narrow if job.done == job.left else job.left  # little is left then
    width = len(across) * (LANES_32 if item == 4 else LANES_64)
    panel = address_of(memory[thread])
    scratch = panel + job.block * width * item
    room, strips = (panel, scratch), (scratch + len(height) * width * item, address_of(strip_rows))
    for start in range(0, job.depth, job.block):
        terms = (start, min(job.block, job.depth - start))
        for top in range(job.top, job.bottom, job.block_rows):
            rows = (top, min(top + job.block_rows, job.bottom))
            if job.gathered:
                gather(height, like, job, *rows, *terms, strips[0])
            _along_panels(height, across, like, job, strips, terms, rows, (job.left, narrow), room)
            _along_panels(height, edge, like, job, strips, terms, rows, (max(job.done, narrow), job.right), room)


Take = Callable[[str, tuple[int, ...], np.dtype], np.ndarray]


def new(use: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Scratch memory of one's own."""
    return np.empty(shape, dtype)


def _at(array: np.ndarray) -> int:
    """The address of an array's first element."""
    return array.ctypes.data


def tiled(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, add: bool = False,
    bias: np.ndarray | None = None, slope: float = 1.0, take: Take = new, sparse: bool = False,
) -> Work | None:
    """C[p] (+)= A[p] B[p] for stacks of matrices, (P, M, K) (P, K, N) (P, M, N), rows in one piece.

    bias (N,): C[p] = v where v = A[p] B[p] + bias is positive, slope v elsewhere. None where the matrices are too thin for tiles.
    take: scratch memory, which calls may share that never run at the same time. sparse: a single A may be full of zeros.
    """
    k, dtype = a.shape[1] if trans_a else a.shape[2], c.dtype
    parts = numba.get_num_threads() if c.size * k >= WORTH_SPLITTING else 1
    plan = _plan(c.shape, k, dtype.itemsize, (a.strides, b.strides, c.strides), trans_a, trans_b, add, parts)
    if plan is None:
        return None
    chosen, template, rows = plan
    jobs = template.copy()
    for name, array in (("a", a), ("b", b), ("c", c)):
        jobs[name] += _at(array)
    jobs["slope"], jobs["bias"] = slope, 0 if bias is None else _at(bias)
    alive = a, b, c, bias, rows
    may_skip = sparse and zero_skipping.may_pay(*c.shape[1:], k)
    before = [zero_skipping.stage(jobs, k, _LIKE[dtype.itemsize], take, alive)] if may_skip else []
    return Work([*before, stage_of(chosen, jobs, dtype, take, *alive)])


@lru_cache(maxsize=512)
def _plan(
    shape: tuple[int, int, int], k: int, item: int, strides: tuple[tuple[int, ...], ...], trans_a: bool, trans_b: bool, add: bool,
    parts: int,
) -> tuple[Cut, np.ndarray, np.ndarray] | None:
    """What shapes alone decide: (the cut, jobs with addresses counted from each array's start, offsets of A's rows).

    Kept, as a step that runs without replay asks for the same few products again and again.
    """
    (count, m, n), (of_a, of_b, of_c) = shape, strides
    chosen = cut(m, n, k, item, parts, of_b[1], trans_b, trans_a and of_a[1] >= FAR) if k else None
    if chosen is None:
        return None
    regions = chosen.regions(m, n)
    a_row, a_step = (item, of_a[1]) if trans_a else (of_a[1], item)
    rows = np.arange(m) * a_row
    jobs = np.zeros((count, len(regions)), JOB)
    for name, step in (("a", of_a[0]), ("b", of_b[0]), ("c", of_c[0])):
        jobs[name] = np.arange(count)[:, None] * step
    jobs["top"], jobs["bottom"], jobs["left"], jobs["right"] = np.array(regions).T
    jobs["rows"], jobs["a_step"], jobs["b_step"], jobs["c_step"] = _at(rows), a_step, of_b[1], of_c[1]
    jobs["segments"], jobs["depth"], jobs["add"] = 1, k, add
    chosen.describe(jobs)
    return chosen, jobs.reshape(-1), rows


_LIKE = {item: np.empty(1, f"f{item}") for item in (4, 8)}


@lru_cache(maxsize=64)
def _strip(height: int, item: int) -> np.ndarray:
    """The offsets of the numbers of a strip, one under the other in a tile."""
    return np.arange(height) * item


def multiplications(jobs: np.ndarray) -> int:
    return int(((jobs["bottom"] - jobs["top"]) * (jobs["right"] - jobs["left"]) * jobs["segments"] * jobs["depth"]).sum())


def stage_of(chosen: Cut, jobs: np.ndarray, dtype: np.dtype, take: Take, *alive: np.ndarray | None) -> Stage:
    """The jobs as a stage that keeps the arrays alive whose addresses they hold."""
    strips = chosen.block * (chosen.block_rows + chosen.height) if chosen.gathered else 0
    numbers = chosen.width * (chosen.block + chosen.height) + -(-strips // LINE_NUMBERS) * LINE_NUMBERS
    memory = take("products", (MOST_THREADS, numbers * dtype.itemsize), np.dtype(np.uint8))
    sizes = [(0,) * length for length in (chosen.height, chosen.across, chosen.edge)]
    given = *sizes, _LIKE[dtype.itemsize], _strip(chosen.height, dtype.itemsize)
    made = run_job.stage(len(jobs), *given, jobs, memory, size=multiplications(jobs) // PER_ELEMENT)
    return replace(made, alive=(*made.alive, *alive))


# ---- the products ---------------------------------------------------------------------------------------------------------------


def bound_product(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, add: bool = False, take: Take = new,
    sparse: bool = True,
) -> Work:
    """C = A B or C += A B, with A or B transposed on request. C-contiguous, (M, K) (K, N) (M, N); any of them may be empty.

    sparse: whether to look for zeros in A, which need not be multiplied.
    """
    made = shallow_product(a, b, c, trans_a, trans_b, add)
    made = made or tiled(a[None], b[None], c[None], trans_a, trans_b, add, take=take, sparse=sparse)
    return made or thin_product(a, b, c, trans_a, trans_b, add)


def bound_linear(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, bias: np.ndarray, slope: float, trans_a: bool = False, trans_b: bool = False,
    take: Take = new,
) -> Work | None:
    """C = v where v = A B + bias is positive, slope v elsewhere; None where that would be no faster than one after the other."""
    made = shallow_product(a, b, c, trans_a, trans_b, False, bias, slope)
    return made or tiled(a[None], b[None], c[None], trans_a, trans_b, False, bias, slope, take, sparse=True)


def bound_products(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, add: bool = False, take: Take = new
) -> Work:
    """C[p] = A[p] B[p], or += that, for a stack of matrices."""
    made = tiled(a, b, c, trans_a, trans_b, add, take=take)
    return made or Work(s for p in range(len(c)) for s in thin_product(a[p], b[p], c[p], trans_a, trans_b, add).stages)

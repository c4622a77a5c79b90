"""Matrix products on the CPU: C = A B by tiles that stay in registers, shared out among Numba's threads; BLAS for what is too thin.

A product is cut into jobs, rectangles of C with the addresses of what they need, when its shapes are known. Running it is then one
compiled call: every thread takes its jobs, every job moves a panel of B into the cache and passes all its rows of A by it. The sum
over k runs in one order whatever the cut, so that the number of threads changes no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise

import numba
import numpy as np

from . import blas
from .compiled import njit, njit_parallel
from .simd import lanes, registers
from .tiles import copy_register, tile, transpose_block

# Height and width (in registers) of the tiles to choose from, and how much slower than the best each runs: all fit their sums,
# their width of B and one number of A into the registers. The flatter read more of B, which may come from far; the highest keep
# more addresses than there are registers for those.
_OF_32 = ((8, 3, 1.0), (6, 4, 1.05), (14, 2, 1.1), (4, 4, 1.15), (24, 1, 2.2))
_OF_16 = ((4, 3, 1.0), (6, 2, 1.03), (4, 2, 1.1), (12, 1, 1.3))
SHAPES = _OF_32 if registers() == 32 else _OF_16
LANES_32, LANES_64 = lanes(4), lanes(8)
WORTH_SPLITTING = 500_000  # multiplications below which a second thread costs more than it brings
PACKING = 9  # multiply-adds that take as long as packing one number of B
PANEL_BYTES = 32 << 10  # of a panel that the level-1 cache holds, packed or not
ALIASING = 512  # bytes between rows, or a multiple, that a level-1 cache keeps few of
PACKED_ROWS = 64  # of A that have to pass a panel by before packing it pays

_ADDRESSES = ("a", "rows", "b", "c", "bias")
_STEPS = ("a_step", "a_segment", "b_step", "b_segment", "c_step")
_SIZES = ("segments", "depth", "packed", "turned", "add", "top", "bottom", "left", "right")
JOB = np.dtype([(name, np.int64) for name in (*_ADDRESSES, *_STEPS, *_SIZES)] + [("slope", np.float64)])
"""One rectangle of C, rows top..bottom and columns left..right. Steps are in bytes.

    C[i, j] (+)= sum over s < segments and k < depth of A(i, s, k) B(s, k, j),   then act(C + bias) if there is a bias
    A(i, s, k) at a + rows[i] + s a_segment + k a_step      B(s, k, j) at b + s b_segment + k b_step + j itemsize

packed: a run of B's columns is moved into the thread's panel before it is used, as a panel wider than the level-1 cache is
read faster in one piece. turned: B(0, k, j) lies at b + j b_step + k itemsize, and is packed.
"""


@njit
def address_of(array):
    """Of an array's first element, signed: with an unsigned one, adding an offset would give a float."""
    return np.int64(array.ctypes.data)


@njit
def _pack(like, job, j, width, panel):
    """Columns j.. of B into the panel (depth, width) at an address."""
    item = like.itemsize
    side = LANES_32 if item == 4 else LANES_64
    if not job.turned:
        for k in range(job.depth):
            for i in range(0, width, side):
                copy_register(like, job.b + k * job.b_step + (j + i) * item, panel + (k * width + i) * item)
        return
    for start in range(0, job.depth, side):  # squares turned in registers; the last overlaps the one before
        k = min(start, job.depth - side)
        for i in range(0, width, side):
            source, target = job.b + (j + i) * job.b_step + k * item, panel + (k * width + i) * item
            transpose_block(like, source, job.b_step, target, width * item)


@njit
def run_job(height, across, like, job, panel):
    """All tiles of a job, each `len(height)` rows high and `len(across)` registers wide. panel: an address, for jobs that pack.

    The last tile in either direction overlaps the one before, computing the same numbers again, so a job that adds to C has to
    consist of whole tiles.
    """
    item = like.itemsize
    width = len(across) * (LANES_32 if item == 4 else LANES_64)
    slope = like.dtype.type(job.slope)
    for start_j in range(job.left, job.right, width):
        j = min(start_j, job.right - width)
        if job.packed:
            _pack(like, job, j, width, panel)
            b = (panel, np.int64(width * item), np.int64(0))
        else:
            b = (job.b + j * item, job.b_step, job.b_segment)
        bias = job.bias + j * item if job.bias else np.int64(0)
        for start_i in range(job.top, job.bottom, len(height)):
            i = min(start_i, job.bottom - len(height))
            tile(height, across, like, (job.a, job.rows + 8 * i, job.a_step, job.a_segment), b,
                 (job.c + i * job.c_step + j * item, job.c_step), (job.segments, job.depth), (job.add, bias), slope)


@njit
def _in_turn(height, across, like, jobs, panels):
    for i in range(len(jobs)):
        run_job(height, across, like, jobs[i], address_of(panels))


@njit_parallel
def _shared(height, across, like, jobs, panels):
    for i in numba.prange(len(jobs)):
        run_job(height, across, like, jobs[i], address_of(panels[numba.get_thread_id()]))


# ---- from shapes to jobs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """How C (m, n) is shared out: tiles of `height` rows and `across` registers, `parts` runs of rows or of columns."""

    height: int
    across: int
    width: int
    by_columns: bool
    parts: int
    packed: bool

    def regions(self, m: int, n: int) -> list[tuple[int, int, int, int]]:
        """(top, bottom, left, right) of each part, no part smaller than a tile; where it would be, it overlaps its neighbour."""
        unit, size = (self.width, n) if self.by_columns else (self.height, m)
        blocks = -(-size // unit)
        edges = [min(size, p * blocks // self.parts * unit) for p in range(self.parts + 1)]
        runs = [(min(start, stop - unit), stop) for start, stop in pairwise(edges) if start < stop]
        return [(0, m, *run) if self.by_columns else (*run, 0, n) for run in runs]


def cut(
    m: int, n: int, depth: int, item: int, parts: int, b_step: int = 0, turned: bool = False, whole: bool = False
) -> Cut | None:
    """The fastest way to share out C (m, n) among `parts` threads, by a count of multiply-adds for each k; None if no tile fits.

    b_step: bytes between the rows of B. turned: it lies transposed. whole: only whole tiles will do. A part packs its own columns
    of B where that pays: rows that are a power of two apart fall into the same few places of a cache.
    """
    found: list[tuple[float, int, Cut]] = []
    for at, (height, across, slower) in enumerate(SHAPES):
        width = across * lanes(item)
        if m < height or n < width or (whole and (m % height or n % width)):
            continue
        wide = depth * width * item > PANEL_BYTES and n > width
        packed = turned or (wide and m > PACKED_ROWS and b_step % ALIASING == 0)
        rows, columns = -(-m // height), -(-n // width)
        for by_columns in (True, False):
            high, broad = (rows, -(-columns // parts)) if by_columns else (-(-rows // parts), columns)
            work = slower * high * height * broad * width + PACKING * broad * width * packed
            found.append((work, at, Cut(height, across, width, by_columns, parts, packed)))
    return min(found, key=lambda f: f[:2])[2] if found else None


Call = Callable[[], None]
Take = Callable[[str, tuple[int, ...], np.dtype], np.ndarray]


def new(use: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Scratch memory of one's own."""
    return np.empty(shape, dtype)


def _at(array: np.ndarray) -> int:
    """The address of an array's first element."""
    return array.__array_interface__["data"][0]


def tiled(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, add: bool = False,
    bias: np.ndarray | None = None, slope: float = 1.0, take: Take = new,
) -> Call | None:
    """C[p] (+)= A[p] B[p] for stacks of matrices, (P, M, K) (P, K, N) (P, M, N), rows in one piece, as a call without arguments.

    bias (N,): C[p] = v where v = A[p] B[p] + bias is positive, slope v elsewhere. None where the matrices are too thin for tiles.
    take: scratch memory, which calls may share that never run at the same time.
    """
    k, dtype, threads = a.shape[1] if trans_a else a.shape[2], c.dtype, numba.get_num_threads()
    parts = threads if c.size * k >= WORTH_SPLITTING else 1
    plan = _plan(c.shape, k, dtype.itemsize, (a.strides, b.strides, c.strides), trans_a, trans_b, add, parts)
    if plan is None:
        return None
    chosen, template, rows = plan
    jobs = template.copy()
    for name, array in (("a", a), ("b", b), ("c", c)):
        jobs[name] += _at(array)
    jobs["slope"], jobs["bias"] = slope, 0 if bias is None else _at(bias)
    panels = take("panels", (threads, k * chosen.width if chosen.packed else 0), dtype)
    return call_of(chosen, jobs, panels, a, b, c, bias, rows)


@lru_cache(maxsize=512)
def _plan(
    shape: tuple[int, int, int], k: int, item: int, strides: tuple[tuple[int, ...], ...], trans_a: bool, trans_b: bool, add: bool,
    parts: int,
) -> tuple[Cut, np.ndarray, np.ndarray] | None:
    """What shapes alone decide: (the cut, jobs with addresses counted from each array's start, offsets of A's rows).

    Kept, as a step that runs without replay asks for the same few products again and again.
    """
    (count, m, n), (of_a, of_b, of_c) = shape, strides
    chosen = cut(m, n, k, item, parts, of_b[1], trans_b, add) if k >= (lanes(item) if trans_b else 1) else None
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
    jobs["segments"], jobs["depth"], jobs["packed"], jobs["turned"], jobs["add"] = 1, k, chosen.packed, trans_b, add
    return chosen, jobs.reshape(-1), rows


def call_of(chosen: Cut, jobs: np.ndarray, panels: np.ndarray, *alive: np.ndarray | None) -> Call:
    """The jobs as a call, which keeps the arrays alive whose addresses they hold. panels: memory for each thread to pack in."""
    tile_sizes, like = ((0,) * chosen.height, (0,) * chosen.across), np.empty(1, panels.dtype)
    call = partial(_shared if len(jobs) > 1 else _in_turn, *tile_sizes, like, jobs, panels)
    call.arrays = alive
    return call


def in_order(*calls: Call) -> Call:
    """All the calls, one after the other, as one."""
    return partial(_each, calls)


def _each(calls: Sequence[Call]) -> None:
    for call in calls:
        call()


# ---- the products ---------------------------------------------------------------------------------------------------------------


def bound_product(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, beta: float = 0.0
) -> Call:
    """`product` on these arrays, as a call without arguments: what the shapes decide is decided now."""
    call = tiled(a[None], b[None], c[None], trans_a, trans_b, bool(beta)) if beta in (0, 1) else None
    return call or blas.bound_product(a, b, c, trans_a, trans_b, beta)


def product(a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, beta: float = 0.0) -> None:
    """C = A B + beta C, with A or B transposed on request. C-contiguous, (M, K) (K, N) (M, N); any of them may be empty."""
    bound_product(a, b, c, trans_a, trans_b, beta)()


def bound_products(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, beta: float = 0.0, take: Take = new
) -> Call:
    """C[p] = A[p] B[p] + beta C[p] for a stack of matrices, none of them empty, as a call without arguments."""
    call = tiled(a, b, c, trans_a, trans_b, bool(beta), take=take) if beta in (0, 1) else None
    return call or partial(blas.products, a, b, c, trans_a, trans_b, beta)

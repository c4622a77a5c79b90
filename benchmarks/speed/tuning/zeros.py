"""The constants by which a product leaves out A's zeros (cpu/matmul/zero_skipping.py)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import comb
from typing import Any

import numpy as np
from tinygan_kernels.cpu.matmul import jobs, zero_skipping
from tinygan_kernels.cpu.matmul.choice import bind_product
from tinygan_kernels.cpu.matmul.nonzero_lists import COUNT, Lists, RowTable, TermsOfA, list_terms
from tinygan_kernels.cpu.row_formulas import address_of
from tinygan_kernels.cpu.runtime.simd import lanes, register_bytes
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, Pipeline

from .trials import Bench, Tuned, around, changed, judge, judge_choice, slope

LANES = lanes(4)
NAMES = ("SLOWER", "LOST", "LISTING", "LOOKS", "FIRST_LOOK", "LEAST_WORK", "LEAST", "WIDE", "PANEL_BYTES", "ROWS", "TOGETHER")
KEPT = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)  # shares of A's numbers that are not 0


@ParallelLoop
def list_rows(together, like, a, offsets, step, room, memory, part, parts):
    """List the terms of all rows of A, as `zero_skipping` does. a (M, K), or (K, M) where A lies transposed; step: the bytes from
    a term to the next; offsets (M,): the bytes to each row; memory: room for so many lists as are made together.
    """
    size = COUNT + 2 * room * like.itemsize
    terms, lists = TermsOfA(address_of(a), step), Lists(address_of(memory), np.int64(size), room)
    depth = np.int64(a.size // offsets.size)
    for i in range(0, offsets.size, len(together)):
        list_terms(together, like, terms, RowTable(address_of(offsets), i, offsets.size - 1), depth, np.int64(0), lists)


def sparse(bench: Bench, kept: float, *shape: int) -> np.ndarray:
    """Return normal numbers, of which the share `kept` is left and the others are 0."""
    return np.where(bench.rng.random(shape) < kept, bench.normal(*shape), np.float32(0)).astype(np.float32)


def bind(bench: Bench, m: int, n: int, k: int, kept: float, version: int | None, trans_a: bool = False) -> Pipeline:
    """Bind a product whose left factor has zeros."""
    a = np.ascontiguousarray(sparse(bench, kept, m, k).T) if trans_a else sparse(bench, kept, m, k)
    return bind_product(a, bench.normal(k, n), np.empty((m, n), np.float32), trans_a, version=version)


def listing_time(bench: Bench, trans_a: bool) -> float:
    """Return the seconds to list one term of a half empty A."""
    m, k, item = 128, 128, 4
    a = sparse(bench, 0.5, *((k, m) if trans_a else (m, k)))
    offsets = np.arange(m) * (item if trans_a else k * item)
    room = k + LANES
    memory = np.empty(zero_skipping.TOGETHER * (COUNT + 2 * room * item), np.uint8)
    step = a.strides[0] if trans_a else item
    call = Pipeline([list_rows.stage(1, (0,) * zero_skipping.TOGETHER, a.reshape(-1)[:1], a, offsets, step, room, memory)])
    return bench.least(call) / a.size


def costs(bench: Bench) -> tuple[dict[str, Any], dict[Any, dict[int, float]]]:
    """Return LISTING, and SLOWER and LOST as the straight line in the share of A's numbers that fits best; and all times.

    The times are those of both ways, {(share kept, registers across, trans_a): {rung: seconds}}, for C of several widths.
    """
    m, k, widths, ways = 128, 256, (zero_skipping.WIDE + 3, 20, 40), {}
    for trans_a in (False, True):
        for across in widths:
            for kept in KEPT:
                binds = {way: partial(bind, bench, m, across * LANES, k, kept, way, trans_a) for way in (2, 3)}
                ways[kept, across, trans_a] = bench.compare_bound(binds)
    unit = min(taken[2] / (m * k * across) for (_, across, _), taken in ways.items())
    listing = [listing_time(bench, trans_a) / unit for trans_a in (False, True)]
    relative = {w: taken[3] / taken[2] - listing[w[2]] / w[1] for w, taken in ways.items()}
    grows = slope([kept for kept, *_ in relative], relative.values())
    lost = float(np.mean(list(relative.values()))) - grows * float(np.mean([kept for kept, *_ in relative]))
    return {"SLOWER": lost + grows, "LOST": lost, "LISTING": listing}, ways


def takes_lists(workload: tuple[float, int, bool], lost: float, slower: float, listing: tuple[float, float]) -> int:
    """Return the rung that the choice takes for a product, if it knows the share of zeros."""
    kept, across, trans_a = workload
    return 3 if zero_skipping.listed_time.py_func(across, kept, lost, slower, listing[trans_a]) < across else 2


def decision(bench: Bench) -> list[Tuned]:
    """SLOWER, LOST and LISTING, and what the sample of A is worth."""
    here, ways = costs(bench)
    names = ("LOST", "SLOWER", "LISTING")
    as_set = {name: getattr(zero_skipping, name) for name in names}
    scales, rows = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4), []
    for name in names:
        value = as_set[name]
        values = [tuple(s * v for v in value) if name == "LISTING" else s * value for s in scales]

        def pick(v: Any, workload: Any, name: str = name) -> int:
            return takes_lists(workload, *({**as_set, name: v}[n] for n in names))

        verdict = judge_choice(ways, values, value, pick)
        how = f"(share of A kept, registers across C, A transposed): the way taken for {len(ways)} products"
        rows.append(Tuned.judged(zero_skipping, name, verdict, how, here[name]))
    return [*rows, *sample(bench, here)]


def look_time(bench: Bench) -> float:
    """Return the seconds that one look at a number of A takes: jobs that look LOOKS times, next to jobs that stop at FIRST_LOOK."""
    a, b, c = (bench.normal(1, 512, 512) for _ in range(3))
    plan, many, calls = jobs.plan_of(a, b, c), 64, {}
    for some in (False, True):
        looked = np.abs(a) + np.float32(1)
        looked[0, 0, 0] = 0 if some else 1  # the first look falls on it; with one zero among the first, all looks are taken
        table = np.tile(plan.jobs, many)
        for name, array in (("a", looked), ("b", b), ("c", c)):
            table[name] += array.ctypes.data
        alive, like, skip = (looked, b, c, plan.row_offsets), looked.reshape(-1)[:1], zero_skipping.SkipZeros.WHERE_IT_PAYS
        calls[some] = Pipeline([zero_skipping.stage(table, 512, like, jobs.fresh_scratch, alive, skip)])
    taken = bench.compare(calls)
    return (taken[True] - taken[False]) / many / (zero_skipping.LOOKS - zero_skipping.FIRST_LOOK)


def sample(bench: Bench, here: dict[str, Any]) -> list[Tuned]:
    """LOOKS and FIRST_LOOK, by the time that is to be expected with them in the smallest product that is sampled: so much for each
    look, and so much for the wrong way where the sample misleads. The times of both ways are those of the lines measured before.
    """
    looks, first = zero_skipping.LOOKS, zero_skipping.FIRST_LOOK
    side = round(zero_skipping.LEAST_WORK ** (1 / 3))
    one = look_time(bench) / bench.least(bind(bench, side, side, side, 1.0, 2))  # a look, as a share of that product
    shares, across = np.linspace(0.02, 0.98, 49), side / LANES

    def relative(kept: float) -> float:
        return zero_skipping.listed_time.py_func(across, kept, here["LOST"], here["SLOWER"], here["LISTING"][0]) / across

    def expected(kept: float, looked: int) -> float:
        lists = sum(
            comb(looked, n) * kept**n * (1 - kept) ** (looked - n) for n in range(looked + 1) if relative(n / looked) < 1
        )
        return lists * relative(kept) + (1 - lists) + looked * one

    def expected_first(kept: float, looked: int) -> float:
        none = kept**looked  # the chance that no zero is seen
        return none * (1 + looked * one) + (1 - none) * (min(1.0, relative(kept)) + looks * one)

    how = f"the time to be expected: a look takes {one:.4%} of a product of {side}^3, and a misleading sample the slower way"
    found = []
    for name, value, model in (("LOOKS", looks, expected), ("FIRST_LOOK", first, expected_first)):
        times = {float(kept): {v: model(float(kept), v) for v in around(value)} for kept in shares}
        verdict = judge(times, value)
        found.append(Tuned.judged(zero_skipping, name, verdict, how))
    return found


def least_sizes(bench: Bench) -> list[Tuned]:
    """LEAST_WORK and LEAST: products with a sample of A next to products without, on an A of which half is 0, and on a full one
    with one zero that makes the sample a long one.
    """

    def both(m: int, n: int, k: int, kept: float) -> dict[bool, float]:
        a = sparse(bench, kept, m, k) if kept < 1 else np.abs(bench.normal(m, k)) + np.float32(1)
        a[0, 0] = 0  # the first look falls on it

        def product(version: int | None) -> Pipeline:
            return bind_product(a.copy(), bench.normal(k, n), np.empty((m, n), np.float32), version=version)

        with changed(zero_skipping, LEAST_WORK=0, LEAST=0):
            return bench.compare_bound({way: partial(product, None if way else 2) for way in (False, True)})

    sides = (64, 96, 128, 160, 204, 256)
    works = {(side**3, kept): both(side, side, side, kept) for side in sides for kept in (0.5, 1.0)}
    thin = {
        (least, kept, by_rows): both(*((least, 1024, 4096) if by_rows else (4096, 1024, least)), kept)
        for least in (8, 16, 32, 64) for kept in (0.5, 1.0) for by_rows in (True, False)
    }
    work = judge_choice(works, [0, *(side**3 for side in sides)], zero_skipping.LEAST_WORK, lambda v, w: w[0] > v)
    least = judge_choice(thin, [1, 8, 16, 32, 64, 128], zero_skipping.LEAST, lambda v, w: w[0] >= v)
    return [
        Tuned.judged(zero_skipping, "LEAST_WORK", work, f"(work, share of A kept): m = n = k in {sides}, A half empty and full"),
        Tuned.judged(zero_skipping, "LEAST", least, "(rows or terms, share of A kept, rows): 8 to 64, A half empty and full"),
    ]


def panels(bench: Bench) -> list[Tuned]:
    """WIDE, PANEL_BYTES, ROWS and TOGETHER: products of an A that is half empty, by lists, under several values."""

    def workload(n: int, trans_a: bool = False) -> Callable[[], Pipeline]:
        return lambda: bind(bench, 256, n, 512, 0.5, 3, trans_a)

    wide = 30 * LANES
    plain = {f"C 256x{wide}": workload(wide), f"C 256x{wide + LANES}": workload(wide + LANES)}
    both = {f"C 256x{wide}": workload(wide), "the same, A transposed": workload(wide, True)}
    return [
        bench.sweep(zero_skipping, "WIDE", sorted({zero_skipping.WIDE, 4, 5, 6, 7, 9, 11}), plain),
        bench.sweep(zero_skipping, "PANEL_BYTES", around(zero_skipping.PANEL_BYTES), both),
        bench.sweep(zero_skipping, "ROWS", around(zero_skipping.ROWS), both),
        bench.sweep(zero_skipping, "TOGETHER", (1, 2, 4, 8), both),
    ]


def all_constants(bench: Bench) -> list[Tuned]:
    """All of them; none where registers are so narrow that zeros are never left out."""
    if register_bytes() < 32:
        how = "registers are too narrow here: zeros are not left out"
        return [Tuned(zero_skipping, name, None, None, None, how) for name in NAMES]
    return [*decision(bench), *least_sizes(bench), *panels(bench)]

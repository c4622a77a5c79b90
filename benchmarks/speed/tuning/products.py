"""The constants by which a matrix product chooses its tiles, blocks and copies (cpu/matmul/blocking.py, jobs.py and skinny.py).

The unit of costs is a multiply-add: the time of a large product by the best register tile, in one thread, for each of its
multiplications.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from tinygan_kernels.cpu import elementwise, reductions
from tinygan_kernels.cpu.matmul import blocking, jobs, skinny
from tinygan_kernels.cpu.matmul.choice import bind_product
from tinygan_kernels.cpu.runtime import stages
from tinygan_kernels.cpu.runtime.simd import lanes, level_2_bytes

from .trials import Bench, Tuned, around, changed, judge, judge_choice, slope

LANES = lanes(4)
# Products to choose tiles for: m, n, k, and whether A or B lies transposed.
SHAPES = (
    (256, 256, 256, False, False), (64, 512, 256, False, False), (512, 48, 256, False, False), (20, 1024, 64, False, False),
    (256, 128, 512, False, True), (64, 256, 256, False, True), (256, 256, 128, True, False), (48, 96, 200, True, False),
)  # fmt: skip


class Tiled:
    """Products by tiles in one thread, with parts of the blocking that would be chosen changed."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def bind(
        self, m: int, n: int, k: int, trans_a: bool = False, trans_b: bool = False, row: int = 0, **changes: Any
    ) -> stages.Pipeline:
        """Bind C (m, n), sums of k terms. row: the numbers from one row of A's memory to the next, where A is part of a larger
        matrix. changes: other values for fields of the Blocking.
        """
        rows, columns = (k, m) if trans_a else (m, k)
        a = self.bench.normal(rows, max(row, columns))[:, :columns]
        b, c = self.bench.normal(*((n, k) if trans_b else (k, n))), np.empty((1, m, n), np.float32)
        plan = jobs.plan_of(a[None], b[None], c, trans_a, trans_b)
        chosen, table = replace(plan.blocking, **changes), plan.jobs.copy()
        for name, array in (("a", a), ("b", b), ("c", c)):
            table[name] += array.ctypes.data
        table["slope"] = 1
        chosen.describe(table)
        return stages.Pipeline([jobs.stage_of(chosen, table, c.dtype, jobs.fresh_scratch, a, b, c, plan.row_offsets)])


def multiply_add(bench: Bench) -> float:
    """Return the time of one multiply-add of the best tile, in seconds."""
    m, n, k = 192, 24 * LANES, 256
    return bench.least(Tiled(bench).bind(m, n, k)) / (m * n * k)


def slowness(bench: Bench) -> dict[str, float]:
    """Return the time per multiply-add of each register tile, relative to the best one."""
    calls, sizes = {}, {}
    for tile in blocking.TILES:
        height, across = tile[:2]
        name, m, n = f"{height}x{across}", -(-192 // height) * height, -(-12 // across) * across * LANES
        with changed(blocking, TILES=((*tile[:3], 1.0),)):
            calls[name], sizes[name] = Tiled(bench).bind(m, n, 256), m * n * 256
    found = {name: taken / sizes[name] for name, taken in bench.compare(calls).items()}
    best = min(found.values())
    return {name: taken / best for name, taken in found.items()}


def copying_costs(bench: Bench, unit: float) -> dict[str, float]:
    """Return what copying a number costs, in multiply-adds: how the difference between a product with the copy and one without it
    grows with the numbers copied. Few rows of A pass each panel of B, or few panels each row of A, so that the copy is a good part.
    """
    tiled, few, k = Tiled(bench), 16, 192
    widths, heights = (16 * LANES, 32 * LANES, 48 * LANES), (96, 192, 288)
    of_b = bench.compare({
        (way, n): tiled.bind(few, n, k, trans_b=way == "transposed", **({} if way == "transposed" else {"pack_b": way == "packed"}))
        for n in widths for way in ("plain", "packed", "transposed")
    })
    of_a = bench.compare({
        (packed, m): tiled.bind(m, 6 * LANES, k, trans_a=packed, pack_a=packed, pack_b=False)
        for m in heights for packed in (False, True)
    })
    sizes = [level_2_bytes() // 4 * times for times in (2, 3, 4)]
    read = bench.compare({size: elementwise_sum(size) for size in sizes})

    def grows(way: str) -> float:
        return slope([n * k for n in widths], [of_b[way, n] - of_b["plain", n] for n in widths]) / unit

    return {
        "COPYING": grows("packed"), "TRANSPOSING": grows("transposed"),
        "GATHERING": slope([m * k for m in heights], [of_a[True, m] - of_a[False, m] for m in heights]) / unit,
        "FETCHING": slope(sizes, [read[size] for size in sizes]) / unit,
    }


def elementwise_sum(size: int) -> stages.Pipeline:
    """Return a pass that reads `size` numbers once."""
    x = np.ones(size, np.float32)
    sums = np.empty(-(-size // (16 * reductions.BLOCK)), np.float32)
    return stages.Pipeline([reductions.block_sums.stage(1, x, sums)])


def chosen_tile(m: int, n: int, k: int, trans_a: bool, trans_b: bool) -> str | None:
    """Return the tile that the choice takes for a product of that shape; None if none is small enough."""
    a, b = np.empty((1, *((k, m) if trans_a else (m, k))), np.float32), np.empty((1, *((n, k) if trans_b else (k, n))), np.float32)
    plan = jobs.plan_of(a, b, np.empty((1, m, n), np.float32), trans_a, trans_b)
    return f"{plan.blocking.height}x{plan.blocking.across}" if plan else None


def tiles(bench: Bench) -> list[Tuned]:
    """TILES and the costs of copying: each by its definition, and by the time of the tiles that are chosen with it."""
    unit, speeds = multiply_add(bench), slowness(bench)
    costs = copying_costs(bench, unit)
    ways = {}
    for shape in SHAPES:
        calls = {}
        for tile in blocking.TILES:
            with changed(blocking, TILES=(tile,)):
                if fitting := chosen_tile(*shape):
                    calls[fitting] = Tiled(bench).bind(*shape)
        ways[shape] = bench.compare(calls)
    measured = tuple((*tile[:3], speeds[f"{tile[0]}x{tile[1]}"]) for tile in blocking.TILES)

    def picks(name: str, values: list[Any]) -> dict[Any, dict[Any, float]]:
        found: dict[Any, dict[Any, float]] = {shape: {} for shape in SHAPES}
        for value in values:
            with changed(blocking, **{name: value}):
                for shape in SHAPES:
                    found[shape][value] = ways[shape][chosen_tile(*shape)]
        return found

    of_all = max(ways[shape][chosen_tile(*shape)] / min(ways[shape].values()) for shape in SHAPES) - 1
    how = f"the tiles chosen for {len(SHAPES)} products; all set values together cost up to {of_all:.1%} more than the best tiles"
    verdict = judge(picks("TILES", [blocking.TILES, measured]), blocking.TILES)
    rows = [Tuned(blocking, "TILES", speeds, None, verdict.cost, how, str(verdict.where))]
    for name, here in costs.items():
        set_value = getattr(blocking, name)
        verdict = judge(picks(name, [0, *around(set_value)]), set_value)
        rows.append(Tuned.judged(blocking, name, verdict, how, here))
    return rows


def blocks(bench: Bench) -> list[Tuned]:
    """PANEL_BYTES, BLOCK_BYTES and FLAT: products with operands larger than the level-2 cache, under several values."""

    def bind(m: int, n: int, k: int, trans_a: bool = False) -> Any:
        a, b = bench.normal(*((k, m) if trans_a else (m, k))), bench.normal(k, n)
        return lambda: bind_product(a, b, np.empty((m, n), np.float32), trans_a, look_for_zeros=False)  # for each value anew

    large = {"512x512, 2048 terms": bind(512, 512, 2048), "the same, A transposed": bind(512, 512, 2048, True)}
    side = max(256, int((3 * level_2_bytes() / 4) ** 0.5) // 16 * 16)  # B takes three times the level-2 cache
    flat = {f"{m} rows, B {side}x{side}": bind(m, side, side) for m in (1, 2, 3, 4, 6)}
    return [
        bench.sweep(blocking, "PANEL_BYTES", around(blocking.PANEL_BYTES), large),
        bench.sweep(blocking, "BLOCK_BYTES", around(blocking.BLOCK_BYTES), large),
        bench.sweep(blocking, "FLAT", (1, 2, 4, 6, 8), flat),
    ]


def packing(bench: Bench) -> list[Tuned]:
    """PACKING_ROWS and FAR: products with the copy and without it."""
    tiled = Tiled(bench)
    rows, steps = (8, 16, 24, 32, 48, 64, 96, 128), (256, 512, 1024, 2048, 4096, 8192)

    def both(of_a: bool, *sizes: int, **layout: Any) -> dict[bool, float]:
        name = "pack_a" if of_a else "pack_b"
        return bench.compare_bound({way: partial(tiled.bind, *sizes, **layout, **{name: way}) for way in (False, True)})

    of_b = {m: both(False, m, 1024, 256) for m in rows}
    of_a = {(step, n): both(True, 64, n, 512, trans_a=True, row=step // 4) for step in steps for n in (256, 1024)}
    b = judge_choice(of_b, [1, *rows, 256], blocking.PACKING_ROWS, lambda v, m: m >= v)
    a = judge_choice(of_a, [1, *steps, 16384], blocking.FAR, lambda v, sizes: sizes[0] >= v)
    return [
        Tuned.judged(blocking, "PACKING_ROWS", b, f"n = 1024, k = 256, m in {rows}, with the copy and without"),
        Tuned.judged(blocking, "FAR", a, f"A (512, 64) transposed, bytes between its rows in {steps}, C of 256 and 1024 columns"),
    ]


def few_terms(bench: Bench) -> list[Tuned]:
    """FEW_TERMS: multiples of B's rows next to tiles."""
    ways, terms = {}, (1, 2, 3, 4, 5, 6, 8)

    def bind(m: int, n: int, k: int, way: int) -> Callable[[], stages.Pipeline]:
        return lambda: bind_product(bench.normal(m, k), bench.normal(k, n), np.empty((m, n), np.float32), version=way)

    for m, n in ((256, 256), (64, 1024), (2048, 64)):
        for k in terms:
            with changed(skinny, FEW_TERMS=terms[-1]):
                ways[k, m, n] = bench.compare_bound({way: bind(m, n, k, way) for way in (2, 4)})
    verdict = judge_choice(ways, [0, *terms], skinny.FEW_TERMS, lambda v, sizes: 4 if sizes[0] <= v else 2)
    return [Tuned.judged(skinny, "FEW_TERMS", verdict, f"(terms, rows, columns): three shapes, sums of {terms} terms, both ways")]


def per_element(bench: Bench, unit: float) -> float:
    """Return the time per element of a simple loop, in multiply-adds, from several sizes."""
    sizes = (1 << 13, 1 << 14, 1 << 15)
    calls = {n: stages.Pipeline([elementwise.copy.stage(1, bench.normal(n), np.empty(n, np.float32))]) for n in sizes}
    taken = bench.compare(calls)
    return slope(sizes, [taken[n] for n in sizes]) / unit

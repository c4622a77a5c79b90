"""Measure the constants by which the CPU backend chooses between its ways, each as the comment beside it defines it:

    python -m benchmarks.speed.tune [--quick] [--json benchmarks/results/tune.json]

Prints each constant's value in the code next to what this machine gives. Nothing is changed: who wants another value edits the file
that is named. The unit of most is a multiply-add: the time of a large product by the best register tile, in one thread, for each of
its multiplications. Every time is the least of several calls, as other work on the machine only adds to it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
from tinygan_kernels import winograd_formulas
from tinygan_kernels.cpu import elementwise, reductions
from tinygan_kernels.cpu.conv import choice as conv_choice
from tinygan_kernels.cpu.conv import direct, winograd
from tinygan_kernels.cpu.matmul import blocking, jobs, skinny, zero_skipping
from tinygan_kernels.cpu.matmul import choice as matmul_choice
from tinygan_kernels.cpu.runtime import stages
from tinygan_kernels.cpu.runtime.simd import lanes, level_2_bytes, register_bytes

from .timing import stamp

LANES = lanes(4)


class Tuner:
    """Measures in float32. seconds: the time to spend on each call that is timed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.rng = np.random.default_rng(0)

    def least(self, call: Callable[[], Any], clock: Callable[[], float] = time.thread_time) -> float:
        """Return the least time of a call, in seconds, after it was compiled. clock: the processor time of this thread, which other
        work on the machine disturbs little; a clock on the wall for calls that several threads share.
        """
        call()
        taken, end = [], time.perf_counter() + self.seconds
        while len(taken) < 3 or time.perf_counter() < end:
            begun = clock()
            call()
            taken.append(clock() - begun)
        return min(taken)

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(np.float32)

    # ---- products ---------------------------------------------------------------------------------------------------------------

    def product(self, a: np.ndarray, b: np.ndarray, version: int | None, **flags: bool) -> float:
        """Return the time of a product by a row of the ladder."""
        m, n = a.shape[1 if flags.get("trans_a") else 0], b.shape[0 if flags.get("trans_b") else 1]
        return self.least(matmul_choice.bind_product(a, b, np.empty((m, n), np.float32), version=version, **flags))

    def tiled(self, m: int, n: int, k: int, trans_b: bool = False, trans_a: bool = False, **changes: Any) -> float:
        """Return the time of one product by tiles in one thread, with `changes` to the blocking that would be chosen."""
        a, b = self.normal(*((k, m) if trans_a else (m, k))), self.normal(*((n, k) if trans_b else (k, n)))
        c = np.empty((1, m, n), np.float32)
        plan = jobs.plan_of(a[None], b[None], c, trans_a, trans_b)
        chosen, table = replace(plan.blocking, **changes), plan.jobs.copy()
        for name, array in (("a", a), ("b", b), ("c", c)):
            table[name] += array.ctypes.data
        table["slope"] = 1
        chosen.describe(table)
        stage = jobs.stage_of(chosen, table, c.dtype, jobs.fresh_scratch, a, b, c, plan.row_offsets)
        return self.least(stages.Pipeline([stage]))

    def slowness(self) -> dict[str, float]:
        """Return the time per multiply-add of each register tile, relative to the best one."""
        found = {}
        for height, across, narrow, _ in blocking.TILES:
            m, n = -(-192 // height) * height, -(-12 // across) * across * LANES
            with changed(blocking, TILES=((height, across, narrow, 1.0),)):
                found[f"{height}x{across}"] = self.tiled(m, n, 256) / (m * n * 256)
        best = min(found.values())
        return {tile: taken / best for tile, taken in found.items()}

    def multiply_add(self) -> float:
        """Return the time of one multiply-add of the best tile, in seconds."""
        m, n, k = 192, 24 * LANES, 256
        return self.tiled(m, n, k) / (m * n * k)

    def copies(self, unit: float) -> dict[str, float]:
        """Return what copying a number costs: the difference between a product with the copy and one without, per number copied.
        Few rows of A pass each panel of B, or few panels each row of A, so that the copy is a good part of the whole.
        """
        few, many, k = 16, 48 * LANES, 192
        plain = self.tiled(few, many, k, pack_b=False)
        rows, columns = 192, 6 * LANES
        contiguous = self.tiled(rows, columns, k, pack_b=False)
        size = 2 * level_2_bytes() // 4
        return {
            "COPYING": (self.tiled(few, many, k, pack_b=True) - plain) / (many * k * unit),
            "TRANSPOSING": (self.tiled(few, many, k, trans_b=True) - plain) / (many * k * unit),
            "GATHERING": (self.tiled(rows, columns, k, trans_a=True, pack_a=True, pack_b=False) - contiguous) / (rows * k * unit),
            "FETCHING": self.least(elementwise_sum(size)) / (size * unit),
        }

    def zeros(self) -> dict[str, Any]:
        """Return SLOWER, LOST and LISTING, from the times at two widths of C: those grow with the width, listing does not."""
        if register_bytes() < 32:
            return {}
        m, k, widths = 128, 256, (8, 40)

        def lines(a: np.ndarray, **flags: bool) -> tuple[float, float]:
            """Return (the part that does not grow with the width, what each register of width adds), per term and row, in the time
            of a register's multiply-adds by tiles.
            """
            taken = []
            for across in widths:
                b = self.normal(k, across * LANES)
                unit = self.product(a, b, 2, **flags) / (m * k * across)
                taken.append(self.product(a, b, 3, **flags) / (m * k * unit))
            grows = (taken[1] - taken[0]) / (widths[1] - widths[0])
            return taken[0] - widths[0] * grows, grows

        dense = self.normal(m, k)
        listing, slower = lines(dense)
        return {
            "SLOWER": slower, "LOST": lines(np.zeros_like(dense))[1],
            "LISTING": [listing, lines(np.ascontiguousarray(dense.T), trans_a=True)[0]],
        }

    def few_terms(self) -> int:
        """Return the most terms for which multiples of B's rows take no longer than tiles."""
        most = 0
        with changed(skinny, FEW_TERMS=16):
            for k in range(1, 9):
                a, b = self.normal(256, k), self.normal(k, 256)
                if self.product(a, b, 4) > self.product(a, b, 2):
                    break
                most = k
        return most

    def worth_splitting(self) -> int | None:
        """Return the multiplications from which a product takes less time with two threads than with one."""
        for size in (16, 24, 32, 48, 64, 96, 128):
            a, b, c = self.normal(size, size), self.normal(size, size), np.empty((size, size), np.float32)
            taken = []
            for threads in (1, 2):
                numba.set_num_threads(threads)
                with changed(jobs, WORTH_SPLITTING=0), changed(stages, WORTH_A_TEAM=0):
                    taken.append(self.least(matmul_choice.bind_product(a, b, c, version=2), time.perf_counter))
                numba.set_num_threads(1)
            if taken[1] < taken[0]:
                return size**3
        return None

    # ---- convolutions -----------------------------------------------------------------------------------------------------------

    def convolution(self, n: int, side: int, c: int, c_out: int, version: int, size: int = 4, stride: int = 2) -> float:
        """Return the time of conv2d, pad 1, by a row of the ladder."""
        x, w = self.normal(n, side, side, c), self.normal(size, size, c, c_out)
        made = (side + 2 - size) // stride + 1
        y = np.empty((n, made, made, c_out), np.float32)
        return self.least(conv_choice.bind_convolution("conv2d", x, w, y, stride, 1, version=version))

    def few_registers(self) -> int:
        """Return how many registers a filter row's taps fill at most where the direct way takes no longer than im2col."""
        most = 0
        for filled in (1, 2, 4, 8, 16):
            if self.convolution(4, 24, filled * LANES // 4, 64, 2) > self.convolution(4, 24, filled * LANES // 4, 64, 1):
                break
            most = filled
        return most

    def winograd_from(self) -> dict[str, int | None]:
        """Return the channels, at 4096 pixels, and the pixels, at 64 channels, from which Winograd takes less time than im2col."""

        def faster(n: int, side: int, c: int) -> bool:
            return self.convolution(n, side, c, c, 3) < self.convolution(n, side, c, c, 1)

        channels = (c for c in (16, 24, 32, 48, 64) if c >= LANES and faster(16, 32, c))
        pixels = (64 * n for n in (1, 4, 8, 16, 32) if faster(n, 16, 64))
        return {"LEAST_CHANNELS": next(channels, None), "LEAST_PIXELS": next(pixels, None)}

    def moved(self) -> float | None:
        """Return MOVED, from the number of images of 4x4 outputs at which m = 2 and m = 4 take equally long."""
        c, c_out, previous = 128, 128, None
        for n in (8, 16, 32, 64, 128, 256):
            taken = []
            for m in (2, 4):
                with changed(winograd, best_tile=lambda *sizes, m=m: m):
                    taken.append(self.convolution(n, 8, c, c_out, 3))
            ratio = math.log(taken[1] / taken[0])
            if previous and previous[1] > 0 >= ratio:  # between these two numbers of images, on a scale of logarithms
                share = previous[1] / (previous[1] - ratio)
                return equal_cost(previous[0] * (n / previous[0]) ** share, c, c_out)
            previous = (n, ratio)
        return None

    # ---- the runtime ------------------------------------------------------------------------------------------------------------

    def worth_a_team(self) -> int | None:
        """Return the elements from which a simple loop takes less time with all threads than with one."""
        for size in (1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16, 1 << 17, 1 << 18, 1 << 20):
            x, y, taken = self.normal(size), np.empty(size, np.float32), []
            for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
                numba.set_num_threads(threads)
                with changed(stages, WORTH_A_TEAM=0, WORTH_SHARING=0):
                    taken.append(self.least(stages.Pipeline([elementwise.copy.over(size, x, y)]), time.perf_counter))
                numba.set_num_threads(1)
            if taken[1] < taken[0]:
                return size
        return None


def elementwise_sum(size: int) -> stages.Pipeline:
    """Return a pass that reads `size` numbers once."""
    x = np.ones(size, np.float32)
    sums = np.empty(-(-size // (16 * reductions.BLOCK)), np.float32)
    return stages.Pipeline([reductions.block_sums.stage(1, x, sums)])


def equal_cost(n: float, c: int, c_out: int) -> float:
    """Return the MOVED for which winograd_formulas.best_tile finds m = 2 and m = 4 equally good for n images of 4x4 outputs."""

    def parts(m: int) -> tuple[float, float]:
        tiles = n * (4 // m) ** 2
        return (m + 1) ** 2 * tiles * 4 * c * c_out, (m + 1) ** 2 * (tiles * (4 * c + c_out) + 4 * c * c_out)

    (products_2, moved_2), (products_4, moved_4) = parts(2), parts(4)
    return (products_2 - products_4) / (moved_4 - moved_2)


@contextmanager
def changed(module: Any, **values: Any) -> Iterator[None]:
    """Give a module's constants other values for a while. Plans made from constants are forgotten before and after."""
    before = {name: getattr(module, name) for name in values}
    forget()
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)
        forget()


def forget() -> None:
    """Forget the blockings and plans that were made from the constants as they were."""
    jobs.forget_plans()
    direct.tile_blocking.cache_clear()


def measure(seconds: float) -> dict[str, dict[str, Any]]:
    """Return {constant: {"file", "here": the value in the code, "measured"}}."""
    tuner, threads = Tuner(seconds), numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        unit = tuner.multiply_add()
        copies, zeros, least = tuner.copies(unit), tuner.zeros(), tuner.winograd_from()
        size = 1 << 14
        simple = tuner.least(stages.Pipeline([elementwise.copy.stage(1, tuner.normal(size), np.empty(size, np.float32))])) / size
        found = [
            (blocking, "TILES", {f"{h}x{w}": slowness for h, w, _, slowness in blocking.TILES}, tuner.slowness()),
            *[(blocking, name, getattr(blocking, name), value) for name, value in copies.items()],
            (jobs, "WORTH_SPLITTING", jobs.WORTH_SPLITTING, tuner.worth_splitting()),
            (jobs, "PER_ELEMENT", jobs.PER_ELEMENT, simple / unit),
            (skinny, "FEW_TERMS", skinny.FEW_TERMS, tuner.few_terms()),
            *[(zero_skipping, name, getattr(zero_skipping, name), value) for name, value in zeros.items()],
            (direct, "FEW_REGISTERS", direct.FEW_REGISTERS, tuner.few_registers()),
            *[(winograd, name, getattr(winograd, name), value) for name, value in least.items()],
            (winograd_formulas, "MOVED", winograd_formulas.MOVED, tuner.moved()),
            (stages, "WORTH_A_TEAM", stages.WORTH_A_TEAM, tuner.worth_a_team()),
        ]
    finally:
        numba.set_num_threads(threads)
    package = Path(winograd_formulas.__file__).parent
    return {
        name: {"file": Path(module.__file__).relative_to(package).as_posix(), "here": here, "measured": rounded(value)}
        for module, name, here, value in found
    }


def rounded(value: Any) -> Any:
    """Round to three digits, in lists and dictionaries too."""
    if isinstance(value, float):
        return float(f"{value:.3g}")
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="less than two minutes, compiling included, and rougher")
    parser.add_argument("--json", type=Path, help="where to write the report")
    args = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # above 0, other work shared the cores: then values are rough
    report = {"stamp": stamp(), "quick": args.quick, "load": load, "constants": measure(0.02 if args.quick else 0.5)}
    for name, row in report["constants"].items():
        print(f"{name:16s} {row['here']!s:>40s}   measured {row['measured']}   ({row['file']})")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""The constants by which work is shared out among threads (cpu/runtime/stages.py and cpu/matmul/jobs.py).

All times are on the wall, with all threads that Numba has, next to one. On a busy machine the threads wait for each other, and the
values come out too high.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from tinygan_kernels.cpu import elementwise
from tinygan_kernels.cpu.matmul import jobs
from tinygan_kernels.cpu.matmul.choice import bind_product
from tinygan_kernels.cpu.runtime import stages

from .products import multiply_add, per_element
from .trials import Bench, Tuned, changed, judge_choice, threads

PATIENCE = 3  # times as long as other calls are these timed, as only the least of many times is one that no other work met
SIZES = [1 << power for power in range(10, 21)]
SIDES = (16, 24, 32, 48, 64, 96, 128, 160)
NAMES = ((stages, "WORTH_A_TEAM"), (stages, "WORTH_SHARING"), (jobs, "WORTH_SPLITTING"), (jobs, "PER_ELEMENT"))


def copy_loop(bench: Bench, size: int, repeats: int = 1) -> Callable[[], stages.Pipeline]:
    """Return a function that binds a pass over `size` elements, so many times one after the other."""
    x, y = bench.normal(size), np.empty(size, np.float32)
    return lambda: stages.Pipeline([elementwise.copy.over(size, x, y)] * repeats)


def product(bench: Bench, side: int, repeats: int = 1) -> Callable[[], stages.Pipeline]:
    """Return a function that binds a product of side^3, so many times one after the other."""
    a, b, c = bench.normal(side, side), bench.normal(side, side), np.empty((side, side), np.float32)
    return lambda: stages.Pipeline(bind_product(a, b, c, version=2).stages * repeats)


def team_or_alone(bench: Bench, many: int, bind: Callable[[], stages.Pipeline]) -> dict[bool, float]:
    """Return the times of a call with a team of threads (True) and in one thread (False)."""
    calls = {}
    for team in (False, True):
        with threads(many if team else 1), changed(stages, WORTH_A_TEAM=0, WORTH_SHARING=0), changed(jobs, WORTH_SPLITTING=0):
            calls[team] = bind()
            calls[team]()
    with threads(many):
        return bench.compare(calls, time.perf_counter, PATIENCE)


def shared_or_not(
    bench: Bench, many: int, module: Any, name: str, bind: Callable[[], stages.Pipeline]
) -> dict[bool, float]:
    """Return the times of a call of a team, whose stages are shared out (True) or left to one of the threads (False)."""
    calls = {}
    with threads(many):
        for shared in (False, True):
            with changed(stages, WORTH_A_TEAM=0), changed(module, **{name: 0 if shared else 1 << 60}):
                calls[shared] = bind()
                calls[shared]()
        return bench.compare(calls, time.perf_counter, PATIENCE)


def all_constants(bench: Bench) -> list[Tuned]:
    """The constants of this module."""
    many = numba.config.NUMBA_NUM_THREADS
    here = per_element(bench, multiply_add(bench))
    if many == 1:
        how = "one thread only: nothing is shared out"
        return [Tuned(m, name, here if name == "PER_ELEMENT" else None, None, None, how) for m, name in NAMES]
    loops = {size: team_or_alone(bench, many, copy_loop(bench, size)) for size in SIZES}
    products = {side**3: team_or_alone(bench, many, product(bench, side)) for side in SIDES}
    stage = {size: shared_or_not(bench, many, stages, "WORTH_SHARING", copy_loop(bench, size, 16)) for size in SIZES[:8]}
    split = {side**3: shared_or_not(bench, many, jobs, "WORTH_SPLITTING", product(bench, side, 16)) for side in SIDES}
    elements, works = [0, *SIZES, 2 * SIZES[-1]], [0, *(side**3 for side in SIDES), 2 * SIDES[-1] ** 3]
    rows = []
    for module, name, ways, values, what in (
        (stages, "WORTH_A_TEAM", loops, elements, "one pass over so many elements, alone and by a team"),
        (stages, "WORTH_SHARING", stage, elements, "16 passes over so many elements by a team, shared out and not"),
        (jobs, "WORTH_SPLITTING", split, works, "16 products of so many multiplications by a team, split and not"),
    ):
        verdict = judge_choice(ways, values, getattr(module, name), lambda v, size: size >= v)
        rows.append(Tuned.judged(module, name, verdict, f"{what}; {many} threads"))
    verdict = judge_choice(
        products, [1, 2, 4, 8, 16, 32, 64], jobs.PER_ELEMENT, lambda v, work: work // v >= stages.WORTH_A_TEAM
    )
    how = f"products of so many multiplications, alone and by a team; {many} threads; here: a copying loop"
    return [*rows, Tuned.judged(jobs, "PER_ELEMENT", verdict, how, here)]

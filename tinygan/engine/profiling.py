"""Where a step's time goes: the launches that a plan replays, timed one by one over some steps, and summed up by kernel."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinygan_kernels.profiling import work

from .replay import Plan


@dataclass(frozen=True)
class Row:
    """All launches of one kernel in a step: how many, their seconds, floating-point operations and bytes together (cost.py).

    Kernels that run as one in a plan are a row of their own, "matmul + bias_act" for one.
    """

    kernel: str
    launches: int
    seconds: float
    flops: int
    moved: int

    @property
    def gflops(self) -> float:
        """10^9 floating-point operations a second; 0 for kernels whose operations are not counted."""
        return self.flops / self.seconds / 1e9

    @property
    def gigabytes(self) -> float:
        """10^9 bytes a second, each array counted once: more than the memory's rate where they stay in a cache."""
        return self.moved / self.seconds / 1e9


@dataclass(frozen=True)
class Profile:
    """rows: the costliest kernel first. rest: seconds of a step outside of all launches: batches, noise, inputs, and Python.

    Every launch's time, and the rest, is its median over `steps` steps: what other programs take now and then does not show.
    """

    rows: tuple[Row, ...]
    rest: float
    steps: int

    @property
    def seconds(self) -> float:
        """Of a whole step."""
        return self.rest + sum(row.seconds for row in self.rows)


def profile(plan: Plan, step: Callable[[], object], steps: int, wait: Callable[[], None] = lambda: None) -> Profile:
    """Call `step`, which has to run `plan` once, `steps` times with a clock around every launch.

    wait: called after each launch, for devices that run while Python goes on. The plan is afterwards as it was. Raises ValueError
    for steps below 1.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; at least one has to be timed")
    joined, taken = plan.joined, [[] for _ in plan.calls]
    plan.joined = [*plan.copies, *(_timed(call, times, wait) for call, times in zip(plan.calls, taken, strict=True))]
    whole: list[float] = []
    try:
        for _ in range(steps):
            _timed(step, whole, wait)()
    finally:
        plan.joined = joined
    rest = [step - sum(launches) for step, *launches in zip(whole, *taken, strict=True)]
    return Profile(_by_kernel(plan, [statistics.median(times) for times in taken]), statistics.median(rest), steps)


def _timed(call: Callable[[], object], times: list[float], wait: Callable[[], None]) -> Callable[[], None]:
    def timed() -> None:
        begun = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - begun)

    return timed


def _by_kernel(plan: Plan, seconds: Sequence[float]) -> tuple[Row, ...]:
    totals: dict[str, tuple[int, float, int, int]] = {}
    for group, taken in zip(plan.groups, seconds, strict=True):
        name = " + ".join(launch.kernel.name for launch in group)
        count, spent, flops, moved = totals.get(name, (0, 0.0, 0, 0))
        totals[name] = (count + 1, spent + taken, flops + sum(map(work.flops, group)), moved + work.moved_together(group))
    return tuple(sorted((Row(name, *total) for name, total in totals.items()), key=lambda row: -row.seconds))

"""Profiles that show where a step's time goes: a plan's launches, timed one by one over some steps, and summed up by kernel."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinygan_kernels.profiling import work

from .replay import Plan


@dataclass(frozen=True)
class KernelTime:
    """The time of one kernel in a step: how many launches, and their seconds, floating-point operations and bytes moved in all.

    Operations and bytes are counted by tinygan_kernels/profiling/work.py. Kernels that run as one in a plan are counted together,
    as "matmul + bias_act" for one.
    """

    kernel: str
    launches: int
    seconds: float
    flops: int
    moved: int

    @property
    def gflops(self) -> float:
        """The rate in 10^9 floating-point operations a second; 0 for kernels whose operations are not counted."""
        return self.flops / self.seconds / 1e9

    @property
    def gigabytes(self) -> float:
        """The rate in 10^9 bytes a second, each array counted once: more than the memory's own where arrays stay in a cache."""
        return self.moved / self.seconds / 1e9


@dataclass(frozen=True)
class Profile:
    """The profile of a step: where its time goes.

    rows: the kernels, the costliest first. rest: seconds outside of all launches, for batches, noise, inputs and Python. Every
    launch's time, and the rest, is its median over `steps` steps, so what other programs take now and then does not show.
    """

    rows: tuple[KernelTime, ...]
    rest: float
    steps: int

    @property
    def seconds(self) -> float:
        """The seconds of a whole step."""
        return self.rest + sum(row.seconds for row in self.rows)


def profile(plan: Plan, step: Callable[[], object], steps: int, wait: Callable[[], None] = lambda: None) -> Profile:
    """Time every launch of a plan over `steps` calls of `step`, each of which has to run the plan once.

    wait: called after each launch, for devices that run while Python goes on. The plan is left as it was. Raises ValueError for
    steps below 1.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; at least one has to be timed")
    joined = plan.joined
    taken: list[list[float]] = [[] for _ in plan.calls]
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
    """Return a function that calls `call` and appends the seconds that it took to `times`."""
    def timed() -> None:
        begun = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - begun)

    return timed


def _by_kernel(plan: Plan, seconds: Sequence[float]) -> tuple[KernelTime, ...]:
    """Add up the launches of each kernel, given the seconds of each of the plan's calls."""
    totals: dict[str, tuple[int, float, int, int]] = {}
    for group, taken in zip(plan.groups, seconds, strict=True):
        name = " + ".join(launch.kernel.name for launch in group)
        count, spent, flops, moved = totals.get(name, (0, 0.0, 0, 0))
        totals[name] = (count + 1, spent + taken, flops + sum(map(work.flops, group)), moved + work.moved_together(group))
    return tuple(sorted((KernelTime(name, *total) for name, total in totals.items()), key=lambda row: -row.seconds))

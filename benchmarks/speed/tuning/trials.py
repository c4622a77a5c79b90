"""What all measurements of constants share: fair timing, constants changed for a while, and the judgement of a set value.

A constant of a choice is judged by what its values cost. Each workload is timed under each value that is tried (or under each way
that a value may choose), calls in turn. The cost of a value is how much longer its choice takes than the best one on the workload
where it does worst; and every value that costs at most 3 % more than the best value is as good as the best.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import tinygan_kernels
from tinygan_kernels.cpu.conv import direct
from tinygan_kernels.cpu.matmul import jobs

AS_GOOD = 1.03  # a value that costs no more than so many times what the best one costs counts as good as the best
LEAST_BATCH = 1e-4  # seconds: shorter calls are timed several at a time, so that looking at the clock does not count
PLACES = 4  # times that a workload is bound, each time with other memory: where arrays lie can cost a third of a call's time

Call = Callable[[], Any]
Times = Mapping[Hashable, Mapping[Any, float]]


@dataclass(frozen=True)
class Judgement:
    """The judgement of a constant's values: the range of the good ones, the cost of the set one, and where that does worst."""

    good: tuple[Any, Any]
    cost: float
    where: Hashable


@dataclass(frozen=True)
class Tuned:
    """What was measured of one constant.

    module, name: where it stands. here: its value by its own definition on this machine, or None where it is judged only by what it
    costs. good: the lowest and the highest tried value that cost no more than AS_GOOD times the best. cost: how much more time the
    set value takes than the best one, on the workload where it does worst; 0.05 is 5 %. how: what was timed. where: that workload.
    """

    module: Any
    name: str
    here: Any
    good: tuple[Any, Any] | None
    cost: float | None
    how: str
    where: str = ""

    @classmethod
    def judged(cls, module: Any, name: str, verdict: Judgement, how: str, here: Any = None) -> Tuned:
        """Make a finding of a verdict."""
        return cls(module, name, here, verdict.good, verdict.cost, how, str(verdict.where))

    @property
    def file(self) -> str:
        """The module's path inside tinygan_kernels."""
        return Path(self.module.__file__).relative_to(Path(tinygan_kernels.__file__).parent).as_posix()

    @property
    def value(self) -> Any:
        """The value in the code."""
        return getattr(self.module, self.name)


def judge(times: Times, value: Any) -> Judgement:
    """Judge a set value by `times[workload][value]`, in seconds: every workload timed under the same values, the set one included.
    """
    values = list(next(iter(times.values())))
    best = {workload: min(taken.values()) for workload, taken in times.items()}
    worst = {v: max(taken[v] / best[workload] for workload, taken in times.items()) for v in values}
    least = min(worst.values())
    good = [v for v in values if worst[v] <= AS_GOOD * least]
    where = max(times, key=lambda workload: times[workload][value] / best[workload])
    return Judgement((good[0], good[-1]), worst[value] / least - 1, where)


def judge_choice(ways: Times, values: Iterable[Any], value: Any, pick: Callable[[Any, Any], Hashable]) -> Judgement:
    """Judge a constant that only chooses between ways. ways[workload][way]: seconds. pick(value, workload): the way it chooses."""
    tried = dict.fromkeys([*sorted({*values, value})])
    return judge({workload: {v: taken[pick(v, workload)] for v in tried} for workload, taken in ways.items()}, value)


def around(value: int, factors: Iterable[float] = (0.25, 0.5, 1, 2, 4)) -> list[int]:
    """Return values around a set one, itself among them."""
    return sorted({max(1, int(value * factor)) for factor in factors} | {value})


def slope(x: Iterable[float], y: Iterable[float]) -> float:
    """Return the slope of the straight line that fits the points (x, y) best."""
    return float(np.polyfit(np.array(list(x), float), np.array(list(y), float), 1)[0])


class Bench:
    """Times calls on float32 arrays. seconds: the time to spend on each call that is timed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.rng = np.random.default_rng(0)

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(np.float32)

    def compare(
        self, calls: Mapping[Any, Call], clock: Callable[[], float] = time.thread_time, patience: float = 1
    ) -> dict[Any, float]:
        """Return the least time of each call, in seconds, the calls being timed in turn, after they were compiled. clock: the
        processor time of this thread, which other work on the machine disturbs little; a clock on the wall for calls that several
        threads share. patience: how many times `seconds` to spend.
        """
        batch = {}
        for key, call in calls.items():
            call()
            begun = time.perf_counter()
            call()
            batch[key] = max(1, int(LEAST_BATCH / max(time.perf_counter() - begun, 1e-9)))
        least, end, rounds = dict.fromkeys(calls, float("inf")), time.perf_counter() + patience * self.seconds * len(calls), 0
        while rounds < 3 or time.perf_counter() < end:
            for key, call in calls.items():
                begun = clock()
                for _ in range(batch[key]):
                    call()
                least[key] = min(least[key], (clock() - begun) / batch[key])
            rounds += 1
        return least

    def compare_bound(self, binds: Mapping[Any, Callable[[], Call]]) -> dict[Any, float]:
        """Return the least time of each call, as `compare` does. A call is bound PLACES times, and its best place counts, so that
        no way wins by where its arrays happen to lie.
        """
        calls = {(key, place): bind() for place in range(PLACES) for key, bind in binds.items()}
        times = self.compare(calls, patience=1 / PLACES)
        return {key: min(times[key, place] for place in range(PLACES)) for key in binds}

    def least(self, call: Call) -> float:
        """Return the least time of one call, in seconds."""
        return self.compare({0: call})[0]

    def sweep(self, module: Any, name: str, values: Iterable[Any], workloads: Mapping[Hashable, Callable[[], Call]]) -> Tuned:
        """Judge a constant by timing workloads under each value. A workload binds its arrays, which is when it sees the value, and
        returns the call to time.
        """
        times, tried = {}, list(values)
        for label, bind in workloads.items():
            times[label] = self.compare_bound({value: changing(module, name, value, bind) for value in tried})
        how = f"under {tried}: {', '.join(map(str, workloads))}"
        return Tuned.judged(module, name, judge(times, getattr(module, name)), how)


@contextmanager
def changed(module: Any, **values: Any) -> Iterator[None]:
    """Give a module's constants other values for a while. Plans made from constants are forgotten before and after.

    Only code that reads the constant in Python sees the change; a compiled loop keeps the value it was compiled with.
    """
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


def changing(module: Any, name: str, value: Any, bind: Callable[[], Call]) -> Callable[[], Call]:
    """Return a function that binds a workload while a module's constant has another value."""

    def bind_changed() -> Call:
        with changed(module, **{name: value}):
            return bind()

    return bind_changed


def forget() -> None:
    """Forget the blockings and plans that were made from the constants as they were."""
    jobs.forget_plans()
    direct.tile_blocking.cache_clear()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let pipelines that are bound meanwhile run with so many threads."""
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        yield
    finally:
        numba.set_num_threads(before)

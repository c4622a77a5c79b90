"""A training step on the CPU as one compiled call: stages, one after the other, each shared out among the threads.

A `ParallelLoop` is a compiled function that does one of several parts of a computation on arrays. Bound to its arrays it is a
`Stage`: the loop, and a block of words with the addresses, shapes and numbers that it works on. A `Pipeline` is a list of
stages. All threads enter it once and go through the stages together, taking parts as they come; nobody begins a stage before
the one before it is done. A training step of a hundred launches is so one call from Python, and between two stages lies not the
start of a team of threads (some microseconds) but a counter that all of them watch (some tenths of one).

Each thread takes first the parts that are its own share, so that it finds in its cache what it wrote a stage before; then it helps
out where parts are left. So any number of threads gets through, however late they come. What a part computes does not depend on who
does it: the number of threads changes no bit of a result, unless the loop's author lets it.
"""

from __future__ import annotations

import hashlib
import inspect
import types as python_types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, NoReturn

import numpy as np

from .arguments import describe, load_arguments
from .compile_helper import compile_all
from .jit import code_of, njit_inner
from .team import MOST_PARTS, run_alone, run_together, run_with_numbas_threads
from .threads import thread_count
from .workers import the_team

Call = Callable[[], None]
# `python -m benchmarks.speed.tune` times both ways on both sides of these values.
WORTH_SHARING = 1 << 12  # elements from which a stage is shared out, where a team of threads is at work
WORTH_A_TEAM = 1 << 15  # elements of all stages together from which it pays to start one
_SERIALS = count(1)  # a number for each table, by which a team knows whether the rows that it has are those of the table
TABLE = np.dtype([("code", np.int64), ("block", np.int64), ("parts", np.int64)])


# ---- dividing work into parts ----------------------------------------------------------------------------------------------------


@njit_inner
def span(n, parts, p):
    """Return the p-th of `parts` nearly equal runs of 0..n as (start, stop), multiples of 16 but for n."""
    blocks = (n + 15) // 16
    return min(n, p * blocks // parts * 16), min(n, (p + 1) * blocks // parts * 16)


@njit_inner
def share(n, parts, p):
    """Return the p-th of `parts` nearly equal runs of 0..n as (start, stop)."""
    return p * n // parts, (p + 1) * n // parts


def parts_for_elements(size: int) -> int:
    """Return how many parts a pass over so many elements is worth: one for each thread, or one where there are few."""
    return thread_count() if size >= WORTH_SHARING else 1


def parts_for_items(count: int, size: int) -> int:
    """Return how many parts a loop over `count` items, of `size` elements together, is worth: a few for each thread, so that a
    thread that comes late has less to do.
    """
    threads = parts_for_elements(size)
    return min(count, 4 * threads if threads > 1 else 1)


def _entry(block, part, parts, thread):
    """Do one part of a loop: what the threads call. It is compiled for each loop and types of arguments, with its own `loop` and
    NAMES.
    """
    loop(*load_arguments(block, part, parts, thread, NAMES))  # noqa: F821


# ---- loops and stages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """A loop bound to its arguments, to be run in `parts` parts.

    names: the names of the arguments' types. block: the arguments as words. alive: the arrays whose addresses the words hold.
    size: how much there is to do, as the number of elements that a simple loop would pass in that time.
    """

    loop: ParallelLoop
    names: str
    block: np.ndarray
    parts: int
    alive: tuple[Any, ...]
    size: int

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled, alone or in a Pipeline: a copy would write to the original's arrays."""
        raise TypeError("a Stage holds the addresses of its arrays, so it can be neither copied nor pickled; copy the arrays, and "
                        "bind the loop to the copies")


class ParallelLoop:
    """A compiled loop whose parts threads share: function(*arrays and numbers, part, parts) does one of the parts.

    With a last argument `thread` the function is told which thread it runs in, for scratch memory of its own. Arguments may be
    arrays, numbers (np.float32 where single precision is meant), and tuples, of which only the lengths are passed on.
    """

    def __init__(self, function: Callable, **options: Any) -> None:
        self.function, self.compiled = function, njit_inner(function, **options)
        self._threaded = "thread" if next(reversed(inspect.signature(function).parameters)) == "thread" else "-"
        self._codes: dict[str, int] = {}

    def stage(self, parts: int, *arguments: Any, size: int = 0) -> Stage:
        """Bind the loop to these arguments, in so many parts. size: as Stage says."""
        names, words = [], []
        for argument in arguments:
            name, values = describe(argument)
            names.append(name)
            words += values
        return Stage(self, " ".join([*names, self._threaded]), np.array(words, np.int64), parts, arguments, size)

    def __call__(self, *arguments: Any) -> None:
        """Do all of it now, in the calling thread."""
        Pipeline([self.stage(1, *arguments)])()

    def over(self, size: int, *arguments: Any) -> Stage:
        """Bind the loop to these arguments, in as many parts as a pass over `size` elements is worth."""
        return self.stage(parts_for_elements(size), *arguments, size=size)

    def code(self, names: str) -> int:
        """Return the address of the compiled loop for arguments of these types."""
        self.compile(names)
        return self._codes[names]

    def compile(self, names: str) -> bool:
        """Make that code ready. Returns whether it had to be compiled: it was neither known in this process nor found on disk."""
        if names in self._codes:
            return False
        kind = hashlib.sha256(names.encode()).hexdigest()[:12]
        globals_ = {"loop": self.compiled, "load_arguments": load_arguments, "NAMES": names, "__name__": self.function.__module__}
        entry = python_types.FunctionType(_entry.__code__, globals_, f"{self.function.__name__}_{kind}")
        entry.__qualname__, entry.__module__ = entry.__name__, self.function.__module__
        self._codes[names], found = code_of(entry, "void(int64, int64, int64, int64)")
        return not found


def run_with_the_team(serial: int, table: int, length: int, threads: int) -> None:
    """Do the stages of a table with the process's team, which is another one after a fork; alone, if it has none."""
    team = the_team()
    if team is None:
        run_alone(table, length)
        return
    if length > team.capacity:
        team.make_room(length)
    run = run_together if team.has_workers else run_with_numbas_threads
    run(team.address, serial, table, length, threads)


class Pipeline:
    """Stages as one call without arguments. Not to be called from two threads at once."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self.stages = tuple(stages)
        self._run: Call | None = None

    def __call__(self) -> None:
        if self._run is None:
            self._run = self._prepared()
        self._run()

    def _prepared(self) -> Call:
        """Compile the loops, make the table of stages, and return the call that runs it: alone, or with a team of threads."""
        stages = [stage for stage in self.stages if stage.parts]
        compile_all([(s.loop, s.names) for s in stages])
        table = np.array([(s.loop.code(s.names), s.block.ctypes.data, s.parts) for s in stages], TABLE)
        self._table, threads = table, thread_count()  # the calls hold only its address
        if threads == 1 or sum(s.size for s in stages) < WORTH_A_TEAM or any(s.parts > MOST_PARTS for s in stages):
            return partial(run_alone, table.ctypes.data, len(table))
        return partial(run_with_the_team, next(_SERIALS), table.ctypes.data, len(table), threads)


def in_order(*calls: Call) -> Pipeline | None:
    """Return the stages of all these pipelines as one pipeline; None if one of them is another kind of call."""
    if all(isinstance(call, Pipeline) for call in calls):
        return Pipeline(stage for call in calls for stage in call.stages)
    return None


def joined(calls: Sequence[Call]) -> list[Call]:
    """Return the same calls with neighbouring pipelines joined into one."""
    made: list[Call] = []
    for call in calls:
        both = in_order(made[-1], call) if made else None
        if both:
            made[-1] = both
        else:
            made.append(call)
    return made

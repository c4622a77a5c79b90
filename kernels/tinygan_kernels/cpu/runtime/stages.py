"""What the CPU does in a step, as one compiled call: stages, one after the other, each shared out among the threads.

A `Loop` is a compiled function that does one of several parts of some work on arrays. Bound to its arrays it is a `Stage`: the
loop, and a block of words with the addresses, shapes and numbers that it works on. `Work` is a list of stages. All
threads enter it once and go through the stages together, taking parts as they come; nobody begins a stage before the one before
it is done. A training step of a hundred launches is so one call from Python, and between two stages lies not the start of a team of
threads (some microseconds) but a counter that all of them watch (some tenths of one).

Each thread takes first the parts that are its own share, so that it finds in its cache what it wrote a stage before; then it helps
out where parts are left. So any number of threads, however late, gets through, one of them alone too. What a part computes does
not depend on who does it: the number of threads changes no bit of a result, unless the loop's author lets it.
"""

from __future__ import annotations

import hashlib
import inspect
import types as python_types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba
import numpy as np

from .arguments import _arguments, _described
from .compile_helper import compile_all
from .jit import code_of, piece
from .team import LINE, _alone, _together, _yielding

Call = Callable[[], None]
WORTH_SHARING = 1 << 12  # elements from which a stage is shared out, where a team of threads is at work
WORTH_A_TEAM = 1 << 16  # elements of all stages together from which it pays to start one
TABLE = np.dtype([("code", np.int64), ("block", np.int64), ("parts", np.int64)])


# ---- cutting work into parts ----------------------------------------------------------------------------------------------------


@piece
def span(n, parts, p):
    """The p-th of `parts` nearly equal runs of 0..n, cut at multiples of 16: (start, stop)."""
    blocks = (n + 15) // 16
    return min(n, p * blocks // parts * 16), min(n, (p + 1) * blocks // parts * 16)


@piece
def share(n, parts, p):
    """The p-th of `parts` nearly equal runs of 0..n: (start, stop)."""
    return p * n // parts, (p + 1) * n // parts


def parts_for(size: int) -> int:
    """How many parts a pass over so many elements is worth."""
    return numba.get_num_threads() if size >= WORTH_SHARING else 1


def pieces(count: int, size: int) -> int:
    """How many parts a loop over so many items, of `size` elements together, is worth: a few for each thread, so that one that is
    late has less to do.
    """
    threads = parts_for(size)
    return min(count, 4 * threads if threads > 1 else 1)


def _entry(block, part, parts, thread):
    """What the threads call. Compiled once for each loop and types of arguments, with these three names of its own."""
    loop(*_arguments(block, part, parts, thread, NAMES))  # noqa: F821


# ---- loops and stages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """Work on certain arrays in `parts` parts: a loop, the names of its arguments' types, and the arguments as words. Keeps the
    arrays alive.

    size: how much there is to do, as the number of elements that a simple loop would pass in that time.
    """

    loop: Loop
    names: str
    block: np.ndarray
    parts: int
    alive: tuple[Any, ...]
    size: int


class Loop:
    """A compiled loop: function(*arrays and numbers, part, parts) does one of the parts; with a last argument `thread` it is told
    which thread it runs in, for scratch memory of its own.

    Arguments may be arrays, numbers (np.float32 where single precision is meant), and tuples, whose lengths are all that counts.
    """

    def __init__(self, function: Callable, **options: Any) -> None:
        self.function, self.compiled = function, piece(function, **options)
        self._threaded = "thread" if next(reversed(inspect.signature(function).parameters)) == "thread" else "-"
        self._codes: dict[str, int] = {}

    def stage(self, parts: int, *arguments: Any, size: int = 0) -> Stage:
        """This loop on these arguments, in so many parts. size: as Stage says."""
        names, words = [], []
        for argument in arguments:
            name, values = _described(argument)
            names.append(name)
            words += values
        return Stage(self, " ".join([*names, self._threaded]), np.array(words, np.int64), parts, arguments, size)

    def __call__(self, *arguments: Any) -> None:
        """All of it, now, in the thread that calls."""
        Work([self.stage(1, *arguments)])()

    def over(self, size: int, *arguments: Any) -> Stage:
        """The same, in as many parts as a pass over `size` elements is worth."""
        return self.stage(parts_for(size), *arguments, size=size)

    def code(self, names: str) -> int:
        """Where the loop for arguments of these types lies in memory."""
        self.compile(names)
        return self._codes[names]

    def compile(self, names: str) -> bool:
        """Have that code ready. Whether it had to be compiled, neither known in this process nor found on disk."""
        if names in self._codes:
            return False
        kind = hashlib.sha256(names.encode()).hexdigest()[:12]
        globals_ = {"loop": self.compiled, "_arguments": _arguments, "NAMES": names, "__name__": self.function.__module__}
        entry = python_types.FunctionType(_entry.__code__, globals_, f"{self.function.__name__}_{kind}")
        entry.__qualname__, entry.__module__ = entry.__name__, self.function.__module__
        self._codes[names], found = code_of(entry, "void(int64, int64, int64, int64)")
        return not found


class Work:
    """Stages as a call without arguments. Not for use from two threads at once."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self.stages = tuple(stages)
        self._run: Call | None = None

    def __call__(self) -> None:
        if self._run is None:
            self._run = self._prepared()
        self._run()

    def _prepared(self) -> Call:
        stages = [stage for stage in self.stages if stage.parts]
        compile_all([(s.loop, s.names) for s in stages])
        table = np.array([(s.loop.code(s.names), s.block.ctypes.data, s.parts) for s in stages], TABLE)
        threads = numba.get_num_threads()
        if threads == 1 or sum(s.size for s in stages) < WORTH_A_TEAM:
            return partial(_alone, table)
        return partial(_together, table, np.zeros((len(table), threads + 1, LINE), np.int64), _yielding())


def in_order(*works: Call) -> Work | None:
    """All stages of all works as one; None if one of them is another kind of call."""
    if all(isinstance(work, Work) for work in works):
        return Work(stage for work in works for stage in work.stages)
    return None


def joined(calls: Sequence[Call]) -> list[Call]:
    """The same calls with neighbours put together where they are Work."""
    made: list[Call] = []
    for call in calls:
        both = in_order(made[-1], call) if made else None
        if both:
            made[-1] = both
        else:
            made.append(call)
    return made

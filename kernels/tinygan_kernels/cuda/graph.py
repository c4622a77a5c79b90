"""A recorded step on a GPU: all its launches captured once into a CUDA graph, which the driver then starts as one.

A small network's step is a hundred short launches, each started from Python. A stream in capture mode runs nothing: it notes what
it is given, and the graph made of that does it all, in that order, each time it is launched, from one call (CUDA C++ Programming
Guide, "CUDA Graphs"). The notes hold addresses. Those of buffers and of scratch memory stay good, as
both are kept (replay.py, generic.Scratch); what CuPy's reductions borrow while they run comes from a memory pool that nobody else
draws from, and that is kept with the graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

Call = Callable[[], None]


def joiner(cupy: Any) -> Callable[[Sequence[Call]], list[Call]]:
    """What a Backend's `join` is to be: calls in a row as one, by a graph."""
    return lambda calls: [Captured(cupy, calls)] if calls else []


class Captured:
    """Calls that only launch kernels on CuPy's current stream, as a call: run one by one the first time, so that all is compiled
    and all memory taken, captured the second time, from then on launched as a graph.

    Where they cannot be captured they are run one by one for good, and a RuntimeWarning says why.
    """

    def __init__(self, cupy: Any, calls: Sequence[Call]) -> None:
        self._cupy, self._calls = cupy, tuple(calls)
        # of the kind that waits for the default stream, where inputs arrive, and that the default stream waits for
        self._stream, self._pool = cupy.cuda.Stream(), cupy.cuda.MemoryPool()
        self._run: Call = self._first

    def __call__(self) -> None:
        self._run()

    def _first(self) -> None:
        self._one_by_one()
        self._run = self._second

    def _second(self) -> None:
        try:
            graph = self._capture()
        except RuntimeError as error:  # which all errors of CUDA are in CuPy
            warnings.warn(
                f"the step could not be captured as a CUDA graph ({error}); its launches run one by one",
                RuntimeWarning,
                stacklevel=2,
            )
            self._run = self._one_by_one
        else:
            self._run = lambda: graph.launch(self._stream)
        self._run()

    def _one_by_one(self) -> None:
        with self._cupy.cuda.using_allocator(self._pool.malloc), self._stream:
            for call in self._calls:
                call()

    def _capture(self) -> Any:
        self._stream.begin_capture()
        try:
            self._one_by_one()
        finally:  # also after an error, as a stream that is left in capture mode is good for nothing else
            graph = self._stream.end_capture()
        return graph

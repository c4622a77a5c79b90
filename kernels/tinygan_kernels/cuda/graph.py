"""CUDA graphs: all launches of a recorded step are captured once into a graph, which the driver then starts as one.

A small network's step is a hundred short launches, each started from Python. A stream in capture mode runs nothing: it notes the
launches, and the graph made of them repeats them in that order each time it is started, by one call (CUDA C++ Programming Guide,
"CUDA Graphs"). The graph holds addresses. Those of buffers and of workspace stay valid, as both are kept (tinygan.engine.replay,
array_kernels.Workspace); what CuPy's reductions borrow while they run comes from a memory pool that nothing else draws from, and
that is kept with the graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

Call = Callable[[], None]


def joiner(cupy: Any) -> Callable[[Sequence[Call]], list[Call]]:
    """Return the function for `Backend.join`: it makes one call, a graph, of calls that follow each other."""
    return lambda calls: [Captured(cupy, calls)] if calls else []


class Captured:
    """A call in place of several that only launch kernels on CuPy's current stream.

    The first time they run one by one, so that all kernels are compiled and all memory is taken; the second time they are captured;
    from then on they are started as a graph. If they cannot be captured, they always run one by one, and a RuntimeWarning says why.
    """

    def __init__(self, cupy: Any, calls: Sequence[Call]) -> None:
        self._cupy, self._calls = cupy, tuple(calls)
        # a blocking stream: it waits for the default stream, in which inputs arrive, and the default stream waits for it
        self._stream, self._pool = cupy.cuda.Stream(), cupy.cuda.MemoryPool()
        self._run: Call = self._first

    def __call__(self) -> None:
        self._run()

    def _first(self) -> None:
        """Run the calls one by one, so that all kernels are compiled and all memory is taken."""
        self._one_by_one()
        self._run = self._second

    def _second(self) -> None:
        """Capture the calls and start the graph; if they cannot be captured, warn and run them one by one for good."""
        try:
            graph = self._capture()
        except RuntimeError as error:  # the base of all errors of CUDA in CuPy
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
        """Return the graph of the calls' launches, which capturing notes without running them."""
        self._stream.begin_capture()
        try:
            self._one_by_one()
        finally:  # also after an error: a stream left in capture mode could run nothing any more
            graph = self._stream.end_capture()
        return graph

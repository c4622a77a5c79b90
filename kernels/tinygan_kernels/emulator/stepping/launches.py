"""The public functions trace and recording: run a launch and record what one thread block of it does.

    trace = emulator.trace(kernel, (2, 2), (32, 32), (a, b, c, M, N, K), thread_block=(1, 0), warp=3)
    trace.next(); print(trace.line, trace.text, trace.value("sum").values)
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tinygan_kernels.emulator.counters import observed
from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.host.numba_launch import launch
from tinygan_kernels.emulator.host.rawmodule import RawKernel
from tinygan_kernels.emulator.sanitizer.findings import sanitize
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

from .recorder import MOST_BYTES, MOST_STEPS, Recorder
from .trace import Trace

Sizes = int | Sequence[int]


def trace(
    kernel: Any,
    grid: Sizes,
    block: Sizes,
    args: Sequence[Any] = (),
    *,
    thread_block: Sizes = 0,
    warp: int = 0,
    shared_mem: int = 0,
    most_steps: int = MOST_STEPS,
    most_bytes: int = MOST_BYTES,
) -> Trace:
    """Launch a kernel, record what one thread block does, and return the Trace of a warp of it; arrays are changed in place.

    kernel: what `RawModule.get_function` returned, a RawKernel, or a function decorated with `@cuda.jit`; grid, block, args,
    shared_mem: as for its launch. thread_block: the block's number in the grid, or its (x, y, z); warp: one of its warps, of 32
    threads each, x fastest. Of CUDA C++ that was compiled with the option -G, variables have their names; otherwise the PTX
    registers are shown. most_steps, most_bytes: how much is recorded; `Trace.cut` says so where it was not all.

    Raises ValueError for a block or a warp that the launch does not have, and what the launch raises, but for the sanitizer's
    findings, which do not end a trace.
    """
    source = kernel.source if isinstance(kernel, RawKernel) else None
    with recording(thread_block, most_steps, most_bytes) as recorders, sanitize():
        if isinstance(kernel, RawKernel):
            kernel(grid, block, tuple(args), shared_mem=shared_mem)
        else:
            launch(kernel, grid, block, *args, shared_mem=shared_mem)
    return trace_of(recorders, source, warp)


@contextmanager
def recording(thread_block: Sizes = 0, most_steps: int = MOST_STEPS, most_bytes: int = MOST_BYTES) -> Iterator[list[Recorder]]:
    """Record the launches inside the `with` block, each with a Recorder in the list that this gives.

    The arguments are those of `trace`. Raises ValueError for limits below 1.
    """
    if most_steps < 1 or most_bytes < 1:
        raise ValueError(f"most_steps and most_bytes have to be at least 1; they are {most_steps} and {most_bytes}")
    recorders: list[Recorder] = []

    def make(kernel: TranslatedKernel) -> Recorder:
        recorders.append(Recorder(kernel, thread_block, most_steps, most_bytes))
        return recorders[-1]

    with observed(make):
        yield recorders


def trace_of(
    recorders: Sequence[Recorder], source: str | None = None, warp: int = 0, arguments: Sequence[str] = ()
) -> Trace:
    """Return the Trace of the first launch that was recorded.

    source: its text, where it is no file; arguments: what its arguments are called, where that is known.

    Raises EmulatorError where nothing was launched, ValueError for a block or a warp that the launch does not have.
    """
    if not recorders:
        raise EmulatorError("nothing was launched, so there is nothing to trace")
    first = recorders[0]
    if first.machine is None:
        raise ValueError(f"there is no thread block {first.thread_block!r} in the grid {first.grid}")
    files = first.original.files
    text = source or "".join(linecache.getlines(files.names.get(files.main, "")))
    lines = [line.removesuffix("\r") for line in text.split("\n")]  # not splitlines, which also ends lines at a form feed
    return Trace(first, lines, warp, arguments)

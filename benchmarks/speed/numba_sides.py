"""Numba kernels on the emulator and on Numba's own simulator: a process for each side, which take turns.

The simulator is chosen before Numba is imported (NUMBA_ENABLE_CUDASIM=1), so the two cannot share a process. A side's process is
`python -m benchmarks.speed.numba_sides`: it reads a line of JSON, {"kernel": name, "checks": whether the sanitizer is on},
launches that kernel, compares what it wrote with NumPy's, and answers {"seconds": of the launch}, or {"wrong": what}, and whether
it is "simulated". A kernel's first launch compiles it and is not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, NamedTuple

import numpy as np
from numba import cuda, float32
from tinygan_kernels import emulator
from tinygan_kernels.cuda.numba_kernels import matmul

from .timing import ROOT

SIMULATED = "NUMBA_ENABLE_CUDASIM"
SIDES = {"emulator": False, "emulator, sanitizer on": True, "simulator": False}
"""{name of a side: whether the sanitizer is on}."""


class Problem(NamedTuple):
    """What one kernel is given: all its arguments, of which the last is the array that it writes, and what is right in there."""

    grid: int
    block: int
    arguments: tuple[Any, ...]
    right: np.ndarray


def problems(rng: np.random.Generator) -> dict[str, Problem]:
    """Return {name of a kernel: what it is given}: few threads, as the simulator makes a thread of Python's of each."""
    x = rng.standard_normal(4096).astype(np.float32)
    bins = rng.integers(0, 16, 2048).astype(np.int32)
    a, b = (rng.standard_normal((32, 32)).astype(np.float32) for _ in range(2))
    nothing = np.zeros_like(a)
    return {
        "scaled": Problem(32, 128, (x, np.zeros_like(x)), 2 * x),
        "block sums": Problem(16, 128, (x[:2048], np.zeros(16, np.float32)), x[:2048].reshape(16, 128).sum(1)),
        "histogram": Problem(16, 128, (bins, np.zeros(16, np.int32)), np.bincount(bins, minlength=16)),
        "matmul 1": Problem(8, 128, (a, b, nothing), a @ b),
        "matmul 3": Problem(4, 256, (a, b, nothing), a @ b),
    }


WHAT = {
    "scaled": "y = 2 x, 4,096 threads", "block sums": "sums of 128 in shared memory, 2,048 threads, 8 barriers",
    "histogram": "atomic additions into 16 bins, 2,048 threads", "matmul 1": "matmul 1, naive, 32³, 1,024 threads",
    "matmul 3": "matmul 3, tiles in shared memory, 32³, 1,024 threads, 4 barriers",
}  # fmt: skip
"""What a kernel does, for readers of a table."""


@cuda.jit
def scaled(x, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = 2 * x[i]


@cuda.jit
def block_sums(x, sums):
    part = cuda.shared.array(128, float32)
    i = cuda.threadIdx.x
    part[i] = x[cuda.grid(1)]
    cuda.syncthreads()
    half = 64
    while half > 0:
        if i < half:
            part[i] += part[i + half]
        cuda.syncthreads()
        half //= 2
    if i == 0:
        sums[cuda.blockIdx.x] = part[0]


@cuda.jit
def histogram(bins, counts):
    cuda.atomic.add(counts, bins[cuda.grid(1)], 1)


KERNELS = {
    "scaled": scaled, "block sums": block_sums, "histogram": histogram, "matmul 1": matmul.naive_kernel,
    "matmul 3": matmul.shared_tile_kernel,
}  # fmt: skip
"""The kernels, of which the products are versions of the ladder. The simulator wants them to see `cuda` as a global name."""


def launch(kernel: Any, problem: Problem) -> float:
    """Return the seconds of a launch. Raises ArithmeticError if what it wrote is wrong."""
    written = problem.arguments[-1]
    written[...] = 0
    begun = time.perf_counter()
    kernel[problem.grid, problem.block](*problem.arguments)
    taken = time.perf_counter() - begun
    if not np.allclose(written, problem.right, atol=1e-3):
        raise ArithmeticError(f"the largest error is {np.abs(written - problem.right).max()}")
    return taken


def serve() -> None:
    """Answer on standard output what is asked on standard input, until there is nothing more."""
    given, known, warm = problems(np.random.default_rng(0)), KERNELS, set()
    on_emulator = os.environ.get(SIMULATED) != "1"
    with emulator.numba() if on_emulator else nullcontext():
        for line in sys.stdin:
            asked = json.loads(line)
            name = asked["kernel"]
            try:
                with emulator.checks(asked["checks"]):
                    if (name, asked["checks"]) not in warm:
                        launch(known[name], given[name])
                        warm.add((name, asked["checks"]))
                    answer: dict[str, Any] = {"seconds": launch(known[name], given[name])}
            except ArithmeticError as error:
                answer = {"wrong": str(error)}
            answer["simulated"] = type(scaled).__module__.startswith("numba.cuda.simulator")
            print(json.dumps(answer), flush=True)


@contextmanager
def process(simulated: bool) -> Iterator[Callable[[str, bool], float]]:
    """Start a side's process. Gives a function of a kernel's name and of whether the sanitizer is on, which returns seconds.

    That function raises RuntimeError where the result is wrong or the process has ended.
    """
    environment = {**os.environ, SIMULATED: "1" if simulated else "0"}
    paths = [str(ROOT), str(ROOT / "kernels"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.speed.numba_sides"], env=environment, cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdin is not None and child.stdout is not None
        asking, answering = child.stdin, child.stdout

        def seconds(kernel: str, checks: bool) -> float:
            what = f"{kernel} on {'the simulator' if simulated else 'the emulator'}"
            with suppress(BrokenPipeError):  # then there is no answer either
                asking.write(json.dumps({"kernel": kernel, "checks": checks}) + "\n")
                asking.flush()
            line = answering.readline()
            if not line:
                raise RuntimeError(f"the process that runs {what} has ended")
            answer = json.loads(line)
            if "wrong" in answer:
                raise RuntimeError(f"{what} is wrong ({answer['wrong']}); nothing is timed before that is mended")
            if answer["simulated"] is not simulated:
                raise RuntimeError(f"{what} was not run there: {SIMULATED} has no effect on this version of Numba")
            return float(answer["seconds"])

        try:
            yield seconds
        finally:
            with suppress(BrokenPipeError):  # of a process that ended without reading
                asking.close()


def compared(names: list[str], turns: int = 3) -> Iterator[dict[str, Any]]:
    """Yield a row for each kernel: {"kernel": name, "what": sentence, "seconds": {side: the best of the turns}}.

    The sides take turns. Raises RuntimeError where a result is wrong.
    """
    with process(simulated=False) as emulated, process(simulated=True) as simulated:
        for name in names:
            taken: dict[str, list[float]] = {side: [] for side in SIDES}
            for _ in range(turns):
                for side, checks in SIDES.items():
                    taken[side].append((simulated if side == "simulator" else emulated)(name, checks))
            yield {"kernel": name, "what": WHAT[name], "seconds": {side: min(times) for side, times in taken.items()}}


if __name__ == "__main__":
    serve()

"""Time one training step on an idle machine and on a busy one, tinygan against PyTorch:

    python -m benchmarks.speed.busy [--quick] [--workload NAME ...] [--json FILE]

A busy machine is this one with busy loops on it, which the script starts and ends itself: as many as there are cores, and then four
times as many. Every side is a process of its own, and sides and conditions take turns, so each is measured idle and busy within the
same minutes. A figure is the time of a block divided by its steps (steps on a busy machine are of very different lengths, so their
median says little), and the median of these over the blocks; and in the same way the CPU time of the process. The whole takes some
five minutes and --quick one; start it where nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from .timing import stamp
from .workloads import WORKLOADS, build

CONDITIONS = {"idle": 0, "busy": 1, "four a core": 4}  # busy loops for each core
LOOP = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    for _ in range(10**6):\n        pass"
SETTLE = 0.15  # seconds at the start of a block that do not count: until the system shares the cores as it will


@dataclass(frozen=True)
class Side:
    """A side: what it is (`tinygan`, or a variant of TorchStep), the environment that it runs in, and its conditions."""

    kind: str
    environment: dict[str, str]
    conditions: tuple[str, ...] = ("idle", "busy")


SIDES = {
    "tinygan": Side("tinygan", {}, tuple(CONDITIONS)),
    "tinygan, one thread": Side("tinygan", {"NUMBA_NUM_THREADS": "1"}, tuple(CONDITIONS)),
    "PyTorch": Side("eager", {}, tuple(CONDITIONS)),
    "PyTorch, channels_last": Side("channels_last", {}),
    "PyTorch, passive": Side("eager", {"OMP_WAIT_POLICY": "passive"}),
    "PyTorch, one thread": Side("eager", {"OMP_NUM_THREADS": "1"}),
}


@dataclass(frozen=True)
class Block:
    """A block of steps: milliseconds a step, and milliseconds of CPU time a step, of all the process's threads."""

    ms: float
    cpu_ms: float


# ---- the process of a side -------------------------------------------------------------------------------------------------------


def step_of(kind: str, name: str) -> Callable[[], Any]:
    """Return the step of a workload, ready to be called. Raises ImportError where PyTorch is not installed."""
    if kind == "tinygan":
        from tinygan_kernels import load

        return build(name, load("cpu")).step
    from .peers.torch_step import TorchStep

    return TorchStep(WORKLOADS[name], variant=kind).step


def timed(step: Callable[[], Any], seconds: float, settle: bool) -> Block:
    """Take steps for so many seconds, at least one, after a few that do not count if `settle`."""
    until = time.perf_counter() + (SETTLE if settle else 0)
    while time.perf_counter() < until:
        step()
    count, begun, cpu = 0, time.perf_counter(), time.process_time()
    while count == 0 or time.perf_counter() - begun < seconds:
        step()
        count += 1
    return Block(1000 * (time.perf_counter() - begun) / count, 1000 * (time.process_time() - cpu) / count)


def serve(kind: str, name: str) -> None:
    """Answer each line of standard input, a number of seconds, with a block as JSON: what the process of a side does."""
    try:
        step = step_of(kind, name)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    step()
    begun = time.perf_counter()
    step()
    settle = time.perf_counter() - begun < SETTLE  # for a step that takes longer, the start of a block hardly counts
    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(timed(step, float(line), settle))), flush=True)


# ---- the script ------------------------------------------------------------------------------------------------------------------


@contextmanager
def busy_loops(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Keep so many loops running, each in a process of its own, and give these. They also end when this process does."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP, str(os.getpid())]) for _ in range(count)]
    try:
        if count:
            time.sleep(0.3)  # until they have started
        yield loops
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@contextmanager
def started(side: Side, name: str) -> Iterator[Callable[[float], Block] | None]:
    """Start the process of a side, and give a function that has it take a block of steps; None where the peer is missing."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.speed.busy", "--serve", side.kind, "--workload", name], text=True,
        env={**os.environ, **side.environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    try:
        yield None if "missing" in _answer(process) else lambda seconds: Block(**_answer(process, f"{seconds}\n"))
    finally:
        process.kill()
        process.communicate()


def _answer(process: subprocess.Popen[str], line: str = "") -> dict[str, Any]:
    assert process.stdin and process.stdout
    to: IO[str] = process.stdin
    to.write(line)
    to.flush()
    said = process.stdout.readline()
    if not said:
        raise SystemExit("the process of a side ended; what it said is above")
    return json.loads(said)


def measure(name: str, sides: dict[str, Side], seconds: float, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return {side: {condition: its Block as a dict}} of a workload: medians over `rounds` blocks of about `seconds` each."""
    found: dict[str, dict[str, list[Block]]] = {}
    with ExitStack() as open_sides:
        processes = {title: open_sides.enter_context(started(side, name)) for title, side in sides.items()}
        for _ in range(rounds):
            for condition, loops in CONDITIONS.items():
                with busy_loops(loops * (os.cpu_count() or 1)):
                    for title, block in processes.items():
                        if block and condition in sides[title].conditions:
                            found.setdefault(title, {}).setdefault(condition, []).append(block(seconds))
    return {title: {condition: _middle(blocks) for condition, blocks in by.items()} for title, by in found.items()}


def _middle(blocks: Sequence[Block]) -> dict[str, float]:
    return {field: float(np.median([getattr(block, field) for block in blocks])) for field in ("ms", "cpu_ms")}


def sides_of(name: str) -> dict[str, Side]:
    """Return the sides of a workload: channels_last is for images, and PyTorch's dcgan64 with four loops a core takes too long."""
    sides = {title: side for title, side in SIDES.items() if side.kind != "channels_last" or len(WORKLOADS[name].sample) == 3}
    if name == "dcgan64":
        sides["PyTorch"] = replace(sides["PyTorch"], conditions=("idle", "busy"))
    return sides


def verdicts(result: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    """Return ratios of a workload: tinygan busy / idle, one thread busy / tinygan busy, and best PyTorch busy / tinygan busy."""
    mine = result["tinygan"]
    ratios = {
        "busy / idle": mine["busy"]["ms"] / mine["idle"]["ms"],
        "one thread / all, busy": result["tinygan, one thread"]["busy"]["ms"] / mine["busy"]["ms"],
    }
    peers = [by["busy"]["ms"] for title, by in result.items() if title.startswith("PyTorch")]
    return {**ratios, "best PyTorch / tinygan, busy": min(peers) / mine["busy"]["ms"]} if peers else ratios


def _show(name: str, result: dict[str, dict[str, dict[str, float]]]) -> None:
    print(name)
    for title, by in result.items():
        times = "   ".join(f"{condition} {b['ms']:9.3f} ms ({b['cpu_ms']:9.3f} of CPU)" for condition, b in by.items())
        print(f"  {title:22} {times}")
    print("  " + ", ".join(f"{what} {ratio:.2f}" for what, ratio in verdicts(result).items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=WORKLOADS, nargs="+", default=list(WORKLOADS))
    parser.add_argument("--quick", action="store_true", help="one short block of each")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.workload[0])
        return
    seconds, rounds = (0.5, 1) if options.quick else (1.0, 3)
    workloads = {}
    for name in options.workload:
        workloads[name] = measure(name, sides_of(name), seconds, min(rounds, 2) if name == "dcgan64" else rounds)
        _show(name, workloads[name])
    if options.json:
        options.json.write_text(json.dumps({"stamp": stamp(), "loops": CONDITIONS, "workloads": workloads}, indent=1) + "\n")


if __name__ == "__main__":
    main()

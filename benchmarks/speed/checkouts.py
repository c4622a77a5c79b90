"""Compare one training step of this checkout with that of another one, such as the commit before a change:

    git worktree add ../before COMMIT
    python -m benchmarks.speed.checkouts ../before [--workload NAME ...] [--seconds 20] [--json FILE]

Each checkout runs in a process of its own, and the two take turns. For each workload the script prints the median of both sides,
the ratio other / this (above 1: this checkout is faster), and whether five steps from one seed give the same bits: D's loss, G's
loss and every parameter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from .timing import stamp
from .workloads import WORKLOADS

HERE = Path(__file__).resolve().parents[2]
ROUNDS = 9  # blocks of each side

# What a process runs in its checkout: it answers each line "NAME STEPS" with one line of JSON. Before there was benchmarks/speed/,
# the workloads stood in benchmarks/.
WORKER = """
import hashlib, json, sys, time
try:
    from benchmarks.speed.workloads import build
except ImportError:
    from benchmarks.workloads import build
from tinygan_kernels import load

built = {}
for line in sys.stdin:
    name, count = line.split()
    if name not in built:
        trial = build(name, load("cpu"))
        losses = [[loss.hex() for loss in trial.step()] for _ in range(5)]
        digest = hashlib.sha256(b"".join(array.tobytes() for array in trial.params())).hexdigest()
        built[name] = build(name, load("cpu")), {"losses": losses, "parameters": digest}
    step, bits = built[name][0].step, built[name][1]
    taken = []
    for _ in range(int(count)):
        begun = time.perf_counter()
        step()
        taken.append(time.perf_counter() - begun)
    print(json.dumps({"taken": taken, "bits": bits}), flush=True)
"""


@dataclass(frozen=True)
class Compared:
    """Milliseconds a step of this checkout and of the other one, their ratio, and whether both compute the same bits."""

    this: float
    other: float
    ratio: float
    same_bits: bool


def started(checkout: Path) -> subprocess.Popen[str]:
    """Start a process that times steps in a checkout, and return it. Raises SystemExit where there is no checkout."""
    if not (checkout / "tinygan").is_dir():
        raise SystemExit(f"{checkout} is no checkout of tinygan")
    environment = {**os.environ, "PYTHONPATH": f"{checkout}{os.pathsep}{checkout / 'kernels'}"}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER], cwd=checkout, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def asked(process: subprocess.Popen[str], name: str, steps: int) -> dict[str, Any]:
    """Ask the process for a block of `steps` steps, and return its answer. Raises SystemExit where it has ended."""
    to, answers = _pipes(process)
    try:
        to.write(f"{name} {steps}\n")
        to.flush()
        line = answers.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        raise SystemExit(f"a checkout's process ended while it timed {name}; what it said is above")
    return json.loads(line)


def ended(process: subprocess.Popen[str]) -> None:
    """End the process and close its pipes."""
    process.kill()
    process.communicate()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin and process.stdout
    return process.stdin, process.stdout


def compare(name: str, this: subprocess.Popen[str], other: subprocess.Popen[str], seconds: float) -> Compared:
    """Time a workload in blocks, both sides in turns. seconds: the time for both together."""
    sides: dict[str, list[float]] = {"this": [], "other": []}
    processes = {"this": this, "other": other}
    bits = [asked(process, name, 3)["bits"] for process in processes.values()]  # compiles, records, warms up
    once = float(np.median(asked(this, name, 3)["taken"]))
    steps = max(2, int(seconds / 2 / ROUNDS / once))
    for turn in range(ROUNDS):
        for side in ("this", "other") if turn % 2 else ("other", "this"):  # whoever comes first finds the other's caches
            sides[side] += asked(processes[side], name, steps + 2)["taken"][2:]
    medians = {side: 1000 * float(np.median(taken)) for side, taken in sides.items()}
    return Compared(medians["this"], medians["other"], medians["other"] / medians["this"], bits[0] == bits[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the folder of the other checkout")
    parser.add_argument("--workload", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=20.0, help="time for each workload, both sides together")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    this, other = started(HERE), started(options.other.resolve())
    found = {}
    try:
        for name in options.workload:
            found[name] = c = compare(name, this, other, options.seconds)
            bits = "the same bits" if c.same_bits else "OTHER BITS"
            print(f"{name:10} this {c.this:8.3f} ms, other {c.other:8.3f} ms, other / this {c.ratio:.3f}, {bits}", flush=True)
    finally:
        ended(this)
        ended(other)
    if options.json:
        report = {"stamp": stamp(), "workloads": {name: asdict(c) for name, c in found.items()}}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

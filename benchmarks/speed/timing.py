"""Fair timing: blocks of one side and of the other in turn, so that a machine whose speed drifts drifts for all alike."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
# What a figure may depend on. Records and pages are left out: they change while measurements are written into them.
CODE = ("setup.py", "pyproject.toml", "tinygan", "kernels", "benchmarks", "tests", ":(exclude)benchmarks/results")
SETTLE = 2  # calls at the start of every block that do not count: the other side's threads and cache lines go first


@dataclass(frozen=True)
class Times:
    """The milliseconds of a call: the median, and the quartiles as the spread."""

    median: float
    low: float
    high: float
    calls: int


def interleaved(sides: Mapping[str, Callable[[], object]], seconds: float, rounds: int = 7) -> dict[str, Times]:
    """Time every side's function for about `seconds` in all, in `rounds` blocks each."""
    for call in sides.values():
        call()
        call()
    counts = {name: max(2, int(seconds / rounds / _once(call))) for name, call in sides.items()}
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, call in sides.items():
            for _ in range(min(SETTLE, counts[name])):
                call()
            taken[name] += [_once(call) for _ in range(counts[name])]
    return {name: _summary(values) for name, values in taken.items()}


def _once(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _summary(seconds: list[float]) -> Times:
    low, median, high = (1000 * float(q) for q in np.percentile(seconds, (25, 50, 75)))
    return Times(median, low, high, len(seconds))


def sgemm_rate(size: int = 2048, calls: int = 9) -> float:
    """Return the FLOP/s of NumPy's BLAS on a float32 product of size^3, best of `calls`: a yardstick of what the machine can do."""
    a, b, c = (np.ones((size, size), np.float32) for _ in range(3))
    return 2 * size**3 / min(_once(lambda: np.matmul(a, b, out=c)) for _ in range(calls))


def stamp() -> dict[str, object]:
    """Return the CPU, cores, versions, commit and date with which a figure was measured.

    The commit is followed by "with changes" where files of CODE differ from it, or are there that it does not have.
    """
    names = ("numpy", "numba", "scipy", "torch", "jax")
    return {
        "cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version(), "date": datetime.date.today().isoformat(),
        "commit": commit(), "versions": {name: v for name in names if (v := _version(name))},
    }


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            lines = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
        known = {key.strip(): value.strip() for key, value in lines.items()}
        wide = "AVX-512" if "avx512f" in known.get("flags", "") else "AVX2" if "avx2" in known.get("flags", "") else ""
        return f"{known.get('model name', platform.machine())} {wide}".strip()
    except (OSError, ValueError):
        return platform.processor() or platform.machine()


def commit(root: Path = ROOT) -> str:
    """Return the short hash of a checkout's commit, with the words "with changes" if its CODE is not that commit's.

    It is "unknown" where there is no Git or no repository.
    """
    head, changes = _git(root, "rev-parse", "--short=7", "HEAD"), _git(root, "status", "--porcelain", "--", *CODE)
    if not head:
        return "unknown"
    return f"{head} with changes" if changes else head


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:  # there is no Git
        return ""
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

"""Run the files of Numba CUDA's tests in child processes, each test with a time limit, and collect what came of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

PLUGIN = "benchmarks.quality.numba_suite.plugin"
ROOT = Path(__file__).resolve().parents[3]
LEFT_OUT = ("benchmarks", "data", "ffi")
"""Folders without tests: timings (of pytest-benchmark), and files that tests read."""


class Outcome(NamedTuple):
    """What came of one test: "passed", "failed", "skipped", "out of time" or "died", and the end of the reason."""

    test: str
    outcome: str
    why: str
    seconds: float


def folder_of_tests() -> Path:
    """Return the folder of the tests that are installed with Numba CUDA. Raises FileNotFoundError where there are none."""
    import numba.cuda

    folder = Path(numba.cuda.__file__).parent / "tests"
    if not folder.is_dir():
        raise FileNotFoundError(f"no tests are installed with the numba.cuda of {numba.cuda.__file__}: pip install numba-cuda")
    return folder


def files(folder: Path) -> list[str]:
    """Return the files of tests, as paths from `folder`, in order of their names."""
    found = (path.relative_to(folder) for path in folder.rglob("test_*.py"))
    return sorted(str(path) for path in found if not set(path.parts) & set(LEFT_OUT))


def run(folder: Path, file: str, log: Path, seconds: float) -> list[Outcome]:
    """Run one file's tests and return their outcomes, in the order in which they ran.

    A child that dies, or that spends more than `seconds` in one test, is ended, and another one goes on with the tests that are left.
    log: the file of the children's reports, which is begun anew.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    ended: list[Outcome] = []
    done: set[str] = set()
    while True:
        verdict = _child(folder, file, log, done, seconds)
        collected, outcomes, open_test = read(log)
        if open_test is None and verdict is not None and not outcomes and not ended:
            return [Outcome(file, verdict, "no test was begun:" + _tail(log), 0.0)]
        if open_test is not None:
            with log.open("a") as text:
                text.write(json.dumps({"test": open_test, "outcome": verdict or "died", "why": _tail(log), "seconds": seconds}) + "\n")
            outcomes = read(log)[1]
        ended = outcomes
        done = {o.test for o in ended}
        if open_test is None or not set(collected) - done:
            return ended


def read(log: Path) -> tuple[list[str], list[Outcome], str | None]:
    """Return what a log tells: all tests, the outcomes of those that ended, and the test that was begun and did not end."""
    collected: dict[str, None] = {}
    outcomes: dict[str, Outcome] = {}
    begun: str | None = None
    for line in log.read_text().splitlines() if log.exists() else []:
        entry = json.loads(line)
        if "collected" in entry:
            collected |= dict.fromkeys(entry["collected"])
        elif "begun" in entry:
            begun = entry["begun"]
        else:
            outcomes[entry["test"]] = Outcome(**entry)
    return list(collected), list(outcomes.values()), begun if begun not in outcomes else None


def _child(folder: Path, file: str, log: Path, done: set[str], seconds: float) -> str | None:
    """Run what is not done of a file in a child. Return None where it ended by itself, else "died" or "out of time"."""
    paths = [str(ROOT), str(ROOT / "kernels"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "NUMBA_SUITE_LOG": str(log), "PYTHONPATH": os.pathsep.join(paths), "NUMBA_NUM_THREADS": "1"}
    skip = log.with_suffix(".done")
    skip.write_text("".join(f"--deselect={test}\n" for test in sorted(done)))
    options = ("-q", "-p", PLUGIN, "-p", "no:cacheprovider", "-p", "no:randomly", "-c", os.devnull, f"--rootdir={folder}", "--pyargs",
               "-o", "consider_namespace_packages=true", f"@{skip}")
    with log.with_suffix(".out").open("w") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, _module(file)],
            cwd=log.parent, env=environment, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            return _watched(child, log, seconds)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _module(file: str) -> str:
    return "numba.cuda.tests." + file.removesuffix(".py").replace("/", ".")


def _watched(child: subprocess.Popen, log: Path, seconds: float) -> str | None:
    """Wait until the child ends, or has written nothing for `seconds`."""
    size, since = -1, time.monotonic()
    while True:
        try:
            return "died" if child.wait(0.2) not in (0, 1, 5) else None  # pytest: all passed, some failed, nothing to run
        except subprocess.TimeoutExpired:
            pass
        now = log.stat().st_size if log.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > seconds:
            return "out of time"


def _tail(log: Path) -> str:
    out = log.with_suffix(".out")
    return out.read_text(errors="replace")[-1000:] if out.exists() else ""

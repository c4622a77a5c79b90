"""Run the files of Numba CUDA's tests in child processes, each test with a time limit, and collect what came of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.speed.timing import commit

PLUGIN = "benchmarks.quality.numba_suite.plugin"
PACKAGE = "numba.cuda.tests"
ROOT = Path(__file__).resolve().parents[3]
LEFT_OUT = ("benchmarks", "data", "ffi")
"""Folders without tests: timings (of pytest-benchmark), and files that tests read."""

STILL = 30
"""Seconds without any processor time after which a test is taken to wait for ever, as for a lock."""


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


def run(folder: Path, file: str, log: Path, seconds: float, package: str = PACKAGE) -> list[Outcome]:
    """Run one file's tests and return their outcomes, in the order in which they ran; each test that was collected has one.

    A child that dies, or that spends more than `seconds` in one test, is ended, and another one goes on with what is left.
    log: the file of the children's reports, which is begun anew. package: the name by which `folder` is imported.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(json.dumps({"commit": commit()}) + "\n")
    while True:
        verdict = _child(folder, f"{package}.{file.removesuffix('.py').replace('/', '.')}", log, seconds)
        collected, ended, open_test = read(log)
        left = set(collected) - {o.test for o in ended}
        if open_test is not None:
            _note(log, Outcome(open_test, verdict or "died", _tail(log), seconds))
            if left - {open_test}:
                continue
        elif left or (verdict is not None and not ended):  # another child would end in the same way
            for test in sorted(left) or [file]:
                _note(log, Outcome(test, verdict or "died", "no test was begun:" + _tail(log), 0.0))
        return read(log)[1]


def _note(log: Path, outcome: Outcome) -> None:
    """Add to a log what the child could not."""
    with log.open("a") as text:
        text.write(json.dumps(outcome._asdict()) + "\n")


def is_whole(log: Path) -> bool:
    """Return whether a log tells all of a file's tests: that of a run which was interrupted does not."""
    collected, outcomes, open_test = read(log)
    return bool(outcomes) and open_test is None and set(collected) <= {o.test for o in outcomes}


def commit_of(log: Path) -> str:
    """Return the commit that a file's tests ran on."""
    with log.open() as lines:
        return str(json.loads(next(lines)).get("commit", "not known"))


def read(log: Path) -> tuple[list[str], list[Outcome], str | None]:
    """Return what a log tells: all tests, the outcomes of those that ended, and the test that was begun and did not end."""
    collected: dict[str, None] = {}
    outcomes: dict[str, Outcome] = {}
    begun: str | None = None
    for line in log.read_text().splitlines() if log.exists() else []:
        entry = json.loads(line)
        if "commit" in entry:
            continue
        if "collected" in entry:
            collected |= dict.fromkeys(entry["collected"])
        elif "begun" in entry:
            begun = entry["begun"]
        else:
            outcomes[entry["test"]] = Outcome(**entry)
    return list(collected), list(outcomes.values()), begun if begun not in outcomes else None


def _child(folder: Path, module: str, log: Path, seconds: float) -> str | None:
    """Run in a child those tests of a module that have no outcome yet.

    Returns None where it ended by itself, else "died" or "out of time".
    """
    paths = [str(Path(__file__).parent / "site"), str(ROOT), str(ROOT / "kernels"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "NUMBA_SUITE_LOG": str(log), "PYTHONPATH": os.pathsep.join(paths), "NUMBA_NUM_THREADS": "1"}
    options = (
        "-q", "-p", PLUGIN, "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={folder}", "--pyargs",
        "-o", "consider_namespace_packages=true",
    )  # fmt: skip
    with log.with_suffix(".out").open("w") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, module],
            cwd=log.parent, env=environment, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            return _watched(child, log, seconds)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _watched(child: subprocess.Popen, log: Path, seconds: float) -> str | None:
    """Wait until the child ends, has written nothing for `seconds`, or has neither written nor computed for `STILL` seconds."""
    written, worked = (-1, time.monotonic()), (-1.0, time.monotonic())
    while True:
        try:
            return "died" if child.wait(0.5) not in (0, 1, 5) else None  # pytest: all passed, some failed, nothing to run
        except subprocess.TimeoutExpired:
            pass
        now = time.monotonic()
        size, used = log.stat().st_size if log.exists() else 0, _computed(child.pid)
        if size != written[0]:
            written = worked = (size, now)
        if used is not None and used != worked[0]:
            worked = (used, now)
        if now - written[1] > seconds or (used is not None and now - worked[1] > STILL):
            return "out of time"


def _computed(session: int) -> float | None:
    """Return the ticks of processor time that the processes of a session have used; None where there is no /proc to tell it."""
    if not os.path.exists("/proc/self/stat"):
        return None
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()  # from the third field on: state, parent, group, session, ...
            if int(fields[3]) == session:
                total += sum(map(int, fields[11:15]))
    return total


def _tail(log: Path) -> str:
    out = log.with_suffix(".out")
    return out.read_text(errors="replace")[-1000:] if out.exists() else ""

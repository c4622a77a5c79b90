"""Run the CUDA tests beside the packages that people have: `python -m benchmarks.environments.beside [--only NAME ...] [--keep]`

Each environment is made from nothing in a cache folder: first the other packages, as their users install them, then this checkout
with an extra. The record, benchmarks/results/beside.json, says for each what was installed, what the doctor says of it, how many
tests passed, failed and were skipped, and why. The tests run without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.docs.markdown import table
from benchmarks.speed.timing import stamp

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "benchmarks" / "results" / "beside.json"
KERNELS = "tests/tinygan_kernels"
CUDA_TESTS = tuple(f"{KERNELS}/{room}" for room in ("cuda", "emulator", "profiling", "doctor"))
# CuPy 13 needs a toolkit outside Python: there it is asked for its names, its arguments and its compiler alone
REAL_CUPY = (f"{KERNELS}/cuda/test_real_cupy.py", f"{KERNELS}/doctor")
# what decides which compiler the kernels meet, and what a figure may depend on
NAMED = ("numpy", "numba", "numba-cuda", "cuda-bindings", "cupy-cuda12x", "cupy-cuda13x", "torch", "nvidia-cuda-nvrtc",
         "nvidia-cuda-nvrtc-cu12", "nvidia-nvjitlink", "nvidia-nvjitlink-cu12")  # fmt: skip


@dataclass(frozen=True)
class Environment:
    """An environment. beside: what pip is given first; extra: how this checkout is then installed; tests: which are run."""

    name: str
    title: str
    beside: tuple[str, ...]
    extra: str
    tests: tuple[str, ...] = CUDA_TESTS


ENVIRONMENTS = (
    Environment("pytorch", "PyTorch", ("torch",), "test"),
    Environment("cupy-cuda13x", "CuPy, CUDA 13", (), "test,gpu-cuda13"),
    Environment("cupy-cuda12x", "CuPy, CUDA 12", (), "test-cuda12,gpu-cuda12"),
    Environment("numba-cuda-cu12", "Numba CUDA alone, CUDA 12", (), "test-cuda12"),
    Environment("cupy13-cuda13x", "CuPy 13, CUDA 13", ("cupy-cuda13x<14",), "test", REAL_CUPY),
    Environment("cupy13-cuda12x", "CuPy 13, CUDA 12", ("cupy-cuda12x<14",), "test-cuda12", REAL_CUPY),
)


class InstallationError(RuntimeError):
    """pip could not make an environment. The message ends with what pip says."""


def make(environment: Environment, cache: Path, keep: bool = False) -> Path:
    """Make an environment from nothing, or complete the one that is there, and return its Python. Raises InstallationError."""
    folder = cache / environment.name
    python = folder / "bin" / "python"
    if not (keep and python.exists()):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    for requirements in (environment.beside, ("-e", f"{ROOT}[{environment.extra}]")):
        if requirements:
            command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise InstallationError(f"{environment.name}: {' '.join(requirements)} cannot be installed\n{done.stderr[-2000:]}")
    return python


def installed_versions(names: Iterable[str], python: Path | str = sys.executable) -> dict[str, str]:
    """Return the versions of those of these packages that a Python has."""
    command = [str(python), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    have = {package["name"].lower(): package["version"] for package in listed}
    return {name: have[name] for name in names if name in have}


def doctor(python: Path) -> dict[str, Any]:
    """Return the doctor's exit code there, and its lines on CuPy and on compilers."""
    done = subprocess.run([str(python), "-m", "tinygan_kernels.doctor"], capture_output=True, text=True, check=False)
    return {"code": done.returncode, "lines": done.stdout.splitlines()}


def run_tests(python: Path, tests: tuple[str, ...]) -> dict[str, Any]:
    """Run tests with that Python. Returns what `outcome` makes of pytest's record, and the seconds. Raises RuntimeError."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.xml"
        as_make_does = ("-n", "2", "--dist", "worksteal")
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={record}", *as_make_does, *tests]
        begun = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
        if not record.exists():
            raise RuntimeError(f"pytest left no record:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return {**outcome(record.read_text()), "seconds": round(time.perf_counter() - begun)}


def outcome(record: str) -> dict[str, Any]:
    """Return how many tests passed, which failed, and how many were skipped for which reason, from pytest's JUnit record."""
    passed, failed, skipped = 0, [], Counter()
    for case in ET.fromstring(record).iter("testcase"):
        wrong = [node for node in case if node.tag in ("failure", "error")]
        if wrong:
            failed.append(f"{case.get('classname')}::{case.get('name')}: {_first_line(wrong[0].get('message'))}")
        elif (skip := case.find("skipped")) is not None:
            skipped[_first_line(skip.get("message"))] += 1
        else:
            passed += 1
    return {"passed": passed, "failed": failed, "skipped": dict(skipped.most_common())}


def _first_line(message: str | None) -> str:
    return (message or "no reason").strip().splitlines()[0][:200]


def tried(environment: Environment, cache: Path, whole: bool, keep: bool = False) -> dict[str, Any]:
    """Make an environment, run its tests, and return its part of the record. Raises InstallationError, RuntimeError."""
    python = make(environment, cache, keep)
    tests = ("tests",) if whole else environment.tests
    made = stamp()
    return {
        "title": environment.title, "beside": list(environment.beside), "extra": environment.extra, "tests": list(tests),
        **{name: made[name] for name in ("python", "commit", "date")},
        "versions": installed_versions(NAMED, python), "doctor": doctor(python),
        **run_tests(python, tests),
    }


# ---- the page -------------------------------------------------------------------------------------------------------------------


def section(record: dict[str, Any]) -> str:
    """Return the table of the environments, and what was skipped or failed in them and why."""
    found = record["environments"]
    head = ["beside", "installed as", "versions", "passed", "skipped", "failed"]
    rows = [
        [row["title"], _installed(row), _versions(row["versions"]), str(row["passed"]), str(sum(row["skipped"].values())),
         str(len(row["failed"]))]
        for row in found.values()
    ]  # fmt: skip
    reasons: dict[str, list[str]] = {}
    for row in found.values():
        for reason, count in row["skipped"].items():
            reasons.setdefault(reason, []).append(f"{count} ({row['title']})")
    skipped = [f"- {reason.removeprefix('Skipped: ')}: {', '.join(counts)}." for reason, counts in reasons.items()]
    failed = [f"- {row['title']}: `{test.split(': ')[0]}`" for row in found.values() for test in row["failed"]]
    commits = "; ".join(dict.fromkeys(f"commit {row['commit']}, {row['date']}" for row in found.values()))
    pythons = ", ".join(dict.fromkeys(row["python"] for row in found.values()))
    parts = [table(head, rows), f"Python {pythons}; {commits}.", *_listed("What was skipped, and why", skipped)]
    return "\n\n".join([*parts, *_listed("What failed", failed)])


def _listed(title: str, lines: list[str]) -> list[str]:
    return [f"{title}:\n\n" + "\n".join(lines)] if lines else []


def _installed(row: dict[str, Any]) -> str:
    first = f"`pip install {' '.join(row['beside'])}`, then " if row["beside"] else ""
    return f"{first}`.[{row['extra']}]`"


def _versions(versions: dict[str, str]) -> str:
    """Return the versions that decide which compilers are met."""
    short = {"torch": "PyTorch", "cupy-cuda12x": "CuPy", "cupy-cuda13x": "CuPy", "numba-cuda": "Numba CUDA", "numpy": "NumPy",
             "nvidia-cuda-nvrtc": "NVRTC", "nvidia-cuda-nvrtc-cu12": "NVRTC"}  # fmt: skip
    return ", ".join(f"{short[name]} {version}" for name, version in versions.items() if name in short)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=[e.name for e in ENVIRONMENTS], help="only these; the record keeps the others")
    parser.add_argument("--whole", action="store_true", help="all tests, not those of CUDA alone")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "environments", help="where the environments are made")
    parser.add_argument("--keep", action="store_true", help="complete the environments that are there, and make only the others")
    args = parser.parse_args(arguments)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {"environments": {}}
    found, wrong = record["environments"], 0
    for environment in ENVIRONMENTS:
        if args.only is None or environment.name in args.only:
            try:
                row = found[environment.name] = tried(environment, args.cache.resolve(), args.whole, args.keep)
            except (InstallationError, RuntimeError) as error:
                print(f"{environment.title}: {error}", flush=True)
                wrong += 1
                continue
            skipped = sum(row["skipped"].values())
            print(f"{environment.title}: {row['passed']} passed, {len(row['failed'])} failed, {skipped} skipped", flush=True)
            wrong += bool(row["failed"])
            record["environments"] = {e.name: found[e.name] for e in ENVIRONMENTS if e.name in found}
            RECORD.write_text(json.dumps(record, indent=1) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

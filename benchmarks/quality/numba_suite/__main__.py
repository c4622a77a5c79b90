"""Run Numba CUDA's own tests on the emulator: python -m benchmarks.quality.numba_suite [--json FILE] [--only NAME] [--resume].

Nothing is fetched: the tests are those of the numba-cuda that is installed. They want `filecheck`, `cffi`, `psutil` and `ml_dtypes`
besides; without one of them the tests that need it fail or skip themselves.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from .runner import ROOT, Outcome, files, folder_of_tests, read, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the counts and what did not pass there")
    parser.add_argument("--only", default="", help="only files whose path contains this")
    parser.add_argument("--seconds", type=float, default=120, help="the most that one test may take")
    parser.add_argument("--logs", type=Path, default=ROOT / ".cache" / "numba_suite", help="the folder of the tests' outputs")
    parser.add_argument("--resume", action="store_true", help="take the outcomes of files that ran whole from their logs")
    chosen = parser.parse_args()
    folder = folder_of_tests()
    found: list[Outcome] = []
    for file in files(folder):
        if chosen.only not in file:
            continue
        log = chosen.logs.resolve() / f"{file.replace('/', '.')}.jsonl"
        outcomes = _kept(log) if chosen.resume and log.exists() else run(folder, file, log, chosen.seconds)
        found += outcomes
        print(file, *(f"{n} {kind}" for kind, n in Counter(o.outcome for o in outcomes).items()), flush=True)


def _kept(log: Path) -> list[Outcome]:
    return read(log)[1]


if __name__ == "__main__":
    main()

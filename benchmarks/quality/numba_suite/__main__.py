"""Run Numba CUDA's own tests on the emulator: python -m benchmarks.quality.numba_suite [--json FILE] [--only NAME] [--resume].

Nothing is fetched: the tests are those of the numba-cuda that is installed. They want `filecheck`, `cffi`, `psutil` and `ml_dtypes`
besides; without one of them the tests that need it fail or skip themselves. A file whose outcomes come from an earlier run
counts for the commit that it ran on.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numba_cuda

from benchmarks.speed.timing import stamp

from .reasons import REASONS, reason_of
from .runner import ROOT, Outcome, commit_of, files, folder_of_tests, is_whole, read, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the counts there, and what did not pass, by name")
    parser.add_argument("--only", default="", help="only files whose path contains this")
    parser.add_argument("--seconds", type=float, default=240, help="the most that one test may take")
    parser.add_argument("--logs", type=Path, default=ROOT / ".cache" / "numba_suite", help="the folder of the tests' outputs")
    parser.add_argument("--resume", action="store_true", help="take outcomes from the logs of files that ran to their end")
    parser.add_argument("--kept", action="store_true", help="run nothing: sum up what the logs of earlier runs say")
    chosen = parser.parse_args()
    folder = folder_of_tests()
    found: list[Outcome] = []
    left_out: list[str] = []
    commits: Counter[str] = Counter()
    for file in files(folder):
        log = chosen.logs.resolve() / f"{file.replace('/', '.')}.jsonl"
        if chosen.only not in file or (chosen.kept and not is_whole(log)):
            left_out.append(file)
            continue
        known = (chosen.resume or chosen.kept) and is_whole(log)
        outcomes = read(log)[1] if known else run(folder, file, log, chosen.seconds)
        found += outcomes
        commits[commit_of(log)] += 1
        print(file, *(f"{n} {kind}" for kind, n in Counter(o.outcome for o in outcomes).items()), flush=True)
    record = summary(found) | {"files": sum(commits.values()), "files by commit": dict(commits)}
    print(*(f"{key}: {value}" for key, value in record.items() if isinstance(value, int)), sep="\n")
    for reason, tests in record["not passed"].items():
        print(f"{reason}:", *tests, sep="\n  ")
    if chosen.json:
        versions = {"numba-cuda": numba_cuda.__version__}
        chosen.json.write_text(json.dumps({"stamp": stamp(), **versions, **record, "files not run": left_out}, indent=1) + "\n")


def summary(found: list[Outcome]) -> dict:
    """Return how many tests passed, did not pass and skipped themselves, and the names of those that did not, by reason."""
    by_reason: dict[str, list[str]] = {}
    skipped: Counter[str] = Counter()
    for o in found:
        if o.outcome == "skipped":
            skipped[o.why.strip().splitlines()[-1] if o.why.strip() else "no reason given"] += 1
        elif o.outcome != "passed":
            by_reason.setdefault(reason_of(o.test), []).append(f"{o.test} ({o.outcome})")
    counts = Counter(o.outcome for o in found)
    return {
        "tests": len(found), "passed": counts["passed"], "failed": len(found) - counts["passed"] - counts["skipped"],
        "skipped": counts["skipped"], "not passed": by_reason,
        "reasons": {r.name: r.sentence for r in REASONS if r.name in by_reason}, "skipped for": dict(skipped.most_common()),
    }  # fmt: skip


if __name__ == "__main__":
    main()

"""Run Numba CUDA's own tests on the emulator: python -m benchmarks.quality.numba_suite [--json FILE] [--only NAME].

Nothing is fetched: the tests are those of the numba-cuda that is installed. They want `filecheck`, `cffi`, `psutil` and `ml_dtypes`
besides; without one of them the tests that need it fail or skip themselves. A file whose outcomes come from an earlier run counts
for the commit that it ran on: `--resume --json FILE` goes on with a run that was interrupted, and `--only NAME --onto FILE --json
FILE` brings a record up to date in part.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numba_cuda

from benchmarks.speed.timing import stamp

from .record import Record, onto, summary
from .runner import ROOT, Outcome, commit_of, files, folder_of_tests, is_whole, read, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the counts there, and what did not pass, by name")
    parser.add_argument("--only", default="", help="only files whose path contains this")
    parser.add_argument("--seconds", type=float, default=240, help="the most that one test may take")
    parser.add_argument("--logs", type=Path, default=ROOT / ".cache" / "numba_suite", help="the folder of the tests' outputs")
    parser.add_argument("--onto", type=Path, help="add to an earlier record, test by test, what was run now")
    parser.add_argument("--resume", action="store_true", help="take outcomes from the logs of files that ran to their end")
    parser.add_argument("--kept", action="store_true", help="run nothing: sum up what the logs of earlier runs say")
    chosen = parser.parse_args()
    earlier = earlier_record(chosen.onto) if chosen.onto else None
    folder = folder_of_tests()
    found: list[Outcome] = []
    left_out: list[str] = []
    commits: dict[str, list[str]] = {}
    for file in files(folder):
        log = chosen.logs.resolve() / f"{file.replace('/', '.')}.jsonl"
        if chosen.only not in file or (chosen.kept and not is_whole(log)):
            left_out.append(file)
            continue
        known = (chosen.resume or chosen.kept) and is_whole(log)
        outcomes = read(log)[1] if known else run(folder, file, log, chosen.seconds)
        found += outcomes
        commits.setdefault(commit_of(log), []).append(file)
        print(file, *(f"{n} {kind}" for kind, n in Counter(o.outcome for o in outcomes).items()), flush=True)
    if not commits:
        raise SystemExit("no file of tests was run" + (f": none has {chosen.only} in its path" if chosen.only else ""))
    record = summary(found) | {"files by commit": commits, "files not run": left_out}
    if earlier is not None:
        record = onto(earlier, record, found)
    print(*(f"{key}: {value}" for key, value in record.items() if isinstance(value, int)), sep="\n")
    for reason, tests in record["not passed"].items():
        print(f"{reason}:", *tests, sep="\n  ")
    if chosen.json:
        versions = {"numba-cuda": numba_cuda.__version__}
        chosen.json.write_text(json.dumps({"stamp": stamp(), **versions, **record}, indent=1) + "\n")


def earlier_record(path: Path) -> Record:
    """Return the record that is brought up to date. Exits where it cannot be read, or is of another numba-cuda than this one."""
    try:
        earlier: Record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SystemExit(f"--onto {path} is no record that can be read: {error}") from None
    if earlier["numba-cuda"] != numba_cuda.__version__:
        versions = f"numba-cuda {earlier['numba-cuda']}, installed is {numba_cuda.__version__}"
        raise SystemExit(f"{path} is of {versions}: run all files anew")
    return earlier


if __name__ == "__main__":
    main()

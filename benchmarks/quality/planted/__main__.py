"""Plant faults and see that tests notice: `python -m benchmarks.quality.planted [WORD ...] [--rest]`, as `make mutation` does.

Each fault is one that somebody could make: a sign, a player, a place, an order, a default. It is planted in a copy of the project,
and the tests of its suite run there until one fails. The record names that test, and the commit at which the fault was tried. A
fault that no test notices is an error, and so is one that keeps the code from being imported, as it would prove nothing. With
words, only those faults are tried whose sentence or path has one of them, and with --rest those of which the record does not say
that they are noticed; the record keeps what it says of the others, as long as they change the same text in the same way.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.quality.planted import (
    checkpoint_faults,
    game_faults,
    learning_faults,
    measure_faults,
    sanitizer_faults,
    stream_faults,
)
from benchmarks.quality.planted.fault import Fault
from benchmarks.quality.planted.trial import first_failure, load_libraries
from benchmarks.speed.timing import stamp

ROOT = Path(__file__).parents[3]
RECORD = ROOT / "benchmarks/results/planted.json"
TABLES = (game_faults, learning_faults, measure_faults, checkpoint_faults, sanitizer_faults, stream_faults)
SUITES = tuple(suite for table in TABLES for suite in table.SUITES)
CHANGES = {(fault.path, fault.about): [fault.old, fault.new] for suite in SUITES for fault in suite.faults}
Rows = dict[tuple[str, str], dict[str, Any]]
LIMIT = 600  # seconds for the tests of one fault; what makes them hang is noticed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="try those faults alone whose sentence or path has it")
    parser.add_argument("--rest", action="store_true", help="try those faults alone that the record does not have as noticed")
    parser.add_argument("--json", type=Path, default=RECORD, help="the record")
    arguments = parser.parse_args()
    known = as_planted_now(known_rows(arguments.json))
    load_libraries()
    folder, now, rows = copied(ROOT / ".cache/planted"), stamp(), {}
    for fault, tests in every():
        key = (fault.path, fault.about)
        by_word = not arguments.words or any(word in f"{fault.path} {fault.about}" for word in arguments.words)
        if not by_word or (arguments.rest and known.get(key, {}).get("noticed_by")):
            rows.update({key: known[key]} if key in known else {})
            continue
        rows[key] = {"path": fault.path, "fault": fault.about, "change": CHANGES[key],
                     "noticed_by": noticed(fault, tests, folder), "commit": now["commit"]}
        print(f"{fault.path}: {fault.about}: {rows[key]['noticed_by'] or 'NOT NOTICED'}", flush=True)
        write(arguments.json, now, {**known, **rows})
    write(arguments.json, now, rows)  # without those that are planted no more
    missed = sum(row["noticed_by"] is None for row in rows.values())
    print(f"{len(rows) - missed} of {len(rows)} planted faults are noticed")
    return bool(missed)


def known_rows(path: Path) -> Rows:
    """Return the rows of a record by path and fault; none where there is no record yet."""
    return {(row["path"], row["fault"]): row for row in json.loads(path.read_text())["faults"]} if path.exists() else {}


def as_planted_now(rows: Rows) -> Rows:
    """Return the rows of faults that change the same text in the same way today: one that was written anew has not been tried."""
    return {key: row for key, row in rows.items() if row.get("change") == CHANGES.get(key, ())}


def write(path: Path, now: dict[str, object], rows: Rows) -> None:
    """Write a record."""
    path.write_text(json.dumps({"stamp": now, "faults": list(rows.values())}, indent=1, ensure_ascii=False) + "\n")


def every() -> Iterator[tuple[Fault, tuple[str, ...]]]:
    """Yield each fault with the tests that have to notice it."""
    for suite in SUITES:
        for fault in suite.faults:
            yield fault, suite.tests


def copied(folder: Path) -> Path:
    """Copy the code and its tests to a folder, where compiled loops may lie from the last time."""
    for part in ("tinygan", "kernels", "tests", "benchmarks", "pyproject.toml", "setup.py", "README.md"):
        source = ROOT / part
        if source.is_dir():
            for old in (folder / part).rglob("*.py"):
                old.unlink()
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(source, folder / part)
    return folder


def noticed(fault: Fault, tests: tuple[str, ...], folder: Path) -> str | None:
    """Return the first test that fails with a fault, or how else its process ended, and None where all pass."""
    path = folder / fault.path
    source, times = path.read_text(), path.stat()
    path.write_text(fault.planted(ROOT))
    try:
        return first_failure(tests, folder, LIMIT)
    finally:
        path.write_text(source)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # Numba knows what it compiled by the file's time


if __name__ == "__main__":
    sys.exit(main())

"""Rows of a measured table in a JSON file: which one stays where a row was measured twice, and on which commits its seeds ran.

A row is {"data", "preset", "options", "runs", "diverged", "stamps"}: the numbers of every seed's run, how many seeds diverged, the
options that they ran with, and stamps, one for each commit and machine, with how many of the row's seeds, in order, are of it.

A row under way, of which seeds are missing, stands in a file of its own beside the record, `<record>.growing.json`. A job that is
cut short goes on from there, seed by seed; the record itself holds rows that are finished. Jobs that measure other rows at the same
time, on one machine, wait for one another while a file is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Record = dict[str, Any]


def seeds_of(row: Row) -> int:
    """Return how many seeds a row has been measured with, those that diverged included."""
    return len(row["runs"]) + row["diverged"]


def steps_of(row: Row) -> float:
    """Return the steps of a row's runs; 0 where all of them diverged and no options were recorded."""
    return row["runs"][0].get("steps", 0) if row["runs"] else row.get("options", {}).get("steps", 0)


def same_place(a: Row, b: Row) -> bool:
    """Decide whether two rows belong in the same place of a table."""
    return (a["data"], a["preset"]) == (b["data"], b["preset"])


def same_options(row: Row, options: dict[str, Any]) -> bool:
    """Decide whether a row, as it was read from JSON, ran with these options. A row that recorded none did not."""
    return row.get("options") == json.loads(json.dumps(options))


def with_seed(stamps: list[dict[str, Any]], stamp: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the stamps of a row after one more seed, which ran with `stamp`: that of the seed before, or one more."""
    if stamps and {name: value for name, value in stamps[-1].items() if name != "seeds"} == stamp:
        return [*stamps[:-1], {**stamps[-1], "seeds": stamps[-1]["seeds"] + 1}]
    return [*stamps, {**stamp, "seeds": 1}]


# ---- finished rows --------------------------------------------------------------------------------------------------------------


def keep(rows: list[Row], measured: Row, whole: bool = True) -> Row:
    """Put a row into a table, in the place of an earlier measurement if there is one, else at the end; return the one that stays.

    The earlier row stays where it has more seeds, and, unless the new one is `whole`, where it has more steps: a run that was cut
    to fewer steps than its set-up has is no better than one that was not.
    """
    at = next((i for i, row in enumerate(rows) if same_place(row, measured)), None)
    if at is None:
        rows.append(measured)
        return measured
    earlier = rows[at]
    if seeds_of(earlier) > seeds_of(measured) or (not whole and steps_of(earlier) > steps_of(measured)):
        return earlier
    rows[at] = measured
    return measured


def finish(path: Path, table: str, measured: Row, whole: bool = True) -> Row:
    """Put a row into the record at `path`, take it out of the file of those under way, and return the row that the record has now.

    The record is read anew, as another job may have written other rows. whole: as `keep` takes it.
    """
    with _alone(path):
        record = _read(path)
        kept = keep(record["tables"].setdefault(table, []), measured, whole)
        if kept is measured:
            record["stamp"] = {name: value for name, value in measured["stamps"][-1].items() if name != "seeds"}
            _write(path, record)
        _put_aside(path, table, measured, None)
    return kept


def finished(path: Path, table: str, place: Row, options: dict[str, Any], seeds: int) -> bool:
    """Decide whether the record has this row already, measured with these options and at least so many seeds."""
    rows = _read(path)["tables"].get(table, [])
    return any(same_place(row, place) and same_options(row, options) and seeds_of(row) >= seeds for row in rows)


# ---- rows under way -------------------------------------------------------------------------------------------------------------


def growing_file(path: Path) -> Path:
    """Return the file in which rows of the record at `path` stand until all their seeds ran."""
    return path.with_name(f"{path.stem}.growing.json")


def begun(path: Path, table: str, place: Row, options: dict[str, Any]) -> Row | None:
    """Return the row that an earlier job has begun with these options, None if there is none."""
    rows = _read(growing_file(path))["tables"].get(table, [])
    return next((row for row in rows if same_place(row, place) and same_options(row, options)), None)


def put_aside(path: Path, table: str, growing: Row) -> None:
    """Keep a row under way, in the place of what there was of it."""
    with _alone(path):
        _put_aside(path, table, growing, growing)


def _put_aside(path: Path, table: str, place: Row, row: Row | None) -> None:
    """Put `row` in its place among those under way; without one, empty the place, and remove the file where it is the last."""
    file = growing_file(path)
    record = _read(file)
    others = [one for one in record["tables"].get(table, []) if not same_place(one, place)]
    record["tables"][table] = [*others, *([row] if row else [])]
    if any(record["tables"].values()):
        _write(file, record)
    else:
        file.unlink(missing_ok=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other jobs of this machine from a record and its rows under way: what is read here is what it is when it is written.

    The lock is the system's own, which loses nobody who is killed, on a file in the folder for temporary ones.
    """
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    with open(Path(tempfile.gettempdir()) / f"tinygan-record-{name}.lock", "ab") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> Record:
    record: Record = json.loads(path.read_text()) if path.exists() else {"tables": {}}
    return record


def _write(path: Path, record: Record) -> None:
    """Write a record whole: a job that is killed leaves the file as it was before, or as it is to be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.tmp")
    beside.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(beside, path)

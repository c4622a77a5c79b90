"""The record of a run: how many tests passed, which did not and why, and how an earlier record is brought up to date in part."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .reasons import REASONS, reason_of
from .runner import Outcome

Record = dict[str, Any]


def summary(found: list[Outcome]) -> Record:
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


def onto(earlier: Record, record: Record, found: list[Outcome]) -> Record:
    """Return an earlier record of the same version of Numba CUDA, with what a run of some files found in the place of what it says.

    record: the run's own, with "files by commit" and "files not run"; found: its outcomes. Tests of files that the earlier record
    has not run are added. Of the others it names those that did not pass, for which the new outcome counts; a test that it does not
    name had passed or skipped itself, and is taken to have skipped itself if it does so now.
    """
    before = {_test(name) for names in earlier["not passed"].values() for name in names}
    unseen, now = set(earlier["files not run"]), {o.test for o in found}
    again = [o for o in found if o.test.partition("::")[0] not in unseen]
    counts = Counter({key: earlier[key] for key in ("passed", "failed", "skipped")})
    counts.update(map(_counted, found))
    counts.subtract("failed" if o.test in before else "skipped" if o.outcome == "skipped" else "passed" for o in again)
    by_reason: dict[str, list[str]] = {}
    left = [name for names in earlier["not passed"].values() for name in names if _test(name) not in now]
    for name in [*left, *(name for names in record["not passed"].values() for name in names)]:
        by_reason.setdefault(reason_of(_test(name)), []).append(name)
    new = [o for o in found if o not in again or o.test in before]
    skipped = Counter(earlier["skipped for"]) + Counter(summary(new)["skipped for"])
    fresh_files = {file for files in record["files by commit"].values() for file in files}
    older = earlier.get("files by commit") or {earlier["stamp"]["commit"]: set(record["files not run"]) | fresh_files}
    by_commit = {commit: sorted(set(files) - fresh_files - unseen) for commit, files in older.items()}
    for commit, files in record["files by commit"].items():
        by_commit[commit] = sorted({*by_commit.get(commit, []), *files})
    return {
        "tests": sum(counts.values()), **counts, "not passed": by_reason,
        "reasons": {r.name: r.sentence for r in REASONS if r.name in by_reason}, "skipped for": dict(skipped.most_common()),
        "files by commit": {commit: files for commit, files in by_commit.items() if files},
        "files not run": sorted(unseen & set(record["files not run"])),
    }  # fmt: skip


def _test(name: str) -> str:
    """Return the id of a test that a record names with its outcome, in brackets."""
    return name.rpartition(" (")[0]


def _counted(outcome: Outcome) -> str:
    return outcome.outcome if outcome.outcome in ("passed", "skipped") else "failed"

"""Print the confusion table of planted mistakes: python -m benchmarks.quality.derivations [--json FILE] [--only NAME] [--all]."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.speed.timing import stamp

from .table import CASES, SILENCE, Answer, answers, right_called_wrong, summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the counts there")
    parser.add_argument("--only", default="", help="only functions whose name contains this")
    parser.add_argument("--all", action="store_true", help="print every answer, not only those that are not right")
    chosen = parser.parse_args()
    cases = [case for case in CASES if chosen.only in case.name]
    wrong_rights = right_called_wrong(cases)
    found = answers(cases)
    for a in found:
        if chosen.all or not a.rightly:
            print(
                f"{_mark(a)} {a.case}: {a.label} -> {a.named} ({a.confidence}) {a.sentence}"
            )
    counts = summary(found, wrong_rights)
    print(*wrong_rights, sep="\n")
    print(table(counts["confusion"]))
    print({key: value for key, value in counts.items() if key != "confusion"})
    if chosen.json:
        chosen.json.write_text(json.dumps({"stamp": stamp(), **counts, "silent_about": _told(found)}, indent=1) + "\n")


def _mark(a: Answer) -> str:
    return "ok   " if a.rightly else "WRONG" if a.wrongly else "-    "


def _told(found: list[Answer]) -> list[str]:
    return [f"{a.case}: {a.label}" for a in found if a.named == SILENCE]


def table(confusion: dict[str, dict[str, int]]) -> str:
    """Return the confusion table as text: a row for each planted kind, a column for each name given."""
    columns = [*confusion, *sorted({name for row in confusion.values() for name in row} - set(confusion))]
    wide = max(map(len, [*confusion, "planted"]))
    lines = [" " * wide + "  " + " ".join(f"{i:>4}" for i in range(1, len(columns) + 1))]
    lines += [f"{kind:<{wide}}  " + " ".join(f"{row.get(c, 0) or '.':>4}" for c in columns) for kind, row in confusion.items()]
    return "\n".join([*lines, *(f"{i:>3} {name}" for i, name in enumerate(columns, 1))])


if __name__ == "__main__":
    main()

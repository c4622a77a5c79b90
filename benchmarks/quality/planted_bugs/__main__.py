"""Count planted bugs caught and missed, and false alarms: `python -m benchmarks.quality.planted_bugs`

Options: --json FILE, --only WORDS, --all, --write. Each bug stands in a kernel or a script of its own, beside which runs a twin
that differs by what is wrong. Caught means that the sanitizer's right tool reports it; placed, that it points at the line of the
bug; a finding in a twin is a false alarm. The cases were at hand while the sanitizer was written: they say that it does what it
is meant to, not how it fares with strange code.

All that is found of each bug, word for word, is kept in findings.json, with which a test compares it: read the changes that
`--write` makes there before you commit them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tinygan_kernels.emulator.host import nvrtc

from benchmarks.speed.timing import stamp

from . import (
    asynchronous,
    block_idioms,
    block_races,
    bounds,
    grid_idioms,
    grid_races,
    heap,
    meetings,
    memory_idioms,
    scripts,
    strong_races,
    texture_idioms,
)
from .case import Runnable, Verdict, judged

FINDINGS = Path(__file__).with_name("findings.json")
IDIOMS = (*memory_idioms.CASES, *block_idioms.CASES, *grid_idioms.CASES, *texture_idioms.CASES, *asynchronous.CASES)
LATER = (*strong_races.CASES, *heap.CASES, *scripts.CASES)
CASES: tuple[Runnable, ...] = (*bounds.CASES, *block_races.CASES, *grid_races.CASES, *meetings.CASES, *IDIOMS, *LATER)


def summary(verdicts: list[Verdict]) -> dict[str, int]:
    """Return the counts of a list of verdicts."""
    return {
        "bugs": len(verdicts),
        "caught": sum(v.caught for v in verdicts),
        "placed": sum(v.placed for v in verdicts),
        "missed": sum(not v.caught for v in verdicts),
        "twins": len(verdicts),
        "false_alarms": sum(bool(v.false) for v in verdicts),
    }


def compiler() -> str:
    """Return the compiler's version. With another one lanes may go other ways, and the numbers of a finding be other ones."""
    return f"NVRTC {'.'.join(map(str, nvrtc.version()))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the counts there")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--all", action="store_true", help="print every case, not only those that are not right")
    parser.add_argument("--write", action="store_true", help=f"keep what is found in {FINDINGS.name}")
    chosen = parser.parse_args()
    verdicts = [judged(case) for case in CASES if chosen.only in case.name]
    for v in verdicts:
        if chosen.all or not v.placed or v.false:
            marks = ("caught" if v.placed else "caught elsewhere" if v.caught else "MISSED") + (", FALSE ALARM" if v.false else "")
            said = [*(f"    {text}" for text in v.said), *(f"    twin: {text}" for text in v.false)]
            print(f"{marks}: {v.case.name}", *said, sep="\n")
    if chosen.write:
        kept = {"compiler": compiler(), "found": {v.case.name: v.whole for v in verdicts}}
        FINDINGS.write_text(json.dumps(kept, indent=1) + "\n")
    counts = summary(verdicts)
    print(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items()))
    if chosen.json:
        chosen.json.write_text(json.dumps({"stamp": stamp(), **counts}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Every planted bug is caught at its line, and nothing is found in its right twin."""

import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from benchmarks.quality.planted_bugs.__main__ import CASES, summary
from benchmarks.quality.planted_bugs.case import Case, judged


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_planted_bug_and_its_twin(case):
    verdict = judged(case)
    assert verdict.placed, verdict.said
    assert not verdict.false, verdict.false


def test_names_are_different():
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_miss_a_wrong_place_and_a_false_alarm_are_counted():
    """Cases that are wrong on purpose: no bug, a bug whose line is not marked, a twin with a bug."""
    verdicts = [
        judged(Case("no bug", "racecheck", "y[t] = {{1|1}};  // BUG")),
        judged(Case("no mark", "memcheck", "x[t + {{200|0}}] = 1;")),
        judged(Case("a wrong twin", "memcheck", "x[t + {{200|300}}] = 1;  // BUG")),
        judged(Case("another tool", "synccheck", "x[t + {{200|0}}] = 1;  // BUG")),
    ]
    counts = summary(verdicts)
    assert counts == {"bugs": 4, "caught": 2, "placed": 1, "missed": 2, "twins": 4, "false_alarms": 1}

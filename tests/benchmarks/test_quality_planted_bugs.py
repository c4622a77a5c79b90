"""Every planted bug is caught at its line, and nothing is found in its right twin."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels.emulator import Finding

from benchmarks.quality.planted_bugs.__main__ import CASES, FINDINGS, compiler, summary
from benchmarks.quality.planted_bugs.case import Case, judged, whole

KEPT = json.loads(FINDINGS.read_text())
WRITE = "run `python -m benchmarks.quality.planted_bugs --write`, and read what it changes in findings.json"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_planted_bug_and_its_twin(case):
    verdict = judged(case)
    assert verdict.placed, verdict.said
    assert not verdict.false, verdict.false
    if compiler() == KEPT["compiler"]:
        assert list(verdict.whole) == KEPT["found"].get(case.name), WRITE


def test_findings_are_kept_of_every_case():
    assert list(KEPT["found"]) == [case.name for case in CASES], WRITE
    if compiler() != KEPT["compiler"]:
        pytest.skip(f"findings are compared word for word with {KEPT['compiler']} alone; here is {compiler()}")


def test_each_part_of_a_finding_is_compared():
    x = np.zeros(8, np.int32)
    found = Finding("racecheck", "m", "k", "kernel.cu:1", 3, (1, 0, 0), (2, 0, 0), x.ctypes.data + 4, "global", 2, sides=(1, 2))
    text = whole(found, {"x": x})
    assert text == ("racecheck: m at global address x + 4 by thread (2, 0, 0) of block (1, 0, 0) in k, kernel.cu:1 (2 times); "
                    "sides 1 and 2")
    others = (("tool", "memcheck"), ("message", "n"), ("kernel", "l"), ("source", "kernel.cu:2"), ("block", (0, 0, 0)),
              ("thread", (0, 0, 0)), ("address", x.ctypes.data), ("space", "shared"), ("count", 3), ("sides", (1, 3)),
              ("order", "later"))  # fmt: skip
    assert all(whole(replace(found, **{name: value}), {"x": x}) != text for name, value in others)
    wild = [replace(found, message=f"{n} bytes before argument {i} (1024 bytes)", address=n) for n, i in ((2**40, 0), (2**41, 1))]
    assert whole(wild[0], {"x": x}) == whole(wild[1], {"x": x})


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

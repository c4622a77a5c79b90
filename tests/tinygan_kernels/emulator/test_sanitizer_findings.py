"""How findings are counted, joined and handed over."""

from types import SimpleNamespace

import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels.emulator.sanitizer.findings import (
    Finding,
    PrivateReport,
    Report,
    SanitizerError,
    checking,
    checks,
    sanitize,
    schedules_wanted,
)

MACHINE = SimpleNamespace(position=lambda lane: ((lane // 32, 0, 0), (lane % 32, 0, 0)))


def site(line: int = 7, ptx_line: int = 20) -> SimpleNamespace:
    """Return an instruction of a line of kernel.cu; 0 is no line of it, as in PTX without .loc."""
    source = f"kernel.cu:{line}" if line else "no source line"
    return SimpleNamespace(line=(1 if line else 0, line), ptx_line=ptx_line, source=source)


def reported(*more: tuple) -> Report:
    """Return a report of a race at line 7 by lane 40, and more."""
    report = Report("k")
    for given in (("racecheck", "race; the other is a", site(), MACHINE, 40, 16, "shared", 3, (1, 2)), *more):
        report.add(*given)
    return report


def test_a_finding_has_all_that_was_reported():
    (found,) = reported().findings.values()
    assert found == Finding("racecheck", "race; the other is a", "k", "kernel.cu:7", 20, (1, 0, 0), (8, 0, 0), 16, "shared", 3,
                            sides=(1, 2))  # fmt: skip
    report = Report("other")
    report.add("synccheck", "mask", site(9, 30), MACHINE, 5)
    assert list(report.findings.values()) == [Finding("synccheck", "mask", "other", "kernel.cu:9", 30, (0, 0, 0), (5, 0, 0))]
    assert (found.count, found.schedules, found.order) == (3, (), "") and Finding("t", "m", "k", "s", 1, (), ()).count == 1


def test_addresses_are_of_64_bits():
    report = Report("k")
    for line, address in ((1, -4), (2, (1 << 64) - 1), (3, (1 << 64) + 5), (4, None), (5, 0)):
        report.add("memcheck", "m", site(line), MACHINE, 0, address)
    assert [f.address for f in report.findings.values()] == [(1 << 64) - 4, (1 << 64) - 1, 5, None, 0]


@pytest.mark.parametrize(("tool", "message", "at", "same"), [
    ("racecheck", "race; the other is b", site(), True),
    ("racecheck", "race; the other is b", site(7, 99), True),  # one line of the source is one place
    ("racecheck", "another race; the other is a", site(), False),
    ("memcheck", "race; the other is a", site(), False),
    ("racecheck", "race; the other is a", site(8), False),
    ("racecheck", "race; the other is a", site(0, 20), False),
])  # fmt: skip
def test_what_is_alike_at_one_line_is_one_finding(tool, message, at, same):
    """The first one is described, up to the semicolon all are alike, and the count is that of all."""
    found = list(reported((tool, message, at, MACHINE, 1, 8, "shared", 5)).findings.values())
    assert [f.count for f in found] == ([8] if same else [3, 5])
    assert (found[0].message, found[0].thread, found[0].ptx_line) == ("race; the other is a", (8, 0, 0), 20)


def test_without_lines_of_the_source_those_of_ptx_are_places():
    report = Report("k")
    for ptx_line in (20, 21, 20):
        report.add("racecheck", "race", site(0, ptx_line), MACHINE, 0)
    assert [(f.ptx_line, f.count) for f in report.findings.values()] == [(20, 2), (21, 1)]


@pytest.mark.parametrize(("tool", "at", "new"), [
    ("racecheck", site(7, 99), False), ("racecheck", site(8), True), ("memcheck", site(), True), ("racecheck", site(0, 20), True),
])  # fmt: skip
def test_what_another_order_shows_is_added_where_nothing_was_found(tool, at, new):
    """Whatever it says, one finding of a tool at a line is enough."""
    report, other = reported(), Report("k")
    other.add(tool, "other words", at, MACHINE, 0)
    report.add_from(other, "the last block goes first")
    assert [f.order for f in report.findings.values()] == ["", *["the last block goes first"] * new]


def test_of_findings_without_lines_another_order_adds_those_of_other_lines_of_ptx():
    report, other = Report("k"), Report("k")
    report.add("racecheck", "race", site(0, 20), MACHINE, 0)
    for ptx_line in (20, 21):
        other.add("racecheck", "other words", site(0, ptx_line), MACHINE, 0)
    report.add_from(other, "later")
    assert [(f.ptx_line, f.order) for f in report.findings.values()] == [(20, ""), (21, "later")]


# -- handed over --------------------------------------------------------------------------------------------------------------
def test_findings_are_collected_where_somebody_collects_and_raised_where_nobody_does():
    with sanitize() as collected:
        reported().deliver()
        reported(("memcheck", "m", site(8), MACHINE, 0)).deliver()
        Report("k").deliver()
    assert [f.tool for f in collected] == ["racecheck", "racecheck", "memcheck"]
    with pytest.raises(SanitizerError, match=r"kernel.cu:7 \(PTX line 20\) \(3 times\)$") as one:
        reported().deliver()
    assert [f.tool for f in one.value.findings] == ["racecheck"]
    with pytest.raises(SanitizerError, match=r"^racecheck: race.* \(and 1 more findings\)$") as two:
        reported(("memcheck", "m", site(8), MACHINE, 0)).deliver()
    assert [f.tool for f in two.value.findings] == ["racecheck", "memcheck"]
    Report("k").deliver()


def test_a_private_report_is_handed_to_nobody():
    private = PrivateReport("k")
    private.add("racecheck", "race", site(), MACHINE, 0)
    with sanitize() as collected:
        private.deliver()
    private.deliver()
    assert not collected and len(private.findings) == 1


# -- switches -----------------------------------------------------------------------------------------------------------------
def test_switches_hold_inside_their_with_and_no_longer():
    state = lambda: (checking(), schedules_wanted())  # noqa: E731
    assert state() == (True, None)
    with checks(False):
        assert state() == (False, None)
        with sanitize(True) as found:
            assert state() == (True, True)
            reported().deliver()
            with checks(True, False), sanitize() as inner:
                assert state() == (True, None)
                reported().deliver()
            assert state() == (True, True) and len(found) == len(inner) == 1
        assert state() == (False, None)
        with pytest.raises(SanitizerError):
            reported().deliver()
    assert state() == (True, None)


def test_switches_are_reset_where_an_error_leaves_their_with():
    for switch in (lambda: checks(False, True), lambda: sanitize(True)):
        with pytest.raises(KeyError), switch():
            raise KeyError
        assert (checking(), schedules_wanted()) == (True, None)
        with pytest.raises(SanitizerError):
            reported().deliver()


# -- in words -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("schedules", "order", "end"), [
    ((), "", ""),
    ((), "the last warp goes first", "; found when the last warp goes first"),
    ((("a", "y = 1"), ("b", "y = 2")), "", "; a first: y = 1; b first: y = 2"),
    ((("a", "y = 1"), ("b", "y = 1")), "", "; with a or b first y = 1"),
    ((("a", "y = 1"), ("b", "y = 1")), "late", "; found when late; with a or b first y = 1"),
    ((("a", "y = 1"), ("b", "y = 2")), "late", "; found when late; a first: y = 1; b first: y = 2"),
])  # fmt: skip
def test_the_sentence_of_a_finding(schedules, order, end):
    found = Finding("racecheck", "race", "k", "f.cu:3", 9, (1, 0, 0), (2, 0, 0), 32, "shared", 2, schedules, order)
    assert str(found) == ("racecheck: race at shared address 0x20 by thread (2, 0, 0) of block (1, 0, 0) in k, f.cu:3 (PTX line 9) "
                          "(2 times)" + end)  # fmt: skip
    plain = Finding("synccheck", "mask", "k", "f.cu:3", 9, (1, 0, 0), (2, 0, 0))
    assert str(plain) == "synccheck: mask by thread (2, 0, 0) of block (1, 0, 0) in k, f.cu:3 (PTX line 9)"

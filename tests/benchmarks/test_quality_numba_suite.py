"""The runner of Numba CUDA's tests: what comes of tests that pass, fail, skip themselves, end the process or wait for ever."""

import itertools
import json
import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("cuda.bindings", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from benchmarks.quality.numba_suite import __main__ as command
from benchmarks.quality.numba_suite import reasons, runner
from benchmarks.quality.numba_suite.record import onto, summary

PLANTED = """
import os
import unittest

import numpy as np
from numba import cuda


class TestPlanted(unittest.TestCase):
    def test_a_passes(self):
        self.assertEqual(cuda.to_device(np.arange(3)).copy_to_host().tolist(), [0, 1, 2])
        self.assertIn("emulated", str(cuda.get_current_device().name))

    def test_b(self):
        pass

    def test_b_ends_the_process(self):
        os._exit(3)

    def test_b_follows(self):
        pass

    def test_c_fails_in_one_of_its_parts(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertNotEqual(i, 1)

    @unittest.skip("for a reason")
    def test_d_skips_itself(self):
        pass

    @unittest.expectedFailure
    def test_e_fails_as_expected(self):
        self.fail()
"""


def test_outcomes_of_planted_tests(tmp_path, monkeypatch):
    folder = tmp_path / "planted_suite"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "test_planted.py").write_text(PLANTED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert runner.files(folder) == ["test_planted.py"]
    log = tmp_path / "logs" / "log.jsonl"
    monkeypatch.setattr(runner, "commit", lambda: "abcdef0")
    found = runner.run(folder, "test_planted.py", log, 100, "planted_suite")
    assert runner.commit_of(log) == "abcdef0" and runner.read(log)[1] == found
    outcomes = {o.test.rpartition("::test_")[2]: o for o in found}
    assert {name: o.outcome for name, o in outcomes.items()} == {
        "a_passes": "passed", "b": "passed", "b_ends_the_process": "died", "b_follows": "passed",
        "c_fails_in_one_of_its_parts": "failed", "d_skips_itself": "skipped", "e_fails_as_expected": "passed",
    }  # fmt: skip
    assert outcomes["d_skips_itself"].why == "for a reason"
    record = summary(found)
    assert (record["tests"], record["passed"], record["failed"], record["skipped"]) == (7, 4, 2, 1)
    assert [len(tests) for tests in record["not passed"].values()] == [2]
    assert record["skipped for"] == {"for a reason": 1}


def test_every_test_has_an_outcome_where_children_end_before_they_begin_one(tmp_path, monkeypatch):
    """The first child dies in a test, the second one, as it would again and again, before it begins another."""
    log, whole = tmp_path / "log.jsonl", []

    def child(folder, module, log, seconds):
        whole.append(runner.is_whole(log))
        with log.open("a") as text:
            text.write(json.dumps({"collected": ["f::a", "f::b", "f::c"]}) + "\n")
            text.write(json.dumps({"begun": "f::a"}) + "\n" if len(whole) == 1 else "")
        return "died"

    monkeypatch.setattr(runner, "_child", child)
    found = runner.run(tmp_path, "f", log, 100)
    assert [(o.test, o.outcome) for o in found] == [("f::a", "died"), ("f::b", "died"), ("f::c", "died")]
    assert whole == [False, False] and runner.is_whole(log), "what an interrupted run has left is not taken for all"
    monkeypatch.setattr(runner, "_child", lambda *_: "died")
    assert [(o.test, o.outcome) for o in runner.run(tmp_path, "f", log, 100)] == [("f", "died")]


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="/proc tells whether a process computes")


@needs_proc
def test_a_child_that_computes_is_not_taken_to_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "STILL", 0.3)
    ticks = itertools.count()
    monkeypatch.setattr(runner, "_computed", lambda session: float(next(ticks)))
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1.2)"], start_new_session=True)
    assert runner._watched(child, tmp_path / "none", 100) is None


@needs_proc
def test_a_child_that_waits_for_ever_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "STILL", 0.3)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], start_new_session=True)
    try:
        assert runner._watched(child, tmp_path / "none", 100) == "out of time"
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def test_reasons_are_of_known_tests_alone():
    assert reasons.reason_of("cudapy/test_intrinsics.py::TestCudaIntrinsic::test_issue_9229") == "too large"
    assert reasons.reason_of("cudapy/test_intrinsics.py::TestCudaIntrinsic::test_issue_9229_b") == reasons.OTHER
    assert len({r.name for r in reasons.REASONS}) == len(reasons.REASONS)


def test_an_earlier_record_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "run", lambda *_: pytest.fail("it ran"))
    kept = tmp_path / "record.json"
    for content, message in (('{"numba-cuda": "0.1"}', "is of numba-cuda 0.1, installed is"), ("{", "is no record that can")):
        kept.write_text(content)
        monkeypatch.setattr("sys.argv", ["numba_suite", "--onto", str(kept)])
        with pytest.raises(SystemExit, match=message):
            command.main()
    monkeypatch.setattr("sys.argv", ["numba_suite", "--only", "nothing like it"])
    with pytest.raises(SystemExit, match="no file of tests was run: none has nothing like it in its path"):
        command.main()


def test_a_record_without_failures_says_so():
    run = summary([]) | {"files by commit": {}, "files not run": []}
    empty = run | {"stamp": {"commit": "old"}, "not passed": {}}
    assert {key: onto(empty, run, [])[key] for key in ("tests", "passed", "failed", "skipped")} == {
        "tests": 0, "passed": 0, "failed": 0, "skipped": 0,
    }  # fmt: skip


def test_a_record_is_brought_up_to_date_test_by_test():
    """The files a and b are of an earlier run; b runs again, and c for the first time; d is still not run."""
    ipc = "cudapy/test_ipc.py::T::known"
    earlier = {
        "stamp": {"commit": "old"}, "tests": 20, "passed": 14, "failed": 4, "skipped": 2,
        "not passed": {reasons.OTHER: ["a.py::T::x (failed)", "b.py::T::y (failed)", "b.py::T::z (out of time)"],
                       "memory of other processes": [f"{ipc} (failed)"]},
        "skipped for": {"no GPU": 2}, "files not run": ["c.py", "d.py"],
    }  # fmt: skip
    found = [
        runner.Outcome("b.py::T::y", "passed", "", 0), runner.Outcome("b.py::T::z", "skipped", "slow", 0),
        runner.Outcome("b.py::T::passed_before", "died", "", 0), runner.Outcome("b.py::T::skipped_before", "skipped", "no GPU", 0),
        runner.Outcome("b.py::T::as_before", "passed", "", 0), runner.Outcome("c.py::T::new", "passed", "", 0),
        runner.Outcome("c.py::T::wrong", "failed", "", 0), runner.Outcome("c.py::T::skips", "skipped", "no GPU", 0),
    ]  # fmt: skip
    run = summary(found) | {"files by commit": {"new": ["b.py", "c.py"]}, "files not run": ["a.py", "cudapy/test_ipc.py", "d.py"]}
    merged = onto(earlier, run, found)
    assert {key: merged[key] for key in ("tests", "passed", "failed", "skipped")} == {
        "tests": 23, "passed": 14 + 1 - 1 + 1, "failed": 4 - 2 + 1 + 1, "skipped": 2 + 1 + 1,
    }  # fmt: skip
    assert merged["not passed"] == {
        reasons.OTHER: ["a.py::T::x (failed)", "b.py::T::passed_before (died)", "c.py::T::wrong (failed)"],
        "memory of other processes": [f"{ipc} (failed)"],
    }
    assert merged["reasons"].keys() == {"memory of other processes"} and merged["skipped for"] == {"no GPU": 3, "slow": 1}
    assert merged["files by commit"] == {"old": ["a.py", "cudapy/test_ipc.py"], "new": ["b.py", "c.py"]}
    assert merged["files not run"] == ["d.py"]
    again = onto(merged | {"stamp": {"commit": "new"}}, run, found)
    assert {key: again[key] for key in merged if key != "reasons"} == {key: merged[key] for key in merged if key != "reasons"}

"""The runner of Numba CUDA's tests: what comes of tests that pass, fail, skip themselves, end the process or wait for ever."""

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("cuda.bindings", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from benchmarks.quality.numba_suite import __main__ as command
from benchmarks.quality.numba_suite import reasons, runner

PLANTED = """
import os
import unittest

import numpy as np
from numba import cuda


class TestPlanted(unittest.TestCase):
    def test_a_passes(self):
        self.assertEqual(cuda.to_device(np.arange(3)).copy_to_host().tolist(), [0, 1, 2])
        self.assertIn("emulated", str(cuda.get_current_device().name))

    def test_b_ends_the_process(self):
        os._exit(3)

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
    found = runner.run(folder, "test_planted.py", tmp_path / "logs" / "log.jsonl", 100, "planted_suite")
    outcomes = {o.test.rpartition("::test_")[2]: o for o in found}
    assert {name[0]: o.outcome for name, o in outcomes.items()} == {
        "a": "passed", "b": "died", "c": "failed", "d": "skipped", "e": "passed"
    }  # fmt: skip
    assert outcomes["d_skips_itself"].why == "for a reason"
    record = command.summary(found)
    assert (record["tests"], record["passed"], record["failed"], record["skipped"]) == (5, 2, 2, 1)
    assert [len(tests) for tests in record["not passed"].values()] == [2]
    assert record["skipped for"] == {"for a reason": 1}


def test_a_child_that_waits_for_ever_is_told_from_one_that_computes(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "STILL", 0.3)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], start_new_session=True)
    try:
        assert runner._watched(child, tmp_path / "none", 100) == "out of time"
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def test_reasons_are_of_known_tests_alone():
    assert reasons.reason_of("cudadrv/test_init.py::TestInit::test_init_failure_error") == "start of the driver"
    assert reasons.reason_of("cudadrv/test_init.py::TestInit::test_init_failure") == reasons.OTHER
    assert len({r.name for r in reasons.REASONS}) == len(reasons.REASONS)

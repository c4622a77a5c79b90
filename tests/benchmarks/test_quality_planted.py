"""Faults planted by hand: each still fits the code, and what runs the tests tells a failure from code that cannot be imported."""

import ast
import os
import subprocess
import sys
from collections import Counter

import pytest

from benchmarks.quality.planted import __main__ as main_module
from benchmarks.quality.planted.__main__ import ROOT, SUITES, copied, every, known_rows, noticed, write
from benchmarks.quality.planted.fault import Fault

FAULTS = [fault for fault, _ in every()]


@pytest.mark.parametrize("path", sorted({fault.path for fault in FAULTS}))
def test_each_fault_changes_one_place_of_code_that_still_compiles(path):
    """Whoever changes such a line sees its fault here, and writes it anew."""
    for fault in FAULTS:
        if fault.path == path:
            ast.parse(fault.planted(ROOT), path)


def test_faults_have_names_of_their_own_and_tests_that_are_there():
    assert max(Counter((fault.path, fault.about) for fault in FAULTS).values()) == 1
    assert all((ROOT / test).exists() for suite in SUITES for test in suite.tests)


@pytest.mark.parametrize(("old", "times"), [("x = 1", 0), ("y = 2", 2)])
def test_a_fault_that_fits_not_once_is_an_error(tmp_path, old, times):
    (tmp_path / "a.py").write_text("y = 2\ny = 2\n")
    with pytest.raises(ValueError, match=f"a.py has {times} times what the fault 'a sign' changes"):
        Fault("a sign", "a.py", old, "z").planted(tmp_path)


TRIAL = """
import sys
from pathlib import Path

import hypothesis, numpy, pytest  # once, and not in every child
from benchmarks.quality.planted.trial import first_failure

for names in (["fine.py"], ["fine.py", "wrong.py"], ["broken.py"], ["killed.py"], ["slow.py"]):
    try:
        print(first_failure(tuple(f"test_{name}" for name in names), Path(sys.argv[1]), 0.3 if names == ["slow.py"] else 600))
    except RuntimeError as error:
        print("RuntimeError", "does_not_exist" in str(error))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which this system lacks")
def test_the_first_failure_is_named_and_code_that_cannot_be_imported_is_an_error(tmp_path):
    tests = {
        "fine": "def test_a(): pass", "wrong": "def test_b(): pass\ndef test_c(): assert False\ndef test_d(): assert False",
        "broken": "import does_not_exist", "killed": "import os\ndef test_e(): os.kill(os.getpid(), 9)",
        "slow": "import time\ndef test_f(): time.sleep(3600)",
    }  # fmt: skip
    for name, text in tests.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    done = subprocess.run([sys.executable, "-c", TRIAL, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False)
    said = ["None", "test_wrong.py::test_c", "RuntimeError True", "signal 9", "the time limit"]
    assert done.stdout.splitlines() == said, done.stderr


def test_a_fault_is_planted_in_a_copy_and_taken_out_again(tmp_path, monkeypatch):
    from benchmarks.quality.planted import __main__ as planted

    (tmp_path / "code" / "tinygan").mkdir(parents=True)
    (tmp_path / "code" / "tinygan" / "a.py").write_text("x = 1\n")
    for part in ("kernels", "tests", "benchmarks"):
        (tmp_path / "code" / part).mkdir()
    for part in ("pyproject.toml", "setup.py", "README.md"):
        (tmp_path / "code" / part).write_text("")
    monkeypatch.setattr(planted, "ROOT", tmp_path / "code")
    folder, seen = copied(tmp_path / "copy"), []
    path = folder / "tinygan" / "a.py"
    monkeypatch.setattr(planted, "first_failure", lambda tests, where, seconds: seen.append((path.read_text(), tests)) or "test_x")
    before = path.stat().st_mtime_ns
    assert noticed(Fault("a number", "tinygan/a.py", "x = 1", "x = 2"), ("tests/t.py",), folder) == "test_x"
    assert seen == [("x = 2\n", ("tests/t.py",))] and path.read_text() == "x = 1\n" and path.stat().st_mtime_ns == before
    (tmp_path / "code" / "tinygan" / "a.py").unlink()
    assert not (copied(folder) / "tinygan" / "a.py").exists(), "a file that is gone is gone from the copy too"


def test_a_fault_that_was_written_anew_counts_as_not_tried(monkeypatch):
    monkeypatch.setattr(main_module, "CHANGES", {("a.py", "a sign"): ["x + y", "x - y"], ("a.py", "a place"): ["x[0]", "x[1]"]})
    rows = {("a.py", "a sign"): {"change": ["x + y", "x - y"]}, ("a.py", "a place"): {"change": ["x[ 0]", "x[1]"]},
            ("a.py", "gone"): {"change": ["a", "b"]}, ("a.py", "old"): {}}
    assert list(main_module.as_planted_now(rows)) == [("a.py", "a sign")]


def test_the_record_is_read_as_it_was_written(tmp_path):
    rows = {("a.py", "a sign"): {"path": "a.py", "fault": "a sign", "noticed_by": None, "commit": "abc"}}
    assert known_rows(tmp_path / "r.json") == {}
    write(tmp_path / "r.json", {"date": "2026-01-01"}, rows)
    assert known_rows(tmp_path / "r.json") == rows

"""The record of the environments: what pytest's own record says is what is counted, and the page is made of it."""

import ast
import json
import os
import subprocess
import sys

import pytest

from benchmarks.environments import beside
from benchmarks.environments.beside import ENVIRONMENTS, ROOT

TESTS = """
import pytest

def test_right(): pass

@pytest.mark.parametrize("n", [1, 2])
def test_skipped(n): pytest.skip("there is no GPU\\nhere")

def test_wrong(): assert 1 == 2, "one is not two"

@pytest.fixture
def broken(): raise OSError("no such file")

def test_error(broken): pass
"""


def test_what_pytest_records_is_counted(tmp_path):
    (tmp_path / "test_planted.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=record.xml", "test_planted.py"]
    variables = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=3600, env=variables)
    found = beside.outcome((tmp_path / "record.xml").read_text())
    assert found["passed"] == 1 and found["skipped"] == {"there is no GPU": 2}
    assert [line.split("::")[1].split(":")[0] for line in found["failed"]] == ["test_wrong", "test_error"]
    assert "one is not two" in found["failed"][0]


def row(**more):
    made = {"title": "PyTorch", "beside": ["torch"], "extra": "test", "python": "3.11", "commit": "abc",
            "date": "2026-01-01", "versions": {"torch": "2.14.1", "nvidia-cuda-nvrtc": "13.0.88", "numba": "0.68"},
            "passed": 7, "failed": [], "skipped": {}}
    return {**made, **more}


def test_the_page_says_what_was_skipped_and_what_failed():
    other = row(title="CuPy", beside=[], extra="test,gpu-cuda13", skipped={"there is no GPU": 2}, failed=["a::b: no"])
    text = beside.section({"environments": {"one": row(skipped={"there is no GPU": 3, "slow": 1}), "two": other}})
    assert "| PyTorch | `pip install torch`, then `.[test]` | PyTorch 2.14.1, NVRTC 13.0.88 | 7 | 4 | 0 |" in text
    assert "| CuPy | `.[test,gpu-cuda13]` |" in text
    assert "- there is no GPU: 3 (PyTorch), 2 (CuPy)." in text and "- slow: 1 (PyTorch)." in text
    assert "What failed:\n\n- CuPy: `a::b`" in text
    assert "What failed" not in beside.section({"environments": {"one": row()}})


def extras():
    calls = [node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if isinstance(node, ast.keyword)]
    return {key.value for node in calls if node.arg == "extras_require" for key in node.value.keys}


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: e.name)
def test_an_environment_asks_for_what_exists(environment):
    assert set(environment.extra.split(",")) <= extras()
    assert all((ROOT / path).exists() for path in environment.tests)


def test_an_environment_that_cannot_be_made_is_told_and_the_next_is_tried(tmp_path, monkeypatch, capsys):
    def tried(environment, cache, whole, keep):
        if environment is ENVIRONMENTS[0]:
            raise beside.InstallationError("torch cannot be installed")
        return row(title=environment.title)

    monkeypatch.setattr(beside, "tried", tried)
    monkeypatch.setattr(beside, "RECORD", tmp_path / "beside.json")
    assert beside.main(["--cache", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "torch cannot be installed" in printed and "Numba CUDA alone, CUDA 12: 7 passed, 0 failed, 0 skipped" in printed
    assert list(json.loads(beside.RECORD.read_text())["environments"]) == [each.name for each in ENVIRONMENTS[1:]]

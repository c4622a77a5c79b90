"""The sweep for what NumPy 1 computes in another precision: it runs only where NumPy tells, and `make lowest` runs it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.environments import promotion, versions

NUMPY_1 = np.__version__.startswith("1.")


def test_the_setting_is_understood_by_numpy_1_alone():
    assert promotion.sees(sys.executable, versions.variables()) == NUMPY_1


@pytest.mark.skipif(not NUMPY_1, reason="NumPy 2 has no such setting; `make lowest` runs this file with NumPy 1.26")
@pytest.mark.parametrize("addition,code", [(promotion.FEWER, 1), (promotion.MORE, 0), ("1 + 1", 0)])
def test_a_place_with_fewer_digits_fails_and_one_with_more_does_not(addition, code, tmp_path):
    test = tmp_path / "test_planted.py"
    test.write_text(f"import numpy\n\n\ndef test_sum():\n    {addition}\n")
    settings = ("-W", "error", *promotion.IGNORED)  # as pyproject.toml's, which does not hold for a file elsewhere
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(promotion, "IGNORED", settings)
        patch.setattr(promotion, "sees", lambda *arguments: True)
        assert promotion.sweep(sys.executable, versions.variables(), tmp_path, [str(test)]) == code


def test_where_numpy_does_not_tell_nothing_is_run_and_that_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(promotion, "sees", lambda *arguments: False)
    assert promotion.sweep(sys.executable, {}, Path()) == 1
    assert "was NOT looked for: this NumPy does not tell; 1.26 does" in capsys.readouterr().out


@pytest.mark.parametrize("tests", [promotion.SMALL, promotion.ALL, versions.SMALL, versions.PART])
def test_the_tests_that_are_run_exist(tests):
    named = [name for name in tests if name.startswith("tests/")]
    assert named and all((versions.ROOT / name).exists() for name in named)


@pytest.mark.parametrize("of_the_tests,of_the_sweep,code", [(0, 0, 0), (1, 0, 1), (0, 1, 1)])
def test_make_lowest_runs_both_and_either_can_fail(of_the_tests, of_the_sweep, code, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(versions, "lowest", lambda pythons: Path("environment/bin/python"))
    monkeypatch.setattr(versions, "installed", lambda python: {"numpy": "1.26.0"})
    done = lambda command, **options: ran.append(command) or subprocess.CompletedProcess(command, of_the_tests)  # noqa: E731
    monkeypatch.setattr(versions.subprocess, "run", done)
    monkeypatch.setattr(promotion, "sweep", lambda *arguments: ran.append(arguments[3:]) or of_the_sweep)
    assert versions.main(["--lowest"]) == code and len(ran) == 2 and set(versions.SMALL) <= set(ran[0])
    ran.clear()
    assert versions.main(["--sweep"]) == of_the_sweep and ran == [(promotion.ALL,)]

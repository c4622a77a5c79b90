"""The environments of versions: what setup.py demands goes in, what cannot be made is said, and the page is made of the record."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environments import versions
from benchmarks.environments.versions import BETWEEN, LOWEST, NEWEST, Environment, NoEnvironment
from tinygan.version import __version__

RELEASES = ["--no-build", "--prerelease", "disallow"]  # no betas: one of Numba's takes a NumPy that it does not work with


def test_requirements_are_those_of_setup_py():
    found = versions.requirements()
    text = (versions.ROOT / "setup.py").read_text()
    assert len(found) > 10 and all(f'"{requirement}"' in text for requirement in found)
    assert {"numpy", "numba", "typer", "pytest"} <= {requirement.split(">=")[0] for requirement in found}
    assert not any("cuda" in requirement for requirement in found)


def test_every_python_has_the_lowest_a_day_between_and_the_newest():
    assert len(versions.ENVIRONMENTS) == 3 * len(versions.PYTHONS)
    assert Environment("3.10", LOWEST).resolution == [*RELEASES, "--resolution", "lowest-direct"]
    assert Environment("3.14", BETWEEN).resolution == [*RELEASES, "--exclude-newer", "2026-02-01"]
    assert Environment("3.12", NEWEST).resolution == RELEASES


def fake_uv(monkeypatch, code, stderr=""):
    """Put a function in uv's place that always ends alike. Returns the list of its calls."""
    calls = []
    monkeypatch.setattr(versions, "uv", lambda *args: calls.append(args) or subprocess.CompletedProcess(args, code, "", stderr))
    return calls


@pytest.mark.parametrize("ci", [False, True])
def test_without_a_network_the_lowest_versions_are_not_tried_and_that_is_said(ci, monkeypatch, tmp_path, capsys):
    calls = fake_uv(monkeypatch, 2, "error: Failed to fetch\n  Caused by: dns error")
    monkeypatch.setattr(versions, "CACHE", tmp_path)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert versions.run_lowest([here], ci) == int(ci)
    assert "the lowest versions were NOT tried: error: Failed to fetch Caused by: dns error" in capsys.readouterr().out
    assert calls[0][0] == "venv" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("ci", [False, True])
def test_without_an_older_python_too(ci, monkeypatch, capsys):
    fake_uv(monkeypatch, 1)
    assert versions.run_lowest(["2.5"], ci) == int(ci)
    assert "this machine has no Python 2.5; `uv python install 2.5` brings one" in capsys.readouterr().out


def test_what_uv_is_told(monkeypatch, tmp_path):
    calls = fake_uv(monkeypatch, 0)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setattr(versions, "PYTHONS", (here,))
    python = versions.make(Environment(here, LOWEST), tmp_path / "made")
    assert calls[0][:2] == ("venv", "--quiet") and calls[0][-1] == str(tmp_path / "made")
    assert calls[1][:5] == ("pip", "install", "--quiet", "--python", str(python))
    assert calls[1][5:] == (*RELEASES, "--resolution", "lowest-direct", *versions.requirements())


def test_a_python_is_found_by_its_version():
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    said = subprocess.run([versions.find_python(here), "-V"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"Python {here}.")
    with pytest.raises(NoEnvironment):
        versions.find_python("2.5")


def record(**more):
    made = {"commit": "abcdef0", "date": "2026-01-01", "cpu": "a CPU"}
    right = {**made, "versions": {"python": "3.10.13", "numpy": "1.26.0"}, "tests": "a part", "passed": 7,
             "skipped": {"no GPU": 2}, "failed": [], "train": {"code": 0, "said": "20 steps"}}
    target = {**made, "verify": {"code": 0, "said": "9 of 9 right"}, "train": {"code": 0, "said": "20 steps"}}
    arm = {**made, "verify": {"code": 0, "said": "8 of 8 right; 5 modules"}}
    return {"environments": {"3.10-lowest": right, **more}, "targets": {"generic": target, "aarch64": arm}}


def test_the_page_has_what_came_out():
    lost = {"commit": "abcdef0", "date": "2026-01-01", "cpu": "a CPU", "missing": "there is no Python 3.14 on this machine"}
    wrong = {**record()["environments"]["3.10-lowest"], "failed": ["a::b: one is not two"]}
    aborted = {**record()["environments"]["3.10-lowest"], "train": {"code": -6, "said": "LLVM ERROR"}}
    text = versions.section(record(**{"3.14-newest": lost, "3.11-newest": wrong, "3.12-newest": aborted}))
    assert "| 3.10.13 | lowest | 1.26.0 | – | – | – | – | – | a part | 7 | 2 | 0 | 20 steps |" in text and "| 7 | 2 | 1 |" in text
    assert "| 7 | 2 | 0 | exit code -6: LLVM ERROR |" in text
    assert "| 3.14 | newest | – | – | – | – | – | – | not run |" in text
    assert "- Python 3.14, newest: there is no Python 3.14 on this machine" in text
    assert "- Python 3.11, newest: `a::b: one is not two`" in text
    assert "| `generic` | not set | 9 of 9 right | 20 steps |" in text and "| `znver4` | empty | not run |" in text
    assert "| `aarch64` | not set | 8 of 8 right; 5 modules | – |" in text
    assert text.endswith("On a CPU; commit abcdef0, 2026-01-01.")


def test_the_page_has_a_row_for_every_environment_and_says_which_were_left_out():
    text = versions.section(record())
    assert text.count("| not run |") == len(versions.ENVIRONMENTS) - 1 + len(versions.TARGETS) - 2
    assert "- Python 3.10 between, 3.10 newest, 3.11 lowest, " in text and ", 3.14 newest: left out so far" in text
    right = record()["environments"]["3.10-lowest"]
    assert "What failed" not in versions.section(record(**{e.name: right for e in versions.ENVIRONMENTS}))


@pytest.mark.parametrize("arguments,code,said", [
    (["--version"], 0, f"tinygan {__version__}"), (["train", "rnig"], 2, "did you mean 'ring'"),
])  # fmt: skip
def test_a_command_is_told_by_its_code_and_its_last_line(arguments, code, said):
    done = versions.command(Path(sys.executable), versions.variables(), *arguments)
    assert done["code"] == code and said in done["said"]


def test_a_training_run_that_fails_is_told_so(monkeypatch):
    monkeypatch.setattr(versions, "command", lambda *arguments: {"code": -6, "said": "LLVM ERROR"})
    assert versions.trained(Path("python"), {}) == {"code": -6, "said": "LLVM ERROR"}
    monkeypatch.setattr(versions, "command", lambda *arguments: {"code": 0, "said": "ring: step 20"})
    assert versions.trained(Path("python"), {}) == {"code": 0, "said": "20 steps"}


@pytest.mark.parametrize("row,right", [
    (record()["environments"]["3.10-lowest"], True),
    ({"missing": "no network"}, True),
    ({"failed": ["a::b"]}, False),
    ({"verify": {"code": 0}, "train": {"code": 0}}, True),
    ({"verify": {"code": 0}, "train": {"code": -6}}, False),
    ({"verify": {"code": -6}}, False),
    ({"failed": [], "train": {"code": 1}}, False),
])  # fmt: skip
def test_what_counts_as_wrong(row, right):
    assert versions.is_right(row) == right


def test_the_command_ends_with_an_error_where_something_failed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(versions, "RECORD", tmp_path / "versions.json")
    wrong = {**record()["environments"]["3.10-lowest"], "seconds": 1}
    failed = {"3.10": [], "3.11": ["a::b"]}
    monkeypatch.setattr(versions, "tried", lambda environment, tests: {**wrong, "failed": failed[environment.python]})
    assert versions.main(["--only", "3.10-newest"]) == 0
    assert versions.main(["--only", "3.11-newest"]) == 1
    assert "3.11-newest: 7 passed, 1 failed, 2 skipped, 1 s; 20 steps" in capsys.readouterr().out
    assert list(json.loads((tmp_path / "versions.json").read_text())["environments"]) == ["3.10-newest", "3.11-newest"]


def test_variables_lead_to_this_checkout():
    first, second = versions.variables(NUMBA_CACHE_DIR="x")["PYTHONPATH"].split(os.pathsep)
    assert (first, second) == (str(versions.ROOT), str(versions.ROOT / "kernels"))


def test_a_row_that_could_not_be_measured_replaces_none_that_was(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "RECORD", tmp_path / "record.json")
    measured, lost = {"passed": 3}, {"missing": "no network"}
    kept = lambda: json.loads(versions.RECORD.read_text())["environments"]["3.10-lowest"]  # noqa: E731
    for row, left in ((lost, lost), (measured, measured), (lost, measured), ({"passed": 4}, {"passed": 4})):
        versions.keep("environments", "3.10-lowest", row, ["3.10-lowest"])
        assert kept() == left

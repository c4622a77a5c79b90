"""Children of a process: they import what it imports, and nothing from the working directory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tinygan_kernels import child_process
from tinygan_kernels.child_process import module_places, python_command
from tinygan_kernels.doctor import driver

SHADOWED = ("numba", "numpy", "json", "llvmlite", "tinygan_kernels", "typing", "contextlib", "sitecustomize")


def poison(folder: Path, names=SHADOWED) -> None:
    """Plant modules in a folder, each of which leaves a mark there when it is imported."""
    for name in names:
        (folder / f"{name}.py").write_text(f"open({str(folder / 'MARK')!r}, 'a').write({name + ' '!r})\nraise SystemExit(9)\n")


def child(code: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(python_command(code, arguments), capture_output=True, text=True, check=False, **options)


def test_a_child_imports_nothing_from_the_working_directory(tmp_path, monkeypatch):
    """The poison is real: a Python that is started in the usual way runs it. However this process's own path names the folder."""
    poison(tmp_path)
    monkeypatch.chdir(tmp_path)
    code = "import json, numpy, typing, contextlib, tinygan_kernels, sys; print(sys.argv[1:])"
    usual = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert usual.returncode == 9 and (tmp_path / "MARK").exists()
    (tmp_path / "MARK").unlink()
    for here in ("", ".", os.curdir + os.sep, str(tmp_path), os.path.relpath(tmp_path)):
        monkeypatch.syspath_prepend(here)
        sys.path[0] = here  # syspath_prepend writes it out in full
        done = child(code, "a b", "-c")
        assert (done.returncode, done.stdout) == (0, "['a b', '-c']\n"), done.stderr
    for name, value in (("PYTHONPATH", str(tmp_path)), ("PYTHONSTARTUP", "json.py"), ("PYTHONHOME", str(tmp_path))):
        done = child(code, env={**os.environ, name: value})
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "MARK").exists()


def test_a_child_imports_what_its_parent_can(tmp_path, monkeypatch):
    """In the parent's order: a folder in front hides what is installed, as in a checkout."""
    (tmp_path / "only_here.py").write_text("answer = 42")
    (tmp_path / "colorsys.py").write_text("answer = 43")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = child("import only_here, colorsys; print(only_here.answer, colorsys.answer)")
    assert done.stdout == "42 43\n", done.stderr


def test_the_working_directory_stays_where_the_package_itself_lies_in_it(monkeypatch):
    monkeypatch.chdir(child_process.HOME)
    monkeypatch.syspath_prepend(str(child_process.HOME))
    assert str(child_process.HOME) in module_places()
    assert child("import tinygan_kernels").returncode == 0


@pytest.mark.parametrize("flag,seen", [("dont_write_bytecode", "sys.dont_write_bytecode")])
def test_a_child_writes_bytecode_only_where_its_parent_does(monkeypatch, flag, seen):
    for value in (True, False):
        monkeypatch.setattr(sys, flag, value)
        assert child(f"import sys; print({seen})").stdout == f"{value}\n"


@pytest.mark.skipif(os.name != "posix", reason="about PATH as POSIX has it; Windows finds no script that way")
def test_a_program_in_the_working_directory_is_not_run(tmp_path, monkeypatch):
    """An empty entry of PATH means the working directory, and so does a dot."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\ntouch MARK\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    for path in (".", f":{os.defpath}", str(tmp_path)):
        monkeypatch.setenv("PATH", path)
        assert driver.find_program("nvidia-smi") is None and driver.find_driver().problem
    assert not (tmp_path / "MARK").exists()
    monkeypatch.chdir("/")
    assert driver.find_program("nvidia-smi") == str(program)


def test_places_are_handed_over_whatever_they_are_called(tmp_path, monkeypatch):
    places = [tmp_path / name for name in ("a b", "c\"'$;", "é")]
    for place in places:
        place.mkdir()
        monkeypatch.syspath_prepend(str(place))
    found = json.loads(child("import sys, json; print(json.dumps(sys.path))").stdout)
    assert set(map(str, places)) <= set(found)

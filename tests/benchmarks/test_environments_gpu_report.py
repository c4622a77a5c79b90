"""`make gpu`: every step runs whatever comes of the others, and the one file with all of it names nobody."""

import getpass
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tinygan_kernels.doctor.driver import Driver, Gpu

import tinygan.cli.main
from benchmarks.environments import gpu_report
from benchmarks.environments.gpu_report import ROOT, STEPS, Result, Step


def step(name, code, done=""):
    return Step(name, ("-c", code), done)


PLANTED = (
    step("good", "print('3 passed')", r"\b[1-9]\d* passed"),
    step("fails", "import sys; print('an error', file=sys.stderr); sys.exit(3)"),
    step("crashes", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"),
    step("skips all", "print('0 passed, 113 skipped')", r"\b[1-9]\d* passed"),
    step("last", "print('I run all the same')"),
)


@pytest.fixture
def report(tmp_path, monkeypatch):
    """Return a function that runs steps and returns the exit code and the report's text."""
    gpu = Driver("580.65.06", (13, 0), (Gpu("NVIDIA H100", 90),))
    monkeypatch.setattr(gpu_report, "find_driver", lambda: gpu)
    monkeypatch.setattr(gpu_report, "installed_versions", lambda names: {"numpy": "2.4.6"})

    def make(steps, seconds=600):
        file = tmp_path / "report.md"
        code = gpu_report.main(["--report", str(file), "--seconds", str(seconds)], steps)
        return code, file.read_text()

    return make


def test_a_step_that_fails_stops_no_other(report, capsys):
    code, text = report(PLANTED)
    assert code == 1
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE))
    assert {name: rows[name] for name in rows if name not in ("step", "---")} == {
        "good": "done", "fails": "failed", "crashes": "ended by signal 11", "skips all": "ran nothing", "last": "done"}
    for printed in ("3 passed", "an error", "I run all the same", "NVIDIA H100", "driver 580.65.06, CUDA 13.0", "numpy 2.4.6"):
        assert printed in text
    assert "I run all the same" in capsys.readouterr().out


def test_a_step_that_hangs_is_ended(report):
    code, text = report([step("hangs", "import time; time.sleep(600)")], seconds=0.5)
    assert code == 1 and "| hangs | took too long | None |" in text


def test_all_done_is_exit_code_0(report):
    assert report(PLANTED[:1])[0] == 0


def test_the_file_names_no_folder_user_or_machine(report, monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "annabel")
    monkeypatch.setattr(socket, "gethostname", lambda: "gauss.example.org")
    places = f"{ROOT}/x.py {sys.prefix}/lib {Path.home()}/.cupy"
    said = f"{places} annabel@gauss gauss.example.org /scratch/annabel/run gaussian annabelle"
    text = report([step("prints", f"print({said!r})")])[1]
    for name in (str(ROOT), str(Path.home()) + "/", "annabel@", "gauss.", "/annabel/"):
        assert name not in text, name
    assert "USER@HOST HOST /scratch/USER/run gaussian annabelle" in text
    assert re.search(r"CHECKOUT/x\.py \S*ENVIRONMENT/lib ~/\.cupy", text)


def test_a_name_that_names_nobody_is_left(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "test")
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    assert gpu_report.anonymous("test localhost") == "test localhost"


def test_a_long_output_keeps_its_end_and_says_so():
    lines = [f"line {n}" for n in range(gpu_report.MOST_LINES + 7)]
    text = gpu_report._printed(Result(PLANTED[0], 0, 1.0, "\n".join([*lines, "```"])))
    assert "(8 lines before these are left out)" in text and "line 7\n" not in text and f"line {len(lines) - 1}\n" in text
    assert text.count("````") == 2, "the block is fenced by more backticks than are in it"


def test_every_step_is_a_command_that_exists(capsys):
    """The modules are there, the command line and the benchmark know the options, and pytest the marker."""
    assert [each.name for each in STEPS] == ["doctor", "tests", "verify cupy", "verify numba-cuda", "benchmark", "race"]
    for dash, module, *arguments in (each.arguments for each in STEPS):
        assert dash == "-m" and importlib.util.find_spec(module) is not None
        if module == "tinygan":
            assert tinygan.cli.main.run([*arguments, "--help"]) == 0
        if module == "pytest":
            assert re.search(rf'^ *"{arguments[1]}: ', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
        if module == "benchmarks.speed.gpu_matmul":
            assert f'"{arguments[0]}"' in (ROOT / "benchmarks" / "speed" / "gpu_matmul.py").read_text()
    capsys.readouterr()


# ---- the Makefile ---------------------------------------------------------------------------------------------------------------


def make(tmp_path, *arguments, driver=None):
    """Run make with -n, which prints the commands and runs none but the question to the driver."""
    if driver:
        script = tmp_path / "nvidia-smi"
        version, capability, cuda = driver
        answers = f'--query*) echo "A100, {version}, {capability}";; *) echo "CUDA Version: {cuda}";;'
        script.write_text(f'#!/bin/sh\ncase "$1" in {answers} esac\n')
        script.chmod(0o755)
    variables = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    command = ["make", "-n", "gpu", f"PYTHON={sys.executable}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=variables, timeout=3600)
    return done.returncode, done.stdout, done.stderr


needs_make = pytest.mark.skipif(shutil.which("make") is None or os.name != "posix", reason="there is no make here")


@needs_make
@pytest.mark.parametrize(("driver", "extra"), [
    (("550.54", "8.0", "12.4"), "test-cuda12,gpu-cuda12"), (("580.65", "8.0", "13.0"), "test,gpu-cuda13"),
    (("580.65", "7.0", "13.0"), "test-cuda12,gpu-cuda12")])
def test_make_gpu_installs_what_the_driver_runs(tmp_path, driver, extra):
    code, printed, _ = make(tmp_path, driver=driver)
    assert code == 0 and f"-e '.[{extra}]'" in printed and "benchmarks.environments.gpu_report" in printed
    assert printed.count("pip install") == 1


@needs_make
def test_make_gpu_can_be_told_the_version(tmp_path):
    printed = make(tmp_path, "CUDA=12", driver=("580.65", "8.0", "13.0"))[1]
    assert "gpu-cuda12" in printed and "gpu-cuda13" not in printed
    code, _, said = make(tmp_path, "CUDA=11")
    assert code and "CUDA is 12 or 13, not 11" in said


@needs_make
def test_make_gpu_with_a_driver_that_is_too_old_says_so_and_fails(tmp_path):
    code, printed, said = make(tmp_path, driver=("470.82", "8.0", "11.4"))
    assert code and "driver 470.82 is too old for CUDA 12" in said and "pip install" not in printed


@needs_make
@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has an NVIDIA driver")
def test_make_gpu_without_a_gpu_says_what_there_is_instead(tmp_path):
    code, printed, said = make(tmp_path)
    assert code == 0 and "--emulate executes the CUDA kernels without one" in printed and "nvidia-smi is not on the PATH" in said
    assert "-m benchmarks" not in printed

"""The driver as nvidia-smi reports it. nvidia-smi is played by shell scripts that print what real ones print."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tinygan_kernels.doctor import driver
from tinygan_kernels.doctor.driver import Driver, Gpu

ROWS = "NVIDIA H100 80GB HBM3, 580.65.06, 9.0"
BANNER = "| NVIDIA-SMI 580.65.06    Driver Version: 580.65.06    CUDA Version: 13.0     |"


def plant(folder: Path, query: str, banner: str = BANNER, more: str = "", code: int = 0) -> Path:
    """Put an nvidia-smi into a folder, which prints `query` when it is asked for fields and its banner otherwise."""
    script = folder / "nvidia-smi"
    fields = f'case "$1" in --query-gpu=*) cat <<"E"\n{query}\nE\n'
    script.write_text(f'#!/bin/sh\n{more}\n{fields};; *) cat <<"E"\n{banner}\nE\n;; esac\nexit {code}\n')
    script.chmod(0o755)
    return folder


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Return a function that plants an nvidia-smi and asks it."""

    def ask(*planted, **more):
        monkeypatch.setenv("PATH", f"{plant(tmp_path, *planted, **more)}{os.pathsep}{os.environ['PATH']}")
        return driver.find_driver()

    return ask


def test_a_driver_and_its_gpus(found):
    two = f"{ROWS}\nTesla T4, 580.65.06, 7.5"
    assert found(two) == Driver("580.65.06", (13, 0), (Gpu("NVIDIA H100 80GB HBM3", 90), Gpu("Tesla T4", 75)))


def test_no_nvidia_smi(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(driver, "WSL", str(tmp_path / "none"))
    assert "not on the PATH" in driver.find_driver().problem and driver.find_driver().fitting_cuda() == 0


SAID = ["NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "No devices were found", ""]


@pytest.mark.parametrize("said", SAID)
def test_an_nvidia_smi_without_a_driver_or_a_gpu_is_quoted(found, said):
    made = found(said, code=9)
    assert made.version == "" and made.problem == f"nvidia-smi lists no GPU; it says: {said or 'nothing'}"


def test_a_driver_that_knows_no_compute_capability(found):
    refuses = 'case "$1" in *compute_cap*) echo "Field \\"compute_cap\\" is not a valid field to query."; exit 2;; esac'
    made = found("Tesla K80, 450.80.02", "| CUDA Version: 11.0 |", more=refuses)
    assert made == Driver("450.80.02", (11, 0), (Gpu("Tesla K80"),)) and made.fitting_cuda() == 0


BRANCHES = [("580.65.06", (13, 0)), ("595.10", (13, 0)), ("570.1", (12, 0)), ("470.5", (11, 0)), ("390.1", (0, 0))]


@pytest.mark.parametrize(("version", "cuda"), BRANCHES)
def test_without_a_banner_the_branch_tells_the_cuda(found, version, cuda):
    assert found(f"a GPU, {version}, 7.5", "| CUDA Version: N/A |").cuda == cuda


def test_another_wording_of_the_banner(found):
    assert found(ROWS, "| Driver Version: 595.1   CUDA UMD Version: 13.2 |").cuda == (13, 2)


def test_an_nvidia_smi_that_hangs_is_left(found, monkeypatch):
    def hangs(*args, **kwargs):
        raise subprocess.TimeoutExpired("nvidia-smi", kwargs["timeout"])

    monkeypatch.setattr(driver.subprocess, "run", hangs)
    assert "TimeoutExpired" in found(ROWS).problem


@pytest.mark.parametrize(("cuda", "capability", "fitting"), [
    ((11, 8), 80, 0), ((12, 0), 80, 12), ((12, 9), 120, 12), ((13, 0), 75, 13), ((13, 0), 70, 12), ((14, 1), 90, 13),
    ((13, 0), 0, 13),
])
def test_the_cuda_that_fits(cuda, capability, fitting):
    assert Driver("1", cuda, (Gpu("a GPU", capability),)).fitting_cuda() == fitting


@pytest.mark.parametrize(("row", "banner", "printed"), [
    (ROWS, BANNER, "13"), ("A100, 550.54, 8.0", "CUDA Version: 12.4", "12"), ("K80, 450.80, 3.7", "CUDA Version: 11.0", "")])
def test_the_file_runs_by_its_path_before_anything_is_installed(tmp_path, row, banner, printed):
    """As the Makefile runs it, with neither the packages of the project nor those of others on the path."""
    path = {"PATH": f"{plant(tmp_path, row, banner)}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([sys.executable, "-I", "-S", driver.__file__], capture_output=True, text=True, env=path, timeout=3600)
    assert done.stdout.strip() == printed and done.returncode == (0 if printed else 2)
    assert printed or done.stderr == "driver 450.80 is too old for CUDA 12, which needs driver 525 or newer\n"

"""What the doctor finds in environments that are made for it: bare ones, with packages and an nvidia-smi that are planted."""

import os
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tinygan_kernels
from tinygan_kernels.doctor import installed

from tinygan.cli.main import run

SMI = """#!/bin/sh
case "$1" in --query-gpu=*) echo "NVIDIA A100, {driver}, 8.0";; *) echo "CUDA Version: {cuda}";; esac
"""
CUPY = """
from types import SimpleNamespace as Space
runtime = Space(runtimeGetVersion=lambda: {runtime}, getDeviceCount=lambda: 1)
cuda = Space(runtime=runtime, nvrtc=Space(getVersion=lambda: {nvrtc}, getSupportedArchs=lambda: [80, 90]))
"""
CUPY_13 = CUPY.format(runtime=13020, nvrtc=(13, 2))
BINDINGS = """
def nvrtcVersion(): {version}
def nvrtcGetSupportedArchs(): return 0, [80, 90]
"""
BROKEN = '''raise ImportError("""
=====
Failed to import CuPy.

Original error:
  ImportError: libcublas.so.13: cannot open shared object file
=====
""")'''


class Environment:
    """A bare virtual environment, with NumPy and the kernels on its path, into which packages are planted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.site = next((folder / "venv").glob("lib/python*/site-packages"))
        for name in ("numpy", "numpy.libs"):
            source = Path(np.__file__).parents[1] / name
            if source.exists():
                (self.site / name).symlink_to(source)
        (self.site / "kernels.pth").write_text(str(Path(tinygan_kernels.__file__).parents[1]))
        self.path = folder / "bin"
        self.path.mkdir()

    def plant(self, name: str, version: str, modules: dict[str, str]) -> None:
        """Install a package of these modules: text by path."""
        info = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        for path, text in modules.items():
            file = self.site / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def plant_driver(self, version: str, cuda: str) -> None:
        script = self.path / "nvidia-smi"
        script.write_text(SMI.format(driver=version, cuda=cuda))
        script.chmod(0o755)

    def plant_numba_cuda(self, version: str = "(0, 13, 0)", bindings: str = "13.0.1") -> None:
        self.plant("numba-cuda", "0.30.4", {})
        linker = f"def version(): return {tuple(int(part) for part in bindings.split('.')[:2])}"
        self.plant("cuda-bindings", bindings, {
            "cuda/bindings/nvrtc.py": BINDINGS.format(version=version if version.startswith("raise") else f"return {version}"),
            "cuda/bindings/nvvm.py": "def version(): return 2, 0", "cuda/bindings/nvjitlink.py": linker})

    def doctor(self) -> tuple[int, str]:
        """Run `python -m tinygan_kernels.doctor` there: its exit code, and what it says on both streams."""
        variables = {"PATH": f"{self.path}:/bin:/usr/bin", "HOME": str(self.folder)}
        command = [str(self.folder / "venv" / "bin" / "python"), "-m", "tinygan_kernels.doctor"]
        done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=3600)
        return done.returncode, done.stdout + done.stderr


pytestmark = pytest.mark.skipif(os.name != "posix", reason="the environments are made with symbolic links and shell scripts")


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path)


def test_a_bare_environment_without_a_gpu(environment):
    code, said = environment.doctor()
    assert code == 0 and said.count("note ") == 3 and "no problem found" in said


def test_an_environment_in_which_everything_fits(environment):
    environment.plant_driver("580.65.06", "13.0")
    environment.plant("cupy-cuda13x", "14.2.0", {"cupy/__init__.py": CUPY_13})
    environment.plant_numba_cuda()
    environment.plant("torch", "2.14.1", {"torch/version.py": "cuda: Optional[str] = '13.0'\n"})
    code, said = environment.doctor()
    assert code == 0, said
    for line in ("driver: 580.65.06, runs CUDA up to 13.0", "GPU: NVIDIA A100, compute capability 8.0",
                 "NVRTC of CuPy: version 13.2", "CuPy: cupy-cuda13x 14.2.0, made with CUDA 13.2",
                 "NVRTC of Numba CUDA and the emulator: version 13.0",
                 "PyTorch: torch 2.14.1, CUDA 13", "note     NVRTC of CuPy: is newer than the driver's CUDA 13.0"):
        assert line in said, said


def test_a_driver_that_is_older_than_what_is_installed(environment):
    environment.plant_driver("550.54.14", "12.4")
    environment.plant("cupy-cuda13x", "14.2.0", {"cupy/__init__.py": CUPY_13})
    environment.plant_numba_cuda()
    code, said = environment.doctor()
    assert code == 1 and "2 problems found" in said
    assert "pip uninstall -y cupy-cuda13x, then pip install -e '.[gpu-cuda12]'" in said
    assert "cuda-bindings 13.0.1 is for CUDA 13, the driver 550.54.14 runs CUDA 12.4 at most" in said


def test_two_cupys(environment):
    for name in ("cupy-cuda12x", "cupy-cuda13x"):
        environment.plant(name, "14.2.0", {"cupy/__init__.py": CUPY_13})
    code, said = environment.doctor()
    assert code == 1 and "cupy-cuda12x 14.2.0 and cupy-cuda13x 14.2.0 are installed over each other" in said


def test_cupy_for_cuda_12_beside_numba_cuda_for_13(environment):
    environment.plant("cupy-cuda12x", "14.2.0", {"cupy/__init__.py": CUPY.format(runtime=12090, nvrtc=(12, 9))})
    environment.plant_numba_cuda()
    code, said = environment.doctor()
    assert code == 1 and "cupy-cuda12x 14.2.0 is made for CUDA 12, cuda-bindings 13.0.1 for CUDA 13" in said


@pytest.mark.parametrize(("module", "reason"), [
    (BROKEN, "libcublas.so.13: cannot open shared object file"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "the process was ended by signal 11"),
    ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
    ("raise SystemExit(3)", "exit code 3"),
])
def test_a_cupy_that_breaks_when_it_is_imported(environment, module, reason):
    environment.plant("cupy-cuda13x", "14.2.0", {"cupy/__init__.py": module})
    environment.plant_numba_cuda()
    code, said = environment.doctor()
    assert code == 1 and "cupy-cuda13x 14.2.0 cannot be imported" in said and reason in said
    assert "ok       Numba CUDA" in said, "what is broken takes nothing else with it"


def test_no_nvrtc(environment):
    failing = CUPY_13.replace("lambda: (13, 2)", "lambda: 1 / 0")
    environment.plant("cupy-cuda13x", "14.2.0", {"cupy/__init__.py": failing})
    environment.plant_numba_cuda("raise RuntimeError('Failed to find the nvrtc library\\nsearched in: everywhere')")
    code, said = environment.doctor()
    assert code == 1 and "NVRTC of CuPy: not found (ZeroDivisionError" in said
    assert "NVRTC of Numba CUDA and the emulator: not found (RuntimeError: Failed to find the nvrtc library); run: pip" in said


def test_what_is_said_names_no_folder_of_the_user(environment):
    """libnvrtc's path, and errors that quote one, are shown from the environment or from the home folder on."""
    broken = "raise OSError(__file__ + ': is broken')"
    environment.plant("cupy-cuda13x", "14.2.0", {"cupy/__init__.py": broken})
    said = environment.doctor()[1]
    assert str(environment.folder) not in said and "ENVIRONMENT/lib/python" in said


def test_an_answer_that_takes_too_long_is_given_up():
    assert installed.ask("while True: pass", seconds=0.5) == {"problem": "gave no answer in 0 seconds"}


def test_this_environment(capsys):
    """The doctor on the command line, in the environment of the tests, whatever that has."""
    code = run(["kernels", "doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("ok  ", "note", "problem")) for line in lines[:-1])
    assert code == any(line.startswith("problem") for line in lines) and lines[-1].endswith("found")
    assert sys.prefix not in "".join(lines)
    if find_spec("numba_cuda") is not None:
        assert next(line for line in lines if "Numba CUDA: numba-cuda" in line).startswith("ok")

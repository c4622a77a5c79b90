"""Find what is installed for CUDA: packages, by their metadata, and the compilers that they load, in processes of their own."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinygan_kernels.child_process import python_command

from .driver import Driver, Version, find_driver, find_program


@dataclass(frozen=True)
class Package:
    """An installed package. cuda: the major version of CUDA that it is made for; 0 if its name does not tell."""

    name: str
    version: str
    cuda: int = 0

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Compiler:
    """NVRTC as one package loads it. architectures: those that it compiles for, as 10 x major + minor; path: its file."""

    version: Version = (0, 0)
    architectures: tuple[int, ...] = ()
    path: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Cupy:
    """CuPy. package: None if it is not installed; problem: why it cannot be imported; devices: GPUs that it sees, or why none."""

    package: Package | None = None
    others: tuple[Package, ...] = ()  # more packages that install the same module
    runtime: Version = (0, 0)
    nvrtc: Compiler = field(default_factory=Compiler)
    devices: int = 0
    no_devices: str = ""
    problem: str = ""


@dataclass(frozen=True)
class NumbaCuda:
    """Numba CUDA, with NVIDIA's bindings and compilers, which the emulator uses too."""

    package: Package | None = None
    bindings: Package | None = None
    nvrtc: Compiler = field(default_factory=Compiler)
    nvvm_problem: str = ""
    linker: Version = (0, 0)
    linker_problem: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Installed:
    """Everything that the diagnoses are made from."""

    driver: Driver = field(default_factory=Driver)
    cupy: Cupy = field(default_factory=Cupy)
    numba_cuda: NumbaCuda = field(default_factory=NumbaCuda)
    torch: Package | None = None
    toolkit: str = ""  # the version of a CUDA toolkit outside Python, by its nvcc


def look() -> Installed:
    """Return what is installed here. Takes some seconds, as CuPy and the compilers are started."""
    packages: dict[str, str] = {}
    for made in importlib.metadata.distributions():
        packages.setdefault(_name(made), made.version)  # the first on the path is the one that is imported
    return Installed(find_driver(), _cupy(packages), _numba_cuda(packages), _torch(packages), _toolkit())


def _name(made: importlib.metadata.Distribution) -> str:
    return re.sub(r"[-_.]+", "-", made.metadata["Name"] or "").lower()


# ---- asking in another process --------------------------------------------------------------------------------------------------

_LOADED = """
def loaded(stem):
    try:
        with open("/proc/self/maps") as maps:
            return next((line.split()[-1] for line in maps if "/" + stem in line), "")
    except OSError:
        return ""

def first_line(error):
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
"""

_CUPY = _LOADED + """
found = {}
import cupy
version = cupy.cuda.runtime.runtimeGetVersion()
found["runtime"] = [version // 1000, version % 1000 // 10]
try:
    found["nvrtc"] = {"version": list(cupy.cuda.nvrtc.getVersion()), "path": loaded("libnvrtc.")}
    found["nvrtc"]["architectures"] = [int(a) for a in cupy.cuda.nvrtc.getSupportedArchs()]
except Exception as error:
    found["nvrtc"] = {"problem": first_line(error)}
try:
    found["devices"] = cupy.cuda.runtime.getDeviceCount()
except Exception as error:
    found["no_devices"] = first_line(error)
"""

_COMPILERS = _LOADED + """
found = {"nvvm_problem": "", "linker_problem": ""}
try:
    from cuda.bindings import nvrtc
    found["nvrtc"] = {"version": list(nvrtc.nvrtcVersion()[1:]), "path": loaded("libnvrtc.")}
    found["nvrtc"]["architectures"] = [int(a) for a in nvrtc.nvrtcGetSupportedArchs()[1]]
except Exception as error:
    found["nvrtc"] = {"problem": first_line(error)}
try:
    from cuda.bindings import nvvm
    nvvm.version()
except Exception as error:
    found["nvvm_problem"] = first_line(error)
try:
    from cuda.bindings import nvjitlink
    found["linker"] = list(nvjitlink.version())
except Exception as error:
    found["linker_problem"] = first_line(error)
"""

_SAID = "the doctor found: "


def ask(code: str, seconds: float = 120) -> dict[str, Any]:
    """Run Python code in another process and return the dict `found` that it leaves; {"problem": why} where it ends badly."""
    guarded = f"{code}\nimport json\nprint({_SAID!r} + json.dumps(found))\n"
    try:
        done = subprocess.run(python_command(guarded), capture_output=True, text=True, timeout=seconds, check=False)
    except OSError as error:
        return {"problem": f"no other process can be started to ask: {error}"}
    except subprocess.TimeoutExpired:
        return {"problem": f"gave no answer in {seconds:.0f} seconds"}
    for line in done.stdout.splitlines():
        if line.startswith(_SAID):
            return json.loads(line.removeprefix(_SAID))
    if done.returncode < 0:
        return {"problem": f"the process was ended by signal {-done.returncode}"}
    return {"problem": _reason(done.stderr) or f"exit code {done.returncode}"}


def _reason(trace: str) -> str:
    """Return the line of a traceback that says what is wrong: CuPy's own error has a frame of advice around the original one."""
    lines = [line.strip() for line in trace.splitlines() if line.strip(" =")]
    original = next((lines[i + 1] for i, line in enumerate(lines[:-1]) if line.startswith("Original error")), None)
    return original or (lines[-1] if lines else "")


def short(path: str) -> str:
    """Return a path as a report may show it: without the folder of the environment, of the user, or the user's name."""
    prefix = Path(sys.prefix)
    for folder, name in ((str(prefix), "ENVIRONMENT"), (str(prefix.resolve()), "ENVIRONMENT"), (str(Path.home()), "~")):
        path = path.replace(folder, name)
    return path


# ---- the packages ---------------------------------------------------------------------------------------------------------------


def _compiler(found: dict[str, Any]) -> Compiler:
    version = tuple(found.get("version", (0, 0)))[:2]
    return Compiler(version, tuple(found.get("architectures", ())), short(found.get("path", "")), short(found.get("problem", "")))


def _cupy(packages: dict[str, str]) -> Cupy:
    names = sorted(name for name in packages if re.fullmatch(r"cupy(-cuda\d+x?|-rocm[-\d]+)?", name))
    made = [Package(name, packages[name], _major(re.search(r"cuda(\d\d)", name))) for name in names]
    if not made:
        return Cupy()
    found = ask(_CUPY)
    if "problem" in found:
        return Cupy(made[0], tuple(made[1:]), problem=short(found["problem"]))
    runtime = tuple(found["runtime"])
    package = made[0] if made[0].cuda else Package(made[0].name, made[0].version, runtime[0])
    return Cupy(package, tuple(made[1:]), runtime, _compiler(found["nvrtc"]), found.get("devices", 0), found.get("no_devices", ""))


def _major(match: re.Match[str] | None) -> int:
    return int(match[1]) if match else 0


def _numba_cuda(packages: dict[str, str]) -> NumbaCuda:
    if "numba-cuda" not in packages:
        return NumbaCuda()
    package, version = Package("numba-cuda", packages["numba-cuda"]), packages.get("cuda-bindings")
    if version is None:
        return NumbaCuda(package, problem="cuda-bindings, which load NVIDIA's compilers, are not installed")
    bindings, found = Package("cuda-bindings", version, int(version.split(".")[0])), ask(_COMPILERS)
    if "problem" in found:
        return NumbaCuda(package, bindings, problem=short(found["problem"]))
    linker = tuple(found.get("linker", (0, 0)))
    problems = short(found["nvvm_problem"]), short(found["linker_problem"])
    return NumbaCuda(package, bindings, _compiler(found["nvrtc"]), problems[0], linker, problems[1])


def _torch(packages: dict[str, str]) -> Package | None:
    """Return PyTorch with the major version of its CUDA, read from its files: to import it would take seconds."""
    if "torch" not in packages:
        return None
    path = Path(str(importlib.metadata.distribution("torch").locate_file("torch/version.py")))
    text = path.read_text() if path.exists() else ""
    return Package("torch", packages["torch"], _major(re.search(r"^cuda[^=\n]*= *'(\d+)\.", text, re.MULTILINE)))


def _toolkit() -> str:
    """Return the version of a CUDA toolkit that is installed outside Python, where CUDA_PATH, CUDA_HOME or the PATH lead to one."""
    homes = [os.environ[name] for name in ("CUDA_PATH", "CUDA_HOME") if os.environ.get(name)]
    program = next((found for home in homes if (found := find_program("nvcc", f"{home}/bin"))), find_program("nvcc"))
    if program is None:
        return ""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = re.search(r"release (\d+\.\d+)", done.stdout)
    return said[1] if said else ""

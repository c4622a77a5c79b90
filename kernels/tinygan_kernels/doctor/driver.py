"""The NVIDIA driver and the GPUs, as nvidia-smi reports them.

This file imports the standard library alone and may be run by its path, as the Makefile does before anything is installed:
`python kernels/tinygan_kernels/doctor/driver.py` prints the major version of the CUDA packages that fit, 12 or 13.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

Version = tuple[int, int]

# The first branch of drivers for Linux that runs all of a CUDA major version (CUDA Toolkit Release Notes, "CUDA Toolkit and
# Minimum Required NVIDIA Driver Version for CUDA Minor Version Compatibility").
FIRST_BRANCH = {13: 580, 12: 525, 11: 450}
OLDEST_FOR_CUDA_13 = 75  # CUDA 13 compiles for Turing and later (CUDA 13.0 Release Notes, "Deprecated Architectures")
WSL = "/usr/lib/wsl/lib/nvidia-smi"  # where Windows puts it, on no PATH, for Linux under Windows


@dataclass(frozen=True)
class Gpu:
    """A GPU. capability: 10 x major + minor of its compute capability; 0 where the driver is too old to say."""

    name: str
    capability: int = 0


@dataclass(frozen=True)
class Driver:
    """A driver. version: its own, "" if there is none; cuda: the newest CUDA that it runs; problem: why there is no GPU to use."""

    version: str = ""
    cuda: Version = (0, 0)
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""

    def fitting_cuda(self) -> int:
        """Return the major version of the CUDA packages to install, 12 or 13; 0 if the driver is older than both."""
        old = any(0 < gpu.capability < OLDEST_FOR_CUDA_13 for gpu in self.gpus)
        return 0 if self.cuda < (12, 0) else 12 if self.cuda < (13, 0) or old else 13


def find_program(name: str, path: str | None = None) -> str | None:
    """Return the path of a program on PATH, or on `path`. One in the working directory does not count.

    Windows looks there first, and an empty entry of PATH means it too: a program that lies beside somebody's data is not run.
    """
    found = shutil.which(name, path=path)
    if found is None or os.path.samefile(os.path.dirname(found) or os.curdir, os.curdir):
        return None
    return found


def find_driver() -> Driver:
    """Ask nvidia-smi. A driver that is not there or does not answer is a Driver with a `problem`."""
    program = find_program("nvidia-smi") or shutil.which(WSL)
    if program is None:
        return Driver(problem="nvidia-smi is not on the PATH, so there is no NVIDIA driver")
    answer = _ask(program, "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader")
    if "not a valid field" in answer:  # drivers before 470 know no compute_cap
        answer = _ask(program, "--query-gpu=name,driver_version", "--format=csv,noheader")
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines() if re.search(r", *\d+\.\d+", line)]
    if not rows:
        said = next((line.strip() for line in answer.splitlines() if line.strip()), "nothing")
        return Driver(problem=f"nvidia-smi lists no GPU; it says: {said}")
    gpus = tuple(Gpu(row[0], int(row[2].replace(".", "")) if len(row) > 2 and row[2][:1].isdigit() else 0) for row in rows)
    return Driver(rows[0][1], _cuda_of(rows[0][1], _ask(program)), gpus)


def _ask(program: str, *arguments: str) -> str:
    """Return what nvidia-smi prints, on either stream. It hangs where a GPU has fallen off the bus: 20 seconds at most."""
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}"
    return done.stdout + done.stderr


def _cuda_of(version: str, banner: str) -> Version:
    """Return the newest CUDA of a driver: as nvidia-smi's banner says, otherwise what its branch is known to run."""
    said = re.search(r"CUDA[A-Za-z ]* Version *: *(\d+)\.(\d+)", banner)
    if said:
        return int(said[1]), int(said[2])
    branch = int(version.split(".")[0])
    return next(((major, 0) for major, first in FIRST_BRANCH.items() if branch >= first), (0, 0))


def main() -> int:
    """Print the major version of the CUDA packages that fit. Without any, say why on stderr: 1 if there is no GPU to use, 2 if
    the driver is too old."""
    driver = find_driver()
    fitting = driver.fitting_cuda()
    if fitting:
        print(fitting)
        return 0
    old = f"driver {driver.version} is too old for CUDA 12, which needs driver {FIRST_BRANCH[12]} or newer"
    print(driver.problem or old, file=sys.stderr)
    return 1 if driver.problem else 2


if __name__ == "__main__":
    sys.exit(main())

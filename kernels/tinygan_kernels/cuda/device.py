"""Devices: where the launches of CUDA kernels go, and the memory that they work on. Both CUDA backends share this module.

A host function (cpp/hosts.py, numba_kernels/hosts.py) says what is to be launched, as CudaLaunch values; a Device checks them and
starts them. What differs between CUDA C++ and Numba, the check of the arguments and the start, is in a subclass for each
(cpp_backend.py, numba_backend.py).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygan_kernels.cuda.array_kernels import Workspace
from tinygan_kernels.doctor.driver import find_driver
from tinygan_kernels.extras import install, install_gpu
from tinygan_kernels.shapes import ContractError

MOST_BLOCKS = 0x7FFFFFFF  # of a one-dimensional grid (CUDA C++ Programming Guide, "Compute Capabilities")


EMULATED_CAPABILITY = 80  # of a device that the emulator plays, unless another is asked for


class CudaLaunch(NamedTuple):
    """One CUDA kernel with its arguments, in a one-dimensional grid of `blocks` blocks.

    kernel: a cpp.entries.Instance, or a function decorated with numba.cuda.jit. threads: the sides of a block, one or two. args:
    arrays and NumPy scalars, in the order of the kernel's parameters.
    """

    kernel: Any
    blocks: int
    threads: tuple[int, ...]
    args: tuple[Any, ...]


@dataclass(frozen=True)
class RecordedLaunch:
    """A launch that was recorded and not started: for a look at the code that it would execute.

    kernel: its name; blocks, threads: how many blocks, and threads in each; source: the file whose lines the debug information
    names; ptx(arch): the PTX for an architecture such as "sm_90", and the name of the kernel's entry in it. Needs no driver.
    dynamic_shared: bytes of shared memory that the launch gives each block besides the kernel's own.
    """

    kernel: str
    blocks: int
    threads: int
    source: Path
    ptx: Callable[[str], tuple[str, str]]
    dynamic_shared: int = 0


@dataclass(frozen=True)
class ArrayMemory:
    """The arrays that a device takes: their module, their type, what a message calls one, and how one becomes a NumPy array."""

    xp: Any
    array_type: type
    described: str
    to_numpy: Callable[[Any], np.ndarray]


NUMPY = ArrayMemory(np, np.ndarray, "a NumPy array", np.asarray)


def cupy_memory() -> ArrayMemory:
    """Return the memory of the current GPU, whose arrays are CuPy's. Imports CuPy."""
    import cupy

    return ArrayMemory(cupy, cupy.ndarray, "a CuPy array", cupy.asnumpy)


def gpu_capability() -> int:
    """Return the current GPU's compute capability, 10 x major + minor. CuPy gives it as a string of digits: "75", "120"."""
    import cupy

    return int(cupy.cuda.Device().compute_capability)


class Device:
    """Checks and starts launches, and lends workspace. A subclass for each language says how; `Device` itself starts nothing.

    capability: what the code may use, 10 x major + minor of the compute capability.
    """

    def __init__(self, memory: ArrayMemory, capability: int = EMULATED_CAPABILITY) -> None:
        self.memory, self.capability = memory, capability
        self.workspace = Workspace(memory.xp).take

    def check(self, launch: CudaLaunch) -> None:
        """Check the arguments against the kernel's parameters. Raises ContractError."""
        raise NotImplementedError

    def start(self, launch: CudaLaunch) -> None:
        """Start a launch that was checked and has at least one block."""
        raise NotImplementedError

    def checked(self, launches: Iterable[CudaLaunch]) -> tuple[CudaLaunch, ...]:
        """Check every launch, and return those that have work to do. Raises ContractError."""
        ready = []
        for launch in launches:
            self.check(launch)
            if launch.blocks > MOST_BLOCKS:
                raise ContractError(f"a grid of {launch.blocks} blocks is too large for CUDA ({MOST_BLOCKS}): divide the work")
            if launch.blocks:
                ready.append(launch)
        return tuple(ready)

    def run(self, launches: Iterable[CudaLaunch]) -> None:
        """Check the launches, then start them in order. Raises ContractError, before anything is started."""
        self.start_all(self.checked(launches))

    def start_all(self, launches: Iterable[CudaLaunch]) -> None:
        """Start launches that `checked` returned, in order: for a call that is repeated on the same arrays."""
        for launch in launches:
            self.start(launch)

    def check_type(self, kernel: str, parameter: str, value: Any, or_else: str = "") -> None:
        """Check that an argument is an array of this device's memory. Raises ContractError naming the kernel and the parameter.

        or_else: what else it could have been, for the message.
        """
        if not isinstance(value, self.memory.array_type):
            raise ContractError(f"{kernel}: {parameter} is a {type_name(value)}, it has to be {self.memory.described}{or_else}")


def type_name(value: Any) -> str:
    """Return the type's name, with its module unless it is built in: `list`, `numpy.float32`."""
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


NO_GPU = "there is no NVIDIA GPU with a driver; emulate it with --emulate"
ADVICE = "`tinygan kernels doctor` says what to do, --emulate needs no GPU"


def missing_requirement(emulate: bool, numba: bool) -> str | None:
    """Return what is missing on this machine and what to do about it, in one line; None if a CUDA backend can run.

    emulate: whether kernels are to run on the CPU. numba: whether Numba CUDA compiles them; the emulator needs it in any
    case, as it brings NVIDIA's compiler.
    """
    if (numba or emulate) and importlib.util.find_spec("numba_cuda") is None:
        wanted = install("emulator") if emulate else install_gpu(find_driver().fitting_cuda())
        return f"Numba CUDA, which brings NVIDIA's compiler, is not installed; run: {wanted}"
    return None if emulate else _missing_for_cupy()


def _missing_for_cupy() -> str | None:
    """Return what CuPy lacks to run kernels on a GPU, in one line; None if it lacks nothing."""
    if importlib.util.find_spec("cupy") is None:
        return f"CuPy is not installed; run: {install_gpu(find_driver().fitting_cuda())}, or emulate it with --emulate"
    try:
        import cupy

        runtime, nvrtc = cupy.cuda.runtime, cupy.cuda.nvrtc
    except Exception as error:  # whatever goes wrong in a package that is broken, or of which a folder was left behind
        return f"CuPy is installed and cannot be imported ({type(error).__name__}); {ADVICE}"
    try:
        if not runtime.getDeviceCount():
            return NO_GPU
    except runtime.CUDARuntimeError:  # no driver, or none that is new enough
        return NO_GPU
    try:
        nvrtc.getVersion()
    except RuntimeError:
        return f"CuPy finds no NVRTC, with which it compiles kernels; {ADVICE}"
    return None

"""The kernels of tinygan on every backend: arrays in, arrays out. This package knows no gradients and never imports tinygan.

    from tinygan_kernels import load
    cpu = load("cpu")
    c = cpu.launch("matmul", (a, b), trans_b=True)

`load` makes a new backend each time. `shared` gives the one that all who name it share.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING

from .backend import Backend, Launch, nan_trap
from .contract import KERNELS, Kernel, Version
from .shapes import ContractError

if TYPE_CHECKING:
    import numpy as np

    from tinygan_kernels.cpu.normal_rng import Normals

__all__ = [
    "CUDA_BACKENDS",
    "KERNELS",
    "Backend",
    "BackendError",
    "ContractError",
    "Kernel",
    "Launch",
    "Version",
    "ladder",
    "load",
    "names",
    "nan_trap",
    "normals",
    "shared",
    "why_unavailable",
]


class BackendError(ValueError):
    """A backend that does not exist or cannot run here. The message is one line and says what to do.

    What is --emulate on the command line is emulate=True in Python: `str(error)` has the one, `error.with_flags` the other.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.replace("--emulate", "emulate=True"))
        self.with_flags = message


# The one table of backends, with the full names of their modules: the architecture test reads such names as imports.
_MODULES = {
    "reference": "tinygan_kernels.reference",
    "cpu": "tinygan_kernels.cpu.backend",
    "cupy": "tinygan_kernels.cuda.cpp_backend",
    "numba-cuda": "tinygan_kernels.cuda.numba_backend",
}
CUDA_BACKENDS = ("cupy", "numba-cuda")  # those whose kernels are written in CUDA, which the emulator can execute


def names() -> tuple[str, ...]:
    """Return the names of all backends, available here or not; the default is `cpu`."""
    return tuple(_MODULES)


def why_unavailable(name: str, emulate: bool = False) -> str | None:
    """Say in one line why backend `name` cannot run on this machine and what would help; None if it can. Raises BackendError."""
    if name not in _MODULES:
        raise BackendError(f"there is no backend {name!r}; tinygan has {', '.join(_MODULES)}")
    if name in CUDA_BACKENDS:
        return _module(name).why_unavailable(emulate)
    if name == "cpu" and not emulate:
        needed = ("tinygan_kernels.cpu.runtime.numba_settings", "tinygan_kernels.cpu.runtime.target",
                  "tinygan_kernels.cpu.runtime.threads")
        return next(filter(None, (import_module(module).why_unusable() for module in needed)), None)
    return "it needs no GPU, so there is nothing to emulate; leave out --emulate" if emulate else None


def ladder(name: str) -> tuple[Version, ...]:
    """Return the versions among which `load(name, versions=...)` chooses: all of one kernel, then all of the next, by number.

    A backend that has one version of each kernel gives (). Needs no GPU. Raises BackendError if there is no such backend.
    """
    if name not in _MODULES:
        raise BackendError(f"there is no backend {name!r}; tinygan has {', '.join(_MODULES)}")
    return () if name == "reference" else tuple(_module(name).LADDERS)


def load(name: str = "cpu", emulate: bool = False, versions: Mapping[str, int] | None = None) -> Backend:
    """Return a new backend. What it needs is imported only now. Raises BackendError where it cannot run.

    emulate: run a CUDA backend's kernels on the CPU, on NumPy arrays. versions: the version to run of each kernel that is not to
    run at its best, such as {"matmul": 1}; for every backend but `reference`. Raises ContractError for a version that does not
    exist.
    """
    reason = why_unavailable(name, emulate)
    if reason is not None:
        raise BackendError(f"backend {name!r} is not available: {reason}")
    if name in CUDA_BACKENDS:
        return _module(name).backend(emulate, versions)
    if name == "cpu":
        return _module(name).backend(versions)
    if versions:
        raise BackendError(f"backend {name!r} has one version of each kernel; leave out versions")
    return _module(name).backend()


_SHARED: dict[str, Backend] = {}
_MAKING = Lock()


def shared(name: str = "cpu") -> Backend:
    """Return the backend of this name that everybody shares who asks for it by name: made at its first use, the same ever after.

    Raises BackendError where it cannot run.
    """
    with _MAKING:
        if name not in _SHARED:
            _SHARED[name] = load(name)
        return _SHARED[name]


def normals(out: np.ndarray) -> Normals:
    """Return an object that fills `out` with numbers from N(0, 1), each time from a generator's random bits (cpu/normal_rng.py).

    Raises BackendError where the environment keeps Numba from compiling it.
    """
    if reason := import_module("tinygan_kernels.cpu.runtime.numba_settings").why_unusable():
        raise BackendError(f"random numbers cannot be drawn: {reason}")
    return import_module("tinygan_kernels.cpu.normal_rng").Normals(out)


def _module(name: str) -> ModuleType:
    return import_module(_MODULES[name])

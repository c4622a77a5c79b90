"""The backend `numba-cuda`: the kernels written in Numba, on a GPU, or executed by the emulator on NumPy arrays.

    from tinygan_kernels import load
    gpu = load("numba-cuda", emulate=True, versions={"matmul": 3})

On a GPU the arrays are CuPy's, launches go to CuPy's current stream, and nothing is allocated after the first call on a shape.
What is not a row of LADDERS comes from `generic`, which the array module computes. This file imports neither numba.cuda nor
CuPy nor a driver until a backend is asked for.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygan_kernels.backend import Backend, check
from tinygan_kernels.contract import KERNELS, Version
from tinygan_kernels.cuda import array_kernels
from tinygan_kernels.extras import install
from tinygan_kernels.shapes import DTYPES, ContractError

from .device import Started

# The ladders: tests, listings and verification are made from these rows; a kernel's last version is the one used unless another is
# asked for. `host` is the function of module numba_kernels/<module> that launches it: host(device, *inputs, *outputs, **params).
_LADDERS = (
    # kernel, number, title, module, host
    ("matmul", 1, "naive: one thread an element, down the columns", "matmul", "naive"),
    ("matmul", 2, "coalesced: along the rows", "matmul", "coalesced"),
    ("matmul", 3, "16x16 tiles in shared memory", "matmul", "shared_tile"),
    ("matmul", 4, "64x64 tiles, 8x8 elements a thread in registers", "matmul", "register_tile"),
    ("conv2d", 1, "direct: one thread an output", "conv2d", "direct"),
    ("conv2d", 2, "implicit GEMM, 16x16 tiles in shared memory", "conv2d", "gemm"),
    ("conv2d_dx", 1, "direct: one thread a pixel and channel gathers", "conv2d", "direct_dx"),
    ("conv2d_dx", 2, "implicit GEMM, 16x16 tiles in shared memory", "conv2d", "gemm_dx"),
    ("conv2d_dw", 1, "direct: one thread a filter number", "conv2d", "direct_dw"),
    ("conv2d_dw", 2, "implicit GEMM, 16x16 tiles in shared memory", "conv2d", "gemm_dw"),
    ("bce_logits", 1, "two passes, tree in shared memory", "bce", "two_pass"),
    ("bce_logits", 2, "one pass, warp shuffles", "bce", "one_pass"),
    ("bias_act", 1, "fused", "fused", "bias_act"),
    ("bias_act_grad", 1, "fused, column sums on the way", "fused", "bias_act_grad"),
    ("adam", 1, "fused", "fused", "adam"),
)
_HOSTS = {(kernel, number): (f"numba_kernels.{module}", host) for kernel, number, _, module, host in _LADDERS}
BEST = {kernel: number for kernel, number, *_ in _LADDERS}
LADDERS = tuple(Version(kernel, number, title) for kernel, number, title, _, _ in _LADDERS)
VERSIONS = LADDERS + tuple(Version(name, 1, "array functions") for name in KERNELS if name not in BEST)


# ---- devices: where a launch goes ---------------------------------------------------------------------------------------------


class Device:
    """Launches Numba kernels, and lends scratch memory. Subclasses say where.

    `launch(kernel, blocks, threads, *args)`: a one-dimensional grid; arrays of one dtype and NumPy scalars of explicit width.
    """

    integer = np.int64  # what Numba computes indices in
    array_type: type = np.ndarray
    memory = "a NumPy array"

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.scratch = array_kernels.Scratch(xp).take

    def launch(self, kernel: Any, blocks: int, threads: int, *args: Any) -> None:
        """Check the arguments and run; no blocks means no work. Raises ContractError."""
        self._check(kernel.py_func, args)
        if blocks:
            self.start(kernel, blocks, threads, args)

    def start(self, kernel: Any, blocks: int, threads: int, args: tuple[Any, ...]) -> None:
        raise NotImplementedError

    def _check(self, function: Callable, args: tuple[Any, ...]) -> None:
        """Numba would compile whatever types come, a float64 scalar into a kernel of float32: slow, and right by accident."""
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        if len(args) != len(names):
            raise ContractError(f"{function.__name__} takes {len(names)} arguments ({', '.join(names)}), got {len(args)}")
        dtype = next((a.dtype for a in args if isinstance(a, self.array_type)), None)
        for name, arg in zip(names, args, strict=True):
            self._check_argument(function.__name__, name, arg, dtype)

    def _check_argument(self, kernel: str, name: str, arg: Any, dtype: Any) -> None:
        if isinstance(arg, np.generic):
            return
        if not isinstance(arg, self.array_type):
            raise ContractError(f"{kernel}: {name} is a {type(arg).__name__}, it has to be {self.memory} or a NumPy scalar")
        if arg.dtype.name not in DTYPES or arg.dtype != dtype:
            raise ContractError(f"{kernel}: {name} is {arg.dtype}; all arrays have to be float32, or all float64")


class Emulated(Device):
    """NumPy's memory, the emulator's execution."""

    def __init__(self) -> None:
        from tinygan_kernels import emulator

        super().__init__(np)
        self._emulator = emulator

    def start(self, kernel, blocks, threads, args):
        self._emulator.launch(kernel, (blocks, 1, 1), (threads, 1, 1), *args)


class OnGpu(Device):
    """CuPy's memory and its current stream, so that CuPy's own kernels and these run in the order in which they were asked for."""

    memory = "a CuPy array"

    def __init__(self) -> None:
        import cupy
        from numba import cuda

        super().__init__(cupy)
        self.array_type = cupy.ndarray
        self._cuda = cuda
        self._configured = functools.lru_cache(maxsize=1024)(self._configure)

    def start(self, kernel, blocks, threads, args):
        stream = self.xp.cuda.get_current_stream().ptr
        # sync=False: Numba would wait for the stream at each launch; the order within one stream is all that is needed
        views = (self._cuda.as_cuda_array(a, sync=False) if isinstance(a, self.array_type) else a for a in args)
        self._configured(kernel, blocks, threads, stream)(*views)

    def _configure(self, kernel, blocks, threads, stream):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a grid is small: small products do have small grids
            handle = self._cuda.external_stream(stream) if stream else self._cuda.default_stream()
            return kernel[blocks, threads, handle]


class Recorder(Device):
    """Runs nothing and keeps what it was asked to run: for a look at the code that a launch would execute."""

    def __init__(self) -> None:
        super().__init__(np)
        self.launches: list[Started] = []

    def start(self, kernel, blocks, threads, args):
        ptx = functools.partial(compile_ptx, kernel, args)
        path = Path(kernel.py_func.__code__.co_filename)
        self.launches.append(Started(kernel.__name__, blocks, threads, path, ptx))


def compile_ptx(kernel: Any, args: tuple[Any, ...], arch: str) -> tuple[str, str]:
    """A Numba kernel's PTX for these arguments on `arch` (such as "sm_90"), and the name of its entry. Needs no driver."""
    from numba import typeof

    from tinygan_kernels.emulator.host.numba_launch import to_ptx

    types = tuple(map(typeof, args))
    ptx = to_ptx(kernel.py_func, types, capability=divmod(int(arch.removeprefix("sm_")), 10))
    return ptx, re.search(r"\.entry\s+(\S+?)\(", ptx)[1]


def record(kernel: str, number: int, arrays: tuple[Any, ...], params: Mapping[str, Any]) -> list[Started]:
    """The launches of one version on NumPy arrays (inputs and outputs), which are left as they are."""
    recorder = Recorder()
    host_function(kernel, number)(recorder, *arrays, **params)
    return recorder.launches


# ---- the backend --------------------------------------------------------------------------------------------------------------


def why_unavailable(emulate: bool = False) -> str | None:
    """What is missing here, and what to do, in one line; None if the backend can run."""
    if importlib.util.find_spec("numba_cuda") is None:
        return f"Numba CUDA is not installed; run: {install('emulator')}"
    if emulate:
        return None
    if importlib.util.find_spec("cupy") is None:
        return f"CuPy is not installed; run: {install('gpu')}, or emulate it with --emulate"
    from numba import cuda

    return None if cuda.is_available() else "there is no NVIDIA GPU with a driver; emulate it with --emulate"


def choose(versions: Mapping[str, int] | None) -> dict[str, int]:
    """The version of every kernel that has a ladder: the best, or the one that `versions` asks for. Raises ContractError."""
    chosen = dict(BEST)
    for kernel, number in (versions or {}).items():
        have = [row.number for row in LADDERS if row.kernel == kernel]
        if kernel not in KERNELS:
            raise ContractError(f"there is no kernel {kernel!r}; the contract has {', '.join(KERNELS)}")
        if number not in have:
            ladder = f"versions {', '.join(map(str, have))}" if have else "no version in Numba"
            raise ContractError(f"numba-cuda: {kernel} has {ladder}; {number!r} is not one")
        chosen[kernel] = number
    return chosen


def host_function(kernel: str, number: int) -> Callable[..., None]:
    """The function that launches a version: host(device, *inputs, *outputs, **params). Imports numba.cuda."""
    module, name = _HOSTS[kernel, number]
    return getattr(importlib.import_module(f".{module}", __package__), name)


def _implementation(device: Device, kernel: str, number: int) -> Callable[..., None]:
    """Checks a call as the contract's door does, then launches the version."""
    host = host_function(kernel, number)

    def implementation(*arrays: Any, **params: Any) -> None:
        check(kernel, arrays, params)
        host(device, *arrays, **params)

    return implementation


def backend(emulate: bool = False, versions: Mapping[str, int] | None = None) -> Backend:
    """The kernels in Numba, on a GPU or emulated. versions: a version number for each kernel that is not to run at its best."""
    chosen = choose(versions)
    device = Emulated() if emulate else OnGpu()
    implementations = array_kernels.implementations(device.xp)
    implementations |= {kernel: _implementation(device, kernel, number) for kernel, number in chosen.items()}
    to_numpy = np.asarray if emulate else device.xp.asnumpy
    return Backend("numba-cuda", implementations, device.xp, VERSIONS, to_numpy, emulated=emulate)

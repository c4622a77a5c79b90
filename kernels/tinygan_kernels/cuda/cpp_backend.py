"""The backend `cupy`: the kernels of cuda/cpp/*.cu, on a GPU through CuPy, or executed by the emulator on NumPy arrays.

    from tinygan_kernels import load
    gpu = load("cupy", emulate=True, versions={"matmul": 3})

Both are given the same CUDA C++ source and the same launches. On a GPU the arrays are CuPy's, and nothing is allocated after the
first call on a shape. What is not a row of VERSIONS comes from `generic`. This file imports neither CuPy nor the emulator nor a
driver until a backend is asked for.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygan_kernels.backend import Backend, Launch, check
from tinygan_kernels.contract import KERNELS, Version
from tinygan_kernels.cuda import array_kernels, graph
from tinygan_kernels.extras import install
from tinygan_kernels.shapes import ContractError

from .cpp import hosts as hosts
from .device import Started

_F32 = ("float32",)

# The ladders: tests, listings and verification are made from these rows. `host` launches a version, as
# host(device, number, *inputs, *outputs, **params).
_LADDERS = (
    (Version("matmul", 1, "naive: one thread an element, down the columns"), hosts.matmul_simple),
    (Version("matmul", 2, "coalesced: along the rows"), hosts.matmul_simple),
    (Version("matmul", 3, "32x32 tiles in shared memory"), hosts.matmul_simple),
    (Version("matmul", 4, "64x64 tiles, 4x4 elements a thread in registers, float4", _F32), hosts.matmul_tiled),
    (Version("matmul", 5, "128x128 tiles, 64x32 a warp, double-buffered by cp.async", _F32), hosts.matmul_tiled),
    (Version("matmul", 6, "tensor cores: operands rounded to TF32", _F32, rule="matmul_tf32"), hosts.matmul_tiled),
    (Version("conv2d", 1, "direct: one thread an output"), hosts.conv2d),
    (Version("conv2d", 2, "implicit GEMM, 64x64 tiles, 4x4 elements a thread", _F32), hosts.conv2d),
    (Version("conv2d_dx", 1, "direct: one thread a pixel and channel gathers"), hosts.conv2d_dx),
    (Version("conv2d_dx", 2, "implicit GEMM in stride^2 phases of stride 1", _F32), hosts.conv2d_dx),
    (Version("conv2d_dw", 1, "direct: one thread a filter number"), hosts.conv2d_dw),
    (Version("conv2d_dw", 2, "implicit GEMM, the sum over pixels in parts", _F32), hosts.conv2d_dw),
    (Version("bce_logits", 1, "two passes, tree in shared memory"), hosts.bce_logits_two_pass),
    (Version("bce_logits", 2, "one pass, warp shuffles"), hosts.bce_logits_one_pass),
    (Version("bias_act", 1, "fused"), hosts.bias_act),
    (Version("bias_act_grad", 1, "fused, column sums on the way"), hosts.bias_act_grad),
    (Version("adam", 1, "fused"), hosts.adam),
)
LADDERS = tuple(version for version, _ in _LADDERS)
_ON_LADDERS = {version.kernel for version in LADDERS}
VERSIONS = LADDERS + tuple(Version(name, 1, "array functions") for name in KERNELS if name not in _ON_LADDERS)
_HOSTS = {(version.kernel, version.number): host for version, host in _LADDERS}
_DEFAULTS = {("matmul", 5): hosts.matmul_by_size}  # instead of _HOSTS, where no version was asked for

OPTIONS = ("--std=c++17",)


# ---- devices: where a launch goes ---------------------------------------------------------------------------------------------


@functools.cache
def source(name: str) -> str:
    """The text of cuda/cpp/<name>.cu."""
    return path(name).read_text()


def path(name: str) -> Path:
    return Path(__file__).parent / "cpp" / f"{name}.cu"


class Device:
    """Compiles the sources, launches their kernels, and lends scratch memory. Subclasses say with what.

    `launch(entry, blocks, threads, *args, suffix=...)`: entry is a key of hosts.ENTRIES; a one-dimensional grid, a block of one or
    two dimensions; the exported kernel is entry + suffix, for float32, or without a suffix entry_f32 / entry_f64 as the arrays are.
    """

    array_type: type = np.ndarray
    memory = "a NumPy array"
    capability = 80  # what the code may use: 10 x major + minor

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.scratch = array_kernels.Scratch(xp).take
        self.ticket = xp.zeros(1, np.uint32)  # 0 before and after every launch that draws from it
        self._functions: dict[str, Callable] = {}
        self._modules: dict[str, Any] = {}

    def launch(self, entry: str, blocks: int, threads: tuple[int, ...], *args: Any, suffix: str | None = None) -> None:
        """Check the arguments against the C declaration and run; no blocks means no work. Raises ContractError."""
        dtype = getattr(args[0] if args else None, "dtype", None) if suffix is None else np.dtype(np.float32)
        self._check(entry, args, dtype)
        if blocks:
            name = entry + (suffix if suffix is not None else "_f32" if dtype == np.float32 else "_f64")
            self.start(entry, name, int(hosts.int32(blocks, f"{entry}: blocks")), threads, args)

    def start(self, entry: str, name: str, blocks: int, threads: tuple[int, ...], args: tuple[Any, ...]) -> None:
        function = self._functions.get(name) or self._find(entry, name)
        function((blocks, 1, 1), (*threads, 1, 1)[:3], args)

    def _find(self, entry: str, name: str) -> Callable:
        file = hosts.ENTRIES[entry].file
        if file not in self._modules:
            self._modules[file] = self.compile(source(file))
        self._functions[name] = self._modules[file].get_function(name)
        return self._functions[name]

    def compile(self, text: str) -> Any:
        """A module with get_function(name). Its functions are called as f(grid, block, args)."""
        raise NotImplementedError

    def _check(self, entry: str, args: tuple[Any, ...], dtype: Any) -> None:
        """CUDA takes whatever bytes come: a float64 where the kernel has a float is read as half of itself, without a word."""
        parameters = hosts.ENTRIES[entry].parameters
        if len(args) != len(parameters):
            names = ", ".join(name for _, name in parameters)
            raise ContractError(f"{entry} takes {len(parameters)} arguments ({names}), got {len(args)}")
        for (kind, name), arg in zip(parameters, args, strict=True):
            expected = hosts.dtype_of(kind, dtype)
            if getattr(arg, "dtype", None) != expected:
                raise ContractError(f"{entry}: {name} is {_described(arg)}, it has to be {expected}")
            if kind.endswith("*"):
                self._check_array(entry, name, arg)
            elif not isinstance(arg, np.generic):
                raise ContractError(f"{entry}: {name} is {_described(arg)}, it has to be a NumPy scalar of type {expected}")

    def _check_array(self, entry: str, name: str, array: Any) -> None:
        if not isinstance(array, self.array_type):
            raise ContractError(f"{entry}: {name} is a {type(array).__module__}.{type(array).__name__}, it has to be {self.memory}")
        if not array.flags.c_contiguous:
            raise ContractError(f"{entry}: {name} has strides {array.strides}, it has to be C-contiguous")


def _described(arg: Any) -> str:
    dtype = getattr(arg, "dtype", None)
    return f"a {type(arg).__name__}" if dtype is None else f"{dtype}"


class Emulated(Device):
    """NumPy's memory, the emulator's execution."""

    def __init__(self) -> None:
        from tinygan_kernels import emulator

        super().__init__(np)
        self._emulator = emulator

    def compile(self, text):
        return self._emulator.RawModule(code=text, options=OPTIONS)


class OnGpu(Device):
    """CuPy's memory, compiler cache and current stream."""

    memory = "a CuPy array"

    def __init__(self) -> None:
        import cupy

        super().__init__(cupy)
        self.array_type = cupy.ndarray
        self.capability = int(cupy.cuda.Device().compute_capability)

    def compile(self, text):
        return self.xp.RawModule(code=text, options=OPTIONS)


class Recorder(Device):
    """Runs nothing and keeps what it was asked to run: for a look at the code that a launch would execute."""

    def __init__(self) -> None:
        super().__init__(np)
        self.launches: list[Started] = []

    def start(self, entry, name, blocks, threads, args):
        ptx = functools.partial(compile_ptx, hosts.ENTRIES[entry].file, name)
        self.launches.append(Started(name, blocks, math.prod(threads), path(hosts.ENTRIES[entry].file), ptx))


def compile_ptx(file: str, name: str, arch: str) -> tuple[str, str]:
    """The PTX of cuda/cpp/<file>.cu for `arch` (such as "sm_90"), and `name`, a kernel in it. Needs no driver."""
    from tinygan_kernels.emulator.host.nvrtc import compile_ptx as compiled

    return compiled(source(file), OPTIONS, arch.replace("sm_", "compute_"))[0], name


def record(kernel: str, number: int, arrays: tuple[Any, ...], params: Mapping[str, Any]) -> list[Started]:
    """The launches of one version on NumPy arrays (inputs and outputs), which are left as they are."""
    recorder = Recorder()
    _HOSTS[kernel, number](recorder, number, *arrays, **params)
    return recorder.launches


# ---- the backend --------------------------------------------------------------------------------------------------------------


def why_unavailable(emulate: bool = False) -> str | None:
    """What is missing here, and what to do, in one line; None if the backend can run."""
    if emulate:
        missing = importlib.util.find_spec("numba_cuda") is None
        return f"the emulator needs NVIDIA's compiler; run: {install('emulator')}" if missing else None
    if importlib.util.find_spec("cupy") is None:
        return f"CuPy is not installed; run: {install('gpu')}, or emulate it with --emulate"
    import cupy

    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:  # no driver, or none that is new enough
        count = 0
    return None if count else "there is no NVIDIA GPU with a driver; emulate it with --emulate"


def choose(versions: Mapping[str, int] | None) -> dict[str, dict[str, int]]:
    """For every kernel with a ladder, the version that runs for each dtype: what `versions` asks for, otherwise the best.

    The best is the last that can compute in the dtype and keeps the kernel's own bound. One that was asked for runs for its
    dtypes alone: another dtype is refused at the launch. Raises ContractError.
    """
    chosen: dict[str, dict[str, int]] = {}
    for row in LADDERS:
        if not row.rule:
            chosen.setdefault(row.kernel, {}).update(dict.fromkeys(row.dtypes, row.number))
    for kernel, number in (versions or {}).items():
        chosen[kernel] = dict.fromkeys(_row(kernel, number).dtypes, number)
    return chosen


def _row(kernel: str, number: int) -> Version:
    if kernel not in KERNELS:
        raise ContractError(f"there is no kernel {kernel!r}; the contract has {', '.join(KERNELS)}")
    rows = {row.number: row for row in LADDERS if row.kernel == kernel}
    if number not in rows:
        ladder = f"versions {', '.join(map(str, rows))}" if rows else "no version in CUDA C++"
        raise ContractError(f"cupy: {kernel} has {ladder}; {number!r} is not one")
    return rows[number]


Choice = Mapping[str, tuple[Callable[..., None], int]]  # for each dtype: the host function, and the number that it is given


def _choices(versions: Mapping[str, int] | None) -> dict[str, Choice]:
    """For every kernel with a ladder, what launches it for each dtype."""
    asked, choices = versions or {}, {}
    for kernel, numbers in choose(versions).items():
        found = _HOSTS if kernel in asked else _HOSTS | _DEFAULTS
        choices[kernel] = {dtype: (found[kernel, number], number) for dtype, number in numbers.items()}
    return choices


def _host(kernel: str, choice: Choice, dtype: Any) -> tuple[Callable[..., None], int]:
    if dtype.name not in choice:
        raise ContractError(f"cupy: the version of {kernel} that was asked for computes in {' or '.join(choice)}, not {dtype}")
    return choice[dtype.name]


def _implementation(device: Device, kernel: str, choice: Choice) -> Callable[..., None]:
    """Checks a call as the contract's door does, then launches the version for its dtype."""

    def implementation(*arrays: Any, **params: Any) -> None:
        check(kernel, arrays, params)
        host, number = _host(kernel, choice, arrays[0].dtype)
        host(device, number, *arrays, **params)

    return implementation


def _bind(device: Device, choices: Mapping[str, Choice], launch: Launch) -> Callable[[], None]:
    """A launch that passed the door, to be run many times: its arrays stay the same, so the door's checks are not repeated."""
    kernel = launch.kernel.name
    if kernel not in choices:
        return launch.run
    host, number = _host(kernel, choices[kernel], launch.outputs[0].dtype)
    return functools.partial(host, device, number, *launch.inputs, *launch.outputs, **launch.params)


def backend(emulate: bool = False, versions: Mapping[str, int] | None = None) -> Backend:
    """The kernels in CUDA C++, on a GPU or emulated. versions: a version number for each kernel that is not to run at its best.

    Without one, a small float32 product runs version 4 of matmul and a large one version 5 (hosts.matmul_by_size).
    """
    choices = _choices(versions)
    device = Emulated() if emulate else OnGpu()
    implementations = array_kernels.implementations(device.xp)
    implementations |= {kernel: _implementation(device, kernel, choice) for kernel, choice in choices.items()}
    to_numpy = np.asarray if emulate else device.xp.asnumpy
    bind = functools.partial(_bind, device, choices)
    made = Backend("cupy", implementations, device.xp, VERSIONS, to_numpy, bind=bind, emulated=emulate)
    if not emulate:
        made.join = graph.joiner(device.xp)
    return made

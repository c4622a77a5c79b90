"""The backend `cupy`: the kernels of cuda/cpp/*.cu, on a GPU through CuPy, or executed by the emulator on NumPy arrays.

    from tinygan_kernels import load
    gpu = load("cupy", emulate=True, versions={"matmul": 3})

Both are given the same CUDA C++ source and the same launches. On a GPU the arrays are CuPy's, and nothing is allocated after the
first call on a shape. Kernels without a row here are array functions (array_kernels.py). This file imports neither CuPy nor the
emulator nor a driver until a backend is asked for.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygan_kernels.backend import Backend
from tinygan_kernels.cuda import graph
from tinygan_kernels.cuda.cpp import hosts
from tinygan_kernels.cuda.cpp.entries import Entry, EntryParameter, Instance, entry, source_path
from tinygan_kernels.cuda.device import (
    EMULATED_CAPABILITY,
    NUMPY,
    ArrayMemory,
    CudaLaunch,
    Device,
    RecordedLaunch,
    cupy_memory,
    gpu_capability,
    missing_requirement,
    type_name,
)
from tinygan_kernels.cuda.ladder import Ladders, Rung
from tinygan_kernels.shapes import ContractError

OPTIONS = ("--std=c++17",)


@dataclass(frozen=True, kw_only=True)
class CppRung(Rung):
    """A version in CUDA C++. source: the stem of a file in cuda/cpp; entries: declarations, as cpp/entries.py explains them."""

    @functools.cached_property
    def declared(self) -> tuple[Entry, ...]:
        """The entries, parsed."""
        return tuple(entry(self.source, declaration) for declaration in self.entries)

    def record(self, arrays: tuple[Any, ...], params: Mapping[str, Any]) -> list[RecordedLaunch]:
        device = CppDevice(NUMPY)
        return [_recorded(launch) for launch in device.checked(self.host(device, self, *arrays, **params))]


def _recorded(launch: CudaLaunch) -> RecordedLaunch:
    source, name = launch.kernel.source, launch.kernel.name
    ptx = functools.partial(compile_ptx, source, name)
    return RecordedLaunch(name, launch.blocks, math.prod(launch.threads), source_path(source), ptx)


# ---- the ladders --------------------------------------------------------------------------------------------------------------

_F32 = ("float32",)
_PRODUCT = "T* a, T* b, T* c, int M, int N, int K"
_TRANSPOSES = f"{_PRODUCT}, int trans_a, int trans_b"
_GEOMETRY = "int images, int H, int W, int C_in, int OH, int OW, int C_out, int KH, int KW, int stride, int pad"
_CONVOLUTION = f"T* first, T* second, T* out, {_GEOMETRY}"

_REGISTER_TILE = CppRung(
    "matmul", 4, "64x64 tiles, 4x4 elements a thread in registers, float4", _F32, source="matmul",
    entries=(f"matmul_v4_{{operands}}({_PRODUCT})",), host=hosts.matmul_tiled, tile=(64, 64), improves="shared wavefronts",
)  # fmt: skip

LADDERS: tuple[CppRung, ...] = (
    CppRung(
        "matmul", 1, "naive: one thread an element, down the columns", source="matmul",
        entries=(f"matmul_v1_{{dtype}}({_TRANSPOSES})",), host=hosts.matmul_simple, tile=(32, 8), threads=(32, 8),
    ),
    CppRung(
        "matmul", 2, "coalesced: along the rows", source="matmul",
        entries=(f"matmul_v2_{{dtype}}({_TRANSPOSES})",), host=hosts.matmul_simple, tile=(8, 32), threads=(32, 8),
        improves="sectors",
    ),
    CppRung(
        "matmul", 3, "32x32 tiles in shared memory", source="matmul",
        entries=(f"matmul_v3_{{dtype}}({_TRANSPOSES})",), host=hosts.matmul_simple, tile=(32, 32), threads=(32, 32),
        improves="sectors",
    ),
    _REGISTER_TILE,
    CppRung(
        "matmul", 5, "128x128 tiles, 64x32 a warp, double-buffered by cp.async", _F32, source="matmul",
        entries=(f"matmul_v5_{{operands}}({_PRODUCT})",), host=hosts.matmul_with_32_bit_offsets(_REGISTER_TILE), tile=(128, 128),
        unasked=hosts.matmul_by_size(_REGISTER_TILE), improves="shared wavefronts",
    ),
    CppRung(
        "matmul", 6, "tensor cores: operands rounded to TF32", _F32, "matmul_tf32", source="matmul",
        entries=(f"matmul_v6_{{operands}}({_PRODUCT})",), host=hosts.matmul_with_32_bit_offsets(_REGISTER_TILE), tile=(128, 128),
        capability=80, improves="warp instructions",
    ),
    CppRung(
        "conv2d", 1, "direct: one thread an output", source="conv2d",
        entries=(f"conv2d_v1_{{dtype}}({_CONVOLUTION})",), host=hosts.conv2d,
    ),
    CppRung(
        "conv2d", 2, "implicit GEMM, 64x64 tiles, 4x4 elements a thread", _F32, source="conv2d",
        entries=(f"conv2d_v2({_CONVOLUTION})",), host=hosts.conv2d, tile=(64, 64), improves="sectors",
    ),
    CppRung(
        "conv2d_dx", 1, "direct: one thread a pixel and channel gathers", source="conv2d",
        entries=(f"conv2d_dx_v1_{{dtype}}({_CONVOLUTION})",), host=hosts.conv2d_dx,
    ),
    CppRung(
        "conv2d_dx", 2, "implicit GEMM in stride^2 phases of stride 1", _F32, source="conv2d",
        entries=(f"conv2d_dx_v2({_CONVOLUTION})",), host=hosts.conv2d_dx_in_phases, tile=(64, 64), improves="sectors",
    ),
    CppRung(
        "conv2d_dw", 1, "direct: one thread a filter number", source="conv2d",
        entries=(f"conv2d_dw_v1_{{dtype}}({_CONVOLUTION})",), host=hosts.conv2d_dw,
    ),
    CppRung(
        "conv2d_dw", 2, "implicit GEMM, the sum over pixels in parts", _F32, source="conv2d",
        entries=(f"conv2d_dw_v2({_CONVOLUTION}, int parts)", "conv2d_dw_v2_sum(T* partial, T* dw, int size, int parts)"),
        host=hosts.conv2d_dw_in_parts, tile=(64, 64), improves="sectors",
    ),
    CppRung(
        "bce_logits", 1, "two passes, tree in shared memory", source="bce_logits",
        entries=("bce_logits_v1_terms_{dtype}(T* s, T* t, T* terms, T* ds, int n)",
                 "bce_logits_v1_mean_{dtype}(T* terms, T* loss, int n)"),
        host=hosts.bce_logits_two_pass,
    ),
    CppRung(
        "bce_logits", 2, "one pass, warp shuffles", source="bce_logits",
        entries=("bce_logits_v2_{dtype}(T* s, T* t, T* loss, T* ds, T* partials, unsigned* ticket, int n)",),
        host=hosts.bce_logits_one_pass, tile=(1024,), improves="sectors",
    ),
    CppRung(
        "bias_act", 1, "fused", source="bias_act",
        entries=("bias_act_v1_{dtype}(T* x, T* b, T* y, int size, int channels, int act, T slope)",), host=hosts.bias_act,
    ),
    CppRung(
        "bias_act_grad", 1, "fused, column sums on the way", source="bias_act",
        entries=("bias_act_grad_v1_{dtype}(T* g, T* y, T* dx, T* partial, int rows, int channels, int act, T slope, int share)",
                 "bias_act_grad_v1_sum_{dtype}(T* partial, T* db, int channels, int parts)"),
        host=hosts.bias_act_grad, tile=(1, 32), threads=(32, 8),
    ),
    CppRung(
        "adam", 1, "fused", source="adam",
        entries=("adam_v1_begin_{dtype}(T* rate, T* t, T* factors, int sign, double beta1, double beta2)",
                 "adam_v1_{dtype}(T* g, T* theta, T* m, T* v, T* factors, T beta1, T rest1, T beta2, T rest2, T eps, int size)"),
        host=hosts.adam,
    ),
)  # fmt: skip
_LADDERS = Ladders("cupy", "CUDA C++", LADDERS)
VERSIONS = _LADDERS.versions()
choose, find = _LADDERS.choose, _LADDERS.find


# ---- devices ------------------------------------------------------------------------------------------------------------------


def source_text(source: str) -> str:
    """Return the text of a .cu file, given its stem."""
    return source_path(source).read_text()


def compile_ptx(source: str, name: str, arch: str) -> tuple[str, str]:
    """Return the PTX of a .cu file for `arch` (such as "sm_90"), and `name`, a kernel in it. Needs no driver."""
    from tinygan_kernels.emulator.host.nvrtc import compile_ptx as compiled

    return compiled(source_text(source), OPTIONS, arch.replace("sm_", "compute_"))[0], name


class CppDevice(Device):
    """A device that compiles .cu files with `raw_module` (cupy.RawModule, or the emulator's) when a kernel of theirs is started."""

    def __init__(
        self, memory: ArrayMemory, raw_module: Callable[..., Any] | None = None, capability: int = EMULATED_CAPABILITY
    ) -> None:
        super().__init__(memory, capability)
        self.ticket = memory.xp.zeros(1, np.uint32)  # 0 before and after every launch that draws from it
        self._raw_module = raw_module
        self._modules: dict[str, Any] = {}
        self._functions: dict[str, Callable[..., None]] = {}

    def start(self, launch: CudaLaunch) -> None:
        function = self._functions.get(launch.kernel.name) or self._compiled(launch.kernel)
        function((launch.blocks, 1, 1), (*launch.threads, 1, 1)[:3], launch.args)

    def _compiled(self, kernel: Instance) -> Callable[..., None]:
        """Return the function of a kernel, compiling its file if none of its kernels was started before."""
        if kernel.source not in self._modules:
            self._modules[kernel.source] = self._raw_module(code=source_text(kernel.source), options=OPTIONS)
        self._functions[kernel.name] = self._modules[kernel.source].get_function(kernel.name)
        return self._functions[kernel.name]

    def check(self, launch: CudaLaunch) -> None:
        """Check the arguments against the C declaration. CUDA would take whatever bytes come: half of a float64 as a float."""
        kernel, args = launch.kernel, launch.args
        if len(args) != len(kernel.parameters):
            names = ", ".join(parameter.name for parameter in kernel.parameters)
            raise ContractError(f"{kernel.name} takes {len(kernel.parameters)} arguments ({names}), got {len(args)}")
        for parameter, arg in zip(kernel.parameters, args, strict=True):
            self._check_argument(kernel.name, parameter, arg)

    def _check_argument(self, kernel: str, parameter: EntryParameter, arg: Any) -> None:
        """Check the type of one argument, and that an array is contiguous. Raises ContractError."""
        name, expected, pointer = parameter
        if getattr(arg, "dtype", None) != expected:
            raise ContractError(f"{kernel}: {name} is {_described(arg)}, it has to be {expected}")
        if pointer:
            self.check_type(kernel, name, arg)
            if not arg.flags.c_contiguous:
                raise ContractError(f"{kernel}: {name} has strides {arg.strides}, it has to be C-contiguous")
        elif not isinstance(arg, np.generic):
            raise ContractError(f"{kernel}: {name} is {_described(arg)}, it has to be a NumPy scalar of type {expected}")


def _described(arg: Any) -> str:
    dtype = getattr(arg, "dtype", None)
    return f"a {type_name(arg)}" if dtype is None else f"{dtype}"


def emulated(capability: int = EMULATED_CAPABILITY) -> CppDevice:
    """Return a device with NumPy's memory and the emulator's execution, for which code is compiled as for this capability."""
    from tinygan_kernels import emulator

    return CppDevice(NUMPY, functools.partial(emulator.RawModule, arch=f"compute_{capability}"), capability)


def on_gpu() -> CppDevice:
    """Return the current GPU as a device, with CuPy's memory, compiler cache and current stream."""
    memory = cupy_memory()
    return CppDevice(memory, memory.xp.RawModule, gpu_capability())


# ---- the backend --------------------------------------------------------------------------------------------------------------


def why_unavailable(emulate: bool = False) -> str | None:
    """Return what is missing on this machine and what to do about it, in one line; None if the backend can run."""
    return missing_requirement(emulate, numba=False)


def backend(emulate: bool = False, versions: Mapping[str, int] | None = None) -> Backend:
    """Return the kernels in CUDA C++, on a GPU or emulated. Raises ContractError.

    versions: a version number for each kernel that is not to run at its best. Without one, a small float32 product runs version 4
    of matmul and a large one version 5 (hosts.matmul_by_size).
    """
    made = _LADDERS.on(emulated() if emulate else on_gpu(), versions, emulate)
    if not emulate:
        made.join = graph.joiner(made.xp)
    return made

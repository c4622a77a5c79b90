"""The backend `numba-cuda`: the kernels written in Numba, on a GPU, or executed by the emulator on NumPy arrays.

    from tinygan_kernels import load
    gpu = load("numba-cuda", emulate=True, versions={"matmul": 3})

On a GPU the arrays are CuPy's, launches go to CuPy's current stream, and nothing is allocated after the first call on a shape.
Kernels without a row here are array functions (array_kernels.py). This file imports neither numba.cuda nor CuPy nor a driver until
a backend is asked for.
"""

from __future__ import annotations

import functools
import importlib
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinygan_kernels.backend import Backend
from tinygan_kernels.cuda.device import (
    EMULATED_CAPABILITY,
    NO_GPU,
    NUMPY,
    CudaLaunch,
    Device,
    RecordedLaunch,
    cupy_memory,
    gpu_capability,
    missing_requirement,
)
from tinygan_kernels.cuda.ladder import Ladders, Rung
from tinygan_kernels.cuda.numba_kernels import hosts
from tinygan_kernels.shapes import DTYPES, ContractError

KERNELS_PACKAGE = "tinygan_kernels.cuda.numba_kernels"


@dataclass(frozen=True, kw_only=True)
class NumbaRung(Rung):
    """A version in Numba CUDA. source: a module of cuda/numba_kernels; entries: names of its functions decorated with cuda.jit."""

    @functools.cached_property
    def kernels(self) -> tuple[Any, ...]:
        """The entries as Numba's dispatchers. Imports numba.cuda. Raises ContractError where the module has no such function."""
        module = importlib.import_module(f"{KERNELS_PACKAGE}.{self.source}")
        for name in self.entries:
            if not hasattr(module, name):
                raise ContractError(f"{self.kernel} version {self.number} names {name}, which numba_kernels/{self.source}.py lacks")
        return tuple(getattr(module, name) for name in self.entries)

    def record(self, arrays: tuple[Any, ...], params: Mapping[str, Any]) -> list[RecordedLaunch]:
        device = NumbaDevice(NUMPY)
        return [_recorded(launch) for launch in device.checked(self.host(device, self, *arrays, **params))]


def _recorded(launch: CudaLaunch) -> RecordedLaunch:
    kernel = launch.kernel
    ptx = functools.partial(compile_ptx, kernel, launch.args)
    path = Path(kernel.py_func.__code__.co_filename)
    return RecordedLaunch(kernel.__name__, launch.blocks, math.prod(launch.threads), path, ptx)


# ---- the ladders --------------------------------------------------------------------------------------------------------------

LADDERS: tuple[NumbaRung, ...] = (
    NumbaRung(
        "matmul", 1, "naive: one thread an element, down the columns", source="matmul", entries=("naive_kernel",),
        host=hosts.matmul_views,
    ),
    NumbaRung(
        "matmul", 2, "coalesced: along the rows", source="matmul", entries=("coalesced_kernel",),
        host=hosts.matmul_views, improves="sectors",
    ),
    NumbaRung(
        "matmul", 3, "16x16 tiles in shared memory", source="matmul", entries=("shared_tile_kernel",),
        host=hosts.matmul_views, tile=(16, 16), improves="sectors",
    ),
    NumbaRung(
        "matmul", 4, "64x64 tiles, 8x8 elements a thread in registers", source="matmul", entries=("register_tile_kernel",),
        host=hosts.matmul_strides, tile=(64, 64), threads=(64,), improves="shared wavefronts",
    ),
    NumbaRung(
        "conv2d", 1, "direct: one thread an output", source="conv2d", entries=("direct_kernel",), host=hosts.convolution,
    ),
    NumbaRung(
        "conv2d", 2, "implicit GEMM, 16x16 tiles in shared memory", source="conv2d", entries=("gemm_kernel",),
        host=hosts.implicit_gemm, tile=(16, 16), improves="sectors",
    ),
    NumbaRung(
        "conv2d_dx", 1, "direct: one thread a pixel and channel gathers", source="conv2d", entries=("direct_dx_kernel",),
        host=hosts.convolution,
    ),
    NumbaRung(
        "conv2d_dx", 2, "implicit GEMM, 16x16 tiles in shared memory", source="conv2d", entries=("gemm_dx_kernel",),
        host=hosts.implicit_gemm, tile=(16, 16), improves="sectors",
    ),
    NumbaRung(
        "conv2d_dw", 1, "direct: one thread a filter number", source="conv2d", entries=("direct_dw_kernel",),
        host=hosts.convolution,
    ),
    NumbaRung(
        "conv2d_dw", 2, "implicit GEMM, 16x16 tiles in shared memory", source="conv2d", entries=("gemm_dw_kernel",),
        host=hosts.implicit_gemm, tile=(16, 16), improves="sectors",
    ),
    NumbaRung(
        "bce_logits", 1, "two passes, tree in shared memory", source="bce",
        entries=("loss_kernel", "mean_kernel", "slope_kernel"), host=hosts.bce_logits_two_pass,
    ),
    NumbaRung(
        "bce_logits", 2, "one pass, warp shuffles", source="bce", entries=("one_pass_kernel", "add_blocks_kernel"),
        host=hosts.bce_logits_one_pass, improves="sectors",
    ),
    NumbaRung(
        "bias_act", 1, "fused", source="fused", entries=("bias_act_kernel",), host=hosts.bias_act,
    ),
    NumbaRung(
        "bias_act_grad", 1, "fused, column sums on the way", source="fused",
        entries=("bias_act_grad_kernel", "add_chunks_kernel"), host=hosts.bias_act_grad, tile=(256, 256),
    ),
    NumbaRung(
        "adam", 1, "fused", source="fused", entries=("adam_corrections_kernel", "adam_kernel"), host=hosts.adam,
    ),
)  # fmt: skip
_LADDERS = Ladders("numba-cuda", "Numba", LADDERS)
VERSIONS = _LADDERS.versions()
choose, find = _LADDERS.choose, _LADDERS.find


# ---- devices ------------------------------------------------------------------------------------------------------------------


def compile_ptx(kernel: Any, args: tuple[Any, ...], arch: str) -> tuple[str, str]:
    """Return a Numba kernel's PTX for these arguments on `arch` (such as "sm_90"), and the name of its entry. Needs no driver."""
    from numba import typeof

    from tinygan_kernels.emulator.host.numba_launch import to_ptx

    types = tuple(map(typeof, args))
    ptx = to_ptx(kernel.py_func, types, capability=divmod(int(arch.removeprefix("sm_")), 10))
    return ptx, re.search(r"\.entry\s+(\S+?)\(", ptx)[1]


class NumbaDevice(Device):
    """A device whose kernels are functions decorated with cuda.jit."""

    def check(self, launch: CudaLaunch) -> None:
        """Check the number of arguments, and that all arrays have one dtype, float32 or float64.

        Numba would compile for any mixture: slow, and right by accident.
        """
        function, args = launch.kernel.py_func, launch.args
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        if len(args) != len(names):
            raise ContractError(f"{function.__name__} takes {len(names)} arguments ({', '.join(names)}), got {len(args)}")
        array_type, kernel = self.memory.array_type, function.__name__
        dtype = next((a.dtype for a in args if isinstance(a, array_type)), None)
        known = dtype is not None and dtype.name in DTYPES
        for name, arg in zip(names, args, strict=True):
            if isinstance(arg, np.generic):
                continue
            if not isinstance(arg, array_type):
                self.check_type(kernel, name, arg, or_else=" or a NumPy scalar")
            if arg.dtype != dtype or not known:
                raise ContractError(f"{kernel}: {name} is {arg.dtype}; all arrays have to be float32, or all float64")


class Emulated(NumbaDevice):
    """A device whose arrays are NumPy's and whose kernels the emulator executes, compiled as for this compute capability."""

    def __init__(self, capability: int = EMULATED_CAPABILITY) -> None:
        from tinygan_kernels import emulator

        super().__init__(NUMPY, capability)
        self._launch = functools.partial(emulator.launch, capability=divmod(capability, 10))

    def start(self, launch: CudaLaunch) -> None:
        self._launch(launch.kernel, (launch.blocks, 1, 1), (*launch.threads, 1, 1)[:3], *launch.args)


class OnGpu(NumbaDevice):
    """A GPU with CuPy's arrays and current stream: CuPy's own kernels and these run in the order in which they were launched."""

    def __init__(self) -> None:
        from numba import cuda

        super().__init__(cupy_memory(), gpu_capability())
        self._cuda = cuda
        self._configured = functools.lru_cache(maxsize=1024)(self._configure)

    def start(self, launch: CudaLaunch) -> None:
        stream = self.memory.xp.cuda.get_current_stream().ptr
        # sync=False: Numba would wait for the stream at each launch; the order within one stream is all that is needed
        arrays = self.memory.array_type
        views = (self._cuda.as_cuda_array(a, sync=False) if isinstance(a, arrays) else a for a in launch.args)
        self._configured(launch.kernel, launch.blocks, launch.threads, stream)(*views)

    def _configure(self, kernel: Any, blocks: int, threads: tuple[int, ...], stream: int) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Numba warns of small grids, which small products have
            handle = self._cuda.external_stream(stream) if stream else self._cuda.default_stream()
            return kernel[blocks, threads, handle]


# ---- the backend --------------------------------------------------------------------------------------------------------------


def why_unavailable(emulate: bool = False) -> str | None:
    """Return what is missing on this machine and what to do about it, in one line; None if the backend can run."""
    missing = missing_requirement(emulate, numba=True)
    if missing or emulate:
        return missing
    from numba import cuda

    return None if cuda.is_available() else NO_GPU


def backend(emulate: bool = False, versions: Mapping[str, int] | None = None) -> Backend:
    """Return the kernels in Numba, on a GPU or emulated. Raises ContractError.

    versions: a version number for each kernel that is not to run at its best.
    """
    return _LADDERS.on(Emulated() if emulate else OnGpu(), versions, emulate)

"""triton: a context in which Triton kernels run on the emulator, `kernel[grid](...)` as it stands.

Triton's own code does the most: types and specialisation of arguments, autotuning, heuristics, its compiler and its cache. What is
replaced is the driver (a device of compute capability 8.0 or 9.0, in host memory) and the last step of the compiler, as PTX is
what runs.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute.memory import bytes_at
from tinygan_kernels.emulator.semantics import tensor_maps as maps
from tinygan_kernels.emulator.translate.translator import translate
from tinygan_kernels.extras import install

from .launch import run_kernel
from .rawmodule import allocate, parsed

CAPABILITY, WARP = 80, 32
SHARED = {80: 163, 90: 227}
"""KiB of shared memory that a block can have, by compute capability."""
DEVICE = "emulator"
"""What Triton keeps compiled kernels under, in the place of a device's number."""
PROPERTIES = {
    "max_num_regs": 65536, "multiprocessor_count": 1, "warpSize": WARP, "sm_clock_rate": 0,
    "mem_clock_rate": 0, "mem_bus_width": 0,
}  # fmt: skip
_NUMPY = {"fp32": "f4", "fp64": "f8", "fp16": "f2", "i1": "u1", "u1": "u1",
          **{f"{sign}{8 * size}": f"{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8)}}  # fmt: skip


@dataclass(frozen=True)
class TritonLaunch:
    """A launch of a Triton kernel that was compiled and not run. name: of the entry in the PTX; threads: of a block; shared: bytes
    of dynamic shared memory of a block.
    """

    name: str
    ptx: str
    grid: tuple[int, int, int]
    threads: int
    shared: int


@contextmanager
def triton(capability: int = CAPABILITY) -> Iterator[None]:
    """Run Triton kernels on the emulator inside the `with` block; arguments are NumPy arrays or PyTorch's tensors on the CPU.

    Everything that `kernel[grid](...)` takes is taken: meta-parameters, num_warps, a grid as a tuple or a function. Of an
    autotuned kernel all configurations are run, so that each is checked, and the first one that can run is chosen. PyTorch's
    device "cuda" means the CPU inside. Findings name the line of the Triton kernel.

    capability: the compute capability that Triton compiles for: 80, or 90 for Hopper's tensor maps and wgmma.

    Raises ValueError for another capability, EmulatorError where Triton is not installed, SanitizerError for findings.
    """
    if capability not in SHARED:
        raise ValueError(f"capability is {capability!r}: give one of {', '.join(map(str, SHARED))}")
    with _driven_by(lambda: Driver(capability)):
        yield


@contextmanager
def compiled_for(capability: int) -> Iterator[list[TritonLaunch]]:
    """Compile Triton kernels that are launched inside the `with` for a compute capability, and run none of them.

    Yields a list of their launches: those that an autotuner tries, and, behind these, that with what it has chosen. capability is
    10 x major + minor, such as 90. Arguments are taken as `triton` takes them. Raises EmulatorError where Triton is not installed.
    """
    found: list[TritonLaunch] = []
    with _driven_by(lambda: _Compiling(capability, found)):
        yield found


@contextmanager
def _driven_by(driver_of: Callable[[], Driver]) -> Iterator[None]:
    """Put a driver in the place of Triton's inside the `with`. Raises EmulatorError where Triton is not installed."""
    if find_spec("triton") is None:
        raise EmulatorError(f"emulator.triton() needs Triton: {install('triton')}")
    import triton.testing
    from triton.backends import Backend, backends
    from triton.runtime import JITFunction, driver

    nvidia = backends["nvidia"]
    run = JITFunction.run

    def run_with_arrays(self: Any, *args: Any, **kwargs: Any) -> Any:
        return run(self, *map(_with_address, args), **{name: _with_address(value) for name, value in kwargs.items()})

    with ExitStack() as stack:
        stack.enter_context(patch.dict(backends, nvidia=Backend(compiler=_compiler(nvidia.compiler), driver=nvidia.driver)))
        stack.enter_context(patch.object(driver, "_active", driver_of()))
        stack.enter_context(patch.object(JITFunction, "run", run_with_arrays))
        for name in ("do_bench", "do_bench_cudagraph"):
            stack.enter_context(patch.object(triton.testing, name, _time_once))
        if find_spec("torch") is not None:
            from .torch_devices import cuda_is_cpu

            stack.enter_context(cuda_is_cpu())
        yield


class _Array:
    """A NumPy array as Triton wants its arguments: with an address and a type."""

    def __init__(self, array: np.ndarray):
        self.array, self.dtype = array, array.dtype

    def data_ptr(self) -> int:
        return int(self.array.__array_interface__["data"][0])


def _with_address(value: Any) -> Any:
    return _Array(value) if isinstance(value, np.ndarray) else value


@lru_cache(maxsize=1)
def _compiler(original: Any) -> Any:
    """Return Triton's compiler for NVIDIA's GPUs, which ends at PTX."""

    class PtxCompiler(original):  # type: ignore[misc]
        def __init__(self, target: Any):
            super().__init__(target)
            self.binary_ext = "ptx"

        def parse_options(self, options: Any) -> Any:
            with warnings.catch_warnings():  # Triton 3.9 announces another default for its next version, to each of its users
                warnings.filterwarnings("ignore", message="TRITON_DEFAULT_FP_FUSION")
                return super().parse_options(options)

        def add_stages(self, stages: dict[str, Any], options: Any, language: Any = None) -> None:
            super().add_stages(stages, options, language)
            stages.pop("cubin", None)

    return PtxCompiler


class Driver:
    """What Triton asks of a driver: a device, and a launch."""

    def __init__(self, capability: int = CAPABILITY) -> None:
        self.capability = capability
        self.utils = self
        self.launcher_cls = Launcher
        self.turns = 0

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self.capability, WARP)

    def get_current_device(self) -> str:
        return DEVICE if self.capability == CAPABILITY else f"{DEVICE} {self.capability}"

    def set_current_device(self, device: Any) -> None: ...

    def get_current_stream(self, device: Any = None) -> int:
        return 0

    def get_active_torch_device(self) -> Any:
        import torch

        return torch.device("cpu")

    def get_device_interface(self) -> Any:
        import torch

        return torch.cpu

    def get_device_capability(self, device: Any = None) -> tuple[int, int]:
        return self.capability // 10, self.capability % 10

    def get_device_properties(self, device: Any) -> dict[str, int]:
        return {"max_shared_mem": SHARED.get(self.capability, 227) * 1024, **PROPERTIES}

    def get_benchmarker(self) -> Callable[..., list[float]]:
        """Return what the autotuner measures with: it runs a configuration once, and prefers the first."""

        def first(call: Callable[[], Any], quantiles: Any = None, **_: Any) -> list[float]:
            call()
            self.turns += 1
            return [float(self.turns)] * 3

        return first

    def get_empty_cache_for_benchmark(self) -> Any:
        return np.zeros(1, np.int32)

    def clear_cache(self, cache: Any) -> None: ...

    def load_binary(self, name: str, ptx: bytes, shared: int, device: Any) -> tuple[object, object, int, int, int]:
        """Translate a kernel. Return (module, function, registers, spills, the most threads of a block).

        The module is None: at the end of the process Triton would ask a driver, which may be gone by then, to unload another.
        """
        return None, _kernel(ptx.decode() if isinstance(ptx, bytes) else ptx, name), 0, 0, 1024

    def unload_module(self, module: object) -> None: ...


def located(ptx: str) -> str:
    """Return PTX in which inline assembly is on the line of the kernel that it was written for.

    LLVM counts the lines of a piece of inline assembly on from that line, as Triton writes loads and stores by it: the first
    `.loc` in it is right.
    """
    lines, inside = [], 0
    for line in ptx.split("\n"):
        if "// begin inline asm" in line or "// end inline asm" in line:
            inside = int("begin" in line)
        elif inside and line.lstrip().startswith(".loc"):
            line = "" if inside > 1 else line
            inside += 1
        lines.append(line)
    return "\n".join(lines)


class _Kernel:
    def __init__(self, ptx: str, name: str):
        module = parsed(located(ptx))
        self.variables = allocate(module)
        self.translated = translate(module, name, {n: m.base for n, m in self.variables.items()})


@lru_cache(maxsize=256)
def _kernel(ptx: str, name: str) -> _Kernel:
    return _Kernel(ptx, name)


class _Compiling(Driver):
    """A driver whose kernels are compiled for a compute capability and noted, and not run."""

    def __init__(self, capability: int, found: list[TritonLaunch]) -> None:
        super().__init__(capability)
        self.launcher_cls = partial(_Noting, found)  # type: ignore[assignment]

    def get_current_device(self) -> str:
        return f"compiler for {self.capability}"

    def load_binary(self, name: str, ptx: bytes, shared: int, device: Any) -> tuple[object, object, int, int, int]:
        return None, ptx.decode() if isinstance(ptx, bytes) else ptx, 0, 0, 1024


class _Noting:
    """Notes a launch, in the place of a Launcher."""

    def __init__(self, found: list[TritonLaunch], source: Any, metadata: Any) -> None:
        self.found, self.metadata = found, metadata

    def __call__(self, x: int, y: int, z: int, stream: Any, ptx: str, *args: Any) -> None:
        warps, shared = int(self.metadata.num_warps), int(self.metadata.shared)
        self.found.append(TritonLaunch(str(self.metadata.name), ptx, (int(x), int(y), int(z)), WARP * warps, shared))


class Launcher:
    """Launches a compiled kernel with the arguments that Triton has bound."""

    def __init__(self, source: Any, metadata: Any):
        self.names = list(source.signature)
        self.types, self.metadata = list(source.signature.values()), metadata
        if getattr(metadata, "num_ctas", 1) > 1:
            raise EmulatorError("not supported: Triton kernels with num_ctas above 1 (clusters)")

    def __call__(
        self, x: int, y: int, z: int, stream: Any, function: _Kernel, packed: Any, launch_metadata: Any, enter: Any, leave: Any,
        *args: Any,
    ) -> None:  # fmt: skip
        grid = tuple(int(v) for v in (x, y, z))
        if 0 in grid:
            return
        values: list[Any] = []
        arrays: list[tuple[np.ndarray, str]] = []
        declared, described = function.translated.entry.params, list(getattr(self.metadata, "tensordesc_meta", None) or ())
        for name, kind, value in zip(self.names, self.types, args, strict=False):
            if isinstance(kind, str) and kind.startswith("tensordesc") and described:
                _describe(str(name), described.pop(0), value, values, arrays)
                sizes = [p.size for p in declared[len(values) : len(values) + 2 * len(value.shape)]]
                numbers = zip([*value.shape, *value.strides], sizes, strict=True)
                values += [_whole(number, f"i{size}") for number, size in numbers]
            else:
                _flatten(str(name), kind, value, values, arrays)
        scratch = int(getattr(self.metadata, "global_scratch_size", 0) or 0) * int(np.prod(grid))
        for i in range(len(declared) - len(values)):
            room = _aligned(scratch) if scratch and i == 0 else None
            arrays += [] if room is None else [(room, "Triton's scratch memory")]
            values.append(np.uint64(0 if room is None else room.ctypes.data))
        block = (WARP * int(self.metadata.num_warps), 1, 1)
        run_kernel(function.translated, function.variables, grid, block, tuple(values), int(self.metadata.shared), arrays)


def _describe(name: str, meta: dict[str, Any], value: Any, values: list[Any], arrays: list[tuple[np.ndarray, str]]) -> None:
    """Add the tensor map of a TensorDescriptor that the host has made, as Triton's compiler (meta) wants its box."""
    kind = maps.KINDS[{8: 10, 9: 8, 10: 9}.get(meta["elem_type"], meta["elem_type"])]  # a device numbers types in another order
    if meta.get("is_im2col") or meta.get("fp4_padded"):
        raise EmulatorError(f"not supported: argument {name} of a Triton kernel, a descriptor of another mode than tiles")
    strides = [stride * meta["elem_size"] for stride in value.strides[-2::-1]] if len(value.strides) > 1 else []
    if getattr(value, "round_f32_to_tf32", False):  # descriptors of older versions of Triton do not have it, nor `padding`
        kind = "tf32"
    address = int(_address(name, value.base, arrays))
    swizzle = maps.SWIZZLES[meta["swizzle"]]
    box, filled = meta["block_size"][::-1], getattr(value, "padding", "zero") == "nan"
    made = maps.tiled(kind, address, value.shape[::-1], strides, box, None, swizzle, filled)
    values.append(np.void(made.encoded().tobytes()))


def _aligned(size: int) -> np.ndarray:
    """Return zeros at an address that is a multiple of 128, as tensor maps among them need."""
    raw = np.zeros(size + 128, np.uint8)
    start = -raw.ctypes.data % 128
    return raw[start : start + size]


def _flatten(name: str, kind: Any, value: Any, values: list[Any], arrays: list[tuple[np.ndarray, str]]) -> None:
    """Add the value of an argument as the PTX takes it; what is a constant of the compilation is none of them."""
    if kind == "constexpr":
        return
    if isinstance(kind, tuple):
        for i, (part, item) in enumerate(zip(kind, value, strict=True)):
            _flatten(f"{name}[{i}]", part, item, values, arrays)
    elif kind.startswith("*"):
        values.append(_address(name, value, arrays))
    elif kind in _NUMPY:
        values.append(np.array(value).astype(_NUMPY[kind])[()] if kind[0] in "f" else _whole(value, _NUMPY[kind]))
    else:
        raise EmulatorError(f"not supported: argument {name} of a Triton kernel, of type {kind}")


def _whole(value: Any, code: str) -> np.generic:
    size = int(code[1])
    raw = (int(value) & (1 << 8 * size) - 1).to_bytes(size, "little")
    return np.frombuffer(raw, code)[0]


def _address(name: str, value: Any, arrays: list[tuple[np.ndarray, str]]) -> np.generic:
    """Return the address of an array or a tensor, and add its bytes to what the kernel may touch."""
    if value is None:
        return np.uint64(0)
    if isinstance(value, _Array):
        arrays.append((value.array, name))
        return np.uint64(value.data_ptr())
    if hasattr(value, "base") and not hasattr(value, "stride"):  # triton.reinterpret
        value = value.base
        return _address(name, value, arrays)
    if not hasattr(value, "data_ptr") or (hasattr(value, "device") and value.device.type != "cpu"):
        raise EmulatorError(f"argument {name} of a Triton kernel is no NumPy array and no tensor on the CPU, but {value!r:.60}")
    size = value.element_size()
    steps = [(n - 1) * stride for n, stride in zip(value.shape, value.stride(), strict=True)]
    reach = (1 + sum(steps)) * size if value.numel() else 0
    arrays.append((bytes_at(value.data_ptr(), reach), name))
    return np.uint64(value.data_ptr())


def _time_once(call: Callable[[], Any], *_: Any, quantiles: Any = None, return_mode: str = "mean", **__: Any) -> Any:
    """Run a kernel once; return the milliseconds that the emulator took, in as many ways as do_bench is asked for."""
    begun = time.perf_counter()
    call()
    taken = 1e3 * (time.perf_counter() - begun)
    return [taken] * len(quantiles) if quantiles is not None else [taken] if return_mode == "all" else taken



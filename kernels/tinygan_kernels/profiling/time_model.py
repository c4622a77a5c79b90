"""A model of a CUDA kernel's time on a named GPU, from counters. It is a model: nothing is measured.

For each CUDA kernel the cycles that a thread block keeps each part of a multiprocessor busy are worked out:

    issue        warp instructions / 4 schedulers
    arithmetic   floating-point instructions of single lanes / lanes of that type
    load/store   what `memory_pipes` counts: requests, lines and wavefronts of the L1 cache and shared memory

The slowest of them, w, is the block's work. Besides, its warps wait for global memory, L = waits x latency of the L2 cache. Where a
block has barriers its warps wait together, and alone it takes w + L; without, other warps work meanwhile, and it takes
max(w, w / warps + L). With b resident blocks a multiprocessor is done with one every max(w, alone / b) cycles (after Volkov 2016,
"Understanding Latency Hiding on GPUs"). The whole takes at least as long as the L2 cache needs for the sectors that blocks touch,
each once, and as DRAM needs for inputs and outputs. Left out: what ptxas makes of PTX but for wide shared accesses; cache misses
beyond those; conflicts of register banks; what launching costs; and power, for which the clock falls where all units are busy: it
is taken to be that of the data sheet's peak. No constant is fitted, but that clock was chosen when the published speeds of one GPU
were known (docs/results.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygan_kernels.cuda.device import RecordedLaunch
from tinygan_kernels.emulator.counters import INSTRUCTIONS, WARPS
from tinygan_kernels.shapes import ContractError

from . import machine_code
from .architectures import KernelResources, capability_of, resident_blocks
from .calls import KernelCall, call
from .counts import Counted, Key, count_executions
from .memory_pipes import BARRIERS, BLOCK_SECTORS, LSU_CYCLES, WAITS, counted_pipes
from .roofline import GPUS as ROOFLINE_GPUS
from .roofline import Gpu

SCHEDULERS = 4  # of a multiprocessor; each issues a warp instruction a cycle (CUDA C++ Programming Guide, from capability 7.0 on)
_FP32 = ("fadd", "fmul", "ffma")
_METRIC = "smsp__sass_thread_inst_executed_op_{}_pred_on.sum"


@dataclass(frozen=True)
class GpuModel:
    """What the model knows of a GPU besides its data sheet. fp32, lsu: a multiprocessor's lanes for float32 arithmetic, and of its
    load/store units.

    source: where these two are from, the figure of a multiprocessor in a white paper.
    """

    gpu: Gpu
    fp32: int
    lsu: int
    source: str

    @property
    def clock(self) -> float:
        """The clock in GHz at which the data sheet's peak is reached, a multiply-add being two operations."""
        return self.gpu.tflops * 1e3 / (2 * self.gpu.multiprocessors * self.fp32)


L2_BYTES, L2_LATENCY = 64, 200
"""Bytes a cycle that a multiprocessor gets from the L2 cache (V100: Jia et al. 2018, "Dissecting the NVIDIA Volta GPU
Architecture", table 3.1), and the cycles of a hit there (A100: Abdelkhalik et al. 2022, "Demystifying the NVIDIA Ampere
Architecture", table IV)."""
_SHEETS = {gpu.name: gpu for gpu in ROOFLINE_GPUS}
GPUS = {
    "t4": GpuModel(_SHEETS["T4"], 64, 16, "NVIDIA Turing GPU Architecture white paper, TU102 SM"),
    "a100": GpuModel(_SHEETS["A100 SXM 80 GB"], 64, 32, "NVIDIA A100 Tensor Core GPU Architecture white paper, GA100 SM"),
    "a6000": GpuModel(_SHEETS["RTX A6000"], 128, 16, "NVIDIA Ampere GA102 GPU Architecture white paper, GA10x SM"),
    "4090": GpuModel(_SHEETS["RTX 4090"], 128, 16, "NVIDIA Ada GPU Architecture white paper, AD10x SM"),
    "h100": GpuModel(_SHEETS["H100 SXM"], 128, 32, "NVIDIA H100 Tensor Core GPU Architecture white paper, GH100 SM"),
    "h200": GpuModel(_SHEETS["H200 SXM"], 128, 32, "NVIDIA H100 Tensor Core GPU Architecture white paper, GH100 SM"),
}


@dataclass(frozen=True)
class KernelTime:
    """The modelled time of one CUDA kernel over all its launches, in microseconds, and its parts.

    blocks, resident: thread blocks in all, and at a time on one multiprocessor. issue, arithmetic, load_store: how long these parts
    are busy; latency: what waiting adds, beyond the busiest of them; l2, dram: how long these take at least. total: the time.
    """

    kernel: str
    blocks: int
    resident: int
    issue: float
    arithmetic: float
    load_store: float
    latency: float
    l2: float
    dram: float
    total: float

    @property
    def limit(self) -> str:
        """The part that takes longest."""
        parts = {"issue": self.issue, "arithmetic": self.arithmetic, "load/store": self.load_store, "L2 cache": self.l2,
                 "DRAM": self.dram}  # fmt: skip
        longest = max(parts, key=lambda name: parts[name])
        return "latency" if self.latency > parts[longest] else longest


def gpu_named(name: str) -> GpuModel:
    """Return a GPU by its short name. Raises ContractError, naming those that there are."""
    if name.lower() not in GPUS:
        raise ContractError(f"there is no GPU {name!r} in the model of time; there are {', '.join(GPUS)}")
    return GPUS[name.lower()]


def modelled(
    gpu: GpuModel, kernel: str, shape: Sequence[int], run: Callable[[KernelCall], Callable[..., Any]],
    launches: Sequence[RecordedLaunch], params: Mapping[str, Any] | None = None,
) -> tuple[list[KernelTime], Counted]:  # fmt: skip
    """Count a call, and return the modelled times of its CUDA kernels, and the counts.

    run(call) is a function that launches a call when it is given (inputs, outputs). params: values of the call's parameters in the
    place of those of `calls`. The other arguments are those of `times` and `counts.count_executions`, whose errors it raises.
    """
    def made_of(sizes: Sequence[int]) -> KernelCall:
        return call(kernel, sizes).with_params(params or {})

    def execute(sizes: Sequence[int]) -> dict[Key, float]:
        made = made_of(sizes)
        return counted_pipes(made, run(made))

    counted = count_executions(execute, kernel, shape)
    return times(gpu, counted, launches, made_of(shape).bytes), counted


def text(gpu: GpuModel, kernels: Sequence[KernelTime], flops: float) -> str:
    """Return the modelled times as sentences: the whole, and for each CUDA kernel its parts."""
    whole = sum(k.total for k in kernels)
    speed = f", {flops / whole / 1e6:.3g} TFLOP/s" if whole else ""
    said = [f"Modelled time on one {gpu.gpu.name} at {gpu.clock:.2f} GHz: {whole:,.1f} us{speed}. A model, not a measurement."]
    for k in kernels:
        parts = (f"issue {k.issue:,.1f}, arithmetic {k.arithmetic:,.1f}, load/store units {k.load_store:,.1f}, "
                 f"waiting for memory {k.latency:,.1f} more; at least L2 cache {k.l2:,.1f}, DRAM {k.dram:,.1f}")  # fmt: skip
        said.append(f"  {k.kernel}: {k.total:,.1f} us, limited by {k.limit}; {k.blocks:,} blocks, {k.resident} at a time on a "
                    f"multiprocessor; in us: {parts}")  # fmt: skip
    return "\n".join([*said, f"Sources: {gpu.gpu.source}; {gpu.source}; L2 cache as in profiling/time_model.py."])


def times(gpu: GpuModel, counted: Counted, launches: Sequence[RecordedLaunch], least_bytes: int) -> list[KernelTime]:
    """Return the modelled times of a call's CUDA kernels.

    counted: with the metrics of `memory_pipes`. launches: those of the call. least_bytes: what has to come from DRAM or go there at
    least, over all kernels. Raises InspectionError where the code does not compile for the GPU, ContractError where not even one
    block fits a multiprocessor.
    """
    found, distinct = [], {each.kernel: each for each in launches}
    for launch in distinct.values():
        numbers = machine_code.resources(launch, gpu.gpu.arch)
        kernel = KernelResources(numbers["registers"], numbers["shared"], numbers["spill_stores"], numbers["spill_loads"])
        resident = resident_blocks(capability_of(gpu.gpu.arch), launch.threads, kernel)
        if not resident:
            raise ContractError(f"{launch.kernel}: not one block of {launch.threads} threads fits the {gpu.gpu.name}")
        found.append(kernel_time(gpu, counted, launch.kernel, launch.threads, resident, least_bytes / len(distinct)))
    return found


def kernel_time(gpu: GpuModel, counted: Counted, kernel: str, threads: int, resident: int, least_bytes: float) -> KernelTime:
    """Return the modelled time of a CUDA kernel. threads: of a block; resident: blocks at a time on a multiprocessor."""
    warps = -(-threads // 32)
    total_warps = counted.total(WARPS, kernel)
    blocks = max(1, round(total_warps / warps))
    arithmetic = sum(counted.total(_METRIC.format(op), kernel) for op in _FP32) / gpu.fp32 / blocks
    parts = {"issue": counted.total(INSTRUCTIONS, kernel) / SCHEDULERS / blocks, "arithmetic": arithmetic,
             "load_store": counted.total(LSU_CYCLES[gpu.lsu], kernel) / blocks}  # fmt: skip
    work = max(parts.values())
    wait = counted.total(WAITS, kernel) / max(1, total_warps) * L2_LATENCY
    alone = work + wait if counted.total(BARRIERS, kernel) else max(work, work / warps + wait)
    rounds = math.ceil(blocks / gpu.gpu.multiprocessors)
    together = min(resident, rounds)
    each = max(work, alone / together)
    scale = rounds / (gpu.clock * 1e3)  # from cycles a block to microseconds
    l2 = 32 * counted.total(BLOCK_SECTORS, kernel) / (L2_BYTES * gpu.gpu.multiprocessors * gpu.clock * 1e3)
    dram = least_bytes / (gpu.gpu.bandwidth * 1e3)
    busy = {name: cycles * scale for name, cycles in parts.items()}
    return KernelTime(kernel, blocks, resident, **busy, latency=(each - work) * scale, l2=l2, dram=dram,
                      total=max(each * scale, l2, dram))  # fmt: skip

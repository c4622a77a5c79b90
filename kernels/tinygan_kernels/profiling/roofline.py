"""The roofline: how fast a kernel can be at best on a named GPU (Williams, Waterman and Patterson 2009).

Performance <= min(peak, arithmetic intensity x bandwidth). The peaks are those of the makers' data sheets, at boost clock and never
reached in full; a bound from them says what no kernel can beat, not what this one will do.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """A GPU's data sheet: FP32 without tensor cores in TFLOP/s, memory bandwidth in GB/s (10^9 bytes), multiprocessors."""

    name: str
    arch: str
    tflops: float
    bandwidth: float
    multiprocessors: int
    source: str


GPUS = (
    Gpu("T4", "sm_75", 8.1, 320, 40, "NVIDIA T4 Tensor Core GPU data sheet"),
    Gpu("A100 SXM 80 GB", "sm_80", 19.5, 2039, 108, "NVIDIA A100 Tensor Core GPU data sheet"),
    Gpu("RTX A6000", "sm_86", 38.7, 768, 84, "NVIDIA RTX A6000 data sheet"),
    Gpu("RTX 4090", "sm_89", 82.6, 1008, 128, "NVIDIA Ada GPU Architecture white paper, appendix A"),
    Gpu("H100 SXM", "sm_90", 67.0, 3350, 132, "NVIDIA H100 Tensor Core GPU data sheet"),
    Gpu("H200 SXM", "sm_90", 67.0, 4800, 132, "NVIDIA H200 Tensor Core GPU data sheet"),
)


@dataclass(frozen=True)
class RooflineBound:
    """The bound that a GPU sets: at most `tflops`, so at least `microseconds`, limited by `limit` ("arithmetic" or "memory")."""

    gpu: Gpu
    tflops: float
    microseconds: float
    limit: str


def bound(gpu: Gpu, flops: float, memory_bytes: float) -> RooflineBound:
    """Return the bound for `flops` floating-point operations and `memory_bytes` that pass between the GPU and its memory."""
    arithmetic, memory = flops / (gpu.tflops * 1e12), memory_bytes / (gpu.bandwidth * 1e9)
    seconds = max(arithmetic, memory)
    tflops = flops / seconds / 1e12 if seconds else 0.0
    return RooflineBound(gpu, tflops, seconds * 1e6, "arithmetic" if arithmetic >= memory else "memory")


def ridge(gpu: Gpu) -> float:
    """Return the arithmetic intensity, in operations per byte, from which on arithmetic limits a kernel and not memory."""
    return gpu.tflops * 1e3 / gpu.bandwidth

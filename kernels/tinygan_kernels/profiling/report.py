"""The profile of a CUDA kernel without a GPU: counters of its execution, hot lines, compiled code, and the bounds that GPUs set.

    from tinygan_kernels.profiling import report, view
    profiles = report.profile("matmul", shape=(512, 512, 512), backend="cupy", compare=[3, 4])
    view.render(profiles)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tinygan_kernels import CUDA_BACKENDS, ladder, load
from tinygan_kernels.cuda.device import RecordedLaunch
from tinygan_kernels.cuda.ladder import Rung
from tinygan_kernels.profiling import machine_code, roofline, time_model
from tinygan_kernels.profiling.architectures import capability_of
from tinygan_kernels.profiling.calls import PROFILED, KernelCall, call, form_of, require_ladder
from tinygan_kernels.profiling.counts import Counted, count
from tinygan_kernels.shapes import ContractError

UNKNOWN = (
    "time, and so throughput: they need a GPU; the roofline says only what cannot be beaten",
    "achieved occupancy (sm__warps_active): it depends on when blocks start, stall and end",
    "hits in the L1 and L2 caches, and traffic to DRAM: the emulator has no caches, its sectors are requests to L1",
    "stalls and latencies: cycles here are the compiler's schedule, without a wait for memory",
    "the number of machine instructions: counters are of PTX, which ptxas shortens or expands by some per cent",
)


@dataclass(frozen=True)
class HotLine:
    """A source line and its share of the warp instructions that its CUDA kernel executed. sectors: of global memory, both ways."""

    kernel: str
    file: str
    line: int
    text: str
    share: float
    sectors: float
    bank_conflicts: float


@dataclass(frozen=True)
class KernelProfile:
    """The profile of one version of one kernel on one shape.

    label: what tables call it, such as "version 3"; title: what it is, in words. compiled: a row for each CUDA kernel
    that it launches; not_compiled: why the machine code was not read, or "". flops: those that the mathematics asks for (for
    elementwise work, those that were executed). bytes: what has to be moved at least.
    """

    backend: str
    kernel: str
    label: str
    title: str
    shape: tuple[int, ...]
    sizes: tuple[str, ...]
    arch: str
    launches: tuple[RecordedLaunch, ...]
    counted: Counted
    hot: tuple[HotLine, ...]
    compiled: tuple[machine_code.Compiled, ...]
    not_compiled: str
    flops: float
    bytes: int
    bounds: tuple[roofline.RooflineBound, ...]
    unknown: tuple[str, ...] = UNKNOWN


def profile(
    kernel: str,
    version: int | None = None,
    shape: Sequence[int] | None = None,
    backend: str = "cupy",
    arch: str = "sm_90",
    compare: Sequence[int] | None = None,
) -> list[KernelProfile]:
    """Profile a version of a kernel (the best one, unless given), or each of `compare`, in float32.

    shape: as PROFILED[kernel].sizes names its numbers, by default its example. arch: what the code is compiled for, such as
    "sm_90". Raises BackendError, ContractError; InspectionError if the code does not compile for `arch`.
    """
    chosen = _chosen(kernel, version, shape, backend, compare)
    capability_of(arch)
    return [_profile(rung, tuple(shape or PROFILED[kernel].example), backend, arch) for rung in chosen]


def modelled_time(
    kernel: str, gpu: str, version: int | None = None, shape: Sequence[int] | None = None, backend: str = "cupy"
) -> tuple[list[time_model.KernelTime], str]:
    """Return the modelled times of a version of a kernel on a GPU of `time_model.GPUS`, by CUDA kernel, and the same in words.

    The other arguments are those of `profile`, whose errors it raises.
    """
    model, chosen = time_model.gpu_named(gpu), _chosen(kernel, version, shape, backend, None)[0]
    sizes = tuple(shape or PROFILED[kernel].example)
    loaded = load(backend, emulate=True, versions={kernel: chosen.number})
    made = call(kernel, sizes)

    def run(smaller: KernelCall) -> Callable[..., Any]:
        return lambda inputs, outputs: loaded.launch(kernel, inputs, out=outputs, **smaller.params)

    found, counted = time_model.modelled(model, kernel, sizes, run, recorded(chosen, made))
    return found, time_model.text(model, found, made.flops if made.flops is not None else counted.total("flop"))


def _chosen(
    kernel: str, version: int | None, shape: Sequence[int] | None, backend: str, compare: Sequence[int] | None
) -> list[Rung]:
    """Return the versions that are asked for, the best one if none is. Raises ContractError."""
    if backend not in CUDA_BACKENDS:
        raise ContractError(f"backend {backend!r} has no CUDA kernels to profile; those with are {', '.join(CUDA_BACKENDS)}")
    require_ladder(kernel)
    call(kernel, shape)
    rungs = {rung.number: rung for rung in ladder(backend) if rung.kernel == kernel and "float32" in rung.dtypes}
    best = max(number for number, rung in rungs.items() if not rung.rule)
    numbers = list(compare) if compare else [best if version is None else version]
    for number in numbers:
        if number not in rungs:
            raise ContractError(f"{backend}: {kernel} has versions {', '.join(map(str, rungs))}; {number!r} is not one")
    return [cast("Rung", rungs[number]) for number in numbers]


def _profile(rung: Rung, shape: tuple[int, ...], backend: str, arch: str) -> KernelProfile:
    made = call(rung.kernel, shape)
    counted = count(rung.kernel, rung.number, shape, backend)
    return profiled(made, f"version {rung.number}", rung.title, shape, backend, arch, counted, recorded(rung, made))


def profiled(
    made: KernelCall, label: str, title: str, shape: tuple[int, ...], backend: str, arch: str, counted: Counted,
    launches: list[RecordedLaunch],
) -> KernelProfile:  # fmt: skip
    """Return the profile of a call that was counted and whose launches were recorded. Raises InspectionError."""
    distinct = {launch.kernel: launch for launch in launches}
    compiled = tuple(machine_code.inspect(launch, arch) for launch in distinct.values())
    flops = made.flops if made.flops is not None else counted.total("flop")
    bounds = tuple(roofline.bound(gpu, flops, made.bytes) for gpu in roofline.GPUS)
    hot = tuple(line for launch in distinct.values() for line in _hot_lines(counted, launch))
    missing = next((c.missing for c in compiled if c.missing), "")
    return KernelProfile(
        backend, made.kernel, label, title, shape, form_of(made.kernel).sizes, arch, tuple(launches), counted, hot, compiled,
        missing, flops, made.bytes, bounds,
    )  # fmt: skip


def recorded(rung: Rung, made: KernelCall) -> list[RecordedLaunch]:
    """Return the launches of a call, recorded. Raises ContractError where an array is larger than the machine can address."""
    return rung.record(made.zeros(), made.params)


def _hot_lines(counted: Counted, launch: RecordedLaunch, most: int = 6) -> list[HotLine]:
    """Return the lines of a CUDA kernel with the most warp instructions, the hottest first."""
    text = launch.source.read_text(encoding="utf-8").split("\n")  # not splitlines, which ends a line at a form feed too
    whole = counted.total("smsp__inst_executed.sum", launch.kernel)
    found = []
    for line, metrics in counted.lines(launch.kernel).items():
        sectors = sum(metrics.get(f"l1tex__t_sectors_pipe_lsu_mem_global_op_{op}.sum", 0) for op in ("ld", "st"))
        conflicts = metrics.get("l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum", 0)
        share = metrics.get("smsp__inst_executed.sum", 0) / whole if whole else 0.0
        code = text[line - 1].strip() if 0 < line <= len(text) else "(no source line)"
        found.append(HotLine(launch.kernel, launch.source.name, line, code, share, sectors, conflicts))
    return sorted(found, key=lambda h: -h.share)[:most]

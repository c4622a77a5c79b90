"""Targets that the CUDA kernels are held to without a GPU: `measure()` yields a result for each, `table(results)` shows them.

Spills come from the linker's log; coalescing, bank conflicts and what each version of a ladder improves from the emulator's
counters; multiply-adds per cycle from the compiler's own schedule, read by cuxray where the [inspect] extra is installed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from tinygan_kernels import CUDA_BACKENDS, ladder
from tinygan_kernels.cuda.ladder import Rung
from tinygan_kernels.profiling import counts, machine_code, static_checks
from tinygan_kernels.profiling.architectures import capability_of
from tinygan_kernels.profiling.calls import PROFILED, call
from tinygan_kernels.profiling.report import recorded

ARCHS = ("sm_80", "sm_90")
BUSY = 0.8  # the share of the FFMA that can be issued which the inner loop of the best product has to issue at least
# A scheduler, one of four in a multiprocessor, issues a warp's 32 FFMA to its FP32 lanes: 16 of them on sm_75 and sm_80 (A100 white
# paper: 64 a multiprocessor), 32 on sm_86, sm_89, sm_90 (H100 white paper: 128): one FFMA in two cycles, or in each, at most.
FFMA_PER_CYCLE = {"sm_75": 0.5, "sm_80": 0.5, "sm_86": 1.0, "sm_89": 1.0, "sm_90": 1.0}

_GLOBAL = "l1tex__t_{}_pipe_lsu_mem_global_op_{}.sum"
_CONFLICTS = "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum"
# What a version can be said to improve (Rung.improves): the counters whose sum has to fall.
IMPROVEMENTS = {
    "sectors": tuple(_GLOBAL.format("sectors", op) for op in ("ld", "st")),
    "shared wavefronts": ("l1tex__data_pipe_lsu_wavefronts_mem_shared.sum",),
    "warp instructions": ("smsp__inst_executed.sum",),
}


@functools.cache
def _counted(backend: str, rung: Rung) -> counts.Counted:
    """Return the counters of a version at its kernel's small sizes, kept, as several targets look at them."""
    return counts.count(rung.kernel, rung.number, PROFILED[rung.kernel].small, backend)


@dataclass(frozen=True)
class TargetResult:
    """A target and what was measured. ok: None where it could not be measured, and `value` says why."""

    target: str
    backend: str
    where: str
    value: str
    ok: bool | None


def measure(backends: Sequence[str] = CUDA_BACKENDS, archs: Sequence[str] = ARCHS) -> Iterator[TargetResult]:
    """Measure target by target. Takes a minute or two for both backends. Raises ContractError for an unknown architecture."""
    for arch in archs:
        capability_of(arch)
    for backend in backends:
        rungs = ladder(backend)
        for arch in archs:
            yield spills(backend, rungs, arch)
            yield limits(backend, rungs, arch)
        for rung in _best(rungs):
            yield coalescing(backend, rung)
        yield conflicts(backend, _best(rungs)[0])
        for before, after in steps(rungs):
            yield improvement(backend, before, after)
    for arch in archs:
        yield busy_inner_loop("cupy", arch)


def _best(rungs: Iterable[Rung]) -> list[Rung]:
    """Return the version of each kernel that runs unless another is asked for, matmul's first."""
    return list({rung.kernel: rung for rung in rungs if not rung.rule}.values())


def spills(backend: str, rungs: Iterable[Rung], arch: str) -> TargetResult:
    """Measure the bytes that all versions of all kernels spill, at the example shapes of profiling.calls."""
    found = {}
    for rung in rungs:
        for launch in recorded(rung, call(rung.kernel)):
            numbers = machine_code.resources(launch, arch)
            found[launch.kernel] = numbers["spill_stores"] + numbers["spill_loads"]
    guilty = [f"{name} {spilled}" for name, spilled in found.items() if spilled]
    return TargetResult("no spills", backend, f"{len(found)} kernels, {arch}", ", ".join(guilty) or "0 bytes", not guilty)


def limits(backend: str, rungs: Iterable[Rung], arch: str) -> TargetResult:
    """Check blocks, registers, shared memory and launch bounds of all versions against what the architecture allows."""
    checks = {}
    for rung in rungs:
        for row in static_checks.check_launches(recorded(rung, call(rung.kernel)), arch):
            checks[row.kernel] = [fault for fault in row.faults if not fault.startswith("spills")]
    guilty = [f"{name}: {fault}" for name, found in checks.items() for fault in found]
    return TargetResult("within the limits", backend, f"{len(checks)} kernels, {arch}", ", ".join(guilty) or "all", not guilty)


def coalescing(backend: str, rung: Rung) -> TargetResult:
    """Measure the least share of its sectors' bytes that a source line uses; lines with under 2 % of all sectors are left out."""
    counted = _counted(backend, rung)
    lines = [metrics for kernel in counted.kernels() for metrics in counted.lines(kernel).values()]
    total = sum(map(_sectors, lines))
    worst = min(metrics.get("global_bytes", 0) / (32 * _sectors(metrics)) for metrics in lines if _sectors(metrics) > 0.02 * total)
    value = f"{min(1, worst):.0%} of each sector used"
    return TargetResult("coalesced global access", backend, f"{rung.kernel} {rung.number}", value, worst >= 1)


def _sectors(metrics: dict[str, float]) -> float:
    return sum(metrics.get(name, 0) for name in IMPROVEMENTS["sectors"])


def conflicts(backend: str, rung: Rung) -> TargetResult:
    """Measure the bank conflicts of a version."""
    counted = _counted(backend, rung)
    found = counted.total(_CONFLICTS)
    where = f"{rung.kernel} {rung.number}"
    return TargetResult("no bank conflicts in the best product", backend, where, f"{found:,.0f}", found == 0)


def busy_inner_loop(backend: str, arch: str) -> TargetResult:
    """Measure FFMA per cycle of the best product's inner loop, by the compiler's schedule, against what `arch` can issue."""
    rung = _best(ladder(backend))[0]
    (launch,) = recorded(rung, call(rung.kernel))
    code = machine_code.inspect(launch, arch).code
    loop = code.inner_loop() if code else None
    limit = FFMA_PER_CYCLE.get(arch)
    where, target = f"{rung.kernel} {rung.number}, {arch}", f"inner loop issues {BUSY:.0%} of the FFMA it can"
    if loop is None:
        return TargetResult(target, backend, where, machine_code.why_no_code() or "cuxray found no loop", None)
    if limit is None:
        return TargetResult(target, backend, where, f"how many FFMA {arch} can issue is not in the table", None)
    rate = loop.multiply_adds_per_cycle
    value = f"{loop.multiply_adds} in {loop.cycles} cycles: {rate:.2f} of at most {limit:.2f}"
    return TargetResult(target, backend, where, value, rate >= BUSY * limit)


# ---- each version of a ladder improves what it is for -------------------------------------------------------------------------


def steps(rungs: Sequence[Rung]) -> list[tuple[Rung, Rung]]:
    """Return (before, after) for every two versions that follow each other on one ladder."""
    return [(before, after) for before, after in itertools.pairwise(rungs) if after.kernel == before.kernel]


def improvement(backend: str, before: Rung, after: Rung) -> TargetResult:
    """Measure the counter that `after` improves, in it and in the version before."""
    old, new = (_improved(backend, rung, after.improves) for rung in (before, after))
    where = f"{after.kernel} {before.number} to {after.number}"
    value = f"{after.improves} {old:,.0f} to {new:,.0f}"
    return TargetResult("each version improves its counter", backend, where, value, new < old)


def _improved(backend: str, rung: Rung, what: str) -> float:
    counted = _counted(backend, rung)
    return sum(counted.total(metric) for metric in IMPROVEMENTS[what])


def table(results: Iterable[TargetResult]) -> Table:
    """Return the results as a table."""
    made = Table("target", "backend", "where", "measured", "", title="Static targets", title_justify="left")
    for result in results:
        verdict = {True: "met", False: "MISSED", None: "not measured"}[result.ok]
        made.add_row(result.target, result.backend, result.where, Text(result.value), verdict)
    return made

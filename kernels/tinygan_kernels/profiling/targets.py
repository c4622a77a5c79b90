"""What the kernels are held to without a GPU, measured: `rows()` gives a line for each target, `table(rows)` prints them.

Spills come from the linker's log; coalescing, bank conflicts and what a step of a ladder improves from the emulator's counters;
multiply-adds per cycle from the compiler's own schedule, read by cuxray where the [inspect] extra is installed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from tinygan_kernels import CUDA_BACKENDS, ladder
from tinygan_kernels.contract import Version
from tinygan_kernels.profiling import counts, machine_code

ARCHS = ("sm_80", "sm_90")
BUSY = 0.8  # share of the FFMA that can be issued which the inner loop of the best product issues: at least
# A scheduler, one of four in a multiprocessor, issues a warp's 32 FFMA to its FP32 lanes: 16 of them on sm_75 and sm_80 (A100 white
# paper: 64 a multiprocessor), 32 on sm_86, sm_89, sm_90 (H100 white paper: 128): one FFMA in two cycles, or in each, at most.
FFMA_PER_CYCLE = {"sm_75": 0.5, "sm_80": 0.5, "sm_86": 1.0, "sm_89": 1.0, "sm_90": 1.0}
_LAYER = (1, 16, 16, 64, 64, 3, 1, 1)
SHAPES = {
    "matmul": (256, 256, 128), "conv2d": _LAYER, "conv2d_dx": _LAYER, "conv2d_dw": _LAYER,
    "bce_logits": (4096,), "bias_act": (512, 64), "bias_act_grad": (512, 64), "adam": (8192,),
}  # fmt: skip

_GLOBAL = "l1tex__t_{}_pipe_lsu_mem_global_op_{}.sum"
_CONFLICTS = "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum"
_WAVEFRONTS = "l1tex__data_pipe_lsu_wavefronts_mem_shared.sum"
_INSTRUCTIONS = "smsp__inst_executed.sum"


_counted = functools.cache(counts.count)  # several targets look at the same execution


@dataclass(frozen=True)
class Row:
    """A target and what was measured. ok: None where it could not be measured, and `value` says why."""

    target: str
    backend: str
    where: str
    value: str
    ok: bool | None


def rows(backends: Sequence[str] = CUDA_BACKENDS, archs: Sequence[str] = ARCHS) -> Iterator[Row]:
    """Measure, target by target. Takes a minute or two for both backends."""
    for backend in backends:
        ladders = ladder(backend)
        for arch in archs:
            yield spills(backend, ladders, arch)
        for version in _best(ladders):
            yield coalescing(backend, version)
        yield conflicts(backend, _best(ladders)[0])
        for step in STEPS:
            yield from step.rows(backend, ladders)
    for arch in archs:
        yield busy_inner_loop("cupy", arch)


def _best(ladders: Iterable[Version]) -> list[Version]:
    """The version that runs unless another is asked for, kernel by kernel, matmul first."""
    return list({row.kernel: row for row in ladders if not row.rule}.values())


def spills(backend: str, ladders: Iterable[Version], arch: str) -> Row:
    """Bytes spilled by all versions of all kernels, at their examples."""
    found = {}
    for version in ladders:
        for started in counts.recorded(version, counts.problem(version.kernel), backend):
            numbers = machine_code.resources(started, arch)
            found[started.kernel] = numbers["spill_stores"] + numbers["spill_loads"]
    guilty = [f"{name} {spilled}" for name, spilled in found.items() if spilled]
    return Row("no spills", backend, f"{len(found)} kernels, {arch}", ", ".join(guilty) or "0 bytes", not guilty)


def coalescing(backend: str, version: Version) -> Row:
    """The least share of its sectors' bytes that a line of a kernel uses; lines with under 2 % of all sectors are left out."""
    counted = _counted(version.kernel, version.number, SHAPES[version.kernel], backend)
    lines = [metrics for kernel in counted.kernels() for metrics in counted.lines(kernel).values()]
    total = sum(map(_sectors, lines))
    worst = min(metrics.get("global_bytes", 0) / (32 * _sectors(metrics)) for metrics in lines if _sectors(metrics) > 0.02 * total)
    where = f"{version.kernel} {version.number}"
    return Row("coalesced global access", backend, where, f"{min(1, worst):.0%} of each sector used", worst >= 1)


def _sectors(metrics: dict[str, float]) -> float:
    return sum(metrics.get(_GLOBAL.format("sectors", op), 0) for op in ("ld", "st"))


def conflicts(backend: str, version: Version) -> Row:
    counted = _counted(version.kernel, version.number, SHAPES[version.kernel], backend)
    found = counted.total(_CONFLICTS)
    return Row("no bank conflicts in the best product", backend, f"{version.kernel} {version.number}", f"{found:,.0f}", found == 0)


def busy_inner_loop(backend: str, arch: str) -> Row:
    """FFMA per cycle of the best product's inner loop, by the compiler's schedule, against what `arch` can issue."""
    version = _best(ladder(backend))[0]
    (started,) = counts.recorded(version, counts.problem(version.kernel), backend)
    code = machine_code.inspect(started, arch).code
    loop = code.inner_loop() if code else None
    limit = FFMA_PER_CYCLE[arch]
    where, target = f"{version.kernel} {version.number}, {arch}", f"inner loop issues {BUSY:.0%} of the FFMA it can"
    if loop is None:
        return Row(target, backend, where, machine_code.why_no_code() or "cuxray found no loop", None)
    rate = loop.multiply_adds_per_cycle
    value = f"{loop.multiply_adds} in {loop.cycles} cycles: {rate:.2f} of at most {limit:.2f}"
    return Row(target, backend, where, value, rate >= BUSY * limit)


# ---- each step of a ladder improves what it is for ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """From one version to the next: the counters (their sum) that have to fall, and the words for them."""

    kernel: str
    before: int
    after: int
    metrics: tuple[str, ...]
    words: str

    def rows(self, backend: str, ladders: Iterable[Version]) -> Iterator[Row]:
        numbers = [row.number for row in ladders if row.kernel == self.kernel]
        if self.before in numbers and self.after in numbers:
            old, new = (self._measure(backend, number) for number in (self.before, self.after))
            where = f"{self.kernel} {self.before} to {self.after}"
            yield Row("each step improves its counter", backend, where, f"{self.words} {old:,.0f} to {new:,.0f}", new < old)

    def _measure(self, backend: str, number: int) -> float:
        counted = _counted(self.kernel, number, SHAPES[self.kernel], backend)
        return sum(counted.total(metric) for metric in self.metrics)


_SECTORS = tuple(_GLOBAL.format("sectors", op) for op in ("ld", "st"))
STEPS = (
    Step("matmul", 1, 2, _SECTORS, "sectors"),
    Step("matmul", 2, 3, _SECTORS, "sectors"),
    Step("matmul", 3, 4, (_WAVEFRONTS,), "shared wavefronts"),
    Step("matmul", 4, 5, (_WAVEFRONTS,), "shared wavefronts"),
    Step("matmul", 5, 6, (_INSTRUCTIONS,), "warp instructions"),
    *(Step(kernel, 1, 2, _SECTORS, "sectors") for kernel in ("conv2d", "conv2d_dx", "conv2d_dw", "bce_logits")),
)


def table(found: Iterable[Row]) -> Table:
    """The rows as a table."""
    made = Table("target", "backend", "where", "measured", "", title="Static targets", title_justify="left")
    for row in found:
        verdict = {True: "met", False: "MISSED", None: "not measured"}[row.ok]
        made.add_row(row.target, row.backend, row.where, Text(row.value), verdict)
    return made

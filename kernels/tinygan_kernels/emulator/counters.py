"""Counters of what a kernel does, under the names that Nsight Compute gives the same quantities on a GPU.

PTX instructions are counted as warps execute them, before ptxas turns them into machine code. What goes to memory is
exact; the number of instructions is near that of the machine code, not equal to it.

Rules, as NVIDIA documents them: a global request is one instruction of one warp, its sectors the different 32-byte
pieces it touches; shared memory has 32 banks of 4 bytes, an access runs in phases of 32, 16 or 8 lanes for 4, 8 or 16
bytes per lane, and each phase takes as many wavefronts as the most different words that fall into one bank. More than
one per phase are conflicts.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.machine import Machine
from tinygan_kernels.emulator.semantics.fragments import shape_of
from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.syntax.ptx import Instruction
from tinygan_kernels.emulator.translate.kernel import TranslatedBlock, TranslatedKernel
from tinygan_kernels.emulator.translate.opcodes import CLASSES, class_of

_ACTIVE: ContextVar[tuple] = ContextVar("counts", default=())
_OBSERVER: ContextVar[Callable[[TranslatedKernel], LaunchObserver] | None] = ContextVar("observer", default=None)

INSTRUCTIONS = "smsp__inst_executed.sum"
THREAD_INSTRUCTIONS = "smsp__thread_inst_executed.sum"
WARPS = "smsp__warps_launched.sum"
BRANCHES = "smsp__sass_branch_targets.sum"
DIVERGENT = "smsp__sass_branch_targets_threads_divergent.sum"
SHARED_CONFLICTS = "l1tex__data_bank_conflicts_pipe_lsu_mem_shared"
SHARED_WAVEFRONTS = "l1tex__data_pipe_lsu_wavefronts_mem_shared"
FLOPS, BYTES, INTENSITY = "flop", "global_bytes", "arithmetic_intensity"


_FLOP = {"fadd": 1, "fmul": 1, "ffma": 2, "dadd": 1, "dmul": 1, "dfma": 2, "hadd": 1, "hmul": 1, "hfma": 2}
_SASS = "smsp__sass_thread_inst_executed_op_{}_pred_on.sum"


def _mma_flops(ins: Instruction) -> int:
    """Return the floating-point operations of one warp's mma, 2 m n k."""
    m, n, k = shape_of(ins.modifiers)
    return 2 * m * n * k


class Counts:
    """The counts of all launches inside one `count()`.

    `c[metric]` is the sum over all kernels, `c.kernel(name)[metric]` that of one kernel, and
    `c.lines(name)[line][metric]` that of one source line. Indexing raises KeyError for a metric that is not known. `print(c)` shows
    a table, `c.keys()` and `dict(c)` have the metrics that were counted, `c.to_json()` has all of it, by kernel and line.
    """

    def __init__(self):
        self._lines: dict[str, dict[int, Counter]] = defaultdict(lambda: defaultdict(Counter))
        self._kernels: dict[str, Counter] = defaultdict(Counter)

    def kernel(self, name: str) -> Counts._View:
        """Return the counts of one kernel. Raises KeyError, naming the kernels that ran, for another."""
        if name not in self._kernels:
            raise KeyError(f"kernel {name!r} was not launched; launched: {', '.join(self._kernels) or 'none'}")
        return self._View([name], self)

    def kernels(self) -> list[str]:
        """Return the names of the kernels that were launched."""
        return list(self._kernels)

    def lines(self, name: str) -> dict[int, Counter]:
        """Return {source line: {metric: value}} of a kernel; line 0 stands for code from other files."""
        self.kernel(name)
        return {line: Counter(c) for line, c in sorted(self._lines[name].items())}

    def __getitem__(self, metric: str) -> float:
        return self._View(list(self._kernels), self)[metric]

    def metrics(self) -> dict[str, float]:
        """Return {metric: value} over all kernels."""
        return self._View(list(self._kernels), self).metrics()

    def keys(self) -> list[str]:
        """Return the metrics that were counted, in the order of the alphabet."""
        return sorted(self.metrics())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.metrics())

    def __contains__(self, metric: object) -> bool:
        return metric in self.metrics()

    def __str__(self) -> str:
        """Return a table: a row for each metric that is not 0, a column for each kernel and, of several, one for their sum."""
        columns = {name: self._View([name], self).metrics() for name in self._kernels}
        if len(columns) > 1:
            columns["together"] = self.metrics()
        return _table(columns)

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """Return {"metrics": ..., "kernels": {kernel: {"metrics": ..., "lines": {line: ...}}}} of numbers that JSON has.

        An arithmetic intensity without a byte moved, which is infinite, is None.
        """
        kernels = {name: {"metrics": _finite(self._View([name], self).metrics()),
                          "lines": {str(line): _finite(found) for line, found in self.lines(name).items()}}
                   for name in self._kernels}  # fmt: skip
        return {"metrics": _finite(self.metrics()), "kernels": kernels}

    def to_json(self, indent: int | None = None) -> str:
        """Return `as_dict()` as JSON."""
        return json.dumps(self.as_dict(), indent=indent)

    class _View:
        """The sums over some of the kernels."""

        def __init__(self, names: list[str], counts: Counts):
            self.names, self.counts = names, counts

        def metrics(self) -> dict[str, float]:
            total = Counter()
            for name in self.names:
                total.update(self.counts._kernels[name])
                for line in self.counts._lines[name].values():
                    total.update(line)
            total[INTENSITY] = total[FLOPS] / total[BYTES] if total[BYTES] else float("inf") if total[FLOPS] else 0.0
            return dict(total)

        def __getitem__(self, metric: str) -> float:
            found = self.metrics()
            if metric not in found and metric not in KNOWN:
                raise KeyError(f"unknown metric {metric!r}; known: {', '.join(sorted(KNOWN))}")
            return found.get(metric, 0)

        def keys(self) -> list[str]:
            return sorted(self.metrics())

        def __str__(self) -> str:
            return _table({" and ".join(self.names): self.metrics()})

        __repr__ = __str__


def _table(columns: Mapping[str, Mapping[str, float]]) -> str:
    """Return metrics as text: a row for each that is not 0 in every column."""
    if not columns:
        return "no kernel was launched"
    metrics = sorted({metric for column in columns.values() for metric, value in column.items() if value})
    rows = [["metric", *columns], *([m, *(_written(column.get(m, 0)) for column in columns.values())] for m in metrics)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    aligned = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "\n".join("  ".join(row) for row in aligned)


def _written(value: float) -> str:
    """Return a count as one reads it: whole numbers in groups of three digits."""
    return f"{value:,.0f}" if value == value // 1 else f"{value:,.3f}"


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in sorted(metrics.items())}


_MEMORY = [
    f"l1tex__t_{what}_pipe_lsu_mem_{space}_op_{op}.sum"
    for what in ("requests", "sectors", "bytes")
    for space in ("global", "local")
    for op in ("ld", "st", "atom", "red")
]
_SHARED = [
    f"{base}{op}.sum" for base in (SHARED_CONFLICTS, SHARED_WAVEFRONTS) for op in ("", "_op_ld", "_op_st", "_op_atom")
]
KNOWN = {
    INSTRUCTIONS,
    THREAD_INSTRUCTIONS,
    WARPS,
    BRANCHES,
    DIVERGENT,
    FLOPS,
    BYTES,
    INTENSITY,
    "launches",
    *_MEMORY,
    *_SHARED,
    *(_SASS.format(c) for c in CLASSES),
    *(f"smsp__inst_executed_op_{op}.sum" for op in ("global_ld", "global_st", "shared_ld", "shared_st")),
}


@contextmanager
def count():
    """Count what the launches inside the `with` block do: `with count() as c: kernel(...)`, then c[metric] (see Counts)."""
    counts = Counts()
    token = _ACTIVE.set((*_ACTIVE.get(), counts))
    try:
        yield counts
    finally:
        _ACTIVE.reset(token)


@contextmanager
def observed(make: Callable[[TranslatedKernel], LaunchObserver]):
    """Let make(kernel) observe each launch inside the `with` block, in place of any counting."""
    token = _OBSERVER.set(make)
    try:
        yield
    finally:
        _OBSERVER.reset(token)


def current(kernel: TranslatedKernel) -> LaunchObserver | None:
    """Return what observes a launch: that of `observed()`, else a counter within `count()`, else None."""
    active, make = _ACTIVE.get(), _OBSERVER.get()
    if make is not None:
        return make(kernel)
    return LaunchCounter(kernel, active) if active else None


class LaunchObserver:
    """Receives what happens in a launch while it runs. This class notes nothing; subclasses override what they want to know."""

    kernel: TranslatedKernel
    """What the launch runs: the kernel, or a translation of it that tells its observer more."""

    def __init__(self, kernel: TranslatedKernel):
        self.kernel = kernel

    def began(self, machine: Machine) -> None:
        """Note that a machine is made for some thread blocks of the launch; they have not run yet."""

    def launched(self, shape_warps: int) -> None:
        """Note the launch."""

    def block(self, number: int, lanes: Lanes) -> None:
        """Note that these lanes run a basic block."""

    def guard(self, instruction: Instruction, lanes: Lanes, chosen: Lanes) -> None:
        """Note a guard that is false for some lanes."""

    def divergence(self, basic: TranslatedBlock, goes: Lanes, stays: Lanes) -> None:
        """Note that lanes part."""

    def access(self, site, space: str, address: np.ndarray, lanes: Lanes, operation: str) -> None:
        """Note a memory instruction."""

    def bulk(self, site, size: int) -> None:
        """Note that a bulk copy reads or writes so many bytes."""

    def deliver(self) -> None:
        """Note the end of the launch."""


class LaunchCounter(LaunchObserver):
    """The counter of one launch. Basic blocks are counted as a whole while running, and their instructions at the end."""

    def __init__(self, kernel: TranslatedKernel, receivers: tuple):
        super().__init__(kernel)
        self.receivers = receivers
        self.warps = np.zeros(len(kernel.basic_blocks), "i8")
        self.threads = np.zeros(len(kernel.basic_blocks), "i8")
        self.guarded: Counter = Counter()  # lanes that a false guard took out, by identity of the instruction
        self.lines: dict[int, Counter] = defaultdict(Counter)
        self.total: Counter = Counter()

    def launched(self, shape_warps: int) -> None:
        """Count the launch, of that many warps."""
        self.total["launches"] += 1
        self.total[WARPS] += shape_warps

    # -- while running ----------------------------------------------------------------------------------------
    def block(self, number: int, lanes: Lanes) -> None:
        """Count that these lanes run a basic block."""
        self.warps[number] += lanes.warps
        self.threads[number] += lanes.count

    def guard(self, instruction: Instruction, lanes: Lanes, chosen: Lanes) -> None:
        """Count the lanes for which the guard of an instruction inside a block is false."""
        self.guarded[id(instruction)] += lanes.count - chosen.count

    def divergence(self, basic: TranslatedBlock, goes: Lanes, stays: Lanes) -> None:
        """Count the warps whose lanes part at the end of a block."""
        both = goes.mask.reshape(-1, WARP).any(axis=1) & stays.mask.reshape(-1, WARP).any(axis=1)
        self._line(basic.instructions[-1])[DIVERGENT] += int(both.sum())

    def access(self, site, space: str, address: np.ndarray, lanes: Lanes, operation: str) -> None:
        """Count a memory instruction. address: one per lane, in lane order; operation: ld, st, atom or red."""
        counts = self.lines[self.kernel.files.own_line(site.line)]
        table = by_warp(address, lanes)
        if space == "shared":
            waves, ideal = wavefronts(table, site.bytes)
            for suffix in ("", f"_op_{'atom' if operation == 'red' else operation}"):
                counts[f"{SHARED_WAVEFRONTS}{suffix}.sum"] += waves
                counts[f"{SHARED_CONFLICTS}{suffix}.sum"] += waves - ideal
        else:
            sectors = sectors_of(table, site.bytes)
            for what, value in (("requests", len(table)), ("sectors", sectors), ("bytes", 32 * sectors)):
                counts[f"l1tex__t_{what}_pipe_lsu_mem_{space}_op_{operation}.sum"] += value
            if space == "global":
                counts[BYTES] += lanes.count * site.bytes
        if operation in ("ld", "st") and space != "local":
            counts[f"smsp__inst_executed_op_{space}_{operation}.sum"] += len(table)

    def bulk(self, site, size: int) -> None:
        """Count the bytes of a bulk copy, which goes to memory by its own way, not by the load-store unit."""
        if site.space == "global":
            self.lines[self.kernel.files.own_line(site.line)][BYTES] += size

    # -- at the end -------------------------------------------------------------------------------------------
    def deliver(self) -> None:
        """Add the counts of the launch to every `count()` that is open."""
        for basic, warps, threads in zip(self.kernel.basic_blocks, self.warps.tolist(), self.threads.tolist(), strict=True):
            if warps:
                for ins in basic.instructions:
                    self._instruction(ins, warps, threads)
        for counts in self.receivers:
            counts._kernels[self.kernel.title].update(self.total)
            for line, found in self.lines.items():
                counts._lines[self.kernel.title][line].update(found)

    def _line(self, ins: Instruction) -> Counter:
        """Return the counter of the source line that an instruction belongs to."""
        return self.lines[self.kernel.files.own_line(ins.source)]

    def _instruction(self, ins: Instruction, warps: int, threads: int) -> None:
        """Count an instruction that so many warps and threads have executed."""
        counts, name = self._line(ins), class_of(ins)
        counts[INSTRUCTIONS] += warps
        counts[THREAD_INSTRUCTIONS] += threads
        threads -= self.guarded[id(ins)]
        counts[_SASS.format(name)] += threads
        if name in _FLOP:
            packed = 2 if any(m in ("f16x2", "bf16x2") for m in ins.modifiers) else 1
            counts[FLOPS] += _FLOP[name] * packed * threads
        elif name == "tensor":
            counts[FLOPS] += _mma_flops(ins) * warps
        if ins.opcode in ("bra", "brx"):
            counts[BRANCHES] += warps


def by_warp(address: np.ndarray, lanes: Lanes) -> np.ndarray:
    """Arrange addresses in rows of warps; a lane that is not active repeats the address of one that is."""
    if lanes.full:
        return address.reshape(-1, WARP)
    table = np.full(lanes.mask.size, -1, "i8")
    table[lanes.index] = address
    table = table.reshape(-1, WARP)
    table = table[(table >= 0).any(axis=1)]
    return np.where(table < 0, table.max(axis=1, keepdims=True), table)


def _distinct(table: np.ndarray) -> np.ndarray:
    """Mark, in sorted rows, the first of equal neighbours."""
    first = np.ones(table.shape, bool)
    first[:, 1:] = table[:, 1:] != table[:, :-1]
    return first


def sectors_of(table: np.ndarray, size: int) -> int:
    """Count the 32-byte sectors that accesses of `size` bytes touch, summed over the rows (requests)."""
    return int(sectors_by_row(table, size).sum())


def sectors_by_row(table: np.ndarray, size: int) -> np.ndarray:
    """Count the 32-byte sectors that accesses of `size` bytes touch, for each row (request)."""
    sectors = table >> 5
    if size > 1:
        last = (table + (size - 1)) >> 5
        if (last != sectors).any():
            sectors = np.concatenate([sectors, last], axis=1)
    return _distinct(np.sort(sectors, axis=1)).sum(axis=1)


def wavefronts(table: np.ndarray, size: int) -> tuple[int, int]:
    """Count (wavefronts, phases) of the rows: accesses of `size` bytes per lane to 32 banks of 4 bytes."""
    return int(wavefronts_by_row(table, size).sum()), len(table) * max(1, size // 4)


def wavefronts_by_row(table: np.ndarray, size: int) -> np.ndarray:
    """Count the wavefronts of each row: accesses of `size` bytes per lane to 32 banks of 4 bytes."""
    phases = max(1, size // 4)
    lanes = table.reshape(-1, WARP // phases)
    words = (lanes >> 2)[:, :, None] + np.arange(phases)
    words = np.sort(words.reshape(len(lanes), -1), axis=1)
    first = _distinct(words)
    bank = (words & 31) + 32 * np.arange(len(words))[:, None]
    load = np.bincount(bank[first], minlength=32 * len(words)).reshape(-1, 32)
    return load.max(axis=1).reshape(-1, phases).sum(axis=1)

"""Count what the model of time needs besides Nsight Compute's counters: cycles of the load/store units, waits, sectors of a block.

The load/store units of a multiprocessor take a warp's request 16 or 32 lanes a cycle, move 128 bytes a cycle, and serve one line of
128 bytes of global memory, or one wavefront of shared memory, a cycle. A request takes as many cycles as the slowest of the three.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygan_kernels.emulator import Counts, checks
from tinygan_kernels.emulator.counters import LaunchCounter, by_warp, observed, wavefronts_by_row
from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.machine import Machine
from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.syntax.ptx import Address, Instruction, Register
from tinygan_kernels.emulator.translate.kernel import Site, TranslatedKernel

from .calls import KernelCall
from .counts import WHOLE, Key, random_array

LSU_CYCLES = {16: "lsu_cycles_of_16_lanes", 32: "lsu_cycles_of_32_lanes"}
WAITS, BARRIERS, BLOCK_SECTORS = "warps_waiting_for_global_memory", "warps_at_barriers", "sectors_first_touched_by_blocks"
LINE, DATA = 128, 128  # bytes: of a line of the L1 cache, and that it moves in a cycle

_Access = tuple[Site, str, np.ndarray, Lanes, str]


class PipeCounter(LaunchCounter):
    """Counts a launch, and the cycles that its memory instructions take.

    Loads and stores of shared memory that stand in one basic block at neighbouring offsets of one register are taken together, as
    the compiler of machine code does: four words at an address that is a multiple of 16 bytes in every lane, or two at one of 8.
    """

    def __init__(self, kernel: TranslatedKernel, counts: Counts, pipes: dict[str, Counter]) -> None:
        super().__init__(kernel, (counts,))
        self.pipes = pipes.setdefault(kernel.title, Counter())
        self.bases = {ins.ptx_line: _base(ins) for block in kernel.basic_blocks for ins in block.instructions}
        self.pending: list[_Access] = []
        self.touched: list[np.ndarray] = []
        self.machine: Machine | None = None

    def began(self, machine: Machine) -> None:
        """Keep the machine, which says to which block a lane belongs."""
        self.machine = machine

    def access(self, site: Site, space: str, address: np.ndarray, lanes: Lanes, operation: str) -> None:
        super().access(site, space, address, lanes, operation)
        self.pending.append((site, space, address, lanes, operation))

    def block(self, number: int, lanes: Lanes) -> None:
        super().block(number, lanes)
        pending, self.pending = self.pending, []
        if self.kernel.basic_blocks[number].end == "barrier":
            self.pipes[BARRIERS] += lanes.warps
        if any(space == "global" and operation == "ld" and site.name.startswith("ld") for site, space, _, _, operation in pending):
            self.pipes[WAITS] += lanes.warps
        for site, space, address, some, operation in self._merged(pending):
            self._count(site, space, address, some, operation)

    def _merged(self, pending: Sequence[_Access]) -> list[_Access]:
        """Return the accesses of a run of a basic block, neighbours in shared memory taken together."""
        groups: dict[tuple, dict[int, _Access]] = {}
        out: list[_Access] = []
        for access in pending:
            site, space, _, lanes, operation = access
            base, offset = self.bases.get(site.ptx_line, ("", 0))
            alike = groups.setdefault((base, operation, site.bytes, lanes.count), {})
            if space == "shared" and base and site.bytes in (4, 8) and operation in ("ld", "st") and offset not in alike:
                alike[offset] = access
            else:  # as a place that is accessed twice, which is twice the work
                out.append(access)
        for (_, _, size, _), found in groups.items():
            at = dict(sorted(found.items()))
            while at:
                offset = next(iter(at))
                first = at[offset]
                width = next((w for w in (16, 8) if w > size and not ((first[2] % w).any())
                              and all(offset + d in at for d in range(0, w, size))), size)  # fmt: skip
                for d in range(0, width, size):
                    del at[offset + d]
                site = first[0] if width == size else _wider(first[0], width)
                out.append((site, *first[1:]))
        return out

    def _count(self, site: Site, space: str, address: np.ndarray, lanes: Lanes, operation: str) -> None:
        """Add the cycles of one instruction of all its warps."""
        table = by_warp(address, lanes)
        if space == "shared":
            served = wavefronts_by_row(table, site.bytes)
        else:
            lines = np.sort(np.concatenate([table, table + (site.bytes - 1)], axis=1) // LINE, axis=1)
            served = 1 + (lines[:, 1:] != lines[:, :-1]).sum(axis=1)
        data = -(-WARP * site.bytes // DATA)
        for width, name in LSU_CYCLES.items():
            self.pipes[name] += int(np.maximum(served, max(WARP // width, data)).sum())
        if space == "global" and self.machine is not None:
            block = self.machine.first + lanes.index // self.machine.shape.stride
            sectors = np.unique(address >> 5 | block.astype("i8") << 42)  # addresses of a process are below 2^47
            self.touched.append(sectors)
            if len(self.touched) > 64:
                self.touched = [np.unique(np.concatenate(self.touched))]

    def deliver(self) -> None:
        super().deliver()
        if self.touched:
            self.pipes[BLOCK_SECTORS] += np.unique(np.concatenate(self.touched)).size
            self.touched = []


def _base(ins: Instruction) -> tuple[str, int]:
    """Return (register, offset) of an instruction's address, ("", 0) where it has none."""
    for operand in ins.operands:
        if isinstance(operand, Address) and isinstance(operand.base, Register):
            return operand.base.name, operand.offset
    return "", 0


def _wider(site: Site, size: int) -> Site:
    return Site(site.name, site.ptx_line, site.source, site.line, site.space, site.code, site.size, size // site.size, site.number)


def counted_pipes(made: KernelCall, launch: Callable[[list[np.ndarray], tuple[np.ndarray, ...]], Any]) -> dict[Key, float]:
    """Run launch(inputs, outputs) once under the emulator, and return its counters and what this module counts, by CUDA kernel."""
    rng = np.random.default_rng(0)
    inputs, outputs = [random_array(s, rng) for s in made.inputs], tuple(random_array(s, rng) for s in made.outputs)
    counts = Counts()
    pipes: dict[str, Counter] = {}
    with checks(False), observed(lambda kernel: PipeCounter(kernel, counts, pipes)):
        launch(inputs, outputs)
    values: dict[Key, float] = {}
    for name in counts.kernels():
        values |= {(name, WHOLE, metric): value for metric, value in counts.kernel(name).metrics().items()}
        values |= {(name, WHOLE, metric): value for metric, value in pipes[name].items()}
    return {key: value for key, value in values.items() if key[2] != "arithmetic_intensity"}

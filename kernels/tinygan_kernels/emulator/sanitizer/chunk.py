"""The sanitizer of one chunk of thread blocks: initcheck, and the way to both racechecks.

memcheck (bounds, alignment) is part of execute/access.py, synccheck (barriers, masks) of execute/scheduler.py.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.memory import Memory

from .global_races import GlobalRaces
from .shared_races import SharedRaces


class ChunkSanitizer:
    """Is told every access, barrier and fence of a machine, and checks them. between_blocks: the launch's racecheck, if any."""

    def __init__(self, machine, spaces: dict, report, between_blocks: GlobalRaces | None):
        self.machine, self.report = machine, report
        self.shared, self.local = spaces["shared"].memory, spaces["local"].memory
        for memory in (self.shared, self.local):
            memory.unwritten = np.ones(memory.data.size, bool)
        granule = granule_of(machine.kernel, "shared")
        self.races = SharedRaces(machine, self.shared, granule, report) if self.shared.data.size else None
        self.between_blocks = between_blocks
        self.block = machine.first + 1 + np.arange(machine.shape.width) // machine.shape.stride
        self.marks: dict[int, Memory] = {}

    # -- accesses ---------------------------------------------------------------------------------------------
    def read(self, site, memory, positions, lanes: Lanes) -> None:
        """Check a load for bytes that were never written and for races."""
        if memory.unwritten is not None:
            self._initialised(site, memory, positions, lanes)
        if memory is self.shared:
            self.races.read(site, positions, lanes)
        elif memory is not self.local and self.between_blocks:
            self.between_blocks.read(site, memory, positions, lanes, self.block[lanes.index], self.machine)

    def write(self, site, memory, positions, lanes: Lanes, values=None, initialises: bool = True) -> None:
        """Note that a store writes its bytes (if it `initialises` them) and check it for races. values: what it stores, or None."""
        if memory.unwritten is not None and initialises:
            view, index = self._mark_view(site, memory, positions)
            for j in range(site.count):
                view[index + j] = 0
        if memory is self.shared:
            self.races.write(site, positions, lanes, values)
        elif memory is not self.local and self.between_blocks:
            self.between_blocks.write(site, memory, positions, lanes, self.block[lanes.index], self.machine, values)

    def atomic(self, site, memory, positions, lanes: Lanes) -> None:
        """Check an atomic, which reads and writes, for bytes that were never written and for races with plain accesses."""
        if memory.unwritten is not None:
            self._initialised(site, memory, positions, lanes)
        if memory is self.shared:
            self.races.write(site, positions, lanes, None, atomic=True)
        elif memory is not self.local and self.between_blocks:
            self.between_blocks.atomic(site, memory, positions, lanes, self.block[lanes.index], self.machine)

    # -- initcheck --------------------------------------------------------------------------------------------
    def _mark_view(self, site, memory, positions):
        """Return (the marks of unwritten bytes, seen in elements of the access's size; the index of each lane's first element)."""
        marks = self.marks.get(id(memory))
        if marks is None:
            marks = self.marks[id(memory)] = Memory(memory.unwritten.view("u1"), memory.base)
        view, first = marks.view(f"u{site.size}")
        return view, (positions - first) >> site.shift

    def _initialised(self, site, memory, positions, lanes: Lanes) -> None:
        """Report the lanes that read bytes which were never written."""
        view, index = self._mark_view(site, memory, positions)
        bad = view[index] != 0
        for j in range(1, site.count):
            bad |= view[index + j] != 0
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            space = "shared" if memory is self.shared else "local" if memory is self.local else "global"
            self.report.add(
                "initcheck",
                f"read of uninitialised {space} memory",
                site,
                self.machine,
                lanes.index[i],
                self._own_address(memory, positions[i], lanes.index[i]),
                space,
                int(bad.sum()),
            )

    def _own_address(self, memory, position: int, lane: int) -> int:
        """Return the address of a position in memory as the thread sees it."""
        if memory is self.shared:
            return position - self.machine.access.spaces["shared"].start[lane]
        if memory is self.local:
            return position - self.machine.access.spaces["local"].start[lane]
        return position

    # -- order ------------------------------------------------------------------------------------------------
    def block_barrier(self, lanes: Lanes) -> None:
        """Note a barrier that all threads of all blocks have passed."""
        if self.races:
            self.races.block_barrier()

    def barrier(self, lanes: Lanes, arrived: list) -> None:
        """Note a barrier at which these lanes met, with what `arrive` returned for those that only arrived."""
        if self.races:
            self.races.barrier(lanes, arrived)

    def arrive(self, lanes: Lanes) -> np.ndarray | None:
        """Note a bar.arrive. Return what the threads that wait at the barrier come after, as SharedRaces does."""
        return self.races.arrive(lanes) if self.races else None

    def warp_sync(self, lanes: Lanes) -> None:
        """Note a __syncwarp of these lanes."""
        if self.races:
            self.races.warp_sync(lanes)

    def fence(self, lanes: Lanes) -> None:
        """Note a __threadfence by these lanes."""
        if self.between_blocks:
            self.between_blocks.fence(self.block[lanes.index])


def granule_of(kernel, space: str) -> int:
    """Return the size of the pieces in which races are tracked: 4 bytes, 1 if the kernel has narrower accesses to the space."""
    return 4 if all(s.size >= 4 for s in kernel.sites if s.space in (space, "generic")) else 1

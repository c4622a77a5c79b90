"""The checks of wgmma: its registers may not be touched before the wait for its group, nor changed without a fence before it.

"Accessing the registers [...] before wgmma.wait_group" and "modifying the registers [...] without wgmma.fence" are undefined. (PTX
ISA, wgmma.mma_async) What is noted of a warp holds for all of its lanes, as they execute wgmma together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.semantics.warpgroups import groups_of
from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.translate.kernel import Site

from .knowledge import THREAD, View

NONE = -1


class Products:
    """Keeps what asynchronous products (wgmma) of a chunk's warps still use: registers, by the group that holds them, and the
    shared memory that they read.
    """

    def __init__(self, chunk: Any, registers: int):
        self.chunk, self.machine, self.report = chunk, chunk.machine, chunk.report
        warps = self.machine.shape.width // WARP
        self.groups = np.zeros(warps, "i8")  # groups that each warp has committed
        self.fenced = np.zeros(warps, bool)
        self.writes = np.full((registers, warps), NONE, "i8")  # the group whose products write a register
        self.reads = np.full((registers, warps), NONE, "i8")  # ... and read it, as A
        self.changed = np.zeros((registers, warps), bool)  # registers that something else has written since the last fence
        self.busy = False  # whether `writes` or `reads` holds anything
        lanes = np.arange(self.machine.shape.width)
        self.group_of = groups_of(lanes.size, self.machine.shape.stride)[::WARP]
        self.under_way: dict[int, list[tuple[int, int, int]]] = {}  # warpgroup -> (group, number of the thread, time) of its reads

    @staticmethod
    def _warps(lanes: Lanes) -> np.ndarray:
        return np.flatnonzero(lanes.mask.reshape(-1, WARP).any(axis=1))

    def fence(self, lanes: Lanes) -> None:
        """Note a wgmma.fence."""
        warps = self._warps(lanes)
        self.changed[:, warps], self.fenced[warps] = False, True

    def commit(self, lanes: Lanes) -> None:
        """Note a wgmma.commit_group."""
        self.groups[self._warps(lanes)] += 1

    def wait(self, newest: int, lanes: Lanes) -> None:
        """Note a wgmma.wait_group: products of all groups but the `newest` last ones are complete."""
        warps = self._warps(lanes)
        limit = self.groups[warps] - newest
        for table in (self.writes, self.reads):
            part = table[:, warps]
            table[:, warps] = np.where(part < limit, NONE, part)
        self.busy = bool((self.writes != NONE).any() or (self.reads != NONE).any())
        for warpgroup in np.unique(self.group_of[warps]).tolist():
            self._retire(warpgroup, int(limit[self.group_of[warps] == warpgroup].min()), lanes)

    def _retire(self, warpgroup: int, limit: int, lanes: Lanes) -> None:
        """Let lanes of a warpgroup come after what its products of groups before `limit` have read."""
        done = [read for read in self.under_way.get(warpgroup, ()) if read[0] < limit]
        if done:
            times: dict[int, int] = {}
            for _, number, time in done:
                times[4 * number + THREAD] = max(time, times.get(4 * number + THREAD, 0))
            mine = lanes.index[self.group_of[lanes.index // WARP] == warpgroup]
            self.chunk.order.learn_together(mine, View(times))
        if len(done) > 64:  # every warp has waited for old ones; those of the last groups are kept for the others
            self.under_way[warpgroup] = done[-64:] + [read for read in self.under_way[warpgroup] if read[0] >= limit]

    def issued(self, site: Site, results: tuple[int, ...], held: tuple[int, ...], lanes: Lanes) -> None:
        """Note a product that is issued. results, held: the registers of D, and of A where it is in registers."""
        warps = self._warps(lanes)
        if not self.fenced[warps].all():
            self._found(site, f"{site.name} before the first wgmma.fence", lanes, warps[~self.fenced[warps]])
        elif (bad := self.changed[_at((*results, *held), warps)].any(axis=0)).any():
            message = f"{site.name} of registers that were changed, with no wgmma.fence between"
            self._found(site, message, lanes, warps[bad])
        self.writes[_at(results, warps)] = self.groups[warps]
        self.reads[_at(held, warps)] = self.groups[warps]
        self.busy = True

    def read_memory(self, lane: int, number: int, time: int) -> None:
        """Note that a product of the lane's warpgroup reads shared memory from now until the wait for its group.

        number, time: by which its read is known.
        """
        warp = lane // WARP
        self.under_way.setdefault(int(self.group_of[warp]), []).append((int(self.groups[warp]), number, time))

    def touched(self, site: Site, read: tuple[int, ...], written: tuple[int, ...], lanes: Lanes) -> None:
        """Check an instruction that reads and writes registers which products hold at times."""
        warps = self._warps(lanes)
        if self.busy:
            for numbers, tables, action in ((read, (self.writes,), "read"), (written, (self.writes, self.reads), "write")):
                bad = np.zeros(warps.size, bool)
                for table in tables:
                    bad |= (table[_at(numbers, warps)] != NONE).any(axis=0)
                if bad.any():
                    what = "writes" if tables == (self.writes,) or action == "read" else "holds"
                    message = f"{action} of a register that a wgmma.mma_async still {what}; no wgmma.wait_group has waited for it"
                    self._found(site, message, lanes, warps[bad])
                    break
        self.changed[_at(written, warps)] = True

    def moved(self, source: int, target: int, lanes: Lanes) -> None:
        """Note that one register was copied into another: what holds for the one holds for the other."""
        warps = self._warps(lanes)
        for table in (self.writes, self.reads, self.changed):
            table[target, warps] = table[source, warps]

    def _found(self, site: Site, message: str, lanes: Lanes, warps: np.ndarray) -> None:
        bad = lanes.index[np.isin(lanes.index // WARP, warps)]
        self.report.add("racecheck", message, site, self.machine, int(bad[0]), count=int(bad.size))


def _at(registers: tuple[int, ...], warps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of some registers (rows) of some warps (columns)."""
    return np.array(registers, "i8")[:, None], warps[None, :]

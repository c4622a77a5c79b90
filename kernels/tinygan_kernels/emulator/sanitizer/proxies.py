"""The order of what is done asynchronously: bulk copies, and what products of a warpgroup read. (PTX ISA, 8.4 and 9.7.9.25)

Such an operation is not done by the thread that issues it. It counts as done by an asynchronous unit of that thread, one for its
reads and one for its writes, of whose accesses nobody knows who has not waited: for the bytes at an mbarrier, for the bulk group,
for the group of products. The unit itself knows what the thread knows when it issues the operation.

It also goes another way to memory, the async proxy. What threads have written by ordinary instructions (the generic proxy) it sees
only after a fence.proxy.async, which stands anywhere between the two.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.syntax.ptx import Instruction
from tinygan_kernels.emulator.translate.kernel import Site

from .knowledge import THREAD, View
from .order import FLAG_BITS, READS, THREAD_BITS, WRITES

KEPT = 64
"""Proxy fences that are kept of each warp: so many may a warp execute before another uses what was behind the first of them."""


def is_asynchronous(ins: Instruction) -> bool:
    """Return whether an instruction does something that an asynchronous unit does."""
    return (ins.opcode == "cp" and "bulk" in ins.modifiers) or ins.opcode == "wgmma"


class _Fence(NamedTuple):
    """A fence.proxy.async by lanes of one warp: their numbers, when, what they then knew (each, or all the same), and for which
    state spaces."""

    numbers: np.ndarray
    time: int
    views: list[View]
    spaces: tuple[str, ...]


class _Copy(NamedTuple):
    """A bulk copy of a bulk group: the lane that issued it, its group, when, and whether it may still read shared memory."""

    lane: int
    group: int
    time: int
    site: Site
    from_shared: bool


class ChecksProxies:
    """The part of a ChunkSanitizer that follows what asynchronous units do."""

    machine: Any
    clock: Any
    order: Any
    launch: Any
    report: Any
    shared: Any
    products: Any
    read: Any
    write: Any
    atomic: Any
    own_address: Any
    _of: Any
    bulk_copies: list[_Copy] = []  # noqa: RUF012 (of a kernel without asynchronous operations; never changed)

    def begin_proxies(self) -> None:
        """Make the records that the methods below keep."""
        warps = self.machine.shape.warps * self.machine.shape.blocks
        self.fences: list[deque[_Fence]] = [deque(maxlen=KEPT) for _ in range(warps)]  # the last ones of each warp
        self.bulk_groups = np.zeros(self.machine.shape.width, "i8")  # groups that each lane has committed
        self.bulk_copies: list[_Copy] = []

    # -- accesses ---------------------------------------------------------------------------------------------------------------
    def asynchronous_read(self, site: Site, memory: Memory, positions: np.ndarray, lanes: Lanes) -> None:
        """Check what the asynchronous unit of a lane reads; `lanes` holds that lane once for every position."""
        self._after_fences(site, memory, positions, lanes)
        with self.order.acting(READS):
            self.read(site, memory, positions, lanes)

    def asynchronous_write(
        self, site: Site, memory: Memory, positions: np.ndarray, lanes: Lanes, reduces: bool = False
    ) -> None:
        """Check what the asynchronous unit of a lane writes, or combines with what is there (reduces)."""
        if reduces:
            self._after_fences(site, memory, positions, lanes)
        with self.order.acting(WRITES):
            if reduces:
                self.atomic(site, memory, positions, lanes)
            else:
                self.write(site, memory, positions, lanes)

    def brought(self, lane: int) -> View:
        """Return what those know who see that a copy by a lane's asynchronous units is complete."""
        return View({4 * self.order.unit(lane, unit) + THREAD: self.clock.now for unit in (WRITES, READS)})

    def product_read(self, lane: int) -> None:
        """Note that a product of a lane's warpgroup is reading until its group is waited for, what it was checked to read."""
        self.products.read_memory(lane, self.order.unit(lane, READS), self.clock.now)

    # -- bulk groups ------------------------------------------------------------------------------------------------------------
    def bulk_copied(self, site: Site, lane: int, from_shared: bool) -> None:
        """Note a copy that belongs to the next bulk group of a lane."""
        self.bulk_copies.append(_Copy(lane, int(self.bulk_groups[lane]), self.clock.now, site, from_shared))

    def bulk_commit(self, lanes: Lanes) -> None:
        """Note a cp.async.bulk.commit_group."""
        self.bulk_groups[lanes.mask] += 1

    def bulk_wait(self, newest: int, only_reads: bool, lanes: Lanes) -> None:
        """Note a cp.async.bulk.wait_group: of all groups but the `newest` last ones the reads are done, or all (not only_reads)."""
        kept: list[_Copy] = []
        for copy in self.bulk_copies:
            waited = lanes.mask[copy.lane] and copy.group < self.bulk_groups[copy.lane] - newest
            if not waited or (only_reads and not copy.from_shared):
                kept.append(copy)
                continue
            known = {4 * self.order.unit(copy.lane, READS) + THREAD: copy.time}
            if not only_reads:
                known[4 * self.order.unit(copy.lane, WRITES) + THREAD] = copy.time
            else:
                kept.append(copy._replace(from_shared=False))
            self.order.learn(copy.lane, View(known))
        self.bulk_copies = kept

    def exited(self, lanes: Lanes) -> None:
        """Report threads that end while a bulk copy that they issued may still read the shared memory of their block."""
        for copy in self.bulk_copies:
            if copy.from_shared and lanes.mask[copy.lane]:
                message = "the thread ends before this copy has read shared memory; no cp.async.bulk.wait_group has waited for it"
                self.report.add("racecheck", message, copy.site, self.machine, copy.lane)
        self.bulk_copies = [copy for copy in self.bulk_copies if not lanes.mask[copy.lane]]

    # -- fences -----------------------------------------------------------------------------------------------------------------
    def proxy_fence(self, spaces: tuple[str, ...], lanes: Lanes) -> None:
        """Note a fence.proxy.async of these lanes for some state spaces."""
        order, time = self.order, self.clock.now
        rows = lanes.mask.reshape(-1, WARP)
        for warp in np.flatnonzero(rows.any(axis=1)).tolist():
            mask = np.zeros_like(rows)
            mask[warp] = rows[warp]
            chosen = mask.ravel()
            self.fences[warp].append(_Fence(order.number[chosen], time, order.views_of(chosen), spaces))
        self.clock.tick()

    def _after_fences(self, site: Site, memory: Memory, positions: np.ndarray, lanes: Lanes) -> None:
        """Report bytes that threads have written by the generic proxy, with no proxy fence before a unit's access."""
        _, records, _ = self._of(memory)
        if not records.written:
            return
        space, lane = "shared" if memory is self.shared else "global", int(lanes.index[0])
        for _, at in records.granules(site, positions):
            stamps = records.writer[at]
            number, time = (stamps & self.clock.who_mask) >> FLAG_BITS, stamps >> self.clock.shift
            mine = (stamps != 0) & (number >> THREAD_BITS < self.launch.blocks)
            if not mine.any():
                continue
            mine[mine] = ~self.order.unordered(stamps[mine], np.full(np.count_nonzero(mine), lane))
            writers, inverse = np.unique(number[mine], return_inverse=True)
            latest = np.zeros(writers.size, "i8")
            np.maximum.at(latest, inverse, time[mine])
            left = self._unfenced(lane, space, list(zip(writers.tolist(), latest.tolist(), strict=True)))
            if left:
                bad = mine & np.isin(number, left)
                self._missing_fence(site, memory, positions[bad], int(stamps[bad][0]), lane, space)
                return

    def _unfenced(self, lane: int, space: str, writes: list[tuple[int, int]]) -> list[int]:
        """Return the numbers of the threads of those writes, by number and time, that no fence known to a lane comes after."""
        writes = self._without_own_fence(lane, space, writes)
        own = lane // WARP
        for fence in (fence for fences in (self.fences[own], *self.fences) for fence in reversed(fences)):
            if not writes:
                break
            known = self._known(fence, lane) if space in fence.spaces else np.empty(0, "i8")
            if known.size:
                views = fence.views if len(fence.views) == 1 else [fence.views[i] for i in known]
                writes = [w for w in writes if not any(view.knows(*w) for view in views)]
        return [number for number, _ in writes]

    def _known(self, fence: _Fence, lane: int) -> np.ndarray:
        """Return which of the lanes of a fence another lane comes after."""
        stamps = fence.numbers << FLAG_BITS | fence.time << self.clock.shift
        return np.flatnonzero(~self.order.unordered(stamps, np.full(stamps.size, lane)))

    def _without_own_fence(self, lane: int, space: str, writes: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the writes after which their own thread has not executed a fence that a lane knows of: the usual case is none."""
        left: list[tuple[int, int]] = []
        by_warp: dict[int, list[tuple[int, int]]] = {}
        for number, time in writes:
            block, thread = (number >> THREAD_BITS) - self.machine.first, number & (1 << THREAD_BITS) - 1
            by_warp.setdefault((block * self.machine.shape.stride + thread) // WARP, []).append((number, time))
        for warp, mine in by_warp.items():
            for fence in reversed(self.fences[warp] if 0 <= warp < len(self.fences) else ()):
                if space in fence.spaces and mine:
                    known = set(fence.numbers[self._known(fence, lane)].tolist())
                    mine = [(number, time) for number, time in mine if number not in known or time > fence.time]
            left += mine
        return left

    def _missing_fence(self, site: Site, memory: Memory, positions: np.ndarray, stamp: int, lane: int, space: str) -> None:
        number = (stamp & self.clock.who_mask) >> FLAG_BITS
        store = self.clock.sites[min(stamp >> self.clock.shift, len(self.clock.sites) - 1)]
        thread = tuple(int(t) for t in self.machine.shape.thread(number & (1 << THREAD_BITS) - 1))
        block = self.machine.block_position((number >> THREAD_BITS) - self.machine.first)
        where = f", {store.source} (PTX line {store.ptx_line})" if store is not None else ""
        message = (
            f"missing proxy fence: {site.name.split('.sync')[0]} reads {space} memory that a thread wrote by an ordinary "
            f"instruction, with no fence.proxy.async between; it was thread {thread} of block {block}{where}"
        )
        address = self.own_address(memory, int(positions[0]), lane)
        self.report.add("racecheck", message, site, self.machine, lane, address, space, len(positions))

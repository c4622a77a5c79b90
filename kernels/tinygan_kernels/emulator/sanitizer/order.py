"""The order between the accesses of threads: vector clocks, kept for a block or a warp as a whole wherever that loses nothing.

Every instruction that touches memory, and every synchronisation, has a time of its own in the launch. An access by thread u at
time s comes before what thread t does now if t is synchronised with all that u did up to the time s, or later: t "knows u up to s".
What t knows is held at five levels:

    its block       up to the last barrier of the whole block
    its warp        up to the last __syncwarp of the whole warp
    lanes           of its warp, after __syncwarps with smaller masks
    warps           of its block, after barriers of some warps (bar.sync n, count; bar.arrive)
    a View          of whatever it acquired through memory: locks, flags, atomics, with their fences (messages.py)

Levels that a launch never uses cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tinygan_kernels.emulator.execute.lanes import WARP, Lanes

from .knowledge import BLOCK, THREAD, View, joined, own_view
from .knowledge import WARP as OF_WARP

FLAG_BITS, THREAD_BITS = 2, 10
WRITES, READS = 1, 2
"""The asynchronous units of a thread (see `proxies`); they are numbered as threads of blocks beyond the grid's."""


class LaunchTime:
    """The clock of a launch, and the layout of stamps: time, block, thread, flags, from the highest bit to the lowest."""

    def __init__(self, blocks: int):
        self.block_bits = max(1, int(blocks).bit_length())
        self.shift = self.block_bits + THREAD_BITS + FLAG_BITS
        self.who_mask = (1 << self.shift) - (1 << FLAG_BITS)
        self.block_mask = (1 << self.shift) - (1 << FLAG_BITS + THREAD_BITS)
        self.now = 1
        self.last = (1 << 63 - self.shift) - 2
        self.sites: list = [None, None]  # the instruction at each time; there is none at 0 and 1

    def tick(self, site=None) -> int:
        """Begin the next time, which belongs to `site`, and return it."""
        self.sites.append(site)
        if self.now < self.last:  # a clock without bits left stays where it is; a large grid leaves fewer bits for it
            self.now += 1
        return self.now


class Order:
    """What the threads of one chunk (the blocks that are emulated together) know of each other and of earlier chunks."""

    def __init__(self, machine, clock: LaunchTime, units_of: int = 0):
        shape, lanes = machine.shape, np.arange(machine.shape.width)
        self.machine, self.shape, self.clock = machine, shape, clock
        self.block_of = lanes // shape.stride  # in the chunk
        self.warp_of = lanes // WARP
        self.number = (machine.first + self.block_of).astype("i8") << THREAD_BITS | lanes % shape.stride  # in the grid
        self.who = self.own = self.number << FLAG_BITS  # as whom lanes access memory now: as themselves, or as their units
        self.units_of = units_of  # blocks of the grid, where threads have asynchronous units; else 0
        self.block_time = np.zeros(shape.blocks, "i8")
        self.floor = np.zeros(shape.width, "i8")  # the first stamp that the last barrier of the lane's block does not cover
        self.warp_time = np.zeros(shape.width // WARP, "i8")
        self.lane_rows: np.ndarray | None = None  # (lanes, 32): up to when it knows each lane of its warp
        self.warp_rows: np.ndarray | None = None  # (blocks, warps, warps): ... and each warp of its block
        self.views = np.full(shape.width, None, object)
        self.has_views = False

    @contextmanager
    def acting(self, unit: int) -> Iterator[None]:
        """Let accesses inside the `with` block be those of the lanes' asynchronous units, WRITES or READS."""
        self.who = self.own + (unit * self.units_of << FLAG_BITS + THREAD_BITS)
        try:
            yield
        finally:
            self.who = self.own

    def unit(self, lane: int, unit: int) -> int:
        """Return the number of one of a lane's asynchronous units."""
        return int(self.number[lane]) + (unit * self.units_of << THREAD_BITS)

    def thread_of(self, number: int) -> tuple[int, int]:
        """Return (number of a thread, which of its asynchronous units it is or 0) for the number of a thread or a unit."""
        if not self.units_of:
            return number, 0
        unit, block = divmod(number >> THREAD_BITS, self.units_of)
        return block << THREAD_BITS | number & (1 << THREAD_BITS) - 1, unit

    # -- the question ---------------------------------------------------------------------------------------------
    def unordered(self, stamps: np.ndarray, lanes: np.ndarray) -> np.ndarray:
        """Return a mask: True where nothing orders the access stamps[i], of another thread, before what lanes[i] does now."""
        number, time = (stamps & self.clock.who_mask) >> FLAG_BITS, stamps >> self.clock.shift
        own = self.number[lanes]
        here = number >> THREAD_BITS == own >> THREAD_BITS
        warp = number >> 5 == own >> 5
        known = (number == own) | here & (time <= self.block_time[self.block_of[lanes]])
        known |= warp & (time <= self.warp_time[lanes // WARP])
        if self.lane_rows is not None:
            known |= warp & (time <= self.lane_rows[lanes, number & 31])
        if self.warp_rows is not None:
            rows = self.warp_rows[self.block_of[lanes], lanes % self.shape.stride // WARP]
            of = np.where(here, (number & 1023) >> 5, 0)
            known |= here & (time <= rows[np.arange(of.size), of])
        open_ = ~known
        which = np.flatnonzero(open_) if self.has_views else np.empty(0, "i8")
        if which.size > 1 and (lanes == lanes[0]).all():  # as one thread copies much, which few have written
            view = self.views[lanes[0]]
            if view is not None:
                some, place = np.unique(stamps[which] >> FLAG_BITS, return_inverse=True)
                mask = self.clock.who_mask >> FLAG_BITS
                shift = self.clock.shift - FLAG_BITS
                known = np.array([view.knows(s & mask, s >> shift) for s in some.tolist()])
                open_[which] = ~known[place]
        else:
            for i in which:
                view = self.views[lanes[i]]
                if view is not None and view.knows(int(number[i]), int(time[i])):
                    open_[i] = False
        return open_

    # -- what a thread knows, as a view ---------------------------------------------------------------------------
    def view_of(self, lane: int) -> View:
        """Return all that a lane knows now, itself included."""
        number = int(self.number[lane])
        own = own_view(number, self.clock.now, int(self.block_time[self.block_of[lane]]), int(self.warp_time[lane // WARP]))
        if self.lane_rows is not None:
            row, first = self.lane_rows[lane], number & ~31
            own |= {4 * (first + int(i)) + THREAD: max(int(row[i]), own.get(4 * (first + int(i)), 0)) for i in np.flatnonzero(row)}
        if self.warp_rows is not None:
            row, first = self.warp_rows[self.block_of[lane], lane % self.shape.stride // WARP], number >> 10 << 5
            for i in np.flatnonzero(row):
                key = 4 * (first + int(i)) + OF_WARP
                own[key] = max(int(row[i]), own.get(key, 0))
        view = self.views[lane]
        return View(own) if view is None else View(own, view)

    def views_of(self, mask: np.ndarray) -> list[View]:
        """Return what the lanes of a mask know now: one view for each whole warp, and one for each lane of another."""
        rows, alive = mask.reshape(-1, WARP), self.machine.alive.reshape(-1, WARP)
        plain = self.lane_rows is None and self.warp_rows is None
        views: list[View] = []
        for warp in np.flatnonzero(rows.any(axis=1)).tolist():
            lanes = warp * WARP + np.flatnonzero(rows[warp])
            if not plain or not (rows[warp] == alive[warp]).all():
                views += [self.view_of(int(lane)) for lane in lanes]
                continue
            number = int(self.number[lanes[0]])
            own = {4 * (number >> 5) + OF_WARP: self.clock.now,
                   4 * (number >> THREAD_BITS) + BLOCK: int(self.block_time[self.block_of[lanes[0]]])}  # fmt: skip
            parts = {id(v): v for v in self.views[lanes] if v is not None}
            views.append(View(own, *parts.values()))
        return views

    def learn_together(self, lanes: np.ndarray, view: View | None) -> None:
        """Let lanes know what a view holds. Those that knew the same know the same again, in one view."""
        made: dict[int, View | None] = {}
        for lane in lanes.tolist():
            before = self.views[lane]
            made.setdefault(id(before), joined(before, view))
            self.learn(lane, made[id(before)])

    def learn(self, lane: int, view: View | None) -> None:
        """Let a lane know what a view holds."""
        if view is not None:
            self.views[lane] = joined(self.views[lane], view)
            self.has_views = True

    def _share(self, mask: np.ndarray, extra: tuple = ()) -> None:
        """Give every lane of a mask the combined views of all of them, and those in `extra`."""
        if self.has_views or extra:
            together = joined(*self.views[mask], *extra)
            if together is not None:
                self.views[mask], self.has_views = together, True

    # -- what orders ----------------------------------------------------------------------------------------------
    def block_barrier(self, complete: np.ndarray | None = None) -> None:
        """Note a barrier of all threads of these blocks (a mask over the chunk's blocks; None: all)."""
        time = self.clock.now
        chosen = np.ones(self.shape.blocks, bool) if complete is None else complete
        self.block_time[chosen] = time
        self.floor[np.repeat(chosen, self.shape.stride)] = (time + 1) << self.clock.shift
        if self.has_views:
            for block in np.flatnonzero(chosen):
                self._share(self.block_of == block)
        self.clock.tick()

    def known_up_to(self, block: int, time: int) -> None:
        """Note that every thread of a block (of the chunk) comes after all that its other threads did up to a time."""
        self.block_time[block] = max(int(self.block_time[block]), time)
        mine = self.block_of == block
        self.floor[mine] = np.maximum(self.floor[mine], (time + 1) << self.clock.shift)

    def barrier(self, lanes: Lanes, arrived: list) -> None:
        """Note that the warps of these lanes have met at a barrier, in each block separately.

        arrived: what `arrive` returned for warps that did not wait.
        """
        here = self._warps(lanes)
        rows = self._rows()
        met = np.maximum.reduce([self._told_by(here), *(told for told, _ in arrived)])
        np.copyto(rows, np.maximum(rows, met[:, None, :]), where=here[:, :, None])
        self._meet_inside(here)
        if self.has_views:
            for block in np.flatnonzero(here.any(axis=1)):
                extra = tuple(v for told, views in arrived if told[block].any() for v in views[block])
                self._share(lanes.mask & (self.block_of == block), extra)
        self.clock.tick()

    def arrive(self, lanes: Lanes) -> tuple[np.ndarray, list]:
        """Note a bar.arrive. Return up to when later waiters know each warp (blocks, warps), and the lanes' views by block."""
        here = self._warps(lanes)
        self._rows()
        told = self._told_by(here)
        self._meet_inside(here)
        views: list = [()] * self.shape.blocks
        if self.has_views:
            views = [tuple(self.views[lanes.mask & (self.block_of == b)]) for b in range(self.shape.blocks)]
        self.clock.tick()
        return told, views

    def _rows(self) -> np.ndarray:
        if self.warp_rows is None:
            self.warp_rows = np.zeros((self.shape.blocks, self.shape.warps, self.shape.warps), "i8")
        return self.warp_rows

    def _meet_inside(self, here: np.ndarray) -> None:
        """Order the lanes of each of these warps among themselves."""
        self.warp_time[here.ravel()] = self.clock.now

    def _warps(self, lanes: Lanes) -> np.ndarray:
        """Return (blocks, warps) booleans: the warps that have one of the lanes."""
        return lanes.mask.reshape(self.shape.blocks, self.shape.warps, WARP).any(axis=2)

    def _told_by(self, here: np.ndarray) -> np.ndarray:
        """Return for each warp of a block the latest time up to which one of the warps `here` knows it."""
        rows = np.where(here[:, :, None], self._rows(), 0).max(axis=1)
        return np.maximum(rows, np.where(here, self.clock.now, 0))

    def warp_sync(self, members, lanes: Lanes) -> None:
        """Note a __syncwarp of these lanes; members: the mask that each lane names, a vector or a scalar."""
        here = lanes.mask.reshape(-1, WARP)
        named = np.broadcast_to(members, lanes.mask.shape).reshape(-1, WARP)
        alive = self.machine.alive.reshape(-1, WARP)
        bits = np.packbits(alive, axis=1, bitorder="little").view("<u4").ravel()
        whole = (here == alive).all(axis=1) & here.any(axis=1)
        whole &= ((named & bits[:, None]) == bits[:, None]).all(axis=1, where=here)
        self.warp_time[whole] = self.clock.now
        rest = here.any(axis=1) & ~whole
        if rest.any():
            self._partial_sync(named, here & rest[:, None])
        if self.has_views:
            for warp in np.flatnonzero(here.any(axis=1)):
                for mask in np.unique(named[warp][here[warp]]):
                    some = np.zeros_like(here)
                    some[warp] = here[warp] & (named[warp] == mask)
                    self._share(some.ravel())
        self.clock.tick()

    def _partial_sync(self, named: np.ndarray, here: np.ndarray) -> None:
        """In each warp, order the lanes that name the same mask relative to each other."""
        if self.lane_rows is None:
            self.lane_rows = np.zeros((self.shape.width, WARP), "i8")
        rows = self.lane_rows.reshape(-1, WARP, WARP)
        for mask in np.unique(named[here]):
            some = here & (named == mask) & (mask >> np.arange(WARP, dtype="u4") & 1 != 0)
            met = np.where(some[:, :, None], rows, 0).max(axis=1)
            met = np.maximum(met, np.where(some, self.clock.now, 0))
            np.copyto(rows, np.maximum(rows, met[:, None, :]), where=some[:, :, None])

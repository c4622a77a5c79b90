"""The racecheck within blocks: two threads touch the same shared bytes, one of them writing, with no barrier between.

Order is tracked by a vector clock of warps. Each warp has a clock that every barrier it passes moves on; `known[m,
w]` is the latest time of warp w that warp m comes after. An access by warp w at time c is ordered before one by warp
m if c <= known[m, w]; within a warp, bar.warp.sync (__syncwarp) orders as a barrier does, running in step does not.
Two writes of the same value count as harmless (compute-sanitizer's level INFO). A __syncwarp of some lanes counts for
the whole warp.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.execute.lanes import WARP, Lanes

_ATOMIC = 1


class SharedRaces:
    """Tracks who last wrote and read each granule of shared memory: 4 bytes, or 1 if accesses may be narrower."""

    def __init__(self, machine, memory, granule: int, report):
        shape = machine.shape
        lanes = np.arange(shape.width)
        self.machine, self.granule, self.report = machine, granule, report
        self.shape, self.memory = shape, memory
        self.thread = (lanes % shape.stride).astype("i8")
        self.block = lanes // shape.stride
        self.warp = self.thread // WARP
        self.row = (self.block * shape.warps + self.warp) * shape.warps  # of this lane's warp in `known`
        self.clock = np.ones((shape.blocks, shape.warps), "i8")
        self.known = np.zeros((shape.blocks, shape.warps, shape.warps), "i8")
        granules = memory.data.size // granule
        self.writer = np.zeros(granules, "i8")  # clock << 11 | thread << 1 | atomic
        self.first_reader = np.zeros((granules, shape.warps), "i8")  # clock << 5 | lane, for each warp: the lowest lane
        self.last_reader = np.zeros((granules, shape.warps), "i8")  # ... and the highest, of the last instruction

    # -- accesses ---------------------------------------------------------------------------------------------
    def read(self, site, positions, lanes: Lanes) -> None:
        """Check a load against the last writers, and note its lanes as readers."""
        index, now = lanes.index, self._now(lanes)
        warp = self.warp[index]
        stamp = now << 5 | self.thread[index] % WARP
        for _, granules in self._granules(site, positions):
            self._against_writer(site, granules, positions, lanes, "read", "written", None)
            self.last_reader[granules, warp] = stamp
            backwards = (np.ascontiguousarray(a[::-1]) for a in (granules, warp, stamp))
            granules, warps, stamps = backwards  # copies: NumPy walks a reversed view forwards
            self.first_reader[granules, warps] = stamps

    def write(self, site, positions, lanes: Lanes, values, atomic: bool = False) -> None:
        """Check a store or an atomic against the last writers and readers, and note its lanes as writers."""
        stamp = self._now(lanes) << 11 | self.thread[lanes.index] << 1 | (_ATOMIC if atomic else 0)
        for j, granules in self._granules(site, positions):
            value = None if values is None else lanes.pick(np.asarray(values[j * self.granule // site.size]))
            self._against_writer(site, granules, positions, lanes, "write", "written", value, atomic)
            self._against_readers(site, granules, positions, lanes)
            self.writer[granules] = stamp
            if not atomic:
                self._within_instruction(site, granules, positions, lanes, stamp, value)

    def _granules(self, site, positions):
        """Yield (number, each lane's granule of that number) for the granules that one access of a lane spans."""
        first = positions // self.granule
        for j in range(max(1, site.bytes // self.granule)):
            yield j, first + j if j else first

    def _now(self, lanes: Lanes) -> np.ndarray:
        """Return the time of each lane's warp."""
        return self.clock[self.block[lanes.index], self.warp[lanes.index]]

    def _against_writer(self, site, granules, positions, lanes, action, earlier, value, atomic=False) -> None:
        """Report lanes that access what another thread last wrote, with no barrier between."""
        last = self.writer[granules]
        writer = last >> 1 & 1023
        unordered = (last >> 11) > self.known.ravel()[self.row[lanes.index] + writer // WARP]
        race = unordered & (writer != self.thread[lanes.index]) & (last != 0)
        if atomic:
            race &= last & _ATOMIC == 0
        if not race.any():
            return
        if value is not None:
            race &= self._differs(site, granules, positions, value)
        self._found(
            site,
            race,
            positions,
            lanes,
            f"shared-memory race: {action} of bytes {earlier} by another thread with no barrier between",
            writer,
        )

    def _differs(self, site, granules, positions, value) -> np.ndarray:
        """Mark the lanes whose store changes what is there."""
        view, _ = self.memory.view(site.code)
        place = np.minimum(granules * self.granule // site.size, view.size - 1)
        return view[place] != value

    def _against_readers(self, site, granules, positions, lanes: Lanes) -> None:
        """Report lanes that write what another thread has read, with no barrier between."""
        index = lanes.index
        known = self.known.reshape(-1, self.shape.warps)[self.row[index] // self.shape.warps]
        own_warp, own_lane = self.warp[index][:, None], (self.thread[index] % WARP)[:, None]
        columns = np.arange(self.shape.warps)
        for readers in (self.last_reader, self.first_reader):
            stamp = readers[granules]
            race = (stamp >> 5 > known) & ((columns != own_warp) | ((stamp & 31) != own_lane))
            if race.any():
                found = race.any(axis=1)
                warp = race.argmax(axis=1)
                reader = warp * WARP + (np.take_along_axis(stamp, warp[:, None], axis=1)[:, 0] & 31)
                self._found(
                    site,
                    found,
                    positions,
                    lanes,
                    "shared-memory race: write of bytes read by another thread with no barrier between",
                    reader,
                )
                return

    def _within_instruction(self, site, granules, positions, lanes: Lanes, stamp, value) -> None:
        """Report lanes that write different values to one place in one instruction."""
        winner = self.writer[granules]
        lost = winner != stamp
        if not lost.any():
            return
        if value is not None:
            lane = self.block[lanes.index] * self.shape.stride + (winner >> 1 & 1023)
            lost &= value != value[np.searchsorted(lanes.index, lane)]
        self._found(
            site,
            lost,
            positions,
            lanes,
            "shared-memory race: threads write different values to the same bytes in one instruction",
            winner >> 1 & 1023,
        )

    def _found(self, site, race, positions, lanes: Lanes, message: str, other) -> None:
        """Report a race, if there is one, with the other thread of the first lane."""
        if not race.any():
            return
        i = int(np.flatnonzero(race)[0])
        lane = lanes.index[i]
        thread = tuple(int(t) for t in self.shape.thread(int(other[i])))
        address = positions[i] - self.block[lane] * (self.memory.data.size // self.shape.blocks)
        self.report.add(
            "racecheck",
            f"{message}; the other is thread {thread}",
            site,
            self.machine,
            lane,
            address,
            "shared",
            int(race.sum()),
        )

    # -- barriers ---------------------------------------------------------------------------------------------
    def block_barrier(self) -> None:
        """Note that all threads of all blocks have passed a barrier."""
        self.known[...] = self.clock[:, None, :]
        self.clock += 1

    def barrier(self, lanes: Lanes, arrived: list[np.ndarray]) -> None:
        """Note that the warps of these lanes have met, each block's on its own. arrived: what `arrive` returned for others."""
        here = self._warps(lanes)
        joined = np.maximum.reduce([self._told_by(here), *arrived])
        np.copyto(self.known, joined[:, None, :], where=here[:, :, None])
        self.clock += here

    def arrive(self, lanes: Lanes) -> np.ndarray:
        """Note a bar.arrive. Return the (blocks, warps) times that whoever waits at the barrier comes after."""
        here = self._warps(lanes)
        told = self._told_by(here)
        self.clock += here
        return told

    def _warps(self, lanes: Lanes) -> np.ndarray:
        """Return (blocks, warps) booleans: the warps that have one of the lanes."""
        return lanes.mask.reshape(self.shape.blocks, self.shape.warps, WARP).any(axis=2)

    def _told_by(self, here: np.ndarray) -> np.ndarray:
        """Return the latest time of each warp that one of the warps `here` comes after, its own included."""
        joined = np.where(here[:, :, None], self.known, 0).max(axis=1)
        return np.maximum(joined, np.where(here, self.clock, 0))

    def warp_sync(self, lanes: Lanes) -> None:
        """Note that the lanes of each of these warps have met."""
        here = self._warps(lanes)
        own = np.arange(self.shape.warps)
        self.known[:, own, own] = np.where(here, self.clock, self.known[:, own, own])
        self.clock += here

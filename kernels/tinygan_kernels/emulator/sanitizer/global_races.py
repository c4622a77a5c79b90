"""The racecheck between blocks: two of them touch the same global bytes in one launch, one with a plain write.

Blocks of a grid run in any order, so the result of such a kernel is luck. One order is recognised: a block writes, fences
(__threadfence), then tells others by an atomic; a block whose own atomic came after that fence may read (the "last block
done" reduction). Two writes of the same value count as harmless.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes

_FLAG, _BLOCK = 1, (1 << 32) - 1  # stamp: time << 33 | (block + 1) << 1 | flag: an atomic, or several readers


class GlobalRaces:
    """Tracks a whole launch: the times of each block's fences and atomics here, who touched what in the Memory objects."""

    def __init__(self, blocks: int, granule: int, report):
        self.granule, self.report = granule, report
        self.time = 1
        self.fenced = np.zeros(blocks + 1, "i8")  # when block b (numbered from 1) last fenced
        self.told = np.zeros(blocks + 1, "i8")  # when it last did an atomic

    def records(self, memory):
        """Return (stamps of the last writers, stamps of the last readers) for the granules of a Memory."""
        if memory.races is None:
            size = -(-memory.data.size // self.granule) + 1
            memory.races = np.zeros(size, "i8"), np.zeros(size, "i8")
        return memory.races

    def fence(self, blocks: np.ndarray) -> None:
        """Note that these blocks (numbered from 1) have executed a fence."""
        self.time += 1
        self.fenced[blocks] = self.time

    def read(self, site, memory, positions, lanes: Lanes, block, machine) -> None:
        """Check a read. block: the number, from 1, of each lane's block in the grid."""
        writers, readers = self.records(memory)
        stamp = self.time << 33 | block << 1
        for _, at in self._granules(site, memory, positions):
            last = writers[at]
            race = self._unordered((last != 0) & (last & _FLAG == 0) & self._other(last, block), last, block)
            self._found(site, race, positions, lanes, machine, last, "read of bytes that another block writes")
            old = readers[at]
            several = (old != 0) & ((old & _FLAG == 1) | self._other(old, block))
            readers[at] = stamp | several
            mixed = self._other(readers[at], block)
            if mixed.any():
                readers[at[mixed]] |= _FLAG

    def write(self, site, memory, positions, lanes: Lanes, block, machine, values) -> None:
        """Check a plain write against the last writers and readers, and against the other lanes of the same instruction."""
        writers, readers = self.records(memory)
        stamp = self.time << 33 | block << 1
        for j, at in self._granules(site, memory, positions):
            value = None if values is None else lanes.pick(np.asarray(values[j * self.granule // site.size]))
            last, read = writers[at], readers[at]
            race = self._unordered((last != 0) & self._other(last, block), last, block)
            if race.any() and value is not None:
                race &= self._differs(site, memory, positions, j, value)
            self._found(site, race, positions, lanes, machine, last, "write of bytes that another block writes")
            unordered = (read & _FLAG == 1) | (self._other(read, block) & ~self._ordered(read, block))
            self._found(
                site,
                (read != 0) & unordered,
                positions,
                lanes,
                machine,
                read,
                "write of bytes that another block reads",
            )
            writers[at] = stamp
            self._within_instruction(site, writers[at], stamp, positions, lanes, machine, block, value)

    def atomic(self, site, memory, positions, lanes: Lanes, block, machine) -> None:
        """Check an atomic against plain writes of other blocks, and note that its block has told the others."""
        writers, _ = self.records(memory)
        self.time += 1
        self.told[block] = self.time
        for _, at in self._granules(site, memory, positions):
            last = writers[at]
            race = self._unordered((last != 0) & (last & _FLAG == 0) & self._other(last, block), last, block)
            self._found(
                site, race, positions, lanes, machine, last, "atomic on bytes that another block writes plainly"
            )
            writers[at] = self.time << 33 | block << 1 | _FLAG

    def _granules(self, site, memory, positions):
        """Yield (number, each lane's granule of that number) for the granules that one access of a lane spans."""
        first = (positions - memory.base) // self.granule
        for j in range(max(1, site.bytes // self.granule)):
            yield j, first + j if j else first

    @staticmethod
    def _other(stamp, block):
        """Mark the stamps that another block left."""
        return (stamp >> 1 & _BLOCK) != block

    def _unordered(self, race, stamp, block):
        """Mark the races whose earlier access no fence and atomic puts before this block."""
        return race & ~self._ordered(stamp, block) if np.count_nonzero(race) else race

    def _ordered(self, stamp, block):
        """Say where the stamp's block has fenced since that access, and this block has done an atomic since that fence."""
        fenced = self.fenced[stamp >> 1 & _BLOCK]
        return (fenced > stamp >> 33) & (self.told[block] > fenced)

    def _differs(self, site, memory, positions, j: int, value) -> np.ndarray:
        """Mark the lanes whose store changes what is there."""
        view, first = memory.view(site.code)
        return view[(positions - first) // site.size + j * self.granule // site.size] != value

    def _within_instruction(self, site, winner, stamp, positions, lanes, machine, block, value) -> None:
        """Report lanes of different blocks that write different values to one place in one instruction."""
        lost = self._other(winner, block)
        if not lost.any():
            return
        if value is not None:  # the winner is the last lane at a place
            order = np.argsort(positions, kind="stable")
            ordered = positions[order]
            last = order[np.searchsorted(ordered, positions, side="right") - 1]
            lost &= value != value[last]
        self._found(site, lost, positions, lanes, machine, winner, "write of bytes that another block writes")

    def _found(self, site, race, positions, lanes: Lanes, machine, stamp, message: str) -> None:
        """Report a race, if there is one, with the other block of the first lane."""
        if not race.any():
            return
        i = int(np.flatnonzero(race)[0])
        x, y, _ = machine.shape.grid
        number = int(stamp[i] >> 1 & _BLOCK) - 1
        other = (number % x, number // x % y, number // (x * y))
        self.report.add(
            "racecheck",
            f"global-memory race between blocks: {message}; the other is block {other}",
            site,
            machine,
            lanes.index[i],
            positions[i],
            "global",
            int(race.sum()),
        )

"""The racecheck: two threads touch the same bytes, one of them writing, and nothing orders the two. (PTX ISA, 8.10.2, "Data races")

Of every granule (4 bytes, 1 if the kernel has narrower accesses) the last writer is kept, and up to four readers: the last one, and
of those before it the last in its warp, the last in another warp of its block, and the last in another block. Two writes of the
same value count as harmless, as they do for compute-sanitizer (its level INFO).
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes

from .order import FLAG_BITS, THREAD_BITS, Order
from .strength import STRONG, WIDE, Strength

SAME_WARP, SAME_BLOCK, ELSEWHERE = 1, 2, 3
STALE = {
    "tex": "through a texture", "tld4": "through a texture", "suld": "through a surface",
    "ld": "through the read-only cache (ld.global.nc, __ldg)",
}  # fmt: skip
"""Ways, by opcode, on which a launch may not see its own writes. (CUDA C++ Programming Guide, "Read/Write Coherency")"""


def stale_way(name: str) -> str:
    """Return the way of STALE that an instruction takes, by its name; "" for an ordinary load."""
    opcode = name.partition(".")[0]
    return STALE.get(opcode, "") if opcode != "ld" or ".nc" in name else ""


class Records:
    """Who last touched the granules of one memory. Stamps are those of `order.LaunchTime`; 0 is nobody."""

    def __init__(self, size: int, granule: int, base: int):
        self.size, self.granule, self.base = -(-size // granule) + 1, granule, base
        self.writer = np.zeros(self.size, "i8")
        self.readers: list[np.ndarray | None] = [None] * 4
        self.written = False

    def slot(self, kind: int) -> np.ndarray:
        """Return one of the arrays of readers, made when it is first needed."""
        array = self.readers[kind]
        if array is None:
            array = self.readers[kind] = np.zeros(self.size, "i8")
        return array

    def forget(self, start: int, end: int) -> None:
        """Take the bytes from `start` to before `end`, which are allocated anew, as touched by nobody."""
        first, last = (start - self.base) // self.granule, -(-(end - self.base) // self.granule)
        for stamps in (self.writer, *self.readers):
            if stamps is not None:
                stamps[first:last] = 0

    def granules(self, site, positions):
        """Yield (number, each lane's granule of that number) for the granules that one access of a lane spans."""
        first = (positions - self.base) // self.granule
        for j in range(max(1, site.bytes // self.granule)):
            yield j, first + j if j else first


class Races:
    """Checks the accesses of one chunk's threads to one state space against the records of its memory."""

    def __init__(self, order: Order, space: str, report):
        self.order, self.space, self.report = order, space, report
        several = space != "shared" or order.machine.members.blocks.shape[1] > 1
        self.across = several or order.units_of > 0  # whether threads of several blocks, or asynchronous units, reach it
        self.clock = order.clock

    # -- accesses -------------------------------------------------------------------------------------------------
    def read(self, site, strength: Strength, memory, records: Records, positions, lanes: Lanes) -> None:
        """Check a load against the last writers, and note its lanes as readers."""
        stamp, way = self._stamp(site, strength, lanes), stale_way(site.name) if records.written else ""
        for _, at in records.granules(site, positions):
            if way:
                writers = records.writer[at]
                self._found(site, writers != 0, writers, positions, lanes, "read", way)
            elif records.written:
                self._against(records.writer[at], stamp, site, positions, lanes, "read", "written", None)
            self._note_readers(records, at, stamp, lanes)

    def write(self, site, strength: Strength, memory, records: Records, positions, lanes: Lanes, values) -> None:
        """Check a store or an atomic (values: None) against the last writers and readers, and note its lanes as writers."""
        stamp = self._stamp(site, strength, lanes)
        for j, at in records.granules(site, positions):
            changes = None if values is None else self._changes(site, memory, records, positions, j, lanes, values)
            writers = records.writer[at]
            found = records.written and self._against(writers, stamp, site, positions, lanes, "write", "written", changes)
            for readers in reversed(records.readers):  # one write is one finding: the farthest reader is named
                if readers is not None and not found:
                    found = self._against(readers[at], stamp, site, positions, lanes, "write", "read", None)
            records.writer[at] = stamp
            if not strength.flags:
                self._within_instruction(site, records.writer[at], stamp, positions, lanes, j, records, values)
            elif not strength.flags & WIDE and self.across:
                winner = records.writer[at]
                lost = (winner ^ stamp) & self.clock.block_mask != 0
                self._found(site, lost, winner, positions, lanes, "write", "written in the same instruction")
        records.written = True

    def _stamp(self, site, strength: Strength, lanes: Lanes) -> np.ndarray:
        who = self.order.who if lanes.full else self.order.who[lanes.index]
        return who + ((self.clock.tick(site) << self.clock.shift) | strength.flags)

    # -- checks ---------------------------------------------------------------------------------------------------
    def _late(self, stamps: np.ndarray, mine: np.ndarray, lanes: Lanes) -> np.ndarray:
        """Mark the stamps of other threads that the last barrier of the lane's block does not order before it."""
        floor = self.order.floor if lanes.full else self.order.floor[lanes.index]
        late = stamps >= floor
        if self.across:
            late |= (stamps ^ mine) & self.clock.block_mask != 0
        late &= stamps != 0
        if np.count_nonzero(late):
            late &= (stamps ^ mine) & self.clock.who_mask != 0
        return late

    def _against(self, stamps, mine, site, positions, lanes: Lanes, action: str, earlier: str, changes) -> bool:
        """Report lanes whose access races with an earlier one, and say whether there are any.

        changes: marks the stores that change bytes; None stands for all accesses.
        """
        late = self._late(stamps, mine, lanes)
        if not late.any():
            return False
        some = np.flatnonzero(late)
        late[some] = self._race(stamps[some], mine[some], lanes.index[some])
        if changes is not None and earlier == "written":
            late &= changes()
        self._found(site, late, stamps, positions, lanes, action, earlier)
        return bool(late.any())

    def _race(self, stamps, mine, lanes: np.ndarray) -> np.ndarray:
        """Mark the pairs that race: not both strong enough for one another, and not ordered."""
        both = stamps & mine & STRONG != 0
        elsewhere = (stamps ^ mine) & self.clock.block_mask != 0
        race = ~both | (elsewhere & (stamps & mine & WIDE == 0))
        if race.any():
            race[race] = self.order.unordered(stamps[race], lanes[race])
        return race

    def _changes(self, site, memory, records: Records, positions, j: int, lanes: Lanes, values):
        """Return a function that marks the lanes whose store changes what is there."""

        def mark() -> np.ndarray:
            element = j * records.granule // site.size
            view, first = memory.view(site.code)
            return view[(positions - first) // site.size + element] != lanes.pick(np.asarray(values[element]))

        return mark

    def _within_instruction(self, site, winner, stamp, positions, lanes: Lanes, j: int, records: Records, values) -> None:
        """Report lanes that write different values to one place in one instruction."""
        lost = winner != stamp
        if not np.count_nonzero(lost):
            return
        if values is not None:
            value = lanes.pick(np.asarray(values[j * records.granule // site.size]))
            order = np.argsort(positions, kind="stable")  # the winner is the last lane at a place
            ordered = positions[order]
            last = order[np.searchsorted(ordered, positions, side="right") - 1]
            lost &= value != value[last]
        self._found(site, lost, winner, positions, lanes, "write", "written in the same instruction")

    # -- records --------------------------------------------------------------------------------------------------
    def _note_readers(self, records: Records, at, stamp, lanes: Lanes) -> None:
        """Note the lanes as the last readers, and keep those that they displace where a barrier has not ordered them."""
        newest = records.slot(0)
        old = newest[at]
        newest[at] = stamp
        late = self._late(old, stamp, lanes)
        if np.count_nonzero(late):
            self._keep(records, at[late], old[late], stamp[late])
        winner = newest[at]
        lost = winner != stamp
        if np.count_nonzero(lost):
            self._keep(records, at[lost], stamp[lost], winner[lost])

    def _keep(self, records: Records, at, old, new) -> None:
        """Put stamps into the slot that tells how far their threads are from the newest reader's."""
        differs = (old ^ new) >> FLAG_BITS & (1 << self.clock.block_bits + THREAD_BITS) - 1
        for kind, chosen in (
            (SAME_WARP, differs < 32),
            (SAME_BLOCK, (differs >= 32) & (differs < 1 << THREAD_BITS)),
            (ELSEWHERE, differs >= 1 << THREAD_BITS),
        ):
            if np.count_nonzero(chosen):
                records.slot(kind)[at[chosen]] = old[chosen]

    # -- reports --------------------------------------------------------------------------------------------------
    def _found(self, site, race, stamps, positions, lanes: Lanes, action: str, earlier: str) -> None:
        """Report a race, if there is one, with the other side of the first lane."""
        if not race.any():
            return
        i, machine = int(np.flatnonzero(race)[0]), self.order.machine
        lane = int(lanes.index[i])
        number, unit = self.order.thread_of((int(stamps[i]) & self.clock.who_mask) >> FLAG_BITS)
        other_site = self.clock.sites[min(int(stamps[i]) >> self.clock.shift, len(self.clock.sites) - 1)]
        thread = tuple(int(t) for t in machine.shape.thread(number & 1023))
        block = machine.block_position((number >> THREAD_BITS) - machine.first)
        same = number >> THREAD_BITS == int(self.order.number[lane]) >> THREAD_BITS
        whose = "an asynchronous operation that nothing has waited for" if unit else "another thread with no barrier between"
        if unit or self.space == "shared":
            where = f"{self.space}-memory race"
        else:
            where = "global-memory race within a block" if same else "global-memory race between blocks"
        if earlier.startswith("written in"):
            what = "threads write different values to the same bytes in one instruction"
            what = what if same else "write of bytes that another block writes in the same instruction"
        elif earlier.startswith("through"):
            where, what = "stale read", f"read {earlier} of bytes that this launch has written"
        elif same or unit:
            what = f"{action} of bytes {earlier} by {whose}"
        else:
            what = f"{action} of bytes that another block {'writes' if earlier == 'written' else 'reads'}, with no order between"
        other = f"thread {thread}" if same else f"block {block}, thread {thread}"
        other = f"it was issued by {other}" if unit else f"the other is {other}"
        line = f", {other_site.source} (PTX line {other_site.ptx_line})" if other_site is not None else ""
        address = int(positions[i])
        if self.space == "shared":
            address -= int(machine.access.spaces["shared"].start[lane])
        message = f"{where}: {what}; {other}{line}"
        own = int(self.order.number[lane])
        alone = own == number or unit or self.order.who is not self.order.own  # of one thread there are no two orders
        sides = None if alone else (own, number)
        self.report.add("racecheck", message, site, machine, lane, address, self.space, int(race.sum()), sides)

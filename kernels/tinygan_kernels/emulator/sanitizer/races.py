"""The racecheck: two threads touch the same bytes, one of them writing, and nothing orders the two. (PTX ISA, 8.10.2, "Data races")

Of every granule (4 bytes, 1 if the kernel has narrower accesses) up to four writers and four readers are kept: the last one, and
of those before it that nothing orders before it the last in its warp, the last in another warp of its block, and the last in
another block; of writers only where the last one is strong, as of atomics. Two writes of the same value count as harmless, as they
do for compute-sanitizer (its level INFO).

Two strong accesses do not race, with two exceptions. If they are of different sizes, each of 4 bytes or more, they are not
atomic to each other (PTX ISA, "Morally strong operations": they overlap completely). And a volatile variable that one thread
reads, changes and writes back loses what another thread writes to it meanwhile.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes

from .order import FLAG_BITS, THREAD_BITS, Order
from .strength import STRONG, WIDE, Strength, strength_of

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
        self.older: list[np.ndarray | None] = [None] * 4  # writers before the last one; none are of kind 0
        self.older_narrow = False  # whether some of them were weak, or strong for their own block alone
        self.written = False

    def slot(self, table: list[np.ndarray | None], kind: int) -> np.ndarray:
        """Return one of the arrays of `readers` or `older`, made when it is first needed."""
        array = table[kind]
        if array is None:
            array = table[kind] = np.zeros(self.size, "i8")
        return array

    def writers(self) -> list[np.ndarray]:
        """Return all arrays of writers, that of the last ones first."""
        return [self.writer, *(array for array in self.older if array is not None)]

    def forget(self, start: int, end: int) -> None:
        """Take the bytes from `start` to before `end`, which are allocated anew, as touched by nobody."""
        first, last = (start - self.base) // self.granule, -(-(end - self.base) // self.granule)
        for stamps in (self.writer, *self.older, *self.readers):
            if stamps is not None:
                stamps[first:last] = 0

    def granules(self, site, positions):
        """Yield (number, each lane's granule of that number) for the granules that one access of a lane spans."""
        first = (positions - self.base) // self.granule
        for j in range(max(1, site.bytes // self.granule)):
            yield j, first + j if j else first


class Races:
    """Checks the accesses of one chunk's threads to one state space against the records of its memory.

    mixed: whether the kernel has strong accesses of several sizes to the space; updates: PTX lines of its strong stores of what was
    read at the same place.
    """

    def __init__(self, order: Order, space: str, report, mixed: bool = False, updates: frozenset[int] = frozenset()):
        self.order, self.space, self.report = order, space, report
        self.mixed, self.updates = mixed, updates
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
                any(self._against(w[at], stamp, site, positions, lanes, "read", "written", None) for w in records.writers())
            self._note_readers(records, at, stamp, lanes)

    def write(
        self, site, strength: Strength, memory, records: Records, positions, lanes: Lanes, values, action: str = "write"
    ) -> None:  # fmt: skip
        """Check a store or an atomic (values: None) against the last writers and readers, and note its lanes as writers.

        action: what a report calls it.
        """
        stamp, update = self._stamp(site, strength, lanes), bool(strength.flags) and site.ptx_line in self.updates
        # strong accesses do not race with older writers that are all strong for everybody, as atomics are
        alike = strength.flags & STRONG and not (self.mixed or self.updates or records.older_narrow)
        looks_back = not alike or (self.across and not strength.flags & WIDE)
        for j, at in records.granules(site, positions):
            changes = None if values is None or update else self._changes(site, memory, records, positions, j, lanes, values)
            writers = records.writer[at]
            found = records.written and any(
                self._against(w[at], stamp, site, positions, lanes, action, "written", changes)
                for w in (records.writers() if looks_back else [records.writer])
            )
            for readers in reversed(records.readers):  # one write is one finding: the farthest reader is named
                if readers is not None and not found:
                    found = self._against(readers[at], stamp, site, positions, lanes, action, "read", None)
            if records.written and strength.flags:
                self._displaced(records, records.older, at, writers, stamp, lanes)
            records.writer[at] = stamp
            winner = records.writer[at]
            if strength.flags:
                self._lost(records, records.older, at, stamp, winner)
            if update:
                self._found(site, winner != stamp, winner, positions, lanes, "write", "written in the same instruction")
            elif not strength.flags:
                self._within_instruction(site, winner, stamp, positions, lanes, j, records, values)
            elif not strength.flags & WIDE and self.across:
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
        late[some] = self._race(stamps[some], mine[some], lanes.index[some], site, action != "read" and earlier == "written")
        if changes is not None and earlier == "written":
            late &= changes()
        self._found(site, late, stamps, positions, lanes, action, earlier)
        return bool(late.any())

    def _race(self, stamps, mine, lanes: np.ndarray, site, writes: bool) -> np.ndarray:
        """Mark the pairs that race: not both strong enough for one another, and not ordered. writes: whether both write."""
        both = stamps & mine & STRONG != 0
        if (self.mixed or self.updates) and both.any():
            others = [self.site_of(stamp) for stamp in stamps[both].tolist()]
            both[both] = [not self._apart(site, other, writes) for other in others]
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

    def site_of(self, stamp: int):
        """Return the instruction of a stamp, None if it is not known."""
        return self.clock.sites[min(stamp >> self.clock.shift, len(self.clock.sites) - 1)]

    # -- records --------------------------------------------------------------------------------------------------
    def _note_readers(self, records: Records, at, stamp, lanes: Lanes) -> None:
        """Note the lanes as the last readers, and keep those that they displace where a barrier has not ordered them."""
        newest = records.slot(records.readers, 0)
        old = newest[at]
        newest[at] = stamp
        self._displaced(records, records.readers, at, old, stamp, lanes)
        self._lost(records, records.readers, at, stamp, newest[at])

    def _displaced(self, records: Records, table: list, at, old, stamp, lanes: Lanes) -> None:
        """Keep, in a table of the records, the stamps that others displace which no barrier orders after them."""
        late = self._late(old, stamp, lanes)
        if np.count_nonzero(late):
            self._keep(records, table, at[late], old[late], stamp[late])

    def _lost(self, records: Records, table: list, at, stamp, winner) -> None:
        """Keep the stamps of lanes that another lane of the same instruction displaces."""
        lost = winner != stamp
        if np.count_nonzero(lost):
            self._keep(records, table, at[lost], stamp[lost], winner[lost])

    def _keep(self, records: Records, table: list, at, old, new) -> None:
        """Put stamps into the slot that tells how far their threads are from the newest one's."""
        differs = (old ^ new) >> FLAG_BITS & (1 << self.clock.block_bits + THREAD_BITS) - 1
        for kind, chosen in (
            (SAME_WARP, differs < 32),
            (SAME_BLOCK, (differs >= 32) & (differs < 1 << THREAD_BITS)),
            (ELSEWHERE, differs >= 1 << THREAD_BITS),
        ):
            if np.count_nonzero(chosen):
                records.slot(table, kind)[at[chosen]] = old[chosen]
        if table is records.older and not records.older_narrow:
            records.older_narrow = bool((old & (STRONG | WIDE) != STRONG | WIDE).any())

    def _apart(self, site, other, writes: bool) -> bool:
        """Say whether two strong accesses race all the same. other: None if it is not known; writes: whether both write."""
        if other is None:
            return False
        if other.size != site.size and min(other.size, site.size) >= 4:
            return True
        return writes and bool({site.ptx_line, other.ptx_line} & self.updates)

    # -- reports --------------------------------------------------------------------------------------------------
    def _strong_yet(self, site, stamp: int, action: str) -> str:
        """Say why an access races with an earlier one although both are strong, "" where they are not."""
        other = self.site_of(stamp)
        strong = other is not None and stamp & STRONG and strength_of(site.name).flags
        if not strong or not self._apart(site, other, action != "read"):
            return ""
        if other.size != site.size:
            return f"; they are of {site.size} and {other.size} bytes, and so not atomic to each other"
        return "; where one reads, changes and writes back in three steps, what the other writes between them is lost"

    def _found(self, site, race, stamps, positions, lanes: Lanes, action: str, earlier: str) -> None:
        """Report a race, if there is one, with the other side of the first lane."""
        if not race.any():
            return
        i, machine = int(np.flatnonzero(race)[0]), self.order.machine
        lane = int(lanes.index[i])
        number, unit = self.order.thread_of((int(stamps[i]) & self.clock.who_mask) >> FLAG_BITS)
        other_site = self.site_of(int(stamps[i]))
        thread = tuple(int(t) for t in machine.shape.thread(number & 1023))
        block = machine.block_position((number >> THREAD_BITS) - machine.first)
        same = number >> THREAD_BITS == int(self.order.number[lane]) >> THREAD_BITS
        whose = "an asynchronous operation that nothing has waited for" if unit else "another thread with no barrier between"
        if unit or self.space == "shared":
            where = f"{self.space}-memory race"
        else:
            where = "global-memory race within a block" if same else "global-memory race between blocks"
        if earlier.startswith("written in"):
            values = "" if site.ptx_line in self.updates else "different values to "
            what = f"threads write {values}the same bytes in one instruction"
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
        message = f"{where}: {what}; {other}{line}{self._strong_yet(site, int(stamps[i]), action)}"
        own = int(self.order.number[lane])
        alone = own == number or unit or self.order.who is not self.order.own  # of one thread there are no two orders
        sides = None if alone else (own, number)
        self.report.add("racecheck", message, site, machine, lane, address, self.space, int(race.sum()), sides)

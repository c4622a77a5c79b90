"""The order between streams and the host, and who touches which bytes of memory. (CUDA C++ Programming Guide, "Streams", "Events")

The emulator carries out each piece of work immediately, in the order in which the host asks for it. A GPU keeps that order only
inside one stream. Between streams, an order comes from events, from the default stream, and from the host where it waits.

This module has a clock: each piece of work gets a time. For each stream it keeps up to which time the work of every other stream is
ordered before what the stream does next. Where neither of two pieces of work is ordered before the other, a GPU may run them in
either order. If both touch the same bytes and one of them writes, that is a race.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tinygan_kernels.emulator.execute.memory import Memory, extent

from .strength import STRONG, WIDE

HOST, DEFAULT, LEGACY, OF_THREAD = -1, 0, 1, 2
"""Handles: the host has one here, as if it were a stream; the default stream has two; the last is cudaStreamPerThread."""
MOST_USES = 1000
"""How many uses of memory `Streams` keeps. It drops the oldest ones beyond that, and then does not find races with them."""
MOST_MARKS = 1 << 20
"""How many marks the use of an array with gaps may have, and all uses together 32 times that, as they are kept and compared."""


@dataclass(eq=False)
class Use:
    """Bytes that a piece of work touches, from `start` to before `end`.

    marks: a boolean for each `unit` bytes, True where the work touches them; None if it touches all. stream, time: those of the
    work; by: a description of the work, with its line in the source; name: the memory's name; atomic: whether it touches them by
    atomic, volatile or ordered instructions of the whole device alone, two of which do not race.
    """

    start: int
    end: int
    writes: bool
    name: str
    marks: np.ndarray | None = field(default=None, repr=False)
    unit: int = 1
    stream: int = 0
    time: int = 0
    by: str = ""
    atomic: bool = False

    @property
    def does(self) -> str:
        """What the work does to the bytes, as a verb."""
        return "writes" if self.writes else "reads"

    def touched(self, start: int, end: int) -> np.ndarray:
        """Return a boolean for each byte from `start` to before `end`. The range has to lie inside this use."""
        if self.marks is None:
            return np.ones(end - start, bool)
        first, after = (start - self.start) // self.unit, -(-(end - self.start) // self.unit)
        skipped = start - self.start - first * self.unit
        return np.repeat(self.marks[first:after], self.unit)[skipped : skipped + end - start]

    def meets(self, other: Use) -> bool:
        """Say whether both touch one byte, one of them writing."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        if start >= end or not (self.writes or other.writes) or (self.atomic and other.atomic):
            return False
        mine, theirs = self._both(other, start, end)
        return bool((mine & theirs).any())

    def _both(self, other: Use, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what `touched` does of both uses, or as many marks of each where they have marks of one kind."""
        alike = self.unit == other.unit and (self.start - other.start) % self.unit == 0
        if not alike or self.marks is None or other.marks is None:
            return self.touched(start, end), other.touched(start, end)
        mine, theirs = ((start - use.start) // use.unit for use in (self, other))
        count = -(-(end - start) // self.unit)
        return self.marks[mine : mine + count], other.marks[theirs : theirs + count]

    def covers(self, other: Use) -> bool:
        """Say whether this use makes an earlier one redundant: all that can race with the earlier one races with this one too."""
        if not (self.start <= other.start and other.end <= self.end and (self.writes or not other.writes)):
            return False
        if self.atomic and not other.atomic:
            return False
        if self.marks is None:
            return True
        mine, theirs = self._both(other, other.start, other.end)
        return not (theirs & ~mine).any()


Times = dict[int, int]
"""By stream, the time up to which its work is ordered before something."""


class Streams:
    """The order between the streams and the host of a program or script, and the uses of memory that something may still race with.

    uses: what work has touched, until the host has waited for it, a later use covers it, or the memory is freed; at most MOST_USES.
    """

    def __init__(self) -> None:
        self.known: dict[int, Times] = {HOST: {}, DEFAULT: {}}
        self.events: dict[int, Times] = {}
        self.apart: set[int] = set()  # streams without an order to the default stream (cudaStreamNonBlocking)
        self.over: set[int] = set()  # streams that are destroyed, whose work may still go on
        self.now = 0
        self.uses: list[Use] = []

    # -- order ------------------------------------------------------------------------------------------------------------------
    @property
    def several(self) -> bool:
        """Say whether there is another stream than the default one, or may still be work of one."""
        return len(self.known) > 2

    def made(self, stream: int, apart: bool) -> None:
        """Note a new stream. apart: whether it is independent of the default stream."""
        self.known[stream] = {}
        if apart:
            self.apart.add(stream)

    def ended(self, handle: int) -> None:
        """Note that a stream or an event is destroyed. The work of a stream goes on; it is forgotten once the host has waited."""
        self.events.pop(handle, None)
        if handle in self.known and handle not in (HOST, DEFAULT):
            self.over.add(handle)
            self._drop_streams((handle,))

    def _drop_streams(self, destroyed: Iterable[int]) -> None:
        """Forget those of the destroyed streams whose work the host has waited for."""
        host = self.known[HOST]
        done = [s for s in destroyed if host.get(s, 0) >= self.known[s].get(s, 0)]
        for stream in done:
            self.over.discard(stream)
            self.apart.discard(stream)
            del self.known[stream]
        for times in (*self.known.values(), *self.events.values()) if done else ():
            for stream in times.keys() & done:
                del times[stream]

    def begin(self, stream: int) -> int:
        """Begin a piece of work in a stream. Return the stream's handle: DEFAULT for both handles of the default stream."""
        stream = DEFAULT if stream == LEGACY else stream
        mine = self.known.setdefault(stream, {})
        _join(mine, self.known[HOST])
        if stream == DEFAULT:
            for other, known in self.known.items():
                if other not in self.apart:
                    _join(mine, known)
        elif stream not in self.apart:
            _join(mine, self.known[DEFAULT])
        self.now += 1
        mine[stream] = self.now
        return stream

    def recorded(self, event: int, stream: int) -> None:
        """Note that the host has recorded an event in a stream."""
        self.events[event] = dict(self.known[self.begin(stream)])

    def waits(self, stream: int, event: int) -> None:
        """Let a stream wait for an event. An event that was never recorded orders nothing."""
        _join(self.known[self.begin(stream)], self.events.get(event, {}))

    def host_waits(self, stream: int | None = None, event: int | None = None) -> None:
        """Let the host wait for a stream or an event; for everything if neither is given."""
        host = self.known[HOST]
        if event is not None:
            _join(host, self.events.get(event, {}))
        elif stream is not None:
            _join(host, self.known[self.begin(stream)])
        else:
            for known in list(self.known.values()):
                _join(host, known)
        self.uses = [u for u in self.uses if not _knows(host, u)]
        if self.over:
            self._drop_streams(self.over)

    # -- memory -----------------------------------------------------------------------------------------------------------------
    def use(self, stream: int, by: str, used: Iterable[Use]) -> str:
        """Note what the last piece of work in a stream touches. Return a description of its first race, "" if it has none.

        stream: as `begin` returned it; by: a description of the work, with its line in the source.
        """
        met = self.meeting(stream, by, used)
        if met is None:
            return ""
        new, old = met
        return (
            f"{by} {new.does} {new.name}, which {old.by} {old.does} in another stream, with nothing that orders the two "
            "(cudaStreamWaitEvent)"
        )

    def meeting(self, stream: int, by: str, used: Iterable[Use]) -> tuple[Use, Use] | None:
        """Note what the last piece of work in a stream touches, as `use` does. Return its first race, this work's use first."""
        known, found, used = self.known[stream], None, list(used)
        for new in used:
            new.stream, new.time, new.by = stream, known[stream], by
            near = [old for old in self.uses if old.start < new.end and new.start < old.end]
            if found is None:
                unordered = (old for old in reversed(near) if not _knows(known, old) and new.meets(old))
                found = next(((new, old) for old in unordered), None)
            covered = {id(old) for old in near if _knows(known, old) and new.covers(old)}
            if covered:
                self.uses = [old for old in self.uses if id(old) not in covered]
            self.uses.append(new)
        del self.uses[:-MOST_USES]
        if any(use.marks is not None for use in used):
            self._drop_marks()
        return found

    def _drop_marks(self) -> None:
        """Drop the oldest uses while all have more marks together than are kept."""
        many = sum(use.marks.size for use in self.uses if use.marks is not None) - 32 * MOST_MARKS
        while many > 0:
            oldest = self.uses.pop(0)
            many -= 0 if oldest.marks is None else oldest.marks.size

    def settle(self, stream: int, met: Use) -> None:
        """Take a race that was reported as one that is mended: let a stream know the work that it met."""
        _join(self.known[stream], {met.stream: met.time})

    def forget(self, start: int, end: int) -> None:
        """Drop the uses of memory that the program frees."""
        self.uses = [use for use in self.uses if use.end <= start or end <= use.start]

    def in_use(self, address: int, size: int, writes: bool) -> Use | None:
        """Return the latest use that races with an access by the host, None if there is none."""
        return self.met_by(Use(address, address + size, writes, ""))

    def met_by(self, mine: Use) -> Use | None:
        """Return the latest use that races with a use by the host, None if there is none."""
        return next((use for use in reversed(self.uses) if use.meets(mine)), None)

    def free_around(self, address: int, size: int, start: int, end: int, writes: bool) -> tuple[int, int]:
        """Return the widest part of `start` to `end` around some bytes in which an access by the host races with no use.

        The bytes, `size` from `address` on, have to be free of races themselves. A read by the host races with writes alone.
        """
        for use in self.uses:
            if use.writes or writes:
                if use.end <= address:
                    start = max(start, use.end)
                elif use.start >= address + size:
                    end = min(end, use.start)
                else:  # the use has marks on both sides of the bytes, and none at them
                    start, end = max(start, address), min(end, address + size)
        return start, end


def uses_of(ranges: Iterable[Memory]) -> list[Use]:
    """Return what a launch has touched in these ranges of global memory, according to the racecheck's records."""
    found: list[Use] = []
    for memory in ranges:
        records = memory.races
        if records is None or memory.heap is not None:
            continue
        read, asked = np.zeros(records.size, bool), np.zeros(records.size, bool)  # by plain loads, by atomic or volatile ones
        for stamps in records.readers:
            if stamps is not None:
                strong = _is_atomic(stamps)
                asked |= strong
                read |= (stamps != 0) & ~strong
        changed = _is_atomic(records.writer)
        kinds = ((read, False, False), (asked, False, True), ((records.writer != 0) & ~changed, True, False), (changed, True, True))
        for marks, writes, atomic in kinds:
            which = np.flatnonzero(marks)
            if which.size:
                first, after = int(which[0]), int(which[-1]) + 1
                start = memory.base + first * records.granule
                end = min(memory.base + after * records.granule, memory.end)
                part = None if which.size == after - first else marks[first:after].copy()  # a view would keep all marks alive
                found.append(Use(start, end, writes, memory.name, part, records.granule, atomic=atomic))
    return found


def _is_atomic(stamps: np.ndarray) -> np.ndarray:
    """Mark the accesses that are strong, and of a scope that is wider than a thread block."""
    return stamps & (STRONG | WIDE) == STRONG | WIDE


def use_of(array: np.ndarray, writes: bool, name: str) -> Use | None:
    """Return a use of all elements of an array of any strides.

    None where it has no elements, or has gaps and reaches over more than MOST_MARKS units of its strides.
    """
    start, size = extent(array)
    if not size:
        return None
    if size == array.size * array.itemsize and (array.flags.c_contiguous or array.flags.f_contiguous):
        return Use(start, start + size, writes, name)
    unit = math.gcd(array.itemsize, *array.strides)
    if size // unit > MOST_MARKS:
        return None
    marks = np.zeros(size // unit, bool)
    low = (array.__array_interface__["data"][0] - start) // unit
    strides = (*(stride // unit for stride in array.strides), 1)
    np.ndarray((*array.shape, array.itemsize // unit), bool, marks, low, strides)[...] = True
    return Use(start, start + size, writes, name, marks, unit)


def _knows(known: Times, use: Use) -> bool:
    return known.get(use.stream, 0) >= use.time


def _join(known: Times, other: Times) -> None:
    for stream, time in other.items():
        if time > known.get(stream, 0):
            known[stream] = time

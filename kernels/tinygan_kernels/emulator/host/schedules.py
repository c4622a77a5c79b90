"""The same launch in other orders of its threads: what one order hides another may show, and what a race makes of the results.

Where lanes shuffle values that are undefined, the launch is also run with other values there: if the results differ, they are used.

The memory that a launch may touch is kept as it was before. Afterwards the launch can be run again from there, in another order;
in the end memory is what the first run made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute.favour import BoundedScheduler, Comparison, FavouringScheduler
from tinygan_kernels.emulator.execute.heap import HEAP
from tinygan_kernels.emulator.execute.lanes import WARP, Shape
from tinygan_kernels.emulator.execute.machine import Machine
from tinygan_kernels.emulator.execute.memory import GlobalMemory, Memory
from tinygan_kernels.emulator.execute.residency import resident_blocks, run_chunks
from tinygan_kernels.emulator.sanitizer.chunk import ChunkSanitizer, LaunchSanitizer
from tinygan_kernels.emulator.sanitizer.collectives import Undefined
from tinygan_kernels.emulator.sanitizer.findings import Finding, PrivateReport, Report, schedules_wanted
from tinygan_kernels.emulator.sanitizer.order import FLAG_BITS, THREAD_BITS
from tinygan_kernels.emulator.sanitizer.strength import order_of
from tinygan_kernels.emulator.semantics.generic_addresses import SHARED
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

SMALL_BYTES, SMALL_STEPS, RACES = 1 << 22, 2_000, 4
"""What counts as a small launch: bytes that it may write, and steps that another run takes, about. Races whose results are told."""

Values = Callable[[np.ndarray], np.ndarray]


def _all(bits: int) -> Values:
    """Return a function that gives every lane the same 4 bytes."""
    return lambda values: np.full_like(values, bits)


OTHER_VALUES: tuple[Values, ...] = (np.invert, *map(_all, (0x7B7B7B7B, 0x80808080, 0xFBFBFBFB, 0)))
"""Values in the place of undefined ones. No AND, OR or sum hides the first. The others are for maxima and minima: one is large in
every type, and then come small ones: of signed integers, of floats (of 2, 4 and 8 bytes), and of unsigned integers."""

Chunks = Iterator[tuple[int, int]]
Finder = Callable[[GlobalMemory], bool]


class Apart:
    """The instruments of a run that is made for comparison: it is checked, with findings of its own, and prints nothing."""

    counter, silent = None, True

    def __init__(self, kernel: TranslatedKernel, blocks: int):
        self.report = PrivateReport(kernel.title)
        self.launch = LaunchSanitizer(kernel, blocks, self.report)

    def sanitizer(self, machine: Machine, spaces: dict) -> ChunkSanitizer | None:
        return ChunkSanitizer(machine, spaces, self.launch)


class Launch(NamedTuple):
    """What has to be known of a launch to run it again. arrays: those that it was given, with their names."""

    kernel: TranslatedKernel
    memory: GlobalMemory
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_mem: int
    arrays: list[tuple[np.ndarray, str]]

    @property
    def blocks(self) -> int:
        return self.grid[0] * self.grid[1] * self.grid[2]


class Schedules:
    """Runs a launch again in other orders. Made before the launch, of whose memory it keeps the bytes."""

    def __init__(self, launch: Launch, cut: Callable[[int], Chunks], always: bool):
        self.launch, self.cut, self.always = launch, cut, always
        self.ranges = [r for r in launch.memory.ranges if r.writable]
        self.all = list(launch.memory.ranges)
        self.start, self.heap = self._bytes(), HEAP.state()
        self.steps = SMALL_STEPS  # that another run may take
        self.finder: Finder | None = None  # of arrays, in another run

    @classmethod
    def of(cls, launch: Launch, cut: Callable[[int], Chunks]) -> Schedules | None:
        """Return the schedules of a launch, None where there shall be none. cut: puts so many blocks into chunks."""
        wanted = schedules_wanted()
        size = sum(r.data.size for r in launch.memory.ranges if r.writable and r.heap is None) + sum(HEAP.live.values())
        if wanted is False or (wanted is None and size > SMALL_BYTES):
            return None
        return cls(launch, cut, bool(wanted))

    def look_again(self, report: Report, steps: int, undefined: dict[int, Undefined]) -> None:
        """Add to a report what other orders show, and other values of undefined ones. steps: how many the launch took."""
        kernel, small = self.launch.kernel, self.always or steps <= SMALL_STEPS
        messages = order_of(kernel).depends and small
        messages &= not kernel.reserved_shared  # whose lanes have to stay together (ChunkSanitizer._reserved)
        races = [f for f in report.findings.values() if f.sides] if small else []
        shuffles = undefined if small else {}
        if not (messages or races or shuffles) or [*self.launch.memory.ranges] != self.all:
            return
        end, heap = self._bytes(), HEAP.state()
        self.steps = 4 * steps + SMALL_STEPS
        self.finder = _only_looking(self.launch.memory.finder)
        try:
            if shuffles:
                self._other_values(report, shuffles)
            if messages:
                self._last_first(report)
                races = [f for f in report.findings.values() if f.sides]
            for finding in races if self.always else races[:RACES]:
                self._both_orders(finding)
        finally:
            self._restore(end)
            HEAP.set_back(heap)

    # -- orders ---------------------------------------------------------------------------------------------------
    def _last_first(self, report: Report) -> None:
        """Check the launch with the last block first, then the others together, and with the last warp of each block first."""
        found, warps = Apart(self.launch.kernel, self.launch.blocks), Shape(1, self.launch.block, self.launch.grid).warps
        favoured = None if warps == 1 else lambda lane: lane // WARP == warps - 1
        last = self.launch.blocks - 1
        self._run(found, [(last, 1), *self._chunks(0, last)], favoured)
        report.add_from(found.report, "the last block and the last warp go first")

    def _other_values(self, report: Report, undefined: dict[int, Undefined]) -> None:
        """Report shuffles from lanes that the mask does not name, line by line, where other values there give other results."""
        every = self._chunks(0, self.launch.blocks)
        usual = self._run(Apart(self.launch.kernel, self.launch.blocks), every, None) or self._bytes()
        places = [u.site.source if u.site.line[1] else str(line) for line, u in undefined.items()]
        for place in list(dict.fromkeys(places))[:RACES]:
            lines = [line for line, where in zip(undefined, places, strict=True) if where == place]
            for other in OTHER_VALUES:
                apart = Apart(self.launch.kernel, self.launch.blocks)
                apart.launch.replaced, apart.launch.replace_by = frozenset(lines), other
                outcome = self._run(apart, every, None) or self._bytes()
                told = self._told_of_others(usual, outcome, apart.launch)
                if told:
                    self._report_used(report, undefined[lines[0]], told)
                    break

    def _told_of_others(self, usual, outcome, other: LaunchSanitizer) -> list[str]:
        """Say where two outcomes differ in what threads wrote that were not given other values; [] if they do not.

        other: the checks of the second run, from which the records of the racecheck are.
        """
        if isinstance(usual, str) or isinstance(outcome, str):
            return [] if usual == outcome else [o if isinstance(o, str) else "the launch ends" for o in (usual, outcome)]
        for i, r in enumerate(self.ranges):
            differs = _differing(usual[i][0], outcome[i][0])
            if r.races is not None and differs.size:
                stamps = r.races.writer[(differs + r.base - r.races.base) // r.races.granule]
                differs = differs[~np.isin((stamps & other.clock.who_mask) >> FLAG_BITS, list(other.given))]
            if differs.size:
                return self._values(i, int(differs[0]), [usual, outcome])
        return []

    def _report_used(self, report: Report, used: Undefined, told: list[str]) -> None:
        """Report a shuffle whose undefined value the results depend on. told: what they are with two such values."""
        message = (
            f"{used.site.name}: the result depends on what lanes get from lanes that the mask does not name; here from lane "
            f"{used.source}, with which {told[0]}, and with another value there {told[1]}"
        )
        report.add("synccheck", message, used.site, used.machine, used.lane)

    def _both_orders(self, finding: Finding) -> None:
        """Put into a finding what the launch gives if either of a race's two threads (or blocks) goes first."""
        outcomes, names = [], []
        for number in finding.sides:
            block, thread = number >> THREAD_BITS, number & (1 << THREAD_BITS) - 1
            apart = finding.sides[0] >> THREAD_BITS != finding.sides[1] >> THREAD_BITS
            shape = Shape(1, self.launch.block, self.launch.grid)
            x, y, _ = self.launch.grid
            names.append(
                f"block {(block % x, block // x % y, block // (x * y))}" if apart
                else f"thread {tuple(int(i) for i in shape.thread(thread))}"
            )  # fmt: skip
            before, after = self._chunks(0, block), self._chunks(block + 1, self.launch.blocks)
            order = [(block, 1), *before, *after] if apart else [*before, (block, 1), *after]
            favoured = None if apart else lambda lane, thread=thread: lane == thread
            outcomes.append(self._run(Apart(self.launch.kernel, self.launch.blocks), order, favoured, block) or self._bytes())
        finding.schedules = tuple(zip(names, self._told(finding, outcomes), strict=True))

    def _chunks(self, first: int, end: int) -> list[tuple[int, int]]:
        return [(first + at, count) for at, count in self.cut(end - first)] if end > first else []

    def _run(self, instruments, chunks, favoured: Callable | None, block: int | None = None) -> str:
        """Run the launch from its start; return how it fails, "" if it does not.

        favoured: says of a block's lanes which go first, in all blocks or in `block`.
        """
        launch = self.launch
        self._restore(self.start)
        HEAP.set_back(self.heap)
        launch.memory.finder = self.finder
        for r in self.all:
            r.races = None
        machines = (
            Machine(launch.kernel, Shape(count, launch.block, launch.grid), first, launch.memory, launch.shared_mem, instruments)
            for first, count in chunks
        )

        comparison = Comparison(self.steps)

        def scheduler(machine: Machine) -> BoundedScheduler:
            if favoured is None or (block is not None and machine.first != block):
                return BoundedScheduler(machine, comparison)
            return FavouringScheduler(machine, comparison, favoured(np.arange(machine.shape.width) % machine.shape.stride))

        try:
            shared = launch.kernel.static_shared + launch.shared_mem
            run_chunks(machines, resident_blocks(Shape(1, launch.block, launch.grid).stride, shared), scheduler)
        except EmulatorError as error:
            return f"the launch fails ({error})"
        return ""

    # -- memory ---------------------------------------------------------------------------------------------------
    def _bytes(self) -> list:
        return [(r.data[: _used(r)].copy(), None if r.unwritten is None else r.unwritten[: _used(r)].copy()) for r in self.ranges]

    def _restore(self, kept: list) -> None:
        for r, (data, unwritten) in zip(self.ranges, kept, strict=True):
            r.data[: data.size] = data
            if unwritten is not None:
                r.unwritten[: data.size] = unwritten

    # -- results --------------------------------------------------------------------------------------------------
    def _told(self, finding: Finding, outcomes: list) -> list[str]:
        """Say of the outcomes of two runs (a failure, or bytes) where they differ and what is there."""
        failed = [o for o in outcomes if isinstance(o, str)]
        if failed:
            return [o if isinstance(o, str) else "the launch ends" for o in outcomes]
        place = self._where(finding, *outcomes)
        if place is None:
            return ["the launch gives the same results"] * 2
        return self._values(*place, outcomes)

    def _values(self, i: int, at: int, outcomes: list) -> list[str]:
        """Say what is at a byte of a range in each of two outcomes."""
        name, kind, first = self._element(self.ranges[i].base + at, i)
        start = first - self.ranges[i].base
        return [f"{name} = {_value(o[i][0][start : start + np.dtype(kind).itemsize], kind)}" for o in outcomes]

    def _where(self, finding: Finding, one: list, other: list) -> tuple[int, int] | None:
        """Return (range, offset) of a byte that differs, that of the race if it does; None if none differs."""
        found = None
        for i, r in enumerate(self.ranges):
            differs = _differing(one[i][0], other[i][0])
            if differs.size:
                near = finding.address if finding.space == "global" and finding.address < SHARED else 0
                inside = differs[(differs + r.base >= near) & (differs + r.base < near + 8)]
                if inside.size:
                    return i, int(inside[0])
                found = found or (i, int(differs[0]))
        return found

    def _element(self, address: int, i: int) -> tuple[str, str, int]:
        """Return (name, type, address) of the element of an array or a variable that a byte belongs to."""
        for array, name in self.launch.arrays:
            start, size = array.__array_interface__["data"][0], array.itemsize
            if start <= address < start + array.nbytes and array.flags.c_contiguous and array.dtype.kind in "iufcb":
                number = (address - start) // size
                index = ", ".join(str(int(k)) for k in np.unravel_index(number, array.shape)) if array.ndim else ""
                return f"{name}[{index}]", array.dtype.str, start + number * size
        name, base = self.ranges[i].name, self.ranges[i].base
        variable = self.launch.kernel.module.variables.get(name)
        kind = {"u": "u", "s": "i", "f": "f", "b": "i"}.get(variable.type[0], "u") if variable is not None else "u"
        size = int(variable.type[1:]) // 8 if variable is not None and variable.type[1:].isdigit() else 1
        if variable is None or size not in (1, 2, 4, 8) or (kind == "f" and size == 1):
            kind, size = "u", 1
        number = (address - base) // size
        return f"{name}[{number}]" if self.ranges[i].data.size > size else name, f"{kind}{size}", base + number * size


def _differing(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return which bytes of a range differ in two outcomes; of malloc's heap one of the runs may have used more."""
    both = min(one.size, other.size)
    return np.flatnonzero(one[:both] != other[:both])


def _value(data: np.ndarray, kind: str) -> str:
    return str(data.view(kind)[0])


def _used(r: Memory) -> int:
    """Return how many bytes of a range can matter: of malloc's heap only those that have been part of a block."""
    return r.data.size if r.heap is None else r.heap.used()


def _only_looking(finder: Finder | None) -> Finder | None:
    """Return a launch's finder of arrays for another run, which may not change them: their bytes are not set back afterwards."""

    def find(memory: GlobalMemory) -> bool:
        ranges, bases = memory.ranges, memory.bases
        if finder and finder(memory):
            memory.ranges, memory.bases = ranges, bases
            raise EmulatorError("this order reaches an array that the launch did not reach")
        return False

    return find if finder else None

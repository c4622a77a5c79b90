"""Record a launch step by step: what each run of instructions of one source line changed in registers and shared memory.

A recorded launch runs a translation of its own: that of the kernel, with a call of the recorder after each run of instructions of
one source line. Other launches run what they always ran.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import numpy as np

from tinygan_kernels.emulator.counters import LaunchObserver
from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.machine import Machine
from tinygan_kernels.emulator.syntax.ptx import Instruction
from tinygan_kernels.emulator.translate.kernel import PythonLine, Site, TranslatedKernel

MOST_STEPS, MOST_BYTES = 20_000, 256 << 20
_HOOK = "record_step"
_MENTIONED = re.compile(r"\b(r\d+)_[a-z]\d\b")
_WRITTEN = re.compile(r"out=(r\d+)_|copyto\((r\d+)_")
_LOADED = re.compile(r"\bload\(site\d+, \(([^)]*)\)")


class Place(NamedTuple):
    """A run of instructions of one source line in a basic block. location: (file number, line); first, last: PTX lines.

    mentioned, written: registers, by their names in the translation, that the run mentions, and of them those that it surely
    writes.
    """

    block: int
    location: tuple[int, int]
    first: int
    last: int
    mentioned: tuple[str, ...]
    written: frozenset[str]


@dataclass
class Touch:
    """A memory instruction of a step. where: what the offsets are counted from, such as "argument 0", or a state space.

    offsets: bytes from there, one for each lane of the block, -1 for a lane that took no part. operation: ld, st, atom or red;
    size: bytes a lane.
    """

    operation: str
    size: int
    where: str
    offsets: np.ndarray


@dataclass
class Step:
    """What lanes of the block did on one source line, at one go.

    location: (file number, line), (0, 0) where PTX does not say it. first, last: PTX lines. mask: which lanes of the block, padded
    to whole warps. registers: {name in the translation: (before, after)}, of all lanes of the block. shared: bytes of shared
    memory that changed, as (offsets, before, after).
    """

    location: tuple[int, int]
    block: int
    first: int
    last: int
    mask: np.ndarray
    registers: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    shared: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    touches: list[Touch] = field(default_factory=list)


class Recorder(LaunchObserver):
    """Observes one launch and records what the threads of one thread block do.

    thread_block: its number in the grid, x fastest, or its (x, y, z). most_steps, most_bytes: recording ends where one of them is
    reached, and `cut` says so in a sentence; the launch goes on to its end.
    """

    def __init__(self, kernel: TranslatedKernel, thread_block: int | Sequence[int], most_steps: int, most_bytes: int) -> None:
        self.original = kernel
        self.thread_block, self.most_steps, self.most_bytes = thread_block, most_steps, most_bytes
        self.places, lines = _with_hooks(kernel)
        code = compile("\n".join(line.text for line in lines), f"<PTX of {kernel.name}, recorded>", "exec")
        super().__init__(replace(kernel, bytecode=code, constants={**kernel.constants, _HOOK: self._step}))
        self.views = {views[0][0].partition("_")[0]: views[0][0] for table in kernel.registers.values() for views in table}
        self.steps: list[Step] = []
        self.machine: Machine | None = None
        self.grid, self.number = (0, 0, 0), -1
        self.cut = ""
        self.started: dict[str, np.ndarray] = {}  # registers and shared memory before the first step
        self.started_shared = np.zeros(0, np.uint8)
        self._known: dict[str, np.ndarray] = {}  # registers and shared memory as they were after the last step
        self._shared = np.zeros(0, np.uint8)
        self._touches: list[tuple[Site, str, np.ndarray, Lanes, str]] = []
        self._bytes = 0

    def began(self, machine: Machine) -> None:
        """Note a machine if it runs the block that is recorded, and that block's registers and shared memory as they are."""
        self.grid = machine.shape.grid
        number, first = self._number(), machine.first
        if self.machine is None and first <= number < first + machine.shape.blocks:
            self.machine, self.number = machine, number
            self._known = {name: self._row(name).copy() for name in self.views}
            self._shared = self._shared_memory().copy()
            self.started, self.started_shared = dict(self._known), self._shared.copy()

    def _number(self) -> int:
        """Return the number in the grid of the block that is recorded, -1 if the grid does not have it."""
        if isinstance(self.thread_block, int):
            return self.thread_block
        place = (*self.thread_block, 0, 0, 0)[:3]
        inside = len(self.thread_block) <= 3 and all(0 <= at < size for at, size in zip(place, self.grid, strict=True))
        return place[0] + self.grid[0] * (place[1] + self.grid[1] * place[2]) if inside else -1

    @property
    def _lanes(self) -> slice:
        """The lanes of the block in its machine."""
        assert self.machine is not None
        stride = self.machine.shape.stride
        at = (self.number - self.machine.first) * stride
        return slice(at, at + stride)

    def _row(self, name: str) -> np.ndarray:
        """Return the values of a register in the lanes of the block, as its bytes are stored."""
        assert self.machine is not None
        row = cast("np.ndarray", self.machine.names[self.views[name]])
        return row.view(f"u{row.itemsize}")[self._lanes] if row.dtype != bool else row[self._lanes]

    def _shared_memory(self) -> np.ndarray:
        """Return the bytes of the block's shared memory."""
        assert self.machine is not None
        window = self.machine.access.spaces["shared"]
        at = int(window.start[self._lanes.start])
        return window.memory.data[at : at + window.size]

    def access(self, site: Site, space: str, address: np.ndarray, lanes: Lanes, operation: str) -> None:
        """Keep a memory instruction until its step is recorded."""
        if not self.cut and space in ("global", "shared", "local"):
            self._touches.append((site, space, address, lanes, operation))

    def _step(self, number: int, lanes: Lanes, names: dict[str, Any]) -> None:
        """Record that lanes have run the instructions of a place. names: the globals of the translation that calls this."""
        touches, self._touches = self._touches, []
        if self.machine is None or self.cut or names is not self.machine.names:
            return
        mask = lanes.mask[self._lanes]
        if not mask.any():
            return
        if self._bytes >= self.most_bytes:
            self.cut = f"the recording ends at its limit of {self.most_bytes / 2**20:,.0f} MiB; the launch went on to its end"
            return
        place = self.places[number]
        if not self._goes_on(place, mask):
            if len(self.steps) >= self.most_steps:
                self.cut = f"the recording ends at its limit of {self.most_steps:,} steps; the launch went on to its end"
                return
            self.steps.append(Step(place.location, place.block, place.first, place.last, mask.copy()))
            self._bytes += mask.nbytes
        step = self.steps[-1]
        step.block, step.last = place.block, place.last
        self._note_registers(step, place)
        self._note_shared(step)
        step.touches += self._touched(touches)

    def _goes_on(self, place: Place, mask: np.ndarray) -> bool:
        """Return whether a place belongs to the last step: the same lanes go on along the same line.

        A jump back begins a new step, so each turn of a loop within one line is a step of its own.
        """
        last = self.steps[-1] if self.steps else None
        if last is None or last.location != place.location or not np.array_equal(last.mask, mask):
            return False
        return place.block > last.block or (place.block == last.block and place.first > last.last)

    def _note_registers(self, step: Step, place: Place) -> None:
        for name in place.mentioned:
            now, before = self._row(name), self._known[name]
            if name in place.written or not np.array_equal(now, before):
                first = step.registers.get(name, (before,))[0]
                self._known[name] = now.copy()
                step.registers[name] = first, self._known[name]
                self._bytes += now.nbytes

    def _note_shared(self, step: Step) -> None:
        now = self._shared_memory()
        changed = np.flatnonzero(now != self._shared)
        if changed.size:
            step.shared.append((changed, self._shared[changed], now[changed]))
            self._shared[changed] = now[changed]
            self._bytes += 10 * changed.size

    def _touched(self, touches: list[tuple[Site, str, np.ndarray, Lanes, str]]) -> Iterator[Touch]:
        """Yield the memory instructions that lanes of the block took part in, global addresses counted from their array."""
        assert self.machine is not None
        for site, space, address, lanes, operation in touches:
            table = np.full(lanes.mask.size, -1, "i8")
            table[lanes.index] = address
            mine = table[self._lanes]
            active = lanes.mask[self._lanes]
            if not active.any():
                continue
            for where, offsets in self._places(mine, active) if space == "global" else [(space, mine)]:
                self._bytes += offsets.nbytes
                yield Touch(operation, site.bytes, where, offsets)

    def _places(self, addresses: np.ndarray, active: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (name of an array, offsets in it) for each array in which addresses of global memory lie. active: the lanes."""
        assert self.machine is not None
        known, rest = self.machine.access.spaces["global"].memory, active.copy()
        while rest.any():
            first = int(addresses[rest].min())
            memory = known.find(first)
            end = memory.end if memory else min((base for base in known.bases if base > first), default=first + (1 << 62))
            here = rest & (addresses < end)
            yield memory.name if memory else "no array", np.where(here, addresses - (memory.base if memory else 0), -1)
            rest &= ~here


def _with_hooks(kernel: TranslatedKernel) -> tuple[list[Place], list[PythonLine]]:
    """Return the places of a kernel, and its Python with a call of the recorder after each, or before the return that ends it."""
    places: list[Place] = []
    lines: list[PythonLine] = []
    run: list[PythonLine] = []  # the lines of the place at hand
    block = -1  # the number of the basic block at hand, -1 outside of one

    def close() -> None:
        made = [line for line in run if line.instruction is not None]
        if made and block >= 0:
            places.append(_place(block, made))
            call = f"    {_HOOK}({len(places) - 1}, m, globals())"
            at = next((i for i, line in enumerate(run) if line.text.startswith("    return ")), len(run))
            run.insert(at, PythonLine(call, None))
        lines.extend(run)
        run.clear()

    location: tuple[int, int] | None = None
    for line in kernel.lines:
        opens = line.text.startswith("def ")
        if opens:
            close()
            block = int(line.text[len("def block_") : line.text.index("(")]) if line.text.startswith("def block_") else -1
            location = None
        elif line.instruction is not None and line.instruction.source != location:
            if location is not None:
                close()
            location = line.instruction.source
        run.append(line)
    close()
    return places, lines


def _place(block: int, run: list[PythonLine]) -> Place:
    """Return the place of a run of lines."""
    instructions: list[Instruction] = [line.instruction for line in run if line.instruction is not None]
    text = "\n".join(line.text for line in run)
    written = {name for pair in _WRITTEN.findall(text) for name in pair if name}
    for targets in _LOADED.findall(text):
        written.update(_MENTIONED.findall(targets))
    mentioned = tuple(dict.fromkeys(_MENTIONED.findall(text)))
    lines = [i.ptx_line for i in instructions]
    return Place(block, instructions[0].source, min(lines), max(lines), mentioned, frozenset(written))

"""A recorded launch, stepped through forward and back: `emulator.trace` returns a Trace."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

from .debug_information import Variable, variables
from .recorder import Recorder, Step, Touch

_ELEMENTS = {"f32": "f4", "f64": "f8", "s32": "i4", "u32": "u4", "b32": "f4", "b8": "f4", "b16": "u2", "b64": "u8"}


@dataclass(frozen=True)
class Value:
    """A register of a warp's lanes. name: the variable's, or the PTX register's ("%f3"). values: one for each of the 32 lanes.

    changed: whether the step before wrote it; pointer: whether it is declared as a pointer.
    """

    name: str
    register: str
    values: np.ndarray
    changed: bool
    pointer: bool = False


class Trace:
    """What one warp of a launch did, line by line, with a position that moves forward and back.

    The position counts the steps that are behind it, from 0 to `len(trace)`. A step is what lanes of the warp do on one source line
    at one go; a turn of a loop within a line is a step of its own. `trace.line` is the line that comes next, `trace.mask` the lanes
    that run it; registers and shared memory are those before it.

    title: the kernel's; thread_block: its (x, y, z) in the grid; warps: how many it has; cut: "", or a sentence where the
    recording was ended at its limits.
    """

    def __init__(self, recorder: Recorder, source: Sequence[str], warp: int = 0, arguments: Sequence[str] = ()) -> None:
        machine = recorder.machine
        if machine is None:
            raise ValueError("nothing was recorded")
        self._recorder, self._source, self._arguments = recorder, list(source), tuple(arguments)
        self.title, self.cut = recorder.original.title, recorder.cut
        self.thread_block = machine.block_position(recorder.number - machine.first)
        self.warps = machine.shape.warps
        self._block_shape, self._threads = machine.shape.block, machine.shape.threads
        self._steps = recorder.steps
        self._memory = machine.access.spaces["global"].memory
        self._applied = 0  # how many steps of the block the state below has behind it
        self._registers = {name: np.zeros_like(row) for name, row in recorder.started.items()}
        self._shared = recorder.started_shared.copy()
        self.position = 0
        self.choose(warp)

    # -- where it is -------------------------------------------------------------------------------------------
    def choose(self, warp: int) -> None:
        """Follow another warp of the block, from its first step on. Raises ValueError for a warp that the block does not have."""
        if not isinstance(warp, int) or not 0 <= warp < self.warps:
            raise ValueError(f"there is no warp {warp!r}; the block has warps 0 to {self.warps - 1}")
        self.warp = warp
        self._of_warp = [i for i, step in enumerate(self._steps) if step.mask[self._lanes].any()]
        self.move(0)

    @property
    def _lanes(self) -> slice:
        return slice(WARP * self.warp, WARP * (self.warp + 1))

    def __len__(self) -> int:
        """Return how many steps the warp has."""
        return len(self._of_warp)

    @property
    def step(self) -> Step | None:
        """The step that comes next, None at the end."""
        return self._steps[self._of_warp[self.position]] if self.position < len(self) else None

    @property
    def line(self) -> int | None:
        """The source line that comes next: None at the end, 0 for code from another file, or where PTX does not say."""
        return None if self.step is None else self.line_of(self.step)

    def line_of(self, step: Step) -> int:
        """Return the source line of a step, 0 for code from another file, or where PTX does not say."""
        return self._recorder.original.files.own_line(step.location)

    @property
    def text(self) -> str:
        """The text of the line that comes next, "" where it is not known."""
        line = self.line
        return self.source_line(line) if line else ""

    @property
    def source(self) -> list[str]:
        """The lines of the source, [] where it is not known."""
        return list(self._source)

    def source_line(self, number: int) -> str:
        """Return a line of the source, "" where it is not known."""
        return self._source[number - 1].strip() if 0 < number <= len(self._source) else ""

    def whole_line(self, number: int) -> str | None:
        """Return a line of the source as it is written, None where there is none."""
        return self._source[number - 1].rstrip() if 0 < number <= len(self._source) else None

    @property
    def ptx(self) -> tuple[int, int] | None:
        """The first and the last PTX line of the step that comes next, None at the end."""
        return None if self.step is None else (self.step.first, self.step.last)

    @property
    def mask(self) -> np.ndarray:
        """Which of the 32 lanes run the step that comes next; at the end, none."""
        return np.zeros(WARP, bool) if self.step is None else self.step.mask[self._lanes]

    @property
    def touches(self) -> list[Touch]:
        """The memory instructions of the step before the position that lanes of the warp took part in; offsets of 32 lanes."""
        if not self.position:
            return []
        before = self._steps[self._of_warp[self.position - 1]]
        cut = (Touch(t.operation, t.size, self._called(t.where), t.offsets[self._lanes]) for t in before.touches)
        return [t for t in cut if (t.offsets >= 0).any()]

    # -- moving ------------------------------------------------------------------------------------------------
    def move(self, position: int) -> None:
        """Move to a position, from 0 (nothing has run) to `len(trace)` (the warp has ended). Others are moved to the nearest."""
        self.position = max(0, min(int(position), len(self)))
        if not self._steps:
            return
        wanted = self._of_warp[self.position] if self.position < len(self) else len(self._steps)
        while self._applied < wanted:
            self._apply(self._steps[self._applied], 1)
            self._applied += 1
        while self._applied > wanted:
            self._applied -= 1
            self._apply(self._steps[self._applied], 0)

    def _apply(self, step: Step, which: int) -> None:
        """Set what a step changed to the values before it (0) or after it (1)."""
        for name, pair in step.registers.items():
            self._registers[name] = pair[which]
        for offsets, before, after in step.shared if which else reversed(step.shared):
            self._shared[offsets] = after if which else before

    def next(self) -> bool:
        """Go one step forward. Return False at the end."""
        self.move(self.position + 1)
        return self.position < len(self)

    def back(self) -> bool:
        """Go one step back. Return False at the beginning, where there is none."""
        able = self.position > 0
        self.move(self.position - 1)
        return able

    def to_line(self, line: int, backward: bool = False) -> bool:
        """Go to the next step (or, backward, the last one before) on a source line. Return False, and stay, where there is none."""
        ahead = range(self.position + 1, len(self)) if not backward else range(self.position - 1, -1, -1)
        for position in ahead:
            if self.line_of(self._steps[self._of_warp[position]]) == line:
                self.move(position)
                return True
        return False

    def lines(self) -> list[int]:
        """Return the source lines that the warp has steps on, ascending."""
        return sorted({self.line_of(self._steps[i]) for i in self._of_warp} - {0})

    # -- what is there -----------------------------------------------------------------------------------------
    @cached_property
    def _variables(self) -> list[Variable]:
        return variables(self._recorder.original.module.text)

    @property
    def has_names(self) -> bool:
        """Return whether the PTX says which registers hold the source's variables."""
        return bool(self._variables)

    def variables(self) -> list[Value]:
        """Return the source's variables that are in registers here and have been written, as the PTX's debug information tells."""
        at = self._ptx_line()
        here = [v for v in self._variables if v.first <= at < v.after]
        numbers = self._numbers_by_register
        found: dict[str, Value] = {}
        for v in sorted(here, key=lambda v: v.after - v.first, reverse=True):  # the innermost of a name comes last, and is kept
            name = numbers.get(v.register)
            if name in self._written_by_warp:
                values = self._values(str(name), v.code.replace("p", "u"))
                found[v.name] = Value(v.name, v.register, values, self._changed(str(name)), v.code == "p8")
        return list(found.values())

    def registers(self) -> list[Value]:
        """Return the PTX registers that the warp has written so far."""
        names = self._recorder.original.register_names
        found = [Value(names.get(name, name), names.get(name, name), self._values(name), self._changed(name))
                 for name in self._registers if name in self._written_by_warp]  # fmt: skip
        return sorted(found, key=lambda value: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", value.name)])

    def value(self, name: str) -> Value:
        """Return a variable or a PTX register by its name. Raises KeyError, saying which there are, for another."""
        for value in (*self.variables(), *self.registers()):
            if value.name == name:
                return value
        known = ", ".join(v.name for v in (self.variables() or self.registers())) or "none"
        raise KeyError(f"no variable or register {name!r} is known here; known are {known}")

    def shared(self) -> dict[str, np.ndarray]:
        """Return the block's shared memory: {array of the source: its elements}, and "dynamic" for what a launch asked for besides.

        Elements are of the PTX's type; bytes, as which it declares arrays of every type, are read as float32.
        """
        return {name: self._elements(at, size, kind) for name, at, size, kind in self._shared_variables}

    def shared_arrays(self) -> list[tuple[str, int]]:
        """Return (array of the source, offset in bytes) of the arrays in shared memory, by their offsets."""
        return [(name, at) for name, at, _, _ in self._shared_variables]

    @property
    def shared_bytes(self) -> int:
        """How many bytes of shared memory the block has."""
        return self._shared.size

    def shared_words(self) -> np.ndarray:
        """Return all of the block's shared memory as float32; up to three bytes at its end are left out."""
        return self._shared[: self._shared.size // 4 * 4].view("f4").copy()

    @cached_property
    def _shared_variables(self) -> list[tuple[str, int, int, str]]:
        """(name, offset, bytes, PTX type) of the arrays in shared memory, by their offsets."""
        kernel, found, end = self._recorder.original, [], 0
        for (owner, name), at in sorted(kernel.offsets.items(), key=lambda item: item[1]):
            function = kernel.module.functions.get(owner)
            variable = (function.variables if function else kernel.module.variables).get(name)
            if variable is None or variable.space != "shared" or not variable.size:
                continue
            found.append((_plain(name), at, variable.size, variable.type))
            end = max(end, at + variable.size)
        start = -(-end // 16) * 16
        return found + ([("dynamic", start, self._shared.size - start, "b32")] if start < self._shared.size else [])

    def _elements(self, at: int, size: int, kind: str) -> np.ndarray:
        code = _ELEMENTS.get(kind, "u1")
        whole = size // int(code[1]) * int(code[1])
        return self._shared[at : at + whole].view(code).copy()

    def described(self, address: int) -> str:
        """Return an address of global memory as a place in an array of the launch: "a + 128 bytes", "the start of a"."""
        memory = self._memory.find(address)
        if memory is None:
            return f"{address:#x}, in no array"
        name = self._called(memory.name)
        return f"{name} + {address - memory.base} bytes" if address != memory.base else f"the start of {name}"

    def _called(self, memory: str) -> str:
        """Return what an array is called, for "argument 2" the name of that argument, where it is known."""
        match = re.fullmatch(r"argument (\d+)(?: of kernel .*)?", memory)
        return self._arguments[int(match[1])] if match and int(match[1]) < len(self._arguments) else memory

    @property
    def shared_changed(self) -> bool:
        """Whether shared memory was changed between the warp's step before the position and here, by whichever warp."""
        if not self.position:
            return False
        first = self._of_warp[self.position - 1]
        return any(step.shared for step in self._steps[first : self._applied])

    def threads(self) -> list[tuple[int, int, int]]:
        """Return (x, y, z) of the 32 lanes' threads in their block; the last warp may have fewer."""
        x, y, _ = self._block_shape
        numbers = range(WARP * self.warp, min(WARP * (self.warp + 1), self._threads))
        return [(n % x, n // x % y, n // (x * y)) for n in numbers]

    # -- registers in detail -----------------------------------------------------------------------------------
    def _ptx_line(self) -> int:
        if self.step is not None:
            return self.step.first
        return self._steps[self._of_warp[-1]].last if self._of_warp else 0

    @cached_property
    def _numbers_by_register(self) -> Mapping[str, str]:
        """The names in the translation of the kernel's own PTX registers."""
        return {ptx: name for name, ptx in self._recorder.original.register_names.items()}

    @property
    def _written_by_warp(self) -> set[str]:
        done = self._of_warp[: self.position]
        if getattr(self, "_written_at", None) != (self.warp, self.position):
            self._written_at = (self.warp, self.position)
            self._written = {name for i in done for name in self._steps[i].registers}
        return self._written

    def _changed(self, name: str) -> bool:
        return self.position > 0 and name in self._steps[self._of_warp[self.position - 1]].registers

    def _values(self, name: str, code: str = "") -> np.ndarray:
        """Return a register's values in the warp's lanes. code: the type to see them as, by default the one the PTX uses."""
        row = self._registers[name][self._lanes]
        if row.dtype == bool:
            return row.copy()
        wanted = code if code[1:] == str(row.itemsize) else self._types[name]
        return row.view(wanted).copy() if int(wanted[1:]) == row.itemsize else row.astype(wanted)

    @cached_property
    def _types(self) -> dict[str, str]:
        """The type of each register that tells most: float where some instruction takes it for one, else signed, else unsigned."""
        return types_of_registers(self._recorder.original)


def types_of_registers(kernel: TranslatedKernel) -> dict[str, str]:
    """Return {name in the translation: NumPy type}: float where a register is declared so, or some instruction takes it for one."""
    declared = {name: register.type for name, register in kernel.entry.registers.items()}
    found = {}
    for table in kernel.registers.values():
        for views in table:
            codes = sorted(code for _, code in views)
            name = views[0][0].partition("_")[0]
            kind = declared.get(kernel.register_names.get(name, ""), "")
            letters = "fiub" if not kind.startswith("f") else "f"
            found[name] = next((c for letter in letters for c in codes if c[0] == letter), f"{letters[0]}{codes[0][1]}")
    return found


def _plain(name: str) -> str:
    """Return the name of a variable inside of a function as its source has it: _ZZ2mmE2as is `as` of mm."""
    match = re.search(r"E(\d+)(\w+?)(?:E?_\d+)?$", name) if name.startswith("_ZZ") else None
    if match:
        size, rest = int(match[1]), name[match.start(2) :]
        return rest[:size]
    return name

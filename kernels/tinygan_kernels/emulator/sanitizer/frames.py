"""Local memory that is not a thread's own any more, or never was: frames of functions that returned, and other threads' variables.

The variables of a function that is called, not inlined, are unwritten when it begins and gone when it returns. Local memory is
each thread's own: the address of a local variable, handed to another thread through memory, leads to that thread's own bytes there.
Scopes inside a function leave no trace in PTX.
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.memory import GONE, UNWRITTEN, Memory
from tinygan_kernels.emulator.semantics.generic_addresses import LOCAL
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel


class Frames(NamedTuple):
    """variables: {function: (first, end) byte of each of its local variables}, without those of functions that recur, whose frames
    `execute.frames` marks; ends: whether any frame ends before the kernel; escapes: whether the address of a local variable may be
    stored somewhere."""

    variables: dict[str, list[tuple[int, int]]]
    ends: bool
    escapes: bool


_KNOWN: WeakKeyDictionary[TranslatedKernel, Frames] = WeakKeyDictionary()


def frames_of(kernel: TranslatedKernel) -> Frames:
    """Return what a kernel has of frames. The result is kept with the kernel."""
    if kernel not in _KNOWN:
        variables: dict[str, list[tuple[int, int]]] = {}
        for (owner, name), start in kernel.offsets.items():
            variable = kernel.module.functions[owner].variables[name] if owner else None
            if variable is not None and variable.space == "local" and owner not in (kernel.entry.name, *kernel.frames):
                variables.setdefault(owner, []).append((start, start + variable.size))
        casts = [i.modifiers for b in kernel.basic_blocks for i in b.instructions if i.opcode == "cvta"]
        escapes = kernel.local_bytes > 0 and any("local" in m and "to" not in m for m in casts)
        _KNOWN[kernel] = Frames(variables, bool(variables or kernel.frames), escapes)
    return _KNOWN[kernel]


class ChecksFrames:
    """The part of a ChunkSanitizer that follows calls, and addresses of local variables that are stored in memory."""

    def entered(self, function: str, lanes: Lanes) -> None:
        """Note that lanes call a function: its variables are unwritten."""
        self._mark_frame(function, lanes, UNWRITTEN)

    def left(self, function: str, lanes: Lanes) -> None:
        """Note that lanes return from a function: its variables are gone."""
        self._mark_frame(function, lanes, GONE)

    def _mark_frame(self, function: str, lanes: Lanes, mark: int) -> None:
        for start, end in self.frames.variables.get(function, ()):
            self.local.unwritten.reshape(self.machine.shape.width, -1)[lanes.index, start:end] = mark

    def not_gone(self, site, positions, lanes: Lanes, action: str) -> np.ndarray | None:
        """Report lanes at local bytes of a function that has returned, and return a mask of them; None if there are none."""
        marks = self.local.unwritten[positions[:, None] + np.arange(site.bytes)]
        bad = (marks == GONE).any(axis=1)
        if not bad.any():
            return None
        i = int(np.flatnonzero(bad)[0])
        message = f"{action} of {site.bytes} bytes of local memory after the function whose variable it was has returned"
        address = self.own_address(self.local, positions[i], lanes.index[i])
        self.report.add("memcheck", message, site, self.machine, lanes.index[i], address, "local", int(bad.sum()))
        return bad

    def address_stored(self, site, memory: Memory, positions, lanes: Lanes, values) -> None:
        """Note the lanes that store the address of a local variable of theirs in memory that others can read."""
        for j, value in enumerate(values):
            stored = lanes.pick(np.asarray(value)).view("i8")
            for i in np.flatnonzero((stored >= LOCAL) & (stored < LOCAL + self.machine.kernel.local_bytes)):
                place = self._place(memory, int(positions[i]) + 8 * j)
                self.launch.escaped[place] = (int(self.order.number[lanes.index[i]]), site, self.machine.position(lanes.index[i]))

    def address_loaded(self, site, memory: Memory, positions, lanes: Lanes) -> None:
        """Report lanes that load the address of another thread's local variable."""
        view, first = memory.view("i8")
        for i, position in enumerate(positions.tolist()):
            for j in range(site.count):
                there, lane = self.launch.escaped.get(self._place(memory, position + 8 * j)), lanes.index[i]
                if there is None or there[0] == int(self.order.number[lane]):
                    continue
                _, stored, (block, thread) = there
                if LOCAL <= int(view[(position + 8 * j - first) // 8]) < LOCAL + self.machine.kernel.local_bytes:
                    message = (
                        "load of the address of another thread's local variable, which leads to this thread's own bytes there; "
                        f"it was stored by thread {thread} of block {block}, {stored.source} (PTX line {stored.ptx_line})"
                    )
                    space, address = "shared" if memory is self.shared else "global", self.own_address(memory, position, lane)
                    self.report.add("memcheck", message, site, self.machine, lane, address, space)

    def _place(self, memory: Memory, position: int) -> tuple:
        return (self.machine.first if memory is self.shared else -1, position)

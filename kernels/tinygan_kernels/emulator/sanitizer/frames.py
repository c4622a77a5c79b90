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
from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.semantics.generic_addresses import LOCAL
from tinygan_kernels.emulator.syntax.cfg import callee_of
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

UNWRITTEN, GONE = 1, 2
"""Marks of bytes that nothing has written, and of those of a function that has returned; 0 is written."""


class Frames(NamedTuple):
    """calls: {number of a block that ends in a call: (first, end) byte of each local variable of the function}; escapes: whether
    the address of a local variable may be stored somewhere."""

    calls: dict[int, list[tuple[int, int]]]
    escapes: bool


_KNOWN: WeakKeyDictionary[TranslatedKernel, Frames] = WeakKeyDictionary()


def frames_of(kernel: TranslatedKernel) -> Frames:
    """Return what a kernel has of frames. The result is kept with the kernel."""
    if kernel not in _KNOWN:
        variables: dict[str, list[tuple[int, int]]] = {}
        for (owner, name), start in kernel.offsets.items():
            variable = kernel.module.functions[owner].variables[name] if owner else None
            if variable is not None and variable.space == "local":
                variables.setdefault(owner, []).append((start, start + variable.size))
        calls = {b.number: variables.get(callee_of(b.instructions[-1]) or "", []) for b in kernel.basic_blocks if b.callee >= 0}
        casts = [i.modifiers for b in kernel.basic_blocks for i in b.instructions if i.opcode == "cvta"]
        escapes = kernel.local_bytes > 0 and any("local" in m and "to" not in m for m in casts)
        _KNOWN[kernel] = Frames({number: held for number, held in calls.items() if held}, escapes)
    return _KNOWN[kernel]


class ChecksFrames:
    """The part of a ChunkSanitizer that follows calls, and addresses of local variables that are stored in memory."""

    def entered(self, caller: int, lanes: Lanes) -> None:
        """Note that lanes call the function that the block `caller` calls: its variables are unwritten."""
        self._mark_frame(caller, lanes, UNWRITTEN)

    def left(self, caller: int, lanes: Lanes) -> None:
        """Note that lanes return from the function that the block `caller` called: its variables are gone."""
        self._mark_frame(caller, lanes, GONE)

    def _mark_frame(self, caller: int, lanes: Lanes, mark: int) -> None:
        for start, end in self.frames.calls.get(caller, ()):
            self.local.unwritten.reshape(self.machine.shape.width, -1)[lanes.index, start:end] = mark

    def not_gone(self, site, positions, lanes: Lanes, action: str) -> np.ndarray | None:
        """Report lanes at local bytes of a function that has returned, and return a mask of them; None if there are none."""
        marks = self.local.unwritten[positions[:, None] + np.arange(site.bytes)]
        bad = (marks == GONE).any(axis=1)
        if not bad.any():
            return None
        i = int(np.flatnonzero(bad)[0])
        message = f"{action} of {site.bytes} bytes of local memory after the function whose variable it was has returned"
        address = self._own_address(self.local, positions[i], lanes.index[i])
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
                    space, address = "shared" if memory is self.shared else "global", self._own_address(memory, position, lane)
                    self.report.add("memcheck", message, site, self.machine, lane, address, space)

    def _place(self, memory: Memory, position: int) -> tuple:
        return (self.machine.first if memory is self.shared else -1, position)

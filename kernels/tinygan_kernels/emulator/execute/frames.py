"""Calls through pointers and into recursions: which function a lane goes on in, and what a call must keep of its caller.

Every function has one vector for each of its registers. Where a function can be active more than once, a call that can come back
to it first saves its vectors, and the return puts them back; variables in local memory get a frame on the lane's stack.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.translate.kernel import CallTo, TranslatedBlock

from .lanes import Lanes
from .machine import Machine
from .memory import GONE, UNWRITTEN

DEEPEST = 4096
"""How many calls may be open at once."""


class Frames:
    """What the open calls of a machine's lanes have saved, and their stacks."""

    def __init__(self, machine: Machine):
        self.machine, self.kernel = machine, machine.kernel
        self.names: dict[str, Any] = machine.names
        self.saved: dict[tuple[int, str], list[np.ndarray]] = {}  # (open calls, function) -> copies of its vectors
        self.top = np.full(machine.shape.width, self.kernel.stack_start, "i8")

    def reached(self, basic: TranslatedBlock, address: int, lanes: Lanes) -> CallTo:
        """Return the function that lanes call. Raises EmulatorError for an address of none, or of one that does not fit."""
        call = basic.callees.get(address)
        if call is not None:
            return call
        function = self.kernel.module.function_at(address)
        if function is None:
            what = f"a pointer to no function (0x{address & (1 << 64) - 1:x})"
        elif not function.has_body:
            what = f"a pointer to {function.name}, which the module does not define"
        else:
            what = f"a pointer to {function.name}, whose parameters or results are not those of the call"
        raise self._error(basic, lanes, f"call through {what}")

    def enter(self, basic: TranslatedBlock, call: CallTo, depth: int, lanes: Lanes) -> None:
        """Prepare the call of a function by lanes that have `depth` calls open."""
        if depth > DEEPEST:
            raise self._error(basic, lanes, f"recursion: more than {DEEPEST} calls are open at once")
        if call.saved:
            self._save(call.saved, depth, lanes)
        self.names[call.passed](lanes)
        if call.frame:
            end = self.top + call.frame_bytes
            if (end > self.kernel.local_bytes)[lanes.mask].any():
                room = self.kernel.local_bytes - self.kernel.stack_start
                raise self._error(basic, lanes, f"stack overflow: the variables of open calls take more than {room} bytes a thread")
            self._mark(UNWRITTEN, call.frame_bytes, lanes)
            np.copyto(self.names[call.frame], self.top, where=lanes.where)
            np.copyto(self.top, end, where=lanes.where)

    def leave(self, call: CallTo, depth: int, lanes: Lanes) -> None:
        """Return from a function to lanes that had `depth` calls open before it."""
        values = self.names[call.taken](lanes)
        if call.frame:
            np.copyto(self.top, self.top - call.frame_bytes, where=lanes.where)
            self._mark(GONE, call.frame_bytes, lanes)
        if call.saved:
            for name, copy in zip(self.kernel.states[call.saved], self.saved[depth, call.saved], strict=True):
                np.copyto(self.names[name], copy, where=lanes.where if copy.ndim == 1 else lanes.column)
        self.names[call.returned](lanes, values)

    def _save(self, function: str, depth: int, lanes: Lanes) -> None:
        """Copy the vectors of a function. Lanes with the same number of open calls have elements of their own in one copy."""
        vectors = [self.names[name] for name in self.kernel.states[function]]
        if (depth, function) not in self.saved:
            self.saved[depth, function] = [np.empty_like(vector) for vector in vectors]
        for copy, vector in zip(self.saved[depth, function], vectors, strict=True):
            np.copyto(copy, vector, where=lanes.where if copy.ndim == 1 else lanes.column)

    def _mark(self, mark: int, size: int, lanes: Lanes) -> None:
        """Mark the bytes of frames that begin at the top of the lanes' stacks as never written, or as gone."""
        local = self.machine.access.spaces["local"]
        if local.memory.unwritten is not None:
            begin = (local.start + self.top)[lanes.mask]
            local.memory.unwritten[begin[:, None] + np.arange(size)] = mark

    def _error(self, basic: TranslatedBlock, lanes: Lanes, what: str) -> EmulatorError:
        """Make the error of a call, after what the sanitizer has found."""
        of_grid, thread = self.machine.position(lanes.index[0])
        self.machine.report.deliver()
        assert basic.site is not None
        where = f"{basic.site.source} (PTX line {basic.site.ptx_line})"
        return EmulatorError(f"{what} in {self.kernel.title} at {where} by thread {thread} of block {of_grid}")

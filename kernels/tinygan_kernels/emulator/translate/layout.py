"""The layout of a kernel: the functions that it calls, and the addresses of its parameters and variables."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError, UnsupportedInstruction
from tinygan_kernels.emulator.syntax import calls
from tinygan_kernels.emulator.syntax.ptx import Function, Instruction, Module, Symbol, Variable, names_in

BUILTIN = ("vprintf", "__assertfail", "malloc", "free")
"""Functions that a module may call without defining them: printf, assert, and what new and delete call."""
LAUNCHING = ("__cudaCDP", "cudaGetParameterBuffer", "cudaLaunchDevice")
"""How the names of the functions begin that a kernel calls to launch another."""
PARAMETERS = 128
"""To how many bytes a kernel's parameters are aligned, which tensor maps among them need."""
STACK = 16 * 1024
"""Bytes of local memory a thread for the variables of functions that recur. CUDA's whole stack has 1,024, unless a program
sets another limit."""


class Layout:
    """The functions that a kernel reaches, and an address for every parameter and variable in them.

    addresses: where the module's global and constant variables lie. Variables of a function that recurs, in local memory, have
    offsets in a frame, of which each call has its own. Raises EmulatorError for a call of a function that nobody defines;
    UnsupportedInstruction for a function with declarations that are not supported.
    """

    def __init__(self, module: Module, entry: Function, title: str, addresses: dict[str, int]):
        self.module, self.entry, self.title, self.addresses = module, entry, title, addresses
        self.functions = self._reachable()
        self.cycles = calls.recurring([f.name for f in self.functions], self._callees)
        self.frames: dict[str, int] = {}  # function that recurs -> bytes of its variables in local memory
        self.params, self.param_buffer = self._lay_out_parameters()
        self.offsets: dict[tuple[str, str], int] = {}  # (function or "", variable) -> offset in shared or local memory
        self.static_shared = self._place("shared")
        self.local_bytes = self._place("local")
        self.stack_start = -(-self.local_bytes // 16) * 16
        if any(self.frames.values()):
            self.local_bytes = self.stack_start + STACK

    def address_of(self, function: Function, symbol: Symbol) -> int | None:
        """Return a variable's address in its own state space (generic for global and constant memory), None if unknown."""
        for owner in (function.name, ""):
            if (owner, symbol.name) in self.offsets:
                return self.offsets[owner, symbol.name] + symbol.offset
        if symbol.name in self.addresses:
            return self.addresses[symbol.name] + symbol.offset
        if (at := self.module.function_address(symbol.name)) is not None:
            return at + symbol.offset
        if function is self.entry and symbol.name in self.params:
            return self.param_buffer.ctypes.data + self.params[symbol.name] + symbol.offset
        return None

    def defined(self, name: str, line: int) -> Function:
        """Return the device function that is called in a line of the PTX. Raises EmulatorError if the module does not define it."""
        function = self.module.functions.get(name)
        if name.startswith(LAUNCHING):
            raise EmulatorError(
                f"kernel {self.title} launches a kernel, at PTX line {line}: dynamic parallelism is not supported; let the host "
                "launch what a kernel launches, in a loop if there are several levels"
            )
        if function is None or not function.has_body:
            raise EmulatorError(
                f"kernel {self.title} calls {name} at PTX line {line}, which the module does not define; of the built-in "
                f"functions {', '.join(BUILTIN)} are supported"
            )
        return function

    def candidates(self, function: Function, call: Instruction) -> list[Function]:
        """Return the functions that a call may reach: one, or through a pointer all whose parameters fit; [] for a built-in one."""
        parts = calls.call_of(call)
        if isinstance(parts.target, Symbol):
            return [] if parts.target.name in BUILTIN else [self.defined(parts.target.name, call.ptx_line)]
        known = {v.name: v for v in (*function.params, *function.returns, *function.variables.values())}
        for name in (*parts.arguments, *parts.returns):
            if name not in known:
                raise EmulatorError(f"not PTX: {function.name} has no {name}, which a call passes, at PTX line {call.ptx_line}")
        wanted = [calls.sizes(known[name] for name in names) for names in (parts.arguments, parts.returns)]
        return [f for f in self._pointed_to if [calls.sizes(f.params), calls.sizes(f.returns)] == wanted]

    @cached_property
    def _pointed_to(self) -> list[Function]:
        return calls.pointed_to(self.module)

    def _callees(self, name: str) -> set[str]:
        """Return the names of the functions that a function may call."""
        function = self.module.functions[name]
        return {callee.name for call in calls.calls_of(function) for callee in self.candidates(function, call)}

    def _reachable(self) -> list[Function]:
        """Return the kernel and the device functions that it calls, directly or through others."""
        found: list[Function] = []
        work = [self.entry]
        while work:
            function = work.pop(0)
            if function in found:
                continue
            if function.refused:
                raise UnsupportedInstruction(f"{function.refused} of the PTX, in {function.name}")
            found.append(function)
            for call in calls.calls_of(function):
                work += self.candidates(function, call)
        return found

    def _lay_out_parameters(self) -> tuple[dict[str, int], np.ndarray]:
        """Return ({kernel parameter: its offset}, a buffer for all of them)."""
        params, at = {}, 0
        for variable in self.entry.params:
            at = -(-at // variable.align) * variable.align
            params[variable.name] = at
            at += variable.size
        room = np.zeros(max(16, -(-at // 16) * 16) + PARAMETERS, np.uint8)
        start = -room.ctypes.data % PARAMETERS
        return params, room[start : start + room.size - PARAMETERS]

    def _place(self, space: str) -> int:
        """Give the variables of a space their offsets, those of no size (dynamic) at the end; return the bytes taken."""
        at = 0
        owners = [("", self._used_module_variables()), *((f.name, f.variables) for f in self.functions)]
        dynamic = []
        for owner, variables in owners:
            if space == "local" and owner in self.cycles:
                self.frames[owner] = self._place_in_frame(owner, variables)
                continue
            for variable in variables.values():
                if variable.space != space:
                    continue
                if variable.size == 0:
                    dynamic.append((owner, variable))
                    continue
                at = -(-at // variable.align) * variable.align
                self.offsets[owner, variable.name] = at
                at += variable.size
        if dynamic:
            align = max(16, *(variable.align for _, variable in dynamic))
            at = -(-at // align) * align
        self.offsets.update({(owner, v.name): at for owner, v in dynamic})
        return at

    def _place_in_frame(self, owner: str, variables: dict[str, Variable]) -> int:
        """Give the variables in local memory of a function that recurs their offsets in its frame; return the bytes taken."""
        at = 0
        for variable in variables.values():
            if variable.space == "local":
                at = -(-at // variable.align) * variable.align
                self.offsets[owner, variable.name] = at
                at += variable.size
        return -(-at // 16) * 16

    def _used_module_variables(self) -> dict[str, Variable]:
        """Return the module's variables that some reachable function names."""
        used: set[str] = set()
        for function in self.functions:
            for instruction in function.body:
                if isinstance(instruction, Instruction):
                    used.update(names_in(instruction.operands, Symbol))
        return {name: variable for name, variable in self.module.variables.items() if name in used}

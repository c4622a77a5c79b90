"""The process of a program: where its host code stands, what of memory it may touch, how it ends.

Machine code calls the functions of `externs` by address. None of them may raise, so an error is kept, `ended` is set, and the
machine code leaves function after function.
"""

from __future__ import annotations

import builtins
import ctypes
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.syntax.ptx import Instruction

from .memory import HOST, NOWHERE, STACK, ProgramMemory, Region, refusal
from .unwinding import UNWINDING, State
from .waiting import budget

MOST_TEXT = 1 << 20
_FAULTS = {
    1: "the stack is used up: does a function call itself without end?",
    2: "a whole number is divided by zero",
    4: "the quotient of the least whole number and -1 is too large for its type",
    5: "functions that have not ended have too many objects with a destructor",
    3: "__trap(), or the end of a function that returns nothing",
}


class HostFault(EmulatorError):
    """Raised where a program's host code does what ends it: a wrong access, a division by zero, an endless recursion."""


class Ended(Exception):
    """Raised by a function of the program's that ends it: exit, abort."""


class Process:
    """What a running program has: memory, a place, an end.

    place: gives a source location as "file.cu:12"; sites: the table of accesses (`Lowering.sites`), set when the code is made.
    """

    def __init__(self) -> None:
        self.memory = ProgramMemory()
        self.ended = np.zeros(1, np.uint8)
        self.site = np.zeros(1, np.int64)
        self.stack_top = np.zeros(1, np.int64)
        self.ranges = np.zeros(2, np.int64)  # of each place: where the range begins, how many addresses in it fit
        self.sites: list[tuple[Instruction, int, bool]] = []
        self.place_of: Callable[[tuple[int, int]], str] = str
        self.libraries: set[int] = set()  # files whose code may touch the device's memory
        self.exceptions = State()
        self.caller = np.full(1, -1, np.int64)  # the last call by a function of the program's own files
        self.own_files: set[int] = set()  # these, where functions of the library are not inlined
        self.on_device = 0  # how many algorithms of such libraries are running, one inside of the other
        self.error: BaseException | None = None
        self.code: int = 0
        self.kept: list[Any] = []  # what machine code calls has to live as long as it
        self.functions: set[int] = set()  # addresses that a call through a pointer may have
        stack = np.zeros(STACK, np.uint8)
        base = stack.__array_interface__["data"][0]
        self.memory.add(Region(base, STACK, HOST, "the stack of the host (local variables)", stack))
        self.stack_top[0] = -(-base // 16) * 16
        self.stack_begin, self.stack_end = base, base + STACK
        for array in self.exceptions.arrays:
            self.memory.add(Region(array.ctypes.data, array.nbytes, HOST, "the list of objects", array.view(np.uint8)))

    def cells(self, sites: int) -> dict[str, int]:
        """Return the addresses of what machine code reads and writes, by their names in its IR (`symbols`).

        sites: for how many places of accesses there has to be room.
        """
        self.ranges = np.zeros(2 * max(sites, 1), np.int64)
        named: dict[str, np.ndarray] = {"ended": self.ended, "site": self.site, "stack_top": self.stack_top, "caller": self.caller}
        named["sites"] = self.ranges
        addresses = {name: array.ctypes.data for name, array in named.items()}
        addresses |= {"stack_begin": self.stack_begin, "stack_end": self.stack_end}
        return {f"cell.{name}": address for name, address in addresses.items()} | self.exceptions.cells()

    def callbacks(self) -> dict[str, int]:
        """Return the addresses of the process's own functions that machine code calls, {name: address}."""
        table: tuple[tuple[str, Callable[..., Any], str], ...] = (
            ("host_check", self.check, "pll"),
            ("host_fault", self.fault, "ll"),
            ("host_jump", self.jump, "pl"),
            ("host_unwind", self.unwind, ""),
            ("host_enter_device", self.enter_device, ""),
            ("host_leave_device", self.leave_device, ""),
            ("host_spin_budget", budget, ""),
        )
        return {name: self.callback(function, letters, "l") for name, function, letters in table}

    def place(self) -> str:
        """Return where the program is, as "file.cu:12"."""
        return self.at_site(int(self.site[0]))

    def at_site(self, number: int) -> str:
        """Return a place by its number; where it is in a library that is not inlined, the line of the program that called it."""
        called = number < len(self.sites) and self.own_files and self.sites[number][0].source[0] not in self.own_files
        number = int(self.caller[0]) if called and self.caller[0] >= 0 else number
        return self.place_of(self.sites[number][0].source) if number < len(self.sites) else "no source line"

    def end(self, error: BaseException) -> None:
        """Let the program end, with an error, or by itself (Ended). The first one counts."""
        if not self.ended[0]:
            self.error = None if isinstance(error, Ended) else error
        self.ended[0] = 1

    def forget_ranges(self) -> None:
        """Let every access be looked at anew, as what may be touched has changed."""
        self.ranges[:] = 0

    # -- what machine code calls ------------------------------------------------------------------------------------------------
    def check(self, address: int, size: int, number: int) -> int:
        """Return 0 if host code may touch these bytes; else end the program."""
        instruction, _, writes = self.sites[number]
        library = self.on_device > 0 or instruction.origin in self.libraries
        why, region = refusal(self.memory, address, size, writes, library)
        if why:
            at = self.at_site(number)
            self.end(HostFault(f"memcheck: host code {why}; {self.place() if in_algorithm(at) else at}"))
            return 1
        start, end = region.base, region.end
        if region.on_device:
            start, end = self.memory.streams.free_around(address, size, start, end, writes)
        self.ranges[2 * number : 2 * number + 2] = start, max(end - start - size + 1, 0)
        return 0

    def enter_device(self) -> None:
        """Let host code touch the device's memory, for an algorithm that a GPU would run."""
        self.on_device += 1

    def leave_device(self) -> None:
        self.on_device -= 1

    def unwind(self) -> None:
        """Let functions be left up to the one that handles an exception."""
        self.ended[0] = UNWINDING

    def fault(self, code: int, number: int) -> int:
        """End the program by one of `_FAULTS`. number: its place; -1 for the last one that the process was told."""
        self.end(HostFault(f"host code: {_FAULTS[code]}; {self.place() if number < 0 else self.at_site(number)}"))
        return 0

    def jump(self, address: int, number: int) -> int:
        """End the program where an address that is called is no function of the host."""
        if address not in self.functions:
            self.end(HostFault(f"host code calls {address:#x}, which is no function of the host; {self.at_site(number)}"))
        return 0

    def call(self, function: int, value: int) -> None:
        """Call a function of the host, by its address, that takes a pointer and returns nothing."""
        slot = np.array([value], np.uint64)
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(function)(slot.ctypes.data)

    def callback(self, function: Callable[..., Any], arguments: str, result: str) -> int:
        """Return the address of a C function that calls `function`.

        arguments, result: a letter each: i, an int; p, an address or size_t; l, a 64-bit integer; d, a double (as a result only);
        v, nothing.
        """

        def called(*values: int) -> int:
            if self.ended[0]:
                return 0
            given = [_as(letter, value) for letter, value in zip(arguments, values, strict=True)]
            try:
                answer = function(*given)
            except BaseException as error:
                self.end(error)
                return 0
            if result == "d":
                return int(np.float64(answer).view(np.uint64))
            return int(answer or 0) & 0xFFFFFFFFFFFFFFFF

        kind = ctypes.CFUNCTYPE(ctypes.c_uint64, *[ctypes.c_uint64] * len(arguments))
        made = kind(called)
        self.kept.append(made)
        return int(ctypes.cast(made, ctypes.c_void_p).value or 0)

    # -- memory as functions of the library see it --------------------------------------------------------------------------------
    def bytes(self, address: int, size: int, writes: bool = False) -> np.ndarray:
        """Return bytes that a function of the host reads or writes. Raises HostFault where it may not."""
        if size == 0:
            return np.empty(0, np.uint8)
        why, region = refusal(self.memory, address, size, writes)
        if why:
            raise HostFault(f"memcheck: a function of the host {why}; {self.place()}")
        return region.array.view(np.ndarray)[address - region.base : address - region.base + size]

    def text(self, address: int) -> str:
        """Return a text that ends with a zero byte."""
        return self.raw_text(address).decode("utf-8", "replace")

    def raw_text(self, address: int) -> builtins.bytes:
        """Return the bytes of a text, without the zero byte at its end."""
        self.bytes(address, 1)
        region = self.memory.at(address) or NOWHERE
        rest = region.array.view(np.ndarray)[address - region.base :]
        size = 256
        while b"\0" not in (raw := rest[:size].tobytes()):
            if size >= min(rest.size, MOST_TEXT):
                raise HostFault(f"memcheck: a text of the host has no end inside of {region.name}; {self.place()}")
            size *= 16
        return raw[: raw.index(b"\0")]

    def store(self, address: int, code: str, value: float) -> None:
        """Write a number of NumPy's type `code` where a pointer leads to."""
        raw = np.array([value], code).view(np.uint8)
        self.bytes(address, raw.size, writes=True)[...] = raw

    def load(self, address: int, code: str) -> Any:
        return self.bytes(address, np.dtype(code).itemsize).view(code)[0]

    def constant_text(self, text: str) -> int:
        """Return the address of a text that the program may read."""
        array = np.frombuffer(text.encode() + b"\0", np.uint8).copy()
        base = array.__array_interface__["data"][0]
        self.memory.add(Region(base, array.size, HOST, "a text of the library", array, writable=False))
        return base


def in_algorithm(place: str) -> bool:
    """Return whether a place ("file:line") is in a header that has cub's algorithms of a whole device."""
    return re.match(r"cub_\w+\.h:", place) is not None


def _as(letter: str, value: int) -> int:
    if letter == "i":
        return (value & 0xFFFFFFFF) - (1 << 32 if value & 0x80000000 else 0)
    if letter == "l":
        return value - (1 << 64 if value >> 63 else 0)
    return value

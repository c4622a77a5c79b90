"""The functions printf and assert, called from a kernel."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError, KernelAssertion
from tinygan_kernels.emulator.semantics.generic_addresses import LOCAL, SHARED

from .lanes import Lanes

WIDEST = 1 << 16  # characters of one printed number; more is taken for a mistake
_SPEC = re.compile(
    r"%(?P<flags>[-+ #0]*)(?P<width>\d*|\*)(?P<precision>\.(?:\d*|\*))?(?P<length>hh|h|ll|l|j|z|t|L)?"
    r"(?P<kind>[diouxXeEfFgGaAcsp%])"
)


def vprintf(machine, site, lanes: Lanes, result, text_param, values_param) -> None:
    """Print for each lane, in lane order, to standard output. The parameters are addresses, one row per lane.

    result: takes how many arguments the text has, which is what CUDA's printf returns, in its first four bytes; None if the kernel
    does not ask. (CUDA C++ Programming Guide, "Formatted output")
    """
    texts, values = text_param.view("u8")[:, 0], values_param.view("u8")[:, 0]
    machine.access.changes += 1
    for lane in lanes.index:
        form = read_string(machine, int(texts[lane]), lane)
        text, arguments = _format(machine, form, int(values[lane]), lane)
        if not machine.silent:
            sys.stdout.write(text)
        if result is not None:
            result.view("i4")[lane, 0] = arguments


def assertfail(machine, site, lanes: Lanes, _result, message, file, line, function, _size) -> None:
    """Raise KernelAssertion for the first of the lanes, if there is one."""
    if lanes.count == 0:
        return
    lane = lanes.index[0]
    text, where, name = (read_string(machine, int(p.view("u8")[lane, 0]), lane) for p in (message, file, function))
    block, thread = machine.position(lane)
    raise KernelAssertion(
        f"{where}:{int(line.view('u4')[lane, 0])}: {name}: block {block}, thread {thread}: assertion `{text}` failed"
    )


def read_bytes(machine, address: int, size: int, lane: int) -> np.ndarray:
    """Return bytes at a generic address, as the lane sees it. Raises EmulatorError outside of memory."""
    spaces = machine.access.spaces
    name, base = ("local", LOCAL) if address >= LOCAL else ("shared", SHARED) if address >= SHARED else ("global", 0)
    space = spaces[name]
    if name == "global":
        memory, start = space.memory.find(address), address
    else:
        memory, start = space.memory, address - base + int(space.start[lane])
    if memory is None or start + size > memory.end:
        raise EmulatorError(f"printf or assert in {machine.kernel.title} reads outside memory, at {address:#x}")
    return memory.data[start - memory.base : start - memory.base + size]


def read_string(machine, address: int, lane: int) -> str:
    """Return the text at a generic address, up to its zero byte."""
    text = bytearray()
    while (byte := int(read_bytes(machine, address + len(text), 1, lane)[0])) != 0:
        text.append(byte)
    return text.decode("utf-8", "replace")


def _hexadecimal(value: float, kind: str) -> str:
    """Return a number as %a has it: as many digits as it needs."""
    text = re.sub(r"\.?0*(?=p)", "", value.hex()) if np.isfinite(value) else str(value)
    return text.upper() if kind == "A" else text


def _format(machine, form: str, address: int, lane: int) -> tuple[str, int]:
    """Format a kernel's text. Return (text, how many arguments it has)."""
    return formatted(
        form, address, lambda at, size: read_bytes(machine, at, size, lane), lambda at: read_string(machine, at, lane),
        machine.kernel.title,
    )  # fmt: skip


def formatted(
    form: str, address: int, bytes_of: Callable[[int, int], np.ndarray], text_of: Callable[[int], str], title: str
) -> tuple[str, int]:
    """Format as C's printf does, with arguments from a packed buffer at `address`, in which each is aligned to its size.

    bytes_of(address, size), text_of(address): read memory; title: who prints, for errors. Return (text, how many arguments it has).
    """
    at = taken = 0

    def argument(code: str):
        nonlocal at, taken
        taken += 1
        size = int(code[1])
        at = -(-at // size) * size
        value = bytes_of(address + at, size).view(code)[0]
        at += size
        return value

    def replace(match: re.Match) -> str:
        kind, length = match["kind"], match["length"] or ""
        if kind == "%":
            return "%"
        flags, width, precision = match["flags"], match["width"], match["precision"] or ""
        if width == "*":  # a negative width means: to the left
            given = int(argument("i4"))
            flags, width = flags + "-" * (given < 0), str(abs(given))
        if precision == ".*":  # a negative precision counts as none
            given = int(argument("i4"))
            precision = f".{given}" if given >= 0 else ""
        if max(int(width or 0), int(precision[1:] or 0)) > WIDEST:
            raise EmulatorError(f"printf in {title}: a width of more than {WIDEST} characters in {match[0]!r}")
        spec = f"%{flags}{width}{precision}"
        if kind == "s":
            return (spec + "s") % text_of(int(argument("u8")))
        if kind == "p":
            pointer = int(argument("u8"))
            return (spec + "s") % (hex(pointer) if pointer else "(nil)")
        if kind in "eEfFgGaA":
            value = float(argument("f8"))
            return _hexadecimal(value, kind) if kind in "aA" else (spec + kind) % value
        if kind == "c":
            return (spec + "c") % chr(int(argument("u4")) & 255)
        size = 8 if length in ("l", "ll", "j", "z", "t") else 4
        code = "i" if kind in "di" else "u"
        number = argument(f"{code}{size}")
        shorter = {"h": "2", "hh": "1"}.get(length)
        return (spec + kind) % int(number.astype(code + shorter) if shorter else number)

    return _SPEC.sub(replace, form), taken

"""The debug information in PTX: which register holds which variable of the source, and between which lines of the PTX.

NVRTC writes it when it compiles with -G, as DWARF 2 in the sections .debug_abbrev, .debug_info and .debug_loc: bytes, and labels in
the place of addresses. A register is DW_OP_regx with the characters of its name as a number, "%r1" being 0x257231.
(DWARF Debugging Information Format, version 2, section 7; PTX Writer's Guide to Interoperability, "Debug information")
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

_TAGS = {0x05: "parameter", 0x34: "variable", 0x0B: "scope", 0x2E: "function", 0x1D: "function",
         0x24: "base", 0x0F: "pointer", 0x26: "same", 0x35: "same", 0x16: "same"}  # fmt: skip
_NAME, _LOCATION, _LOW, _HIGH, _TYPE, _SIZE, _ENCODING = 0x03, 0x02, 0x11, 0x12, 0x49, 0x0B, 0x3E
_REGISTER = 0x90  # DW_OP_regx
_CODES = {0x02: "u", 0x04: "f", 0x05: "i", 0x06: "i", 0x07: "u", 0x08: "u"}  # DW_ATE_boolean, float, signed ...: NumPy's letters
_DATA = re.compile(r"\.(b8|b16|b32|b64)\s+([^\n]+)")


class Variable(NamedTuple):
    """A variable of the source in a register, while the PTX line is in [first, after).

    code: NumPy's letter and bytes, "p8" for a pointer, "" where the type is not one of numbers.
    """

    name: str
    register: str
    code: str
    first: int
    after: int


class _Reference(NamedTuple):
    """A label, or a section with an offset, where bytes would be an address."""

    label: str
    offset: int


@dataclass
class _Entry:
    """A debugging information entry. scope: the PTX lines of the function or block that it stands in."""

    tag: str
    values: dict[int, object]
    scope: tuple[int, int]


def variables(ptx: str) -> list[Variable]:
    """Return the variables that are kept in registers. A PTX text without debug information has none."""
    sections = _sections(ptx)
    if not {".debug_info", ".debug_abbrev"} <= sections.keys():
        return []
    labels = {match[1]: ptx.count("\n", 0, match.start()) + 1 for match in re.finditer(r"^\s*(\$?[\w$]+):", ptx, re.M)}
    info, locations = _Reader(sections[".debug_info"]), sections.get(".debug_loc", [])
    try:
        entries = _entries(info, _abbreviations(_Reader(sections[".debug_abbrev"])), labels)
        return [v for entry in entries.values() for v in _places(entry, entries, locations, labels)]
    except (IndexError, KeyError, TypeError, ValueError):  # DWARF of a version or a form that is not read here: no names
        return []


def _sections(ptx: str) -> dict[str, list]:
    """Return {section: its bytes}, an address being a _Reference and seven bytes (None) that it takes the place of."""
    found: dict[str, list] = {}
    for match in re.finditer(r"\.section\s+(\.debug_\w+)\s*\{([^}]*)\}", ptx):
        found[match[1]] = data = []
        for kind, values in _DATA.findall(match[2]):
            for text in values.split(","):
                data += _encoded(text.strip(), int(kind[1:]) // 8)
    return found


def _encoded(text: str, size: int) -> list:
    """Return the bytes of a number, or a _Reference and as many None as make up its size."""
    if re.fullmatch(r"-?\d+|0x[0-9a-fA-F]+", text):
        return list((int(text, 0) & (1 << 8 * size) - 1).to_bytes(size, "little"))
    label, _, offset = text.partition("+")
    return [_Reference(label.strip(), int(offset or 0)), *[None] * (size - 1)]


class _Reader:
    """Reads numbers and text out of a section, one after the other."""

    def __init__(self, data: list, at: int = 0) -> None:
        self.data, self.at = data, at

    def more(self) -> bool:
        return self.at < len(self.data)

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def number(self, size: int) -> object:
        """Return a number of that many bytes, or the _Reference in its place."""
        part = self.data[self.at : self.at + size]
        self.at += size
        return part[0] if isinstance(part[0], _Reference) else int.from_bytes(bytes(part), "little")

    def unsigned(self) -> int:
        """Return a number in LEB128, 7 bits a byte."""
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def text(self) -> str:
        end = self.data.index(0, self.at)
        value = bytes(self.data[self.at : end]).decode("utf-8", "replace")
        self.at = end + 1
        return value

    def form(self, form: int) -> object:
        """Return a value in one of DWARF's forms. Raises ValueError for a form that is not known."""
        sizes = {0x01: 8, 0x05: 2, 0x06: 4, 0x07: 8, 0x0B: 1, 0x0C: 1, 0x10: 8, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8}
        if form in sizes:
            return self.number(sizes[form])
        if form == 0x08:
            return self.text()
        if form in (0x0A, 0x03, 0x04, 0x09):  # a block of bytes, after its length
            size = self.unsigned() if form == 0x09 else cast("int", self.number({0x0A: 1, 0x03: 2, 0x04: 4}[form]))
            self.at += size
            return self.data[self.at - size : self.at]
        if form in (0x0D, 0x0F):
            return self.unsigned()
        raise ValueError(f"DWARF form {form:#x}")


def _abbreviations(reader: _Reader) -> dict[int, tuple[int, bool, list[tuple[int, int]]]]:
    """Return {code: (tag, whether entries inside follow, [(attribute, form), ...])}."""
    found = {}
    while reader.more() and (code := reader.unsigned()):
        tag, inside, attributes = reader.unsigned(), bool(reader.byte()), []
        while (pair := (reader.unsigned(), reader.unsigned())) != (0, 0):
            attributes.append(pair)
        found[code] = tag, inside, attributes
    return found


def _entries(reader: _Reader, abbreviations: dict, labels: dict[str, int]) -> dict[int, _Entry]:
    """Return {offset in .debug_info: entry}, of the first compilation unit, of which NVRTC writes one."""
    reader.at = 11  # length 4, version 2, offset of the abbreviations 4, size of an address 1
    found: dict[int, _Entry] = {}
    scopes = [(0, 1 << 30)]
    while reader.more():
        at, code = reader.at, reader.unsigned()
        if not code:
            if len(scopes) > 1:
                scopes.pop()
            continue
        tag, inside, attributes = abbreviations[code]
        values = {attribute: reader.form(form) for attribute, form in attributes}
        low, high = (labels.get(getattr(values.get(which), "label", "")) for which in (_LOW, _HIGH))
        scope = scopes[-1] if low is None or high is None else (low, high)
        found[at] = _Entry(_TAGS.get(tag, ""), values, scope)
        if inside:
            scopes.append(scope)
    return found


def _places(entry: _Entry, entries: dict[int, _Entry], locations: list, labels: dict[str, int]) -> Iterator[Variable]:
    """Yield the registers that hold a variable, each with its PTX lines."""
    name, location = entry.values.get(_NAME), entry.values.get(_LOCATION)
    if entry.tag not in ("parameter", "variable") or not isinstance(name, str):
        return
    code = _code_of(entry, entries)
    if isinstance(location, list):
        if register := _register(location):
            yield Variable(name, register, code, *entry.scope)
    elif isinstance(location, _Reference):
        reader = _Reader(locations, location.offset)
        while reader.more() and (pair := (reader.number(8), reader.number(8))) != (0, 0):
            first, after = (labels[cast("_Reference", reference).label] for reference in pair)
            size = cast("int", reader.number(2))
            reader.at += size
            low, high = max(first, entry.scope[0]), min(after, entry.scope[1])
            register = _register(reader.data[reader.at - size : reader.at])
            if register and low < high:
                yield Variable(name, register, code, low, high)


def _register(expression: list) -> str:
    """Return the register that a location means, "" where it means none."""
    if not expression or expression[0] != _REGISTER:
        return ""
    number = _Reader(expression, 1).unsigned()
    return number.to_bytes(-(-number.bit_length() // 8), "big").decode("ascii", "replace")


def _code_of(entry: _Entry, entries: dict[int, _Entry]) -> str:
    """Return the NumPy type of a variable: "f4" for float, "p8" for a pointer; "" for a type that is no number."""
    for _ in range(8):
        found = entries.get(cast("int", entry.values.get(_TYPE, -1)))
        if found is None:
            return ""
        if found.tag == "pointer":
            return "p8"
        if found.tag == "base":
            letter = _CODES.get(cast("int", found.values.get(_ENCODING, 0)), "")
            return f"{letter}{found.values.get(_SIZE, 4)}" if letter else ""
        entry = found
    return ""

"""The parts of PTX text as dataclasses: operands, instructions, variables, functions, modules. `parser` makes them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

WARP_SIZE = 32
"""What PTX calls WARP_SZ: the number of lanes of a warp. (PTX ISA, "Predefined identifiers")"""

OPAQUE = ("texref", "samplerref", "surfref")
"""Types of variables that only texture and surface instructions may use. They are kept as eight bytes."""

WIDTH = {
    "pred": 1,
    "b8": 1,
    "u8": 1,
    "s8": 1,
    "b16": 2,
    "u16": 2,
    "s16": 2,
    "f16": 2,
    "bf16": 2,
    "b32": 4,
    "u32": 4,
    "s32": 4,
    "f32": 4,
    "f16x2": 4,
    "bf16x2": 4,
    "u16x2": 4,
    "s16x2": 4,
    "tf32": 4,
    "b64": 8,
    "u64": 8,
    "s64": 8,
    "f64": 8,
    "f32x2": 8,
    "b128": 16,
}
"""Bytes of each fundamental type. A predicate is kept as one byte."""


FUNCTIONS = 1 << 62
"""Where the addresses of device functions begin: far above those of memory, which nothing can read or write there."""


@dataclass(frozen=True)
class Register:
    """A register of a function, with the type of its .reg declaration."""

    name: str
    type: str


@dataclass(frozen=True)
class Special:
    """A read-only register of the hardware, such as %tid.x."""

    name: str


@dataclass(frozen=True)
class Immediate:
    """A literal: an int or a float. Literals 0f... and 0d... spell out bytes, which are kept in `raw`."""

    value: int | float
    raw: bytes | None = None

    def negated(self) -> Immediate:
        flipped = None if self.raw is None else self.raw[:-1] + bytes([self.raw[-1] ^ 0x80])
        return Immediate(-self.value, flipped)

    def encode(self, kind: str) -> bytes:
        """Return the bytes of the value as a PTX type. For types of bits and integers, a float becomes a float of their size."""
        size = WIDTH[kind]
        if self.raw is not None and len(self.raw) == size:
            return self.raw
        if isinstance(self.value, float) or kind in ("f16", "f32", "f64"):
            with np.errstate(over="ignore"):  # a number too large for the type is an infinity
                return np.array(self.value, f"f{size}").tobytes()
        return (self.value & (1 << 8 * size) - 1).to_bytes(size, "little")


@dataclass(frozen=True)
class Symbol:
    """The address of a variable or function, plus a byte offset."""

    name: str
    offset: int = 0


@dataclass(frozen=True)
class Address:
    """[base + offset]; base is a Register, a Symbol, or None for an absolute address.

    more: the further operands inside the brackets, as in [texture, {x, y}].
    """

    base: Register | Symbol | None
    offset: int = 0
    more: tuple = ()


@dataclass(frozen=True)
class Vector:
    """`{%r1, %r2}` or `(a, b)`: several operands in the place of one."""

    items: tuple


@dataclass(frozen=True)
class Pair:
    """`%r1|%p1`: a result, and a predicate that the instruction gives besides."""

    first: object
    second: object


@dataclass(frozen=True)
class Not:
    """`!%p1`: a predicate, negated."""

    register: Register


@dataclass(frozen=True)
class Label:
    name: str


@dataclass
class Instruction:
    """An instruction with its operands, its guard, and where it stands in the PTX and in the source."""

    opcode: str  # "ld"
    modifiers: tuple[str, ...]  # ("global", "nc", "f32")
    operands: tuple
    guard: Register | None  # @%p
    guard_negated: bool  # @!%p
    ptx_line: int
    source: tuple[int, int]  # (file number, line), (0, 0) if there is no .loc
    origin: int = 0  # number of the file in which it is written, a header where `source` is the line that called it

    @property
    def name(self) -> str:
        return ".".join((self.opcode, *self.modifiers))


@dataclass
class Variable:
    """A declared variable or parameter, of a module or a function."""

    name: str
    space: str  # global, const, shared, local, param
    type: str
    align: int
    size: int  # bytes; 0 for `extern ... []`
    initial: list = field(default_factory=list)
    refused: str = ""  # why no kernel can use the variable, "" if one can


@dataclass
class Function:
    """A kernel (an .entry) or a device function (.func), with everything declared in it."""

    name: str
    is_entry: bool
    params: list[Variable]
    returns: list[Variable]
    registers: dict[str, Register] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    body: list = field(default_factory=list)  # Instruction and Label, in order
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)  # .branchtargets tables
    has_body: bool = False
    limits: dict[str, tuple[int, ...]] = field(default_factory=dict)  # maxntid, reqntid: threads in x, y, z
    refused: str = ""  # what in the function is not supported, "" if nothing: then the body is empty


def names_in(operand, kind: type) -> list[str]:
    """Return the names of all operands of one kind (Register, Symbol) inside an operand, at any depth."""
    if isinstance(operand, kind):
        return [operand.name]
    if isinstance(operand, tuple):
        return [name for item in operand for name in names_in(item, kind)]
    parts = {Address: ("base", "more"), Vector: ("items",), Pair: ("first", "second"), Not: ("register",)}
    inner = parts.get(type(operand), ())
    return [name for part in inner for name in names_in(getattr(operand, part), kind)]


@dataclass
class Module:
    """Everything that one PTX text declares."""

    functions: dict[str, Function] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    files: dict[int, str] = field(default_factory=dict)
    target: str = ""
    text: str = ""

    def function_address(self, name: str) -> int | None:
        """Return the address by which pointers name a device function; None for a name that is no device function of the module."""
        function = self.functions.get(name)
        if function is None or function.is_entry:
            return None
        return FUNCTIONS + 16 * list(self.functions).index(name)

    def function_at(self, address: int) -> Function | None:
        """Return the device function that an address names, None if there is none."""
        number, rest = divmod(address - FUNCTIONS, 16)
        if rest or not 0 <= number < len(self.functions):
            return None
        function = list(self.functions.values())[number]
        return None if function.is_entry else function

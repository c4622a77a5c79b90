"""The Writer: LLVM IR of one function of the host, line by line, and how PTX's types and operands are said in it.

Every function has the type void(i8*, ...): it gets the address of each result and each parameter, as PTX keeps both in memory.
Registers become stack slots, which LLVM turns into registers of its own.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

from llvmlite import binding

from tinygan_kernels.emulator.errors import EmulatorError, UnsupportedInstruction
from tinygan_kernels.emulator.syntax.ptx import WIDTH, Function, Immediate, Instruction, Register, Special, Symbol

OPAQUE_POINTERS = binding.llvm_version_info[0] >= 16


def pointer(kind: str) -> str:
    """Return LLVM's type of a pointer to `kind`."""
    return "ptr" if OPAQUE_POINTERS else f"{kind}*"


def llvm_type(kind: str) -> str:
    """Return LLVM's type of a value of a PTX type; half precision is kept as its bits."""
    if kind == "pred":
        return "i1"
    return {"f32": "float", "f64": "double"}.get(kind, f"i{8 * WIDTH[kind]}")


def quoted(name: str) -> str:
    """Return a name of PTX as one of LLVM's, without its sign: letters, digits, ., _ and $ are taken as they are."""
    return name if re.fullmatch(r"[-a-zA-Z$._][-a-zA-Z$._0-9]*", name) else '"' + name.replace('"', "_") + '"'


class Surroundings(Protocol):
    """What a Writer asks of the program that its function belongs to (`lowering.Lowering`)."""

    def place(self, ins: Instruction) -> str: ...

    def address(self, name: str, offset: int) -> str | None: ...

    def is_function(self, name: str) -> bool: ...

    def function_type(self, name: str) -> str: ...

    def declare(self, text: str) -> None: ...

    def fault(self, w: Writer, code: int) -> None: ...

    def site(self, w: Writer, size: int, writes: bool) -> int: ...

    def call_extern(self, w: Writer, name: str, values: list[str]) -> str: ...

    def check_ended(self, w: Writer) -> None: ...


class Writer:
    """Writes the IR of one function.

    function: the function; program: knows what variables and functions are called, and numbers the places of accesses
    (`program.lowering.Lowering`).
    """

    def __init__(self, function: Function, program: Surroundings):
        self.function, self.program = function, program
        self.entry: list[str] = []  # stack slots
        self.lines: list[str] = []
        self.count = 0
        self.ins = Instruction("", (), (), None, False, 0, (0, 0))
        self.frame, self.aligned_to, offsets = 0, 16, {}
        for variable in function.variables.values():
            if variable.space == "local":
                self.frame = -(-self.frame // max(variable.align, 1)) * max(variable.align, 1)
                offsets[variable.name] = self.frame
                self.frame += variable.size
                self.aligned_to = max(self.aligned_to, variable.align)
        self.offsets = offsets
        self.tries: list[tuple[int, str]] = []  # the number of each `try`, and the parameter of its result (`unwinding`)
        self.origins: dict[int, int] = {}  # which calls get the function's first parameter plus how much, as their first argument
        self.changing: list[Register] = []  # registers that are written at more than one place
        self.constructs = False  # whether the function is a constructor of what has a destructor

    # -- lines ------------------------------------------------------------------------------------------------------------
    def line(self, text: str) -> None:
        self.lines.append("  " + text)

    def value(self, text: str) -> str:
        """Write an instruction; return the name of its result."""
        self.count += 1
        name = f"%v{self.count}"
        self.line(f"{name} = {text}")
        return name

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def fresh(self) -> str:
        """Return a label that nothing else has."""
        self.count += 1
        return f"L{self.count}"

    def unsupported(self, why: str = "") -> UnsupportedInstruction:
        name = self.ins.name
        return UnsupportedInstruction(f"host code: {name} is not supported{why and f' ({why})'}, at {self.program.place(self.ins)}")

    # -- operands ---------------------------------------------------------------------------------------------------------
    def slot(self, register: Register) -> str:
        return "%" + quoted("r." + register.name)

    def read(self, operand: Any, kind: str) -> str:
        """Return an operand as a value of a PTX type."""
        if isinstance(operand, Register):
            own = llvm_type(operand.type)
            return self.converted(self.value(f"load {own}, {pointer(own)} {self.slot(operand)}"), own, llvm_type(kind))
        if isinstance(operand, Immediate):
            if kind == "pred":
                return "true" if operand.value else "false"
            return self.constant(int.from_bytes(operand.encode(kind), "little"), kind)
        if isinstance(operand, Symbol):
            return self.converted(self.address_of(operand), "i64", llvm_type(kind))
        if isinstance(operand, Special):
            return self.special(operand, kind)
        raise self.unsupported()

    def constant(self, bits: int, kind: str) -> str:
        whole = f"i{8 * WIDTH[kind]}"
        return f"bitcast ({whole} {bits} to {llvm_type(kind)})" if kind in ("f32", "f64") else str(bits)

    def converted(self, value: str, of: str, to: str) -> str:
        """Return the bits of a value as another LLVM type; the upper ones are cut, or zeros."""
        if of == to:
            return value
        if of in ("float", "double"):
            whole = "i32" if of == "float" else "i64"
            return self.converted(self.value(f"bitcast {of} {value} to {whole}"), whole, to)
        if to in ("float", "double"):
            whole = "i32" if to == "float" else "i64"
            return self.value(f"bitcast {whole} {self.converted(value, of, whole)} to {to}")
        return self.value(f"{'trunc' if int(of[1:]) > int(to[1:]) else 'zext'} {of} {value} to {to}")

    def write(self, target: Any, kind: str, value: str) -> None:
        """Write a value of a PTX type into a register; None, for _, drops it."""
        if target is None:
            return
        if not isinstance(target, Register):
            raise self.unsupported()
        own = llvm_type(target.type)
        if kind[0] == "s" and WIDTH[target.type] > WIDTH[kind]:  # a register that is wider than the type gets the sign too
            value = self.value(f"sext {llvm_type(kind)} {value} to i{8 * WIDTH[target.type]}")
            kind = f"b{8 * WIDTH[target.type]}"
        value = self.converted(value, llvm_type(kind), own)
        self.line(f"store {own} {value}, {pointer(own)} {self.slot(target)}")

    def keep(self, register: Register, number: int) -> None:
        """Keep the value that a register has now, under a number."""
        own, kept = llvm_type(register.type), "%" + quoted(f"k{number}.{register.name}")
        self.entry.append(f"  {kept} = alloca {own}")
        self.line(f"store {own} {self.value(f'load {own}, {pointer(own)} {self.slot(register)}')}, {pointer(own)} {kept}")

    def restore(self, register: Register, number: int) -> None:
        """Give a register the value that was kept under a number."""
        own, kept = llvm_type(register.type), "%" + quoted(f"k{number}.{register.name}")
        self.line(f"store {own} {self.value(f'load {own}, {pointer(own)} {kept}')}, {pointer(own)} {self.slot(register)}")

    def address_of(self, symbol: Symbol) -> str:
        """Return the address of a variable, a parameter or a function, as an i64."""
        if symbol.name in self.offsets:
            return self.value(f"add i64 %frame, {self.offsets[symbol.name] + symbol.offset}")
        parameter = self.parameter(symbol.name)
        if parameter is not None:
            at = self.value(f"ptrtoint {pointer('i8')} {parameter} to i64")
            return self.value(f"add i64 {at}, {symbol.offset}")
        known = self.program.address(symbol.name, symbol.offset)
        if known is not None:
            return known
        if self.program.is_function(symbol.name):
            return self.value(
                f"ptrtoint {self.program.function_type(symbol.name)}* @{quoted(symbol.name)} to i64"
                if not OPAQUE_POINTERS
                else f"ptrtoint ptr @{quoted(symbol.name)} to i64"
            )
        raise EmulatorError(f"host code uses {symbol.name}, which nothing defines, at {self.program.place(self.ins)}")

    def parameter(self, name: str) -> str | None:
        """Return the pointer to a parameter or a result, of this function or of a call in it; None for another name."""
        if any(v.name == name for v in (*self.function.params, *self.function.returns)):
            return "%" + quoted("p." + name)
        variable = self.function.variables.get(name)
        return "%" + quoted("p." + name) if variable is not None and variable.space == "param" else None

    def special(self, operand: Special, kind: str) -> str:
        """Return what a special register reads in host code, which is one thread without a grid."""
        if operand.name.startswith(("%ntid", "%nctaid")):
            return "1"
        if operand.name.startswith(("%tid", "%ctaid", "%laneid", "%warpid")):
            return "0"
        raise self.unsupported(f"{operand.name} has no meaning on the host")

    # -- the whole ----------------------------------------------------------------------------------------------------------
    def text(self) -> str:
        """Return the IR of the function."""
        names = [*self.function.returns, *self.function.params]
        head = ", ".join(f"{pointer('i8')} %{quoted('p.' + v.name)}" for v in names)
        slots = []
        for register in self.function.registers.values():
            kind = llvm_type(register.type)
            slots.append(f"  {self.slot(register)} = alloca {kind}")
        for variable in self.function.variables.values():
            if variable.space == "param":
                size, name = max(variable.size, 8), quoted("p." + variable.name)
                if OPAQUE_POINTERS:
                    slots.append(f"  %{name} = alloca [{size} x i8], align 16")
                else:
                    room = quoted("a." + variable.name)
                    slots.append(f"  %{room} = alloca [{size} x i8], align 16")
                    slots.append(f"  %{name} = bitcast [{size} x i8]* %{room} to i8*")
        body = "\n".join([*slots, *self.entry, *self.lines])
        how = " noinline optnone" if self.tries else ""  # LLVM takes minutes over a large function that goes on at many places
        return f"define void @{quoted(self.function.name)}({head}){how} {{\nentry:\n{body}\n}}\n"

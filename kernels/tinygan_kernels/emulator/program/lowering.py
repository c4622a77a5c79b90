"""Host code becomes machine code: the PTX of the functions that `main` reaches, as LLVM IR, with every access checked.

A load or a store is carried out where the address lies in the range of memory that the same place met last; else the process is
asked, which knows what the address means, and ends the program where host code may not touch it. So a loop over an array costs a
comparison an access.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.syntax.ptx import (
    WIDTH,
    Address,
    Function,
    Immediate,
    Instruction,
    Label,
    Module,
    Register,
    Symbol,
    Vector,
    names_in,
)

from . import arithmetic, instructions
from .calls import parts_of_call
from .libraries import HALF_CONVERSIONS, MATH
from .process import in_algorithm
from .symbols import Symbols
from .unwinding import Unwinding
from .writer import OPAQUE_POINTERS, Writer, llvm_type, pointer, quoted

Operands = tuple[Any, ...]
_NOTHING = ("membar", "fence", "nanosleep", "pragma")
FRAME = 512
"""Bytes of the emulated stack that a call takes at least, so that endless recursion ends there and not on the real stack."""


class Lowering:
    """Writes the IR of `main` and of all that it reaches.

    module: the parsed PTX; known: the names of its variables and kernels that have an address; externs: the names of functions of
    the process that take 64-bit integers (the address of what is longer) and return one; place: source line of a location;
    symbols: gets the names of what has an address, among them the cells of the process's state (stack_top, stack_end, ended, and
    `sites`, a table of two 64-bit words for each place of an access); unwinding: what writes the exceptions, in a program that
    catches some.

    After `ir`: functions, those that were written; sites: (instruction, how many bytes, whether it writes) of each place.
    """

    def __init__(
        self,
        module: Module,
        known: Collection[str],
        externs: Collection[str],
        place: Callable[[tuple[int, int]], str],
        symbols: Symbols,
        unwinding: Unwinding | None = None,
    ):
        self.unwinding = unwinding
        self.own_files: set[int] = set()  # whose calls are noted, where functions of the library are not inlined
        self.module, self.known, self.externs, self.symbols, self.place_of = module, known, externs, symbols, place
        self.sites: list[tuple[Instruction, int, bool]] = []
        self.declared: set[str] = set()
        self.functions: list[Function] = []

    def place(self, ins: Instruction) -> str:
        return self.place_of(ins.source)

    def address(self, name: str, offset: int) -> str | None:
        return self.symbols.address(f"at.{name}", offset) if name in self.known else None

    def is_function(self, name: str) -> bool:
        function = self.module.functions.get(name)
        return function is not None and function.has_body and not function.is_entry

    def function_type(self, name: str) -> str:
        function = self.module.functions[name]
        return f"void ({', '.join(['i8*'] * (len(function.returns) + len(function.params)))})"

    def declare(self, text: str) -> None:
        self.declared.add(text)

    def reach(self, *starts: str) -> None:
        """Find the functions that code from these on may call, through variables (tables of virtual functions) too."""
        work, variables = [*starts], set()
        while work:
            name = work.pop()
            function = self.module.functions.get(name)
            if function is not None and function.has_body and not function.is_entry and function not in self.functions:
                self.functions.append(function)
                for ins in function.body:
                    if isinstance(ins, Instruction):
                        work += names_in(ins.operands, Symbol)
                if self.unwinding is not None:
                    work += self.unwinding.also_reached(function)
            variable = self.module.variables.get(name)
            if variable is not None and name not in variables:
                variables.add(name)
                work += [value.name for value in variable.initial if isinstance(value, Symbol)]

    def ir(self, *starts: str) -> str:
        """Return the IR of these functions and of all that they reach."""
        self.reach(*starts)
        for function in self.functions:
            if function.refused:
                raise EmulatorError(f"host code: {function.refused} of the PTX")
        bodies = [_function(self, function) for function in self.functions]
        helpers = [HALF_CONVERSIONS] + ([self.unwinding.helpers()] if self.unwinding is not None else [])
        declared = [self.symbols.declarations(), *sorted(self.declared)]
        return "\n".join([*declared, *helpers, *bodies, '!0 = !{!"branch_weights", i32 1000, i32 1}'])

    # -- what functions share -----------------------------------------------------------------------------------------------
    def cell(self, w: Writer, name: str, kind: str = "i64") -> str:
        """Return a pointer to a word of the process's state, with its type."""
        return self.symbols.at(f"cell.{name}", kind)

    def fault(self, w: Writer, code: int) -> None:
        """End the program: 1, the stack is used up; 2, a division by zero; 3, a trap; 4, a quotient too large."""
        self.call_extern(w, "host_fault", [str(code), str(self.site(w, 0, False))])
        w.line("br label %leave")

    def site(self, w: Writer, size: int, writes: bool) -> int:
        self.sites.append((w.ins, size, writes))
        return len(self.sites) - 1

    def call_extern(self, w: Writer, name: str, values: list[str]) -> str:
        """Call a function of the process with 64-bit integers; return its result."""
        kind = f"i64 ({', '.join(['i64'] * len(values))})"
        target = f"inttoptr (i64 {self.symbols.address(f'extern.{name}')} to {pointer(kind)})"
        return w.value(f"call i64 {target}({', '.join(f'i64 {v}' for v in values)})")

    def check_ended(self, w: Writer) -> None:
        """Leave the function where the program has ended meanwhile."""
        ended = w.value(f"load volatile i8, {self.cell(w, 'ended', 'i8')}")
        yes, on = w.value(f"icmp ne i8 {ended}, 0"), w.fresh()
        w.line(f"br i1 {yes}, label %leave, label %{on}")
        w.label(on)

    def checked(self, w: Writer, address: str, size: int, writes: bool) -> None:
        """Write the check of an access: is the address in the range that this place met last, else what does the process say."""
        number = self.site(w, size, writes)
        low, room = (w.value(f"load i64, {self.symbols.at('cell.sites', offset=16 * number + k)}") for k in (0, 8))
        offset = w.value(f"sub i64 {address}, {low}")
        known, ask, on = w.value(f"icmp ult i64 {offset}, {room}"), w.fresh(), w.fresh()
        w.line(f"br i1 {known}, label %{on}, label %{ask}, !prof !0")
        w.label(ask)
        refused = self.call_extern(w, "host_check", [address, str(size), str(number)])
        bad = w.value(f"icmp ne i64 {refused}, 0")
        w.line(f"br i1 {bad}, label %leave, label %{on}")
        w.label(on)


def _function(program: Lowering, function: Function) -> str:
    """Return the IR of a function."""
    w = Writer(function, program)
    w.ins = next((i for i in function.body if isinstance(i, Instruction)), w.ins)
    top = program.cell(w, "stack_top")
    w.line(f"%below = load i64, {top}")
    if w.aligned_to > 16:
        w.line(f"%beyond = add i64 %below, {w.aligned_to - 1}")
        w.line(f"%frame = and i64 %beyond, {-w.aligned_to}")
    else:
        w.line("%frame = add i64 %below, 0")
    unwinding = program.unwinding
    if unwinding is not None:
        unwinding.begin(w)
    after = w.value(f"add i64 %frame, {-(-max(w.frame, FRAME) // 16) * 16}")
    full = w.value(f"icmp ugt i64 {after}, {program.symbols.address('cell.stack_end')}")
    w.line(f"br i1 {full}, label %overflow, label %begin")
    w.label("overflow")
    program.fault(w, 1)
    w.label("begin")
    w.line(f"store i64 {after}, {top}")
    seen: set[str] = set()
    for item in function.body:
        if isinstance(item, Label):
            name = quoted("B." + item.name)
            w.line(f"br label %{name}")
            w.label(name)
            seen.add(item.name)
        else:
            w.ins = item
            _instruction(program, w, item, seen)
    w.line("br label %leave")
    w.label("leave")
    if unwinding is not None:
        unwinding.leave(w, top, after)
    w.line(f"store i64 %below, {top}")
    w.line("ret void")
    return w.text()


def _instruction(program: Lowering, w: Writer, ins: Instruction, seen: set[str]) -> None:
    """Write one instruction. seen: the labels before it; a jump to one of them is a loop's, where an interruption is noticed."""
    guard = None
    if ins.guard is not None:
        guard = w.read(ins.guard, "pred")
        guard = w.value(f"xor i1 {guard}, true") if ins.guard_negated else guard
    if ins.opcode == "bra":
        _jump(program, w, ins.operands[0].name, guard, seen)
        return
    on = ""
    if guard is not None:
        do, on = w.fresh(), w.fresh()
        w.line(f"br i1 {guard}, label %{do}, label %{on}")
        w.label(do)
    _unguarded(program, w, ins)
    if on:
        w.line(f"br label %{on}")
        w.label(on)


def _jump(program: Lowering, w: Writer, name: str, guard: str | None, seen: set[str]) -> None:
    target, on = quoted("B." + name), w.fresh()
    if guard is None:
        if name in seen:
            program.check_ended(w)
        w.line(f"br label %{target}")
        w.label(on)
        return
    jump = w.fresh()
    w.line(f"br i1 {guard}, label %{jump}, label %{on}")
    w.label(jump)
    if name in seen:
        program.check_ended(w)
    w.line(f"br label %{target}")
    w.label(on)


def _unguarded(program: Lowering, w: Writer, ins: Instruction) -> None:
    opcode = ins.opcode
    if opcode in instructions.TABLE:
        instructions.TABLE[opcode](w)
    elif opcode in ("ld", "ldu", "st"):
        _access(program, w, ins)
    elif opcode == "call":
        _call(program, w, ins)
    elif opcode in ("ret", "exit"):
        w.line("br label %leave")
        w.label(w.fresh())
    elif opcode == "trap":
        program.fault(w, 3)
        w.label(w.fresh())
    elif opcode == "brx":
        _switch(w, ins)
    elif opcode not in _NOTHING:
        raise w.unsupported()


def _switch(w: Writer, ins: Instruction) -> None:
    """brx.idx: jump by a table; its index is inside of it."""
    index, table = ins.operands
    labels = w.function.targets[table.name]
    cases = " ".join(f"i32 {i}, label %{quoted('B.' + name)}" for i, name in enumerate(labels))
    w.line(f"switch i32 {w.read(index, 'u32')}, label %{quoted('B.' + labels[0])} [{cases}]")
    w.label(w.fresh())


def _access(program: Lowering, w: Writer, ins: Instruction) -> None:
    """Load or store one element, or two or four of them, side by side."""
    kind, loads = ins.modifiers[-1], ins.opcode != "st"
    where, what = ins.operands if not loads else reversed(ins.operands)
    items = what.items if isinstance(what, Vector) else (what,)
    if not isinstance(where, Address) or where.more:
        raise w.unsupported()
    size, t = WIDTH[kind], llvm_type(kind)
    base = w.parameter(where.base.name) if isinstance(where.base, Symbol) else None
    if base is not None:
        at = w.value(f"ptrtoint {pointer('i8')} {base} to i64")
        at = w.value(f"add i64 {at}, {where.offset}")
    else:
        start = "0" if where.base is None else w.read(where.base, "u64")
        at = w.value(f"add i64 {start}, {where.offset}")
        own = isinstance(where.base, Symbol) and where.base.name in w.offsets
        if not own and "param" not in ins.modifiers:
            program.checked(w, at, size * len(items), not loads)
    for i, item in enumerate(items):
        if item is None:
            continue
        place = w.value(f"add i64 {at}, {size * i}") if i else at
        place = w.value(f"inttoptr i64 {place} to {pointer(t)}")
        if loads:
            w.write(item, kind, w.value(f"load {t}, {pointer(t)} {place}, align 1"))
        else:
            w.line(f"store {t} {w.read(item, kind)}, {pointer(t)} {place}, align 1")


def _call(program: Lowering, w: Writer, ins: Instruction) -> None:
    callee, returns, arguments = parts_of_call(ins)
    unwinding, named = program.unwinding, isinstance(callee, Symbol)
    if ins.source[0] in program.own_files:
        w.line(f"store i64 {program.site(w, 0, False)}, {program.cell(w, 'caller')}")
    if named and unwinding and unwinding.writes_call(w, callee.name, [v.name for v in returns], [v.name for v in arguments]):
        return
    if isinstance(callee, Register):
        _call_through_pointer(w, callee, returns, arguments)
    elif program.is_function(callee.name):
        if callee.name.startswith("_ZN3cub"):
            _tell_place(program, w)
        pointers = ", ".join(f"{pointer('i8')} {w.parameter(v.name)}" for v in (*returns, *arguments))
        w.line(f"call void @{quoted(callee.name)}({pointers})")
    elif callee.name in MATH:
        _call_math(w, callee.name, returns, arguments)
        return
    elif callee.name in program.externs:
        _call_process(program, w, callee.name, returns, arguments)
    else:
        raise EmulatorError(
            f"host code calls {callee.name}, which nothing defines, at {program.place(ins)}: of the C library and the CUDA runtime "
            "the emulator has what docs/emulator.md lists"
        )
    program.check_ended(w)
    if named and unwinding:
        unwinding.after_call(w, callee.name, arguments[0].name if arguments else None)


def _call_through_pointer(w: Writer, callee: Register, returns: Operands, arguments: Operands) -> None:
    pointers = [f"{pointer('i8')} {w.parameter(v.name)}" for v in (*returns, *arguments)]
    kind = f"void ({', '.join([pointer('i8')] * len(pointers))})"
    address = w.read(callee, "u64")
    w.program.call_extern(w, "host_jump", [address, str(w.program.site(w, 0, False))])
    w.program.check_ended(w)
    target = w.value(f"inttoptr i64 {address} to {pointer(kind)}")
    w.line(f"call void {target}({', '.join(pointers)})")


def _call_math(w: Writer, name: str, returns: Operands, arguments: Operands) -> None:
    native, kind, _ = MATH[name]
    t = llvm_type(kind)
    values = [w.value(f"load {t}, {pointer(t)} {_typed(w, v.name, t)}") for v in arguments]
    result = arithmetic.call(w, native, kind, *values)
    w.line(f"store {t} {result}, {pointer(t)} {_typed(w, returns[0].name, t)}")


def _typed(w: Writer, name: str, t: str) -> str:
    """Return the pointer to a parameter as one of a type."""
    place = w.parameter(name) or ""
    return place if OPAQUE_POINTERS else w.value(f"bitcast i8* {place} to {t}*")


def _call_process(program: Lowering, w: Writer, name: str, returns: Operands, arguments: Operands) -> None:
    """Call a function of the process, first telling it where the program is."""
    values = []
    for symbol in arguments:
        size = w.function.variables[symbol.name].size
        place = w.parameter(symbol.name)
        if size > 8:
            values.append(w.value(f"ptrtoint {pointer('i8')} {place} to i64"))
            continue
        t = f"i{8 * size}"
        values.append(w.converted(w.value(f"load {t}, {pointer(t)} {_typed(w, symbol.name, t)}"), t, "i64"))
    _tell_place(program, w)
    result = program.call_extern(w, name, values)
    if returns:
        size = w.function.variables[returns[0].name].size
        t = f"i{8 * size}"
        w.line(f"store {t} {w.converted(result, 'i64', t)}, {pointer(t)} {_typed(w, returns[0].name, t)}")


def _tell_place(program: Lowering, w: Writer) -> None:
    """Let the process know where the program is. While one of cub's algorithms runs, that is the line that calls it."""
    if not in_algorithm(program.place(w.ins)):
        w.line(f"store i64 {program.site(w, 0, False)}, {program.cell(w, 'site')}")


def initial_bytes(value: Any, kind: str, addresses: dict[str, int]) -> bytes | None:
    """Return the bytes of one element of a variable's initial value; None for the address of what has none."""
    if isinstance(value, Immediate):
        return value.encode(kind)
    found = addresses.get(value.name)
    return None if found is None else np.uint64(found + value.offset).tobytes()

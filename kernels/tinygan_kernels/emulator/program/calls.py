"""What a function of PTX tells of its calls and registers, for `unwinding` and `lowering`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tinygan_kernels.emulator.syntax.ptx import Address, Function, Immediate, Instruction, Register, Symbol, Vector, names_in


def registers_written_again(function: Function) -> list[Register]:
    """Return the registers that more than one instruction writes. Another one that a clause reads was written before its `try`."""
    written = Counter(
        name
        for ins in function.body
        if isinstance(ins, Instruction) and ins.opcode not in ("st", "call", "bra") and ins.operands
        for name in names_in(ins.operands[0], Register)
    )
    return [register for name, register in function.registers.items() if written[name] > 1]


def offsets_of_objects(function: Function) -> dict[int, int]:
    """Return, for each call whose first argument is the first parameter of the function plus a constant, that constant, by the
    identity of the call.
    """
    if not function.params:
        return {}
    registers: dict[str, int] = {}
    given: dict[str, int | None] = {}
    found: dict[int, int] = {}
    for ins in function.body:
        if not isinstance(ins, Instruction):
            continue
        if ins.opcode == "ld" and "param" in ins.modifiers and isinstance(ins.operands[1], Address):
            where = ins.operands[1]
            if isinstance(where.base, Symbol) and where.base.name == function.params[0].name and not where.offset:
                registers[ins.operands[0].name] = 0
        elif ins.opcode == "st" and "param" in ins.modifiers and isinstance(ins.operands[0].base, Symbol):
            value = ins.operands[1]
            given[ins.operands[0].base.name] = registers.get(value.name) if isinstance(value, Register) else None
        elif ins.opcode in ("mov", "add") and isinstance(ins.operands[0], Register):
            source, more = ins.operands[1], ins.operands[2] if ins.opcode == "add" else None
            if isinstance(source, Register) and source.name in registers and (more is None or isinstance(more, Immediate)):
                registers[ins.operands[0].name] = registers[source.name] + (int(more.value) if more is not None else 0)
        elif ins.opcode == "call":
            _, _, arguments = parts_of_call(ins)
            if arguments and (origin := given.get(arguments[0].name)) is not None:
                found[id(ins)] = origin
    return found


def parts_of_call(ins: Instruction) -> tuple[Symbol | Register, tuple[Any, ...], tuple[Any, ...]]:
    """Return what a call calls, the parameters of its results and those of its arguments."""
    vectors = [o for o in ins.operands if isinstance(o, Vector)]
    at = next(i for i, o in enumerate(ins.operands) if isinstance(o, (Symbol, Register)))
    returns = ins.operands[0].items if at else ()
    return ins.operands[at], returns, vectors[-1].items if len(vectors) > (1 if at else 0) else ()

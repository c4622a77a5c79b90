"""Calls: the operands of a call instruction, which functions a call through a pointer may reach, and which functions recur."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tinygan_kernels.emulator.errors import EmulatorError, UnsupportedInstruction

from .ptx import Function, Instruction, Module, Register, Symbol, Variable, Vector, names_in


@dataclass(frozen=True)
class Call:
    """A call instruction, taken apart: a Symbol or the Register with a function's address, arguments and results by name."""

    target: Symbol | Register
    arguments: tuple[str, ...]
    returns: tuple[str, ...]


def call_of(instruction: Instruction) -> Call:
    """Take a call instruction apart.

    Raises EmulatorError for one without a function, UnsupportedInstruction for arguments that are no .param variables.
    """
    operands = instruction.operands
    at = next((i for i, operand in enumerate(operands) if isinstance(operand, Symbol | Register)), None)
    if at is None:
        raise EmulatorError(f"not PTX: {instruction.name} without a function at PTX line {instruction.ptx_line}")
    given = next((o.items for o in operands[at + 1 :] if isinstance(o, Vector)), ())
    results = operands[0].items if at and isinstance(operands[0], Vector) else ()
    if not all(isinstance(item, Symbol) for item in (*given, *results)):
        what = "arguments and results of a call have to be .param variables"
        raise UnsupportedInstruction(f"not supported: {what}, at line {instruction.ptx_line} of the PTX")
    return Call(operands[at], tuple(item.name for item in given), tuple(item.name for item in results))


def calls_of(function: Function) -> Iterator[Instruction]:
    """Yield the call instructions of a function."""
    return (i for i in function.body if isinstance(i, Instruction) and i.opcode == "call")


def pointed_to(module: Module) -> list[Function]:
    """Return the device functions whose address the module takes, in a variable or in an instruction other than a call of it."""
    names = {value.name for variable in module.variables.values() for value in variable.initial if isinstance(value, Symbol)}
    for function in module.functions.values():
        for item in function.body:
            if isinstance(item, Instruction):
                named = names_in(item.operands, Symbol)
                direct = call_of(item).target if item.opcode == "call" else None
                names.update(name for name in named if not (isinstance(direct, Symbol) and name == direct.name))
    return [f for name, f in module.functions.items() if name in names and f.has_body and not f.is_entry]


def sizes(variables: Iterable[Variable]) -> list[int]:
    """Return the bytes of each parameter: a call through a pointer reaches functions whose parameters have the sizes of its own."""
    return [variable.size for variable in variables]


def recurring(names: Iterable[str], callees: Callable[[str], set[str]]) -> dict[str, set[str]]:
    """Return, for each function that can be active more than once at a time, the functions on a cycle of calls with it."""
    reached: dict[str, set[str]] = {}
    for name in names:
        found: set[str] = set()
        work = [name]
        while work:
            for callee in callees(work.pop()):
                if callee not in found:
                    found.add(callee)
                    work.append(callee)
        reached[name] = found
    return {name: {other for other in found if name in reached[other]} for name, found in reached.items() if name in found}

"""Which array an address belongs to: the one that the address was computed from.

An access past the end of one array and inside the next is no fault for the hardware. But C++ lets no pointer lead from one array
into another, so where the registers of an address all come from one shared array, or from one pointer among the kernel's
parameters, the access has to lie in that array.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple
from weakref import WeakKeyDictionary

from tinygan_kernels.emulator.execute.memory import GlobalMemory, Memory
from tinygan_kernels.emulator.syntax.ptx import Address, Function, Instruction, Register, Symbol, names_in
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

_ACCESSES = ("ld", "st", "atom", "red", "cp", "ldmatrix")
_UNKNOWN = "?"
_MOVES = ("mov", "selp", "cvta", "cvt")
_SUMS = ("add", "sub", "mad", "or", "and", "shl", "mul", "fma")


class Extent(NamedTuple):
    """A shared array: its name in the source, and the addresses that it takes, up to `end`."""

    name: str
    start: int
    end: int


_KNOWN: WeakKeyDictionary[TranslatedKernel, dict[int, dict[int, Extent]]] = WeakKeyDictionary()


def extents_of(kernel: TranslatedKernel, dynamic: int) -> dict[int, Extent]:
    """Return {PTX line of an access: the array it has to lie in}. dynamic: bytes of dynamic shared memory.

    Accesses whose address may come from several arrays, or from elsewhere, are left out. The result is kept with the kernel, as
    finding it takes longer than a small launch.
    """
    known = _KNOWN.setdefault(kernel, {})
    if dynamic not in known:
        known[dynamic] = _found(kernel, dynamic)
    return known[dynamic]


_PARAMETERS: WeakKeyDictionary[TranslatedKernel, dict[int, frozenset[str]]] = WeakKeyDictionary()


def parameters_of(kernel: TranslatedKernel) -> dict[int, frozenset[str]]:
    """Return {PTX line of an access to global memory: the kernel's parameters of 64 bits that its address is computed from}.

    Accesses whose address may come from elsewhere are left out. The result is kept with the kernel.
    """
    if kernel not in _PARAMETERS:
        pointers = {p.name: Extent(p.name, 0, 0) for p in kernel.entry.params if p.size == 8}
        body = [i for i in kernel.entry.body if isinstance(i, Instruction)]
        origins = _origins(body, pointers)
        found = {}
        for ins, addresses in _alone_on_their_lines(body):
            if not {"shared", "local"} & set(ins.modifiers):
                base = addresses[-1 if ins.opcode == "cp" else 0].base  # cp.async reads at its second address
                names = origins.get(getattr(base, "name", ""), set())
                if names and _UNKNOWN not in names:
                    found[ins.ptx_line] = frozenset(names)
        _PARAMETERS[kernel] = found
    return _PARAMETERS[kernel]


def homes_of(kernel: TranslatedKernel, memory: GlobalMemory) -> dict[int, Memory]:
    """Return {PTX line of an access: the range of memory that it has to lie in}, as the kernel's arguments are now."""
    words = {p.name: kernel.params[p.name] for p in kernel.entry.params if p.size == 8}
    ranges = {name: memory.find(int(kernel.param_buffer[at : at + 8].view("u8")[0])) for name, at in words.items()}
    homes = {}
    for line, names in parameters_of(kernel).items():
        found = [r for name in names if (r := ranges[name]) is not None]
        if len(found) == 1:
            homes[line] = found[0]
    return homes


def _found(kernel: TranslatedKernel, dynamic: int) -> dict[int, Extent]:
    arrays = _arrays(kernel, dynamic)
    if len({(a.start, a.end) for a in arrays.values()}) < 2:
        return {}
    found: dict[int, Extent] = {}
    for function in kernel.module.functions.values():
        if function.has_body:
            found |= _in_function(function, {n: a for (owner, n), a in arrays.items() if owner in ("", function.name)})
    return found


def _arrays(kernel: TranslatedKernel, dynamic: int) -> dict[tuple[str, str], Extent]:
    """Return the shared variables of a kernel by (function or "", name)."""
    functions, arrays = kernel.module.functions, {}
    for (owner, name), offset in kernel.offsets.items():
        variable = (functions[owner].variables if owner else kernel.module.variables)[name]
        if variable.space == "shared":
            end = offset + variable.size if variable.size else kernel.static_shared + dynamic
            arrays[owner, name] = Extent(plain_name(name), offset, end)
    return arrays


def plain_name(name: str) -> str:
    """Return the name that a static variable has in the source: _ZZ1kE4tile is tile."""
    for match in re.finditer(r"\d+", name):
        rest = name[match.end() :]
        if name.startswith("_Z") and rest and len(re.sub(r"_\d+$", "", rest)) == int(match.group()):
            return rest
    return name


def _in_function(function: Function, arrays: dict[str, Extent]) -> dict[int, Extent]:
    """Return the arrays of one function's accesses."""
    instructions = [i for i in function.body if isinstance(i, Instruction)]
    origins = _origins(instructions, arrays)
    found = {}
    for ins, addresses in _alone_on_their_lines(instructions):
        base = addresses[0].base
        names = {base.name} if isinstance(base, Symbol) else origins.get(getattr(base, "name", ""), set())
        if len(names) == 1 and (name := next(iter(names))) in arrays:
            found[ins.ptx_line] = arrays[name]
    return found


def _alone_on_their_lines(instructions: list[Instruction]) -> list[tuple[Instruction, list[Address]]]:
    """Return the accesses to memory with their addresses, but for lines of PTX with several: those are known by line alone."""
    accesses = []
    for ins in instructions:
        addresses = [o for o in ins.operands if isinstance(o, Address)]
        if ins.opcode in _ACCESSES and addresses and "param" not in ins.modifiers:
            accesses.append((ins, addresses))
    on_line = Counter(ins.ptx_line for ins, _ in accesses)
    return [(ins, addresses) for ins, addresses in accesses if on_line[ins.ptx_line] == 1]


def _origins(instructions: list[Instruction], arrays: dict[str, Extent]) -> dict[str, set[str]]:
    """Return, for each register, the arrays that its value may be an address of; _UNKNOWN stands for anything else."""
    origins: dict[str, set[str]] = {}
    writes = [i for i in instructions if i.operands and i.opcode not in ("st", "red", "bra", "bar", "barrier", "setp")]
    touched = True
    while touched:
        touched = False
        for ins in writes:
            made = _made(ins, origins, arrays)
            for name in names_in(ins.operands[0], Register):
                have = origins.setdefault(name, set())
                if not made <= have:
                    have |= made
                    touched = True
    return origins


def _made(ins: Instruction, origins: dict[str, set[str]], arrays: dict[str, Extent]) -> set[str]:
    """Return what an instruction's result may be an address of. Empty while nothing is known of its operands."""
    sources = ins.operands[1:]
    named = {n for n in names_in(sources, Symbol) if n in arrays}
    registers = names_in(sources, Register)
    if ins.opcode == "ld":
        read = [o.base.name for o in sources if isinstance(o, Address) and isinstance(o.base, Symbol) and not o.offset]
        return {n for n in read if n in arrays} if "param" in ins.modifiers and read and read[0] in arrays else {_UNKNOWN}
    each = [origins.get(r, set()) for r in registers]
    known = named.union(*each)
    if ins.opcode in _MOVES:
        return known or (set() if registers else {_UNKNOWN})
    if ins.opcode in _SUMS:
        real = known - {_UNKNOWN}
        parts = sum(bool(e - {_UNKNOWN}) for e in each) + len(named)
        if ins.opcode == "sub" and parts > 1:
            return {_UNKNOWN}
        return real or (known if registers else {_UNKNOWN})
    return {_UNKNOWN}

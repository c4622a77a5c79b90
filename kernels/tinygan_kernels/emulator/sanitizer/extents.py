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
from tinygan_kernels.emulator.syntax.ptx import Address, Function, Immediate, Instruction, Register, Symbol, names_in
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

_ACCESSES = ("ld", "st", "atom", "red", "cp", "ldmatrix")
_MOVES = ("mov", "selp", "cvta", "cvt")
_ELSEWHERE, _NUMBER, _OF = "?", "#", "-"
"""What a register may hold besides the address of an array by its name: an address from elsewhere, or any value that was read; a
number; and, before the name of an array, a number that was computed from its address."""
_OFFSETS, _ADDRESSES = 1 << 16, 1 << 47
"""A mask below the first leaves an offset of an address and no address. Between the two a process has its memory."""


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

    A parameter that gave a number only, as the difference of two pointers does, has a "-" before its name. Accesses whose address
    may come from elsewhere are left out. The result is kept with the kernel.
    """
    if kernel not in _PARAMETERS:
        names = {p.name for p in kernel.entry.params if p.size == 8}
        body = [i for i in kernel.entry.body if isinstance(i, Instruction)]
        origins = _origins(body, set(), names)
        found = {}
        for ins, addresses in _alone_on_their_lines(body):
            at = _global_operand(ins)
            base = addresses[at].base if at is not None and at < len(addresses) else None
            held = origins.get(base.name, {_ELSEWHERE}) if isinstance(base, Register) else {_ELSEWHERE}
            if _ELSEWHERE not in held and held & names:
                found[ins.ptx_line] = frozenset(held - {_NUMBER})
        _PARAMETERS[kernel] = found
    return _PARAMETERS[kernel]


def _global_operand(ins: Instruction) -> int | None:
    """Return which of an access's addresses is that of global memory, None if none is. A copy names its target's space first."""
    spaces = [m.partition("::")[0] for m in ins.modifiers]
    spaces = [s for s in spaces if s in ("global", "shared", "local")]
    return (spaces or ["global"]).index("global") if "global" in spaces or not spaces else None


def homes_of(kernel: TranslatedKernel, memory: GlobalMemory) -> dict[int, Memory]:
    """Return {PTX line of an access: the range of memory that it has to lie in}, as the kernel's arguments are now.

    Accesses that may belong to an array which no argument is, but whose address one holds, are left out.
    """
    words = {p.name: kernel.params[p.name] for p in kernel.entry.params if p.size == 8}
    values = {name: int(kernel.param_buffer[at : at + 8].view("u8")[0]) for name, at in words.items()}
    ranges = {name: memory.find(value) for name, value in values.items()}
    unknown = {name for name, value in values.items() if ranges[name] is None and _OFFSETS <= value < _ADDRESSES}
    homes = {}
    for line, held in parameters_of(kernel).items():
        names = {name for name in held if not name.startswith(_OF)}
        found = [r for name in names if (r := ranges[name]) is not None]
        from_numbers = any(ranges[name[1:]] is not None for name in held - names)
        if len(found) == 1 and not from_numbers and not names & unknown:
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
    origins = _origins(instructions, set(arrays), set())
    found = {}
    for ins, addresses in _alone_on_their_lines(instructions):
        if "bulk" in ins.modifiers:  # it touches an array and an mbarrier, on one line
            continue
        base = addresses[0].base
        names = {base.name} if isinstance(base, Symbol) else origins.get(getattr(base, "name", ""), set()) - {_NUMBER}
        if len(names) == 1 and (name := next(iter(names))) in arrays:
            found[ins.ptx_line] = arrays[name]
    return found


def _alone_on_their_lines(instructions: list[Instruction]) -> list[tuple[Instruction, list[Address]]]:
    """Return the accesses to memory with their addresses, but for lines of PTX with several: those are known by line alone."""
    accesses = []
    for ins in instructions:
        addresses = [o for o in ins.operands if isinstance(o, Address)]
        if ins.opcode in _ACCESSES and addresses and not {"param", "tensor"} & set(ins.modifiers):  # a map names the tensor's place
            accesses.append((ins, addresses))
    on_line = Counter(ins.ptx_line for ins, _ in accesses)
    return [(ins, addresses) for ins, addresses in accesses if on_line[ins.ptx_line] == 1]


def _origins(instructions: list[Instruction], variables: set[str], parameters: set[str]) -> dict[str, set[str]]:
    """Return, for each register, what its value may be: names of `variables` whose address it is, or of `parameters` that hold it;
    _ELSEWHERE, _NUMBER; and names with _OF before them.
    """
    origins: dict[str, set[str]] = {}
    skipped = ("bra", "bar", "barrier", "setp")
    writing = [i for i in instructions if i.operands and i.opcode not in skipped and not isinstance(i.operands[0], Address)]
    writes = [(names_in(i.operands[0], Register), i) for i in writing]
    sources = {name for _, i in writes for name in names_in(i.operands[1:], Register)}
    _settle(origins, writes, variables, parameters)
    for name in sources - {name for name, held in origins.items() if held}:
        origins[name] = {_ELSEWHERE}  # nothing that is looked at here writes it
    _settle(origins, writes, variables, parameters)
    return origins


def _settle(origins: dict[str, set[str]], writes: list, variables: set[str], parameters: set[str]) -> None:
    """Add to `origins` what the instructions `writes` put into their targets, until nothing more comes of it."""
    touched = True
    while touched:
        touched = False
        for targets, ins in writes:
            made = _made(ins, origins, variables, parameters)
            for name in targets:
                have = origins.setdefault(name, set())
                if not made <= have:
                    have |= made
                    touched = True


def _made(ins: Instruction, origins: dict[str, set[str]], variables: set[str], parameters: set[str]) -> set[str]:
    """Return what an instruction's result may be. Empty while nothing is known of its operands."""
    sources = ins.operands[1:]
    if ins.opcode == "call" or any(isinstance(o, Address) for o in sources):
        read = [o.base.name for o in sources if isinstance(o, Address) and isinstance(o.base, Symbol) and not o.offset]
        whole = ins.opcode == "ld" and "param" in ins.modifiers and read and read[0] in parameters
        return {read[0]} if whole else {_ELSEWHERE}
    each = [_held(operand, origins, variables) for operand in sources]
    if ins.opcode in _MOVES:
        return set().union(*(each[:-1] if ins.opcode == "selp" else each))
    if ins.opcode in ("add", "or"):
        return _sum(each)
    if ins.opcode == "mad":
        return _sum([*map(_numbers, each[:-1]), each[-1]])
    if ins.opcode == "sub":
        return _difference(*each[:2])
    if ins.opcode == "and" and len(each) == 2:
        masks = [o.value for o in sources if isinstance(o, Immediate)]
        if not masks:  # either the address of what lies around, or an offset in that
            return _sum(each) | _numbers(set().union(*each))
        if not 0 <= masks[0] < _OFFSETS:
            return _sum(each)
    return _numbers(set().union(*each)) if each else {_ELSEWHERE}


def _held(operand: object, origins: dict[str, set[str]], variables: set[str]) -> set[str]:
    """Return what an operand may be."""
    registers, symbols = names_in(operand, Register), names_in(operand, Symbol)
    found = {name if name in variables else _ELSEWHERE for name in symbols}.union(*(origins.get(r, set()) for r in registers))
    if registers or symbols:
        return found
    large = isinstance(operand, Immediate) and isinstance(operand.value, int) and _OFFSETS <= operand.value < _ADDRESSES
    return {_ELSEWHERE} if large else {_NUMBER}


def _named(held: set[str]) -> set[str]:
    """Return the arrays whose addresses are among what a register may hold."""
    return {name for name in held if name not in (_ELSEWHERE, _NUMBER) and not name.startswith(_OF)}


def _numbers(held: set[str]) -> set[str]:
    """Return what may come of a value that is computed with as a number."""
    names = _named(held)
    return (held - names) | {_OF + name for name in names}


def _sum(each: list[set[str]]) -> set[str]:
    """Return what the sum of several values may be: an address if one of them is, to which the others are offsets."""
    addresses = [held for held in each if _named(held)]
    if not addresses and not all(each):
        return set()
    numbers = {name for held in each for name in held if name.startswith(_OF)}
    return numbers.union(*(addresses or each))


def _difference(one: set[str], other: set[str]) -> set[str]:
    """Return what the difference of two values may be. That of two addresses of one array is a number as any other."""
    if not one or not other:
        return set()
    if len(one) == 1 and one == other and _named(one):
        return {_NUMBER}
    return one | {name for name in _numbers(other) if name.startswith(_OF)}

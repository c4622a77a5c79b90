"""What a kernel's instructions mean for the order between threads. (PTX ISA, chapter 8, "Memory Consistency Model")

A strong access (atomic, volatile, relaxed, acquire, release) does not race with another strong one in whose scope it is; a weak
access, any other load or store, races with every access of another thread to the same bytes, one of them a write, that nothing
orders.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

from tinygan_kernels.emulator.syntax.ptx import Instruction, Register, Vector, names_in
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

WEAK, STRONG, WIDE = 0, 1, 2
"""Flags of an access: strong, and of a scope that is wider than a thread block."""
_STRONG = {"volatile", "relaxed", "acquire", "release", "acq_rel", "mmio", "sc"}


class Strength(NamedTuple):
    """What an access is in the memory model: its flags, whether it acquires, whether it releases."""

    flags: int
    acquires: bool
    releases: bool


@lru_cache(maxsize=1024)
def strength_of(name: str) -> Strength:
    """Return the strength of an instruction by its name, such as ld.acquire.gpu.global.u32."""
    opcode, *words = name.split(".")
    atomic = opcode in ("atom", "red", "sured") or "mbarrier" in words  # cp.async.mbarrier.arrive
    atomic |= (opcode, *words[:1]) == ("cp", "reduce") or (opcode == "mbarrier" and words[0] != "init")
    strong = atomic or bool(_STRONG & set(words))
    flags = (STRONG if strong else WEAK) | (WIDE if strong and "cta" not in words else 0)
    ordered = {"acq_rel", "sc"} & set(words)
    return Strength(flags, bool(ordered or "acquire" in words), bool(ordered or "release" in words))


class KernelOrder(NamedTuple):
    """What the whole kernel has of order: whether a message can pass between its threads through memory, whether what a thread does
    can depend on one (a strong read whose result is used, a test of an mbarrier), its compared loads, its updates, where its strong
    accesses have several sizes."""

    messages: bool
    depends: bool
    compared: frozenset[int]  # PTX lines of loads whose value a compare-and-swap compares
    updates: frozenset[int]  # PTX lines of strong stores of a value that comes of a strong load from the same place
    mixed: frozenset[str]  # state spaces with strong accesses of several sizes


_KNOWN: WeakKeyDictionary[TranslatedKernel, KernelOrder] = WeakKeyDictionary()


def order_of(kernel: TranslatedKernel) -> KernelOrder:
    """Return what a kernel has of order. The result is kept with the kernel."""
    if kernel not in _KNOWN:
        instructions = [i for block in kernel.basic_blocks for i in block.instructions]
        fences = any(i.opcode in ("membar", "fence") for i in instructions)
        found = [strength_of(i.name) for i in instructions if i.opcode in ("ld", "st", "atom", "red")]
        messages = any(s.acquires or s.releases or (fences and s.flags) for s in found)
        functions = defaultdict(list)  # by the number of their first block, as names of registers are those of one function
        first = sorted({0, *(block.callee for block in kernel.basic_blocks if block.callee >= 0)})
        for block in kernel.basic_blocks:
            functions[bisect_right(first, block.number)].extend(block.instructions)
        compared = frozenset(line for each in functions.values() for line in _compared(each))
        reads = [i for i in instructions if i.opcode in ("ld", "atom") and strength_of(i.name).flags]
        got = {name for i in reads for name in names_in(i.operands[0], Register)}
        used = {name for i in instructions for name in names_in(i.operands[i.opcode in ("ld", "atom") :], Register)}
        tested = any(i.opcode == "mbarrier" and "test_wait" in i.modifiers for i in instructions)
        depends = (messages and bool(got & used)) or tested
        updates = frozenset(line for each in functions.values() for line in _updates(each))
        _KNOWN[kernel] = KernelOrder(messages, depends, compared, updates, _mixed(kernel))
    return _KNOWN[kernel]


def _compared(instructions: list[Instruction]) -> set[int]:
    """Return the PTX lines of the weak loads that give a compare-and-swap its first guess.

    `old = *p; do { assumed = old; old = atomicCAS(p, assumed, f(assumed)); } while (old != assumed)` is how the CUDA C++
    Programming Guide builds atomics. A torn or stale guess only costs another round, so such a load counts as strong.
    """
    swaps = [i for i in instructions if i.opcode == "atom" and "cas" in i.modifiers and len(i.operands) >= 4]
    wanted = {name for i in swaps for name in names_in(i.operands[2], Register)}
    moves = [i for i in instructions if i.opcode == "mov" and isinstance(i.operands[0], Register)]
    grown = True
    while grown:
        before = len(wanted)
        for move in moves:
            if move.operands[0].name in wanted:
                wanted.update(names_in(move.operands[1], Register))
        grown = len(wanted) > before
    loads = [i for i in instructions if i.opcode == "ld" and not isinstance(i.operands[0], Vector)]
    return {i.ptx_line for i in loads if wanted & set(names_in(i.operands[0], Register))}


def _updates(instructions: list[Instruction]) -> set[int]:
    """Return the PTX lines of the stores of `c = c + 1` for a volatile (or relaxed) variable c, which no atomic makes one step."""
    strong = [i for i in instructions if i.opcode in ("ld", "st") and strength_of(i.name).flags]
    stores = [i for i in strong if i.opcode == "st"]
    found: set[int] = set()
    for load in (i for i in strong if i.opcode == "ld" and any(i.operands[1] == s.operands[0] for s in stores)):
        derived = set(names_in(load.operands[0], Register))
        grown = True
        while grown:
            before = len(derived)
            for ins in instructions:
                if ins.opcode not in _NO_RESULT and derived & set(names_in(ins.operands[1:], Register)):
                    derived.update(names_in(ins.operands[0], Register))
            grown = len(derived) > before
        same = [s for s in stores if s.operands[0] == load.operands[1]]
        found |= {s.ptx_line for s in same if derived & set(names_in(s.operands[1], Register))}
    return found


_NO_RESULT = {"ld", "st", "atom", "red", "setp", "bra", "bar", "barrier", "call", "ret", "exit", "membar", "fence"}
"""Opcodes through which no number is passed on that `_updates` would follow."""


def _mixed(kernel: TranslatedKernel) -> frozenset[str]:
    """Return the state spaces, of global and shared memory, with strong accesses of several sizes from 4 bytes on."""
    strong = [site for site in kernel.sites if site.size >= 4 and strength_of(site.name).flags]
    sizes = {space: {s.size for s in strong if s.space in (space, "generic")} for space in ("global", "shared")}
    return frozenset(space for space, of in sizes.items() if len(of) > 1)

"""Lowering of loads, stores, atomics, asynchronous copies and fences. (PTX ISA, 9.7.9, 9.7.13)"""

from __future__ import annotations

from dataclasses import replace

from tinygan_kernels.emulator.semantics import atomics
from tinygan_kernels.emulator.syntax.ptx import WIDTH, Immediate, Instruction, Not, Register, Vector

from .arithmetic import packed
from .emitter import Emitter
from .types import PACKED, code_of

SPACES = {
    "global": "global",
    "shared": "shared",
    "shared::cta": "shared",
    "shared::cluster": "shared",
    "local": "local",
    "const": "global",
    "param": "param",
}


def space_of(e: Emitter, ins: Instruction) -> str:
    """Return the state space that a memory instruction names, "generic" if it names none."""
    for m in ins.modifiers:
        if m in SPACES:
            return SPACES[m]
        if m in ("param::func", "param::entry"):
            if m == "param::func" or ins.opcode not in ("ld", "ldu") or not e.function.is_entry:
                raise e.unsupported(f".{m} is not supported, but for loads of a kernel's own parameters")
            return "param"
    return "generic"


def ld(e: Emitter, ins: Instruction) -> None:
    kind, space = e.kind_of(ins), space_of(e, ins)
    if kind == "b128":
        raise e.unsupported("loads, stores and moves of b128 are not supported")
    targets = vector_items(ins.operands[0])
    address = ins.operands[1]
    if space == "param" and not isinstance(address.base, Register):
        load_param(e, targets, address, kind)
        return
    names = ", ".join("None" if t is None else e.target(t, memory_kind(kind)) for t in targets)
    site = e.site_of(
        ins, "global" if space == "param" else space, code_of(memory_kind(kind)), WIDTH[kind], len(targets)
    )
    e.line(f"load({e.bind(site)}, ({names},), {e.address(address)}, {e.lanes})")


def memory_kind(kind: str) -> str:
    """Return the type to move: bits for floats, a signed type as it is, as a wider register takes it with its sign."""
    return kind if kind[0] == "s" else f"u{8 * WIDTH[kind]}"


def vector_items(operand) -> tuple:
    """Return the elements of a vector operand; any other operand is one element."""
    return operand.items if isinstance(operand, Vector) else (operand,)


def load_param(e: Emitter, targets, address, kind: str) -> None:
    for i, target in enumerate(targets):
        e.write(target, memory_kind(kind), param_place(e, address, i, memory_kind(kind)))


def param_place(e: Emitter, address, i: int, kind: str) -> str:
    """Return source text for element i at a parameter's address: bytes of each lane's own for a call, of the kernel else."""
    offset = address.base.offset + address.offset + i * WIDTH[kind]
    code = code_of(kind)
    if e.is_lane_param(address.base.name):
        return f"{e.lane_param(address.base.name)[0]}_{code}[:, {offset // WIDTH[kind]}]"
    offset += e.layout.params[address.base.name]
    return f"p_{code}[{offset // WIDTH[kind]}]"


def st(e: Emitter, ins: Instruction) -> None:
    _check_async(e, ins)
    kind, space = e.kind_of(ins), space_of(e, ins)
    if kind == "b128":
        raise e.unsupported("loads, stores and moves of b128 are not supported")
    address, values = ins.operands[0], vector_items(ins.operands[1])
    bits = f"u{8 * WIDTH[kind]}"
    if space == "param":
        for i, value in enumerate(values):
            e.line(f"copyto({param_place(e, address, i, bits)}, {e.read(value, bits)}, where=w)")
        return
    site = e.site_of(ins, space, code_of(bits), WIDTH[kind], len(values))
    texts = ", ".join(e.read(v, bits) for v in values)
    e.line(f"store({e.bind(site)}, ({texts},), {e.address(address)}, {e.lanes})")
    if "async" in ins.modifiers:
        count_bytes(e, ins, ins.operands[2], site.bytes)


def _check_async(e: Emitter, ins: Instruction) -> None:
    """Raise UnsupportedInstruction for an asynchronous store or reduction that no mbarrier counts."""
    if "async" in ins.modifiers and (COMPLETES not in ins.modifiers or len(ins.operands) != 3):
        raise e.unsupported("modifier .async is not supported without an mbarrier")


def count_bytes(e: Emitter, ins: Instruction, barrier, size: int) -> None:
    """Write the end of st.async and red.async: an mbarrier hears of the bytes, which are there at once."""
    e.line(f"mbarriers.transact({barrier_site(e, ins)}, {e.address(barrier)}, {size}, -1, {e.lanes})")


def barrier_site(e: Emitter, ins: Instruction) -> str:
    """Return the name of the Site of what an asynchronous copy does to an mbarrier."""
    return e.bind(replace(e.site_of(ins, "shared", "u8", 8), name="mbarrier.complete_tx"))


ATOMIC = ("add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec")


def atom(e: Emitter, ins: Instruction) -> None:
    _check_async(e, ins)
    kind, space = e.kind_of(ins), space_of(e, ins)
    name = next((m for m in ins.modifiers if m in ATOMIC), None)
    if name is None or kind == "b128":
        raise e.unsupported("this form of atomic is not supported")
    operands = list(without_hint(ins))
    target = operands.pop(0) if ins.opcode == "atom" else None
    if isinstance(target, Register) and target.name not in e.read_somewhere:
        target = None  # nobody reads what was there before: ptxas makes it a red
    function = atomics.operation(name, PACKED.get(kind, kind))
    if kind in PACKED:
        function = packed(function, PACKED[kind])
    width = next((int(m[1]) for m in ins.modifiers if m in ("v2", "v4", "v8")), 0)
    if width:
        _vector_atomic(e, ins, kind, name, width, function, target, operands)
        return
    site = e.site_of(ins, space, code_of(kind), WIDTH[kind])
    given = operands[1:-1] if "async" in ins.modifiers else operands[1:]
    values = ", ".join(e.read(o, kind) for o in given)
    result = "None" if target is None else e.target(target, kind)
    e.line(
        f"atomic({e.bind(site)}, {e.bind(function)}, {result}, {e.address(operands[0])}, "
        f"({values},), {e.lanes})"
    )
    if "async" in ins.modifiers:
        count_bytes(e, ins, ins.operands[-1], site.bytes)


_VECTOR_ATOMICS = {
    "f32": (2, 4), "f16": (2, 4, 8), "bf16": (2, 4, 8), "f16x2": (2, 4), "bf16x2": (2, 4),
}  # fmt: skip
"""How many elements an atomic of each type can have. (PTX ISA, 9.7.13.5 and 9.7.13.6)"""


def _vector_atomic(
    e: Emitter, ins: Instruction, kind: str, name: str, width: int, function: object, target: object, operands: list
) -> None:
    """Lower atom and red of a vector in global memory: each element is an atomic of its own, as PTX says."""
    bounded = name == "add" or (name in ("min", "max") and kind != "f32")
    if width not in _VECTOR_ATOMICS.get(kind, ()) or not bounded or space_of(e, ins) not in ("global", "generic"):
        raise e.unsupported("of vectors, in global memory, .add of f32 and .add, .min and .max of halves are supported")
    address, values = operands[0], vector_items(operands[1])
    targets = vector_items(target) if target is not None else (None,) * width
    if len(values) != width or len(targets) != width:
        raise ValueError(f"a vector of {width} elements")
    site = e.bind(e.site_of(ins, space_of(e, ins), code_of(kind), WIDTH[kind], width))
    given = ", ".join(e.read(value, kind) for value in values)
    results = ", ".join("None" if to is None else e.target(to, kind) for to in targets)
    e.line(f"atomic_vector({site}, {e.bind(function)}, ({results},), {e.address(address)}, ({given},), {e.lanes})")


def without_hint(ins: Instruction) -> tuple:
    """Return the operands of an instruction but for a cache policy at the end, which changes no result."""
    return ins.operands[:-1] if "L2::cache_hint" in ins.modifiers else ins.operands


def cp_async(e: Emitter, ins: Instruction) -> None:
    if "commit_group" in ins.modifiers:
        e.line(f"copies.commit({e.lanes})")
    elif "wait_group" in ins.modifiers or "wait_all" in ins.modifiers:
        newest = ins.operands[0].value if "wait_group" in ins.modifiers else None
        e.line(f"copies.wait({newest}, {e.lanes})")
    elif "mbarrier" in ins.modifiers:
        e.line(f"copies.wait(None, {e.lanes})")  # they arrive here, before the arrival that they would bring about when done
        if "noinc" in ins.modifiers:
            site = e.bind(e.site_of(ins, space_of(e, ins), "u8", 8))
            e.line(f"mbarriers.arrive({site}, {e.address(ins.operands[0])}, 1, None, {e.lanes})")
        else:
            site = e.bind(e.site_of(ins, space_of(e, ins), "u8", 8))
            e.line(f"mbarriers.transact({site}, {e.address(ins.operands[0])}, 0, -1, {e.lanes})")
    elif "shared::cluster" in ins.modifiers:
        raise e.unsupported("cp.async copies to the memory of the thread's own block")
    else:
        to, source, size, *rest = without_hint(ins)
        n = int(size.value)
        sites = [
            e.bind(e.site_of(ins, space, f"u{min(n, 8)}", min(n, 8), max(1, n // 8)))
            for space in ("global", "shared")
        ]
        length = copy_length(e, rest[0], n) if rest else "None"
        e.line(f"copies.issue({sites[0]}, {sites[1]}, {e.address(to)}, {e.address(source)}, {length}, {e.lanes})")


COMPLETES = "mbarrier::complete_tx::bytes"


def copy_length(e: Emitter, operand, size: int) -> str:
    """Return source text for cp.async's fourth operand: how many bytes to read, or a predicate that says to read none."""
    if isinstance(operand, (Register, Not)) and (isinstance(operand, Not) or operand.type == "pred"):
        return f"where({e.read(operand, 'pred')}, 0, {size})"
    return e.read(operand, "u32")


def fence(e: Emitter, ins: Instruction) -> None:
    words = set(ins.modifiers)
    if "proxy" in words or any(m.startswith(("proxy", "mbarrier_init")) for m in words):
        if any(word == "async" or word.startswith("async.") for word in words) and "tensormap::generic" not in words:
            named = tuple({SPACES[word.removeprefix("async.")] for word in words if word.removeprefix("async.") in SPACES})
            e.line(f"proxy_fence({named or ('shared', 'global')!r}, {e.lanes})")
        if "async::generic" in words:  # for what was stored to shared memory, and a release or an acquire in the cluster besides
            e.line(f"proxy_fence({('shared',)!r}, {e.lanes})")
            e.line(f"fence(True, {e.lanes})")
        return  # all accesses go one way here, and mbarriers are made at once
    if not {"cta", "gl", "sys", "gpu", "cluster"} & words:
        raise e.unsupported("this fence is not supported")
    e.line(f"fence({'cta' not in ins.modifiers}, {e.lanes})")


def nothing(e: Emitter, ins: Instruction) -> None:
    """Write nothing for hints without a result: prefetch, discard, applypriority, nanosleep, pmevent; brkpt, as no debugger waits
    for it; setmaxnreg, as registers are as many as a kernel names; griddepcontrol, as kernels run one after the other."""


def create_policy(e: Emitter, ins: Instruction) -> None:
    """Lower createpolicy: a cache policy, whose bits PTX keeps to itself, and which changes no result."""
    e.write(ins.operands[0], "b64", e.constant(Immediate(0), "u64"))

"""Lowering of what begins and ends a block: member masks of collectives, calls, and what its function returns to the scheduler.

A block's function returns (guard, payload): the predicate of the block's last instruction (None: unguarded), and what the
scheduler needs to carry that instruction out (the operands of a barrier, the index of a brx.idx).
"""

from __future__ import annotations

from tinygan_kernels.emulator.syntax.calls import Call, call_of
from tinygan_kernels.emulator.syntax.cfg import BasicBlock
from tinygan_kernels.emulator.syntax.ptx import Function, Immediate, Instruction, Register, Symbol

from .emitter import Emitter
from .kernel import CallTo, TranslatedBlock
from .layout import BUILTIN
from .opcodes import WHOLE_WARP, Opcode, check_modifiers

_OFFERED = {"vote": "pred", "shfl": "", "match": "", "redux": ""}
"""The collectives that lanes may execute together at different places, with the type of the operand; "": that which they name."""


def members(e: Emitter, made: TranslatedBlock, ins: Instruction, row: Opcode) -> None:
    """Write the functions that give the member mask and the operand of the collective that a block begins with."""
    number = made.number
    made.meets_warpgroup = ins.opcode == "wgmma" and ins.modifiers[0] == "mma_async"
    mask = Immediate(-1) if row.members == WHOLE_WARP else ins.operands[row.members]
    text = e.read(mask, "u32")
    e.after(f"def members_{number}(m):", f"    return {text}")
    made.meets, made.site = f"members_{number}", e.site_of(ins)
    if ins.opcode in (*_OFFERED, "elect", "bar") and ins.guard is None:
        kind = _OFFERED.get(ins.opcode)
        value = "None" if kind is None else e.read(ins.operands[1], kind or e.kind_of(ins))
        e.after(f"def offered_{number}(m):", f"    return {value}")
        made.offers = f"offered_{number}"


def finish(e: Emitter, made: TranslatedBlock, block: BasicBlock, first: dict[str, int]) -> None:
    """Write the return of the block's function, and note in `made` what the scheduler has to know.

    first: the number of each function's first block.
    """
    ins, payload = block.terminator, "None"
    e.begin(ins)
    if ins is None:
        e.line("return None, None")
        return
    check_modifiers(e, ins)
    if block.end == "switch":
        payload = e.read(ins.operands[0], "u32")
    elif block.end == "barrier":
        payload = _barrier(e, made, ins)
    elif block.end == "call":
        payload = _call(e, made, ins, first)
    elif block.end in ("cluster_arrive", "cluster_wait"):
        made.site, payload = e.site_of(ins), str("relaxed" not in ins.modifiers)
    if ins.opcode == "trap":
        made.site = e.site_of(ins)
        made.end = "trap"
    guard = "None" if ins.guard is None else e.guard(ins)
    e.line(f"return {guard}, {payload}")


def _barrier(e: Emitter, made: TranslatedBlock, ins: Instruction) -> str:
    """Return the payload of a barrier: (its number, threads to wait for or None, predicate of bar.red or None)."""
    made.site = e.site_of(ins)
    made.arrives_only = "arrive" in ins.modifiers
    made.aligned = ins.opcode == "bar" or "aligned" in ins.modifiers
    operands = list(ins.operands)
    if "red" in ins.modifiers:
        result, *operands = operands
        predicate = e.read(operands.pop(), "pred")
        operation = next(o for o in ("popc", "and", "or") if o in ins.modifiers)
        kind = "u32" if operation == "popc" else "pred"
        made.reduction = (operation, e.target(result, kind))
    else:
        predicate = "None"
    number = e.read(operands[0], "u32") if operands else "0"
    threads = e.read(operands[1], "u32") if len(operands) > 1 else "None"
    return f"({number}, {threads}, {predicate})"


def _call(e: Emitter, made: TranslatedBlock, ins: Instruction, first: dict[str, int]) -> str:
    """Copy the arguments into the callee's parameters, and write the function that fetches the results afterwards.

    Return the payload: the address of the function of a call through a pointer, else None.
    """
    call = call_of(ins)
    if isinstance(call.target, Symbol) and call.target.name in BUILTIN:
        made.end = "fall"
        _call_builtin(e, call.target.name, ins, call)
        return "None"
    candidates = e.layout.candidates(e.function, ins)
    made.site = e.site_of(ins)
    if isinstance(call.target, Register) or candidates[0].name in e.layout.cycles:
        for callee in candidates:
            address = e.layout.module.function_address(callee.name)
            assert address is not None
            made.callees[address] = _one_of(e, made.number, callee, call, first)
        made.end = "indirect"
        only = str(next(iter(made.callees))) if isinstance(call.target, Symbol) else ""
        return only or e.read(call.target, "s64")
    (callee,) = candidates
    made.callee = first[callee.name]
    for text in _passing(e, callee, call):
        e.line(text)
    copies = _returning(e, callee, call)
    e.after(f"def returned_{made.number}(m):", *("    " + text for text in copies), "    return")
    return "None"


def _passing(e: Emitter, callee: Function, call: Call) -> list[str]:
    """Return the lines that copy the arguments of a call into the parameters of the callee."""
    pairs = zip(callee.params, call.arguments, strict=True)
    return [_copy(e.lane_param(formal.name, callee), e.lane_param(actual)) for formal, actual in pairs]


def _returning(e: Emitter, callee: Function, call: Call) -> list[str]:
    """Return the lines that copy the results of a call into the caller's variables.

    A linker does not mind a result that the function does not have, as Numba asks a `void` function for one: nothing is in it.
    """
    pairs = zip(callee.returns, call.returns if callee.returns else (), strict=True)
    return [_copy(e.lane_param(actual), e.lane_param(formal.name, callee)) for formal, actual in pairs]


def _one_of(e: Emitter, number: int, callee: Function, call: Call, first: dict[str, int]) -> CallTo:
    """Write the functions that pass arguments to one of the functions that a call may reach, and bring its results back.

    The results are fetched before the caller's vectors are put back as they were, and handed on after it: in a recursion caller and
    callee share them.
    """
    name = f"{number}_{first[callee.name]}"
    e.after(f"def passed_{name}(m):", *("    " + text for text in _passing(e, callee, call)), "    return")
    formal = [e.lane_param(v.name, callee) for v in callee.returns]
    actual = [e.lane_param(v) for v in call.returns] if formal else []
    e.after(f"def taken_{name}(m):", f"    return [{', '.join(f'{f[0]}_u1.copy()' for f in formal)}]")
    lines = [f"    copyto({a[0]}_u1[:, :{min(a[1], f[1])}], values[{i}][:, :{min(a[1], f[1])}], where=m.column)"
             for i, (f, a) in enumerate(zip(formal, actual, strict=True))]  # fmt: skip
    e.after(f"def returned_{name}(m, values):", *lines, "    return")
    cycle = e.layout.cycles.get(callee.name, set())
    saved = e.function.name if e.function.name in cycle else ""
    frame = e.names.frame(callee) if e.layout.frames.get(callee.name) else ""
    where = (f"passed_{name}", f"taken_{name}", f"returned_{name}")
    return CallTo(first[callee.name], *where, saved, frame, e.layout.frames.get(callee.name, 0))


def _copy(to: tuple[str, int], source: tuple[str, int]) -> str:
    size = min(to[1], source[1])
    return f"copyto({to[0]}_u1[:, :{size}], {source[0]}_u1[:, :{size}], where=m.column)"


def _call_builtin(e: Emitter, name: str, ins: Instruction, call: Call) -> None:
    site = e.bind(e.site_of(ins))
    lanes = "m" if ins.guard is None else f"m.only({e.guard(ins)})"
    result = f"{e.lane_param(call.returns[0])[0]}_u1" if call.returns else "None"
    values = ", ".join([result, *(f"{e.lane_param(a)[0]}_u1" for a in call.arguments)])
    e.line(f"{name.strip('_')}({site}, {lanes}, {values})")

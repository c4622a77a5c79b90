"""Lowering of what begins and ends a block: member masks of collectives, calls, and what its function returns to the scheduler.

A block's function returns (guard, payload): the predicate of the block's last instruction (None: unguarded), and what the
scheduler needs to carry that instruction out (the operands of a barrier, the index of a brx.idx).
"""

from __future__ import annotations

from tinygan_kernels.emulator.syntax.cfg import BasicBlock, callee_of
from tinygan_kernels.emulator.syntax.ptx import Immediate, Instruction, Symbol, Vector

from .emitter import Emitter
from .kernel import TranslatedBlock
from .layout import BUILTIN
from .opcodes import WHOLE_WARP, Opcode, check_modifiers


def members(e: Emitter, ins: Instruction, row: Opcode, number: int) -> str:
    """Write the function that gives the member mask of the collective that block `number` begins with; return its name."""
    mask = Immediate(-1) if row.members == WHOLE_WARP else ins.operands[row.members]
    text = e.read(mask, "u32")
    e.after(f"def members_{number}(m):", f"    return {text}")
    return f"members_{number}"


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
        _call(e, made, ins, first)
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


def _call(e: Emitter, made: TranslatedBlock, ins: Instruction, first: dict[str, int]) -> None:
    """Copy the arguments into the callee's parameters, and write the function that fetches the results afterwards."""
    name = callee_of(ins)
    vectors = [o for o in ins.operands if isinstance(o, Vector)]
    before = ins.operands.index(next(o for o in ins.operands if isinstance(o, Symbol)))
    returns = ins.operands[0].items if before else ()
    arguments = vectors[-1].items if len(vectors) > (1 if before else 0) else ()
    if name in BUILTIN:
        made.end = "fall"
        _call_builtin(e, name, ins, arguments, returns)
        return
    callee = e.layout.defined(name)
    made.callee = first[name]
    if ins.guard is not None:
        raise e.unsupported("a call with a guard is not supported")
    for formal, actual in zip(callee.params, arguments, strict=True):
        e.line(_copy(e.lane_param(formal.name, callee), e.lane_param(actual.name)))
    copies = [
        _copy(e.lane_param(actual.name), e.lane_param(formal.name, callee))
        for formal, actual in zip(callee.returns, returns, strict=True)
    ]
    e.after(f"def returned_{made.number}(m):", *("    " + text for text in copies), "    return")


def _copy(to: tuple[str, int], source: tuple[str, int]) -> str:
    size = min(to[1], source[1])
    return f"copyto({to[0]}_u1[:, :{size}], {source[0]}_u1[:, :{size}], where=m.column)"


def _call_builtin(e: Emitter, name: str, ins: Instruction, arguments, returns) -> None:
    site = e.bind(e.site_of(ins))
    lanes = "m" if ins.guard is None else f"m.only({e.guard(ins)})"
    result = f"{e.lane_param(returns[0].name)[0]}_u1" if returns else "None"
    values = ", ".join([result, *(f"{e.lane_param(a.name)[0]}_u1" for a in arguments)])
    e.line(f"{name.strip('_')}({site}, {lanes}, {values})")

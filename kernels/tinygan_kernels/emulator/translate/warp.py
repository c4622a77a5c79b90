"""Lowering of collectives, in which the lanes of a warp work together. (PTX ISA, 9.7.9, 9.7.13, 9.7.14)"""

from __future__ import annotations

from tinygan_kernels.emulator.semantics import matrix, warps
from tinygan_kernels.emulator.syntax.ptx import Immediate, Instruction, Pair

from .emitter import Emitter
from .memory import space_of, vector_items
from .types import types_of


def shfl(e: Emitter, ins: Instruction) -> None:
    if "sync" not in ins.modifiers:
        raise e.unsupported("only the .sync forms are supported")
    target = ins.operands[0]
    value, b, c = (e.read(o, "b32") for o in ins.operands[1:4])
    mask = e.read(ins.operands[4], "u32") if len(ins.operands) > 4 else e.constant(Immediate(-1), "u32")
    e.line(f"shuffled({e.bind(e.site_of(ins))}, {ins.modifiers[1]!r}, {b}, {c}, {mask}, {e.lanes})")
    e.line(f"result, inside = {e.call(warps.shuffle, repr(ins.modifiers[1]), value, b, c, 'm.mask.size')}")
    e.write(target.first if isinstance(target, Pair) else target, "b32", "result")
    if isinstance(target, Pair):
        e.write(target.second, "pred", "inside")


def vote(e: Emitter, ins: Instruction) -> None:
    if "sync" not in ins.modifiers:
        raise e.unsupported("only the .sync forms are supported")
    mode = ins.modifiers[1]
    predicate, mask = e.read(ins.operands[1], "pred"), e.read(ins.operands[2], "b32")
    value = e.call(warps.vote, repr(mode), predicate, mask, f"{e.lanes}.mask")
    e.write(ins.operands[0], "b32" if mode == "ballot" else "pred", value)


def match(e: Emitter, ins: Instruction) -> None:
    mode, kind = ins.modifiers[0], e.kind_of(ins)
    if mode not in ("any", "all"):
        raise e.unsupported("unknown match")
    value = e.call(
        warps.match, repr(mode), e.read(ins.operands[1], kind), e.read(ins.operands[2], "b32"), f"{e.lanes}.mask"
    )
    target = ins.operands[0]
    if mode == "any":
        e.write(target, "b32", value)
        return
    e.line(f"result, agree = {value}")
    e.write(target.first if isinstance(target, Pair) else target, "b32", "result")
    if isinstance(target, Pair):
        e.write(target.second, "pred", "agree")


def redux(e: Emitter, ins: Instruction) -> None:
    kind = e.kind_of(ins)
    value = e.call(
        warps.reduce,
        repr(ins.modifiers[1]),
        e.read(ins.operands[1], kind),
        e.read(ins.operands[2], "b32"),
        f"{e.lanes}.mask",
    )
    e.write(ins.operands[0], kind, value)


def activemask(e: Emitter, ins: Instruction) -> None:
    ones = e.constant(Immediate(-1), "u32")
    e.write(ins.operands[0], "b32", e.call(warps.vote, "'ballot'", "True", ones, f"{e.lanes}.mask"))


def mma(e: Emitter, ins: Instruction) -> None:
    kinds, shape = types_of(ins), matrix.shape_of(ins.modifiers)
    plain = "row" in ins.modifiers and "col" in ins.modifiers and "sp" not in ins.modifiers
    if len(kinds) != 4 or (kinds[1], *shape) not in matrix.SUPPORTED or not plain:
        known = ", ".join(f"m{m}n{n}k{k} {kind}" for kind, m, n, k in sorted(matrix.SUPPORTED))
        raise e.unsupported(f"this mma is not supported; supported (row.col): {known}")
    word = "b64" if kinds[1] == "f64" else "b32"
    a, b, c = ("(" + ", ".join(e.read(item, word) for item in vector_items(o)) + ",)" for o in ins.operands[1:])
    e.line(f"results = {e.call(matrix.multiply, repr(tuple(kinds)), repr(shape), a, b, c)}")
    for i, target in enumerate(vector_items(ins.operands[0])):
        e.write(target, word, f"results[{i}]")


def ldmatrix(e: Emitter, ins: Instruction) -> None:
    if "m8n8" not in ins.modifiers or e.kind_of(ins) != "b16" or "shared::cluster" in ins.modifiers:
        raise e.unsupported("only ldmatrix.m8n8.b16 from this block's memory is supported")
    targets = vector_items(ins.operands[0])
    site = e.site_of(ins, space_of(e, ins), "u8", 8, 2)
    e.line(f"rows = load_rows({e.bind(site)}, {len(targets)}, {e.address(ins.operands[1])}, {e.lanes})")
    e.line(f"results = {e.call(matrix.distribute, 'rows', str(len(targets)), str('trans' in ins.modifiers))}")
    for i, target in enumerate(targets):
        e.write(target, "b32", f"results[{i}]")


def warp_barrier(e: Emitter, ins: Instruction) -> None:
    """Lower bar.warp.sync. Its lanes have met when the block begins; only the sanitizer has to hear of it."""
    e.line(f"warp_sync({e.read(ins.operands[0], 'u32')}, {e.lanes})")

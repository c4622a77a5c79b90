"""Lowering of mma with a .kind: products of floats of 8, 6 and 4 bits, sparse or not, with scales of blocks or without. (PTX ISA,
9.7.14.5.14 and 9.7.14.6.3)"""

from __future__ import annotations

import re

from tinygan_kernels.emulator.semantics import block_scales, fragments, matrix
from tinygan_kernels.emulator.semantics.block_scales import IN_BYTE, KINDS
from tinygan_kernels.emulator.syntax.ptx import Instruction, Vector

from .emitter import Emitter
from .memory import vector_items
from .sparsity import check_metadata, one_word, selector_of, sparse_form


def kind_of(ins: Instruction) -> str:
    """Return the .kind that a product names, "" for none."""
    return next((m for m in ins.modifiers if m in KINDS), "")


def types_of_product(ins: Instruction) -> list[str]:
    """Return the types of D, A, B and C; e2m1 by another name where each element has a byte."""
    found = [m for m in ins.modifiers if m in fragments.BITS]
    return [IN_BYTE if t == "e2m1" and IN_BYTE in KINDS[kind_of(ins)].types else t for t in found]


def mma_narrow(e: Emitter, ins: Instruction) -> None:
    kind, types, shape = KINDS[kind_of(ins)], types_of_product(ins), fragments.shape_of(ins.modifiers)
    sparse = sparse_form(ins)
    depth = 2 * kind.depth if sparse else kind.depth
    results = ("f32",) if kind.scales else ("f16", "f32")
    known = len(types) == 4 and shape == (16, 8, depth) and {types[1], types[2]} <= set(kind.types)
    plain = {"row", "col"} <= set(ins.modifiers) and "satfinite" not in ins.modifiers
    scaled = ("block_scale" in ins.modifiers) == bool(kind.scales)
    if not (known and plain and scaled) or not {types[0], types[3]} <= set(results) or (sparse == "sp" and kind.scales):
        named, ends = " ".join(t.removesuffix(" in a byte") for t in kind.types), " or ".join(results)
        raise e.unsupported(f".{kind_of(ins)} is supported as m16n8k{depth}, row.col, of {named}, with D and C of {ends}")
    operands = list(ins.operands)
    a, b, c = ("(" + ", ".join(e.read(item, "b32") for item in vector_items(o)) + ",)" for o in operands[1:4])
    rest, sparsity = operands[4:], "None"
    if sparse:
        word, selector = one_word(e, rest.pop(0)), selector_of(e, rest.pop(0), types[1], depth)
        check_metadata(e, ins, word, types[1], depth, selector)
        sparsity = f"({word}, {selector})"
    scales = _scales(e, ins, kind, rest) if kind.scales else "None"
    given = f"{a}, {b}, {c}, {sparsity}, {scales}"
    e.line(f"results = {e.call(matrix.multiply_narrow, repr(tuple(types)), repr(shape), given)}")
    for i, target in enumerate(vector_items(operands[0])):
        e.write(target, "b32", f"results[{i}]")


def _scales(e: Emitter, ins: Instruction, kind: block_scales.Kind, operands: list) -> str:
    """Return source text for the scales: their type, how many a row has, and of A and B the word and its two selectors."""
    named = next((m for m in ins.modifiers if re.fullmatch(r"scale_vec::[124]X", m)), "")
    typed = next((m for m in ins.modifiers if m in ("ue8m0", "ue4m3")), "")
    count = int(named[-2]) if named else kind.scales[0][1]
    if (typed, count) not in kind.scales or (len(kind.scales) > 1 and not named):
        allowed = ", ".join(f"scale_vec::{n}X with {t}" for t, n in kind.scales)
        raise e.unsupported(f".{kind_of(ins)} has the scales {allowed}")
    parts = []
    for which, word, ids in (("a", *operands[:2]), ("b", *operands[2:])):
        if not isinstance(ids, Vector) or len(ids.items) != 2:
            raise ValueError("selectors of a byte and a thread")
        byte, thread = (e.read(item, "u16") for item in ids.items)
        e.line(f"check_selectors({e.bind(e.site_of(ins))}, {which!r}, {count}, {byte}, {thread}, {e.lanes})")
        parts.append(f"({one_word(e, word)}, {byte}, {thread})")
    return f"({typed!r}, {count}, {', '.join(parts)})"

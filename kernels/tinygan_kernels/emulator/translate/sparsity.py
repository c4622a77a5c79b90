"""Lowering of what sparse products have besides: metadata, and the selector of the lanes that hold them. (PTX ISA, 9.7.14.6)"""

from __future__ import annotations

from tinygan_kernels.emulator.semantics import sparsity
from tinygan_kernels.emulator.syntax.ptx import Immediate, Instruction

from .emitter import Emitter
from .memory import vector_items


def sparse_form(ins: Instruction) -> str:
    """Return the modifier by which a product has a sparse A, "" if it names none."""
    return next((m for m in ins.modifiers if m in ("sp", "sp::ordered_metadata")), "")


def one_word(e: Emitter, operand: object) -> str:
    """Return source text for metadata or scales: one register, which may stand in braces."""
    (item,) = vector_items(operand)
    return e.read(item, "b32")


def selector_of(e: Emitter, operand: object, kind: str, depth: int) -> int:
    """Return the sparsity selector, a constant, of a product of this type of A and this k."""
    count = sparsity.selectors(kind, depth)
    if not isinstance(operand, Immediate) or not 0 <= int(operand.value) < count:
        allowed = "0" if count == 1 else f"a constant from 0 to {count - 1}"
        raise e.unsupported(f"the sparsity selector of k{depth} of {kind} is {allowed}")
    return int(operand.value)


def check_metadata(e: Emitter, ins: Instruction, metadata: str, kind: str, depth: int, selector: int) -> None:
    """Write the check of the codes that say where the elements of a sparse A stand."""
    ordered = sparse_form(ins) == "sp::ordered_metadata"
    e.line(f"check_metadata({e.bind(e.site_of(ins))}, {metadata}, {kind!r}, {depth}, {selector}, {ordered}, {e.lanes})")

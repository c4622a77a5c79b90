"""Lowering of cp: asynchronous copies of a few bytes, of many contiguous ones, and of boxes of a tensor. (PTX ISA, 9.7.9.25)"""

from __future__ import annotations

from dataclasses import replace

from tinygan_kernels.emulator.semantics import atomics
from tinygan_kernels.emulator.semantics.tensor_maps import REPLACED
from tinygan_kernels.emulator.syntax.ptx import WIDTH, Address, Immediate, Instruction, Vector

from .emitter import Emitter
from .memory import ATOMIC, COMPLETES, SPACES, barrier_site, cp_async, space_of, vector_items
from .types import code_of


def cp(e: Emitter, ins: Instruction) -> None:
    words = ins.modifiers
    if "bulk" not in words:
        cp_async(e, ins)
    elif "commit_group" in words:
        e.line(f"bulk.commit({e.lanes})")
    elif "wait_group" in words:
        e.line(f"bulk.wait({int(ins.operands[0].value)}, {'read' in words}, {e.lanes})")
    elif "tensor" in words:
        _tensor(e, ins)
    elif "prefetch" not in words:
        _contiguous(e, ins)


def _contiguous(e: Emitter, ins: Instruction) -> None:
    """Lower cp.async.bulk and cp.reduce.async.bulk of contiguous bytes."""
    spaces, name, kind = _spaces(ins), _reduction(e, ins), "b32"
    if name:
        kind = e.kind_of(ins)
    if len(spaces) != 2:
        raise e.unsupported("this form of bulk copy is not supported")
    to, source, size, *rest = ins.operands
    target_site = e.site_of(ins, spaces[0], code_of(kind), WIDTH[kind])
    source_site = replace(e.site_of(ins, spaces[1], code_of(kind), WIDTH[kind]), name=ins.name.replace("reduce.", ""))
    barrier, ranks = _barrier(e, ins, rest), _ranks(e, ins, rest)
    function = e.bind(atomics.operation(name, kind)) if name else "None"
    places = f"{e.bind(source_site)}, {e.bind(target_site)}, {e.address(to)}, {e.address(source)}, {e.read(size, 'u32')}"
    e.line(f"bulk.copy({places}, {e.lanes}, {barrier}, {ranks}, {function})")


def _spaces(ins: Instruction) -> list[str]:
    """Return the state spaces that a copy names: that of the destination first."""
    return [SPACES[m] for m in ins.modifiers if m in SPACES]


def _reduction(e: Emitter, ins: Instruction) -> str:
    """Return the operation of cp.reduce, "" for a copy. Raises UnsupportedInstruction for forms that PTX does not have."""
    reduces = ins.modifiers[0] == "reduce"
    name = next((m for m in ins.modifiers if m in ATOMIC), "") if reduces else ""
    waits = (COMPLETES in ins.modifiers) == ("bulk_group" in ins.modifiers) and "prefetch" not in ins.modifiers
    if (reduces and not name) or waits:
        raise e.unsupported("this form of bulk copy is not supported")
    return name


def _barrier(e: Emitter, ins: Instruction, rest: list) -> str:
    """Take the mbarrier at which a copy's bytes are counted from the front of the operands; return source text for it."""
    return f"({barrier_site(e, ins)}, {e.address(rest.pop(0))})" if COMPLETES in ins.modifiers else "None"


def _ranks(e: Emitter, ins: Instruction, rest: list) -> str:
    """Take the mask of the blocks that get a copy from the front of the operands; return source text for it."""
    return e.read(rest.pop(0), "u16") if "multicast::cluster" in ins.modifiers else "None"


def _tensor(e: Emitter, ins: Instruction) -> None:
    """Lower cp.async.bulk.tensor, cp.reduce.async.bulk.tensor and their prefetch."""
    words, operands = ins.modifiers, list(ins.operands)
    if any(w.startswith("im2col") and w != "im2col" and w != "im2col_no_offs" for w in words):
        raise e.unsupported("of the im2col modes, .im2col and .im2col_no_offs are supported")
    rank = int(next(w for w in words if w[1:] == "d" and w[0].isdigit())[0])
    spaces, name = _spaces(ins), _reduction(e, ins)
    loads = "prefetch" in words or spaces[0] == "shared"
    tensor = operands.pop(0 if "prefetch" in words or not loads else 1)
    coordinates = _coordinates(e, tensor, rank)
    pixels = "im2col" in words or "im2col_no_offs" in words
    site = e.site_of(ins, "shared" if loads else "global", "u4", 4)
    source = replace(e.site_of(ins, "global" if loads else "shared", "u4", 4), name=ins.name.replace("reduce.", ""))
    where = f"{e.bind(source)}, {e.bind(site)}, {e.address(replace(tensor, more=()))}, {coordinates}"
    if "prefetch" in words:
        e.line(f"tensors.prefetch({where}, {pixels}, {e.lanes})")
        return
    where = f"{where}, {pixels}, {e.address(operands.pop(0))}, {e.lanes}"
    if loads:
        barrier = _barrier(e, ins, operands)
        offsets = _offsets(e, operands.pop(0), rank) if "im2col" in words else "()"
        e.line(f"tensors.load({where}, {barrier}, {_ranks(e, ins, operands)}, {offsets})")
    else:
        e.line(f"tensors.store({where}, {name!r})")


def _coordinates(e: Emitter, tensor: Address, rank: int) -> str:
    """Return source text for the coordinates in [map, {x, y}], as many as the instruction says."""
    (vector,) = tensor.more
    items = vector_items(vector)
    if len(items) != rank:
        raise e.unsupported(f"a tensor of rank {rank} has {rank} coordinates, not {len(items)}")
    return "(" + ", ".join(e.read(item, "s32") for item in items) + ",)"


def _offsets(e: Emitter, operand: Vector, rank: int) -> str:
    """Return source text for the offsets of an im2col copy, one for each spatial dimension."""
    items = vector_items(operand)
    if len(items) != rank - 2:
        raise e.unsupported(f"an im2col copy of rank {rank} has {rank - 2} offsets, not {len(items)}")
    return "(" + ", ".join(e.read(item, "u16") for item in items) + ",)"


def tensormap(e: Emitter, ins: Instruction) -> None:
    """Lower tensormap.replace and tensormap.cp_fenceproxy."""
    form = ins.modifiers[0]
    if form == "cp_fenceproxy":
        to, source, _size = ins.operands
        sites = ", ".join(e.bind(e.site_of(ins, space, "u8", 8)) for space in ("global", "shared"))
        e.line(f"tensors.publish({sites}, {e.address(to)}, {e.address(source)}, {e.lanes})")
        return
    field = next((m for m in ins.modifiers if m in REPLACED), None)
    if form != "replace" or field is None:
        raise e.unsupported(f"of tensormap.replace these fields are supported: {', '.join(REPLACED)}")
    ordinal, value = (Immediate(0), ins.operands[1]) if len(ins.operands) == 2 else ins.operands[1:]
    kind = "u64" if field in ("global_address", "global_stride") else "u32"
    site = e.bind(e.site_of(ins, space_of(e, ins), "u8", 8))
    number = int(ordinal.value) if isinstance(ordinal, Immediate) else e.read(ordinal, "u32")
    e.line(f"tensors.replace({site}, {field!r}, {number}, {e.read(value, kind)}, {e.address(ins.operands[0])}, {e.lanes})")

"""Lowering of texture and surface instructions, whose objects are 64-bit handles. (PTX ISA, 9.7.10 and 9.7.11)"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.syntax.ptx import WIDTH, Address, Instruction, Pair, Register, Symbol

from .emitter import Emitter
from .memory import vector_items
from .types import code_of, types_of

GEOMETRIES = {"1d": 1, "2d": 2, "3d": 3, "a1d": 2, "a2d": 3, "cube": 3, "acube": 4}
"""Geometries, with how many coordinates an instruction has for each (a layer, which stands first, included)."""
_QUERIES = ("width", "height", "depth", "array_size", "normalized_coords", "num_mipmap_levels")
_REDUCE = {"add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or}


def tex(e: Emitter, ins: Instruction) -> None:
    geometry = _geometry(e, ins)
    results, coordinate = _types(e, ins)
    handle, coordinates = _address(e, ins.operands[1], geometry, coordinate)
    more = 1 if "level" in ins.modifiers else 2 if "grad" in ins.modifiers else 0
    if len(ins.operands) != 2 + more:
        raise e.unsupported("offsets of coordinates and comparisons with a depth are not supported")
    detail = _detail(e, ins, geometry, coordinate)
    targets = _results(e, ins, results)
    place = e.bind(e.site_of(ins, "texture", "u4", 4))
    layer = coordinates.pop(0) if geometry[0] == "a" else "None"
    whole = coordinate == "s32"
    given = f"{handle}, {layer}, ({', '.join(coordinates)},), {e.lanes}, {whole}, {detail}"
    e.line(f"textures.fetch({place}, {geometry!r}, {results!r}, {targets}, {given})")


def _detail(e: Emitter, ins: Instruction, geometry: str, coordinate: str) -> str:
    """Return source text for what chooses the level of a mipmapped texture: (), its number, or the two gradients."""
    if "level" in ins.modifiers:
        return f"({e.read(ins.operands[2], coordinate)},)"
    if "grad" not in ins.modifiers:
        return "()"
    if "cube" in geometry:
        raise e.unsupported("gradients of cubemaps are not supported")
    axes = GEOMETRIES[geometry] - (geometry[0] == "a")
    parts = [[e.read(item, "f32") for item in vector_items(operand)[:axes]] for operand in ins.operands[2:4]]
    if any(len(part) != axes for part in parts):
        raise ValueError("too few gradients")
    return "(" + ", ".join(f"({', '.join(part)},)" for part in parts) + ")"


def tld4(e: Emitter, ins: Instruction) -> None:
    geometry = _geometry(e, ins)
    results, coordinate = _types(e, ins)
    if geometry not in ("2d", "a2d") or len(ins.operands) != 2:
        raise e.unsupported("gathers from cubemaps, offsets of coordinates and comparisons with a depth are not supported")
    handle, coordinates = _address(e, ins.operands[1], geometry, coordinate)
    component = next((i for i, name in enumerate("rgba") if name in ins.modifiers), None)
    if component is None:
        raise e.unsupported("a gather names the channel that it takes: r, g, b or a")
    targets = _results(e, ins, results)
    place = e.bind(e.site_of(ins, "texture", "u4", 4))
    layer = coordinates.pop(0) if geometry[0] == "a" else "None"
    given = f"{handle}, {layer}, ({', '.join(coordinates)},), {e.lanes}"
    e.line(f"textures.gather({place}, {component}, {geometry!r}, {results!r}, {targets}, {given})")


def query(e: Emitter, ins: Instruction) -> None:
    """Lower txq and suq."""
    what = next((m for m in ins.modifiers if m in _QUERIES), None)
    of_level = "level" in ins.modifiers
    if what is None or (ins.opcode == "suq" and (of_level or what in _QUERIES[4:])) or (of_level and what not in _QUERIES[:3]):
        raise e.unsupported(f"this query is not supported; supported: {', '.join(_QUERIES)}")
    target = e.target(ins.operands[0], "u32")
    place = e.bind(e.site_of(ins, "texture" if ins.opcode == "txq" else "surface", "u4", 4))
    level = f", {e.read(ins.operands[2], 'u32')}" if of_level else ""
    e.line(f"textures.query({place}, {what!r}, {target}, {_handle(e, ins.operands[1])}, {e.lanes}, {ins.opcode == 'suq'}{level})")


def suld(e: Emitter, ins: Instruction) -> None:
    if "b" not in ins.modifiers:
        raise e.unsupported("of surface loads those of bytes (suld.b) are supported")
    kind, items = e.kind_of(ins), vector_items(ins.operands[0])
    targets = ", ".join("None" if t is None else e.target(t, f"u{8 * WIDTH[kind]}") for t in items)
    place, geometry, handle, coordinates = _surface(e, ins, ins.operands[1], kind, len(items))
    e.line(f"surfaces.load({place}, {geometry!r}, {_mode(ins)!r}, ({targets},), {handle}, {coordinates}, {e.lanes})")


def sust(e: Emitter, ins: Instruction) -> None:
    if "b" not in ins.modifiers:
        raise e.unsupported("of surface stores those of bytes (sust.b) are supported")
    kind, items = e.kind_of(ins), vector_items(ins.operands[1])
    values = ", ".join(e.read(v, f"u{8 * WIDTH[kind]}") for v in items)
    place, geometry, handle, coordinates = _surface(e, ins, ins.operands[0], kind, len(items))
    e.line(f"surfaces.store({place}, {geometry!r}, {_mode(ins)!r}, ({values},), {handle}, {coordinates}, {e.lanes})")


def sured(e: Emitter, ins: Instruction) -> None:
    name = next((m for m in ins.modifiers if m in _REDUCE), None)
    if "b" not in ins.modifiers or name is None:
        raise e.unsupported("of surface reductions those of bytes (sured.b) by add, min, max, and, or are supported")
    kind = e.kind_of(ins)
    place, geometry, handle, coordinates = _surface(e, ins, ins.operands[0], kind, 1)
    value = e.read(ins.operands[1], kind)
    given = f"{e.bind(_REDUCE[name])}, {value}, {handle}, {coordinates}, {e.lanes}"
    e.line(f"surfaces.reduce({place}, {geometry!r}, {_mode(ins)!r}, {given})")


# -- operands -----------------------------------------------------------------------------------------------------------------
def _geometry(e: Emitter, ins: Instruction) -> str:
    found = next((m for m in ins.modifiers if m in GEOMETRIES), None)
    if found is None:
        raise e.unsupported(f"this geometry is not supported; supported: {', '.join(GEOMETRIES)}")
    return found


def _types(e: Emitter, ins: Instruction) -> tuple[str, str]:
    """Return the types of a fetch's results and of its coordinates."""
    kinds = types_of(ins)
    if len(kinds) != 2 or kinds[0] not in ("f32", "f16", "f16x2", "u32", "s32") or kinds[1] not in ("f32", "s32"):
        raise e.unsupported("a fetch has the types of its results (f32, f16, f16x2, u32, s32) and of its coordinates (f32, s32)")
    return kinds[0], kinds[1]


def _handle(e: Emitter, operand: Address) -> str:
    """Return source text for the handle of a texture or surface. A variable of the module (.texref) is refused."""
    if isinstance(operand.base, Symbol) or not isinstance(operand.base, Register):
        raise e.unsupported("texture and surface references (.texref, .surfref) are not supported; texture and surface objects are")
    return e.read(operand.base, "u64")


def _address(e: Emitter, operand: Address, geometry: str, kind: str) -> tuple[str, list[str]]:
    """Return source text for the handle and each coordinate of [handle, {x, y}]; the first coordinate of an array is its layer."""
    if not operand.more:
        raise ValueError("no coordinates")
    if len(operand.more) != 1:
        raise e.unsupported("a sampler of its own (.samplerref) is not supported; that of the texture object is")
    items = vector_items(operand.more[0])[: GEOMETRIES[geometry]]
    if len(items) != GEOMETRIES[geometry]:
        raise ValueError("too few coordinates")
    kinds = ["u32" if geometry[0] == "a" and i == 0 else kind for i in range(len(items))]
    return _handle(e, operand), [e.read(item, k) for item, k in zip(items, kinds, strict=True)]


def _results(e: Emitter, ins: Instruction, kind: str) -> str:
    """Return source text for the registers of a fetch's results, and write the predicate that says they are resident."""
    operand = ins.operands[0]
    if isinstance(operand, Pair):
        e.write(operand.second, "pred", "True")
        operand = operand.first
    bits = "u16" if kind == "f16" else "u32"
    items = vector_items(operand)
    if len(items) != (2 if kind == "f16x2" else 4):
        raise ValueError("another number of results")
    return "(" + ", ".join("None" if t is None else e.target(t, bits) for t in items) + ",)"


def _surface(e: Emitter, ins: Instruction, operand: Address, kind: str, count: int) -> tuple[str, str, str, str]:
    """Return the site, the geometry, and source text for the handle and the coordinates of a surface instruction."""
    geometry = _geometry(e, ins)
    if "cube" in geometry:
        raise e.unsupported("this geometry is not supported; a surface of a cubemap is one of layers (a2d)")
    place = e.bind(e.site_of(ins, "surface", code_of(kind), WIDTH[kind], count))
    handle, coordinates = _address(e, operand, geometry, "s32")
    return place, geometry, handle, f"({', '.join(coordinates)},)"


def _mode(ins: Instruction) -> str:
    """Return what is done outside: trap, which is the default, clamp or zero."""
    return next((m for m in ins.modifiers if m in ("trap", "clamp", "zero")), "trap")

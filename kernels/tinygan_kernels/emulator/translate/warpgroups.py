"""Lowering of wgmma, and the registers that its asynchronous products hold. (PTX ISA, 9.7.15)"""

from __future__ import annotations

from tinygan_kernels.emulator.semantics import fragments, warpgroups
from tinygan_kernels.emulator.syntax.ptx import Function, Immediate, Instruction, Register, Vector, names_in

from .emitter import Emitter
from .memory import vector_items
from .sparsity import check_metadata, one_word, selector_of, sparse_form


def wgmma(e: Emitter, ins: Instruction) -> None:
    form = ins.modifiers[0]
    if form == "mma_async":
        _multiply(e, ins)
    elif form == "wait_group":
        e.line(f"warpgroups.wait({int(ins.operands[0].value)}, {e.lanes})")
    elif form in ("fence", "commit_group"):
        e.line(f"warpgroups.{'fence' if form == 'fence' else 'commit'}({e.lanes})")
    else:
        raise e.unsupported("there is no such operation")


def _multiply(e: Emitter, ins: Instruction) -> None:
    """Lower wgmma.mma_async: d, then a and b, of a sparse product the metadata and their selector, then scale-d and the immediates
    that negate and transpose."""
    kinds = [m for m in ins.modifiers if m in fragments.BITS]
    m, n, k = fragments.shape_of(ins.modifiers)
    sparse = bool(sparse_form(ins))
    if not _known(kinds, (m, n, k // 2 if sparse else k)) or (sparse and (kinds[1] == "b1" or k % 2)):
        depths = {kind: 2 * depth for kind, depth in warpgroups.DEPTH.items() if kind != "b1"} if sparse else warpgroups.DEPTH
        known = ", ".join(f"m64nNk{depth} {kind}" for kind, depth in sorted(depths.items()))
        raise e.unsupported(f"this product is not supported; supported: {known}, with the types of D and the N of the PTX ISA")
    if kinds[1] == "b1" and not {"and", "popc"} <= set(ins.modifiers):
        raise e.unsupported("bits are combined by .and.popc alone")
    d, a, b, *rest = ins.operands
    about_sparsity = "None"
    if sparse:
        word, selector = one_word(e, rest.pop(0)), selector_of(e, rest.pop(0), kinds[1], k)
        check_metadata(e, ins, word, kinds[1], k, selector)
        about_sparsity = f"({word}, {selector})"
    scale, *flags = rest
    in_registers = isinstance(a, Vector)
    negated, transposed = _flags(e, kinds[1], flags, in_registers)
    targets = [e.target(item, "b32") for item in vector_items(d)]
    if len(targets) != n * fragments.BITS[kinds[0]] // 64:
        raise e.unsupported(f"D of {n} columns has {n * fragments.BITS[kinds[0]] // 64} registers, not {len(targets)}")
    items = ", ".join(e.read(item, "b32") for item in vector_items(a)) if in_registers else ""
    left = f"({items},)" if in_registers else e.read(a, "b64")
    site = e.site_of(ins, "shared", f"u{warpgroups.element_bytes(kinds[1])}", warpgroups.element_bytes(kinds[1]))
    about = (tuple(kinds), n, negated, transposed, "satfinite" in ins.modifiers)
    held = names_in(d, Register), names_in(a, Register) if in_registers else []
    names = ", ".join(repr(tuple(numbers(e, each))) for each in held)
    about_name = e.bind(about, ("wgmma", about))
    accumulates = e.read(scale, "pred") if not isinstance(scale, Immediate) else str(bool(scale.value))
    e.line(
        f"warpgroups.multiply({e.bind(site)}, {about_name}, ({', '.join(targets)},), {left}, {e.read(b, 'b64')}, {accumulates}, "
        f"{names}, {about_sparsity}, {e.lanes})"
    )


def _known(kinds: list[str], shape: tuple[int, int, int]) -> bool:
    """Return whether there is a product with these types of D, A and B and this shape."""
    if len(kinds) != 3 or kinds[1] not in warpgroups.DEPTH or kinds[0] not in warpgroups.RESULTS[kinds[1]]:
        return False
    alike = kinds[1] == kinds[2] or {kinds[1], kinds[2]} in ({"s8", "u8"}, {"e4m3", "e5m2"})
    m, n, k = shape
    return alike and (m, k) == (warpgroups.ROWS, warpgroups.DEPTH[kinds[1]]) and n in warpgroups.widths(kinds[1])


def _flags(e: Emitter, kind: str, flags: list, in_registers: bool) -> tuple[tuple[bool, bool], tuple[bool, bool]]:
    """Return (whether A and B are negated, whether they are M- and N-major), from the immediates at the end."""
    values = [int(f.value) for f in flags]
    scales = values[:2] if kind not in ("s8", "u8", "b1") else [1, 1]
    majors = values[2:] if kind in warpgroups.TRANSPOSED else []
    count = (2 if kind not in ("s8", "u8", "b1") else 0) + (2 - in_registers if kind in warpgroups.TRANSPOSED else 0)
    if len(values) != count or not set(scales) <= {1, -1} or not set(majors) <= {0, 1}:
        raise e.unsupported(f"{count} immediates follow scale-d: 1 or -1 for A and B, then 0 or 1 for their major-ness")
    if len(majors) == 1:
        majors = [0, *majors]
    majors = majors or [0, 0]
    return (scales[0] == -1, scales[1] == -1), (majors[0] == 1, majors[1] == 1)


def numbers(e: Emitter, names: list[str]) -> list[int]:
    """Return the numbers, among the registers that products hold in the kernel, of registers of the function at hand."""
    held = e.names.held
    return [held.setdefault((e.function.name, name), len(held)) for name in names]


def held_by_products(function: Function) -> frozenset[str]:
    """Return the names of the registers in which wgmma has its accumulators and its A, and of those that they are moved to."""
    found: set[str] = set()
    moves = []
    for ins in function.body:
        if not isinstance(ins, Instruction):
            continue
        if ins.opcode == "wgmma" and ins.modifiers[0] == "mma_async":
            found.update(names_in(ins.operands[0], Register))
            if isinstance(ins.operands[1], Vector):
                found.update(names_in(ins.operands[1], Register))
        elif is_move(ins):
            moves.append((ins.operands[0].name, ins.operands[1].name))
    grown = bool(found)
    while grown:
        before = len(found)
        found.update(to for to, source in moves if source in found)
        grown = len(found) > before
    return frozenset(found)


def is_move(ins: Instruction) -> bool:
    """Return whether an instruction only copies one register into another, which ptxas makes one register of."""
    return ins.opcode == "mov" and len(ins.operands) == 2 and all(isinstance(o, Register) for o in ins.operands)


def note(e: Emitter, ins: Instruction) -> None:
    """Write what tells the sanitizer that an instruction reads or writes registers which products hold."""
    if not e.held or ins.opcode == "wgmma":
        return
    read, written = sorted(e.seen & e.held), sorted(e.written & e.held)
    if not read and not written:
        return
    moves = is_move(ins) and len(read) == len(written) == 1
    sets = ins.opcode == "mov" and not read  # a constant: ptxas puts it before the product's stage
    if sets:
        return
    site = e.bind(e.site_of(ins))
    given = f"{tuple(numbers(e, read))!r}, {tuple(numbers(e, written))!r}"
    e.line(f"warpgroups.{'moved' if moves else 'touched'}({site}, {given}, {e.lanes})")

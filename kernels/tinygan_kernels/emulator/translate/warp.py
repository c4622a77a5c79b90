"""Lowering of collectives, in which the lanes of a warp work together. (PTX ISA, 9.7.9, 9.7.13, 9.7.14)"""

from __future__ import annotations

from tinygan_kernels.emulator.semantics import fragments, matrix, quarter_products, sparsity, warps
from tinygan_kernels.emulator.syntax.ptx import Immediate, Instruction, Pair

from .emitter import Emitter
from .memory import space_of, vector_items
from .narrow_products import kind_of, mma_narrow
from .sparsity import check_metadata, one_word, selector_of, sparse_form
from .types import types_of


def shfl(e: Emitter, ins: Instruction) -> None:
    if "sync" not in ins.modifiers:
        raise e.unsupported("only the .sync forms are supported")
    target = ins.operands[0]
    value, b, c = (e.read(o, "b32") for o in ins.operands[1:4])
    mask = e.read(ins.operands[4], "u32") if len(ins.operands) > 4 else e.constant(Immediate(-1), "u32")
    e.line(f"result, inside = {e.call(warps.shuffle, repr(ins.modifiers[1]), f'{e.lanes}.offered({value})', b, c, 'm.mask.size')}")
    e.line(f"result = shuffled({e.bind(e.site_of(ins))}, {ins.modifiers[1]!r}, {b}, {c}, {mask}, {e.lanes}, result)")
    e.write(target.first if isinstance(target, Pair) else target, "b32", "result")
    if isinstance(target, Pair):
        e.write(target.second, "pred", "inside")


def vote(e: Emitter, ins: Instruction) -> None:
    if "sync" not in ins.modifiers:
        raise e.unsupported("only the .sync forms are supported")
    mode = next((m for m in ins.modifiers if m in ("ballot", "any", "all", "uni")), "")
    if not mode:
        raise e.unsupported("vote.sync has one of the modes all, any, uni, ballot")
    predicate, mask = e.read(ins.operands[1], "pred"), e.read(ins.operands[2], "b32")
    value = e.call(warps.vote, repr(mode), f"{e.lanes}.offered({predicate})", mask, f"{e.lanes}.together")
    e.write(ins.operands[0], "b32" if mode == "ballot" else "pred", value)


def match(e: Emitter, ins: Instruction) -> None:
    mode, kind = ins.modifiers[0], e.kind_of(ins)
    if mode not in ("any", "all"):
        raise e.unsupported("unknown match")
    offered = f"{e.lanes}.offered({e.read(ins.operands[1], kind)})"
    value = e.call(warps.match, repr(mode), offered, e.read(ins.operands[2], "b32"), f"{e.lanes}.together")
    target = ins.operands[0]
    if mode == "any":
        e.write(target, "b32", value)
        return
    e.line(f"result, agree = {value}")
    e.write(target.first if isinstance(target, Pair) else target, "b32", "result")
    if isinstance(target, Pair):
        e.write(target.second, "pred", "agree")


def redux(e: Emitter, ins: Instruction) -> None:
    kind, operation, words = e.kind_of(ins), ins.modifiers[1], {"abs", "NaN"} & set(ins.modifiers)
    if operation not in warps.REDUCTIONS or len(types_of(ins)) != 1:
        raise e.unsupported(f"redux.sync has one type and one of the operations {', '.join(warps.REDUCTIONS)}")
    if (words or kind == "f32") and (kind != "f32" or operation not in ("min", "max")):
        raise e.unsupported("modifiers .abs and .NaN, and the type f32, are those of redux.sync.min and max")
    if kind == "f32":
        operation = f"{operation}{'.abs' if 'abs' in words else ''}{'.NaN' if 'NaN' in words else ''}"
    offered, members = f"{e.lanes}.offered({e.read(ins.operands[1], kind)})", f"{e.lanes}.members({e.read(ins.operands[2], 'b32')})"
    value = e.call(warps.reduce, repr(operation), offered, members, f"{e.lanes}.together")
    e.write(ins.operands[0], kind, value)


def elect(e: Emitter, ins: Instruction) -> None:
    e.line(f"result, chosen = {e.call(warps.elect, e.read(ins.operands[1], 'b32'), f'{e.lanes}.together')}")
    target = ins.operands[0]
    e.write(target.first if isinstance(target, Pair) else target, "b32", "result")
    if isinstance(target, Pair):
        e.write(target.second, "pred", "chosen")


def activemask(e: Emitter, ins: Instruction) -> None:
    ones = e.constant(Immediate(-1), "u32")
    e.write(ins.operands[0], "b32", e.call(warps.vote, "'ballot'", "True", ones, f"{e.lanes}.mask"))


def mma(e: Emitter, ins: Instruction) -> None:
    if kind_of(ins):
        mma_narrow(e, ins)
        return
    kinds, shape = element_types(ins), fragments.shape_of(ins.modifiers)
    if shape == quarter_products.SHAPE and kinds[1:2] == ["f16"] and not sparse_form(ins):
        mma_quarters(e, ins, kinds)
        return
    if sparse_form(ins):
        mma_sparse(e, ins, kinds, shape)
        return
    plain = "row" in ins.modifiers and "col" in ins.modifiers
    if len(kinds) != 4 or not _is_known(kinds, shape, matrix.SUPPORTED) or not plain:
        known = ", ".join(f"m{m}n{n}k{k} {kind}" for kind, m, n, k in sorted(matrix.SUPPORTED))
        raise e.unsupported(f"this mma is not supported; supported (row.col): {known}")
    multiply(e, ins, kinds, shape)


def mma_quarters(e: Emitter, ins: Instruction, kinds: list[str]) -> None:
    """Lower mma.m8n8k4 of f16: four products of eight lanes each, of matrices in any layout."""
    layouts = tuple(m for m in ins.modifiers if m in ("row", "col"))
    if len(kinds) != 4 or kinds[2] != "f16" or not {kinds[0], kinds[3]} <= {"f16", "f32"} or len(layouts) != 2:
        raise e.unsupported("mma.m8n8k4 of f16 names the layouts of A and B, and has D and C of f16 or f32")
    if kinds[3] == "f32" and kinds[0] == "f16":
        raise e.unsupported("mma.m8n8k4 with C of f32 has D of f32")
    a, b, c = ("(" + ", ".join(e.read(item, "b32") for item in vector_items(o)) + ",)" for o in ins.operands[1:])
    e.line(f"results = {e.call(quarter_products.multiply, repr(tuple(kinds)), repr(layouts), a, b, c)}")
    for i, target in enumerate(vector_items(ins.operands[0])):
        e.write(target, "b32", f"results[{i}]")


def mma_sparse(e: Emitter, ins: Instruction, kinds: list[str], shape: tuple[int, int, int]) -> None:
    """Lower mma.sp: d, a, b, c, then the metadata and the selector of the lanes that hold them."""
    known = {(kind, 16, 8, k) for kind, depths in sparsity.FORMS.items() for k in depths}
    plain = "row" in ins.modifiers and "col" in ins.modifiers
    if len(kinds) != 4 or not _is_known(kinds, shape, known) or kinds[0] not in _sparse_results(kinds[1]) or not plain:
        names = ", ".join(f"m16n8k{k} {kind}" for kind, depths in sparsity.FORMS.items() for k in depths)
        raise e.unsupported(f"this mma.sp is not supported; supported (row.col): {names}")
    if "satfinite" in ins.modifiers and kinds[0] != "s32":
        raise e.unsupported("modifier .satfinite is supported for integers alone")
    a, b, c = ("(" + ", ".join(e.read(item, "b32") for item in vector_items(o)) + ",)" for o in ins.operands[1:4])
    metadata, selector = one_word(e, ins.operands[4]), selector_of(e, ins.operands[5], kinds[1], shape[2])
    check_metadata(e, ins, metadata, kinds[1], shape[2], selector)
    given = f"{a}, {b}, {c}, {metadata}, {selector}, {'satfinite' in ins.modifiers}"
    e.line(f"results = {e.call(matrix.multiply_sparse, repr(tuple(kinds)), repr(shape), given)}")
    for i, target in enumerate(vector_items(ins.operands[0])):
        e.write(target, "b32", f"results[{i}]")


def _sparse_results(kind: str) -> tuple[str, ...]:
    """Return the types that D can have in mma.sp, by the type of A."""
    return ("s32",) if kind[0] in "su" else ("f16", "f32") if kind == "f16" else ("f32",)


def element_types(ins: Instruction) -> list[str]:
    """Return the types of matrix elements among an instruction's modifiers, in order: of D, A, B and C in mma."""
    return [m for m in ins.modifiers if m in fragments.BITS]


_ALIKE = (("s8", "u8"), ("s4", "u4"), ("e4m3", "e5m2"))


def _is_known(kinds: list[str], shape: tuple[int, int, int], known: set) -> bool:
    """Return whether matrices of these types and sizes are among those known, and the types of A and B go together."""
    same = kinds[1] == kinds[2] or any(kinds[1] in pair and kinds[2] in pair for pair in _ALIKE)
    return same and (kinds[1], *shape) in known


def multiply(e: Emitter, ins: Instruction, kinds: list[str], shape: tuple[int, int, int]) -> None:
    """Write the product of mma and of wmma.mma."""
    word = "b64" if kinds[1] == "f64" else "b32"
    a, b, c = ("(" + ", ".join(e.read(item, word) for item in vector_items(o)) + ",)" for o in ins.operands[1:])
    more = []
    if kinds[1] == "b1":
        more = [repr(next(m for m in ins.modifiers if m in ("and", "xor")))]
    if "satfinite" in ins.modifiers:
        if kinds[0] != "s32":
            raise e.unsupported("modifier .satfinite is supported for integers alone")
        more = [repr(""), "True"]
    e.line(f"results = {e.call(matrix.multiply, repr(tuple(kinds)), repr(shape), a, b, c, *more)}")
    for i, target in enumerate(vector_items(ins.operands[0])):
        e.write(target, word, f"results[{i}]")


def wmma(e: Emitter, ins: Instruction) -> None:
    form, kinds, shape = ins.modifiers[0], element_types(ins), fragments.shape_of(ins.modifiers)
    if form != "mma":
        move_fragment(e, ins, kinds[-1], shape)
        return
    if len(kinds) == 2:  # of half precision: D and C are named, A and B are f16
        kinds = [kinds[0], "f16", "f16", kinds[1]]
    if len(kinds) != 4 or not _is_known(kinds, shape, matrix.WMMA):
        known = ", ".join(f"m{m}n{n}k{k} {kind}" for kind, m, n, k in sorted(matrix.WMMA))
        raise e.unsupported(f"this wmma is not supported; supported: {known}")
    multiply(e, ins, kinds, shape)


def move_fragment(e: Emitter, ins: Instruction, kind: str, shape: tuple[int, int, int]) -> None:
    """Lower wmma.load.{a, b, c} and wmma.store.d."""
    form, which = ins.modifiers[:2]
    layout = "row" if "row" in ins.modifiers else "col"
    address, registers = ins.operands[:2] if form == "store" else ins.operands[1::-1]
    items = vector_items(registers)
    if not any(shape == known[1:] and (which in "cd" or kind == known[0]) for known in matrix.WMMA):
        raise e.unsupported("there is no such matrix")
    moved = fragments.transfer(which, shape, kind, layout, len(items))
    narrow = fragments.BITS[kind] < 8
    if narrow and moved.run == 1:
        raise e.unsupported("elements of less than a byte have to be row-major in A and column-major in B")
    whole = moved.run >= moved.held  # pieces are whole registers
    size = (8 if kind == "f64" else 4) if whole else fragments.BITS[kind] // 8
    site = e.site_of(ins, space_of(e, ins), f"u{size}", size, moved.run // moved.held if whole else 1)
    has_stride = len(ins.operands) > 2
    stride = e.read(ins.operands[2], "u32") if has_stride else str(fragments.default_stride(which, shape, layout))
    word = "b64" if kind == "f64" else "b32"
    place = f"{e.bind(site)}, {e.bind(moved)}"
    # "Waits until all warp lanes have arrived and then loads" (stores), says the CUDA C++ Programming Guide of both
    e.line(f"warp_sync({e.constant(Immediate(-1), 'u32')}, {e.lanes})")
    if form == "load":
        targets = ", ".join(e.target(item, word) for item in items)
        e.line(f"load_fragment({place}, ({targets},), {e.address(address)}, {stride}, {e.lanes})")
    else:
        values = ", ".join(e.read(item, word) for item in items)
        e.line(f"store_fragment({place}, ({values},), {e.address(address)}, {stride}, {e.lanes})")


def ldmatrix(e: Emitter, ins: Instruction) -> None:
    if "m8n16" in ins.modifiers and "shared::cluster" not in ins.modifiers:
        _ldmatrix_narrow(e, ins)
        return
    if "m8n8" not in ins.modifiers or e.kind_of(ins) != "b16" or "shared::cluster" in ins.modifiers:
        raise e.unsupported("only ldmatrix.m8n8.b16 and .m8n16.b8x16 from this block's memory are supported")
    targets = vector_items(ins.operands[0])
    site = e.site_of(ins, space_of(e, ins), "u8", 8, 2)
    e.line(f"rows = load_rows({e.bind(site)}, {len(targets)}, {e.address(ins.operands[1])}, {e.lanes})")
    e.line(f"results = {e.call(matrix.distribute, 'rows', str(len(targets)), str('trans' in ins.modifiers))}")
    for i, target in enumerate(targets):
        e.write(target, "b32", f"results[{i}]")


def _ldmatrix_narrow(e: Emitter, ins: Instruction) -> None:
    """Lower ldmatrix.m8n16.b8x16.{b4x16_p64, b6x16_p32}: rows of 16 elements, which get a byte each; the padding is not read."""
    bits = next((int(m[1]) for m in ins.modifiers if m in ("b4x16_p64", "b6x16_p32")), 0)
    if not bits or "b8x16" not in ins.modifiers or "trans" in ins.modifiers:
        raise e.unsupported("of .m8n16, .b8x16.b4x16_p64 and .b8x16.b6x16_p32 without .trans are supported")
    targets, space = vector_items(ins.operands[0]), space_of(e, ins)
    address, count = e.address(ins.operands[1]), len(targets)
    e.line(f"named = aligned_rows({e.bind(e.site_of(ins, space, 'u8', 8, 2))}, {count}, {address}, {e.lanes})")
    rows = f"load_rows({e.bind(e.site_of(ins, space, 'u8', 8))}, {count}, {address}, named)"
    if bits == 6:
        rows += f", load_rows({e.bind(e.site_of(ins, space, 'u4', 4))}, {count}, {address} + 8, named)"
    e.line(f"rows = {e.call(matrix.spread_bits, str(bits), rows)}")
    e.line(f"results = {e.call(matrix.distribute, 'rows', str(count), 'False')}")
    for i, target in enumerate(targets):
        e.write(target, "b32", f"results[{i}]")


def stmatrix(e: Emitter, ins: Instruction) -> None:
    if "m8n8" not in ins.modifiers or e.kind_of(ins) != "b16" or "shared::cluster" in ins.modifiers:
        raise e.unsupported("only stmatrix.m8n8.b16 into this block's memory is supported")
    values = ", ".join(e.read(item, "b32") for item in vector_items(ins.operands[1]))
    site = e.site_of(ins, space_of(e, ins), "u8", 8, 2)
    e.line(f"rows = {e.call(matrix.collect, f'[{values}]', str('trans' in ins.modifiers))}")
    e.line(f"store_rows({e.bind(site)}, rows, {len(vector_items(ins.operands[1]))}, {e.address(ins.operands[0])}, {e.lanes})")


def movmatrix(e: Emitter, ins: Instruction) -> None:
    e.write(ins.operands[0], "b32", e.call(matrix.transpose, e.read(ins.operands[1], "b32")))


def warp_barrier(e: Emitter, ins: Instruction) -> None:
    """Lower bar.warp.sync. Its lanes have met when the block begins; only the sanitizer has to hear of it."""
    e.line(f"warp_sync({e.read(ins.operands[0], 'u32')}, {e.lanes})")

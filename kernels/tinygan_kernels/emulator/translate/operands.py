"""How many operands instructions have, and how many registers stand in their braces. (PTX ISA, chapter 9)

What an instruction has besides would be left aside, and what it lacks would show as an error of Python, when the kernel is run.
"""

from __future__ import annotations

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.semantics import fragments, matrix, quarter_products, sparsity
from tinygan_kernels.emulator.syntax.ptx import Instruction, Register, Vector

from .narrow_products import kind_of, types_of_product


def _counted(**opcodes: str) -> dict[str, tuple[int, int]]:
    """Return {opcode: (least, most)} from least_most="opcodes", such as from_3_to_4="setp set"."""
    found: dict[str, tuple[int, int]] = {}
    for name, listed in opcodes.items():
        least, most = name.split("_")[1::2]
        found |= dict.fromkeys(listed.split(), (int(least), int(most)))
    return found


COUNTS = _counted(
    from_0_to_0="membar griddepcontrol exit trap",
    from_0_to_2="fence",
    from_1_to_1="activemask setmaxnreg nanosleep",
    from_2_to_2="neg abs rcp sqrt rsqrt ex2 lg2 sin cos tanh not cnot popc clz brev bfind mov cvta getctarank isspacep testp elect "
    "ldmatrix movmatrix",
    from_2_to_3="ld ldu st red",
    from_3_to_3="add sub addc subc mul mul24 div rem copysign and or xor shl shr bmsk szext mapa vote match redux",
    from_3_to_4="min max setp set",
    from_3_to_5="atom",
    from_4_to_4="mad mad24 madc fma sad dp4a dp2a selp slct shf bfe prmt fns vadd2 vadd4 vsub2 vsub4 vmin2 vmin4 vmax2 vmax4 "
    "vabsdiff2 vabsdiff4 vavrg2 vavrg4",
    from_4_to_5="shfl",
    from_5_to_5="bfi",
    from_5_to_6="lop3",
)
"""The least and the most operands of an opcode. One that is not here checks its own, as those do whose forms differ."""
_MBARRIER = {
    "init": (2, 2), "inval": (1, 1), "arrive": (1, 3), "arrive_drop": (1, 3), "expect_tx": (2, 2), "complete_tx": (2, 2),
    "test_wait": (3, 3), "try_wait": (3, 4), "pending_count": (2, 2),
}  # fmt: skip
_WMMA = {"load": (2, 3), "store": (2, 3), "mma": (4, 4)}


def check(ins: Instruction) -> None:
    """Raise EmulatorError, naming the line, where an instruction has operands or registers too many or too few.

    It is asked after the instruction was lowered: what the emulator does not support has been refused before, in other words.
    """
    check_count(ins)
    for position, count in _registers(ins).items():
        operand = ins.operands[position]
        items = operand.items if isinstance(operand, Vector) else (operand,)
        given = sum(isinstance(item, Register) for item in items) if ins.opcode in ("mma", "wmma") else len(items)
        if given != count or len(items) != count:
            raise EmulatorError(
                f"not PTX: operand {position} of {ins.name} has {count} registers, not {given}, at PTX line {ins.ptx_line}"
            )


def check_count(ins: Instruction) -> None:
    """Raise EmulatorError, naming the line, where an instruction has too few operands or too many."""
    least, most = _bounds(ins)
    if not least <= len(ins.operands) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise EmulatorError(f"not PTX: {ins.name} has {wanted} operands, not {len(ins.operands)}, at PTX line {ins.ptx_line}")


def _bounds(ins: Instruction) -> tuple[int, int]:
    """Return the least and the most operands of an instruction."""
    form = ins.modifiers[0] if ins.modifiers else ""
    if ins.opcode == "mbarrier":
        return _MBARRIER.get(form, (0, 4))
    if ins.opcode == "wmma":
        return _WMMA.get(form, (0, 4))
    if ins.opcode == "cvt":  # two values become halves of one register; random bits may come besides
        return (2, 4) if any(m.endswith(("x2", "x4")) or m == "pack" for m in ins.modifiers) else (2, 2)
    if ins.opcode == "mma":
        count = 4 + 2 * _sparse(ins) + 4 * ("block_scale" in ins.modifiers)
        return count, count
    if ins.opcode in ("atom", "red"):
        least = (ins.opcode == "atom") + (3 if "cas" in ins.modifiers else 2) + ("L2::cache_hint" in ins.modifiers)
        return least, least + ("async" in ins.modifiers)
    return COUNTS.get(ins.opcode, (0, len(ins.operands)))


def _registers(ins: Instruction) -> dict[int, int]:
    """Return {position of an operand: how many registers it has}, for loads, stores and products of matrices."""
    if ins.opcode in ("ld", "ldu", "st"):
        width = next((int(m[1]) for m in ins.modifiers if m in ("v2", "v4", "v8")), 1)
        return {1 if ins.opcode == "st" else 0: width}
    if ins.opcode == "ldmatrix":
        return {0: next((int(m[1]) for m in ins.modifiers if m in ("x1", "x2", "x4")), 1)}
    kinds = [m for m in ins.modifiers if m in fragments.BITS]
    if ins.opcode == "mma" and len(kinds) == 4:
        shape, known = fragments.shape_of(ins.modifiers), kind_of(ins)
        kinds = types_of_product(ins) if known else kinds
        if _sparse(ins) and (known or shape[2] in sparsity.FORMS.get(kinds[1], ())):
            counts = {i: registers(which, shape, kind) for i, (which, kind) in enumerate(zip("dabc", kinds, strict=True))}
            return counts | {1: counts[1] // 2, 4: 1}
        if not _sparse(ins) and shape == quarter_products.SHAPE and kinds[1] == "f16":
            of = quarter_products.REGISTERS
            return {0: of[kinds[0]], 1: of["a"], 2: of["b"], 3: of[kinds[3]]}
        if not _sparse(ins) and (known or (kinds[1], *shape) in matrix.SUPPORTED):
            return {i: registers(which, shape, kind) for i, (which, kind) in enumerate(zip("dabc", kinds, strict=True))}
    if ins.opcode == "wmma" and kinds:
        return _of_wmma(ins, kinds)
    return {}


def _sparse(ins: Instruction) -> bool:
    """Return whether a product has a sparse A, half of which is stored."""
    return any(m in ("sp", "sp::ordered_metadata") for m in ins.modifiers)


def _of_wmma(ins: Instruction, kinds: list[str]) -> dict[int, int]:
    form, shape = ins.modifiers[0], fragments.shape_of(ins.modifiers)
    if form == "mma":
        kinds = [kinds[0], "f16", "f16", kinds[1]] if len(kinds) == 2 else kinds
        if len(kinds) != 4 or (kinds[1], *shape) not in matrix.WMMA:
            return {}
        return {i: wmma_registers(which, shape, kind) for i, (which, kind) in enumerate(zip("dabc", kinds, strict=True))}
    return {0 if form == "load" else 1: wmma_registers(ins.modifiers[1], shape, kinds[-1])}


def registers(which: str, shape: tuple[int, int, int], kind: str) -> int:
    """Return how many registers a lane has of matrix `which` ("a", "b", "c" or "d") of mma's shape (m, n, k)."""
    m, n, k = shape
    elements = {"a": m * k, "b": k * n}.get(which, m * n)
    return elements // 32 // fragments.in_register(kind)


def wmma_registers(which: str, shape: tuple[int, int, int], kind: str) -> int:
    """Return the same of wmma, where A and B of half precision have 8 registers in each shape. (PTX ISA, 9.7.14.3.1)"""
    return 8 if kind == "f16" and which in "ab" else registers(which, shape, kind)

"""The instructions that the emulator executes: one row for each opcode. (PTX ISA, chapter 9)

A new instruction is one row here and the function that says what it computes (in `semantics`); CONTRIBUTING.md,
"A PTX instruction", has the recipe. An opcode without a row is an UnsupportedInstruction, and the message names this file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinygan_kernels.emulator.errors import UnsupportedInstruction
from tinygan_kernels.emulator.semantics import floats, integers
from tinygan_kernels.emulator.syntax.ptx import Function, Instruction, Register, names_in

from . import arithmetic, data, memory, warp
from .emitter import Emitter
from .types import types_of

TYPED = {"by type": "", "add": "add", "mul": "mul", "fma": "fma"}
"""Ways to count that depend on the instruction's type: integers are "integer"; of floats, "by type" gives fp32, fp64 or
fp16, the others fadd, dadd, hadd and so on."""
FIXED = ("memory", "control", "inter_thread_communication", "tensor", "conversion", "integer", "misc")
CLASSES = (*FIXED, "fp32", "fp64", "fp16", *(letter + name for letter in "fdh" for name in ("add", "mul", "fma")))
"""The instruction classes of Nsight Compute's metrics smsp__sass_thread_inst_executed_op_*."""
_LETTER = {"f32": "f", "f64": "d", "f16": "h", "f16x2": "h", "bf16": "h", "bf16x2": "h"}
WHOLE_WARP, NOBODY = "whole warp", "nobody"


@dataclass(frozen=True)
class Opcode:
    """How one opcode is translated and counted.

    lower: writes the Python source of an instruction; None for those that end a block, on which the scheduler acts.
    counted_as: one of FIXED, or of TYPED.
    members: of a collective (an instruction in which lanes of a warp meet, so that a block begins at it), the position of
    the operand with the member mask, WHOLE_WARP if there is none, NOBODY if it waits for nobody.
    destination: whether the first operand is where the result goes.

    Raises ValueError for a class that does not exist, and for a function of translate/warp.py without `members`.
    """

    lower: Callable[[Emitter, Instruction], None] | None
    counted_as: str
    members: int | str | None = None
    destination: bool = True

    def __post_init__(self):
        if self.counted_as not in (*FIXED, *TYPED):
            known = ", ".join((*FIXED, *TYPED))
            raise ValueError(f"translate/opcodes.py: no class {self.counted_as!r} to count instructions in; there are: {known}")
        if self.lower is not None and self.lower.__module__ == warp.__name__ and self.members is None:
            raise ValueError(
                f"translate/opcodes.py: {self.lower.__name__} is in translate/warp.py, so its row needs members= (the position "
                "of the operand with the member mask, WHOLE_WARP or NOBODY), or lanes of a warp do not wait for one another"
            )


def _rows(names: str, *row, **fields) -> dict[str, Opcode]:
    """Give several opcodes the same row."""
    return dict.fromkeys(names.split(), Opcode(*row, **fields))


_simple, _clamped = arithmetic.simple, arithmetic.clamped
_VIDEO = "vadd2 vadd4 vsub2 vsub4 vmin2 vmin4 vmax2 vmax4 vabsdiff2 vabsdiff4 vavrg2 vavrg4"

OPCODES: dict[str, Opcode] = {
    # -- arithmetic
    **_rows("add sub", arithmetic.add_sub, "add"),
    **_rows("addc subc", arithmetic.add_sub, "integer"),
    "mul": Opcode(arithmetic.mul, "mul"),
    "mul24": Opcode(arithmetic.mul, "integer"),
    "mad": Opcode(arithmetic.mad, "fma"),
    **_rows("mad24 madc", arithmetic.mad, "integer"),
    "fma": Opcode(arithmetic.fma, "fma"),
    "div": Opcode(arithmetic.div, "by type"),
    "rem": Opcode(_simple(integers.remainder), "integer"),
    **_rows("neg abs", arithmetic.neg_abs, "by type"),
    **_rows("min max", arithmetic.min_max, "by type"),
    **_rows("rcp sqrt rsqrt ex2 lg2 sin cos tanh", arithmetic.unary_float, "by type"),
    "copysign": Opcode(_simple(floats.copysign), "by type"),
    "sad": Opcode(_simple(integers.sad), "integer"),
    **_rows("dp4a dp2a", arithmetic.dot, "integer"),
    **_rows(_VIDEO, arithmetic.packed_video, "integer"),
    # -- bits
    **_rows("and or xor not", arithmetic.logic, "integer"),
    "cnot": Opcode(_simple(integers.cnot), "integer"),
    "lop3": Opcode(arithmetic.lop3, "integer"),
    "shl": Opcode(_simple(integers.shl, None, None, "u32"), "integer"),
    "shr": Opcode(_simple(integers.shr, None, None, "u32"), "integer"),
    "shf": Opcode(arithmetic.funnel, "integer"),
    "popc": Opcode(_simple(integers.popc, "u32"), "integer"),
    "clz": Opcode(_simple(integers.clz, "u32"), "integer"),
    "brev": Opcode(_simple(integers.brev), "integer"),
    "bfind": Opcode(arithmetic.bfind, "integer"),
    "bfe": Opcode(_simple(integers.bfe, None, None, "u32", "u32"), "integer"),
    "bfi": Opcode(_simple(integers.bfi, None, None, None, "u32", "u32"), "integer"),
    "bmsk": Opcode(_clamped(integers.bmsk, "u32", "u32"), "integer"),
    "szext": Opcode(_clamped(integers.szext, None, "u32"), "integer"),
    "prmt": Opcode(arithmetic.prmt, "misc"),
    "fns": Opcode(_simple(integers.find_nth_set, "b32", "b32", "u32", "s32"), "integer"),
    # -- comparison, selection, moves, conversions
    "setp": Opcode(data.setp, "integer"),
    "set": Opcode(data.set_, "integer"),
    "selp": Opcode(data.selp, "misc"),
    "slct": Opcode(data.slct, "integer"),
    "mov": Opcode(data.mov, "misc"),
    "cvt": Opcode(data.cvt, "conversion"),
    "cvta": Opcode(data.cvta, "misc"),
    "isspacep": Opcode(data.isspacep, "integer"),
    "testp": Opcode(data.testp, "by type"),
    # -- memory
    **_rows("ld ldu", memory.ld, "memory"),
    "st": Opcode(memory.st, "memory", destination=False),
    "atom": Opcode(memory.atom, "memory"),
    "red": Opcode(memory.atom, "memory", destination=False),
    "cp": Opcode(memory.cp_async, "memory", destination=False),
    **_rows("membar fence", memory.fence, "memory", destination=False),
    **_rows("prefetch prefetchu discard applypriority", memory.nothing, "memory", destination=False),
    "nanosleep": Opcode(memory.nothing, "control", destination=False),
    "pmevent": Opcode(memory.nothing, "misc", destination=False),
    # -- collectives: lanes of a warp meet
    **_rows("shfl", warp.shfl, "inter_thread_communication", members=-1),
    "vote": Opcode(warp.vote, "inter_thread_communication", members=-1),
    "match": Opcode(warp.match, "inter_thread_communication", members=-1),
    "redux": Opcode(warp.redux, "inter_thread_communication", members=-1),
    "activemask": Opcode(warp.activemask, "inter_thread_communication", members=NOBODY),
    "mma": Opcode(warp.mma, "tensor", members=WHOLE_WARP),
    "ldmatrix": Opcode(warp.ldmatrix, "memory", members=WHOLE_WARP),
    # bar.warp.sync is lowered; the other forms of bar end a block
    "bar": Opcode(warp.warp_barrier, "control", members=0, destination=False),
    # -- the ends of blocks (syntax/cfg.py finds them, execute/scheduler.py acts on them)
    **_rows("bra brx ret exit trap barrier call", None, "control", destination=False),
}


def collectives() -> set[str]:
    """Return the opcodes at which lanes of a warp wait for one another."""
    return {name for name, row in OPCODES.items() if row.members not in (None, NOBODY)}


def unknown(opcode: str) -> str:
    """Return what is wrong with an opcode that has no row, and where rows are added."""
    known = ", ".join(sorted(name for name, row in OPCODES.items() if row.lower))
    return (
        f"no such instruction in the emulator ({opcode} has no row in emulator/translate/opcodes.py; CONTRIBUTING.md says how to "
        f"add one); supported: {known}"
    )


def class_of(ins: Instruction) -> str:
    """Return the class, one of CLASSES, that an instruction is counted in. Raises UnsupportedInstruction without a row."""
    if ins.opcode not in OPCODES:
        raise UnsupportedInstruction(f"{ins.name} at PTX line {ins.ptx_line}: {unknown(ins.opcode)}")
    counted_as = OPCODES[ins.opcode].counted_as
    if counted_as not in TYPED:
        return counted_as
    kinds = types_of(ins)
    letter = _LETTER.get(kinds[-1] if kinds else "")
    if letter is None:
        return "integer"
    return letter + TYPED[counted_as] if TYPED[counted_as] else {"f": "fp32", "d": "fp64", "h": "fp16"}[letter]


def registers_read(function: Function) -> set[str]:
    """Return the names of the registers of a function that some instruction may read."""
    read: set[str] = set()
    for ins in function.body:
        if isinstance(ins, Instruction):
            row = OPCODES.get(ins.opcode)
            skipped = 1 if row is None or row.destination else 0
            read.update(names_in((ins.guard, *ins.operands[skipped:]), Register))
    return read


def check_destination(e: Emitter, ins: Instruction, row: Opcode) -> None:
    """Check a row's `destination` against what its function did. Raises ValueError where they disagree.

    A wrong `destination` would be silent: an atomic whose result an instruction reads would be taken for one without.
    """
    first = ins.operands[0] if ins.operands else None
    if row.destination and isinstance(first, Register) and first.name in e.seen and first.name not in e.written:
        raise ValueError(f"translate/opcodes.py: {ins.opcode} reads its first operand; its row needs destination=False")

"""Opcode -> the function that writes its Python: the list of what the emulator executes. (PTX ISA, chapter 9)"""

from tinygan_kernels.emulator.semantics import floats, integers
from tinygan_kernels.emulator.translate import arithmetic as arithmetic
from tinygan_kernels.emulator.translate import data as data
from tinygan_kernels.emulator.translate import memory as memory
from tinygan_kernels.emulator.translate import warp as warp


def _all(function, names: str) -> dict:
    return dict.fromkeys(names.split(), function)


LOWER = {
    **_all(arithmetic.add_sub, "add sub addc subc"),
    **_all(arithmetic.mul, "mul mul24"),
    **_all(arithmetic.mad, "mad mad24 madc"),
    "fma": arithmetic.fma,
    "div": arithmetic.div,
    "rem": arithmetic.simple(integers.remainder),
    **_all(arithmetic.neg_abs, "neg abs"),
    **_all(arithmetic.min_max, "min max"),
    **_all(arithmetic.unary_float, "rcp sqrt rsqrt ex2 lg2 sin cos tanh"),
    "copysign": arithmetic.simple(floats.copysign),
    **_all(arithmetic.logic, "and or xor not"),
    "cnot": arithmetic.simple(integers.cnot),
    "lop3": arithmetic.lop3,
    "shl": arithmetic.simple(integers.shl, None, None, "u32"),
    "shr": arithmetic.simple(integers.shr, None, None, "u32"),
    "shf": arithmetic.funnel,
    "popc": arithmetic.simple(integers.popc, "u32"),
    "clz": arithmetic.simple(integers.clz, "u32"),
    "brev": arithmetic.simple(integers.brev),
    "bfind": arithmetic.bfind,
    "bfe": arithmetic.simple(integers.bfe, None, None, "u32", "u32"),
    "bfi": arithmetic.simple(integers.bfi, None, None, None, "u32", "u32"),
    "bmsk": arithmetic.clamped(integers.bmsk, "u32", "u32"),
    "szext": arithmetic.clamped(integers.szext, None, "u32"),
    "prmt": arithmetic.prmt,
    "fns": arithmetic.simple(integers.find_nth_set, "b32", "b32", "u32", "s32"),
    "sad": arithmetic.simple(integers.sad),
    **_all(arithmetic.dot, "dp4a dp2a"),
    **_all(
        arithmetic.packed_video, "vadd2 vadd4 vsub2 vsub4 vmin2 vmin4 vmax2 vmax4 vabsdiff2 vabsdiff4 vavrg2 vavrg4"
    ),
    "setp": data.setp,
    "set": data.set_,
    "selp": data.selp,
    "slct": data.slct,
    "mov": data.mov,
    "cvt": data.cvt,
    "cvta": data.cvta,
    "isspacep": data.isspacep,
    "testp": data.testp,
    **_all(memory.ld, "ld ldu"),
    "st": memory.st,
    **_all(memory.atom, "atom red"),
    "cp": memory.cp_async,
    **_all(memory.fence, "membar fence"),
    **_all(memory.nothing, "prefetch prefetchu discard applypriority nanosleep pmevent"),
    "shfl": warp.shfl,
    "vote": warp.vote,
    "match": warp.match,
    "redux": warp.redux,
    "activemask": warp.activemask,
    "bar": warp.warp_barrier,  # bar.warp.sync alone: the others end a block, the scheduler acts on them
    "mma": warp.mma,
    "ldmatrix": warp.ldmatrix,
}

"""The instructions that the emulator executes: one row for each opcode. (PTX ISA, chapter 9)

A new instruction is one row here and the function that says what it computes (in `semantics`); CONTRIBUTING.md,
"A PTX instruction", has the recipe. An opcode without a row is an UnsupportedInstruction, and the message names this file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tinygan_kernels.emulator.errors import UnsupportedInstruction
from tinygan_kernels.emulator.semantics import floats, integers
from tinygan_kernels.emulator.semantics.block_scales import KINDS
from tinygan_kernels.emulator.semantics.conversions import KNOWN as CONVERSIONS
from tinygan_kernels.emulator.semantics.narrow_floats import PACKED as NARROW
from tinygan_kernels.emulator.semantics.tensor_maps import REPLACED
from tinygan_kernels.emulator.syntax.ptx import WIDTH, Function, Instruction, Register, names_in

from . import arithmetic, barriers, bulk, data, extrema, memory, textures, warp, warpgroups
from .emitter import Emitter
from .types import ROUNDING, types_of

TYPED = {"by type": "", "add": "add", "mul": "mul", "fma": "fma"}
"""Ways to count that depend on the instruction's type: integers are "integer"; of floats, "by type" gives fp32, fp64 or
fp16, the others fadd, dadd, hadd and so on."""
FIXED = ("memory", "control", "inter_thread_communication", "tensor", "conversion", "integer", "misc")
CLASSES = (*FIXED, "fp32", "fp64", "fp16", *(letter + name for letter in "fdh" for name in ("add", "mul", "fma")))
"""The instruction classes of Nsight Compute's metrics smsp__sass_thread_inst_executed_op_*."""
_LETTER = {"f32": "f", "f64": "d", "f16": "h", "f16x2": "h", "bf16": "h", "bf16x2": "h", "f32x2": "f"}
WHOLE_WARP, NOBODY = "whole warp", "nobody"


@dataclass(frozen=True)
class Opcode:
    """How one opcode is translated and counted.

    lower: writes the Python source of an instruction; None for those that end a block, on which the scheduler acts.
    counted_as: one of FIXED, or of TYPED.
    members: of a collective (an instruction in which lanes of a warp meet, so that a block begins at it), the position of
    the operand with the member mask, WHOLE_WARP if there is none, NOBODY if it waits for nobody.
    destination: whether the first operand is where the result goes.
    types: the most types that an instruction of the opcode names, such as 2 in set.eq.u32.f32.
    several: whether an address has several parts, as in [map, {x, y}], which `lower` knows.
    modifiers: the words, besides types, that `lower` knows, each a regular expression. Any other is an UnsupportedInstruction
    that names it: left aside, it would be a silent wrong result. A word is known where it is carried out, and where it changes
    no result here, such as a cache hint.

    Raises ValueError for a class that does not exist, and for a function of translate/warp.py without `members`.
    """

    lower: Callable[[Emitter, Instruction], None] | None
    counted_as: str
    members: int | str | None = None
    destination: bool = True
    modifiers: str = ""
    several: bool = False
    types: int = 1

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
_ROUND = " ".join(ROUNDING)
_COMPARE = "eq ne lt le gt ge lo ls hi hs equ neu ltu leu gtu geu num nan and or xor ftz"
_SPACE = "global shared shared::cta shared::cluster local const param"
_SCOPE = "cta cluster gpu sys"
_CACHE = r"ca cg cs cv lu wb wt L1::\w+ L2::\w+"  # hints: no result depends on them
_LOAD = f"{_SPACE} {_SCOPE} {_CACHE} v2 v4 v8 weak volatile relaxed mmio"
_SPACE_OF_ANOTHER = "param::func param::entry"  # these are refused by the function itself, which says why
_ATOMIC = f"L2::cache_hint {_SPACE} {_SCOPE} relaxed acquire release acq_rel add min max and or xor exch cas inc dec noftz v2 v4 v8"
_COMPLETES = "mbarrier::complete_tx::bytes"
_COPY = (
    r"async ca cg shared shared::cta shared::cluster global L2 L2::\w+ commit_group wait_group wait_all read mbarrier arrive noinc "
    r"bulk bulk_group reduce prefetch tensor \dd tile im2col im2col_no_offs multicast::cluster noftz add min max and or xor "
    rf"inc dec {_COMPLETES}"
)
_TENSORMAP = f"replace tile cp_fenceproxy b1024 {' '.join(REPLACED)} sync aligned release tensormap::generic {_SCOPE} {_SPACE}"
_PREFETCH = r"global local const param tensormap L1 L2 L2::\w+"
_MATRICES = "sync aligned m8n8 x1 x2 x4 trans shared shared::cta shared::cluster"
_PROXY = r"proxy alias async async::generic async\.global tensormap::generic mbarrier_init sync_restrict::shared::\w+ " + _SPACE
_MBARRIER = (
    "init inval arrive arrive_drop expect_tx complete_tx test_wait try_wait pending_count parity noComplete relaxed acquire "
    f"release cta cluster shared shared::cta shared::cluster {_SPACE_OF_ANOTHER}"
)
_BARRIER = "sync arrive red popc and or cta"
_OF_CLUSTER = "cluster wait release acquire relaxed"
_VIDEO = "vadd2 vadd4 vsub2 vsub4 vmin2 vmin4 vmax2 vmax4 vabsdiff2 vabsdiff4 vavrg2 vavrg4"
_GEOMETRY = "1d 2d 3d a1d a2d"
_QUERIES = (
    "level width height depth channel_data_type channel_order normalized_coords array_size num_mipmap_levels num_samples "
    "memory_layout force_unnormalized_coords filter_mode addr_mode_0 addr_mode_1 addr_mode_2"
)
_SURFACE = f"b p {_GEOMETRY} trap clamp zero"
_PRODUCT = r"sync aligned row col m\d+n\d+k\d+ e4m3 e5m2 s4 u4 b1 xor and popc satfinite"
_SPARSE = "sp sp::ordered_metadata"
_NARROW = rf"e3m2 e2m3 e2m1 {' '.join(KINDS)} block_scale scale_vec::[124]X ue8m0 ue4m3"

OPCODES: dict[str, Opcode] = {
    # -- arithmetic
    **_rows("add sub", arithmetic.add_sub, "add", modifiers=f"{_ROUND} ftz sat cc", types=2),
    **_rows("addc subc", arithmetic.add_sub, "integer", modifiers="cc"),
    "mul": Opcode(arithmetic.mul, "mul", modifiers=f"{_ROUND} ftz sat hi lo wide"),
    "mul24": Opcode(arithmetic.mul, "integer", modifiers="hi lo"),
    "mad": Opcode(arithmetic.mad, "fma", modifiers=f"{_ROUND} ftz sat hi lo wide cc"),
    "mad24": Opcode(arithmetic.mad, "integer", modifiers="hi lo sat"),
    "madc": Opcode(arithmetic.mad, "integer", modifiers="hi lo cc"),
    "fma": Opcode(arithmetic.fma, "fma", modifiers=f"{_ROUND} ftz sat relu", types=2),
    "div": Opcode(arithmetic.div, "by type", modifiers=f"{_ROUND} ftz approx full"),
    "rem": Opcode(_simple(integers.remainder), "integer"),
    **_rows("neg abs", arithmetic.neg_abs, "by type", modifiers="ftz"),
    **_rows("min max", extrema.min_max, "by type", modifiers="ftz NaN xorsign abs relu"),
    **_rows("rcp sqrt rsqrt ex2 lg2 sin cos tanh", arithmetic.unary_float, "by type", modifiers=f"{_ROUND} ftz approx"),
    "copysign": Opcode(_simple(floats.copysign), "by type"),
    "sad": Opcode(_simple(integers.sad), "integer"),
    "dp4a": Opcode(arithmetic.dot, "integer", types=2),
    "dp2a": Opcode(arithmetic.dot, "integer", modifiers="lo hi", types=2),
    **_rows(_VIDEO, arithmetic.packed_video, "integer", modifiers="sat add", types=3),
    # -- bits
    **_rows("and or xor not", arithmetic.logic, "integer"),
    "cnot": Opcode(_simple(integers.cnot), "integer"),
    "lop3": Opcode(arithmetic.lop3, "integer", modifiers="and or"),
    "shl": Opcode(_simple(integers.shl, None, None, "u32"), "integer"),
    "shr": Opcode(_simple(integers.shr, None, None, "u32"), "integer"),
    "shf": Opcode(arithmetic.funnel, "integer", modifiers="l r clamp wrap"),
    "popc": Opcode(_simple(integers.popc, "u32"), "integer"),
    "clz": Opcode(_simple(integers.clz, "u32"), "integer"),
    "brev": Opcode(_simple(integers.brev), "integer"),
    "bfind": Opcode(arithmetic.bfind, "integer", modifiers="shiftamt"),
    "bfe": Opcode(_simple(integers.bfe, None, None, "u32", "u32"), "integer"),
    "bfi": Opcode(_simple(integers.bfi, None, None, None, "u32", "u32"), "integer"),
    "bmsk": Opcode(_clamped(integers.bmsk, "u32", "u32"), "integer", modifiers="clamp wrap"),
    "szext": Opcode(_clamped(integers.szext, None, "u32"), "integer", modifiers="clamp wrap"),
    "prmt": Opcode(arithmetic.prmt, "misc", modifiers="f4e b4e rc8 ecl ecr rc16"),
    "fns": Opcode(_simple(integers.find_nth_set, "b32", "b32", "u32", "s32"), "integer"),
    # -- comparison, selection, moves, conversions
    "setp": Opcode(data.setp, "integer", modifiers=_COMPARE),
    "set": Opcode(data.set_, "integer", modifiers=_COMPARE, types=2),
    "selp": Opcode(data.selp, "misc"),
    "slct": Opcode(data.slct, "integer", modifiers="ftz", types=2),
    "mov": Opcode(data.mov, "misc"),
    "cvt": Opcode(data.cvt, "conversion", modifiers=" ".join((*CONVERSIONS, *NARROW, "pack [us][24]")), types=3),
    "cvta": Opcode(data.cvta, "misc", modifiers=f"to {_SPACE}"),
    "mapa": Opcode(data.mapa, "integer", modifiers="shared::cluster"),
    "getctarank": Opcode(data.getctarank, "integer", modifiers="shared::cluster"),
    "isspacep": Opcode(data.isspacep, "integer", modifiers=_SPACE),
    "testp": Opcode(data.testp, "by type", modifiers="finite infinite number notanumber normal subnormal"),
    # -- memory. Fences and what touches caches count as "memory", nanosleep as "control" and pmevent as "misc": NVIDIA does not
    # list the metrics' instructions one by one, but the SASS that these become (MEMBAR, CCTL; NANOSLEEP; PMTRIG) is in the groups
    # load/store, control and miscellaneous of "Instruction Set Reference" (CUDA Binary Utilities), and the metrics were called
    # inst_compute_ld_st, inst_control and inst_misc in nvprof (Nsight Compute CLI, "nvprof Metric Comparison").
    **_rows("ld ldu", memory.ld, "memory", modifiers=f"{_LOAD} {_SPACE_OF_ANOTHER} acquire nc"),
    "st": Opcode(memory.st, "memory", destination=False, modifiers=f"{_LOAD} {_SPACE_OF_ANOTHER} release async {_COMPLETES}"),
    "atom": Opcode(memory.atom, "memory", modifiers=f"{_ATOMIC} {_SPACE_OF_ANOTHER}"),
    "red": Opcode(memory.atom, "memory", destination=False, modifiers=f"{_ATOMIC} {_SPACE_OF_ANOTHER} async {_COMPLETES}"),
    "cp": Opcode(bulk.cp, "memory", destination=False, modifiers=_COPY, several=True),
    "tensormap": Opcode(bulk.tensormap, "memory", destination=False, modifiers=_TENSORMAP),
    "membar": Opcode(memory.fence, "memory", destination=False, modifiers="cta gl sys proxy"),
    "fence": Opcode(memory.fence, "memory", destination=False, modifiers=f"{_SCOPE} sc acq_rel acquire release {_PROXY}"),
    "mbarrier": Opcode(barriers.mbarrier, "memory", destination=False, modifiers=_MBARRIER),
    **_rows("prefetch prefetchu discard applypriority", memory.nothing, "memory", destination=False, modifiers=_PREFETCH),
    "createpolicy": Opcode(memory.create_policy, "memory", modifiers=r"fractional range cvt global L2 L2::\w+"),
    "brkpt": Opcode(memory.nothing, "control", destination=False),
    "nanosleep": Opcode(memory.nothing, "control", destination=False),
    "setmaxnreg": Opcode(memory.nothing, "misc", destination=False, modifiers="inc dec sync aligned"),
    "griddepcontrol": Opcode(memory.nothing, "control", destination=False, modifiers="launch_dependents wait"),
    "pmevent": Opcode(memory.nothing, "misc", destination=False, modifiers="mask"),
    # -- textures and surfaces count as "memory" too, as NVIDIA names no class of their own
    "tex": Opcode(textures.tex, "memory", modifiers=f"base level grad {_GEOMETRY} cube acube v2 v4", types=2),
    "tld4": Opcode(textures.tld4, "memory", modifiers=r"r g b a \dd a2d cube acube v4", types=2),
    **_rows("txq suq", textures.query, "memory", modifiers=_QUERIES),
    "suld": Opcode(textures.suld, "memory", modifiers=f"{_SURFACE} ca cg cs cv v2 v4"),
    "sust": Opcode(textures.sust, "memory", destination=False, modifiers=f"{_SURFACE} wb cg cs wt v2 v4"),
    "sured": Opcode(textures.sured, "memory", destination=False, modifiers=f"{_SURFACE} add min max and or"),
    # -- collectives: lanes of a warp meet
    "shfl": Opcode(warp.shfl, "inter_thread_communication", members=-1, modifiers="sync up down bfly idx"),
    "vote": Opcode(warp.vote, "inter_thread_communication", members=-1, modifiers="sync all any uni ballot"),
    "match": Opcode(warp.match, "inter_thread_communication", members=-1, modifiers="sync all any"),
    "redux": Opcode(warp.redux, "inter_thread_communication", members=-1, modifiers="sync add min max and or xor abs NaN"),
    "elect": Opcode(warp.elect, "inter_thread_communication", members=-1, modifiers="sync"),
    "activemask": Opcode(warp.activemask, "inter_thread_communication", members=NOBODY),
    "mma": Opcode(warp.mma, "tensor", members=WHOLE_WARP, modifiers=f"{_PRODUCT} {_SPARSE} {_NARROW}", types=4),
    "wmma": Opcode(
        warp.wmma, "tensor", members=WHOLE_WARP, destination=False, modifiers=f"load store mma a b c d rn {_SPACE} {_PRODUCT}",
        types=4,
    ),
    "wgmma": Opcode(
        warpgroups.wgmma, "tensor", members=WHOLE_WARP, modifiers=f"mma_async fence commit_group wait_group {_PRODUCT} {_SPARSE}",
        types=4,
    ),
    "ldmatrix": Opcode(warp.ldmatrix, "memory", members=WHOLE_WARP, modifiers=f"{_MATRICES} m8n16 b8x16 b4x16_p64 b6x16_p32"),
    "stmatrix": Opcode(warp.stmatrix, "memory", members=WHOLE_WARP, destination=False, modifiers=_MATRICES),
    "movmatrix": Opcode(warp.movmatrix, "inter_thread_communication", members=WHOLE_WARP, modifiers="sync aligned m8n8 trans"),
    # bar.warp.sync is lowered; the other forms of bar end a block
    "bar": Opcode(warp.warp_barrier, "control", members=0, destination=False, modifiers=f"{_BARRIER} warp"),
    # -- the ends of blocks (syntax/cfg.py finds them, execute/scheduler.py acts on them)
    "barrier": Opcode(None, "control", destination=False, modifiers=f"{_BARRIER} aligned {_OF_CLUSTER}"),
    "brx": Opcode(None, "control", destination=False, modifiers="idx uni"),
    **_rows("bra ret call", None, "control", destination=False, modifiers="uni"),
    **_rows("exit trap", None, "control", destination=False),
}


_SCALAR_VIDEO = ("vadd", "vsub", "vabsdiff", "vmin", "vmax", "vshl", "vshr", "vmad", "vset", "vset2", "vset4")
NOT_EXECUTED = {
    "alloca": "memory on the stack of a size that only the run tells", "stacksave": "it goes with alloca",
    "stackrestore": "it goes with alloca", "clusterlaunchcontrol": "Blackwell's work stealing between clusters",
    "istypep": "it tells references of textures and surfaces (.texref), which PTX for current GPUs does not have",
    "multimem": "memory of several GPUs at one address",
    "tcgen05": "Blackwell's tensor memory",
    **dict.fromkeys(_SCALAR_VIDEO, "a video instruction of older GPUs"),
}  # fmt: skip
"""The other instructions of PTX, with what they are about: those of PTX ISA 9.1, 4.3.2, table "Reserved Instruction Keywords"."""
_OF_PAIRS = {"f32x2": ("add", "sub", "mul", "fma"), "u16x2": ("add", "min", "max"), "s16x2": ("add", "min", "max")}
"""The opcodes that have types of two numbers in one register which no instruction moves or converts as such."""
_FORMS = {("wmma", "load"): "memory", ("wmma", "store"): "memory"}
"""The class of forms, named by their first modifier, that are counted in another class than the other forms of their opcode."""


def collectives() -> set[str]:
    """Return the opcodes at which lanes of a warp wait for one another."""
    return {name for name, row in OPCODES.items() if row.members not in (None, NOBODY)}


def unknown(opcode: str) -> str:
    """Return what is wrong with an opcode that has no row, and where rows are added."""
    if opcode in NOT_EXECUTED:
        return (
            f"the emulator does not execute {opcode} ({NOT_EXECUTED[opcode]}): no such instruction in it ({opcode} has no row in "
            "emulator/translate/opcodes.py; CONTRIBUTING.md says how to add one)"
        )
    known = ", ".join(sorted(name for name, row in OPCODES.items() if row.lower))
    return (
        f"no such instruction in the emulator ({opcode} has no row in emulator/translate/opcodes.py; CONTRIBUTING.md says how to "
        f"add one); supported: {known}"
    )


def class_of(ins: Instruction) -> str:
    """Return the class, one of CLASSES, that an instruction is counted in. Raises UnsupportedInstruction without a row."""
    if ins.opcode not in OPCODES:
        raise UnsupportedInstruction(f"{ins.name} at PTX line {ins.ptx_line}: {unknown(ins.opcode)}")
    counted_as = _FORMS.get((ins.opcode, *ins.modifiers[:1]), OPCODES[ins.opcode].counted_as)
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


def check_modifiers(e: Emitter, ins: Instruction) -> None:
    """Raise UnsupportedInstruction for the first modifier that is neither a type nor a word of the opcode's row."""
    words, kinds = OPCODES[ins.opcode].modifiers.split(), types_of(ins)
    if len(kinds) > OPCODES[ins.opcode].types:
        raise e.unsupported(f"{ins.opcode} does not have the types {', '.join(kinds)}")
    for modifier in ins.modifiers:
        if ins.opcode not in _OF_PAIRS.get(modifier, (ins.opcode,)):
            raise e.unsupported(f"there is no {ins.opcode} of {modifier}; there are {', '.join(_OF_PAIRS[modifier])}")
        if modifier not in WIDTH and not any(re.fullmatch(word, modifier) for word in words):
            raise e.unsupported(
                f"modifier .{modifier} is not supported; besides types, the row of {ins.opcode} in emulator/translate/opcodes.py "
                f"knows {', '.join(words) or 'none'}"
            )


def check_destination(e: Emitter, ins: Instruction, row: Opcode) -> None:
    """Check a row's `destination` against what its function did. Raises ValueError where they disagree.

    A wrong `destination` would be silent: an atomic whose result an instruction reads would be taken for one without.
    """
    first = ins.operands[0] if ins.operands else None
    if row.destination and isinstance(first, Register) and first.name in e.seen and first.name not in e.written:
        raise ValueError(f"translate/opcodes.py: {ins.opcode} reads its first operand; its row needs destination=False")

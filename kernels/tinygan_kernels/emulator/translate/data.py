"""Lowering of comparisons, selections, moves, conversions and address spaces. (PTX ISA, 9.7.6, 9.7.9)"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.semantics import floats, narrow_floats, pairs
from tinygan_kernels.emulator.semantics.conversions import KNOWN, convert, pack_halves, split_halves, to_tf32
from tinygan_kernels.emulator.semantics.generic_addresses import LOCAL, REMOTE, SHARED, mapped, rank_of
from tinygan_kernels.emulator.syntax.ptx import WIDTH, Immediate, Instruction, Pair, Special, Vector

from .emitter import Emitter
from .types import FLOAT, PACKED, code_of, rounding_of, types_of

_COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lo": np.less,
    "ls": np.less_equal,
    "hi": np.greater,
    "hs": np.greater_equal,
    "num": lambda a, b: ~(np.isnan(a) | np.isnan(b)),
    "nan": lambda a, b: np.isnan(a) | np.isnan(b),
}
_OPPOSITE = {"equ": "ne", "neu": "eq", "ltu": "ge", "leu": "gt", "gtu": "le", "geu": "lt"}
_COMBINE = {"and": "&", "or": "|", "xor": "^"}


def comparison(operation: str, is_float: bool):
    """Return the function that compares two vectors. For NaN the ordered comparisons are false, those that end in u true."""
    if is_float and operation == "ne":
        return lambda a, b: (a < b) | (a > b)
    if is_float and operation == "equ":
        return lambda a, b: ~((a < b) | (a > b))
    if operation in _OPPOSITE:
        opposite = _COMPARE["eq" if operation == "neu" else _OPPOSITE[operation]]
        return lambda a, b: ~opposite(a, b)
    return _COMPARE[operation]


def compared(e: Emitter, ins: Instruction, kind: str) -> tuple[list[str], object]:
    """Return (source texts of the arguments, function that compares them) of setp and set."""
    arguments = [e.read(o, kind) for o in ins.operands[1:3]]
    if "ftz" in ins.modifiers and kind in ("f32", "f16"):
        arguments = [e.call(floats.ftz, a) for a in arguments]
    if kind == "bf16":
        arguments = [e.call(floats.bf16_to_f32, a) for a in arguments]
    return arguments, comparison(ins.modifiers[0], kind in FLOAT)


def combined(e: Emitter, ins: Instruction) -> str:
    """Return source text that joins a comparison with the instruction's third operand, " & " and its name; "" if it has none.

    Raises ValueError for an operand without .and, .or or .xor, and for one of these without an operand.
    """
    combine = next((_COMBINE[m] for m in ins.modifiers if m in _COMBINE), "")
    if bool(combine) != (len(ins.operands) > 3):
        raise ValueError("a third operand goes with .and, .or or .xor")
    return f" {combine} {e.read(ins.operands[3], 'pred')}" if combine else ""


def setp(e: Emitter, ins: Instruction) -> None:
    kind = e.kind_of(ins)
    first = ins.operands[0]
    if kind in PACKED:
        setp_halves(e, ins, PACKED[kind])
        return
    (arguments, function), third = compared(e, ins, kind), combined(e, ins)
    if not isinstance(first, Pair) and not third:
        e.apply(first, "pred", function, *arguments)
        return
    e.line(f"result = {e.call(function, *arguments)}")
    value = f"result{third}"
    if isinstance(first, Pair):
        e.line(f"other = ~result{third}")
        e.write(first.first, "pred", value)
        e.write(first.second, "pred", "other")
    else:
        e.write(first, "pred", value)


def setp_halves(e: Emitter, ins: Instruction, kind: str) -> None:
    """Lower setp.op.f16x2 p|q: p for the lower halves, q for the upper ones."""
    if not isinstance(ins.operands[0], Pair):
        raise e.unsupported("a comparison of two halves has two predicates")
    a, b = (e.read(o, "b32") for o in ins.operands[1:3])
    e.line(f"result, other = {e.call(compare_halves(ins, kind), a, b)}")
    if third := combined(e, ins):
        e.line(f"result, other = result{third}, other{third}")
    e.write(ins.operands[0].first, "pred", "result")
    e.write(ins.operands[0].second, "pred", "other")


def compare_halves(ins: Instruction, kind: str):
    """Return the function that compares packed halves and gives (results of the lower halves, of the upper ones)."""
    function = comparison(ins.modifiers[0], True)
    flush = floats.ftz if "ftz" in ins.modifiers and kind == "f16" else lambda x: x

    def apply(a, b):
        pairs = zip(split_halves(np.atleast_1d(a)), split_halves(np.atleast_1d(b)), strict=True)
        return [function(*(flush(floats.half_bits(v, kind)) for v in pair)) for pair in pairs]

    return apply


def set_halves(e: Emitter, ins: Instruction, target: str, kind: str) -> None:
    """Lower set.op.f16x2.f16x2 and set.op.u32.f16x2: 1.0 or all ones in each half whose comparison holds."""
    yes = {"f16x2": 0x3C00, "bf16x2": 0x3F80}.get(target, 0xFFFF)
    a, b = (e.read(o, "b32") for o in ins.operands[1:3])
    e.line(f"low, high = {e.call(compare_halves(ins, kind), a, b)}")
    if third := combined(e, ins):
        e.line(f"low, high = low{third}, high{third}")
    e.write(
        ins.operands[0],
        "b32",
        f"low * {e.constant(Immediate(yes), 'u32')} | high * {e.constant(Immediate(yes << 16), 'u32')}",
    )


def set_(e: Emitter, ins: Instruction) -> None:
    target, kind = types_of(ins)
    if kind in PACKED:
        set_halves(e, ins, target, PACKED[kind])
        return
    arguments, function = compared(e, ins, kind)
    value = e.call(function, *arguments)
    if third := combined(e, ins):
        value = f"({value}{third})"
    one = Immediate(0x3F80) if target == "bf16" else Immediate(1.0)  # bf16 is kept as its bits
    yes, no = (one, Immediate(0)) if target in FLOAT else (Immediate(-1), Immediate(0))
    e.write(ins.operands[0], target, f"where({value}, {e.constant(yes, target)}, {e.constant(no, target)})")


def selp(e: Emitter, ins: Instruction) -> None:
    kind = e.kind_of(ins)
    a, b = (e.read(o, kind) for o in ins.operands[1:3])
    e.write(ins.operands[0], kind, f"where({e.read(ins.operands[3], 'pred')}, {a}, {b})")


def slct(e: Emitter, ins: Instruction) -> None:
    kind, test = types_of(ins)
    a, b = (e.read(o, kind) for o in ins.operands[1:3])
    condition = e.read(ins.operands[3], test)
    if "ftz" in ins.modifiers:
        condition = e.call(floats.ftz, condition)
    e.write(ins.operands[0], kind, f"where({condition} >= 0, {a}, {b})")


def mov(e: Emitter, ins: Instruction) -> None:
    kind, target, source = e.kind_of(ins), *ins.operands
    if kind == "b128":
        raise e.unsupported("loads, stores and moves of b128 are not supported")
    if isinstance(source, Vector):
        pack(e, target, source, kind)
    elif isinstance(target, Vector):
        unpack(e, target, source, kind)
    else:
        bits = kind if kind == "pred" else f"u{8 * WIDTH[kind]}"
        e.write(target, bits, e.read(source, bits))


def pack(e: Emitter, target, source: Vector, kind: str) -> None:
    """Lower mov.b64 %rd, {%r1, %r2}: the first operand goes to the lowest bits."""
    part = f"u{8 * WIDTH[kind] // len(source.items)}"
    whole = f"u{8 * WIDTH[kind]}"
    terms = [
        f"({e.cast(e.read(item, part), code_of(whole))} << {e.constant(Immediate(8 * WIDTH[part] * i), whole)})"
        for i, item in enumerate(source.items)
    ]
    e.write(target, whole, " | ".join(terms))


def unpack(e: Emitter, target: Vector, source, kind: str) -> None:
    """Lower mov.b64 {%r1, %r2}, %rd: the lowest bits go to the first operand."""
    part = f"u{8 * WIDTH[kind] // len(target.items)}"
    whole = f"u{8 * WIDTH[kind]}"
    e.line(f"whole = {e.read(source, whole)} + {e.constant(Immediate(0), whole)}")  # a copy: a target may be the source
    for i, item in enumerate(target.items):
        shift = e.constant(Immediate(8 * WIDTH[part] * i), whole)
        e.write(item, part, f"(whole >> {shift}).astype('{code_of(part)}')")


_TO_TF32 = ({"rna"}, {"rn"}, {"rz"}, {"rn", "relu"}, {"rz", "relu"})
"""What a conversion to tf32 names besides .satfinite: one rounding mode, and with two of them .relu. (PTX ISA, cvt)"""


def cvt(e: Emitter, ins: Instruction) -> None:
    if "pack" in ins.modifiers:
        cvt_pack(e, ins)
        return
    if any(m in narrow_floats.PACKED for m in ins.modifiers):
        cvt_narrow(e, ins)
        return
    kinds = types_of(ins)
    if len(kinds) != 2:
        raise e.unsupported("a conversion names two types")
    flags = tuple(m for m in ins.modifiers if m not in WIDTH)
    target, source = kinds[0], kinds[-1]
    if "satfinite" in flags and (target not in ("f16", "bf16", "tf32", *PACKED) or source != "f32"):
        raise e.unsupported("modifier .satfinite is supported from f32 to f16, bf16, f16x2, bf16x2, tf32, and to narrower floats")
    value = [e.read(o, source) for o in ins.operands[1:]]
    if target == "tf32" and source == "f32" and set(flags) - {"satfinite"} in _TO_TF32:
        e.write(ins.operands[0], "b32", e.call(to_tf32(set(flags)), *value))
    elif target in PACKED and len(value) == 2:
        e.write(ins.operands[0], "b32", e.call(pack_halves(PACKED[target], flags), *value))
    elif set(flags) <= set(KNOWN) and target in (*FLOAT, *_INTEGER) and source in (*FLOAT, *_INTEGER):
        e.write(ins.operands[0], target, e.call(convert(target, source, flags), *value))
    else:
        raise e.unsupported("this conversion is not supported")


def cvt_pack(e: Emitter, ins: Instruction) -> None:
    """Lower cvt.pack.sat.s16.s32 d, a, b and cvt.pack.sat.s8.s32.b32 d, a, b, c."""
    _pack, *rest = ins.modifiers
    three = rest[-1] == "b32"
    narrow = ("u8", "s8", "u4", "s4", "u2", "s2") if three else ("u16", "s16")
    wide = rest[-2] if three else rest[-1]
    if rest[0] != "sat" or len(rest) != 3 + three or rest[1] not in narrow or wide != "s32" or len(ins.operands) != 3 + three:
        raise e.unsupported("there are cvt.pack.sat.{u16, s16}.s32 and, with c, cvt.pack.sat.{u8, s8, u4, s4, u2, s2}.s32.b32")
    values = *(e.read(o, "s32") for o in ins.operands[1:3]), *(e.read(o, "b32") for o in ins.operands[3:])
    e.write(ins.operands[0], "b32", e.call(pairs.saturating_pack, repr(rest[1]), *values))


def cvt_narrow(e: Emitter, ins: Instruction) -> None:
    """Lower cvt to and from two packed floats of 8, 6 or 4 bits, or scales (ue8m0)."""
    first, second = (m for m in ins.modifiers if m in narrow_floats.PACKED or m in ("f32", "f16x2", "bf16x2"))
    mode, flags = rounding_of(ins), {m for m in ins.modifiers if m in ("relu", "satfinite")}
    if first in narrow_floats.PACKED:
        kind = narrow_floats.PACKED[first]
        scale = kind == "ue8m0"
        modes = ("rz", "rp") if scale else ("rn", "rz") if kind == "e2m1" else ("rn",)
        whole = (flags <= {"satfinite"} and second != "f16x2") if scale else "satfinite" in flags
        if second in narrow_floats.PACKED or mode not in modes or not whole or len(ins.operands) != (3 if second == "f32" else 2):
            sources = f"f32{'' if scale else ', f16x2'} and bf16x2 with .{' or .'.join(modes)}"
            raise e.unsupported(f"to {first} those from {sources} are supported, {'without .relu' if scale else 'with .satfinite'}")
        values = [e.read(o, "f32" if second == "f32" else "b32") for o in ins.operands[1:]]
        e.write(ins.operands[0], _word(first), e.call(narrow_floats.pack(kind, second, mode, flags), *values))
        return
    kind = narrow_floats.PACKED[second]
    if mode != "rn" or flags - {"relu"} or first == "f32" or (kind == "ue8m0" and (first != "bf16x2" or flags)):
        targets = "bf16x2" if kind == "ue8m0" else "f16x2 and bf16x2"
        raise e.unsupported(f"of conversions from {second} those to {targets} with .rn are supported")
    value = e.read(ins.operands[1], _word(second))
    e.write(ins.operands[0], "b32", e.call(narrow_floats.unpack(kind, first, "relu" in flags), value))


def _word(packed: str) -> str:
    """Return the type of the register that holds two packed floats."""
    return "b8" if packed == "e2m1x2" else "b16"


_INTEGER = ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64")


def cvta(e: Emitter, ins: Instruction) -> None:
    space = next(m for m in ins.modifiers if m in ("global", "shared", "local", "const", "param", "shared::cta", "shared::cluster"))
    kind = e.kind_of(ins)
    base = {"shared": SHARED, "shared::cta": SHARED, "shared::cluster": SHARED, "local": LOCAL}.get(space, 0)
    sign = "-" if "to" in ins.modifiers else "+"
    value = e.read(ins.operands[1], kind)
    e.write(ins.operands[0], kind, f"{value} {sign} {e.constant(Immediate(base), kind)}" if base else value)


def isspacep(e: Emitter, ins: Instruction) -> None:
    low, high = {
        "global": (0, SHARED),
        "shared": (SHARED, LOCAL),
        "local": (LOCAL, 1 << 62),
        "const": (0, 0),
        "shared::cta": (SHARED, SHARED + REMOTE),
        "shared::cluster": (SHARED, LOCAL),
        "param": (0, 0),
    }[ins.modifiers[0]]
    value = e.read(ins.operands[1], "u64")
    e.write(
        ins.operands[0],
        "pred",
        f"({value} >= {e.constant(Immediate(low), 'u64')}) & ({value} < {e.constant(Immediate(high), 'u64')})",
    )


def mapa(e: Emitter, ins: Instruction) -> None:
    kind = e.kind_of(ins)
    e.write(ins.operands[0], kind, e.call(mapped, e.read(ins.operands[1], kind), e.read(ins.operands[2], "u32")))


def getctarank(e: Emitter, ins: Instruction) -> None:
    own = e.read(Special("%cluster_ctarank"), "u32")
    e.write(ins.operands[0], "u32", e.call(rank_of, e.read(ins.operands[1], e.kind_of(ins)), own))


def testp(e: Emitter, ins: Instruction) -> None:
    if ins.modifiers[0] in WIDTH:
        raise e.unsupported("testp names what it tests: finite, infinite, number, notanumber, normal or subnormal")
    e.write(
        ins.operands[0], "pred", e.call(floats.testp, repr(ins.modifiers[0]), e.read(ins.operands[1], e.kind_of(ins)))
    )

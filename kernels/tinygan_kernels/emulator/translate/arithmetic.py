"""Lowering of arithmetic and bit operations: the type and the modifiers choose the function that computes an instruction.
(PTX ISA, 9.7.1 to 9.7.5, 9.7.8)

A lowering function, here and in data, memory and warp, gets the Emitter and the Instruction and writes Python source.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.semantics import floats, integers, pairs
from tinygan_kernels.emulator.semantics.conversions import join_halves, split_halves
from tinygan_kernels.emulator.syntax.ptx import Immediate, Instruction, Pair, Symbol

from .emitter import Emitter
from .types import FLOAT, PACKED, SINGLE, code_of, rounding_of, types_of, wide_of


def float_result(e: Emitter, ins: Instruction, kind: str, function, *operands) -> None:
    """Write d = function(operands), with .ftz on what goes in and out, and .sat at the end; of packed halves, on each half."""
    if "sat" in ins.modifiers and (kind == "f32x2" or kind.startswith("bf16")):
        raise e.unsupported(f"modifier .sat is not supported for {'f32x2' if kind == 'f32x2' else 'bf16'}")
    arguments, single = [e.read(o, kind) for o in operands], SINGLE.get(kind, kind)
    if rounding_of(ins) != "rn" and single in ("f16", "bf16"):
        raise e.unsupported(f"modifier .{rounding_of(ins)} is not supported for halves, which are rounded to nearest")
    before = [floats.ftz] if "ftz" in ins.modifiers else []
    after = before + ([floats.saturate] if "sat" in ins.modifiers else [])
    if kind == "f32x2":
        e.apply(ins.operands[0], kind, pairs.by_parts(steps(before, function, after), kind), *arguments)
        return
    if kind in PACKED:
        e.apply(ins.operands[0], kind, packed(steps(before, function, after), single), *arguments)
        return
    for step in before:
        arguments = [e.call(step, a) for a in arguments]
    if not after:
        e.apply(ins.operands[0], kind, function, *arguments)
        return
    value = e.call(function, *arguments)
    for step in after:
        value = e.call(step, value)
    e.write(ins.operands[0], kind, value)


def steps(before: list, function, after: list):
    """Return the function that applies the functions in `before` to each argument, then `function`, then those in `after`."""
    if not before and not after:
        return function

    def apply(*arguments):
        for step in before:
            arguments = [step(a) for a in arguments]
        result = function(*arguments)
        for step in after:
            result = step(result)
        return result

    return apply


def packed(function, kind: str):
    """Return a function of 32-bit words that applies `function` to both halves, which have the type `kind`."""
    dtype = "f2" if kind == "f16" else "u2"

    def apply(*words):
        halves = [[h.view(dtype) for h in split_halves(np.atleast_1d(w))] for w in words]
        low, high = (function(*(h[i] for h in halves)) for i in (0, 1))
        return join_halves(low.view("u2"), high.view("u2"))

    return apply


def add_sub(e: Emitter, ins: Instruction) -> None:
    kind, subtract = e.kind_of(ins), ins.opcode.startswith("sub")
    if mixed(e, ins):
        mixed_precision(e, ins)
        return
    if kind in FLOAT or kind in SINGLE:
        function = floats.arithmetic(ins.opcode, SINGLE.get(kind, kind), rounding_of(ins))
        float_result(e, ins, kind, function, *ins.operands[1:])
        return
    if "cc" in ins.modifiers or ins.opcode in ("addc", "subc"):
        carry = e.register("CC.CF", "b1") if ins.opcode in ("addc", "subc") else "False"
        with_carry(
            e,
            ins,
            integers.sub_borrow if subtract else integers.add_carry,
            kind,
            *(e.read(o, kind) for o in ins.operands[1:]),
            carry,
        )
        return
    function = np.subtract if subtract else np.add
    if "sat" in ins.modifiers:
        function = integers.sub_sat if subtract else integers.add_sat
    if kind in pairs.CODES:
        if subtract or "sat" in ins.modifiers:
            raise e.unsupported(f"of {kind}, add without .sat is supported")
        function = pairs.by_parts(np.add, kind)
    e.apply(ins.operands[0], kind, function, *(e.read(o, kind) for o in ins.operands[1:]))


def mixed(e: Emitter, ins: Instruction) -> bool:
    """Return whether an instruction has operands of half and a result of single precision; other pairs of types are refused."""
    kinds = types_of(ins)
    if len(kinds) == 1:
        return False
    if len(kinds) != 2 or kinds[0] != "f32" or kinds[1] not in ("f16", "bf16") or "ftz" in ins.modifiers or "relu" in ins.modifiers:
        raise e.unsupported("two types are those of a result of f32 and operands of f16 or bf16, with a rounding mode and .sat")
    return True


def mixed_precision(e: Emitter, ins: Instruction) -> None:
    """Lower add, sub and fma of .f32.f16 and .f32.bf16: all operands but the last are halves. (PTX ISA, 9.7.5)"""
    half, function = types_of(ins)[1], floats.arithmetic(ins.opcode, "f32", rounding_of(ins))

    def widened(*values):
        halves = [floats.widen_half(np.atleast_1d(v), half).astype("f4") for v in values[:-1]]
        return function(*halves, values[-1])

    *halves, last = ins.operands[1:]
    after = [floats.saturate] if "sat" in ins.modifiers else []
    arguments = *(e.read(o, half) for o in halves), e.read(last, "f32")
    e.apply(ins.operands[0], "f32", steps([], widened, after), *arguments)


def with_carry(e: Emitter, ins: Instruction, function, kind: str, a: str, b: str, carry: str) -> None:
    """Write an addition or subtraction with carry in; with .cc, the carry out goes into the carry flag, a register here."""
    e.line(f"result, out = {e.call(function, a, b, carry)}")
    e.write(ins.operands[0], kind, "result")
    if "cc" in ins.modifiers:
        e.line(f"copyto({e.register('CC.CF', 'b1')}, out, where=w)")


def mul(e: Emitter, ins: Instruction) -> None:
    kind = e.kind_of(ins)
    if kind in FLOAT or kind in SINGLE:
        float_result(e, ins, kind, floats.arithmetic("mul", SINGLE.get(kind, kind), rounding_of(ins)), *ins.operands[1:])
        return
    a, b = (e.read(o, kind) for o in ins.operands[1:])
    if "wide" in ins.modifiers:
        e.write(ins.operands[0], wide_of(kind), e.call(integers.mul_wide, a, b))
    else:
        e.apply(ins.operands[0], kind, product(e, ins), a, b)


def product(e: Emitter, ins: Instruction):
    """Return the function that computes .lo or .hi of a product, or of a 24-bit one."""
    low = "lo" in ins.modifiers
    if low == ("hi" in ins.modifiers):
        wide = "" if "24" in ins.opcode or ins.opcode == "madc" else " or .wide"
        raise e.unsupported(f"{ins.opcode} of integers is .lo or .hi{wide}")
    if "24" in ins.opcode:
        return integers.mul24_lo if low else integers.mul24_hi
    return np.multiply if low else integers.mul_hi


def mad(e: Emitter, ins: Instruction) -> None:
    kind = e.kind_of(ins)
    if kind in FLOAT:
        fma(e, ins)
        return
    a, b = (e.read(o, kind) for o in ins.operands[1:3])
    if "wide" in ins.modifiers:
        wide = wide_of(kind)
        e.write(ins.operands[0], wide, f"{e.call(integers.mul_wide, a, b)} + {e.read(ins.operands[3], wide)}")
        return
    c, low_high = e.read(ins.operands[3], kind), e.call(product(e, ins), a, b)
    if "cc" in ins.modifiers or ins.opcode == "madc":
        carry = e.register("CC.CF", "b1") if ins.opcode == "madc" else "False"
        with_carry(e, ins, integers.add_carry, kind, low_high, c, carry)
    elif "sat" in ins.modifiers:
        e.write(ins.operands[0], kind, e.call(integers.add_sat, low_high, c))
    else:
        e.apply(ins.operands[0], kind, np.add, low_high, c)


def fma(e: Emitter, ins: Instruction) -> None:
    kind = e.kind_of(ins)
    if mixed(e, ins):
        mixed_precision(e, ins)
        return
    function = floats.arithmetic("fma", SINGLE.get(kind, kind), rounding_of(ins))
    if "relu" in ins.modifiers:
        inner, function = function, None
        single = PACKED.get(kind, kind)
        if single not in ("f16", "bf16"):
            raise e.unsupported(f"modifier .relu is not supported for {kind}")

        def function(a, b, c):
            return floats.relu_half(inner(a, b, c), single)

    float_result(e, ins, kind, function, *ins.operands[1:4])


def div(e: Emitter, ins: Instruction) -> None:
    kind = e.kind_of(ins)
    if kind not in FLOAT:
        e.apply(ins.operands[0], kind, integers.quotient, *(e.read(o, kind) for o in ins.operands[1:]))
    elif "approx" in ins.modifiers:
        float_result(e, ins, kind, floats.divide_approx, *ins.operands[1:])
    else:  # div.full has a bound of 2 ulp: the exact quotient is inside it
        float_result(e, ins, kind, floats.arithmetic("div", kind, rounding_of(ins)), *ins.operands[1:])


def unary_float(e: Emitter, ins: Instruction) -> None:
    """Lower rcp sqrt rsqrt ex2 lg2 sin cos tanh."""
    kind = e.kind_of(ins)
    exact = ins.opcode in ("rcp", "sqrt") and "approx" not in ins.modifiers
    if exact:
        function = floats.arithmetic(ins.opcode, kind, rounding_of(ins))
    elif kind in PACKED or kind in ("f16", "bf16"):
        function = floats.approximate_half(ins.opcode, PACKED.get(kind, kind))
    else:
        function = floats.approximate(ins.opcode)
    float_result(e, ins, kind, function, ins.operands[1])


def neg_abs(e: Emitter, ins: Instruction) -> None:
    kind = e.kind_of(ins)
    function = np.negative if ins.opcode == "neg" else np.absolute
    if kind.startswith("bf16") or kind in PACKED:
        float_result(
            e, ins, kind, floats.bf16_sign(ins.opcode) if kind.startswith("bf16") else function, ins.operands[1]
        )
    elif kind in FLOAT:
        float_result(e, ins, kind, function, ins.operands[1])
    else:
        e.apply(ins.operands[0], kind, function, e.read(ins.operands[1], kind))


def simple(function, result: str | None = None, *kinds: str | None):
    """Make the lowering of d = function(a, b, ...). Operand i has the type kinds[i], d has `result`; None stands for the
    instruction's own type."""

    def lower(e: Emitter, ins: Instruction) -> None:
        kind = e.kind_of(ins)
        wanted = [*kinds, *[None] * 8]
        arguments = [e.read(o, wanted[i] or kind) for i, o in enumerate(ins.operands[1:])]
        e.apply(ins.operands[0], result or kind, function, *arguments)

    return lower


def logic(e: Emitter, ins: Instruction) -> None:
    kind = e.kind_of(ins)
    function = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert}[ins.opcode]
    e.apply(ins.operands[0], kind, function, *(e.read(o, kind) for o in ins.operands[1:]))


def funnel(e: Emitter, ins: Instruction) -> None:
    function = integers.funnel_left if "l" in ins.modifiers else integers.funnel_right
    e.write(
        ins.operands[0],
        "b32",
        e.call(function, *(e.read(o, "u32") for o in ins.operands[1:]), str("clamp" in ins.modifiers)),
    )


def clamped(function, *kinds):
    """Make the lowering of d = function(a, b, clamp) for instructions with a mode .clamp or .wrap. Operand i has the type
    kinds[i]; None stands for the instruction's own type."""

    def lower(e: Emitter, ins: Instruction) -> None:
        kind = e.kind_of(ins)
        arguments = [e.read(o, k or kind) for o, k in zip(ins.operands[1:], kinds, strict=True)]
        e.write(ins.operands[0], kind, e.call(function, *arguments, str("clamp" in ins.modifiers)))

    return lower


def bfind(e: Emitter, ins: Instruction) -> None:
    e.write(
        ins.operands[0],
        "u32",
        e.call(integers.bfind, e.read(ins.operands[1], e.kind_of(ins)), str("shiftamt" in ins.modifiers)),
    )


def prmt(e: Emitter, ins: Instruction) -> None:
    mode = next((m for m in ins.modifiers if m != "b32"), None)
    if types_of(ins) != ["b32"] or len(ins.modifiers) > 2:
        raise e.unsupported("prmt has the type b32 and one mode at most")
    arguments = [e.read(o, "b32") for o in ins.operands[1:]]
    value = e.call(integers.prmt_mode, repr(mode), *arguments) if mode else e.call(integers.prmt, *arguments)
    e.write(ins.operands[0], "b32", value)


def lop3(e: Emitter, ins: Instruction) -> None:
    """Lower lop3.b32, and lop3.and.b32 and lop3.or.b32 d|p, a, b, c, table, q, whose p is (d != 0) and q, or (d != 0) or q."""
    combine = next((m for m in ins.modifiers if m in ("and", "or")), "")
    target, form = ins.operands[0], (isinstance(ins.operands[0], Pair), len(ins.operands) == 6)
    if not isinstance(ins.operands[4], Immediate) or form != (bool(combine), bool(combine)):
        raise e.unsupported("lop3.b32 has a constant table and one result, lop3.{and, or}.b32 two results and a sixth operand")
    arguments = [e.read(o, "b32") for o in ins.operands[1:4]]
    value = e.call(integers.lop3, *arguments, str(ins.operands[4].value))
    if not isinstance(target, Pair):
        e.write(target, "b32", value)
        return
    e.line(f"result = {value}")
    sign = {"and": "&", "or": "|"}[combine]
    e.line(f"other = (result != 0) {sign} {e.read(ins.operands[5], 'pred')}")
    e.write(target.first, "b32", "result")
    e.write(target.second, "pred", "other")


def dot(e: Emitter, ins: Instruction) -> None:
    a_kind, b_kind = types_of(ins)
    result = "s32" if "s32" in (a_kind, b_kind) else "u32"
    a, b = (e.read(o, k) for o, k in zip(ins.operands[1:3], (a_kind, b_kind), strict=True))
    extra = [str("hi" in ins.modifiers)] if ins.opcode == "dp2a" else []
    function = integers.dp4a if ins.opcode == "dp4a" else integers.dp2a
    e.write(
        ins.operands[0],
        result,
        e.call(function, a, b, e.read(ins.operands[3], result), repr(code_of(a_kind)), repr(code_of(b_kind)), *extra),
    )


def packed_video(e: Emitter, ins: Instruction) -> None:
    result, a_kind, b_kind = types_of(ins)
    if any("." in o.name for o in ins.operands if isinstance(o, Symbol)):
        raise e.unsupported("byte selectors are not supported")
    a, b, c = (e.read(o, "u32") for o in ins.operands[1:4])
    saturated = code_of(result)[0] if "sat" in ins.modifiers else ""
    e.write(
        ins.operands[0],
        "u32",
        e.call(
            integers.packed_video,
            repr(ins.opcode[:-1]),
            a,
            b,
            c,
            repr(code_of(a_kind)),
            repr(code_of(b_kind)),
            ins.opcode[-1],
            repr(saturated),
            str("add" in ins.modifiers),
        ),
    )

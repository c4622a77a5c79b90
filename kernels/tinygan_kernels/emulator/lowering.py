"""Opcode -> how its Python is written. Every function here gets the Emitter and the Instruction. (PTX ISA, chapter 9)

The functions that compute are in integers, floats, conversions, warps and matrix; the tables here choose among them.
"""

from __future__ import annotations

import numpy as np

from . import atomics, floats, integers, matrix, warps
from .conversions import KNOWN, convert, join_halves, pack_halves, split_halves, to_tf32
from .memory import LOCAL, SHARED
from .program import Emitter, code_of
from .ptx import WIDTH, Immediate, Instruction, Not, Pair, Register, Symbol, Vector

FLOAT = ("f16", "bf16", "f32", "f64")
PACKED = {"f16x2": "f16", "bf16x2": "bf16"}
ROUNDING = ("rn", "rz", "rm", "rp")


def types_of(ins: Instruction) -> list[str]:
    return [m for m in ins.modifiers if m in WIDTH]


def kind_of(e: Emitter, ins: Instruction) -> str:
    kinds = types_of(ins)
    if not kinds:
        raise e.unsupported("no type in the instruction")
    return kinds[-1]


def mode_of(ins: Instruction) -> str:
    return next((m for m in ins.modifiers if m in ROUNDING), "rn")


# -- arithmetic ---------------------------------------------------------------------------------------------------------
def float_result(e: Emitter, ins: Instruction, kind: str, function, *operands) -> None:
    """d = function(operands), with .ftz on what goes in and out, .sat and .relu at the end."""
    arguments = [e.read(o, kind) for o in operands]
    if kind in PACKED:
        e.apply(ins.operands[0], kind, packed(function, PACKED[kind]), *arguments)
        return
    flush = "ftz" in ins.modifiers and kind in ("f32", "f16")
    if flush:
        arguments = [e.call(floats.ftz, a) for a in arguments]
    after = ([floats.ftz] if flush else []) + ([floats.saturate] if "sat" in ins.modifiers else [])
    if not after:
        e.apply(ins.operands[0], kind, function, *arguments)
        return
    value = e.call(function, *arguments)
    for step in after:
        value = e.call(step, value)
    e.write(ins.operands[0], kind, value)


def packed(function, kind: str):
    """The same function on both halves of 32-bit words."""
    dtype = "f2" if kind == "f16" else "u2"

    def apply(*words):
        halves = [[h.view(dtype) for h in split_halves(np.atleast_1d(w))] for w in words]
        low, high = (function(*(h[i] for h in halves)) for i in (0, 1))
        return join_halves(low.view("u2"), high.view("u2"))
    return apply


def add_sub(e: Emitter, ins: Instruction) -> None:
    kind, subtract = kind_of(e, ins), ins.opcode.startswith("sub")
    if kind in FLOAT or kind in PACKED:
        function = floats.arithmetic(ins.opcode, PACKED.get(kind, kind), mode_of(ins))
        float_result(e, ins, kind, function, *ins.operands[1:])
        return
    if "cc" in ins.modifiers or ins.opcode in ("addc", "subc"):
        carry = e.program.register(e.function, "CC.CF", "b1") if ins.opcode in ("addc", "subc") else "False"
        with_carry(e, ins, integers.sub_borrow if subtract else integers.add_carry, kind, *(e.read(o, kind) for o in ins.operands[1:]), carry)
        return
    function = np.subtract if subtract else np.add
    if "sat" in ins.modifiers:
        function = integers.sub_sat if subtract else integers.add_sat
    e.apply(ins.operands[0], kind, function, *(e.read(o, kind) for o in ins.operands[1:]))


def with_carry(e: Emitter, ins: Instruction, function, kind: str, a: str, b: str, carry: str) -> None:
    e.line(f"result, out = {e.call(function, a, b, carry)}")
    e.write(ins.operands[0], kind, "result")
    if "cc" in ins.modifiers:
        e.line(f"copyto({e.program.register(e.function, 'CC.CF', 'b1')}, out, where=w)")


def mul(e: Emitter, ins: Instruction) -> None:
    kind = kind_of(e, ins)
    if kind in FLOAT or kind in PACKED:
        float_result(e, ins, kind, floats.arithmetic("mul", PACKED.get(kind, kind), mode_of(ins)), *ins.operands[1:])
        return
    a, b = (e.read(o, kind) for o in ins.operands[1:])
    if "wide" in ins.modifiers:
        e.write(ins.operands[0], wide_of(kind), e.call(integers.mul_wide, a, b))
    else:
        e.apply(ins.operands[0], kind, product(ins), a, b)


def product(ins: Instruction):
    """The function for .lo, .hi (and the 24-bit forms)."""
    low = "lo" in ins.modifiers
    if "24" in ins.opcode:
        return integers.mul24_lo if low else integers.mul24_hi
    return np.multiply if low else integers.mul_hi


def wide_of(kind: str) -> str:
    return f"{kind[0]}{2 * int(kind[1:])}"


def mad(e: Emitter, ins: Instruction) -> None:
    kind = kind_of(e, ins)
    if kind in FLOAT:
        fma(e, ins)
        return
    a, b = (e.read(o, kind) for o in ins.operands[1:3])
    if "wide" in ins.modifiers:
        wide = wide_of(kind)
        e.write(ins.operands[0], wide, f"{e.call(integers.mul_wide, a, b)} + {e.read(ins.operands[3], wide)}")
        return
    c, low_high = e.read(ins.operands[3], kind), e.call(product(ins), a, b)
    if "cc" in ins.modifiers or ins.opcode == "madc":
        carry = e.program.register(e.function, "CC.CF", "b1") if ins.opcode == "madc" else "False"
        with_carry(e, ins, integers.add_carry, kind, low_high, c, carry)
    elif "sat" in ins.modifiers:
        e.write(ins.operands[0], kind, e.call(integers.add_sat, low_high, c))
    else:
        e.apply(ins.operands[0], kind, np.add, low_high, c)


def fma(e: Emitter, ins: Instruction) -> None:
    kind = kind_of(e, ins)
    function = floats.arithmetic("fma", PACKED.get(kind, kind), mode_of(ins))
    if "relu" in ins.modifiers:
        inner, function = function, None
        single = PACKED.get(kind, kind)

        def function(a, b, c):
            return floats.relu_half(inner(a, b, c), single)
    float_result(e, ins, kind, function, *ins.operands[1:4])


def div(e: Emitter, ins: Instruction) -> None:
    kind = kind_of(e, ins)
    if kind not in FLOAT:
        e.apply(ins.operands[0], kind, integers.quotient, *(e.read(o, kind) for o in ins.operands[1:]))
    elif "approx" in ins.modifiers:
        float_result(e, ins, kind, floats.divide_approx, *ins.operands[1:])
    else:       # div.full has a bound of 2 ulp: the exact quotient is inside it
        float_result(e, ins, kind, floats.arithmetic("div", kind, mode_of(ins)), *ins.operands[1:])


def unary_float(e: Emitter, ins: Instruction) -> None:
    """rcp sqrt rsqrt ex2 lg2 sin cos tanh"""
    kind = kind_of(e, ins)
    exact = ins.opcode in ("rcp", "sqrt") and "approx" not in ins.modifiers
    if exact:
        function = floats.arithmetic(ins.opcode, kind, mode_of(ins))
    elif kind in PACKED or kind in ("f16", "bf16"):
        function = floats.approximate_half(ins.opcode, PACKED.get(kind, kind))
    else:
        function = floats.approximate(ins.opcode)
    float_result(e, ins, kind, function, ins.operands[1])


def neg_abs(e: Emitter, ins: Instruction) -> None:
    kind = kind_of(e, ins)
    function = np.negative if ins.opcode == "neg" else np.absolute
    if kind.startswith("bf16") or kind in PACKED:
        float_result(e, ins, kind, floats.bf16_sign(ins.opcode) if kind.startswith("bf16") else function, ins.operands[1])
    elif kind in FLOAT:
        float_result(e, ins, kind, function, ins.operands[1])
    else:
        e.apply(ins.operands[0], kind, function, e.read(ins.operands[1], kind))


def min_max(e: Emitter, ins: Instruction) -> None:
    kind, nan = kind_of(e, ins), "NaN" in ins.modifiers
    if kind in ("f32", "f64"):
        pick = {("min", False): floats.minimum, ("max", False): floats.maximum, ("min", True): floats.nan_minimum, ("max", True): floats.nan_maximum}
        float_result(e, ins, kind, pick[ins.opcode, nan], *ins.operands[1:])
    elif kind in FLOAT or kind in PACKED:
        float_result(e, ins, kind, floats.half_extremum(ins.opcode, PACKED.get(kind, kind), nan), *ins.operands[1:])
    else:
        function = np.minimum if ins.opcode == "min" else np.maximum
        e.apply(ins.operands[0], kind, function, *(e.read(o, kind) for o in ins.operands[1:]))


def simple(function, result: str | None = None, *kinds: str | None):
    """d = function(a, b, ...): operand i has kinds[i], or the instruction's type; so has d unless `result` names one."""
    def lower(e: Emitter, ins: Instruction) -> None:
        kind = kind_of(e, ins)
        wanted = [*kinds, *[None] * 8]
        arguments = [e.read(o, wanted[i] or kind) for i, o in enumerate(ins.operands[1:])]
        e.apply(ins.operands[0], result or kind, function, *arguments)
    return lower


def logic(e: Emitter, ins: Instruction) -> None:
    kind = kind_of(e, ins)
    function = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert}[ins.opcode]
    e.apply(ins.operands[0], kind, function, *(e.read(o, kind) for o in ins.operands[1:]))


def funnel(e: Emitter, ins: Instruction) -> None:
    function = integers.funnel_left if "l" in ins.modifiers else integers.funnel_right
    e.write(ins.operands[0], "b32", e.call(function, *(e.read(o, "u32") for o in ins.operands[1:]), str("clamp" in ins.modifiers)))


def clamped(function, *kinds):
    """bmsk and szext: .clamp or .wrap as a last argument."""
    def lower(e: Emitter, ins: Instruction) -> None:
        kind = kind_of(e, ins)
        arguments = [e.read(o, k or kind) for o, k in zip(ins.operands[1:], kinds, strict=True)]
        e.write(ins.operands[0], kind, e.call(function, *arguments, str("clamp" in ins.modifiers)))
    return lower


def bfind(e: Emitter, ins: Instruction) -> None:
    e.write(ins.operands[0], "u32", e.call(integers.bfind, e.read(ins.operands[1], kind_of(e, ins)), str("shiftamt" in ins.modifiers)))


def prmt(e: Emitter, ins: Instruction) -> None:
    mode = ins.modifiers[-1] if ins.modifiers[-1] != "b32" else None
    arguments = [e.read(o, "b32") for o in ins.operands[1:]]
    value = e.call(integers.prmt_mode, repr(mode), *arguments) if mode else e.call(integers.prmt, *arguments)
    e.write(ins.operands[0], "b32", value)


def lop3(e: Emitter, ins: Instruction) -> None:
    if not isinstance(ins.operands[4], Immediate) or isinstance(ins.operands[0], Pair):
        raise e.unsupported("only lop3.b32 with a constant table and one result is supported")
    arguments = [e.read(o, "b32") for o in ins.operands[1:4]]
    e.write(ins.operands[0], "b32", e.call(integers.lop3, *arguments, str(ins.operands[4].value)))


def dot(e: Emitter, ins: Instruction) -> None:
    a_kind, b_kind = types_of(ins)
    result = "s32" if "s32" in (a_kind, b_kind) else "u32"
    a, b = (e.read(o, k) for o, k in zip(ins.operands[1:3], (a_kind, b_kind), strict=True))
    extra = [str("hi" in ins.modifiers)] if ins.opcode == "dp2a" else []
    function = integers.dp4a if ins.opcode == "dp4a" else integers.dp2a
    e.write(ins.operands[0], result, e.call(function, a, b, e.read(ins.operands[3], result), repr(code_of(a_kind)), repr(code_of(b_kind)), *extra))


def packed_video(e: Emitter, ins: Instruction) -> None:
    result, a_kind, b_kind = types_of(ins)
    if any("." in o.name for o in ins.operands if isinstance(o, Symbol)):
        raise e.unsupported("byte selectors are not supported")
    a, b, c = (e.read(o, "u32") for o in ins.operands[1:4])
    saturated = code_of(result)[0] if "sat" in ins.modifiers else ""
    e.write(ins.operands[0], "u32", e.call(integers.packed_video, repr(ins.opcode[:-1]), a, b, c, repr(code_of(a_kind)), repr(code_of(b_kind)),
                                           ins.opcode[-1], repr(saturated), str("add" in ins.modifiers)))


# -- comparison, selection, moves ---------------------------------------------------------------------------------------
_COMPARE = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
            "lo": np.less, "ls": np.less_equal, "hi": np.greater, "hs": np.greater_equal,
            "num": lambda a, b: ~(np.isnan(a) | np.isnan(b)), "nan": lambda a, b: np.isnan(a) | np.isnan(b)}
_OPPOSITE = {"equ": "ne", "neu": "eq", "ltu": "ge", "leu": "gt", "gtu": "le", "geu": "lt"}
_COMBINE = {"and": "&", "or": "|", "xor": "^"}


def comparison(operation: str, is_float: bool):
    """The comparison of two vectors: ordered ones are false for NaN, those that end in u are true."""
    if is_float and operation == "ne":
        return lambda a, b: (a < b) | (a > b)
    if is_float and operation == "equ":
        return lambda a, b: ~((a < b) | (a > b))
    if operation in _OPPOSITE:
        opposite = _COMPARE["eq" if operation == "neu" else _OPPOSITE[operation]]
        return lambda a, b: ~opposite(a, b)
    return _COMPARE[operation]


def compared(e: Emitter, ins: Instruction, kind: str) -> tuple[str, object]:
    """(source text of the arguments, function) of setp and set."""
    arguments = [e.read(o, kind) for o in ins.operands[1:3]]
    if "ftz" in ins.modifiers and kind == "f32":
        arguments = [e.call(floats.ftz, a) for a in arguments]
    if kind == "bf16":
        arguments = [e.call(floats.bf16_to_f32, a) for a in arguments]
    return arguments, comparison(ins.modifiers[0], kind in FLOAT)


def setp(e: Emitter, ins: Instruction) -> None:
    kind = kind_of(e, ins)
    if kind in PACKED:
        raise e.unsupported("packed comparisons are not supported")
    first = ins.operands[0]
    arguments, function = compared(e, ins, kind)
    if not isinstance(first, Pair) and len(ins.operands) == 3:
        e.apply(first, "pred", function, *arguments)
        return
    e.line(f"result = {e.call(function, *arguments)}")
    other = " ~result"
    value = "result"
    if len(ins.operands) > 3:
        combine = next(_COMBINE[m] for m in ins.modifiers if m in _COMBINE)
        third = e.read(ins.operands[3], "pred")
        value, other = f"result {combine} {third}", f"~result {combine} {third}"
    if isinstance(first, Pair):
        e.line(f"other = {other}")
        e.write(first.first, "pred", value)
        e.write(first.second, "pred", "other")
    else:
        e.write(first, "pred", value)


def set_(e: Emitter, ins: Instruction) -> None:
    target, kind = types_of(ins)
    arguments, function = compared(e, ins, kind)
    value = e.call(function, *arguments)
    if len(ins.operands) > 3:
        combine = next(_COMBINE[m] for m in ins.modifiers if m in _COMBINE)
        value = f"({value} {combine} {e.read(ins.operands[3], 'pred')})"
    yes, no = (Immediate(1.0), Immediate(0.0)) if target in FLOAT else (Immediate(-1), Immediate(0))
    e.write(ins.operands[0], target, f"where({value}, {e.constant(yes, target)}, {e.constant(no, target)})")


def selp(e: Emitter, ins: Instruction) -> None:
    kind = kind_of(e, ins)
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
    kind, target, source = kind_of(e, ins), *ins.operands
    if isinstance(source, Vector):
        pack(e, target, source, kind)
    elif isinstance(target, Vector):
        unpack(e, target, source, kind)
    else:
        bits = kind if kind == "pred" else f"u{8 * WIDTH[kind]}"
        e.write(target, bits, e.read(source, bits))


def pack(e: Emitter, target, source: Vector, kind: str) -> None:
    """mov.b64 %rd, {%r1, %r2}: the first is the lowest."""
    part = f"u{8 * WIDTH[kind] // len(source.items)}"
    whole = code_of(f"u{8 * WIDTH[kind]}")
    shift = 8 * WIDTH[part]
    terms = [f"{e.read(item, part)}.astype('{whole}') << {e.constant(Immediate(i * shift), f'u{whole[1]}'.replace('u8', 'u64').replace('u4', 'u32').replace('u2', 'u16'))}"
             for i, item in enumerate(source.items)]
    e.write(target, f"u{8 * WIDTH[kind]}", " | ".join(f"({t})" for t in terms))


def unpack(e: Emitter, target: Vector, source, kind: str) -> None:
    part = f"u{8 * WIDTH[kind] // len(target.items)}"
    whole = f"u{8 * WIDTH[kind]}"
    e.line(f"whole = {e.read(source, whole)} + {e.constant(Immediate(0), whole)}")     # a copy: a target may be the source
    for i, item in enumerate(target.items):
        shift = e.constant(Immediate(8 * WIDTH[part] * i), whole)
        e.write(item, part, f"(whole >> {shift}).astype('{code_of(part)}')")


def cvt(e: Emitter, ins: Instruction) -> None:
    kinds = types_of(ins)
    flags = tuple(m for m in ins.modifiers if m not in WIDTH)
    target, source = kinds[0], kinds[-1]
    value = [e.read(o, source) for o in ins.operands[1:]]
    if target == "tf32":
        e.write(ins.operands[0], "b32", e.call(to_tf32(flags[0]), *value))
    elif target in PACKED:
        e.write(ins.operands[0], "b32", e.call(pack_halves(PACKED[target], flags), *value))
    elif set(flags) <= set(KNOWN) and target in (*FLOAT, *_INTEGER) and source in (*FLOAT, *_INTEGER):
        e.write(ins.operands[0], target, e.call(convert(target, source, flags), *value))
    else:
        raise e.unsupported("this conversion is not supported")


_INTEGER = ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64")


def cvta(e: Emitter, ins: Instruction) -> None:
    space = next(m for m in ins.modifiers if m in ("global", "shared", "local", "const", "param", "shared::cta"))
    kind = kind_of(e, ins)
    base = {"shared": SHARED, "shared::cta": SHARED, "local": LOCAL}.get(space, 0)
    sign = "-" if "to" in ins.modifiers else "+"
    value = e.read(ins.operands[1], kind)
    e.write(ins.operands[0], kind, f"{value} {sign} {e.constant(Immediate(base), kind)}" if base else value)


def isspacep(e: Emitter, ins: Instruction) -> None:
    low, high = {"global": (0, SHARED), "shared": (SHARED, LOCAL), "local": (LOCAL, 1 << 62), "const": (0, 0), "shared::cta": (SHARED, LOCAL),
                 "param": (0, 0)}[ins.modifiers[0]]
    value = e.read(ins.operands[1], "u64")
    e.write(ins.operands[0], "pred", f"({value} >= {e.constant(Immediate(low), 'u64')}) & ({value} < {e.constant(Immediate(high), 'u64')})")


def testp(e: Emitter, ins: Instruction) -> None:
    e.write(ins.operands[0], "pred", e.call(floats.testp, repr(ins.modifiers[0]), e.read(ins.operands[1], kind_of(e, ins))))


# -- memory -------------------------------------------------------------------------------------------------------------
_SPACES = {"global": "global", "shared": "shared", "shared::cta": "shared", "local": "local", "const": "global", "param": "param"}


def space_of(e: Emitter, ins: Instruction) -> str:
    for m in ins.modifiers:
        if m in _SPACES:
            return _SPACES[m]
        if m in ("shared::cluster", "param::func", "param::entry"):
            raise e.unsupported(f".{m} is not supported")
    return "generic"


def ld(e: Emitter, ins: Instruction) -> None:
    kind, space = kind_of(e, ins), space_of(e, ins)
    targets = vector_items(ins.operands[0])
    address = ins.operands[1]
    if space == "param" and not isinstance(address.base, Register):
        load_param(e, targets, address, kind)
        return
    names = ", ".join("None" if t is None else e.target(t, memory_kind(kind)) for t in targets)
    site = e.site_of(ins, "global" if space == "param" else space, code_of(memory_kind(kind)), WIDTH[kind], len(targets))
    e.line(f"load({e.program.bind(site)}, ({names},), {e.address(address)}, {e.lanes})")


def memory_kind(kind: str) -> str:
    """The type to move: bits for floats, the signed type where a wider register needs its sign."""
    return kind if kind[0] == "s" else f"u{8 * WIDTH[kind]}"


def vector_items(operand) -> tuple:
    return operand.items if isinstance(operand, Vector) else (operand,)


def load_param(e: Emitter, targets, address, kind: str) -> None:
    for i, target in enumerate(targets):
        e.write(target, memory_kind(kind), param_place(e, address, i, memory_kind(kind)))


def param_place(e: Emitter, address, i: int, kind: str) -> str:
    """Source text for element i at a parameter's address: a column of per-lane bytes, or a kernel's uniform parameter."""
    offset = address.base.offset + address.offset + i * WIDTH[kind]
    code = code_of(kind)
    if e.is_lane_param(address.base.name):
        return f"{e.lane_param(address.base.name)[0]}_{code}[:, {offset // WIDTH[kind]}]"
    offset += e.program.params[address.base.name]
    return f"p_{code}[{offset // WIDTH[kind]}]"


def st(e: Emitter, ins: Instruction) -> None:
    kind, space = kind_of(e, ins), space_of(e, ins)
    address, values = ins.operands[0], vector_items(ins.operands[1])
    bits = f"u{8 * WIDTH[kind]}"
    if space == "param":
        for i, value in enumerate(values):
            e.line(f"copyto({param_place(e, address, i, bits)}, {e.read(value, bits)}, where=w)")
        return
    site = e.site_of(ins, space, code_of(bits), WIDTH[kind], len(values))
    texts = ", ".join(e.read(v, bits) for v in values)
    e.line(f"store({e.program.bind(site)}, ({texts},), {e.address(address)}, {e.lanes})")


_ATOMIC = ("add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec")


def atom(e: Emitter, ins: Instruction) -> None:
    kind, space = kind_of(e, ins), space_of(e, ins)
    name = next((m for m in ins.modifiers if m in _ATOMIC), None)
    if name is None or any(m in ("v2", "v4", "v8") for m in ins.modifiers):
        raise e.unsupported("this form of atomic is not supported")
    operands = list(ins.operands)
    target = operands.pop(0) if ins.opcode == "atom" else None
    if isinstance(target, Register) and target.name not in e.function.read_names():
        target = None               # nobody reads what was there before: ptxas makes it a red
    site = e.site_of(ins, space, code_of(kind), WIDTH[kind])
    function = atomics.operation(name, PACKED.get(kind, kind))
    if kind in PACKED:
        function = packed(floats.arithmetic(name, PACKED[kind], "rn"), PACKED[kind])
    values = ", ".join(e.read(o, kind) for o in operands[1:])
    result = "None" if target is None else e.target(target, kind)
    e.line(f"atomic({e.program.bind(site)}, {e.program.bind(function)}, {result}, {e.address(operands[0])}, ({values},), {e.lanes})")


def cp_async(e: Emitter, ins: Instruction) -> None:
    if "commit_group" in ins.modifiers:
        e.line(f"copies.commit({e.lanes})")
    elif "wait_group" in ins.modifiers or "wait_all" in ins.modifiers:
        newest = ins.operands[0].value if "wait_group" in ins.modifiers else None
        e.line(f"copies.wait({newest}, {e.lanes})")
    elif "bulk" in ins.modifiers or "mbarrier" in ins.modifiers or "shared::cluster" in ins.modifiers:
        raise e.unsupported("of cp.async, copies of 4, 8 or 16 bytes, commit_group, wait_group and wait_all are supported")
    else:
        to, source, size = ins.operands[:3]
        n = int(size.value)
        sites = [e.program.bind(e.site_of(ins, space, f"u{min(n, 8)}", min(n, 8), max(1, n // 8))) for space in ("global", "shared")]
        length = "None" if len(ins.operands) < 4 else copy_length(e, ins.operands[3], n)
        e.line(f"copies.issue({sites[0]}, {sites[1]}, {e.address(to)}, {e.address(source)}, {length}, {e.lanes})")


def copy_length(e: Emitter, operand, size: int) -> str:
    """The fourth operand: how many bytes to read, or a predicate that says to read none."""
    if isinstance(operand, (Register, Not)) and (isinstance(operand, Not) or operand.type == "pred"):
        return f"where({e.read(operand, 'pred')}, 0, {size})"
    return e.read(operand, "u32")


def fence(e: Emitter, ins: Instruction) -> None:
    if not {"cta", "gl", "sys", "gpu", "cluster"} & set(ins.modifiers) or "proxy" in ins.modifiers:
        raise e.unsupported("this fence is not supported")
    e.line(f"fence({e.lanes})")


def nothing(e: Emitter, ins: Instruction) -> None:
    """prefetch, discard, nanosleep, pmevent, brkpt: hints without a result."""


# -- warps --------------------------------------------------------------------------------------------------------------
def members(e: Emitter, ins: Instruction, number: int) -> str:
    """Write the function that gives the member mask of a collective; its name."""
    operand = None
    if ins.opcode in ("shfl", "vote", "match", "redux"):
        operand = ins.operands[-1]
    elif ins.opcode == "bar":
        operand = ins.operands[0]
    text = e.read(operand, "u32") if operand is not None else e.constant(Immediate(-1), "u32")
    e.extra += [f"def members_{number}(m):", f"    return {text}"]
    return f"members_{number}"


def shfl(e: Emitter, ins: Instruction) -> None:
    if "sync" not in ins.modifiers:
        raise e.unsupported("only the .sync forms are supported")
    target = ins.operands[0]
    value, b, c = (e.read(o, "b32") for o in ins.operands[1:4])
    e.line(f"result, inside = {e.call(warps.shuffle, repr(ins.modifiers[1]), value, b, c, 'm.mask.size')}")
    e.write(target.first if isinstance(target, Pair) else target, "b32", "result")
    if isinstance(target, Pair):
        e.write(target.second, "pred", "inside")


def vote(e: Emitter, ins: Instruction) -> None:
    if "sync" not in ins.modifiers:
        raise e.unsupported("only the .sync forms are supported")
    mode = ins.modifiers[1]
    predicate, mask = e.read(ins.operands[1], "pred"), e.read(ins.operands[2], "b32")
    value = e.call(warps.vote, repr(mode), predicate, mask, f"{e.lanes}.mask")
    e.write(ins.operands[0], "b32" if mode == "ballot" else "pred", value)


def match(e: Emitter, ins: Instruction) -> None:
    mode, kind = ins.modifiers[0], kind_of(e, ins)
    if mode not in ("any", "all"):
        raise e.unsupported("unknown match")
    value = e.call(warps.match, repr(mode), e.read(ins.operands[1], kind), e.read(ins.operands[2], "b32"), f"{e.lanes}.mask")
    target = ins.operands[0]
    if mode == "any":
        e.write(target, "b32", value)
        return
    e.line(f"result, agree = {value}")
    e.write(target.first if isinstance(target, Pair) else target, "b32", "result")
    if isinstance(target, Pair):
        e.write(target.second, "pred", "agree")


def redux(e: Emitter, ins: Instruction) -> None:
    kind = kind_of(e, ins)
    value = e.call(warps.reduce, repr(ins.modifiers[1]), e.read(ins.operands[1], kind), e.read(ins.operands[2], "b32"), f"{e.lanes}.mask")
    e.write(ins.operands[0], kind, value)


def activemask(e: Emitter, ins: Instruction) -> None:
    ones = e.constant(Immediate(-1), "u32")
    e.write(ins.operands[0], "b32", e.call(warps.vote, "'ballot'", "True", ones, f"{e.lanes}.mask"))


def mma(e: Emitter, ins: Instruction) -> None:
    kinds, shape = types_of(ins), matrix.shape_of(ins.modifiers)
    plain = "row" in ins.modifiers and "col" in ins.modifiers and "sp" not in ins.modifiers
    if len(kinds) != 4 or (kinds[1], *shape) not in matrix.SUPPORTED or not plain:
        known = ", ".join(f"m{m}n{n}k{k} {kind}" for kind, m, n, k in sorted(matrix.SUPPORTED))
        raise e.unsupported(f"this mma is not supported; supported (row.col): {known}")
    word = "b64" if kinds[1] == "f64" else "b32"
    a, b, c = ("(" + ", ".join(e.read(item, word) for item in vector_items(o)) + ",)" for o in ins.operands[1:])
    e.line(f"results = {e.call(matrix.multiply, repr(tuple(kinds)), repr(shape), a, b, c)}")
    for i, target in enumerate(vector_items(ins.operands[0])):
        e.write(target, word, f"results[{i}]")


def ldmatrix(e: Emitter, ins: Instruction) -> None:
    if "m8n8" not in ins.modifiers or kind_of(e, ins) != "b16" or "shared::cluster" in ins.modifiers:
        raise e.unsupported("only ldmatrix.m8n8.b16 from this block's memory is supported")
    targets = vector_items(ins.operands[0])
    site = e.site_of(ins, space_of(e, ins), "u8", 8, 2)
    e.line(f"rows = load_rows({e.program.bind(site)}, {len(targets)}, {e.address(ins.operands[1])}, {e.lanes})")
    e.line(f"results = {e.call(matrix.distribute, 'rows', str(len(targets)), str('trans' in ins.modifiers))}")
    for i, target in enumerate(targets):
        e.write(target, "b32", f"results[{i}]")


def warp_barrier(e: Emitter, ins: Instruction) -> None:
    e.line(f"warp_sync({e.lanes})")


LOWER = {
    "add": add_sub, "sub": add_sub, "addc": add_sub, "subc": add_sub, "mul": mul, "mul24": mul, "mad": mad, "mad24": mad, "madc": mad,
    "fma": fma, "div": div, "rem": simple(integers.remainder), "abs": neg_abs, "neg": neg_abs, "min": min_max, "max": min_max,
    "rcp": unary_float, "sqrt": unary_float, "rsqrt": unary_float, "ex2": unary_float, "lg2": unary_float, "sin": unary_float,
    "cos": unary_float, "tanh": unary_float, "copysign": simple(floats.copysign), "testp": testp,
    "and": logic, "or": logic, "xor": logic, "not": logic, "cnot": simple(integers.cnot), "lop3": lop3,
    "shl": simple(integers.shl, None, None, "u32"), "shr": simple(integers.shr, None, None, "u32"), "shf": funnel,
    "popc": simple(integers.popc, "u32"), "clz": simple(integers.clz, "u32"), "brev": simple(integers.brev), "bfind": bfind,
    "bfe": simple(integers.bfe, None, None, "u32", "u32"), "bfi": simple(integers.bfi, None, None, None, "u32", "u32"),
    "bmsk": clamped(integers.bmsk, "u32", "u32"), "szext": clamped(integers.szext, None, "u32"), "prmt": prmt,
    "fns": simple(integers.find_nth_set, "b32", "b32", "u32", "s32"), "sad": simple(integers.sad), "dp4a": dot, "dp2a": dot,
    "setp": setp, "set": set_, "selp": selp, "slct": slct, "mov": mov, "cvt": cvt, "cvta": cvta, "isspacep": isspacep,
    "ld": ld, "ldu": ld, "st": st, "atom": atom, "red": atom, "cp": cp_async, "membar": fence, "fence": fence,
    "prefetch": nothing, "prefetchu": nothing, "discard": nothing, "applypriority": nothing, "nanosleep": nothing, "pmevent": nothing,
    "shfl": shfl, "vote": vote, "match": match, "redux": redux, "activemask": activemask, "bar": warp_barrier,
    **{f"{name}{parts}": packed_video for name in ("vadd", "vsub", "vmin", "vmax", "vabsdiff", "vavrg") for parts in (2, 4)},
    "mma": mma, "ldmatrix": ldmatrix,
}

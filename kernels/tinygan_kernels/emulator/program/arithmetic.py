"""What PTX's arithmetic and logic instructions become in LLVM IR, for host code: one thread, no vectors.

Each function gets the Writer, which holds the instruction at hand as `w.ins`. The meaning of each is that of the PTX ISA; what
host code cannot need (saturation, other roundings than to nearest) is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygan_kernels.emulator.syntax.ptx import WIDTH, Not

from .writer import Writer, llvm_type, pointer

FLOATS = ("f32", "f64")
HALVES = ("f16", "bf16")
_OF_HALF = {"f16": "float_of_half", "bf16": "float_of_bfloat"}
_TO_HALF = {"f16": "half_of_float", "bf16": "bfloat_of_float"}


def kind_of(w: Writer) -> str:
    """Return the last modifier, which is an instruction's type."""
    return w.ins.modifiers[-1]


def bits_of(kind: str) -> int:
    return 8 * WIDTH[kind]


def call(w: Writer, name: str, kind: str, *values: str) -> str:
    """Call a function of LLVM or the C library that takes and returns values of one type."""
    t = llvm_type(kind)
    w.program.declare(f"declare {t} @{name}({', '.join([t] * len(values))})")
    return w.value(f"call {t} @{name}({', '.join(f'{t} {v}' for v in values)})")


def intrinsic(w: Writer, name: str, kind: str, *values: str) -> str:
    return call(w, f"llvm.{name}.{kind if kind in FLOATS else f'i{bits_of(kind)}'}", kind, *values)


def binary(whole: str, floating: str = "") -> Callable[[Writer], None]:
    def lower(w: Writer) -> None:
        kind = kind_of(w)
        target, a, b = w.ins.operands
        if "sat" in w.ins.modifiers or kind.endswith("x2"):
            raise w.unsupported()
        if any(m in ("cc",) for m in w.ins.modifiers):
            raise w.unsupported()
        a, b = as_float(w, a, kind), as_float(w, b, kind)
        inner = "f32" if kind in HALVES else kind
        _nearest(w)
        operation = floating if inner in FLOATS else whole
        if not operation:
            raise w.unsupported()
        if inner not in FLOATS and operation in ("div", "rem"):
            operation = ("s" if kind[0] == "s" else "u") + operation
            _can_be_divided(w, a, b, kind)
        result = w.value(f"{operation} {llvm_type(inner)} {a}, {b}")
        w.write(target, kind, from_float(w, result, kind))

    return lower


def _can_be_divided(w: Writer, a: str, divisor: str, kind: str) -> None:
    """End the program at a division of whole numbers by zero, or of the least one by -1, as the processor does."""
    t = llvm_type(kind)
    _end_if(w, w.value(f"icmp eq {t} {divisor}, 0"), 2)
    if kind[0] == "s":
        least, minus_one = w.value(f"icmp eq {t} {a}, {-(1 << bits_of(kind) - 1)}"), w.value(f"icmp eq {t} {divisor}, -1")
        _end_if(w, w.value(f"and i1 {least}, {minus_one}"), 4)


def _end_if(w: Writer, wrong: str, code: int) -> None:
    bad, good = w.fresh(), w.fresh()
    w.line(f"br i1 {wrong}, label %{bad}, label %{good}")
    w.label(bad)
    w.program.fault(w, code)
    w.label(good)


def as_float(w: Writer, operand: Any, kind: str) -> str:
    """Return an operand; one of half precision as a float."""
    value = w.read(operand, kind)
    if kind not in HALVES:
        return value
    return w.value(f"call float @{_OF_HALF[kind]}(i16 {value})")


def from_float(w: Writer, value: str, kind: str) -> str:
    if kind not in HALVES:
        return value
    return w.value(f"call i16 @{_TO_HALF[kind]}(float {value})")


def _nearest(w: Writer) -> None:
    if any(m in ("rz", "rm", "rp", "ftz") for m in w.ins.modifiers):
        raise w.unsupported("rounding")


# -- whole numbers ----------------------------------------------------------------------------------------------------------
def multiply(w: Writer) -> None:
    kind, modifiers = kind_of(w), w.ins.modifiers
    target, a, b = w.ins.operands
    if kind in FLOATS or kind in HALVES:
        binary("", "fmul")(w)
        return
    w.write(target, _product_kind(w), _product(w, a, b, kind, modifiers))


def _product_kind(w: Writer) -> str:
    kind = kind_of(w)
    return f"{kind[0]}{2 * bits_of(kind)}" if "wide" in w.ins.modifiers else kind


def _product(w: Writer, a: Any, b: Any, kind: str, modifiers: tuple[str, ...]) -> str:
    a, b, bits = w.read(a, kind), w.read(b, kind), bits_of(kind)
    t = llvm_type(kind)
    if "lo" in modifiers:
        return w.value(f"mul {t} {a}, {b}")
    if not ("hi" in modifiers or "wide" in modifiers):
        raise w.unsupported()
    extend = "sext" if kind[0] == "s" else "zext"
    wide = f"i{2 * bits}"
    a, b = (w.value(f"{extend} {t} {v} to {wide}") for v in (a, b))
    product = w.value(f"mul {wide} {a}, {b}")
    if "wide" in modifiers:
        return product
    high = w.value(f"lshr {wide} {product}, {bits}")
    return w.value(f"trunc {wide} {high} to {t}")


def multiply_add(w: Writer) -> None:
    kind, modifiers = kind_of(w), w.ins.modifiers
    target, a, b, c = w.ins.operands
    if kind in FLOATS:
        fma(w)
        return
    product = _product(w, a, b, kind, modifiers)
    kind = _product_kind(w)
    if "cc" in modifiers or w.ins.opcode == "madc":
        _with_carry(w, target, kind, product, w.read(c, kind), w.ins.opcode == "madc")
        return
    w.write(target, kind, w.value(f"add {llvm_type(kind)} {product}, {w.read(c, kind)}"))


def fma(w: Writer) -> None:
    kind = kind_of(w)
    if kind not in FLOATS or "sat" in w.ins.modifiers:
        raise w.unsupported()
    _nearest(w)
    target, *values = w.ins.operands
    w.write(target, kind, intrinsic(w, "fma", kind, *(w.read(v, kind) for v in values)))


def _with_carry(w: Writer, target: Any, kind: str, a: str, b: str, takes: bool, subtracts: bool = False) -> None:
    """Add or subtract with the carry flag, which .cc writes and addc, subc and madc read."""
    t, wide = llvm_type(kind), f"i{bits_of(kind) + 8}"
    if not any("%carry" in line for line in w.entry):
        w.entry += ["  %carry = alloca i1", f"  store i1 false, {pointer('i1')} %carry"]
    place = f"{pointer('i1')} %carry"
    a, b = (w.value(f"zext {t} {v} to {wide}") for v in (a, b))
    total = w.value(f"{'sub' if subtracts else 'add'} {wide} {a}, {b}")
    if takes:
        carry = w.value(f"load i1, {place}")
        carry = w.value(f"zext i1 {carry} to {wide}")
        total = w.value(f"{'sub' if subtracts else 'add'} {wide} {total}, {carry}")
    if "cc" in w.ins.modifiers:
        high = w.value(f"lshr {wide} {total}, {bits_of(kind)}")
        w.line(f"store i1 {w.value(f'trunc {wide} {high} to i1')}, {place}")
    w.write(target, kind, w.value(f"trunc {wide} {total} to {t}"))


def add(w: Writer) -> None:
    kind = kind_of(w)
    subtracts = w.ins.opcode.startswith("sub")
    if "cc" in w.ins.modifiers or w.ins.opcode in ("addc", "subc"):
        target, a, b = w.ins.operands
        takes = w.ins.opcode in ("addc", "subc")
        _with_carry(w, target, kind, w.read(a, kind), w.read(b, kind), takes, subtracts)
        return
    (binary("sub", "fsub") if subtracts else binary("add", "fadd"))(w)


def logic(operation: str) -> Callable[[Writer], None]:
    def lower(w: Writer) -> None:
        kind = kind_of(w)
        target, *operands = w.ins.operands
        values = [w.read(o.register if isinstance(o, Not) else o, kind) for o in operands]
        if operation == "not":
            values.append("true" if kind == "pred" else "-1")
        w.write(target, kind, w.value(f"{'xor' if operation == 'not' else operation} {llvm_type(kind)} {', '.join(values)}"))

    return lower


def shift(w: Writer) -> None:
    """Shift; by as many bits as there are, or more, nothing (or the sign) is left."""
    kind = kind_of(w)
    target, a, amount = w.ins.operands
    bits, t = bits_of(kind), llvm_type(kind)
    signed = w.ins.opcode == "shr" and kind[0] == "s"
    value, by = w.read(a, kind), w.read(amount, "u32")
    most = w.value(f"icmp ult i32 {by}, {bits}")
    small = w.value(f"select i1 {most}, i32 {by}, i32 {bits - 1}")
    small = w.converted(small, "i32", t)
    shifted = w.value(f"{'shl' if w.ins.opcode == 'shl' else 'ashr' if signed else 'lshr'} {t} {value}, {small}")
    w.write(target, kind, shifted if signed else w.value(f"select i1 {most}, {t} {shifted}, {t} 0"))


def funnel(w: Writer) -> None:
    target, a, b, amount = w.ins.operands
    low, high, by = w.read(a, "u32"), w.read(b, "u32"), w.read(amount, "u32")
    if "wrap" in w.ins.modifiers:
        by = w.value(f"and i32 {by}, 31")
    else:
        less = w.value(f"icmp ult i32 {by}, 32")
        by = w.value(f"select i1 {less}, i32 {by}, i32 32")
    low, high, by = (w.value(f"zext i32 {v} to i64") for v in (low, high, by))
    both = w.value(f"or i64 {w.value(f'shl i64 {high}, 32')}, {low}")
    if "l" in w.ins.modifiers:
        both = w.value(f"shl i64 {both}, {by}")
        both = w.value(f"lshr i64 {both}, 32")
    else:
        both = w.value(f"lshr i64 {both}, {by}")
    w.write(target, "u32", w.value(f"trunc i64 {both} to i32"))


def field(w: Writer) -> None:
    """bfe: a field of bits; bfi: a field put into a word. (PTX ISA, "bfe", "bfi")"""
    kind, t = kind_of(w), llvm_type(kind_of(w))
    bits = bits_of(kind)
    if w.ins.opcode == "bfi":
        target, a, b, at, length = w.ins.operands
        field, into = w.read(a, kind), w.read(b, kind)
    else:
        target, a, at, length = w.ins.operands
        field, into = w.read(a, kind), ""
    at, length = (w.converted(w.value(f"and i32 {w.read(v, 'u32')}, 255"), "i32", "i128") for v in (at, length))
    if not into and kind[0] == "s":
        raise w.unsupported()
    for_one = w.value(f"icmp ugt i128 {length}, {bits}")
    length = w.value(f"select i1 {for_one}, i128 {bits}, i128 {length}")
    beyond = w.value(f"icmp ugt i128 {at}, {bits}")
    at = w.value(f"select i1 {beyond}, i128 {bits}, i128 {at}")
    mask = w.value(f"sub i128 {w.value(f'shl i128 1, {length}')}, 1")
    wide = w.converted(field, t, "i128")
    if not into:
        result = w.value(f"and i128 {w.value(f'lshr i128 {wide}, {at}')}, {mask}")
    else:
        into = w.converted(into, t, "i128")
        placed = w.value(f"shl i128 {w.value(f'and i128 {wide}, {mask}')}, {at}")
        hole = w.value(f"xor i128 {w.value(f'shl i128 {mask}, {at}')}, -1")
        result = w.value(f"or i128 {placed}, {w.value(f'and i128 {into}, {hole}')}")
    w.write(target, kind, w.value(f"trunc i128 {result} to {t}"))


def count_bits(w: Writer) -> None:
    kind, t = kind_of(w), llvm_type(kind_of(w))
    target, a = w.ins.operands
    value = w.read(a, kind)
    if w.ins.opcode == "popc":
        result = intrinsic(w, "ctpop", kind, value)
    elif w.ins.opcode == "brev":
        w.write(target, kind, intrinsic(w, "bitreverse", kind, value))
        return
    else:
        w.program.declare(f"declare {t} @llvm.ctlz.{t}({t}, i1)")
        result = w.value(f"call {t} @llvm.ctlz.{t}({t} {value}, i1 false)")
    w.write(target, "u32", w.converted(result, t, "i32"))


def find_bit(w: Writer) -> None:
    """bfind: the place of the highest bit that is set, or, with .shiftamt, how far it has to be shifted to the top; -1 for none."""
    kind, t = kind_of(w), llvm_type(kind_of(w))
    if kind[0] == "s":
        raise w.unsupported()
    target, a = w.ins.operands
    value = w.read(a, kind)
    w.program.declare(f"declare {t} @llvm.ctlz.{t}({t}, i1)")
    result = w.converted(w.value(f"call {t} @llvm.ctlz.{t}({t} {value}, i1 false)"), t, "i32")
    if "shiftamt" not in w.ins.modifiers:
        result = w.value(f"sub i32 {bits_of(kind) - 1}, {result}")
    none = w.value(f"icmp eq {t} {value}, 0")
    w.write(target, "u32", w.value(f"select i1 {none}, i32 -1, i32 {result}"))


def permute(w: Writer) -> None:
    """prmt: choose four bytes out of eight; the highest bit of a choice asks for the byte's sign in all its bits."""
    target, a, b, selector = w.ins.operands
    if w.ins.modifiers != ("b32",):
        raise w.unsupported()
    low, high = (w.value(f"zext i32 {w.read(v, 'u32')} to i64") for v in (a, b))
    both = w.value(f"or i64 {w.value(f'shl i64 {high}, 32')}, {low}")
    chosen, result = w.value(f"zext i32 {w.read(selector, 'u32')} to i64"), "0"
    for i in range(4):
        choice = w.value(f"lshr i64 {chosen}, {4 * i}")
        by = w.value(f"shl i64 {w.value(f'and i64 {choice}, 7')}, 3")
        byte = w.value(f"trunc i64 {w.value(f'lshr i64 {both}, {by}')} to i8")
        sign = w.value(f"icmp ne i64 {w.value(f'and i64 {choice}, 8')}, 0")
        byte = w.value(f"select i1 {sign}, i8 {w.value(f'ashr i8 {byte}, 7')}, i8 {byte}")
        byte = w.value(f"zext i8 {byte} to i32")
        result = w.value(f"or i32 {result}, {w.value(f'shl i32 {byte}, {8 * i}')}")
    w.write(target, "u32", result)


def lookup(w: Writer) -> None:
    """lop3: any function of three words' bits, by its table of truth."""
    target, a, b, c, table = w.ins.operands
    a, b, c = (w.read(v, "b32") for v in (a, b, c))
    result = "0"
    for row in range(8):
        if int(table.value) >> row & 1:
            parts = [v if row >> 2 - i & 1 else w.value(f"xor i32 {v}, -1") for i, v in enumerate((a, b, c))]
            both = w.value(f"and i32 {parts[0]}, {parts[1]}")
            result = w.value(f"or i32 {result}, {w.value(f'and i32 {both}, {parts[2]}')}")
    w.write(target, "b32", result)


# -- numbers of both kinds ----------------------------------------------------------------------------------------------------
def least(w: Writer) -> None:
    kind, t = kind_of(w), llvm_type(kind_of(w))
    if any(m in ("NaN", "xorsign", "ftz") for m in w.ins.modifiers) or kind in HALVES:
        raise w.unsupported()
    target, a, b = w.ins.operands
    a, b = w.read(a, kind), w.read(b, kind)
    if kind in FLOATS:
        w.write(target, kind, intrinsic(w, "minnum" if w.ins.opcode == "min" else "maxnum", kind, a, b))
        return
    comparison = ("s" if kind[0] == "s" else "u") + ("lt" if w.ins.opcode == "min" else "gt")
    chosen = w.value(f"icmp {comparison} {t} {a}, {b}")
    w.write(target, kind, w.value(f"select i1 {chosen}, {t} {a}, {t} {b}"))


def absolute(w: Writer) -> None:
    kind, t = kind_of(w), llvm_type(kind_of(w))
    target, a = w.ins.operands
    value = w.read(a, kind)
    if kind in FLOATS:
        result = intrinsic(w, "fabs", kind, value)
    elif kind in HALVES:
        result = w.value(f"and i16 {value}, 32767")
    else:
        negative = w.value(f"icmp slt {t} {value}, 0")
        result = w.value(f"select i1 {negative}, {t} {w.value(f'sub {t} 0, {value}')}, {t} {value}")
    w.write(target, kind, result)


def negate(w: Writer) -> None:
    kind, t = kind_of(w), llvm_type(kind_of(w))
    target, a = w.ins.operands
    value = w.read(a, kind)
    if kind in FLOATS:
        result = w.value(f"fneg {t} {value}")
    else:
        result = w.value(f"xor i16 {value}, -32768" if kind in HALVES else f"sub {t} 0, {value}")
    w.write(target, kind, result)

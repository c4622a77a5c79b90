"""What PTX's comparisons, and choices by them, become in LLVM IR, for host code: setp, set, selp, copysign, testp.

Each function gets the Writer, which holds the instruction at hand as `w.ins`. The meaning of each is that of the PTX ISA.
"""

from __future__ import annotations

from tinygan_kernels.emulator.syntax.ptx import Not, Pair

from .arithmetic import FLOATS, HALVES, as_float, bits_of, intrinsic, kind_of
from .writer import Writer, llvm_type

_COMPARE = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}


def _comparison(w: Writer, kind: str, operation: str, a: str, b: str) -> str:
    if kind in FLOATS or kind in HALVES:
        t = "double" if kind == "f64" else "float"
        name = {"num": "ord", "nan": "uno", "ne": "one"}.get(operation)
        name = name or ("u" + operation[:2] if operation.endswith("u") and operation != "equ" else "o" + operation)
        name = {"equ": "ueq"}.get(operation, name)
        return w.value(f"fcmp {name} {t} {a}, {b}")
    sign = "" if operation in ("eq", "ne") else "u" if operation in _COMPARE or kind[0] != "s" else "s"
    return w.value(f"icmp {sign}{_COMPARE.get(operation, operation)} {llvm_type(kind)} {a}, {b}")


def set_predicate(w: Writer) -> None:
    kind, modifiers = kind_of(w), w.ins.modifiers
    target, a, b, *third = w.ins.operands
    result = _comparison(w, kind, modifiers[0], as_float(w, a, kind), as_float(w, b, kind))
    first, second = (target.first, target.second) if isinstance(target, Pair) else (target, None)
    other = w.value(f"xor i1 {result}, true") if second is not None else ""
    if third:
        operation = next(m for m in ("and", "or", "xor") if m in modifiers)
        given = third[0]
        value = w.read(given.register if isinstance(given, Not) else given, "pred")
        value = w.value(f"xor i1 {value}, true") if isinstance(given, Not) else value
        result = w.value(f"{operation} i1 {result}, {value}")
        other = w.value(f"{operation} i1 {other}, {value}") if other else ""
    w.write(first, "pred", result)
    if second is not None:
        w.write(second, "pred", other)


def set_number(w: Writer) -> None:
    """set: a comparison as a number: all bits or 1.0 for true."""
    operation, *_, to, kind = w.ins.modifiers
    target, a, b, *third = w.ins.operands
    if third:
        raise w.unsupported()
    result = _comparison(w, kind, operation, as_float(w, a, kind), as_float(w, b, kind))
    yes = w.constant(0x3F800000, "f32") if to == "f32" else "-1"
    no = w.constant(0, "f32") if to == "f32" else "0"
    t = llvm_type(to)
    w.write(target, to, w.value(f"select i1 {result}, {t} {yes}, {t} {no}"))


def select(w: Writer) -> None:
    kind, t = kind_of(w), llvm_type(kind_of(w))
    target, a, b, predicate = w.ins.operands
    chosen = w.read(predicate, "pred")
    w.write(target, kind, w.value(f"select i1 {chosen}, {t} {w.read(a, kind)}, {t} {w.read(b, kind)}"))


def copy_sign(w: Writer) -> None:
    target, a, b = w.ins.operands  # the sign of a, the size of b
    kind = kind_of(w)
    w.write(target, kind, intrinsic(w, "copysign", kind, w.read(b, kind), w.read(a, kind)))


def test_number(w: Writer) -> None:
    """testp: what kind of number a float is, by its bits."""
    kind = kind_of(w)
    target, a = w.ins.operands
    size = bits_of(kind)
    exponent = 0x7F800000 if kind == "f32" else 0x7FF0000000000000
    bits = w.read(a, f"b{size}")
    magnitude = w.value(f"and i{size} {bits}, {(1 << size - 1) - 1}")

    def below(limit: int) -> str:
        return w.value(f"icmp ult i{size} {magnitude}, {limit}")

    what = w.ins.modifiers[0]
    least = 1 << (23 if kind == "f32" else 52)
    if what == "finite":
        result = below(exponent)
    elif what == "infinite":
        result = w.value(f"icmp eq i{size} {magnitude}, {exponent}")
    elif what == "number":
        result = below(exponent + 1)
    elif what == "notanumber":
        result = w.value(f"icmp ugt i{size} {magnitude}, {exponent}")
    elif what == "normal":
        result = w.value(f"and i1 {below(exponent)}, {w.value(f'icmp uge i{size} {magnitude}, {least}')}")
    else:
        result = w.value(f"and i1 {below(least)}, {w.value(f'icmp ne i{size} {magnitude}, 0')}")
    w.write(target, "pred", result)

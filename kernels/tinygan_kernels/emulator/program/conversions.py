"""What PTX's conversions, moves and approximated functions become in LLVM IR, for host code, as `arithmetic` does the others."""

from __future__ import annotations

from collections.abc import Callable

from .arithmetic import FLOATS, HALVES, as_float, bits_of, call, from_float, intrinsic, kind_of
from .writer import Writer, llvm_type


# -- functions of floats --------------------------------------------------------------------------------------------------
def approximated(name: str) -> Callable[[Writer], None]:
    """A function that NVIDIA approximates, computed in double precision and rounded."""

    def lower(w: Writer) -> None:
        kind = kind_of(w)
        if kind not in FLOATS:
            raise w.unsupported()
        target, a = w.ins.operands
        value = w.read(a, kind)
        if name == "sqrt" and not any(m in ("rz", "rm", "rp") for m in w.ins.modifiers):
            w.write(target, kind, intrinsic(w, "sqrt", kind, value))
            return
        _nearest_or_approximate(w)
        if kind == "f32":
            value = w.value(f"fpext float {value} to double")
        if name in ("rcp", "rsqrt"):
            value = intrinsic(w, "sqrt", "f64", value) if name == "rsqrt" else value
            value = w.value(f"fdiv double 1.0, {value}")
        else:
            value = call(w, name, "f64", value)
        w.write(target, kind, w.value(f"fptrunc double {value} to float") if kind == "f32" else value)

    return lower


def _nearest_or_approximate(w: Writer) -> None:
    if any(m in ("rz", "rm", "rp") for m in w.ins.modifiers):
        raise w.unsupported("rounding")


# -- conversions ------------------------------------------------------------------------------------------------------------
_TO_WHOLE = {"rni": "rint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}


def convert(w: Writer) -> None:
    *modifiers, to, of = w.ins.modifiers
    if len(w.ins.operands) != 2 or "f16x2" in (to, of) or "bf16x2" in (to, of) or "ftz" in modifiers:
        raise w.unsupported()
    target, a = w.ins.operands
    rounding = next((m for m in modifiers if m in _TO_WHOLE), "")
    if any(m in ("rz", "rm", "rp") for m in modifiers) and (to in FLOATS or to in HALVES):
        raise w.unsupported("rounding")
    if "sat" in modifiers and not (of in FLOATS and to not in FLOATS):
        raise w.unsupported("saturation")
    value = as_float(w, a, of)
    of_float = of in FLOATS or of in HALVES
    kind = "f32" if of in HALVES else of
    if of_float and rounding:
        value = intrinsic(w, _TO_WHOLE[rounding], kind, value)
    if to in FLOATS or to in HALVES:
        value = _to_float(w, value, kind, to)
    elif of_float:
        sign, t = ("s" if to[0] == "s" else "u"), llvm_type(to)
        source = llvm_type(kind)
        name = f"llvm.fpto{sign}i.sat.{t}.{kind}"
        w.program.declare(f"declare {t} @{name}({source})")
        value = w.value(f"call {t} @{name}({source} {value})")
    else:
        value = _to_whole(w, value, of, to)
    w.write(target, to, value)


def _to_float(w: Writer, value: str, kind: str, to: str) -> str:
    if kind not in FLOATS:
        wanted = "f64" if to == "f64" else "f32"
        value = w.value(f"{'s' if kind[0] == 's' else 'u'}itofp {llvm_type(kind)} {value} to {llvm_type(wanted)}")
        kind = wanted
    if to in HALVES:
        if kind == "f64":
            raise w.unsupported("a double to half precision")
        return from_float(w, value, to)
    if kind == to:
        return value
    return w.value(f"{'fpext' if to == 'f64' else 'fptrunc'} {llvm_type(kind)} {value} to {llvm_type(to)}")


def _to_whole(w: Writer, value: str, of: str, to: str) -> str:
    have, want = bits_of(of), bits_of(to)
    if have == want:
        return value
    how = "trunc" if have > want else "sext" if of[0] == "s" else "zext"
    return w.value(f"{how} {llvm_type(of)} {value} to {llvm_type(to)}")


def move(w: Writer) -> None:
    kind = kind_of(w)
    target, a = w.ins.operands
    if hasattr(target, "items"):  # unpack
        parts, size = target.items, bits_of(kind) // len(target.items)
        whole = w.read(a, kind)
        for i, part in enumerate(parts):
            piece = w.value(f"lshr i{bits_of(kind)} {whole}, {i * size}")
            w.write(part, f"b{size}", w.value(f"trunc i{bits_of(kind)} {piece} to i{size}"))
        return
    if hasattr(a, "items"):  # pack
        size, whole = bits_of(kind) // len(a.items), "0"
        for i, part in enumerate(a.items):
            piece = w.value(f"zext i{size} {w.read(part, f'b{size}')} to i{bits_of(kind)}")
            whole = w.value(f"or i{bits_of(kind)} {whole}, {w.value(f'shl i{bits_of(kind)} {piece}, {i * size}')}")
        w.write(target, kind, whole)
        return
    w.write(target, kind, w.read(a, kind))


def same_address(w: Writer) -> None:
    """cvta: host code has one kind of address."""
    target, a = w.ins.operands
    w.write(target, "u64", w.read(a, "u64"))

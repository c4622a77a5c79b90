"""The conversions of cvt: every pair of types, rounding mode and saturation. (PTX ISA, 9.7.9.21)"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.errors import UnsupportedInstruction

from . import floats, rounding
from .rounding import F32, F64, TF32, one_by_one, round_to

_TO_INTEGER = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}
_FLOATS = ("f16", "bf16", "f32", "f64")
KNOWN = ("sat", "satfinite", "ftz", "relu", *_TO_INTEGER, "rn", "rz", "rm", "rp", "rna")


def is_float(kind: str) -> bool:
    return kind in _FLOATS


def convert(target: str, source: str, modifiers: tuple[str, ...]):
    """Return the function of `cvt.<modifiers>.<target>.<source>`, vector to vector (bf16 as its bits).

    Raises UnsupportedInstruction for a modifier outside of KNOWN.
    """
    flags = set(modifiers)
    if not flags <= set(KNOWN):
        raise UnsupportedInstruction(f"cvt with .{', .'.join(sorted(flags - set(KNOWN)))}")
    if is_float(source) and is_float(target):
        return _float_to_float(target, source, flags)
    if is_float(source):
        return _float_to_integer(target, source, flags)
    if is_float(target):
        return _integer_to_float(target, flags)
    return _integer_to_integer(target, "sat" in flags)


def dtype_of(kind: str) -> np.dtype:
    """Return the NumPy dtype that holds a PTX type."""
    if kind == "bf16":
        return np.dtype("u2")
    if kind[0] == "f":
        return np.dtype(f"f{int(kind[1:]) // 8}")
    return np.dtype(f"{'i' if kind[0] == 's' else 'u'}{int(kind[1:]) // 8}")


def _integer_to_integer(target: str, saturate: bool):
    """Return the function that converts between integer types: it wraps, or clamps where `saturate`."""
    dtype = dtype_of(target)
    if not saturate:
        return lambda a: a.astype(dtype)

    def clamp(a):
        limits, own = np.iinfo(dtype), np.iinfo(a.dtype)
        return np.clip(a, max(limits.min, own.min), min(limits.max, own.max)).astype(dtype)

    return clamp


def _float_to_integer(target: str, source: str, flags: set):
    """Return the function that converts to an integer type. What is out of range goes to the nearest end of the range; NaN to
    0, or to the top bit alone where source is f64 or the target has 64 bits."""
    dtype = dtype_of(target)
    bits = 8 * dtype.itemsize
    top_bit = np.array(1 << (bits - 1), f"u{dtype.itemsize}").view(dtype)
    of_nan = top_bit if source == "f64" or bits == 64 else dtype.type(0)
    rounder = _TO_INTEGER[_mode(flags, _TO_INTEGER, "rzi")]
    low, high = (
        float(np.iinfo(dtype).min),
        float(2 ** (bits - (dtype.kind == "i"))),
    )  # high: the first that does not fit

    def apply(a):
        wide = _as_f64(a, source, "ftz" in flags)
        whole = rounder(wide)
        fits = (whole >= low) & (whole < high)
        result = np.where(fits, whole, 0.0).astype(dtype)
        result = np.where(
            whole < low, np.iinfo(dtype).min, np.where(whole >= high, np.iinfo(dtype).max, result)
        ).astype(dtype)
        return np.where(np.isnan(wide), of_nan, result)

    return apply


def _integer_to_float(target: str, flags: set):
    """Return the function that converts an integer to a float type, rounded once."""
    mode = _mode(flags, ("rn", "rz", "rm", "rp"), "rn")
    saturated = floats.saturate if "sat" in flags else lambda x: x
    if target in ("f32", "f64") and mode == "rn":
        return lambda a: saturated(a.astype(dtype_of(target)))
    form = floats.FORMATS[target]

    def apply(a):
        if a.dtype.itemsize == 8 or form is F64:
            exact = one_by_one(lambda v: rounding.exact_integer(v, form, mode), a)
        else:
            exact = round_to(a.astype("f8"), form, mode)
        return (
            saturated(floats.narrow_half(exact, target))
            if target in ("f16", "bf16")
            else saturated(exact.astype(dtype_of(target)))
        )

    return apply


def _float_to_float(target: str, source: str, flags: set):
    """Return the function that converts between float types, or rounds to a whole number within one (.rni, .rzi, ...)."""
    whole = _mode(flags, _TO_INTEGER, None)
    mode = _mode(flags, ("rn", "rz", "rm", "rp", "rna"), "rn")

    def apply(a):
        wide = _as_f64(a, source, "ftz" in flags)
        if whole:
            wide = np.copysign(_TO_INTEGER[whole](wide), wide)
        if "relu" in flags:
            wide = np.where(np.isnan(wide), wide, np.maximum(wide, 0.0))
        if "satfinite" in flags:
            wide = np.clip(wide, -floats.FORMATS[target].largest, floats.FORMATS[target].largest)
        result = _narrow(wide, target, mode)
        if "sat" in flags:
            result = floats.saturate(result)
        return floats.ftz(result) if "ftz" in flags and target == "f32" else result

    return apply


def _narrow(wide, target: str, mode: str):
    """Round float64 values, once, to the target type."""
    if target in ("f16", "bf16"):
        return floats.narrow_half(wide, target, mode)
    if target == "f64":
        return wide
    return (wide if mode == "rn" else round_to(wide, F32, mode)).astype("f4")


def _as_f64(a, source: str, flush: bool):
    """Convert values of a float type to float64, exactly, but for subnormal float32, which `flush` turns into zeros."""
    if source in ("f16", "bf16"):
        return floats.widen_half(np.atleast_1d(a), source)
    return (floats.ftz(a) if flush and source == "f32" else a).astype("f8")


def _mode(flags: set, known, default):
    found = flags & set(known)
    return found.pop() if found else default


def to_tf32(flags: set):
    """Return the function of cvt.rna.tf32.f32 (or .rn, .rz): float32's bits, the low 13 of the significand rounded away."""
    mode = _mode(flags, ("rn", "rz", "rna"), "rna")

    def apply(a):
        wide = np.atleast_1d(a).astype("f8")
        if "relu" in flags:
            wide = np.where(wide < 0, 0.0, wide)
        if "satfinite" in flags:
            wide = np.clip(wide, -TF32.largest, TF32.largest)
        return round_to(wide, TF32, mode).astype("f4").view("u4")

    return apply


def pack_halves(kind: str, modifiers: tuple[str, ...]):
    """Return the function of cvt.rn.f16x2.f32 d, a, b: a goes to the upper half, b to the lower."""
    narrow = convert(kind, "f32", modifiers)
    return lambda a, b: join_halves(as_bits(narrow(b)), as_bits(narrow(a)))


def as_bits(a: np.ndarray) -> np.ndarray:
    """Return halves as their bits."""
    return np.asarray(a).view("u2")


def join_halves(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return 32-bit words made of two vectors of 16-bit patterns."""
    return low.astype("u4") | high.astype("u4") << np.uint32(16)


def split_halves(word: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (lower, upper) 16 bits of each word."""
    return word.astype("u2"), (word >> np.uint32(16)).astype("u2")

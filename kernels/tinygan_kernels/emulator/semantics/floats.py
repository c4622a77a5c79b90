"""PTX's floating-point instructions, on NumPy vectors. (PTX ISA, 9.7.3 to 9.7.5)

Results are IEEE 754's to the bit, NaN payloads aside; approximate instructions are computed in float64 and rounded
once, which is inside every documented error bound. bf16 values are kept as their bits, in uint16 vectors; all others have
NumPy's own dtypes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from . import rounding
from .rounding import BF16, F16, F32, F64, one_by_one, round_to, sum_to_odd, two_sum

FORMATS = {"f64": F64, "f32": F32, "f16": F16, "bf16": BF16}
_TINY32 = np.float32(2.0**-126)
_TIE_BITS, _TIE = np.int64(0x1FFFFFFF), np.int64(0x10000000)


# -- float32 and float64 ----------------------------------------------------------------------------------------------
def fma_f32(a, b, c):
    """Compute RN(a b + c). The product is exact in float64; its sum with c, where it might round twice, is computed anew."""
    product = np.multiply(a, b, dtype="f8")
    total = product + c
    result = total.astype("f4")
    unsure = (total.view("i8") & _TIE_BITS) == _TIE
    tiny = np.abs(result) < _TINY32
    if np.count_nonzero(tiny):
        unsure |= tiny & (total != 0)
    if np.count_nonzero(unsure):
        result = np.where(unsure, sum_to_odd(product, np.asarray(c, "f8")).astype("f4"), result)
    return result


_SPLIT = np.float64(2.0**27 + 1)


def _two_product(a, b):
    """Return (p, e) with p = RN(a b) and p + e = a b exactly. (Veltkamp and Dekker)"""
    p = a * b
    ah, bh = _SPLIT * a, _SPLIT * b
    ah, bh = ah - (ah - a), bh - (bh - b)
    al, bl = a - ah, b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def fma_f64(a, b, c):
    """Compute RN(a b + c) by error-free transformations, and one by one, exactly, for operands near the ends of the range."""
    a, b, c = np.broadcast_arrays(np.atleast_1d(a), b, c)
    uh, ul = _two_product(a, b)
    th, tl = two_sum(c, ul)
    vh, vl = two_sum(uh, th)
    result = vh + sum_to_odd(tl, vl)
    zero = (a == 0) | (b == 0)  # common in padded tiles; the product is exact, so the plain sum rounds once
    if zero.any():
        result = np.where(zero, a * b + c, result)
    hard = ~zero & ~(_calm(a, -400, 400) & _calm(b, -400, 400) & (_calm(c, -800, 800) | (c == 0)))
    if hard.any():
        result[hard] = one_by_one(lambda x, y, z: rounding.exact_fma(x, y, z, F64, "rn"), a[hard], b[hard], c[hard])
    return result


def _calm(x, low: int, high: int):
    """Mark the numbers whose magnitude lies between 2^low and 2^high."""
    size = np.abs(x)
    return (size > 2.0**low) & (size < 2.0**high)


def _directed(operation: str, mode: str, dtype: str):
    """Return the function of add, sub, mul or fma in a rounding mode other than nearest: exact values, rounded once."""
    form = FORMATS["f64" if dtype == "f8" else "f32"]

    def triple(a, b, c):
        if dtype == "f4":
            a, b, c = (np.asarray(v, "f8") for v in (a, b, c))
            product = a * b
            total = sum_to_odd(product, c)
            rounded = round_to(total, form, mode).astype("f4")
            exact_zero = (total == 0) & np.isfinite(product)
            if mode == "rm" and exact_zero.any():
                same = (np.signbit(product) == np.signbit(c)) & (product == 0) & (c == 0)
                rounded = np.where(exact_zero & ~same, np.float32(-0.0), rounded)
            return rounded
        return one_by_one(lambda x, y, z: rounding.exact_fma(x, y, z, form, mode), a, b, c)

    if operation == "fma":
        return triple
    if operation == "mul":
        return lambda a, b: triple(a, b, np.copysign(0.0, np.copysign(1.0, a) * np.copysign(1.0, b)))
    if operation == "sub":
        return lambda a, b: triple(a, np.float64(1), -b)
    return lambda a, b: triple(a, np.float64(1), b)


def _slow(function, dtype: str, mode: str):
    form = F64 if dtype == "f8" else F32
    return lambda *vectors: one_by_one(lambda *v: function(*v, form, mode), *vectors).astype(dtype)


def arithmetic(operation: str, kind: str, mode: str):
    """Return the function of an operation (add sub mul fma div sqrt rcp) on a type (f16 bf16 f32 f64) in a rounding mode."""
    if kind in ("f16", "bf16"):
        return _half(operation, kind)
    dtype = "f4" if kind == "f32" else "f8"
    if mode == "rn":
        return {
            "add": np.add,
            "sub": np.subtract,
            "mul": np.multiply,
            "div": np.divide,
            "sqrt": np.sqrt,
            "fma": fma_f32 if kind == "f32" else fma_f64,
            "rcp": np.reciprocal,
        }[operation]
    if operation == "div":
        return _slow(rounding.exact_divide, dtype, mode)
    if operation == "rcp":
        return _slow(lambda a, form, m: rounding.exact_divide(1.0, a, form, m), dtype, mode)
    if operation == "sqrt":
        return _slow(rounding.exact_sqrt, dtype, mode)
    return _directed(operation, mode, dtype)


# -- halves -----------------------------------------------------------------------------------------------------------
def bf16_to_f32(bits):
    return (bits.astype("u4") << np.uint32(16)).view("f4")


def half_bits(bits, kind: str):
    """Read 16-bit patterns as numbers: float16, or float32 for bf16."""
    return bits.view("f2") if kind == "f16" else bf16_to_f32(bits)


def f64_to_bf16(values, mode: str = "rn"):
    """Return the bits of the bf16 that float64 values round to; NaN becomes the canonical 0x7fff."""
    bits = round_to(np.atleast_1d(values), BF16, mode).astype("f4").view("u4") >> np.uint32(16)
    return np.where(np.isnan(values), np.uint16(0x7FFF), bits.astype("u2"))


def widen_half(values, kind: str):
    """Convert f16 or bf16 values to float64, exactly."""
    return (values if kind == "f16" else bf16_to_f32(values)).astype("f8")


def narrow_half(values, kind: str, mode: str = "rn"):
    """Round float64 values, once, to f16 or bf16."""
    if kind == "bf16":
        return f64_to_bf16(values, mode)
    return (values if mode == "rn" else round_to(values, F16, mode)).astype("f2")


def _half(operation: str, kind: str):
    """Return the function of an operation on halves: exact, or rounded to odd, in float64, then rounded once to the type."""
    exact = {
        "add": sum_to_odd,
        "sub": lambda a, b: sum_to_odd(a, -b),
        "mul": np.multiply,
        "fma": lambda a, b, c: sum_to_odd(a * b, c),
        "neg": np.negative,
        "abs": np.abs,
    }[operation]
    return lambda *v: narrow_half(exact(*(np.atleast_1d(widen_half(x, kind)) for x in v)), kind)


# -- minimum, maximum, comparison, classes ----------------------------------------------------------------------------
def minimum(a, b):
    """Compute min: a NaN gives the other operand, and -0 < +0."""
    return np.where(np.signbit(a) & (a == b), a, np.fmin(a, b)).astype(a.dtype)


def maximum(a, b):
    """Compute max: a NaN gives the other operand, and -0 < +0."""
    return np.where(~np.signbit(a) & (a == b), a, np.fmax(a, b)).astype(a.dtype)


def nan_minimum(a, b):
    """Compute min.NaN: a NaN operand gives the canonical NaN."""
    return np.where(np.isnan(a) | np.isnan(b), _canonical(a), minimum(a, b))


def nan_maximum(a, b):
    """Compute max.NaN: a NaN operand gives the canonical NaN."""
    return np.where(np.isnan(a) | np.isnan(b), _canonical(a), maximum(a, b))


def _canonical(a):
    code = {2: np.uint16(0x7FFF), 4: np.uint32(0x7FFFFFFF), 8: np.uint64(0x7FF8000000000000)}[a.dtype.itemsize]
    return code.view(a.dtype)


def extremum(operation: str, kind: str, nan: bool):
    """Return the function of min or max (`nan`: min.NaN, max.NaN) on f16, bf16, f32 or f64; bf16 goes through float32, exactly."""
    pick = {("min", False): minimum, ("max", False): maximum, ("min", True): nan_minimum, ("max", True): nan_maximum}[
        operation, nan
    ]
    if kind != "bf16":
        return pick
    return lambda a, b: f64_to_bf16(pick(np.atleast_1d(bf16_to_f32(a)), bf16_to_f32(b)).astype("f8"))


def with_signs(pick, kind: str):
    """Return the function of .xorsign.abs: it picks among magnitudes, and gives the product's sign to what is no NaN."""
    top = {"f16": np.uint16(0x8000), "bf16": np.uint16(0x8000), "f32": np.uint32(0x80000000)}[kind]
    most = {"f16": np.uint16(0x7C00), "bf16": np.uint16(0x7F80), "f32": np.uint32(0x7F800000)}[kind]

    def apply(a, b):
        code = np.asarray(a).dtype
        left, right = (np.atleast_1d(v).view(top.dtype) for v in np.broadcast_arrays(a, b))
        found = np.asarray(pick((left & ~top).view(code), (right & ~top).view(code))).view(top.dtype)
        signed = found | ((left ^ right) & top)
        return np.where((found & ~top) > most, found, signed).view(code)

    return apply


def of_magnitudes(pick: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Return the function that picks among the magnitudes of two or three operands (.abs)."""
    return lambda first, *others: functools.reduce(pick, (np.abs(v) for v in others), np.abs(first))


def ftz(x):
    """Flush subnormal numbers of any float type, bf16 as its bits, to zeros of the same sign (.ftz)."""
    if x.dtype == "u2":
        return np.where(x & np.uint16(0x7F80), x, x & np.uint16(0x8000))
    limit = _TINY32 if x.dtype == "f4" else np.finfo(x.dtype).smallest_normal
    return np.where(np.abs(x) < limit, np.copysign(x.dtype.type(0), x), x)


def saturate(x):
    """Clamp to [0, 1], and turn NaN into +0 (.sat)."""
    return np.where(
        np.isnan(x), x.dtype.type(0), np.minimum(np.maximum(x, x.dtype.type(0)), x.dtype.type(1))
    ) + x.dtype.type(0)


def testp(test: str, a):
    """Say for each value whether it is finite, infinite, number, notanumber, normal or subnormal (`test`)."""
    exponent_zero = np.abs(a) < np.finfo(a.dtype).smallest_normal
    return {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "number": lambda x: ~np.isnan(x),
        "notanumber": np.isnan,
        "normal": lambda x: np.isfinite(x) & ~exponent_zero,
        "subnormal": lambda x: exponent_zero & (x != 0),
    }[test](a)


def copysign(a, b):
    """Return the magnitude of b with the sign of a, the order of PTX's operands."""
    return np.copysign(b, a)


# -- approximations ---------------------------------------------------------------------------------------------------
_APPROX = {
    "rcp": np.reciprocal,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "ex2": np.exp2,
    "lg2": np.log2,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
}


def approximate(operation: str):
    """Return the function of rcp sqrt rsqrt ex2 lg2 sin cos tanh .approx: float64's value, rounded to the operand's type."""
    function = _APPROX[operation]
    return lambda a: function(a.astype("f8")).astype(a.dtype)


def approximate_half(operation: str, kind: str):
    """Return the same for f16 and bf16."""
    function = _APPROX[operation]
    return lambda a: narrow_half(function(np.atleast_1d(widen_half(a, kind))), kind)


def divide_approx(a, b):
    """Compute div.approx.f32: the exact quotient, except that 2^126 < |b| < 2^128 gives 0 (NaN if a is infinite)."""
    quotient = np.divide(a, b)
    huge = (np.abs(b) > np.float32(2.0**126)) & np.isfinite(b)
    return np.where(huge, np.where(np.isinf(a), np.float32(np.nan), np.copysign(np.float32(0), quotient)), quotient)


def relu_half(values, kind: str):
    """Compute max(x, 0) for fma.relu; NaN becomes the canonical NaN."""
    zero = np.zeros((), values.dtype)
    return extremum("max", kind, True)(values, zero)


def bf16_sign(operation: str):
    """Return the function of neg or abs on bf16, which changes the sign bit."""
    if operation == "neg":
        return lambda a: a ^ np.uint16(0x8000)
    return lambda a: a & np.uint16(0x7FFF)

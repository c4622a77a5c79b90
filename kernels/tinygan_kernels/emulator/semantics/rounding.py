"""Correct rounding of exact sums and products of vectors and, value by value and slowly, of any rational number.

The vector path uses round-to-odd: an exact result is first cut to a wider format so that an inexact one ends in a 1;
the second rounding, to the format wanted, then cannot be misled by a false tie. (Boldo and Melquiond, "Emulation of
FMA and correctly rounded sums: proved algorithms using rounding to odd", IEEE Trans. Computers 57(4), 2008.) Rounding
modes have PTX's names: rn nearest even, rz toward zero, rm toward minus infinity, rp toward plus infinity, rna
nearest, ties away from zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf, isinf, isnan, isqrt, nan

import numpy as np


@dataclass(frozen=True)
class Format:
    """A binary floating-point format; `precision` counts the hidden bit of the significand."""

    precision: int
    lowest: int  # smallest normal number is 2**lowest
    highest: int  # largest exponent

    @property
    def largest(self) -> float:
        return float((2 - Fraction(2) ** (1 - self.precision)) * Fraction(2) ** self.highest)


F64, F32, F16 = Format(53, -1022, 1023), Format(24, -126, 127), Format(11, -14, 15)
BF16, TF32 = Format(8, -126, 127), Format(11, -126, 127)


def two_sum(a, b):
    """Return (s, e) with s = RN(a + b) and s + e = a + b exactly. (Knuth)"""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def to_odd(value, error):
    """Return value + error, of which `value` is the nearest float64, cut so that an inexact result has an odd last bit."""
    bits = value.view("i8")
    adjust = (error != 0) & (bits & 1 == 0) & np.isfinite(value)
    if not adjust.any():
        return value
    outward = (error > 0) == (value > 0)  # away from zero: the next larger magnitude
    step = np.where(outward, 1, -1)
    return np.where(adjust & (value != 0), bits + step, bits).view("f8")


def sum_to_odd(a, b):
    """Return a + b in float64, rounded to odd."""
    return to_odd(*two_sum(a, b))


def round_to(value, form: Format, mode: str):
    """Round float64 values to a narrower format. The result is float64 that holds values of the format exactly."""
    _, exponent = np.frexp(value)
    quantum = np.maximum(exponent - form.precision, form.lowest - form.precision + 1)
    scaled = np.ldexp(value, -quantum)
    rounded = np.ldexp(_ROUND[mode](scaled), quantum)
    too_large = np.isfinite(value) & (np.abs(rounded) > form.largest)
    if too_large.any():
        rounded = np.where(too_large, _overflow(value, form, mode), rounded)
    return np.where(np.isfinite(value), np.copysign(rounded, value), value)


def _away(x):
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


_ROUND = {"rn": np.rint, "rz": np.trunc, "rm": np.floor, "rp": np.ceil, "rna": _away}


def _overflow(value, form, mode):
    stays = {"rz": np.ones(np.shape(value), bool), "rm": value > 0, "rp": value < 0}.get(
        mode, np.zeros(np.shape(value), bool)
    )
    return np.copysign(np.where(stays, form.largest, np.inf), value)


# -- one value at a time, from exact rationals ------------------------------------------------------------------------
def round_fraction(exact: Fraction, form: Format, mode: str) -> float:
    """Return the number of the format that `exact` rounds to. An exact zero gives +0."""
    if exact == 0:
        return 0.0
    size = abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    quantum = Fraction(2) ** (max(exponent, form.lowest) - form.precision + 1)
    steps = size / quantum
    whole = steps.numerator // steps.denominator
    if _rounds_up(steps - whole, whole, exact > 0, mode):
        whole += 1
    rounded = whole * quantum
    if rounded > Fraction(form.largest):
        stays = mode == "rz" or (mode == "rm" and exact > 0) or (mode == "rp" and exact < 0)
        rounded = form.largest if stays else inf
    return float(rounded) if exact > 0 else -float(rounded)


def _rounds_up(rest: Fraction, whole: int, positive: bool, mode: str) -> bool:
    """Say whether the magnitude `whole + rest` rounds to whole + 1."""
    if mode in ("rn", "rna"):
        half = Fraction(1, 2)
        return rest > half or (rest == half and (mode == "rna" or whole % 2 == 1))
    return rest > 0 and mode == ("rp" if positive else "rm")


def exact_fma(a: float, b: float, c: float, form: Format, mode: str) -> float:
    """Compute fma(a, b, c) of one triple, correctly rounded."""
    if any(isnan(v) or isinf(v) for v in (a, b, c)):
        return _special_fma(a, b, c)
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return _zero_sum(np.copysign(1, a) * np.copysign(1, b), a * b == 0 or c == 0, c, mode)
    rounded = round_fraction(exact, form, mode)
    return rounded if rounded else float(np.copysign(0.0, 1 if exact > 0 else -1))


def _special_fma(a, b, c):
    product = (
        nan
        if (isinf(a) and b == 0) or (isinf(b) and a == 0)
        else float(np.copysign(1, a) * np.copysign(1, b))
        * (inf if isinf(a) or isinf(b) else nan if isnan(a) or isnan(b) else 1.0)
    )
    if isnan(a) or isnan(b):
        return nan
    return product + c if isinf(product) or isnan(product) else c


def _zero_sum(product_sign, is_zero_product, c, mode):
    """Return an exact zero with its sign: that of product and c if both are zeros of one sign, else + (- if rounding down)."""
    if is_zero_product and c == 0 and product_sign == np.copysign(1, c):
        return float(np.copysign(0.0, product_sign))
    return -0.0 if mode == "rm" else 0.0


def exact_divide(a: float, b: float, form: Format, mode: str) -> float:
    """Compute a / b, correctly rounded."""
    if isnan(a) or isnan(b) or isinf(a) or isinf(b) or b == 0 or a == 0:
        with np.errstate(all="ignore"):
            return float(np.float64(a) / np.float64(b))
    rounded = round_fraction(Fraction(a) / Fraction(b), form, mode)
    return float(np.copysign(rounded, np.copysign(1, a) * np.copysign(1, b)))


def exact_sqrt(a: float, form: Format, mode: str) -> float:
    """Compute the square root, correctly rounded."""
    if isnan(a) or isinf(a) or a <= 0:
        with np.errstate(all="ignore"):
            return float(np.sqrt(np.float64(a)))
    exact = Fraction(a)
    shift = 4**160  # root to 160 bits beyond the integer, then a sticky bit
    scaled = exact.numerator * exact.denominator * shift
    root = isqrt(scaled)
    sticky = 2 * root + (root * root != scaled)
    return round_fraction(Fraction(sticky, 2 * exact.denominator * 2**160), form, mode)


def exact_integer(a: int, form: Format, mode: str) -> float:
    """Convert an integer, correctly rounded."""
    return round_fraction(Fraction(a), form, mode)


def one_by_one(function, *vectors, dtype="f8"):
    """Apply a function of Python numbers to each position of the vectors; return the results as a vector."""
    vectors = np.broadcast_arrays(*[np.atleast_1d(v) for v in vectors])
    columns = [v.ravel().tolist() for v in vectors]
    return np.array([function(*row) for row in zip(*columns, strict=True)], dtype).reshape(vectors[0].shape)

"""Floats of 8, 6 and 4 bits, which cvt packs and unpacks. (PTX ISA, 5.2.3, "Alternate Floating-Point Data Formats", and 9.7.9.21)

Sources of the formats: Open Compute Project, "OFP8" (e4m3, e5m2) and "OCP Microscaling Formats" (e2m3, e3m2, e2m1, and ue8m0, a
power of two without a sign). What ue8m0 makes of a sign (nothing) and of numbers below 2^-127 is what cuda_fp8.hpp computes where
there is no instruction for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import floats
from .conversions import as_bits, join_halves, split_halves
from .rounding import Format, round_to


class Narrow(NamedTuple):
    """A format. exponent, fraction: its bits; nan: the pattern of NaN, without its sign; infinite: whether it has infinities."""

    exponent: int
    fraction: int
    nan: int | None = None
    infinite: bool = False

    @property
    def bits(self) -> int:
        """Bits of an element, its sign included."""
        return 1 + self.exponent + self.fraction


NARROW = {
    "e4m3": Narrow(4, 3, nan=0x7F), "e5m2": Narrow(5, 2, nan=0x7F, infinite=True), "e2m3": Narrow(2, 3), "e3m2": Narrow(3, 2),
    "e2m1": Narrow(2, 1),
}  # fmt: skip
UE8M0_NAN = 0xFF
PACKED = {f"{kind}x2": kind for kind in (*NARROW, "ue8m0")}
"""The types of two such elements in one register, with the type of each."""


def values_of(kind: str) -> np.ndarray:
    """Return the values of all patterns of a format as float64: a sign, the exponent, and the rest of the significand."""
    form = NARROW[kind]
    pattern = np.arange(1 << form.bits)
    bias, top = (1 << (form.exponent - 1)) - 1, (1 << form.exponent) - 1
    exponent, fraction = pattern >> form.fraction & top, pattern & ((1 << form.fraction) - 1)
    part = fraction / (1 << form.fraction)
    size = np.where(exponent == 0, np.ldexp(part, 1 - bias), np.ldexp(1 + part, exponent - bias))
    without_sign = pattern & ((1 << (form.bits - 1)) - 1)
    if form.infinite:
        size = np.where(exponent == top, np.where(fraction == 0, np.inf, np.nan), size)
    elif form.nan is not None:
        size = np.where(without_sign == form.nan, np.nan, size)
    return np.where(pattern >> (form.bits - 1), -size, size)


VALUES = {kind: values_of(kind) for kind in NARROW}


def encoder(kind: str, mode: str, relu: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from float64 to patterns (uint8) of cvt.satfinite: what is too large becomes the largest number; NaN
    becomes NaN, in a format without one the largest number."""
    form, values = NARROW[kind], VALUES[kind][: 1 << (NARROW[kind].bits - 1)]
    finite = values[np.isfinite(values)]
    largest, lowest = float(finite[-1]), 2 - (1 << (form.exponent - 1))
    rounded = Format(form.fraction + 1, lowest, 1 << 9)
    of_nan = form.nan if form.nan is not None else len(finite) - 1

    def apply(value: np.ndarray) -> np.ndarray:
        if relu:
            value = np.where(value < 0, 0.0, value)
        size = np.minimum(np.abs(value), largest)
        code = np.searchsorted(finite, round_to(np.nan_to_num(size), rounded, mode))
        code = code | np.signbit(value).astype("i8") << (form.bits - 1)
        return np.where(np.isnan(value), of_nan, code).astype("u1")

    return apply


def scale_encoder(mode: str, finite: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from float64 to ue8m0, toward zero (rz) or up (rp). finite: whether what is too large becomes 2^127
    (.satfinite) in place of NaN."""

    def apply(value: np.ndarray) -> np.ndarray:
        size = np.abs(value)
        part, exponent = np.frexp(size)  # size = part * 2^exponent, with part from 1/2 on
        code = exponent - 1 + 127 + ((part != 0.5) if mode == "rp" else 0)
        code = np.where(size < 2.0**-126, (size > 2.0**-127) if mode == "rp" else 0, code)
        code = np.where(np.isinf(size) | (code > 254), 254 if finite else UE8M0_NAN, code)
        return np.where(np.isnan(value), UE8M0_NAN, code).astype("u1")

    return apply


def pack(kind: str, source: str, mode: str, flags: set[str]) -> Callable[..., np.ndarray]:
    """Return the function of cvt to two packed elements: of a and b (source f32), a in the upper one, or of f16x2 or bf16x2.

    flags: which of relu and satfinite it has.
    """
    encode = scale_encoder(mode, "satfinite" in flags) if kind == "ue8m0" else encoder(kind, mode, "relu" in flags)
    bits = NARROW[kind].bits if kind == "e2m1" else 8

    def apply(*vectors: np.ndarray) -> np.ndarray:
        if source == "f32":
            high, low = (np.atleast_1d(np.asarray(v, "f8")) for v in vectors)
        else:
            halves = split_halves(np.atleast_1d(vectors[0]))
            low, high = (floats.half_bits(h, source[:-2]).astype("f8") for h in halves)
        low, high = np.broadcast_arrays(low, high)
        joined = encode(low).astype("u2") | encode(high).astype("u2") << np.uint16(bits)
        return joined.astype("u1") if kind == "e2m1" else joined

    return apply


def unpack(kind: str, target: str, relu: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of cvt from two packed elements to f16x2 or bf16x2, which have all of their values (ue8m0: bf16x2)."""
    bits = 4 if kind == "e2m1" else 8
    table = np.ldexp(1.0, np.arange(256) - 127) if kind == "ue8m0" else VALUES[kind]
    if kind == "ue8m0":
        table = np.where(np.arange(256) == UE8M0_NAN, np.nan, table)
    if relu:
        table = np.where(table < 0, 0.0, table)
    with np.errstate(over="ignore"):
        halves = as_bits(floats.narrow_half(table, target[:-2]))
    halves = np.where(np.isnan(table), np.uint16(0x7FFF), halves)

    def apply(word: np.ndarray) -> np.ndarray:
        word = np.atleast_1d(word).astype("u2")
        mask = np.uint16(len(halves) - 1)  # of floats of 6 bits, PTX pads the upper two of 8
        return join_halves(halves[word & mask], halves[word >> np.uint16(bits) & mask])

    return apply

"""What a texture gives, one fetch at a time and in exact arithmetic, from the words of the CUDA C++ Programming Guide's appendix
"Texture Fetching". Tests compare the emulator with it."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np

WRAP, CLAMP, MIRROR, BORDER = range(4)


def fetched(
    table: np.ndarray, point: tuple[float, ...], modes: tuple[int, ...], normalized: bool, linear: bool, border: float = 0.0
) -> float:
    """Return the value of a texture at a point (x first), from a table whose last axis is x; as float64, not rounded to float32."""
    sizes = table.shape[::-1]
    choices = [along(x, n, m, normalized, linear) for x, n, m in zip(point, sizes, modes, strict=True)]
    total = Fraction(0)
    for taps in product(*choices):
        weight = math.prod(w for _, w in taps)
        index = tuple(i for i, _ in taps)[::-1]
        value = border if None in index else float(table[index])
        if not linear:
            return value
        if weight:
            if not math.isfinite(value):
                return value
            total += weight * Fraction(value)
    return float(total)


def along(x: float, size: int, mode: int, normalized: bool, linear: bool) -> list[tuple[int | None, Fraction]]:
    """Return the elements along one axis, None for the border, with their weights."""
    x = float(x)
    if math.isnan(x) or (math.isinf(x) and normalized and mode in (WRAP, MIRROR)):
        x = 0.0
    if math.isinf(x):
        outside = None if mode == BORDER else 0 if x < 0 else size - 1
        return [(outside, Fraction(1))]
    place = Fraction(x)
    if not normalized and mode in (WRAP, MIRROR):
        mode = CLAMP
    if normalized:
        whole = math.floor(place)
        if mode == WRAP:
            place -= whole
        elif mode == MIRROR:
            place = place - whole if whole % 2 == 0 else 1 - (place - whole)
        place *= size
    if not linear:
        return [(element(math.floor(place), size, mode), Fraction(1))]
    centre = place - Fraction(1, 2)
    first = math.floor(centre)
    weight = Fraction(math.floor((centre - first) * 256 + Fraction(1, 2)), 256)
    return [(element(first, size, mode), 1 - weight), (element(first + 1, size, mode), weight)]


def element(i: int, size: int, mode: int) -> int | None:
    """Return the element that number i stands for along an axis."""
    if 0 <= i < size:
        return i
    if mode == BORDER:
        return None
    if mode == WRAP:
        return i % size
    return 0 if i < 0 else size - 1

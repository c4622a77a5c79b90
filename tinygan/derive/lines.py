"""A derivation as a list of equalities: from top to bottom, which is the first that does not hold, and for which numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

from .expressions import ExpressionError, evaluated, names_of

Line = tuple[str, Callable[..., Any]]
CLOSE = 1e-8


@dataclass(frozen=True)
class FalseEquality:
    """The first equality that does not hold: between line `above` and line `below` (from 1), for the inputs `values`.

    left, right: what the two lines give there.
    """

    above: int
    below: int
    texts: tuple[str, str]
    values: Mapping[str, Any]
    left: np.ndarray
    right: np.ndarray

    def __str__(self) -> str:
        at = ", ".join(f"{name} = {_short(value)}" for name, value in self.values.items())
        return (
            f"line {self.below} does not equal line {self.above}: for {at}\n"
            f"  line {self.above}: {self.texts[0]} = {_short(self.left)}\n"
            f"  line {self.below}: {self.texts[1]} = {_short(self.right)}"
        )


def check_lines(
    lines: Sequence[Callable[..., Any] | str],
    *arrays: Any,
    names: Sequence[str] | None = None,
    rng: np.random.Generator | None = None,
) -> FalseEquality | None:
    """Check that every line gives the same as the line above; return the first that does not, None if all do.

    lines: functions of the same arrays, or expressions as text (see `read_lines`), whose variables are `names` (default: in the
    order in which they appear). arrays: one point; without arrays the variables are single numbers. Each equality is tried at the
    point, at small integers and at random points of the same shapes; a counter-example of small integers is preferred.
    Raises ExpressionError (a ValueError) for text that is no expression, TypeError for lines that are neither.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    if len(lines) < 2:
        raise ValueError(f"check_lines: there {'is one line' if lines else 'are no lines'}; an equality takes two")
    texts = [line for line in lines if isinstance(line, str)]
    names = list(names) if names is not None else list(dict.fromkeys(n for text in texts for n in names_of(text)))
    if not arrays:
        if not names:
            raise TypeError("check_lines: there are no arrays to compare the lines at; pass them after the lines")
        arrays = tuple(np.float64(0.7 + 0.3 * k) for k in range(len(names)))
    point = [np.asarray(a, np.float64) for a in arrays]
    if not names:
        names = [f"x{i}" for i in range(len(point))]
    if len(names) != len(point):
        raise ValueError(f"check_lines: there are {len(names)} variables ({', '.join(names)}) and {len(point)} arrays")
    made = [_line(line, names, k) for k, line in enumerate(lines, 1)]
    for k, (above, below) in enumerate(pairwise(made), 1):
        found = _difference(above, below, point, rng)
        if found is not None:
            values, left, right = found
            return FalseEquality(k, k + 1, (above[0], below[0]), dict(zip(names, values, strict=True)), left, right)
    return None


def read_lines(text: str) -> list[str]:
    """Return the expressions of a derivation written as text: one a line; what stands before a leading `=` is left out, as are
    empty lines and comments (#). `a = b` on one line is two expressions.
    """
    found = []
    for line in text.splitlines():
        written = line.split("#")[0].strip()
        parts = [part.strip() for part in _at_equals(written)]
        found += [part for part in parts if part]
    return found


def _at_equals(text: str) -> list[str]:
    """Split at `=`, but not within `==`, `<=`, `>=` or the brackets of a call, where it names an argument."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "([") - (c in ")]")
        alone = c == "=" and depth == 0 and text[i - 1 : i] not in ("=", "<", ">") and text[i + 1 : i + 2] != "="
        if alone:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _line(line: Callable[..., Any] | str, names: Sequence[str], k: int) -> Line:
    if isinstance(line, str):
        unknown = [n for n in names_of(line) if n not in names]
        if unknown:
            raise ExpressionError(f"line {k} has the variable {unknown[0]!r}; there are {', '.join(names)}")
        return line, lambda *values: evaluated(line, dict(zip(names, values, strict=True)))
    if not callable(line):
        raise TypeError(f"check_lines: line {k} is a {type(line).__name__}, it has to be a function or an expression as text")
    name = getattr(line, "__name__", "f")
    return (f"function {k}" if name == "<lambda>" else name), line


def _difference(above: Line, below: Line, point: list[np.ndarray], rng: np.random.Generator) -> Any:
    """Return (values, left, right) where two lines differ, first of all at small integers; None if they do not."""
    found = None
    for values in [*_integers([p.shape for p in point], rng), point, *(_random(point, rng) for _ in range(5))]:
        with np.errstate(all="ignore"):
            left, right = np.asarray(above[1](*[v.copy() for v in values])), np.asarray(below[1](*[v.copy() for v in values]))
        if left.shape != right.shape:
            return values, left, right
        if not (np.isfinite(left).all() or np.isfinite(right).all()):
            continue  # neither side is defined there, which says nothing
        scale = max(float(np.abs(left).max(initial=0)), float(np.abs(right).max(initial=0)), 1e-30)
        if not (np.abs(left - right) <= CLOSE * scale).all() and found is None:
            found = values, left, right
            break
    return found


def _integers(shapes: Sequence[tuple[int, ...]], rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """Yield points of small integers: all of them, the smallest first, where there are few numbers; else drawn ones."""
    size = sum(int(np.prod(s)) for s in shapes)
    if size <= 3:
        for flat in sorted(product((1, 2, 3, 0, -1, -2), repeat=size), key=lambda f: sum(abs(v) for v in f)):
            ends = np.cumsum([0, *(int(np.prod(s)) for s in shapes)])
            yield [np.array(flat[a:b], np.float64).reshape(s) for a, b, s in zip(ends[:-1], ends[1:], shapes, strict=True)]
        return
    for largest in (1, 2, 3, 3, 3):
        yield [rng.integers(-largest, largest + 1, s).astype(np.float64) for s in shapes]
        yield [rng.integers(1, largest + 1, s).astype(np.float64) for s in shapes]


def _random(point: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    return [p * (1 + 0.4 * (rng.random(p.shape) - 0.5)) + 0.01 * rng.random(p.shape) for p in point]


def _short(value: Any) -> str:
    return np.array2string(np.asarray(value), precision=6, threshold=12, separator=", ").replace("\n", "")

"""What differences say of the derivatives of f: numerically, element by element, for several cotangents at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tinygan.engine.differences import KINK, POINTS, Slopes, at_shorter_steps, slopes
from tinygan.engine.gradcheck import RTOL, STEP

STEP_SINGLE = (
    2e-2  # of max(|x|, 0.1): in float32 rounding is 5e8 times larger, and the best step of a rule of fourth order 50 times
)
RTOL_SINGLE = 2e-3
WHOLE = 4_000_000  # elements of a Jacobian that is kept whole


@dataclass(frozen=True)
class Kink:
    """A place where f has no derivative: on either side of it the slopes differ."""

    input: int  # counts the inputs with floats
    index: tuple[int, ...]
    step: float
    left: np.ndarray  # (K,): slopes of <u, f> to the left, for each cotangent
    right: np.ndarray


@dataclass
class Numeric:
    """Numeric derivatives of f at one point.

    gradients: for each input with floats (K, *shape), the derivatives of <u_k, f>. rounding: for each (K, *shape), how far
    rounding alone may move these. known: for each (*shape), False at a kink and where an element was not measured.
    jacobians: for each (m, size), or None where that would be too large.
    """

    y: np.ndarray
    cotangents: np.ndarray  # (K, m)
    gradients: list[np.ndarray]
    rounding: list[np.ndarray]
    known: list[np.ndarray]
    jacobians: list[np.ndarray] | None
    kinks: list[Kink] = field(default_factory=list)
    directions: list[tuple[list[np.ndarray], np.ndarray, np.ndarray]] = field(default_factory=list)  # (moves, numeric, rounding)


@dataclass(frozen=True)
class Precision:
    """How exactly f computes, and the steps and tolerances that follow from it."""

    eps: float
    step: float
    rtol: float

    @staticmethod
    def of(single: bool) -> Precision:
        return (
            Precision(float(np.finfo(np.float32).eps), STEP_SINGLE, RTOL_SINGLE)
            if single
            else Precision(float(np.finfo(np.float64).eps), STEP, RTOL)
        )


def measure(
    value: Callable[[Sequence[np.ndarray]], np.ndarray],
    arrays: Sequence[np.ndarray],
    floats: Sequence[int],
    cotangents: np.ndarray,
    precision: Precision,
    rng: np.random.Generator,
    elements: int,
    directions: int = 2,
) -> Numeric:
    """Differentiate f numerically in every input with floats. At most `elements` of each input are measured one by one."""
    y = value(arrays)
    size = sum(arrays[i].size for i in floats)
    whole = y.size * size <= WHOLE and all(arrays[i].size <= elements for i in floats)
    noise = 100 * precision.eps * np.maximum(np.abs(cotangents * y).sum(1), 1e-30)
    point = [a.copy() for a in arrays]
    found = Numeric(y, cotangents, [], [], [], [] if whole else None)
    for position, i in enumerate(floats):
        _one_input(value, point, i, position, noise, precision, rng, elements, found)
    for _ in range(directions):
        moves = [rng.standard_normal(arrays[i].shape) for i in floats]
        along = partial(_along, value, arrays, floats, moves, cotangents)
        seen, h = at_steps(along, 0.1 * precision.step, noise, precision)
        if not np.any(_kinks(seen, noise / h, precision)):
            found.directions.append((moves, seen.numeric, noise / h + _truncation(seen, precision)))
    return found


def _one_input(
    value: Callable[[Sequence[np.ndarray]], np.ndarray],
    point: list[np.ndarray],
    i: int,
    position: int,
    noise: np.ndarray,
    precision: Precision,
    rng: np.random.Generator,
    elements: int,
    found: Numeric,
) -> None:
    x, u = point[i], found.cotangents
    gradient, rounding = np.zeros((len(u), x.size)), np.zeros((len(u), x.size))
    known, jacobian = np.zeros(x.size, bool), np.zeros((found.y.size, x.size)) if found.jacobians is not None else None
    chosen = range(x.size) if x.size <= elements else np.sort(rng.choice(x.size, elements, replace=False))
    for at in chosen:
        index = np.unravel_index(at, x.shape)
        before = x[index].copy()
        rows: list[np.ndarray] = []

        def moved(step: float, index: Any = index, before: Any = before, rows: list[np.ndarray] = rows) -> Slopes:
            rows.clear()
            for t in POINTS:
                x[index] = before + t * step
                rows.append(value(point))
            x[index] = before
            return slopes([u @ row for row in rows], step)

        with np.errstate(all="ignore"):
            seen, h = at_steps(moved, precision.step * max(abs(float(before)), 0.1), noise, precision)
            kinks = _kinks(seen, noise / h, precision)
        gradient[:, at], rounding[:, at] = seen.numeric, noise / h + _truncation(seen, precision)
        known[at] = not kinks.any()
        if kinks.any():
            found.kinks.append(Kink(position, tuple(int(k) for k in index), h, seen.left, seen.right))
        if jacobian is not None:
            with np.errstate(all="ignore"):
                jacobian[:, at] = slopes(rows, h).numeric
    shape = (len(u), *x.shape)
    found.gradients.append(gradient.reshape(shape))
    found.rounding.append(rounding.reshape(shape))
    found.known.append(known.reshape(x.shape))
    if found.jacobians is not None and jacobian is not None:
        found.jacobians.append(jacobian)


def _along(
    value: Callable[[Sequence[np.ndarray]], np.ndarray],
    arrays: Sequence[np.ndarray],
    floats: Sequence[int],
    moves: Sequence[np.ndarray],
    u: np.ndarray,
    h: float,
) -> Slopes:
    rows = []
    for t in POINTS:
        point = list(arrays)
        for i, d in zip(floats, moves, strict=True):
            point[i] = arrays[i] + t * h * d
        rows.append(u @ value(point))
    with np.errstate(all="ignore"):
        return slopes(rows, h)


def at_steps(measure: Callable[[float], Slopes], h: float, noise: Any, precision: Precision) -> tuple[Slopes, float]:
    """Return the slopes, and their step: at shorter steps where h sees a kink, but in float32, whose steps cannot be shorter."""
    if precision.rtol != RTOL:
        return measure(h), h
    return at_shorter_steps(measure, h, noise, lambda seen, rounding: _kinks(seen, rounding, precision))


def _kinks(seen: Slopes, rounding: np.ndarray, precision: Precision) -> np.ndarray:
    """Return for each cotangent whether a kink is near; NaN counts as one. In float32 only a jump far above rounding does."""
    share = KINK if precision.rtol == RTOL else 0.05
    smooth = seen.disagreement() <= share * seen.scale + 10 * rounding
    return ~smooth


def _truncation(seen: Slopes, precision: Precision) -> np.ndarray:
    """Return how far the extrapolated slope may be off for its finite step: in float32, whose steps are long, the last correction.

    The two central differences differ by three quarters of the error of the wider one, which the extrapolation takes away.
    """
    return np.zeros_like(seen.wide) if precision.rtol == RTOL else 0.5 * np.abs(seen.wide - seen.narrow)


def slope_again(
    value: Callable[[Sequence[np.ndarray]], np.ndarray],
    arrays: Sequence[np.ndarray],
    i: int,
    index: tuple[int, ...],
    u: np.ndarray,
    precision: Precision,
) -> np.ndarray:
    """Measure one derivative of <u, f> with steps of three lengths: (3,). Where they differ, the function is hard to measure."""
    found = []
    for factor in (0.1, 1.0, 10.0):
        x = [a.copy() for a in arrays]
        before = x[i][index].copy()
        h = factor * precision.step * max(abs(float(before)), 0.1)
        rows = []
        for t in POINTS:
            x[i][index] = before + t * h
            rows.append(float(u @ value(x)))
        with np.errstate(all="ignore"):
            found.append(slopes(rows, h).numeric)
    return np.array(found)

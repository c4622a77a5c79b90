"""Judges of the cases of `extremes`: whether a result is right at the extremes of its dtype, and does not depend on its place.

What the contract says of them: a kernel computes in the arithmetic of IEEE 754 in its own dtype. So an output element is right if
one of these holds.

1. It is the reference's value in wider arithmetic, inside the bound of `bounds`; an infinity where that value is beyond the largest
   number of the dtype; NaN and infinities where it is one.
2. The reference leaves the dtype's range on its way to it, so that in the dtype it gets another value than in wider arithmetic, and
   the element is that other value. (Adam's v overflows for g = 1e30 in float32, so theta stays.)
3. It is a sum, and the magnitudes of its terms, all finite, add up to more than the dtype holds: whether the sum is finite then
   depends on the order of its terms, so any infinity or NaN is right too.
4. It was computed by Winograd's algorithm from inputs that hold an infinity or a NaN. It makes sums of neighbouring pixels, so the
   outputs beside those that see such a pixel may be NaN or infinite as well.

Adam's theta is judged by the m and v that the kernel stored, as these two leave the dtype's range, or keep few digits, on its way.

A zero that an elementwise kernel gives has the sign of the reference's, but for `maximum` of two zeros, `power` of one, for which
NumPy has ways of its own, and results below the smallest normal number, which count as 0. What lies around an image, and for
conv2d_dx around and between the gradients, is 0, and the contract does not say what that gives with an infinite filter, or with an
infinite gradient in conv2d_dw: nothing, or a NaN.

The cases of `places` ask for something else: an element has the same value, bit for bit, wherever it lies in an array, in the
registers' whole vectors or in what is left over, first or last, and whatever the strides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygan_kernels import reference
from tinygan_kernels.contract import KERNELS

from .bounds import FUNCTION, bound, gamma
from .cases import Case

Arrays = tuple[np.ndarray, ...]
Other = tuple[np.ndarray, np.ndarray]
_UNTOUCHED = -12345.5  # what outputs hold before: a NaN would hide an element that is right to be one


def judged(implementation: Callable[..., None], case: Case, rule: str = "") -> float:
    """Run `implementation` on a case of `extreme_cases` and return its worst error as a share of the bound; inf if it is wrong.

    rule: the name of another bound than the kernel's own.
    """
    with np.errstate(all="ignore"):
        return _moved(implementation, case) if case.check == "places" else _compared(implementation, case, rule)


def _run(implementation: Callable[..., None], kernel: str, inputs: Arrays, states: Arrays, params: Any, shapes: Any) -> Arrays:
    outputs = tuple(s.copy() for s in states) or tuple(np.full(s, _UNTOUCHED, inputs[0].dtype) for s in shapes)
    implementation(*inputs, *outputs, **params)
    return outputs


def _compared(implementation: Callable[..., None], case: Case, rule: str) -> float:
    before = [a.tobytes() for a in case.inputs]
    shapes = KERNELS[case.kernel].shapes(*[a.shape for a in case.inputs], **case.params)
    outputs = _run(implementation, case.kernel, case.inputs, case.states, case.params, shapes)
    if before != [a.tobytes() for a in case.inputs]:
        return float("inf")
    return worst_error(case, outputs, rule)


def worst_error(case: Case, outputs: Arrays, rule: str = "") -> float:
    """Return the worst error of what a kernel made of a case, as a share of the bound; inf where an element is not right.

    rule: the name of another bound than the kernel's own.
    """
    kernel, params, dtype = case.kernel, case.params, (*case.inputs, *case.states)[0].dtype
    wide = np.float64 if dtype == np.float32 else np.longdouble
    exact = [np.array(a, wide) for a in (*case.inputs, *case.states)]
    copies = [a.copy() for a in (*case.inputs, *case.states)]
    with np.errstate(all="ignore"):
        expected, narrow = (_tuple(getattr(reference, kernel)(*arrays, **params)) for arrays in (exact, copies))
        if kernel == "fill":
            allowed: Sequence[Any] = [np.zeros(expected[0].shape)]
        else:
            finite = [np.nan_to_num(a, nan=0, posinf=0, neginf=0) for a in exact] if rule else exact
            allowed = bound(kernel, finite, list(expected), dtype, rule=rule, **params)
        slack = 1 if np.finfo(wide).eps < np.finfo(dtype).eps else 2
        spreads = rule.endswith("winograd") and not all(np.isfinite(a).all() for a in exact)
        # for each output the values that are right by the second rule, with what each may be off besides roundings
        others: list[tuple[Other, ...]] = [((np.asarray(n, dtype), np.zeros(())),) for n in narrow]
        if kernel == "adam":
            others[0] = (*others[0], _theta_of(exact, outputs, params))
        worst = 0.0
        for actual, e, other, limit in zip(outputs, expected, others, allowed, strict=True):
            worst = max(worst, _worst(kernel, actual, e, other, np.broadcast_to(slack * limit, e.shape), spreads))
    return worst


def _theta_of(exact: Sequence[np.ndarray], outputs: Arrays, params: dict[str, Any]) -> Other:
    """Return the theta that follows from the m and v that a step of Adam left behind, and what it may be off.

    The quotient's numerator, and v over its correction, may each be off by a rounding of a subnormal number.
    """
    dtype, rate, theta, steps = outputs[0].dtype, exact[1], exact[2], float(exact[-1]) + 1
    m, v = (a.astype(theta.dtype) for a in outputs[1:3])
    corrected, unit = v / (1 - params["beta2"] ** steps), float(np.finfo(dtype).smallest_subnormal)
    root = np.sqrt(corrected) + float(dtype.type(params["eps"]))
    step = params["sign"] * rate * m / (1 - params["beta1"] ** steps) / root
    off = unit / root + np.where(corrected > 0, np.abs(step) * unit / corrected, 0.0)
    return (theta + step).astype(dtype), np.asarray(np.nan_to_num(off, nan=0.0, posinf=0.0))


def _tuple(made: Any) -> tuple[np.ndarray, ...]:
    return tuple(map(np.asarray, made if isinstance(made, tuple) else (made,)))


def _worst(
    kernel: str, actual: np.ndarray, expected: np.ndarray, others: Sequence[Other], limit: np.ndarray, spreads: bool
) -> float:
    """Return the worst share of one output, by the four rules above."""
    most = float(np.finfo(actual.dtype).max)
    value = actual.astype(expected.dtype)
    right = _right(value, expected, limit, most)
    for other, off in others:
        size = np.abs(other.astype(np.float64))  # NumPy 1 would take a float64 `off` of no dimension for float32
        near = gamma(2 * FUNCTION, actual.dtype) * size + 4 * float(np.finfo(actual.dtype).tiny) + off
        left_range = (off > 0) | ~_right(other.astype(expected.dtype), expected, limit, most)
        right |= left_range & (_same(actual, other) | (np.abs(actual - other) <= near))
    if not KERNELS[kernel].elementwise:
        right |= ~np.isfinite(actual) & np.isfinite(expected) & (limit > gamma(1, actual.dtype) * most)
    if spreads:
        right |= ~np.isfinite(actual)
    if KERNELS[kernel].elementwise and kernel not in ("maximum", "power"):
        right &= (actual != 0) | (expected != 0) | (np.signbit(actual) == np.signbit(expected))
    if not right.all():
        return float("inf")
    errors = np.abs(value - expected) / limit
    return float(errors[np.isfinite(errors) & (errors <= 1)].max(initial=0.0))


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


def _right(value: np.ndarray, expected: np.ndarray, limit: np.ndarray, most: float) -> np.ndarray:
    """Return where a value is right by the first rule."""
    beyond = np.isinf(value) & (np.sign(value) == np.sign(expected)) & (np.abs(expected) + limit > most)
    return np.asarray(_same(value, expected) | (np.abs(value - expected) <= limit) & np.isfinite(value) | beyond)


def _moved(implementation: Callable[..., None], case: Case) -> float:
    """Return 0 if each element gets the same bits in every place, else inf."""
    kernel, params = case.kernel, case.params
    shape = (*case.states, *case.inputs)[0].shape
    count = shape[0]
    first = _run(implementation, kernel, case.inputs, case.states, params, [shape])
    for arrange in _arrangements(count, KERNELS[kernel].strided):
        order = arrange(np.arange(count))
        inputs, states = (tuple(arrange(a) if a.shape == shape else a for a in group) for group in (case.inputs, case.states))
        outputs = _run(implementation, kernel, inputs, states, params, [(len(order), *shape[1:])])
        for then, now in zip(first, outputs, strict=True):
            if then.shape == shape and not _bits_equal(then[order], now):
                return float("inf")
    return 0.0


def _bits_equal(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))).all())


def _rolled(by: int, a: np.ndarray) -> np.ndarray:
    """Return all rows but `by`, that many places further on."""
    return np.ascontiguousarray(np.roll(a, by, axis=0)[: len(a) - by])


def _arrangements(count: int, strided: bool) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """Yield functions that put the rows of an array into other places; of strided kernels also in other layouts."""
    for by in (1, 3, 8, 15):
        yield partial(_rolled, by)
    yield lambda a: a[:1].copy()
    yield lambda a: a[-1:].copy()
    if strided:
        yield lambda a: a[::-1]
        yield lambda a: np.repeat(a, 2, axis=0)[::2]

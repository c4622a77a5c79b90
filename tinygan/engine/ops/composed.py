"""Reductions that are made of arithmetic: softmax and its logarithms, the smallest, products, the 2-norm. Right at extremes."""

from __future__ import annotations

import math

from tinygan_kernels.shapes import normal_axes

from tinygan.engine.tensor import Tensor, filled, record, stop, wrap

from .door import Axes, as_tensor, launch
from .elementwise import abs, exp, log, mul, neg, sqrt, where
from .reductions import broadcast_to, max, sum
from .shapes import concat, reshape, transpose


def _kept(y: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return y, a reduction of x over axes, with these axes kept, one element long."""
    return reshape(y, tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _checked_axes(op: str, x: Tensor, axis: Axes) -> tuple[int, ...]:
    """Return axis as a tuple. Raises ValueError where there is no element along it."""
    axes = normal_axes(axis, x.ndim, op)
    if 0 in [x.shape[i] for i in axes]:
        raise ValueError(f"{op}: x has shape {x.shape}, without elements along {axes}; there is no {op} of no elements")
    return axes


# ---- softmax ------------------------------------------------------------------------------------------------------------------


def softmax(x: Tensor, axis: Axes = -1) -> Tensor:
    """p = e^x / sum of e^x over axis    dx = p (g - sum of g p over axis)

    The largest is subtracted first, so nothing overflows. An x of +inf has all of the sum to itself, and several of them share it.
    """
    axes = _checked_axes("softmax", x, axis)
    e = exp(_below_largest(stop(x), axes))
    p = e / sum(e, axes, keepdims=True)
    return record(p.array, (x,), (lambda g, p, x: p * (g - sum(g * p, axes, keepdims=True)),))


def log_softmax(x: Tensor, axis: Axes = -1) -> Tensor:
    """y = x - ln sum of e^x over axis    dx = g - e^y times the sum of g over axis

    It keeps its digits where softmax(x) is too small for a float, or so close to 1 that its logarithm has none left.
    """
    axes = _checked_axes("log_softmax", x, axis)
    z = _below_largest(stop(x), axes)
    y = z - log(sum(exp(z), axes, keepdims=True))
    return record(y.array, (x,), (lambda g, y, x: g - exp(y) * sum(g, axes, keepdims=True),))


def logsumexp(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = ln sum of e^x over axis    dx = g softmax(x), as `softmax` is at infinities"""
    axes = _checked_axes("logsumexp", x, axis)
    c = stop(x)
    y = max(c, axes, keepdims) + log(sum(exp(_below_largest(c, axes)), axes, keepdims))
    return record(y.array, (x,), (lambda g, y, x: _kept(g, x, axes) * softmax(x, axes),))


def _below_largest(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return x minus the largest over axes, of a constant x: 0 for the largest themselves, also where they are infinite."""
    largest = max(x, axes, keepdims=True)
    is_largest = _equal(x, largest)
    return where(is_largest, 0.0, where(is_largest, 0.0, x) - largest)


def _equal(a: Tensor, b: Tensor | float) -> Tensor:
    """Return the constant that is 1 where a = b, else 0."""
    return wrap(launch("equal", a, as_tensor(b, a)), a.backend)


# ---- the smallest, products, lengths --------------------------------------------------------------------------------------------


def min(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = smallest of x over axis = -max(-x)    dx = g where x = y, shared equally among ties"""
    _checked_axes("min", x, axis)
    return neg(max(neg(x), axis, keepdims))


def prod(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = product of x over axis, 1 over no elements    dx = g times the product of the others, also where some are 0

    Neighbours are multiplied, then their products, and so on: log2(n) passes, each with the derivative of `mul`, so that nothing is
    divided by. Where a partial product overflows, so does y.
    """
    axes = normal_axes(axis, x.ndim, "prod")
    others = [i for i in range(x.ndim) if i not in axes]
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape)) if keepdims else tuple(x.shape[i] for i in others)
    n = math.prod(x.shape[i] for i in axes)
    y = reshape(transpose(x, (*axes, *others)), (n, math.prod(x.shape[i] for i in others)))
    if not n:
        return sum(y, 0).reshape(shape) + 1.0
    while y.shape[0] > 1:
        even = y.shape[0] // 2 * 2
        pairs = mul(y[0:even:2], y[1:even:2])
        y = concat([pairs, y[even:]]) if even < y.shape[0] else pairs
    return reshape(y, shape)


def norm(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = sqrt(sum of x^2 over axis), the 2-norm    dx = g x / y, and 0 where y = 0, the kink at the origin

    The largest size is divided by first, so that no square overflows, or is lost in an underflow.
    """
    axes = normal_axes(axis, x.ndim, "norm")
    size = abs(stop(x))
    largest = max(size, axes, keepdims=True) if size.size else sum(size, axes, keepdims=True)
    scale = where(_equal(largest, 0.0) + _equal(largest, math.inf), 1.0, largest)
    ratio = size / scale
    y = scale * sqrt(sum(ratio * ratio, axes, keepdims=True))
    if not keepdims:
        y = reshape(y, tuple(n for i, n in enumerate(x.shape) if i not in axes))
    return record(y.array, (x,), (lambda g, y, x: _kept(g, x, axes) * _direction(x, _kept(y, x, axes)),))


def _direction(x: Tensor, y: Tensor) -> Tensor:
    """Return x / y, the unit vectors, and 0 where the length y is 0."""
    at_origin = broadcast_to(_equal(y, 0.0), x.shape)
    return where(at_origin, 0.0, x / where(_equal(y, 0.0), filled(y, 1.0), y))

"""Sums, means, variances and maxima over axes; and broadcasting, whose derivative is a sum."""

from __future__ import annotations

import math

from tinygan_kernels.shapes import normal_axes

from tinygan.engine.tensor import Tensor, record, stop, wrap

from .door import Axes, launch
from .shapes import reshape


def unbroadcast(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo broadcasting: sum g over the axes along which an input of `shape` was repeated."""
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    repeated = [lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1]
    summed = sum(g, [*range(lead), *repeated], keepdims=True)
    return reshape(summed, shape)


def broadcast_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """y = x repeated to `shape`, as a view.    dx = g summed over the repetitions"""
    if x.shape == shape:
        return x
    try:
        y = x.backend.xp.broadcast_to(x.array, shape)
    except (ValueError, TypeError):
        raise ValueError(f"broadcast_to: x has shape {x.shape}, which does not broadcast to {shape}") from None
    return record(y, (x,), (lambda g, y, x: unbroadcast(g, x.shape),))


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape with the reduced axes kept, one element long."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def sum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = sum of x over axis    dx = g, repeated along axis"""
    axes = normal_axes(axis, x.ndim)
    return record(launch("sum", x, axes=axes, keepdims=keepdims), (x,), (
        lambda g, y, x: broadcast_to(reshape(g, _kept(x.shape, axes)), x.shape),
    ))


def mean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = sum of x over axis, divided by their number n. Raises ValueError where n = 0."""
    n = math.prod(x.shape[i] for i in normal_axes(axis, x.ndim, "mean"))
    if n == 0:
        raise ValueError(f"mean: x has shape {x.shape}; the mean over no elements has no value")
    return sum(x, axis, keepdims) / n


def var(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = mean of (x - mean x)^2 over axis: the biased variance, as in batch normalisation"""
    return mean((x - mean(x, axis, keepdims=True)) ** 2, axis, keepdims)


def max(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = largest of x over axis    dx = g where x = y, shared equally among ties"""
    axes = normal_axes(axis, x.ndim, "max")

    def vjp(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
        kept = _kept(x.shape, axes)
        ties = wrap(launch("equal", x, reshape(stop(y), kept)), x.backend)
        return reshape(g, kept) / sum(ties, axes, keepdims=True) * ties

    return record(launch("max", x, axes=axes, keepdims=keepdims), (x,), (vjp,))

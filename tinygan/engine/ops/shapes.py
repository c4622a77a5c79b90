"""Views of the same memory, which launch nothing, and what has to be moved: reshape, transpose, slices, padding, concat."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tinygan_kernels.shapes import normal_axes

from tinygan.engine.tensor import Tensor, record

from .door import launch, shared_backend

_SLICE = builtins.slice  # `slice` is an op in this file


def contiguous(x: Tensor) -> Tensor:
    """y = x itself if it is C-contiguous, else a copy that is.    dx = g"""
    if x.array.flags.c_contiguous:
        return x
    return record(launch("copy", x), (x,), (lambda g, y, x: g,))


def reshape(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """y = the elements of x in the same (row-major) order, in another shape; one side may be -1.    dx = g in x's shape"""
    if x.shape == shape:
        return x
    x = contiguous(x)
    return record(x.array.reshape(shape), (x,), (lambda g, y, x: reshape(g, x.shape),))


def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """y = x with its axes in the given order (None: reversed).    dx = g with the order undone"""
    order = tuple(axes) if axes is not None else tuple(reversed(range(x.ndim)))
    undone = tuple(order.index(i) for i in range(x.ndim)) if sorted(order) == list(range(x.ndim)) else None
    if undone is None:
        raise ValueError(f"transpose: {order} is not an order of the {x.ndim} axes of x {x.shape}")
    return record(x.array.transpose(order), (x,), (lambda g, y, x: transpose(g, undone),))


def slice(x: Tensor, index: Any) -> Tensor:
    """y = x[index], for ints and slices: a view.    dx = zeros with g at index"""
    parts = index if isinstance(index, tuple) else (index,)
    # a bool is an int to Python, but an index that copies to NumPy
    if not all(part is Ellipsis or (isinstance(part, (int, _SLICE)) and not isinstance(part, bool)) for part in parts):
        raise TypeError(f"tensors are indexed by ints, slices and ..., got {index!r}")
    return record(_view(x.array, index), (x,), (lambda g, y, x: embed(g, x.shape, index),))


def _view(array: Any, index: Any) -> Any:
    """Return array[index], but a 0-d view rather than a copied number where the index leaves no axis."""
    parts = index if isinstance(index, tuple) else (index,)
    return array[parts if Ellipsis in parts else (*parts, ...)]


def embed(x: Tensor, shape: tuple[int, ...], index: Any) -> Tensor:
    """y = zeros of `shape` with x at y[index]: the adjoint of slice.    dx = g[index]"""
    y = x.backend.empty(shape, x.dtype)
    x.backend.launch("fill", (), out=y, value=0.0)
    x.backend.launch("copy", (x.array,), out=_view(y, index))
    return record(y, (x,), (lambda g, y, x: slice(g, index),))


def pad(x: Tensor, widths: Sequence[tuple[int, int]]) -> Tensor:
    """y = x with (before, after) zeros along each axis.    dx = the middle of g"""
    if len(widths) != x.ndim or any(n < 0 for pair in widths for n in pair):
        raise ValueError(f"pad: widths {list(widths)} have to be one pair of non-negative ints for each axis of x {x.shape}")
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
    return embed(x, shape, tuple(_SLICE(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True)))


def concat(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """y = the tensors one after the other along axis.    the dx of each = its part of g"""
    if not tensors:
        raise ValueError("concat: there are no tensors to put one after the other")
    tensors, first = tuple(tensors), tensors[0]
    shared_backend("concat", tensors)
    axis = normal_axes(axis, first.ndim, "concat")[0]
    lead = (_SLICE(None),) * axis
    ends = [0]
    for t in tensors:
        if t.shape[:axis] + t.shape[axis + 1 :] != first.shape[:axis] + first.shape[axis + 1 :] or t.ndim != first.ndim:
            raise ValueError(f"concat: shapes {[t.shape for t in tensors]} differ elsewhere than along axis {axis}")
        ends.append(ends[-1] + t.shape[axis])
    parts = [(*lead, _SLICE(start, stop)) for start, stop in pairwise(ends)]
    y = first.backend.empty((*first.shape[:axis], ends[-1], *first.shape[axis + 1 :]), first.dtype)
    for t, part in zip(tensors, parts, strict=True):
        launch("copy", t, out=y[part])
    return record(y, tensors, [lambda g, y, *_, part=part: slice(g, part) for part in parts])

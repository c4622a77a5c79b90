"""Views of the same memory, which launch nothing, and what has to be moved: reshape, transpose, slices, padding, concat."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from tinygan_kernels.shapes import normal_axes

from tinygan.engine.tensor import Tensor, record

from .door import as_tensor, launch, shared_backend

_SLICE = builtins.slice  # `slice` is an op in this file


def contiguous(x: Tensor) -> Tensor:
    """y = x itself if it is C-contiguous, else a copy that is.    dx = g"""
    if x.array.flags.c_contiguous:
        return x
    return record(launch("copy", x), (x,), (lambda g, y, x: g,))


def reshape(x: Tensor, shape: int | Sequence[int]) -> Tensor:
    """y = the elements of x in the same (row-major) order, in another shape; one side may be -1.    dx = g in x's shape"""
    if type(shape) is tuple and x.shape == shape:
        return x
    shape = _whole_numbers("reshape: shape", shape)
    y = contiguous(x)
    try:
        return record(y.array.reshape(shape), (y,), (lambda g, y, x: reshape(g, x.shape),))
    except ValueError:
        raise ValueError(f"reshape: x has shape {x.shape}, {x.size} elements, which do not fill the shape {shape}") from None


def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """y = x with its axes in the given order (None: reversed).    dx = g with the order undone"""
    order = tuple(reversed(range(x.ndim))) if axes is None else _whole_numbers("transpose: axes", axes)
    order = tuple(i + x.ndim if -x.ndim <= i < 0 else i for i in order)
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(f"transpose: {order} is not an order of the {x.ndim} axes of x {x.shape}; name every axis once")
    undone = tuple(order.index(i) for i in range(x.ndim))
    return record(x.array.transpose(order), (x,), (lambda g, y, x: transpose(g, undone),))


def _whole_numbers(what: str, given: Any) -> tuple[int, ...]:
    """Return one whole number or a sequence of them, Python's or NumPy's, as a tuple of ints. Raises TypeError."""
    try:
        listed = given if isinstance(given, (tuple, list, range)) else np.asarray(given)
        return tuple(map(operator.index, listed if isinstance(listed, Sequence) or listed.ndim else [listed]))
    except (TypeError, ValueError):
        raise TypeError(f"{what} is {given!r}, it has to be whole numbers") from None


def slice(x: Tensor, index: Any) -> Tensor:
    """y = x[index], for ints, slices, ... and None (a new axis): a view.    dx = zeros with g at index"""
    index = _plain_index(index)
    try:
        y = _view(x.array, index)
    except IndexError as error:
        raise IndexError(f"x has shape {x.shape}: {error}") from None
    return record(y, (x,), (lambda g, y, x: embed(g, x.shape, index),))


def _plain_index(index: Any) -> tuple[Any, ...]:
    """Return an index as a tuple of Python's ints, slices, ... and None. Raises TypeError for those that would copy."""
    parts = index if isinstance(index, tuple) else (index,)
    return tuple(part if part is Ellipsis or part is None or isinstance(part, _SLICE) else _position(part) for part in parts)


def _position(part: Any) -> int:
    """Return a whole number in an index as an int."""
    try:
        # a bool is an int to Python, but an index that copies to NumPy
        if not isinstance(part, (bool, np.bool_)):
            return operator.index(part)
    except TypeError:
        pass
    raise TypeError(f"tensors are indexed by ints, slices, ..., None and arrays of whole numbers, got {part!r}") from None


def _view(array: Any, index: tuple[Any, ...]) -> Any:
    """Return array[index], but a 0-d view rather than a copied number where the index leaves no axis."""
    return array[index if Ellipsis in index else (*index, ...)]


def embed(x: Tensor, shape: tuple[int, ...], index: Any) -> Tensor:
    """y = zeros of `shape` with x at y[index]: the adjoint of slice.    dx = g[index]"""
    y = x.backend.empty(shape, x.dtype)
    x.backend.launch("fill", (), out=y, fresh=True, value=0.0)
    x.backend.launch("copy", (x.array,), out=_view(y, _plain_index(index)), fresh=True)
    return record(y, (x,), (lambda g, y, x: slice(g, index),))


def pad(x: Tensor, widths: Sequence[tuple[int, int]]) -> Tensor:
    """y = x with (before, after) zeros along each axis.    dx = the middle of g"""
    if not isinstance(widths, (list, tuple)) or any(isinstance(pair, (int, np.integer)) for pair in widths):
        raise TypeError(f"pad: widths is {widths!r}, it has to be a list with a pair (before, after) for each axis of x {x.shape}")
    pairs = [_whole_numbers("pad: a pair of widths", pair) for pair in widths]
    if len(pairs) != x.ndim or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ValueError(f"pad: widths {list(widths)} have to be one pair of non-negative ints for each axis of x {x.shape}")
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, pairs, strict=True))
    return embed(x, shape, tuple(_SLICE(before, before + n) for n, (before, _) in zip(x.shape, pairs, strict=True)))


def concat(tensors: Iterable[Tensor], axis: int = 0) -> Tensor:
    """y = the tensors one after the other along axis.    the dx of each = its part of g"""
    tensors = _all_tensors("concat", tensors)
    first = tensors[0]
    shared_backend("concat", tensors)
    if not first.ndim:
        raise ValueError("concat: the tensors have no axis to be joined along; give each one first: t.reshape(1)")
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
        launch("copy", t, out=y[part], fresh=True)
    return record(y, tensors, [lambda g, y, *_, part=part: slice(g, part) for part in parts])


def stack(tensors: Iterable[Tensor], axis: int = 0) -> Tensor:
    """y = tensors of one shape side by side along a new axis    the dx of each = its slice of g"""
    tensors = _all_tensors("stack", tensors)
    shape = tensors[0].shape
    if any(t.shape != shape for t in tensors):
        raise ValueError(f"stack: the shapes {[t.shape for t in tensors]} have to be the same; concat joins along an axis")
    at = normal_axes(axis, len(shape) + 1, "stack")[0]
    return concat([reshape(t, (*shape[:at], 1, *shape[at:])) for t in tensors], at)


def _all_tensors(op: str, given: Iterable[Any]) -> tuple[Tensor, ...]:
    """Return tensors, and what is converted like the first of them, as a tuple. Raises ValueError if there are none, TypeError."""
    if isinstance(given, Tensor):
        raise TypeError(f"{op}: pass a list of tensors, not one tensor")
    given = tuple(given)
    if not given:
        raise ValueError(f"{op}: there are no tensors to put one after the other")
    tensors = [t for t in given if isinstance(t, Tensor)]
    like = tensors[0] if tensors else Tensor(given[0])
    return tuple(as_tensor(t, like) for t in given)

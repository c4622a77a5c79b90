"""Elements picked by arrays of whole numbers: take, x[[0, 2]], x[range(n), labels]; and their adjoint, which adds up repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from tinygan_kernels.shapes import normal_axes

from tinygan.engine.tensor import Tensor, record

from .shapes import reshape
from .shapes import slice as basic_slice


def take(x: Tensor, indices: Any, axis: int | None = None) -> Tensor:
    """y = x at the indices along axis, which their shape takes the place of; None: of x flattened    dx = g added up at the indices

    indices: whole numbers, in a list or an array of any shape; they are constants, and negative ones count from the end. One launch
    copies each run of neighbours. Raises IndexError for one that is out of range, TypeError for what is no whole number.
    """
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    if not x.ndim:
        raise ValueError("take: a 0-d tensor has no axis to take from; without axis it is taken from as one element")
    at, places = normal_axes(axis, x.ndim, "take")[0], _whole_array("take: indices", indices)
    positions = _in_range(places, x.shape[at], f"take: x has shape {x.shape}").reshape(-1)
    picked = _picked(x, tuple(positions.tolist()), at)
    return reshape(picked, (*x.shape[:at], *places.shape, *x.shape[at + 1 :]))


def _whole_array(what: str, given: Any) -> np.ndarray:
    """Return whole numbers in a list or an array as an array of ints. Raises TypeError, ValueError for masked ones."""
    array = _unmasked(what, given)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{what} are {array.dtype}, they have to be whole numbers, such as labels.astype(int)")
    return array.astype(np.intp)


def _unmasked(what: str, given: Any) -> np.ndarray:
    """Return indices as an array. Raises ValueError for masked ones, which say nothing of where to look."""
    if np.ma.is_masked(given):
        raise ValueError(f"{what} have masked elements; fill them first: indices.filled(value)")
    return np.asarray(given.numpy() if isinstance(given, Tensor) else given)


def _in_range(places: np.ndarray, n: int, what: str) -> np.ndarray:
    """Return indices counted from the start. Raises IndexError."""
    wrong = places[(places < -n) | (places >= n)]
    if wrong.size:
        raise IndexError(f"{what}: index {wrong.flat[0]} is out of range for an axis of {n} elements")
    return np.where(places < 0, places + n, places)


def _runs(positions: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return (place in y, place in x, length) of each run of neighbours."""
    runs: list[tuple[int, int, int]] = []
    for i, position in enumerate(positions):
        if runs and position == runs[-1][1] + runs[-1][2]:
            runs[-1] = (runs[-1][0], runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((i, position, 1))
    return runs


def _part(axis: int, start: int, n: int) -> tuple[slice, ...]:
    """Return the index of n elements along axis, from start on."""
    return (*(slice(None) for _ in range(axis)), slice(start, start + n))


def _picked(x: Tensor, positions: tuple[int, ...], axis: int) -> Tensor:
    """y = x at positions along axis    dx = g added up at the positions"""
    y = x.backend.empty((*x.shape[:axis], len(positions), *x.shape[axis + 1 :]), x.dtype)
    for to, start, n in _runs(positions):
        x.backend.launch("copy", (x.array[_part(axis, start, n)],), out=y[_part(axis, to, n)], fresh=True)
    return record(y, (x,), (lambda g, y, x: _added_up(g, positions, axis, x.shape[axis]),))


def _added_up(x: Tensor, positions: tuple[int, ...], axis: int, n: int) -> Tensor:
    """y = zeros, n long along axis, with each slice of x added at its position: adjoint of _picked    dx = g at the positions"""
    backend = x.backend
    y = backend.empty((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype)
    backend.launch("fill", (), out=y, fresh=True, value=0.0)
    if len(set(positions)) == len(positions):
        for start, to, length in _runs(positions):
            part = x.array[_part(axis, start, length)]
            backend.launch("copy", (part,), out=y[_part(axis, to, length)], fresh=True)
        return record(y, (x,), (lambda g, y, x: _picked(g, positions, axis),))
    sources: dict[int, list[int]] = {}
    for i, position in enumerate(positions):
        sources.setdefault(position, []).append(i)
    for to, (first, *rest) in sources.items():
        total = x.array[_part(axis, first, 1)]
        for i in rest:
            total = backend.launch("add", (total, x.array[_part(axis, i, 1)]))
        backend.launch("copy", (total,), out=y[_part(axis, to, 1)], fresh=True)
    return record(y, (x,), (lambda g, y, x: _picked(g, positions, axis),))


# ---- x[...] -------------------------------------------------------------------------------------------------------------------


def index(x: Tensor, at: Any) -> Tensor:
    """y = x[at], as NumPy indexes: a view for ints, slices, ... and None; a copy where arrays or lists of whole numbers pick

    dx = g at the places, added up where a place is picked more than once. Arrays of bools pick where they are True. All arrays
    stand side by side, and None is not mixed with them. The arrays are constants.
    """
    given = at if isinstance(at, tuple) else (at,)
    if not any(isinstance(part, (list, range, np.ndarray, Tensor)) and np.ndim(part) for part in given):
        return basic_slice(x, at)
    parts = _spelled_out(x, given)
    picking = [i for i, part in enumerate(parts) if isinstance(part, np.ndarray)]
    first, last = picking[0], picking[-1] + 1
    if picking != list(range(first, last)):
        raise IndexError("x[...]: arrays of indices have to stand side by side; slice first, or transpose so that they do")
    try:
        places = np.broadcast_arrays(*parts[first:last])
    except ValueError:
        shapes = [part.shape for part in parts[first:last]]
        raise IndexError(f"x[...]: arrays of indices of shapes {shapes} do not broadcast") from None
    sides = x.shape[first:last]
    flat = np.zeros(places[0].shape, np.intp)
    for place, n in zip(places, sides, strict=True):
        flat = flat * n + _in_range(place, n, f"x has shape {x.shape}")
    merged = reshape(x, (*x.shape[:first], math.prod(sides), *x.shape[last:]))
    rest = tuple(slice(None) if isinstance(part, np.ndarray) else part for part in (*parts[:first], slice(None), *parts[last:]))
    return take(basic_slice(merged, rest), flat, first)


def _spelled_out(x: Tensor, parts: tuple[Any, ...]) -> list[Any]:
    """Return one slice or one array for each axis of x: masks as the places where they are True, ints as arrays beside arrays."""
    spelled: list[Any] = []
    masks: list[tuple[np.ndarray, tuple[int, ...]]] = []
    for part in parts:
        if part is None:
            raise IndexError("x[...]: None, a new axis, does not go together with arrays of indices; reshape the result")
        if part is Ellipsis or isinstance(part, slice):
            spelled.append(part)
            continue
        values = _unmasked("indices of a tensor", part)
        if values.dtype == bool and values.ndim:
            spelled += np.nonzero(values)
            masks.append((spelled[-values.ndim], values.shape))
        else:
            spelled.append(_whole_array("indices of a tensor", values))
    missing = x.ndim - sum(part is not Ellipsis for part in spelled)
    if missing < 0 or sum(part is Ellipsis for part in spelled) > 1:
        raise IndexError(f"x has shape {x.shape}: too many indices")
    if not any(part is Ellipsis for part in spelled):
        spelled.append(Ellipsis)
    at = next(i for i, part in enumerate(spelled) if part is Ellipsis)
    spelled[at : at + 1] = [slice(None)] * missing
    for first, shape in masks:
        start = next(i for i, part in enumerate(spelled) if part is first)
        if x.shape[start : start + len(shape)] != shape:
            raise IndexError(f"x has shape {x.shape}: a mask of shape {shape} does not fit its axes from {start} on")
    return spelled


"""Right numbers in the wrong places: transposes, permutations, shifts; and gradients of another shape than their input."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from .fit import Candidates, Site


def candidates(site: Site, i: int) -> Candidates:
    """Yield candidates for input i from the right gradient, rearranged, or the gradient for a rearranged cotangent."""
    claimed, right = site.claimed[i], site.right[i]
    if claimed is None:
        return
    if claimed.shape != right.shape:
        yield from _reshaped(site, i, claimed, right)
        return
    for name, kind, moved in arranged(right):
        yield site.candidate(i, ("moved", name), kind, f"the gradient is the right one, {name}", 2, moved)
    yield from _of_cotangent(site, i)
    yield from _shifts(site, i, claimed, right)


def arranged(a: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (how, kind, array) for every simple rearrangement of (K, ...) that keeps its shape."""
    axes = range(a.ndim - 1)
    for order in permutations(axes):
        if list(order) != list(axes) and all(a.shape[1 + p] == a.shape[1 + k] for k, p in enumerate(order)):
            name = "transposed" if a.ndim == 3 else f"with axes permuted to {order}"
            yield name, "transpose", a.transpose(0, *(1 + p for p in order))
    for axis in axes:
        if a.shape[1 + axis] > 1:
            yield f"reversed along axis {axis}", "transpose", np.flip(a, 1 + axis)
    for axis in axes:
        for by in (1, -1):
            if a.shape[1 + axis] > 2:
                yield f"rolled by {by:+d} along axis {axis}", "off by one", np.roll(a, by, 1 + axis)
    if a.ndim > 3:
        for first in axes:
            for second in range(first + 1, a.ndim - 1):
                yield f"reversed along axes {first} and {second}", "transpose", np.flip(a, (1 + first, 1 + second))
    if a.ndim > 2:
        columns = a.reshape(len(a), *a.shape[:0:-1]).transpose(0, *range(a.ndim - 1, 0, -1))
        yield "reshaped in column order", "transpose", columns


def _of_cotangent(site: Site, i: int) -> Candidates:
    """The gradient as if the cotangent had been rearranged first: a transpose inside f that was not undone."""
    jacobians = site.numeric.jacobians
    if jacobians is None or len(site.out_shapes) != 1:
        return
    u = site.u.reshape(len(site.u), *site.out_shapes[0])
    for name, kind, moved in arranged(u):
        yield site.candidate(
            i, ("cotangent", name), kind, f"the cotangent g was taken {name}", 2.2,
            (moved.reshape(len(u), -1) @ jacobians[i]).reshape(site.right[i].shape),
        )


def _reshaped(site: Site, i: int, claimed: np.ndarray, right: np.ndarray) -> Candidates:
    """Claimed gradients of another shape: transposed, not summed over copies, without an axis."""
    name, shape, wanted = site.names[site.floats[i]], claimed.shape[1:], right.shape[1:]
    told = f"vjp returns shape {shape} for {name}, whose shape is {wanted}"
    if sorted(shape) == sorted(wanted):
        for order in permutations(range(len(wanted))):
            moved = right.transpose(0, *(1 + p for p in order))
            if moved.shape == claimed.shape and list(order) != list(range(len(wanted))):
                yield site.candidate(
                    i, ("shape", "transposed", order), "transpose", f"{told}: it is the right gradient, transposed", 0.3, moved,
                )
    summed = _summed(claimed, wanted)
    if summed is not None and site.numeric.known[i].all():
        scale = max(float(np.abs(summed).max()), float(np.abs(right).max()))
        if np.abs(summed - right).max() <= 2e-6 * scale + 3 * float(site.numeric.rounding[i].max()):
            yield site.candidate(
                i, ("shape", "unsummed"), "broadcast not summed",
                f"{told}: {name} was broadcast, and its gradient has to be summed over the copies", 0.3, claimed.copy(),
            )
    if claimed.size == right.size and sorted(shape) != sorted(wanted):
        yield site.candidate(
            i, ("shape", "size"), "transpose", f"{told}: the numbers are right, the shape is not", 0.4,
            right.reshape(claimed.shape),
        )


def _summed(claimed: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray | None:
    """Return the claimed gradient summed to the wanted shape as a broadcast demands, None if it does not broadcast to it."""
    lead = claimed.ndim - 1 - len(wanted)
    if lead < 0:
        return None
    axes = tuple(range(1, 1 + lead))
    for k, n in enumerate(wanted):
        have = claimed.shape[1 + lead + k]
        if have != n:
            if n != 1:
                return None
            axes += (1 + lead + k,)
    return np.asarray(claimed.sum(axes, keepdims=True)).reshape(len(claimed), *wanted)


# ---- shifts: pads, strides and indices that are off by one ----------------------------------------------------------------------


def _shifts(site: Site, i: int, claimed: np.ndarray, right: np.ndarray) -> Candidates:
    """The gradient moved by some places along some axes, whatever came in at the border."""
    axes = [k for k in range(right.ndim - 1) if right.shape[1 + k] > 2]
    moves = [{axis: by} for axis in axes for by in (1, -1, 2, -2)]
    moves += [
        {a: s, b: t}
        for n, a in enumerate(axes)
        for b in axes[n + 1 :]
        for s in (1, -1, 2, -2)
        for t in (1, -1, 2, -2)
        if abs(s) == abs(t)
    ]
    for move in moves:
        to = tuple(slice(max(move.get(k, 0), 0), n + min(move.get(k, 0), 0)) for k, n in enumerate(right.shape[1:]))
        source = tuple(slice(max(-move.get(k, 0), 0), n + min(-move.get(k, 0), 0)) for k, n in enumerate(right.shape[1:]))
        there, here = (slice(None), *source), (slice(None), *to)
        inside = right[there]
        if inside.size < 2 * len(right) or not np.abs(inside).max() > 0:
            continue
        shifted = claimed.copy()  # at the border whatever vjp gives
        shifted[here] = inside
        if site.fits(i, shifted):
            how = " and ".join(f"{by:+d} along axis {axis}" for axis, by in move.items())
            yield site.candidate(
                i, ("shift", *sorted(move.items())), "off by one",
                f"the gradient is the right one, shifted by {how}: a pad or an index is off by {abs(next(iter(move.values())))}", 3,
                shifted,
            )
    yield from _strides(site, i)


def _strides(site: Site, i: int) -> Candidates:
    """Each output's share of the gradient stands at another place, further away the further along the output is."""
    jacobians = site.numeric.jacobians
    if jacobians is None or len(site.out_shapes) != 1:
        return
    shape, out = site.shape(i), site.out_shapes[0]
    if len(shape) != len(out) or not 2 < len(shape) < 5 or len(site.u) < 1:
        return
    j = jacobians[i].reshape(*out, *shape)
    for axes in _spatial(shape, out):
        for slope in (1, -1, 2, -2):
            for start in (0, 1, -1):
                moved = np.zeros_like(j)
                for at in np.ndindex(*(out[a] for a in axes)):
                    pick: list[slice | int] = [slice(None)] * len(out)
                    for a, k in zip(axes, at, strict=True):
                        pick[a] = k
                    block = j[tuple(pick)]
                    first = block.ndim - len(shape)
                    moved[tuple(pick)] = _by(block, {first + a: start + slope * k for a, k in zip(axes, at, strict=True)})
                gradient = (site.u @ moved.reshape(len(j.reshape(-1, *shape)), -1)).reshape(site.right[i].shape)
                yield site.candidate(
                    i, ("stride", axes, slope, start), "off by one",
                    f"the stride along {'axes' if len(axes) > 1 else 'axis'} {' and '.join(map(str, axes))} is off by {slope:+d}",
                    3.5, gradient,
                )


def _spatial(shape: tuple[int, ...], out: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the axes that may be strided: those along which input and output both extend."""
    single = [a for a in range(len(shape)) if out[a] > 1 and shape[a] > out[a]]
    pairs = [(a, b) for n, a in enumerate(single) for b in single[n + 1 :]]
    return [*pairs, *((a,) for a in single)]


def _by(block: np.ndarray, moves: dict[int, int]) -> np.ndarray:
    """Return an array moved along axes by some places, with zeros where nothing comes from."""
    result = block
    for axis, by in moves.items():
        rolled = np.roll(result, by, axis)
        gap: list[slice] = [slice(None)] * block.ndim
        gap[axis] = slice(0, by) if by >= 0 else slice(by, None)
        if by:
            rolled[tuple(gap)] = 0
        result = rolled
    return result

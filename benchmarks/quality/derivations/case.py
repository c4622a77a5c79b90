"""What a case of the suite is, and the mistakes that can be planted in every gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """A function f, its gradient written by hand, and the mistakes that can be planted in it.

    vjp(m, g, *inputs): right for m = "", and with the planted mistake for every m in `mistakes`. A mistake is the kind that has to
    be named, with a number behind it where there are several: "sign", "sign 2". make(rng): inputs.
    """

    name: str
    f: Callable[..., Any]
    vjp: Callable[..., Any]
    make: Callable[[np.random.Generator], tuple[np.ndarray, ...]]
    mistakes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planted:
    """A wrong gradient of a case, and the kind of mistake that it has."""

    case: Case
    kind: str
    label: str
    vjp: Callable[..., Any]


def kind_of(mistake: str) -> str:
    return mistake.rstrip("0123456789").strip()


def planted(case: Case) -> Iterator[Planted]:
    """Yield all wrong gradients of a case: its own mistakes, then those that every gradient can have."""
    for m in case.mistakes:
        yield Planted(case, kind_of(m), m, lambda g, *xs, m=m: case.vjp(m, g, *xs))
    arrays = case.make(np.random.default_rng(0))
    grads = _each(case.vjp("", np.ones(np.shape(case.f(*arrays))), *arrays))
    for label, change in _everywhere(grads):
        yield Planted(case, kind_of(label), f"any: {label}", lambda g, *xs, change=change: change(_each(case.vjp("", g, *xs))))


def _each(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (tuple, list)) else [given]


def _everywhere(grads: list[Any]) -> Iterator[tuple[str, Callable[[list[Any]], Any]]]:
    """Yield (kind, what it makes of all gradients) for the mistakes that need no knowledge of f, the first input's for most."""
    yield "sign", lambda gs: _with(gs, 0, -gs[0])
    yield "constant factor", lambda gs: _with(gs, 0, 2 * gs[0])
    yield "constant factor 2", lambda gs: _with(gs, 0, 0.5 * gs[0])
    yield "detached", lambda gs: _with(gs, 0, 0 * gs[0])
    first = grads[0]
    for axes in ((-1, -2), (0, 1)):
        if (
            np.ndim(first) >= 2
            and first.shape[axes[0]] == first.shape[axes[1]] > 1
            and not np.allclose(first, np.swapaxes(first, *axes))
        ):
            yield "transpose", lambda gs, axes=axes: _with(gs, 0, np.swapaxes(gs[0], *axes))
            break
    for k in range(1, len(grads)):
        if grads[k] is not None and grads[k].shape == first.shape and not np.allclose(grads[k], first):
            yield "another input", lambda gs, k=k: _swapped(gs, k)
            yield "not detached", lambda gs, k=k: _with(gs, 0, gs[0] + gs[k])
            break
    if np.ndim(first) and first.shape[-1] > 2 and not np.allclose(first, np.roll(first, 1, -1)):
        yield "off by one", lambda gs: _with(gs, 0, np.roll(gs[0], 1, -1))


def _with(gs: list[Any], k: int, g: Any) -> tuple[Any, ...]:
    return tuple(g if i == k else old for i, old in enumerate(gs))


def _swapped(gs: list[Any], k: int) -> tuple[Any, ...]:
    found = list(gs)
    found[0], found[k] = gs[k], gs[0]
    return tuple(found)

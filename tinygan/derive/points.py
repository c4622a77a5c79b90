"""Further points at which a mistake has to fit too: near the one that was given, and of other shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np


def nearby(arrays: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Return the inputs with every float changed by some 20 %, which keeps its sign. Integers stay."""
    return [a * (1 + 0.4 * (rng.random(a.shape) - 0.5)) if a.dtype.kind == "f" else a.copy() for a in arrays]


def of_other_shapes(arrays: Sequence[np.ndarray], rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """Yield the inputs with axes one longer: one axis of one array, or all axes of one length together. f may not take them."""
    axes = [(i, k, n) for i, a in enumerate(arrays) for k, n in enumerate(a.shape) if n > 1]
    groups = [[(i, k)] for i, k, _ in axes]
    for length in dict.fromkeys(n for _, _, n in axes):
        group = [(i, k) for i, k, n in axes if n == length]
        if len(group) > 1:
            groups.append(group)
    if len(axes) > 1:
        groups.append([(i, k) for i, k, _ in axes])
    for group in groups:
        found = list(arrays)
        for i, k in group:
            found[i] = np.concatenate([found[i], np.take(found[i], [0], k)], k)
        yield [a * (1 + 0.4 * (rng.random(a.shape) - 0.5)) if a.dtype.kind == "f" else a for a in found]


def usable(value: Callable[[Sequence[np.ndarray]], np.ndarray], arrays: Sequence[np.ndarray]) -> bool:
    """Return whether f gives finite numbers at a point."""
    try:
        y = value(arrays)
    except (ValueError, TypeError, IndexError, ArithmeticError):
        return False
    return bool(y.size and np.isfinite(y).all())

"""Random arrays that a step needs inside itself: dropout's masks, instance noise, the points between real and fake.

They are all drawn by a `Draws`, from one generator whose state is in the checkpoint. So whoever records a step's launches can
refill the very same arrays before running them again, in the order in which they were first drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .tensor import Tensor, wrap

Fill = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
"""A function (rng, shape) -> random values of that shape."""


class Draws:
    """A source of random arrays: draws(fill, like, shape) is fill(rng, shape) as a constant of the dtype and backend of `like`.

    While `recorded` is a list, every array drawn is put there with its fill; `refill` draws all of them anew, in place.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.recorded: list[tuple[Any, Fill]] | None = None

    def __call__(self, fill: Fill, like: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
        values = fill(self.rng, like.shape if shape is None else shape)
        array = like.backend.asarray(values, like.dtype)
        if self.recorded is not None:
            self.recorded.append((array, fill))
        return wrap(array, like.backend)

    def refill(self) -> None:
        """Draw new values into every recorded array, from the same generator in the same order as an eager step takes them."""
        for array, fill in self.recorded or ():
            array[...] = fill(self.rng, array.shape)


def dropout_mask(p: float) -> Fill:
    """Return a fill that draws 1 / (1 - p) with probability 1 - p, else 0: scaled so that the mean of what it multiplies stays."""
    return lambda rng, shape: (rng.random(shape) >= p) / (1 - p)


def standard_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from N(0, 1), in float64."""
    return rng.standard_normal(shape)


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from U[0, 1), in float64."""
    return rng.random(shape)

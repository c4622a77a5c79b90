"""Random arrays that a step needs inside itself: dropout's masks, instance noise, the points between real and fake.

They are all drawn by a `Draws`, from one generator whose state is in the checkpoint. So whoever records a step's launches can
refill the very same arrays before running them again, in the order in which they were first drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .conversion import described, whole_number
from .tensor import Tensor, wrap

Fill = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
"""A function (rng, shape) -> random values of that shape."""


def generator_of(rng: Any, what: str) -> np.random.Generator:
    """Return a generator as it is, and of a whole number the generator with this seed. Raises TypeError for anything else."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        return np.random.default_rng(whole_number(rng, f"{what}: the seed", 0))
    raise TypeError(f"{what}: rng is {described(rng)}; randomness is an argument here: write rng=np.random.default_rng(0), "
                    "shared by all layers, or a seed such as rng=0")


Recorded = list[tuple[Any, Fill, np.random.Generator]]
"""Arrays that were drawn, in order, each with its fill and the generator that it came from."""


class Draws:
    """A source of random arrays: draws(fill, like, shape) is fill(rng, shape) as a constant of the dtype and backend of `like`.

    rng: a generator, or a seed. While `recorded` is a list, every array drawn is put there with its fill and generator; several
    sources may share one list. `refill` draws all of them anew, in place.
    """

    def __init__(self, rng: np.random.Generator | int) -> None:
        self.rng = generator_of(rng, "Draws")
        self.recorded: Recorded | None = None

    def __call__(self, fill: Fill, like: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
        values = fill(self.rng, like.shape if shape is None else shape)
        array = like.backend.asarray(values, like.dtype)
        if self.recorded is not None:
            self.recorded.append((array, fill, self.rng))
        return wrap(array, like.backend)

    def refill(self) -> None:
        """Draw new values into every recorded array, as the function `refill` does."""
        refill(self.recorded or [])


def refill(recorded: Recorded) -> None:
    """Draw new values into every recorded array, from the same generators in the same order as an eager step takes them."""
    for array, fill, rng in recorded:
        array[...] = fill(rng, array.shape)


@contextmanager
def recording(sources: Iterable[Draws]) -> Iterator[Recorded]:
    """Yield a list in which all that the sources draw within the `with` is put, in order; afterwards they record no more."""
    recorded: Recorded = []
    held = list(sources)
    for source in held:
        source.recorded = recorded
    try:
        yield recorded
    finally:
        for source in held:
            source.recorded = None


def dropout_mask(p: float) -> Fill:
    """Return a fill that draws 1 / (1 - p) with probability 1 - p, else 0: scaled so that the mean of what it multiplies stays."""
    return lambda rng, shape: (rng.random(shape) >= p) / (1 - p)


def standard_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from N(0, 1), in float64."""
    return rng.standard_normal(shape)


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from U[0, 1), in float64."""
    return rng.random(shape)

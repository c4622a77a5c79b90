"""The sources of random numbers that a layer holds: a replayed step has to refill them, and a checkpoint has to keep them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygan.engine.randomness import Draws

from .tree import Layer


def draws_of(layer: Layer) -> list[Draws]:
    """Return every `Draws` that a layer, or a layer inside it, holds in an attribute or a container there, each once."""
    return [found for found in _sources(layer) if isinstance(found, Draws)]


def generators_of(layer: Layer) -> list[np.random.Generator]:
    """Return every generator of random numbers that a layer holds, itself or in a `Draws`, each once, in a fixed order."""
    found = [source.rng if isinstance(source, Draws) else source for source in _sources(layer)]
    return list({id(rng): rng for rng in found}.values())


@contextmanager
def seeded(layer: Layer, rng: np.random.Generator) -> Iterator[None]:
    """Let the layer's generators draw from states that `rng` decides within the `with`; afterwards they go on as before.

    So samples of a G that draws noise of its own are decided by their seed, and drawing them changes no training.
    """
    own = generators_of(layer)
    before = [generator.bit_generator.state for generator in own]
    try:
        for generator in own:
            kind = type(generator.bit_generator)
            generator.bit_generator.state = kind(int(rng.integers(2**63))).state
        yield
    finally:
        for generator, state in zip(own, before, strict=True):
            generator.bit_generator.state = state


def _sources(layer: Layer) -> list[Draws | np.random.Generator]:
    found: dict[int, Draws | np.random.Generator] = {}
    entered: set[int] = set()

    def walk(value: Any) -> None:
        if isinstance(value, (Draws, np.random.Generator)):
            found.setdefault(id(value), value)
        elif isinstance(value, (Layer, list, tuple, dict)) and id(value) not in entered:
            entered.add(id(value))
            inside = vars(value).values() if isinstance(value, Layer) else value.values() if isinstance(value, dict) else value
            for part in inside:
                walk(part)

    walk(layer)
    return list(found.values())

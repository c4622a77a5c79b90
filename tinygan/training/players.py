"""The players of a run: both networks, the average of G, their optimisers, and what else takes part in a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from tinygan.data import Codec
from tinygan.engine.randomness import Draws
from tinygan.game.penalties import Penalty
from tinygan.nn.architectures import discriminator, generator
from tinygan.nn.blueprint import BlueprintError, code_of_others, describe
from tinygan.nn.sources import draws_of, generators_of
from tinygan.nn.tree import Layer
from tinygan.optim import Adam, Optimiser

from .config import Config


@dataclass(frozen=True)
class Players:
    """Two networks that play, and the optimisers that move them.

    average: a second G of the same shape, which follows G; None without one. penalties: further ones than the options name.
    rates: the rates of D's and G's optimiser at the start, where they are not those of the options.
    built_here: True for networks that tinygan built from a run's options, so that the options are enough to build them again.
    """

    D: Layer
    G: Layer
    average: Layer | None
    optim_d: Optimiser
    optim_g: Optimiser
    penalties: Sequence[Penalty] = ()
    rates: tuple[float, float] | None = None
    built_here: bool = False

    @property
    def draws(self) -> list[Draws]:
        """The sources of random arrays inside the networks."""
        return list({id(d): d for d in (*draws_of(self.G), *draws_of(self.D))}.values())

    @property
    def generators(self) -> list[np.random.Generator]:
        """The generators of random numbers inside the networks."""
        return list({id(rng): rng for rng in (*generators_of(self.G), *generators_of(self.D))}.values())

    def code_of_others(self) -> list[Any]:
        """Return the classes and functions in layers and penalties that are not tinygan's: what they do is not known beforehand."""
        found = [*code_of_others(self.G), *code_of_others(self.D), *map(type, self.penalties), *map(type, self.draws)]
        return [code for code in dict.fromkeys(found) if not code.__module__.startswith("tinygan.")]

    def description(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of networks that a user built: their blueprints, and how both are moved."""
        blueprint: dict[str, Any] = {}
        for name, network, missing in (("G", self.average or self.G, "reason"), ("D", self.D, "reason of D")):
            try:
                blueprint[name] = describe(network)
            except BlueprintError as error:
                blueprint[missing] = str(error)
        return {**blueprint, "optimisers": [settings_of(o) for o in (self.optim_d, self.optim_g)]}


def players_of(config: Config, codec: Codec, backend: Backend, rng: np.random.Generator, draws: Draws) -> Players:
    """Return the players that a run's options describe, with fresh weights from `rng`."""
    c, a = config, config.architecture(codec)
    G, D = generator(a, backend, rng), discriminator(a, backend, rng, draws=draws)
    average = generator(a, backend, np.random.default_rng(0)) if c.ema else None
    return Players(D, G, average, adam(c, D, c.lr_d), adam(c, G, c.lr_g), built_here=True)


def adam(config: Config, network: Layer, rate: float) -> Adam:
    """Return the optimiser of a network that the options describe, with this rate."""
    return Adam(network.parameters(), rate, config.beta1, config.beta2)


def settings_of(optimiser: Optimiser) -> dict[str, Any]:
    """Return the kind of an optimiser and its numbers, but for the rate, which falls in the course of a run."""
    return {"kind": optimiser.kernel, **optimiser.constants}

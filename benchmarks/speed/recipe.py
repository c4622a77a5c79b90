"""A recipe: what a run of MLPs with R1 and an average of G is made of, for engines that are to play the same game on equal weights.

`recipe_of` reads it from the options of a run, and refuses those that the engines do not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tinygan.engine.replay import Replayed
from tinygan.training.config import Config
from tinygan.training.run import Run
from tinygan.training.samples import samples_of

# The options that an engine has; all others of a run have to be at what is neutral.
NEUTRAL = {"arch": "mlp", "objective": "nonsaturating", "update": "alternating", "k": 1, "r2": 0.0, "gp": 0.0, "penalty_fall": 1.0,
           "smooth": 0.0, "noise": 0.0, "pack": 1, "unroll": 0, "maxout": 0, "dropout": 0.0, "spectral": False, "batch_norm": False,
           "fourier": 0, "signs": 0}


@dataclass(frozen=True)
class Recipe:
    """The numbers of a game: R1's weight, Adam's betas, the decay of G's average, and whether G ends in tanh."""

    r1: float
    beta1: float
    beta2: float
    ema: float
    bounded: bool


def recipe_of(config: Config, bounded: bool) -> Recipe:
    """Return the recipe of a run. Raises ValueError for a run with an option that the engines do not have."""
    other = [name for name, neutral in NEUTRAL.items() if getattr(config, name) != neutral]
    if other or not config.ema:
        raise ValueError(f"the peers do not have {', '.join(other) or 'a run without an average of G'}; take the defaults of ring "
                         "or digits")
    return Recipe(config.r1, config.beta1, config.beta2, config.ema, bounded)


class Engine(Protocol):
    """One engine that plays a recipe's game: arrays in, arrays out, flat samples (m, features), float32."""

    def step(self, x: np.ndarray, z_d: np.ndarray, z_g: np.ndarray, rate_d: float, rate_g: float) -> None: ...

    def wait(self) -> None: ...

    def samples(self, z: np.ndarray) -> np.ndarray: ...

    def weights(self) -> list[np.ndarray]: ...


class Tinygan:
    """The game of a run, its steps replayed as `tinygan train` does, on batches that are given."""

    def __init__(self, run: Run) -> None:
        self.run, self.replayed = run, Replayed(run.play, run.backend)
        self._z = np.empty((2, run.config.batch, run.config.z), np.float32)

    def step(self, x: np.ndarray, z_d: np.ndarray, z_g: np.ndarray, rate_d: float, rate_g: float) -> None:
        """Take a step: D on real x (m, features) and on fakes of z_d (m, n_z), then G on z_g (m, n_z), then its average."""
        game = self.run.game
        game.optim_d.rate, game.optim_g.rate = rate_d, rate_g
        self._z[0], self._z[1] = z_d, z_g
        self.replayed(x.reshape(1, *self.run.sampler.shape), self._z)

    def wait(self) -> None:
        """Do nothing: steps are over when they return."""

    def samples(self, z: np.ndarray) -> np.ndarray:
        """Return what the average of G makes of noise z (n, n_z): (n, features)."""
        made = samples_of(self.run.game.average or self.run.game.G, z, self.run.backend, np.random.default_rng(0))
        return made.reshape(len(made), -1)

    def weights(self) -> list[np.ndarray]:
        """Return copies of D's, G's and the average's parameters."""
        game = self.run.game
        players = (game.D, game.G, game.average or game.G)
        return [t.numpy().copy() for network in players for t in network.parameters().values()]

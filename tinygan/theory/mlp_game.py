"""A game of two MLPs whose equilibrium is known, and how fast it is reached: by the eigenvalues of a step, and by playing.

The data are what G itself makes of 32 fixed points z, so that p_g = p_data at its parameters; D's last layer is 0 there, so D = 1/2
everywhere. Neither player has a slope: an equilibrium, and near it the game is its Jacobian (Mescheder et al. 2018, section 3).
Where the last layer is 0, D's hidden weights move nothing and are not moved; they are held when eigenvalues are computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine.replay import Replayed
from tinygan.engine.tensor import Tensor
from tinygan.game.moves import Game
from tinygan.nn.init import glorot_uniform
from tinygan.nn.layers import Linear, Sequential
from tinygan.optim import SGD

from .update_maps import Field, alternating, derivative, leading_eigenvalues, simultaneous

HIDDEN_D, POINTS = 6, 32


@dataclass
class MlpGame:
    """The two networks at their equilibrium, G(z) 1-1-1 and s(x) 1-6-1 with tanh inside, on 32 points; float64, 23 parameters."""

    D: Sequential
    G: Sequential
    x: Tensor
    z: Tensor
    r1: float

    @property
    def field(self) -> Field:
        return Field(self.D, self.G, self.x, self.z, "nonsaturating", self.r1)

    @property
    def free(self) -> np.ndarray:
        """The vector (P,) that is 0 at D's hidden layer and 1 elsewhere."""
        held = sum(t.size for t in self.D.layers[0].parameters().values())
        return (np.arange(self.field.theta().size) >= held).astype(np.float64)


def mlp_game(backend: Backend, r1: float) -> MlpGame:
    """Return the game at its equilibrium, with R1 of weight r1. D's units are spread evenly over the data."""
    made: dict[str, Any] = {"backend": backend, "rng": np.random.default_rng(0), "dtype": np.float64, "init": glorot_uniform}
    D = Sequential(Linear(1, HIDDEN_D, act="tanh", **made), Linear(HIDDEN_D, 1, **made))
    G = Sequential(Linear(1, 1, act="tanh", **made), Linear(1, 1, **made))
    for t, value in zip(G.parameters().values(), (1.0, 0.5, 2.0, 0.0), strict=True):
        t.array[...] = value
    z = Tensor(np.linspace(-2, 2, POINTS)[:, None], backend)
    x = Tensor(G(z).numpy(), backend)
    places = np.linspace(x.numpy().min(), x.numpy().max(), HIDDEN_D)
    for t, at_equilibrium in zip(D.parameters().values(), (3.0, -3.0 * places, 0.0, 0.0), strict=True):
        t.array[...] = at_equilibrium
    return MlpGame(D, G, x, z, r1)


def predicted_radius(game: MlpGame, h: float, at_once: bool) -> float:
    """Return the spectral radius of a step of size h at the equilibrium, by Arnoldi iteration."""
    step = simultaneous(game.field, h) if at_once else alternating(game.field, h)
    return float(np.abs(leading_eigenvalues(step, game.field.theta(), game.free)[0]))


def field_eigenvalues(game: MlpGame) -> np.ndarray:
    """Return all eigenvalues of v's Jacobian in the free directions at the equilibrium, from the whole matrix."""
    kept = game.free.astype(bool)
    return np.linalg.eigvals(derivative(game.field, game.field.theta())[np.ix_(kept, kept)])


def critical_step(of_v: np.ndarray) -> float:
    """Return the step size above which simultaneous steps leave an equilibrium, from the eigenvalues l of v's Jacobian there.

    |1 + h l| = 1 at h = -2 Re l / |l|^2, and the least of these decides; Mescheder et al. 2017, Lemma 4.
    """
    return float((-2 * of_v.real / np.abs(of_v) ** 2).min())


def played_slopes(game: MlpGame, h: float, steps: int, at_once: bool, every: int, size: float) -> np.ndarray:
    """Play the game from near its equilibrium, and return |v| after every so many steps, from the start on.

    The free parameters begin a random vector of that size away. |v|, the length of both players' slopes, is 0 at any equilibrium,
    and falls at the rate of the distance. The steps are the game's own, `Game.alternating_step` or `Game.simultaneous_step`.
    """
    field, away = game.field, np.random.default_rng(1).standard_normal(game.field.theta().size)
    parameters = [*game.D.parameters().values(), *game.G.parameters().values()]
    shift, begin = size * game.free * away, 0
    for t in parameters:
        t.array[...] += shift[begin : begin + t.size].reshape(t.shape)
        begin += t.size
    played = Game(game.D, game.G, SGD(game.D.parameters(), h), SGD(game.G.parameters(), h), "nonsaturating", game.r1)

    def step(x: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        if at_once:
            played.simultaneous_step(x, z)
        else:
            played.alternating_step(lambda: x, lambda: z)
        return ()

    replayed, found = Replayed(step, game.x.backend), []
    for n in range(steps + 1):
        if n % every == 0:
            found.append(float(np.linalg.norm(field(field.theta()).numpy())))
        replayed(game.x.numpy(), game.z.numpy())
    return np.array(found)


def steps_to_see(factor: float, most: int) -> int:
    """Return in how many steps a factor below 1 falls to 1e-7, so that play stays above rounding; at most `most`."""
    return min(most, int(np.log(1e-7) / np.log(factor)))


def played_factor(game: MlpGame, h: float, steps: int, at_once: bool, size: float = 1e-4) -> float:
    """Return the factor per step by which |v| changes in the second half of a play, by a line through its logarithm."""
    every = 40
    logs = np.log(played_slopes(game, h, steps, at_once, every, size))
    half = len(logs) // 2
    return float(np.exp(np.polyfit(every * np.arange(half, len(logs)), logs[half:], 1)[0]))

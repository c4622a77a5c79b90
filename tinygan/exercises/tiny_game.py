"""A tiny game with every kind of layer in it, for kernels that somebody has just written: a few steps, on 6 x 6 pictures.

    played = play(load("cpu"))
    played.values                # V before each step
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from tinygan.game import Game
from tinygan.nn import BatchNorm, Conv2d, Flatten, LeakyReLU, Linear, Reshape, Sequential
from tinygan.optim import Adam

SIDE, NOISE, BATCH, HIDDEN = 6, 4, 8, 32
# Decays that float32 holds exactly: 1 - 0.999 would depend on which float precision the host computes in.
RATES: dict[str, float] = {"rate": 0.01, "beta1": 0.5, "beta2": 0.9375, "eps": 1e-4}


@dataclass(frozen=True)
class Played:
    """A game that was played. values: V before each step; parameters: theta_d, then theta_g, after the last one."""

    values: tuple[float, ...]
    parameters: np.ndarray

    def apart(self, other: Played) -> float:
        """Return the largest difference of a parameter, as a share of the largest parameter."""
        return float(np.abs(self.parameters - other.parameters).max() / np.abs(self.parameters).max())

    def beside(self, cpus: Played) -> str:
        """Return in words how this game, by somebody's own kernels, went beside that by the CPU's."""
        yours, theirs = (", ".join(f"{v:.6f}" for v in played.values) for played in (self, cpus))
        return (f"V at each step, by your kernels: {yours}\n                by the CPU's:    {theirs}\n"
                f"after the last no parameter is further from the CPU's than {self.apart(cpus):.0e} of the largest")  # fmt: skip


def play(backend: Backend, steps: int = 3, seed: int = 0) -> Played:
    """Play so many steps, always the same ones: G with batch norm against a D with a convolution, both moved by Adam, in float32.

    The data are noisy pictures with a bright left half. Raises what a launch on `backend` raises.
    """
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {"backend": backend, "rng": rng}
    G = Sequential(Linear(NOISE, HIDDEN, **made), BatchNorm(HIDDEN, backend=backend), LeakyReLU(0.2),
                   Linear(HIDDEN, SIDE * SIDE, **made), Reshape(SIDE, SIDE, 1))  # fmt: skip
    D = Sequential(Conv2d(1, 8, 3, stride=2, pad=1, act="leaky_relu", slope=0.2, **made), Flatten(),
                   Linear(8 * (SIDE // 2) ** 2, 1, **made))  # fmt: skip
    game = Game(D, G, Adam(D, **RATES), Adam(G, **RATES))

    def batch() -> Any:
        pictures = rng.normal(0, 0.3, (BATCH, SIDE, SIDE, 1))
        pictures[:, :, : SIDE // 2] += 1
        return pictures.astype(np.float32)

    def noise() -> Any:
        return rng.normal(size=(BATCH, NOISE)).astype(np.float32)

    values = tuple(float(game.alternating_step(batch, noise).goal) for _ in range(steps))
    ends = [theta.numpy().reshape(-1) for player in (D, G) for theta in player.parameters().values()]
    return Played(values, np.concatenate(ends))

"""The Dirac-GAN, the smallest game that does not converge: played by the engine, and as two lines of arithmetic for long runs.

The data are the point 0, G is the point theta, and D's logit at x is psi x (Mescheder et al. 2018, section 2, arXiv 1801.04406).
The equilibrium is theta = psi = 0; a radius is the distance from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.replay import Replayed
from tinygan.engine.tensor import Tensor
from tinygan.game.moves import Game
from tinygan.game.penalties import squared_slope, variable
from tinygan.game.remedies import Remedies
from tinygan.nn.layers import Layer
from tinygan.optim import SGD

from .vector_field import jacobian, velocity

Player = Literal["D", "G"]


class PointG(Layer):
    """G(z) = theta, whatever z: all of its mass in one point."""

    def __init__(self, theta: float, backend: Backend) -> None:
        self.theta = Tensor(np.array([[theta]]), backend, requires_grad=True)

    def __call__(self, z: Tensor) -> Tensor:
        return ops.broadcast_to(self.theta, (z.shape[0], 1))


class LineD(Layer):
    """s(x) = psi x."""

    def __init__(self, psi: float, backend: Backend) -> None:
        self.psi = Tensor(np.array([[psi]]), backend, requires_grad=True)

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.psi


def dirac_game(
    backend: Backend, start: tuple[float, float], h: float, objective: str, gamma: float = 0.0, r2: float = 0.0
) -> Game:
    """Return the Dirac-GAN at (theta, psi) = start, with plain gradient steps of size h for both, R1 of weight gamma, and R2."""
    G, D = PointG(start[0], backend), LineD(start[1], backend)
    return Game(D, G, SGD(D.parameters(), h), SGD(G.parameters(), h), objective, gamma, remedies=Remedies(r2=r2))


def dirac_path(
    backend: Backend, alternating: bool, gamma: float = 0.0, *, start: tuple[float, float] = (1.0, -1.0), h: float = 0.2,
    steps: int = 500, objective: str = "minimax", k: int = 1, first: Player = "D", r2: float = 0.0,
) -> np.ndarray:
    """Play the Dirac-GAN, whose data is the point 0. Returns (theta, psi) from the start on, as (steps + 1, 2).

    Alternating: D takes k steps for each of G's, and `first` says who begins, "D" or "G". Raises ValueError for another `first`,
    for a k below 1, and for a k or a first player of simultaneous steps, in which both move at once.
    """
    _check_turns(alternating, k, first)
    game = dirac_game(backend, start, h, objective, gamma, r2)
    zero = Tensor(np.zeros((1, 1)), backend)

    def step() -> tuple[Tensor, ...]:
        if not alternating:
            game.simultaneous_step(zero, zero)
        elif first == "D":
            game.alternating_step(lambda: zero, lambda: zero, k)
        else:
            game.descend_g(zero, zero)
            for _ in range(k):
                game.ascend_d(zero, zero)
        return ()

    replayed, path = Replayed(step, backend), [start]
    for _ in range(steps):
        replayed()
        path.append((float(game.G.theta), float(game.D.psi)))
    return np.array(path)


def _check_turns(alternating: bool, k: int, first: str) -> None:
    if first not in ("D", "G"):
        raise ValueError(f"first is {first!r}, it has to be 'D' or 'G': the player that moves first")
    if k < 1:
        raise ValueError(f"k is {k}; D has to take at least one step for each of G's")
    if not alternating and (k, first) != (1, "D"):
        raise ValueError(f"k is {k} and first is {first!r}, but simultaneous players move once each, at once; leave both out")


def recursion(
    alternating: bool, objective: str = "minimax", gamma: float = 0.0, *, start: tuple[float, float] = (1.0, -1.0), h: float = 0.2,
    steps: int = 500, k: int = 1, first: Player = "D",
) -> np.ndarray:
    """Compute the path (steps + 1, 2) of `dirac_path` from the two slopes on paper, without the engine: fast enough for 1e6 steps.

    With u = psi theta:  dV/dpsi = -sigma(u) theta - gamma psi.  G's move is +sigma(u) psi in the minimax game, and +sigma(-u) psi
    in the non-saturating one. Raises ValueError for other objectives, and as `dirac_path` does.
    """
    _check_turns(alternating, k, first)
    if objective not in ("minimax", "nonsaturating"):
        raise ValueError(f"objective is {objective!r}; the recursion knows 'minimax' and 'nonsaturating'")
    sign = 0.5 if objective == "minimax" else -0.5
    theta, psi = start
    path = np.empty((steps + 1, 2))
    path[0] = start
    tanh = math.tanh  # sigma(u) = (1 + tanh(u / 2)) / 2, which no u overflows
    for n in range(1, steps + 1):
        if not alternating:
            half = tanh(0.5 * psi * theta)
            theta, psi = theta + h * (0.5 + sign * half) * psi, psi - h * ((0.5 + 0.5 * half) * theta + gamma * psi)
        else:
            if first == "G":
                theta += h * (0.5 + sign * tanh(0.5 * psi * theta)) * psi
            for _ in range(k):
                psi -= h * ((0.5 + 0.5 * tanh(0.5 * psi * theta)) * theta + gamma * psi)
            if first == "D":
                theta += h * (0.5 + sign * tanh(0.5 * psi * theta)) * psi
        path[n] = theta, psi
    return path


def radii(path: np.ndarray) -> np.ndarray:
    """Return the distance from the equilibrium (n,) at each point of a path (n, 2)."""
    return np.linalg.norm(path, axis=1)


def dirac_eigenvalues(
    backend: Backend, goal_d: Callable[[Tensor, Tensor], Tensor], loss_g: Callable[[Tensor], Tensor], gamma: float = 0.0
) -> np.ndarray:
    """Compute the eigenvalues (2,) of v's Jacobian at the equilibrium theta = psi = 0, with R1 of weight gamma.

    The eigenvalue with the lowest imaginary part comes first. loss_g(s_fake) is what G descends.
    """
    G, D = PointG(0.0, backend), LineD(0.0, backend)
    zero = Tensor(np.zeros((1, 1)), backend)
    real, fake = variable(zero), G(zero)
    s_real, s_fake = D(real), D(fake)
    goal = goal_d(s_real, s_fake) - squared_slope(s_real, real, gamma)
    theta = [D.psi, G.theta]
    found = np.linalg.eigvals(jacobian(velocity(goal, loss_g(s_fake), theta[:1], theta[1:]), theta))
    return found[np.lexsort((found.real, found.imag))]

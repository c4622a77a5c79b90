"""Claims about the optimal D: Proposition 1 and Theorem 1, the equilibrium, and the trap in its value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor
from tinygan.game.moves import Game
from tinygan.game.objectives import LOG4
from tinygan.measure.best_d import ascend_to_optimum, weighted_value
from tinygan.measure.densities import grid, jsd, mixture_density, normal_density, optimal
from tinygan.nn.init import glorot_uniform
from tinygan.nn.layers import Layer, Linear, Sequential
from tinygan.optim import Adam

from .claim import Claim, Measured


@dataclass(frozen=True)
class FixedG:
    """A fixed G beside the data: the points of a grid (n, d), and the probabilities of their cells under data (p) and G (q)."""

    points: np.ndarray
    p: np.ndarray
    q: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, data: np.ndarray, generated: np.ndarray) -> FixedG:
        return cls(points, data / data.sum(), generated / generated.sum())

    @property
    def jsd(self) -> float:
        return jsd(self.p, self.q)


def one_dimension() -> FixedG:
    """Return the grid and the densities in 1-d. Data: two Gaussians at -1 and 1.5, std 0.6. G(z) = 0.9 z + 0.5."""
    x = grid(-6, 7, 400, 1)
    return FixedG.of(x, mixture_density(x, np.array([[-1.0], [1.5]]), 0.6), normal_density(x, np.array([0.5]), np.array([[0.9]])))


def two_dimensions() -> FixedG:
    """Return the grid and the densities in 2-d. Data: four Gaussians at (+-1, +-1), std 0.5. G(z) = z A + (0.3, -0.2)."""
    x = grid(-5, 5, 48, 2)
    centres = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    factor = np.array([[1.0, 0.3], [0.0, 0.8]])
    return FixedG.of(x, mixture_density(x, centres, 0.5), normal_density(x, np.array([0.3, -0.2]), factor))


def fresh_d(inputs: int, backend: Backend, seed: int = 0, width: int = 24) -> Sequential:
    """Return an untrained D with two hidden layers of tanh: smooth, so that a quasi-Newton method can finish its work."""
    made = {"backend": backend, "rng": np.random.default_rng(seed), "dtype": np.float64, "init": glorot_uniform}
    hidden = [Linear(inputs, width, act="tanh", **made), Linear(width, width, act="tanh", **made)]
    return Sequential(*hidden, Linear(width, 1, **made))


def trained(fixed: FixedG, backend: Backend) -> tuple[float, np.ndarray]:
    """Train D to its optimum against a fixed G. Returns V, and D at the grid's points (n,)."""
    D = fresh_d(fixed.points.shape[1], backend)
    x, p, q = (Tensor(a.reshape(len(fixed.points), -1), backend) for a in (fixed.points, fixed.p, fixed.q))
    v = ascend_to_optimum(D, lambda: weighted_value(D(x), p, q))
    return v, ops.sigmoid(D(x)).numpy()[:, 0]


def _at_optimum(fixed: FixedG, backend: Backend) -> list[Measured]:
    """Measure how near a trained D comes to D*, and V to -log 4 + 2 JSD."""
    v, d = trained(fixed, backend)
    distance = float((np.abs(d - optimal(fixed.p, fixed.q)) * (fixed.p + fixed.q) / 2).sum())
    return [
        Measured("E |D - D*| under (p_data + p_g)/2", distance, 0, 3e-3),
        Measured("V against -log 4 + 2 JSD", v, -LOG4 + 2 * fixed.jsd, 1e-4),
        Measured("2 JSD, for scale", 2 * fixed.jsd, 0.05, relation=">="),
    ]


def optimum_1d(backend: Backend) -> list[Measured]:
    return _at_optimum(one_dimension(), backend)


def optimum_2d(backend: Backend) -> list[Measured]:
    return _at_optimum(two_dimensions(), backend)


def equilibrium(backend: Backend) -> list[Measured]:
    fixed = one_dimension()
    v, d = trained(FixedG(fixed.points, fixed.p, fixed.p), backend)
    return [
        Measured("V of a trained D where p_g = p_data", v, -LOG4, 1e-6),
        Measured("E |D - 1/2|", float((np.abs(d - 0.5) * fixed.p).sum()), 0, 1e-3),
        Measured("V of a trained D elsewhere: nowhere is max_D V lower", trained(fixed, backend)[0], -LOG4, relation=">="),
    ]


def constant_d(backend: Backend) -> list[Measured]:
    """Measure V = -log 4 although p_g is far from p_data, as D never learnt; a D retrained on samples tells the two apart."""
    from tinygan.measure.best_d import retrained_value

    fixed = one_dimension()
    D = fresh_d(1, backend)
    for t in D.layers[-1].parameters().values():
        t.array[...] = 0
    x, p, q = (Tensor(a.reshape(len(fixed.points), 1), backend) for a in (fixed.points, fixed.p, fixed.q))
    rng = np.random.default_rng(2)

    def drawn(weights: np.ndarray) -> np.ndarray:
        return fixed.points[rng.choice(len(fixed.points), 4096, p=weights)]

    def gap(generated: np.ndarray) -> float:
        return retrained_value(fresh_d(1, backend, seed=1), drawn(fixed.p), drawn(generated), rng).gap

    return [
        Measured("V of the constant D, p_g far from p_data", float(weighted_value(D(x), p, q)), -LOG4, 1e-12),
        Measured("V + log 4 of a retrained D there, against 2 JSD", gap(fixed.q), 2 * fixed.jsd, 0.03),
        Measured("V + log 4 of a retrained D where p_g = p_data", gap(fixed.p), 0, 0.03),
    ]


# ---- 7: Algorithm 1 while G learns --------------------------------------------------------------------------------------------


class LineG(Layer):
    """G(z) = a z + b, whose density is known: N(b, a^2)."""

    def __init__(self, a: float, b: float, backend: Backend) -> None:
        self.a, self.b = (Tensor(np.array([[v]]), backend, requires_grad=True) for v in (a, b))

    def __call__(self, z: Tensor) -> Tensor:
        return z @ self.a + self.b


def distance_along(k: int, backend: Backend, steps: int = 60, m: int = 256) -> float:
    """Return the mean of E |D - D*| over the steps of Algorithm 1, D* being the optimal D for the G of each step.

    Data N(2, 0.5^2), G starts at N(-1, 1); k steps of D for each of G.
    """
    rng = np.random.default_rng(3)
    G, D = LineG(1.0, -1.0, backend), fresh_d(1, backend)
    game = Game(D, G, Adam(D.parameters(), 5e-3), Adam(G.parameters(), 2e-2), "nonsaturating")
    x = grid(-6, 6, 300, 1)
    p = mixture_density(x, np.array([[2.0]]), 0.5)
    points, distances = Tensor(x, backend), []

    def batch() -> Tensor:
        return Tensor(2 + 0.5 * rng.standard_normal((m, 1)), backend)

    def noise() -> Tensor:
        return Tensor(rng.standard_normal((m, 1)), backend)

    for _ in range(steps):
        # Algorithm 1 in its two halves, as the distance is that of D after its k steps, before G moves
        for _ in range(k):
            game.ascend_d(batch(), noise())
        fixed = FixedG.of(x, p, normal_density(x, G.b.numpy()[0], G.a.numpy()) + 1e-300)
        d = ops.sigmoid(D(points)).numpy()[:, 0]
        distances.append(float((np.abs(d - optimal(fixed.p, fixed.q)) * (fixed.p + fixed.q) / 2).sum()))
        game.descend_g(noise())
    return float(np.mean(distances))


def more_steps_of_d(backend: Backend) -> list[Measured]:
    one, five, twenty = (distance_along(k, backend) for k in (1, 5, 20))
    return [
        Measured("k = 1: mean E |D - D*| while G learns", one, 0.5, relation="<="),
        Measured("k = 5, against k = 1", five, one, relation="<="),
        Measured("k = 20, against k = 5", twenty, five, relation="<="),
        Measured("k = 20, against half of k = 1", twenty, one / 2, relation="<="),
    ]


_PAPER = "Goodfellow et al. 2014"
CLAIMS = [
    Claim("optimal-d-1d", 3, "D trained to its optimum is p_data/(p_data + p_g), and V is -log 4 + 2 JSD: on a line",
          f"{_PAPER}, Proposition 1, Theorem 1", "what two layers of 24 units leave of D*; V, flat at its top, loses the square",
          optimum_1d),
    Claim("optimal-d-2d", 3, "the same in the plane", f"{_PAPER}, Proposition 1, Theorem 1", "as on a line", optimum_2d),
    Claim("equilibrium", 4, "at p_g = p_data the best D is 1/2 everywhere and V = -log 4", f"{_PAPER}, Theorem 1",
          "constants are exactly representable by D; L-BFGS stops near 1e-6", equilibrium),
    Claim("constant-d", 4, "the trap: an untrained constant D gives V = -log 4 too; a retrained D tells them apart",
          f"{_PAPER}, Theorem 1", "2 x 4,096 samples: V's standard error is about 0.01 nats", constant_d),
    Claim("k-steps", 7, "more steps of D for each of G keep D nearer to D* while G learns", f"{_PAPER}, Algorithm 1",
          "an order, not a value: distances shrink from k = 1 to 5 to 20", more_steps_of_d),
]

"""Claims about the optimal D: Proposition 1 and Theorem 1, the equilibrium, and the trap in its value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.replay import Replayed
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


def trained(fixed: FixedG, backend: Backend, iterations: int = 500) -> tuple[float, np.ndarray]:
    """Train D towards its optimum against a fixed G, by at most so many iterations. Returns V, and D at the grid's points (n,)."""
    D = fresh_d(fixed.points.shape[1], backend)
    x, p, q = (Tensor(a.reshape(len(fixed.points), -1), backend) for a in (fixed.points, fixed.p, fixed.q))
    v = ascend_to_optimum(D, lambda: weighted_value(D(x), p, q), iterations)
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
        *_elsewhere(backend),
    ]


# Other Gs, N(b, a^2) as (a, b): far from the data and near, among them the Gaussian with the data's own mean and variance.
OTHERS = ((0.9, 0.5), (0.9, -2.0), (0.4, 1.5), (2.5, 0.25), (1.39, 0.25), (1.2, 0.6))


def _elsewhere(backend: Backend) -> list[Measured]:
    """Measure V of a D trained for a while against each other G: a lower bound of max_D V, so above -log 4 by itself a proof."""
    x, measured = one_dimension().points, []
    for a, b in OTHERS:
        fixed = FixedG.of(x, mixture_density(x, np.array([[-1.0], [1.5]]), 0.6), normal_density(x, np.array([b]), np.array([[a]])))
        v = trained(fixed, backend, 60)[0]
        what = f"p_g = N({b:g}, {a:g}^2): max_D V is above -log 4, by at least 90 % of 2 JSD = {2 * fixed.jsd:.4f}"
        measured.append(Measured(what, v + LOG4, 1.8 * fixed.jsd, relation=">="))
    least = min(m.value for m in measured)
    return [*measured, Measured("the least of these rises above -log 4", least, 0.01, relation=">=")]


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


def distance_along(k: int, backend: Backend, seed: int = 3, steps: int = 40, m: int = 256) -> float:
    """Return the mean of E |D - D*| over the steps of Algorithm 1, D* being the optimal D for the G of each step.

    Data N(2, 0.5^2), G starts at N(-1, 1); k steps of D for each of G. The seed is that of D's first weights and of all draws.
    """
    rng = np.random.default_rng(seed)
    G, D = LineG(1.0, -1.0, backend), fresh_d(1, backend, seed)
    game = Game(D, G, Adam(D.parameters(), 5e-3), Adam(G.parameters(), 2e-2), "nonsaturating")
    x = grid(-6, 6, 300, 1)
    p = mixture_density(x, np.array([[2.0]]), 0.5)
    points, distances = Tensor(x, backend), []

    def ascend(real: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        game.ascend_d(real, z)
        return ()

    def descend(z: Tensor) -> tuple[Tensor, ...]:
        game.descend_g(z)
        return ()

    def noise() -> np.ndarray:
        return rng.standard_normal((m, 1))

    ascend_d, judged, descend_g = (Replayed(part, backend) for part in (ascend, lambda: (ops.sigmoid(D(points)),), descend))
    for _ in range(steps):
        # Algorithm 1 in its two halves, as the distance is that of D after its k steps, before G moves
        for _ in range(k):
            ascend_d(2 + 0.5 * noise(), noise())
        fixed = FixedG.of(x, p, normal_density(x, G.b.numpy()[0], G.a.numpy()) + 1e-300)
        d = judged()[0].numpy()[:, 0]
        distances.append(float((np.abs(d - optimal(fixed.p, fixed.q)) * (fixed.p + fixed.q) / 2).sum()))
        descend_g(noise())
    return float(np.mean(distances))


SEEDS = range(5)


def more_steps_of_d(backend: Backend) -> list[Measured]:
    one, five, twenty = (np.array([distance_along(k, backend, seed) for seed in SEEDS]) for k in (1, 5, 20))
    measured = [Measured("k = 1: E |D - D*| while G learns, mean of 5 seeds", float(one.mean()), 0.5, relation="<=")]
    for name, more, fewer in (("k = 5 over k = 1", five, one), ("k = 20 over k = 5", twenty, five)):
        ratio = np.log(more / fewer)
        margin = -float(ratio.mean() / (ratio.std(ddof=1) / np.sqrt(len(ratio))))
        measured += [
            Measured(f"{name}, seed by seed: the mean ratio", float(np.exp(ratio.mean())), 0.7, relation="<="),
            Measured(f"{name}: the largest of 5 ratios", float(np.exp(ratio.max())), 0.9, relation="<="),
            Measured(f"{name}: by how many standard errors its logarithm is below 0", margin, 4, relation=">="),
        ]
    return measured


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
          "an order, with a margin: distances shrink from k = 1 to 5 to 20 in each of five seeds", more_steps_of_d),
]

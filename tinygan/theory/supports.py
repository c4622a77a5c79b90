"""Claims about supports: how few different samples a G makes, and the perfect D of a G whose support misses the data's.

Arora and Zhang 2018 count what a G can make by the birthday paradox (measure/birthday.py). Arjovsky and Bottou 2017 (arXiv
1701.04862) let data and G lie on two lines that do not meet. A D then separates them perfectly, JSD is log 2 however near the lines
are, and G gets no gradient from V; noise on both makes the supports overlap, and the gradient is that of the divergence again.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from tinygan_kernels import Backend

from tinygan import data
from tinygan.data.named import ring_centres
from tinygan.engine import ops
from tinygan.engine.tensor import Tensor, gradients
from tinygan.game import objectives
from tinygan.measure.best_d import ascend_to_optimum, weighted_value
from tinygan.measure.birthday import birthday_test
from tinygan.measure.densities import grid, jsd, mixture_density, optimal

from .claim import Claim, Measured
from .collapse import STD
from .optimal_d import FixedG, fresh_d
from .value import two_layer_players

# ---- the birthday test --------------------------------------------------------------------------------------------------------

NEAR = 0.02  # two points of the ring this near count as the same


def support_of_ring(tolerance: float = NEAR) -> float:
    """Return what the test has to find for exact samples of the eight Gaussians: 1 / P(two of them are within the tolerance).

    Within a mode the difference is N(0, 2 std^2 I), so its length is below t with 1 - exp(-t^2 / (4 std^2)); two modes are too far
    apart to count.
    """
    return 8 / float(-np.expm1(-(tolerance**2) / (4 * STD**2)))


def ring_support(points: np.ndarray, rng: np.random.Generator) -> float:
    """Return the support that the birthday test finds in points (n, 2): batches of 32 of them, 600 times."""
    return birthday_test(lambda n: points[rng.choice(len(points), n, replace=False)], 32, 600, NEAR).support


def birthday(backend: Backend) -> list[Measured]:
    rng = np.random.default_rng(0)
    digits = np.asarray(data.load("digits").x)
    few = digits[rng.choice(len(digits), 400, replace=False)]
    uneven = np.r_[np.full(20, 0.5 / 20), np.full(380, 0.5 / 380)]
    exact = ring_centres()[rng.integers(8, size=1024)] + STD * rng.standard_normal((1024, 2))
    G, _ = two_layer_players(backend, rng)

    def of_g(z: np.ndarray) -> np.ndarray:
        return G(Tensor(z.astype(np.float64), backend)).numpy()

    found = {
        "400 digits, each as likely": (birthday_test(lambda n: few[rng.integers(400, size=n)], 24, 1000).support, 400.0, 60.0),
        "all 1,797 digits": (birthday_test(lambda n: digits[rng.integers(len(digits), size=n)], 50, 1000).support, 1797.0, 270.0),
        "400 digits, half the draws from 20 of them": (
            birthday_test(lambda n: few[rng.choice(400, n, p=uneven)], 11, 1000).support, 1 / float((uneven**2).sum()), 12.0),
        "a G whose z has 3 coordinates of 5 values each": (
            birthday_test(lambda n: of_g(rng.integers(5, size=(n, 3))), 14, 1000).support, 125.0, 19.0),
        f"1,024 exact samples of the ring, the same if within {NEAR}": (ring_support(exact, rng), support_of_ring(), 160.0),
    }
    normal = birthday_test(lambda n: of_g(rng.standard_normal((n, 3))), 14, 200)
    return [
        *(Measured(f"{name}: support found", value, expected, allowed) for name, (value, expected, allowed) in found.items()),
        Measured("the same G with z from N(0, 1): batches with a repeat", normal.share, 0),
    ]


# ---- the perfect D ------------------------------------------------------------------------------------------------------------

THETA, ON_A_LINE = 0.3, 40


@cache
def on_lines(backend: Backend, iterations: int, theta: float = THETA) -> tuple[float, float, float]:
    """Train D for some iterations on data (0, y) and fakes (theta, y), 40 values of y in [0, 1]. Returns V and two slopes.

    They are dV/dtheta, what G descends in the minimax game, and that of -E log D, what it descends in the non-saturating one.
    """
    y = np.linspace(0, 1, ON_A_LINE)
    points = Tensor(_lines(theta), backend)
    p = np.repeat([1 / ON_A_LINE, 0.0], ON_A_LINE)[:, None]
    D, of_data, of_g = fresh_d(2, backend), Tensor(p, backend), Tensor(p[::-1].copy(), backend)
    v = ascend_to_optimum(D, lambda: weighted_value(D(points), of_data, of_g), iterations)
    place = Tensor(np.array([[theta]]), backend, requires_grad=True)
    s = D(ops.concat([ops.broadcast_to(place, (ON_A_LINE, 1)), Tensor(y[:, None], backend)], axis=1))
    slopes = [float(gradients(loss(s), [place])[0]) for loss in (objectives.minimax, objectives.nonsaturating)]
    return v, abs(slopes[0]), abs(slopes[1])


def _lines(theta: float) -> np.ndarray:
    """Return the points (2 ON_A_LINE, 2) of data, (0, y), and then those of the fakes, (theta, y), for y in [0, 1]."""
    y = np.linspace(0, 1, ON_A_LINE)
    return np.concatenate([np.stack([0 * y, y], axis=1), np.stack([0 * y + theta, y], axis=1)])


def divergence_of_lines(theta: float) -> float:
    """Return JSD of the two lines, each point of a line as likely: a point that both have is one point."""
    places, of = np.unique(_lines(theta), axis=0, return_inverse=True)
    p, q = (np.bincount(part, minlength=len(places)) / ON_A_LINE for part in np.split(of.reshape(-1), 2))
    return jsd(p, q)


def perfect_d(backend: Backend) -> list[Measured]:
    early, middle, late = (on_lines(backend, iterations) for iterations in (3, 10, 100))
    log2 = float(np.log(2))
    divergences = [Measured(f"lines at a distance of {d:g}: JSD", divergence_of_lines(d), log2, 1e-15) for d in (0.01, 0.3, 1.0)]
    return [
        Measured("lines at a distance of 0: JSD", divergence_of_lines(0.0), 0, 1e-15),
        *divergences,
        Measured("V of a D trained for 3 iterations", early[0], -0.3, relation="<="),
        Measured("V of a D trained for 100 iterations: a perfect D", late[0], 0, 1e-6),
        Measured("|dV/dtheta|, G's gradient, after 3 iterations of D", early[1], 0.3, relation=">="),
        Measured("|dV/dtheta|, G's gradient, after 10 iterations of D", middle[1], 0.1, relation="<="),
        Measured("|dV/dtheta|, G's gradient, after 100 iterations of D", late[1], 0, 1e-5),
        Measured("the non-saturating gradient after 100 iterations of D, over that after 3", late[2] / early[2], 2, relation=">="),
    ]


def noisy_lines(noise: float, theta: float = THETA) -> FixedG:
    """Return data and fakes across the lines, with Gaussian noise on both: N(0, noise^2) and N(theta, noise^2) on a grid."""
    x = grid(-6 * noise, THETA + 6 * noise, 400, 1)  # that of THETA, so that a difference in theta is not one of grids
    return FixedG.of(x, *(mixture_density(x, np.array([[centre]]), noise) for centre in (0.0, theta)))


def noisy_pull(noise: float, backend: Backend) -> tuple[float, float, float]:
    """Train D on the noisy lines. Returns its distance from D*, dV/dtheta at that D, and 2 dJSD/dtheta by differences.

    The last two are the same at D* (Danskin's theorem): V's slope in theta is then that of its maximum over D.
    """
    fixed, D = noisy_lines(noise), fresh_d(1, backend)
    x, p, q = (Tensor(a.reshape(-1, 1), backend) for a in (fixed.points, fixed.p, fixed.q))
    ascend_to_optimum(D, lambda: weighted_value(D(x), p, q), 120)
    s = D(x).numpy()[:, 0]
    distance = float((np.abs(1 / (1 + np.exp(-s)) - optimal(fixed.p, fixed.q)) * (fixed.p + fixed.q) / 2).sum())
    slope_of_q = fixed.q * (fixed.points[:, 0] - THETA) / noise**2  # d q / d theta of a Gaussian around theta
    pull = float((slope_of_q * -np.logaddexp(0, s)).sum())
    far, near = (noisy_lines(noise, THETA + step).jsd for step in (1e-4, -1e-4))
    return distance, pull, 2 * (far - near) / 2e-4


def with_noise(backend: Backend) -> list[Measured]:
    measured = []
    for noise in (0.1, 0.3):
        distance, pull, slope = noisy_pull(noise, backend)
        measured += [
            Measured(f"noise {noise:g}: JSD of the lines at 0.3", noisy_lines(noise).jsd, float(np.log(2)) - 0.05, relation="<="),
            Measured(f"noise {noise:g}: E |D - D*| of a trained D", distance, 0, 3e-3),
            Measured(f"noise {noise:g}: dV/dtheta at that D, against 2 dJSD/dtheta", pull, slope, 0.03 * slope),
            Measured(f"noise {noise:g}: that slope", slope, 0.5, relation=">="),
        ]
    return measured


_TEST = "Arora and Zhang 2018, section 2"
CLAIMS = [
    Claim("birthday", 11, "the birthday test finds the size of a support from repeats in small batches, of data and of a G",
          _TEST, "1,000 or 600 batches: the share of those with a repeat is known to some percent", birthday),
    Claim("perfect-d", 11, "on supports that do not meet, D becomes perfect, JSD is log 2 at any distance, V gives G no gradient",
          "Arjovsky and Bottou 2017, Theorems 2.1, 2.3, 2.4 and 2.6",
          "what L-BFGS leaves of V = 0, which it nears for ever", perfect_d),
    Claim("perfect-d-noise", 11, "with noise on both, D* is no longer perfect, and G's gradient is that of the divergence",
          "Arjovsky and Bottou 2017, Theorem 3.2", "what two layers of 24 units leave of D*", with_noise),
]

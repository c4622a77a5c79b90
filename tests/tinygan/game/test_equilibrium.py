"""The game as a whole against theory: D trained to its optimum, and the radii of the Dirac-GAN."""

import math

import numpy as np
import pytest
from engine_parts import REFERENCE, constant
from scipy import integrate, stats

from tinygan import Tensor, gradients
from tinygan.engine import ops
from tinygan.game.moves import Game
from tinygan.game.objectives import V
from tinygan.nn.layers import Layer, Linear, Sequential
from tinygan.optim import SGD, Adam

# ---- D at its optimum -----------------------------------------------------------------------------------------------------------

P, Q = stats.norm(0.0, 1.0), stats.norm(1.5, 0.7)


class Affine(Layer):
    """G(z) = shift + scale z: noise from N(0, 1) becomes a Gaussian."""

    def __init__(self, shift, scale):
        self.shift, self.scale = (Tensor(np.array([v]), REFERENCE, requires_grad=True) for v in (shift, scale))

    def __call__(self, z):
        return self.shift + self.scale * z


def jensen_shannon():
    """Compute JSD(p, q) in nats by adaptive quadrature."""
    def integrand(x):
        p, q = P.pdf(x), Q.pdf(x)
        return 0.5 * (p * math.log(2 * p / (p + q)) + q * math.log(2 * q / (p + q)))

    return integrate.quad(integrand, -8, 8, points=[0, 1.5], epsabs=1e-10)[0]


def test_d_reaches_its_optimum_on_two_fixed_gaussians():
    """Goodfellow et al. 2014, Proposition 1 and Theorem 1: D* = p / (p + q), and V(D*, G) = -log 4 + 2 JSD(p, q).

    The batches are quantiles rather than draws, so that a mean over one is an integral and nothing is random.
    """
    quantiles = stats.norm.ppf((np.arange(600) + 0.5) / 600)[:, None]
    x, z = constant(quantiles), constant(quantiles)
    made = {"backend": REFERENCE, "rng": np.random.default_rng(0), "dtype": np.float64}
    D = Sequential(Linear(1, 16, act="tanh", **made), Linear(16, 16, act="tanh", **made), Linear(16, 1, **made))
    G = Affine(1.5, 0.7)
    game = Game(D, G, Adam(D.parameters(), 0.02, beta1=0.9), SGD(G.parameters(), 1.0))
    steps = 700
    for step in range(steps):
        game.optim_d.rate = 0.02 * (1 - step / steps)
        game.ascend_d(x, z)
    points = np.linspace(-2, 3, 101)  # where there are samples to learn from
    optimum = P.pdf(points) / (P.pdf(points) + Q.pdf(points))
    d = ops.sigmoid(D(constant(points[:, None]))).numpy()[:, 0]
    target = -math.log(4) + 2 * jensen_shannon()
    assert float(V(D, G, x, z)) == pytest.approx(target, abs=2e-3)
    np.testing.assert_allclose(d, optimum, atol=0.02)
    assert target > -math.log(4) + 0.3, "a D that never learnt has V = -log 4 and must not pass"
    assert (float(G.shift.numpy()[0]), float(G.scale.numpy()[0])) == (1.5, 0.7)


def test_no_d_does_better_than_the_optimum():
    """V is concave in the logits and stationary at log(p / q): every way off it loses."""
    grid = np.linspace(-9, 10, 4001)[:, None]
    p, q = (constant(f.pdf(grid) * len(grid) * (grid[1] - grid[0])) for f in (P, Q))

    def v(s):  # V by quadrature: the integral of p log D + q log(1 - D)
        return ops.mean(p * ops.log_sigmoid(s) + q * ops.log_sigmoid(-s))

    best = np.log(P.pdf(grid) / Q.pdf(grid))
    s = Tensor(best, REFERENCE, requires_grad=True)
    assert float(v(s)) == pytest.approx(-math.log(4) + 2 * jensen_shannon(), abs=1e-6)
    assert np.abs(gradients(v(s), [s])[0].numpy()).max() < 1e-12
    for change in (0.1, -0.1, 0.1 * np.sin(grid), -0.5 * best):
        assert float(v(constant(best + change))) < float(v(s)) - 1e-4


# ---- the Dirac-GAN (Mescheder et al. 2018, section 2) ---------------------------------------------------------------------------


class Slope(Layer):
    """D's logit s(x) = psi x."""

    def __init__(self, psi):
        self.psi = Tensor(np.array([[psi]]), REFERENCE, requires_grad=True)

    def __call__(self, x):
        return x @ self.psi


class Point(Layer):
    """G(z) = theta, wherever z is."""

    def __init__(self, theta):
        self.theta = Tensor(np.array([theta]), REFERENCE, requires_grad=True)

    def __call__(self, z):
        return ops.broadcast_to(self.theta, (z.shape[0], 1))


def dirac(update, r1=0.0, h=0.2, steps=500):
    """Return the radius after every step, from (theta, psi) = (1, -1); the data are a single point at 0."""
    D, G = Slope(-1.0), Point(1.0)
    game = Game(D, G, SGD(D.parameters(), h), SGD(G.parameters(), h), objective="minimax", r1=r1)
    x = z = constant([[0.0]])
    radii = []
    for _ in range(steps):
        if update == "simultaneous":
            game.simultaneous_step(x, z)
        else:
            game.alternating_step(lambda: x, lambda: z)
        radii.append(math.hypot(float(G.theta), float(D.psi)))
    return np.array(radii)


def dirac_by_hand(update, r1=0.0, h=0.2, steps=500):
    """V = log 1/2 + log sigma(-psi theta): dV/dpsi = -theta sigma(psi theta), dV/dtheta = -psi sigma(psi theta)."""
    sigma = lambda s: 1 / (1 + math.exp(-s))  # noqa: E731
    theta, psi, radii = 1.0, -1.0, []
    for _ in range(steps):
        moved = psi + h * (-theta * sigma(psi * theta) - r1 * psi)
        seen = psi if update == "simultaneous" else moved
        theta, psi = theta - h * (-seen * sigma(seen * theta)), moved
        radii.append(math.hypot(theta, psi))
    return np.array(radii)


@pytest.mark.parametrize(("update", "r1", "radius"), [
    ("simultaneous", 0.0, "3.09695"), ("alternating", 0.0, "1.4126"), ("simultaneous", 0.3, "2.643e-06"),
])
def test_the_dirac_gan_spirals_orbits_or_converges(update, r1, radius):
    radii = dirac(update, r1)
    np.testing.assert_allclose(radii, dirac_by_hand(update, r1), rtol=1e-9)
    digits = len(radius.split("e")[0]) - 1
    assert f"{radii[-1]:.{digits}g}" == f"{float(radius):.{digits}g}"

"""Claims about the Dirac-GAN past first order: where the slow drift leads that the eigenvalues at the equilibrium cannot show.

The first-order theory looks at the Jacobian of a step at the equilibrium. Where its eigenvalues have modulus 1 it says nothing
about convergence, and terms of higher order decide. For the radius r, with u = psi theta, averaged over a turn:

    non-saturating, in continuous time   d(r^2)/dt = -2 u tanh(u / 2), about -u^2, whose mean on a circle is -r^4 / 8
    each simultaneous step of size h     multiplies r^2 by 1 + h^2 / 4 besides

The first alone, with t = h n, gives r = sqrt(8 / (h n)) in the long run. With the second, -h r^4 / 8 + h^2 r^2 / 4 = 0 at
r = sqrt(2 h): a circle that attracts. Alternating steps do not have the second term.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine.tensor import Tensor

from .claim import Claim, Measured
from .dirac import LineD, Player, PointG, dirac_path, radii, recursion
from .update_maps import Field, alternating, spectral_radius

LONG = 200_000
LARGEST = {500: 1.4887, 50_000: 1.5827, LONG: 2.4218}  # the largest radius so far of alternating minimax steps, h = 0.2


class Turns(NamedTuple):
    """How the players take turns: k steps of D for each of G's, and who moves first."""

    k: int
    first: Player


D_FIRST = Turns(1, "D")


@cache
def long_radii(simultaneous: bool, objective: str, h: float = 0.2, steps: int = LONG, turns: Turns = D_FIRST) -> np.ndarray:
    """Return the radius (steps + 1,) along a long run from (1, -1), computed by the recursion and not by the engine."""
    if simultaneous:
        return radii(recursion(False, objective, h=h, steps=steps))
    return radii(recursion(True, objective, h=h, steps=steps, k=turns.k, first=turns.first))


def _engine_against_recursion(backend: Backend, objective: str) -> Measured:
    """Measure how far the engine's play and the recursion part within 30 steps: both orders, k = 1 and 3, and simultaneous."""
    ways: list[dict[str, Any]] = [{"alternating": False}]
    ways += [{"alternating": True, "k": k, "first": first} for k in (1, 3) for first in ("D", "G")]
    worst = 0.0
    for way in ways:
        apart = dirac_path(backend, objective=objective, steps=30, **way) - recursion(objective=objective, steps=30, **way)
        worst = max(worst, float(np.abs(apart).max()))
    return Measured("the engine's play against the recursion, 30 steps in 5 orders of moves: largest difference", worst, 0, 1e-12)


def local_radius(backend: Backend, objective: str, h: float, k: int) -> float:
    """Return the spectral radius of the map of k steps of D and one of G, at the Dirac-GAN's equilibrium."""
    zero = Tensor(np.zeros((1, 1)), backend)
    v = Field(LineD(0.0, backend), PointG(0.0, backend), zero, zero, objective)
    return spectral_radius(alternating(v, h, k), v.theta())


def drift(backend: Backend) -> list[Measured]:
    measured = [_engine_against_recursion(backend, "minimax")]
    for k in (1, 5):
        found = local_radius(backend, "minimax", 0.2, k)
        measured.append(Measured(f"to first order, k = {k}: spectral radius of a step at the equilibrium", found, 1, 1e-12))
    path = long_radii(False, "minimax")
    for n, expected in LARGEST.items():
        measured.append(Measured(f"largest radius within {n:,} steps of h = 0.2", float(path[: n + 1].max()), expected, 5e-4))
    gained = {h: _gain(h) for h in (0.05, 0.1)}
    return [
        *measured,
        Measured("rise of the largest r^2 within a time of 10,000, h = 0.05", gained[0.05], 0, relation=">="),
        Measured("the same at h = 0.1, over that at h = 0.05: third order in h", gained[0.1] / gained[0.05], 8, 1),
        Measured("smallest radius within 200,000 steps with k = 5: that drift is inwards",
                 float(long_radii(False, "minimax", turns=Turns(5, "D")).min()), 0.5, relation="<="),
    ]


def _gain(h: float, time: float = 10_000.0, window: float = 60.0) -> float:
    """Return by how much the largest r^2 within a window of time rises from the run's first window to its last."""
    squares = long_radii(False, "minimax", h, round(time / h)) ** 2
    wide = round(window / h)
    return float(squares[-wide:].max() - squares[:wide].max())


def nonsaturating_alternating(backend: Backend) -> list[Measured]:
    path = long_radii(False, "nonsaturating", steps=1_000_000)
    steps = np.array([10**4, 10**5, 10**6])
    exponent = float(np.polyfit(np.log(steps), np.log([path[n - 100 : n].mean() for n in steps]), 1)[0])
    first_order, law = local_radius(backend, "nonsaturating", 0.2, 1), float(np.sqrt(8 / 0.2e6))
    return [
        _engine_against_recursion(backend, "nonsaturating"),
        Measured("to first order: spectral radius of a step at the equilibrium", first_order, 1, 1e-12),
        Measured("radius after 500 steps of h = 0.2, D first", float(path[500]), 0.2706, 1e-4),
        Measured("radius after 200,000 steps", float(path[LONG]), 0.01381, 1e-5),
        Measured("exponent of r over n, fitted from 1e4 to 1e6 steps", exponent, -0.5, 0.005),
        Measured("r over sqrt(8 / (h n)), mean of the last 1,000 of 1e6 steps", float(path[-1000:].mean()) / law, 1, 0.02),
    ]


def circle(simultaneous_h: float) -> tuple[float, float, float]:
    """Return the smallest, mean and largest radius of the end of a simultaneous non-saturating run with this step, from (1, -1)."""
    tail = long_radii(True, "nonsaturating", simultaneous_h, round(400 / simultaneous_h**2))[-2000:]
    return float(tail.min()), float(tail.mean()), float(tail.max())


def nonsaturating_simultaneous(backend: Backend) -> list[Measured]:
    measured = []
    for h in (0.05, 0.1, 0.2, 0.4):
        low, mean, high = circle(h)
        what = f"h = {h:g}: radius {low:.3f} to {high:.3f}; mean over sqrt(2 h)"
        measured.append(Measured(what, mean / float(np.sqrt(2 * h)), 1, h / 50 + 0.002))
    inside = radii(recursion(False, "nonsaturating", start=(0.1, 0.0), steps=10_000))
    ahead = radii(dirac_path(backend, False, objective="nonsaturating", start=(0.45, -0.45), steps=300))
    return [
        *measured,
        Measured("h = 0.2 from a radius of 0.1: r after 10,000 steps over sqrt(2 h)", float(inside[-1] / np.sqrt(0.4)), 1, 0.03),
        Measured("h = 0.2, 300 steps of the engine from the circle: smallest radius", float(ahead.min()), 0.60, relation=">="),
        Measured("h = 0.2, 300 steps of the engine from the circle: largest radius", float(ahead.max()), 0.66, relation="<="),
    ]


_ALTERNATING, _PAPER = "averaged to second order, see the module", "Mescheder et al. 2018, section 2"
CLAIMS = [
    Claim("dirac-drift", 8, "past first order, alternating steps of the minimax game drift: out with k = 1, in with k = 5",
          f"{_PAPER} (the orbit, a first-order result); the drift is measured here",
          "the recursion is exact, the radii hold to their digits; the next order in h leaves 12 % of the ratio", drift),
    Claim("dirac-nonsaturating", 8, "the non-saturating game, D first, converges, but only as sqrt(8 / (h n)): a power, no rate",
          f"{_PAPER}; {_ALTERNATING}", "terms of higher order in h and 1/n are a few percent here", nonsaturating_alternating),
    Claim("dirac-circle", 8, "the non-saturating game, both at once, ends on a circle of radius sqrt(2 h), from inside and outside",
          f"{_PAPER}; {_ALTERNATING}", "the next order in h; within a turn the radius swings by 1.3 %", nonsaturating_simultaneous),
]

"""Claims about the rate at which a game converges near its equilibrium: the critical step, and what remedies do to the rate.

A step of size h has the eigenvalues 1 + h l, with l those of v's Jacobian, if both players move at once; other steps have other
ones (update_maps.py). The largest modulus is the factor per step. The Dirac-GAN has closed forms; an MLP game has its own numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine.tensor import Tensor

from .claim import Claim, Measured
from .dirac import LineD, PointG, dirac_path, radii, recursion
from .mlp_game import critical_step, field_eigenvalues, mlp_game, played_factor, predicted_radius, steps_to_see
from .update_maps import Field, Map, alternating, consensus, derivative, extragradient, simultaneous, spectral_radius

GAMMAS = (0.3, 1.0, 2.0)


def dirac_field(backend: Backend, objective: str = "minimax", r1: float = 0.0, r2: float = 0.0) -> Field:
    """Return the velocity of the Dirac-GAN as a function of (psi, theta), with its players at the equilibrium."""
    zero = Tensor(np.zeros((1, 1)), backend)
    return Field(LineD(0.0, backend), PointG(0.0, backend), zero, zero, objective, r1, r2)


# ---- the critical step --------------------------------------------------------------------------------------------------------


def critical_simultaneous(gamma: float) -> float:
    """Return the largest step of simultaneous players of the Dirac-GAN with R1: 4 gamma, from gamma = 1 on 2 / |l|, l real.

    l = -gamma / 2 +- sqrt(gamma^2 - 1) / 2. Complex ones have |1 + h l|^2 = 1 - h gamma + h^2 / 4, which is 1 at h = 4 gamma.
    """
    return 4 * gamma if gamma < 1 else 4 / (gamma + float(np.sqrt(gamma**2 - 1)))


def critical_alternating(gamma: float) -> float:
    """Return the largest step of alternating players, D first with k = 1: 4 (sqrt(1 + gamma^2) - gamma).

    The step's matrix has the determinant 1 - h gamma and the trace 2 - h gamma - h^2 / 4; an eigenvalue reaches -1 where
    1 + trace + determinant = 0.
    """
    return 4 * (float(np.sqrt(1 + gamma**2)) - gamma)


def dirac_critical(backend: Backend) -> list[Measured]:
    from scipy.optimize import brentq

    measured = []
    ways: dict[str, tuple[Callable[[Field, float], Map], Callable[[float], float]]] = {
        "both at once": (simultaneous, critical_simultaneous), "in turn": (alternating, critical_alternating),
    }
    for name, (way, expected) in ways.items():
        for gamma in GAMMAS:
            v = dirac_field(backend, r1=gamma)
            h = expected(gamma)

            def excess(size: float, way: Callable[[Field, float], Map] = way, v: Field = v) -> float:
                return spectral_radius(way(v, size), v.theta()) - 1

            found = float(brentq(excess, 0.8 * h, 1.2 * h, xtol=1e-10))
            measured.append(Measured(f"R1 {gamma:g}, {name}: the step whose spectral radius is 1", found, h, 1e-7))
    for share, relation in ((0.97, "<="), (1.03, ">=")):
        r = radii(dirac_path(backend, False, 0.3, start=(1e-6, 0.0), h=share * 1.2, steps=200))
        what = f"R1 0.3, {share} of that step, played: r after 200 steps / at the start"
        measured.append(Measured(what, float(r[-1] / r[0]), 1, relation=relation))
    return measured


# ---- a game of two MLPs -------------------------------------------------------------------------------------------------------


def mlp_rate(backend: Backend) -> list[Measured]:
    measured = []
    for r1, at_once in ((0.0, True), (1.0, True), (1.0, False)):
        name = f"R1 {r1:g}, {'both at once' if at_once else 'D first'}"
        predicted = predicted_radius(mlp_game(backend, r1), 0.5, at_once)
        played = played_factor(mlp_game(backend, r1), 0.5, 1000, at_once)
        measured.append(Measured(f"{name}: factor per step in play, against the spectral radius", played, predicted, 1e-4))
    game = mlp_game(backend, 0.1)
    whole = float(np.abs(1 + 0.5 * field_eigenvalues(game)).max())
    slope = float(np.abs(game.field(game.field.theta()).numpy()).max())
    return [
        Measured("largest slope of either player at the equilibrium", slope, 0, 1e-15),
        *measured,
        Measured("spectral radius by Arnoldi, against that of the whole matrix", predicted_radius(game, 0.5, True), whole, 1e-8),
    ]


def mlp_critical(backend: Backend) -> list[Measured]:
    measured = []
    for r1 in (0.0, 0.1, 1.0):
        of_v = field_eigenvalues(mlp_game(backend, r1))
        h = critical_step(of_v)
        for share in (0.97, 1.03):
            predicted = float(np.abs(1 + share * h * of_v).max())
            if share < 1:  # what falls has to stay above rounding, and what grows small
                steps, size = steps_to_see(predicted, 700), 1e-6
            else:
                steps, size = 240, 1e-9
            played = played_factor(mlp_game(backend, r1), share * h, steps, True, size)
            relation = "<=" if share < 1 else ">="
            what = f"R1 {r1:g}: at {share} of the critical step {h:.3f} the factor per step in play"
            measured += [Measured(f"{what}, against the eigenvalues'", played, predicted, 2e-3),
                         Measured(f"{what}, on its side of 1", played, 1, relation=relation)]
    return measured


# ---- remedies -----------------------------------------------------------------------------------------------------------------


def extragradient_radius(h: float) -> float:
    """Return the factor per step of extragradient steps on l = +-i/2: |1 + i h/2 - h^2/4|. Mokhtari et al. 2020, section 5."""
    return abs(1 + 0.5j * h - h**2 / 4)


def consensus_radius(h: float, weight: float) -> float:
    """Return the factor per step of consensus steps on l = +-i/2: v's Jacobian J becomes J - weight J^T J, l - weight / 4.

    It is below 1 for steps up to 8 weight / (weight^2 + 4). Mescheder et al. 2017, section 4.
    """
    return abs(1 + h * (0.5j - weight / 4))


def _played_by(step: Map, v: Field, steps: int = 40) -> float:
    """Return the factor per step of a map's own play, from 1e-4 away from the Dirac-GAN's equilibrium."""
    theta = Tensor(np.array([1e-4, 0.0]), v.x.backend)
    for _ in range(steps):
        theta = Tensor(step(theta).numpy(), v.x.backend)
    return float((np.linalg.norm(theta.numpy()) / 1e-4) ** (1 / steps))


def solvers(backend: Backend) -> list[Measured]:
    v, h = dirac_field(backend), 0.2
    steps: dict[str, tuple[Map, float]] = {
        "plain": (simultaneous(v, h), abs(1 + 0.5j * h)),
        "extragradient": (extragradient(v, h), extragradient_radius(h)),
        "consensus, weight 1": (consensus(v, h, 1.0), consensus_radius(h, 1.0)),
    }
    measured = []
    for name, (step, expected) in steps.items():
        measured.append(Measured(f"{name}, h = 0.2: spectral radius", spectral_radius(step, v.theta()), expected, 1e-12))
        measured.append(Measured(f"{name}: factor per step in play", _played_by(step, v), expected, 1e-7))
    limits = {"extragradient, h = 2": extragradient(v, 2.0), "consensus, weight 1, h = 8/5": consensus(v, 1.6, 1.0)}
    for name, step in limits.items():
        found = spectral_radius(step, v.theta())
        measured.append(Measured(f"{name}, the largest step that its proof allows: spectral radius", found, 1, 1e-12))
    game = mlp_game(backend, 0.0)
    of_v = field_eigenvalues(game)
    kept = np.ix_(game.free.astype(bool), game.free.astype(bool))
    of_step = np.linalg.eigvals(derivative(extragradient(game.field, 0.5), game.field.theta())[kept])
    found, expected = float(np.abs(of_step).max()), float(np.abs(1 + 0.5 * of_v + 0.25 * of_v**2).max())
    what = "extragradient on the MLP game: spectral radius against max |1 + h l + h^2 l^2|"
    return [*measured, Measured(what, found, expected, 1e-9)]


def relativistic_pairs(backend: Backend) -> list[Measured]:
    measured = []
    for r1, r2 in ((0.0, 0.0), (0.3, 0.0), (0.15, 0.15), (1.0, 0.5)):
        v = dirac_field(backend, "relativistic", r1, r2)
        found = np.linalg.eigvals(derivative(v, v.theta()))
        total = r1 + r2
        root = np.sqrt(complex(total**2 / 4 - 0.25))
        expected = np.array([-total / 2 + root, -total / 2 - root])
        error = max(float(np.abs(expected - e).min()) for e in found)
        what = f"R1 {r1:g}, R2 {r2:g}: error of the eigenvalues -g/2 +- sqrt(g^2/4 - 1/4), g = R1 + R2"
        measured.append(Measured(what, error, 0, 1e-12))
    played = dirac_path(backend, False, 0.15, r2=0.15, objective="relativistic", steps=60)
    apart = float(np.abs(played - recursion(False, "nonsaturating", 0.3, steps=60)).max())
    last = radii(dirac_path(backend, False, 0.15, r2=0.15, objective="relativistic", steps=250))[-1]
    free = radii(dirac_path(backend, False, objective="relativistic", steps=250))[-1]
    return [
        *measured,
        Measured("played against the non-saturating game with R1 0.3, 60 steps: largest difference", apart, 0, 1e-12),
        Measured("radius after 250 simultaneous steps, R1 = R2 = 0.15", float(last), 0, 5e-3),
        Measured("without penalties: radius after 250 simultaneous steps", float(free), 0.6, relation=">="),
    ]


_DIRAC, _NUMERICS = "Mescheder et al. 2018, section 4", "Mescheder et al. 2017"
CLAIMS = [
    Claim("r1-critical-step", 8,
          "with R1 the Dirac-GAN converges below a critical step: 4 gamma (at once, gamma < 1), or 4 (sqrt(1 + gamma^2) - gamma)",
          f"{_DIRAC}, for the eigenvalues; the steps follow from them", "a root to ten digits of an exact radius",
          dirac_critical),
    Claim("mlp-rate", 8, "near the equilibrium of a game of MLPs |v| falls, in play, by the spectral radius of a step",
          f"{_NUMERICS}, Proposition 3; Mescheder et al. 2018, section 3", "a line through oscillating logarithms",
          mlp_rate),
    Claim("mlp-critical-step", 8, "the same game stays up to the step -2 Re l / |l|^2 of its worst eigenvalue, and leaves above it",
          f"{_NUMERICS}, Lemma 4", "some hundred steps leave a little of the next eigenvalues",
          mlp_critical),
    Claim("solvers", 8, "extragradient and consensus steps make the plain game converge, at the rates of their proofs",
          f"Korpelevich 1976, Mokhtari et al. 2020; {_NUMERICS}, section 4",
          "closed forms; from 1e-4 away, terms of third order are 1e-8", solvers),
    Claim("r3gan", 8, "relativistic pairs alone do not converge on the Dirac-GAN; with R1 + R2 they do, as with one R1 of the sum",
          "Huang et al. 2024 (R3GAN), Propositions I and II", "second derivatives by the engine are exact up to rounding",
          relativistic_pairs),
]

"""Claims about convergence: the fixed point that both losses of G share, and where the Dirac-GAN ends with and without R1.

The Dirac-GAN (Mescheder et al. 2018, arXiv 1801.04406) is the smallest game: the data are the point 0, G is the point theta, and
D's logit at x is psi x. Its equilibrium is (theta, psi) = (0, 0); a radius is the distance from there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine.tensor import Tensor, gradients
from tinygan.game import objectives

from .claim import Claim, Measured
from .dirac import LineD, PointG, dirac_eigenvalues, dirac_path

# The radii after 500 steps of size 0.2 from (1, -1), which dirac.dirac_path takes. They follow from the recursion of the
# two numbers by itself, without this engine, and are rounded to the digits given.
RADIUS_SIMULTANEOUS, RADIUS_ALTERNATING, RADIUS_R1 = 3.09695, 1.4126, 2.643e-06
START = float(np.sqrt(2))


def _pull(loss: Callable[[Tensor], Tensor], theta: float, psi: float, backend: Backend) -> float:
    """Return the direction in which G's descent moves theta: -dL/dtheta, where loss(logit of G's point) is L."""
    G, D = PointG(theta, backend), LineD(psi, backend)
    return -float(gradients(loss(D(G(Tensor(np.zeros((1, 1)), backend)))), [G.theta])[0])


def fixed_point(backend: Backend) -> list[Measured]:
    away = [(t, p) for t in (-2.0, -0.5, 0.5, 2.0) for p in (-1.5, -0.2, 0.2, 1.5)]
    saturating, other = objectives.minimax, objectives.nonsaturating
    agree = [_pull(saturating, t, p, backend) * _pull(other, t, p, backend) for t, p in away]
    return [
        Measured("pull on G at theta = psi = 0, minimax loss", _pull(saturating, 0, 0, backend), 0, 0),
        Measured("pull on G at theta = psi = 0, non-saturating loss", _pull(other, 0, 0, backend), 0, 0),
        Measured("smallest product of the two pulls at 16 other points", min(agree), 1e-6, relation=">="),
    ]


def _radius(backend: Backend, alternating: bool, gamma: float = 0.0) -> float:
    return float(np.linalg.norm(dirac_path(backend, alternating, gamma)[-1]))


def dirac_simultaneous(backend: Backend) -> list[Measured]:
    radius = _radius(backend, False)
    return [Measured("radius after 500 simultaneous steps (1.41421 at the start)", radius, RADIUS_SIMULTANEOUS, 5e-6)]


def dirac_alternating(backend: Backend) -> list[Measured]:
    radii = np.linalg.norm(dirac_path(backend, True), axis=1)
    return [
        Measured("radius after 500 alternating steps", float(radii[-1]), RADIUS_ALTERNATING, 5e-5),
        Measured("largest radius on the way", float(radii.max()), 1.15 * START, relation="<="),
        Measured("smallest radius on the way", float(radii.min()), 0.85 * START, relation=">="),
    ]


def dirac_r1(backend: Backend) -> list[Measured]:
    return [Measured("radius after 500 simultaneous steps, R1 0.3", _radius(backend, False, 0.3), RADIUS_R1, 5e-10)]


def eigenvalues(backend: Backend) -> list[Measured]:
    measured = []
    for name, loss in (("minimax", objectives.minimax), ("nonsaturating", objectives.nonsaturating)):
        for gamma in (0.0, 0.3, 1.0, 2.0):
            found = dirac_eigenvalues(backend, objectives.value, loss, gamma)
            root = np.sqrt(complex(gamma**2 / 4 - 0.25))
            expected = sorted([-gamma / 2 + root, -gamma / 2 - root], key=lambda e: (e.imag, e.real))
            # a double eigenvalue, at gamma = 1, moves by the square root of a rounding error
            allowed = 1e-7 if gamma == 1 else 1e-12
            error = float(np.abs(found - np.array(expected)).max())
            shown = f"{found[0].real:+.4f} {found[0].imag:+.4f} i and {found[1].real:+.4f} {found[1].imag:+.4f} i"
            measured.append(Measured(f"{name}, gamma = {gamma:g}: {shown}; error", error, 0, allowed))
    return measured


_PAPER = "Mescheder et al. 2018"
CLAIMS = [
    Claim("fixed-point", 5, "saturating or not, G has the same fixed point, and descends in the same direction elsewhere",
          "Goodfellow et al. 2014, section 3",
          "both pulls are multiples of psi, so exactly 0 at psi = 0; numbers of one sign have a positive product", fixed_point),
    Claim("dirac-simultaneous", 8, "simultaneous gradient steps spiral out of the Dirac-GAN's equilibrium", f"{_PAPER}, section 2",
          "float64 and no randomness, so all digits of the known radius hold", dirac_simultaneous),
    Claim("dirac-alternating", 8, "500 alternating steps orbit the equilibrium, as they do to first order, and do not approach it",
          f"{_PAPER}, section 2",
          "the digits of the known radius; an orbit may leave the radius at its start, 1.414, by 15 %", dirac_alternating),
    Claim("dirac-r1", 8, "with R1 on real data simultaneous steps converge", f"{_PAPER}, section 4",
          "the digits of the known radius", dirac_r1),
    Claim("eigenvalues", 8, "eigenvalues of the game's Jacobian: +-i/2, with R1 -gamma/2 +- sqrt(gamma^2/4 - 1/4)",
          f"{_PAPER}, section 4", "second derivatives by the engine are exact up to rounding", eigenvalues),
]

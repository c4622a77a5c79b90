"""Claims about what converges: the fixed point of both objectives, and the Dirac-GAN with and without R1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine.tensor import Tensor, gradients
from tinygan.game import objectives

from .claim import Claim, Measured
from .vector_field import LineD, PointG, dirac_eigenvalues, dirac_path

# facts about 500 steps of h = 0.2 from (theta, psi) = (1, -1), to the digits that were published with them
RADIUS_SIMULTANEOUS, RADIUS_ALTERNATING, RADIUS_R1 = 3.09695, 1.4126, 2.643e-06
START = float(np.sqrt(2))


def _pull(loss: Callable[[Tensor], Tensor], theta: float, psi: float, backend: Backend) -> float:
    """Compute -dL/dtheta for G of the Dirac-GAN, where loss(s_fake) is L."""
    G, D = PointG(theta, backend), LineD(psi, backend)
    return -float(gradients(loss(D(G(Tensor(np.zeros((1, 1)), backend)))), [G.theta])[0])


def fixed_point(backend: Backend) -> list[Measured]:
    away = [(t, p) for t in (-2.0, -0.5, 0.5, 2.0) for p in (-1.5, -0.2, 0.2, 1.5)]
    saturating, other = objectives.minimax, objectives.nonsaturating
    agree = [_pull(saturating, t, p, backend) * _pull(other, t, p, backend) for t, p in away]
    return [
        Measured("pull on G under V at theta = psi = 0", _pull(saturating, 0, 0, backend), 0, 0),
        Measured("non-saturating pull there", _pull(other, 0, 0, backend), 0, 0),
        Measured("smallest product of both pulls at 16 other points: they agree in direction", min(agree), 1e-6, relation=">="),
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
    Claim("fixed-point", 5, "saturating or not, G has the same fixed point and the same direction",
          "Goodfellow et al. 2014, section 3", "both gradients are multiples of psi; the sign of a product is exact", fixed_point),
    Claim("dirac-simultaneous", 8, "simultaneous gradient steps spiral out of the Dirac-GAN's equilibrium", f"{_PAPER}, section 2",
          "float64, 500 deterministic steps: the published digits", dirac_simultaneous),
    Claim("dirac-alternating", 8, "alternating steps orbit it and never arrive", f"{_PAPER}, section 2",
          "the published digits; an orbit stays near its radius", dirac_alternating),
    Claim("dirac-r1", 8, "with R1 on real data the same steps converge", f"{_PAPER}, section 4", "the published digits", dirac_r1),
    Claim("eigenvalues", 8, "eigenvalues of the game's Jacobian: +-i/2, with R1 -gamma/2 +- sqrt(gamma^2/4 - 1/4)",
          f"{_PAPER}, section 4", "second derivatives by the engine are exact up to rounding", eigenvalues),
]

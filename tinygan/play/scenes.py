"""Scenes: set-ups of `tinygan theory` that are one click away, each with what to watch and the claim that it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from tinygan.game import objectives
from tinygan.theory.all import claims
from tinygan.theory.collapse import BATCH, PLAIN
from tinygan.theory.dirac import dirac_eigenvalues, dirac_path, recursion


@dataclass(frozen=True)
class Scene:
    """A set-up of the page.

    title, watch: what it is, and what to look at. claim: the name of the claim in `tinygan theory`. data, options: what the game is
    set to. constant_d: D's last layer is set to 0 at the start. then: buttons that change options while it runs, by label.
    """

    title: str
    watch: str
    claim: str
    data: str
    options: Mapping[str, Any] = field(default_factory=dict)
    constant_d: bool = False
    then: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


_COLLAPSE: dict[str, Any] = {
    "hidden": (64, 64), "hidden_d": (64, 64), "z": 8, "batch": BATCH, "lr_d": PLAIN.lr_d, "lr_g": PLAIN.lr_g, "beta1": 0.5,
    "beta2": 0.99, "r1": 0.0, "ema": 0.0, "objective": "nonsaturating", "k": 1, "pack": 1,
}
_AHEAD: dict[str, Any] = {"objective": "minimax", "k": 10, "r1": 0.0, "ema": 0.0, "lr_d": 5e-3, "lr_g": 1e-5, "batch": 64}

SCENES: dict[str, Scene] = {
    "collapse": Scene(
        "Mode collapse",
        "G learns fifteen times as fast as D. Its points jump from mode to mode together and never cover all eight; counts of "
        "modes stay at 0. After a thousand steps or more the alarm says so. Then try a cure.",
        "collapse", "wide-ring", _COLLAPSE,
        then={"cure: k = 5": {"k": 5}, "cure: R1 of 2": {"r1": 2.0}, "cure: packs of 4": {"pack": 4, "batch": 4 * BATCH}}),
    "saturation": Scene(
        "The gradient that vanishes",
        "D is far ahead, and G descends V itself. D(G(z)) falls towards 0, and with it the gradient at each fake: the arrows of "
        "most are gone. Then let G descend -E log D(G(z)), from the same networks: the arrows come back, and |∇ of G| grows some "
        "twenty times.",
        "saturation", "line", _AHEAD, then={"use the non-saturating loss": {"objective": "nonsaturating"}, "back to V": {
            "objective": "minimax"}}),
    "constant-d": Scene(
        "The trap: D = 1/2 everywhere",
        "D's last layer is 0 and its rate next to nothing. V is -log 4, as at the equilibrium, though G is far from the data: the "
        "line of the best D, -log 4 + 2 JSD, lies far above. Then let D learn.",
        "constant-d", "ring", {"lr_d": 1e-38, "r1": 0.0}, constant_d=True, then={"let D learn": {"lr_d": 2e-3, "r1": 0.05}}),
}


def statement_of(claim: str) -> dict[str, str]:
    """Return what a claim of `tinygan theory` states, and its source."""
    found = next(c for c in claims() if c.name == claim)
    return {"name": found.name, "statement": found.statement, "source": found.source}


def dirac(backend: Backend, gamma: float, alternating: bool) -> dict[str, Any]:
    """Play the Dirac-GAN from (1, -1): its path, the vector field around it, and the eigenvalues at its equilibrium.

    All as JSON's types. theta is G's point and psi D's slope. field: rows of theta, psi, and the way that a simultaneous step
    takes, over its size. Raises ValueError for a gamma that is not between 0 and 10.
    """
    if not 0 <= gamma <= 10:
        raise ValueError(f"gamma is {gamma}, it has to be between 0 and 10")
    path = dirac_path(backend, alternating, gamma, steps=300)
    side = np.linspace(-1.6, 1.6, 9)
    field_of = []
    for theta in side:
        for psi in side:
            start, step = recursion(False, gamma=gamma, start=(float(theta), float(psi)), h=0.2, steps=1)
            field_of.append([float(theta), float(psi), *((step - start) / 0.2).tolist()])
    found = dirac_eigenvalues(backend, objectives.value, objectives.minimax, gamma)
    shown = {(False, False): "dirac-simultaneous", (False, True): "dirac-alternating", (True, False): "dirac-r1"}
    claim = shown.get((bool(gamma), alternating), "eigenvalues")
    return {
        "gamma": gamma, "alternating": alternating, "path": path.round(5).tolist(), "field": field_of,
        "eigenvalues": [[float(e.real), float(e.imag)] for e in found], "claim": statement_of(claim),
        "radius": [float(np.linalg.norm(path[0])), float(np.linalg.norm(path[-1]))],
    }

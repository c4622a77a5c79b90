"""The numbers of docs/game.md: claims as tables, the Dirac-GAN's radii and eigenvalues."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from tinygan_kernels import load

from benchmarks.docs.markdown import table
from tinygan.game import objectives
from tinygan.theory.all import claims, judge
from tinygan.theory.claim import Measured
from tinygan.theory.convergence import RADIUS_ALTERNATING, RADIUS_R1, RADIUS_SIMULTANEOUS
from tinygan.theory.dirac import dirac_eigenvalues, dirac_path

CPU = load("cpu")


@cache
def _measured(name: str) -> list[Measured]:
    """Return what a claim measures, computed now. Raises ValueError if the claim fails."""
    (claim,) = (c for c in claims() if c.name == name)
    (verdict,) = judge([claim], CPU)
    if not verdict.passed:
        raise ValueError(f"the claim {name} fails; the pages cannot quote it")
    return verdict.measured


def number(m: Measured) -> str:
    """Return four digits of a value; of an error only that it is within what was allowed, as its digits are a machine's own."""
    if m.relation == "=" and m.expected == 0:
        return f"0 within {m.tolerance:.0e}" if m.tolerance else "0"
    return f"{m.value:.4g}"


def claim(name: str) -> str:
    """Return a claim as a table: what was measured, its value, and what the value has to be."""
    rows = []
    for m in _measured(name):
        relation = {"=": "", "<=": "at most ", ">=": "at least "}[m.relation]
        rows.append([m.what, number(m), f"{relation}{m.expected:.4g}"])
    return table(["measured", "value", "has to be"], rows)


def all_claims() -> str:
    """Return the table of all claims with their sources and verdicts."""
    rows = [[str(v.claim.number), f"`{v.claim.name}`", v.claim.statement, v.claim.source, "confirmed" if v.passed else "FAILED"]
            for v in judge(claims(), CPU)]
    return table(["", "claim", "what it states", "source", "here"], rows)


def dirac_radii() -> str:
    """Return how far seven ways of training the Dirac-GAN end from its equilibrium, beside the published radii."""
    runs: list[tuple[str, dict[str, Any], float | None]] = [
        ("simultaneous", {"alternating": False}, RADIUS_SIMULTANEOUS),
        ("alternating, D first", {"alternating": True}, RADIUS_ALTERNATING),
        ("alternating, G first", {"alternating": True, "first": "G"}, None),
        ("alternating, D first, k = 5", {"alternating": True, "k": 5}, None),
        ("simultaneous, R1 with gamma = 0.3", {"alternating": False, "gamma": 0.3}, RADIUS_R1),
        ("non-saturating, simultaneous", {"alternating": False, "objective": "nonsaturating"}, None),
        ("non-saturating, D first", {"alternating": True, "objective": "nonsaturating"}, None),
    ]
    rows = []
    for name, how, published in runs:
        radius = np.linalg.norm(dirac_path(CPU, **how)[-1])
        rows.append([name, f"{radius:.5g}", "" if published is None else f"{published:.6g}"])
    return table(["500 steps of h = 0.2", "radius (1.41421 at the start)", "published"], rows)


def dirac_spectrum() -> str:
    """Return the eigenvalues of the Dirac-GAN's Jacobian at the equilibrium, by the weight gamma of R1."""
    rows = []
    for gamma in (0.0, 0.3, 1.0, 2.0):
        found = dirac_eigenvalues(CPU, objectives.value, objectives.minimax, gamma)
        shown = [f"{e.real + 0.0:+.4f} {e.imag + 0.0:+.4f} i" for e in np.round(found, 9)]
        rows.append([f"{gamma:g}", *shown])
    return table(["gamma", "eigenvalue", "eigenvalue"], rows)

"""Mistakes in the gradient as a whole: none at all, a constant factor, a cotangent that is not used."""

from __future__ import annotations

import numpy as np

from .fit import Candidates, Site
from .sizes import factor_names


def candidates(site: Site, i: int) -> Candidates:
    """Yield candidates for input i (counted among those with floats) from what is wrong with its gradient as a whole."""
    claimed, right = site.claimed[i], site.right[i]
    if claimed is None:
        yield site.candidate(
            i, ("none",), "detached", f"vjp returns None for {_name(site, i)}, and f depends on it: it was held constant", 0,
            np.zeros_like(right), ("dropped term",),
        )
        return
    if claimed.size == right.size and not np.any(claimed):
        yield site.candidate(
            i, ("zero",), "detached", "the gradient is zero, and f depends on this input: it was held constant", 0,
            np.zeros_like(right), ("dropped term",),
        )
        return
    if claimed.shape == right.shape:
        yield from _factors(site, i, claimed, right)
        yield from _cotangent(site, i)


def _name(site: Site, i: int) -> str:
    return site.names[site.floats[i]]


def ratio(claimed: np.ndarray, right: np.ndarray, known: np.ndarray) -> float | None:
    """Return the number a with claimed = a right in the least squares' sense, None where there is nothing to divide by."""
    mask = np.broadcast_to(known, right.shape)
    c, t = claimed[mask], right[mask]
    below = float((t * t).sum())
    return float((c * t).sum() / below) if below > 0 and np.isfinite(c).all() else None


def _factors(site: Site, i: int, claimed: np.ndarray, right: np.ndarray) -> Candidates:
    a = ratio(claimed, right, site.numeric.known[i])
    if a is None or a == 0 or not np.isfinite(a) or not site.fits(i, a * right):
        return
    by = f"{abs(a):.4g} times too {'large' if abs(a) > 1 else 'small'}" if abs(a) != 0 else ""
    if abs(a) < 1:
        by = f"{1 / abs(a):.4g} times too small"
    for form, what, kind in factor_names(a, site):
        if kind == "sign":
            yield site.candidate(
                i, ("factor", form, what), "sign", "the sign is wrong: every element is the right one times -1", 0.5, a * right,
            )
            continue
        yield site.candidate(
            i, ("factor", form, what), kind, f"every element is {by}", 1 if kind == "constant factor" else 1.2, a * right,
            ("constant factor",),
        )
    yield site.candidate(
        i, ("factor", "number", f"{a:.5g}"), "constant factor", f"every element is {a:.6g} times the right one", 1.5, a * right, (),
    )


def _cotangent(site: Site, i: int) -> Candidates:
    claimed = site.claimed[i]
    assert claimed is not None
    if len(claimed) < 2 or site.u.shape[1] == 0:
        return
    scale = float(np.abs(claimed).max())
    same = all(np.abs(part - claimed[0]).max() <= 1e-9 * scale for part in claimed[1:])
    if scale > 0 and same:
        yield site.candidate(
            i, ("cotangent",), "cotangent ignored",
            "the gradient does not depend on the cotangent g: it has to be multiplied by g (g = dL/dy, L what comes after f)", 0.2,
            claimed.copy(), ("missing chain factor",),
        )
        return
    jacobians = site.numeric.jacobians
    if jacobians is None:
        return
    for name, turned in _turned(site.u):
        yield site.candidate(
            i, ("cotangent", name), "missing chain factor", f"the cotangent g enters as {name}", 4,
            (turned @ jacobians[i]).reshape(site.right[i].shape), ("cotangent ignored",) if "sum" in name else (),
        )


def _turned(u: np.ndarray) -> list[tuple[str, np.ndarray]]:
    wide = np.ones_like(u)
    return [
        ("its sum", u.sum(1, keepdims=True) * wide),
        ("its mean", u.mean(1, keepdims=True) * wide),
        ("g^2", u * u),
        ("|g|", np.abs(u)),
    ]

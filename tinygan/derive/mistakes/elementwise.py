"""Mistakes in an elementwise function that is seen from outside only: the factor that was claimed, compared with known ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygan.derive.activations import ACTIVATIONS, Activation, recognised

from .fit import Candidates, Site


def candidates(site: Site, i: int) -> Candidates:
    """Yield candidates for an input of an elementwise function, and for one that the output's last step is elementwise in."""
    claimed, right = site.claimed[i], site.right[i]
    if claimed is None or claimed.shape != right.shape or len(site.out_shapes) != 1:
        return
    jacobians = site.numeric.jacobians
    if jacobians is None:
        return
    shape, out = site.shape(i), site.out_shapes[0]
    if shape == out and _is_diagonal(jacobians[i]):
        yield from _of_input(site, i)
    yield from _of_last_step(site, i)


def _is_diagonal(j: np.ndarray) -> bool:
    off = j.copy()
    np.fill_diagonal(off, 0)
    return bool(np.abs(off).max(initial=0) <= 1e-9 * np.abs(j).max(initial=0))


def _of_input(site: Site, i: int) -> Candidates:
    x = site.arrays[site.floats[i]]
    y, u = site.numeric.y.reshape(x.shape), site.u.reshape(len(site.u), *x.shape)
    known = recognised(x, y)
    for key, kind, sentence, rank, factor in factors_of(x, y, known):
        yield site.candidate(i, ("elementwise", *key), kind, sentence, rank, u * factor)


Factor = tuple[tuple[str, ...], str, str, float, np.ndarray]  # (key, kind, sentence, rank, factor)


def factors_of(x: np.ndarray, y: np.ndarray, known: Activation | None = None) -> list[Factor]:
    """Return (key, kind, sentence, rank, factor) for derivatives that may be taken for that of the elementwise function x -> y."""
    here = f" in the place of that of {known.name}" if known is not None else ""
    of = f" of {known.name}" if known is not None else ""
    found: list[Factor] = [
        (
            ("one",),
            "missing chain factor",
            f"the derivative{of} was left out: the cotangent was handed on as it is",
            2.4,
            np.ones_like(x),
        )
    ]
    with np.errstate(all="ignore"):
        for other in ACTIVATIONS:
            found.append(
                (
                    ("activation", other.name),
                    "other activation",
                    f"the derivative is that of {other.name}{here}",
                    2.5,
                    other.derivative(x),
                )
            )
            if other is known:
                found.append(
                    (
                        ("at y", other.name),
                        "y for x",
                        f"the derivative of {other.name} was taken at its output y instead of its input x",
                        2.3,
                        other.derivative(y),
                    )
                )
            if other.of_y is None:
                continue
            if other is known:
                found.append(
                    (
                        ("of y at x", other.name),
                        "y for x",
                        f"the derivative of {other.name} in terms of its output y was taken at its input x",
                        2.3,
                        other.of_y(x),
                    )
                )
            else:
                found.append(
                    (
                        ("activation of y", other.name),
                        "other activation",
                        f"the derivative is that of {other.name}, in terms of y{here}",
                        2.7,
                        other.of_y(y),
                    )
                )
        found.append((("y",), "missing chain factor", "the factor of the derivative is y", 3.6, y))
        found.append((("x",), "missing chain factor", "the factor of the derivative is x", 3.6, x))
    return found


def _of_last_step(site: Site, i: int) -> Candidates:
    """The cotangent times or divided by y; and, where no steps are known, f = a(s(inputs)) with a = tanh or the sigmoid.

    Every row of the Jacobian is then a'(s) times that of s, and another factor in its place shows as one factor for each output.
    """
    jacobians, y = site.numeric.jacobians, site.numeric.y
    assert jacobians is not None
    with np.errstate(all="ignore"):
        for way, factor in (("is missing", 1 / y), ("is there once too often", y)):
            if np.isfinite(factor).all():
                yield site.candidate(
                    i, ("output", way), "missing chain factor", f"a factor y, the output of f, {way} in the gradient", 3.2,
                    (site.u * factor @ jacobians[i]).reshape(site.right[i].shape),
                )
    if site.graph is not None:
        return
    for name, inverse in INVERSES.items():
        with np.errstate(all="ignore"):
            s = inverse(y)
        if not np.isfinite(s).all():
            continue
        known = next(a for a in ACTIVATIONS if a.name == name)
        with np.errstate(all="ignore"):
            slope = known.derivative(s)
        if not np.all(np.abs(slope) > 1e-6):
            continue
        for key, kind, sentence, rank, factor in factors_of(s, y, known):
            with np.errstate(all="ignore"):
                weights = site.u * (factor / slope)
            if np.isfinite(weights).all():
                moved = (weights @ jacobians[i]).reshape(site.right[i].shape)
                yield site.candidate(i, ("last", name, *key), kind, sentence, rank + 0.6, moved)


INVERSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"tanh": np.arctanh, "sigmoid": lambda y: np.asarray(np.log(y / (1 - y)))}

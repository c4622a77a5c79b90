"""Mistakes between inputs: one's gradient for another's, one's added to another's, the derivative taken at other values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .fit import Candidate, Candidates, Site

MOST = 1500  # elements of all inputs together up to which f is differentiated again at other values


def candidates(site: Site, i: int) -> Candidates:
    """Yield candidates for input i from the gradients of the other inputs."""
    claimed, right = site.claimed[i], site.right[i]
    if claimed is None:
        return
    name = site.names[site.floats[i]]
    for j, other in enumerate(site.right):
        if j == i:
            continue
        of = site.names[site.floats[j]]
        if other.shape == claimed.shape:
            yield site.candidate(i, ("input", j), "another input", f"the gradient of {name} is that of {of}", 1.8, other)
            minus = f"the gradient of {name} is minus that of {of}"
            yield site.candidate(i, ("input", j, "-"), "another input", minus, 2.5, -other)
        if other.ndim == 3 and other.shape[:0:-1] == claimed.shape[1:]:
            yield site.candidate(
                i, ("input", j, "T"), "another input", f"the gradient of {name} is that of {of}, transposed", 2.6,
                other.transpose(0, 2, 1),
            )
        if other.shape == right.shape == claimed.shape:
            yield site.candidate(
                i, ("added", j), "not detached",
                f"the gradient of {of} is added to that of {name}, which f takes as something of its own", 2.1, right + other,
            )


def elsewhere(site: Site) -> Candidates:
    """Yield the gradients of all inputs as they would be if f's derivative were taken at other values of an input."""
    if site.differentiate is None or sum(site.arrays[i].size for i in site.floats) > MOST:
        return
    for key, kind, sentence, rank, arrays in _substituted(site):
        try:
            found = site.differentiate(arrays)
        except (ValueError, TypeError):
            continue
        if all(np.isfinite(g).all() for g in found.gradients):
            yield Candidate(key, kind, sentence, rank, list(found.gradients))


def _substituted(site: Site) -> Iterator[tuple[tuple[object, ...], str, str, float, list[np.ndarray]]]:
    y = site.numeric.y
    for i in site.floats:
        x, name = site.arrays[i], site.names[i]
        if len(site.out_shapes) == 1 and site.out_shapes[0] == x.shape:
            yield (
                ("at y", i),
                "y for x",
                f"the derivative was taken at the output y in the place of {name}",
                2.3,
                _with(site, i, y.reshape(x.shape)),
            )
        if x.ndim >= 2 and x.shape[-1] == x.shape[-2]:
            yield (
                ("at transposed", i),
                "transpose",
                f"{name} enters the gradient transposed the wrong way",
                2.3,
                _with(site, i, np.swapaxes(x, -1, -2).copy()),
            )
        for j in site.floats:
            if j > i and site.arrays[j].shape == x.shape:
                arrays = _with(site, i, site.arrays[j])
                arrays[j] = x
                yield (
                    ("at swapped", i, j),
                    "another input",
                    f"{name} and {site.names[j]} were mixed up in the derivative",
                    2.8,
                    arrays,
                )
            if j != i and site.arrays[j].shape == x.shape:
                yield (
                    ("at other", i, j),
                    "another input",
                    f"{site.names[j]} stands where {name} belongs in the derivative",
                    2.9,
                    _with(site, i, site.arrays[j]),
                )
        yield (("at minus", i), "sign", f"the derivative was taken at minus {name}", 3.5, _with(site, i, -x))


def _with(site: Site, i: int, value: np.ndarray) -> list[np.ndarray]:
    arrays = [a.copy() for a in site.arrays]
    arrays[i] = value.copy()
    return arrays

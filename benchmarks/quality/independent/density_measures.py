"""Measures of densities and of D: the divergence, D*, D beside D*, V of a retrained D, and the largest V."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import numpy as np
from tinygan_kernels import Backend, load

from benchmarks.quality.independent import definitions
from benchmarks.quality.independent.comparison import LOOP, SUMS, Comparator, Comparison, named, rounding
from benchmarks.quality.independent.samples import SEED, drawn, on_edges
from tinygan.engine.tensor import Tensor
from tinygan.game.objectives import LOG4
from tinygan.measure import best_d, densities, metrics
from tinygan.nn.layers import Linear, Sequential


def pairs() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (name, p, q): distributions that are near each other, with zeros in either, and with nothing in common."""
    rng = np.random.default_rng([SEED, 14])
    p = rng.random(50) * (rng.random(50) < 0.7)
    q = rng.random(50) * (rng.random(50) < 0.7)
    near = p * (1 + 1e-4 * rng.standard_normal(50))
    apart = np.concatenate([p, np.zeros(50)]), np.concatenate([np.zeros(50), q])
    return [(name, a / a.sum(), b / b.sum()) for name, a, b in (
        ("50 cells, some of them empty", p, q), ("50 cells that differ by 1e-4", p, near), ("100 cells, none in common", *apart))]


def divergence() -> Iterator[Comparison]:
    """Compare the JSD with SciPy's distance squared, and D* with a quotient of fractions."""
    from scipy.spatial.distance import jensenshannon

    for name, p, q in pairs():
        ours = densities.jsd(p, q)
        yield Comparison("JSD of two distributions", name, ours, float(jensenshannon(p, q) ** 2), named("scipy"), rounding(ours),
                         SUMS)
        exact = [Fraction(a) / (Fraction(a) + Fraction(b)) if a + b else Fraction(1, 2) for a, b in zip(p, q, strict=True)]
        mean = float(densities.optimal(p, q).mean())
        yield Comparison("D*", f"{name}: its mean", mean, float(sum(exact) / len(exact)), f"{LOOP}, in fractions", rounding(mean),
                         SUMS)


def known_densities() -> Iterator[Comparison]:
    """Compare the densities of a mixture and of a linear G's samples with SciPy's, as the mean of their logarithms."""
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng([SEED, 15])
    for d in (1, 3):
        points, centres = rng.standard_normal((40, d)), 1 + rng.standard_normal((5, d))
        mean, factor = rng.standard_normal(d), rng.standard_normal((d, d))
        mixture = np.mean([multivariate_normal(c, 0.49).pdf(points) for c in centres], axis=0)
        linear = multivariate_normal(mean, factor.T @ factor).logpdf(points)
        found = {"an equal mixture of 5": (densities.mixture_density(points, centres, 0.7), np.log(mixture)),
                 "a linear G": (densities.normal_density(points, mean, factor), linear)}
        for name, (density, logs) in found.items():
            ours = float(np.log(density).mean())
            yield Comparison("log of a known density", f"{name}, {d} dimensions", ours, math.fsum(logs) / len(logs), named("scipy"),
                             rounding(ours, 1e-10), "an inverse on one side, a factorisation on the other")


def d_beside_d_star() -> Iterator[Comparison]:
    """Compare E |D - D*| with a loop over the squares of the plane."""
    centres, std = np.array([[1.03, 0.02], [5.0, 2.2]]), 0.4
    edges = on_edges()
    sets = (("two modes, wide and shifted", drawn(centres, std, 400, 16, spread=1.3, shift=0.5), centres, std),
            ("on the limits, some twice", edges.samples, edges.centres[:2], edges.std))
    for name, samples, modes, width in sets:
        ours = metrics.against_optimum(judge, samples, modes, width).l1
        yield Comparison("E |D - D*|", name, ours, definitions.distance_to_d_star(judge, samples, modes, width),
                         LOOP, rounding(ours, 1e-10), "differences of the normal distribution near 1")


def judge(points: np.ndarray) -> np.ndarray:
    """Return a D (n,) of points (n, 2) that falls along one line in the plane."""
    return np.array([1 / (1 + math.exp(-x + 2 * y)) for x, y in points.tolist()])


# ---- D at its optimum -----------------------------------------------------------------------------------------------------------


@cache
def backend() -> Backend:
    """Return the one backend on which D and its inputs are."""
    return load("reference")


def linear_d(inputs: int, seed: int) -> Sequential:
    """Return a D that is a line, in float64."""
    return Sequential(Linear(inputs, 1, backend=backend(), rng=np.random.default_rng(seed), dtype=np.float64))


def constant(x: np.ndarray) -> Tensor:
    """Return an array as a tensor."""
    return Tensor(x, backend())


def v_by_log_loss(probability: np.ndarray, real: np.ndarray, weight: np.ndarray) -> float:
    """Return V by scikit-learn's log loss, of D's probabilities (n,), which samples are real (n,) and their weights, 2 in all."""
    from sklearn.metrics import log_loss

    return -float(log_loss(real, np.stack([1 - probability, probability], axis=1), sample_weight=weight, normalize=False))


def largest_v() -> Iterator[Comparison]:
    """Compare the largest V of a linear D on cells with the logistic regression, without a penalty, that has the cells' weights."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng([SEED, 17])
    x = rng.standard_normal((200, 2))
    p, q = np.exp(-(x**2).sum(axis=1)), np.exp(-((x - 0.7) ** 2).sum(axis=1))
    p, q = p / p.sum(), q / q.sum()
    D = linear_d(2, 1)
    ours = best_d.ascend_to_optimum(D, lambda: best_d.weighted_value(D(constant(x)), constant(p[:, None]), constant(q[:, None])))
    both, labels, weights = np.concatenate([x, x]), np.repeat([1, 0], len(x)), np.concatenate([p, q])
    # weights of 2 in all are too small beside the solver's tolerance; a factor changes no optimum without a penalty
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=200).fit(both, labels, 1000 * weights)
    theirs = v_by_log_loss(model.predict_proba(both)[:, 1], labels, weights)
    yield Comparison("largest V of a D", "a line, on 200 cells", ours, theirs, named("scikit-learn"), rounding(ours, 1e-9),
                     "both end where V is flat")


def retrained() -> Iterator[Comparison]:
    """Compare V of a D on samples that it never saw, before and after 50 steps of training, with scikit-learn's log loss."""
    rng = np.random.default_rng([SEED, 18])
    real, fake = rng.standard_normal((80, 2)), 1 + rng.standard_normal((80, 2))
    D = linear_d(2, 2)
    judged = np.concatenate([real[60:], fake[60:]])
    labels, weights = np.repeat([1, 0], 20), np.full(40, 1 / 20)

    def theirs() -> float:
        s = D(constant(judged)).numpy()[:, 0]
        return v_by_log_loss(1 / (1 + np.exp(-s)), labels, weights)

    before = theirs()
    found = best_d.retrained_value(D, real, fake, rng, steps=50, rate=0.1)
    name, by = "two clouds of 20", named("scikit-learn")
    yield Comparison("V of D", f"{name}, before", found.before, before, by, rounding(before), SUMS)
    yield Comparison("V of D", f"{name}, retrained", found.v, theirs(), by, rounding(before), SUMS)
    yield Comparison("V of D", f"{name}, from -log 4", found.gap, theirs() + 2 * math.log(2), by, rounding(LOG4), SUMS)


COMPARATORS = (
    Comparator("JSD and D*", divergence), Comparator("known densities", known_densities),
    Comparator("D beside D*", d_beside_d_star), Comparator("largest V", largest_v), Comparator("V of a retrained D", retrained),
)

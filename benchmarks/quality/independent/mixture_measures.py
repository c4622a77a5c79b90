"""Measures of samples of a mixture: modes, HQ, reverse KL, JSD, widths and places of modes, by other implementations."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from benchmarks.quality.independent import definitions
from benchmarks.quality.independent.comparison import COUNTS, LOOP, SUMS, Comparator, Comparison, named, rounding
from benchmarks.quality.independent.samples import Mixture, mixtures
from tinygan.measure import metrics
from tinygan.measure.mixture_quality import mode_shapes

NEAR = "scikit-learn", "scipy"


def by_nearest_neighbours(m: Mixture) -> dict[str, float]:
    """Return modes, HQ and reverse KL by scikit-learn's nearest neighbours and SciPy's relative entropy."""
    from scipy.stats import entropy
    from sklearn.neighbors import NearestNeighbors

    distance, which = NearestNeighbors(n_neighbors=1).fit(m.centres).kneighbors(m.samples)
    good = which[distance <= 3 * m.std]
    counts = [(good == k).sum() for k in range(len(m.centres))]
    kl = entropy(counts, np.ones(len(m.centres))) if len(good) else np.inf
    return {"modes": float(np.count_nonzero(counts)), "hq": len(good) / len(m.samples), "reverse_kl": float(kl)}


def coverage() -> Iterator[Comparison]:
    """Compare modes, HQ and reverse KL."""
    for m in mixtures():
        ours = metrics.mixture_coverage(m.samples, m.centres, m.std)
        for by, theirs in ((named(*NEAR), by_nearest_neighbours(m)), (LOOP, definitions.coverage(m.samples, m.centres, m.std))):
            yield Comparison("modes", m.name, ours.modes, theirs["modes"], by, 0.0, "both are whole numbers")
            yield Comparison("HQ", m.name, ours.hq, theirs["hq"], by, rounding(ours.hq), COUNTS)
            yield Comparison("reverse KL", m.name, ours.reverse_kl, theirs["reverse_kl"], by, rounding(ours.reverse_kl), SUMS)


def jsd_on_cells(m: Mixture) -> float:
    """Return the JSD on cells: counted by a loop, the divergence by SciPy, whose distance is its root."""
    from scipy.spatial.distance import jensenshannon

    share = definitions.cells(m.samples, m.centres, m.std)
    return float(jensenshannon(np.full(len(share), 1 / len(share)), share) ** 2)


def jsd() -> Iterator[Comparison]:
    """Compare the JSD on cells."""
    for m in mixtures():
        ours = metrics.mixture_jsd(m.samples, m.centres, m.std)
        yield Comparison("JSD", m.name, ours, jsd_on_cells(m), f"{LOOP}; {named('scipy')}", rounding(ours), SUMS)


def shapes_by_pca(m: Mixture) -> dict[str, float]:
    """Return the widths and places of the modes, as MixtureQuality.numbers names them, by scikit-learn's neighbours and PCA."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    distance, which = (found[:, 0] for found in NearestNeighbors(n_neighbors=1).fit(m.centres).kneighbors(m.samples))
    ratios, narrow, shifts = [], [], []
    for k, centre in enumerate(m.centres):
        own = m.samples[(which == k) & (distance <= 5 * m.std)]
        if len(own) < 3:
            continue
        pca = PCA(svd_solver="full").fit(own)
        ratios.append(math.sqrt(pca.explained_variance_.mean()) / m.std)
        narrow.append(math.sqrt(max(0.0, pca.explained_variance_.min())) / m.std)
        shifts.append(math.dist(pca.mean_, centre) / m.std)
    if not ratios:
        return dict.fromkeys(("std_ratio", "std_ratio_min", "std_ratio_max", "narrow_axis", "shift", "shift_max"), math.nan)
    return {"std_ratio": math.fsum(ratios) / len(ratios), "std_ratio_min": min(ratios), "std_ratio_max": max(ratios),
            "narrow_axis": min(narrow), "shift": math.fsum(shifts) / len(shifts), "shift_max": max(shifts)}


def shapes() -> Iterator[Comparison]:
    """Compare std ratio, narrow axis and shift: the mean and the extremes over the modes that have more than two samples."""
    for m in mixtures():
        found, theirs = mode_shapes(m.samples, m.centres, m.std), shapes_by_pca(m)
        seen = found.count > 2 if (found.count > 2).any() else slice(None)  # of no mode at all everything is NaN
        ratio, axes, shift = found.std_ratio[seen], found.axes[seen], found.shift[seen]
        ours = {"std_ratio": ratio.mean(), "std_ratio_min": ratio.min(), "std_ratio_max": ratio.max(), "narrow_axis": axes.min(),
                "shift": shift.mean(), "shift_max": shift.max()}
        for name, value in ours.items():
            # the centres' own coordinates are lost in offsets: 1 over a std of 0.01 has two digits more to lose than the offset
            yield Comparison(metric_of(name), f"{m.name} ({name})", float(value), theirs[name], named("scikit-learn"),
                             rounding(float(value), 1e-10), "one takes variances of offsets, the other of the samples themselves")


def metric_of(name: str) -> str:
    """Return the metric that a number of MixtureQuality.numbers belongs to."""
    return {"std_ratio": "std ratio", "narrow_axis": "narrow axis", "shift": "shift"}[
        name.removesuffix("_min").removesuffix("_max")]


COMPARATORS = (
    Comparator("coverage of modes", coverage), Comparator("JSD on cells", jsd), Comparator("shapes of modes", shapes),
)

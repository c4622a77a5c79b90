"""Measures by nearest neighbours: precision, recall, density, coverage, signs of memorisation and of collapse."""

from __future__ import annotations

import contextlib
import io
import statistics
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from benchmarks.quality.independent import definitions
from benchmarks.quality.independent.comparison import COUNTS, LOOP, SUMS, Comparator, Comparison, named, rounding
from benchmarks.quality.independent.samples import UNIT, Cloud, clouds, line, tied
from tinygan.measure import metrics

K = 5
OPEN = ("prdc's balls lack their surface (<), and those of Kynkaanniemi et al. 2019, as of their own code, have it (<=); "
        "a loop counts either way")


def by_prdc(real: np.ndarray, fake: np.ndarray, k: int = K) -> dict[str, float]:
    """Return precision, recall, density and coverage by the package of Naeem et al. 2020, which prints as it goes."""
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(real_features=real, fake_features=fake, nearest_k=k)
    return {name: float(value) for name, value in found.items()}


def prdc() -> Iterator[Comparison]:
    """Compare precision, recall, density and coverage with prdc: as they are without ties, and but for its open balls with ties."""
    by = named("prdc")
    for cloud in clouds():
        ours, theirs = asdict(metrics.neighbours(cloud.real, cloud.fake, K)), by_prdc(cloud.real, cloud.fake)
        for name, value in ours.items():
            yield Comparison(name, cloud.name, value, theirs[name], by, rounding(value), COUNTS)
    for cloud, unit in ((tied(), UNIT), (line(), 1.0)):
        # in whole units the squares that prdc sums are whole numbers too, so that it finds equal distances equal
        ours = asdict(metrics.neighbours(cloud.real, cloud.fake, K))
        theirs = by_prdc(cloud.real / unit, cloud.fake / unit)
        real, fake = (definitions.integers_of(points, unit) for points in (cloud.real, cloud.fake))
        closed, open_ = (definitions.balls(real, fake, K, closed) for closed in (True, False))
        for name, value in ours.items():
            yield Comparison(name, cloud.name, value, theirs[name], by, rounding(value), COUNTS, open_[name] - closed[name],
                             OPEN if open_[name] != closed[name] else "")


def neighbours() -> Iterator[Comparison]:
    """Compare precision, recall, density and coverage with a loop over the definitions in whole numbers, with many ties."""
    for cloud, unit in ((tied(), UNIT), (line(), 1.0)):
        ours = asdict(metrics.neighbours(cloud.real, cloud.fake, K))
        theirs = definitions.balls(*(definitions.integers_of(points, unit) for points in (cloud.real, cloud.fake)), K)
        for name, value in ours.items():
            yield Comparison(name, cloud.name, value, theirs[name], f"{LOOP}, in whole numbers", rounding(value), COUNTS)
    for cloud in clouds():
        ours = asdict(metrics.neighbours(cloud.real, cloud.fake, K))
        theirs = by_trees(cloud)
        for name, value in ours.items():
            yield Comparison(name, cloud.name, value, theirs[name], named("scikit-learn"), rounding(value), COUNTS)


def by_trees(cloud: Cloud, k: int = K) -> dict[str, float]:
    """Return precision, recall, density and coverage by scikit-learn's trees, which never compute all distances."""
    from sklearn.neighbors import KDTree

    real, fake = KDTree(cloud.real), KDTree(cloud.fake)
    # of a point's k + 1 nearest of its own set one is the point itself
    real_reach, fake_reach = (tree.query(x, k + 1)[0][:, -1] for tree, x in ((real, cloud.real), (fake, cloud.fake)))
    # balls hold their surface; trees compare squares, and the square of a rounded root may fall short of what it is the root of
    held = fake.query_radius(cloud.real, real_reach * (1 + 1e-9))  # for each real sample the fakes in its ball
    holding = real.query_radius(cloud.fake, fake_reach * (1 + 1e-9))
    return {
        "precision": len(set().union(*map(set, map(np.ndarray.tolist, held)))) / len(cloud.fake),
        "recall": len(set().union(*map(set, map(np.ndarray.tolist, holding)))) / len(cloud.real),
        "density": sum(map(len, held)) / (k * len(cloud.fake)), "coverage": sum(len(some) > 0 for some in held) / len(cloud.real),
    }


# ---- memorisation and collapse --------------------------------------------------------------------------------------------------


def gap_by_trees(points: np.ndarray) -> float:
    """Return the median distance of a point to its nearest other one by SciPy's tree."""
    from scipy.spatial import KDTree

    return statistics.median(KDTree(points).query(points, 2)[0][:, 1].tolist())


def memorisation() -> Iterator[Comparison]:
    """Compare how many real samples are the nearest one of a fake, and the ratio of distances."""
    from scipy.spatial import KDTree

    for cloud in clouds():
        ours = metrics.memorisation(cloud.real, cloud.fake)
        distance, which = KDTree(cloud.real).query(cloud.fake)
        ratio = statistics.median(distance.tolist()) / gap_by_trees(cloud.real)
        yield Comparison("nearest real samples", cloud.name, ours.distinct, len(set(which.tolist())), named("scipy"), 0.0,
                         "both are whole numbers")
        yield Comparison("distance to data / gap of data", cloud.name, ours.ratio, ratio, named("scipy"), rounding(ratio), SUMS)
    yield from memorisation_with_ties()


def memorisation_with_ties() -> Iterator[Comparison]:
    """Compare the same where the nearest real samples are often several, of which the first counts."""
    cloud = line()
    real, fake = (definitions.integers_of(points, 1.0) for points in (cloud.real, cloud.fake))
    first = [definitions.nearest(x, real) for x in fake]
    far = statistics.median(definitions.squared(x, real[i]) ** 0.5 for x, i in zip(fake, first, strict=True))
    gaps = (min(definitions.squared(x, y) for j, y in enumerate(real) if j != i) for i, x in enumerate(real))
    gap = statistics.median(square**0.5 for square in gaps)
    ours = metrics.memorisation(cloud.real, cloud.fake)
    yield Comparison("nearest real samples", cloud.name, ours.distinct, len(set(first)), f"{LOOP}, in whole numbers", 0.0,
                     "both are whole numbers")
    ratio = far / max(gap, 1e-12)
    yield Comparison("distance to data / gap of data", cloud.name, ours.ratio, ratio, f"{LOOP}, in whole numbers",
                     1e-12 * max(1.0, ratio), SUMS)


def missed_by_scipy(real: np.ndarray, fake: np.ndarray, bins: int = 16, least: float = 0.2) -> float:
    """Return the share of the data in regions that are missed: the same k-means cells, found again and counted by SciPy.

    SciPy's k-means goes on from where scikit-learn's ended, so it would move the centres if those were no clusters yet.
    """
    from scipy.cluster.vq import kmeans2, vq
    from sklearn.cluster import KMeans

    start = KMeans(bins, n_init=1, random_state=0).fit(real).cluster_centers_
    centres, _ = kmeans2(real, start, iter=10, minit="matrix")
    of_real, of_fake = (np.bincount(vq(x, centres)[0], minlength=bins).tolist() for x in (real, fake))
    return sum(a / len(real) for a, b in zip(of_real, of_fake, strict=True) if b / len(fake) < least * a / len(real))


def collapse() -> Iterator[Comparison]:
    """Compare the signs of collapse that are not among the measures above: missed regions and crowding."""
    for cloud in clouds():
        ours = metrics.collapse_signs(cloud.real, cloud.fake)
        yield Comparison("missed regions", cloud.name, ours.missed, missed_by_scipy(cloud.real, cloud.fake), named("scipy"),
                         rounding(ours.missed), COUNTS)
        crowding = gap_by_trees(cloud.fake) / gap_by_trees(cloud.real)
        yield Comparison("crowding", cloud.name, ours.crowding, crowding, named("scipy"), rounding(crowding), SUMS)


COMPARATORS = (
    Comparator("precision, recall, density, coverage by prdc", prdc, ("prdc",)),
    Comparator("precision, recall, density, coverage", neighbours), Comparator("memorisation", memorisation),
    Comparator("signs of collapse", collapse),
)

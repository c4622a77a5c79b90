"""The two-sample test and the memorisation test, which deal labels at random: their statistics, and their p by the same deals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

import numpy as np

from benchmarks.quality.independent import definitions
from benchmarks.quality.independent.comparison import COUNTS, LOOP, SUMS, Comparator, Comparison, named, rounding
from benchmarks.quality.independent.samples import SEED, Cloud, Recorded, clouds, digits, mixtures
from tinygan.measure.sample_quality import MemorisationTest, memorisation_test
from tinygan.measure.two_sample import View, two_sample_test

PERMUTATIONS, DEALS = 99, 999
ONE_OF_MANY = 4  # standard errors that what is drawn may be from what is exact: beyond it is one case in 16,000


def sets(n: int = 60) -> list[tuple[str, np.ndarray, np.ndarray, tuple[float, ...]]]:
    """Return (name, real, generated, bandwidths of the views): numbers that differ, numbers that are equal, and copies."""
    x, (poor, *_) = digits()[0], clouds()
    ring = mixtures()[0]
    rng = np.random.default_rng([SEED, 9])
    real = ring.centres[rng.integers(8, size=n)] + ring.std * rng.standard_normal((n, 2))
    return [
        ("ring, narrow and shifted", real, ring.samples[:n], (0.2, 0.8)),
        ("digits, blurred, half as many", x[:n], poor.fake[: n // 2], (2.0, 4.0, 8.0)),
        ("digits, copies of real ones", x[:n], x[n // 2 : n + n // 2], (4.0,)),
    ]


def torchmetrics_mmd(real: np.ndarray, fake: np.ndarray, bandwidth: float) -> float:
    """Return the unbiased MMD^2 by torchmetrics, which KID uses, of scikit-learn's Gaussian kernels; as many samples of each."""
    import torch
    from sklearn.metrics.pairwise import rbf_kernel
    from torchmetrics.image.kid import maximum_mean_discrepancy

    pairs = ((real, real), (real, fake), (fake, fake))
    return float(maximum_mean_discrepancy(*(torch.from_numpy(rbf_kernel(a, b, gamma=0.5 / bandwidth**2)) for a, b in pairs)))


def mmd_by_torchmetrics() -> Iterator[Comparison]:
    """Compare MMD^2 with that of torchmetrics, where there are as many samples of each."""
    for name, real, fake, bandwidths in sets():
        if len(real) == len(fake):
            ours = two_sample_test([View(real, fake, b) for b in bandwidths], np.random.default_rng(0), 1).mmd
            for value, b in zip(ours, bandwidths, strict=True):
                yield Comparison("MMD²", f"{name}, bandwidth {b:g}", value, torchmetrics_mmd(real, fake, b),
                                 named("torchmetrics", "scikit-learn"), rounding(value, 1e-11), SUMS_OF_PRODUCTS)


SUMS_OF_PRODUCTS = "scikit-learn takes |a - b|² as |a|² - 2ab + |b|², which loses some digits"


def mmd() -> Iterator[Comparison]:
    """Compare MMD^2, the score and p with a loop over the definition and over the same permutations."""
    for name, real, fake, bandwidths in sets():
        rng = Recorded(SEED)
        found = two_sample_test([View(real, fake, b) for b in bandwidths], rng, PERMUTATIONS)
        for value, b in zip(found.mmd, bandwidths, strict=True):
            yield Comparison("MMD²", f"{name}, bandwidth {b:g}", value, definitions.mmd(real, fake, b), LOOP, rounding(value), SUMS)
        score, p = score_and_p([(real, fake, b) for b in bandwidths], rng.permutations)
        by = f"{LOOP}; kernels by {named('scikit-learn')}"
        yield Comparison("MMD test, score", name, found.score, score, by, rounding(score, 1e-9),
                         "MMD² is up to 1e5 times as large as its spread over the permutations, by which it is divided")
        yield Comparison("MMD test, p", name, found.p, p, by, rounding(p), COUNTS)


def score_and_p(views: list[tuple[np.ndarray, np.ndarray, float]], permutations: list[np.ndarray]) -> tuple[float, float]:
    """Return the largest standardised MMD^2 over the views, and the share of permutations whose own is as large.

    views: (real, generated, bandwidth) each. The samples' own order is one of the permutations.
    """
    from sklearn.metrics.pairwise import rbf_kernel

    n, m = len(views[0][0]), len(views[0][1])
    orders = [np.arange(n + m), *permutations]
    standardised = []
    for real, fake, b in views:
        kernel = rbf_kernel(np.concatenate([real, fake]), gamma=0.5 / b**2)
        found = []
        for order in orders:
            x, y = order[:n], order[n:]
            within = [(kernel[np.ix_(some, some)].sum() - len(some)) / (len(some) * (len(some) - 1)) for some in (x, y)]
            found.append(sum(within) - 2 * kernel[np.ix_(x, y)].mean())
        mean, spread = statistics.fmean(found), statistics.pstdev(found)
        standardised.append([(value - mean) / spread for value in found])
    scores = [max(values) for values in zip(*standardised, strict=True)]
    return scores[0], sum(score >= scores[0] - 1e-9 for score in scores) / len(scores)


class EverySplit:
    """Gives, as permutations, every way to choose the real ones among n + m samples, but for their own order, one after another."""

    def __init__(self, n: int, m: int) -> None:
        own = tuple(range(n))
        self.splits = iter([(*s, *(i for i in range(n + m) if i not in s)) for s in combinations(range(n + m), n) if s != own])

    def permutation(self, n: int) -> np.ndarray:
        """Return the next one."""
        return np.array(next(self.splits))


def exact_p() -> Iterator[Comparison]:
    """Compare p with that of SciPy's permutation test, when both go through every split of a few samples."""
    from scipy.stats import permutation_test

    rng = np.random.default_rng([SEED, 10])
    for n, m, shift in ((5, 5, 0.9), (4, 6, 0.4)):
        x, y = rng.standard_normal(n), shift + rng.standard_normal(m)
        found = two_sample_test([View(x[:, None], y[:, None], 1.0)], EverySplit(n, m), math.comb(n + m, n) - 1)
        theirs = permutation_test((x, y), lambda a, b: definitions.mmd(a[:, None], b[:, None], 1.0), alternative="greater",
                                  vectorized=False, n_resamples=np.inf).pvalue
        yield Comparison("MMD test, p", f"{n} and {m} numbers, all {math.comb(n + m, n)} splits", found.p, float(theirs),
                         named("scipy"), rounding(found.p), COUNTS)


# ---- memorisation ---------------------------------------------------------------------------------------------------------------


def memorised(n: int = 40) -> tuple[np.ndarray, np.ndarray, list[Cloud]]:
    """Return digits trained on, digits held out (n, 64) and clouds whose fakes are blurred, or near copies of those trained on."""
    x, _ = digits()
    inside, outside = x[:n], x[n : 2 * n]
    rng = np.random.default_rng([SEED, 11])
    copies = inside[rng.integers(n, size=2 * n)] + 0.3 * rng.standard_normal((2 * n, 64))
    fresh = clouds()[0].fake[: 3 * n]
    return inside, outside, [Cloud("digits, blurred and noisy", inside, fresh),
                             Cloud("digits, a third of them near copies", inside, np.concatenate([copies[:n], fresh[: 2 * n]]))]


def memorisation() -> Iterator[Comparison]:
    """Compare the share that is nearer to training, its spread and its p: by the same deals, and by all deals that there are."""
    from sklearn.neighbors import NearestNeighbors

    inside, outside, found_by = memorised()
    n = len(inside)
    model = NearestNeighbors(n_neighbors=1).fit(np.concatenate([inside, outside]))
    for cloud in found_by:
        rng = Recorded(SEED)
        ours = memorisation_test(inside, outside, cloud.fake, rng, DEALS)
        nearest = model.kneighbors(cloud.fake, return_distance=False)[:, 0]
        counts, m = [int((nearest == i).sum()) for i in range(2 * n)], len(cloud.fake)
        own = sum(counts[:n])
        by = named("scikit-learn")
        yield Comparison("nearer to training", cloud.name, ours.nearer, own / m, by, rounding(1.0), COUNTS)
        dealt = [sum(counts[i] for i in order[:n]) for order in rng.permutations[1:]]  # the first one deals with ties
        yield Comparison("nearer to training, by chance", f"{cloud.name}, the same deals", ours.by_chance,
                         statistics.pstdev(dealt) / m, by, rounding(1.0), SUMS)
        yield Comparison("nearer to training, p", f"{cloud.name}, the same deals", ours.p,
                         (1 + sum(one >= own for one in dealt)) / (1 + len(dealt)), by, rounding(1.0), COUNTS)
        yield from against_all_deals(cloud.name, ours, counts, n, m)


def against_all_deals(name: str, ours: MemorisationTest, counts: list[int], n: int, m: int) -> Iterator[Comparison]:
    """Compare the spread and p by random deals with those of all deals: by a formula for sampling, and by counting exactly."""
    variance = Fraction(statistics.pvariance([Fraction(c) for c in counts])) * 2 * n / (2 * n - 1) * n / 2
    spread, p = math.sqrt(variance) / m, float(definitions.chance_of_sum(counts, n, sum(counts[:n])))
    by = f"{LOOP} over all deals, exact"
    yield Comparison("nearer to training, by chance", f"{name}, all deals", ours.by_chance, spread, by,
                     ONE_OF_MANY * spread / math.sqrt(2 * DEALS), f"{DEALS} random deals; {ONE_OF_MANY} standard errors")
    yield Comparison("nearer to training, p", f"{name}, all deals", ours.p, p, by,
                     ONE_OF_MANY * math.sqrt(p * (1 - p) / DEALS) + 1 / DEALS,
                     f"{DEALS} random deals; {ONE_OF_MANY} standard errors, and the samples' own deal is one more")


COMPARATORS = (
    Comparator("MMD by torchmetrics", mmd_by_torchmetrics, ("torch", "torchmetrics")),
    Comparator("MMD and its test", mmd), Comparator("MMD test by all splits", exact_p),
    Comparator("memorisation test", memorisation),
)

"""The numbers as results record them: all of a mixture's, and all of a data set's with samples held out, put together anew.

What a report adds to its measures is which samples it takes for what: the first 2,500 for HQ, as many of the training data as were
held out, the means over exact samplers and over draws of z. Here the same random draws are taken, and everything else is done anew.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator
from unittest.mock import patch

import numpy as np

from benchmarks.quality.independent.comparison import Comparator, Comparison, named, rounding
from benchmarks.quality.independent.feature_measures import in_features
from benchmarks.quality.independent.mixture_measures import by_nearest_neighbours, jsd_on_cells, metric_of, shapes_by_pca
from benchmarks.quality.independent.neighbour_measures import by_trees
from benchmarks.quality.independent.permutation_tests import score_and_p
from benchmarks.quality.independent.samples import SEED, Cloud, Mixture, Recorded, blurred, digits, drawn, mixtures
from tinygan.data import Dataset, load
from tinygan.measure.mixture_quality import COUNTED, EXACT_DRAWS, exact_samples, mixture_quality
from tinygan.measure.sample_quality import sample_quality

WHY = "as for the measure by itself"
IN_FLOAT32 = "the digits are float32, and their principal axes are found in it"


# ---- mixtures -------------------------------------------------------------------------------------------------------------------

NAMES = {
    "modes": "modes", "hq": "HQ", "reverse_kl": "reverse KL", "jsd": "JSD", "mmd_p": "MMD test, p", "mmd_score": "MMD test, score",
}


def scores(m: Mixture) -> dict[str, float]:
    """Return the scores of samples of a mixture, of the first 2,500 and of all, by other implementations."""
    first, every = (by_nearest_neighbours(dataclasses.replace(m, samples=some)) for some in (m.samples[:COUNTED], m.samples))
    return {**first, "hq_of_all": every["hq"], "reverse_kl_of_all": every["reverse_kl"], "jsd": jsd_on_cells(m)}


def offsets(samples: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the offsets of samples (n, 2) from their nearest centres, by SciPy's tree."""
    from scipy.spatial import KDTree

    return samples - centres[KDTree(centres).query(samples)[1]]


def mixture_numbers(m: Mixture, tested: int, rng: Recorded) -> dict[str, float]:
    """Return what MixtureQuality.numbers returns; rng: has given the exact samples and the permutations once before."""
    again = np.random.default_rng(SEED)
    exact = [scores(dataclasses.replace(m, samples=exact_samples(len(m.samples), m.centres, m.std, again)))
             for _ in range(EXACT_DRAWS)]
    means = {f"exact_{name}": statistics.fmean(one[name] for one in exact) for name in exact[0] if name != "modes"}
    real, fake = exact_samples(tested, m.centres, m.std, again), m.samples[:tested]
    gap = min(float(np.linalg.norm(a - b)) for a in m.centres for b in m.centres if (a != b).any())
    views = [(offsets(real, m.centres), offsets(fake, m.centres), m.std), (real, fake, gap / 4), (real, fake, gap)]
    score, p = score_and_p(views, rng.permutations)
    return {**scores(m), **means, **shapes_by_pca(m), "mmd_score": score, "mmd_p": p}


def of_a_mixture() -> Iterator[Comparison]:
    """Compare every number of a mixture's report, of more samples than HQ is counted on, and than the test takes.

    The test is told to take 200 samples instead of 2,000, as going through its permutations one by one would last minutes.
    """
    ring, n, tested = mixtures()[0], COUNTED + 300, 200
    m = Mixture(f"report of {n:,} samples of ring", drawn(ring.centres, ring.std, n, 20, 0.8, 0.2, 1), ring.centres, ring.std)
    rng = Recorded(SEED)
    with patch("tinygan.measure.mixture_quality.TESTED", tested):
        ours = mixture_quality(m.samples, m.centres, m.std, rng).numbers()
    theirs, by = mixture_numbers(m, tested, rng), named("scikit-learn", "scipy")
    for name, value in ours.items():
        metric = NAMES.get(name.removeprefix("exact_").removesuffix("_of_all")) or metric_of(name)
        yield Comparison(metric, f"{m.name}, {name}", float(value), theirs[name], by, rounding(value, 1e-9), WHY)
    assert ours.keys() == theirs.keys()


# ---- data of which there is a finite set ----------------------------------------------------------------------------------------

SAMPLE_NAMES = {
    "frechet": "Frechet distance", "nearer_training": "nearer to training", "nearer_by_chance": "nearer to training, by chance",
    "nearer_p": "nearer to training, p",
}


def frechet_of(real: np.ndarray, fake: np.ndarray, axes_of: np.ndarray) -> float:
    """Return the Frechet distance of real and generated samples along the principal axes of other real ones, by SciPy."""
    from scipy.linalg import sqrtm

    a, b = (in_features(Cloud("", axes_of, x))[1] for x in (real, fake))
    A, B = np.cov(a.T), np.cov(b.T)
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(A + B - 2 * np.real(sqrtm(A @ B))))


def sample_numbers(data: Dataset, fakes: list[np.ndarray], most: int, permutations: list[np.ndarray]) -> dict[str, float]:
    """Return what SampleQuality.numbers returns; permutations: those that decided which samples were compared, then the deals."""
    real, held = (x.reshape(len(x), -1).astype(np.float64) for x in (data.x, data.held.x))
    n = min(len(held), len(real), most)
    some, outside, inside = real[permutations[0][:most]], held[permutations[1][:n]], real[permutations[2][:n]]
    numbers = over_draws("", [{**by_trees(Cloud("", some, fake)), "frechet": frechet_of(real, fake, real)} for fake in fakes])
    for prefix, beside in (("held_out_", outside), ("subset_", inside)):
        numbers |= over_draws(prefix, [{**by_trees(Cloud("", beside, fake[:n])), "frechet": frechet_of(beside, fake[:n], real)}
                                       for fake in fakes])
    between = {**by_trees(Cloud("", outside, inside)), "frechet": frechet_of(outside, inside, real)}
    numbers |= {f"real_{name}": value for name, value in between.items()}
    return numbers | nearer(inside, outside, fakes[0], permutations[4:])


def over_draws(prefix: str, found: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each score over draws of z, and its standard deviation."""
    columns = {name: [one[name] for one in found] for name in found[0]}
    return {f"{prefix}{name}": statistics.fmean(values) for name, values in columns.items()} | {
        f"{prefix}{name}_z_std": statistics.stdev(values) for name, values in columns.items()}


def nearer(inside: np.ndarray, outside: np.ndarray, fake: np.ndarray, deals: list[np.ndarray]) -> dict[str, float]:
    """Return the numbers of the memorisation test, by SciPy's tree and the same deals."""
    from scipy.spatial import KDTree

    n = len(inside)
    nearest = KDTree(np.concatenate([inside, outside])).query(fake)[1].tolist()
    own = sum(i < n for i in nearest)
    dealt = [sum(map(set(deal[:n].tolist()).__contains__, nearest)) for deal in deals]
    return {"nearer_training": own / len(fake), "nearer_by_chance": statistics.pstdev(dealt) / len(fake),
            "nearer_p": (1 + sum(one >= own for one in dealt)) / (1 + len(dealt))}


def of_digits() -> Iterator[Comparison]:
    """Compare every number of a report on digits of which a part was held out, of two draws of z."""
    data, most = load("digits", held_out=0.1), 400
    x, _ = digits()
    drawn_fakes = [blurred(x[200 + 500 * i : 200 + 500 * i + most], 0.05 + 0.05 * i, 22 + i) for i in range(2)]
    rng, given = Recorded(SEED), iter(drawn_fakes)
    found = sample_quality(data, lambda n: next(given), rng, 2, most)
    theirs = sample_numbers(data, drawn_fakes, most, rng.permutations)
    ours = found.numbers()
    by = named("scikit-learn", "scipy")
    for name, value in ours.items():
        metric = metric_of_samples(name)
        tolerance, why = (rounding(value, 1e-6), IN_FLOAT32) if metric == "Frechet distance" else (rounding(value, 1e-9), WHY)
        yield Comparison(metric, f"report of digits, {name}", value, theirs[name], by, tolerance, why)
    assert ours.keys() == theirs.keys()


def metric_of_samples(name: str) -> str:
    """Return the metric that a number of SampleQuality.numbers belongs to."""
    bare = name.removesuffix("_z_std").split("_")[-1] if not name.startswith("nearer") else name
    return SAMPLE_NAMES.get(bare, bare)


COMPARATORS = (Comparator("report of a mixture", of_a_mixture), Comparator("report of digits", of_digits))

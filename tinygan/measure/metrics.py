"""Measures of samples: coverage of a mixture whose density is known, and comparisons of any samples with real ones.

A generator can make fair samples and still make only a few of the many things it was shown. So each measure of quality
(precision, density, HQ share) stands beside one of variety (recall, coverage, modes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .clusters import cluster_sizes, clustered
from .densities import jsd, optimal


@dataclass(frozen=True)
class MixtureCoverage:
    """The coverage of a mixture's modes by samples.

    modes: how many were captured, of how many there are (`of`). hq: the share of samples of high quality, within 3 std of a mode.
    reverse_kl: the divergence of those samples' histogram over the modes from the uniform one; nats.
    """

    modes: int
    of: int
    hq: float
    reverse_kl: float


def mixture_coverage(samples: np.ndarray, centres: np.ndarray, std: float) -> MixtureCoverage:
    """Measure how samples (n, 2) cover the modes at centres (k, 2), in user units.

    A mode is captured if it is the nearest one of a sample of high quality (HQ), one within 3 std of a mode. Srivastava et al.
    2017 (VEEGAN) and Lin et al. 2018 (PacGAN) take 2,500 samples. An exact sampler has 1 - e^-4.5 = 98.889 % HQ. Without any HQ
    sample the reverse KL is infinite.
    """
    distances = np.linalg.norm(samples[:, None, :] - centres[None, :, :], axis=2)
    nearest, good = distances.argmin(axis=1), distances.min(axis=1) <= 3 * std
    counts = np.bincount(nearest[good], minlength=len(centres))
    if not counts.sum():
        return MixtureCoverage(0, len(centres), 0.0, float("inf"))
    p = counts[counts > 0] / counts.sum()
    return MixtureCoverage(int((counts > 0).sum()), len(centres), float(good.mean()), float((p * np.log(p * len(centres))).sum()))


@dataclass(frozen=True)
class Neighbours:
    """Measures by nearest neighbours: of quality (precision, density) and of variety (recall, coverage).

    precision, recall: Kynkaanniemi et al. 2019, eq. 1 and 2. density, coverage: Naeem et al. 2020, eq. 3 and 4.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def neighbours(real: np.ndarray, fake: np.ndarray, k: int = 5) -> Neighbours:
    """Compare fake (m, features) with real (n, features), Euclidean. A point's ball reaches to the k-th nearest of its own set.

    precision: share of fakes in some real ball. recall: share of reals in some fake ball. density: how many real balls a
    fake lies in, over k. coverage: share of real balls that hold a fake. Raises ValueError for k or fewer points.
    """
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"{len(real)} real and {len(fake)} generated samples are too few for {k} nearest neighbours")
    real_radius, fake_radius = _kth_distance(real, k), _kth_distance(fake, k)
    distances = _distances(real, fake)
    in_real = distances <= real_radius[:, None]
    in_fake = distances <= fake_radius[None, :]
    return Neighbours(
        precision=float(in_real.any(axis=0).mean()),
        recall=float(in_fake.any(axis=1).mean()),
        density=float(in_real.sum(axis=0).mean() / k),
        coverage=float(in_real.any(axis=1).mean()),
    )


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances (n, m) between points a (n, f) and b (m, f), float64."""
    from scipy.spatial.distance import cdist

    return cdist(np.asarray(a, np.float64), np.asarray(b, np.float64))


def _kth_distance(points: np.ndarray, k: int) -> np.ndarray:
    """Return the distance of every point to its k-th nearest other one; the nearest of all is the point itself."""
    return np.partition(_distances(points, points), k, axis=1)[:, k]


@dataclass(frozen=True)
class ClassBalance:
    """The classes of generated samples, as a classifier sees them.

    confidence: the mean of the classifier's largest probability. real_confidence: the same on real samples that it was not fitted
    on. shares: of the samples, the share whose likeliest class is this one, for each class.
    """

    confidence: float
    real_confidence: float
    shares: tuple[float, ...]

    @property
    def rarest(self) -> float:
        """The share of the class with the fewest samples."""
        return min(self.shares)


def class_balance(real: np.ndarray, labels: np.ndarray, fake: np.ndarray) -> ClassBalance:
    """Classify fake (m, features) by a logistic regression that was fitted on one half of real (n, features) with labels (n,).

    Compare its confidence on the fakes with that on the other half: samples that look like real ones are classified as surely.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    fit_x, held_x, fit_y, _ = train_test_split(real, labels, test_size=0.5, random_state=0, stratify=labels)
    model = LogisticRegression(max_iter=2000).fit(fit_x, fit_y)
    predicted = model.predict_proba(fake)
    counts = np.bincount(predicted.argmax(axis=1), minlength=predicted.shape[1])
    return ClassBalance(
        confidence=float(predicted.max(axis=1).mean()),
        real_confidence=float(model.predict_proba(held_x).max(axis=1).mean()),
        shares=tuple((counts / counts.sum()).tolist()),
    )


@dataclass(frozen=True)
class Memorisation:
    """Signs that generated samples repeat the real ones.

    distinct: how many different real samples are the nearest one of some fake. ratio: the median distance of a fake to its nearest
    real sample, over that of a real one to its nearest other: near 0 for copies, about 1 for fresh samples like the real ones.
    """

    distinct: int
    ratio: float


def memorisation(real: np.ndarray, fake: np.ndarray) -> Memorisation:
    """Look for copies of real (n, features) in fake (m, features), by Euclidean distance."""
    distances = _distances(fake, real)
    nearest = float(np.median(distances.min(axis=1)))
    return Memorisation(len(np.unique(distances.argmin(axis=1))), nearest / max(typical_gap(real), 1e-12))


def typical_gap(points: np.ndarray) -> float:
    """Return the median distance of a point (n, features) to its nearest other one: small where many z give one x."""
    return float(np.median(_kth_distance(points, 1)))


def missed_share(real: np.ndarray, fake: np.ndarray, bins: int = 16, least: float = 0.2) -> float:
    """Return the share of real (n, features) in regions where fake (m, features) is less than `least` times as frequent.

    Regions are the cells of k-means clusters of the real samples, as in Richardson and Weiss 2018 (NDB); every sample belongs to
    the nearest centre, so blurred samples count where they lie. With 32 samples a region, chance alone leaves none that empty.
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    model = clustered(real, min(bins, len(real)), n_init=1, random_state=0)
    shares = [cluster_sizes(model, x) / len(x) for x in (real, fake)]
    return float(shares[0][shares[1] < least * shares[0]].sum())


# ---- mixtures: distances to a known density -----------------------------------------------------------------------------------


def mixture_jsd(samples: np.ndarray, centres: np.ndarray, std: float, shells: int = 6, sectors: int = 4) -> float:
    """Return the JSD, in nats, between an equal mixture of 2-D Gaussians and samples (n, 2), on cells of equal probability.

    Around each centre, shells of equal probability in the distance to it, each cut into equal sectors: a point falls into a
    cell of its nearest centre, and the mixture puts 1 / (k shells sectors) into each (its modes have to lie 6 std apart). The
    result is a lower bound, as every cell hides what happens inside it; and n exact samples give about (cells - 1) / (8 n), not 0.
    """
    offset = samples[:, None, :] - centres[None, :, :]
    distances = np.linalg.norm(offset, axis=2)
    nearest = distances.argmin(axis=1)
    own = offset[np.arange(len(samples)), nearest]
    inside = 1 - np.exp(-((own / std) ** 2).sum(axis=1) / 2)  # the share of a Gaussian that lies nearer to its centre
    shell = np.minimum((inside * shells).astype(int), shells - 1)
    sector = ((np.arctan2(own[:, 1], own[:, 0]) / (2 * np.pi) % 1) * sectors).astype(int) % sectors
    cells = len(centres) * shells * sectors
    counts = np.bincount((nearest * shells + shell) * sectors + sector, minlength=cells)
    return jsd(np.full(cells, 1 / cells), counts / counts.sum())


@dataclass(frozen=True)
class AgainstOptimum:
    """D beside D*, on the cells that have any mass.

    l1: E |D - D*| under (p_data + p_g)/2. points (n, 2): the cells' centres. d, d_star (n,): D and D* there. weight (n,): the
    cells' probabilities under (p_data + p_g)/2.
    """

    l1: float
    points: np.ndarray
    d: np.ndarray
    d_star: np.ndarray
    weight: np.ndarray


def against_optimum(
    judge: Callable[[np.ndarray], np.ndarray], samples: np.ndarray, centres: np.ndarray, std: float, cells_per_std: float = 2.0
) -> AgainstOptimum:
    """Compare D with D* = p_data / (p_data + p_g) on a 2-D mixture. judge: points (n, 2) in user units -> D(x) (n,).

    p_g is the histogram of samples (n, 2; 100,000 or more) in square cells of side std / cells_per_std, p_data their exact
    probability. With few samples a cell, D* itself is noisy: n exact samples over c cells leave an l1 of about sqrt(c / n) / 4.
    """
    side = std / cells_per_std
    near = np.arange(np.ceil(5 * cells_per_std) * -1, np.ceil(5 * cells_per_std) + 1)
    around = np.stack(np.meshgrid(near, near, indexing="ij"), axis=-1).reshape(-1, 2)
    of_data = (np.floor(centres / side)[:, None, :] + around[None, :, :]).reshape(-1, 2)
    of_g = np.floor(samples / side)
    cells, which = np.unique(np.concatenate([of_data, of_g]), axis=0, return_inverse=True)
    q = np.bincount(which.reshape(-1)[len(of_data) :], minlength=len(cells)) / len(samples)
    p = _cell_probability(cells * side, side, centres, std)
    points = (cells + 0.5) * side
    d, d_star, weight = judge(points), optimal(p, q), (p + q) / 2
    return AgainstOptimum(float((np.abs(d - d_star) * weight).sum()), points, d, d_star, weight)


def _cell_probability(low: np.ndarray, side: float, centres: np.ndarray, std: float) -> np.ndarray:
    """Return the probability (n,) under the equal mixture of square cells with lower corners (n, 2), by the normal CDF."""
    from scipy.special import ndtr

    edges = (low[:, None, :] - centres[None, :, :]) / std
    return (ndtr(edges + side / std) - ndtr(edges)).prod(axis=2).mean(axis=1)


# ---- anything: Frechet distance and the Parzen estimate -----------------------------------------------------------------------


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Return the squared Frechet distance of the Gaussians fitted to real (n, f) and fake (m, f). Raises ValueError for n or m < 2.

    It is |mu - nu|^2 + Tr(A + B - 2 (A B)^(1/2)), with means mu, nu and covariances A, B.

    Dowson and Landau 1982, eq. 4; Heusel et al. 2017 (FID) take it in features of an Inception network, which this is not: the
    features are whatever was handed in, so the number is comparable with others in the same features only.
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    if min(len(real), len(fake)) < 2:
        raise ValueError(f"{len(real)} real and {len(fake)} generated samples: a covariance needs two of each")
    a, b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (real, fake))
    root = _psd_root(a)
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ b @ root), 0, None)).sum()  # Tr (A B)^(1/2), of a symmetric matrix
    return float(((real.mean(axis=0) - fake.mean(axis=0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * cross)


def _psd_root(matrix: np.ndarray) -> np.ndarray:
    """Return the symmetric square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


@dataclass(frozen=True)
class PcaFeatures:
    """The feature space of this project's Frechet distances: coordinates along the leading principal axes of the real data."""

    mean: np.ndarray
    axes: np.ndarray  # (features, kept)

    @classmethod
    def of(cls, real: np.ndarray, kept: int = 32) -> PcaFeatures:
        """Fit at most `kept` axes to real (n, features), in the data's own units (no whitening)."""
        centred = real - real.mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        return cls(real.mean(axis=0), axes[:kept].T)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the coordinates (n, kept) of samples x (n, features)."""
        return (x - self.mean) @ self.axes


PARZEN_CAUTION = (
    "Theis et al. 2016 advise against this measure: it need not rank models by their likelihood or by their samples, and in many "
    "dimensions even the training data can score below a model; quoted to compare with the 2014 paper's Table 1 alone."
)


@dataclass(frozen=True)
class Parzen:
    """A Parzen estimate: the mean log-likelihood of the test points, its standard error over them (nats), and the kernel width."""

    mean: float
    standard_error: float
    sigma: float


def parzen(
    fake: np.ndarray, validation: np.ndarray, test: np.ndarray, sigmas: np.ndarray | None = None
) -> Parzen:
    """Estimate the log-likelihood of test (t, d) by Gaussian windows on fake (n, d), as in Goodfellow et al. 2014, Table 1.

    The width is the one of `sigmas` that is best on validation (v, d). There: n = 10,000 samples, sigmas of logspace(-1, 0, 10),
    1,000 validation points, 10,000 test points, pixels in [0, 1]. See PARZEN_CAUTION.
    """
    sigmas = np.logspace(-1, 0, 10) if sigmas is None else sigmas
    scores = [_log_likelihood(fake, validation, sigma).mean() for sigma in sigmas]
    sigma = float(sigmas[int(np.argmax(scores))])
    found = _log_likelihood(fake, test, sigma)
    return Parzen(float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found))), sigma)


def _log_likelihood(fake: np.ndarray, points: np.ndarray, sigma: float) -> np.ndarray:
    """Return log of the mean over fakes of N(point; fake, sigma^2 I), (n,), computed by blocks of points."""
    from scipy.special import logsumexp

    d = fake.shape[1]
    blocks = np.array_split(points, max(1, len(points) * len(fake) // 10_000_000))
    logs = [logsumexp(-(_distances(block, fake) ** 2) / (2 * sigma**2), axis=1) for block in blocks]
    return np.concatenate(logs) - np.log(len(fake)) - d * np.log(sigma * np.sqrt(2 * np.pi))


# ---- mode collapse --------------------------------------------------------------------------------------------------------------

MISSED = 0.3  # share of the data in regions that G hardly visits
CROWDED = 0.1  # generated neighbours that are this much nearer to each other than real ones: many z, one x


@dataclass(frozen=True)
class CollapseSigns:
    """Three signs by which mode collapse shows in samples.

    precision, coverage: those of `neighbours`. missed: the share of the data in regions that G stays away from (`missed_share`).
    crowding: the median distance of a generated sample to its nearest other one, over the same of real samples (`typical_gap`).
    """

    precision: float
    coverage: float
    missed: float
    crowding: float

    @property
    def collapsed(self) -> bool:
        """True if whole regions are missed, if samples that look real leave half the data unreached, or if most are one point."""
        return self.missed > MISSED or (self.coverage < 0.5 < self.precision) or self.crowding < CROWDED


def collapse_signs(real: np.ndarray, fake: np.ndarray) -> CollapseSigns:
    """Look for mode collapse in fake (n, ...) beside real (n, ...): the same n, a few hundred. Raises ValueError for n below 6."""
    real, fake = (x.reshape(len(x), -1) for x in (real, fake))
    found = neighbours(real, fake)
    crowding = typical_gap(fake) / max(typical_gap(real), 1e-12)
    return CollapseSigns(found.precision, found.coverage, missed_share(real, fake), crowding)

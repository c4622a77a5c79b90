"""What a run shows, as numbers: coverage of mixtures whose density is known, and k-nearest-neighbour measures for the rest.

A generator can make fair samples and still make only a few of the many things it was shown. So each measure of quality
(precision, density, HQ share) stands beside one of variety (recall, coverage, modes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MixtureCoverage:
    """modes: captured, of all; hq: share within 3 std of a mode; reverse_kl: of the HQ samples' histogram from uniform, nats."""

    modes: int
    of: int
    hq: float
    reverse_kl: float


def mixture_coverage(samples: np.ndarray, centres: np.ndarray, std: float) -> MixtureCoverage:
    """samples (n, 2), centres (k, 2), in user units. A mode counts if one HQ sample has it as its nearest.

    Srivastava et al. 2017 (VEEGAN) and Lin et al. 2018 (PacGAN), on 2,500 samples. An exact sampler has
    1 - e^-4.5 = 98.889 % HQ. Without any HQ sample the reverse KL is infinite.
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
    """precision, recall (Kynkaanniemi et al. 2019, eq. 1 and 2) and density, coverage (Naeem et al. 2020, eq. 3 and 4)."""

    precision: float
    recall: float
    density: float
    coverage: float


def neighbours(real: np.ndarray, fake: np.ndarray, k: int = 5) -> Neighbours:
    """real (n, features) against fake (m, features), Euclidean. The ball of a point reaches to its k-th nearest of its own set.

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
    from scipy.spatial.distance import cdist

    return cdist(np.asarray(a, np.float64), np.asarray(b, np.float64))


def _kth_distance(points: np.ndarray, k: int) -> np.ndarray:
    """Distance of every point to its k-th nearest other one; the nearest of all is the point itself."""
    return np.partition(_distances(points, points), k, axis=1)[:, k]


@dataclass(frozen=True)
class ClassBalance:
    """confidence: a classifier's mean largest probability; real_confidence: on real samples that it was not fitted on."""

    confidence: float
    real_confidence: float
    shares: tuple[float, ...]

    @property
    def rarest(self) -> float:
        return min(self.shares)


def class_balance(real: np.ndarray, labels: np.ndarray, fake: np.ndarray) -> ClassBalance:
    """What a logistic regression, fitted on one half of the real samples (n, features), makes of the generated ones.

    The confidence on the other half is what to compare with: samples that look like digits are classified as surely.
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

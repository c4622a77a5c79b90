"""A two-sample test: whether generated samples could be draws from the distribution of the real ones.

The statistic is the maximum mean discrepancy (MMD, Gretton et al. 2012, "A Kernel Two-Sample Test") by Gaussian kernels; how large
it becomes by chance is found by permutations of the pooled samples, so the test needs no assumption about either distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 2  # samples of each sort: the unbiased estimate divides by n (n - 1)


@dataclass(frozen=True)
class View:
    """What a kernel of the test looks at: features of the real samples (n, f) and of the generated ones (m, f).

    bandwidth: the kernel is exp(-|a - b|^2 / (2 bandwidth^2)), in the features' units.
    """

    real: np.ndarray
    fake: np.ndarray
    bandwidth: float


@dataclass(frozen=True)
class TwoSampleTest:
    """The result of a two-sample test.

    p: the share of the permutations, the samples' own order among them, whose score is at least as large; never 0. Samples of the
    same distribution have p <= 0.05 in 5 % of all tests. score: the largest, over the views, of the MMD^2 in standard deviations
    from its mean under permutations. mmd: the unbiased estimate of MMD^2 for each view; it may be negative.
    """

    p: float
    score: float
    mmd: tuple[float, ...]


def two_sample_test(views: Sequence[View], rng: np.random.Generator, permutations: int = 199) -> TwoSampleTest:
    """Test whether two sets of samples come from one distribution, by all `views` at once.

    Each view gives an MMD^2 (Gretton et al. 2012, eq. 3). All are brought to one scale by their mean and standard deviation over
    the permutations, and the largest is the score, which is judged by the same permutations: p is exact whatever the number of
    views. The row i of every view is the same sample. Raises ValueError for fewer than 2 samples of a sort, for views of different
    numbers of samples, for no view, for a bandwidth that is not positive, and for no permutation.
    """
    if not views:
        raise ValueError("views is empty; a test needs at least one")
    n, m = len(views[0].real), len(views[0].fake)
    if min(n, m) < FEWEST:
        raise ValueError(f"{n} real and {m} generated samples: a two-sample test needs at least {FEWEST} of each")
    if any((len(view.real), len(view.fake)) != (n, m) for view in views):
        raise ValueError("views have different numbers of samples; each has to show the same ones")
    if permutations < 1:
        raise ValueError(f"permutations is {permutations}; it has to be at least 1")
    labels = np.zeros((n + m, permutations + 1))
    labels[:n, 0] = 1
    for column in range(1, permutations + 1):
        labels[rng.permutation(n + m)[:n], column] = 1
    found = np.array([_mmd_of_splits(view, labels, n, m) for view in views])  # (views, permutations + 1)
    spread = found.std(axis=1, keepdims=True)
    scores = np.divide(found - found.mean(axis=1, keepdims=True), spread, out=np.zeros_like(found), where=spread > 0).max(axis=0)
    # rounding must not tell a permutation from the samples' own order where both give the same sets
    return TwoSampleTest(float((scores >= scores[0] - 1e-9).mean()), float(scores[0]), tuple(found[:, 0].tolist()))


def _mmd_of_splits(view: View, labels: np.ndarray, n: int, m: int) -> np.ndarray:
    """Return the unbiased MMD^2 (splits,) of each split of the pooled samples: labels (n + m, splits) are 1 for the real ones.

    With K the kernel matrix without its diagonal and u a column: the sum within u is u'Ku, and u'K1 is that plus the sum across.
    """
    from scipy.spatial.distance import cdist

    if not view.bandwidth > 0:
        raise ValueError(f"the bandwidth of a view is {view.bandwidth}; it has to be positive")
    points = np.concatenate([np.asarray(x, np.float64).reshape(len(x), -1) for x in (view.real, view.fake)])
    kernel = cdist(points, points, "sqeuclidean")
    kernel *= -0.5 / view.bandwidth**2
    np.exp(kernel, out=kernel)
    np.fill_diagonal(kernel, 0)
    within_real = (labels * (kernel @ labels)).sum(axis=0)
    with_all = kernel.sum(axis=0) @ labels
    across = with_all - within_real
    within_fake = kernel.sum() - within_real - 2 * across
    return within_real / (n * (n - 1)) + within_fake / (m * (m - 1)) - 2 * across / (n * m)

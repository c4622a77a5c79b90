"""The birthday test of a distribution's support (Arora and Zhang 2018, arXiv 1706.08224): few different samples repeat soon.

Among s draws that are uniform on N things, two are the same with a probability of about 1 - exp(-s (s - 1) / 2N). A batch in which
every second time two samples are the same, s being some 1.2 sqrt(N), so tells N without listing anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Birthday:
    """The result of a birthday test.

    share: the share of batches in which two samples were the same. support: the N whose probability of a repeat is that share, by
    the formula above; it leaves out about (2 s - 1) / 6 of the things that there are, 7.5 of 365 birthdays for s = 23. Where they
    are not equally likely it is about 1 / (sum of squared probabilities), which is less than their number, and more than that where
    single things are very likely. Infinite for a share of 0, and 0 for a share of 1, where the batches were too small or too large
    to tell.
    """

    share: float
    support: float


def birthday_test(draw: Callable[[int], np.ndarray], batch: int, trials: int, tolerance: float = 0.0) -> Birthday:
    """Draw `trials` batches by draw(batch) -> (batch, ...), and look in each for two samples at most `tolerance` apart.

    The distance is Euclidean; at 0 only equal samples count. Arora and Zhang let people judge pairs of pictures instead. Raises
    ValueError for a batch below 2, fewer than 1 trial, and a negative tolerance.
    """
    if batch < 2 or trials < 1 or not tolerance >= 0:
        raise ValueError(f"batch is {batch}, trials {trials} and tolerance {tolerance}; they have to be at least 2, 1 and 0")
    share = sum(_repeats(draw(batch), tolerance) for _ in range(trials)) / trials
    pairs = batch * (batch - 1) / 2
    with np.errstate(divide="ignore"):
        support = float(pairs / -np.log1p(-share)) if 0 < share < 1 else float("inf") if share == 0 else 0.0
    return Birthday(share, support)


def _repeats(samples: np.ndarray, tolerance: float) -> bool:
    """Tell whether two of the samples (n, ...) are at most `tolerance` apart. A NaN repeats nothing."""
    from scipy.spatial import KDTree

    flat = samples.reshape(len(samples), -1).astype(np.float64)
    flat = flat[np.isfinite(flat).all(axis=1)]
    return len(flat) > 1 and bool(KDTree(flat).query_pairs(tolerance))

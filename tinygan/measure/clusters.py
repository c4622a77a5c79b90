"""k-means clusters by scikit-learn, in a forked child as well.

scikit-learn's loops share their work out with OpenMP. GNU's OpenMP has no threads left in a child after a fork, and waits for them
for ever there if the parent had started any. A single thread asks for no others, so a forked child uses one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

_PROCESS = os.getpid()  # the process that loaded this module; a forked child has another number


@contextmanager
def _threads_that_survive() -> Iterator[None]:
    """Let OpenMP use one thread inside a `with` block in a child after a fork, and as many as it likes in other processes."""
    if os.getpid() == _PROCESS:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="openmp"):
        yield


def clustered(points: np.ndarray, count: int, **options: Any) -> KMeans:
    """Return scikit-learn's KMeans with `count` clusters, fitted to points (n, features). options: others of KMeans."""
    from sklearn.cluster import KMeans

    with _threads_that_survive():
        return KMeans(count, **options).fit(points)


def cluster_sizes(model: KMeans, points: np.ndarray) -> np.ndarray:
    """Return how many of the points (n, features) are nearest to each centre of a fitted model (clusters,)."""
    with _threads_that_survive():
        return np.bincount(model.predict(points), minlength=model.n_clusters)

"""Packing: D judges several samples at once, so that it sees when they are alike (Lin et al. 2018)."""

from __future__ import annotations

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor


def packed(x: Tensor, n: int) -> Tensor:
    """Join n samples side by side into one: (m, ..., C) -> (m / n, ..., n C), joined along the last axis. Lin et al. 2018, 3.1.

    Raises ValueError where n does not divide m.
    """
    if n == 1:
        return x
    m, *inner, c = x.shape
    if m % n:
        raise ValueError(f"a batch of {m} samples cannot be packed by {n}; choose a batch size that {n} divides")
    grouped = ops.reshape(x, (m // n, n, *inner, c))
    last = len(inner) + 1
    order = (0, *range(2, last + 1), 1, last + 1)  # the pack's axis moves next to the channels
    return ops.reshape(ops.transpose(grouped, order), (m // n, *inner, n * c))

"""Densities on a grid, the optimal D between two of them, and the Jensen-Shannon divergence."""

from __future__ import annotations

import numpy as np


def optimal(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return D* = p / (p + q), and 1/2 where neither has any mass, for densities or probabilities p, q of one shape.

    Goodfellow et al. 2014, Proposition 1.
    """
    total = p + q
    return np.divide(p, total, out=np.full(total.shape, 0.5), where=total > 0)


def jsd(p: np.ndarray, q: np.ndarray) -> float:
    """Return the Jensen-Shannon divergence of two discrete distributions (n,), in nats: from 0 to log 2.

    Raises ValueError unless both sum to 1 and have no negative entry.
    """
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    for name, weights in (("p", p), ("q", q)):
        if not abs(weights.sum() - 1) < 1e-6 or (weights < 0).any():
            raise ValueError(f"{name} is no distribution; it sums to {weights.sum():.6g}, smallest entry {weights.min():.3g}")
    middle = (p + q) / 2
    return 0.5 * _kl(p, middle) + 0.5 * _kl(q, middle)


def _kl(p: np.ndarray, q: np.ndarray) -> float:
    """Return KL(p || q) in nats, of probabilities (n,); a p of 0 adds nothing."""
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())


def mixture_density(points: np.ndarray, centres: np.ndarray, std: float) -> np.ndarray:
    """Return the density (n,) of an equal mixture of isotropic Gaussians at points (n, d); centres (k, d) in the units of std."""
    squared = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    return np.exp(-squared / (2 * std**2)).mean(axis=1) / (2 * np.pi * std**2) ** (points.shape[1] / 2)


def normal_density(points: np.ndarray, mean: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return the density (n,) at points (n, d) of y = z factor + mean with z ~ N(0, I): what a linear G makes of noise.

    mean (d,), factor (d, d).
    """
    z = (points - mean) @ np.linalg.inv(factor)
    volume = (2 * np.pi) ** (points.shape[1] / 2) * abs(np.linalg.det(factor))
    return np.exp(-(z**2).sum(axis=1) / 2) / volume


def grid(low: float, high: float, n: int, dimensions: int) -> np.ndarray:
    """Return the centres (n^dimensions, dimensions) of equal cells that fill [low, high]^dimensions."""
    side = low + (high - low) * (np.arange(n) + 0.5) / n
    return np.stack(np.meshgrid(*[side] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)

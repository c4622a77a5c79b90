"""The optimal discriminator: D* = p_data / (p_data + p_g) where densities are known, and a D trained until V stops growing.

V of densities is a sum over points of a grid, so nothing here depends on a draw: weights p_i (data) and q_i (generated) are the
probabilities of the cells, and V = sum p_i log D(x_i) + q_i log(1 - D(x_i)).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import ops
from .nn import Flat, Sequential
from .tensor import Tensor, gradients


def weighted_value(s: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """V of logits s (n, 1) at points with probabilities p (n, 1) under the data and q (n, 1) under G; nats."""
    return ops.sum(p * ops.log_sigmoid(s)) + ops.sum(q * ops.log_sigmoid(-s))


def optimal(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """D* = p / (p + q), and 1/2 where neither has any mass; Goodfellow et al. 2014, Proposition 1."""
    total = p + q
    return np.divide(p, total, out=np.full(total.shape, 0.5), where=total > 0)


def jsd(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence of two discrete distributions, nats: from 0 to log 2. Raises ValueError unless both sum to 1."""
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    for name, weights in (("p", p), ("q", q)):
        if not abs(weights.sum() - 1) < 1e-6 or (weights < 0).any():
            raise ValueError(f"{name} is no distribution; it sums to {weights.sum():.6g}, smallest entry {weights.min():.3g}")
    middle = (p + q) / 2
    return 0.5 * _kl(p, middle) + 0.5 * _kl(q, middle)


def _kl(p: np.ndarray, q: np.ndarray) -> float:
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())


def mixture_density(points: np.ndarray, centres: np.ndarray, std: float) -> np.ndarray:
    """Density (n,) of an equal mixture of isotropic Gaussians at points (n, d); centres (k, d), in the same units as std."""
    squared = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    return np.exp(-squared / (2 * std**2)).mean(axis=1) / (2 * np.pi * std**2) ** (points.shape[1] / 2)


def normal_density(points: np.ndarray, mean: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Density (n,) of y = z factor + mean with z ~ N(0, I), which is what a linear G makes of its noise. factor (d, d)."""
    z = (points - mean) @ np.linalg.inv(factor)
    volume = (2 * np.pi) ** (points.shape[1] / 2) * abs(np.linalg.det(factor))
    return np.exp(-(z**2).sum(axis=1) / 2) / volume


def grid(low: float, high: float, n: int, dimensions: int) -> np.ndarray:
    """Centres (n^dimensions, dimensions) of equal cells that fill [low, high]^dimensions."""
    side = low + (high - low) * (np.arange(n) + 0.5) / n
    return np.stack(np.meshgrid(*[side] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)


def ascend_to_optimum(D: Sequential, goal: Callable[[], Tensor], iterations: int = 500) -> float:
    """Move D's parameters to a maximum of goal() by L-BFGS; float64 networks. Returns the goal reached.

    A quasi-Newton method (Liu and Nocedal 1989, as SciPy has it), because a plain gradient needs many thousands of steps for
    the last digits. D's parameters become views of one buffer.
    """
    from scipy.optimize import minimize

    flat = Flat(D.parameters())
    parameters = list(flat.parameters.values())

    def minus_goal(theta: np.ndarray) -> tuple[float, np.ndarray]:
        flat.theta[...] = theta
        reached = goal()
        return -float(reached), -flat.gather(gradients(reached, parameters)).numpy()

    found = minimize(minus_goal, flat.theta.copy(), jac=True, method="L-BFGS-B",
                     options={"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-13, "gtol": 1e-9})
    flat.theta[...] = found.x
    return float(goal())

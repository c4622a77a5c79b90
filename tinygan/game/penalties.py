"""Penalties on the slope of D: R1 and R2 (Mescheder et al. 2018) and the Wasserstein penalty (Gulrajani et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable

from tinygan.engine import ops
from tinygan.engine.randomness import Draws, uniform
from tinygan.engine.tensor import Tensor, gradients, stop


def gradient_penalty(D: Callable[[Tensor], Tensor], x: Tensor, gamma: float) -> Tensor:
    """R1 or R2: (gamma / 2) E |grad_x s(x)|^2 at the points x. Differentiable, as x's VJP is made of ops.

    On real x it is R1, on fakes R2 (Mescheder et al. 2018, eq. 9 and section 4.1).
    """
    return penalty_of(D(point := leaf(x)), point, gamma)


def leaf(x: Tensor) -> Tensor:
    """The same values as a variable of their own: slopes are taken with respect to it, and nothing flows back beyond."""
    point = stop(x)
    point.requires_grad = True
    return point


def penalty_of(s: Tensor, x: Tensor, gamma: float) -> Tensor:
    """The penalty from logits that were computed from x, so that D need not run on x again."""
    (slope,) = gradients(ops.sum(s), [x], create_graph=True)
    return ops.sum(slope**2) * (0.5 * gamma / x.shape[0])


def wgan_gp(D: Callable[[Tensor], Tensor], x: Tensor, fake: Tensor, weight: float, draws: Draws) -> Tensor:
    """lambda E (|grad s(y)| - 1)^2 at y = e x + (1 - e) fake, e ~ U[0, 1], one for each pair. Gulrajani et al. 2017, eq. 3."""
    e = draws(uniform, x, (x.shape[0], *(1 for _ in x.shape[1:])))
    y = leaf(e * stop(x) + (1.0 - e) * stop(fake))
    (slope,) = gradients(ops.sum(D(y)), [y], create_graph=True)
    # 1e-12: where D is flat, the root of the squared norm has no derivative
    norm = ops.sqrt(ops.sum(slope**2, range(1, slope.ndim)) + 1e-12)
    return ops.mean((norm - 1.0) ** 2) * weight

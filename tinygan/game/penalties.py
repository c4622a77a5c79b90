"""Penalties on the slope of D: R1 and R2 (Mescheder et al. 2018) and the Wasserstein penalty (Gulrajani et al. 2017).

A penalty is a small object with a weight. Called as `penalty(D, real, fake)` with the two batches that D judged, it returns a
number () that is subtracted from what D ascends. It is a function of theta_d alone: the points at which it takes slopes are held,
so it never moves G.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from tinygan.engine import ops
from tinygan.engine.randomness import Draws, uniform
from tinygan.engine.tensor import Tensor, gradients, stop

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Judged:
    """A batch as D was shown it, x (m, ...), with the logits s (m, 1) that D gave it."""

    x: Tensor
    s: Tensor


class Penalty(Protocol):
    """The interface of every penalty. weight: the factor that it has inside.

    at: the points whose slopes count. Where it is "real" or "fake", the game makes that batch a variable before D judges it, so
    that the penalty can take the slope from logits that are there already. A penalty at "real" uses nothing of the fakes: it then
    cannot move G, and a game of sum zero gets both players' gradients from one sweep.
    """

    @property
    def weight(self) -> float: ...

    @property
    def at(self) -> Literal["real", "fake", "between"]: ...

    def __call__(self, D: Network, real: Judged, fake: Judged) -> Tensor: ...


def _check_weight(name: str, weight: float) -> None:
    if not 0 <= weight < math.inf:
        raise ValueError(f"{name}: the weight is {weight}, it has to be at least 0 and finite, as a negative penalty is a reward")


@dataclass(frozen=True)
class R1:
    """The penalty (weight / 2) E |grad_x s(x)|^2 at the data. Mescheder et al. 2018, eq. 9; the weight is their gamma."""

    weight: float
    at: ClassVar[Literal["real"]] = "real"

    def __post_init__(self) -> None:
        _check_weight("R1", self.weight)

    def __call__(self, D: Network, real: Judged, fake: Judged) -> Tensor:
        return _squared_slope_at(D, real, self.weight)


@dataclass(frozen=True)
class R2:
    """The penalty (weight / 2) E |grad_x s(x)|^2 at the fakes. Mescheder et al. 2018, section 4.1; the weight is their gamma."""

    weight: float
    at: ClassVar[Literal["fake"]] = "fake"

    def __post_init__(self) -> None:
        _check_weight("R2", self.weight)

    def __call__(self, D: Network, real: Judged, fake: Judged) -> Tensor:
        return _squared_slope_at(D, fake, self.weight)


@dataclass(frozen=True)
class WassersteinPenalty:
    """The penalty weight E (|grad_y s(y)| - 1)^2 at random points y between real and fake: WGAN-GP. Gulrajani et al. 2017, eq. 3.

    The weight is their lambda. `draws` gives the random shares.
    """

    weight: float
    draws: Draws
    at: ClassVar[Literal["between"]] = "between"

    def __post_init__(self) -> None:
        _check_weight("WassersteinPenalty", self.weight)

    def __call__(self, D: Network, real: Judged, fake: Judged) -> Tensor:
        return wgan_gp(D, real.x, fake.x, self.weight, self.draws)


def _squared_slope_at(D: Network, batch: Judged, weight: float) -> Tensor:
    """Compute the penalty of R1 or R2 at a batch, from its logits if its points are a variable.

    Fakes that come straight from G, as in a simultaneous step, are no variable: a slope taken there would be one more path to G.
    D then runs once more, at the same points held constant.
    """
    return squared_slope(batch.s, batch.x, weight) if batch.x.requires_grad else gradient_penalty(D, batch.x, weight)


def variable(x: Tensor) -> Tensor:
    """Return the values of x as a variable of its own: slopes can be taken in it, and no gradient flows past it."""
    point = stop(x)
    point.requires_grad = True
    return point


def gradient_penalty(D: Network, x: Tensor, weight: float) -> Tensor:
    """Run D at the points x (m, ...) and return (weight / 2) E |grad_x s(x)|^2 (): R1 on data, R2 on fakes. Raises ValueError."""
    _check_weight("gradient_penalty", weight)
    return squared_slope(D(point := variable(x)), point, weight)


def squared_slope(s: Tensor, x: Tensor, weight: float) -> Tensor:
    """Compute (weight / 2) E |grad_x s|^2 () from logits s (m, 1) that were computed from the variable x (m, ...).

    It can be differentiated again in D's parameters. Mescheder et al. 2018, eq. 9.
    """
    (slope,) = gradients(ops.sum(s), [x], create_graph=True)
    return ops.sum(slope**2) * (0.5 * weight / x.shape[0])


def wgan_gp(D: Network, x: Tensor, fake: Tensor, weight: float, draws: Draws) -> Tensor:
    """Return weight E (|grad s(y)| - 1)^2 () at y = e x + (1 - e) fake, e ~ U[0, 1] for each pair. Gulrajani et al. 2017, eq. 3.

    Raises ValueError for batches of different shapes, and for a negative weight.
    """
    _check_weight("wgan_gp", weight)
    if x.shape != fake.shape:
        raise ValueError(f"wgan_gp: x {x.shape} and fake {fake.shape} do not form pairs; make the batches equal")
    e = draws(uniform, x, (x.shape[0], *(1 for _ in x.shape[1:])))
    y = variable(e * stop(x) + (1.0 - e) * stop(fake))
    (slope,) = gradients(ops.sum(D(y)), [y], create_graph=True)
    # 1e-12: where D is flat, the root of the squared norm has no derivative
    norm = ops.sqrt(ops.sum(slope**2, range(1, slope.ndim)) + 1e-12)
    return ops.mean((norm - 1.0) ** 2) * weight

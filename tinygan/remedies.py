"""What the literature adds to the game so that it converges: penalties on D's slope, noise, packing, unrolled steps of D.

Each is small and on its own; `Remedies` says which of them a game uses. Penalties are subtracted from what D ascends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from . import ops
from .draws import Draws, uniform
from .nn import Layer, Sequential
from .tensor import Tensor, gradients, stop


@dataclass(frozen=True)
class Remedies:
    """Each is off at its default. Raises ValueError for one out of range.

    r2      gamma of R2, the penalty (gamma / 2) E |grad_x s|^2 at the fakes (Mescheder et al. 2018, section 4.1)
    gp      lambda of lambda E (|grad_x s| - 1)^2 between real and fake points (Gulrajani et al. 2017, eq. 3)
    smooth  real samples are labelled 1 - smooth, fakes stay at 0 (Salimans et al. 2016, section 3.4)
    noise   std of Gaussian noise on all that D sees, at the run's start; it falls linearly to 0 (Sonderby et al. 2017, section 4)
    pack    samples that D judges together (Lin et al. 2018, section 3)
    unroll  ascent steps of D that G looks ahead, and differentiates through; `unroll_rate` is their size (Metz et al. 2017, eq. 10)
    """

    r2: float = 0.0
    gp: float = 0.0
    smooth: float = 0.0
    noise: float = 0.0
    pack: int = 1
    unroll: int = 0
    unroll_rate: float = 0.1

    def __post_init__(self) -> None:
        for name in ("r2", "gp", "noise", "unroll_rate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}, it has to be at least 0")
        if not 0 <= self.smooth < 0.5:
            raise ValueError(f"smooth is {self.smooth}, it has to be at least 0 and below 0.5 (real labels become 1 - smooth)")
        if self.pack < 1 or self.unroll < 0:
            raise ValueError(f"pack has to be at least 1 and unroll at least 0, they are {self.pack} and {self.unroll}")

    @property
    def draws(self) -> bool:
        """Whether a step draws random numbers besides its batch and its noise z."""
        return bool(self.gp or self.noise)


# ---- penalties on D's slope ---------------------------------------------------------------------------------------------------


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


# ---- what D is shown ----------------------------------------------------------------------------------------------------------


def packed(x: Tensor, n: int) -> Tensor:
    """n samples side by side as one: (m, ..., C) -> (m / n, ..., n C), joined along the last axis. Lin et al. 2018, section 3.1.

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


# ---- unrolled steps of D ------------------------------------------------------------------------------------------------------


def unrolled(
    D: Sequential, goal: Callable[[], Tensor], parameters: dict[str, Tensor], steps: int, rate: float
) -> dict[str, Tensor]:
    """theta_d after `steps` plain ascents on goal(), as tensors that remember what they depend on. Metz et al. 2017, eq. 10.

    theta^(k+1) = theta^k + rate d goal / d theta^k: the derivative of what follows goes through these updates, so G sees how D
    will answer. D's own parameters stay as they are; goal is evaluated with D at theta^k.
    """
    theta = dict(parameters)
    for _ in range(steps):
        with at(D, theta):
            slopes = gradients(goal(), list(theta.values()), create_graph=True)
        theta = {name: t + rate * g for (name, t), g in zip(theta.items(), slopes, strict=True)}
    return theta


@contextmanager
def at(network: Sequential, parameters: dict[str, Tensor]) -> Iterator[None]:
    """The network evaluated at other parameters, by name; its own are back afterwards."""
    places = [(*_owner(network, name), tensor) for name, tensor in parameters.items()]
    own = [getattr(layer, attribute) for layer, attribute, _ in places]
    try:
        for layer, attribute, tensor in places:
            setattr(layer, attribute, tensor)
        yield
    finally:
        for (layer, attribute, _), tensor in zip(places, own, strict=True):
            setattr(layer, attribute, tensor)


def _owner(layer: Layer, name: str) -> tuple[Layer, str]:
    """The layer whose attribute a parameter is: "3.w" is `w` of layer 3, or of what layer 3 wraps."""
    if isinstance(layer, Sequential):
        position, _, rest = name.partition(".")
        return _owner(layer.layers[int(position)], rest)
    inner: Sequence[str] = [a for a in ("inner", "product") if hasattr(layer, a)]
    return _owner(getattr(layer, inner[0]), name) if inner else (layer, name)

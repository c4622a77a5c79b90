"""The minimax game of Goodfellow et al. 2014 (arXiv 1406.2661), with its signs in sight.

    min_G max_D V(D, G),    V(D, G) = E_x log D(x) + E_z log(1 - D(G(z))),    D(x) = sigmoid(s(x))

D ascends V. G descends V, or a stand-in under its own name. Everything is computed from logits s, where it is finite:
log D = -softplus(-s) and log(1 - D) = -softplus(s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tinygan_kernels import Backend

from . import ops
from .nn import Layer, Sequential
from .optim import Optimiser, assert_disjoint
from .tensor import Tensor, gradients, stop

LOG4 = float(np.log(4.0))  # V = -log 4 where D = 1/2 everywhere


# ---- the value, and what each player makes of it ------------------------------------------------------------------------------


def value(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """V from the logits of real and of fake samples: -(bce(s_real, 1) + bce(s_fake, 0)), in nats; eq. 1."""
    return -(ops.bce_logits(s_real, 1.0) + ops.bce_logits(s_fake, 0.0))


def V(D: Layer, G: Layer, x: Tensor, z: Tensor) -> Tensor:
    """V(D, G) estimated on a batch of data x (m, ...) and of noise z (m, n_z); eq. 1."""
    return value(D(x), D(G(z)))


def minimax(s_fake: Tensor) -> Tensor:
    """E log(1 - D(G(z))): the part of V that G can change, and descends. Saturates where D rejects; section 3, Algorithm 1."""
    return -ops.bce_logits(s_fake, 0.0)


def nonsaturating(s_fake: Tensor) -> Tensor:
    """-E log D(G(z)): same fixed point, a gradient that does not vanish where D rejects, but no longer V; section 3."""
    return ops.bce_logits(s_fake, 1.0)


OBJECTIVES: dict[str, Callable[[Tensor], Tensor]] = {"minimax": minimax, "nonsaturating": nonsaturating}  # what G descends


def total_loss(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """D's loss plus G's: (-V) + (-E log D(G(z))). With the non-saturating G loss both are minimised and lie in [0, inf).

    With the saturating one the sum would be bce(s_real, 1) alone, as G's loss is then minus a part of D's.
    """
    return nonsaturating(s_fake) - value(s_real, s_fake)


def gradient_penalty(D: Layer, x: Tensor, gamma: float) -> Tensor:
    """R1: (gamma / 2) E |grad_x s(x)|^2 at the points x (Mescheder et al. 2018, eq. 9). Differentiable: x's VJP is made of ops."""
    return _penalty_of(D(point := _leaf(x)), point, gamma)


def _leaf(x: Tensor) -> Tensor:
    point = stop(x)
    point.requires_grad = True
    return point


def _penalty_of(s: Tensor, x: Tensor, gamma: float) -> Tensor:
    """The penalty from logits that were computed from x, so that D need not run on x again."""
    (slope,) = gradients(ops.sum(s), [x], create_graph=True)
    return ops.sum(slope**2) * (0.5 * gamma / x.shape[0])


# ---- the game as played --------------------------------------------------------------------------------------------------------


@dataclass
class Readings:
    """What one step showed, before its updates. Python floats: V in nats, D(x) and D(G(z)) as batch means, losses minimised."""

    v: float
    d_real: float
    d_fake: float
    d_loss: float
    g_loss: float


@dataclass
class Game:
    """Two players and how each moves. `r1`: weight gamma of the penalty on real data. `ema`: decay of `average`, G's average.

    Raises ValueError if the players share parameters or an option is out of range.
    """

    D: Sequential
    G: Sequential
    optim_d: Optimiser
    optim_g: Optimiser
    objective: str = "nonsaturating"
    r1: float = 0.0
    ema: float = 0.0
    average: Sequential | None = None  # a second G of the same shape, which follows G slowly and is the one to sample from

    def __post_init__(self) -> None:
        assert_disjoint(self.optim_d, self.optim_g)
        if self.objective not in OBJECTIVES:
            raise ValueError(f"there is no objective {self.objective!r}; tinygan has {', '.join(OBJECTIVES)}")
        if not 0 <= self.ema < 1 or self.r1 < 0:
            raise ValueError(f"ema has to lie in [0, 1) and r1 to be at least 0, they are {self.ema} and {self.r1}")
        if self.average is not None:
            self._follow(decay=0.0)

    @property
    def backend(self) -> Backend:
        return self.optim_d.flat.backend

    def ascend_d(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """One ascent step of D: theta_d <- theta_d + rate dV/dtheta_d. Returns the logits of the real and the fake batch."""
        fake = stop(self.G(z))  # D learns about fakes; nothing of this reaches G
        s_real, s_fake, goal = self._goal_of_d(x, fake)
        self.optim_d.ascend(gradients(goal, self.optim_d.parameters))
        return s_real, s_fake

    def descend_g(self, z: Tensor) -> Tensor:
        """One descent step of G: theta_g <- theta_g - rate dL_G/dtheta_g. Returns the logits of the fresh fakes."""
        s_fake = self.D(self.G(z))
        self.optim_g.descend(gradients(OBJECTIVES[self.objective](s_fake), self.optim_g.parameters))
        self._follow(self.ema)
        return s_fake

    def alternating_step(self, batch: Callable[[], Tensor], noise: Callable[[], Tensor], k: int = 1) -> Logits:
        """Algorithm 1: k ascent steps of D, each on a fresh batch of data and of noise, then one descent step of G.

        Raises ValueError for a k below 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; D has to take at least one step for each of G's")
        for _ in range(k):
            s_real, s_fake = self.ascend_d(batch(), noise())
        return Logits(s_real, s_fake, self.descend_g(noise()))

    def losses(self, x: Tensor, z_d: Tensor, z_g: Tensor) -> tuple[Tensor, Tensor]:
        """Algorithm 1 with k = 1 on the batches given: one ascent of D, one descent of G. Returns D's loss (-V) and G's."""
        noise = iter((z_d, z_g))
        logits = self.alternating_step(lambda: x, lambda: next(noise))
        return -value(logits.real, logits.fake), OBJECTIVES[self.objective](logits.fake_of_g)

    def simultaneous_step(self, x: Tensor, z: Tensor) -> Logits:
        """Both players move at once, from one forward pass: G is sampled and D run on the fakes once, not twice."""
        fake = self.G(z)
        s_real, s_fake, goal = self._goal_of_d(x, fake)
        up = gradients(goal, self.optim_d.parameters)
        down = gradients(OBJECTIVES[self.objective](s_fake), self.optim_g.parameters)
        self.optim_d.ascend(up)
        self.optim_g.descend(down)
        self._follow(self.ema)
        return Logits(s_real, s_fake, s_fake)

    def _goal_of_d(self, x: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(real logits, fake logits, what D ascends): V, less the penalty on real data where there is one."""
        real = _leaf(x) if self.r1 else x
        apart = self.r1 or self.D.couples or fake.tracked  # a sweep back to G or to x would pass through the other batch too
        s_real, s_fake = (self.D(real), self.D(fake)) if apart else self._one_pass(real, fake)
        goal = value(s_real, s_fake)
        return s_real, s_fake, goal - _penalty_of(s_real, real, self.r1) if self.r1 else goal

    def _one_pass(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """D on both batches laid end to end: the same logits in half the launches, as no sample affects another."""
        s = self.D(ops.concat([real, fake]))
        return s[: real.shape[0]], s[real.shape[0] :]

    def _follow(self, decay: float) -> None:
        """average <- decay average + (1 - decay) G; its running statistics are copied, being averages already."""
        if self.average is None:
            return
        for mine, theirs in zip(self.average.parameters().values(), self.G.parameters().values(), strict=True):
            self.backend.launch("ema", (theirs.array,), out=mine.array, decay=decay)
        for mine, theirs in zip(self.average.buffers().values(), self.G.buffers().values(), strict=True):
            self.backend.launch("copy", (theirs.array,), out=mine.array)


@dataclass(frozen=True)
class Logits:
    """The logits that a step computed: D's step on real and fake samples, and G's step on its own fakes."""

    real: Tensor
    fake: Tensor
    fake_of_g: Tensor

    def read(self, objective: str) -> Readings:
        """The step's numbers. D's loss is -V, the sum of two mean BCEs; G's is its objective's."""
        v = float(value(self.real, self.fake))
        g_loss = float(OBJECTIVES[objective](self.fake_of_g))
        d_real, d_fake = (float(ops.mean(ops.sigmoid(s))) for s in (stop(self.real), stop(self.fake)))
        return Readings(v, d_real, d_fake, -v, g_loss)

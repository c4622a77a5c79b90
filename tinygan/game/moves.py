"""The minimax game of Goodfellow et al. 2014 (arXiv 1406.2661), with its signs in sight.

    min_G max_D V(D, G),    V(D, G) = E_x log D(x) + E_z log(1 - D(G(z))),    D(x) = sigmoid(s(x))

D ascends V. G descends V, or a stand-in under its own name; objectives.py has the formulas of both, here are the moves:

    theta_d <- theta_d + rate dV/dtheta_d        theta_g <- theta_g - rate dL_G/dtheta_g
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.randomness import Draws, standard_normal
from tinygan.engine.tensor import Tensor, gradients, stop
from tinygan.nn.layers import Sequential
from tinygan.optim import Optimiser, assert_disjoint

from .objectives import GAMES, LOG4, OBJECTIVES, V, goal_of_d, minimax, nonsaturating, total_loss, value
from .packing import packed
from .penalties import gradient_penalty, leaf, penalty_of, wgan_gp
from .remedies import Remedies
from .unrolled import at, unrolled

__all__ = [
    "LOG4", "OBJECTIVES", "Game", "Logits", "Readings", "V", "gradient_penalty", "minimax", "nonsaturating", "total_loss", "value",
]



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

    `remedies` says what else is in use, `draws` gives it random numbers, and `noise` is the present std of instance noise.
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
    remedies: Remedies = field(default_factory=Remedies)
    draws: Draws | None = None
    noise: float = 0.0

    def __post_init__(self) -> None:
        assert_disjoint(self.optim_d, self.optim_g)
        if self.objective not in OBJECTIVES:
            raise ValueError(f"there is no objective {self.objective!r}; tinygan has {', '.join(OBJECTIVES)}")
        if not 0 <= self.ema < 1 or self.r1 < 0:
            raise ValueError(f"ema has to lie in [0, 1) and r1 to be at least 0, they are {self.ema} and {self.r1}")
        if self.remedies.draws and self.draws is None:
            raise ValueError("instance noise and the penalty between real and fake draw random points; hand the game its draws")
        self.noise = self.remedies.noise
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

    def descend_g(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """One descent step of G: theta_g <- theta_g - rate dL_G/dtheta_g. Returns the logits of the fresh fakes.

        x: the data that D's unrolled steps look at; only they need any. Raises ValueError where it is missing.
        """
        fake = self.G(z)
        with at(self.D, self._d_ahead(fake, x) if self.remedies.unroll else {}):
            s_fake = self.D(self._shown(fake))
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
        return Logits(s_real, s_fake, self.descend_g(noise(), batch() if self.remedies.unroll else None))

    def losses(self, x: Tensor, z_d: Tensor, z_g: Tensor) -> tuple[Tensor, Tensor]:
        """Algorithm 1 with k = 1 on the batches given: one ascent of D, one descent of G. Returns D's loss (-V) and G's."""
        noise = iter((z_d, z_g))
        logits = self.alternating_step(lambda: x, lambda: next(noise))
        return -value(logits.real, logits.fake), OBJECTIVES[self.objective](logits.fake_of_g)

    def simultaneous_step(self, x: Tensor, z: Tensor) -> Logits:
        """Both players move at once, from one forward pass: G is sampled and D run on the fakes once, not twice.

        In a game of sum zero one reverse sweep gives both gradients too. In others D's and G's cotangents of a logit differ; and
        what R2 and the penalty between add to D's goal depends on G's samples, but is not for G to descend.
        """
        fake, of_d, of_g = self.G(z), self.optim_d.parameters, self.optim_g.parameters
        s_real, s_fake, goal = self._goal_of_d(x, fake)
        if GAMES[self.objective].zero_sum and not (self.remedies.r2 or self.remedies.gp):
            both = gradients(goal, [*of_d, *of_g])
            up, down = both[: len(of_d)], both[len(of_d) :]
        else:
            up, down = gradients(goal, of_d), gradients(OBJECTIVES[self.objective](s_fake), of_g)
        self.optim_d.ascend(up)
        self.optim_g.descend(down)
        self._follow(self.ema)
        return Logits(s_real, s_fake, s_fake)

    def _shown(self, x: Tensor) -> Tensor:
        """Samples as D gets to see them: with instance noise where there is any, and packed."""
        if self.remedies.noise:
            x = x + self.draws(lambda rng, shape: self.noise * standard_normal(rng, shape), x)
        return packed(x, self.remedies.pack)

    def _goal_of_d(self, x: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(real logits, fake logits, what D ascends): V or another game's goal, less the penalties on D's slope."""
        rem = self.remedies
        real, shown = self._shown(x), self._shown(fake)
        real, shown = leaf(real) if self.r1 else real, leaf(shown) if rem.r2 and not fake.tracked else shown
        # a sweep back to G or to D's inputs would pass through the other batch too
        apart = self.D.couples or fake.tracked or self.r1 or rem.r2
        s_real, s_fake = (self.D(real), self.D(shown)) if apart else self._one_pass(real, shown)
        goal = goal_of_d(self.objective, s_real, s_fake, rem.smooth)
        if self.r1:
            goal = goal - penalty_of(s_real, real, self.r1)
        if rem.r2:
            goal = goal - (gradient_penalty(self.D, shown, rem.r2) if fake.tracked else penalty_of(s_fake, shown, rem.r2))
        if rem.gp:
            goal = goal - wgan_gp(self.D, real, shown, rem.gp, self.draws)
        return s_real, s_fake, goal

    def _d_ahead(self, fake: Tensor, x: Tensor | None) -> dict[str, Tensor]:
        """theta_d after the unrolled steps on V, as functions of theta_g."""
        if x is None:
            raise ValueError("unrolled steps of D need data: descend_g(z, x)")
        rem, real, shown = self.remedies, self._shown(x), self._shown(fake)

        def goal() -> Tensor:
            return goal_of_d(self.objective, self.D(real), self.D(shown), rem.smooth)

        return unrolled(self.D, goal, self.optim_d.flat.parameters, rem.unroll, rem.unroll_rate)

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
        """The step's numbers. D's loss is minus its goal: -V, the sum of two mean BCEs, unless the game is another one."""
        v = float(value(self.real, self.fake))
        d_loss, g_loss = -float(goal_of_d(objective, self.real, self.fake)), float(OBJECTIVES[objective](self.fake_of_g))
        d_real, d_fake = (float(ops.mean(ops.sigmoid(s))) for s in (stop(self.real), stop(self.fake)))
        return Readings(v, d_real, d_fake, d_loss, g_loss)

"""What a step of the game has computed, D's logits and its goal, and the readings: the numbers that are read off them."""

from __future__ import annotations

from dataclasses import dataclass

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor, stop

from .objectives import OBJECTIVES


@dataclass
class Readings:
    """The numbers of one step, from before its updates.

    v: what the game's goal is on the batch, without penalties and label smoothing: V in nats where D ascends V, and else the goal
    of that game. d_real, d_fake: D(x) and D(G(z)), batch means; probabilities where D ascends V, else D's numbers themselves.
    d_loss, g_loss: what each player descended. D's is minus its goal, with label smoothing, plus the penalties.
    """

    v: float
    d_real: float
    d_fake: float
    d_loss: float
    g_loss: float


@dataclass(frozen=True)
class Logits:
    """The logits (m, 1) that a step computed, before its updates.

    real, fake: of the data and the fakes in D's last step. fake_of_g: of the fakes in G's step. goal: what D ascended in its last
    step, a number (), with label smoothing and less the penalties. real_of_g: of the data that G's step compared its fakes with,
    in a game of pairs; else None.
    """

    real: Tensor
    fake: Tensor
    fake_of_g: Tensor
    goal: Tensor
    real_of_g: Tensor | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The fields in their order, so that Logits(*tensors) is this object again."""
        return (self.real, self.fake, self.fake_of_g, self.goal, *(() if self.real_of_g is None else (self.real_of_g,)))

    def losses(self, objective: str) -> tuple[Tensor, Tensor]:
        """Return what D descended (minus its goal, plus the penalties) and what G descended, as numbers ()."""
        compared = self.real if self.real_of_g is None else self.real_of_g
        return -self.goal, OBJECTIVES[objective].loss(compared, self.fake_of_g)

    def read(self, objective: str) -> Readings:
        """Compute the step's numbers."""
        game = OBJECTIVES[objective]
        v = float(game.goal(self.real, self.fake))
        d_loss, g_loss = map(float, self.losses(objective))
        d_real, d_fake = (float(ops.mean(game.d_of(stop(s)))) for s in (self.real, self.fake))
        return Readings(v, d_real, d_fake, d_loss, g_loss)

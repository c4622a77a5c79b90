"""The logits that a step of the game has computed, and the readings: the numbers that are read off them."""

from __future__ import annotations

from dataclasses import dataclass

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor, stop

from .objectives import OBJECTIVES, value


@dataclass
class Readings:
    """The numbers of one step, from before its updates: V in nats, D(x) and D(G(z)) as batch means, and both players' losses."""

    v: float
    d_real: float
    d_fake: float
    d_loss: float
    g_loss: float


@dataclass(frozen=True)
class Logits:
    """The logits (m, 1) that a step computed, before its updates.

    real, fake: of the data and the fakes in D's last step. fake_of_g: of the fakes in G's step. real_of_g: of the data that G's
    step compared its fakes with, in a game of pairs; else None.
    """

    real: Tensor
    fake: Tensor
    fake_of_g: Tensor
    real_of_g: Tensor | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The logits in the order of the fields, so that Logits(*tensors) is this object again."""
        return (self.real, self.fake, self.fake_of_g, *(() if self.real_of_g is None else (self.real_of_g,)))

    def losses(self, objective: str) -> tuple[Tensor, Tensor]:
        """Compute what D minimised (minus its goal: -V in the games on V) and what G minimised, as numbers ()."""
        game = OBJECTIVES[objective]
        compared = self.real if self.real_of_g is None else self.real_of_g
        return -game.goal(self.real, self.fake), game.loss(compared, self.fake_of_g)

    def read(self, objective: str) -> Readings:
        """Compute the step's numbers. D's loss is without penalties and label smoothing."""
        v = float(value(self.real, self.fake))
        d_loss, g_loss = map(float, self.losses(objective))
        d_real, d_fake = (float(ops.mean(ops.sigmoid(s))) for s in (stop(self.real), stop(self.fake)))
        return Readings(v, d_real, d_fake, d_loss, g_loss)

"""What a step of the game leaves to be looked at: the logits that it computed, and the numbers read off them."""

from __future__ import annotations

from dataclasses import dataclass

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor, stop

from .objectives import OBJECTIVES, value


@dataclass
class Readings:
    """What one step showed, before its updates. Python floats: V in nats, D(x) and D(G(z)) as batch means, losses minimised."""

    v: float
    d_real: float
    d_fake: float
    d_loss: float
    g_loss: float


@dataclass(frozen=True)
class Logits:
    """The logits (m, 1) that a step computed, before its updates.

    real, fake: what D's step saw. fake_of_g: G's step on its own fakes. real_of_g: the data that G's step compared them with, in
    a game of pairs; else None.
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

"""Objectives: what each player wants, computed from logits. D ascends its goal, G descends its loss.

Every objective goes by the name that its paper gave. s_real (m, 1) are D's logits of data, s_fake (m, 1) those of G(z). Where
D(x) = sigmoid(s) is a probability, everything is computed from s itself, where it is finite: log D = -softplus(-s) and
log(1 - D) = -softplus(s). Where the paper's D is a plain number (hinge, least-squares, wasserstein), that number is s.

To add an objective, write its goal and its loss here, give it a row in OBJECTIVES, and its formula in NumPy to FORMULAS in
tests/tinygan/game/test_objectives.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor
from tinygan.nn.layers import Layer

LOG4 = float(np.log(4.0))  # V = -log 4 where D = 1/2 everywhere; Goodfellow et al. 2014, Theorem 1

# ---- the minimax game ---------------------------------------------------------------------------------------------------------


def value(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """Compute V from the logits of real and of fake samples: -(bce(s_real, 1) + bce(s_fake, 0)), nats; Goodfellow 2014, eq. 1."""
    return -(ops.bce_logits(s_real, 1.0) + ops.bce_logits(s_fake, 0.0))


def V(D: Layer, G: Layer, x: Tensor, z: Tensor) -> Tensor:
    """Estimate V(D, G) on a batch of data x (m, ...) and of noise z (m, n_z); eq. 1."""
    return value(D(x), D(G(z)))


def minimax(s_fake: Tensor) -> Tensor:
    """Compute E log(1 - D(G(z))), the part of V that G can change. It saturates where D rejects; section 3, Algorithm 1."""
    return -ops.bce_logits(s_fake, 0.0)


def nonsaturating(s_fake: Tensor) -> Tensor:
    """Compute -E log D(G(z)): same fixed point, a gradient that does not vanish where D rejects, but no longer V; section 3."""
    return ops.bce_logits(s_fake, 1.0)


def total_loss(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """Compute D's loss plus G's: (-V) + (-E log D(G(z))). With this non-saturating loss of G, both lie in [0, inf).

    With the saturating one the sum would be bce(s_real, 1) alone, as G's loss is then minus a part of D's.
    """
    return nonsaturating(s_fake) - value(s_real, s_fake)


def smoothed_value(s_real: Tensor, s_fake: Tensor, smooth: float) -> Tensor:
    """Compute V with the label of real samples at 1 - smooth: -(bce(s_real, 1 - smooth) + bce(s_fake, 0)). Fakes keep label 0.

    The optimal D becomes (1 - smooth) p_data / (p_data + p_g): never sure. Salimans et al. 2016, section 3.4.
    """
    return -(ops.bce_logits(s_real, 1.0 - smooth) + ops.bce_logits(s_fake, 0.0))


# ---- other games --------------------------------------------------------------------------------------------------------------


def hinge_goal(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """Compute -E max(0, 1 - s_real) - E max(0, 1 + s_fake): D wants real samples above 1, fakes below -1.

    Miyato et al. 2018, eq. 16.
    """
    return -(ops.mean(ops.relu(1.0 - s_real)) + ops.mean(ops.relu(1.0 + s_fake)))


def wasserstein(s_fake: Tensor) -> Tensor:
    """Compute -E s_fake, which G descends in the Wasserstein game and in the hinge game.

    Arjovsky et al. 2017, Algorithm 1; Miyato et al. 2018, eq. 17.
    """
    return -ops.mean(s_fake)


def least_squares_goal(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """Compute -(E (s_real - 1)^2 + E s_fake^2) / 2: D fits labels 1 and 0.

    Mao et al. 2017, eq. 2 with a = 0, b = 1, its sign turned.
    """
    return (ops.mean((s_real - 1.0) ** 2) + ops.mean(s_fake**2)) * -0.5


def least_squares(s_fake: Tensor) -> Tensor:
    """Compute E (s_fake - 1)^2 / 2: G wants its samples labelled c = 1. Mao et al. 2017, eq. 2."""
    return ops.mean((s_fake - 1.0) ** 2) * 0.5


def wasserstein_goal(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """Compute E s_real - E s_fake, the Wasserstein-1 distance if a penalty makes D 1-Lipschitz. Arjovsky et al. 2017, eq. 2."""
    return ops.mean(s_real) - ops.mean(s_fake)


def relativistic_goal(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """Compute -E softplus(-(s_real - s_fake)): D wants each real sample's logit above that of the fake which it is paired with.

    Jolicoeur-Martineau 2018 (arXiv 1807.00734), section 4.1: RSGAN. Raises ValueError for batches of different sizes.
    """
    return -ops.bce_logits(_margin(s_real, s_fake), 1.0)


def relativistic(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """Compute E softplus(-(s_fake - s_real)): G wants each fake's logit above that of the real sample which it is paired with.

    Jolicoeur-Martineau 2018, section 4.1; the loss of R3GAN (Huang et al. 2024). Raises ValueError for batches of different sizes.
    """
    return ops.bce_logits(_margin(s_fake, s_real), 1.0)


def _margin(s: Tensor, other: Tensor) -> Tensor:
    """Compute s - other for each pair of samples. Raises ValueError where some would be left without a partner."""
    if s.shape != other.shape:
        raise ValueError(f"relativistic: logits of shapes {s.shape} and {other.shape} do not form pairs; make the batches equal")
    return s - other


# ---- the table ----------------------------------------------------------------------------------------------------------------


def _of_fakes(loss: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Turn a loss of the fakes' logits alone into one that takes real and fake logits, as every loss in the table does."""
    return lambda s_real, s_fake: loss(s_fake)


class Level(NamedTuple):
    """A value that a reading takes at the equilibrium, and how it is written, such as "-log 4"."""

    value: float
    label: str


V_AT_REST, ONE_HALF = Level(-LOG4, "-log 4"), Level(0.5, "1/2")


@dataclass(frozen=True)
class Objective:
    """One game: D ascends goal(s_real, s_fake), G descends loss(s_real, s_fake); both return a number ().

    zero_sum: loss is the part of goal that depends on G, so that the gradients of goal move both players.
    pairs: loss depends on s_real too, so G's step needs data; else loss ignores s_real.
    ascends_v: goal is V, so D(x) = sigmoid(s) estimates a probability, and D's labels can be smoothed.
    goal_name: how the goal is called in curves and reports.
    goal_at_rest, d_at_rest, loss_at_rest: the goal, D(x) and G's loss at the equilibrium, where p_g = p_data and D is at its
    optimum, which is the same everywhere. None where the game leaves it open.
    sure: the least upper bound of the goal, which a D that is always right comes near; None where there is no bound.
    """

    goal: Callable[[Tensor, Tensor], Tensor]
    loss: Callable[[Any, Tensor], Tensor]  # s_real is None where loss ignores it and nobody has computed it
    source: str
    zero_sum: bool = False
    pairs: bool = False
    ascends_v: bool = False
    goal_name: str = "V(D, G)"
    goal_at_rest: Level = V_AT_REST
    d_at_rest: Level | None = ONE_HALF
    loss_at_rest: Level | None = None
    sure: float | None = 0.0

    def d_of(self, s: Tensor) -> Tensor:
        """Return D(x) as this game means it: sigmoid(s), where that is a probability, or else the logit s itself."""
        return ops.sigmoid(s) if self.ascends_v else s


# Every objective by the name that its paper gave: what D ascends, what G descends, and the source.
OBJECTIVES: dict[str, Objective] = {
    "minimax": Objective(
        value, _of_fakes(minimax), "Goodfellow et al. 2014, eq. 1", zero_sum=True, ascends_v=True,
        loss_at_rest=Level(-LOG4 / 2, "-log 2"),
    ),
    "nonsaturating": Objective(
        value, _of_fakes(nonsaturating), "Goodfellow et al. 2014, section 3", ascends_v=True, loss_at_rest=Level(LOG4 / 2, "log 2"),
    ),
    "hinge": Objective(
        hinge_goal, _of_fakes(wasserstein), "Miyato et al. 2018, eq. 16 and 17", goal_name="hinge goal",
        goal_at_rest=Level(-2.0, "-2"), d_at_rest=None,
    ),
    "least-squares": Objective(
        least_squares_goal, _of_fakes(least_squares), "Mao et al. 2017, eq. 2", goal_name="least-squares goal",
        goal_at_rest=Level(-0.25, "-1/4"), loss_at_rest=Level(0.125, "1/8"),
    ),
    "wasserstein": Objective(
        wasserstein_goal, _of_fakes(wasserstein), "Arjovsky et al. 2017, eq. 2", zero_sum=True, goal_name="E D(x) - E D(G(z))",
        goal_at_rest=Level(0.0, "0"), d_at_rest=None, sure=None,
    ),
    "relativistic": Objective(
        relativistic_goal, relativistic, "Jolicoeur-Martineau 2018, section 4.1", pairs=True, goal_name="relativistic goal",
        goal_at_rest=Level(-LOG4 / 2, "-log 2"), d_at_rest=None, loss_at_rest=Level(LOG4 / 2, "log 2"),
    ),
}  # fmt: skip


def levels(name: str, smooth: float = 0.0) -> dict[str, Level]:
    """Return what the readings of the game `name` are at its equilibrium: {"v", "d", "d_loss", "g_loss"}, those that it determines.

    v is the goal, d is D(x) and D(G(z)), d_loss what D descends, and g_loss what G descends. smooth: the label of real samples is
    1 - smooth, which moves the optimal D to (1 - smooth) / 2. Penalties are 0 there, as D is the same everywhere.
    """
    game = OBJECTIVES[name]
    if smooth:
        d = (1 - smooth) / 2
        log_d, log_not_d = float(np.log(d)), float(np.log(1 - d))
        values = {
            "v": log_d + log_not_d, "d": d, "d_loss": -(1 - smooth) * log_d - (1 + smooth) * log_not_d,
            "g_loss": log_not_d if game.zero_sum else -log_d,
        }
        return {reading: Level(at, f"{at:.3g}") for reading, at in values.items()}
    goal = game.goal_at_rest
    turned = goal.label.removeprefix("-") if goal.value <= 0 else f"-{goal.label}"
    known = {"v": goal, "d": game.d_at_rest, "d_loss": Level(-goal.value + 0.0, turned), "g_loss": game.loss_at_rest}
    return {reading: level for reading, level in known.items() if level is not None}


def goal_of_d(name: str, s_real: Tensor, s_fake: Tensor, smooth: float = 0.0) -> Tensor:
    """Compute what D ascends in the game `name`, with the label of real samples at 1 - smooth.

    Raises ValueError where smooth is not 0 and the game has no labels.
    """
    objective = OBJECTIVES[name]
    if not smooth:
        return objective.goal(s_real, s_fake)
    if not objective.ascends_v:
        raise ValueError(f"smooth is {smooth}, but D of the game {name!r} estimates no probability: it has no labels to smooth")
    return smoothed_value(s_real, s_fake, smooth)

"""What each player wants, from logits: D ascends its goal, G descends its own. Every objective by the name that its paper gave.

s_real (m, 1) are D's outputs on data, s_fake (m, 1) on G(z). Where D(x) = sigmoid(s) is a probability, everything is computed from
s itself, where it is finite: log D = -softplus(-s) and log(1 - D) = -softplus(s). Where the paper's D is a plain number (hinge,
least-squares, wasserstein), that number is s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor
from tinygan.nn.layers import Layer

LOG4 = float(np.log(4.0))  # V = -log 4 where D = 1/2 everywhere; Goodfellow et al. 2014, Theorem 1

# ---- the minimax game ---------------------------------------------------------------------------------------------------------


def value(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """V from the logits of real and of fake samples: -(bce(s_real, 1) + bce(s_fake, 0)), in nats; Goodfellow 2014, eq. 1."""
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


def total_loss(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """D's loss plus G's: (-V) + (-E log D(G(z))). With the non-saturating G loss both are minimised and lie in [0, inf).

    With the saturating one the sum would be bce(s_real, 1) alone, as G's loss is then minus a part of D's.
    """
    return nonsaturating(s_fake) - value(s_real, s_fake)


def smoothed_value(s_real: Tensor, s_fake: Tensor, smooth: float) -> Tensor:
    """V with the label of real samples at 1 - smooth: -(bce(s_real, 1 - smooth) + bce(s_fake, 0)). One-sided: fakes keep 0.

    The optimal D becomes (1 - smooth) p_data / (p_data + p_g): never sure. Salimans et al. 2016, section 3.4.
    """
    return -(ops.bce_logits(s_real, 1.0 - smooth) + ops.bce_logits(s_fake, 0.0))


# ---- other games --------------------------------------------------------------------------------------------------------------


def hinge_goal(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """-E max(0, 1 - s_real) - E max(0, 1 + s_fake): D wants real samples above 1, fakes below -1. Miyato et al. 2018, eq. 16."""
    return -(ops.mean(ops.relu(1.0 - s_real)) + ops.mean(ops.relu(1.0 + s_fake)))


def critic(s_fake: Tensor) -> Tensor:
    """-E s_fake: what G descends in the hinge and the Wasserstein game. Miyato 2018, eq. 17; Arjovsky 2017, Algorithm 1."""
    return -ops.mean(s_fake)


def least_squares_goal(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """-(E (s_real - 1)^2 + E s_fake^2) / 2: D fits labels 1 and 0. Mao et al. 2017, eq. 2 with a = 0, b = 1, its sign turned."""
    return (ops.mean((s_real - 1.0) ** 2) + ops.mean(s_fake**2)) * -0.5


def least_squares(s_fake: Tensor) -> Tensor:
    """E (s_fake - 1)^2 / 2: G wants its samples labelled c = 1. Mao et al. 2017, eq. 2."""
    return ops.mean((s_fake - 1.0) ** 2) * 0.5


def wasserstein_goal(s_real: Tensor, s_fake: Tensor) -> Tensor:
    """E s_real - E s_fake: the Wasserstein-1 distance if D is 1-Lipschitz, as a penalty asks. Arjovsky et al. 2017, eq. 2."""
    return ops.mean(s_real) - ops.mean(s_fake)


@dataclass(frozen=True)
class Objective:
    """goal(s_real, s_fake) is what D ascends, loss(s_fake) what G descends.

    goal is None where it is V itself (with whatever label smoothing is asked for). zero_sum: loss is the part of goal that depends
    on G, so that the gradients of goal move both players.
    """

    loss: Callable[[Tensor], Tensor]
    goal: Callable[[Tensor, Tensor], Tensor] | None
    source: str
    zero_sum: bool = False


GAMES: dict[str, Objective] = {
    "minimax": Objective(minimax, None, "Goodfellow et al. 2014, eq. 1", zero_sum=True),
    "nonsaturating": Objective(nonsaturating, None, "Goodfellow et al. 2014, section 3"),
    "hinge": Objective(critic, hinge_goal, "Miyato et al. 2018, eq. 16 and 17"),
    "least-squares": Objective(least_squares, least_squares_goal, "Mao et al. 2017, eq. 2"),
    "wasserstein": Objective(critic, wasserstein_goal, "Arjovsky et al. 2017, eq. 2", zero_sum=True),
}
OBJECTIVES: dict[str, Callable[[Tensor], Tensor]] = {name: game.loss for name, game in GAMES.items()}  # what G descends


def goal_of_d(name: str, s_real: Tensor, s_fake: Tensor, smooth: float = 0.0) -> Tensor:
    """What D ascends in the game of that name. smooth: one-sided label smoothing, for the games whose D is a probability."""
    goal = GAMES[name].goal
    if goal is not None:
        return goal(s_real, s_fake)
    return smoothed_value(s_real, s_fake, smooth) if smooth else value(s_real, s_fake)

"""The minimax game V(D, G): objectives, the moves of both players with their signs, and what the literature adds to them."""

from .moves import Ascent, Descent, Game
from .objectives import LOG4, OBJECTIVES, Objective, V, goal_of_d, minimax, nonsaturating, total_loss, value
from .packing import packed
from .penalties import R1, R2, Judged, Penalty, WassersteinPenalty, gradient_penalty, wgan_gp
from .readings import Logits, Readings
from .remedies import Remedies
from .rules import Rules
from .unrolled import unrolled

__all__ = [
    "LOG4", "OBJECTIVES", "R1", "R2", "Ascent", "Descent", "Game", "Judged", "Logits", "Objective", "Penalty", "Readings",
    "Remedies", "Rules", "V", "WassersteinPenalty", "goal_of_d", "gradient_penalty", "minimax", "nonsaturating", "packed",
    "total_loss", "unrolled", "value", "wgan_gp",
]

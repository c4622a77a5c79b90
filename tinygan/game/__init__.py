"""The minimax game V(D, G): objectives, the moves of both players with their signs, and what the literature adds to them."""

from .moves import Game, Logits, Readings
from .objectives import GAMES, LOG4, OBJECTIVES, V, goal_of_d, minimax, nonsaturating, total_loss, value
from .packing import packed
from .penalties import gradient_penalty, wgan_gp
from .remedies import Remedies
from .unrolled import unrolled

__all__ = [
    "GAMES",
    "LOG4",
    "OBJECTIVES",
    "Game",
    "Logits",
    "Readings",
    "Remedies",
    "V",
    "goal_of_d",
    "gradient_penalty",
    "minimax",
    "nonsaturating",
    "packed",
    "total_loss",
    "unrolled",
    "value",
    "wgan_gp",
]

"""The verdict on the gradient in one input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .mistakes import Mistake

RIGHT, WRONG, UNDECIDED = "right", "WRONG", "undecided"


@dataclass(frozen=True)
class InputVerdict:
    """The verdict on the gradient in one input, for one random cotangent.

    verdict: "right", "WRONG" or "undecided", which is where f has kinks, or no gradient to compare. claimed, numeric, error: arrays
    of the input's shape (NaN where nothing was measured; claimed has the shape that vjp gave it). share: the worst error as a
    share of what is allowed. where: the worst element. why: for a verdict that has no numbers to show, its reason in a sentence.
    witness: lines with the right and the claimed derivative there as formulas, where they were asked for.
    """

    name: str
    verdict: str
    claimed: np.ndarray
    numeric: np.ndarray
    error: np.ndarray
    share: float
    where: tuple[int, ...] | None
    why: str = ""
    mistake: Mistake | None = None
    looked: bool = False  # whether a mistake was looked for
    witness: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.verdict == RIGHT


def worst(error: np.ndarray, allowed: np.ndarray, known: np.ndarray) -> tuple[float, tuple[int, ...] | None]:
    """Return the largest error as a share of what is allowed, and where it is. NaN and infinity count as infinitely wrong."""
    if not known.any():
        return 0.0, None
    with np.errstate(invalid="ignore"):
        share = np.where(np.isfinite(error), error / allowed, np.inf)
    share = np.where(known, share, -1.0)
    at = int(np.argmax(share))
    return float(share.reshape(-1)[at]), tuple(int(k) for k in np.unravel_index(at, error.shape))

"""What the checker found: a verdict for every input, and the report of them all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygan.atomic_files import write_atomically

from .mistakes import Mistake

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RIGHT, WRONG, UNDECIDED = "right", "WRONG", "undecided"


@dataclass(frozen=True)
class InputVerdict:
    """The verdict on the gradient in one input, for one random cotangent.

    verdict: "right", "WRONG" or "undecided", which is where f has kinks, or no gradient to compare. claimed, numeric, error: arrays of
    the input's shape (NaN where nothing was measured; claimed has the shape that vjp gave it). share: the worst error as a share of
    what is allowed. where: the worst element. why: for a verdict that has no numbers to show, its reason in a sentence.
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

    @property
    def passed(self) -> bool:
        return self.verdict == RIGHT

    def lines(self) -> list[str]:
        """Return the verdict as text, a line or more."""
        from .report import input_lines

        return input_lines(self)


@dataclass(frozen=True)
class DerivationReport:
    """The result of check_derivation: a verdict for every input that has a gradient. `str` gives it as text.

    notes: what was noticed besides, such as an input that was changed in place. checks: of the derivatives along random
    directions, and of a JVP and second derivatives where these were asked for.
    """

    name: str
    inputs: list[InputVerdict]
    checks: list[InputVerdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    order: int = 1
    seconds: float = 0.0

    @property
    def all(self) -> list[InputVerdict]:
        return [*self.inputs, *self.checks]

    @property
    def verdict(self) -> str:
        """Return "right", "WRONG" or "undecided", for all inputs together."""
        verdicts = {v.verdict for v in self.all}
        return WRONG if WRONG in verdicts else UNDECIDED if UNDECIDED in verdicts or not verdicts else RIGHT

    @property
    def passed(self) -> bool:
        return self.verdict == RIGHT

    @property
    def mistakes(self) -> list[Mistake]:
        return [v.mistake for v in self.all if v.mistake is not None]

    def __str__(self) -> str:
        from .report import text

        return text(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain lists, numbers and strings."""
        from .report import as_dict

        return as_dict(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the report as JSON, and write it to a file if a path is given. NaN and infinity become null."""
        written = json.dumps(self.as_dict(), indent=1)
        if path is not None:
            write_atomically(Path(path), f"{written}\n".encode())
        return written

    def picture(self, path: str | Path | None = None) -> Figure:
        """Draw the error of every element as heat maps, one row for each input; save it if a path is given."""
        from .picture import drawn

        return drawn(self.all, self.name, path)

    def _repr_png_(self) -> bytes:
        """Show the picture in a notebook."""
        from .picture import as_png

        return as_png(self.all, self.name)


def worst(error: np.ndarray, allowed: np.ndarray, known: np.ndarray) -> tuple[float, tuple[int, ...] | None]:
    """Return the largest error as a share of what is allowed, and where it is. NaN and infinity count as infinitely wrong."""
    if not known.any():
        return 0.0, None
    with np.errstate(invalid="ignore"):
        share = np.where(np.isfinite(error), error / allowed, np.inf)
    share = np.where(known, share, -1.0)
    at = int(np.argmax(share))
    return float(share.reshape(-1)[at]), tuple(int(k) for k in np.unravel_index(at, error.shape))

"""The rules of the game as options: its objective, who moves when, and the average of G that samples come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinygan.options import Options, option

from .objectives import OBJECTIVES


@dataclass(frozen=True, kw_only=True)
class Rules(Options):
    """The options of the game itself; `Remedies` has those that the literature added to it. Raises OptionError."""

    title = "The game"

    k: int = option(1, help="D's ascent steps for each step of G (Algorithm 1); at most 1000.", at_least=1,
                    at_most=1000)
    objective: str = option("nonsaturating", help=f"Which game: {', '.join(OBJECTIVES)}.", choices=tuple(OBJECTIVES))
    r1: float = option(0.3, help="Weight gamma of the R1 penalty on D's slope at real data; 0 is off.", at_least=0, at_most=1e38)
    ema: float = option(0.999, help="Decay of the average of G that samples come from; 0 is off.", at_least=0, below=1)
    update: str = option("alternating", help="alternating (Algorithm 1) or simultaneous (one forward pass for both).",
                         choices=("alternating", "simultaneous"))

    def conflicts(self) -> Iterator[str]:
        if self.update == "simultaneous" and self.k != 1:
            yield f"--k is {self.k}, but players that move simultaneously take one step each; leave --k at 1"

"""A number of this project beside the number of another implementation, on the same samples: what has to be true of the two."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

LOOP = "a loop over the definition"
"""The name of an implementation that definitions.py writes out where no package has the measure, or has it otherwise."""

COUNTS = "both count the same samples; their quotient is rounded"
SUMS = "sums of the same terms in another order"


@dataclass(frozen=True)
class Comparison:
    """One measure of one set of samples by two implementations.

    metric: the measure's name. samples: what they are. ours, theirs: the two numbers. by: the other implementation, with its
    version. tolerance: how far apart the two may be, and `reason`, why as far. apart: theirs - ours where the other implementation
    follows another convention, or has a fault, worked out by itself; `convention` says which, and is empty where there is none.
    """

    metric: str
    samples: str
    ours: float
    theirs: float
    by: str
    tolerance: float
    reason: str
    apart: float = 0.0
    convention: str = ""

    @property
    def difference(self) -> float:
        """How far apart the two are, other than by their conventions. 0 if neither is a number, or both are infinite alike."""
        if self.ours == self.theirs - self.apart or (math.isnan(self.ours) and math.isnan(self.theirs)):
            return 0.0
        return abs(self.ours + self.apart - self.theirs)

    @property
    def agrees(self) -> bool:
        """True if the two are no further apart than the tolerance. What is no number on one side alone never agrees."""
        return self.difference <= self.tolerance

    def record(self) -> dict[str, Any]:
        """Return the comparison as the record has it, its numbers as Python's; one that JSON has not, such as nan, as text."""
        found = {**asdict(self), "difference": self.difference}
        numbers = {name: float(x) for name, x in found.items() if not isinstance(x, str)}
        return {**found, **{name: x if math.isfinite(x) else str(x) for name, x in numbers.items()}, "agrees": bool(self.agrees)}


@dataclass(frozen=True)
class Comparator:
    """Compares some measures with other implementations.

    name: what is compared, for `--only`. packages: distributions beyond this project's own requirements that it needs. compare:
    makes the comparisons; it imports what it needs by itself.
    """

    name: str
    compare: Callable[[], Iterator[Comparison]]
    packages: tuple[str, ...] = ()


def named(*distributions: str) -> str:
    """Return installed distributions with their versions: "scikit-learn 1.9.1 and scipy 1.17.1"."""
    return " and ".join(f"{name} {version(name)}" for name in distributions)


def rounding(value: float, digits: float = 1e-12) -> float:
    """Return the tolerance of a number that is rounded in sums: `digits` of it, and of 1 where it is smaller.

    It is absolute below 1, as differences of terms near 1, a divergence for one, lose digits of their own but none of the terms'.
    """
    return digits * max(1.0, abs(value)) if math.isfinite(value) else 0.0

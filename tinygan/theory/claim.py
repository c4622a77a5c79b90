"""Claims: what the papers state about this game, measured and judged by `tinygan theory`.

A claim is a sentence with its source, a function that measures it on this engine, and the reason for its tolerance. The claims
stand by subject: value.py (V, its gradients, the two objectives of G), optimal_d.py (the optimal D), convergence.py (what
converges), long_run.py (what does so past first order), local_rates.py (how fast, and up to which step), collapse.py (what goes
wrong, and its cures), likelihood.py (Parzen windows) and supports.py (which samples there can be).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinygan_kernels import Backend


@dataclass(frozen=True)
class Measured:
    """One number of a claim: its measured value, and the value or bound that it has to meet.

    relation "=": |value - expected| <= tolerance. "<=" and ">=": value on that side of expected; tolerance is then 0 unless given.
    """

    what: str
    value: float
    expected: float
    tolerance: float = 0.0
    relation: str = "="

    @property
    def passed(self) -> bool:
        """True where the value is what it has to be; never for NaN."""
        if self.relation == "=":
            return bool(abs(self.value - self.expected) <= self.tolerance)
        if self.relation == "<=":
            return bool(self.value <= self.expected + self.tolerance)
        return bool(self.value >= self.expected - self.tolerance)

    def to_json(self) -> dict[str, Any]:
        """Return the number with all that judges it, as JSON's types. A NaN or an infinity, which JSON has not, is a text."""
        value, expected, tolerance = map(_number, (self.value, self.expected, self.tolerance))
        return {
            "what": self.what, "value": value, "relation": self.relation, "expected": expected, "tolerance": tolerance,
            "passed": self.passed,
        }


def _number(value: Any) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else str(number)


@dataclass(frozen=True)
class Claim:
    """A sentence that a paper states, and how it is measured here.

    statement: the sentence, on one line. source: where it is made. because: why the tolerances are what they are. number: the place
    of its subject in the paper's order. measure: a function of a backend that returns what was measured.
    """

    name: str
    number: int
    statement: str
    source: str
    because: str
    measure: Callable[[Backend], list[Measured]] = field(repr=False)


@dataclass(frozen=True)
class Verdict:
    """A claim with what was measured for it. A claim without a measurement, or whose measurement raised, is not confirmed."""

    claim: Claim
    measured: list[Measured]
    seconds: float
    error: str = ""

    @property
    def passed(self) -> bool:
        """True if everything that was measured is what it has to be."""
        return not self.error and bool(self.measured) and all(m.passed for m in self.measured)

    def to_json(self) -> dict[str, Any]:
        """Return the claim and its measurements, as JSON's types."""
        c = self.claim
        return {
            "name": c.name, "number": c.number, "statement": c.statement, "source": c.source, "because": c.because,
            "passed": self.passed, "seconds": round(self.seconds, 3), "error": self.error,
            "measured": [m.to_json() for m in self.measured],
        }

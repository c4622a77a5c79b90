"""The theory of GANs as claims that are computed and judged, and the checks of every gradient that they rest on."""

from .all import claims, judge
from .claim import Claim, Measured, Verdict

__all__ = ["Claim", "Measured", "Verdict", "claims", "judge"]

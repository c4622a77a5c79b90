"""Which mistake was made: wrong gradients, computed for every known mistake, and compared with the claimed one.

No function is known here by name. A candidate is the gradient that f would have with one mistake in it: made of the right gradient
(wholes, arrangements, other inputs), of f at other values, or of the steps of f with one local derivative wrong. It is named only
if it gives the claimed numbers in every element, for several random cotangents, at several points.
"""

from .diagnosis import Mistake, diagnose
from .fit import KINDS, Site

__all__ = ["KINDS", "Mistake", "Site", "diagnose"]

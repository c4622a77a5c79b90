"""Training in Python: `fit` trains two networks of one's own on an array, as fast as the command line and to the same bits."""

from .fitted import Fitted, Moment
from .front import fit

__all__ = ["Fitted", "Moment", "fit"]

"""Small networks and data for the tests of `fit`."""

import numpy as np
from tiny_runs import backend

from tinygan import ops
from tinygan.nn import Layer, Linear, Sequential

SILENT = {"progress": False, "say": lambda line: None}


def parts(rng):
    return {"backend": backend("reference"), "rng": rng}


def networks(*in_g, z=3, width=2, name="reference"):
    """Return a small G and D for samples of `width` numbers, G with these layers (or functions of rng that make one) inside."""
    rng = np.random.default_rng(0)
    made = {"backend": backend(name), "rng": rng}
    inside = [layer if isinstance(layer, Layer) or layer in vars(ops).values() else layer(rng) for layer in in_g]
    G = Sequential(Linear(z, 5, act="leaky_relu", **made), *inside, Linear(5, width, **made))
    D = Sequential(Linear(width, 5, act="leaky_relu", slope=0.2, **made), Linear(5, 1, **made))
    return G, D


def points(n=40, width=2):
    return np.random.default_rng(1).normal(size=(n, width)) * 2 + 5


def bits(fitted):
    """Return all that a run keeps, to the bit."""
    return {name: array.tobytes() for name, array in fitted.run.saved_arrays().items()}

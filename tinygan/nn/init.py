"""Initialisations of weights, by the names of the papers that proposed them.

Each is a function (rng, shape, fan_in, fan_out) -> float64 values of that shape.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Init = Callable[[np.random.Generator, tuple[int, ...], int, int], np.ndarray]
"""An initialisation: (rng, shape, fan_in, fan_out) -> weights of that shape."""


def he_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Draw from N(0, 2 / fan_in), which keeps the variance through ReLU layers (He et al. 2015, eq. 10)."""
    return rng.standard_normal(shape) * np.sqrt(2 / fan_in)


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Draw from U(-a, a), a = sqrt(6 / (fan_in + fan_out)), which suits both passes (Glorot and Bengio 2010, eq. 16)."""
    a = np.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-a, a, shape)


def lecun_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Draw from U(-a, a), a = 1 / sqrt(fan_in), as PyTorch's Linear and Conv2d do (after LeCun et al. 1998, section 4.6)."""
    a = 1 / np.sqrt(fan_in)
    return rng.uniform(-a, a, shape)


def dcgan_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    """Draw from N(0, 0.02^2), whatever the layer (Radford et al. 2016, section 4)."""
    return rng.standard_normal(shape) * 0.02


INITS: dict[str, Init] = {f.__name__: f for f in (he_normal, glorot_uniform, lecun_uniform, dcgan_normal)}
"""Every initialisation by its name, which is what the option `--init` and checkpoints hold."""

"""`cupy.random` of `emulator.cupy`: NumPy's, with the `dtype=` that CuPy's functions take. Its numbers are not those of cuRAND."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np

from .arrays import Adapted, wrapped
from .streams import capturing, refuse

_REAL = (
    "beta", "chisquare", "exponential", "f", "gamma", "gumbel", "laplace", "logistic", "lognormal", "normal", "pareto",
    "power", "rand", "randn", "random", "random_sample", "ranf", "rayleigh", "sample", "standard_cauchy",
    "standard_exponential", "standard_gamma", "standard_normal", "standard_t", "triangular", "uniform", "vonmises", "wald",
    "weibull",
)  # fmt: skip
__all__ = ["XORWOW", "Generator", "MRG32k3a", "Philox4x3210", "RandomState"]
__all__ += [name for name in np.random.__all__ if name not in __all__]
_BELOW_ONE = ("rand", "random", "random_sample", "ranf", "sample")
_LARGEST = np.nextafter(np.float32(1), np.float32(0))


def _with_dtype(function: Any, name: str) -> Any:
    """Return a function of NumPy's that also takes a dtype, float32 or float64, and returns arrays of this module."""

    @functools.wraps(function)
    def drawn(*args: Any, dtype: Any = np.float64, **options: Any) -> np.ndarray:
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"{name} draws float32 or float64, not {np.dtype(dtype)}")
        if capturing():
            refuse(f"random.{name}, whose numbers a graph could not draw anew,")
        numbers = np.asarray(function(*args, **options)).astype(dtype, copy=False)
        if name in _BELOW_ONE and np.dtype(dtype) == np.float32:  # one just below 1 was rounded to 1
            numbers = np.minimum(numbers, _LARGEST)
        return wrapped(numbers)

    return drawn


class RandomState:
    """A generator of NumPy's, whose methods take a dtype and return arrays of this module."""

    def __init__(self, seed: Any = None, method: int = 0):
        self._state = np.random.RandomState(seed)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _adapted(self._state, name)


def _adapted(state: Any, name: str) -> Any:
    if name in _REAL:
        return _with_dtype(getattr(state, name), name)
    return getattr(Adapted(state, "random"), name)


class _BitGenerator:
    """A bit generator of cuRAND's by name. Its numbers are those of NumPy's own."""

    def __new__(cls, seed: Any = None, *, size: int = -1) -> Any:
        return np.random.PCG64(seed)


class XORWOW(_BitGenerator): ...


class MRG32k3a(_BitGenerator): ...


class Philox4x3210(_BitGenerator): ...


def Generator(bit_generator: np.random.BitGenerator) -> Any:
    """Return a generator of NumPy's, whose methods return arrays of this module."""
    return wrapped(np.random.Generator(bit_generator))


def __getattr__(name: str) -> Any:
    if name.startswith("_") or not hasattr(np.random, name):
        raise AttributeError(f"emulator.cupy.random has no {name}: it has what NumPy has")
    value = getattr(np.random, name)
    return value if inspect.isclass(value) else _adapted(np.random, name)

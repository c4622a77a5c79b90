"""The parameters of kernels: what each may be, and the words in which a launch refuses anything else.

A parameter is everything that a kernel is given besides arrays: flags, sizes, constants, the name of an activation. Each kernel's
row in the contract (contract.py) lists its parameters. `Kernel.checked` applies the checks at every launch, so a check has to be
cheap. NumPy's scalars are turned into Python's first (`plain`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

REQUIRED: Any = object()  # in the place of a default: the launch has to give the parameter
_LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kernel.

    accepts(value): whether a plain Python value is allowed. wants: completes the sentence "it has to be ...". default: the value
    that implementations take when the launch leaves the parameter out; REQUIRED where the launch has to give it.
    """

    name: str
    accepts: Callable[[Any], bool]
    wants: str
    default: Any = REQUIRED


def plain(value: Any) -> Any:
    """Return a NumPy scalar as the Python value that it stands for, in tuples too, and everything else as it is."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value


def described(value: Any) -> str:
    """Describe a refused value in one line: as repr writes it, or by its type if that takes more than 60 characters or a line."""
    try:
        text = "" if isinstance(value, int) and value.bit_length() > 128 else repr(value)
    except ValueError:  # Python refuses to write a whole number of thousands of digits, inside a tuple too
        text = ""
    return text if 0 < len(text) <= 60 and "\n" not in text else f"of type {type(value).__name__}"


# ---- kinds of parameters ------------------------------------------------------------------------------------------------------


def flag(name: str, default: Any = REQUIRED) -> Parameter:
    """Return a parameter that is True or False. Numbers are refused, 0 and 1 too: others than these would have no meaning."""
    return Parameter(name, lambda value: value is True or value is False, "True or False", default)


def whole(name: str, least: int) -> Parameter:
    """Return a parameter that is a whole number of at least `least`, such as a stride or a height."""
    return Parameter(name, lambda value: type(value) is int and value >= least, f"a whole number of at least {least}")


def axes(name: str) -> Parameter:
    """Return a parameter that is a tuple of dimensions, negative ones counted from the last.

    Whether the array has these dimensions is checked later, by the kernel's rule of shape.
    """

    def accepts(value: Any) -> bool:
        return type(value) is tuple and not set(map(type, value)) - {int}

    return Parameter(name, accepts, "a tuple of whole numbers")


def sign(name: str) -> Parameter:
    """Return a parameter for the direction of an update: +1 ascends, -1 descends."""
    return Parameter(name, lambda value: type(value) is int and (value == 1 or value == -1), "+1 (ascend) or -1 (descend)")


def one_of(name: str, options: Sequence[str]) -> Parameter:
    """Return a parameter that is one of several words."""
    return Parameter(name, lambda value: isinstance(value, str) and value in options, f"one of {', '.join(options)}")


def number(
    name: str,
    wants: str = "a finite number",
    allowed: Callable[[float], bool] = lambda value: True,
    default: Any = REQUIRED,
) -> Parameter:
    """Return a parameter that is a finite real number for which `allowed` holds; `wants` says in words what is allowed."""

    def accepts(value: Any) -> bool:
        # the comparison refuses NaN, infinity, and whole numbers that no float can hold
        return (type(value) is float or type(value) is int) and -_LARGEST <= value <= _LARGEST and allowed(value)

    return Parameter(name, accepts, wants, default)


def any_number(name: str) -> Parameter:
    """Return a parameter that is any number a float can hold, also NaN or infinite: memory is poisoned with such values."""

    def accepts(value: Any) -> bool:
        if type(value) is float:
            return True
        return type(value) is int and -_LARGEST <= value <= _LARGEST

    return Parameter(name, accepts, "a number that a float can hold")

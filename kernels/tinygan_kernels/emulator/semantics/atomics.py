"""The operations of atom and red: new = f(old, value). (PTX ISA, 9.7.13.5 and 9.7.13.6)"""

from __future__ import annotations

import numpy as np

from . import floats


def _increment(old, limit):
    """Compute atom.inc: 0 if old >= limit, else old + 1."""
    return np.where(old >= limit, old.dtype.type(0), old + old.dtype.type(1))


def _decrement(old, limit):
    """Compute atom.dec: limit if old == 0 or old > limit, else old - 1."""
    return np.where((old == 0) | (old > limit), limit, old - old.dtype.type(1))


def operation(name: str, kind: str):
    """Return f of `new = f(old, value[, second value])` for atom.<name>.<kind>, vector to vector."""
    if name == "add" and kind in ("f16", "bf16"):
        return floats.arithmetic("add", kind, "rn")
    if name in ("min", "max") and (kind[0] == "f" or kind == "bf16"):
        return floats.extremum(name, kind, False)
    return {
        "add": np.add,
        "min": np.minimum,
        "max": np.maximum,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
        "exch": lambda old, new: new,
        "cas": lambda old, compare, new: np.where(old == compare, new, old),
        "inc": _increment,
        "dec": _decrement,
    }[name]

"""What may be set on a tensor: a field is checked where it is set, as a wrong value would fail later, or not at all, elsewhere."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import numpy as np

from .conversion import described
from .elsewhere import missing_attribute
from .values import Values

# Each is asked, keeper.keep(x, array), before x.array is set: whether it has put the values where x holds its own. See replay.py.
keepers: WeakSet[Any] = WeakSet()

# what to write where someone sets what a tensor was made with
_INSTEAD = {
    "backend": "the backend of a tensor stays what it was made with; write Tensor(x.numpy(), 'cpu')",
    "dtype": "the dtype of a tensor stays what it was made with; write Tensor(x.numpy(), dtype=np.float64)",
    "shape": "the shape of a tensor is not set; write y = x.reshape(shape)",
    "T": "x.T is not set; to update a parameter write x.array[...] = values",
}


def settable(x: Any, name: str, value: Any) -> Any:
    """Return what the field is set to. Raises TypeError, ValueError for what it cannot be, AttributeError for what is not set."""
    if name == "array":
        return _held(x, value)
    if name == "requires_grad":
        if value is not True and value is not False:
            raise TypeError(f"requires_grad is {described(value)}, it has to be True or False")
    elif name == "grad":
        if value is not None and not isinstance(value, Values):
            raise TypeError(f"grad is {described(value)}, it has to be a Tensor, such as Tensor(values, x.backend), or None")
        if value is not None and value.shape != x.shape:
            raise ValueError(f"grad has shape {value.shape} and the tensor {x.shape}; they have to be the same")
    elif name not in ("stamp", "parents", "vjps"):
        raise AttributeError(_INSTEAD[name] if name in _INSTEAD else missing_attribute("Tensor", name, dir(type(x))))
    return value


def _held(x: Any, array: Any) -> Any:
    """Return an array that x can hold its values in. Raises TypeError for anything but one of floats in its backend's memory."""
    if isinstance(array, np.floating):
        array = x.backend.asarray(np.asarray(array))  # what NumPy makes of a 0-d array by `x.array - 0.1`
    kind = x.backend.xp.ndarray
    if not isinstance(array, kind) or array.dtype not in (np.float32, np.float64):
        found = f"an array of {array.dtype}" if isinstance(array, kind) else described(array)
        raise TypeError(f"array is {found}, it has to be an array of float32 or float64 in the backend's memory; write "
                        "x.array[...] = values to set the values, or x.array = x.backend.asarray(np.float32(values))")
    return x.array if any(keeper.keep(x, array) for keeper in keepers) else array

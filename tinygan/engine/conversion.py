"""What people hand in where a tensor is wanted, made into what kernels take: numbers, lists and arrays; backends by name.

One rule holds for every op. Nothing is promoted: plain numbers, lists and arrays take the dtype of the tensor that they meet, and
two tensors of different dtypes are refused. Floats are rounded to that dtype; whole numbers in arrays and lists, which are data,
have to be exact in it. What is no real number (None, text, dates, complex numbers, objects) is refused, and so is what would
change without a word: a finite number too large for the dtype, or a masked element.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from tinygan_kernels import Backend, shared

Array = Any  # of NumPy, or of the backend's array module
_LARGEST = {"float32": float(np.finfo(np.float32).max), "float64": sys.float_info.max}
_NO_NUMBERS = {
    "c": "complex numbers; pass the .real part, the .imag part or the absolute value",
    "U": "text; convert it with float(...) first",
    "S": "bytes; decode and convert them with float(...) first",
    "M": "dates; subtract a first date and divide by a unit, such as np.timedelta64(1, 'D')",
    "m": "durations; divide them by a unit, such as np.timedelta64(1, 's')",
    "V": "records or a dtype that is no float; pick a field, or convert with .astype(np.float32)",
}


def backend_of(given: Backend | str | None) -> Backend:
    """Return the backend that was given as such or by its name; plain data without one lives on `cpu`.

    A name always stands for the same backend. Raises TypeError, and BackendError for a name that does not exist or cannot run here.
    """
    if isinstance(given, Backend):
        return given
    if given is None or isinstance(given, str):
        return shared(given or "cpu")
    raise TypeError(f"backend is {described(given)}, it has to be a backend, or its name such as 'cpu'")


def real_dtype(dtype: Any, what: str) -> np.dtype:
    """Return float32 or float64 as a dtype. Raises TypeError for anything else, naming `what`."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if dtype is None or found not in (np.float32, np.float64):
        given = described(dtype) if dtype is None or found is None else str(found)
        raise TypeError(f"{what} is {given}, it has to be float32 or float64")
    return found.newbyteorder("=")


def whole_number(value: Any, what: str, least: int) -> int:
    """Return a whole number of Python's or NumPy's as an int. Raises TypeError, ValueError if it is below `least`."""
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        both = "; one number serves all sides" if isinstance(value, (tuple, list)) else ""
        raise TypeError(f"{what} is {described(value)}, it has to be a whole number{both}")
    if number < least:
        raise ValueError(f"{what} is {number}, it has to be at least {least}")
    return number


def real_number(value: Any, dtype: Any, what: str) -> float:
    """Return a real number of any kind as a float. Raises ValueError for a finite one that is too large for the dtype."""
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{what} is a whole number that no float can hold") from None
    limit = _LARGEST[dtype.name]
    if not -limit <= number <= limit and np.isfinite(number) and dtype.name == "float32":
        raise ValueError(f"{what} is {number}, which is too large for float32; compute in float64")
    return number


def is_number(value: Any) -> bool:
    """Return True for a real number of Python's or NumPy's: an int, a float, a bool, a Fraction, a NumPy scalar."""
    return isinstance(value, (Real, np.bool_))


def real_array(data: Any, what: str, dtype: Any = None) -> Array:
    """Return data as a float32 or float64 array in native byte order, copied only where it has to be.

    dtype: what to convert to. Without it float32 and float64 arrays keep theirs, longdouble becomes float64 and everything else
    float32. Raises TypeError for what holds no real numbers, ValueError for ragged lists and for values that the dtype cannot
    hold; `what` names the argument.
    """
    if type(data) is np.ndarray and data.dtype.char in "fd" and data.dtype.isnative and data.flags.aligned:
        return data if dtype is None or data.dtype == dtype else _rounded(data, np.dtype(dtype), what)
    array = _as_array(data, what)
    kind = array.dtype.kind
    if kind == "O":
        raise TypeError(f"{what} {_object_found(array)}")
    if kind not in "biuf":
        raise TypeError(f"{what} holds {_NO_NUMBERS.get(kind, f'values of dtype {array.dtype}, which are no real numbers')}")
    if dtype is None:  # a list's float64 is NumPy's choice, an array's is its owner's
        owned = hasattr(data, "__array__") or hasattr(data, "__cuda_array_interface__")
        dtype = np.float64 if array.dtype.char == "g" or (array.dtype.char == "d" and owned) else np.float32
    return _rounded(array, np.dtype(dtype), what)


def _as_array(data: Any, what: str) -> Array:
    """Return an array of whatever dtype NumPy sees in the data. Raises TypeError, ValueError."""
    if hasattr(data, "__cuda_array_interface__") and isinstance(getattr(data, "dtype", None), np.dtype):
        return data
    if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        raise ValueError(f"{what} has masked elements; fill them first: data.filled(value)")
    if isinstance(data, (list, tuple)) and _holds_tensor(data):
        raise TypeError(f"{what} is a list with tensors in it, which would be cut from their graph; join them by ops.concat")
    try:
        array = np.asarray(data if isinstance(data, (int, np.generic)) or not isinstance(data, Real) else float(data))
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise ValueError(f"{what} is a ragged list: its rows have different lengths; a tensor is rectangular") from None
        raise ValueError(f"{what} is a {type(data).__name__} that does not become an array: {error}") from error
    except (TypeError, RuntimeError) as error:  # as of a tensor of PyTorch's that requires a gradient
        raise TypeError(f"{what} is a {type(data).__name__} that does not become an array: {error}") from error
    return array if array.flags.aligned else array.copy()


def _holds_tensor(rows: Sequence[Any]) -> bool:
    """Return True if a list, or a list inside it, holds a tensor: what has a backend and parents."""
    return any(_holds_tensor(row) if isinstance(row, (list, tuple)) else hasattr(row, "vjps") for row in rows)


def _object_found(array: np.ndarray) -> str:
    """Say of an array of objects what is in it that is no number."""
    if array.ndim == 0:
        return f"is {described(array.item())}, it has to be a number, a list of numbers or an array"
    for item in array.flat:
        if not is_number(item):
            return f"holds {described(item)} among its elements, it has to hold numbers"
    return "holds Python numbers as objects, some perhaps too large; write np.asarray(data, dtype=np.float64)"


def _rounded(array: Array, dtype: np.dtype, what: str) -> Array:
    """Return the array in another dtype. Raises ValueError where a whole number is not exact there, or a number is too large."""
    if array.dtype == dtype and array.dtype.isnative:
        return array
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    name = what.split()[-1]
    if array.dtype.kind in "iu" and not _all_exact(array, converted):
        wider = f", or {name}.astype(np.float64) for more digits" if dtype == np.float32 else ""
        raise ValueError(f"{what} is {array.dtype} and holds whole numbers that {dtype} has not got; round them yourself with "
                         f"{name}.astype(np.{dtype}){wider}")
    if array.dtype.char == "g" and bool(((converted.astype(array.dtype) != array) & ~np.isnan(array)).any()):
        raise ValueError(f"{what} is {array.dtype} and holds numbers that {dtype} has not got; round them yourself with "
                         f"{name}.astype(np.{dtype})")
    if array.dtype.kind == "f" and bool((np.isinf(converted) & ~np.isinf(array)).any()):
        raise ValueError(f"{what} holds numbers that are too large for {dtype}; compute in float64, or scale them")
    return converted


def _all_exact(whole: Array, converted: Array) -> bool:
    """Return True if whole numbers and what they became as floats are the same numbers."""
    limit = 2 ** (np.finfo(converted.dtype).nmant + 1)  # up to here every whole number is a float
    if not whole.size or (-limit <= int(whole.min()) and int(whole.max()) <= limit):
        return True
    inside = converted < 2.0 ** (8 * whole.dtype.itemsize - (whole.dtype.kind == "i"))  # beyond, the way back has no meaning
    return bool((inside & (np.where(inside, converted, converted.dtype.type(0)).astype(whole.dtype) == whole)).all())


def described(value: Any) -> str:
    """Describe a refused value: as Python writes it where that is short, else by its type."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the type {value.__name__}"
    text = "" if isinstance(value, int) and value.bit_length() > 128 else repr(value)  # Python refuses to write very long ones
    return f"{text} ({type(value).__name__})" if 0 < len(text) <= 40 and "\n" not in text and "<" not in text else \
        f"a {type(value).__name__}"

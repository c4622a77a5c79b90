"""What functions of arrays do where the current stream is captured: the call is noted for the graph.

What a function returns has to be there at once, with its shape and dtype. So a function that makes arrays is called, on what its
inputs hold now, and called again by each launch of the graph, into the same arrays. What is written in place (`out=`, `x += 1`,
`x[0] = y`, `copyto`) is left alone until then.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .streams import capturing, in_stream, refuse

_IN_PLACE = frozenset({
    "__setitem__", "at", "copyto", "fill", "fill_diagonal", "partition", "place", "put", "put_along_axis", "putmask", "sort",
})  # fmt: skip
"""Functions and methods that write their first argument and return nothing; `sort` and `partition` as methods alone."""
_TO_HOST = frozenset({
    "__bool__", "__complex__", "__float__", "__index__", "__int__", "allclose", "argwhere", "array2string", "array_equal",
    "array_equiv", "array_repr", "array_str", "extract", "flatnonzero", "intersect1d", "item", "nonzero", "save", "savetxt",
    "savez", "savez_compressed", "setdiff1d", "setxor1d", "tobytes", "tofile", "tolist", "trim_zeros", "union1d", "unique",
    "unique_all", "unique_counts", "unique_inverse", "unique_values",
})  # fmt: skip
"""What gives the host a value, or an array whose shape depends on values, so that a GPU has to be waited for."""
_OF_METADATA = frozenset({
    "can_cast", "common_type", "iscomplexobj", "isfortran", "isrealobj", "isscalar", "iterable", "may_share_memory", "ndim",
    "result_type", "shape", "shares_memory", "size",
})  # fmt: skip
"""What looks at dtypes, shapes and addresses alone, so that nothing has to be waited for."""
_OVERWRITING = {"nan_to_num": ("copy", False), "byteswap": ("inplace", True)}
"""Functions that write their first argument where their second, of this name, has this value."""

_PLACE_OF_OUT = {
    "all": 2, "any": 2, "argmax": 2, "argmin": 2, "choose": 2, "clip": 3, "compress": 3, "cumprod": 3, "cumsum": 3, "dot": 2,
    "max": 2, "mean": 3, "min": 2, "prod": 3, "ptp": 2, "round": 2, "std": 3, "sum": 3, "take": 3, "trace": 5, "var": 3,
}  # fmt: skip
"""Which argument of an array's method is its output, the array itself being number 0."""


def recorded(name: str, function: Callable[..., Any], args: tuple, options: dict[str, Any], method: bool = False) -> Any:
    """Call a function of arrays, or note the call where the current stream is captured.

    name: NumPy's; method: whether it is an array's. Raises CUDARuntimeError in a capture for what would have to wait for a GPU.
    """
    if _here.inside or name in _OF_METADATA or capturing() is None:
        return function(*args, **options)
    if name in _TO_HOST or name.startswith("random.") or (name == "__getitem__" and _needs_values(args[1])):
        refuse(f"{name}, which waits for its values,")
    given = tuple(list(a) if isinstance(a, list) else a for a in args)
    out = args[0] if _overwrites(name, args, options) else _output(name, function, args, options, method)
    if out is not None or (name in _IN_PLACE and (method or name not in ("sort", "partition"))):
        in_stream(lambda: _plainly(function, given, options))
        return out
    with np.errstate(all="ignore"):  # of values that the graph computes later
        result = _plainly(function, args, options)
    taken, returned = list(_arrays_in((args, options))), list(_arrays_in(result))
    if any(not any(np.may_share_memory(a, b) for b in taken) for a in returned):
        in_stream(lambda: _again(function, given, options, result))
    elif taken and not returned:
        refuse(f"{name}, which returns a {type(result).__name__} to the host,")
    return result


class _Here(threading.local):
    """A thread's note of whether it is inside a call that `recorded` made or that a graph repeats.

    NumPy's functions call one another. Such inner calls are a part of the outer one, and are not recorded again.
    """

    inside = False


_here = _Here()


def _plainly(function: Callable[..., Any], args: tuple, options: dict[str, Any]) -> Any:
    """Call a function whose own calls are not recorded."""
    before, _here.inside = _here.inside, True
    try:
        return function(*args, **options)
    finally:
        _here.inside = before


def _overwrites(name: str, args: tuple, options: dict[str, Any]) -> bool:
    """Return whether a call writes into its first argument and returns that, because it is asked to."""
    if name not in _OVERWRITING:
        return False
    option, asking = _OVERWRITING[name]
    return options.get(option, args[1] if len(args) > 1 else not asking) == asking


def _output(name: str, function: Callable[..., Any], args: tuple, options: dict[str, Any], method: bool) -> Any:
    """Return the array that a call writes into and returns, None where it makes one of its own."""
    out = options.get("out")
    if out is None and method:
        at = _PLACE_OF_OUT.get(name, len(args))
        out = args[at] if at < len(args) else None
    elif out is None and isinstance(real := inspect.unwrap(function), np.ufunc):
        out = args[real.nin :] or None
    elif out is None:
        try:
            out = inspect.signature(function).bind_partial(*args, **options).arguments.get("out")
        except (TypeError, ValueError):  # of a function without a signature: those with an output have it third
            out = args[2] if name in ("concatenate", "dot") and len(args) > 2 else None
    return out[0] if isinstance(out, tuple) and len(out) == 1 else out


def _again(function: Callable[..., Any], args: tuple, options: dict[str, Any], result: Any) -> None:
    """Call a function anew, and write what it returns into the arrays that it returned before."""
    for old, new in zip(_arrays_in(result), _arrays_in(_plainly(function, args, options)), strict=True):
        if old.shape != new.shape:
            raise ValueError(f"a graph computes an array of shape {new.shape}, which had the shape {old.shape} in its capture")
        old[...] = new


def _arrays_in(value: Any) -> Iterator[np.ndarray]:
    """Give the arrays in a value, at any depth of tuples, lists and dicts, as NumPy's own."""
    if isinstance(value, np.ndarray):
        yield value.view(np.ndarray)
    elif isinstance(value, dict):
        yield from _arrays_in(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _arrays_in(part)


def _needs_values(key: Any) -> bool:
    """Return whether an index says by values how many elements there are: by a mask, or by an array as the bound of a slice."""
    parts = key if isinstance(key, tuple) else (key,)
    masks = (isinstance(p, (np.ndarray, list)) and np.asarray(p).dtype == bool for p in parts)
    return any(masks) or any(isinstance(b, np.ndarray) for p in parts if isinstance(p, slice) for b in (p.start, p.stop, p.step))

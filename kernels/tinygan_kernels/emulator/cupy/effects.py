"""What a call of an array function reads, writes and makes, by its name and its arguments.

Where that is not known it is taken to touch nothing: a race may then go unseen, and none is found that is not there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tinygan_kernels.emulator.host.lifetimes import root_of

IN_PLACE = frozenset({
    "__setitem__", "at", "copyto", "fill", "fill_diagonal", "partition", "place", "put", "put_along_axis", "putmask", "sort",
})  # fmt: skip
"""Functions and methods that write their first argument and return nothing; `sort` and `partition` as methods alone."""
TO_HOST = frozenset({
    "__bool__", "__complex__", "__float__", "__index__", "__int__", "allclose", "argwhere", "array2string", "array_equal",
    "array_equiv", "array_repr", "array_str", "extract", "flatnonzero", "intersect1d", "item", "nonzero", "save", "savetxt",
    "savez", "savez_compressed", "setdiff1d", "setxor1d", "tobytes", "tofile", "tolist", "trim_zeros", "union1d", "unique",
    "unique_all", "unique_counts", "unique_inverse", "unique_values",
})  # fmt: skip
"""What gives the host a value, or an array whose shape depends on values, so that a GPU has to be waited for."""
OF_METADATA = frozenset({
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
_WHOLE = frozenset({"copyto", "fill", "partition", "sort"})
"""Functions that write all of their first argument."""
_IN_PART = frozenset({
    "choose", "compress", "delete", "diag", "diag_indices_from", "diagflat", "diagonal", "digitize", "insert", "interp", "select",
    "searchsorted", "take", "take_along_axis", "trace", "tril", "tril_indices_from", "triu", "triu_indices_from", "where",
})  # fmt: skip
"""Functions that read elements that their arguments choose, so that nobody knows which, or nothing but an array's shape."""
_UNWRITTEN = frozenset({"empty", "empty_like"})


class Effects(NamedTuple):
    """The arrays that a call reads and writes, and those that it has made and which have memory of their own."""

    reads: list[np.ndarray]
    writes: list[np.ndarray]
    made: list[np.ndarray]


def overwrites(name: str, args: tuple, options: dict[str, Any]) -> bool:
    """Return whether a call writes into its first argument and returns that, because it is asked to."""
    if name not in _OVERWRITING:
        return False
    option, asking = _OVERWRITING[name]
    return options.get(option, args[1] if len(args) > 1 else not asking) == asking


def output(name: str, function: Callable[..., Any], args: tuple, options: dict[str, Any], method: bool) -> Any:
    """Return the array that a call writes into and returns, None where it makes one of its own."""
    out = options.get("out")
    if out is None and method:
        at = _PLACE_OF_OUT.get(name, len(args))
        out = args[at] if at < len(args) else None
    elif out is None and isinstance(real := inspect.unwrap(function), np.ufunc):
        out = args[real.nin :] or None
    elif out is None:
        at = _place_of_out(name, real)
        out = args[at] if at < len(args) else None
    return out[0] if isinstance(out, tuple) and len(out) == 1 else out


def writes_in_place(name: str, method: bool) -> bool:
    """Return whether a call writes its first argument and returns nothing."""
    return name in IN_PLACE and (method or name not in ("sort", "partition"))


@lru_cache(maxsize=1024)
def _place_of_out(name: str, function: Callable[..., Any]) -> int:
    """Return which argument of a function is its output, a large number where none without a keyword is."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of a function without a signature: those with an output have it third
        return 2 if name in ("concatenate", "dot") else _NOWHERE
    placed = [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return placed.index("out") if "out" in placed else _NOWHERE


_NOWHERE = 1 << 30


def effects(name: str, args: tuple, options: dict[str, Any], out: Any, in_place: bool, result: Any, plain: bool) -> Effects:
    """Return what a call touched that has returned `result`.

    out: what it has written into, None; in_place: whether that is its first argument; plain: whether arrays of the device are
    NumPy's own among the arguments, as those of ufuncs are.
    """
    taken = [a for a in arrays_in((args, options)) if _is_of_device(a, plain)]
    if in_place:
        if "where" in options or (name != "__setitem__" and name not in _WHOLE):
            return Effects([], [], [])
        target = _part(args[0], args[1]) if name == "__setitem__" else _array(args[0])
        return Effects(taken[1:], [target] if target is not None else [], [])
    if out is not None:
        return Effects([], [], []) if "where" in options else Effects(taken, list(arrays_in(out)), [])
    fresh = [a for a in arrays_in(result) if _is_own(a) and not any(np.may_share_memory(a, b) for b in taken)]
    if name in _UNWRITTEN or not (fresh or name in TO_HOST):
        return Effects([], [], fresh)
    if name == "__getitem__":
        part = _part(args[0], args[1])
        return Effects([part] if part is not None else [], fresh, fresh)
    return Effects([] if name in _IN_PART or name.endswith("_like") else taken, fresh, fresh)


def needs_values(key: Any) -> bool:
    """Return whether an index says by values how many elements there are: by a mask, or by an array as the bound of a slice."""
    parts = key if isinstance(key, tuple) else (key,)
    masks = (isinstance(p, (np.ndarray, list)) and np.asarray(p).dtype == bool for p in parts)
    return any(masks) or any(isinstance(b, np.ndarray) for p in parts if isinstance(p, slice) for b in (p.start, p.stop, p.step))


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    """Give the arrays in a value, at any depth of tuples, lists and dicts."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        yield from arrays_in(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from arrays_in(part)


def _is_of_device(array: np.ndarray, plain: bool) -> bool:
    return hasattr(type(array), "__cuda_array_interface__") or (plain and type(array) is np.ndarray)


def _array(value: Any) -> np.ndarray | None:
    return value if isinstance(value, np.ndarray) else None


def _is_own(array: np.ndarray) -> bool:
    """Return whether an array has memory that NumPy has allocated for it, or for the array that it is a view of."""
    root = root_of(array)
    return bool(root.flags.owndata)


def _part(array: Any, key: Any) -> np.ndarray | None:
    """Return the part of an array that an index means, as a view; None where there is no such view."""
    plain = np.ndarray.view(array, np.ndarray)
    parts = key if isinstance(key, tuple) else (key,)
    if not all(part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer)) for part in parts):
        return None
    if any(isinstance(part, bool) for part in parts):
        return None
    return plain[parts if Ellipsis in parts else (*parts, ...)]

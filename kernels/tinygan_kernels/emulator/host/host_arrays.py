"""Arrays of the host that streams copy to and from, whose reads and writes by the host are compared with what streams may still do.

A plain array of NumPy's lets nobody know when it is read. So what `get(blocking=False)` and `copy_to_host(stream=...)` return,
and pinned arrays, are arrays of the class here. What NumPy does with one through C alone (`np.asarray`, `np.concatenate`) goes
unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygan_kernels.emulator.sanitizer.streams import use_of

from .script_order import ORDER, described


def _touch(array: np.ndarray, writes: bool, key: Any = None) -> None:
    """Note that the host reads or writes an array, or those elements that an index chooses. Raises SanitizerError for a race."""
    if not ORDER.streams.uses:
        return
    plain = np.ndarray.view(array, np.ndarray)
    part = plain if key is None else _part(plain, key)
    use = use_of(part, writes, described(plain))
    if use is not None:
        if part.dtype == bool and part.base is None:  # the elements that a list or a mask chooses
            use = use_of(plain, writes, described(plain))
            marks = np.repeat(part.reshape(-1), plain.itemsize)
            if use is None or use.marks is not None or marks.size != use.end - use.start:
                return
            use.marks = marks
        ORDER.host_touches(use)


def _part(array: np.ndarray, key: Any) -> np.ndarray:
    """Return what an index chooses, as a view; where there is none, as booleans that mark it in the whole array.

    An index by names of fields counts as one that chooses nothing.
    """
    parts = key if isinstance(key, tuple) else (key,)
    try:
        view = array[parts if any(part is Ellipsis for part in parts) else (*parts, ...)]
    except IndexError:
        return array.reshape(-1)[:0]
    if np.may_share_memory(view, array):
        return view
    marks = np.zeros(array.shape, bool)
    marks[key] = True
    return marks


def _is_view(found: Any, array: np.ndarray) -> bool:
    return isinstance(found, np.ndarray) and np.may_share_memory(found, array)


def _getitem(self: np.ndarray, key: Any) -> Any:
    found = np.ndarray.__getitem__(self, key)
    if not _is_view(found, self):
        _touch(self, False, key)
    return found


def _setitem(self: np.ndarray, key: Any, value: Any) -> None:
    if isinstance(value, HostArray):
        _touch(value, False)
    _touch(self, True, key)
    np.ndarray.__setitem__(self, key, value)


def _ufunc(self: np.ndarray, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple = (), **options: Any) -> Any:
    watched = type(self)
    for array in (*inputs, options.get("where")):
        if type(array) is watched:
            _touch(array, False)
    for array in (*out, *(inputs[:1] if method == "at" else ())):
        if type(array) is watched:
            _touch(array, True)
    options = {name: _plain(value, watched) for name, value in options.items()}
    if out:
        options["out"] = tuple(_plain(array, watched) for array in out)
    results = getattr(ufunc, method)(*(_plain(array, watched) for array in inputs), **options)
    if not out:
        return results
    if len(out) == 1:
        return out[0]
    return tuple(made if given is None else given for given, made in zip(out, results, strict=True))


def _plain(value: Any, watched: Any) -> Any:
    """Return an array of a class that is watched as NumPy's own, over the same memory; else the value."""
    return np.ndarray.view(value, np.ndarray) if type(value) is watched else value


def _copying(name: str) -> Callable[..., Any]:
    """Return a method that reads all elements, unless what it returns is a view."""
    real = getattr(np.ndarray, name)

    def method(self: np.ndarray, *args: Any, **options: Any) -> Any:
        found = real(self, *args, **options)
        if _is_view(found, self):
            return found
        _touch(self, False)
        return found

    return method


def _touching(name: str, writes: bool) -> Callable[..., Any]:
    real = getattr(np.ndarray, name)

    def method(self: np.ndarray, *args: Any, **options: Any) -> Any:
        _touch(self, writes)
        return real(self, *args, **options)

    return method


_READING = ("__bool__", "__complex__", "__contains__", "__copy__", "__deepcopy__", "__float__", "__index__", "__int__", "__repr__",
            "__str__", "argmax", "argmin", "argsort", "copy", "dot", "item", "tobytes", "tofile", "tolist")  # fmt: skip
_COPYING = ("astype", "flatten", "ravel", "repeat", "reshape")
_WRITING = ("fill", "partition", "sort")
METHODS: dict[str, Callable[..., Any]] = {
    "__getitem__": _getitem, "__setitem__": _setitem, "__array_ufunc__": _ufunc,
    **{name: _touching(name, False) for name in _READING}, **{name: _touching(name, True) for name in _WRITING},
    **{name: _copying(name) for name in _COPYING},
}  # fmt: skip
"""What a class of arrays has to have, so that what the host does with them is seen."""


class HostArray(np.ndarray):
    """An array of the host that a stream may be copying to or from.

    It is shown and pickled as NumPy's own, which CuPy and Numba return on a GPU.
    """

    def __repr__(self) -> str:
        _touch(self, False)
        return repr(np.ndarray.view(self, np.ndarray))

    def __reduce_ex__(self, protocol: Any) -> Any:
        _touch(self, False)
        return np.ndarray.view(self, np.ndarray).__reduce_ex__(protocol)


for _name, _function in METHODS.items():
    if _name not in vars(HostArray):
        setattr(HostArray, _name, _function)

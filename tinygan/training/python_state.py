"""What a layer's Python code remembers from one step to the next, as a snapshot that can be compared with a later one.

A replayed step runs no Python. So a layer whose code counts its calls, draws from a generator of its own or keeps what it saw would
be replayed wrongly, and has to be found out. A snapshot holds all plain values that such code can change: the attributes of
the layer and of its class, what its methods enclose, and the global variables that they name.
"""

from __future__ import annotations

import dis
import hashlib
import types
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine.randomness import Draws
from tinygan.engine.tensor import Tensor

Snapshot = dict[str, Any]
PLAIN = (bool, int, float, complex, str, bytes, type(None))
MOST = 20_000  # values in a snapshot; what lies beyond is left to the comparison of steps


def snapshot(roots: Iterable[tuple[str, Any]], packages: Iterable[str]) -> Snapshot:
    """Return the plain values that can be reached from named objects, by the path to each, such as "G.layers[1].calls".

    packages: the top-level packages whose functions and classes are looked into, those that the user's own classes stand in.
    """
    found: Snapshot = {}
    walk = _Walk(found, set(packages))
    for name, root in roots:
        walk.enter(name, root)
    return found


def changed(before: Snapshot, after: Snapshot) -> str | None:
    """Return the path of the first value that differs between two snapshots; None if they are the same."""
    return next((path for path in [*before, *after] if before.get(path, _ABSENT) != after.get(path, _ABSENT)), None)


_ABSENT = object()


class _Walk:
    """A walk over everything that can be reached from a layer and may hold what changes from step to step."""

    def __init__(self, found: Snapshot, packages: set[str]) -> None:
        self.found, self.packages = found, packages
        self.entered: dict[int, Any] = {}  # holds the objects too, so that no id is given twice

    def enter(self, path: str, value: Any) -> None:
        if len(self.found) > MOST:
            return
        if isinstance(value, (*PLAIN, np.generic)):
            self.found[path] = repr(value)
        elif isinstance(value, (types.ModuleType, Backend, np.dtype, types.BuiltinFunctionType)):
            return
        elif id(value) in self.entered:
            self.found[path] = id(value)
        else:
            self.entered[id(value)] = value
            self._inside(path, value)

    def _inside(self, path: str, value: Any) -> None:
        if isinstance(value, np.ndarray):
            contents = repr(value.tolist()).encode() if value.dtype.hasobject else np.ascontiguousarray(value)
            self.found[path] = (value.shape, value.dtype.str, hashlib.sha256(contents).hexdigest())  # type: ignore[arg-type]
        elif isinstance(value, Tensor):
            self.found[path] = (id(value), id(value.array), value.requires_grad)  # its numbers are arrays, which launches change
        elif isinstance(value, Draws):
            return  # which is refilled before every replay
        elif isinstance(value, np.random.Generator):
            self.found[path] = repr(value.bit_generator.state)
        elif isinstance(value, (types.FunctionType, types.MethodType)):
            self._function(path, value)
        elif isinstance(value, dict):
            for key, inner in value.items():
                self.enter(f"{path}[{key!r}]", inner)
        elif isinstance(value, (list, tuple, set, frozenset)) or type(value).__name__ == "deque":
            for i, inner in enumerate(value):
                self.enter(f"{path}[{i}]", inner)
        elif isinstance(value, (Iterator, count)):
            self.found[path] = object()  # whose place cannot be seen: it counts as changed
        elif isinstance(value, type):
            self._class(path, value)
        else:
            self._object(path, value)

    def _object(self, path: str, value: Any) -> None:
        self.found[path] = id(value)
        for name, inner in getattr(value, "__dict__", {}).items():
            self.enter(f"{path}.{name}", inner)
        for cls in type(value).__mro__:
            slots = vars(cls).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, name) and name not in ("__dict__", "__weakref__"):
                    self.enter(f"{path}.{name}", getattr(value, name))
        self.enter(f"type({path})", type(value))

    def _class(self, path: str, cls: type) -> None:
        """Enter what a class and its bases hold, if they are of the packages to be looked into."""
        if not self._is_users(cls):
            return
        for name, inner in vars(cls).items():
            if isinstance(inner, (staticmethod, classmethod)):
                inner = inner.__func__
            elif isinstance(inner, property):
                inner = inner.fget
            if not name.startswith("__") or name == "__call__":
                self.enter(f"{cls.__name__}.{name}", inner)
        for base in cls.__bases__:
            self.enter(f"{cls.__name__}", base)

    def _function(self, path: str, function: Any) -> None:
        if isinstance(function, types.MethodType):
            self.enter(f"{path}.__self__", function.__self__)
            function = function.__func__
            if not isinstance(function, types.FunctionType) or id(function) in self.entered:
                return
            self.entered[id(function)] = function
        if not self._is_users(function):
            return
        for name, inner in vars(function).items():
            self.enter(f"{path}.{name}", inner)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                self.enter(f"{path}, variable {name}", cell.cell_contents)
            except ValueError:
                continue  # a variable that is not bound yet
        for name in _globals_of(function.__code__):
            if name in function.__globals__:
                self.enter(f"global variable {name}", function.__globals__[name])

    def _is_users(self, value: Any) -> bool:
        return (value.__module__ or "").split(".")[0] in self.packages


def _globals_of(code: types.CodeType) -> set[str]:
    """Return the names of the global variables that a piece of code, or one inside it, reads or writes."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL")}
    return names.union(*(_globals_of(inner) for inner in code.co_consts if isinstance(inner, types.CodeType)))

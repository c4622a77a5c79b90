"""What NumPy computes inside f, noted step by step.

f is called with arrays that note every NumPy function that is applied to them. A function that leaves NumPy (that takes `float(x)`,
or hands x to another library) cannot be noted; then it is judged from outside alone.
"""

from __future__ import annotations

import linecache
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .graph import Graph, Node, Place

MOVEMENTS = {
    "reshape", "ravel", "transpose", "swapaxes", "moveaxis", "rollaxis", "squeeze", "expand_dims", "broadcast_to",
    "concatenate", "stack", "hstack", "vstack", "column_stack", "dstack", "pad", "repeat", "tile", "flip", "fliplr", "flipud",
    "roll", "rot90", "take", "diagonal", "diag", "atleast_1d", "atleast_2d", "atleast_3d", "take_along_axis", "tril", "triu",
    "copy", "array", "where", "sliding_window_view", "setitem", "getitem", "permute_dims", "matrix_transpose",
}  # fmt: skip
LINEAR = {
    "sum", "mean", "matmul", "dot", "tensordot", "einsum", "cumsum", "trace", "inner", "outer", "convolve", "vdot", "average",
    "vecdot", "kron", "diff", "add.reduce",
}  # fmt: skip
METHODS = {
    "sum", "mean", "std", "var", "prod", "max", "min", "reshape", "ravel", "transpose", "swapaxes", "squeeze", "cumsum",
    "clip", "dot", "repeat", "trace", "take", "diagonal", "round", "argmax", "argmin", "argsort", "all", "any", "cumprod",
}  # fmt: skip


class Untraceable(Exception):
    """f does something with its inputs that cannot be noted."""


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that notes in a tape what is computed from it."""

    __array_priority__ = 1000

    def __init__(self, tape: Tape, at: int, value: np.ndarray) -> None:
        self.tape, self.at, self.value = tape, at, value

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)

    @property
    def T(self) -> Any:
        return self.tape.apply(np.transpose, (self,), {})

    @property
    def mT(self) -> Any:
        return self.tape.apply(np.swapaxes, (self, -1, -2), {})

    @property
    def flat(self) -> Any:
        return iter(self.reshape(-1))

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self.value)))

    def __bool__(self) -> bool:
        return bool(self.value)  # a branch: its side is held

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise Untraceable("the values were taken out of an array")

    def __float__(self) -> float:
        raise Untraceable("float() was taken of an array")

    def __int__(self) -> int:
        raise Untraceable("int() was taken of an array")

    __index__ = __int__

    def __getitem__(self, index: Any) -> Any:
        return self.tape.apply(getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        result = self.tape.apply(setitem, (self, index, value), {})
        self.at, self.value = result.at, result.value

    def reshape(self, *shape: Any) -> Any:
        return self.tape.apply(np.reshape, (self, shape[0] if len(shape) == 1 else shape), {})

    def transpose(self, *axes: Any) -> Any:
        given = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return self.tape.apply(np.transpose, (self, given), {})

    def flatten(self) -> Any:
        return self.tape.apply(np.ravel, (self,), {})

    def copy(self) -> Any:
        return Traced(self.tape, self.at, self.value)

    def astype(self, dtype: Any, **_: Any) -> Any:
        if np.dtype(dtype) != np.float64:
            raise Untraceable(f"an array was cast to {np.dtype(dtype)}")
        return self.copy()

    def item(self) -> Any:
        return self.reshape(())

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            return lambda *args, **named: self.tape.apply(getattr(np, name), (self, *args), named)
        raise AttributeError(name)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **named: Any) -> Any:
        out = named.pop("out", None)
        if method == "__call__":
            result = self.tape.apply(ufunc, inputs, named)
        else:
            result = self.tape.apply(getattr(ufunc, method), inputs, named, f"{ufunc.__name__}.{method}")
        if out is None:
            return result
        target = out[0]
        if not isinstance(target, Traced):
            raise Untraceable("a result was written into an array that was there before")
        target.at, target.value = result.at, result.value
        return target

    def __array_function__(self, function: Any, _types: Any, args: Any, named: Any) -> Any:
        return self.tape.apply(function, args, named)


def getitem(x: Any, index: Any) -> Any:
    """x[index], as a function."""
    return x[index]


def setitem(x: Any, index: Any, value: Any) -> Any:
    """x with x[index] = value, as a function."""
    y = np.array(x)
    y[index] = value
    return y


class Tape:
    """The notes: nodes in the order in which they were computed."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def leaf(self, value: np.ndarray, kind: str, name: str) -> Traced:
        self.nodes.append(Node(value, name, kind))
        return Traced(self, len(self.nodes) - 1, value)

    def apply(self, function: Any, args: Sequence[Any], named: Any, name: str = "") -> Any:
        """Compute and note function(*args, **named), in which some arguments are traced."""
        if len(self.nodes) > 3000:
            raise Untraceable("there are more than 3,000 steps")
        if function in (np.zeros_like, np.ones_like, np.empty_like, np.full_like):
            plain = [a.value if isinstance(a, Traced) else a for a in args]
            return self.leaf(function(*plain, **named), "constant", function.__name__)
        if function in (np.copyto, np.put, np.place, np.add.at, np.fill_diagonal):
            raise Untraceable("an array was changed by a function")
        if function in (np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj):
            return function(*[a.value if isinstance(a, Traced) else a for a in args], **named)
        traced: list[Traced] = []
        template = _slots((tuple(args), dict(named)), traced)

        def call(values: Sequence[np.ndarray]) -> Any:
            given, keywords = filled(template, values)
            return function(*given, **keywords)

        result = call([t.value for t in traced])
        if isinstance(result, tuple):
            return (
                type(result)(*parts)
                if hasattr(result, "_fields") and (parts := self._several(function, call, traced, result))
                else tuple(self._several(function, call, traced, result))
            )
        if isinstance(result, list):
            return self._several(function, call, traced, result)
        value = np.asarray(result)
        if value.dtype.kind != "f":
            return result  # a comparison, an index, a shape: held
        name = name or function.__name__
        self.nodes.append(
            Node(
                value,
                f"np.{name}" if name not in ("getitem", "setitem") else {"getitem": "x[...]", "setitem": "y[...] = "}[name],
                _kind(function, name),
                tuple(t.at for t in traced),
                lambda values: np.asarray(call(values)),
                _place(),
                {"name": name, "args": template[0], "named": template[1], "function": function},
            )
        )
        return Traced(self, len(self.nodes) - 1, value)

    def _several(self, function: Any, call: Any, traced: Sequence[Traced], results: Sequence[Any]) -> list[Any]:
        found: list[Any] = []
        for i, part in enumerate(results):
            value = np.asarray(part)
            if value.dtype.kind != "f":
                found.append(part)
                continue
            self.nodes.append(
                Node(
                    value,
                    f"np.{function.__name__}",
                    "other",
                    tuple(t.at for t in traced),
                    _part(call, i),
                    _place(),
                    {"name": function.__name__},
                )
            )
            found.append(Traced(self, len(self.nodes) - 1, value))
        return found


def _part(call: Callable[[Sequence[np.ndarray]], Any], i: int) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    return lambda values: np.asarray(call(values)[i])


class Slot:
    """The place of a traced array among the arguments of a call."""

    def __init__(self, number: int) -> None:
        self.number = number


def _slots(given: Any, traced: list[Traced]) -> Any:
    if isinstance(given, Traced):
        traced.append(given)
        return Slot(len(traced) - 1)
    if isinstance(given, (tuple, list)) and type(given) in (tuple, list):
        return type(given)(_slots(part, traced) for part in given)
    if isinstance(given, dict):
        return {key: _slots(part, traced) for key, part in given.items()}
    return given


def filled(template: Any, values: Sequence[np.ndarray]) -> Any:
    """Return noted arguments with these values in the places of the traced arrays."""
    if isinstance(template, Slot):
        return values[template.number]
    if type(template) in (tuple, list):
        return type(template)(filled(part, values) for part in template)
    if isinstance(template, dict):
        return {key: filled(part, values) for key, part in template.items()}
    return template


def called_with(node: Node, values: Sequence[np.ndarray], at: int, constant: np.ndarray) -> np.ndarray:
    """Return the value of a noted step with another array for its constant argument number `at`."""
    given = list(filled(node.about["args"], values))
    given[at] = constant
    return np.asarray(node.about["function"](*given, **filled(node.about["named"], values)))


def called_instead(node: Node, function: Any, values: Sequence[np.ndarray]) -> np.ndarray:
    """Return what another function gives for the arguments of a noted step."""
    return np.asarray(function(*filled(node.about["args"], values), **filled(node.about["named"], values)))


def _kind(function: Any, name: str) -> str:
    if isinstance(function, np.ufunc):
        if function.signature is None and function.nout == 1:
            return "elementwise"
        return "linear" if name in LINEAR else "other"
    if name in MOVEMENTS:
        return "movement"
    if name == "clip":
        return "elementwise"
    return "linear" if name in LINEAR else "other"


def _place() -> Place | None:
    """Return the line of the user's code that is being executed."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        inside = "/numpy/" in file.replace("\\", "/") or file == __file__ or file.startswith("<__array_function__")
        if not inside:
            return Place(file, frame.f_lineno, linecache.getline(file, frame.f_lineno).strip())
        frame = frame.f_back
    return None


# ---- f with noted arrays --------------------------------------------------------------------------------------------------------


class NotedNumpy:
    """NumPy, whose functions that make arrays make noted ones, so that what is written into them is not lost."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def __getattr__(self, name: str) -> Any:
        if name in ("zeros", "empty", "ones", "full"):
            return lambda *args, **named: self._made(getattr(np, name)(*args, **named))
        if name in ("array", "asarray", "ascontiguousarray", "atleast_1d", "float64", "asanyarray"):
            return lambda data, *args, **named: self._array(name, data, args, named)
        return getattr(np, name)

    def _made(self, array: np.ndarray) -> Any:
        return self._tape.leaf(array, "constant", "constant") if array.dtype == np.float64 else array

    def _array(self, name: str, data: Any, args: Any, named: Any) -> Any:
        if isinstance(data, Traced):
            return data.copy()
        if isinstance(data, (list, tuple)) and _any_traced(data):
            return _stacked(data)
        return getattr(np, name)(data, *args, **named)


def _any_traced(data: Any) -> bool:
    return isinstance(data, Traced) or (isinstance(data, (list, tuple)) and any(_any_traced(part) for part in data))


def _stacked(data: Any) -> Any:
    return np.stack([_stacked(part) if isinstance(part, (list, tuple)) else part for part in data])


def noted(function: Any, tape: Tape) -> Callable[..., Any]:
    """Return the Python function with noted NumPy in the place of NumPy, in the functions of its module that it calls too."""
    return _Rewriter(tape).function(function)


class _Rewriter:
    def __init__(self, tape: Tape) -> None:
        self.numpy = NotedNumpy(tape)
        self.namespaces: dict[int, dict[str, Any]] = {}
        self.done: dict[int, Any] = {}

    def function(self, f: Any) -> Any:
        if isinstance(f, types.MethodType):
            return types.MethodType(self.function(f.__func__), f.__self__)
        if not isinstance(f, types.FunctionType) or f.__module__.split(".")[0] in ("numpy", "scipy"):
            return f
        if id(f) in self.done:
            return self.done[id(f)]
        copy = types.FunctionType(
            f.__code__,
            self.namespace(f),
            f.__name__,
            f.__defaults__,
            None if f.__closure__ is None else tuple(types.CellType() for _ in f.__closure__),
        )
        copy.__kwdefaults__ = f.__kwdefaults__
        self.done[id(f)] = copy
        for old, new in zip(f.__closure__ or (), copy.__closure__ or (), strict=True):
            try:
                new.cell_contents = self.value(old.cell_contents, f.__module__)
            except ValueError:  # an empty cell
                continue
        return copy

    def namespace(self, f: types.FunctionType) -> dict[str, Any]:
        key = id(f.__globals__)
        if key not in self.namespaces:
            space = self.namespaces[key] = dict(f.__globals__)
            for name, value in list(space.items()):
                space[name] = self.value(value, f.__module__)
        return self.namespaces[key]

    def value(self, value: Any, module: str) -> Any:
        if value is np:
            return self.numpy
        if isinstance(value, types.FunctionType) and value.__module__ == module:
            return self.function(value)
        return value


def trace(f: Callable[..., Any], arrays: Sequence[np.ndarray], floats: Sequence[int], names: Sequence[str]) -> Graph:
    """Return the steps of f at these arrays. Raises Untraceable, and whatever f raises."""
    tape = Tape()
    given: list[Any] = [tape.leaf(a.copy(), "input", names[i]) if i in floats else a.copy() for i, a in enumerate(arrays)]
    inputs = [given[i].at for i in floats]
    result = noted(f, tape)(*given)
    if isinstance(result, dict):
        result = list(result.values())
    parts = result if isinstance(result, (tuple, list)) else [result]
    outputs = []
    for part in parts:
        if isinstance(part, Traced):
            outputs.append(part.at)
        else:
            outputs.append(tape.leaf(np.asarray(part, np.float64), "constant", "constant").at)
    return Graph(tape.nodes, inputs, outputs)

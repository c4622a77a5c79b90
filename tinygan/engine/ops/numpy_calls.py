"""NumPy's functions on tensors: np.exp(t), np.mean(t), array @ t. These are NumPy's two protocols, given to Tensor on import.

Where tinygan has the op, NumPy's function is the op and the result a tensor, with its graph. Every other function computes on
the values of constants, and is refused for a tensor that gradients flow through, as its result would be cut from the graph.
Functions that only look, such as np.shape and np.allclose, take every tensor. np.asarray(t) is t.numpy() (values.py). Some
functions turn a list of tensors into an array without asking the tensors: numpy_callers.py deals with those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygan.engine import numpy_callers
from tinygan.engine.tensor import Tensor

from . import elementwise
from .composed import min, prod
from .door import pair
from .elementwise import abs, add, div, exp, log, maximum, mul, neg, power, sign, sqrt, sub, tanh
from .indexing import take
from .products import matmul
from .reductions import broadcast_to, max, mean, sum, var
from .shapes import concat, reshape, stack, transpose

UFUNCS: dict[np.ufunc, Callable[..., Tensor]] = {
    np.add: add, np.subtract: sub, np.multiply: mul, np.divide: div, np.power: power, np.maximum: maximum,
    np.minimum: elementwise.minimum, np.negative: neg, np.sin: elementwise.sin, np.cos: elementwise.cos,
    np.absolute: abs, np.exp: exp, np.log: log, np.sqrt: sqrt, np.tanh: tanh, np.sign: sign,
    np.matmul: lambda a, b: matmul(*pair(a, b)), np.positive: lambda x: x, np.square: elementwise.square,
    np.reciprocal: lambda x: div(1.0, x),
}
# they return True and False, which no gradient flows through
TRUTHS = (
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.isnan, np.isinf, np.isfinite, np.signbit,
    np.logical_and, np.logical_or, np.logical_xor, np.logical_not,
)
REDUCTIONS: dict[Any, Callable[..., Tensor]] = {
    np.sum: sum, np.mean: mean, np.max: max, np.amax: max, np.min: min, np.amin: min, np.var: var, np.prod: prod,
}
OTHER_OPS: dict[Any, Callable[..., Any]] = {
    np.concatenate: concat, np.reshape: reshape, np.transpose: transpose, np.broadcast_to: broadcast_to,
    np.stack: stack, np.take: take, np.where: lambda *given: _where(*given),
    np.clip: lambda a, a_min=None, a_max=None: elementwise.clip(a, a_min, a_max),
}
# NumPy's functions of which tinygan has no op of that name, with what to write instead; x and y are tensors
INSTEAD = {
    "dot": "x @ y", "vdot": "(x * y).sum()", "inner": "(x * y).sum()", "outer": "x.reshape(-1, 1) * y.reshape(1, -1)",
    "norm": "ops.norm(x)", "std": "ops.var(x) ** 0.5", "average": "ops.mean(x)", "ravel": "x.reshape(-1)",
    "squeeze": "x.reshape(shape)", "expand_dims": "x[None]", "swapaxes": "x.transpose(1, 0)", "moveaxis": "x.transpose(1, 0)",
    "vstack": "ops.concat([x, y], 0)", "hstack": "ops.concat([x, y], 1)", "tile": "ops.concat([x, x], 0)",
    "repeat": "x[[0, 0, 1, 1]]", "flip": "x[::-1]", "diff": "x[1:] - x[:-1]", "split": "x[:n], x[n:]",
    "log1p": "ops.log(1 + x)", "expm1": "ops.exp(x) - 1", "logaddexp": "ops.maximum(x, y) + ops.softplus(-abs(x - y))",
    "hypot": "(x ** 2 + y ** 2) ** 0.5",
}
LOOKING = {getattr(np, name) for name in numpy_callers.LOOKING}


def _where(condition: Any, *ab: Any) -> Any:
    """Return what np.where does: a where the condition holds, else b; without a and b, the indices where it holds, as arrays."""
    return elementwise.where(condition, *ab) if ab else np.nonzero(_values(condition))


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """Compute a NumPy ufunc on tensors (NEP 13). Raises TypeError for an `out` that is a tensor, and where a gradient would be
    lost: where there is no such op, or not with these options.
    """
    if method == "__call__" and not options:
        if ufunc in UFUNCS:
            return UFUNCS[ufunc](*inputs)
        if ufunc in TRUTHS:
            return ufunc(*_values(inputs))
    if any(isinstance(out, Tensor) for out in options.get("out", ())):
        raise TypeError(f"np.{ufunc.__name__}: out is a tensor, and a tensor does not change in place")
    if options.get("out") and self.tracked:
        raise TypeError(f"np.{ufunc.__name__}: an array cannot hold a tensor that gradients flow through: write a = a + t, or "
                        "a += t.numpy() for the values")
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    return _on_values(name, getattr(ufunc, method), inputs, options, known=method == "__call__" and ufunc in (*UFUNCS, *TRUTHS))


def array_function(self: Tensor, function: Callable[..., Any], types: Any, given: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Compute a NumPy function on tensors (NEP 18). Raises TypeError for an `out` that is a tensor, for arguments that an op does
    not have, and where there is no op and a gradient would be lost. types: the classes of the arguments, which do not matter here.
    """
    if isinstance(named.get("out"), Tensor):
        raise TypeError(f"np.{function.__name__}: out is a tensor, and a tensor does not change in place")
    if function in REDUCTIONS:
        return _reduced(function, *given, **named)
    if function in OTHER_OPS:
        return OTHER_OPS[function](*given, **named)
    if function in LOOKING:
        return function(*_values(given), **_values(named))
    module = (getattr(function, "__module__", None) or "numpy").removeprefix("numpy").lstrip(".")
    return _on_values(f"{module}.{function.__name__}" if module else function.__name__, function, given, named)


def _reduced(function: Any, a: Any, axis: Any = None, *rest: Any, keepdims: bool = False, **others: Any) -> Tensor:
    """Compute a function of REDUCTIONS on a tensor, as its op. Raises TypeError for arguments other than axis and keepdims."""
    if rest or others:
        odd = ", ".join(others) or "more arguments"
        raise TypeError(f"np.{function.__name__} of a tensor takes axis and keepdims, not {odd}; for the values, pass t.numpy()")
    return REDUCTIONS[function](a, axis, keepdims)


def _on_values(
    name: str, function: Callable[..., Any], given: Sequence[Any], named: Mapping[str, Any], known: bool = False
) -> Any:
    """Call a function on the values of tensors. Raises TypeError if gradients flow through any of them.

    known: there is an op of that name, but not with the options that are given.
    """
    if any(t.tracked for t in _tensors((given, named))):
        if known:
            raise TypeError(f"np.{name} of a tensor that gradients flow through takes no {', '.join(named)}; leave that out, or "
                            f"for the values write np.{name}(t.numpy(), ...)")
        here = INSTEAD.get(name.rpartition(".")[2])
        if here is not None:
            raise TypeError(f"np.{name} is no op of tinygan's; write {here}, or for the values np.{name}(t.numpy())")
        raise TypeError(f"np.{name} is no op of tinygan's, so its result would be cut from the graph of the tensor that it is "
                        f"given; for the values write np.{name}(t.numpy())")
    return function(*_values(given), **_values(named))


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in an argument, in lists, tuples and dictionaries too."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple, Mapping)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(inner)


def _values(value: Any) -> Any:
    """Return an argument with arrays for its tensors, also in lists, tuples and dictionaries, which become plain ones."""
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, (list, tuple)):
        inner = [_values(part) for part in value]
        return inner if isinstance(value, list) else tuple(inner)
    return {key: _values(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


Tensor.__array_ufunc__, Tensor.__array_function__ = array_ufunc, array_function  # type: ignore[attr-defined]

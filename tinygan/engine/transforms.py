"""`jvp`, `vjp`, `jacobian`, `hessian`, `hvp` and `linearize`: derivatives of functions, as functions again.

All rest on the reverse sweep. A product with J itself, forward, is the derivative of u -> J^T u, which is linear in u, so two
sweeps give it (Christianson 1992 for Hessians; the "double backward" that gives forward mode where there is none).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import ops
from .conversion import described
from .elsewhere import answers_keywords
from .functional import argument_number, grad, position
from .tensor import Tensor, as_it_is, filled, gradients, record, wrap

Function = Callable[..., Tensor]


@answers_keywords
def vjp(f: Function, *arguments: Any) -> tuple[Tensor, Callable[[Any], list[Tensor]]]:
    """Return f(*arguments), and the function u -> J^T u, a list with one tensor for each argument.

    u has f's shape. Both can be differentiated again. Raises TypeError where f is no function or returns no Tensor.
    """
    xs = _variables("vjp", f, arguments)
    y = _result("vjp", f, xs)

    def pull(u: Any) -> list[Tensor]:
        """Return J^T u, one tensor for each argument."""
        return gradients(y, xs, _like(u, y), create_graph=True, unused="zeros")

    return y, pull


@answers_keywords
def jvp(f: Function, arguments: Sequence[Any] | Any, tangents: Sequence[Any] | Any) -> tuple[Tensor, Tensor]:
    """Return f(*arguments) and J t, the derivative of f along the tangents t, one for each argument, of its shape.

    A single tensor stands for a list of one. Both can be differentiated again. Raises TypeError, ValueError.
    """
    y, push = linearize(f, *_listed(arguments))
    return y, push(*_listed(tangents))


@answers_keywords
def linearize(f: Function, *arguments: Any) -> tuple[Tensor, Callable[..., Tensor]]:
    """Return f(*arguments), and the linear function (t1, t2, ...) -> J t at that point.

    f is computed once; every product with J then costs one sweep over its VJP. Raises TypeError, ValueError.
    """
    xs = _variables("linearize", f, arguments)
    y = _result("linearize", f, xs)
    u = filled(y, 0.0)
    u.requires_grad = True
    pulled = gradients(y, xs, u, create_graph=True, unused="zeros")  # J^T u, which is linear in u: its VJP is J

    def push(*tangents: Any) -> Tensor:
        """Return J t."""
        if len(tangents) != len(xs):
            raise ValueError(f"jvp: there are {len(tangents)} tangents for {len(xs)} arguments; pass one for each")
        total = filled(y, 0.0)
        for g, x, t in zip(pulled, xs, tangents, strict=True):
            if g.tracked:
                total = total + gradients(g, [u], _like(t, x, "the tangent"), create_graph=True, unused="zeros")[0]
        return total

    return y, push


@answers_keywords
def jacobian(f: Function, argnum: int = 0) -> Function:
    """Return the function that computes df/d(argument `argnum`), of f's shape followed by the argument's.

    One sweep for each element of f. It can be differentiated again; arguments given by name are constants. Raises TypeError where f
    is no function, where argnum is no whole number, and for a call without that argument.
    """
    return _jacobian("jacobian", f, argnum)


def _jacobian(what: str, f: Function, argnum: int) -> Function:
    """Return what `jacobian` does, whose messages name `what`, the function that the caller called."""
    _check(what, f)
    argnum = argument_number(what, argnum)

    def derivative(*arguments: Any, **named: Any) -> Tensor:
        chosen = position(what, argnum, len(arguments))
        xs = [_variable(a, arguments) if i == chosen else a for i, a in enumerate(arguments)]
        return jacobian_of(_result(what, f, xs, named), xs[chosen])

    return derivative


def jacobian_of(y: Tensor, wrt: Tensor | Sequence[Tensor], create_graph: bool = True) -> Tensor:
    """Return dy/dx of tensors that are computed already: y's shape followed by x's.

    wrt: one tensor x, or several, whose gradients are then laid side by side as vectors: (*y's shape, total size).
    """
    several = not isinstance(wrt, Tensor)
    xs: list[Tensor] = list(wrt) if several else [wrt]  # type: ignore[list-item]
    rows = []
    for i in range(y.size):
        one = np.zeros(y.size, y.dtype)
        one[i] = 1
        parts = gradients(y, xs, wrap(y.backend.asarray(one.reshape(y.shape)), y.backend), create_graph, unused="zeros")
        flat = [ops.reshape(part, (part.size,)) for part in parts]
        rows.append(flat[0] if len(flat) == 1 else ops.concat(flat))
    shape = (sum(x.size for x in xs),) if several else xs[0].shape
    return ops.reshape(ops.stack(rows), (*y.shape, *shape))


@answers_keywords
def hessian(f: Function, argnum: int = 0) -> Function:
    """Return the function that computes the second derivatives of f, which returns one number, in argument `argnum`.

    Its shape is the argument's, twice. Where f is linear it is zero. Raises TypeError where `jacobian` does.
    """
    _check("hessian", f)
    return _jacobian("hessian", grad(f, argument_number("hessian", argnum)), argnum)


@answers_keywords
def hvp(f: Function, arguments: Sequence[Any] | Any, directions: Sequence[Any] | Any) -> list[Tensor]:
    """Return H d, a list with one tensor for each argument: the Hessian of f, which returns one number, times the directions.

    H is that of all arguments together; it is never formed. Raises TypeError, ValueError.
    """
    xs = _variables("hvp", f, _listed(arguments))
    ds = _listed(directions)
    if len(ds) != len(xs):
        raise ValueError(f"hvp: there are {len(ds)} directions for {len(xs)} arguments; pass one for each")
    y = _result("hvp", f, xs)
    if y.size != 1:
        raise ValueError(f"hvp: f returns shape {y.shape}, it has to return one number; take sum() or mean()")
    slopes = gradients(y, xs, create_graph=True, unused="zeros")
    along = ops.sum(slopes[0] * _like(ds[0], xs[0], "the direction"))
    for g, x, d in zip(slopes[1:], xs[1:], ds[1:], strict=True):
        along = along + ops.sum(g * _like(d, x, "the direction"))
    return gradients(along, xs, create_graph=True, unused="zeros")


# ---- arguments ---------------------------------------------------------------------------------------------------------------


def _check(name: str, f: Any) -> None:
    if isinstance(f, Tensor) or not callable(f):
        raise TypeError(f"{name}: f is {described(f)}, it has to be a function that returns a Tensor")


def _variables(name: str, f: Any, arguments: Sequence[Any]) -> list[Tensor]:
    _check(name, f)
    if not arguments:
        raise TypeError(f"{name}: there are no arguments to differentiate f in")
    return [_variable(a, arguments) for a in arguments]


def _variable(x: Any, beside: Sequence[Any]) -> Tensor:
    """Return an argument as a node of its own, so that an outer derivative sees x and an inner one does not see past it."""
    if not isinstance(x, Tensor):
        others = [a for a in beside if isinstance(a, Tensor)]
        x = Tensor(x, others[0].backend, dtype=others[0].dtype) if others else Tensor(x)
    own = record(x.array, (x,), (as_it_is,)) if x.tracked else wrap(x.array, x.backend)
    own.requires_grad = not x.tracked
    return own


def _result(name: str, f: Function, xs: Sequence[Any], named: dict[str, Any] | None = None) -> Tensor:
    y = f(*xs, **(named or {}))
    if not isinstance(y, Tensor):
        raise TypeError(f"{name}: f returned {described(y)}, it has to return a Tensor; join several results by ops.concat")
    return y


def _like(u: Any, x: Tensor, what: str = "the cotangent") -> Tensor:
    u = u if isinstance(u, Tensor) else Tensor(u, x.backend, dtype=x.dtype)
    if u.shape != x.shape:
        raise ValueError(f"{what} has shape {u.shape}, it has to have shape {x.shape}")
    return u


def _listed(given: Sequence[Any] | Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [given]

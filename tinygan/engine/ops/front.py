"""Ops as users call them: where a tensor is wanted, a number, a list or an array will do, and a wrong keyword is answered."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from tinygan.engine.elsewhere import unknown_keyword
from tinygan.engine.tensor import Tensor

from .door import as_tensor


def front(op: Callable[..., Any]) -> Callable[..., Any]:
    """Return an op that takes plain data for its tensors: converted like the first tensor among them, or to `cpu` without any.

    A call with tensors alone costs one look at each.
    """
    names = list(inspect.signature(op).parameters)
    places = [(i, name) for i, name in enumerate(names) if inspect.signature(op).parameters[name].annotation == "Tensor"]
    known = frozenset(names)

    @wraps(op)
    def called(*given: Any, **named: Any) -> Any:
        if named and not known.issuperset(named):
            wrong = next(name for name in named if name not in known)
            raise TypeError(unknown_keyword(op.__name__, wrong, names))
        for i, name in places:
            value = given[i] if i < len(given) else named.get(name)
            if not isinstance(value, Tensor):
                given, named = _converted(places, given, named)
                break
        return op(*given, **named)

    return called


def _converted(
    places: list[tuple[int, str]], arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call with tensors for the plain data among them."""
    given, named = list(arguments), dict(named)
    asked = [(i, name) for i, name in places if i < len(given) or name in named]
    wanted: list[tuple[Any, Any]] = [(given, i) if i < len(given) else (named, name) for i, name in asked]
    tensors = [place[key] for place, key in wanted if isinstance(place[key], Tensor)]
    for place, key in wanted:
        if not isinstance(place[key], Tensor):
            place[key] = as_tensor(place[key], tensors[0]) if tensors else Tensor(place[key])
            tensors = tensors or [place[key]]
    return tuple(given), named

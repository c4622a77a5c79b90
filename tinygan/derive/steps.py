"""f in steps: noted from what NumPy computes, or as the user wrote them down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .calls import Calls, positional_names
from .graph import Graph, Node, Place
from .trace import Untraceable, trace

Steps = Mapping[str, Callable[..., Any]] | Sequence[tuple[str, Callable[..., Any]]]


def graph_of(calls: Calls, arrays: Sequence[np.ndarray], steps: Steps | None) -> Graph | None:
    """Return the steps of f at some arrays: the user's if there are any, else those that NumPy notes; None if there are none."""
    if steps:
        return written(steps, arrays, calls.floats, calls.names)
    if calls.framework.name != "NumPy":
        return None
    try:
        with np.errstate(all="ignore"):
            return trace(calls.f, arrays, calls.floats, calls.names)
    except Untraceable:
        return None
    except Exception:  # f is the user's, and what it does with arrays of another class may end in any error
        return None


def written(steps: Steps, arrays: Sequence[np.ndarray], floats: Sequence[int], names: Sequence[str]) -> Graph:
    """Return steps (name, function) as a graph. A function's parameters name inputs and earlier steps; the last step is f's output.

    Raises ValueError for a parameter that is neither.
    """
    nodes: list[Node] = []
    at: dict[str, int] = {}
    for i, (name, a) in enumerate(zip(names, arrays, strict=True)):
        at[name] = len(nodes)
        nodes.append(Node(a, name, "input" if i in floats else "constant"))
    pairs = list(steps.items()) if isinstance(steps, Mapping) else list(steps)
    for name, function in pairs:
        wanted = positional_names(function) or []
        unknown = [p for p in wanted if p not in at]
        if unknown:
            raise ValueError(
                f"check_derivation: the step {name!r} takes {unknown[0]!r}, which is no input and no earlier step; "
                f"there are {', '.join(at)}"
            )
        parents = tuple(at[p] for p in wanted)
        call = _called(function)
        nodes.append(Node(call([nodes[p].value for p in parents]), name, "other", parents, call, Place("", len(nodes), "")))
        at[name] = len(nodes) - 1
    return Graph(nodes, [at[names[i]] for i in floats], [len(nodes) - 1])


def _called(function: Callable[..., Any]) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    return lambda values: np.asarray(function(*values), np.float64)

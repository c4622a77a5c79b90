"""`draw`: from a tensor, several tensors or a function to their graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import getclosurevars, isfunction
from typing import Any

from tinygan.engine.conversion import described
from tinygan.engine.tensor import ChangedArray, Tensor, filled, pull_back, topological_order
from tinygan.nn.tree import Layer, Sequential, slots

from .graph import Graph, checked_depth
from .nodes import Edge, Node, norm
from .recompute import name_of
from .trace import Trace

AT_MOST = 40  # boxes that are shown unless the depth is given: as many as one takes in at a glance


def draw(
    what: Tensor | Iterable[Tensor] | Callable[..., Any], *inputs: Any, names: Mapping[str, Any] | None = None,
    depth: int | str | None = "auto", constants: bool = False,
) -> Graph:
    """Return the graph of a tensor, of several tensors, or of what a function computes from `inputs`, forward and backward.

    what: a tensor L, such as a loss or a gradient that was made with create_graph; a list of tensors, whose cotangents are those
    of their sum; or a function, which is called with `inputs` and whose ops are noted: then the drawing knows layers, the lines
    that called and which ops belong to which derivative. The cotangents come from a backward pass, which starts with 1 for each
    element of L.

    names: {name: tensor or layer}; without it the variables of the caller are looked through. depth: levels of layers that are
    opened, None for all; "auto" opens as many as stay readable. constants: show tensors that no gradient flows to.

    Raises TypeError for what is no tensor and no such function, and ValueError where there are no tensors.
    """
    trace = Trace()
    named = _named(names if names is not None else _variables(what, sys._getframe(1)))
    if isinstance(what, Layer) or (callable(what) and not isinstance(what, Tensor)):
        if isinstance(what, Layer) and id(what) not in named:
            named[id(what)] = type(what).__name__
        with trace.active():
            outputs = _outputs(what(*inputs), f"draw: {getattr(what, '__name__', type(what).__name__)} returned")
    elif inputs:
        raise TypeError("draw: inputs are for a function; for several tensors write draw([a, b])")
    else:
        outputs = _outputs(what, "draw: what is")
    if depth != "auto" and isinstance(depth, str):
        raise ValueError(f"draw: depth is {depth!r}, it has to be 'auto', a whole number, or None to open all layers")
    graph = _graph_of(outputs, trace, named, bool(constants))
    return _readable(graph) if depth == "auto" else graph.opened(checked_depth(depth))


def _outputs(given: Any, what: str) -> list[Tensor]:
    """Return one tensor, or several, as a list. Raises TypeError, ValueError."""
    listed = [given] if isinstance(given, Tensor) else list(given) if isinstance(given, (list, tuple)) else None
    if listed is None or any(not isinstance(t, Tensor) for t in listed):
        odd = given if listed is None else next(t for t in listed if not isinstance(t, Tensor))
        raise TypeError(f"{what} {described(odd)}; it has to be a Tensor, a list of them, or a function that returns them")
    if not listed:
        raise ValueError(f"{what} an empty list; it has to hold at least one Tensor")
    return listed


def _readable(graph: Graph) -> Graph:
    """Return the drawing opened as far as it stays readable."""
    for depth in (None, *reversed(range(graph.levels))):
        if len(graph.opened(depth).picture.boxes) <= AT_MOST:
            return graph.opened(depth)
    return graph.opened(0) if graph.levels else graph


# ---- names --------------------------------------------------------------------------------------------------------------------


def _variables(what: Any, caller: Any) -> dict[str, Any]:
    """Return the variables that the caller sees, and those that a function encloses: the nearest last, as they win."""
    found = {**caller.f_globals, **caller.f_locals}
    if isfunction(what):
        enclosed = getclosurevars(what)
        found |= {**enclosed.globals, **enclosed.nonlocals}
    return {name: value for name, value in found.items() if not name.startswith("_")}


def _named(given: Mapping[str, Any]) -> dict[int, str]:
    """Return names by the id of what has them: tensors, networks, and the layers and tensors inside networks."""
    names: dict[int, str] = {}
    for name, value in given.items():
        if isinstance(value, Layer):
            for path, layer in _paths(value, name):
                names.setdefault(id(layer), path)
            for slot in slots(value):
                names[id(slot.tensor)] = f"{name}.{slot.name}"
    for name, value in given.items():
        if isinstance(value, Tensor):
            names.setdefault(id(value), name)
    return names


def _paths(layer: Layer, path: str) -> Iterator[tuple[str, Layer]]:
    """Yield a layer and those inside it, each with its path, such as "D.2"; not one that holds itself for a second time."""
    waiting, seen = [(path, layer)], set()
    while waiting:
        path, layer = waiting.pop(0)
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        yield path, layer
        inner = layer.layers if isinstance(layer, Sequential) else list(layer.inner_layers())
        waiting += [(f"{path}.{i}", one) for i, one in enumerate(inner) if isinstance(one, Layer)]


# ---- nodes and edges ----------------------------------------------------------------------------------------------------------


def _graph_of(outputs: Sequence[Tensor], trace: Trace, names: Mapping[int, str], constants: bool) -> Graph:
    """Return the whole graph behind the outputs, with a backward pass from their sum."""
    tracked = list({id(t): t for output in outputs for t in topological_order(output)}.values())
    order = _with_constants(tracked, outputs)
    numbers = {id(t): i for i, t in enumerate(order, start=1)}
    try:
        cotangents, flows = _backward(tracked, outputs)
        note = "" if tracked else "nothing here takes a gradient, so nothing flows back"
    except ChangedArray as error:
        cotangents, flows, note = {}, {}, f"no cotangents: {error}"
    nodes = [_node(t, numbers, trace, names, cotangents.get(id(t))) for t in order]
    edges = [Edge(numbers[id(parent)], numbers[id(t)], flows.get((id(t), place)))
             for t in tracked for place, parent in enumerate(t.parents)]
    return Graph(tuple(nodes), tuple(edges), tuple(numbers[id(t)] for t in outputs), None, constants, note)


def _with_constants(tracked: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Tensor]:
    """Return all tensors in the order of computation: constants just before the first op that takes them."""
    order: dict[int, Tensor] = {}
    for t in tracked:
        for parent in t.parents:
            order.setdefault(id(parent), parent)
        order.setdefault(id(t), t)
    for t in outputs:
        order.setdefault(id(t), t)
    return list(order.values())


def _node(t: Tensor, numbers: Mapping[int, int], trace: Trace, names: Mapping[int, str], cotangent: Tensor | None) -> Node:
    call = trace.of(t)
    op = name_of(t, call) if t.parents else "leaf" if t.requires_grad else "constant"
    in_vjp = call is not None and call.derivative_of is not None
    derivative_of = numbers.get(id(call.derivative_of)) if call is not None and in_vjp else None
    return Node(numbers[id(t)], t, op, names.get(id(t), ""), cotangent, _modules(t, trace, names), derivative_of, in_vjp, trace)


def _modules(t: Tensor, trace: Trace, names: Mapping[int, str]) -> tuple[tuple[str, int], ...]:
    """Return the layers that a tensor was made in; what the VJP of an op in D made is in the layer D'."""
    call = trace.of(t)
    if call is None:
        return ()
    if call.derivative_of is not None:
        return tuple((f"{name}'", number) for name, number in _modules(call.derivative_of, trace, names))
    found, outer = [], ""
    for number, layer in call.layers:
        outer = names.get(id(layer)) or (f"{outer}.{type(layer).__name__}" if outer else type(layer).__name__)
        found.append((outer, number))
    return tuple(found)


def _backward(tracked: Sequence[Tensor], outputs: Sequence[Tensor]) -> tuple[dict[int, Tensor], dict[tuple[int, int], float]]:
    """Run the sweep, by the engine's own `pull_back`, and keep what the engine lets go.

    Returns the cotangents by the ids of their tensors, and the norms of the shares by (id of the op's result, place of its input).
    """
    everything = {id(t) for t in tracked}
    cotangents: dict[int, Tensor] = {}
    flows: dict[tuple[int, int], float] = {}
    for output in {id(t): t for t in outputs}.values():
        if id(output) in everything:
            cotangents[id(output)] = filled(output, 1.0)
    for tensor in reversed(tracked):
        g = cotangents.get(id(tensor))
        if g is None or not tensor.parents:
            continue
        places = list(range(len(tensor.parents)))
        for parent, share in pull_back(tensor, g, everything, create_graph=False):
            place = next(i for i in places if tensor.parents[i] is parent)
            del places[: places.index(place) + 1]
            flows[id(tensor), place] = norm(share)
            held = cotangents.get(id(parent))
            cotangents[id(parent)] = share if held is None else held + share
    return cotangents, flows

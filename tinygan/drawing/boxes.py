"""What of a graph is shown: a box for each tensor, or for all ops of a layer that is not opened, and the arrows between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .nodes import Content, Node, measured

Key = tuple[object, ...]


@dataclass(frozen=True)
class Box:
    """One box. nodes: those that it stands for. title: the op, or the layer. lines: what stands below. flow: the norm of the
    cotangent of its last node. kind: op, leaf, constant, output, module or derivative; it decides the colour.
    """

    nodes: tuple[Node, ...]
    title: str
    lines: tuple[str, ...]
    flow: float | None
    kind: str

    @property
    def number(self) -> int:
        return self.nodes[-1].number


@dataclass(frozen=True)
class Arrow:
    """An arrow between two boxes, by their places in the list. flows: the norm of all cotangents that flow back along it."""

    source: int
    target: int
    flows: float | None


@dataclass(frozen=True)
class Picture:
    """Boxes in the order of computation, and the arrows between them."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    folded: int = 0  # constants that are not shown


def picture_of(graph: Content) -> Picture:
    """Return the boxes and arrows of a graph at its depth."""
    shown = [node for node in graph.nodes if graph.constants or node.op != "constant" or node.number in graph.outputs]
    keys = _keys(graph, shown)
    groups: dict[Key, list[Node]] = {}
    for node in shown:
        groups.setdefault(keys[node.number], []).append(node)
    ordered = sorted(groups, key=lambda key: groups[key][-1].number)
    places = {key: i for i, key in enumerate(ordered)}
    boxes = tuple(_box(graph, groups[key], key) for key in ordered)
    flows: dict[tuple[int, int], list[float]] = {}
    for edge in graph.edges:
        if edge.source in keys and edge.target in keys:
            ends = places[keys[edge.source]], places[keys[edge.target]]
            if ends[0] != ends[1]:
                flows.setdefault(ends, []).extend([] if edge.flows is None else [edge.flows])
    arrows = tuple(Arrow(*ends, sum(f * f for f in each) ** 0.5 if each else None) for ends, each in flows.items())
    return Picture(boxes, arrows, len(graph.nodes) - len(shown))


# ---- which nodes share a box --------------------------------------------------------------------------------------------------


def _keys(graph: Content, shown: Sequence[Node]) -> dict[int, Key]:
    """Return a key for each node that is shown; nodes of one key share a box.

    A layer that is not opened is one box for each time that it is called. A box that would stand both before and after another one
    is opened, as no picture from top to bottom could show it.
    """
    opened: set[Key] = set()
    while True:
        keys = {node.number: _key(node, graph.depth, opened) for node in shown}
        _add_leaves(graph, shown, keys, opened)
        circle = _in_circles(graph, keys) - opened
        if not circle:
            return keys
        opened |= circle


def _key(node: Node, depth: int | None, opened: set[Key]) -> Key:
    if depth is None or len(node.modules) <= depth or not node.tensor.parents:
        return ("node", node.number)
    key = ("layer", *node.modules[: depth + 1])
    return ("node", node.number) if key in opened else key


def _add_leaves(graph: Content, shown: Iterable[Node], keys: dict[int, Key], opened: set[Key]) -> None:
    """Put leaves and constants that one closed layer alone uses into its box; those of a network that several use, into one box."""
    users: dict[int, set[Key]] = {}
    for edge in graph.edges:
        if edge.target in keys:
            users.setdefault(edge.source, set()).add(keys[edge.target])
    for node in shown:
        used = users.get(node.number, set())
        if node.tensor.parents or not used or any(key[0] != "layer" for key in used):
            continue
        network = node.name.rpartition(".")[0].split(".")
        if len(used) == 1:
            (keys[node.number],) = used
        elif graph.depth is not None and len(network) > graph.depth and network[0] and node.op == "leaf":
            key = ("parameters", *network[: graph.depth + 1])
            keys[node.number] = ("node", node.number) if key in opened else key


def _in_circles(graph: Content, keys: dict[int, Key]) -> set[Key]:
    """Return the keys of several nodes that are in a circle of arrows: what is left when boxes without waiting inputs go."""
    before: dict[Key, set[Key]] = {key: set() for key in keys.values()}
    after: dict[Key, set[Key]] = {key: set() for key in keys.values()}
    for edge in graph.edges:
        if edge.source in keys and edge.target in keys and keys[edge.source] != keys[edge.target]:
            before[keys[edge.target]].add(keys[edge.source])
            after[keys[edge.source]].add(keys[edge.target])
    ready = [key for key, inputs in before.items() if not inputs]
    left = dict(before)
    while ready:
        key = ready.pop()
        del left[key]
        for other in after[key]:
            before[other].discard(key)
            if not before[other]:
                ready.append(other)
    return {key for key in left if key[0] != "node"}


# ---- what stands in a box -----------------------------------------------------------------------------------------------------


def _box(graph: Content, nodes: list[Node], key: Key) -> Box:
    last = nodes[-1]
    if key[0] == "node":
        kind = ("output" if last.number in graph.outputs else "derivative" if last.in_vjp else
                last.op if last.op in ("leaf", "constant") else "op")
        title = f"{last.number} {last.name or last.op}" + (f" = {last.op}" if last.name and last.tensor.parents else "")
        return Box(tuple(nodes), title, (f"{shape_of(last)} {last.value}",), last.flow, kind)
    if key[0] == "parameters":
        path = ".".join(map(str, key[1:]))
        size = sum(node.tensor.size for node in nodes)
        lines = (f"{len(nodes)} tensor{'s' * (len(nodes) != 1)}, {size:,} numbers",)
        return Box(tuple(nodes), f"parameters of {path}", lines, _together(nodes), "leaf")
    made = [node for node in nodes if node.tensor.parents]
    name, number = made[-1].modules[len(key) - 2]
    calls = sorted({n.modules[len(key) - 2][1] for n in graph.nodes if len(n.modules) > len(key) - 2
                    and n.modules[len(key) - 2][0] == name})
    which = f", call {calls.index(number) + 1}" if len(calls) > 1 else ""
    learnt = sum(node.tensor.size for node in nodes if node.op == "leaf")
    ops = f"{len(made)} op{'s' * (len(made) != 1)}" + (f", {learnt:,} parameters" if learnt else "")
    kind = "derivative" if made[-1].in_vjp else "module"
    return Box(tuple([n for n in nodes if n not in made] + made), f"{name}{which}", (ops, f"{shape_of(made[-1])} {made[-1].value}"),
               made[-1].flow, kind)


def _together(nodes: Iterable[Node]) -> float | None:
    flows = [node.flow for node in nodes if node.flow is not None]
    return sum(f * f for f in flows) ** 0.5 if flows else None


def shape_of(node: Node) -> str:
    """Return the shape of a node as "(64, 2)", with its dtype where that is not float32."""
    dtype = "" if str(node.tensor.dtype) == "float32" else f" {node.tensor.dtype}"
    return f"{node.tensor.shape}{dtype}"


def flow_of(node: Node) -> str:
    """Return a node's cotangent as a text: the number itself, or the norm; "" where there is none."""
    return "" if node.cotangent is None else measured(node.cotangent)

"""The same mistake in every execution of a line, as in a loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygan.derive.graph import Graph, spread

from .fit import Candidates
from .sweeps import Key, Sweeps, candidate_of


def repeated(sweeps: Sweeps) -> Candidates:
    """The same mistake in every execution of a line."""
    graph = sweeps.graph
    groups: dict[tuple[object, ...], list[tuple[int, int]]] = {}
    for v, slot in graph.edges():
        node = graph.nodes[v]
        if node.place is not None and v in sweeps.bars:
            groups.setdefault((node.place.line, node.name, slot, node.about.get("name") and len(node.parents)), []).append(
                (v, slot)
            )
    for (at, name, place, *_), edges in groups.items():
        if len(edges) < 2:
            continue
        node = graph.nodes[edges[0][0]]
        for key, kind, sentence, rank, replaced in _of_line(graph, edges, str(node)):
            gradients, _ = graph.sweep(sweeps.seeds, replaced)
            yield candidate_of(sweeps, ("line", at, name, place, *key), kind, sentence, rank, gradients)


def _of_line(
    graph: Graph, edges: list[tuple[int, int]], node: str
) -> Iterator[tuple[Key, str, str, float, dict[tuple[int, int], Any]]]:
    yield ("zero",), "dropped term", f"the terms that go through {node} are missing, every time", 2.1, dict.fromkeys(edges)
    yield (
        ("minus",),
        "sign",
        f"the terms that go through {node} have the wrong sign, every time",
        2.15,
        {e: -1 * graph.local(*e) for e in edges},
    )
    first = graph.nodes[edges[0][0]]
    if first.kind == "elementwise" and first.name not in ("np.add", "np.subtract", "np.negative"):
        ones = {}
        for v, slot in edges:
            parent, out = graph.nodes[graph.nodes[v].parents[slot]].value, graph.nodes[v].value
            ones[v, slot] = spread(np.ones(out.shape), parent.shape, out.shape)
        yield ("one",), "missing chain factor", f"the derivative of {node} was left out of the chain, every time", 2.5, ones
    if first.name == "x[...]":
        parent = graph.nodes[first.parents[edges[0][1]]].value
        if len({graph.nodes[graph.nodes[v].parents[slot]].value.shape for v, slot in edges}) == 1:
            for how, order in _shifted(parent.shape):
                yield (
                    ("shift", how),
                    "off by one",
                    f"the index in {node} is off by one, {how}",
                    2.6,
                    {e: _columns(graph.local(*e), order) for e in edges},
                )


def _shifted(shape: tuple[int, ...]) -> list[tuple[str, np.ndarray]]:
    index = np.arange(int(np.prod(shape))).reshape(shape)
    found = []
    axes = [k for k, n in enumerate(shape) if n > 2]
    moves = [{axis: by} for axis in axes for by in (1, -1)]
    moves += [{a: by, b: by} for n, a in enumerate(axes) for b in axes[n + 1 :] for by in (1, -1)]
    for move in moves:
        moved = index
        for axis, by in move.items():
            moved = np.roll(moved, by, axis)
            gap: list[slice] = [slice(None)] * len(shape)
            gap[axis] = slice(0, by) if by > 0 else slice(by, None)
            moved[tuple(gap)] = -1
        found.append((" and ".join(f"{by:+d} along axis {a}" for a, by in move.items()), moved.reshape(-1)))
    return found


def _columns(matrix: Any, order: np.ndarray) -> Any:
    picked = matrix[:, np.maximum(order, 0)]
    return picked * (order >= 0)[None, :]

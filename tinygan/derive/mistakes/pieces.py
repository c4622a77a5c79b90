"""Mistakes in elementwise pieces of f that are several steps, such as an activation that is written out."""

from __future__ import annotations

import numpy as np

from tinygan.derive.activations import recognised
from tinygan.derive.graph import Graph

from .elementwise import factors_of
from .fit import Candidates
from .sweeps import Sweeps, candidate_of


def segments(sweeps: Sweeps) -> Candidates:
    """Pieces of f from one node to another that are elementwise: an activation, of however many steps."""
    graph = sweeps.graph
    for p, v in pieces(graph):
        x, y = graph.nodes[p].value, graph.nodes[v].value
        known = recognised(x, y)
        whole = v in graph.outputs or not _goes_on(graph, v)
        single = p in graph.nodes[v].parents
        if v not in sweeps.bars or not (known or whole or single):
            continue
        right = _slope(graph, p, v)
        if not np.isfinite(right).all() or (right.size > 1 and np.ptp(right) == 0):
            continue
        name = known.name if known else f"the part of f that ends in {graph.nodes[v]}"
        choices = factors_of(x, y, known)
        if known is None:
            choices.append(
                (
                    ("at y", ""),
                    "y for x",
                    f"the derivative of {name} was taken at its output instead of its input",
                    2.3,
                    _slope_at(graph, p, v, y),
                )
            )
        for key, kind, sentence, rank, factor in choices:
            if not np.isfinite(factor).all() or np.allclose(factor, right, rtol=1e-9, atol=1e-12):
                continue
            delta = sweeps.bars[v] * (factor - right).reshape(-1)
            place = graph.nodes[v].place
            where = f" ({place})" if place else ""
            also = ("missing chain factor",) if key == ("one",) else ()
            yield candidate_of(
                sweeps,
                ("segment", p, v, *key),
                kind,
                f"{sentence}{where}",
                rank + (0 if known else 0.3),
                sweeps.changed(p, delta),
                also,
            )


def pieces(graph: Graph) -> list[tuple[int, int]]:
    """Return (start, end) of the elementwise pieces of f through whose start everything on the way to their end goes."""
    sources: dict[int, set[int]] = {}
    found = []
    for v, node in enumerate(graph.nodes):
        if not graph.live(v):
            continue
        live = [p for p in node.parents if graph.live(p)]
        same = node.kind == "elementwise" and live and all(graph.nodes[p].value.shape == node.value.shape for p in live)
        common = set.intersection(*(sources[p] for p in live)) if same else set()
        sources[v] = common | {v}
        found += [(p, v) for p in common]
    return found[:2000]


def _goes_on(graph: Graph, v: int) -> bool:
    """Return whether an elementwise step of the same shape takes node v alone."""
    users = [n for n in graph.nodes if v in n.parents]
    return bool(users) and all(n.kind == "elementwise" and n.value.shape == graph.nodes[v].value.shape for n in users)


def _slope(graph: Graph, p: int, v: int) -> np.ndarray:
    return _slope_at(graph, p, v, graph.nodes[p].value)


def _slope_at(graph: Graph, p: int, v: int, x: np.ndarray) -> np.ndarray:
    h = 2e-4 * np.maximum(np.abs(x), 0.1)
    with np.errstate(all="ignore"):
        right, half_right, half_left, left = (graph.again(p, x + t * h, v) for t in (1, 0.5, -0.5, -1))
        return np.asarray((4 * (half_right - half_left) / h - (right - left) / (2 * h)) / 3)

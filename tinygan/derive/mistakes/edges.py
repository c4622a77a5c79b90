"""Mistakes in one term of the gradient: the way through one operand of one step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .fit import Candidates
from .matrices import matrices
from .sizes import near
from .sweeps import STATISTICS, Key, Sweeps, candidate_of

Number = tuple[Key, str, str, float, float, tuple[str, ...]]  # (key, kind, sentence, rank, number, also)


def edge(sweeps: Sweeps, v: int, slot: int) -> Candidates:
    graph = sweeps.graph
    node = graph.nodes[v]
    part, _ = graph.sweep({node.parents[slot]: sweeps.bars[v] @ graph.local(v, slot)})  # what the edge adds to the gradients
    if not any(np.abs(g).max(initial=0) > 0 for g in part):
        return
    yield from _scaled(sweeps, v, slot, part)
    for key, kind, sentence, rank, matrix in matrices(graph, v, slot):
        yield candidate_of(sweeps, (v, slot, *key), kind, sentence, rank, sweeps.replaced(v, slot, matrix))


def _scaled(sweeps: Sweeps, v: int, slot: int, part: list[np.ndarray]) -> Candidates:
    """The term that goes through one edge, times a number: 0, -1, n, 1/n, a constant of the step."""
    node = sweeps.graph.nodes[v]
    parent = sweeps.graph.nodes[node.parents[slot]]
    rest = any(np.abs(a - b).max(initial=0) > 1e-9 * np.abs(a).max(initial=0) for a, b in zip(sweeps.right, part, strict=True))
    for key, kind, sentence, rank, number, also in _numbers(node, parent, rest):
        gradients = [a + (number - 1) * b for a, b in zip(sweeps.right, part, strict=True)]
        yield candidate_of(sweeps, (v, slot, *key), kind, sentence, rank, gradients, also)


def _numbers(node: Any, parent: Any, rest: bool) -> Iterator[Number]:
    statistic = node.about.get("name") in STATISTICS
    if rest:
        yield (("zero",), "dropped term", f"the term of the gradient that goes through {node} is missing", 2.0, 0.0, ("detached",))
    yield ("minus",), "sign", f"the term of the gradient that goes through {node} has the wrong sign", 2.05, -1.0, ()
    count = parent.value.size // max(node.value.size, 1)
    if count > 1 and parent.value.size % max(node.value.size, 1) == 0:
        about = node.about.get("name")
        if about in ("mean", "average", "var", "std"):
            yield (
                ("n",),
                "sum for mean",
                f"the 1/n of {node} is missing, n = {count}",
                1.1,
                float(count),
                ("constant factor", "missing chain factor"),
            )
            yield (
                ("1/n",),
                "mean for sum",
                f"the 1/n of {node} was taken twice, n = {count}",
                2.1,
                1 / count,
                ("constant factor",),
            )
        elif statistic:
            yield (
                ("1/n",),
                "mean for sum",
                f"a mean stands where {node} adds up, n = {count}",
                1.1,
                1 / count,
                ("constant factor",),
            )
            yield (("n",), "sum for mean", f"{node} was taken n times, n = {count}", 2.2, float(count), ("constant factor",))
        if count > 2 and about in ("var", "std", "mean"):
            yield (
                ("n-1",),
                "constant factor",
                f"n - 1 stands where n belongs in {node}, n = {count}",
                2.2,
                count / (count - 1),
                (),
            )
            yield (
                ("n/n-1",),
                "constant factor",
                f"n stands where n - 1 belongs in {node}, n = {count}",
                2.2,
                (count - 1) / count,
                (),
            )
    spread_over = node.value.size // max(parent.value.size, 1)
    if node.kind == "elementwise" and spread_over > 1 and parent.value.size < node.value.size:
        yield (
            ("1/copies",),
            "mean for sum",
            f"the gradient of what {node} repeats was averaged over its {spread_over} copies instead of summed",
            1.3,
            1 / spread_over,
            ("constant factor",),
        )
        yield (
            ("copies",),
            "sum for mean",
            f"the gradient of what {node} repeats was summed {spread_over} times too often",
            2.4,
            float(spread_over),
            ("constant factor",),
        )
    for c in _constants_of(node):
        if c not in (0, 1, -1) and np.isfinite(c):
            kind = "sum for mean" if c > 1 and near(c, round(c)) and node.name == "np.divide" else "missing chain factor"
            lost = abs(float(c)) if node.name == "np.divide" else 1 / abs(float(c))
            yield (
                ("constant", "lost"),
                kind,
                f"the factor {c if node.name != 'np.divide' else f'1/{c:g}'} of {node} is missing",
                1.4,
                lost,
                ("constant factor", "missing chain factor"),
            )
            yield (("constant", "twice"), "constant factor", f"the factor of {node} was taken twice", 2.3, 1 / lost, ())
    halves = {"np.sqrt": (2.0, "1/2"), "np.square": (0.5, "2")}
    if node.name in halves:
        lost, told = halves[node.name]
        yield (
            ("inner",),
            "missing chain factor",
            f"the factor {told} in the derivative of {node} is missing",
            1.35,
            lost,
            ("constant factor",),
        )
    yield ("two",), "constant factor", f"the term that goes through {node} is twice as large as it should be", 2.5, 2.0, ()
    yield (
        ("half",),
        "constant factor",
        f"the term that goes through {node} is half as large as it should be",
        2.5,
        0.5,
        ("missing chain factor",),
    )


def _constants_of(node: Any) -> list[float]:
    if node.name not in ("np.multiply", "np.divide", "np.power"):
        return []
    return [
        float(a)
        for a in node.about.get("args", ())
        if isinstance(a, (int, float, np.floating, np.integer)) and not isinstance(a, bool)
    ]

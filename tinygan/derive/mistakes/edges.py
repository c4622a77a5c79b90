"""Mistakes in one term of the gradient: what one step of f passes back to one of its operands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .fit import Candidates
from .matrices import matrices
from .sizes import near
from .sweeps import STATISTICS, Key, Sweeps, candidate_of

Number = tuple[Key, str, str, float, float, tuple[str, ...]]  # (key, kind, sentence, rank, what the term is multiplied by, also)


def edge(sweeps: Sweeps, v: int, slot: int) -> Candidates:
    """Yield the gradients in which only what step v passes back to its operand number `slot` is wrong."""
    graph = sweeps.graph
    node = graph.nodes[v]
    part, _ = graph.sweep({node.parents[slot]: sweeps.bars[v] @ graph.local(v, slot)})  # what the edge adds to the gradients
    if not any(np.abs(g).max(initial=0) > 0 for g in part):
        return
    yield from _scaled(sweeps, v, slot, part)
    for key, kind, sentence, rank, matrix in matrices(graph, v, slot):
        yield candidate_of(sweeps, (v, slot, *key), kind, sentence, rank, sweeps.replaced(v, slot, matrix))


def _scaled(sweeps: Sweeps, v: int, slot: int, part: list[np.ndarray]) -> Candidates:
    """Yield the gradients in which the term of one operand is multiplied by each number of `_numbers`."""
    node = sweeps.graph.nodes[v]
    parent = sweeps.graph.nodes[node.parents[slot]]
    rest = any(np.abs(a - b).max(initial=0) > 1e-9 * np.abs(a).max(initial=0) for a, b in zip(sweeps.right, part, strict=True))
    for key, kind, sentence, rank, number, also in _numbers(node, parent, rest):
        gradients = [a + (number - 1) * b for a, b in zip(sweeps.right, part, strict=True)]
        yield candidate_of(sweeps, (v, slot, *key), kind, sentence, rank, gradients, also)


def _numbers(node: Any, parent: Any, rest: bool) -> Iterator[Number]:
    """Yield the numbers by which people make the term of one operand wrong. rest: the gradient has other terms too."""
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
    for factor, told, divides in _factors_of(node):
        whole = divides and near(1 / factor, round(1 / factor)) and factor < 1
        kind = "sum for mean" if whole and factor > 0 else "missing chain factor"
        also = ("constant factor", "missing chain factor")
        yield ("constant", "lost"), kind, f"the factor {told} of {node} is missing", 1.4, 1 / factor, also
        if factor < 0:
            yield ("constant", "size"), kind, f"of the factor {told} of {node} only the sign is left", 1.45, 1 / abs(factor), also
        yield ("constant", "twice"), "constant factor", f"the factor {told} of {node} was taken twice", 2.3, factor, ()
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


def _factors_of(node: Any) -> Iterator[tuple[float, str, bool]]:
    """Yield (factor, how it is told, whether it divides) for the number that a product, quotient or power of f holds constant: the
    factor that this number gives to the derivative in the other operand.
    """
    if node.name not in ("np.multiply", "np.divide", "np.power"):
        return
    for place, number in enumerate(node.about.get("args", ())):
        if not isinstance(number, (int, float, np.floating, np.integer)) or isinstance(number, bool):
            continue
        c = float(number)
        if not np.isfinite(c) or c in (0, 1, -1):
            continue
        if node.name == "np.divide" and place == 1:
            yield 1 / c, f"1/{c:g}", True
        elif node.name == "np.power" and place == 0:  # c^x
            if c > 0:
                yield float(np.log(c)), f"log {c:g}", False
        else:
            yield c, f"{c:g}", False

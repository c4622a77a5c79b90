"""What was held constant, and must not be, or the reverse: steps that no gradient flows through, constants that it does."""

from __future__ import annotations

import numpy as np

from tinygan.derive.graph import Node, local_jacobian
from tinygan.derive.trace import called_with

from .fit import Candidates
from .sweeps import STATISTICS, Sweeps, candidate_of


def cuts(sweeps: Sweeps) -> Candidates:
    graph = sweeps.graph
    live = [v for v in sorted(sweeps.bars) if graph.live(v) and v not in graph.inputs and v not in graph.outputs]
    statistics = [v for v in live if graph.nodes[v].about.get("name") in STATISTICS]
    for v in live[:400]:
        part, _ = graph.sweep({v: sweeps.bars[v]})
        gradients = [a - b for a, b in zip(sweeps.right, part, strict=True)]
        uses = sum(list(node.parents).count(v) for node in graph.nodes)
        if uses > 1 or v in statistics:
            node = graph.nodes[v]
            yield candidate_of(
                sweeps,
                ("cut", v),
                "detached",
                f"{node} was held constant: the gradient through it is missing",
                1.95 if v in statistics else 2.3,
                gradients,
                ("dropped term",),
            )
    if len(statistics) > 1:
        groups = [(a, b) for n, a in enumerate(statistics[:14]) for b in statistics[n + 1 : 14]] + [tuple(statistics)]
        for group in groups:
            gradients, _ = graph.sweep(sweeps.seeds, cut=group)
            names = " and ".join(str(graph.nodes[v]) for v in group[:3])
            yield candidate_of(
                sweeps,
                ("cuts", *group),
                "detached",
                f"{names} were held constant: the gradient through them is missing",
                2.15,
                gradients,
                ("dropped term",),
            )


def left_out(sweeps: Sweeps) -> Candidates:
    """A product or quotient whose other operand was left out of the gradient as a whole, in every way through it."""
    graph = sweeps.graph
    for v in sorted(sweeps.bars):
        node = graph.nodes[v]
        if node.name not in ("np.multiply", "np.divide") or not graph.live(v):
            continue
        values = [graph.nodes[p].value for p in node.parents]
        for k, other in enumerate(values):
            if other.size <= 1 and node.value.size <= 1:
                continue
            wide = np.broadcast_to(other, node.value.shape).reshape(-1)
            with np.errstate(all="ignore"):
                for way, factor in (
                    ("left out", wide if node.name == "np.divide" else 1 / wide),
                    ("taken twice", 1 / wide if node.name == "np.divide" else wide),
                ):
                    if np.isfinite(factor).all():
                        yield candidate_of(
                            sweeps,
                            ("operand", v, k, way),
                            "missing chain factor",
                            f"the factor that {node} applies was {way} of the gradient"
                            if way == "left out"
                            else f"the factor that {node} applies was {way} in the gradient",
                            2.25,
                            sweeps.changed(v, sweeps.bars[v] * (factor - 1)),
                        )


def of_constants(sweeps: Sweeps) -> Candidates:
    """The gradient of a constant that f holds, added to that of an input of its shape: it was meant to be held, and was not."""
    graph, site = sweeps.graph, sweeps.site
    for v, node in enumerate(graph.nodes):
        if v not in sweeps.bars or not graph.live(v) or node.kind not in ("elementwise", "linear"):
            continue
        for at, constant in enumerate(node.about.get("args", ())):
            if not isinstance(constant, np.ndarray) or constant.dtype.kind != "f" or constant.size < 2:
                continue
            gradient = _of_constant(sweeps, v, at, constant)
            for i, right in enumerate(site.right):
                if gradient is not None and right[0].size == constant.size and constant.shape == right.shape[1:]:
                    gradients = [g.copy() for g in sweeps.right]
                    gradients[i] = gradients[i] + gradient
                    yield candidate_of(
                        sweeps,
                        ("constant", v, at, i),
                        "not detached",
                        f"the gradient flows through a constant of {node} too, as if it were {site.names[site.floats[i]]}",
                        2.2,
                        gradients,
                    )


def _of_constant(sweeps: Sweeps, v: int, at: int, constant: np.ndarray) -> np.ndarray | None:
    node = sweeps.graph.nodes[v]
    parents = [sweeps.graph.nodes[p].value for p in node.parents]
    apart = Node(node.value, node.name, node.kind, (0,), lambda values: called_with(node, parents, at, values[0]))
    try:
        return np.asarray(sweeps.bars[v] @ local_jacobian(apart, [constant], 0))
    except (ValueError, TypeError):
        return None

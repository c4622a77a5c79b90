"""Local Jacobians that people put in the place of the right one, for one step and one of its operands."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np

from tinygan.derive.graph import Graph, Node, chosen, factors, local_jacobian, spread
from tinygan.derive.trace import called_instead

from .sweeps import STATISTICS, Key

TRIVIAL = {"np.reshape", "np.ravel", "np.squeeze", "np.expand_dims", "np.broadcast_to", "np.copy", "np.atleast_2d"}
Replacement = tuple[Key, str, str, float, Any]  # (key, kind, sentence, rank, local Jacobian)


def matrices(graph: Graph, v: int, slot: int) -> Iterator[Replacement]:
    """Yield local Jacobians that people put in the place of the right one."""
    node = graph.nodes[v]
    parents = [graph.nodes[p].value for p in node.parents]
    if node.kind == "elementwise":
        yield from _elementwise(graph, v, slot, parents)
        if parents[slot].shape != node.value.shape:
            yield from _broadcasts(graph, v, slot, parents[slot].shape)
    matrix = graph.local(v, slot)
    if node.kind != "elementwise" and node.name not in TRIVIAL:
        for how, order in permuted(parents[slot].shape):
            kind = "wrong axis" if node.about.get("name") in STATISTICS else "transpose"
            yield (
                ("columns", how),
                kind,
                f"the gradient of {node} was taken {how}" if kind == "transpose" else f"{node} was undone along another axis",
                2.3,
                matrix[:, order],
            )
        for how, order in permuted(node.value.shape):
            yield ("rows", how), "transpose", f"the cotangent of {node} was taken {how}", 2.35, matrix[order, :]
    if node.name in ("np.matmul", "np.dot", "np.einsum", "np.tensordot", "np.inner") and len(parents) > 1:
        yield from _operands(graph, v, slot, parents)
        if matrix.shape[0] == matrix.shape[1]:
            yield ("turned",), "transpose", f"{node} was undone by itself instead of by its transpose", 2.3, matrix.T
            yield (
                ("as it is",),
                "missing chain factor",
                f"{node} was left out of the gradient",
                2.4,
                np.eye(len(parents[slot].reshape(-1))),
            )
    if node.kind == "movement" and hasattr(matrix, "tocsr"):
        yield from _copies(node, matrix)
    if node.about.get("name") in ("max", "min", "amax", "amin", "prod"):
        summed = Node(
            node.value, node.name, "linear", node.parents, lambda values: np.asarray(called_instead(node, np.sum, values))
        )
        yield (
            ("everywhere",),
            "missing chain factor",
            f"the gradient of {node} went to every element alike",
            2.4,
            local_jacobian(summed, parents, slot),
        )


def _elementwise(graph: Graph, v: int, slot: int, parents: list[np.ndarray]) -> Iterator[Replacement]:
    node = graph.nodes[v]
    x, y = np.broadcast_to(parents[slot], node.value.shape), node.value
    right = factors(node, parents, slot)

    def as_matrix(factor: np.ndarray) -> Any:
        return spread(factor, parents[slot].shape, y.shape)

    others = [p for k, p in enumerate(parents) if k != slot]
    # a single factor says nothing of whether it would change
    constant = right.size == 0 or (right.size > 1 and np.ptp(right) == 0) or node.name in ("np.add", "np.subtract", "np.negative")
    if not constant:
        yield (
            ("one",),
            "missing chain factor",
            f"the derivative of {node} was left out of the chain",
            2.4,
            as_matrix(np.ones_like(y)),
        )
    if node.name in ("np.maximum", "np.minimum", "np.clip", "np.fmax", "np.abs", "np.absolute"):
        yield ("inverted",), "sign", f"the mask of {node} is the wrong way round", 2.6, as_matrix(1 - right)
    with np.errstate(all="ignore"):
        if not constant:
            for name, kind, factor in (
                ("the input of", "missing chain factor", right / x),
                ("the input of", "missing chain factor", right * x),
                ("the output of", "missing chain factor", right / y),
                ("the output of", "missing chain factor", right * y),
            ):
                if np.isfinite(factor).all():
                    way = (
                        "is missing"
                        if factor is not None and np.allclose(factor * (x if "input" in name else y), right)
                        else "is there once too often"
                    )
                    yield (("ratio", name, way), kind, f"a factor, {name} {node}, {way}", 2.9, as_matrix(factor))
    for other in others if not constant else []:
        with np.errstate(all="ignore"):
            for way, factor in (("is missing", right / other), ("is there once too often", right * other)):
                if np.isfinite(factor).all():
                    yield (
                        ("operand", way),
                        "missing chain factor",
                        f"a factor, the other operand of {node}, {way} in its derivative",
                        2.9,
                        as_matrix(factor),
                    )
    for other in others:
        if other.shape == parents[slot].shape:
            swapped = list(parents)
            swapped[slot] = other
            swapped[1 - slot if len(parents) == 2 else slot] = parents[slot]
            try:
                yield (
                    ("swapped",),
                    "another input",
                    f"the operands of {node} were mixed up in its derivative",
                    2.7,
                    as_matrix(factors(node, swapped, slot)),
                )
            except (ValueError, IndexError):
                continue
    if len(parents) == 2 and not constant:
        yield (
            ("other",),
            "another input",
            f"the derivative of {node} is that in its other operand",
            2.75,
            as_matrix(factors(node, parents, 1 - slot)),
        )
    if len(others) == 0 and not constant and node.call is not None and parents[slot].shape == y.shape:
        with np.errstate(all="ignore"):
            at_y = factors(node, [y], 0)
        yield ("at y",), "y for x", f"the derivative of {node} was taken at its output instead of its input", 2.25, as_matrix(at_y)


def _broadcasts(graph: Graph, v: int, slot: int, shape: tuple[int, ...]) -> Iterator[Replacement]:
    node = graph.nodes[v]
    out = node.value.shape
    matrix = graph.local(v, slot)
    columns = np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), out).reshape(-1)
    _, first = np.unique(columns, return_index=True)
    keep = np.zeros(len(columns))
    keep[first] = 1
    yield (
        ("first",),
        "broadcast not summed",
        f"of the copies that {node} makes only the first one's gradient was taken, not the sum",
        2.2,
        matrix * keep[:, None],
    )
    if len(shape) and len(shape) <= len(out):
        n = shape[-1] if shape[-1] > 1 else 0
        for axis, length in enumerate(out):
            if n and length == n and axis != len(out) - 1 and int(np.prod(shape)) == n:
                index = np.broadcast_to(np.arange(n).reshape([-1 if k == axis else 1 for k in range(len(out))]), out).reshape(-1)
                values = np.asarray(matrix.sum(1)).reshape(-1)
                yield (
                    ("axis", axis),
                    "broadcast not summed",
                    f"the copies that {node} makes were summed over another axis",
                    2.2,
                    chosen(values, index, n),
                )


def permuted(shape: tuple[int, ...]) -> list[tuple[str, np.ndarray]]:
    """Return (how, order of the elements) for every permutation of equal axes."""
    found = []
    index = np.arange(int(np.prod(shape))).reshape(shape)
    if len(shape) > 4:
        return []
    for order in permutations(range(len(shape))):
        if list(order) != sorted(order) and all(shape[p] == shape[k] > 1 or p == k for k, p in enumerate(order)):
            found.append(
                ("transposed" if len(shape) == 2 else f"with axes permuted to {order}", index.transpose(order).reshape(-1))
            )
    return found


def _operands(graph: Graph, v: int, slot: int, parents: list[np.ndarray]) -> Iterator[Replacement]:
    """Products whose other operand is transposed the wrong way in the derivative."""
    node = graph.nodes[v]
    for k, other in enumerate(parents):
        if k == slot or other.ndim < 2 or other.shape[-1] != other.shape[-2]:
            continue
        turned = list(parents)
        turned[k] = np.swapaxes(other, -1, -2)
        try:
            matrix = local_jacobian(node, turned, slot)
        except ValueError:
            continue
        yield ("operand", k), "transpose", f"the other operand of {node} is transposed the wrong way in its derivative", 2.2, matrix


def _copies(node: Node, matrix: Any) -> Iterator[Replacement]:
    """Elements that were taken several times, whose gradients were not added up."""
    columns = matrix.tocoo().col
    rows = matrix.tocoo().row
    if len(np.unique(columns)) == len(columns):
        return
    for which, order in (("first", 1), ("last", -1)):
        _, at = np.unique(columns[::order], return_index=True)
        keep = np.zeros(matrix.shape[0])
        keep[rows[::order][at]] = 1
        yield (
            (which,),
            "broadcast not summed",
            f"of the copies that {node} makes only the {which} one's gradient was taken, not the sum",
            2.2,
            matrix.multiply(keep[:, None]).tocsr(),
        )

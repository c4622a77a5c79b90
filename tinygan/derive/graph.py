"""A function as steps: nodes with their local Jacobians, and the reverse sweep over them with any local Jacobian replaced.

A wrong derivation is mostly a right one with one local derivative wrong. So whoever has the steps of f can ask what a gradient
would be with a mistake in it, which `mistakes/` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygan.engine.differences import POINTS, slopes
from tinygan.engine.gradcheck import STEP

LARGEST = 3_000_000  # elements of a local Jacobian


class TooLarge(ValueError):
    """The function has too many elements to look at it step by step."""


@dataclass(frozen=True)
class Place:
    """Where a step stands in the source: a file's name, a line's number and its text."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}, `{self.text}`" if self.text else f"line {self.line}"


@dataclass
class Node:
    """One step: `call(values of the parents)` gives its value.

    kind: "input", "constant", "elementwise" (its derivative in a parent is one factor for each element), "movement" (it only moves
    elements), "linear" or "other". about: what of the call a mistake could be in, such as the axis of a sum.
    """

    value: np.ndarray
    name: str
    kind: str
    parents: tuple[int, ...] = ()
    call: Callable[[Sequence[np.ndarray]], np.ndarray] | None = None
    place: Place | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        where = f" (line {self.place.line}: `{self.place.text}`)" if self.place and self.place.text else ""
        return f"`{self.name}`{where}"


@dataclass
class Graph:
    """The steps of f at one point, in the order in which they were computed.

    inputs: the nodes of the inputs with floats. outputs: the nodes whose values together are f's output.
    """

    nodes: list[Node]
    inputs: list[int]
    outputs: list[int]
    _local: dict[tuple[int, int], Any] = field(default_factory=dict)
    _live: list[bool] | None = None
    held: set[int] = field(default_factory=set)  # nodes through which no sweep goes

    def live(self, at: int) -> bool:
        """Return whether a node depends on an input and the output on it."""
        if self._live is None:
            depends, wanted = [False] * len(self.nodes), [False] * len(self.nodes)
            for i, node in enumerate(self.nodes):
                depends[i] = i in self.inputs or any(depends[p] for p in node.parents)
            for i in self.outputs:
                wanted[i] = True
            for i in reversed(range(len(self.nodes))):
                if wanted[i]:
                    for p in self.nodes[i].parents:
                        wanted[p] = True
            self._live = [a and b for a, b in zip(depends, wanted, strict=True)]
        return self._live[at]

    def edges(self) -> list[tuple[int, int]]:
        """Return (node, slot) of every live edge, from a node to its parent number `slot`."""
        return [(v, k) for v, node in enumerate(self.nodes) if self.live(v) for k, p in enumerate(node.parents) if self.live(p)]

    def local(self, v: int, slot: int) -> Any:
        """Return the Jacobian of node v in its parent number `slot`: (size of v, size of the parent), dense or sparse."""
        key = (v, slot)
        if key not in self._local:
            self._local[key] = local_jacobian(self.nodes[v], [self.nodes[p].value for p in self.nodes[v].parents], slot)
        return self._local[key]

    def seeds(self, u: np.ndarray) -> dict[int, np.ndarray]:
        """Return the cotangents (K, size) of the output nodes, for those (K, m) of f's output."""
        found: dict[int, np.ndarray] = {}
        start = 0
        for v in self.outputs:
            size = self.nodes[v].value.size
            part = u[:, start : start + size]
            found[v] = found[v] + part if v in found else part
            start += size
        return found

    def sweep(
        self,
        bars: Mapping[int, np.ndarray],
        replaced: Mapping[tuple[int, int], Any] | None = None,
        cut: Sequence[int] = (),
        turned: Mapping[int, Callable[[np.ndarray], np.ndarray]] | None = None,
    ) -> tuple[list[np.ndarray], dict[int, np.ndarray]]:
        """Return the gradients (K, size) in the inputs, and the cotangents of every node, for the cotangents `bars` of some.

        replaced: local Jacobians to use instead of the right ones; None for zero. cut: nodes through which nothing flows.
        turned: functions that change a node's cotangent before it is handed on.
        """
        all_bars = dict(bars)
        replaced, turned = replaced or {}, turned or {}
        rows = len(next(iter(bars.values())))
        for v in sorted(range(max(bars) + 1), reverse=True):
            bar = all_bars.get(v)
            if bar is None or v in cut or v in self.held or not self.nodes[v].parents:
                continue
            if v in turned:
                bar = turned[v](bar)
            for k, p in enumerate(self.nodes[v].parents):
                if not self.live(p):
                    continue
                matrix = replaced.get((v, k), 0) if (v, k) in replaced else self.local(v, k)
                if matrix is None:
                    continue
                part = bar @ matrix
                all_bars[p] = all_bars[p] + part if p in all_bars else part
        nothing = [np.zeros((rows, self.nodes[i].value.size)) for i in self.inputs]
        return [
            zero if i not in all_bars or i in cut else all_bars[i] for i, zero in zip(self.inputs, nothing, strict=True)
        ], all_bars

    def again(self, start: int, value: np.ndarray, end: int) -> np.ndarray:
        """Return the value of node `end` if node `start` had this value, and everything that does not depend on it stayed."""
        values: dict[int, np.ndarray] = {start: value}
        for v in range(start + 1, end + 1):
            node = self.nodes[v]
            if node.call is not None and any(p in values for p in node.parents):
                values[v] = node.call([values.get(p, self.nodes[p].value) for p in node.parents])
        return values.get(end, self.nodes[end].value)


# ---- local Jacobians ------------------------------------------------------------------------------------------------------------


def local_jacobian(node: Node, parents: Sequence[np.ndarray], slot: int) -> Any:
    """Return the Jacobian of a step in one of its parents, by differences unless it is linear. Raises TooLarge."""
    x, out = parents[slot], node.value
    if node.kind == "elementwise":
        return spread(factors(node, parents, slot), x.shape, out.shape)
    if node.kind == "movement":
        return _moved(node, parents, slot)
    if x.size * out.size > LARGEST:
        raise TooLarge(f"{node.name} has {out.size} x {x.size} derivatives")
    assert node.call is not None
    matrix = np.zeros((out.size, x.size))
    others = list(parents)
    moved = x.astype(np.float64).copy()
    others[slot] = moved
    if node.kind == "linear":
        moved[...] = 0
        zero = node.call(others).reshape(-1)
        for j in range(x.size):
            moved.reshape(-1)[j] = 1
            matrix[:, j] = node.call(others).reshape(-1) - zero
            moved.reshape(-1)[j] = 0
        return matrix
    for j in range(x.size):
        before = float(moved.reshape(-1)[j])
        h = STEP * max(abs(before), 0.1)
        rows = []
        for t in POINTS:
            moved.reshape(-1)[j] = before + t * h
            rows.append(node.call(others).reshape(-1))
        moved.reshape(-1)[j] = before
        matrix[:, j] = slopes(rows, h).numeric
    return matrix


def factors(node: Node, parents: Sequence[np.ndarray], slot: int) -> np.ndarray:
    """Return d out / d parent of an elementwise step, with one factor for each element of the output."""
    assert node.call is not None
    x = np.broadcast_to(parents[slot], node.value.shape).astype(np.float64)
    h = STEP * np.maximum(np.abs(x), 0.1)
    others = list(parents)
    rows = []
    for t in POINTS:
        others[slot] = x + t * h
        rows.append(node.call(others))
    right, half_right, _, half_left, left = rows
    return np.asarray((4 * (half_right - half_left) / h - (right - left) / (2 * h)) / 3)


def spread(factor: np.ndarray, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Any:
    """Return the Jacobian (sparse) of an elementwise step: `factor` of the output's shape, a parent of `shape` broadcast to it."""
    size = int(np.prod(shape))
    columns = np.broadcast_to(np.arange(size).reshape(shape), out_shape).reshape(-1)
    return chosen(np.broadcast_to(factor, out_shape).reshape(-1).astype(float), columns, size)


def chosen(factor: np.ndarray, columns: np.ndarray, size: int) -> Any:
    """Return the Jacobian (sparse) whose row k has factor[k] in column columns[k], of `size` columns."""
    from scipy import sparse

    return sparse.csr_array((factor, (np.arange(len(columns)), columns)), shape=(len(columns), size))


def _moved(node: Node, parents: Sequence[np.ndarray], slot: int) -> Any:
    from scipy import sparse

    assert node.call is not None
    x = parents[slot]
    others = [np.zeros(p.shape) for p in parents]
    zero = node.call(others).reshape(-1)
    others[slot] = np.arange(1, x.size + 1, dtype=np.float64).reshape(x.shape)
    found = np.rint(node.call(others).reshape(-1) - zero).astype(int)
    rows = np.flatnonzero(found)
    return sparse.csr_array((np.ones(rows.size), (rows, found[rows] - 1)), shape=(node.value.size, x.size))

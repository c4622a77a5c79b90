"""Mistakes in one step of f: the gradient as it is with one local derivative wrong, for every step and every way to be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np

from tinygan.derive.activations import recognised
from tinygan.derive.graph import Graph, Node, TooLarge, chosen, factors, local_jacobian, spread
from tinygan.derive.trace import called_with

from .elementwise import factors_of
from .fit import Candidate, Candidates, Site
from .sizes import near

Key = tuple[object, ...]
MOST_EDGES = 1200
TRIVIAL = {"np.reshape", "np.ravel", "np.squeeze", "np.expand_dims", "np.broadcast_to", "np.copy", "np.atleast_2d"}
STATISTICS = {"mean", "sum", "var", "std", "max", "min", "amax", "amin", "prod", "norm", "add.reduce", "maximum.reduce", "svd", "det"}


class Sweeps:
    """The right sweep over the steps of f at a site, and what a change in one step makes of the gradients."""

    def __init__(self, site: Site, graph: Graph) -> None:
        self.site, self.graph = site, graph
        self.seeds = graph.seeds(site.u)
        self.right, self.bars = graph.sweep(self.seeds)

    def agrees(self) -> bool:
        """Return whether the steps give the gradient that was measured: if not, something in f was not noted."""
        for found, right, rounding, known in zip(self.right, self.site.right, self.site.numeric.rounding, self.site.numeric.known, strict=True):
            off = np.abs(found.reshape(right.shape) - right)[np.broadcast_to(known, right.shape)]
            if off.size and off.max() > 1e-5 * np.abs(right).max() + 10 * rounding.max():
                return False
        return True

    def changed(self, at: int, delta: np.ndarray) -> list[np.ndarray]:
        """Return the gradients if the cotangent of node `at` were larger by delta (K, size)."""
        pushed, _ = self.graph.sweep({at: delta})
        return [a + b for a, b in zip(self.right, pushed, strict=True)]

    def replaced(self, v: int, slot: int, matrix: Any) -> list[np.ndarray]:
        """Return the gradients with another local Jacobian (None: zero) of node v in its parent number `slot`."""
        bar = self.bars[v]
        delta = -(bar @ self.graph.local(v, slot))
        if matrix is not None:
            delta = delta + bar @ matrix
        return self.changed(self.graph.nodes[v].parents[slot], delta)


def candidates(site: Site) -> Candidates:
    """Yield candidates for all inputs at once, from the steps of f. Nothing where these are not known."""
    graph = site.graph
    if graph is None:
        return
    try:
        sweeps = Sweeps(site, graph)
        if not sweeps.agrees():
            return
        edges = graph.edges()
        if len(edges) <= MOST_EDGES:
            for v, slot in edges:
                if v in sweeps.bars:
                    yield from _edge(sweeps, v, slot)
        yield from _cuts(sweeps)
        yield from _segments(sweeps)
        yield from _lines(sweeps)
        yield from _constants(sweeps)
    except TooLarge:
        return


def _candidate(sweeps: Sweeps, key: Key, kind: str, sentence: str, rank: float, gradients: list[np.ndarray], also: tuple[str, ...] = ()) -> Candidate:
    shaped = [g.reshape(right.shape) for g, right in zip(gradients, sweeps.site.right, strict=True)]
    return Candidate(("step", *key), kind, sentence, rank, list(shaped), also)


# ---- one edge ---------------------------------------------------------------------------------------------------------------------


def _edge(sweeps: Sweeps, v: int, slot: int) -> Candidates:
    graph = sweeps.graph
    node = graph.nodes[v]
    part, _ = graph.sweep({node.parents[slot]: sweeps.bars[v] @ graph.local(v, slot)})  # what the edge adds to the gradients
    if not any(np.abs(g).max(initial=0) > 0 for g in part):
        return
    yield from _scaled(sweeps, v, slot, part)
    for key, kind, sentence, rank, matrix in _matrices(graph, v, slot):
        yield _candidate(sweeps, (v, slot, *key), kind, sentence, rank, sweeps.replaced(v, slot, matrix))


def _scaled(sweeps: Sweeps, v: int, slot: int, part: list[np.ndarray]) -> Candidates:
    """The term that goes through one edge, times a number: 0, -1, n, 1/n, a constant of the step."""
    node = sweeps.graph.nodes[v]
    parent = sweeps.graph.nodes[node.parents[slot]]
    rest = any(np.abs(a - b).max(initial=0) > 1e-9 * np.abs(a).max(initial=0) for a, b in zip(sweeps.right, part, strict=True))
    for key, kind, sentence, rank, number, also in _numbers(node, parent, rest):
        gradients = [a + (number - 1) * b for a, b in zip(sweeps.right, part, strict=True)]
        yield _candidate(sweeps, (v, slot, *key), kind, sentence, rank, gradients, also)


def _numbers(node: Any, parent: Any, rest: bool) -> Iterator[tuple[Key, str, str, float, float, tuple[str, ...]]]:
    statistic = node.about.get("name") in STATISTICS
    if rest:
        yield (("zero",), "dropped term", f"the term of the gradient that goes through {node} is missing", 2.0, 0.0,
               ("detached",))
    yield ("minus",), "sign", f"the term of the gradient that goes through {node} has the wrong sign", 2.05, -1.0, ()
    count = parent.value.size // max(node.value.size, 1)
    if count > 1 and parent.value.size % max(node.value.size, 1) == 0:
        about = node.about.get("name")
        if about in ("mean", "average", "var", "std"):
            yield (("n",), "sum for mean", f"the 1/n of {node} is missing, n = {count}", 1.1, float(count), ("constant factor", "missing chain factor"))
            yield (("1/n",), "mean for sum", f"the 1/n of {node} was taken twice, n = {count}", 2.1, 1 / count, ("constant factor",))
        elif statistic:
            yield (("1/n",), "mean for sum", f"a mean stands where {node} adds up, n = {count}", 1.1, 1 / count, ("constant factor",))
            yield (("n",), "sum for mean", f"{node} was taken n times, n = {count}", 2.2, float(count), ("constant factor",))
        if count > 2 and about in ("var", "std", "mean"):
            yield (("n-1",), "constant factor", f"n - 1 stands where n belongs in {node}, n = {count}", 2.2, count / (count - 1), ())
            yield (("n/n-1",), "constant factor", f"n stands where n - 1 belongs in {node}, n = {count}", 2.2, (count - 1) / count, ())
    spread_over = node.value.size // max(parent.value.size, 1)
    if node.kind == "elementwise" and spread_over > 1 and parent.value.size < node.value.size:
        yield (("1/copies",), "mean for sum", f"the gradient of what {node} repeats was averaged over its {spread_over} copies instead of "
               "summed", 1.3, 1 / spread_over, ("constant factor",))
        yield ("copies",), "sum for mean", f"the gradient of what {node} repeats was summed {spread_over} times too often", 2.4, float(spread_over), (
            "constant factor",)
    for c in _constants_of(node):
        if c not in (0, 1, -1) and np.isfinite(c):
            kind = "sum for mean" if c > 1 and near(c, round(c)) and node.name == "np.divide" else "missing chain factor"
            lost = float(c) if node.name == "np.divide" else 1 / float(c)
            yield (("constant", "lost"), kind, f"the factor {c if node.name != 'np.divide' else f'1/{c:g}'} of {node} is missing", 1.4, lost,
                   ("constant factor", "missing chain factor"))
            yield (("constant", "twice"), "constant factor", f"the factor of {node} was taken twice", 2.3, 1 / lost, ())
    yield ("two",), "constant factor", f"the term that goes through {node} is twice as large as it should be", 2.5, 2.0, ()
    yield ("half",), "constant factor", f"the term that goes through {node} is half as large as it should be", 2.5, 0.5, ("missing chain factor",)


def _constants_of(node: Any) -> list[float]:
    if node.name not in ("np.multiply", "np.divide", "np.power"):
        return []
    return [float(a) for a in node.about.get("args", ()) if isinstance(a, (int, float, np.floating, np.integer)) and not isinstance(a, bool)]


def _matrices(graph: Graph, v: int, slot: int) -> Iterator[tuple[Key, str, str, float, Any]]:
    """Yield local Jacobians that people put in the place of the right one."""
    node = graph.nodes[v]
    parents = [graph.nodes[p].value for p in node.parents]
    if node.kind == "elementwise":
        yield from _elementwise(graph, v, slot, parents)
        if parents[slot].shape != node.value.shape:
            yield from _broadcasts(graph, v, slot, parents[slot].shape)
    matrix = graph.local(v, slot)
    if node.kind != "elementwise" and node.name not in TRIVIAL:
        for how, order in _permuted(parents[slot].shape):
            kind = "wrong axis" if node.about.get("name") in STATISTICS else "transpose"
            yield (("columns", how), kind, f"the gradient of {node} was taken {how}" if kind == "transpose" else
                   f"{node} was undone along another axis", 2.3, matrix[:, order])
        for how, order in _permuted(node.value.shape):
            yield ("rows", how), "transpose", f"the cotangent of {node} was taken {how}", 2.35, matrix[order, :]
    if node.name in ("np.matmul", "np.dot", "np.einsum", "np.tensordot", "np.inner") and len(parents) > 1:
        yield from _operands(graph, v, slot, parents)
    if node.about.get("name") in ("max", "min", "amax", "amin"):
        yield (("everywhere",), "missing chain factor", f"the gradient of {node} went to every element, not to the largest alone", 2.4,
               _everywhere(matrix))


def _elementwise(graph: Graph, v: int, slot: int, parents: list[np.ndarray]) -> Iterator[tuple[Key, str, str, float, Any]]:
    node = graph.nodes[v]
    x, y = np.broadcast_to(parents[slot], node.value.shape), node.value
    right = factors(node, parents, slot)
    as_matrix = lambda factor: spread(factor, parents[slot].shape, y.shape)  # noqa: E731
    others = [p for k, p in enumerate(parents) if k != slot]
    constant = bool(right.size and np.ptp(right) == 0) or node.name in ("np.add", "np.subtract", "np.negative")
    if not constant:
        yield ("one",), "missing chain factor", f"the derivative of {node} was left out of the chain", 2.4, as_matrix(np.ones_like(y))
    if node.name in ("np.maximum", "np.minimum", "np.clip", "np.fmax", "np.abs", "np.absolute"):
        yield ("inverted",), "sign", f"the mask of {node} is the wrong way round", 2.6, as_matrix(1 - right)
    with np.errstate(all="ignore"):
        if not constant:
            for name, kind, factor in (
                ("the input of", "missing chain factor", right / x), ("the input of", "missing chain factor", right * x),
                ("the output of", "missing chain factor", right / y), ("the output of", "missing chain factor", right * y),
            ):
                if np.isfinite(factor).all():
                    way = "is missing" if factor is not None and np.allclose(factor * (x if "input" in name else y), right) else "is there once too often"
                    yield (("ratio", name, way), kind, f"a factor, {name} {node}, {way}", 2.9, as_matrix(factor))
    for other in others:
        if other.shape == parents[slot].shape:
            swapped = list(parents)
            swapped[slot] = other
            swapped[1 - slot if len(parents) == 2 else slot] = parents[slot]
            try:
                yield (("swapped",), "another input", f"the operands of {node} were mixed up in its derivative", 2.7,
                       as_matrix(factors(node, swapped, slot)))
            except (ValueError, IndexError):
                continue
    if len(parents) == 2 and not constant:
        yield (("other",), "another input", f"the derivative of {node} is that in its other operand", 2.75,
               as_matrix(factors(node, parents, 1 - slot)))
    if len(others) == 0 and not constant and node.call is not None and parents[slot].shape == y.shape:
        with np.errstate(all="ignore"):
            at_y = factors(node, [y], 0)
        yield ("at y",), "y for x", f"the derivative of {node} was taken at its output instead of its input", 2.25, as_matrix(at_y)
    # an activation of several operands is none: those of one are in _segments


def _broadcasts(graph: Graph, v: int, slot: int, shape: tuple[int, ...]) -> Iterator[tuple[Key, str, str, float, Any]]:
    node = graph.nodes[v]
    out = node.value.shape
    matrix = graph.local(v, slot)
    columns = np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), out).reshape(-1)
    _, first = np.unique(columns, return_index=True)
    keep = np.zeros(len(columns))
    keep[first] = 1
    yield (("first",), "broadcast not summed", f"of the copies that {node} makes only the first one's gradient was taken, not the sum", 2.2,
           matrix * keep[:, None])
    if len(shape) and len(shape) <= len(out):
        n = shape[-1] if shape[-1] > 1 else 0
        for axis, length in enumerate(out):
            if n and length == n and axis != len(out) - 1 and int(np.prod(shape)) == n:
                index = np.broadcast_to(np.arange(n).reshape([-1 if k == axis else 1 for k in range(len(out))]), out).reshape(-1)
                values = np.asarray(matrix.sum(1)).reshape(-1)
                yield (("axis", axis), "broadcast not summed", f"the copies that {node} makes were summed over another axis", 2.2,
                       chosen(values, index, n))


def _permuted(shape: tuple[int, ...]) -> list[tuple[str, np.ndarray]]:
    """Return (how, order of the elements) for every permutation of equal axes."""
    found = []
    index = np.arange(int(np.prod(shape))).reshape(shape)
    if len(shape) > 4:
        return []
    for order in permutations(range(len(shape))):
        if list(order) != sorted(order) and all(shape[p] == shape[k] > 1 or p == k for k, p in enumerate(order)):
            found.append(("transposed" if len(shape) == 2 else f"with axes permuted to {order}", index.transpose(order).reshape(-1)))
    return found


def _operands(graph: Graph, v: int, slot: int, parents: list[np.ndarray]) -> Iterator[tuple[Key, str, str, float, Any]]:
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


def _everywhere(matrix: Any) -> np.ndarray:
    return np.ones(matrix.shape)


# ---- nodes: what is held constant ---------------------------------------------------------------------------------------------------


def _cuts(sweeps: Sweeps) -> Candidates:
    graph = sweeps.graph
    live = [v for v in sorted(sweeps.bars) if graph.live(v) and v not in graph.inputs and v not in graph.outputs]
    statistics = [v for v in live if graph.nodes[v].about.get("name") in STATISTICS]
    for v in live[:400]:
        part, _ = graph.sweep({v: sweeps.bars[v]})
        gradients = [a - b for a, b in zip(sweeps.right, part, strict=True)]
        uses = sum(list(node.parents).count(v) for node in graph.nodes)
        if uses > 1 or v in statistics:
            node = graph.nodes[v]
            yield _candidate(sweeps, ("cut", v), "detached", f"{node} was held constant: the gradient through it is missing", 1.95 if v in
                             statistics else 2.3, gradients, ("dropped term",))
    if len(statistics) > 1:
        groups = [(a, b) for n, a in enumerate(statistics[:14]) for b in statistics[n + 1 : 14]] + [tuple(statistics)]
        for group in groups:
            gradients, _ = graph.sweep(sweeps.seeds, cut=group)
            names = " and ".join(str(graph.nodes[v]) for v in group[:3])
            yield _candidate(sweeps, ("cuts", *group), "detached", f"{names} were held constant: the gradient through them is missing", 2.15,
                             gradients, ("dropped term",))


# ---- elementwise pieces of f that are several steps ----------------------------------------------------------------------------------


def _segments(sweeps: Sweeps) -> Candidates:
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
        if not np.isfinite(right).all() or np.ptp(right) == 0:
            continue
        name = known.name if known else f"the part of f that ends in {graph.nodes[v]}"
        choices = factors_of(x, y, known)
        if known is None:
            choices.append((("at y", ""), "y for x", f"the derivative of {name} was taken at its output instead of its input", 2.3, _slope_at(graph, p, v, y)))
        for key, kind, sentence, rank, factor in choices:
            if not np.isfinite(factor).all() or np.allclose(factor, right, rtol=1e-9, atol=1e-12):
                continue
            delta = sweeps.bars[v] * (factor - right).reshape(-1)
            place = graph.nodes[v].place
            where = f" ({place})" if place else ""
            also = ("missing chain factor",) if key == ("one",) else ()
            yield _candidate(sweeps, ("segment", p, v, *key), kind, f"{sentence}{where}", rank + (0 if known else 0.3), sweeps.changed(p, delta), also)


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


# ---- a line that is executed many times, as in a loop ---------------------------------------------------------------------------------


def _lines(sweeps: Sweeps) -> Candidates:
    """The same mistake in every execution of a line."""
    graph = sweeps.graph
    groups: dict[tuple[object, ...], list[tuple[int, int]]] = {}
    for v, slot in graph.edges():
        node = graph.nodes[v]
        if node.place is not None and v in sweeps.bars:
            groups.setdefault((node.place.line, node.name, slot, node.about.get("name") and len(node.parents)), []).append((v, slot))
    for (line, name, slot, _), edges in groups.items():
        if len(edges) < 2:
            continue
        node = graph.nodes[edges[0][0]]
        for key, kind, sentence, rank, replaced in _line(graph, edges, str(node)):
            gradients, _ = graph.sweep(sweeps.seeds, replaced)
            yield _candidate(sweeps, ("line", line, name, slot, *key), kind, sentence, rank, gradients)


def _line(graph: Graph, edges: list[tuple[int, int]], node: str) -> Iterator[tuple[Key, str, str, float, dict[tuple[int, int], Any]]]:
    yield ("zero",), "dropped term", f"the terms that go through {node} are missing, every time", 2.1, dict.fromkeys(edges)
    yield ("minus",), "sign", f"the terms that go through {node} have the wrong sign, every time", 2.15, {e: -1 * graph.local(*e) for e in edges}
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
                yield (("shift", how), "off by one", f"the index in {node} is off by one, {how}", 2.6,
                       {e: _columns(graph.local(*e), order) for e in edges})


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


# ---- constants of f that stand for an input ------------------------------------------------------------------------------------------


def _constants(sweeps: Sweeps) -> Candidates:
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
                    yield _candidate(sweeps, ("constant", v, at, i), "not detached",
                                     f"the gradient flows through a constant of {node} too, as if it were {site.names[site.floats[i]]}", 2.2, gradients)


def _of_constant(sweeps: Sweeps, v: int, at: int, constant: np.ndarray) -> np.ndarray | None:
    node = sweeps.graph.nodes[v]
    parents = [sweeps.graph.nodes[p].value for p in node.parents]
    apart = Node(node.value, node.name, node.kind, (0,), lambda values: called_with(node, parents, at, values[0]))
    try:
        return np.asarray(sweeps.bars[v] @ local_jacobian(apart, [constant], 0))
    except (ValueError, TypeError):
        return None

"""The nodes and edges of a graph, and what can be asked of a node: its formula, its lines of source, its kernels, its gradcheck."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinygan.engine.gradcheck import GradcheckReport
from tinygan.engine.tensor import Tensor

from . import recompute
from .trace import Trace


@dataclass(frozen=True)
class Edge:
    """One input of an op, from the node `source` to the node `target`.

    flows: the norm of the cotangent that flows back, from target to source; None where none does.
    """

    source: int
    target: int
    flows: float | None = None


@dataclass(frozen=True)
class Node:
    """One tensor of a graph, and the op that made it.

    number: its place in the order of computation, from 1 on. op: the op's name; "leaf" for what was not computed and takes a
    gradient, "constant" for what takes none. name: what the tensor is called, or "". cotangent: dL/dnode, None where the backward
    pass does not come. modules: the layers that it was made in, the outermost first, each with a number that tells its calls apart.
    in_vjp: whether a VJP made it, as in a gradient with create_graph. derivative_of: the node whose VJP that was, if it is here.
    """

    number: int
    tensor: Tensor
    op: str
    name: str = ""
    cotangent: Tensor | None = None
    modules: tuple[tuple[str, int], ...] = ()
    derivative_of: int | None = None
    in_vjp: bool = False
    trace: Trace = field(default_factory=Trace, repr=False)

    @property
    def value(self) -> str:
        """The value of a single number, else the norm of the tensor, as "|.| 2.5"."""
        return measured(self.tensor)

    @property
    def flow(self) -> float | None:
        """The norm of the cotangent of the node: how strongly L depends on it."""
        return None if self.cotangent is None else norm(self.cotangent)

    @property
    def formula(self) -> str:
        """The op's formula and that of its derivative, as its docstring states them."""
        function = self._function
        return recompute.formula_of(function) if function else ""

    @property
    def source(self) -> str:
        """The file and line in which the op is defined."""
        return _place(*recompute.defined_at(self._function)) if self._function else ""

    @property
    def vjp_source(self) -> list[str]:
        """The file and line of each of the op's VJPs."""
        return [_place(*recompute.defined_at(vjp)) for vjp in recompute.vjp_functions(self.tensor)]

    @property
    def called_from(self) -> str:
        """The file and line that called the op, where a function was drawn; else ""."""
        call = self.trace.of(self.tensor)
        return _place(call.file, call.line) if call else ""

    @property
    def kernels(self) -> list[str]:
        """The kernels that the op launches, a line each, found by running the op once more; views launch none.

        Raises CannotRecompute where the op's other arguments are not known, which they always are if a function was drawn.
        """
        if not self.tensor.parents:
            return []
        return recompute.kernels_in(recompute.launches_of(self.tensor, self.trace.of(self.tensor)))

    def check(self, order: int = 1) -> GradcheckReport:
        """Compare the op's VJP with numeric derivatives at the values of its inputs, in float64; order 2: the VJP's own VJP.

        Raises KinkError where the op has a kink at these values, CannotRecompute as `kernels` does, and where there is nothing to
        differentiate.
        """
        if not self.tensor.parents:
            raise recompute.CannotRecompute(f"node {self.number} is a {self.op}: no op made it, so it has no VJP to check")
        return recompute.check(self.tensor, self.trace.of(self.tensor), order, f"{self.op} (node {self.number})")

    @property
    def _function(self) -> Any:
        return recompute.function_of(self.tensor, self.trace.of(self.tensor)) if self.tensor.parents else None

    def describe(self) -> str:
        """Return all that is known of the node, a line each."""
        t = self.tensor
        rows = [
            f"node {self.number}: {self.op}{f' ({self.name})' if self.name else ''}",
            f"shape {t.shape}, {t.dtype}, {t.backend.name}", f"value {self.value}",
            f"cotangent {measured(self.cotangent)}" if self.cotangent is not None else "",
            self.formula, f"op: {self.source}" if self.source else "",
            f"VJP: {', '.join(self.vjp_source)}" if t.parents else "",
            f"called from {self.called_from}" if self.called_from else "",
            f"in the VJP of node {self.derivative_of}" if self.derivative_of else "",
            f"in {self.modules[-1][0]}" if self.modules else "",
        ]
        try:
            rows.append(f"kernels: {'; '.join(self.kernels) or 'none, a view'}" if t.parents else "")
        except recompute.CannotRecompute as error:
            rows.append(f"kernels: {error}")
        return "\n".join(row for row in rows if row)


@dataclass(frozen=True)
class Content:
    """What a drawing shows.

    nodes: in the order of computation. edges: the inputs of each. outputs: the numbers of the nodes that were drawn. depth: how
    many levels of layers are opened, None for all. constants: whether constants are shown. note: what a reader should know
    besides, such as why there are no cotangents.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    outputs: tuple[int, ...]
    depth: int | None = None
    constants: bool = False
    note: str = ""

    @property
    def levels(self) -> int:
        """How deep layers lie in layers here: the depth at which all are open."""
        return max((len(node.modules) for node in self.nodes), default=0)


def norm(tensor: Tensor) -> float:
    """Return the Euclidean norm of a tensor's values, in float64."""
    return float(np.linalg.norm(tensor.numpy().astype(np.float64).reshape(-1)))


def measured(tensor: Tensor) -> str:
    """Return a single number as it is, and of more their norm, with four digits."""
    return f"{float(tensor):.4g}" if tensor.size == 1 else f"|.| {norm(tensor):.4g}"


def _place(file: str, line: int) -> str:
    """Return a place in the code as "folder/file.py:12"."""
    return f"{'/'.join(Path(file).parts[-3:])}:{line}"

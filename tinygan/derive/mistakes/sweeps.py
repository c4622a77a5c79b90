"""The right sweep over the steps of f, and what a change in one step makes of the gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygan.derive.graph import Graph

from .fit import Candidate, Site

Key = tuple[object, ...]
STATISTICS = {
    "mean", "sum", "var", "std", "max", "min", "amax", "amin", "prod", "norm", "add.reduce", "maximum.reduce", "svd", "det",
}  # fmt: skip


class Sweeps:
    """The right sweep over the steps of f at a site, and what a change in one step makes of the gradients."""

    def __init__(self, site: Site, graph: Graph) -> None:
        self.site, self.graph = site, graph
        self.seeds = graph.seeds(site.u)
        self.right, self.bars = graph.sweep(self.seeds)
        graph.held = self._without_effect()

    def _without_effect(self) -> set[int]:
        """Return the nodes that change nothing, such as the maximum that a softmax subtracts: all ways through them cancel.

        Whoever derives the gradient by hand leaves them out, so no mistake is looked for in one of those ways alone.
        """
        scale = max((float(np.abs(bar).max(initial=0)) for bar in self.bars.values()), default=0.0)
        return {v for v, bar in self.bars.items() if v not in self.graph.inputs and bar.size and np.abs(bar).max() <= 1e-8 * scale}

    def agrees(self) -> bool:
        """Return whether the steps give the gradient that was measured: if not, something in f was not noted."""
        for found, right, rounding, known in zip(
            self.right, self.site.right, self.site.numeric.rounding, self.site.numeric.known, strict=True
        ):
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


def candidate_of(
    sweeps: Sweeps, key: Key, kind: str, sentence: str, rank: float, gradients: list[np.ndarray], also: tuple[str, ...] = ()
) -> Candidate:
    shaped = [g.reshape(right.shape) for g, right in zip(gradients, sweeps.site.right, strict=True)]
    return Candidate(("step", *key), kind, sentence, rank, list(shaped), also)

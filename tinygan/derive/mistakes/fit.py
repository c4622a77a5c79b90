"""What a mistake is, the points at which one is looked for, and when a candidate fits a claimed gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from tinygan.derive.graph import Graph
from tinygan.derive.numeric import Numeric

# The mistakes that can be named, each with what it is.
KINDS = {
    "constant factor": "every element is off by the same number",
    "sign": "the sign of the gradient, or of one of its terms",
    "transpose": "a transpose, a permutation of axes or of elements that was not undone",
    "broadcast not summed": "the gradient of an operand that was repeated was not summed over its copies",
    "sum for mean": "a 1/n is missing: the derivative of a sum was taken where a mean stands",
    "mean for sum": "there is a 1/n too much: the derivative of a mean was taken where a sum stands",
    "dropped term": "one of the terms of the gradient is missing",
    "other activation": "the derivative of another elementwise function",
    "y for x": "the derivative was taken at the output instead of the input, or the reverse",
    "missing chain factor": "a factor of the chain rule is missing",
    "off by one": "a pad, a stride or an index that is off by one",
    "detached": "something was held constant through which the gradient flows",
    "not detached": "the gradient flows through something that is held constant",
    "another input": "the gradient of another input",
    "cotangent ignored": "the gradient does not depend on the cotangent",
    "wrong axis": "a sum, a mean or a broadcast along another axis",
}


@dataclass
class Site:
    """One point at which mistakes are looked for: the inputs, the numeric gradients there, and the claimed ones.

    right and claimed: for each input with floats, (K, *shape). A claimed gradient may have another shape (K, *other), and is None
    where vjp returned None. graph: the steps of f, where they could be noted.
    """

    arrays: list[np.ndarray]
    floats: list[int]
    names: list[str]
    numeric: Numeric
    claimed: list[np.ndarray | None]
    out_shapes: list[tuple[int, ...]]
    graph: Graph | None = None
    differentiate: Callable[[list[np.ndarray]], Numeric] | None = None  # f at other inputs of the same shapes
    _computed: dict[object, list[Candidate]] = field(default_factory=dict)

    @property
    def right(self) -> list[np.ndarray]:
        return self.numeric.gradients

    @property
    def u(self) -> np.ndarray:
        return self.numeric.cotangents

    def shape(self, i: int) -> tuple[int, ...]:
        """Return the shape of the input with floats that is number i among these."""
        return self.arrays[self.floats[i]].shape

    def of_all(self, family: Callable[[Site], Candidates]) -> list[Candidate]:
        """Return the candidates of a family that makes them for all inputs at once, which is done once."""
        if family not in self._computed:
            self._computed[family] = list(family(self))
        return self._computed[family]

    def candidate(
        self, i: int, key: tuple[object, ...], kind: str, sentence: str, rank: float, gradient: np.ndarray,
        also: tuple[str, ...] = (),
    ) -> Candidate:
        """Return a candidate that says something of input i alone. gradient: (K, ...)."""
        gradients: list[np.ndarray | None] = [None] * len(self.floats)
        gradients[i] = gradient
        return Candidate(key, kind, sentence, rank, gradients, also)

    def fits(self, i: int, candidate: np.ndarray) -> bool:
        """Return whether a candidate (K, ...) for the gradient in input i explains the claimed one, in all draws and elements."""
        claimed = self.claimed[i]
        if claimed is None or candidate.size != claimed.size or candidate.size == 0:
            return False
        c, candidate = claimed.reshape(len(claimed), -1), candidate.reshape(len(claimed), -1)
        if not (np.isfinite(candidate).all() and np.isfinite(c).all()):
            return False
        scale = max(float(np.abs(c).max()), float(np.abs(candidate).max()), float(np.abs(self.right[i]).max()))
        allowed = 2e-6 * scale + 3 * float(self.numeric.rounding[i].max())
        if c.size == self.right[i].size:
            t = self.right[i].reshape(c.shape)
            mask = np.broadcast_to(self.numeric.known[i].reshape(-1), c.shape)
            error = np.abs(c - candidate)[mask]
            off = np.abs(c - t)[mask]
            if not off.size or error.max() > allowed:
                return False
            return bool(error.max() <= 1e-2 * off.max())  # it explains the error, and is not just near the right gradient
        return bool(np.abs(c - candidate).max() <= allowed)


@dataclass(frozen=True)
class Candidate:
    """A gradient with one mistake in it. key: what it is, the same at every site. rank: the lower, the more it is believed.

    gradients: for each input with floats (K, ...), or None where it says nothing of that input.
    """

    key: tuple[object, ...]
    kind: str
    sentence: str
    rank: float
    gradients: list[np.ndarray | None]
    also: tuple[str, ...] = ()


Candidates = Iterator[Candidate]

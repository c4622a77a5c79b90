"""Layers that the GAN literature brought in: maxout and dropout (in the 2014 paper's D), and spectral normalisation."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.conversion import described, is_number, whole_number
from tinygan.engine.randomness import Draws, dropout_mask, generator_of
from tinygan.engine.tensor import Tensor, wrap

from .init import Init, glorot_uniform
from .layers import Linear
from .tree import Layer


class Maxout(Layer):
    """y_j = max over pieces i of (x w_ij + b_ij): x (m, n_in) -> (m, n_out). Goodfellow et al. 2013, eq. 3.

    One product gives all pieces: w (n_in, n_out * pieces), b (n_out * pieces,), the pieces of a unit next to each other.
    """

    inlined = ("product",)
    fixed = ("n_out", "pieces")

    def __init__(
        self, n_in: int, n_out: int, pieces: int, *, backend: Backend | str | None = None,
        rng: np.random.Generator | int | None = None, dtype: Any = np.float32, init: Init = glorot_uniform,
    ) -> None:
        n_out, pieces = whole_number(n_out, "Maxout: n_out", 1), whole_number(pieces, "Maxout: pieces", 0)
        if pieces < 2:
            raise ValueError(f"a maxout unit has at least 2 pieces, not {pieces}")
        self.n_out, self.pieces = n_out, pieces
        rng = generator_of(rng, "Maxout")
        self.product = Linear(n_in, n_out * pieces, backend=backend, rng=rng, dtype=dtype, init=init)

    def __call__(self, x: Tensor) -> Tensor:
        y = self.product(x)
        return ops.max(ops.reshape(y, (y.shape[0], self.n_out, self.pieces)), axis=2)


def _probability(p: Any) -> Any:
    if not is_number(p):
        raise TypeError(f"Dropout: p is {described(p)}, it has to be a number")
    if not 0 <= p < 1:
        raise ValueError(f"the dropout probability is {p}, it has to be at least 0 and below 1")
    return p


def _source(draws: Any) -> Draws:
    return draws if isinstance(draws, Draws) else Draws(generator_of(draws, "Dropout"))


class Dropout(Layer):
    """Dropout: in training, each element of x is 0 with probability p, and the others are scaled by 1 / (1 - p). In eval, x itself.

    Srivastava et al. 2014, section 4. The masks are drawn from `draws` (a Draws, a generator, or a seed), whose generator's
    state belongs in a checkpoint. Raises ValueError, TypeError.
    """

    checks: ClassVar = {"p": lambda p, what: _probability(p), "draws": lambda draws, what: _source(draws)}

    def __init__(self, p: float, draws: Draws | np.random.Generator | int | None = None) -> None:
        self.p = p
        self.draws: Any = draws  # a Draws, as the check makes one

    def __call__(self, x: Tensor) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        return x * self.draws(dropout_mask(self.p), x) if self.training and self.p else x


class SpectralNorm(Layer):
    """A layer whose weight is divided by its largest singular value: w / sigma(w), sigma = u^T W v. Miyato et al. 2018, alg. 1.

    W is w as a matrix of (inputs, outputs): (n_in, n_out), or (KH KW C_in, C_out). Each call in training takes one step of the
    power iteration on the buffer u (outputs,); in eval u stays. u and v count as constants, sigma is a function of W (eq. 12).
    """

    inlined = ("inner",)
    ranges: ClassVar = {"u": lambda layer, u: _odd_direction(u)}

    def __init__(self, inner: Layer, rng: np.random.Generator | int | None = None) -> None:
        if not isinstance(inner, Layer) or "w" not in inner.parameters():
            raise TypeError(f"SpectralNorm: inner is {described(inner)}, it has to be a layer with a weight w, such as Linear")
        self.inner: Any = inner  # a layer with a weight w
        w = inner.parameters()["w"]
        u = generator_of(rng, "SpectralNorm").standard_normal(w.shape[-1])
        self.u = wrap(w.backend.asarray((u / np.linalg.norm(u)).astype(w.dtype)), w.backend)

    def __call__(self, x: Tensor) -> Tensor:
        w, self.inner.w = self.inner.w, self._normalised(self.inner.w)
        try:
            return self.inner(x)
        finally:
            self.inner.w = w

    def _normalised(self, w: Tensor) -> Tensor:
        """Compute w / sigma(w); in training, u takes a step of the power iteration first."""
        matrix = ops.reshape(w, (w.size // w.shape[-1], w.shape[-1]))
        fixed, u = wrap(matrix.array, w.backend), ops.reshape(self.u, (self.u.size, 1))
        v = _unit(fixed @ u)
        if self.training:
            u = _unit(ops.matmul(fixed, v, trans_a=True))
            w.backend.launch("copy", (u.array.reshape(self.u.shape),), out=self.u.array)
        return w * ops.sum(matrix * (v @ ops.transpose(u))) ** -1


def _odd_direction(u: np.ndarray) -> str | None:
    """Say what is wrong with a direction u that `_unit` is to have made; None where nothing is. It is short where w is tiny."""
    length = float(np.linalg.norm(u.astype(np.float64)))
    return None if 0 < length < 1 + 1e-3 else f"has the length {length:g}, and a direction has the length 1"


def _unit(x: Tensor) -> Tensor:
    """Compute x / |x|. The 1e-12 keeps a zero vector zero instead of NaN."""
    return x * (ops.sum(x**2) + 1e-12) ** -0.5

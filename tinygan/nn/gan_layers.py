"""Layers that GANs are built of besides the usual ones: maxout and dropout (in the 2014 paper's D), spectral normalisation, Fourier
features of D's input, and noise of which a part counts by its sign alone.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.conversion import backend_of, described, is_number, real_dtype, whole_number
from tinygan.engine.randomness import Draws, dropout_mask, generator_of
from tinygan.engine.tensor import Tensor, wrap

from .init import Init, glorot_uniform
from .layers import Linear
from .tree import Layer, as_input


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


class FourierFeatures(Layer):
    """y = (x, sin(x w + b)): x (m, n_in) -> (m, n_in + n). Tancik et al. 2020, section 4, with the phases of Rahimi and Recht 2007.

    w (n_in, n) and b (n,) are drawn once and not learnt. Each column of w is a frequency: a direction of equal probability in all
    of space, and a length in radians per unit of x, whose logarithm is uniform between those of `lowest` and `highest`. So details
    of every size between 1 / highest and 1 / lowest are as easy to see. b is uniform in [0, 2 pi). Raises ValueError, TypeError.
    """

    fixed = ("n",)

    def __init__(
        self, n_in: int, n: int, highest: float, lowest: float = 1.0, *, backend: Backend | str | None = None,
        rng: np.random.Generator | int | None = None, dtype: Any = np.float32,
    ) -> None:
        name = "FourierFeatures"
        n_in, self.n = whole_number(n_in, f"{name}: n_in", 1), whole_number(n, f"{name}: n", 1)
        for what, value in (("highest", highest), ("lowest", lowest)):
            if not is_number(value):
                raise TypeError(f"{name}: {what} is {described(value)}, it has to be a number of radians per unit of x")
        if not 0 < lowest <= highest < np.inf:
            raise ValueError(f"{name}: frequencies from {lowest} to {highest} have to be positive, finite and in this order")
        backend, dtype, rng = backend_of(backend), real_dtype(dtype, f"{name}: dtype"), generator_of(rng, name)
        ways = rng.standard_normal((n_in, self.n))
        lengths = np.exp(rng.uniform(np.log(lowest), np.log(highest), self.n))
        self.w = wrap(backend.asarray((ways / np.linalg.norm(ways, axis=0) * lengths).astype(dtype)), backend)
        self.b = wrap(backend.asarray(rng.uniform(0, 2 * np.pi, self.n).astype(dtype)), backend)

    def __call__(self, x: Tensor) -> Tensor:
        x = as_input(self, x)
        return ops.concat([x, ops.sin(ops.linear(x, self.w, self.b))], axis=1)


class Signs(Layer):
    """y = (sign z_1, ..., sign z_n, z_{n+1}, ...): z (m, width) -> (m, width), for a width of at least n.

    Of normal noise it makes a mixture of 2^n Gaussians that do not touch: the first n numbers become -1 or 1, each with probability
    1/2. A continuous G maps connected noise to a connected set, and so makes samples between modes; from such a mixture it
    need not (Gurumurthy et al. 2017, DeLiGAN, whose mixture has learnt centres). No gradient reaches the first n numbers.
    Raises ValueError for noise of fewer than n numbers.
    """

    fixed = ("n",)

    def __init__(self, n: int) -> None:
        self.n = whole_number(n, "Signs: n", 1)

    def __call__(self, z: Tensor) -> Tensor:
        z = as_input(self, z)
        if z.ndim != 2 or z.shape[1] < self.n:
            raise ValueError(f"Signs: z has shape {z.shape}, it has to be (m, width) with a width of at least n = {self.n}")
        return ops.concat([ops.sign(z[:, : self.n]), z[:, self.n :]], axis=1)


def _odd_direction(u: np.ndarray) -> str | None:
    """Say what is wrong with a direction u that `_unit` is to have made; None where nothing is. It is short where w is tiny."""
    length = float(np.linalg.norm(u.astype(np.float64)))
    return None if 0 < length < 1 + 1e-3 else f"has the length {length:g}, and a direction has the length 1"


def _unit(x: Tensor) -> Tensor:
    """Compute x / |x|. The 1e-12 keeps a zero vector zero instead of NaN."""
    return x * (ops.sum(x**2) + 1e-12) ** -0.5

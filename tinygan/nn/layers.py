"""The layers of every network: linear, convolutions, batch normalisation, activations, reshapes.

Shapes are NHWC, filters (KH, KW, C_in, C_out). A layer draws its initial weights from the `numpy.random.Generator` that it is
handed; initialisations go by the names of the papers that proposed them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from tinygan_kernels import Backend
from tinygan_kernels.shapes import ACTIVATIONS

from tinygan.engine import ops
from tinygan.engine.conversion import backend_of, described, is_number, real_dtype, whole_number
from tinygan.engine.elsewhere import nearest
from tinygan.engine.randomness import generator_of
from tinygan.engine.tensor import Tensor

from .init import Init, he_normal
from .tree import Layer, Sequential, count_parameters

__all__ = [
    "Activation", "BatchNorm", "Conv2d", "ConvTranspose2d", "Flatten", "Layer", "LeakyReLU", "Linear", "ReLU", "Reshape",
    "Sequential", "Sigmoid", "Tanh", "activation", "count_parameters",
]


def _weight(values: np.ndarray, backend: Backend, dtype: Any) -> Tensor:
    return Tensor(values.astype(dtype), backend, requires_grad=True)


def fused_activation(act: str, slope: float, what: str) -> tuple[str, float]:
    """Return (act, slope) of a layer that has an activation of ops.linear's; "relu" is leaky_relu with slope 0.

    Raises ValueError for an activation that there is not, naming the nearest, and for a slope outside of 0 to 1.
    """
    act, slope = named_activation(act, slope, what)
    if not 0 <= slope <= 1:
        raise ValueError(f"{what}: slope is {slope}, it has to be a number between 0 and 1")
    return act, slope


def named_activation(act: str, slope: float, what: str) -> tuple[str, float]:
    """Return (act, slope) of an activation by its name; "relu" is leaky_relu with slope 0. Raises ValueError, TypeError."""
    if not is_number(slope) or not np.isfinite(slope):
        raise TypeError(f"{what}: slope is {described(slope)}, it has to be a finite number")
    if act == "relu":
        if slope:
            raise ValueError(f"{what}: act 'relu' has no slope; with slope {slope} it is act='leaky_relu'")
        return "leaky_relu", 0.0
    if not isinstance(act, str) or act not in ACTIVATIONS:
        near = nearest(act, ("relu", *ACTIVATIONS)) if isinstance(act, str) else None
        meant = f"; did you mean {near!r}?" if near else ""
        raise ValueError(f"{what}: act is {described(act)}, it has to be relu, {', '.join(ACTIVATIONS)}{meant}")
    return act, float(slope)


def checked_act(act: Any, what: str) -> str:
    """Return an activation that a layer is set to, as its layers hold it. Raises ValueError."""
    if act == "relu":
        raise ValueError(f"{what} 'relu' is a leaky_relu of slope 0 here; write layer.act, layer.slope = 'leaky_relu', 0.0")
    return named_activation(act, 0.0, what.split(":")[0])[0]


def checked_slope(slope: Any, what: str) -> float:
    """Return a slope of a fused layer, a number between 0 and 1. Raises TypeError, ValueError."""
    return fused_activation("leaky_relu", slope, what.split(":")[0])[1]


def any_slope(slope: Any, what: str) -> float:
    """Return a slope of an activation, a finite number. Raises TypeError."""
    return named_activation("leaky_relu", slope, what.split(":")[0])[1]


class Linear(Layer):
    """y = act(x w + b), in one fused pass: x (m, n_in), w (n_in, n_out), b (n_out,).

    act: as in ops.linear, or "relu". rng: the generator to draw w from, or a seed; layers of one seed and shape begin with the same
    weights. backend: one from `load`, or its name. Raises TypeError, ValueError where an argument does not fit, and at once.
    """

    checks: ClassVar = {"act": checked_act, "slope": checked_slope}

    def __init__(
        self, n_in: int, n_out: int, *, backend: Backend | str | None = None, rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32, init: Init = he_normal, act: str = "linear", slope: float = 0.0,
    ) -> None:
        n_in, n_out = whole_number(n_in, "Linear: n_in", 1), whole_number(n_out, "Linear: n_out", 1)
        backend, dtype = backend_of(backend), real_dtype(dtype, "Linear: dtype")
        self.act, self.slope = fused_activation(act, slope, "Linear")
        self.w = _weight(init(generator_of(rng, "Linear"), (n_in, n_out), n_in, n_out), backend, dtype)
        self.b = _weight(np.zeros(n_out), backend, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return ops.linear(x, self.w, self.b, self.act, self.slope)


class Conv2d(Layer):
    """Convolution, x (N, H, W, c_in) -> (N, OH, OW, c_out), with an optional bias and an activation; the rest as in Linear."""

    checks: ClassVar = Linear.checks | {
        "stride": lambda n, what: whole_number(n, what, 1), "pad": lambda n, what: whole_number(n, what, 0)}

    def __init__(
        self, c_in: int, c_out: int, k: int, stride: int = 1, pad: int = 0, *, backend: Backend | str | None = None,
        rng: np.random.Generator | int | None = None, dtype: Any = np.float32, init: Init = he_normal, bias: bool = True,
        act: str = "linear", slope: float = 0.0,
    ) -> None:
        name = type(self).__name__
        c_in, c_out = whole_number(c_in, f"{name}: c_in", 1), whole_number(c_out, f"{name}: c_out", 1)
        k, self.stride = whole_number(k, f"{name}: k", 1), whole_number(stride, f"{name}: stride", 1)
        self.pad = whole_number(pad, f"{name}: pad", 0)
        backend, dtype = backend_of(backend), real_dtype(dtype, f"{name}: dtype")
        self.act, self.slope = fused_activation(act, slope, name)
        self.w = self._filters(init, generator_of(rng, name), k, c_in, c_out, backend, dtype)
        self.b = _weight(np.zeros(c_out), backend, dtype) if bias else None

    @staticmethod
    def _filters(init: Init, rng: np.random.Generator, k: int, c_in: int, c_out: int, backend: Backend, dtype: Any) -> Tensor:
        return _weight(init(rng, (k, k, c_in, c_out), k * k * c_in, k * k * c_out), backend, dtype)

    def _convolve(self, x: Tensor) -> Tensor:
        return ops.conv2d(x, self.w, self.stride, self.pad)

    def __call__(self, x: Tensor) -> Tensor:
        y = self._convolve(x)
        return activation(y, self.act, self.slope) if self.b is None else ops.bias_act(y, self.b, self.act, self.slope)


class ConvTranspose2d(Conv2d):
    """Transposed convolution, x (N, H, W, c_in) -> (N, (H-1) stride - 2 pad + k, ..., c_out); w is (k, k, c_out, c_in).

    The fans that `init` gets are this layer's own, k^2 c_in and k^2 c_out: those of the convolution that it undoes, swapped.
    """

    @staticmethod
    def _filters(init: Init, rng: np.random.Generator, k: int, c_in: int, c_out: int, backend: Backend, dtype: Any) -> Tensor:
        return _weight(init(rng, (k, k, c_out, c_in), k * k * c_in, k * k * c_out), backend, dtype)

    def _convolve(self, x: Tensor) -> Tensor:
        return ops.conv_transpose2d(x, self.w, self.stride, self.pad)


def _share(value: Any, what: str) -> Any:
    if not (is_number(value) and 0 <= value <= 1):
        raise ValueError(f"{what} is {described(value)}, it has to be a number between 0 and 1")
    return value


def _positive(value: Any, what: str) -> Any:
    if not (is_number(value) and 0 < value < math.inf):
        raise ValueError(f"{what} is {described(value)}, it has to be a positive number")
    return value


class BatchNorm(Layer):
    """Normalise each channel (last axis) over the batch, then scale and shift (Ioffe and Szegedy 2015, Algorithm 1).

    In training: by the batch's own mean and biased variance, which also move the running estimates (the variance unbiased) by
    `momentum`. In eval: by the running estimates, so that a sample does not depend on its batch (there, Algorithm 2).
    Raises ValueError in training for a batch with one value a channel, as one sample of a vector or of an image of 1x1.
    """

    couples = True
    checks: ClassVar = {
        "act": checked_act, "slope": any_slope, "momentum": lambda value, what: _share(value, what),
        "eps": lambda value, what: _positive(value, what)}
    ranges: ClassVar = {"var": lambda layer, var: layer._odd_variance(var)}

    def __init__(
        self, channels: int, *, backend: Backend | str | None = None, dtype: Any = np.float32, momentum: float = 0.1,
        eps: float = 1e-5, act: str = "linear", slope: float = 0.0,
    ) -> None:
        channels, dtype = whole_number(channels, "BatchNorm: channels", 1), real_dtype(dtype, "BatchNorm: dtype")
        backend = backend_of(backend)
        self.momentum, self.eps = momentum, eps
        self.act, self.slope = named_activation(act, slope, "BatchNorm")
        self.gamma = _weight(np.ones(channels), backend, dtype)
        self.beta = _weight(np.zeros(channels), backend, dtype)
        self.mean = Tensor(np.zeros(channels, dtype), backend)
        self.var = Tensor(np.ones(channels, dtype), backend)

    def __call__(self, x: Tensor) -> Tensor:
        x = ops.as_tensor(x, self.gamma)
        if not self.training:
            y = (x - self.mean) * (self.gamma * (self.var + self.eps) ** -0.5) + self.beta
            return activation(y, self.act, self.slope)
        y, mean, inv_std = ops.batch_norm(x, self.gamma, self.beta, self.eps)
        y = activation(y, self.act, self.slope)  # at once, as a backend may do both in one pass
        self._remember(mean, inv_std, x.size // x.shape[-1])
        return y

    def _remember(self, mean: Tensor, inv_std: Tensor, n: int) -> None:
        """Move the running estimates towards those of a batch of n values a channel, n > 1."""
        var = (inv_std**-2 - self.eps) * (n / (n - 1))
        for running, seen in ((self.mean, mean), (self.var, var)):
            seen.backend.launch("ema", (seen.array,), out=running.array, decay=1 - self.momentum)

    def _odd_variance(self, var: np.ndarray) -> str | None:
        """Say what is wrong with running variances, or None. Rounding leaves the variance 0 of a constant channel just below 0."""
        return "holds a negative variance" if (var < -1e-3 * self.eps).any() else None


def activation(x: Tensor, act: str, slope: float = 0.0) -> Tensor:
    """Apply an activation of the fused layers on its own: linear, leaky_relu, tanh or sigmoid."""
    if act == "linear":
        return x
    return ops.leaky_relu(x, slope) if act == "leaky_relu" else {"tanh": ops.tanh, "sigmoid": ops.sigmoid}[act](x)


class Activation(Layer):
    """An activation as a layer: Activation("tanh"), Activation("leaky_relu", 0.2), Activation("relu"). Raises ValueError."""

    checks: ClassVar = {"act": checked_act, "slope": any_slope}

    def __init__(self, act: str, slope: float = 0.0) -> None:
        self.act, self.slope = named_activation(act, slope, type(self).__name__)

    def __call__(self, x: Tensor) -> Tensor:
        return activation(x if isinstance(x, Tensor) else Tensor(x), self.act, self.slope)


class ReLU(Activation):
    """The layer max(x, 0)."""

    def __init__(self) -> None:
        super().__init__("relu")


class LeakyReLU(Activation):
    """The layer that is x where x > 0, and slope x elsewhere."""

    def __init__(self, slope: float = 0.2) -> None:
        super().__init__("leaky_relu", slope)


class Tanh(Activation):
    """The layer tanh x."""

    def __init__(self) -> None:
        super().__init__("tanh")


class Sigmoid(Activation):
    """The layer 1 / (1 + e^-x)."""

    def __init__(self) -> None:
        super().__init__("sigmoid")


class Reshape(Layer):
    """Reshape each sample: (m, ...) -> (m, *shape), for Reshape(7, 7, 64) or Reshape((7, 7, 64)). One side may be -1."""

    checks: ClassVar = {"shape": lambda shape, what: _sides(shape)}

    def __init__(self, *shape: int | Sequence[int]) -> None:
        self.shape: Any = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape

    def __call__(self, x: Tensor) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        return ops.reshape(x, (x.shape[0], *self.shape))


def _sides(shape: Any) -> tuple[int, ...]:
    """Return the sides that samples are given, of which one may be -1. Raises TypeError, ValueError."""
    sides = tuple(whole_number(side, "Reshape: a side", -1) for side in (shape if isinstance(shape, (tuple, list)) else (shape,)))
    if sides.count(-1) > 1:
        raise ValueError(f"Reshape: shape is {sides}; only one side may be -1, as it is what the others leave")
    return sides


class Flatten(Layer):
    """Make a row of each sample: (m, ...) -> (m, product of the other sides)."""

    def __call__(self, x: Tensor) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        if not x.ndim:
            raise ValueError("Flatten: x is a single number; it has to be a batch of samples, (m, ...)")
        return ops.reshape(x, (x.shape[0], math.prod(x.shape[1:])))

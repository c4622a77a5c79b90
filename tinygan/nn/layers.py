"""The layers of every network: linear, convolutions, batch normalisation, activations, reshapes.

Shapes are NHWC, filters (KH, KW, C_in, C_out). A layer draws its initial weights from the `numpy.random.Generator` that it is
handed; initialisations go by the names of the papers that proposed them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor

from .init import Init, he_normal
from .tree import Layer, Sequential, count_parameters

__all__ = [
    "Activation", "BatchNorm", "Conv2d", "ConvTranspose2d", "Flatten", "Layer", "LeakyReLU", "Linear", "ReLU", "Reshape",
    "Sequential", "Sigmoid", "Tanh", "activation", "count_parameters",
]


def _weight(values: np.ndarray, backend: Backend, dtype: Any) -> Tensor:
    return Tensor(values.astype(dtype), backend, requires_grad=True)


class Linear(Layer):
    """y = act(x w + b), in one fused pass: x (m, n_in), w (n_in, n_out), b (n_out,). act as in ops.linear."""

    def __init__(
        self, n_in: int, n_out: int, *, backend: Backend, rng: np.random.Generator, dtype: Any = np.float32,
        init: Init = he_normal, act: str = "linear", slope: float = 0.0,
    ) -> None:
        self.act, self.slope = act, slope
        self.w = _weight(init(rng, (n_in, n_out), n_in, n_out), backend, dtype)
        self.b = _weight(np.zeros(n_out), backend, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return ops.linear(x, self.w, self.b, self.act, self.slope)


class Conv2d(Layer):
    """Convolution, x (N, H, W, c_in) -> (N, OH, OW, c_out), with an optional bias and an activation."""

    def __init__(
        self, c_in: int, c_out: int, k: int, stride: int = 1, pad: int = 0, *, backend: Backend, rng: np.random.Generator,
        dtype: Any = np.float32, init: Init = he_normal, bias: bool = True, act: str = "linear", slope: float = 0.0,
    ) -> None:
        self.stride, self.pad, self.act, self.slope = stride, pad, act, slope
        self.w = _weight(init(rng, (k, k, c_in, c_out), k * k * c_in, k * k * c_out), backend, dtype)
        self.b = _weight(np.zeros(c_out), backend, dtype) if bias else None

    def _convolve(self, x: Tensor) -> Tensor:
        return ops.conv2d(x, self.w, self.stride, self.pad)

    def __call__(self, x: Tensor) -> Tensor:
        y = self._convolve(x)
        return activation(y, self.act, self.slope) if self.b is None else ops.bias_act(y, self.b, self.act, self.slope)


class ConvTranspose2d(Conv2d):
    """Transposed convolution, x (N, H, W, c_in) -> (N, (H-1) stride - 2 pad + k, ..., c_out); w is (k, k, c_out, c_in).

    The fans that `init` gets are this layer's own, k^2 c_in and k^2 c_out: those of the convolution that it undoes, swapped.
    """

    def __init__(self, c_in: int, c_out: int, k: int, stride: int = 1, pad: int = 0, **options: Any) -> None:
        init = options.get("init", he_normal)
        swapped = {"init": lambda rng, shape, fan_out, fan_in: init(rng, shape, fan_in, fan_out)}
        super().__init__(c_out, c_in, k, stride, pad, **{**options, **swapped, "bias": False})
        if options.get("bias", True):
            self.b = _weight(np.zeros(c_out), options["backend"], options.get("dtype", np.float32))

    def _convolve(self, x: Tensor) -> Tensor:
        return ops.conv_transpose2d(x, self.w, self.stride, self.pad)


class BatchNorm(Layer):
    """Normalise each channel (last axis) over the batch, then scale and shift (Ioffe and Szegedy 2015, Algorithm 1).

    In training: by the batch's own mean and biased variance, which also move the running estimates (the variance unbiased) by
    `momentum`. In eval: by the running estimates, so that a sample does not depend on its batch (there, Algorithm 2).
    """

    couples = True

    def __init__(
        self, channels: int, *, backend: Backend, dtype: Any = np.float32, momentum: float = 0.1, eps: float = 1e-5,
        act: str = "linear", slope: float = 0.0,
    ) -> None:
        self.momentum, self.eps, self.act, self.slope = momentum, eps, act, slope
        self.gamma = _weight(np.ones(channels), backend, dtype)
        self.beta = _weight(np.zeros(channels), backend, dtype)
        self.mean = Tensor(np.zeros(channels, dtype), backend)
        self.var = Tensor(np.ones(channels, dtype), backend)

    def __call__(self, x: Tensor) -> Tensor:
        if not self.training:
            y = (x - self.mean) * (self.gamma * (self.var + self.eps) ** -0.5) + self.beta
            return activation(y, self.act, self.slope)
        y, mean, inv_std = ops.batch_norm(x, self.gamma, self.beta, self.eps)
        y = activation(y, self.act, self.slope)  # at once, as a backend may do both in one pass
        self._remember(mean, inv_std, x.size // x.shape[-1])
        return y

    def _remember(self, mean: Tensor, inv_std: Tensor, n: int) -> None:
        """Move the running estimates towards those of a batch of n values a channel."""
        var = (inv_std**-2 - self.eps) * (n / max(n - 1, 1))
        for running, seen in ((self.mean, mean), (self.var, var)):
            seen.backend.launch("ema", (seen.array,), out=running.array, decay=1 - self.momentum)


def activation(x: Tensor, act: str, slope: float = 0.0) -> Tensor:
    """Apply an activation of the fused layers on its own: linear, leaky_relu, tanh or sigmoid."""
    if act == "linear":
        return x
    return ops.leaky_relu(x, slope) if act == "leaky_relu" else {"tanh": ops.tanh, "sigmoid": ops.sigmoid}[act](x)


class Activation(Layer):
    """An activation as a layer: Activation("tanh"), Activation("leaky_relu", 0.2)."""

    def __init__(self, act: str, slope: float = 0.0) -> None:
        self.act, self.slope = act, slope

    def __call__(self, x: Tensor) -> Tensor:
        return activation(x, self.act, self.slope)


def ReLU() -> Activation:
    """Return the layer max(x, 0)."""
    return Activation("leaky_relu", 0.0)


def LeakyReLU(slope: float = 0.2) -> Activation:
    """Return the layer that is x where x > 0, and slope x elsewhere."""
    return Activation("leaky_relu", slope)


def Tanh() -> Activation:
    """Return the layer tanh x."""
    return Activation("tanh")


def Sigmoid() -> Activation:
    """Return the layer 1 / (1 + e^-x)."""
    return Activation("sigmoid")


class Reshape(Layer):
    """Reshape each sample: (m, ...) -> (m, *shape)."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def __call__(self, x: Tensor) -> Tensor:
        return ops.reshape(x, (x.shape[0], *self.shape))


class Flatten(Layer):
    """Make a row of each sample: (m, ...) -> (m, product of the other sides)."""

    def __call__(self, x: Tensor) -> Tensor:
        return ops.reshape(x, (x.shape[0], math.prod(x.shape[1:])))

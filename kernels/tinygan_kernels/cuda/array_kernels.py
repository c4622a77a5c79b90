"""Kernels of the two CUDA backends that are no CUDA code of this project: calls of array functions that CuPy and NumPy share.

These are the elementwise kernels, the reductions and batch normalisation of the table in contract.py. On a GPU, CuPy computes them;
where the emulator stands in for the GPU, NumPy does. `implementations(xp)` gives them for either array module. After its first call
on a shape, no function makes an array: intermediate results live in a Workspace, so that a launch which was recorded once, as a
training step is, finds the same memory whenever it is run again. CuPy's reductions are the exception: while they run they borrow
memory from CuPy's pool, so a CUDA graph that captures them needs a pool of its own (graph.py). The output of an elementwise kernel
may be the array of an input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygan_kernels.contract import KERNELS


class Workspace:
    """Memory for the intermediate results of kernels. It is never freed, because a recorded launch may be run again at any time.

    Sizes are rounded up to powers of two, and each use, dtype and power has one buffer: less than four times the memory of the
    largest request for each use and dtype.
    """

    def __init__(self, xp: Any) -> None:
        self._xp = xp
        self._buffers: dict[tuple, Any] = {}

    def take(self, use: str, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return an array of `shape` with arbitrary contents; the next `take` for the same use returns the same memory."""
        size = math.prod(shape)
        key = (use, np.dtype(dtype).name, (size - 1).bit_length() if size else 0)
        if key not in self._buffers:
            self._buffers[key] = self._empty(1 << key[2], np.dtype(dtype))
        return self._buffers[key][:size].reshape(shape)

    def _empty(self, size: int, dtype: np.dtype) -> Any:
        """Return an array whose address is a multiple of 512 bytes, as those of CuPy's arrays are.

        The emulator counts the 32-byte sectors of memory that a kernel touches, and that number depends on the address.
        """
        if self._xp is not np:
            return self._xp.empty(size, dtype)
        raw = np.empty(size * dtype.itemsize + 512, np.uint8)
        start = -raw.ctypes.data % 512
        return raw[start : start + size * dtype.itemsize].view(dtype)


def _ufunc(function: Callable) -> Callable:
    def implementation(*arrays: Any) -> None:
        function(*arrays[:-1], out=arrays[-1])

    return implementation


class ArrayKernels:
    """One method for each kernel that is not simply a ufunc, under the kernel's name.

    Its arguments are the kernel's inputs, outputs and parameters, in the order of contract.py. The outputs of the updates (theta,
    velocity, average) are read as well as written.
    """

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self._workspace = Workspace(xp)

    def _like(self, y: Any, use: str = "values") -> Any:
        return self._workspace.take(use, y.shape, y.dtype)

    # ---- elementwise ----------------------------------------------------------------------------------------------------------

    def div(self, a, b, y):
        with np.errstate(divide="ignore", invalid="ignore"):  # NumPy's warnings, under emulation
            self.xp.divide(a, b, out=y)

    def where(self, c, a, b, y):
        chosen, values = self._workspace.take("chosen", c.shape, bool), self._like(y)  # y may be the array of an input
        self.xp.not_equal(c, 0, out=chosen)
        self.xp.copyto(values, b)
        self.xp.copyto(values, a, where=chosen)
        self.xp.copyto(y, values)

    def pow(self, a, b, y):
        self.xp.power(self._in_line(a, y, "a"), self._in_line(b, y, "b"), out=y)

    def power(self, x, y, exponent):
        self.xp.power(self._in_line(x, y, "a"), x.dtype.type(exponent), out=y)

    def _in_line(self, x, y, use):
        """Return x, or a contiguous copy in the shape of y: NumPy's power differs in the last digit where numbers lie apart."""
        if self.xp is not np or (x.flags.c_contiguous and x.shape == y.shape):
            return x
        copy = self._like(y, f"in line, {use}")
        self.xp.copyto(copy, x)
        return copy

    def sigmoid(self, x, y):
        """y = 1 / (1 + e^-x). The exponent -x is clipped where e^-x would overflow: y is below the smallest normal float there."""
        xp = self.xp
        xp.negative(x, out=y)
        xp.minimum(y, 88.0 if x.dtype == np.float32 else 709.0, out=y)
        xp.exp(y, out=y)
        xp.add(y, 1.0, out=y)
        xp.reciprocal(y, out=y)

    def softplus(self, x, y):
        """y = ln(1 + e^x): logaddexp(x, 0), which both array modules evaluate as max(x, 0) + log1p(e^-|x|)."""
        self.xp.logaddexp(x, x.dtype.type(0), out=y)

    def leaky_relu(self, x, y, slope):
        if slope == 0:  # a factor of 0 would make a NaN of -inf
            self.xp.maximum(x, 0, out=y)
        else:
            self._rectified(x, x, y, slope)

    def leaky_relu_grad(self, g, x, y, slope):
        if slope == 0:
            xp, cut = self.xp, self._workspace.take("cut", x.shape, np.dtype(bool))
            xp.greater(x, 0, out=cut)
            xp.logical_not(cut, out=cut)
            xp.copyto(y, g)
            xp.copyto(y, 0, where=cut)
        else:
            self._rectified(g, x, y, slope)

    def _rectified(self, values, x, y, slope):
        """y = values * factor, where the factor is 1 for x > 0 and slope elsewhere.

        The factor is (x > 0) * (1 - slope) + slope, made in the workspace: `where` would make a new array.
        """
        xp, factor = self.xp, self._workspace.take("values", x.shape, x.dtype)
        xp.greater(x, 0, out=factor)
        xp.multiply(factor, 1.0 - slope, out=factor)
        xp.add(factor, slope, out=factor)
        xp.multiply(values, factor, out=y)

    def tanh_grad(self, g, t, y):
        xp, slopes = self.xp, self._like(t)
        xp.multiply(t, t, out=slopes)
        xp.subtract(1.0, slopes, out=slopes)
        xp.multiply(g, slopes, out=y)

    def sigmoid_grad(self, g, p, y):
        xp, slopes = self.xp, self._like(p)
        xp.subtract(1.0, p, out=slopes)
        xp.multiply(slopes, p, out=slopes)
        xp.multiply(g, slopes, out=y)

    # ---- reductions and moves -------------------------------------------------------------------------------------------------

    def sum(self, x, y, axes, keepdims=False):
        self.xp.sum(x, axis=tuple(axes), keepdims=keepdims, out=y)

    def max(self, x, y, axes, keepdims=False):
        if y.size:
            self.xp.max(x, axis=tuple(axes), keepdims=keepdims, out=y)

    def copy(self, x, y):
        self.xp.copyto(y, x)

    def fill(self, y, value):
        y[...] = value

    # ---- batch norm -----------------------------------------------------------------------------------------------------------

    def batch_norm(self, x, gamma, beta, y, mean, inv_std, eps):
        if not x.size:
            return
        xp, axes, squares = self.xp, tuple(range(x.ndim - 1)), self._like(x)
        xp.mean(x, axis=axes, out=mean)
        xp.subtract(x, mean, out=y)
        xp.multiply(y, y, out=squares)
        xp.mean(squares, axis=axes, out=inv_std)
        xp.add(inv_std, eps, out=inv_std)
        xp.sqrt(inv_std, out=inv_std)
        xp.reciprocal(inv_std, out=inv_std)
        xp.multiply(y, inv_std, out=y)
        xp.multiply(y, gamma, out=y)
        xp.add(y, beta, out=y)

    def batch_norm_grad(self, g, x, gamma, mean, inv_std, dx, dgamma, dbeta):
        """dx = gamma * inv_std * (g - dbeta/n - h * dgamma/n), where h = (x - mean) * inv_std and n is the number of values that a
        channel has in the batch. dx may be the array of g.
        """
        if not x.size:
            dgamma[...] = 0
            dbeta[...] = 0
            return
        xp, axes, h, products = self.xp, tuple(range(x.ndim - 1)), self._like(x, "normalised"), self._like(x)
        share, n = self._like(dgamma, "channels"), x.size // x.shape[-1]
        xp.subtract(x, mean, out=h)
        xp.multiply(h, inv_std, out=h)
        xp.multiply(g, h, out=products)
        xp.sum(products, axis=axes, out=dgamma)
        xp.sum(g, axis=axes, out=dbeta)
        xp.divide(dgamma, n, out=share)
        xp.multiply(h, share, out=h)
        xp.subtract(g, h, out=dx)
        xp.divide(dbeta, n, out=share)
        xp.subtract(dx, share, out=dx)
        xp.multiply(gamma, inv_std, out=share)
        xp.multiply(dx, share, out=dx)

    # ---- updates: rate is an array, so that a replayed step sees its new value --------------------------------------------------

    def _move(self, theta, direction, rate, sign):
        step = self._like(theta)
        self.xp.multiply(direction, rate, out=step)
        (self.xp.add if sign > 0 else self.xp.subtract)(theta, step, out=theta)

    def sgd(self, g, rate, theta, *, sign):
        self._move(theta, g, rate, sign)

    def momentum(self, g, rate, theta, velocity, *, sign, mu):
        self.xp.multiply(velocity, mu, out=velocity)
        self.xp.add(velocity, g, out=velocity)
        self._move(theta, velocity, rate, sign)

    def ema(self, x, average, *, decay):
        xp, fresh = self.xp, self._like(x)
        xp.multiply(x, 1.0 - decay, out=fresh)
        xp.multiply(average, decay, out=average)
        xp.add(average, fresh, out=average)


_METHODS = tuple(name for name in vars(ArrayKernels) if name in KERNELS)


def _ufuncs(xp: Any) -> dict[str, Callable]:
    """Return the kernels that are one ufunc of `xp`. `out=` casts the truth values of `equal` to the output's dtype."""
    return {
        "add": xp.add, "mul": xp.multiply, "maximum": xp.maximum, "equal": xp.equal, "neg": xp.negative, "exp": xp.exp,
        "log": xp.log, "sqrt": xp.sqrt, "abs": xp.absolute, "sign": xp.sign, "tanh": xp.tanh, "sin": xp.sin, "cos": xp.cos,
    }  # fmt: skip


def implementations(xp: Any) -> dict[str, Callable[..., None]]:
    """Return {kernel: function} for the arrays of `xp` (numpy or cupy), each called as f(*inputs, *outputs, **params).

    The kernels that are missing here are CUDA code, in C++ and in Numba: the products (matmul, conv2d, conv2d_dx,
    conv2d_dw), bce_logits, bias_act, bias_act_grad and adam.
    """
    methods = ArrayKernels(xp)
    return {name: _ufunc(f) for name, f in _ufuncs(xp).items()} | {name: getattr(methods, name) for name in _METHODS}

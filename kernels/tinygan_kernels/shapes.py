"""The rules of shape: for each form of kernel, which shapes its inputs may have and which shape its outputs get."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

DTYPES = ("float32", "float64")
Shape = tuple[int, ...]


class ContractError(ValueError):
    """A launch that the contract does not allow. The message is one sentence and names the argument at fault."""


# ---- shapes: one function for each form of kernel -----------------------------------------------------------------------------


ANY_SHAPE: Shape = (-1,)


def _need(condition: bool, sentence: str) -> None:
    if not condition:
        raise ContractError(sentence)


def _elementwise(kernel: str, labels: tuple[str, ...], numbers: tuple[str, ...]) -> Callable[..., tuple[Shape, ...]]:
    def shapes(*given: Shape, **params: Any) -> tuple[Shape, ...]:
        _need(tuple(params) == numbers, f"{kernel} takes the parameters ({', '.join(numbers)}), got ({', '.join(params)})")
        try:
            return (np.broadcast_shapes(*given),)
        except ValueError:
            pairs = " and ".join(f"{label} {shape}" for label, shape in zip(labels, given, strict=True))
            raise ContractError(f"{kernel}: the shapes of {pairs} do not broadcast") from None

    return shapes


def _copy(x: Shape, **_: Any) -> tuple[Shape, ...]:
    return (x,)


def _fill(value: float) -> tuple[Shape, ...]:
    return (ANY_SHAPE,)


def normal_axes(axes: Sequence[int] | int | None, ndim: int, kernel: str = "sum") -> tuple[int, ...]:
    """`axes` (None means all) as a sorted tuple of non-negative ints. Raises ContractError."""
    if axes is None:
        return tuple(range(ndim))
    listed = [axes] if isinstance(axes, int) else list(axes)
    for axis in listed:
        _need(-ndim <= axis < ndim, f"{kernel}: axis {axis} is out of range for {ndim} dimensions")
    normal = tuple(sorted(axis % ndim for axis in listed))
    _need(len(set(normal)) == len(normal), f"{kernel}: axes {tuple(listed)} name a dimension twice")
    return normal


def _reduce(x: Shape, axes: tuple[int, ...], keepdims: bool = False, kernel: str = "sum") -> tuple[Shape, ...]:
    _need(isinstance(axes, tuple), f"{kernel}: axes is {axes!r}, it has to be a tuple of whole numbers")
    axes = normal_axes(axes, len(x), kernel)
    if keepdims:
        return (tuple(1 if i in axes else n for i, n in enumerate(x)),)
    return (tuple(n for i, n in enumerate(x) if i not in axes),)


def _max(x: Shape, axes: tuple[int, ...], keepdims: bool = False) -> tuple[Shape, ...]:
    y = _reduce(x, axes, keepdims, "max")
    reduced = math.prod(x[axis] for axis in axes)
    _need(reduced > 0, f"max: x has shape {x}; there is no largest of no elements along axes {axes}")
    return y


def _matmul(a: Shape, b: Shape, trans_a: bool = False, trans_b: bool = False) -> tuple[Shape, ...]:
    for label, shape in (("a", a), ("b", b)):
        _need(len(shape) == 2, f"matmul: {label} has shape {shape}, it has to have two dimensions")
    (m, k), (k_b, n) = (a[::-1] if trans_a else a), (b[::-1] if trans_b else b)
    sides = f"a {a}{' transposed' if trans_a else ''} and b {b}{' transposed' if trans_b else ''}"
    _need(k == k_b, f"matmul: the inner lengths of {sides} differ, {k} and {k_b}")
    return ((m, n),)


def conv_size(size: int, k: int, stride: int, pad: int) -> int:
    """Output length of a convolution along one side: floor((size + 2 pad - k) / stride) + 1 (Dumoulin and Visin 2016, eq. 6)."""
    return (size + 2 * pad - k) // stride + 1


def _check_window(kernel: str, stride: int, pad: int, kh: int, kw: int, height: int, width: int) -> None:
    _need(isinstance(stride, int) and stride >= 1, f"{kernel}: stride is {stride!r}, it has to be a whole number of at least 1")
    _need(isinstance(pad, int) and pad >= 0, f"{kernel}: pad is {pad!r}, it has to be a whole number of at least 0")
    _need(kh >= 1 and kw >= 1, f"{kernel}: the filter is {kh}x{kw}, both sides have to be at least 1")
    _need(height >= 0 and width >= 0, f"{kernel}: the image is {height}x{width}, neither side can be negative")
    fits = height + 2 * pad >= kh and width + 2 * pad >= kw
    _need(fits, f"{kernel}: a {kh}x{kw} filter does not fit a {height}x{width} image padded by {pad}")


def _images(kernel: str, **shapes: Shape) -> None:
    for label, shape in shapes.items():
        _need(len(shape) == 4, f"{kernel}: {label} has shape {shape}, it has to have four dimensions")


def _conv2d(x: Shape, w: Shape, stride: int, pad: int) -> tuple[Shape, ...]:
    _images("conv2d", x=x, w=w)
    (n, height, width, c), (kh, kw, c_in, c_out) = x, w
    _check_window("conv2d", stride, pad, kh, kw, height, width)
    _need(c == c_in, f"conv2d: x has {c} channels (last axis of {x}), w wants {c_in} (third axis of {w})")
    return ((n, conv_size(height, kh, stride, pad), conv_size(width, kw, stride, pad), c_out),)


def _conv2d_dx(g: Shape, w: Shape, stride: int, pad: int, height: int, width: int) -> tuple[Shape, ...]:
    _images("conv2d_dx", g=g, w=w)
    (n, oh, ow, c), (kh, kw, c_in, c_out) = g, w
    _check_window("conv2d_dx", stride, pad, kh, kw, height, width)
    _need(c == c_out, f"conv2d_dx: g has {c} channels (last axis of {g}), w gives {c_out} (last axis of {w})")
    expected = (conv_size(height, kh, stride, pad), conv_size(width, kw, stride, pad))
    _need((oh, ow) == expected, f"conv2d_dx: g is {oh}x{ow}, but a {height}x{width} image gives {expected[0]}x{expected[1]}")
    return ((n, height, width, c_in),)


def _conv2d_dw(x: Shape, g: Shape, stride: int, pad: int, kh: int, kw: int) -> tuple[Shape, ...]:
    _images("conv2d_dw", x=x, g=g)
    (n, height, width, c_in), (n_g, oh, ow, c_out) = x, g
    _check_window("conv2d_dw", stride, pad, kh, kw, height, width)
    _need(n == n_g, f"conv2d_dw: x holds {n} images and g {n_g}")
    expected = (conv_size(height, kh, stride, pad), conv_size(width, kw, stride, pad))
    _need((oh, ow) == expected, f"conv2d_dw: g is {oh}x{ow}, but a {height}x{width} image gives {expected[0]}x{expected[1]}")
    return ((kh, kw, c_in, c_out),)


def _bce_logits(s: Shape, t: Shape) -> tuple[Shape, ...]:
    _need(s == t, f"bce_logits: s has shape {s} and t {t}; they have to be the same")
    _need(math.prod(s) > 0, f"bce_logits: s has shape {s}; the mean over no elements has no value")
    return (), s


def _batch_norm(x: Shape, gamma: Shape, beta: Shape, eps: float) -> tuple[Shape, ...]:
    _need(len(x) >= 2, f"batch_norm: x has shape {x}, it has to have a batch axis and, last, a channel axis")
    _need(math.prod(x[:-1]) > 0, f"batch_norm: x has shape {x}; the mean over no elements has no value")
    for label, shape in (("gamma", gamma), ("beta", beta)):
        _need(shape == x[-1:], f"batch_norm: {label} has shape {shape}, it has to be {x[-1:]} as x has shape {x}")
    _need(eps > 0, f"batch_norm: eps is {eps}, it has to be positive")
    return x, x[-1:], x[-1:]


def _batch_norm_grad(g: Shape, x: Shape, gamma: Shape, mean: Shape, inv_std: Shape) -> tuple[Shape, ...]:
    _need(g == x, f"batch_norm_grad: g has shape {g} and x {x}; they have to be the same")
    for label, shape in (("gamma", gamma), ("mean", mean), ("inv_std", inv_std)):
        _need(shape == x[-1:], f"batch_norm_grad: {label} has shape {shape}, it has to be {x[-1:]}")
    return x, x[-1:], x[-1:]


ACTIVATIONS = ("linear", "leaky_relu", "tanh", "sigmoid")  # relu is leaky_relu with slope 0


def _check_activation(kernel: str, act: str, slope: float) -> None:
    _need(act in ACTIVATIONS, f"{kernel}: act is {act!r}, it has to be one of {', '.join(ACTIVATIONS)}")
    # the gradient reads the sign of x off y, which a negative slope would turn round
    _need(0 <= slope <= 1, f"{kernel}: slope is {slope}, it has to lie between 0 and 1")


def _bias_act(x: Shape, b: Shape, act: str, slope: float = 0.0) -> tuple[Shape, ...]:
    _check_activation("bias_act", act, slope)
    _need(len(x) >= 1 and b == x[-1:], f"bias_act: b has shape {b}, it has to be the last axis of x {x}")
    return (x,)


def _bias_act_grad(g: Shape, y: Shape, act: str, slope: float = 0.0) -> tuple[Shape, ...]:
    _check_activation("bias_act_grad", act, slope)
    _need(len(y) >= 1 and g == y, f"bias_act_grad: g has shape {g} and y {y}; they have to be the same, with a channel axis")
    return y, y[-1:]


def _update(kernel: str, states: int) -> Callable[..., tuple[Shape, ...]]:
    """Shapes of an in-place parameter update: theta and its states are as large as g; rate is a 0-d array."""

    def shapes(g: Shape, rate: Shape, *, sign: int, **params: float) -> tuple[Shape, ...]:
        _need(rate == (), f"{kernel}: rate has shape {rate}, it has to be 0-d")
        _need(sign in (1, -1), f"{kernel}: sign is {sign!r}, it has to be +1 (ascend) or -1 (descend)")
        return (g,) * (1 + states) + (((),) if kernel == "adam" else ())

    return shapes

"""The rules of shape: for each form of kernel, which shapes its inputs may have and which shapes its outputs get.

A rule is called as rule(*input_shapes, **params), with parameters that `Kernel.checked` has passed, and returns the shape of every
output. It raises ContractError where the inputs do not fit together. Rules run at every launch, so a sentence is only put together
when there is something to refuse.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

DTYPES = ("float32", "float64")
ACTIVATIONS = ("linear", "leaky_relu", "tanh", "sigmoid")  # relu is leaky_relu with slope 0
Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]
ANY_SHAPE: Shape = (-1,)  # the shape of an output that the inputs do not determine


class ContractError(ValueError):
    """A launch that the contract does not allow. The message is one sentence and names the argument at fault."""


# ---- elementwise kernels, reductions and moves --------------------------------------------------------------------------------


def elementwise(kernel: str, labels: tuple[str, ...]) -> Callable[..., Shapes]:
    """Return the rule of an elementwise kernel: its inputs, named `labels`, broadcast against each other as in NumPy."""

    def rule(*given: Shape, **_: Any) -> Shapes:
        if given.count(given[0]) == len(given):  # the usual case, and np.broadcast_shapes takes longer than a small kernel
            return given[:1]
        try:
            return (np.broadcast_shapes(*given),)
        except ValueError:
            pairs = " and ".join(f"{label} {shape}" for label, shape in zip(labels, given, strict=True))
            raise ContractError(f"{kernel}: the shapes of {pairs} do not broadcast") from None

    return rule


def same(x: Shape, **_: Any) -> Shapes:
    """Return the output's shape of a kernel whose output is shaped like its input."""
    return (x,)


def any_shape(**_: Any) -> Shapes:
    """Return the output's shape of a kernel without inputs: any shape, as the caller gives the array."""
    return (ANY_SHAPE,)


def normal_axes(axes: Sequence[int] | int | None, ndim: int, kernel: str = "sum") -> tuple[int, ...]:
    """Return `axes` (None means all) as a sorted tuple of non-negative ints. Raises ContractError."""
    if axes is None:
        return tuple(range(ndim))
    given: Any = axes
    try:
        one = isinstance(given, int) or _one_number(given)
        listed = [operator.index(given)] if one else [*map(operator.index, given)]
    except TypeError:
        raise ContractError(f"{kernel}: axis is {axes!r}, it has to be a whole number, several of them, or None for all") from None
    for axis in listed:
        if not -ndim <= axis < ndim:
            raise ContractError(f"{kernel}: axis {axis} is out of range for {ndim} dimensions")
    normal = tuple(sorted(axis % ndim for axis in listed))
    if len(set(normal)) != len(normal):
        raise ContractError(f"{kernel}: axes {tuple(listed)} name a dimension twice")
    return normal


def _one_number(axes: Any) -> bool:
    """Return True for a number that is not Python's own: a NumPy scalar or an array without axes."""
    return isinstance(axes, np.generic) or getattr(axes, "shape", None) == ()


def sum(x: Shape, axes: tuple[int, ...], keepdims: bool = False, kernel: str = "sum") -> Shapes:
    """Return the output's shape of a reduction: the axes that are reduced go, or stay with length 1."""
    axes = normal_axes(axes, len(x), kernel)
    if keepdims:
        return (tuple(1 if i in axes else n for i, n in enumerate(x)),)
    return (tuple(n for i, n in enumerate(x) if i not in axes),)


def max(x: Shape, axes: tuple[int, ...], keepdims: bool = False) -> Shapes:
    """Return the output's shape of max, as that of `sum`; a maximum of no elements is refused, as it has no value."""
    y = sum(x, axes, keepdims, "max")
    if not math.prod(x[axis] for axis in axes):
        raise ContractError(f"max: x has shape {x}; there is no largest of no elements along axes {axes}")
    return y


# ---- products and convolutions ------------------------------------------------------------------------------------------------


def matmul(a: Shape, b: Shape, trans_a: bool = False, trans_b: bool = False) -> Shapes:
    """a (M, K), or (K, M) if trans_a; b (K, N), or (N, K) if trans_b -> (M, N)"""
    if len(a) != 2 or len(b) != 2:
        label, shape = ("a", a) if len(a) != 2 else ("b", b)
        hint = "; one sample is a batch of one: x[None]" if len(shape) == 1 else "; x.reshape(len(x), -1) makes rows of samples"
        raise ContractError(f"matmul: {label} has shape {shape}, it has to have two dimensions{hint if label == 'a' else ''}")
    (m, k), (k_b, n) = (a[::-1] if trans_a else a), (b[::-1] if trans_b else b)
    if k != k_b:
        sides = f"a {a}{' transposed' if trans_a else ''} and b {b}{' transposed' if trans_b else ''}"
        raise ContractError(f"matmul: the inner lengths of {sides} differ, {k} and {k_b}")
    return ((m, n),)


def conv_size(size: int, k: int, stride: int, pad: int) -> int:
    """Return a convolution's output length along a side, floor((size + 2 pad - k) / stride) + 1 (Dumoulin, Visin 2016, eq. 6)."""
    return (size + 2 * pad - k) // stride + 1


def conv2d(x: Shape, w: Shape, stride: int, pad: int) -> Shapes:
    """x (N, H, W, C_in), w (KH, KW, C_in, C_out) -> (N, OH, OW, C_out)"""
    _four_dimensions("conv2d", ("x", "w"), (x, w))
    (n, height, width, c), (kh, kw, c_in, c_out) = x, w
    if c != c_in:
        sides = f"x has {c} channels (last axis of {x}), w wants {c_in} (third axis of {w})"
        raise ContractError(f"conv2d: {sides}{_other_layout(x, w)}")
    oh, ow = _output_sides("conv2d", height, width, kh, kw, stride, pad)
    return ((n, oh, ow, c_out),)


def _other_layout(x: Shape, w: Shape) -> str:
    """Say so if images or filters that do not fit are laid out as PyTorch does, channels first."""
    if x[1] == w[2]:
        return "; x looks like NCHW, images here are NHWC: pass x.transpose(0, 2, 3, 1)"
    if x[3] == w[1] or x[1] == w[1]:
        nchw = " and x.transpose(0, 2, 3, 1)" if x[1] == w[1] and x[3] != w[1] else ""
        return f"; w looks like (C_out, C_in, KH, KW), filters here are (KH, KW, C_in, C_out): pass w.transpose(2, 3, 1, 0){nchw}"
    return ""


def conv2d_dx(g: Shape, w: Shape, stride: int, pad: int, height: int, width: int) -> Shapes:
    """g (N, OH, OW, C_out), w (KH, KW, C_in, C_out) -> (N, height, width, C_in)"""
    _four_dimensions("conv2d_dx", ("g", "w"), (g, w))
    (n, oh, ow, c), (kh, kw, c_in, c_out) = g, w
    expected = _output_sides("conv2d_dx", height, width, kh, kw, stride, pad)
    if c != c_out:
        nchw = "; images here are NHWC: pass x.transpose(0, 2, 3, 1)" if g[1] == c_out else ""
        raise ContractError(f"conv2d_dx: g has {c} channels (last axis of {g}), w gives {c_out} (last axis of {w}){nchw}")
    _cotangent_fits("conv2d_dx", (oh, ow), expected, height, width)
    return ((n, height, width, c_in),)


def conv2d_dw(x: Shape, g: Shape, stride: int, pad: int, kh: int, kw: int) -> Shapes:
    """x (N, H, W, C_in), g (N, OH, OW, C_out) -> (kh, kw, C_in, C_out)"""
    _four_dimensions("conv2d_dw", ("x", "g"), (x, g))
    (n, height, width, c_in), (n_g, oh, ow, c_out) = x, g
    expected = _output_sides("conv2d_dw", height, width, kh, kw, stride, pad)
    if n != n_g:
        raise ContractError(f"conv2d_dw: x holds {n} images and g {n_g}")
    _cotangent_fits("conv2d_dw", (oh, ow), expected, height, width)
    return ((kh, kw, c_in, c_out),)


def _four_dimensions(kernel: str, labels: tuple[str, str], shapes: Shapes) -> None:
    for label, shape in zip(labels, shapes, strict=True):
        if len(shape) != 4:
            one = "; one image is a batch of one: x[None]" if label == "x" and len(shape) == 3 else ""
            raise ContractError(f"{kernel}: {label} has shape {shape}, it has to have four dimensions{one}")


def _output_sides(kernel: str, height: int, width: int, kh: int, kw: int, stride: int, pad: int) -> tuple[int, int]:
    """Return a convolution's output height and width. Raises ContractError if the filter is empty or larger than the image."""
    if kh < 1 or kw < 1:
        raise ContractError(f"{kernel}: the filter is {kh}x{kw}, both sides have to be at least 1")
    if height + 2 * pad < kh or width + 2 * pad < kw:
        raise ContractError(f"{kernel}: a {kh}x{kw} filter does not fit a {height}x{width} image padded by {pad}")
    return conv_size(height, kh, stride, pad), conv_size(width, kw, stride, pad)


def _cotangent_fits(kernel: str, sides: tuple[int, int], expected: tuple[int, int], height: int, width: int) -> None:
    if sides != expected:
        (oh, ow), (rows, columns) = sides, expected
        raise ContractError(f"{kernel}: g is {oh}x{ow}, but a {height}x{width} image gives {rows}x{columns}")


# ---- the game's loss, and normalisation ---------------------------------------------------------------------------------------


def bce_logits(s: Shape, t: Shape) -> Shapes:
    """s and t of one shape, not empty -> the loss, 0-d, and its gradient, shaped like s"""
    if s != t:
        raise ContractError(f"bce_logits: s has shape {s} and t {t}; they have to be the same")
    if not math.prod(s):
        raise ContractError(f"bce_logits: s has shape {s}; the mean over no elements has no value")
    return (), s


def batch_norm(x: Shape, gamma: Shape, beta: Shape, eps: float) -> Shapes:
    """x (..., C), gamma (C,), beta (C,) -> y (..., C), mean (C,), inv_std (C,)"""
    if len(x) < 2:
        raise ContractError(f"batch_norm: x has shape {x}, it has to have a batch axis and, last, a channel axis")
    if not math.prod(x[:-1]):
        raise ContractError(f"batch_norm: x has shape {x}; the mean over no elements has no value")
    for label, shape in (("gamma", gamma), ("beta", beta)):
        if shape != x[-1:]:
            raise ContractError(f"batch_norm: {label} has shape {shape}, it has to be {x[-1:]} as x has shape {x}")
    return x, x[-1:], x[-1:]


def batch_norm_grad(g: Shape, x: Shape, gamma: Shape, mean: Shape, inv_std: Shape) -> Shapes:
    """g and x (..., C), gamma, mean and inv_std (C,) -> dx (..., C), dgamma (C,), dbeta (C,)"""
    if g != x:
        raise ContractError(f"batch_norm_grad: g has shape {g} and x {x}; they have to be the same")
    for label, shape in (("gamma", gamma), ("mean", mean), ("inv_std", inv_std)):
        if shape != x[-1:]:
            raise ContractError(f"batch_norm_grad: {label} has shape {shape}, it has to be {x[-1:]}")
    return x, x[-1:], x[-1:]


# ---- fused bias and activation ------------------------------------------------------------------------------------------------


def bias_act(x: Shape, b: Shape, **_: Any) -> Shapes:
    """x (..., C), b (C,) -> (..., C)"""
    if not x or b != x[-1:]:
        raise ContractError(f"bias_act: b has shape {b}, it has to be the last axis of x {x}")
    return (x,)


def bias_act_grad(g: Shape, y: Shape, **_: Any) -> Shapes:
    """g and y (..., C) -> dx (..., C), db (C,)"""
    if not y or g != y:
        raise ContractError(f"bias_act_grad: g has shape {g} and y {y}; they have to be the same, with a channel axis")
    return y, y[-1:]


# ---- updates ------------------------------------------------------------------------------------------------------------------


def update(kernel: str, states: int, counts: bool = False) -> Callable[..., Shapes]:
    """Return the rule of an update in place: theta and its `states` are as large as g, rate is a 0-d array.

    counts: whether the number of steps taken so far, a 0-d array, is updated too.
    """

    def rule(g: Shape, rate: Shape, **_: Any) -> Shapes:
        if rate != ():
            raise ContractError(f"{kernel}: rate has shape {rate}, it has to be 0-d")
        return (g,) * (1 + states) + (((),) if counts else ())

    return rule

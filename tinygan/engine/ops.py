"""Every op: its forward over its VJP, both on one screen, both in ops.

Shapes first, then the derivative, in the letters of the code: g is the cotangent dL/dy, y the result. A VJP is a lambda for each
input, (g, y, *inputs) -> dL/dinput. At the bottom the operators are bound onto Tensor.

What can be derived is derived (a - b = a + (-b)): fewer derivatives to verify. Reshape, transpose, slice and broadcast are
views of the same memory and launch nothing; everything else goes through the backend's one door.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tinygan_kernels import Backend
from tinygan_kernels.shapes import normal_axes

from .tensor import BackendMismatch, Tensor, filled, record, stop, wrap

Axes = int | Sequence[int] | None
Number = float | int
_SLICE = builtins.slice  # `slice`, `sum`, `max` and `abs` are ops in this file


def launch(kernel: str, *tensors: Tensor, **params: Any) -> Any:
    """The backend's one door, for tensors. Raises BackendMismatch, ContractError."""
    return _shared_backend(kernel, tensors).launch(kernel, [t.array for t in tensors], **params)


def _shared_backend(kernel: str, tensors: Sequence[Tensor]) -> Backend:
    backend = tensors[0].backend
    for tensor in tensors:
        if tensor.backend is not backend:
            raise BackendMismatch(f"{kernel}: its tensors live on different backends, {backend!r} and {tensor.backend!r}")
    return backend


def as_tensor(value: Tensor | Number | Any, like: Tensor) -> Tensor:
    """A number or an array as a constant of the dtype and backend of `like`."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, (int, float)):
        return wrap(like.backend.asarray(value, like.dtype), like.backend)
    number = like.backend.empty((), like.dtype)
    like.backend.launch("fill", (), out=number, value=value)  # a launch, so that a recording knows that it never changes
    return wrap(number, like.backend)


def _pair(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    like = a if isinstance(a, Tensor) else b
    return as_tensor(a, like), as_tensor(b, like)


def unbroadcast(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo broadcasting: sum g over the axes along which an input of `shape` was repeated."""
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    repeated = [lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1]
    summed = sum(g, [*range(lead), *repeated], keepdims=True)
    return reshape(summed, shape)


# ---- arithmetic ---------------------------------------------------------------------------------------------------------------


def add(a: Any, b: Any) -> Tensor:
    """y = a + b, broadcast.    da = g   db = g"""
    a, b = _pair(a, b)
    return record(launch("add", a, b), (a, b), (
        lambda g, y, a, b: unbroadcast(g, a.shape),
        lambda g, y, a, b: unbroadcast(g, b.shape),
    ))


def mul(a: Any, b: Any) -> Tensor:
    """y = a b, elementwise, broadcast.    da = g b   db = g a"""
    a, b = _pair(a, b)
    return record(launch("mul", a, b), (a, b), (
        lambda g, y, a, b: unbroadcast(g * b, a.shape),
        lambda g, y, a, b: unbroadcast(g * a, b.shape),
    ))


def neg(x: Tensor) -> Tensor:
    """y = -x    dx = -g"""
    return record(launch("neg", x), (x,), (lambda g, y, x: -g,))


def sub(a: Any, b: Any) -> Tensor:
    """y = a - b = a + (-b)"""
    a, b = _pair(a, b)
    return add(a, neg(b))


def div(a: Any, b: Any) -> Tensor:
    """y = a / b = a b^-1"""
    a, b = _pair(a, b)
    return mul(a, power(b, -1))


def power(x: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """y = x^p    dx = p g x^(p-1)

    With a tensor in the exponent, x^b = e^(b ln x), for x > 0 only.
    """
    if isinstance(exponent, Tensor):
        x, exponent = _pair(x, exponent)
        return exp(mul(exponent, log(x)))
    if exponent == 0:  # x^0 = 1 also at x = 0, where p x^(p-1) would be 0 * inf
        return record(filled(x, 1.0).array, (x,), (None,))
    return record(launch("power", x, exponent=exponent), (x,), (
        lambda g, y, x: g * (exponent * power(x, exponent - 1)),
    ))


def exp(x: Tensor) -> Tensor:
    """y = e^x    dx = g y"""
    return record(launch("exp", x), (x,), (lambda g, y, x: g * y,))


def log(x: Tensor) -> Tensor:
    """y = ln x    dx = g / x"""
    return record(launch("log", x), (x,), (lambda g, y, x: g / x,))


def sqrt(x: Tensor) -> Tensor:
    """y = sqrt(x)    dx = g / (2 y)"""
    return record(launch("sqrt", x), (x,), (lambda g, y, x: g * (0.5 * power(y, -1)),))


def abs(x: Tensor) -> Tensor:
    """y = |x|    dx = g sign(x), 0 at the kink"""
    return record(launch("abs", x), (x,), (lambda g, y, x: g * sign(x),))


def sign(x: Tensor) -> Tensor:
    """y = -1, 0 or 1    dx = 0"""
    return record(launch("sign", x), (x,), (None,))


def maximum(a: Any, b: Any) -> Tensor:
    """y = max(a, b), broadcast.    da = g where a > b, g/2 where a = b; db = the rest of g"""
    a, b = _pair(a, b)
    return record(launch("maximum", a, b), (a, b), (
        lambda g, y, a, b: unbroadcast(g * (0.5 + 0.5 * sign(a - b)), a.shape),
        lambda g, y, a, b: unbroadcast(g * (0.5 + 0.5 * sign(b - a)), b.shape),
    ))


# ---- activations --------------------------------------------------------------------------------------------------------------


def tanh(x: Tensor) -> Tensor:
    """t = tanh x    dx = g (1 - t^2)"""
    return record(launch("tanh", x), (x,), (lambda g, t, x: tanh_grad(g, t),))


def tanh_grad(u: Tensor, t: Tensor) -> Tensor:
    """y = u (1 - t^2)    du = g (1 - t^2)   dt = -2 g u t"""
    return record(launch("tanh_grad", u, t), (u, t), (
        lambda g, y, u, t: tanh_grad(g, t),
        lambda g, y, u, t: g * u * t * -2.0,
    ))


def sigmoid(x: Tensor) -> Tensor:
    """p = 1 / (1 + e^-x)    dx = g p (1 - p)"""
    return record(launch("sigmoid", x), (x,), (lambda g, p, x: sigmoid_grad(g, p),))


def sigmoid_grad(u: Tensor, p: Tensor) -> Tensor:
    """y = u p (1 - p)    du = g p (1 - p)   dp = g u (1 - 2 p)"""
    return record(launch("sigmoid_grad", u, p), (u, p), (
        lambda g, y, u, p: sigmoid_grad(g, p),
        lambda g, y, u, p: g * u * (1.0 - 2.0 * p),
    ))


def softplus(x: Tensor) -> Tensor:
    """y = ln(1 + e^x)    dx = g sigmoid(x)"""
    return record(launch("softplus", x), (x,), (lambda g, y, x: g * sigmoid(x),))


def log_sigmoid(x: Tensor) -> Tensor:
    """ln sigmoid(x) = -softplus(-x): finite for every finite x, where ln(1 / (1 + e^-x)) is not"""
    return neg(softplus(neg(x)))


def leaky_relu(x: Tensor, slope: float = 0.2) -> Tensor:
    """y = x where x > 0, else slope x    dx = g where x > 0, else slope g (so at the kink: slope g)

    Unless slope is negative y is positive where x is, and the gradient is read off y, so that x need not be kept.
    """
    return record(launch("leaky_relu", x, slope=slope), (x,), (
        lambda g, y, x: leaky_relu_grad(g, y if slope >= 0 else x, slope),
    ))


def leaky_relu_grad(u: Tensor, x: Tensor, slope: float = 0.2) -> Tensor:
    """y = u where x > 0, else slope u    du = the same of g   dx = 0: the slope is constant on either side"""
    return record(launch("leaky_relu_grad", u, x, slope=slope), (u, x), (
        lambda g, y, u, x: leaky_relu_grad(g, x, slope),
        None,
    ))


def relu(x: Tensor) -> Tensor:
    """y = max(x, 0): leaky_relu with slope 0"""
    return leaky_relu(x, 0.0)


# ---- reductions ---------------------------------------------------------------------------------------------------------------


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def sum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = sum of x over axis    dx = g, repeated along axis"""
    axes = normal_axes(axis, x.ndim)
    return record(launch("sum", x, axes=axes, keepdims=keepdims), (x,), (
        lambda g, y, x: broadcast_to(reshape(g, _kept(x.shape, axes)), x.shape),
    ))


def mean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = (1/n) sum of x over axis. Raises ValueError where n = 0."""
    n = math.prod(x.shape[i] for i in normal_axes(axis, x.ndim, "mean"))
    if n == 0:
        raise ValueError(f"mean: x has shape {x.shape}; the mean over no elements has no value")
    return sum(x, axis, keepdims) * (1.0 / n)


def var(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = mean of (x - mean x)^2 over axis: the biased variance, as in batch normalisation"""
    return mean(power(x - mean(x, axis, keepdims=True), 2), axis, keepdims)


def max(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """y = largest of x over axis    dx = g where x = y, shared equally among ties"""
    axes = normal_axes(axis, x.ndim, "max")

    def vjp(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
        kept = _kept(x.shape, axes)
        ties = wrap(launch("equal", x, reshape(stop(y), kept)), x.backend)
        return reshape(g, kept) * (ties / sum(ties, axes, keepdims=True))

    return record(launch("max", x, axes=axes, keepdims=keepdims), (x,), (vjp,))


# ---- shape: views of the same memory, and what has to be moved ------------------------------------------------------------------


def contiguous(x: Tensor) -> Tensor:
    """x itself if it is C-contiguous, else a copy that is.    dx = g"""
    if x.array.flags.c_contiguous:
        return x
    return record(launch("copy", x), (x,), (lambda g, y, x: g,))


def reshape(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same elements in the same (row-major) order; one side may be -1.    dx = g in x's shape"""
    if x.shape == shape:
        return x
    x = contiguous(x)
    return record(x.array.reshape(shape), (x,), (lambda g, y, x: reshape(g, x.shape),))


def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """y = x with its axes in the given order (None: reversed).    dx = g with the order undone"""
    order = tuple(axes) if axes is not None else tuple(reversed(range(x.ndim)))
    undone = tuple(order.index(i) for i in range(x.ndim)) if sorted(order) == list(range(x.ndim)) else None
    if undone is None:
        raise ValueError(f"transpose: {order} is not an order of the {x.ndim} axes of x {x.shape}")
    return record(x.array.transpose(order), (x,), (lambda g, y, x: transpose(g, undone),))


def broadcast_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """y = x repeated to `shape`, as a view.    dx = g summed over the repetitions"""
    if x.shape == shape:
        return x
    return record(x.backend.xp.broadcast_to(x.array, shape), (x,), (lambda g, y, x: unbroadcast(g, x.shape),))


def slice(x: Tensor, index: Any) -> Tensor:
    """y = x[index], for ints and slices: a view.    dx = zeros with g at index"""
    parts = index if isinstance(index, tuple) else (index,)
    # a bool is an int to Python, but an index that copies to NumPy
    if not all(part is Ellipsis or (isinstance(part, (int, _SLICE)) and not isinstance(part, bool)) for part in parts):
        raise TypeError(f"tensors are indexed by ints, slices and ..., got {index!r}")
    return record(_view(x.array, index), (x,), (lambda g, y, x: embed(g, x.shape, index),))


def _view(array: Any, index: Any) -> Any:
    """array[index], but a 0-d view rather than a copied number where the index leaves no axis."""
    parts = index if isinstance(index, tuple) else (index,)
    return array[parts if Ellipsis in parts else (*parts, ...)]


def embed(x: Tensor, shape: tuple[int, ...], index: Any) -> Tensor:
    """y = zeros of `shape` with x at y[index]: the adjoint of slice.    dx = g[index]"""
    y = x.backend.empty(shape, x.dtype)
    x.backend.launch("fill", (), out=y, value=0.0)
    x.backend.launch("copy", (x.array,), out=_view(y, index))
    return record(y, (x,), (lambda g, y, x: slice(g, index),))


def pad(x: Tensor, widths: Sequence[tuple[int, int]]) -> Tensor:
    """y = x with (before, after) zeros along each axis.    dx = the middle of g"""
    if len(widths) != x.ndim or any(n < 0 for pair in widths for n in pair):
        raise ValueError(f"pad: widths {list(widths)} have to be one pair of non-negative ints for each axis of x {x.shape}")
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
    return embed(x, shape, tuple(_SLICE(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True)))


def concat(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """y = the tensors one after the other along axis.    each one's dx = its part of g"""
    if not tensors:
        raise ValueError("concat: there are no tensors to put one after the other")
    tensors, first = tuple(tensors), tensors[0]
    _shared_backend("concat", tensors)
    axis = normal_axes(axis, first.ndim, "concat")[0]
    lead = (_SLICE(None),) * axis
    ends = [0]
    for t in tensors:
        if t.shape[:axis] + t.shape[axis + 1 :] != first.shape[:axis] + first.shape[axis + 1 :] or t.ndim != first.ndim:
            raise ValueError(f"concat: shapes {[t.shape for t in tensors]} differ elsewhere than along axis {axis}")
        ends.append(ends[-1] + t.shape[axis])
    parts = [(*lead, _SLICE(start, stop)) for start, stop in pairwise(ends)]
    y = first.backend.empty((*first.shape[:axis], ends[-1], *first.shape[axis + 1 :]), first.dtype)
    for t, part in zip(tensors, parts, strict=True):
        launch("copy", t, out=y[part])
    return record(y, tensors, [lambda g, y, *_, part=part: slice(g, part) for part in parts])


# ---- the closed family: each one's derivatives are the others -----------------------------------------------------------------


def _row_major(x: Tensor, trans: bool) -> tuple[Tensor, bool]:
    """x as matmul takes it: C-contiguous, where a transposed view is turned back and the flag flipped instead of copied."""
    if x.ndim == 2 and not x.array.flags.c_contiguous and x.array.T.flags.c_contiguous:
        return transpose(x), not trans
    return contiguous(x), trans


def matmul(a: Tensor, b: Tensor, trans_a: bool = False, trans_b: bool = False) -> Tensor:
    """C = A B        A (M, K)   B (K, N)   C (M, N), either operand transposed on request
    given g = dL/dC:   dA = g B^T (M, K)     dB = A^T g (K, N)
    """
    (a, trans_a), (b, trans_b) = _row_major(a, trans_a), _row_major(b, trans_b)
    return record(launch("matmul", a, b, trans_a=trans_a, trans_b=trans_b), (a, b), (
        # with A^T in the product, what is wanted is (g B^T)^T = B g^T; likewise for B
        lambda g, c, a, b: matmul(b, g, trans_b, True) if trans_a else matmul(g, b, False, not trans_b),
        lambda g, c, a, b: matmul(g, a, True, trans_a) if trans_b else matmul(a, g, not trans_a, False),
    ))


def conv2d(x: Tensor, w: Tensor, stride: int = 1, pad: int = 0) -> Tensor:
    """y = x * w        x (N, H, W, C_in)   w (KH, KW, C_in, C_out)   y (N, OH, OW, C_out), OH = (H + 2 pad - KH) // stride + 1
    given g = dL/dy:   dx = conv2d_dx(g, w)     dw = conv2d_dw(x, g)
    """
    x, w = contiguous(x), contiguous(w)
    return record(launch("conv2d", x, w, stride=stride, pad=pad), (x, w), (
        lambda g, y, x, w: conv2d_dx(g, w, stride, pad, *x.shape[1:3]),
        lambda g, y, x, w: conv2d_dw(x, g, stride, pad, *w.shape[:2]),
    ))


def conv2d_dx(u: Tensor, w: Tensor, stride: int, pad: int, height: int, width: int) -> Tensor:
    """The adjoint of conv2d in x: <conv2d(x, w), u> = <x, conv2d_dx(u, w)>.    u (N, OH, OW, C_out) -> (N, height, width, C_in)
    given g:   du = conv2d(g, w)     dw = conv2d_dw(g, u)
    """
    u, w = contiguous(u), contiguous(w)
    return record(launch("conv2d_dx", u, w, stride=stride, pad=pad, height=height, width=width), (u, w), (
        lambda g, y, u, w: conv2d(g, w, stride, pad),
        lambda g, y, u, w: conv2d_dw(g, u, stride, pad, *w.shape[:2]),
    ))


def conv2d_dw(x: Tensor, u: Tensor, stride: int, pad: int, kh: int, kw: int) -> Tensor:
    """The adjoint of conv2d in w: <conv2d(x, w), u> = <w, conv2d_dw(x, u)>.    -> (kh, kw, C_in, C_out)
    given g:   dx = conv2d_dx(u, g)     du = conv2d(x, g)
    """
    x, u = contiguous(x), contiguous(u)
    return record(launch("conv2d_dw", x, u, stride=stride, pad=pad, kh=kh, kw=kw), (x, u), (
        lambda g, y, x, u: conv2d_dx(u, g, stride, pad, *x.shape[1:3]),
        lambda g, y, x, u: conv2d(x, g, stride, pad),
    ))


def conv_transpose2d(x: Tensor, w: Tensor, stride: int = 1, pad: int = 0) -> Tensor:
    """conv2d_dx as a layer: grows an image.    x (N, H, W, C_in)   w (KH, KW, C_out, C_in): that of the convolution it undoes
    y (N, (H - 1) stride - 2 pad + KH, ..., C_out)
    """
    if x.ndim != 4 or w.ndim != 4:
        raise ValueError(f"conv_transpose2d: x {x.shape} and w {w.shape} have to have four dimensions")
    height, width = ((n - 1) * stride - 2 * pad + k for n, k in zip(x.shape[1:3], w.shape[:2], strict=True))
    return conv2d_dx(x, w, stride, pad, height, width)


# ---- fused ops: one pass over memory, the same derivative ---------------------------------------------------------------------


def _bias_act_grad(g: Tensor, y: Tensor, act: str, slope: float, want_db: bool) -> tuple[Tensor, Tensor | None]:
    """(dx, db) of y = act(x + b), from y alone. One fused launch if nobody will differentiate it, else the same in ops."""
    if not (g.tracked or y.tracked):
        return tuple(wrap(part, g.backend) for part in launch("bias_act_grad", contiguous(g), y, act=act, slope=slope))
    through = {
        "linear": lambda: g,
        "leaky_relu": lambda: leaky_relu_grad(g, y, slope),
        "tanh": lambda: tanh_grad(g, y),
        "sigmoid": lambda: sigmoid_grad(g, y),
    }
    dx = through[act]()
    return dx, sum(dx, range(dx.ndim - 1)) if want_db else None


def bias_act(x: Tensor, b: Tensor, act: str = "linear", slope: float = 0.0) -> Tensor:
    """y = act(x + b)        x (..., C)   b (C,)   act: linear, leaky_relu (relu is slope 0), tanh or sigmoid
    given g:   dx = g act'     db = dx summed over all axes but the last
    """
    x, b = contiguous(x), contiguous(b)
    return record(launch("bias_act", x, b, act=act, slope=slope), (x, b),
                  lambda need, g, y, x, b: _bias_act_grad(g, y, act, slope, need[1]))


def linear(x: Tensor, w: Tensor, b: Tensor, act: str = "linear", slope: float = 0.0) -> Tensor:
    """y = act(x w + b)        x (M, K)   w (K, N)   b (N,)   y (M, N)
    given g, with u = g act':   dx = u w^T     dw = x^T u     db = sum of the rows of u
    """
    x, w, b = contiguous(x), contiguous(w), contiguous(b)
    y = launch("matmul", x, w)
    launch("bias_act", wrap(y, x.backend), b, out=y, act=act, slope=slope)

    def vjp(need: list[bool], g: Tensor, y: Tensor, x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor | None, ...]:
        u, db = _bias_act_grad(g, y, act, slope, need[2])
        return matmul(u, w, trans_b=True) if need[0] else None, matmul(x, u, trans_a=True) if need[1] else None, db

    return record(y, (x, w, b), vjp)


def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor, Tensor]:
    """y = gamma h + beta,   h = (x - mean) inv_std,   inv_std = 1 / sqrt(var + eps), mean and biased var over all but the last axis
    given g:   dx = gamma inv_std (g - mean(g) - h mean(g h))     dgamma = sum g h     dbeta = sum g

    x (..., C), gamma and beta (C,). Returns y, and the batch's mean and inv_std (C,) as constants, for running estimates.
    Ioffe and Szegedy 2015, Algorithm 1 and section 3.
    """
    x, gamma, beta = contiguous(x), contiguous(gamma), contiguous(beta)
    y, mean_, inv_std = (wrap(part, x.backend) for part in launch("batch_norm", x, gamma, beta, eps=eps))

    def vjp(need: list[bool], g: Tensor, y: Tensor, x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
        if not (g.tracked or x.tracked or gamma.tracked):
            parts = launch("batch_norm_grad", contiguous(g), x, gamma, mean_, inv_std)
            return tuple(wrap(part, x.backend) for part in parts)
        return _batch_norm_grad(g, x, gamma, eps)

    return record(y.array, (x, gamma, beta), vjp), mean_, inv_std


def _batch_norm_grad(g: Tensor, x: Tensor, gamma: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The derivative of batch_norm in ops, for those who differentiate it again."""
    axes = range(x.ndim - 1)
    inv_std = power(var(x, axes) + eps, -0.5)
    h = (x - mean(x, axes)) * inv_std
    gh = g * h
    return gamma * inv_std * (g - mean(g, axes) - h * mean(gh, axes)), sum(gh, axes), sum(g, axes)


def bce_logits(s: Tensor, t: Tensor | Number) -> Tensor:
    """Mean binary cross-entropy of logits s, labels t in [0, 1]: the mean of t softplus(-s) + (1 - t) softplus(s); any shape -> ()
    given g:   ds = g ((1-t) sigmoid(s) - t sigmoid(-s)) / size     dt = -g s / size

    One launch gives the loss and ds. Finite, with all its digits, at every finite logit: no 1e-8 anywhere.
    """
    s = contiguous(s)
    t = contiguous(broadcast_to(as_tensor(t, s), s.shape))
    loss, slope = launch("bce_logits", s, t)
    return record(loss, (s, t), (
        lambda g, y, s, t: g * _bce_slope(s, t, slope),
        lambda g, y, s, t: g * s * (-1.0 / s.size),
    ))


def _bce_slope(s: Tensor, t: Tensor, computed: Any) -> Tensor:
    """y = (p - t) / size, p = sigmoid(s), which the forward pass has computed.    ds = g p (1 - p) / size   dt = -g / size"""
    return record(computed, (s, t), (
        lambda g, y, s, t: sigmoid_grad(g, sigmoid(s)) * (1.0 / s.size),
        lambda g, y, s, t: g * (-1.0 / s.size),
    ))


# ---- operators and methods of Tensor ------------------------------------------------------------------------------------------


def _bind() -> None:
    operators = {
        "__add__": add, "__radd__": lambda a, b: add(b, a), "__mul__": mul, "__rmul__": lambda a, b: mul(b, a),
        "__sub__": sub, "__rsub__": lambda a, b: sub(b, a), "__truediv__": div, "__rtruediv__": lambda a, b: div(b, a),
        "__pow__": power, "__rpow__": lambda a, b: power(as_tensor(b, a), a), "__matmul__": matmul, "__neg__": neg, "__abs__": abs,
        "__getitem__": slice, "T": property(transpose),
    }
    methods = (exp, log, sqrt, tanh, sigmoid, softplus, log_sigmoid, relu, leaky_relu, sum, mean, var, max, reshape, transpose)
    for name, function in operators.items():
        setattr(Tensor, name, function)
    for function in methods:
        setattr(Tensor, function.__name__, function)


_bind()

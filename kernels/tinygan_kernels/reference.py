"""The reference: the meaning of every kernel, in plain NumPy, for any float dtype. A kernel that disagrees with it is wrong.

Each function has the name of its kernel, takes the inputs and parameters of its contract entry and returns the outputs; the updates
return the new values of what they update. Nothing here is written for speed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .backend import Backend
from .contract import KERNELS, Version
from .shapes import conv_size

# ---- elementwise --------------------------------------------------------------------------------------------------------------


def add(a, b):
    return a + b


def mul(a, b):
    return a * b


def div(a, b):
    """Divide as IEEE 754 does: x / 0 is an infinity, 0 / 0 NaN, and no warning says so."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(a / b)


def maximum(a, b):
    return np.maximum(a, b)


def equal(a, b):
    return (a == b).astype(a.dtype)


def _in_line(x):
    """Return x, or a contiguous copy: NumPy's power differs in the last digit where numbers do not lie side by side."""
    return np.asarray(x, order="C")


def pow(a, b):
    """Compute C's pow: NaN for a negative a and a b that is not whole, an infinity at a pole."""
    return np.power(*map(_in_line, np.broadcast_arrays(a, b)))


def where(c, a, b):
    """Choose: what is not chosen has no part in y, not even as NaN."""
    return np.where(c != 0, a, b)


def neg(x):
    return -x


def exp(x):
    return np.exp(x)


def log(x):
    return np.log(x)


def sqrt(x):
    return np.sqrt(x)


def abs(x):
    return np.abs(x)


def sin(x):
    return np.sin(x)


def cos(x):
    return np.cos(x)


def sign(x):
    return np.sign(x)


def power(x, exponent):
    return np.power(_in_line(x), x.dtype.type(exponent))


def tanh(x):
    return np.tanh(x)


def sigmoid(x):
    """e^x overflows for large x and e^-x for small: each side uses the exponential that stays below 1."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, e.dtype.type(1), e) / (1 + e)


def softplus(x):
    """ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), whose exponential never overflows."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def leaky_relu(x, slope):
    """With slope 0, y is 0 at -inf too, where 0 times x would be NaN; it is NaN only where x is."""
    if slope == 0:
        return np.maximum(x, 0) + x.dtype.type(0)  # + 0 makes a 0 of -0
    return np.where(x > 0, x, x.dtype.type(slope) * x)


def leaky_relu_grad(g, x, slope):
    """With slope 0, y is 0 where x is not positive, whatever g is."""
    return np.where(x > 0, g, g.dtype.type(slope) * g if slope != 0 else g.dtype.type(0))


def tanh_grad(g, t):
    return g * (1 - t * t)


def sigmoid_grad(g, p):
    return g * (p * (1 - p))


# ---- reductions and moves -----------------------------------------------------------------------------------------------------


def sum(x, axes, keepdims=False):
    return np.sum(x, axis=tuple(axes), keepdims=keepdims)


def max(x, axes, keepdims=False):
    return np.max(x, axis=tuple(axes), keepdims=keepdims)


def copy(x):
    return x


def fill(y, value):
    return np.full_like(y, value)


# ---- the closed family --------------------------------------------------------------------------------------------------------


def matmul(a, b, trans_a=False, trans_b=False):
    return (a.T if trans_a else a) @ (b.T if trans_b else b)


def _window(image, u, v, oh, ow, stride):
    """Return the pixels that filter tap (u, v) sees: (N, OH, OW, C), a view of the padded image."""
    return image[:, u : u + stride * oh : stride, v : v + stride * ow : stride]


def _padded(x, pad):
    return np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))


def conv2d(x, w, stride, pad):
    """y[n,i,j,o] = sum over taps u, v and channels c of x[n, i stride + u - pad, j stride + v - pad, c] w[u,v,c,o].

    x (N, H, W, C_in), w (KH, KW, C_in, C_out), y (N, OH, OW, C_out). As everywhere in deep learning: a cross-correlation.
    """
    (n, height, width, _), (kh, kw, _, c_out) = x.shape, w.shape
    oh, ow = conv_size(height, kh, stride, pad), conv_size(width, kw, stride, pad)
    image, y = _padded(x, pad), np.zeros((n, oh, ow, c_out), x.dtype)
    for u in range(kh):
        for v in range(kw):
            y += _window(image, u, v, oh, ow, stride) @ w[u, v]
    return y


def conv2d_dx(g, w, stride, pad, height, width):
    """Return the adjoint of conv2d in x: every tap adds g w[u,v]^T back to the pixels that it saw.

    g (N, OH, OW, C_out) -> (N, height, width, C_in)
    """
    (n, oh, ow, _), (kh, kw, c_in, _) = g.shape, w.shape
    image = np.zeros((n, height + 2 * pad, width + 2 * pad, c_in), g.dtype)
    for u in range(kh):
        for v in range(kw):
            _window(image, u, v, oh, ow, stride)[...] += g @ w[u, v].T
    return image[:, pad : pad + height, pad : pad + width]


def conv2d_dw(x, g, stride, pad, kh, kw):
    """Return the adjoint of conv2d in w: dw[u,v] = sum over images and positions of (pixel that the tap saw)^T g.

    -> (KH, KW, C_in, C_out)
    """
    oh, ow, c_out = g.shape[1:]
    image, dw = _padded(x, pad), np.zeros((kh, kw, x.shape[3], c_out), x.dtype)
    for u in range(kh):
        for v in range(kw):
            seen = _window(image, u, v, oh, ow, stride)
            dw[u, v] = np.einsum("nijc,nijo->co", seen, g)
    return dw


# ---- the game's loss, and normalisation ---------------------------------------------------------------------------------------


def bce_logits(s, t):
    """Mean binary cross-entropy of logits s with labels t in [0, 1], and its gradient in s.

    -[t ln sigmoid(s) + (1-t) ln(1 - sigmoid(s))] = t softplus(-s) + (1-t) softplus(s): a sum of non-negative terms, so it is
    finite at any logit and loses no digits. The gradient (sigmoid(s) - t) is written as (1-t) sigmoid(s) - t sigmoid(-s)
    for the same reason: at t = 1 and s = 40 it is -4e-18, not 0.
    """
    loss = np.mean(t * softplus(-s) + (1 - t) * softplus(s), dtype=s.dtype)
    ds = ((1 - t) * sigmoid(s) - t * sigmoid(-s)) / s.dtype.type(s.size)
    return loss, ds


def batch_norm(x, gamma, beta, eps):
    """Ioffe and Szegedy 2015, Algorithm 1: normalise each channel (last axis) by its mean and biased variance over the rest."""
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes)
    inv_std = 1 / np.sqrt(((x - mean) ** 2).mean(axis=axes) + x.dtype.type(eps))
    return gamma * ((x - mean) * inv_std) + beta, mean, inv_std


def batch_norm_grad(g, x, gamma, mean, inv_std):
    """Return the VJP of batch_norm (Ioffe and Szegedy, section 3), h = (x - mean) inv_std: mean and variance depend on every x."""
    axes = tuple(range(x.ndim - 1))
    h = (x - mean) * inv_std
    dgamma, dbeta = (g * h).sum(axis=axes), g.sum(axis=axes)
    n = x.dtype.type(x.size // x.shape[-1]) if x.shape[-1] else x.dtype.type(1)
    return gamma * inv_std * (g - dbeta / n - h * (dgamma / n)), dgamma, dbeta


# ---- fused bias and activation ------------------------------------------------------------------------------------------------


def bias_act(x, b, act, slope=0.0):
    """y = act(x + b): x (..., C), b (C,). act: linear, leaky_relu (slope 0 is relu), tanh or sigmoid."""
    s = x + b
    if act == "leaky_relu":
        return leaky_relu(s, slope)
    return {"linear": lambda s: s, "tanh": tanh, "sigmoid": sigmoid}[act](s)


def bias_act_grad(g, y, act, slope=0.0):
    """Return the VJP of bias_act in terms of its output y, so that x need not be kept: y > 0 exactly where x + b > 0."""
    if act == "leaky_relu":
        dx = leaky_relu_grad(g, y, slope)
    else:
        dx = {"linear": lambda g, y: g, "tanh": tanh_grad, "sigmoid": sigmoid_grad}[act](g, y)
    return dx, dx.sum(axis=tuple(range(dx.ndim - 1)))


# ---- updates ------------------------------------------------------------------------------------------------------------------


def sgd(g, rate, theta, *, sign):
    """theta moves by rate g: upward for sign = +1 (ascent), downward for -1 (descent)."""
    return (theta + theta.dtype.type(sign * rate) * g,)


def momentum(g, rate, theta, velocity, *, sign, mu):
    """Polyak 1964 in the form that Sutskever et al. 2013 compare with: the velocity accumulates, then theta moves."""
    velocity = theta.dtype.type(mu) * velocity + g
    return theta + theta.dtype.type(sign * rate) * velocity, velocity


def adam(g, rate, theta, m, v, t, *, sign, beta1, beta2, eps):
    """Kingma and Ba 2015, Algorithm 1, with the sign of the step in sight. t counts the steps taken, before and after."""
    real = theta.dtype.type
    t = t + 1
    m = real(beta1) * m + real(1 - beta1) * g
    v = real(beta2) * v + real(1 - beta2) * g * g
    m_hat = m / real(1 - beta1 ** float(t))
    v_hat = v / real(1 - beta2 ** float(t))
    return theta + real(sign * rate) * m_hat / (np.sqrt(v_hat) + real(eps)), m, v, t


def ema(x, average, *, decay):
    """Return the exponential moving average of x: decay is the share of the old average that stays."""
    real = x.dtype.type
    return (real(decay) * average + real(1 - decay) * x,)


# ---- the backend --------------------------------------------------------------------------------------------------------------


def writing(function, kernel):
    """Return an implementation as backends have them: what `function` returns is written into the arrays that it is handed."""
    count = len(kernel.inputs)

    def implementation(*arrays: Any, **params: Any) -> None:
        outputs = arrays[count:]
        values = function(*(arrays if kernel.in_place else arrays[:count]), **params)
        for output, value in zip(outputs, values if isinstance(values, tuple) else (values,), strict=True):
            output[...] = value

    return implementation


def backend() -> Backend:
    """Return the reference as a backend: slow, and right by definition. Raises LookupError for a kernel without a function here."""
    missing = [name for name in KERNELS if name not in globals()]
    if missing:
        raise LookupError(f"reference.py defines no function {missing[0]}, which the contract has")
    implementations = {name: writing(globals()[name], kernel) for name, kernel in KERNELS.items()}
    return Backend("reference", implementations, versions=[Version(name, 1, "plain NumPy") for name in KERNELS])

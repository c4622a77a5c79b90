"""Fused ops: one pass over memory for what layers and losses need, with the same derivative as the ops that they are made of."""

from __future__ import annotations

from typing import Any

from tinygan.engine.tensor import Tensor, record, wrap

from .door import Number, as_tensor, launch
from .elementwise import leaky_relu_grad, power, sigmoid, sigmoid_grad, tanh_grad
from .products import matmul
from .reductions import broadcast_to, mean, sum, var
from .shapes import contiguous


def _bias_act_grad(g: Tensor, y: Tensor, act: str, slope: float, want_db: bool) -> tuple[Tensor, Tensor | None]:
    """Return (dx, db) of y = act(x + b), from y alone: one fused launch if nobody will differentiate it, else the same in ops."""
    if not (g.tracked or y.tracked):
        dx, db = (wrap(part, g.backend) for part in launch("bias_act_grad", contiguous(g), y, act=act, slope=slope))
        return dx, db
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
    launch("bias_act", wrap(y, x.backend), b, out=y, fresh=True, act=act, slope=slope)

    def vjp(need: list[bool], g: Tensor, y: Tensor, x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor | None, ...]:
        u, db = _bias_act_grad(g, y, act, slope, need[2])
        return matmul(u, w, trans_b=True) if need[0] else None, matmul(x, u, trans_a=True) if need[1] else None, db

    return record(y, (x, w, b), vjp)


def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor, Tensor]:
    """y = gamma h + beta,   h = (x - mean) inv_std,   inv_std = 1 / sqrt(var + eps), mean and biased var over all but the last axis
    given g:   dx = gamma inv_std (g - mean(g) - h mean(g h))     dgamma = sum g h     dbeta = sum g

    x (..., C), gamma and beta (C,). Returns y, and the batch's mean and inv_std (C,) as constants, for running estimates.
    Ioffe and Szegedy 2015, Algorithm 1 and section 3. Raises ValueError where a channel has a single value.
    """
    if x.size == x.shape[-1] > 0:
        raise ValueError(f"batch_norm: x has shape {x.shape}, one value for each channel; less its own mean each is 0, whatever it "
                         "was, so take a batch of at least 2")
    x, gamma, beta = contiguous(x), contiguous(gamma), contiguous(beta)
    y, mean_, inv_std = (wrap(part, x.backend) for part in launch("batch_norm", x, gamma, beta, eps=eps))

    def vjp(need: list[bool], g: Tensor, y: Tensor, x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
        if not (g.tracked or x.tracked or gamma.tracked):
            parts = launch("batch_norm_grad", contiguous(g), x, gamma, mean_, inv_std)
            return tuple(wrap(part, x.backend) for part in parts)
        return _batch_norm_grad(g, x, gamma, eps)

    return record(y.array, (x, gamma, beta), vjp), mean_, inv_std


def _batch_norm_grad(g: Tensor, x: Tensor, gamma: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, dgamma, dbeta) of batch_norm, computed in ops, so that they can be differentiated again."""
    axes = range(x.ndim - 1)
    inv_std = power(var(x, axes) + eps, -0.5)
    h = (x - mean(x, axes)) * inv_std
    gh = g * h
    return gamma * inv_std * (g - mean(g, axes) - h * mean(gh, axes)), sum(gh, axes), sum(g, axes)


def bce_logits(s: Tensor, t: Tensor | Number) -> Tensor:
    """Mean binary cross-entropy of logits s, labels t in [0, 1]: the mean of t softplus(-s) + (1 - t) softplus(s); any shape -> ()
    given g:   ds = g ((1-t) sigmoid(s) - t sigmoid(-s)) / size     dt = -g s / size

    One launch gives the loss and ds. Finite, with all its digits, at every finite logit: no 1e-8 anywhere. Raises ValueError for a
    label that is no probability, with which the loss would have no lower bound; not while a step is recorded, as it has no values.
    """
    s = contiguous(s)
    labels = as_tensor(t, s)
    _check_labels(t if isinstance(t, (int, float)) else labels)
    t = _labels(labels, s)
    loss, slope = launch("bce_logits", s, t)
    return record(loss, (s, t), (
        lambda g, y, s, t: g * _bce_slope(s, t, slope),
        lambda g, y, s, t: g * s * (-1.0 / s.size),
    ))


def _labels(t: Tensor, s: Tensor) -> Tensor:
    """Return labels in the shape of the logits: one number for all, or as many axes as they have. Raises ValueError."""
    if t.ndim and (t.ndim != s.ndim or any(n not in (1, m) for n, m in zip(t.shape, s.shape, strict=True))):
        fits = f"; write t.reshape{s.shape}" if t.size == s.size else ""
        raise ValueError(f"bce_logits: the labels t have shape {t.shape}, the logits s {s.shape}; they have to be the same{fits}")
    return contiguous(broadcast_to(t, s.shape))


def _check_labels(t: Tensor | Number) -> None:
    """Raise ValueError unless all labels lie in [0, 1].

    Labels that are differentiated are left alone, as a numeric derivative steps over the border; and no array is read while
    somebody watches the launches, which a recorder does not run.
    """
    if not isinstance(t, Tensor):
        low = high = float(t)
    elif t.size and not t.tracked and not t.backend.watchers:
        low, high = float(t.array.min()), float(t.array.max())
    else:
        return
    if not (low >= 0 and high <= 1):
        raise ValueError(f"bce_logits: labels are probabilities, between 0 and 1, and these reach from {low:g} to {high:g}")


def _bce_slope(s: Tensor, t: Tensor, computed: Any) -> Tensor:
    """y = (p - t) / size, p = sigmoid(s), which the forward pass has computed.    ds = g p (1 - p) / size   dt = -g / size"""
    return record(computed, (s, t), (
        lambda g, y, s, t: sigmoid_grad(g, sigmoid(s)) * (1.0 / s.size),
        lambda g, y, s, t: g * (-1.0 / s.size),
    ))

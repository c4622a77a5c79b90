"""A step by hand: networks, losses, penalties, gradients and optimisers written out in NumPy, in float64, without the engine.

What can be followed are multilayer perceptrons: linear layers with their activations. For those both gradients of a step are short
enough to be written down, the derivative of a penalty on the slope too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


class NotByHand(ValueError):
    """A part of the step that is not written out here; the message names it."""


def sigmoid(s: Array) -> Array:
    return np.exp(-np.logaddexp(0, -s))


def softplus(s: Array) -> Array:
    return np.logaddexp(0, s)


# ---- a network ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dense:
    """The layer y = act(x w + b)."""

    w: Array
    b: Array
    act: str
    slope: float

    def at(self, u: Array) -> Array:
        if self.act == "leaky_relu":
            return np.where(u > 0, u, self.slope * u)
        if self.act == "linear":
            return u
        return np.tanh(u) if self.act == "tanh" else sigmoid(u)

    def first(self, u: Array) -> Array:
        """Compute act'(u)."""
        if self.act == "leaky_relu":
            return np.where(u > 0, 1.0, self.slope)
        if self.act == "linear":
            return np.ones_like(u)
        p = self.at(u)
        return 1 - p**2 if self.act == "tanh" else p * (1 - p)

    def second(self, u: Array) -> Array:
        """Compute act''(u)."""
        p = self.at(u)
        if self.act == "tanh":
            return -2 * p * (1 - p**2)
        return p * (1 - p) * (1 - 2 * p) if self.act == "sigmoid" else np.zeros_like(u)


Net = Sequence[Dense]
Slopes = list[tuple[Array, Array]]  # (dw, db) of each layer


def forward(net: Net, x: Array) -> tuple[Array, list[Array], list[Array]]:
    """Return the result of a network, and the inputs h and the sums u = h w + b of its layers."""
    hs, us = [x.reshape(len(x), -1)], []
    for layer in net:
        us.append(hs[-1] @ layer.w + layer.b)
        hs.append(layer.at(us[-1]))
    return hs[-1], hs, us


def backward(net: Net, x: Array, g: Array) -> tuple[Slopes, Array]:
    """Return d<g, net(x)> in each layer's w and b, and in x."""
    _, hs, us = forward(net, x)
    slopes: Slopes = []
    for layer, h, u in zip(reversed(net), reversed(hs[:-1]), reversed(us), strict=True):
        q = g * layer.first(u)
        slopes.append((h.T @ q, q.sum(axis=0)))
        g = q @ layer.w.T
    return slopes[::-1], g


def along(net: Net, x: Array, v: Array, weights: Array) -> Slopes:
    """Return d/dtheta of sum_i weights_i <ds/dx_i, v_i>, the v and the weights held: the derivative of a directional derivative.

    Forward, h' = act(u) and its derivative along v, t' = act'(u) (t w); then backward through both: with the adjoints q of h' and
    p of t', the sums get q act' + p act'' (t w) and p act'.
    """
    hs, ts, us, moves = [x.reshape(len(x), -1)], [v.reshape(len(v), -1)], [], []
    for layer in net:
        us.append(hs[-1] @ layer.w + layer.b)
        moves.append(ts[-1] @ layer.w)
        hs.append(layer.at(us[-1]))
        ts.append(layer.first(us[-1]) * moves[-1])
    q, p = np.zeros_like(hs[-1]), np.broadcast_to(weights, ts[-1].shape)
    slopes: Slopes = []
    for i in reversed(range(len(net))):
        layer, h, t, u, move = net[i], hs[i], ts[i], us[i], moves[i]
        of_u, of_move = q * layer.first(u) + p * layer.second(u) * move, p * layer.first(u)
        slopes.append((h.T @ of_u + t.T @ of_move, of_u.sum(axis=0)))
        q, p = of_u @ layer.w.T, of_move @ layer.w.T
    return slopes[::-1]


# ---- what the players want ----------------------------------------------------------------------------------------------------


def goal(name: str, r: Array, f: Array, smooth: float = 0.0) -> tuple[float, Array, Array]:
    """Return what D ascends, and its derivatives in the logits of real samples and of fakes (m, 1)."""
    m = len(r)
    if name in ("minimax", "nonsaturating"):
        real = (1 - smooth) * softplus(-r) + smooth * softplus(r)
        return -float(real.mean() + softplus(f).mean()), ((1 - smooth) - sigmoid(r)) / m, -sigmoid(f) / m
    if name == "hinge":
        return -float(np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean()), (r < 1) / m, (f > -1) / -m
    if name == "least-squares":
        return -float(((r - 1) ** 2).mean() + (f**2).mean()) / 2, -(r - 1) / m, -f / m
    if name == "wasserstein":
        return float(r.mean() - f.mean()), np.full_like(r, 1 / m), np.full_like(f, -1 / m)
    if name == "relativistic":
        g = sigmoid(-(r - f)) / m
        return -float(softplus(-(r - f)).mean()), g, -g
    raise NotByHand(f"the objective {name!r} is not written out")


def loss(name: str, r: Array | None, f: Array) -> tuple[float, Array]:
    """Return what G descends, and its derivative in the logits of the fakes (m, 1)."""
    m = len(f)
    if name == "minimax":
        return -float(softplus(f).mean()), -sigmoid(f) / m
    if name == "nonsaturating":
        return float(softplus(-f).mean()), -sigmoid(-f) / m
    if name in ("hinge", "wasserstein"):
        return -float(f.mean()), np.full_like(f, -1 / m)
    if name == "least-squares":
        return float(((f - 1) ** 2).mean()) / 2, (f - 1) / m
    if name == "relativistic" and r is not None:
        return float(softplus(-(f - r)).mean()), -sigmoid(-(f - r)) / m
    raise NotByHand(f"the objective {name!r} is not written out")


def squared_slope(net: Net, x: Array, weight: float) -> tuple[float, Slopes]:
    """Return (weight / 2) mean |ds/dx|^2 and its derivative in theta, weight mean d<ds/dx, v> with v = ds/dx held."""
    m = len(x)
    _, v = backward(net, x, np.ones((m, 1)))
    return float((v**2).sum()) * weight / (2 * m), along(net, x, v, np.full((m, 1), weight / m))


# ---- how the players move -----------------------------------------------------------------------------------------------------

Step = Callable[..., Array]


def sgd(theta: Array, g: Array, sign: int, rate: float, states: dict[str, Array]) -> Array:
    return theta + sign * rate * g


def momentum(theta: Array, g: Array, sign: int, rate: float, states: dict[str, Array], mu: float) -> Array:
    return theta + sign * rate * (mu * states["velocity"] + g)


def adam(
    theta: Array, g: Array, sign: int, rate: float, states: dict[str, Array], beta1: float, beta2: float, eps: float
) -> Array:
    """Kingma and Ba 2015, Algorithm 1."""
    t = states["t"] + 1
    m, v = beta1 * states["m"] + (1 - beta1) * g, beta2 * states["v"] + (1 - beta2) * g * g
    return theta + sign * rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)


STEPS: dict[str, Step] = {"sgd": sgd, "momentum": momentum, "adam": adam}

"""Losses and the functions inside them: softmax, cross-entropy, BCE, hinge, KL, the penalties of GANs."""

import numpy as np

from .case import Case
from .elementwise import sigmoid

LABELS = np.array([2, 0, 3])


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_vjp(m, g, x):
    y = softmax(x)
    inner = (g * y).sum(-1, keepdims=True)
    return {
        "dropped term": g * y,
        "mean for sum": y * (g - inner / x.shape[-1]),
        "sign 2": y * (g + inner),
        "missing chain factor": g - inner,
        "y for x": softmax(y) * (g - (g * softmax(y)).sum(-1, keepdims=True)),
        "other activation": g * y * (1 - y),
        "dropped term 2": -y * inner,
    }.get(m, y * (g - inner))


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def log_softmax_vjp(m, g, x):
    p, s = softmax(x), g.sum(-1, keepdims=True)
    return {
        "dropped term": g,
        "missing chain factor": g - p,
        "mean for sum": g - p * s / x.shape[-1],
        "sign 2": g + p * s,
        "dropped term 2": -p * s,
        "y for x": g - softmax(log_softmax(x)) * s * 0 - softmax(p) * s,
    }.get(m, g - p * s)


def logsumexp(x):
    return np.log(np.exp(x).sum(-1))


def logsumexp_vjp(m, g, x):
    e = np.exp(x)
    return {
        "missing chain factor": g[:, None] * e,
        "missing chain factor 2": g[:, None] / e.sum(-1, keepdims=True) * np.ones_like(e),
        "mean for sum": g[:, None] * e / e.sum(-1, keepdims=True) / x.shape[-1],
        "cotangent ignored": softmax(x),
        "sum for mean": g[:, None] * e / e.mean(-1, keepdims=True),
    }.get(m, g[:, None] * softmax(x))


def cross_entropy(x):
    shifted = x - x.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return -log_p[np.arange(len(x)), LABELS].mean()


def cross_entropy_vjp(m, g, x):
    p, hot = softmax(x), np.eye(x.shape[1])[LABELS]
    return {
        "sum for mean": g * (p - hot),
        "dropped term": g * p / len(x),
        "dropped term 2": -g * hot / len(x),
        "sign 2": g * (hot - p) / len(x),
        "mean for sum": g * (p - hot) / x.size,
        "sign 3": g * (p + hot) / len(x),
        "cotangent ignored": (p - hot) / len(x),
    }.get(m, g * (p - hot) / len(x))


def bce(s, t):
    return (np.logaddexp(0, s) - t * s).mean()


def bce_vjp(m, g, s, t):
    p = sigmoid(s)
    ds = {
        "sum for mean": g * (p - t),
        "dropped term": g * p / s.size,
        "dropped term 2": -g * t / s.size,
        "sign 2": g * (t - p) / s.size,
        "missing chain factor": g * (p - t) * p * (1 - p) / s.size,
        "sign 3": g * (p + t) / s.size,
        "other activation": g * (np.tanh(s) - t) / s.size,
        "cotangent ignored": (p - t) / s.size,
        "y for x": g * (sigmoid(p) - t) / s.size,
    }.get(m, g * (p - t) / s.size)
    return ds, (-g * p / s.size if m == "another input 2" else -g * s / s.size)


def hinge(real, fake):
    return np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()


def hinge_vjp(m, g, real, fake):
    dr = {
        "sign 2": g * (real < 1) / real.size,
        "sum for mean": -g * (real < 1),
        "missing chain factor": -g * np.ones_like(real) / real.size,
        "cotangent ignored": -1.0 * (real < 1) / real.size,
    }.get(m, -g * (real < 1) / real.size)
    df = {"sum for mean 2": g * (fake > -1), "sign 3": -g * (fake > -1) / fake.size}.get(m, g * (fake > -1) / fake.size)
    return dr, df


def kl(mu, log_var):
    return (-0.5 * (1 + log_var - mu**2 - np.exp(log_var)).sum(1)).mean()


def kl_vjp(m, g, mu, log_var):
    n = len(mu)
    dmu = {"constant factor 3": 2 * g * mu / n, "sum for mean": g * mu, "sign 2": -g * mu / n}.get(m, g * mu / n)
    dl = {
        "dropped term": 0.5 * g * np.exp(log_var) / n,
        "missing chain factor": g * (np.exp(log_var) - 1) / n,
        "sum for mean 2": 0.5 * g * (np.exp(log_var) - 1),
        "sign 3": 0.5 * g * (np.exp(log_var) + 1) / n,
        "dropped term 2": -0.5 * g * np.ones_like(mu) / n,
    }.get(m, 0.5 * g * (np.exp(log_var) - 1) / n)
    return dmu, dl


def gradient_penalty(x, w, v):
    """10 (|ds/dx| - 1)^2, averaged, for the critic s = tanh(x w) v (Gulrajani et al. 2017, eq. 3)."""
    h = np.tanh(x @ w)
    slope = ((1 - h**2) * v) @ w.T
    norm = np.sqrt((slope**2).sum(1))
    return 10 * ((norm - 1) ** 2).mean()


def gradient_penalty_vjp(m, g, x, w, v):
    h = np.tanh(x @ w)
    d = 1 - h**2
    slope = (d * v) @ w.T
    norm = np.sqrt((slope**2).sum(1))
    dslope = (20 * (norm - 1) / norm / len(x))[:, None] * slope * g
    if m == "missing chain factor":
        dslope = dslope * norm[:, None]
    if m == "sum for mean":
        dslope = dslope * len(x)
    if m == "missing chain factor 2":
        dslope = dslope / 2
    if m == "dropped term 3":
        dslope = 20 / len(x) * slope * g
    ddv = dslope @ w
    dh = -2 * h * ddv * v
    dpre = dh * d if m != "missing chain factor 3" else dh
    dw = {"dropped term": dslope.T @ (d * v), "dropped term 2": x.T @ dpre, "detached 2": dslope.T @ (d * v)}.get(
        m, dslope.T @ (d * v) + x.T @ dpre
    )
    dv = {"mean for sum": (ddv * d).mean(0), "missing chain factor 4": ddv.sum(0)}.get(m, (ddv * d).sum(0))
    return dpre @ w.T, dw, dv


def r1(x, w, v):
    """0.5 gamma |ds/dx|^2, averaged, for s = tanh(x w) v (Mescheder et al. 2018)."""
    h = np.tanh(x @ w)
    slope = ((1 - h**2) * v) @ w.T
    return 0.5 * 0.3 * (slope**2).sum(1).mean()


def r1_vjp(m, g, x, w, v):
    h = np.tanh(x @ w)
    d = 1 - h**2
    dslope = g * 0.3 * ((d * v) @ w.T) / len(x)
    if m == "sum for mean":
        dslope = dslope * len(x)
    if m == "constant factor 3":
        dslope = 2 * dslope
    ddv = dslope @ w
    dpre = -2 * h * d * ddv * v
    if m == "missing chain factor":
        dpre = -2 * h * ddv * v
    if m == "sign 2":
        dpre = -dpre
    dw = {"dropped term": dslope.T @ (d * v), "dropped term 2": x.T @ dpre, "detached 2": dslope.T @ (d * v)}.get(
        m, dslope.T @ (d * v) + x.T @ dpre
    )
    dv = {"mean for sum": (ddv * d).mean(0), "broadcast not summed": ddv * d}.get(m, (ddv * d).sum(0))
    return dpre @ w.T, dw, dv


def mse(x, t):
    return ((x - t) ** 2).mean()


def mse_vjp(m, g, x, t):
    dx = {
        "sum for mean": 2 * g * (x - t),
        "missing chain factor": g * (x - t) / x.size,
        "sign 2": -2 * g * (x - t) / x.size,
        "mean for sum": 2 * g * (x - t) / x.size**2,
        "dropped term": 2 * g * x / x.size,
        "cotangent ignored": 2 * (x - t) / x.size,
    }.get(m, 2 * g * (x - t) / x.size)
    return dx, -2 * g * (x - t) / x.size


def off_one(rng, *shape):
    x = rng.normal(size=shape)
    return x + 0.1 * np.sign(x - 1) + 0.1 * np.sign(x + 1)


def critic(rng):
    return rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=5)


CASES = [
    Case(
        "softmax",
        softmax,
        softmax_vjp,
        lambda rng: (rng.normal(size=(3, 4)),),
        ("dropped term", "dropped term 2", "mean for sum", "sign 2", "missing chain factor", "y for x"),
    ),
    Case(
        "log-softmax",
        log_softmax,
        log_softmax_vjp,
        lambda rng: (rng.normal(size=(3, 5)),),
        ("dropped term", "dropped term 2", "mean for sum", "sign 2"),
    ),
    Case(
        "logsumexp",
        logsumexp,
        logsumexp_vjp,
        lambda rng: (rng.normal(size=(3, 4)),),
        ("missing chain factor", "missing chain factor 2", "mean for sum", "sum for mean", "cotangent ignored"),
    ),
    Case(
        "cross-entropy",
        cross_entropy,
        cross_entropy_vjp,
        lambda rng: (rng.normal(size=(3, 4)),),
        ("sum for mean", "dropped term", "dropped term 2", "sign 2", "sign 3", "mean for sum", "cotangent ignored"),
    ),
    Case(
        "BCE on logits",
        bce,
        bce_vjp,
        lambda rng: (rng.normal(size=(3, 4)), rng.random((3, 4))),
        ("sum for mean", "dropped term", "dropped term 2", "sign 2", "sign 3", "other activation", "cotangent ignored", "y for x"),
    ),
    Case(
        "hinge loss",
        hinge,
        hinge_vjp,
        lambda rng: (off_one(rng, 7), off_one(rng, 5)),
        ("sign 2", "sign 3", "sum for mean", "sum for mean 2", "missing chain factor", "cotangent ignored"),
    ),
    Case(
        "KL of Gaussians",
        kl,
        kl_vjp,
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(3, 4))),
        (
            "constant factor 3",
            "sum for mean",
            "sum for mean 2",
            "sign 2",
            "sign 3",
            "dropped term",
            "dropped term 2",
            "missing chain factor",
        ),
    ),
    Case(
        "WGAN-GP",
        gradient_penalty,
        gradient_penalty_vjp,
        critic,
        (
            "missing chain factor",
            "missing chain factor 2",
            "missing chain factor 3",
            "missing chain factor 4",
            "sum for mean",
            "dropped term",
            "dropped term 2",
            "detached 2",
            "mean for sum",
        ),
    ),
    Case(
        "R1",
        r1,
        r1_vjp,
        critic,
        (
            "sum for mean",
            "constant factor 3",
            "missing chain factor",
            "sign 2",
            "dropped term",
            "dropped term 2",
            "detached 2",
            "mean for sum",
            "broadcast not summed",
        ),
    ),
    Case(
        "mean squared error",
        mse,
        mse_vjp,
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(3, 4))),
        ("sum for mean", "missing chain factor", "sign 2", "mean for sum", "dropped term", "cotangent ignored"),
    ),
]

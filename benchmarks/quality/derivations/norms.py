"""Normalisations: means and variances that depend on every element."""

import numpy as np

from .case import Case

EPS = 1e-5


def normalised(x, axis):
    mu = x.mean(axis, keepdims=True)
    var = ((x - mu) ** 2).mean(axis, keepdims=True)
    return (x - mu) / np.sqrt(var + EPS), np.sqrt(var + EPS)


def back(m, h, x, axis):
    """Return dx of y = (x - mean) / std over an axis, given h = dL/dy; with the mistakes that people make in it."""
    y, std = normalised(x, axis)
    n = np.prod([x.shape[a] for a in np.atleast_1d(axis)])
    first, second = h.mean(axis, keepdims=True), y * (h * y).mean(axis, keepdims=True)
    if m == "dropped term":
        first = 0
    if m == "dropped term 2":
        second = 0
    if m == "detached 2":
        first = second = 0
    if m == "sum for mean":
        second = second * n
    if m == "sum for mean 2":
        first = first * n
    if m == "sign 2":
        second = -second
    if m == "sign 3":
        first = -first
    if m == "missing chain factor":
        std = 1
    if m == "missing chain factor 2":
        std = std**2
    return (h - first - second) / std


NORM = (
    "dropped term",
    "dropped term 2",
    "detached 2",
    "sum for mean",
    "sum for mean 2",
    "sign 2",
    "sign 3",
    "missing chain factor",
    "missing chain factor 2",
)


def affine(axis, over, shape):
    """Return (f, vjp) of a normalisation over `axis` with gamma and beta of one number for each of `shape`, summed over `over`."""

    def f(x, gamma, beta):
        return gamma.reshape(shape) * normalised(x, axis)[0] + beta.reshape(shape)

    def vjp(m, g, x, gamma, beta):
        y, _ = normalised(x, axis)
        h = g if m == "missing chain factor 3" else g * gamma.reshape(shape)
        dgamma = {
            "missing chain factor 4": g.sum(over),
            "mean for sum": (g * y).mean(over),
            "broadcast not summed": g * y,
            "missing chain factor 5": (g * x).sum(over),
        }.get(m, (g * y).sum(over))
        dbeta = {"mean for sum 2": g.mean(over), "broadcast not summed 2": g, "sign 4": -g.sum(over)}.get(m, g.sum(over))
        return back(m, h, x, axis), dgamma, dbeta

    return f, vjp


AFFINE = (
    *NORM,
    "missing chain factor 3",
    "missing chain factor 4",
    "mean for sum",
    "mean for sum 2",
    "broadcast not summed",
    "broadcast not summed 2",
    "sign 4",
)
LAYER, BATCH, INSTANCE = affine(-1, 0, (1, -1)), affine(0, 0, (1, -1)), affine((1, 2), (0, 1, 2), (1, 1, 1, -1))


def rms(x, gamma):
    return gamma * x / np.sqrt((x**2).mean(-1, keepdims=True) + EPS)


def rms_vjp(m, g, x, gamma):
    r = np.sqrt((x**2).mean(-1, keepdims=True) + EPS)
    y, h = x / r, g * gamma
    term = y * (h * y).mean(-1, keepdims=True)
    dx = {
        "dropped term": h / r,
        "sum for mean": (h - term * x.shape[-1]) / r,
        "sign 2": (h + term) / r,
        "missing chain factor": h - term,
        "missing chain factor 2": (g - y * (g * y).mean(-1, keepdims=True)) / r,
        "detached 2": h / r,
    }.get(m, (h - term) / r)
    dgamma = {"mean for sum": (g * y).mean(0), "broadcast not summed": g * y, "missing chain factor 3": (g * x).sum(0)}.get(
        m, (g * y).sum(0)
    )
    return dx, dgamma


def unit(x):
    return x / np.sqrt((x**2).sum(-1, keepdims=True))


def unit_vjp(m, g, x):
    r = np.sqrt((x**2).sum(-1, keepdims=True))
    y = x / r
    term = y * (g * y).sum(-1, keepdims=True)
    return {
        "dropped term": g / r,
        "mean for sum": (g - term / x.shape[-1]) / r,
        "sign 2": (g + term) / r,
        "missing chain factor": g - term,
        "detached 2": g / r,
        "constant factor 3": (g - term) / r * 3,
    }.get(m, (g - term) / r)


def minibatch_std(x):
    sd = np.sqrt(x.var(0) + 1e-8)
    return np.concatenate([x, np.full((len(x), 1), 1.0) * sd.mean()], 1)


def minibatch_std_vjp(m, g, x):
    n, f = x.shape
    mu, sd = x.mean(0), np.sqrt(x.var(0) + 1e-8)
    s = g[:, -1].sum()
    extra = s * (x - mu) / (n * f * sd)
    return {
        "dropped term": g[:, :-1],
        "detached 2": g[:, :-1],
        "sum for mean": g[:, :-1] + extra * n,
        "sum for mean 2": g[:, :-1] + extra * f,
        "mean for sum": g[:, :-1] + extra / n,
        "sign 2": g[:, :-1] - extra,
        "dropped term 2": extra,
    }.get(m, g[:, :-1] + extra)


U, V = np.random.default_rng(8).normal(size=4), np.random.default_rng(9).normal(size=3)


def spectral(w):
    return w / (U @ w @ V)


def spectral_vjp(m, g, w):
    s = U @ w @ V
    term = (g * w).sum() / s**2 * np.outer(U, V)
    return {
        "dropped term": g / s,
        "detached 2": g / s,
        "sign 2": g / s + term,
        "missing chain factor": g - term * s,
        "missing chain factor 2": g / s - term * s,
        "mean for sum": g / s - term / g.size,
    }.get(m, g / s - term)


def three(rng, *shape):
    return rng.normal(size=shape), rng.normal(size=shape[-1]), rng.normal(size=shape[-1])


CASES = [
    Case("layer norm", *LAYER, lambda rng: three(rng, 3, 5), AFFINE),
    Case("batch norm", *BATCH, lambda rng: three(rng, 6, 4), AFFINE),
    Case("instance norm", *INSTANCE, lambda rng: three(rng, 2, 3, 4, 3), AFFINE),
    Case(
        "RMS norm",
        rms,
        rms_vjp,
        lambda rng: (rng.normal(size=(3, 5)), rng.normal(size=5)),
        (
            "dropped term",
            "sum for mean",
            "sign 2",
            "missing chain factor",
            "missing chain factor 2",
            "mean for sum",
            "broadcast not summed",
            "missing chain factor 3",
            "detached 2",
        ),
    ),
    Case(
        "L2 normalisation",
        unit,
        unit_vjp,
        lambda rng: (rng.normal(size=(3, 4)),),
        ("dropped term", "mean for sum", "sign 2", "missing chain factor", "detached 2", "constant factor 3"),
    ),
    Case(
        "minibatch std",
        minibatch_std,
        minibatch_std_vjp,
        lambda rng: (rng.normal(size=(5, 3)),),
        ("dropped term", "detached 2", "sum for mean", "sum for mean 2", "mean for sum", "sign 2", "dropped term 2"),
    ),
    Case(
        "spectral norm",
        spectral,
        spectral_vjp,
        lambda rng: (rng.normal(size=(4, 3)) + np.outer(U, V),),
        ("dropped term", "detached 2", "sign 2", "missing chain factor", "missing chain factor 2", "mean for sum"),
    ),
]

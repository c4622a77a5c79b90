"""Elementwise functions: activations, broadcasts, a dropout mask, sampling."""

import numpy as np
from scipy.special import erf

from .case import Case


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normal(*shape):
    return lambda rng: (rng.normal(size=shape),)


def tanh_vjp(m, g, x):
    y = np.tanh(x)
    return {
        "y for x": g * (1 - np.tanh(y) ** 2),
        "y for x 2": g * (1 - x**2),
        "other activation": g * sigmoid(x) * (1 - sigmoid(x)),
        "missing chain factor": g,
        "cotangent ignored": 1 - y**2,
        "dropped term": g,
        "other activation 2": g * (x > 0),
    }.get(m, g * (1 - y**2))


def sigmoid_vjp(m, g, x):
    y = sigmoid(x)
    return {
        "y for x": g * sigmoid(y) * (1 - sigmoid(y)),
        "y for x 2": g * x * (1 - x),
        "other activation": g * (1 - np.tanh(x) ** 2),
        "missing chain factor": g * y,
        "cotangent ignored": y * (1 - y),
        "missing chain factor 2": g * (1 - y),
    }.get(m, g * y * (1 - y))


def softplus(x):
    return np.log(1 + np.exp(x))


def softplus_vjp(m, g, x):
    s = sigmoid(x)
    return {
        "y for x": g * sigmoid(softplus(x)),
        "other activation": g * s * (1 - s),
        "other activation 2": g * (x > 0),
        "missing chain factor": g * np.exp(x),
        "cotangent ignored": s,
        "sign 2": g * sigmoid(-x),
    }.get(m, g * s)


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def gelu_slope(x):
    return 0.5 * (1 + erf(x / np.sqrt(2))) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def gelu_vjp(m, g, x):
    cdf, pdf = 0.5 * (1 + erf(x / np.sqrt(2))), np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    t = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    by_tanh = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x * x)
    return {
        "y for x": g * gelu_slope(gelu(x)),
        "dropped term": g * cdf,
        "dropped term 2": g * x * pdf,
        "other activation": g * by_tanh,
        "missing chain factor": g * (cdf + x * pdf * np.sqrt(2)),
        "sign 2": g * (cdf - x * pdf),
        "cotangent ignored": cdf + x * pdf,
        "other activation 2": g * sigmoid(1.702 * x) * (1 + 1.702 * x * (1 - sigmoid(1.702 * x))),
    }.get(m, g * (cdf + x * pdf))


def silu_vjp(m, g, x):
    s = sigmoid(x)
    y = x * s
    return {
        "y for x": g * sigmoid(y) * (1 + y * (1 - sigmoid(y))),
        "dropped term": g * s,
        "dropped term 2": g * x * s * (1 - s),
        "sign 2": g * (s - x * s * (1 - s)),
        "other activation": g * gelu_slope(x),
        "missing chain factor": g * (s + x * s),
        "cotangent ignored": s + x * s * (1 - s),
    }.get(m, g * (s + x * s * (1 - s)))


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def leaky_vjp(m, g, x):
    return {
        "other activation": g * (x > 0),
        "other activation 2": g * np.where(x > 0, 1, 0.01),
        "missing chain factor": g,
        "cotangent ignored": np.where(x > 0, 1, 0.2),
    }.get(m, g * np.where(x > 0, 1, 0.2))


def elu(x):
    return np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)


def elu_vjp(m, g, x):
    right = np.where(x > 0, 1, np.exp(np.minimum(x, 0)))
    return {
        "other activation": g * (x > 0),
        "y for x": g * np.where(x > 0, 1, np.exp(np.minimum(elu(x), 0))),
        "y for x 2": g * np.where(x > 0, 1, x + 1),
        "missing chain factor": g,
        "cotangent ignored": right,
    }.get(m, g * right)


def add_bias_vjp(m, g, x, b):
    db = {
        "broadcast not summed": g,
        "mean for sum": g.mean(0),
        "broadcast not summed 2": g[0],
        "sign 2": -g.sum(0),
        "sum for mean": len(g) * g.sum(0),
    }.get(m, g.sum(0))
    return g, db


def scale_vjp(m, g, x, w):
    dw = {
        "broadcast not summed": g * x,
        "mean for sum": (g * x).mean(0),
        "missing chain factor": g.sum(0),
        "broadcast not summed 2": (g * x)[0],
        "dropped term": (g * x)[0],
        "sign 2": -(g * x).sum(0),
    }.get(m, (g * x).sum(0))
    return (g if m == "missing chain factor 2" else g * w), dw


def divide_vjp(m, g, a, b):
    db = {
        "sign 2": (g * a / b**2).sum(1, keepdims=True),
        "missing chain factor": -(g * a / b).sum(1, keepdims=True),
        "broadcast not summed": -g * a / b**2,
        "mean for sum": -(g * a / b**2).mean(1, keepdims=True),
        "missing chain factor 2": -(g / b**2).sum(1, keepdims=True),
    }.get(m, -(g * a / b**2).sum(1, keepdims=True))
    return (g if m == "missing chain factor 3" else g / b), db


MASK = (np.random.default_rng(5).random((4, 5)) < 0.7) / 0.7


def dropout_vjp(m, g, x):
    return {"missing chain factor": g, "missing chain factor 2": g * (MASK > 0), "other activation": g}.get(m, g * MASK)


def sample(mu, log_sigma, eps):
    return mu + np.exp(log_sigma) * eps


def sample_vjp(m, g, mu, log_sigma, eps):
    s = np.exp(log_sigma)
    dl = {
        "missing chain factor": g * eps,
        "missing chain factor 2": g * s,
        "sign 2": -g * eps * s,
        "constant factor 3": 0.5 * g * eps * s,
        "another input 2": g,
    }.get(m, g * eps * s)
    return (g * s if m == "another input 3" else g), dl, (g if m == "missing chain factor 4" else g * s)


def positive(rng, *shape):
    return 0.5 + rng.random(shape)


CASES = [
    Case(
        "tanh",
        np.tanh,
        tanh_vjp,
        normal(3, 4),
        ("y for x", "y for x 2", "other activation", "missing chain factor", "cotangent ignored", "other activation 2"),
    ),
    Case(
        "sigmoid",
        sigmoid,
        sigmoid_vjp,
        normal(2, 5),
        ("y for x", "y for x 2", "other activation", "missing chain factor", "missing chain factor 2", "cotangent ignored"),
    ),
    Case(
        "softplus",
        softplus,
        softplus_vjp,
        normal(7),
        ("y for x", "other activation", "other activation 2", "missing chain factor", "cotangent ignored", "sign 2"),
    ),
    Case(
        "GELU",
        gelu,
        gelu_vjp,
        normal(3, 5),
        (
            "y for x",
            "dropped term",
            "dropped term 2",
            "other activation",
            "other activation 2",
            "missing chain factor",
            "sign 2",
            "cotangent ignored",
        ),
    ),
    Case(
        "SiLU",
        lambda x: x * sigmoid(x),
        silu_vjp,
        normal(11),
        ("y for x", "dropped term", "dropped term 2", "sign 2", "other activation", "cotangent ignored", "missing chain factor"),
    ),
    Case(
        "leaky ReLU",
        leaky,
        leaky_vjp,
        normal(3, 4),
        ("other activation", "other activation 2", "missing chain factor", "cotangent ignored"),
    ),
    Case(
        "ELU", elu, elu_vjp, normal(3, 4), ("other activation", "y for x", "y for x 2", "missing chain factor", "cotangent ignored")
    ),
    Case(
        "add a bias",
        lambda x, b: x + b,
        add_bias_vjp,
        lambda rng: (rng.normal(size=(3, 5)), rng.normal(size=5)),
        ("broadcast not summed", "broadcast not summed 2", "mean for sum", "sum for mean", "sign 2"),
    ),
    Case(
        "scale",
        lambda x, w: x * w,
        scale_vjp,
        lambda rng: (rng.normal(size=(4, 3)), rng.normal(size=3)),
        (
            "broadcast not summed",
            "broadcast not summed 2",
            "mean for sum",
            "missing chain factor",
            "missing chain factor 2",
            "sign 2",
        ),
    ),
    Case(
        "divide",
        lambda a, b: a / b,
        divide_vjp,
        lambda rng: (rng.normal(size=(4, 3)), positive(rng, 4, 1)),
        (
            "sign 2",
            "missing chain factor",
            "missing chain factor 2",
            "missing chain factor 3",
            "broadcast not summed",
            "mean for sum",
        ),
    ),
    Case("dropout", lambda x: x * MASK, dropout_vjp, normal(4, 5), ("missing chain factor",)),
    Case(
        "reparametrised sample",
        sample,
        sample_vjp,
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))),
        (
            "missing chain factor",
            "missing chain factor 2",
            "missing chain factor 4",
            "sign 2",
            "another input 2",
            "another input 3",
        ),
    ),
]

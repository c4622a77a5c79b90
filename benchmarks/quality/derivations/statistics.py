"""Reductions, indexing, an unrolled step of Adam, a cell of an LSTM."""

import numpy as np

from .case import Case
from .elementwise import sigmoid

INDEX = np.array([1, 3, 3, 0, 1])


def mean_vjp(m, g, x):
    wide = np.ones_like(x) * g[:, None]
    return {"sum for mean": wide, "mean for sum": wide / x.shape[1] ** 2, "cotangent ignored": np.ones_like(x) / x.shape[1]}.get(
        m, wide / x.shape[1]
    )


def var_vjp(m, g, x):
    n, c = x.shape[1], x - x.mean(1, keepdims=True)
    return {
        "sum for mean": 2 * g[:, None] * c,
        "missing chain factor": g[:, None] * c / n,
        "dropped term": 2 * g[:, None] * x / n,
        "constant factor 3": 2 * g[:, None] * c / (n - 1),
        "cotangent ignored": 2 * c / n,
        "detached 2": 2 * g[:, None] * x / n,
    }.get(m, 2 * g[:, None] * c / n)


def std(x):
    mu = x.mean(1, keepdims=True)
    return np.sqrt(((x - mu) ** 2).mean(1))


def std_vjp(m, g, x):
    n, c, s = x.shape[1], x - x.mean(1, keepdims=True), std(x)[:, None]
    g = g[:, None]
    return {
        "sum for mean": g * c / s,
        "missing chain factor": 2 * g * c / n,
        "missing chain factor 2": 2 * g * c / (n * s),
        "constant factor 3": g * c / (s * (n - 1)),
        "cotangent ignored": c / (n * s),
    }.get(m, g * c / (n * s))


def norm_vjp(m, g, x):
    r = np.sqrt((x**2).sum(1))[:, None]
    return {
        "missing chain factor": g[:, None] * x,
        "missing chain factor 2": 2 * g[:, None] * x / r,
        "missing chain factor 3": g[:, None] / r * np.ones_like(x),
        "mean for sum": g[:, None] * x / r / x.shape[1],
        "cotangent ignored": x / r,
    }.get(m, g[:, None] * x / r)


def cumsum_vjp(m, g, x):
    right = g[:, ::-1].cumsum(1)[:, ::-1]
    return {
        "transpose": g.cumsum(1),
        "missing chain factor": g,
        "transpose 2": g[:, ::-1].cumsum(1),
        "off by one 2": right - g,
    }.get(m, right)


def prod_vjp(m, g, x):
    p = x.prod(1, keepdims=True)
    g = g[:, None]
    return {
        "missing chain factor": g * p * np.ones_like(x),
        "missing chain factor 2": g / x,
        "cotangent ignored": p / x,
        "sign 2": -g * p / x,
    }.get(m, g * p / x)


def take_vjp(m, g, w):
    dw = np.zeros_like(w)
    if m == "broadcast not summed":
        dw[INDEX] = g
    elif m == "broadcast not summed 2":
        dw[INDEX] += g
    elif m == "off by one 2":
        np.add.at(dw, INDEX + 1, g)
    else:
        np.add.at(dw, INDEX, g)
    return dw / len(INDEX) if m == "mean for sum" else dw


def max_vjp(m, g, x):
    mask = x == x.max(1, keepdims=True)
    return {
        "missing chain factor": g[:, None] * np.ones_like(x),
        "sign 2": -g[:, None] * mask,
        "cotangent ignored": 1.0 * mask,
    }.get(m, g[:, None] * mask)


B1, B2, RATE, EPS = 0.9, 0.99, 0.1, 1e-3


def adam(theta, grad, mean, square):
    """One step of Adam (Kingma and Ba 2015, algorithm 1) at t = 3, as an unrolled GAN differentiates it."""
    m1 = B1 * mean + (1 - B1) * grad
    v1 = B2 * square + (1 - B2) * grad**2
    m_hat, v_hat = m1 / (1 - B1**3), v1 / (1 - B2**3)
    return theta - RATE * m_hat / (np.sqrt(v_hat) + EPS)


def adam_vjp(m, g, theta, grad, mean, square):
    m_hat = (B1 * mean + (1 - B1) * grad) / (1 - B1**3)
    v_hat = (B2 * square + (1 - B2) * grad**2) / (1 - B2**3)
    root = np.sqrt(v_hat)
    dm = -g * RATE / (root + EPS)
    dv = g * RATE * m_hat / (root + EPS) ** 2 / (2 * root)
    if m == "missing chain factor":
        dv = dv * (2 * root)
    if m == "sign 2":
        dv = -dv
    first, second = dm * (1 - B1) / (1 - B1**3), dv * (1 - B2) * 2 * grad / (1 - B2**3)
    if m == "missing chain factor 2":
        second = second / 2
    if m == "missing chain factor 3":
        first = dm / (1 - B1**3)
    dgrad = {"dropped term": first, "detached 2": first, "dropped term 2": second}.get(m, first + second)
    dmean = {"missing chain factor 4": dm * B1}.get(m, dm * B1 / (1 - B1**3))
    return g, dgrad, dmean, dv * B2 / (1 - B2**3)


def lstm(x, h, c, w):
    z = np.concatenate([x, h], 1) @ w
    i, f, o, n = np.split(z, 4, 1)
    cell = sigmoid(f) * c + sigmoid(i) * np.tanh(n)
    return sigmoid(o) * np.tanh(cell)


def lstm_vjp(m, g, x, h, c, w):
    z = np.concatenate([x, h], 1) @ w
    i, f, o, n = np.split(z, 4, 1)
    si, sf, so, tn = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(n)
    cell = sf * c + si * tn
    tc = np.tanh(cell)
    dcell = g * so * (1 - tc**2)
    if m == "missing chain factor":
        dcell = g * so
    do = {"missing chain factor 2": g * tc, "dropped term": 0 * g}.get(m, g * tc * so * (1 - so))
    df = {"other activation": dcell * c * (1 - np.tanh(f) ** 2), "y for x": dcell * c * sigmoid(sf) * (1 - sigmoid(sf))}.get(
        m, dcell * c * sf * (1 - sf)
    )
    di = {"sign 2": -dcell * tn * si * (1 - si)}.get(m, dcell * tn * si * (1 - si))
    dn = {"y for x 2": dcell * si * (1 - n**2), "missing chain factor 3": dcell * si}.get(m, dcell * si * (1 - tn**2))
    dz = np.concatenate([di, df, do, dn], 1)
    dxh = dz @ w.T
    xh = np.concatenate([x, h], 1)
    return (
        dxh[:, : x.shape[1]],
        dxh[:, x.shape[1] :],
        (dcell if m == "missing chain factor 4" else dcell * sf),
        (xh.T @ dz / len(x) if m == "mean for sum" else xh.T @ dz),
    )


def apart(rng):
    return (rng.permutation(12).reshape(3, 4) + rng.random((3, 4)) / 2,)


def away(rng, *shape):
    x = rng.normal(size=shape)
    return (x + 0.3 * np.sign(x),)


CASES = [
    Case(
        "mean",
        lambda x: x.mean(1),
        mean_vjp,
        lambda rng: (rng.normal(size=(3, 5)),),
        ("sum for mean", "mean for sum", "cotangent ignored"),
    ),
    Case(
        "variance",
        lambda x: x.var(1),
        var_vjp,
        lambda rng: (rng.normal(size=(3, 5)),),
        ("sum for mean", "missing chain factor", "constant factor 3", "cotangent ignored"),
    ),
    Case(
        "standard deviation",
        std,
        std_vjp,
        lambda rng: (rng.normal(size=(3, 5)),),
        ("sum for mean", "missing chain factor", "missing chain factor 2", "constant factor 3", "cotangent ignored"),
    ),
    Case(
        "L2 norm",
        lambda x: np.sqrt((x**2).sum(1)),
        norm_vjp,
        lambda rng: (rng.normal(size=(3, 5)),),
        ("missing chain factor", "missing chain factor 2", "missing chain factor 3", "mean for sum", "cotangent ignored"),
    ),
    Case(
        "cumsum",
        lambda x: np.cumsum(x, 1),
        cumsum_vjp,
        lambda rng: (rng.normal(size=(2, 5)),),
        ("transpose", "missing chain factor"),
    ),
    Case(
        "product",
        lambda x: x.prod(1),
        prod_vjp,
        lambda rng: away(rng, 3, 4),
        ("missing chain factor", "missing chain factor 2", "cotangent ignored", "sign 2"),
    ),
    Case(
        "embedding",
        lambda w: w[INDEX],
        take_vjp,
        lambda rng: (rng.normal(size=(5, 3)),),
        ("broadcast not summed", "broadcast not summed 2", "off by one 2", "mean for sum"),
    ),
    Case("maximum", lambda x: x.max(1), max_vjp, apart, ("missing chain factor", "sign 2", "cotangent ignored")),
    Case(
        "step of Adam",
        adam,
        adam_vjp,
        lambda rng: (*(rng.normal(size=5) for _ in range(3)), 0.5 + rng.random(5)),
        (
            "missing chain factor",
            "missing chain factor 2",
            "missing chain factor 3",
            "missing chain factor 4",
            "sign 2",
            "dropped term",
            "detached 2",
            "dropped term 2",
        ),
    ),
    Case(
        "LSTM cell",
        lstm,
        lstm_vjp,
        lambda rng: (rng.normal(size=(3, 2)), rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.normal(size=(6, 16))),
        (
            "missing chain factor",
            "missing chain factor 2",
            "missing chain factor 3",
            "missing chain factor 4",
            "other activation",
            "y for x",
            "y for x 2",
            "sign 2",
            "dropped term",
            "mean for sum",
        ),
    ),
]

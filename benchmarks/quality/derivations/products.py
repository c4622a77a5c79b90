"""Products and matrices: matmul, attention, inverse, determinant, norms."""

import numpy as np

from .case import Case
from .elementwise import sigmoid
from .losses import softmax


def matmul_vjp(m, g, a, b):
    da = {"transpose": g @ b, "missing chain factor": g @ np.ones_like(b).T}.get(m, g @ b.T)
    db = {"transpose 2": a @ g, "transpose 3": (a.T @ g).T, "mean for sum": a.T @ g / len(a), "another input 2": da}.get(m, a.T @ g)
    return da, db


def rectangular_vjp(m, g, a, b):
    da = {"transpose": (g @ b.T).T, "missing chain factor": g @ np.ones_like(b).T}.get(m, g @ b.T)
    db = {"transpose 2": g.T @ a, "mean for sum": a.T @ g / len(a), "sign 2": -a.T @ g}.get(m, a.T @ g)
    return da, db


def batched_vjp(m, g, a, b):
    bt = np.swapaxes(b, -1, -2)
    db = np.swapaxes(a, -1, -2) @ g
    da = {"transpose": g @ b, "sign 2": -g @ bt}.get(m, g @ bt)
    return da, {"transpose 2": a @ g, "mean for sum": db / len(a), "transpose 3": np.swapaxes(db, -1, -2)}.get(m, db)


def shared_vjp(m, g, x, w):
    dw = np.swapaxes(x, -1, -2) @ g
    return g @ w.T, {"broadcast not summed": dw, "mean for sum": dw.mean(0), "broadcast not summed 2": dw[0]}.get(m, dw.sum(0))


def outer_vjp(m, g, a, b):
    da = {"missing chain factor": g.sum(1), "mean for sum": (g @ b) / len(b), "sign 2": -g @ b}.get(m, g @ b)
    return da, {"missing chain factor 2": g.sum(0), "mean for sum 2": g.T @ a / len(a)}.get(m, g.T @ a)


def layer(x, w, b):
    return np.tanh(x @ w + b)


def layer_vjp(m, g, x, w, b):
    y = np.tanh(x @ w + b)
    d = {
        "missing chain factor": g,
        "y for x": g * (1 - np.tanh(y) ** 2),
        "y for x 2": g * (1 - (x @ w + b) ** 2),
        "other activation": g * sigmoid(x @ w + b) * (1 - sigmoid(x @ w + b)),
        "other activation 2": g * (y > 0),
    }.get(m, g * (1 - y**2))
    db = {"broadcast not summed": d, "mean for sum": d.mean(0)}.get(m, d.sum(0))
    return d @ w.T, {"mean for sum 2": x.T @ d / len(x), "transpose": d.T @ x, "dropped term": x[:1].T @ d[:1]}.get(m, x.T @ d), db


def attention(q, k, v):
    return softmax(q @ k.T / np.sqrt(q.shape[1])) @ v


def attention_vjp(m, g, q, k, v):
    p, d = softmax(q @ k.T / np.sqrt(q.shape[1])), np.sqrt(q.shape[1])
    dp = g @ v.T
    inner = (dp * p).sum(1, keepdims=True)
    ds = {
        "dropped term": p * dp,
        "mean for sum": p * (dp - inner / p.shape[1]),
        "sign 2": p * (dp + inner),
        "missing chain factor 2": dp - inner,
    }.get(m, p * (dp - inner))
    if m != "missing chain factor":
        ds = ds / d
    dq = ds @ (v if m == "another input" else k)
    return dq, (ds @ q if m == "transpose" else ds.T @ q), (p @ g if m == "transpose 2" else p.T @ g)


def cosine(a, b):
    return (a * b).sum(1) / (np.sqrt((a**2).sum(1)) * np.sqrt((b**2).sum(1)))


def cosine_vjp(m, g, a, b):
    na, nb = np.sqrt((a**2).sum(1, keepdims=True)), np.sqrt((b**2).sum(1, keepdims=True))
    c, g = cosine(a, b)[:, None], g[:, None]
    da = {
        "dropped term": g * b / (na * nb),
        "sign 2": g * (b / (na * nb) + c * a / na**2),
        "dropped term 2": -g * c * a / na**2,
        "detached 2": g * b / (na * nb),
        "missing chain factor": g * (b / nb - c * a / na),
    }.get(m, g * (b / (na * nb) - c * a / na**2))
    return da, g * (a / (na * nb) - c * b / nb**2)


def frobenius_vjp(m, g, x):
    n = np.sqrt((x**2).sum())
    return {
        "missing chain factor": g * x,
        "missing chain factor 2": 2 * g * x / n,
        "cotangent ignored": x / n,
        "missing chain factor 3": g * x / n**2,
        "mean for sum": g * x / n / x.size,
    }.get(m, g * x / n)


def trace_vjp(m, g, a, b):
    return {"transpose": g * b}.get(m, g * b.T), {"transpose 2": g * a, "cotangent ignored": a.T}.get(m, g * a.T)


def det_vjp(m, g, x):
    d, inv = np.linalg.det(x), np.linalg.inv(x)
    return {
        "transpose": g * d * inv,
        "missing chain factor": g * inv.T,
        "missing chain factor 2": g * d * np.eye(len(x)),
        "cotangent ignored": d * inv.T,
    }.get(m, g * d * inv.T)


def logdet(x):
    return np.linalg.slogdet(x)[1]


def logdet_vjp(m, g, x):
    inv = np.linalg.inv(x)
    return {"transpose": g * inv, "missing chain factor": g * np.linalg.det(x) * inv.T, "cotangent ignored": inv.T}.get(
        m, g * inv.T
    )


def inverse_vjp(m, g, x):
    y = np.linalg.inv(x)
    return {
        "transpose": -y @ g @ y,
        "sign 2": y.T @ g @ y.T,
        "transpose 2": -y.T @ g.T @ y.T,
        "transpose 3": -(y.T @ g @ y.T).T,
    }.get(m, -y.T @ g @ y.T)


def quadratic(x, a):
    return x @ a @ x


def quadratic_vjp(m, g, x, a):
    return {"dropped term": g * (a @ x), "dropped term 2": g * (a.T @ x), "transpose": 2 * g * (a @ x)}.get(
        m, g * (a @ x + a.T @ x)
    ), {"constant factor 3": 2 * g * np.outer(x, x)}.get(m, g * np.outer(x, x))


def residual(x, w1, w2):
    return x + np.maximum(x @ w1, 0) @ w2


def residual_vjp(m, g, x, w1, w2):
    pre = x @ w1
    h = np.maximum(pre, 0)
    dh = g @ w2.T
    dpre = {"missing chain factor": dh, "other activation": dh * np.where(pre > 0, 1, 0.2)}.get(m, dh * (pre > 0))
    dx = {"dropped term": dpre @ w1.T, "dropped term 2": g, "sign 2": g - dpre @ w1.T, "detached 2": g}.get(m, g + dpre @ w1.T)
    return dx, {"mean for sum": x.T @ dpre / len(x)}.get(m, x.T @ dpre), {"transpose": (h.T @ g).T}.get(m, h.T @ g)


def two(*shapes):
    return lambda rng: tuple(rng.normal(size=s) for s in shapes)


def invertible(rng):
    return (rng.normal(size=(3, 3)) + 3 * np.eye(3),)


CASES = [
    Case(
        "square matmul",
        lambda a, b: a @ b,
        matmul_vjp,
        two((4, 4), (4, 4)),
        ("transpose", "transpose 2", "transpose 3", "missing chain factor", "mean for sum", "another input 2"),
    ),
    Case(
        "matmul",
        lambda a, b: a @ b,
        rectangular_vjp,
        two((2, 3), (3, 5)),
        ("transpose", "transpose 2", "missing chain factor", "mean for sum", "sign 2"),
    ),
    Case(
        "batched matmul",
        lambda a, b: a @ b,
        batched_vjp,
        two((2, 3, 3), (2, 3, 3)),
        ("transpose", "transpose 2", "transpose 3", "sign 2", "mean for sum"),
    ),
    Case(
        "matmul with shared weights",
        lambda x, w: x @ w,
        shared_vjp,
        two((2, 3, 4), (4, 5)),
        ("broadcast not summed", "broadcast not summed 2", "mean for sum"),
    ),
    Case(
        "outer product",
        lambda a, b: np.outer(a, b),
        outer_vjp,
        two((3,), (4,)),
        ("missing chain factor", "missing chain factor 2", "mean for sum", "mean for sum 2", "sign 2"),
    ),
    Case(
        "linear layer",
        layer,
        layer_vjp,
        two((3, 4), (4, 5), (5,)),
        (
            "missing chain factor",
            "y for x",
            "y for x 2",
            "other activation",
            "other activation 2",
            "broadcast not summed",
            "mean for sum",
            "mean for sum 2",
            "transpose",
        ),
    ),
    Case(
        "attention",
        attention,
        attention_vjp,
        two((3, 4), (5, 4), (5, 2)),
        ("dropped term", "mean for sum", "sign 2", "missing chain factor", "missing chain factor 2"),
    ),
    Case(
        "self-attention",
        attention,
        attention_vjp,
        two((4, 4), (4, 4), (4, 4)),
        ("dropped term", "mean for sum", "sign 2", "missing chain factor", "another input", "transpose", "transpose 2"),
    ),
    Case("cosine similarity", cosine, cosine_vjp, two((3, 4), (3, 4)), ("dropped term", "dropped term 2", "sign 2", "detached 2")),
    Case(
        "Frobenius norm",
        lambda x: np.sqrt((x**2).sum()),
        frobenius_vjp,
        two((3, 4)),
        ("missing chain factor", "missing chain factor 2", "missing chain factor 3", "cotangent ignored", "mean for sum"),
    ),
    Case(
        "trace of a product",
        lambda a, b: np.trace(a @ b),
        trace_vjp,
        two((3, 3), (3, 3)),
        ("transpose", "transpose 2", "cotangent ignored"),
    ),
    Case("determinant", np.linalg.det, det_vjp, invertible, ("transpose", "missing chain factor", "cotangent ignored")),
    Case("log-determinant", logdet, logdet_vjp, invertible, ("transpose", "cotangent ignored")),
    Case("inverse", np.linalg.inv, inverse_vjp, invertible, ("transpose", "transpose 2", "transpose 3", "sign 2")),
    Case(
        "quadratic form",
        quadratic,
        quadratic_vjp,
        two((4,), (4, 4)),
        ("dropped term", "dropped term 2", "transpose", "constant factor 3"),
    ),
    Case(
        "residual block",
        residual,
        residual_vjp,
        two((3, 4), (4, 5), (5, 4)),
        (
            "missing chain factor",
            "other activation",
            "dropped term",
            "dropped term 2",
            "sign 2",
            "detached 2",
            "mean for sum",
            "transpose",
        ),
    ),
]

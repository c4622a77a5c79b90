"""Convolutions and pooling over NHWC images, in loops as one writes them by hand."""

import numpy as np

from .case import Case


def conv2d(x, w, stride=2, pad=1):
    xp = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    kh, kw, _, c_out = w.shape
    oh, ow = (xp.shape[1] - kh) // stride + 1, (xp.shape[2] - kw) // stride + 1
    y = np.zeros((len(x), oh, ow, c_out))
    for i in range(oh):
        for j in range(ow):
            patch = xp[:, i * stride : i * stride + kh, j * stride : j * stride + kw, :]
            y[:, i, j, :] = np.tensordot(patch, w, ([1, 2, 3], [0, 1, 2]))
    return y


def conv2d_back(m, g, x, w, stride, pad):
    n, h, wide, c = x.shape
    kh, kw = w.shape[:2]
    off = {"off by one 2": 1, "off by one 3": -1}.get(m, 0)
    big = np.zeros((n, h + 2 * pad + 4, wide + 2 * pad + 4, c))
    xp = np.pad(x, ((0, 0), (pad + 2, pad + 2), (pad + 2, pad + 2), (0, 0)))
    dw = np.zeros_like(w)
    step = {"off by one 4": stride - 1 or 2}.get(m, stride)
    for i in range(g.shape[1]):
        for j in range(g.shape[2]):
            back = np.tensordot(g[:, i, j, :], w, (1, 3))
            if m == "transpose":
                back = back[:, ::-1, ::-1]
            a, b = i * step + 2, j * step + 2
            big[:, a : a + kh, b : b + kw] += back
            s = {"off by one 5": 1}.get(m, 0)
            a, b = i * stride + 2 + s, j * stride + 2 + s
            dw += np.tensordot(xp[:, a : a + kh, b : b + kw], g[:, i, j, :], (0, 0))
    dx = big[:, pad + 2 + off : pad + 2 + off + h, pad + 2 + off : pad + 2 + off + wide]
    return dx, {"mean for sum": dw / n, "sign 2": -dw, "transpose 2": dw[::-1, ::-1]}.get(m, dw)


def conv_vjp(m, g, x, w):
    return conv2d_back(m, g, x, w, 2, 1)


def conv_1(x, w):
    return conv2d(x, w, 1, 0)


def conv_1_vjp(m, g, x, w):
    return conv2d_back(m, g, x, w, 1, 0)


def conv_transpose(x, w, stride=2, pad=1):
    n, h, wide, _ = x.shape
    kh, kw, c_out, _ = w.shape
    y = np.zeros((n, (h - 1) * stride + kh, (wide - 1) * stride + kw, c_out))
    for i in range(h):
        for j in range(wide):
            y[:, i * stride : i * stride + kh, j * stride : j * stride + kw] += np.tensordot(x[:, i, j], w, (1, 3))
    return y[:, pad : y.shape[1] - pad, pad : y.shape[2] - pad]


def conv_transpose_vjp(m, g, x, w, stride=2, pad=1):
    n, h, wide, _ = x.shape
    kh, kw = w.shape[:2]
    pad = {"off by one 2": pad + 1, "off by one 3": pad - 1}.get(m, pad)
    gp = np.pad(g, ((0, 0), (pad, 4), (pad, 4), (0, 0)))
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(h):
        for j in range(wide):
            patch = gp[:, i * stride : i * stride + kh, j * stride : j * stride + kw]
            dx[:, i, j] = np.tensordot(patch, w, ([1, 2, 3], [0, 1, 2]))
            dw += np.tensordot(patch, x[:, i, j], (0, 0))
    return dx, {"mean for sum": dw / n, "transpose": dw[::-1, ::-1]}.get(m, dw)


def average_pool(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


def average_pool_vjp(m, g, x):
    wide = np.repeat(np.repeat(g, 2, 1), 2, 2)
    return {
        "sum for mean": wide,
        "mean for sum": wide / 16,
        "constant factor 3": wide / 2,
        "dropped term": wide / 4 * first(x),
    }.get(m, wide / 4)


def first(x):
    mask = np.zeros_like(x)
    mask[:, ::2, ::2] = 1
    return mask


def max_pool(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def max_pool_vjp(m, g, x):
    wide, top = np.repeat(np.repeat(g, 2, 1), 2, 2), np.repeat(np.repeat(max_pool(x), 2, 1), 2, 2)
    return {"missing chain factor": wide, "mean for sum": wide * (x == top) / 4, "cotangent ignored": 1.0 * (x == top)}.get(
        m, wide * (x == top)
    )


def conv1d(x, w):
    return np.stack([(x[i : i + len(w)] * w).sum() for i in range(len(x) - len(w) + 1)])


def conv1d_vjp(m, g, x, w):
    dx, dw = np.zeros(len(x) + 1), np.zeros_like(w)
    for i in range(len(g)):
        at = i + (m == "off by one 2")
        dx[at : at + len(w)] += g[i] * (w[::-1] if m == "transpose" else w)
        at = i + (m == "off by one 3" and i < len(g) - 1)
        dw += g[i] * x[at : at + len(w)]
    return dx[: len(x)], {"mean for sum": dw / len(g), "transpose 2": dw[::-1]}.get(m, dw)


CASES = [
    Case(
        "conv2d, stride 2, pad 1",
        conv2d,
        conv_vjp,
        lambda rng: (rng.normal(size=(2, 6, 6, 2)), rng.normal(size=(4, 4, 2, 3))),
        ("off by one 2", "off by one 3", "off by one 4", "off by one 5", "transpose", "transpose 2", "mean for sum", "sign 2"),
    ),
    Case(
        "conv2d",
        conv_1,
        conv_1_vjp,
        lambda rng: (rng.normal(size=(2, 5, 5, 2)), rng.normal(size=(3, 3, 2, 2))),
        ("off by one 2", "off by one 3", "off by one 5", "transpose", "transpose 2", "mean for sum", "sign 2"),
    ),
    Case(
        "transposed convolution",
        conv_transpose,
        conv_transpose_vjp,
        lambda rng: (rng.normal(size=(2, 4, 4, 2)), rng.normal(size=(4, 4, 1, 2))),
        ("off by one 2", "off by one 3", "mean for sum", "transpose"),
    ),
    Case(
        "average pooling",
        average_pool,
        average_pool_vjp,
        lambda rng: (rng.normal(size=(2, 4, 6, 1)),),
        ("sum for mean", "mean for sum", "constant factor 3"),
    ),
    Case(
        "max pooling",
        max_pool,
        max_pool_vjp,
        lambda rng: (rng.permutation(48.0 * np.arange(1, 49) / 48).reshape(2, 4, 6, 1) / 10,),
        ("missing chain factor", "mean for sum", "cotangent ignored"),
    ),
    Case(
        "conv1d",
        conv1d,
        conv1d_vjp,
        lambda rng: (rng.normal(size=9), rng.normal(size=4)),
        ("off by one 2", "transpose", "transpose 2", "mean for sum"),
    ),
]

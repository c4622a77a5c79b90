"""The CPU backend, the default: NumPy's BLAS for products, Numba for everything that NumPy would do in several passes.

A convolution is a matrix product over unrolled patches (im2col; Chellapilla et al. 2006). In NHWC a patch row is a run of
KW * C numbers that lie together in memory, so unrolling copies whole rows. It is done for a few images at a time, so that the
patches are still in the cache when BLAS reads them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numba
import numpy as np

from .contract import KERNELS, Backend, Version

njit = numba.njit(cache=True, nogil=True)
njit_parallel = numba.njit(cache=True, nogil=True, parallel=True)

PATCH_BYTES = 4 << 20  # patches unrolled at a time: as much as a core's share of the last-level cache


def announce_compilation(say: Callable[[str], None]) -> None:
    """Call `say` once if Numba has to compile anything in this process (what is found in its disk cache is not compiled)."""
    from numba.core import event

    class Announcer(event.Listener):
        told = False

        def on_start(self, _event):
            if not self.told:
                self.told = True
                say("compiling the CPU kernels for this machine; this happens once and is then cached")

        def on_end(self, _event):
            pass

    event.register("numba:compile", Announcer())


# ---- elementwise: NumPy where it has one pass, Numba where it would take several ------------------------------------------------


def _flat_inputs(*arrays: np.ndarray, like: np.ndarray) -> list[np.ndarray]:
    """Each array broadcast to the shape of `like`, contiguous and flat; no copy where it is so already."""
    return [np.ascontiguousarray(np.broadcast_to(a, like.shape)).reshape(-1) for a in arrays]


def _shifted(a: np.ndarray, y: np.ndarray) -> bool:
    return np.may_share_memory(a, y) and a.ctypes.data != y.ctypes.data


def _elementwise(loop: Callable, inputs: int) -> Callable:
    """A backend implementation from `loop(*flat inputs, *numbers, flat output)`.

    As in NumPy the output may share memory with the inputs: where they are shifted against each other it is written last.
    """

    def implementation(*arrays, **numbers):
        y = arrays[inputs]
        direct = y.flags.c_contiguous and not any(_shifted(a, y) for a in arrays[:inputs])
        flat = y.reshape(-1) if direct else np.empty(y.size, y.dtype)
        loop(*_flat_inputs(*arrays[:inputs], like=y), *map(y.dtype.type, numbers.values()), flat)
        if not direct:
            y[...] = flat.reshape(y.shape)

    return implementation


@njit
def _sigmoid(x, y):
    for i in range(x.size):
        e = np.exp(-abs(x[i]))
        y[i] = (1 if x[i] >= 0 else e) / (1 + e)


@njit
def _softplus(x, y):
    for i in range(x.size):
        y[i] = max(x[i], 0) + np.log1p(np.exp(-abs(x[i])))


@njit
def _leaky_relu(x, slope, y):
    for i in range(x.size):
        y[i] = x[i] if x[i] > 0 else slope * x[i]


@njit
def _leaky_relu_grad(g, x, slope, y):
    for i in range(x.size):
        y[i] = g[i] if x[i] > 0 else slope * g[i]


@njit
def _tanh_grad(g, t, y):
    for i in range(g.size):
        y[i] = g[i] * (1 - t[i] * t[i])


@njit
def _sigmoid_grad(g, p, y):
    for i in range(g.size):
        y[i] = g[i] * (p[i] * (1 - p[i]))


def equal(a, b, y):
    y[...] = a == b


def power(x, y, exponent):
    """The powers that derivatives are full of need no logarithm."""
    if exponent == 2:
        np.multiply(x, x, out=y)
    elif exponent in (-1, -0.5):
        root = x if exponent == -1 else np.sqrt(x, out=y)
        np.divide(1, root, out=y)
    else:
        np.power(x, x.dtype.type(exponent), out=y)


# ---- reductions and moves -----------------------------------------------------------------------------------------------------


def sum_(x, y, axes, keepdims=False):
    np.sum(x, axis=tuple(axes), keepdims=keepdims, out=y)


def max_(x, y, axes, keepdims=False):
    np.max(x, axis=tuple(axes), keepdims=keepdims, out=y)


def copy(x, y):
    np.copyto(y, x)


def fill(y, value):
    y.fill(value)


# ---- products -----------------------------------------------------------------------------------------------------------------


def matmul(a, b, c, trans_a=False, trans_b=False):
    np.matmul(a.T if trans_a else a, b.T if trans_b else b, out=c)


@njit_parallel
def _im2col(x, kh, kw, stride, pad, oh, ow, cols):
    """x (N, H, W, C) -> cols (N * OH * OW, KH * KW * C): row (n, i, j) holds the patch that output pixel (i, j) sees."""
    n_images, height, width, c = x.shape
    for row in numba.prange(n_images * oh):
        n, i = row // oh, row % oh
        for j in range(ow):
            patch = cols[row * ow + j]
            for u in range(kh):
                y, left = i * stride + u - pad, j * stride - pad
                for v in range(kw):
                    at = (u * kw + v) * c
                    if 0 <= y < height and 0 <= left + v < width:
                        for k in range(c):
                            patch[at + k] = x[n, y, left + v, k]
                    else:
                        for k in range(c):
                            patch[at + k] = 0


@njit_parallel
def _col2im(cols, kh, kw, stride, pad, oh, ow, dx):
    """The adjoint of _im2col: every pixel gathers what the patches hold of it, so no two threads write to one place."""
    n_images, height, width, c = dx.shape
    for row in numba.prange(n_images * height):
        n, y = row // height, row % height
        for x in range(width):
            pixel = dx[n, y, x]
            pixel[:] = 0
            for u in range(kh):
                i, i_rest = (y + pad - u) // stride, (y + pad - u) % stride
                if i_rest or i < 0 or i >= oh:
                    continue
                for v in range(kw):
                    j, j_rest = (x + pad - v) // stride, (x + pad - v) % stride
                    if j_rest or j < 0 or j >= ow:
                        continue
                    at = (u * kw + v) * c
                    patch = cols[(n * oh + i) * ow + j]
                    for k in range(c):
                        pixel[k] += patch[at + k]


def _rows(a: np.ndarray) -> np.ndarray:
    """a (..., C) as a matrix (rows, C); -1 would leave the number of rows open where C is 0."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


class Convolution:
    """conv2d and its two adjoints, over scratch memory that is kept between calls (fresh memory costs a page fault every 4 KiB).

    Not for use from several threads at once; each loaded backend has its own.
    """

    def __init__(self) -> None:
        self._scratch: dict[str, np.ndarray] = {}

    def _take(self, use: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        size = int(np.prod(shape)) * dtype.itemsize
        if use not in self._scratch or self._scratch[use].size < size:
            self._scratch[use] = np.empty(size, np.uint8)
        return self._scratch[use][:size].view(dtype).reshape(shape)

    @staticmethod
    def _chunks(n: int, patch_rows: int, patch: int, dtype: np.dtype) -> list[tuple[int, int]]:
        """Ranges of images whose patches fit in PATCH_BYTES together."""
        step = max(1, PATCH_BYTES // max(1, patch_rows * patch * dtype.itemsize))
        return [(start, min(n, start + step)) for start in range(0, n, step)]

    def conv2d(self, x, w, y, stride, pad):
        (kh, kw, c_in, c_out), (n, oh, ow, _) = w.shape, y.shape
        patch = kh * kw * c_in
        for start, stop in self._chunks(n, oh * ow, patch, x.dtype):
            cols = self._take("cols", ((stop - start) * oh * ow, patch), x.dtype)
            _im2col(x[start:stop], kh, kw, stride, pad, oh, ow, cols)
            np.matmul(cols, w.reshape(patch, c_out), out=_rows(y[start:stop]))

    def conv2d_dx(self, g, w, dx, stride, pad, height, width):
        (kh, kw, c_in, c_out), (n, oh, ow, _) = w.shape, g.shape
        patch = kh * kw * c_in
        for start, stop in self._chunks(n, oh * ow, patch, g.dtype):
            cols = self._take("cols", ((stop - start) * oh * ow, patch), g.dtype)
            np.matmul(_rows(g[start:stop]), w.reshape(patch, c_out).T, out=cols)
            _col2im(cols, kh, kw, stride, pad, oh, ow, dx[start:stop])

    def conv2d_dw(self, x, g, dw, stride, pad, kh, kw):
        (n, oh, ow, c_out), c_in = g.shape, x.shape[3]
        patch = kh * kw * c_in
        flat = dw.reshape(patch, c_out)
        flat[...] = 0
        part = self._take("part", (patch, c_out), x.dtype)
        for start, stop in self._chunks(n, oh * ow, patch, x.dtype):
            cols = self._take("cols", ((stop - start) * oh * ow, patch), x.dtype)
            _im2col(x[start:stop], kh, kw, stride, pad, oh, ow, cols)
            np.matmul(cols.T, _rows(g[start:stop]), out=part)
            np.add(flat, part, out=flat)


# ---- the game's loss, and normalisation ---------------------------------------------------------------------------------------


@njit
def _bce_logits(s, t, loss, ds):
    total = 0.0
    for i in range(s.size):
        e = np.exp(-abs(s[i]))
        rises = s[i] >= 0
        wrong = (1 - t[i]) * s[i] if rises else -t[i] * s[i]
        total += wrong + np.log1p(e)
        sigmoid, opposite = (1, e) if rises else (e, 1)
        ds[i] = ((1 - t[i]) * sigmoid - t[i] * opposite) / (1 + e) / s.size
    loss[0] = total / s.size


def bce_logits(s, t, loss, ds):
    _bce_logits(s.reshape(-1), t.reshape(-1), loss.reshape(1), ds.reshape(-1))


def batch_norm(x, gamma, beta, y, mean, inv_std, eps):
    rows, out = _rows(x), _rows(y)
    np.mean(rows, axis=0, out=mean)
    np.subtract(rows, mean, out=out)
    np.divide(np.einsum("rc,rc->c", out, out), x.dtype.type(rows.shape[0]), out=inv_std)
    inv_std += x.dtype.type(eps)
    np.sqrt(inv_std, out=inv_std)
    np.divide(1, inv_std, out=inv_std)
    out *= inv_std
    out *= gamma
    out += beta


def batch_norm_grad(g, x, gamma, mean, inv_std, dx, dgamma, dbeta):
    rows, cotangent, out = _rows(x), _rows(g), _rows(dx)
    n = x.dtype.type(rows.shape[0])
    np.subtract(rows, mean, out=out)
    out *= inv_std
    np.einsum("rc,rc->c", cotangent, out, out=dgamma)
    np.sum(cotangent, axis=0, out=dbeta)
    out *= -dgamma / n
    out += cotangent
    out -= dbeta / n
    out *= gamma * inv_std


# ---- fused bias and activation ------------------------------------------------------------------------------------------------


@njit
def _bias_leaky_relu(x, b, slope, y):
    for i in range(x.shape[0]):
        for j in range(b.size):
            s = x[i, j] + b[j]
            y[i, j] = s if s > 0 else slope * s


@njit
def _leaky_relu_grad_rows(g, y, slope, dx, db):
    db[:] = 0
    for i in range(g.shape[0]):
        for j in range(db.size):
            d = g[i, j] if y[i, j] > 0 else slope * g[i, j]
            dx[i, j] = d
            db[j] += d


def bias_act(x, b, y, act, slope=0.0):
    if act == "leaky_relu":
        _bias_leaky_relu(_rows(x), b, y.dtype.type(slope), _rows(y))
        return
    np.add(x, b, out=y)
    if act == "tanh":
        np.tanh(y, out=y)
    elif act == "sigmoid":
        _sigmoid(y.reshape(-1), y.reshape(-1))


def bias_act_grad(g, y, dx, db, act, slope=0.0):
    if act == "leaky_relu":
        _leaky_relu_grad_rows(_rows(g), _rows(y), dx.dtype.type(slope), _rows(dx), db)
        return
    if act == "linear":
        np.copyto(dx, g)
    else:
        (_tanh_grad if act == "tanh" else _sigmoid_grad)(g.reshape(-1), y.reshape(-1), dx.reshape(-1))
    np.sum(_rows(dx), axis=0, out=db)


# ---- updates ------------------------------------------------------------------------------------------------------------------


@njit
def _sgd(g, step, theta):
    for i in range(g.size):
        theta[i] += step * g[i]


@njit
def _momentum(g, step, mu, theta, velocity):
    for i in range(g.size):
        velocity[i] = mu * velocity[i] + g[i]
        theta[i] += step * velocity[i]


@njit
def _adam(g, step, root, beta1, rest1, beta2, rest2, eps, theta, m, v):
    """step = sign rate / (1 - beta1^t), root = 1 / (1 - beta2^t): the bias corrections, once for all elements."""
    for i in range(g.size):
        m[i] = beta1 * m[i] + rest1 * g[i]
        v[i] = beta2 * v[i] + rest2 * g[i] * g[i]
        theta[i] += step * m[i] / (np.sqrt(v[i] * root) + eps)


@njit
def _ema(x, decay, rest, average):
    for i in range(x.size):
        average[i] = decay * average[i] + rest * x[i]


def sgd(g, rate, theta, *, sign):
    _sgd(g.reshape(-1), g.dtype.type(sign * rate), theta.reshape(-1))


def momentum(g, rate, theta, velocity, *, sign, mu):
    real = g.dtype.type
    _momentum(g.reshape(-1), real(sign * rate), real(mu), theta.reshape(-1), velocity.reshape(-1))


def adam(g, rate, theta, m, v, t, *, sign, beta1, beta2, eps):
    real = g.dtype.type
    t += 1
    steps = float(t)
    step, root = sign * float(rate) / (1 - beta1**steps), 1 / (1 - beta2**steps)
    numbers = (step, root, beta1, 1 - beta1, beta2, 1 - beta2, eps)
    _adam(g.reshape(-1), *map(real, numbers), theta.reshape(-1), m.reshape(-1), v.reshape(-1))


def ema(x, average, *, decay):
    real = x.dtype.type
    _ema(x.reshape(-1), real(decay), real(1 - decay), average.reshape(-1))


# ---- the backend --------------------------------------------------------------------------------------------------------------


def _ufunc(function: np.ufunc) -> Callable:
    def implementation(*arrays):
        function(*arrays[:-1], out=arrays[-1])

    return implementation


_UFUNCS = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "neg": np.negative, "exp": np.exp, "log": np.log,
           "sqrt": np.sqrt, "abs": np.abs, "sign": np.sign, "tanh": np.tanh}
_LOOPS = {"sigmoid": (_sigmoid, 1), "softplus": (_softplus, 1), "leaky_relu": (_leaky_relu, 1),
          "leaky_relu_grad": (_leaky_relu_grad, 2), "tanh_grad": (_tanh_grad, 2), "sigmoid_grad": (_sigmoid_grad, 2)}
_WHOLE = {"equal": equal, "power": power, "sum": sum_, "max": max_, "copy": copy, "fill": fill, "matmul": matmul,
          "bce_logits": bce_logits, "batch_norm": batch_norm, "batch_norm_grad": batch_norm_grad,
          "bias_act": bias_act, "bias_act_grad": bias_act_grad,
          "sgd": sgd, "momentum": momentum, "adam": adam, "ema": ema}
_TITLES = {"matmul": "NumPy's BLAS", "conv2d": "im2col + BLAS", "conv2d_dx": "BLAS + col2im", "conv2d_dw": "im2col + BLAS"}


def _title(name: str) -> str:
    numba_too = ("bce_logits", "bias_act", "bias_act_grad", "sgd", "momentum", "adam", "ema")
    return _TITLES.get(name, "Numba" if name in _LOOPS or name in numba_too else "NumPy")


def backend() -> Backend:
    """A CPU backend with scratch memory of its own."""
    convolution = Convolution()
    implementations = {name: _ufunc(f) for name, f in _UFUNCS.items()}
    implementations |= {name: _elementwise(loop, inputs) for name, (loop, inputs) in _LOOPS.items()}
    implementations |= _WHOLE | {name: getattr(convolution, name) for name in ("conv2d", "conv2d_dx", "conv2d_dw")}
    return Backend("cpu", implementations, versions=[Version(name, 1, _title(name)) for name in KERNELS])

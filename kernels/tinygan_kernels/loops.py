"""The loops of the CPU backend: what NumPy would do in several passes over memory, in one.

Each takes flat arrays, or matrices (rows, C), and cuts them into `parts` runs that threads share. Runs are cut out before they are
looped over, so that the compiler knows that no index is negative and turns the inner loop into vector instructions. Sums over
rows are taken in blocks of fixed length and added up in order: the number of threads changes no bit of them.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import partial

import numba
import numpy as np

from .blas import span
from .compiled import njit, njit_parallel

WORTH_SHARING = 1 << 16  # elements from which a second thread brings more than it costs
BLOCK = 64  # rows that are summed up before their sum is added to others: keeps rounding small, and the order fixed


class Loop:
    """One loop compiled twice: for the calling thread alone, and for all of them.

    Called with the size that decides between the two, then the arrays and numbers.
    """

    def __init__(self, function: Callable) -> None:
        # a name of its own, as Numba's disk cache does not tell the two compilations apart by their options
        shared = types.FunctionType(function.__code__, function.__globals__, f"{function.__name__}_shared")
        shared.__qualname__ = f"{function.__qualname__}_shared"
        self.serial, self.shared = njit(function), njit_parallel(shared)

    def bound(self, size: int, *arguments) -> Callable[[], None]:
        """The call that `self(size, *arguments)` would make, decided now."""
        if size < WORTH_SHARING:
            return partial(self.serial, *arguments, 1)
        return partial(self.shared, *arguments, numba.get_num_threads())

    def __call__(self, size: int, *arguments) -> None:
        self.bound(size, *arguments)()


# ---- elementwise: (flat inputs, numbers, flat output) ---------------------------------------------------------------------------


@Loop
def sigmoid(x, y, parts):
    for p in numba.prange(parts):
        start, stop = span(x.size, parts, p)
        for i in range(start, stop):
            e = np.exp(-abs(x[i]))
            y[i] = (1 if x[i] >= 0 else e) / (1 + e)


@Loop
def softplus(x, y, parts):
    for p in numba.prange(parts):
        start, stop = span(x.size, parts, p)
        for i in range(start, stop):
            y[i] = max(x[i], 0) + np.log1p(np.exp(-abs(x[i])))


@Loop
def leaky_relu(x, slope, y, parts):
    for p in numba.prange(parts):
        start, stop = span(x.size, parts, p)
        a, out = x[start:stop], y[start:stop]
        for i in range(out.size):
            out[i] = a[i] if a[i] > 0 else slope * a[i]


@Loop
def leaky_relu_grad(g, x, slope, y, parts):
    for p in numba.prange(parts):
        start, stop = span(g.size, parts, p)
        b, a, out = g[start:stop], x[start:stop], y[start:stop]
        for i in range(out.size):
            out[i] = b[i] if a[i] > 0 else slope * b[i]


@Loop
def tanh_grad(g, t, y, parts):
    for p in numba.prange(parts):
        start, stop = span(g.size, parts, p)
        b, a, out = g[start:stop], t[start:stop], y[start:stop]
        for i in range(out.size):
            out[i] = b[i] * (1 - a[i] * a[i])


@Loop
def sigmoid_grad(g, s, y, parts):
    for p in numba.prange(parts):
        start, stop = span(g.size, parts, p)
        b, a, out = g[start:stop], s[start:stop], y[start:stop]
        for i in range(out.size):
            out[i] = b[i] * (a[i] * (1 - a[i]))


# ---- bias and activation over the last axis -------------------------------------------------------------------------------------


@Loop
def bias_leaky_relu(x, b, slope, y, parts):
    """y = x + b where that is positive, else slope (x + b); slope 1 is a bias alone. x, y (rows, C), b (C,)."""
    for p in numba.prange(parts):
        start, stop = span(x.shape[0], parts, p)
        for r in range(start, stop):
            a, out = x[r], y[r]
            for j in range(out.size):
                s = a[j] + b[j]
                out[j] = s if s > 0 else slope * s


@Loop
def leaky_relu_grad_sums(g, y, slope, dx, sums, parts):
    """dx = g where y > 0, else slope g; sums (blocks, C): of dx over BLOCK rows each."""
    for block in numba.prange(sums.shape[0]):
        total = sums[block]
        total[:] = 0
        for r in range(block * BLOCK, min((block + 1) * BLOCK, g.shape[0])):
            b, a, out = g[r], y[r], dx[r]
            for j in range(out.size):
                d = b[j] if a[j] > 0 else slope * b[j]
                out[j] = d
                total[j] += d


@Loop
def row_sums(x, sums, parts):
    """sums (blocks, C): of x (rows, C) over BLOCK rows each."""
    for block in numba.prange(sums.shape[0]):
        total = sums[block]
        total[:] = 0
        for r in range(block * BLOCK, min((block + 1) * BLOCK, x.shape[0])):
            a = x[r]
            for j in range(total.size):
                total[j] += a[j]


# ---- batch normalisation --------------------------------------------------------------------------------------------------------


@Loop
def square_sums(x, mean, sums, parts):
    """sums (blocks, C): of (x - mean)^2."""
    for block in numba.prange(sums.shape[0]):
        total = sums[block]
        total[:] = 0
        for r in range(block * BLOCK, min((block + 1) * BLOCK, x.shape[0])):
            a = x[r]
            for j in range(total.size):
                d = a[j] - mean[j]
                total[j] += d * d


@Loop
def normalise(x, mean, inv_std, gamma, beta, y, parts):
    """y = gamma (x - mean) inv_std + beta"""
    for p in numba.prange(parts):
        start, stop = span(x.shape[0], parts, p)
        for r in range(start, stop):
            a, out = x[r], y[r]
            for j in range(out.size):
                out[j] = gamma[j] * ((a[j] - mean[j]) * inv_std[j]) + beta[j]


@Loop
def product_sums(g, x, mean, inv_std, sums, parts):
    """sums (blocks, 2, C): of g, and of g h, h = (x - mean) inv_std."""
    for block in numba.prange(sums.shape[0]):
        of_g, of_gh = sums[block, 0], sums[block, 1]
        of_g[:] = 0
        of_gh[:] = 0
        for r in range(block * BLOCK, min((block + 1) * BLOCK, x.shape[0])):
            b, a = g[r], x[r]
            for j in range(of_g.size):
                of_g[j] += b[j]
                of_gh[j] += b[j] * ((a[j] - mean[j]) * inv_std[j])


@Loop
def normalise_grad(g, x, mean, inv_std, scale, mean_g, mean_gh, dx, parts):
    """dx = scale (g - mean_g - h mean_gh), scale = gamma inv_std"""
    for p in numba.prange(parts):
        start, stop = span(x.shape[0], parts, p)
        for r in range(start, stop):
            b, a, out = g[r], x[r], dx[r]
            for j in range(out.size):
                out[j] = scale[j] * (b[j] - mean_g[j] - (a[j] - mean[j]) * inv_std[j] * mean_gh[j])


# ---- the loss -------------------------------------------------------------------------------------------------------------------


@njit
def bce_logits(s, t, loss, ds):
    total = 0.0
    for i in range(s.size):
        e = np.exp(-abs(s[i]))
        rises = s[i] >= 0
        wrong = (1 - t[i]) * s[i] if rises else -t[i] * s[i]
        total += wrong + np.log1p(e)
        sigmoid, opposite = (1, e) if rises else (e, 1)
        ds[i] = ((1 - t[i]) * sigmoid - t[i] * opposite) / (1 + e) / s.size
    loss[0] = total / s.size


# ---- updates --------------------------------------------------------------------------------------------------------------------


@Loop
def sgd(g, step, theta, parts):
    for p in numba.prange(parts):
        start, stop = span(g.size, parts, p)
        d, at = g[start:stop], theta[start:stop]
        for i in range(at.size):
            at[i] += step * d[i]


@Loop
def momentum(g, step, mu, theta, velocity, parts):
    for p in numba.prange(parts):
        start, stop = span(g.size, parts, p)
        d, at, v = g[start:stop], theta[start:stop], velocity[start:stop]
        for i in range(at.size):
            v[i] = mu * v[i] + d[i]
            at[i] += step * v[i]


@Loop
def adam(g, rate, sign, beta1, beta2, eps, theta, m, v, t, parts):
    """rate and t are 0-d; beta1, beta2 and eps double, rounded to the dtype's precision once. The corrections of both averages'
    bias are worked out in double precision, once for all elements.
    """
    steps = t[()] + 1.0
    t[()] = steps
    real = theta.dtype.type
    b1, rest1, b2, rest2, small = real(beta1), real(1 - beta1), real(beta2), real(1 - beta2), real(eps)
    step, root = real(sign * rate[()] / (1 - beta1**steps)), real(1 / (1 - beta2**steps))
    for p in numba.prange(parts):
        start, stop = span(g.size, parts, p)
        d, at, first, second = g[start:stop], theta[start:stop], m[start:stop], v[start:stop]
        for i in range(at.size):
            first[i] = b1 * first[i] + rest1 * d[i]
            second[i] = b2 * second[i] + rest2 * d[i] * d[i]
            at[i] += step * first[i] / (np.sqrt(second[i] * root) + small)


@Loop
def ema(x, decay, rest, average, parts):
    for p in numba.prange(parts):
        start, stop = span(x.size, parts, p)
        a, out = x[start:stop], average[start:stop]
        for i in range(out.size):
            out[i] = decay * out[i] + rest * a[i]

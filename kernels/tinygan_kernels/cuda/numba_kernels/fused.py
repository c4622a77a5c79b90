"""Fused elementwise work in Numba CUDA: bias and activation, their gradient, and Adam.

Memory traffic limits all of them, so each reads and writes every number once. Constants are made in the arrays' dtype, as a bare 1
would turn the arithmetic into float64.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

THREADS = 256  # of a block
LINEAR, LEAKY_RELU, TANH, SIGMOID = range(4)  # in the order of shapes.ACTIVATIONS
ROWS_PER_BLOCK = 256  # the rows that a block of bias_act_grad sums before its partial sum goes to memory

device_function = cuda.jit(device=True)


# ---- bias and activation ------------------------------------------------------------------------------------------------------


@device_function
def activate(s, act, slope):
    """Return act(s). All lanes take the same branch, so it costs nothing beside the loads."""
    if act == LEAKY_RELU:
        if s > 0:
            return s
        return slope if slope == 0 and s == s else slope * s  # 0 * -inf would be NaN, and NaN differs from itself
    if act == TANH:
        return math.tanh(s)
    if act == SIGMOID:
        one, e = type(s)(1), math.exp(-abs(s))
        return (one if s >= 0 else e) / (one + e)
    return s


@device_function
def times_slope(g, y, act, slope):
    """Return g act'(x + b), computed from y = act(x + b) alone."""
    one = type(y)(1)
    if act == LEAKY_RELU:
        if y > 0:
            return g
        return slope if slope == 0 else g * slope  # 0 times an infinite g would be NaN
    if act == TANH:
        return g * (one - y * y)
    if act == SIGMOID:
        return g * (y * (one - y))
    return g


@cuda.jit
def bias_act_kernel(x, b, act, slope, y):
    """y = act(x + b), all flat, one thread for each number: one load and one store of 4 bytes, both coalesced; b stays in cache.

    What still hurts: half of the instructions find the channel, a 64-bit remainder; loads take 4 bytes, not 16. Both hide behind
    the memory, which is the limit.
    """
    n = cuda.grid(1)
    if n < x.size:
        y[n] = activate(x[n] + b[n % b.size], act, slope)


@cuda.jit
def bias_act_grad_kernel(g, y, act, slope, dx, partial):
    """dx = g act'(x + b) for rows (R, C), and partial[chunk, c] = sum of dx over the chunk's rows: one pass for both.

    A block takes ROWS_PER_BLOCK rows of up to 256 columns. Its threads form `lines` rows of `width` columns and step down in
    whole rows, so a thread stays on one channel and keeps its sum in a register, while the warp's loads and stores are
    consecutive, even when a row holds 3 numbers. The lines are added up in shared memory in a fixed order.
    What still hurts: with few channels the last sum is long (256 numbers for C = 1) and all but C threads wait for it.
    """
    sums = cuda.shared.array(THREADS, dx.dtype)
    rows, columns = g.shape
    strips = (columns + THREADS - 1) // THREADS
    strip, chunk = cuda.blockIdx.x % strips, cuda.blockIdx.x // strips
    width = min(columns, THREADS)
    lines = THREADS // width
    line, column = cuda.threadIdx.x // width, cuda.threadIdx.x % width + strip * THREADS
    total = dx.dtype.type(0)
    if line < lines and column < columns:
        for row in range(chunk * ROWS_PER_BLOCK + line, min(rows, (chunk + 1) * ROWS_PER_BLOCK), lines):
            d = times_slope(g[row, column], y[row, column], act, slope)
            dx[row, column] = d
            total += d
    sums[cuda.threadIdx.x] = total
    cuda.syncthreads()
    if line == 0 and column < columns:
        for other in range(1, lines):
            total += sums[other * width + cuda.threadIdx.x]
        partial[chunk, column] = total


@cuda.jit
def add_chunks_kernel(partial, db):
    """db[c] = sum over chunks of partial[chunk, c], in order."""
    column = cuda.grid(1)
    if column < db.size:
        total = db.dtype.type(0)
        for chunk in range(partial.shape[0]):
            total += partial[chunk, column]
        db[column] = total


# ---- Adam ---------------------------------------------------------------------------------------------------------------------


@cuda.jit
def adam_corrections_kernel(rate, t, sign, beta1, beta2, corrections):
    """t += 1; corrections = (sign rate / (1 - beta1^t), 1 / (1 - beta2^t)), by one thread, in float64, as 1 - beta2^t cancels.

    This is done on the device because a captured step is replayed: the host would pass the t of the step that was recorded.
    """
    t[0] += 1
    steps = np.float64(t[0])
    corrections[0] = sign * np.float64(rate[0]) / (1.0 - beta1**steps)
    corrections[1] = 1.0 / (1.0 - beta2**steps)


@cuda.jit
def adam_kernel(g, corrections, beta1, rest1, beta2, rest2, eps, theta, m, v):
    """Adam (Kingma and Ba 2015, Algorithm 1): all of a parameter's update in one pass, four loads and three stores, coalesced.

    What still hurts: the memory's speed; and each parameter takes a launch, unless all lie in one flat buffer.
    """
    n = cuda.grid(1)
    if n < g.size:
        new_m = beta1 * m[n] + rest1 * g[n]
        new_v = beta2 * v[n] + rest2 * g[n] * g[n]
        theta[n] += corrections[0] * new_m / (math.sqrt(new_v * corrections[1]) + eps)
        m[n], v[n] = new_m, new_v

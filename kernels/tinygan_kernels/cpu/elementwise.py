"""Elementwise loops, reductions, normalisation and updates of the CPU backend: one pass over memory where NumPy needs several.

Each loop takes flat arrays, or matrices (rows, C), does the part-th of `parts` parts, and leaves the others alone. A part is sliced
out before it is looped over, so that the compiler knows that no index is negative and turns the inner loop into vector
instructions. Sums over rows are taken in blocks of fixed length and added up in order, so the number of threads changes no bit.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.cpu import row_formulas, vector_math
from tinygan_kernels.cpu.runtime.jit import njit_inner
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, share, span

from .row_formulas import address_of

SHORT = 16  # columns below which the rows of a matrix are too short for vector instructions along each of them
BLOCK = 64  # rows that are summed before their sum is added to others: keeps rounding errors small, and the order fixed


# ---- elementwise: (flat inputs, numbers, flat output) ---------------------------------------------------------------------------


@ParallelLoop
def add(a, b, y, part, parts):
    """y = a + b"""
    start, stop = span(y.size, parts, part)
    p, q, out = a[start:stop], b[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = p[i] + q[i]


@ParallelLoop
def mul(a, b, y, part, parts):
    """y = a b"""
    start, stop = span(y.size, parts, part)
    p, q, out = a[start:stop], b[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = p[i] * q[i]


@ParallelLoop
def add_number(a, b, y, part, parts):
    """y = a + b, where b is 0-d"""
    start, stop = span(y.size, parts, part)
    p, q, out = a[start:stop], b[()], y[start:stop]
    for i in range(out.size):
        out[i] = p[i] + q


@ParallelLoop
def mul_number(a, b, y, part, parts):
    """y = a b, where b is 0-d"""
    start, stop = span(y.size, parts, part)
    p, q, out = a[start:stop], b[()], y[start:stop]
    for i in range(out.size):
        out[i] = p[i] * q


@ParallelLoop
def neg(x, y, part, parts):
    """y = -x"""
    start, stop = span(y.size, parts, part)
    a, out = x[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = -a[i]


@ParallelLoop
def square(x, y, part, parts):
    """y = x^2"""
    start, stop = span(y.size, parts, part)
    a, out = x[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = a[i] * a[i]


@ParallelLoop
def reciprocal(x, y, part, parts):
    """y = 1 / x"""
    start, stop = span(y.size, parts, part)
    a, out = x[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = 1 / a[i]


@ParallelLoop
def inverse_root(x, y, part, parts):
    """y = 1 / sqrt(x)"""
    start, stop = span(y.size, parts, part)
    a, out = x[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = 1 / np.sqrt(a[i])


@ParallelLoop
def inverse_square(x, y, part, parts):
    """y = 1 / x^2"""
    start, stop = span(y.size, parts, part)
    a, out = x[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = 1 / (a[i] * a[i])


@ParallelLoop
def copy(x, y, part, parts):
    """y = x"""
    start, stop = span(y.size, parts, part)
    a, out = x[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = a[i]


@ParallelLoop
def fill(value, y, part, parts):
    """y = value"""
    start, stop = span(y.size, parts, part)
    y[start:stop] = value


@ParallelLoop
def tanh(x, y, part, parts):
    """y = tanh(x)"""
    start, stop = span(y.size, parts, part)
    a, out = x[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = vector_math.tanh(a[i])


@ParallelLoop
def sigmoid(x, y, part, parts):
    """y = 1 / (1 + e^-x), from e^-|x|, which cannot overflow"""
    start, stop = span(y.size, parts, part)
    a, out = x[start:stop], y[start:stop]
    for i in range(out.size):
        e = vector_math.exp(-abs(a[i]))
        out[i] = (a.dtype.type(1) if a[i] >= 0 else e) / (1 + e)


@ParallelLoop
def tanh_in_place(y, part, parts):
    """y = tanh(y)

    A loop of its own: where x and y may be the same array, the compiler has to allow for an overlap and writes slower code.
    """
    start, stop = span(y.size, parts, part)
    out = y[start:stop]
    for i in range(out.size):
        out[i] = vector_math.tanh(out[i])


@ParallelLoop
def sigmoid_in_place(y, part, parts):
    """y = sigmoid(y), a loop of its own as tanh_in_place is."""
    start, stop = span(y.size, parts, part)
    out = y[start:stop]
    for i in range(out.size):
        e = vector_math.exp(-abs(out[i]))
        out[i] = (out.dtype.type(1) if out[i] >= 0 else e) / (1 + e)


@ParallelLoop
def softplus(x, y, part, parts):
    """y = ln(1 + e^x), from e^-|x|, which cannot overflow"""
    start, stop = span(y.size, parts, part)
    a, out = x[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = max(a[i], a.dtype.type(0)) + vector_math.log1p(vector_math.exp(-abs(a[i])))


@ParallelLoop
def leaky_relu(x, slope, y, part, parts):
    """y = x where x is positive, else slope x. y may be x."""
    start, stop = span(y.size, parts, part)
    row_formulas.leaky_relu(x, (address_of(x[start:]), address_of(y[start:])), stop - start, (slope,))


@ParallelLoop
def leaky_relu_grad(g, x, slope, y, part, parts):
    """y = g where x is positive, else slope g. y may be g."""
    start, stop = span(y.size, parts, part)
    at = (address_of(g[start:]), address_of(x[start:]), address_of(y[start:]))
    row_formulas.leaky_relu_grad(g, at, stop - start, (slope,))


@ParallelLoop
def tanh_grad(g, t, y, part, parts):
    """y = g (1 - t^2), t = tanh(x)"""
    start, stop = span(y.size, parts, part)
    b, a, out = g[start:stop], t[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = b[i] * (1 - a[i] * a[i])


@ParallelLoop
def sigmoid_grad(g, s, y, part, parts):
    """y = g s (1 - s), s = sigmoid(x)"""
    start, stop = span(y.size, parts, part)
    b, a, out = g[start:stop], s[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = b[i] * (a[i] * (1 - a[i]))


# ---- sums -----------------------------------------------------------------------------------------------------------------------


@ParallelLoop
def row_sums(x, sums, part, parts):
    """sums (blocks, C) = x (rows, C) summed over BLOCK rows each."""
    first, last = share(sums.shape[0], parts, part)
    for block in range(first, last):
        total = sums[block]
        total[:] = 0
        for r in range(block * BLOCK, min((block + 1) * BLOCK, x.shape[0])):
            a = x[r]
            for j in range(total.size):
                total[j] += a[j]


@ParallelLoop
def add_up(sums, y, part, parts):
    """y (C,) = sums (blocks, C) summed over the blocks, in order."""
    start, stop = span(y.size, parts, part)
    total = y[start:stop]
    total[:] = 0
    for block in range(sums.shape[0]):
        a = sums[block, start:stop]
        for j in range(total.size):
            total[j] += a[j]


@ParallelLoop
def block_sums(x, sums, part, parts):
    """sums (blocks,) = x (n,) summed over BLOCK runs of 16 numbers each.

    The runs are added lane by lane, which the compiler turns into vector instructions, and the 16 lanes last.
    """
    first, last = share(sums.size, parts, part)
    lanes = np.empty(16, x.dtype)
    for block in range(first, last):
        lanes[:] = 0
        a = x[block * 16 * BLOCK : min((block + 1) * 16 * BLOCK, x.size)]
        for start in range(0, a.size - 15, 16):
            run = a[start : start + 16]
            for j in range(16):
                lanes[j] += run[j]
        total = x.dtype.type(0)
        for j in range(16):
            total += lanes[j]
        for i in range(a.size // 16 * 16, a.size):
            total += a[i]
        sums[block] = total


@ParallelLoop
def total_of(sums, y, part, parts):
    """y (0-d) = the sum of sums, in order."""
    total = sums.dtype.type(0)
    for i in range(sums.size):
        total += sums[i]
    y[()] = total


@ParallelLoop
def sums_of_rows(x, y, part, parts):
    """y (rows,) = x (rows, C) summed over each row."""
    start, stop = span(y.size, parts, part)
    for r in range(start, stop):
        total = y.dtype.type(0)
        for j in range(x.shape[1]):
            total += x[r, j]
        y[r] = total


@ParallelLoop
def largest_of_rows(x, y, part, parts):
    """y (rows,) = the largest number of each row of x (rows, C), C at least 1; NaN where a row has one."""
    start, stop = span(y.size, parts, part)
    for r in range(start, stop):
        largest = x[r, 0]
        for j in range(1, x.shape[1]):
            if x[r, j] > largest or x[r, j] != x[r, j]:
                largest = x[r, j]
        y[r] = largest


# ---- bias and activation over the last axis -------------------------------------------------------------------------------------


@ParallelLoop
def bias_leaky_relu(x, b, slope, y, part, parts):
    """y = x + b where that is positive, else slope (x + b); slope 1 is a bias alone. x, y (rows, C), b (C,)."""
    start, stop = share(x.shape[0], parts, part)
    at_once = _rows_at_once(b.size)
    biases = np.empty((at_once, b.size), b.dtype)
    for r in range(at_once):
        biases[r] = b
    for r in range(start, stop, at_once):
        count = min(at_once, stop - r) * b.size
        row_formulas.bias_leaky_relu(x, (address_of(x[r]), address_of(biases), address_of(y[r])), count, (slope,))


@ParallelLoop
def bias_act_grad(g, y, curve, slope, dx, sums, part, parts):
    """dx = g act'(y), and sums (blocks, C) = dx summed over BLOCK rows each. curve: the activation's number in row_formulas.CURVES.

    Parts are runs of blocks, or of columns where there are more parts than blocks.
    """
    blocks, columns = sums.shape
    by_columns = blocks < parts and columns >= SHORT
    first, last = (0, blocks) if by_columns else share(blocks, parts, part)
    left, right = span(columns, parts, part) if by_columns else (0, columns)
    at_once = _rows_at_once(columns)
    totals = np.empty((at_once, right - left), dx.dtype)
    for block in range(first, last):
        totals[:] = 0
        end = min((block + 1) * BLOCK, g.shape[0])
        for r in range(block * BLOCK, end, at_once):
            at = (address_of(g[r, left:]), address_of(y[r, left:]), address_of(dx[r, left:]), address_of(totals))
            row_formulas.act_grad_sum(g, curve, at, min(at_once, end - r) * totals.shape[1], slope)
        for j in range(totals.shape[1]):
            total = totals[0, j]
            for r in range(1, at_once):
                total += totals[r, j]
            sums[block, left + j] = total


@njit_inner
def _rows_at_once(columns):
    """Return how many rows are passed as if they were one: several where rows are too short for vector instructions."""
    return np.int64(1) if columns >= SHORT else BLOCK // max(columns, 1) + 1


# ---- batch normalisation --------------------------------------------------------------------------------------------------------


@ParallelLoop
def means(sums, n, mean, part, parts):
    """mean (C,) = sums (blocks, C) summed over the blocks, in order, divided by n."""
    mean[:] = 0
    for block in range(sums.shape[0]):
        mean += sums[block]
    mean /= n


@ParallelLoop
def inverse_stds(sums, n, eps, inv_std, part, parts):
    """inv_std (C,) = 1 / sqrt(v + eps), v = sums (blocks, C) summed over the blocks and divided by n."""
    inv_std[:] = 0
    for block in range(sums.shape[0]):
        inv_std += sums[block]
    for j in range(inv_std.size):
        inv_std[j] = 1 / np.sqrt(inv_std[j] / n + eps)


@ParallelLoop
def square_sums(x, mean, sums, part, parts):
    """sums (blocks, C) = (x - mean)^2 summed over BLOCK rows each."""
    first, last = share(sums.shape[0], parts, part)
    for block in range(first, last):
        total = sums[block]
        total[:] = 0
        for r in range(block * BLOCK, min((block + 1) * BLOCK, x.shape[0])):
            a = x[r]
            for j in range(total.size):
                d = a[j] - mean[j]
                total[j] += d * d


@ParallelLoop
def normalise(x, mean, inv_std, gamma, beta, slope, y, part, parts):
    """y = v where v = gamma (x - mean) inv_std + beta is positive, else slope v."""
    start, stop = share(x.shape[0], parts, part)
    for r in range(start, stop):
        a, out = x[r], y[r]
        for j in range(out.size):
            value = gamma[j] * ((a[j] - mean[j]) * inv_std[j]) + beta[j]
            out[j] = value if value > 0 else slope * value


@ParallelLoop
def product_sums(g, y, slope, x, mean, inv_std, sums, part, parts):
    """sums (blocks, 2, C) = d and d h summed over BLOCK rows each, d = g where y is positive, else slope g; h = (x - mean) inv_std.
    """
    first, last = share(sums.shape[0], parts, part)
    for block in range(first, last):
        of_g, of_gh = sums[block, 0], sums[block, 1]
        of_g[:] = 0
        of_gh[:] = 0
        for r in range(block * BLOCK, min((block + 1) * BLOCK, x.shape[0])):
            b, s, a = g[r], y[r], x[r]
            for j in range(of_g.size):
                d = b[j] if s[j] > 0 else slope * b[j]
                of_g[j] += d
                of_gh[j] += d * ((a[j] - mean[j]) * inv_std[j])


@ParallelLoop
def product_totals(sums, n, dbeta, dgamma, mean_g, mean_gh, part, parts):
    """dbeta and dgamma (C,) = sums (blocks, 2, C) summed over the blocks, in order; mean_g and mean_gh = both divided by n."""
    dbeta[:] = 0
    dgamma[:] = 0
    for block in range(sums.shape[0]):
        dbeta += sums[block, 0]
        dgamma += sums[block, 1]
    for j in range(dbeta.size):
        mean_g[j] = dbeta[j] / n
        mean_gh[j] = dgamma[j] / n


@ParallelLoop
def normalise_grad(g, y, slope, x, mean, inv_std, gamma, mean_g, mean_gh, dx, part, parts):
    """dx = gamma inv_std (g' - mean_g - h mean_gh), g' = g where y is positive, else slope g. dx may be g."""
    start, stop = share(x.shape[0], parts, part)
    statistics = (address_of(mean), address_of(inv_std), address_of(gamma), address_of(mean_g), address_of(mean_gh))
    for r in range(start, stop):
        at = (address_of(g[r]), address_of(y[r]), address_of(x[r]), address_of(dx[r]), *statistics)
        row_formulas.normalise_grad(g, at, mean.size, (slope,))


# ---- the loss -------------------------------------------------------------------------------------------------------------------


@ParallelLoop
def bce_logits(s, t, sums, ds, part, parts):
    """ds = ((1-t) sigmoid(s) - t sigmoid(-s)) / size; sums (blocks,), float64 = the losses of BLOCK logits each, summed."""
    first, last = share(sums.size, parts, part)
    for block in range(first, last):
        start, stop = block * BLOCK, min((block + 1) * BLOCK, s.size)
        a, label, made = s[start:stop], t[start:stop], ds[start:stop]
        one, n, total = a.dtype.type(1), a.dtype.type(s.size), 0.0
        for i in range(made.size):  # first the losses, kept in the place of the gradients
            wrong = (one - label[i]) * a[i] if a[i] >= 0 else -label[i] * a[i]
            made[i] = wrong + vector_math.log1p(vector_math.exp(-abs(a[i])))
        for i in range(made.size):
            total += made[i]
        for i in range(made.size):
            e = vector_math.exp(-abs(a[i]))
            up, down = (one, e) if a[i] >= 0 else (e, one)
            made[i] = ((one - label[i]) * up - label[i] * down) / (one + e) / n
        sums[block] = total


@ParallelLoop
def mean_loss(sums, n, loss, part, parts):
    """loss (0-d) = the sum of sums, divided by n."""
    total = 0.0
    for i in range(sums.size):
        total += sums[i]
    loss[()] = total / n


# ---- updates --------------------------------------------------------------------------------------------------------------------


@ParallelLoop
def sgd(g, rate, sign, theta, part, parts):
    """theta += sign rate g, where rate is 0-d"""
    start, stop = span(g.size, parts, part)
    d, at, step = g[start:stop], theta[start:stop], theta.dtype.type(sign * rate[()])
    for i in range(at.size):
        at[i] += step * d[i]


@ParallelLoop
def momentum(g, rate, sign, mu, theta, velocity, part, parts):
    """velocity = mu velocity + g; theta += sign rate velocity, where rate is 0-d."""
    start, stop = span(g.size, parts, part)
    d, at, v, step = g[start:stop], theta[start:stop], velocity[start:stop], theta.dtype.type(sign * rate[()])
    for i in range(at.size):
        v[i] = mu * v[i] + d[i]
        at[i] += step * v[i]


@ParallelLoop
def count(t, part, parts):
    """t (0-d) += 1"""
    t[()] += 1


@ParallelLoop
def adam(g, rate, sign, beta1, beta2, eps, theta, m, v, t, part, parts):
    """Update theta, m and v as the contract's `adam` does. rate and t are 0-d, t counts this step already; beta1, beta2, eps are
    float64.
    """
    numbers = row_formulas.adam_numbers(theta, rate[()], sign, beta1, beta2, eps, np.float64(t[()]))
    start, stop = span(g.size, parts, part)
    at = (address_of(g[start:]), address_of(theta[start:]), address_of(m[start:]), address_of(v[start:]))
    row_formulas.adam(theta, at, stop - start, numbers)


@ParallelLoop
def ema(x, decay, rest, average, part, parts):
    """average = decay average + rest x, rest = 1 - decay."""
    start, stop = span(x.size, parts, part)
    a, out = x[start:stop], average[start:stop]
    for i in range(out.size):
        out[i] = decay * out[i] + rest * a[i]

"""The elementwise loops of the CPU backend: (flat inputs, numbers, flat output), each in one pass over memory.

A loop has the name of its kernel, but for those that compute a special case of one (`add_number`, `square`, `tanh_in_place`).

These loops, and those of `reductions`, `bias_act`, `batch_norm`, `bce` and `updates`, are written in one way. A loop does the
part-th of `parts` parts and leaves the others alone. A part is sliced out before it is looped over, so that the compiler knows that
no index is negative and turns the inner loop into vector instructions.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.cpu import row_formulas, vector_math
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, span

from .row_formulas import address_of


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
def div(a, b, y, part, parts):
    """y = a / b"""
    start, stop = span(y.size, parts, part)
    p, q, out = a[start:stop], b[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = p[i] / q[i]


@ParallelLoop
def div_by_number(a, b, y, part, parts):
    """y = a / b, where b is 0-d"""
    start, stop = span(y.size, parts, part)
    p, q, out = a[start:stop], b[()], y[start:stop]
    for i in range(out.size):
        out[i] = p[i] / q


@ParallelLoop
def pow(a, b, y, part, parts):
    """y = a^b, by the C library: NumPy's vectors and its way with overlapping arrays differ in the last digit"""
    start, stop = span(y.size, parts, part)
    p, q, out = a[start:stop], b[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = p[i] ** q[i]


@ParallelLoop
def where(c, a, b, y, part, parts):
    """y = a where c is not 0, else b"""
    start, stop = span(y.size, parts, part)
    chosen, p, q, out = c[start:stop], a[start:stop], b[start:stop], y[start:stop]
    for i in range(out.size):
        out[i] = p[i] if chosen[i] != 0 else q[i]


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
    """y = x^-0.5 = 1 / sqrt(x), but as in C's pow with an infinity for -0 and 0 for minus infinity"""
    start, stop = span(y.size, parts, part)
    a, out = x[start:stop], y[start:stop]
    for i in range(out.size):
        root = np.sqrt(a[i] + a.dtype.type(0))  # -0 + 0 is 0
        out[i] = 1 / root if a[i] != -np.inf else 0


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

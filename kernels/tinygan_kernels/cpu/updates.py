"""Parameter updates of the CPU backend, in place on flat arrays: SGD, momentum, Adam, and the moving average of parameters.

sign = +1 ascends, -1 descends. The rate and Adam's step count are arrays, 0-d, so that a replayed step sees their new values.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.cpu import row_formulas
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, span

from .row_formulas import address_of


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

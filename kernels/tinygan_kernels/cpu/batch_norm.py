"""Batch normalisation and its gradient on the CPU, each fused with a leaky ReLU: the loops that `backend` puts together.

Arrays are matrices (rows, C), statistics (C,). Forward: `reductions.row_sums`, `means`, `square_sums`, `inverse_stds`, `normalise`.
Backward: `product_sums`, `product_totals`, `normalise_grad`. With slope 1 there is no activation.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.cpu import row_formulas
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, share

from .reductions import BLOCK, add_blocks
from .row_formulas import address_of


@ParallelLoop
def means(sums, n, mean, part, parts):
    """mean (C,) = sums (blocks, C) summed over the blocks, in order, divided by n."""
    add_blocks(sums, 0, mean.size, mean)
    mean /= n


@ParallelLoop
def inverse_stds(sums, n, eps, inv_std, part, parts):
    """inv_std (C,) = 1 / sqrt(v + eps), v = sums (blocks, C) summed over the blocks and divided by n."""
    add_blocks(sums, 0, inv_std.size, inv_std)
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
            out[j] = row_formulas.leaky(value, slope)


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
                d = row_formulas.leaky_grad(b[j], s[j], slope)
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

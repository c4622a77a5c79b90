"""The loss of a GAN on the CPU: the mean binary cross-entropy of logits, and its gradient."""

from __future__ import annotations

from tinygan_kernels.cpu import vector_math
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, share

from .reductions import BLOCK


@ParallelLoop
def bce_logits(s, t, sums, ds, part, parts):
    """Write the gradient of the mean loss into ds, and the loss of each block of BLOCK logits, summed, into sums.

    s: logits (n,). t: labels (n,). ds (n,) = ((1 - t) sigmoid(s) - t sigmoid(-s)) / n. sums (blocks,), float64. The blocks are
    shared out among `parts` threads, of which this is number `part`.
    """
    first, last = share(sums.size, parts, part)
    for block in range(first, last):
        start, stop = block * BLOCK, min((block + 1) * BLOCK, s.size)
        a, label, made = s[start:stop], t[start:stop], ds[start:stop]
        one, n, total = a.dtype.type(1), a.dtype.type(s.size), 0.0
        for i in range(made.size):  # first the losses, which lie in ds until the gradients are written there
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
    """Write the mean loss of n logits, the sum of `sums` over n, into loss (0-d). This loop is run in one part."""
    total = 0.0
    for i in range(sums.size):
        total += sums[i]
    loss[()] = total / n

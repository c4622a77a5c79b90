"""The game's loss on the CPU, the mean binary cross-entropy of logits, and its gradient."""

from __future__ import annotations

from tinygan_kernels.cpu import vector_math
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, share

from .reductions import BLOCK


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

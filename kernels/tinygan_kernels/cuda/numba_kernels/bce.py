"""bce_logits in Numba CUDA: the mean cross-entropy of logits and its gradient, in two passes over the data, then in one.

s, t, ds are flat (n,), loss (1,), all of one dtype. Partial sums of blocks are added up in a fixed order, so the loss does not
change from run to run. Constants are made in the dtype of s: a bare 1 beside a float32 would turn the arithmetic into float64.
"""

from __future__ import annotations

import math

from numba import cuda

THREADS = 256  # of a block
WARP = 32
WARPS = THREADS // WARP
ALL_LANES = 0xFFFFFFFF

device_function = cuda.jit(device=True)


@device_function
def loss_term(s, t):
    """Return t softplus(-s) + (1-t) softplus(s), the larger part taken out of the logarithm so that no exponential overflows."""
    one = type(s)(1)
    wrong = (one - t) * s if s >= 0 else -t * s
    return wrong + math.log1p(math.exp(-abs(s)))


@device_function
def slope_term(s, t):
    """Return (1-t) sigmoid(s) - t sigmoid(-s), which keeps its digits where sigmoid(s) - t would cancel."""
    one, e = type(s)(1), math.exp(-abs(s))
    return ((one - t) - t * e if s >= 0 else (one - t) * e - t) / (one + e)


# ---- version 1 ----------------------------------------------------------------------------------------------------------------


@cuda.jit
def loss_kernel(s, t, partial):
    """Version 1, two passes; this is the first: partial[block] = the block's sum of loss terms, by a tree in shared memory.

    What still hurts: a barrier at each of the tree's 8 levels, and half of the active threads retire at each. The second pass
    (slope_kernel) reads s and t and takes the exponential again; together with adding up the partial sums, three launches.
    """
    tree = cuda.shared.array(THREADS, s.dtype)
    lane, total = cuda.threadIdx.x, s.dtype.type(0)
    for n in range(cuda.grid(1), s.size, cuda.gridsize(1)):
        total += loss_term(s[n], t[n])
    tree[lane] = total
    cuda.syncthreads()
    width = THREADS // 2
    while width > 0:
        if lane < width:
            tree[lane] += tree[lane + width]
        cuda.syncthreads()
        width //= 2
    if lane == 0:
        partial[cuda.blockIdx.x] = tree[0]


@cuda.jit
def mean_kernel(partial, count, loss):
    """loss = (sum of the partial sums) / count. One thread adds them up, and waits for one load after the other."""
    total = partial.dtype.type(0)
    for n in range(partial.size):
        total += partial[n]
    loss[0] = total / count


@cuda.jit
def slope_kernel(s, t, count, ds):
    """Write the gradient ds: the second pass of version 1."""
    for n in range(cuda.grid(1), s.size, cuda.gridsize(1)):
        ds[n] = slope_term(s[n], t[n]) / count


# ---- version 2 ----------------------------------------------------------------------------------------------------------------


@device_function
def warp_sum(value):
    """Return the sum over the 32 lanes, right in lane 0: five shuffles between registers, no shared memory and no barrier."""
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_down_sync(ALL_LANES, value, distance)
    return value


@cuda.jit
def one_pass_kernel(s, t, count, sums, ds):
    """Version 2, one pass: loss and gradient from one reading of s and t; sums[block] = (the block's sum) / count.

    What changed: a term and its slope share one exponential, and the block's sum goes through warp shuffles: five in each warp,
    eight numbers through shared memory, three more; one barrier in place of nine.
    Why: half the traffic and half the exponentials. Up to 256 logits, more than most batches of a GAN, one block does it all:
    `sums` is then the loss itself, and there is one launch in place of three.
    What still hurts: more blocks need a second launch, of one warp, for their mean. A batch this small is over before the launch
    overhead is.
    """
    warps = cuda.shared.array(WARPS, s.dtype)
    one, total = s.dtype.type(1), s.dtype.type(0)
    for n in range(cuda.grid(1), s.size, cuda.gridsize(1)):
        logit, label = s[n], t[n]
        e, other = math.exp(-abs(logit)), one - label
        up = logit >= 0
        total += (other * logit if up else -label * logit) + math.log1p(e)
        ds[n] = (other - label * e if up else other * e - label) / (one + e) / count
    total = warp_sum(total)
    warp, lane = cuda.threadIdx.x // WARP, cuda.threadIdx.x % WARP
    if lane == 0:
        warps[warp] = total
    cuda.syncthreads()
    if warp == 0:
        total = warp_sum(warps[lane] if lane < WARPS else s.dtype.type(0))
        if lane == 0:
            sums[cuda.blockIdx.x] = total / count


@cuda.jit
def add_blocks_kernel(sums, loss):
    """loss = sum of the blocks' sums, by one warp: lanes walk side by side, then shuffle."""
    total = sums.dtype.type(0)
    for n in range(cuda.threadIdx.x, sums.size, WARP):
        total += sums[n]
    total = warp_sum(total)
    if cuda.threadIdx.x == 0:
        loss[0] = total

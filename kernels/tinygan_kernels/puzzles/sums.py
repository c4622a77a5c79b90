"""Puzzles in which threads add up what they have: a sum by a tree, and batch normalisation, whose sums run down the columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygan_kernels import reference
from tinygan_kernels.contract import KERNELS
from tinygan_kernels.verification.cases import Case

from .limits import coalesced, conflict_free, instructions_an_input, numbers_an_output, warps
from .picture import Panel, Picture
from .puzzle import Mistake, Puzzle

# ---- a sum -----------------------------------------------------------------------------------------------------------------------

SUM_CU = """\
// sum: y = x[0] + x[1] + ... + x[n - 1], by one block of 256 threads.
// launch: sum<<<1, 256>>>(x, y, n)
extern "C" __global__ void sum(const float* x, float* y, int n) {
    __shared__ float tile[256];
    // 1. Each thread sums every 256th element into a register, and puts its sum into the tile.
    float own = 0;
    tile[threadIdx.x] = own;
    // 2. A tree: the first 128 threads add what the other 128 have, then the first 64 of them ..., with a barrier in between.
    // 3. Thread 0 has the sum.
    if (threadIdx.x == 0) *y = tile[0];
}
"""
SUM_PY = """\
# sum: y = x[0] + x[1] + ... + x[n - 1], by one block of 256 threads. y is an array of no dimensions: y[()] = ...
from numba import cuda, float32


# launch: sum[1, 256](x, y)
@cuda.jit
def sum(x, y):
    tile = cuda.shared.array(256, float32)
    # 1. Each thread sums every 256th element into a register, and puts its sum into the tile.
    own = float32(0)
    tile[cuda.threadIdx.x] = own
    # 2. A tree: the first 128 threads add what the other 128 have, then the first 64 of them ..., with a barrier in between.
    # 3. Thread 0 has the sum.
    if cuda.threadIdx.x == 0:
        y[()] = tile[0]
"""


def _sum_case(n: int) -> Case:
    x = np.random.default_rng(n).uniform(0.5, 1.5, n).astype(np.float32)
    return Case("sum", f"n = {n}", (x,), (), {"axes": (0,)})


def _part(chosen: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """Return the sum of a part of x."""
    return lambda x, axes: np.asarray(chosen(x).sum())


SUM = Puzzle(
    name="sum",
    title="a reduction: the sum of n numbers by one block, with a tree in shared memory",
    task="y = the sum of x, n numbers, also for n = 0. One block of 256 threads: each sums every 256th element, then a tree in\n"
         "shared memory adds the 256 sums in eight steps. The order is always the same, so is the result, to the last bit.",
    kernel=KERNELS["sum"],
    fixed={"axes": (0,)},
    skeletons={".cu": SUM_CU, ".py": SUM_PY},
    picture=Picture((
        Panel("x", ("01230123012.",)),
        Panel("tile", ("0123",)),
        Panel("half = 2", ("01..",)),
        Panel("half = 1", ("0...",)),
        Panel("y", ("0",)),
    ), "Four threads here, not 256. Each sums its elements in a register; then thread 0 adds what thread 2 has and thread 1 what "
       "thread 3 has; then thread 0 adds what thread 1 has. A barrier stands before each step."),
    hints=(
        "for (int i = threadIdx.x; i < n; i += 256) own += x[i]; then tile[threadIdx.x] = own.",
        "for (int half = 128; half > 0; half /= 2): in each round a barrier first, then if (threadIdx.x < half) the addition.",
        "The barrier stands inside the loop and outside of the if: all 256 threads have to reach it.",
    ),
    cases=lambda: [_sum_case(n) for n in (0, 1, 255, 256, 257, 1000)],
    measured=lambda: _sum_case(4096),
    limits=(
        coalesced(),
        conflict_free("let the threads that go on be neighbours, and their partners lie half a tile further"),
        numbers_an_output(0, "a tree needs no atomics, and always adds in the same order", "shared", "atom"),
        numbers_an_output(0, "a tree needs no atomics, and always adds in the same order", "global", "atom"),
        warps(8, "leave the launch at one block of 256: another one would do all of it again"),
        instructions_an_input(40, 4096, "let all 256 threads sum their elements, and the tree have 8 levels"),
    ),
    mistakes=(
        Mistake(_part(lambda x: x[:256]), "only the first 256 elements are in it: each thread has to take every 256th"),
        Mistake(_part(lambda x: x[::256]), "only what thread 0 has is in it: the tile is not summed, or the tree has lost its "
                                           "loop"),
        Mistake(_part(lambda x: x[np.arange(x.size) % 256 < 255]), "the last thread's elements are missing"),
        Mistake(_part(lambda x: x[np.arange(x.size) % 256 < 2]), "only what threads 0 and 1 have is in it: the tree begins at "
                                                                 "half = 1, "
                                                                 "it has to begin at 128"),
        Mistake(_part(lambda x: x[np.arange(x.size) % 2 == 0]), "every second thread is left out: the tree ends one step early"),
        Mistake(_part(lambda x: x[np.arange(x.size) % 256 < 128]), "the upper half of the tile is left out: the tree has to "
                                                                   "begin at "
                                                                   "half = 128"),
        Mistake(_part(lambda x: x[:-1]), "the last element is missing"),
        Mistake(_part(lambda x: x[x.size % 256 :]), "the rest that fills no whole round of 256 is missing, or the first "
                                                    "elements are"),
        Mistake(_part(lambda x: x[: x.size // 256 * 256]), "the rest that fills no whole round of 256 is missing: loop while "
                                                           "i < n"),
    ),
    praise="eight steps, no conflicts, and the same bits each time. The loss and the statistics of batch norm are such sums.",
)  # fmt: skip


# ---- batch normalisation ---------------------------------------------------------------------------------------------------------

NORM: Callable[..., tuple[np.ndarray, ...]] = reference.batch_norm  # (x, gamma, beta, eps)
BATCH_NORM_CU = """\
// batch-norm: y = gamma (x - mean) inv_std + beta for each channel; x and y are (rows, channels), the others (channels,).
// mean: of the channel's column; inv_std = 1 / sqrt(mean of (x - mean)^2 + eps). All three, y, mean and inv_std, are outputs.
// launch: batch_norm<<<(channels + 31) / 32, dim3(32, 8)>>>(x, gamma, beta, y, mean, inv_std, rows, channels, eps)
extern "C" __global__ void batch_norm(const float* x, const float* gamma, const float* beta, float* y, float* mean,
                                      float* inv_std, int rows, int channels, float eps) {
    __shared__ float tile[8][32];  // for each channel of the block what its eight threads have
    int channel = blockIdx.x * 32 + threadIdx.x;
    // 1. Eight threads sum a column, every eighth row each; their sums meet in the tile. 2. The same with (x - mean)^2. 3. y.
    tile[threadIdx.y][threadIdx.x] = 0;
    if (channel < channels && threadIdx.y == 0) mean[channel] = inv_std[channel] = 0;
    for (int row = threadIdx.y; row < rows && channel < channels; row += 8)
        y[row * channels + channel] = x[row * channels + channel];
}
"""
BATCH_NORM_PY = """\
# batch-norm: y = gamma (x - mean) inv_std + beta for each channel; x and y are (rows, channels), the others (channels,).
# mean: of the channel's column; inv_std = 1 / sqrt(mean of (x - mean)^2 + eps). All three, y, mean and inv_std, are outputs.
import math

from numba import cuda, float32


# launch: batch_norm[ceil_div(channels, 32), (32, 8)](x, gamma, beta, y, mean, inv_std, eps)
@cuda.jit
def batch_norm(x, gamma, beta, y, mean, inv_std, eps):
    tile = cuda.shared.array((8, 32), float32)  # for each channel of the block what its eight threads have
    rows, channels = x.shape
    channel = cuda.blockIdx.x * 32 + cuda.threadIdx.x
    # 1. Eight threads sum a column, every eighth row each; their sums meet in the tile. 2. The same with (x - mean)^2. 3. y.
    tile[cuda.threadIdx.y, cuda.threadIdx.x] = 0
    if channel < channels:
        for row in range(cuda.threadIdx.y, rows, 8):
            y[row, channel] = x[row, channel]
        if cuda.threadIdx.y == 0:
            mean[channel] = 0
            inv_std[channel] = 0
"""


def _norm_case(rows: int, channels: int, shift: float = 0.0, eps: float = 1e-2) -> Case:
    rng = np.random.default_rng(100 * rows + channels)
    x, gamma, beta = (rng.normal(size=s).astype(np.float32) for s in ((rows, channels), (channels,), (channels,)))
    far = (f", mean {shift:g}" if shift else "") + (f", eps {eps}" if eps != 1e-2 else "")
    return Case("batch_norm", f"{rows} x {channels}{far}", (x + np.float32(shift), gamma, beta), (), {"eps": eps})


def _norm_by(inv_std: Callable[[np.ndarray, float], np.ndarray]) -> Callable[..., Any]:
    """Return batch normalisation by another inv_std, computed from x - mean and eps."""

    def made(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> tuple[np.ndarray, ...]:
        mean = x.mean(axis=0)
        scale = inv_std(x - mean, eps)
        return gamma * ((x - mean) * scale) + beta, mean, scale

    return made


def _of_part(rows: slice) -> Callable[..., Any]:
    """Return batch normalisation by the statistics of some rows."""

    def made(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> tuple[np.ndarray, ...]:
        _, mean, inv_std = NORM(x[rows], gamma, beta, np.float64(eps))
        return gamma * ((x - mean) * inv_std) + beta, mean, inv_std

    return made


def _without_beta(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> tuple[np.ndarray, ...]:
    y, mean, inv_std = NORM(x, gamma, beta, eps)
    return y - beta, mean, inv_std


def _without_gamma(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> tuple[np.ndarray, ...]:
    return NORM(x, np.ones_like(gamma), beta, eps)


BATCH_NORM = Puzzle(
    name="batch-norm",
    title="sums down the columns: batch normalisation, coalesced, in two passes",
    task="For each channel: mean and inv_std = 1 / sqrt(mean of (x - mean)^2 + eps) of its column, y = gamma (x - mean) inv_std +\n"
         "beta. A block has 32 channels, and eight threads for each; a warp reads 32 neighbouring channels of a row. The variance\n"
         "is the mean of (x - mean)^2: the mean of x^2 less mean^2 would lose its digits where the mean is large.",
    kernel=KERNELS["batch_norm"],
    skeletons={".cu": BATCH_NORM_CU, ".py": BATCH_NORM_PY},
    picture=Picture((
        Panel("x", ("aaaa....", "bbbb....", "aaaa....", "bbbb....", "aaaa....")),
        Panel("tile", ("aaaa", "bbbb")),
        Panel("mean, inv_std", ("aaaa....",)),
        Panel("y", ("aaaa....", "bbbb....", "aaaa....", "bbbb....", "aaaa....")),
    ), "Four channels and two rows of threads, a and b, here, not 32 and eight. Each thread sums its elements of a column; "
       "the sums "
       "meet in the tile, where one row of threads, or all, add them up."),
    hints=(
        "own += x[row * channels + channel] for row = threadIdx.y, threadIdx.y + 8, ...; then tile[threadIdx.y][threadIdx.x] "
        "= own.",
        "After a barrier each thread may add the eight numbers of its column itself: eight loads without conflicts, and all "
        "know it.",
        "Before the tile is used again for (x - mean)^2 there has to be another barrier: somebody may still be reading.",
        "Barriers stand outside of `if (channel < channels)`: guard what is read and written, not the whole kernel.",
    ),
    cases=lambda: [_norm_case(*s) for s in ((1, 1), (8, 32), (7, 33), (9, 31), (41, 5, 0.0, 0.5))]
    + [_norm_case(24, 3, 200.0)],
    measured=lambda: _norm_case(64, 32),
    limits=(
        coalesced(),
        conflict_free("let the lanes of a warp (threadIdx.x) run along the 32 columns of the tile"),
        numbers_an_output(3.3, "two passes for the statistics and one for y are three reads of x"),
    ),
    mistakes=(
        Mistake(_norm_by(lambda d, eps: 1 / np.sqrt(np.square(d).sum(axis=0) / (len(d) - 1) + eps)),
                "the variance is divided by rows - 1; batch norm takes the biased one: divide by rows"),
        Mistake(_norm_by(lambda d, eps: 1 / np.sqrt(np.square(d).mean(axis=0))), "eps is missing under the root"),
        Mistake(_norm_by(lambda d, eps: 1 / (np.sqrt(np.square(d).mean(axis=0)) + eps)), "eps is added after the root; it stands "
                                                                                        "under it"),
        Mistake(_norm_by(lambda d, eps: np.sqrt(np.square(d).mean(axis=0) + eps)), "that is the std, not its inverse: 1 / "
                                                                                   "sqrt(...)"),
        Mistake(_norm_by(lambda d, eps: np.square(d).mean(axis=0) + eps), "that is the variance; inv_std is 1 / sqrt of it"),
        Mistake(_norm_by(lambda d, eps: 1 / np.sqrt(np.square(d).sum(axis=0) + eps)), "the squares are summed; the variance "
                                                                                      "is their "
                                                                                     "mean: divide by rows"),
        Mistake(_without_beta, "beta is not added"),
        Mistake(_without_gamma, "gamma is missing: y = gamma (x - mean) inv_std + beta"),
        Mistake(_of_part(slice(0, None, 8)), "only the rows of the first of eight threads are in the statistics: add up the tile's "
                                             "column"),
        Mistake(_of_part(slice(0, 8)), "only the first eight rows are in the statistics: each thread takes every eighth row"),
    ),
    praise="every read is coalesced, and the digits stay where the mean is large. The project's own: cuda/array_kernels.py.",
)  # fmt: skip


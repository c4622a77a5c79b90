"""Puzzles on the game's loss, binary cross-entropy of logits: the slope, element by element, and the mean, by a tree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygan_kernels import reference, shapes
from tinygan_kernels.contract import Kernel
from tinygan_kernels.verification.bounds import bound
from tinygan_kernels.verification.cases import Case

from .limits import coalesced, conflict_free, instructions_an_input, numbers_an_output, warps
from .picture import Panel, Picture
from .puzzle import Arrays, Derivative, Mistake, Puzzle

SIGMOID: Callable[[np.ndarray], np.ndarray] = reference.sigmoid
FAR = (1000.0, -1000.0, 1000.0, -1000.0, 30.0, -30.0, 30.0, -30.0, 0.0)  # logits at which naive formulas break
LABELS = (1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.5)


def _case(kernel: str, n: int, far: bool = True) -> Case:
    """Return logits and labels; where there is room, the first ones are extreme."""
    rng = np.random.default_rng(n)
    s, t = (3 * rng.normal(size=n)).astype(np.float32), rng.uniform(size=n).astype(np.float32)
    if far and n > len(FAR):
        s[: len(FAR)], t[: len(FAR)] = FAR, LABELS
    return Case(kernel, f"n = {n}", (s, t))


def _loss(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(np.mean(t * np.logaddexp(0, -s) + (1 - t) * np.logaddexp(0, s)))


def _slope(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(((1 - t) * SIGMOID(s) - t * SIGMOID(-s)) / s.size)


def _overflowing(s: np.ndarray) -> np.ndarray:
    """Compute e^s / (1 + e^s), which is NaN in float32 where e^s is infinite there."""
    with np.errstate(all="ignore"):
        e = np.exp(s.astype(np.float32))
        return (e / (1 + e)).astype(np.float64)


# ---- the slope -------------------------------------------------------------------------------------------------------------------

BCE_BACKWARD_CU = """\
// bce-backward: ds = dL/ds of L = mean of -t log sigmoid(s) - (1 - t) log(1 - sigmoid(s)), for n logits s and labels t.
// launch: bce_backward<<<(n + 255) / 256, 256>>>(s, t, ds, n)
extern "C" __global__ void bce_backward(const float* s, const float* t, float* ds, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) ds[i] = s[i] - t[i];  // s is a logit, no probability yet; and L is a mean
}
"""
BCE_BACKWARD_PY = """\
# bce-backward: ds = dL/ds of L = mean of -t log sigmoid(s) - (1 - t) log(1 - sigmoid(s)), for n logits s and labels t.
import math

from numba import cuda


# launch: bce_backward[ceil_div(n, 256), 256](s, t, ds)
@cuda.jit
def bce_backward(s, t, ds):
    i = cuda.grid(1)
    if i < s.size:
        ds[i] = s[i] - t[i]  # s is a logit, no probability yet; and L is a mean
"""
BCE_BACKWARD = Puzzle(
    name="bce-backward",
    title="a slope that loses no digits: dL/ds of binary cross-entropy on logits",
    task="ds = (sigmoid(s) - t) / n, the derivative of the mean of -t log sigmoid(s) - (1 - t) log(1 - sigmoid(s)).\n"
         "It has to be right to a few units in the last place at any logit: for s = 30 and t = 1 it is -9.4e-14 / n, not 0.",
    kernel=Kernel("bce_backward", ("s", "t"), ("ds",), shapes.same, "ds = (sigmoid(s) - t) / n"),
    formula=_slope,
    allowed=lambda exact, right: bound("bce_logits", exact, (np.zeros(()), right[0]), np.float32)[1:],
    skeletons={".cu": BCE_BACKWARD_CU, ".py": BCE_BACKWARD_PY},
    picture=Picture((
        Panel("s, t", ("01234567012.", "01234567012.")),
        Panel("sigmoid(s), sigmoid(-s)", ("01234567", "01234567")),
        Panel("ds", ("01234567012.",)),
    ), "Thread i of each block takes element i of its piece. sigmoid(s) and 1 - sigmoid(s) = sigmoid(-s) are both computed: the "
       "second is no difference of numbers near 1. The last block is not full."),
    hints=(
        "sigmoid(s) - t loses its digits where sigmoid(s) is near 1 and t is 1. What is 1 - sigmoid(s), without a subtraction?",
        "1 - sigmoid(s) = sigmoid(-s), so sigmoid(s) - t = (1 - t) sigmoid(s) - t sigmoid(-s).",
        "sigmoid(s) = 1 / (1 + e^-s) may overflow to 1 / infinity = 0, which is right; e^s / (1 + e^s) becomes NaN.",
    ),
    cases=lambda: [_case("bce_backward", n) for n in (1, 255, 256, 257, 600)],
    measured=lambda: _case("bce_backward", 1024),
    limits=(coalesced(), numbers_an_output(2, "s and t are read once each")),
    mistakes=(
        Mistake(lambda s, t: s - t, "s is a logit: its sigmoid is the probability that t is subtracted from"),
        Mistake(lambda s, t: s.size * _slope(s, t), "the mean is lost: L is divided by n, and so is its derivative", slack=1e-6),
        Mistake(lambda s, t: -_slope(s, t), "the sign is wrong: where sigmoid(s) is above t, L grows with s"),
        Mistake(lambda s, t: _slope(s, 1 - t), "the labels are swapped: t = 1 is for data"),
        Mistake(lambda s, t: (_overflowing(s) - t) / s.size, "e^s is infinite for large s, and infinity / infinity is NaN: "
                                                             "write 1 / (1 + "
                                                           "e^-s)", slack=3e-7),
        Mistake(lambda s, t: (SIGMOID(s) - t) / s.size, "sigmoid(s) - t has lost its digits where both are near 1: "
                                                                  "write it as "
                                                                "(1 - t) sigmoid(s) - t sigmoid(-s)", slack=3e-7),
    ),
    derivative=Derivative(lambda s, t: float(_loss(s, t)), 0, lambda: _case("bce_backward", 40, far=False), "dL/ds of the mean "
                                                                                                            "cross-entropy"),
    praise="finite and exact at any logit, and it is the slope that differences give. The project's own: bce_logits.cu.",
)  # fmt: skip


# ---- the mean --------------------------------------------------------------------------------------------------------------------

BCE_FORWARD_CU = """\
// bce-forward: loss = mean of t softplus(-s) + (1 - t) softplus(s), softplus(a) = log(1 + e^a), for n logits s and labels t.
// launch: bce_forward<<<1, 256>>>(s, t, loss, n)
extern "C" __global__ void bce_forward(const float* s, const float* t, float* loss, int n) {
    __shared__ float tile[256];
    float own = 0;
    for (int i = threadIdx.x; i < n; i += 256) own += t[i] * logf(1 + expf(-s[i])) + (1 - t[i]) * logf(1 + expf(s[i]));
    tile[threadIdx.x] = own;
    // The sum of the tile, as in the puzzle `sum`; and at a logit of 1000 no infinity.
    if (threadIdx.x == 0) *loss = tile[0] / n;
}
"""
BCE_FORWARD_PY = """\
# bce-forward: loss = mean of t softplus(-s) + (1 - t) softplus(s), softplus(a) = log(1 + e^a), for n logits s and labels t.
import math

from numba import cuda, float32


# launch: bce_forward[1, 256](s, t, loss, n)
@cuda.jit
def bce_forward(s, t, loss, n):
    tile = cuda.shared.array(256, float32)
    own = float32(0)
    for i in range(cuda.threadIdx.x, n, 256):
        own += t[i] * math.log(1 + math.exp(-s[i])) + (1 - t[i]) * math.log(1 + math.exp(s[i]))
    tile[cuda.threadIdx.x] = own
    # The sum of the tile, as in the puzzle `sum`; and at a logit of 1000 no infinity.
    if cuda.threadIdx.x == 0:
        loss[()] = tile[0] / n
"""


def _forward_allowed(exact: Arrays, right: Arrays) -> Arrays:
    s, _ = exact
    return bound("bce_logits", exact, (right[0], np.zeros(s.shape)), np.float32)[:1]


def _naive(s: np.ndarray, t: np.ndarray, small: float = 0.0) -> np.ndarray:
    """Compute the loss by the logarithm of a probability, in float32; small: what is added in the logarithm."""
    p = (1 / (1 + np.exp(-s))).astype(np.float32)
    small = np.float32(small)
    return np.asarray(np.mean(-t * np.log(p + small) - (1 - t) * np.log(1 - p + small)))


def _infinite(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Compute the loss by log(1 + e^s), which is infinite in float32 where e^s is, or NaN, as 0 times infinity."""
    with np.errstate(all="ignore"):
        up, down = (np.log(1 + np.exp(a.astype(np.float32))) for a in (s, -s))
        return np.asarray(np.mean(t * down + (1 - t) * up))


BCE_FORWARD = Puzzle(
    name="bce-forward",
    title="a mean that never overflows: binary cross-entropy on logits, one block, a tree",
    task="loss = mean of t softplus(-s) + (1 - t) softplus(s), softplus(a) = log(1 + e^a), for n logits and labels: the same as\n"
         "-t log sigmoid(s) - (1 - t) log(1 - sigmoid(s)). One block of 256 threads sums the terms, as in the puzzle `sum`.\n"
         "At a logit of 1000 the loss is 1000 or 0, and not infinite.",
    kernel=Kernel("bce_forward", ("s", "t"), ("loss",), shapes.same, "loss = mean of t softplus(-s) + (1 - t) softplus(s)"),
    formula=_loss,
    allowed=_forward_allowed,
    skeletons={".cu": BCE_FORWARD_CU, ".py": BCE_FORWARD_PY},
    picture=Picture((
        Panel("s, t", ("01230123012.", "01230123012.")),
        Panel("tile", ("0123", "01..", "0...")),
        Panel("loss", ("0",)),
    ), "Four threads here, not 256: each sums its terms in a register, then a tree in shared memory adds them, half as many "
       "threads "
       "each time. Thread 0 divides by n."),
    hints=(
        "softplus(a) = max(a, 0) + log(1 + e^-|a|): the exponential never exceeds 1.",
        "softplus(s) = softplus(-s) + s, so the term is max(s, 0) - t s + log1p(exp(-|s|)); log1p keeps the digits of small "
        "numbers.",
        "The tree: for (int half = 128; half > 0; half /= 2) { barrier; if (threadIdx.x < half) tile[...] += tile[... + half]; }",
    ),
    cases=lambda: [_case("bce_forward", n) for n in (1, 3, 255, 256, 257, 600)],
    measured=lambda: _case("bce_forward", 2048),
    limits=(
        coalesced(),
        conflict_free("let the threads that go on be neighbours, and their partners lie half a tile further"),
        warps(8, "leave the launch at one block of 256: another one would do all of it again"),
        instructions_an_input(120, 2048, "let all 256 threads sum their terms, and the tree have 8 levels"),
    ),
    mistakes=(
        Mistake(lambda s, t: s.size * _loss(s, t), "the terms are summed; the loss is their mean: divide by n"),
        Mistake(lambda s, t: _loss(s, 1 - t), "the labels are swapped: t = 1 is for data, which costs softplus(-s)"),
        Mistake(lambda s, t: -_loss(s, t), "the sign is wrong: a cross-entropy is at least 0"),
        Mistake(lambda s, t: np.asarray(np.mean(t * np.logaddexp(0, -s))), "the part of the fakes, (1 - t) softplus(s), is "
                                                                           "missing"),
        *(Mistake(formula, "it is infinite or NaN at large logits, where e^s overflows, or sigmoid(s) is rounded to 0 or 1 "
                           "before its "
                           "logarithm: write max(s, 0) - t s + log1p(exp(-|s|))") for formula in (_infinite, _naive)),
        Mistake(lambda s, t: _naive(s, t, 1e-8), "a small number added in the logarithm bends it: write max(s, 0) - t s + "
                                                 "log1p(exp(-|s|)), which needs none", slack=1e-4),
        Mistake(lambda s, t: (_loss(s[::256], t[::256]) * s[::256].size / s.size), "only the terms of thread 0 are in it: the "
                                                                                   "tile is not "
                                                                                  "summed"),
    ),
    praise="one block, eight levels, no logit too large. The project's own, with both passes in one: bce_logits.cu.",
)  # fmt: skip


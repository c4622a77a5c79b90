"""Puzzles in which an element of the output depends on few elements of the input: a map over a tile, a grid-stride loop."""

from __future__ import annotations

import numpy as np

from tinygan_kernels import reference, shapes
from tinygan_kernels.contract import KERNELS, SLOPE, Kernel
from tinygan_kernels.verification.cases import Case

from .limits import coalesced, numbers_an_output, uses_shared_memory, warps
from .picture import Panel, Picture
from .puzzle import Derivative, Mistake, Puzzle, bound_like

# ---- a map over a tile -----------------------------------------------------------------------------------------------------------

BIAS_ACT_CU = """\
// bias-act: y = leaky_relu(x + b), element by element. x and y are (rows, channels), b is (channels,).
// launch: bias_act<<<dim3((channels + 31) / 32, (rows + 31) / 32), dim3(32, 8)>>>(x, b, y, rows, channels, slope)
extern "C" __global__ void bias_act(const float* x, const float* b, float* y, int rows, int channels, float slope) {
    __shared__ float tile[32];  // the biases of the 32 channels of this block
    int channel = blockIdx.x * 32 + threadIdx.x;
    // 1. The threads with threadIdx.y == 0 bring the biases into the tile.
    // 2. Everybody waits until they are there.
    // 3. Each thread maps four of the 32 rows of the block:
    for (int i = threadIdx.y; i < 32; i += 8) {
        int row = blockIdx.y * 32 + i;
        y[row * channels + channel] = x[row * channels + channel];
    }
}
"""
BIAS_ACT_PY = """\
# bias-act: y = leaky_relu(x + b), element by element. x and y are (rows, channels), b is (channels,).
from numba import cuda, float32


# launch: bias_act[(ceil_div(channels, 32), ceil_div(rows, 32)), (32, 8)](x, b, y, slope)
@cuda.jit
def bias_act(x, b, y, slope):
    tile = cuda.shared.array(32, float32)  # the biases of the 32 channels of this block
    channel = cuda.blockIdx.x * 32 + cuda.threadIdx.x
    # 1. The threads with threadIdx.y == 0 bring the biases into the tile.
    # 2. Everybody waits until they are there.
    # 3. Each thread maps four of the 32 rows of the block:
    for i in range(cuda.threadIdx.y, 32, 8):
        row = cuda.blockIdx.y * 32 + i
        y[row, channel] = x[row, channel]
"""


def _leaky(x: np.ndarray, slope: float) -> np.ndarray:
    return np.where(x > 0, x, slope * x)


def _bias_act_case(rows: int, channels: int, slope: float = 0.2) -> Case:
    rng = np.random.default_rng(1000 * rows + channels)
    x, b = (rng.normal(size=s).astype(np.float32) for s in ((rows, channels), (channels,)))
    label = f"{rows} x {channels}" + (f", slope {slope}" if slope != 0.2 else "")
    return Case("bias_act", label, (x, b), (), {"act": "leaky_relu", "slope": slope})


BIAS_ACT = Puzzle(
    name="bias-act",
    title="a map over a tile: add the bias, which lies in shared memory, and apply leaky ReLU",
    task="y = leaky_relu(x + b): y = s where s = x + b is above 0, else slope s. x and y are (rows, channels), b (channels,).\n"
         "A block has 32 channels and 32 rows; it reads its 32 biases once, into shared memory, for all its rows.",
    kernel=KERNELS["bias_act"],
    fixed={"act": "leaky_relu"},
    skeletons={".cu": BIAS_ACT_CU, ".py": BIAS_ACT_PY},
    picture=Picture((
        Panel("b", ("0123....",)),
        Panel("tile", ("0123",)),
        Panel("x + tile", ("0123....", "0123....", "0123....", "........")),
        Panel("y", ("0123....", "0123....", "0123....", "........")),
    ), "A block that is 4 wide here, not 32. Thread 2 of its first row brings bias 2, and after the barrier all threads of column "
       "2 add it. At the edges of x some threads have no element."),
    hints=(
        "Only the threads with threadIdx.y == 0 need to read b, and only where channel < channels.",
        "Between the store to the tile and the loads from it stands __syncthreads() (cuda.syncthreads()), outside of every if.",
        "Guard the last step by row < rows and channel < channels; then s = x + tile[threadIdx.x], and y = s > 0 ? s : slope * s.",
    ),
    cases=lambda: [_bias_act_case(*s) for s in ((0, 3), (1, 1), (32, 32), (31, 33), (33, 31), (65, 40, 0.3))],
    measured=lambda: _bias_act_case(64, 32),
    limits=(
        coalesced(),
        numbers_an_output(1.05, "b is read again and again; let the block read it once, into the tile"),
        uses_shared_memory("put the biases into the tile"),
    ),
    mistakes=(
        Mistake(lambda x, b, act, slope: _leaky(x, slope), "the bias is not added: y = leaky_relu(x + b)"),
        Mistake(lambda x, b, act, slope: x + b, "the activation is missing: where x + b is not above 0, it is slope times that"),
        Mistake(lambda x, b, act, slope: np.maximum(x + b, 0), "that is ReLU: below 0 it is slope (x + b), not 0"),
        Mistake(lambda x, b, act, slope: _leaky(x, slope) + b, "the activation is taken of x alone; add the bias first"),
        Mistake(lambda x, b, act, slope: -_leaky(-(x + b), slope), "the two sides are swapped: what is above 0 stays as it is"),
        Mistake(lambda x, b, act, slope: x, "y is x as it is: neither the bias nor the activation is there yet"),
    ),
    praise="each bias is read once a block, and the barrier keeps order. The project's own: bias_act.cu.",
)  # fmt: skip


# ---- a grid-stride loop ----------------------------------------------------------------------------------------------------------

LEAKY_GRAD_CU = """\
// leaky-grad: dx = g where y > 0, else slope g, for arrays of n numbers. y is what leaky_relu gave, g is dL/dy.
// launch: leaky_grad<<<2, 128>>>(g, y, dx, slope, n)
extern "C" __global__ void leaky_grad(const float* g, const float* y, float* dx, float slope, int n) {
    // Two blocks have to do for any n: each thread takes element i, then i + all threads of the grid, and so on.
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) dx[i] = g[i];
}
"""
LEAKY_GRAD_PY = """\
# leaky-grad: dx = g where y > 0, else slope g, for arrays of n numbers. y is what leaky_relu gave, g is dL/dy.
from numba import cuda


# launch: leaky_grad[2, 128](g, y, dx, slope)
@cuda.jit
def leaky_grad(g, y, dx, slope):
    # Two blocks have to do for any size: each thread takes element i, then i + all threads of the grid, and so on.
    i = cuda.grid(1)
    if i < dx.size:
        dx[i] = g[i]
"""


def _leaky_grad_case(n: int) -> Case:
    rng = np.random.default_rng(n)
    g, y = rng.normal(size=(2, n)).astype(np.float32)
    y[:1] = 0
    return Case("leaky_grad", f"n = {n}", (g, y), (), {"slope": 0.2})


def _at_a_slope() -> Case:
    """Return a call away from the kink at 0, where leaky ReLU has no derivative."""
    rng = np.random.default_rng(7)
    g, y = rng.normal(size=(2, 300))
    return Case("leaky_grad", "n = 300", (g.astype(np.float32), (y + np.sign(y)).astype(np.float32)), (), {"slope": 0.3})


def _loss_of_leaky(g: np.ndarray, y: np.ndarray, slope: float) -> float:
    """Return <g, leaky_relu(x)> for an x whose leaky ReLU has the sign that y has; its slope in x is what is asked for."""
    return float((g * _leaky(y, slope)).sum())


LEAKY_GRAD = Puzzle(
    name="leaky-grad",
    title="a grid-stride loop: the derivative of leaky ReLU, for any size, on two blocks",
    task="dx = g where y > 0, else slope g, for n numbers. The grid is two blocks of 128 threads, whatever n is: each thread\n"
         "takes an element, then the one that lies as many elements further as the grid has threads, to the end.",
    kernel=Kernel("leaky_grad", ("g", "y"), ("dx",), shapes.same, "dx = g where y > 0, else slope g", (SLOPE,), elementwise=True),
    formula=reference.leaky_relu_grad,
    allowed=bound_like("leaky_relu_grad"),
    skeletons={".cu": LEAKY_GRAD_CU, ".py": LEAKY_GRAD_PY},
    picture=Picture((
        Panel("g, y", ("0123456701234567012",)),
        Panel("dx", ("0123456701234567012",)),
    ), "A grid of 8 threads: thread 0 takes elements 0, 8 and 16. Neighbouring threads take neighbouring elements in each round. "
       "The last round is not full."),
    hints=(
        "The grid has gridDim.x * blockDim.x threads (cuda.gridsize(1)); that is the step of the loop.",
        "for (int i = first; i < n; i += step): the guard is the loop's own condition.",
        "At y = 0 the other side counts: dx = y > 0 ? g : slope * g.",
    ),
    cases=lambda: [_leaky_grad_case(n) for n in (0, 1, 255, 256, 257, 700)],
    measured=lambda: _leaky_grad_case(2048),
    limits=(
        warps(8, "leave the launch at two blocks of 128, and let each thread loop"),
        coalesced("let neighbouring threads take neighbouring elements: element first + k * (all threads), not a piece for each "
                  "thread"),
        numbers_an_output(2, "each element needs g and y, once"),
    ),
    mistakes=(
        Mistake(lambda g, y, slope: g, "g is handed on as it is: where y is not above 0 it has to be slope g"),
        Mistake(lambda g, y, slope: np.where(y > 0, g, 0 * g), "that is the derivative of ReLU: below 0 it is slope g, not 0"),
        Mistake(lambda g, y, slope: np.where(y >= 0, g, slope * g), "at y = 0 it has to be slope g: compare by >, not by >="),
        Mistake(lambda g, y, slope: np.where(y > 0, slope * g, g), "the two sides are swapped: where y > 0, g passes as it is"),
        Mistake(lambda g, y, slope: np.where(y > 0, y, slope * y), "that is leaky ReLU itself: its derivative is multiplied by g"),
        Mistake(lambda g, y, slope: np.where(y > 0, 1 + 0 * g, slope), "that is the derivative alone; the chain rule wants "
                                                                       "it times g"),
        Mistake(lambda g, y, slope: np.where(g > 0, g, slope * g), "the sign is that of g; it has to be that of y"),
    ),
    derivative=Derivative(_loss_of_leaky, 1, _at_a_slope, "dL/dx of leaky ReLU"),
    praise="any size fits on a grid of any size, and the slope is that of differences. The project's own: cuda/array_kernels.py.",
)  # fmt: skip


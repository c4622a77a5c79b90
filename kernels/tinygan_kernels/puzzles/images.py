"""The puzzle of a convolution as a product: implicit GEMM, whose matrix of patches is never written down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygan_kernels import reference
from tinygan_kernels.contract import KERNELS
from tinygan_kernels.shapes import conv_size
from tinygan_kernels.verification.cases import Case

from .limits import coalesced, conflict_free, numbers_an_output
from .picture import Panel, Picture
from .puzzle import Mistake, Puzzle

CONV2D: Callable[..., np.ndarray] = reference.conv2d  # (x, w, stride, pad)

CONV_CU = """\
// conv: y[n][i][j][o] = sum over u, v, c of x[n][i stride + u - pad][j stride + v - pad][c] w[u][v][c][o], 0 outside of x.
// As a product: row = (n, i, j) of `images * OH * OW`, term = (u, v, c) of `KH * KW * C_in`, column = o, of w as it lies.
// launch: conv<<<dim3((C_out + 15) / 16, (images * OH * OW + 15) / 16), dim3(16, 16)>>>(\
x, w, y, images, H, W, C_in, OH, OW, C_out, KH, KW, stride, pad)
extern "C" __global__ void conv(const float* x, const float* w, float* y, int images, int H, int W, int C_in, int OH, int OW,
                                int C_out, int KH, int KW, int stride, int pad) {
    __shared__ float as[16][16], bs[16][16];
    int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * 16 + ty, o = blockIdx.x * 16 + tx;
    int rows = images * OH * OW, terms = KH * KW * C_in;
    float sum = 0;
    for (int k0 = 0; k0 < terms; k0 += 16) {
        int k = k0 + tx;
        // as[ty][tx] is x at row (n, i, j) and term (u, v, c) = k, or 0. Only bs is right here:
        as[ty][tx] = row < rows && k < terms ? x[0] : 0;
        bs[ty][tx] = k0 + ty < terms && o < C_out ? w[(k0 + ty) * C_out + o] : 0;
        __syncthreads();
        for (int t = 0; t < 16; ++t) sum += as[ty][t] * bs[t][tx];
        __syncthreads();
    }
    if (row < rows && o < C_out) y[row * C_out + o] = sum;
}
"""
CONV_PY = """\
# conv: y[n, i, j, o] = sum over u, v, c of x[n, i stride + u - pad, j stride + v - pad, c] w[u, v, c, o], 0 outside of the image.
# As a product: row = (n, i, j) of images * OH * OW, term = (u, v, c) of KH * KW * C_in, column = o.
from numba import cuda, float32


# launch: conv[(ceil_div(C_out, 16), ceil_div(images * OH * OW, 16)), (16, 16)](x, w, y, stride, pad)
@cuda.jit
def conv(x, w, y, stride, pad):
    left = cuda.shared.array((16, 16), float32)
    right = cuda.shared.array((16, 16), float32)
    images, height, width, c_in = x.shape
    kh, kw = w.shape[0], w.shape[1]
    oh, ow, c_out = y.shape[1], y.shape[2], y.shape[3]
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    row, o = cuda.blockIdx.y * 16 + ty, cuda.blockIdx.x * 16 + tx
    rows, terms = images * oh * ow, kh * kw * c_in
    total = float32(0)
    for k0 in range(0, terms, 16):
        # left[ty, tx] is x at row (n, i, j) and term (u, v, c) = k0 + tx, or 0. Only right is right here:
        left[ty, tx] = x[0, 0, 0, 0] if row < rows and k0 + tx < terms else 0
        k = k0 + ty
        right[ty, tx] = w[k // c_in // kw, k // c_in % kw, k % c_in, o] if k < terms and o < c_out else 0
        cuda.syncthreads()
        for t in range(16):
            total += left[ty, t] * right[t, tx]
        cuda.syncthreads()
    if row < rows and o < c_out:
        y[row // (oh * ow), row // ow % oh, row % ow, o] = total
"""


def _case(n: int, h: int, w: int, c_in: int, c_out: int, kh: int, kw: int, stride: int, pad: int) -> Case:
    rng = np.random.default_rng(h * w + c_in)
    x, filters = (rng.normal(size=s).astype(np.float32) for s in ((n, h, w, c_in), (kh, kw, c_in, c_out)))
    label = f"{n} x {h} x {w} x {c_in} by {kh} x {kw} x {c_in} x {c_out}, stride {stride}, pad {pad}"
    return Case("conv2d", label, (x, filters), (), {"stride": stride, "pad": pad})


def _shifted(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """Return what comes out where pad is not subtracted: each window begins pad pixels further down and to the right."""
    oh, ow = (conv_size(size, k, stride, pad) for size, k in zip(x.shape[1:3], w.shape[:2], strict=True))
    more = np.pad(x, ((0, 0), (0, 2 * pad), (0, 2 * pad), (0, 0)))
    return CONV2D(more, w, stride, 0)[:, :oh, :ow]


def _without_stride(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    oh, ow = (conv_size(size, k, stride, pad) for size, k in zip(x.shape[1:3], w.shape[:2], strict=True))
    return CONV2D(x, w, 1, pad)[:, :oh, :ow]


def _repeated_edge(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    return CONV2D(np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), "edge"), w, stride, 0)


CONV = Puzzle(
    name="conv",
    title="a convolution as a product: implicit GEMM, in which patches of the image become rows of a tile",
    task="y[n, i, j, o] = sum over u, v, c of x[n, i stride + u - pad, j stride + v - pad, c] w[u, v, c, o], 0 outside of the "
         "image.\n"
         "Images are (images, H, W, C_in), filters (KH, KW, C_in, C_out). It is the product of a matrix of patches, a row for "
         "each\n"
         "(n, i, j) and a column for each (u, v, c), and of w as it lies. The patches are never written down: a thread finds the\n"
         "element of x that belongs to its place in the tile.",
    kernel=KERNELS["conv2d"],
    skeletons={".cu": CONV_CU, ".py": CONV_PY},
    picture=Picture((
        Panel("x, one image", (".....", ".abc.", ".def.", ".ghi.", ".....")),
        Panel("row of patches", ("abcdefghi",)),
        Panel("w as a matrix", ("a..", "b..", "c..", "d..", "e..", "f..", "g..", "h..", "i..")),
        Panel("y", ("...", ".y.", "...")),
    ), "A window of 3 x 3 pixels becomes one row of the matrix of patches, in the order in which w's taps lie. Its product "
       "with a column "
       "of w is one number of y."),
    hints=(
        "row = (n OH + i) OW + j, so j = row % OW, i = row / OW % OH, n = row / (OH OW).",
        "k = (u KW + v) C_in + c, so c = k % C_in, v = k / C_in % KW, u = k / (C_in KW).",
        "h = i stride + u - pad and q = j stride + v - pad may lie outside of the image; there the tile gets a 0, and x is "
        "not read.",
        "x[((n H + h) W + q) C_in + c]: neighbouring lanes take neighbouring k, and so neighbouring channels.",
    ),
    cases=lambda: [_case(*s) for s in (
        (1, 1, 1, 1, 1, 1, 1, 1, 0), (0, 4, 4, 2, 3, 3, 3, 1, 1), (2, 5, 3, 3, 5, 3, 2, 1, 1), (1, 7, 9, 2, 17, 4, 4, 2, 1),
        (1, 4, 4, 16, 16, 1, 1, 1, 0),
    )],
    measured=lambda: _case(1, 4, 8, 16, 16, 3, 3, 1, 1),
    terms=4 * 8 * 16 * 9 * 16,
    limits=(
        coalesced("let threadIdx.x run along the terms in A's tile, so that neighbouring lanes take neighbouring channels, "
                  "and along "
                  "the outputs in B's"),
        conflict_free("let threadIdx.x run along the columns of B's tile, and along nothing in A's: a broadcast costs one "
                      "wavefront"),
        numbers_an_output(2 * 144 / 16, "read each patch once for the 16 outputs of the tile, and each filter once for its 16 "
                                        "rows"),
    ),
    mistakes=(
        Mistake(lambda x, w, stride, pad: CONV2D(x, w[::-1, ::-1], stride, pad), "the filter is turned over, as a "
                                                                                           "convolution in "
                "mathematics is; here tap (u, v) meets pixel (i stride + u - pad, j stride + v - pad)"),
        Mistake(_shifted, "pad is not subtracted: the windows begin pad pixels too late"),
        Mistake(_without_stride, "the stride is missing: window (i, j) begins at (i stride - pad, j stride - pad)"),
        Mistake(_repeated_edge, "outside of the image the edge is repeated; it is 0 there"),
        Mistake(lambda x, w, stride, pad: 0 * CONV2D(x, w, stride, pad) + x.reshape(-1)[:1].sum() * w.sum(axis=(0, 1, 2)),
                "each element of A's tile is x[0]; it has to be the pixel that its row and its term say"),
    ),
    praise="the matrix of patches was never there. The project's own: conv2d.cu, version 2.",
)  # fmt: skip

"""The puzzle of a change of layout: a transpose, whose loads or stores run across the rows, unless a tile helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygan_kernels import shapes
from tinygan_kernels.contract import Kernel
from tinygan_kernels.verification.cases import Case

from .limits import coalesced, conflict_free, numbers_an_output
from .picture import Panel, Picture
from .puzzle import Mistake, Puzzle

TRANSPOSE_CU = """\
// transpose: y[j][i] = x[i][j]. x is (rows, columns), y is (columns, rows).
// launch: transpose<<<dim3((columns + 31) / 32, (rows + 31) / 32), dim3(32, 8)>>>(x, y, rows, columns)
extern "C" __global__ void transpose(const float* x, float* y, int rows, int columns) {
    __shared__ float tile[32][32];
    // The block reads 32 rows of x, and writes 32 rows of y. Both times threadIdx.x has to run along the rows of the memory.
    int column = blockIdx.x * 32 + threadIdx.x;
    for (int i = threadIdx.y; i < 32; i += 8) {
        int row = blockIdx.y * 32 + i;
        if (row < rows && column < columns) y[row * columns + column] = x[row * columns + column];
    }
}
"""
TRANSPOSE_PY = """\
# transpose: y[j, i] = x[i, j]. x is (rows, columns), y is (columns, rows).
from numba import cuda, float32


# launch: transpose[(ceil_div(columns, 32), ceil_div(rows, 32)), (32, 8)](x, y)
@cuda.jit
def transpose(x, y):
    tile = cuda.shared.array((32, 32), float32)
    # The block reads 32 rows of x, and writes 32 rows of y. Both times threadIdx.x has to run along the rows of the memory.
    rows, columns = x.shape
    column = cuda.blockIdx.x * 32 + cuda.threadIdx.x
    for i in range(cuda.threadIdx.y, 32, 8):
        row = cuda.blockIdx.y * 32 + i
        if row < rows and column < columns:
            y[column, row] = x[row, column]  # right, and each lane of a warp writes into another sector
"""


def _case(rows: int, columns: int) -> Case:
    x = np.random.default_rng(100 * rows + columns).normal(size=(rows, columns)).astype(np.float32)
    return Case("transpose", f"{rows} x {columns}", (x,))


def _sizes(kernel: Kernel, arrays: tuple[np.ndarray, ...], params: Mapping[str, Any]) -> dict[str, int]:
    rows, columns = arrays[0].shape
    return {"rows": rows, "columns": columns}


def _misread(x: np.ndarray) -> np.ndarray:
    """Return x's memory under the shape of y."""
    return np.ascontiguousarray(x).reshape(x.shape[::-1])


def _tilewise(x: np.ndarray) -> np.ndarray:
    """Return what comes out where each tile goes to its place in y without being turned; NaN where the tile does not reach."""
    y = np.full(x.shape[::-1], np.nan)
    for i in range(0, x.shape[0], 32):
        for j in range(0, x.shape[1], 32):
            tile = np.full((32, 32), np.nan)
            part = x[i : i + 32, j : j + 32]
            tile[: part.shape[0], : part.shape[1]] = part
            y[j : j + 32, i : i + 32] = tile[: y[j : j + 32].shape[0], : y[:, i : i + 32].shape[1]]
    return y


TRANSPOSE = Puzzle(
    name="transpose",
    title="a transpose whose loads and stores are both coalesced, without bank conflicts",
    task="y[j][i] = x[i][j], for x (rows, columns). A warp that reads along a row of x would write down a column of y, a "
         "sector for\n"
         "each of its lanes. Through a tile in shared memory both run along rows; and a column of the tile must not lie in "
         "one bank.",
    kernel=Kernel("transpose", ("x",), ("y",), shapes.same, "y[j, i] = x[i, j]"),
    formula=lambda x: np.ascontiguousarray(x.T),
    allowed=lambda exact, right: [np.zeros(right[0].shape)],
    sizes=_sizes,
    skeletons={".cu": TRANSPOSE_CU, ".py": TRANSPOSE_PY},
    picture=Picture((
        Panel("x", ("0123....", "4567....", "89ab....", "cdef....")),
        Panel("tile, read by columns", ("0123 ", "4567 ", "89ab ", "cdef ")),
        Panel("y", ("048c", "159d", "26ae", "37bf", "....", "....", "....", "....")),
    ), "A tile of 4 x 4 here, not 32 x 32. A row of x goes into a row of the tile; a column of the tile goes into a row of y. "
       "With a "
       "fifth column that nobody uses, the elements of a column lie in different banks."),
    hints=(
        "First x[row][column] into tile[i][threadIdx.x], with row from blockIdx.y and column from blockIdx.x; then a barrier.",
        "The block's tile begins in y at row blockIdx.x * 32 and column blockIdx.y * 32: the blocks are swapped, the threads "
        "are not.",
        "y[(blockIdx.x * 32 + i) * rows + blockIdx.y * 32 + threadIdx.x] = tile[threadIdx.x][i].",
        "Lanes that read down a column of float tile[32][32] all meet in one bank. With rows of 33 they do not: tile[32][33].",
    ),
    cases=lambda: [_case(*s) for s in ((0, 3), (1, 1), (32, 32), (31, 33), (33, 31), (5, 70))],
    measured=lambda: _case(64, 96),
    limits=(
        coalesced("read and write with threadIdx.x along the rows of the memory, and turn the tile in shared memory"),
        conflict_free("give the tile's rows a number that nobody uses, float tile[32][33], so that a column lies in 32 banks"),
        numbers_an_output(1, "each element is read once"),
    ),
    mistakes=(
        Mistake(_misread, "the elements lie as they lie in x: nothing has been turned"),
        Mistake(_tilewise, "each tile lies at its place in y and is not turned itself: read it by tile[threadIdx.x][i]",
                partly=True),
    ),
    praise="32 neighbours at each load and each store, 32 banks at each turn. A backward pass multiplies by such transposes.",
)  # fmt: skip

"""Puzzles on the product C = A B: tiles in shared memory, tiles in registers, and tiles that come while others are multiplied."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygan_kernels.contract import KERNELS
from tinygan_kernels.verification.cases import Case

from .limits import coalesced, conflict_free, numbers_an_output, overlapped_copies, shared_reads_a_term
from .picture import Panel, Picture
from .puzzle import Mistake, Puzzle

TASK = "C = A B, A (M, K), B (K, N), C (M, N), all row-major, of any size.\n"


def _case(m: int, n: int, k: int) -> Case:
    rng = np.random.default_rng(10000 * m + 100 * n + k)
    a, b = (rng.normal(size=s).astype(np.float32) for s in ((m, k), (k, n)))
    return Case("matmul", f"{m}x{k} @ {k}x{n}", (a, b))


def _turned(matrix: np.ndarray) -> np.ndarray:
    """Return what one reads with row and column exchanged in the address."""
    return np.ascontiguousarray(matrix).reshape(matrix.shape[::-1]).T


def _mistakes(tile: int) -> tuple[Mistake, ...]:
    """Return the usual mistakes in a product that goes by tiles of so many terms."""

    def last(a: np.ndarray, b: np.ndarray, **_: Any) -> np.ndarray:
        start = max(a.shape[1] - 1, 0) // tile * tile
        return a[:, start:] @ b[start:]

    def whole(a: np.ndarray, b: np.ndarray, **_: Any) -> np.ndarray:
        end = a.shape[1] // tile * tile
        return a[:, :end] @ b[:end]

    return (
        Mistake(last, "only the last tile's terms are in the sum: it begins anew with each tile"),
        Mistake(whole, f"the sum ends with the last whole tile: where K is no multiple of {tile}, the rest is left out"),
        Mistake(lambda a, b, **_: a[:, :tile] @ b[:tile], f"only the first {tile} terms are in the sum: loop over all tiles of K"),
        Mistake(lambda a, b, **_: a[:, :-1] @ b[:-1], "the sum over k ends one term early"),
        Mistake(lambda a, b, **_: _turned(a) @ b, "A is read as if it were stored by columns: its element is a[row * K + k]"),
        Mistake(lambda a, b, **_: a @ _turned(b), "B is read as if it were stored by columns: its element is b[k * N + column]"),
        Mistake(lambda a, b, **_: np.zeros((len(a), b.shape[1])), "all of C is 0: nothing is summed"),
    )


# ---- tiles in shared memory ------------------------------------------------------------------------------------------------------

TILED_CU = """\
// matmul-tiled: C = A B by tiles of 16 x 16 in shared memory. A (M, K), B (K, N), C (M, N).
// launch: matmul<<<dim3((N + 15) / 16, (M + 15) / 16), dim3(16, 16)>>>(a, b, c, M, N, K)
extern "C" __global__ void matmul(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[16][16], bs[16][16];
    int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 16 + y, column = blockIdx.x * 16 + x;
    float sum = 0;
    // For each tile of 16 terms: every thread brings one element of A and one of B (0 beyond the edge); barrier; 16 terms; barrier.
    as[y][x] = row < M && x < K ? a[row * K + x] : 0;
    bs[y][x] = y < K && column < N ? b[y * N + column] : 0;
    __syncthreads();
    for (int k = 0; k < 16; ++k) sum += as[y][k] * bs[k][x];
    if (row < M && column < N) c[row * N + column] = sum;
}
"""
TILED_PY = """\
# matmul-tiled: C = A B by tiles of 16 x 16 in shared memory. A (M, K), B (K, N), C (M, N).
from numba import cuda, float32


# launch: matmul[(ceil_div(N, 16), ceil_div(M, 16)), (16, 16)](a, b, c)
@cuda.jit
def matmul(a, b, c):
    left = cuda.shared.array((16, 16), float32)
    right = cuda.shared.array((16, 16), float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    row, column = cuda.blockIdx.y * 16 + y, cuda.blockIdx.x * 16 + x
    total = float32(0)
    # For each tile of 16 terms: every thread brings one element of A and one of B (0 beyond the edge); barrier; 16 terms; barrier.
    left[y, x] = a[row, x] if row < c.shape[0] and x < a.shape[1] else 0
    right[y, x] = b[y, column] if y < b.shape[0] and column < c.shape[1] else 0
    cuda.syncthreads()
    for k in range(16):
        total += left[y, k] * right[k, x]
    if row < c.shape[0] and column < c.shape[1]:
        c[row, column] = total
"""
MATMUL_TILED = Puzzle(
    name="matmul-tiled",
    title="a product by tiles: each number that a block reads serves 16 of its threads",
    task=f"{TASK}A block of 16 x 16 threads computes a tile of C. It walks along K, 16 terms at a time: brings a tile of A "
         f"and a tile\n"
         "of B into shared memory, and multiplies them there. Naively each output reads 2 K numbers; so it reads 2 K / 16.",
    kernel=KERNELS["matmul"],
    skeletons={".cu": TILED_CU, ".py": TILED_PY},
    picture=Picture((
        Panel("A", ("........", "........", "11112222", "11112222", "11112222", "11112222")),
        Panel("B", ("..1111..", "..1111..", "..1111..", "..1111..", "..2222..", "..2222..", "..2222..", "..2222..")),
        Panel("C", ("........", "........", "..cccc..", "..cccc..", "..cccc..", "..cccc..")),
    ), "The block of tile c first multiplies the tiles 1, then adds the product of the tiles 2. Each of its threads has one "
       "element of "
       "c, and takes a row of A's tile and a column of B's."),
    hints=(
        "for (int k0 = 0; k0 < K; k0 += 16) around it all; the element of A is then a[row * K + k0 + x], that of B b[(k0 + y) "
        "* N + "
        "column].",
        "What lies beyond an edge is brought as 0: it adds nothing, and no thread has to leave the loop early.",
        "Two barriers a tile: one before the tile is multiplied, and one after, before the next tile overwrites it.",
    ),
    cases=lambda: [_case(*s) for s in ((3, 2, 0), (1, 1, 1), (16, 16, 16), (15, 17, 33), (17, 5, 48))],
    measured=lambda: _case(32, 32, 32),
    terms=32**3,
    limits=(
        coalesced(),
        conflict_free("let threadIdx.x run along the columns of B's tile, and along nothing in A's: a broadcast costs one "
                      "wavefront"),
        numbers_an_output(2 * 32 / 16, "read each element of A and B once for the whole block, into the tiles"),
    ),
    mistakes=_mistakes(16),
    praise="each number read serves 16 threads. The project's own: matmul.cu, versions 1 to 3.",
)  # fmt: skip


# ---- tiles in registers ----------------------------------------------------------------------------------------------------------

REGISTERS_CU = """\
// matmul-registers: C = A B; a block of 8 x 8 threads computes 32 x 32 of C, a thread 4 x 4 of them, in registers.
// launch: matmul<<<dim3((N + 31) / 32, (M + 31) / 32), dim3(8, 8)>>>(a, b, c, M, N, K)
extern "C" __global__ void matmul(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[32][8], bs[8][32];  // 8 terms at a time
    int x = threadIdx.x, y = threadIdx.y, thread = y * 8 + x, row0 = blockIdx.y * 32, column0 = blockIdx.x * 32;
    float sum[4][4] = {};
    for (int k0 = 0; k0 < K; k0 += 8) {
        // 64 threads bring 256 numbers of each tile: four each.
        for (int i = thread; i < 256; i += 64) {
            int ra = i / 8, ka = i % 8, kb = i / 32, cb = i % 32;
            as[ra][ka] = row0 + ra < M && k0 + ka < K ? a[(row0 + ra) * K + k0 + ka] : 0;
            bs[kb][cb] = k0 + kb < K && column0 + cb < N ? b[(k0 + kb) * N + column0 + cb] : 0;
        }
        __syncthreads();
        // For each k: four numbers of A and four of B into registers, then 16 multiply-adds. This makes one of the 16:
        for (int k = 0; k < 8; ++k) sum[0][0] += as[y][k] * bs[k][x];
        __syncthreads();
    }
    if (row0 + y < M && column0 + x < N) c[(row0 + y) * N + column0 + x] = sum[0][0];
}
"""
REGISTERS_PY = """\
# matmul-registers: C = A B; a block of 8 x 8 threads computes 32 x 32 of C, a thread 4 x 4 of them, in registers.
from numba import cuda, float32


# launch: matmul[(ceil_div(N, 32), ceil_div(M, 32)), (8, 8)](a, b, c)
@cuda.jit
def matmul(a, b, c):
    left = cuda.shared.array((32, 8), float32)  # 8 terms at a time
    right = cuda.shared.array((8, 32), float32)
    total = cuda.local.array((4, 4), float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    (rows, terms), columns = a.shape, b.shape[1]
    row0, column0 = cuda.blockIdx.y * 32, cuda.blockIdx.x * 32
    for i in range(4):
        for j in range(4):
            total[i, j] = 0
    for k0 in range(0, terms, 8):
        # 64 threads bring 256 numbers of each tile: four each.
        for i in range(y * 8 + x, 256, 64):
            ra, ka, kb, cb = i // 8, i % 8, i // 32, i % 32
            left[ra, ka] = a[row0 + ra, k0 + ka] if row0 + ra < rows and k0 + ka < terms else 0
            right[kb, cb] = b[k0 + kb, column0 + cb] if k0 + kb < terms and column0 + cb < columns else 0
        cuda.syncthreads()
        # For each k: four numbers of A and four of B into registers, then 16 multiply-adds. This makes one of the 16:
        for k in range(8):
            total[0, 0] += left[y, k] * right[k, x]
        cuda.syncthreads()
    if row0 + y < rows and column0 + x < columns:
        c[row0 + y, column0 + x] = total[0, 0]
"""
MATMUL_REGISTERS = Puzzle(
    name="matmul-registers",
    title="a product by tiles in registers: 16 multiply-adds for eight numbers from shared memory",
    task=f"{TASK}A block of 8 x 8 threads computes 32 x 32 elements of C, and each thread 4 x 4 of them, in registers. For "
         f"each k it\n"
         "takes four numbers of A and four of B from shared memory, and makes 16 multiply-adds of them: half a number for each.\n"
         "Which rows and columns a thread has is free; some choices make lanes meet in a bank.",
    kernel=KERNELS["matmul"],
    skeletons={".cu": REGISTERS_CU, ".py": REGISTERS_PY},
    picture=Picture((
        Panel("A's tile", ("....", "a...", "....", "a...", "....", "a...", "....", "a...")),
        Panel("B's tile", (".b.b.b.b", "........", "........", "........")),
        Panel("16 registers", ("bbbb", "bbbb", "bbbb", "bbbb")),
        Panel("C", ("........", ".b.b.b.b", "........", ".b.b.b.b", "........", ".b.b.b.b", "........", ".b.b.b.b")),
    ), "Two threads a side here, not eight. For each k a thread multiplies four numbers of A's column by four of B's row. Its "
       "elements of "
       "C lie as far apart as the block has threads, so that neighbouring threads have neighbours."),
    hints=(
        "Thread (x, y) has rows y, y + 8, y + 16, y + 24 and columns x, x + 8, x + 16, x + 24 of the tile.",
        "For each k: float fa[4], fb[4]; fa[i] = as[y + 8 * i][k]; fb[j] = bs[k][x + 8 * j]; then sum[i][j] += fa[i] * fb[j].",
        "With rows 4 y + i instead, lanes of a warp read words 32 apart in as: all in one bank.",
        "At the end 16 stores, each with its own guard.",
    ),
    cases=lambda: [_case(*s) for s in ((3, 2, 0), (1, 1, 1), (32, 32, 8), (31, 33, 17), (33, 34, 9))],
    measured=lambda: _case(32, 32, 32),
    terms=32**3,
    limits=(
        coalesced(),
        conflict_free("let a thread have rows y + 8 i and columns x + 8 j, so that neighbouring lanes read neighbouring rows of 8"),
        numbers_an_output(2 * 32 / 32, "the block computes 32 x 32 elements of C: each number of A and B is read once for 32 "
                                       "of them"),
        shared_reads_a_term(0.5, "read four numbers of A and four of B into registers for each k, and use each of them four times"),
    ),
    mistakes=_mistakes(8),
    praise="half a number for each multiply-add. The project's own: matmul.cu, version 4.",
)  # fmt: skip


# ---- tiles under way -------------------------------------------------------------------------------------------------------------

ASYNC_CU = """\
// matmul-async: C = A B by tiles of 16 x 16; while one pair of tiles is multiplied, cp.async brings the next pair.
// launch: matmul<<<dim3((N + 15) / 16, (M + 15) / 16), dim3(16, 16)>>>(a, b, c, M, N, K)

// Begin to copy *from to *to in shared memory, or a 0 if not valid (then nothing is read). It passes through no register.
__device__ void copy_async(float* to, const float* from, bool valid) {
    unsigned address = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(address), "l"(from), "r"(valid ? 4 : 0) : "memory");
}
// End a group: what this thread has begun to copy since the last one.
__device__ void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Wait until all groups of this thread but the newest `running` ones have arrived. The others' copies: a barrier.
template <int running> __device__ void wait_for_groups() { asm volatile("cp.async.wait_group %0;" ::"n"(running) : "memory"); }

extern "C" __global__ void matmul(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[2][16][16], bs[2][16][16];  // two stages: one is multiplied, the other is under way
    int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 16 + y, column = blockIdx.x * 16 + x;
    float sum = 0;
    // Begin tile 0. Then for each tile: begin the next one in the other stage, wait for this one, barrier, 16 terms, barrier.
    for (int k0 = 0; k0 < K; k0 += 16) {
        copy_async(&as[0][y][x], a + row * K + k0 + x, row < M && k0 + x < K);
        copy_async(&bs[0][y][x], b + (k0 + y) * N + column, k0 + y < K && column < N);
        end_group();
        for (int k = 0; k < 16; ++k) sum += as[0][y][k] * bs[0][k][x];
    }
    if (row < M && column < N) c[row * N + column] = sum;
}
"""
MATMUL_ASYNC = Puzzle(
    name="matmul-async",
    title="a product whose next tiles are under way, by cp.async, while it multiplies the present ones",
    task=f"{TASK}As matmul-tiled, with two stages of tiles in shared memory. cp.async copies from global to shared memory "
         f"without a\n"
         "register in between, and the thread goes on meanwhile: it begins the next pair of tiles, and only then waits for "
         "this one.",
    kernel=KERNELS["matmul"],
    skeletons={".cu": ASYNC_CU},
    picture=Picture((
        Panel("copies, in time", ("0...2...", "..1...3.")),
        Panel("multiplied, in time", ("..0...2.", "....1...")),
    ), "Time runs to the right; the upper row is stage 0, the lower one stage 1. While tiles 0 are multiplied in stage 0, "
       "tiles 1 come "
       "into stage 1; then the stages change their roles."),
    hints=(
        "Begin tile 0 and end its group before the loop. In round t begin tile t + 1 in stage (t + 1) % 2, then end that group.",
        "wait_for_groups<1>() waits for all groups but the newest: tile t has arrived, tile t + 1 may still be under way.",
        "A thread waits for its own copies alone: the barrier after it says that all threads' copies have arrived.",
        "End a group in the last round too, though it is empty: so that `all but one` still means that the last tile has arrived.",
        "The second barrier, after the 16 terms, keeps the next round from copying into a stage that somebody still reads.",
    ),
    cases=lambda: [_case(*s) for s in ((3, 2, 0), (1, 1, 1), (16, 16, 16), (15, 17, 33), (17, 5, 64))],
    measured=lambda: _case(32, 32, 64),
    terms=32 * 32 * 64,
    limits=(
        *overlapped_copies("bring the tiles by copy_async, straight into shared memory",
                           "begin the copies of the next tile before waiting for this one's: wait_for_groups<1>()"),
        coalesced(),
        conflict_free("let threadIdx.x run along the columns of B's tile, and along nothing in A's: a broadcast costs one "
                      "wavefront"),
        numbers_an_output(2 * 64 / 16, "read each element of A and B once for the whole block, into the tiles"),
    ),
    mistakes=_mistakes(16),
    praise="the next tiles arrive while these are multiplied. The project's own: matmul.cu, version 5.",
)  # fmt: skip

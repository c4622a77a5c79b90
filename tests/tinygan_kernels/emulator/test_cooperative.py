"""Launches whose blocks are all resident and synchronise: this_grid().sync(), compiled from NVIDIA's cooperative_groups.h."""

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="needs NVRTC: pip install -e '.[emulator]'")

from numba import cuda
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, SanitizerError

SOURCE = """
#include <cooperative_groups.h>
namespace cg = cooperative_groups;

extern "C" __global__ void diffuse(float* x, float* y, int n, int steps, int* valid, int together) {
    cg::grid_group grid = cg::this_grid();
    int i = grid.thread_rank();
    if (i == 0) valid[0] = grid.is_valid(), valid[1] = grid.size(), valid[2] = grid.num_blocks();
    if (together && !grid.is_valid()) return;
    for (int step = 0; step < steps; step++) {
        if (i < n) y[i] = 0.5f * x[i] + 0.25f * (x[(i + 1) % n] + x[(i + n - 1) % n]);
        if (together) grid.sync();
        float* z = x; x = y; y = z;
    }
}
extern "C" __global__ void split(int* x, int* y, int n) {
    cg::grid_group grid = cg::this_grid();
    int i = grid.thread_rank();
    x[i] = i * i;
    auto token = grid.barrier_arrive();
    int own = i + 1;
    grid.barrier_wait(std::move(token));
    y[i] = own * x[n - 1 - i];
}
extern "C" __global__ void trapped(int* x) { cg::this_grid().sync(); x[0] = 1; }
"""


@pytest.fixture(scope="module")
def module():
    return emulator.RawModule(code=SOURCE, enable_cooperative_groups=True, filename="grid.cu")


def diffused(x: np.ndarray, steps: int) -> np.ndarray:
    for _ in range(steps):
        x = np.float32(0.5) * x + np.float32(0.25) * (np.roll(x, -1) + np.roll(x, 1))
    return x


@pytest.mark.parametrize(("grid", "block"), [((7,), (32,)), ((3, 2), (16, 2, 2)), ((40,), (256,))])
def test_blocks_see_what_others_wrote_before_the_barrier(module, grid, block):
    """The last grid is more than one chunk: blocks of both are resident together, in turns."""
    threads = int(np.prod(grid) * np.prod(block))
    n = threads - 5
    x, y, valid = np.random.default_rng(1).normal(size=n).astype("f4"), np.zeros(n, "f4"), np.zeros(3, "i4")
    want = diffused(x.copy(), 3)
    module.get_function("diffuse")(grid, block, (x, y, np.int32(n), np.int32(3), valid, np.int32(1)))
    assert np.abs(y - want).max() < 1e-6, "after an odd number of steps the result is in y"
    assert valid.tolist() == [1, threads, np.prod(grid)]


def test_arrival_and_wait_may_be_apart(module):
    x, y, i = np.zeros(96, "i4"), np.zeros(96, "i4"), np.arange(96)
    module.get_function("split")((3,), (32,), (x, y, np.int32(96)))
    assert (y == (i + 1) * (95 - i) ** 2).all()


def test_without_the_barrier_it_is_a_race(module):
    x, y, valid = np.ones(96, "f4"), np.zeros(96, "f4"), np.zeros(3, "i4")
    with pytest.raises(SanitizerError, match="racecheck"):
        module.get_function("diffuse")((3,), (32,), (x, y, np.int32(96), np.int32(2), valid, np.int32(0)))


def test_an_ordinary_launch_cannot_synchronise(module):
    """cooperative_groups says so by is_valid(), and traps where it is synchronised all the same."""
    plain = emulator.RawModule(code=module.ptx)
    x, y, valid = np.zeros(96, "f4"), np.zeros(96, "f4"), np.full(3, 7, "i4")
    plain.get_function("diffuse")((3,), (32,), (x, y, np.int32(96), np.int32(1), valid, np.int32(1)))
    assert valid.tolist() == [0, 96, 3]
    with pytest.raises(EmulatorError, match=r"trap in trapped at .*: RawModule\(\.\.\., enable_cooperative_groups=True\)"):
        plain.get_function("trapped")((2,), (32,), (valid,))


def test_a_grid_that_is_not_resident_is_refused(module):
    with pytest.raises(EmulatorError, match=r"split: a cooperative launch of 217 blocks .* at most 216 blocks of 1024"):
        x = np.zeros(217 * 1024, "i4")
        module.get_function("split")((217,), (1024,), (x, x, np.int32(x.size)))


def test_a_block_that_leaves_early_is_a_deadlock_that_ends(module):
    """A barrier of the grid that one block never reaches."""
    text = module.ptx
    start = text.index(".entry trapped")
    at = text.index("%envreg2", start)
    line = text.rindex("{\n", 0, at) + 2
    leave = " .reg .pred %early; .reg .b32 %block; mov.u32 %block, %ctaid.x; setp.eq.u32 %early, %block, 1; @%early ret;\n"
    broken = emulator.RawModule(code=text[:line] + leave + text[line:], enable_cooperative_groups=True).get_function("trapped")
    with pytest.raises(EmulatorError, match="endless loop"):
        broken((3,), (32,), (np.zeros(1, "i4"),))


# ---- Numba's cuda.cg.this_grid().sync() -----------------------------------------------------------------------------


@cuda.jit
def reversed_twice(x, y, steps):
    grid, i = cuda.cg.this_grid(), cuda.grid(1)
    for step in range(steps):
        x[i] = i + step
        grid.sync()
        y[i] = x[x.size - 1 - i]
        grid.sync()


@cuda.jit
def only_named(x):
    cuda.cg.this_grid()
    x[cuda.grid(1)] = 1


@cuda.jit
def not_met_by_all(x):
    grid = cuda.cg.this_grid()
    if cuda.blockIdx.x > 0:
        grid.sync()
    x[cuda.grid(1)] = 1


@cuda.jit
def written_after(x, y):
    grid, i = cuda.cg.this_grid(), cuda.grid(1)
    grid.sync()
    x[i] = i + 1
    y[i] = x[x.size - 1 - i]


@pytest.mark.parametrize("way", ["launch", "numba"])
def test_a_grid_of_numba_synchronises(way):
    x, y = np.zeros(256, "i4"), np.zeros(256, "i4")
    if way == "launch":
        emulator.launch(reversed_twice, 4, 64, x, y, 3)
    else:
        with emulator.numba():
            reversed_twice[4, 64](x, y, 3)
    assert y.tolist() == [255 - i + 2 for i in range(256)]


def test_a_grid_of_numba_that_does_not_synchronise_may_be_of_any_size():
    x, y = np.zeros(4000 * 32, "i4"), np.zeros(64, "i4")
    emulator.launch(only_named, 4000, 32, x)
    with emulator.numba():
        only_named[2, 32](y)
    assert x.all() and y.all()


def test_a_grid_of_numba_that_is_too_large_is_refused():
    x = np.zeros(64 * 4000, "i4")
    with pytest.raises(EmulatorError, match=r"a cooperative launch of 4000 blocks is too large.*at most 3456 blocks of 64"):
        emulator.launch(reversed_twice, 4000, 64, x, x, 1)
    with emulator.numba(), pytest.raises(EmulatorError, match="a cooperative launch of 4000 blocks is too large"):
        reversed_twice[4000, 64](x, x, 1)


def test_what_a_grid_of_numba_does_wrong_is_found():
    with emulator.sanitize() as found:
        emulator.launch(written_after, 4, 64, np.zeros(256, "i4"), np.zeros(256, "i4"))
    assert found and all(f.tool == "racecheck" and "between blocks" in f.message for f in found)
    with pytest.raises(EmulatorError, match="endless loop"):
        emulator.launch(not_met_by_all, 3, 32, np.zeros(96, "i4"))


TILES = """
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
namespace cg = cooperative_groups;
template <unsigned N> __device__ void tile_of(cg::thread_block block, const int* x, int* out) {
    auto tile = cg::tiled_partition<N>(block);
    int i = blockIdx.x * blockDim.x + threadIdx.x, all = gridDim.x * blockDim.x;
    extern __shared__ int seen[];
    seen[threadIdx.x] = x[i];
    tile.sync();
    out[i] = seen[threadIdx.x ^ (N - 1)];  // of another warp of the tile
    out[all + i] = cg::reduce(tile, x[i], cg::plus<int>());
    out[2 * all + i] = cg::exclusive_scan(tile, x[i], cg::plus<int>());
    out[3 * all + i] = tile.shfl(x[i], N - 3);
    out[4 * all + i] = tile.any(x[i] > 900) + 2 * tile.all(x[i] >= 0);
    out[5 * all + i] = 10000 * tile.meta_group_rank() + tile.thread_rank() + 1000 * (tile.num_threads() == N);
}
extern "C" __global__ void tiles64(const int* x, int* out) {
    __shared__ cg::block_tile_memory<256> room;
    tile_of<64>(cg::this_thread_block(room), x, out);
}
extern "C" __global__ void tiles128(const int* x, int* out) { tile_of<128>(cg::this_thread_block(), x, out); }
extern "C" __global__ void exchange(const int* x, int* out, int waits) {
    auto tile = cg::tiled_partition<64>(cg::this_thread_block());
    __shared__ int seen[128];
    seen[threadIdx.x] = x[threadIdx.x];
    if (waits) tile.sync();
    out[threadIdx.x] = seen[threadIdx.x ^ 63];
}
"""


@pytest.fixture(scope="module")
def tiles():
    return emulator.RawModule(code=TILES, filename="tiles.cu")


@pytest.mark.parametrize("size", [64, 128])
def test_groups_of_several_warps_meet_reduce_and_shuffle(tiles, size):
    """With memory given for it, which sm_80 needs not, and without. Some tiles have a value above 900, some have one below 0."""
    grid, block = 2, 256
    x = np.random.default_rng(size).integers(0, 900, grid * block).astype("i4")
    x[5], x[size + 7], x[-1] = 901, -1, 950
    out = np.full((6, grid * block), -7, "i4")
    tiles.get_function(f"tiles{size}")((grid,), (block,), (x, out), shared_mem=4 * block)
    rows = x.reshape(-1, size)
    assert (out[0].reshape(rows.shape) == rows[:, ::-1]).all()
    assert (out[1].reshape(rows.shape) == rows.sum(axis=1)[:, None]).all()
    assert (out[2].reshape(rows.shape) == rows.cumsum(axis=1) - rows).all()
    assert (out[3].reshape(rows.shape) == rows[:, size - 3][:, None]).all()
    votes = (rows > 900).any(axis=1) + 2 * (rows >= 0).all(axis=1)
    assert len(set(votes)) == 3, "the votes differ"
    assert (out[4].reshape(rows.shape) == votes[:, None]).all()
    rank = np.arange(block)
    assert (out[5].reshape(grid, block) == 10000 * (rank // size) + rank % size + 1000).all()


def test_a_tile_of_several_warps_that_does_not_wait_is_a_race(tiles):
    kernel, x = tiles.get_function("exchange"), np.arange(128, dtype="i4")
    out = np.zeros(128, "i4")
    kernel((1,), (128,), (x, out, np.int32(1)))
    assert (out == x ^ 63).all()
    with pytest.raises(SanitizerError, match="shared-memory race"):
        kernel((1,), (128,), (x, out, np.int32(0)))

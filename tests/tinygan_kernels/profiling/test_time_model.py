"""The model of time: each part worked out by hand on kernels made for it, and which GPU, block and part limits what."""

from pathlib import Path

import numpy as np
import pytest
from tinygan_kernels import ContractError

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels import emulator
from tinygan_kernels.cuda.device import RecordedLaunch
from tinygan_kernels.emulator.counters import observed
from tinygan_kernels.own.profiles import modelled_time
from tinygan_kernels.profiling import time_model
from tinygan_kernels.profiling.counts import WHOLE, Counted
from tinygan_kernels.profiling.memory_pipes import BARRIERS, BLOCK_SECTORS, LSU_CYCLES, WAITS, PipeCounter
from tinygan_kernels.profiling.report import modelled_time as of_version

A6000, A100 = time_model.GPUS["a6000"], time_model.GPUS["a100"]


def pipes(source, grid, block, *arrays):
    """Return what PipeCounter counts besides Nsight Compute's counters in a launch of k."""
    found = {}
    kernel = emulator.RawModule(code=source).get_function("k")
    with emulator.checks(False), observed(lambda made: PipeCounter(made, emulator.Counts(), found)):
        kernel(grid, block, arrays)
    return found["k"]


def aligned(size):
    array = emulator.empty(size, np.float32)
    array[...] = 1
    return array


def copy(index):
    return f'extern "C" __global__ void k(const float* x, float* y) {{ int t = threadIdx.x; y[t] = x[{index}]; }}'


@pytest.mark.parametrize(("index", "lsu16", "lsu32"), [
    ("t", 2, 1), ("0", 2, 1), ("32 * t", 32, 32), ("4 * t", 4, 4), ("t + 1", 2, 2)
])  # fmt: skip
def test_a_request_takes_its_lines_or_its_lanes(index, lsu16, lsu32):
    """A load of a warp, and a store of 32 neighbours, which takes 2 cycles of 16 lanes and 1 of 32."""
    found = pipes(copy(index), 1, 32, aligned(1056), aligned(32))
    assert (found[LSU_CYCLES[16]], found[LSU_CYCLES[32]]) == (lsu16 + 2, lsu32 + 1)
    assert found[WAITS] == 1 and not found[BARRIERS]


def test_sectors_count_once_for_each_block_that_touches_them():
    found = pipes(copy("t"), 3, 32, aligned(32), aligned(32))
    assert found[BLOCK_SECTORS] == 3 * (4 + 4)
    twice = copy("t").replace("y[t] =", "y[t] = x[31 - t] +")
    assert pipes(twice, 3, 32, aligned(32), aligned(32))[BLOCK_SECTORS] == 3 * (4 + 4)


SHARED = """extern "C" __global__ void k(const float* x, float* y) {{
    __shared__ __align__(16) float s[256];
    int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();
    float sum = 0;
    {read}
    y[t] = sum;
}}"""


def test_a_place_that_is_read_twice_costs_two_loads():
    read = "volatile float* v = s; sum = v[t]; sum += v[t];"
    once = pipes(SHARED.format(read="volatile float* v = s; sum = v[t];"), 1, 32, aligned(32), aligned(32))
    twice = pipes(SHARED.format(read=read), 1, 32, aligned(32), aligned(32))
    assert twice[LSU_CYCLES[16]] - once[LSU_CYCLES[16]] == 2


@pytest.mark.parametrize(("read", "cycles"), [
    ("for (int k = 0; k < 4; ++k) sum += s[t / 32 * 4 + k];", 4),  # one load of 16 bytes a lane: 512 bytes, 128 a cycle
    ("for (int k = 0; k < 4; ++k) sum += s[k * 32 + t];", 8),  # four loads of 4 bytes
    ("for (int k = 0; k < 2; ++k) sum += s[2 * t + k];", 2),  # one load of 8 bytes
    ("for (int k = 0; k < 4; ++k) sum += s[1 + t / 32 * 4 + k];", 6),  # not at a multiple of 16 bytes: a word, two, a word
    ("sum = s[t * 8 % 256];", 8),  # 8 lanes to each of 4 banks
])  # fmt: skip
def test_neighbours_in_shared_memory_are_taken_together_where_they_are_aligned(read, cycles):
    found = pipes(SHARED.format(read=read), 1, 32, aligned(32), aligned(32))
    around = 2 + 2 + 2  # the load of x, the store to s, the store to y
    assert found[LSU_CYCLES[16]] - around == cycles
    assert found[BARRIERS] == 1


def counted(**metrics):
    """Return counts of the CUDA kernel k: 840 blocks of 8 warps, and these metrics."""
    found = {"smsp__warps_launched.sum": 6720.0, **metrics}
    return Counted({("k", WHOLE, name): value for name, value in found.items()}, "")


def test_each_part_is_what_it_is_of_a_multiprocessor():
    ffma = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
    counts = counted(**{"smsp__inst_executed.sum": 840 * 4000.0, ffma: 840 * 128 * 500.0,
                        LSU_CYCLES[16]: 840 * 700.0, LSU_CYCLES[32]: 840 * 350.0, BLOCK_SECTORS: 840 * 84.0})  # fmt: skip
    found = time_model.kernel_time(A6000, counts, "k", 256, 4, 768e3)
    cycle = 10 / (A6000.clock * 1e3)  # each of 84 multiprocessors has 10 of the 840 blocks; us for a cycle of a block
    assert found.blocks == 840 and found.issue == pytest.approx(1000 * cycle) and found.arithmetic == pytest.approx(500 * cycle)
    assert found.load_store == pytest.approx(700 * cycle) and found.latency == 0 and found.total == pytest.approx(1000 * cycle)
    assert found.limit == "issue" and found.dram == pytest.approx(1)
    assert found.l2 == pytest.approx(840 * 84 * 32 / (64 * 84 * A6000.clock * 1e3))
    on_a100 = time_model.kernel_time(A100, counts, "k", 256, 4, 0)
    assert on_a100.load_store == pytest.approx(350 * 8 / (A100.clock * 1e3)), "32 lanes; 8 blocks each of 108"
    assert on_a100.arithmetic == pytest.approx(1000 * 8 / (A100.clock * 1e3)), "64 lanes"


@pytest.mark.parametrize(("barriers", "resident", "waiting"), [
    (1, 1, 2000),  # alone, its warps wait together: all of the 10 x 200 cycles are lost
    (1, 2, 500),  # two blocks: each works while the other waits, (1000 + 2000) / 2
    (1, 4, 0),
    (0, 1, 1125),  # its 8 warps wait each for itself: 1000 / 8 + 2000
    (0, 2, 62.5),
    (0, 4, 0),
])  # fmt: skip
def test_waiting_is_hidden_by_other_blocks_and_without_barriers_by_other_warps(barriers, resident, waiting):
    counts = counted(**{"smsp__inst_executed.sum": 840 * 4000.0, WAITS: 6720 * 10.0, BARRIERS: 6720.0 * barriers})
    found = time_model.kernel_time(A6000, counts, "k", 256, resident, 0)
    assert found.latency == pytest.approx(waiting * 10 / (A6000.clock * 1e3))
    assert found.total == pytest.approx((1000 + waiting) * 10 / (A6000.clock * 1e3))


def test_a_kernel_that_is_launched_twice_moves_the_least_bytes_once(monkeypatch):
    numbers = {"registers": 32, "shared": 0, "spill_stores": 0, "spill_loads": 0}
    monkeypatch.setattr(time_model.machine_code, "resources", lambda launch, arch: numbers)
    launch = RecordedLaunch("k", 840, 256, Path("k.cu"), None)
    once, twice = (time_model.times(A6000, counted(), [launch] * count, 768_000) for count in (1, 2))
    assert len(once) == 1 and once == twice and once[0].dram == pytest.approx(1)


def test_clocks_are_those_of_the_data_sheets_peaks():
    known = {"t4": 1.58, "a100": 1.41, "a6000": 1.80, "4090": 2.52, "h100": 1.98, "h200": 1.98}
    assert {name: round(gpu.clock, 2) for name, gpu in time_model.GPUS.items()} == known
    with pytest.raises(ContractError, match="there is no GPU '3090' in the model of time; there are t4, a100, a6000"):
        time_model.gpu_named("3090")


ADD = """// launch: add<<<(rows * channels + 255) / 256, 256>>>(x, b, y, rows * channels, channels)
__global__ void add(const float* x, const float* b, float* y, int n, int channels) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i < n) y[i] = x[i] + b[i % channels];
}
"""


def test_a_kernel_of_ones_own_and_versions_of_the_ladder(tmp_path):
    path = tmp_path / "add.cu"
    path.write_text(ADD)
    (found,), text = modelled_time(path, "bias_act", "a6000", shape=(1024, 256), params={"act": "linear"})
    assert found.limit == "DRAM" and found.total == pytest.approx((2 * 1024 * 256 + 256) * 4 / 768e3), "each byte once"
    for part in ("Modelled time on one RTX A6000 at 1.80 GHz", "A model, not a measurement.", "limited by DRAM"):
        assert part in text
    found, text = of_version("bce_logits", "h100", 1, (4096,))
    assert len(found) == len({k.kernel for k in found}) == 2 and all(f"{k.kernel}: " in text for k in found), "its two passes"
    with pytest.raises(ContractError, match="versions 1, 2; 9 is not one"):
        of_version("bce_logits", "h100", 9)

"""Counters: those of small shapes, extended, are those of the large one."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels.profiling import counts

FFMA = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
LOADED = "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"
STORED = "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum"
INSTRUCTIONS = "smsp__inst_executed.sum"


def test_counters_of_the_tiled_matmul_are_those_computed_by_hand():
    """M = 64, N = 48, K = 80 in 16 x 16 tiles: 4 x 3 blocks, each fetching 5 tiles of both factors, 16 rows of 2 sectors each."""
    counted = counts.count("matmul", 3, (64, 48, 80), "numba-cuda")
    assert counted.total(FFMA) == 64 * 48 * 80
    assert counted.total(LOADED) == 4 * 3 * 5 * 2 * 16 * 2
    assert counted.total(STORED) == 64 * 48 * 4 / 32
    assert counted.total("smsp__warps_launched.sum") == 4 * 3 * 8
    assert "on this very shape" in counted.how


@pytest.mark.parametrize("number, shape", [(4, (392, 64, 200)), (3, (40, 387, 195)), (1, (384, 32, 192))])
def test_the_extension_from_small_shapes_is_exact(monkeypatch, number, shape):
    """Every counter of every line, for sizes that leave ragged tiles: as counted on the shape itself."""
    direct = counts.count("matmul", number, shape, "numba-cuda")
    monkeypatch.setattr(counts, "MOST_WORK", 1 << 20)
    extended = counts.count("matmul", number, shape, "numba-cuda")
    assert "on this very shape" in direct.how
    assert "extended linearly" in extended.how and "exact on" in extended.how and "ESTIMATE" not in extended.how
    assert extended.values == direct.values


def test_a_count_that_does_not_grow_linearly_is_called_an_estimate(monkeypatch):
    def quadratic(kernel, number, backend, shape):
        return {(kernel, counts.WHOLE, INSTRUCTIONS): float(shape[0] ** 2)}

    monkeypatch.setattr(counts, "_execute", quadratic)
    counted = counts.count("adam", 1, (1 << 26,), "numba-cuda")
    assert "AN ESTIMATE: off by up to" in counted.how
    counted = counts.count("adam", 1, (1 << 24,), "numba-cuda")
    assert "as they do not grow linearly" in counted.how, "small enough to be counted itself"
    assert counted.total(INSTRUCTIONS) == float(1 << 48)


def test_a_product_of_three_linear_sizes_is_extended_exactly(monkeypatch):
    """Not only along one size at a time: M N (7 + 3 K) has all the mixed terms of a matrix product."""

    def product(kernel, number, backend, shape):
        m, n, k = shape
        return {(kernel, counts.WHOLE, INSTRUCTIONS): m * n * (7 + 3 * k), (kernel, counts.WHOLE, "launches"): 1}

    monkeypatch.setattr(counts, "_execute", product)
    shape = (4096, 3001, 2049)
    counted = counts.count("matmul", 4, shape, "numba-cuda")
    assert counted.total(INSTRUCTIONS) == product("", 0, "", shape)["", counts.WHOLE, INSTRUCTIONS]
    assert counted.total("launches") == 1 and "exact on 3 further shapes" in counted.how


def test_arrays_lie_where_a_gpu_would_put_them():
    placed = counts.random_array((3, 5), np.random.default_rng(0))
    assert placed.ctypes.data % 256 == 0 and placed.dtype == np.float32 and placed.flags.c_contiguous

"""The profile: counters extended from small shapes are those of the large one, code is inspected, bounds come from data sheets."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels import ContractError
from tinygan_kernels.cuda import numba_backend
from tinygan_kernels.profiling import calls, counts, machine_code, report, roofline, view

FFMA = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
LOADED = "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"
STORED = "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum"
INSTRUCTIONS = "smsp__inst_executed.sum"


# ---- counters -----------------------------------------------------------------------------------------------------------------


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
    placed = counts._placed((3, 5), np.random.default_rng(0))
    assert placed.ctypes.data % 256 == 0 and placed.dtype == np.float32 and placed.flags.c_contiguous


# ---- compiled code ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("version", numba_backend.LADDERS, ids=lambda v: f"{v.kernel}-{v.number}")
def test_no_kernel_spills(monkeypatch, version, arch):
    monkeypatch.setattr(machine_code, "why_no_code", lambda: "not asked for here")
    made = calls.call(version.kernel)
    for started in report.recorded(version, made):
        compiled = machine_code.inspect(started, arch)
        assert compiled.spill_stores == compiled.spill_loads == 0, compiled
        assert 0 < compiled.registers <= 255 and compiled.code is None
        assert compiled.stack == 0, compiled


def test_shared_memory_is_what_the_source_asks_for_on_every_architecture(monkeypatch):
    monkeypatch.setattr(machine_code, "why_no_code", lambda: "not asked for here")
    (version,) = [v for v in numba_backend.LADDERS if (v.kernel, v.number) == ("matmul", 4)]
    (started,) = report.recorded(version, calls.call("matmul"))
    assert [machine_code.inspect(started, arch).shared for arch in ("sm_80", "sm_90")] == [2 * 8 * 68 * 4] * 2


LOG = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'other' for 'sm_80'
ptxas         .     8 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 0 barriers
ptxas info    : Compiling entry function 'mine' for 'sm_80'
ptxas info    : Function properties for mine
ptxas         .     224 bytes stack frame, 124 bytes spill stores, 96 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers
info    : Function properties for 'mine':
info    : used 128 registers, used 1 barriers, 224 stack, 5376 bytes smem, 568 bytes cmem[0], 0 bytes lmem
"""


def test_the_linkers_log_is_read_for_the_kernel_that_is_asked_for():
    expected = {"registers": 128, "spill_stores": 124, "spill_loads": 96, "stack": 224, "shared": 5376}
    assert machine_code._resources(LOG, "mine") == expected
    with pytest.raises(machine_code.InspectionError, match="nothing of absent"):
        machine_code._resources(LOG, "absent")


def test_an_architecture_that_does_not_exist_is_one_line():
    (started,) = report.recorded(numba_backend.LADDERS[0], calls.call("matmul"))
    with pytest.raises(machine_code.InspectionError, match=r"sm_33: .*does not compile") as error:
        machine_code.link(started.ptx("sm_80")[0], "sm_33")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(bool(machine_code.why_no_code()), reason=machine_code.why_no_code() or "-")
def test_cuxray_reads_occupancy_and_the_inner_loop():
    (found,) = report.profile("matmul", 4, (128, 128, 64), "numba-cuda", "sm_90")
    (compiled,) = found.compiled
    assert compiled.code.bank_conflicts == 1 and 0 < compiled.code.occupancy <= 1
    assert compiled.code.inner_loop().multiply_adds == 512


# ---- roofline -----------------------------------------------------------------------------------------------------------------


def test_bounds_by_hand():
    gpu = roofline.Gpu("example", "sm_00", 10.0, 500.0, 1, "nowhere")
    busy = roofline.bound(gpu, 1e9, 1e6)
    assert (busy.tflops, busy.microseconds, busy.limit) == (pytest.approx(10), pytest.approx(100), "arithmetic")
    starved = roofline.bound(gpu, 1e6, 1e6)
    assert (starved.tflops, starved.microseconds, starved.limit) == (pytest.approx(0.5), pytest.approx(2), "memory")
    assert roofline.ridge(gpu) == 20
    assert roofline.bound(gpu, 0, 0).tflops == 0


def test_every_gpu_names_its_data_sheet():
    assert all("NVIDIA" in gpu.source and gpu.tflops > 0 and gpu.bandwidth > 0 for gpu in roofline.GPUS)
    assert {"T4", "A100 SXM 80 GB", "RTX A6000", "RTX 4090", "H100 SXM"} <= {gpu.name for gpu in roofline.GPUS}


# ---- the report ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared():
    return report.profile("matmul", shape=(128, 128, 64), backend="numba-cuda", arch="sm_80", compare=[3, 4])


def test_a_report_knows_its_launches_and_its_hot_lines(compared):
    tile, register = compared
    assert [(s.kernel, s.blocks, s.threads) for s in tile.launches] == [("shared_tile_kernel", 64, 256)]
    assert [(s.blocks, s.threads) for s in register.launches] == [(4, 64)]
    assert tile.hot[0].text.startswith("total += a_tile[i, k] * b_tile[k, j]") and tile.hot[0].share > 0.3
    assert register.hot[0].text.startswith("multiply_tiles(")
    assert sum(h.share for h in tile.hot) <= 1
    assert tile.flops == 2 * 128 * 128 * 64 and tile.bytes == 4 * (2 * 128 * 64 + 128 * 128)


def test_the_text_shows_versions_side_by_side_and_says_what_it_cannot_know(compared, monkeypatch):
    text = view.text(compared)
    for piece in (FFMA, LOADED, "version 3", "version 4", "registers", "H100", "data sheet", "on this very shape"):
        assert piece in text
    assert "What cannot be known without a GPU" in text and "achieved occupancy" in text and "L2" in text
    ffma = next(line for line in text.splitlines() if FFMA in line)
    assert ffma.count(f"{128 * 128 * 64:,}") == 2


def test_without_cuxray_the_text_says_what_is_not_shown_and_what_to_install(monkeypatch):
    monkeypatch.setattr(machine_code, "why_no_code", lambda: "cuxray is not installed; run: pip install -e '.[inspect]'")
    text = view.text(report.profile("adam", shape=(300,), backend="numba-cuda"), width=400)
    assert "are not shown: cuxray is not installed; run: pip install -e '.[inspect]'" in text


def test_every_launch_of_a_version_is_reported():
    (found,) = report.profile("bce_logits", 1, (700,), "numba-cuda")
    assert [c.kernel for c in found.compiled] == ["loss_kernel", "mean_kernel", "slope_kernel"]
    assert found.counted.total("launches") == 3 and {h.kernel for h in found.hot} == set(found.counted.kernels())


def test_the_best_version_is_the_default_and_the_c_backend_reports_too():
    (found,) = report.profile("matmul", shape=(130, 129, 33))
    assert found.backend == "cupy" and found.version.number == 5 and found.compiled[0].spill_stores == 0
    assert found.counted.total(FFMA) >= 130 * 129 * 33


@pytest.mark.parametrize("arguments, sentence", [
    ({"kernel": "matmul", "backend": "cpu"}, "no CUDA kernels to profile; those with are cupy, numba-cuda"),
    ({"kernel": "sum"}, "left to array functions"),
    ({"kernel": "somme"}, "there is no kernel 'somme'"),
    ({"kernel": "matmul", "shape": (3, 4)}, "the shape of matmul is 3 numbers: M N K, such as 512 512 512"),
    ({"kernel": "matmul", "shape": (3, 4, -1)}, "3 numbers"),
    ({"kernel": "conv2d", "shape": (1, 2, 2, 1, 1, 5, 1, 0)}, "5x5 filter does not fit"),
    ({"kernel": "matmul", "version": 9, "backend": "numba-cuda"}, "matmul has versions 1, 2, 3, 4; 9 is not one"),
    ({"kernel": "conv2d", "shape": (1, 4096, 4096, 64, 64, 3, 1, 1)}, "too large to count here"),
])  # fmt: skip
def test_what_cannot_be_profiled_is_refused_in_one_sentence(arguments, sentence):
    with pytest.raises(ContractError, match=sentence):
        report.profile(**arguments)

"""Profiles: what a version launches, its hot lines, the text for people, and what is refused."""

import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels import ContractError
from tinygan_kernels.profiling import machine_code, report, view

FFMA = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
LOADED = "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"


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
    assert found.backend == "cupy" and found.label == "version 5" and found.compiled[0].spill_stores == 0
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
    *[({"kernel": k, "shape": (1, 8, 8, 3, 4, 4, 0, 1)}, f"{k}: stride is 0, it has to be a whole number of at least 1")
      for k in ("conv2d", "conv2d_dx", "conv2d_dw")],
    ({"kernel": "conv2d_dw", "shape": (1, 8, 8, 3, 4, 0, 1, 1)}, "conv2d_dw: kh is 0"),
    ({"kernel": "conv2d_dx", "shape": (1, 8, 8, 3, 4, 0, 1, 1)}, "the filter is 0x0"),
    ({"kernel": "conv2d", "shape": (1, 8, 8, 3, 4, 4, 1, -1)}, "8 numbers"),
    ({"kernel": "conv2d", "shape": (1, 8, 8, 3, 4, 4, 1, 10**10)}, "too large to count here"),
    ({"kernel": "matmul", "shape": (10**11, 10**11, 10**11)}, "too large for this machine's memory; give smaller sizes"),
    ({"kernel": "adam", "shape": (10**23,)}, "too large for this machine's memory"),
])  # fmt: skip
def test_what_cannot_be_profiled_is_refused_in_one_sentence(arguments, sentence):
    with pytest.raises(ContractError, match=sentence):
        report.profile(**arguments)

"""Explained lines: transactions computed by hand, what a pad and a swizzle do, and the pictures' marks."""

import pytest
from tinygan_kernels import ContractError

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels.own import explain_line

# Of no use: it copies rows to a tile (line 6), reads a column of that (7), stores with a step and a branch (8), and off by one (9).
KERNEL = """// launch: k<<<ceil_div(rows, 32), 32>>>(x, b, y, rows, channels)
__global__ void k(const float* x, const float* b, float* y, int rows, int channels) {
    __shared__ float tile[32][32];
    int t = threadIdx.x;
    for (int r = 0; r < 32 && blockIdx.x * 32 + r < rows; ++r)
        tile[r][t] = x[(blockIdx.x * 32 + r) * channels + t];
    float first = tile[t][0];
    if (t < 20) y[t * channels] = first + b[0];
    y[t + 1] = first;
}
"""
OPTIONS = {"shape": (32, 32), "params": {"act": "linear"}}


@pytest.fixture
def explain(tmp_path):
    path = tmp_path / "k.cu"
    path.write_text(KERNEL)
    return lambda **options: explain_line(path, "bias_act", **{**OPTIONS, **options})


def test_a_column_of_a_tile_is_32_wavefronts_and_what_a_pad_and_a_swizzle_do(explain):
    found = explain(line=7)
    (load,) = found.instructions
    assert (load.space, load.operation, load.worst, load.best, load.requests, load.transactions) == ("shared", "ld", 32, 1, 1, 32)
    assert load.addresses == tuple(range(0, 4096, 128)) and load.stride == 128
    text = str(found)
    assert text.startswith("k.cu:k, line 7: float first = tile[t][0];")
    assert text.count("  #...............................") == 32
    assert "Bank 0 is asked for 32 different words, by lanes 0 to 31" in text
    assert "A pad, rows of 33 words in place of 32: 1 wavefront here in place of 32." in text
    assert "A swizzle, column ^ (row % 32) in rows of 32 words: 1 wavefront here in place of 32." in text


def test_coalesced_loads_and_stores_without_conflicts_have_nothing_to_gain(explain):
    found = explain(line=6)
    by_kind = {(i.space, i.operation): i for i in found.instructions}
    assert by_kind["global", "ld"].worst == by_kind["global", "ld"].best == 4
    assert by_kind["shared", "st"].worst == 1 and not by_kind["shared", "st"].excess
    assert "as few sectors as the bytes need" in str(found) and "No two lanes meet in a bank" in str(found)


def test_steps_over_rows_and_a_parted_warp_are_drawn(explain):
    found = explain(line=8)
    store = next(i for i in found.instructions if i.operation == "st")
    assert (store.worst, store.best, store.stride) == (20, 3, 128)
    assert [a >= 0 for a in store.addresses] == [True] * 20 + [False] * 12
    text = str(found)
    assert "Neighbouring lanes are 128 bytes apart, and so of 640 bytes that are moved 80 are used." in text
    assert text.count("(takes no part)") == 12 and "  lane 19  ...................#" in text
    (parting,) = found.partings
    assert parting.warps == 1 and sorted((parting.taken.count("0"), parting.taken.count("1"))) == [12, 20]
    assert "a branch at which 1 warp parts" in text


def test_a_store_off_by_one_is_misaligned_and_the_worst_line_is_the_default(explain):
    assert "the first of them begins at byte 4 of its sector; from byte 0 on, 4 would do." in str(explain(line=9))
    assert explain().line == 7


def test_lines_on_which_nothing_happens_are_refused(explain):
    with pytest.raises(ContractError, match="memory is touched on line 4 and no warp parts there; lines that do: "):
        explain(line=4)

"""Profiles of kernels of one's own: the counters are those computed by hand, and the ladder's rungs stand beside them."""

import pytest
from tinygan_kernels import KERNELS, ContractError

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels.own import profile
from tinygan_kernels.own.profiles import modelled_time
from tinygan_kernels.profiling import calls, counts, view

SECTORS = "l1tex__t_sectors_pipe_lsu_mem_global_op_{}.sum"
FFMA = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
NAIVE = """// launch: mm<<<dim3(ceil_div(M, 32), ceil_div(N, 8)), dim3(32, 8)>>>(a, b, c, M, N, K)
__global__ void mm(const float* a, const float* b, float* c, int M, int N, int K) {
    int row = blockIdx.x * 32 + threadIdx.x, col = blockIdx.y * 8 + threadIdx.y;
    if (row >= M || col >= N) return;
    float sum = 0;
    for (int k = 0; k < K; ++k) sum += a[row * K + k] * b[k * N + col];
    c[row * N + col] = sum;
}
"""


def test_a_naive_product_is_counted_by_hand_and_as_the_ladders_first_rung(tmp_path):
    """64 x 16 x 40: 32 lanes down the rows of A and C are 32 sectors a request, one element of B is 1."""
    path = tmp_path / "mm.cu"
    path.write_text(NAIVE)
    own, first, tiled = profile(path, "matmul", shape=(64, 16, 40), compare=[1, 3])
    warps = 64 * 16 // 32
    assert own.counted.total(SECTORS.format("ld")) == warps * 40 * (32 + 1) == first.counted.total(SECTORS.format("ld"))
    assert own.counted.total(SECTORS.format("st")) == warps * 32
    assert own.counted.total(FFMA) == 64 * 16 * 40
    assert own.hot[0].text.startswith("for (int k = 0; k < K; ++k)") and own.hot[0].line == 6
    assert [p.label for p in (own, first, tiled)] == ["mm.cu:mm", "version 1", "version 3"]
    text = view.text([own, first, tiled])
    assert "mm.cu:mm: your kernel; mm 4 x 256" in text and "version 3: 32x32 tiles" in text and own.compiled[0].registers > 0


def test_a_numba_kernel_is_profiled(tmp_path):
    path = tmp_path / "scale.py"
    path.write_text("from numba import cuda\n# launch: f[(n + 63) // 64, 64](g, rate, sign, theta)\n@cuda.jit\n"
                    "def f(g, rate, sign, theta):\n    i = cuda.grid(1)\n    if i < g.size:\n        theta[i] += g[i]\n")
    (found,) = profile(path, "sgd", shape=(256,))
    assert found.shape == (256,) and found.counted.total(SECTORS.format("st")) == 256 * 4 / 32
    path.write_text(path.read_text().replace("f[(n + 63) // 64, 64](g, rate, sign, theta)", "f[n, 32](s, t, loss, ds)")
                    .replace("(g, rate, sign, theta)", "(g, rate, sign, theta)"))  # fmt: skip
    (found,) = profile(path, "bce_logits", shape=(64,))
    assert found.counted.total("launches") == 1 and found.compiled[0].kernel == "f" and found.launches[0].blocks == 64


def test_every_kernel_of_the_contract_has_sizes_at_which_ones_own_is_profiled_and_traced():
    for name, kernel in KERNELS.items():
        form = calls.form_of(name)
        for sizes in (form.example, form.small):
            made = calls.call(name, sizes)
            assert len(made.inputs) == len(kernel.inputs) and len(made.outputs) == len(kernel.outputs) and made.work > 0
            kernel.checked(made.params)
        assert made.work <= counts.MOST_WORK, f"{name}: a look at it would take long"


def test_a_sum_over_axes_that_are_asked_for_has_outputs_of_their_shape(tmp_path):
    """With --param axes=(1,): a row for each thread block, and as many outputs as rows."""
    path = tmp_path / "rows.cu"
    path.write_text("// launch: rows<<<x.shape[0], 1>>>(x, y, x.shape[1])\n"
                    "__global__ void rows(const float* x, float* y, int n) {\n    float sum = 0;\n"
                    "    for (int i = 0; i < n; ++i) sum += x[blockIdx.x * n + i];\n    y[blockIdx.x] = sum;\n}\n")  # fmt: skip
    (found,) = profile(path, "sum", shape=(6, 40), params={"axes": (1,)})
    assert found.counted.total(SECTORS.format("st")) == 6 and found.counted.total(SECTORS.format("ld")) == 240
    assert found.bytes == 4 * (240 + 6) and found.launches[0].blocks == 6
    (time,), _ = modelled_time(path, "sum", "t4", shape=(6, 40), params={"axes": (1,)})
    assert time.blocks == 6
    assert calls.call("conv2d", (1, 8, 8, 3, 5, 3, 1, 1)).with_params({"stride": 2}).outputs == ((1, 4, 4, 5),)
    with pytest.raises(ContractError, match="axis 7 is out of range"):
        profile(path, "sum", params={"axes": (7,)})


def test_what_cannot_be_profiled_is_said(tmp_path):
    path = tmp_path / "mm.cu"
    path.write_text(NAIVE)
    with pytest.raises(ContractError, match="the shape of matmul is 3 numbers"):
        profile(path, "matmul", shape=(3, 4))
    with pytest.raises(ContractError, match="has versions 1, 2, 3"):
        profile(path, "matmul", shape=(8, 8, 8), compare=[77])

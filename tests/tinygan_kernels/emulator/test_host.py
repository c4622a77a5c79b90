"""Compiling, arguments, limits, Numba kernels, and what a user is told when something is wrong."""

import math
import subprocess
import sys
import time

import numpy as np
import pytest
from numba import cuda, float32
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, RawModule, UnsupportedInstruction

AXPY = """extern "C" __global__ void axpy(float a, const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] += a * x[i];
}
template <typename T, int N> __global__ void scale(T* x) { x[threadIdx.x] *= N; }
struct Point { float x, y; int n; };
extern "C" __global__ void pointwise(Point p, double* out, char c, unsigned char u, short s, bool b, long long l) {
  out[0] = p.x + p.y * p.n + c + u + s + b + l;
}"""


@pytest.fixture(scope="module")
def module():
    return RawModule(code=AXPY, name_expressions=("scale<float, 3>", "scale<int, 5>"))


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 100, 20000])
def test_axpy(module, n):
    x, y = np.arange(n, dtype="f4"), np.ones(n, "f4")
    module.get_function("axpy")((max(1, -(-n // 64)),), (64,), (np.float32(2), x, y, np.int32(n)))
    assert y.tolist() == (1 + 2 * np.arange(n)).tolist()


def test_grid_and_block_in_three_dimensions():
    code = """extern "C" __global__ void k(int* out) {
  int b = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[b * blockDim.x * blockDim.y * blockDim.z + t] = blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z
    + 1000 * threadIdx.x + 10000 * threadIdx.y + 100000 * threadIdx.z;
}"""
    out = np.full((4, 3, 2, 2, 3, 5), -1, "i4")
    RawModule(code=code).get_function("k")((2, 3, 4), (5, 3, 2), (out,))
    z, y, x, tz, ty, tx = np.indices(out.shape)
    assert (out == x + 10 * y + 100 * z + 1000 * tx + 10000 * ty + 100000 * tz).all()


def test_templates_by_name_expression(module):
    x, i = np.arange(4, dtype="f4"), np.arange(4, dtype="i4")
    module.get_function("scale<float, 3>")((1,), (4,), (x,))
    module.get_function("scale<int, 5>")((1,), (4,), (i,))
    assert x.tolist() == [0, 3, 6, 9] and i.tolist() == [0, 5, 10, 15]


def test_structures_and_small_scalars(module):
    point = np.array([(1.5, 2.5, 4)], dtype=[("x", "f4"), ("y", "f4"), ("n", "i4")])[0]
    out = np.zeros(1)
    args = [point, out, np.int8(-3), np.uint8(200), np.int16(-1000), np.bool_(True), np.int64(2**40)]
    module.get_function("pointwise")((1,), (1,), tuple(args))
    assert out[0] == 2**40  # float32 cannot hold the rest beside it
    args[-1] = np.int64(7)
    module.get_function("pointwise")((1,), (1,), tuple(args))
    assert out[0] == 1.5 + 10 - 3 + 200 - 1000 + 1 + 7


def test_ptx_text_runs_as_it_is():
    compiled = RawModule(code=AXPY)
    again = RawModule(code=compiled.ptx)
    y = np.zeros(8, "f4")
    again.get_function("axpy")((1,), (8,), (np.float32(1), np.ones(8, "f4"), y, np.int32(8)))
    assert y.all()


@pytest.mark.parametrize(
    "position, value, message",
    [
        (0, 2j, r"argument 0 of kernel axpy is a Python complex: give a number or a NumPy scalar .*use np.float32"),
        (
            0,
            np.float64(2),
            r"argument 0 of kernel axpy is a float64 of 8 bytes, but the kernel declares a 32-bit float of 4 bytes: "
            r"use np.float32",
        ),
        (0, np.int32(2), r"argument 0 of kernel axpy is a int32, but the kernel declares a 32-bit float"),
        (3, 8.0, r"argument 3 of kernel axpy is a Python float, but the kernel declares a 32-bit integer.*use np.int32"),
        (3, 2**32, r"argument 3 of kernel axpy is 4294967296, which does not fit the 32-bit integer"),
        (3, -(2**31) - 1, r"argument 3 of kernel axpy is -2147483649, which does not fit"),
        (3, np.int64(8), r"argument 3 of kernel axpy is a int64 of 8 bytes.*use np.int32"),
        (3, np.float32(8), r"argument 3 of kernel axpy is a float32, but the kernel declares a 32-bit integer"),
        (3, np.zeros(3), r"argument 3 of kernel axpy is an array, but the kernel declares a 32-bit integer"),
        (
            1,
            np.float32(3),
            r"argument 1 of kernel axpy is a float32, but the kernel declares a 64-bit integer or pointer",
        ),
        (1, [1.0], r"argument 1 of kernel axpy is a Python list"),
        (1, np.array([None]), r"argument 1 of kernel axpy is an array of Python objects"),
    ],
)
def test_wrong_arguments_are_named(module, position, value, message):
    args = [np.float32(2), np.zeros(8, "f4"), np.zeros(8, "f4"), np.int32(8)]
    args[position] = value
    with pytest.raises(EmulatorError, match=message):
        module.get_function("axpy")((1,), (8,), tuple(args))


def test_wrong_launches_are_refused(module):
    kernel, args = module.get_function("axpy"), (np.float32(2), np.zeros(8, "f4"), np.zeros(8, "f4"), np.int32(8))
    for grid, block, given, shared, message in [
        ((1,), (8,), args[:3], 0, "takes 4 arguments, 3 were given"),
        ((1,), (2000,), args, 0, "2000 threads: 1 to 1024"),
        ((0,), (8,), args, 0, "empty grid"),
        ((1,), (0,), args, 0, "0 threads"),
        ((1, 1, 1, 1), (8,), args, 0, "one to three sizes"),
        ((1, 70000), (8,), args, 0, "too large"),
        ((1,), (8,), args, 2**20, "shared memory a block"),
        (("a",), (8,), args, 0, "one to three sizes"),
        ((1,), (8,), args[0], 0, "must be a tuple"),
    ]:
        with pytest.raises(EmulatorError, match=message):
            kernel(grid, block, given, shared_mem=shared)


def test_limits_that_a_kernel_states_itself():
    code = """extern "C" __global__ void __launch_bounds__(64) k(float* x) { x[threadIdx.x] = 1; }
extern "C" __global__ void big(float* x) { __shared__ float s[12289]; s[threadIdx.x] = 1; x[0] = s[0]; }
extern "C" __global__ void dynamic(float* x) { extern __shared__ float d[]; d[threadIdx.x] = 1; x[0] = d[0]; }"""
    module, x = RawModule(code=code), np.zeros(128, "f4")
    module.get_function("k")((1,), (64,), (x,))
    with pytest.raises(EmulatorError, match="not compiled for blocks of 65 threads"):
        module.get_function("k")((1,), (65,), (x,))
    with pytest.raises(EmulatorError, match="49156 bytes of static shared memory: 49152 are possible"):
        module.get_function("big")((1,), (1,), (x,))
    module.get_function("dynamic")((1,), (1,), (x,), shared_mem=163 * 1024)
    with pytest.raises(EmulatorError, match="needs 166913 bytes of shared memory a block; at most 166912"):
        module.get_function("dynamic")((1,), (1,), (x,), shared_mem=163 * 1024 + 1)


def test_errors_of_the_compiler_and_unknown_names(module):
    with pytest.raises(
        EmulatorError, match=r'(?s)does not compile:.*kernel.cu\(1\): error: identifier "y" is undefined'
    ):
        RawModule(code="__global__ void k(float* x) { x[0] = y; }")
    with pytest.raises(EmulatorError, match="no kernel named 'apxy' in the module; its kernels: axpy"):
        module.get_function("apxy")
    with pytest.raises(EmulatorError, match="CUDA C\\+\\+ or PTX as a string"):
        RawModule(code=None)
    with pytest.raises(EmulatorError, match="which the module does not define"):
        RawModule(
            code='extern "C" __device__ int other(int); extern "C" __global__ void k(int* x) { x[0] = other(3); }',
            options=("--relocatable-device-code=true",),
        ).get_function("k")


@pytest.mark.parametrize(
    "line, message",
    [
        (
            "cosine.approx.f32 %r0, %r0;",
            r"cosine.approx.f32 at PTX line 5 of kernel k .*no such instruction.*supported: abs, ",
        ),
        ("mov.u32 %r0, %envreg3;", "special register %envreg3 is not supported; supported: .*%tid.x"),
        (
            "mma.sync.aligned.m8n8k32.row.col.f32.f16.f16.f32 {%r0}, {%r0}, {%r0}, {%r0};",
            "this mma is not supported; supported .*m16n8k8 tf32",
        ),
        ("cp.async.bulk.shared::cluster.global [%r0], [%r0], 16;", "this form of bulk copy is not supported"),
        ("vote.ballot.b32 %r0, %p0;", "only the .sync forms are supported"),
    ],
)
def test_unsupported_instructions_are_named_with_their_line(line, message):
    text = f""".version 8.0
.target sm_80
.address_size 64
.visible .entry k() {{ .reg .b32 %r<3>; .reg .b64 %rd<2>; .reg .pred %p<2>;
{line}
ret; }}"""
    with pytest.raises(UnsupportedInstruction, match=message):
        RawModule(code=text).get_function("k")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "needs CUDA|not PTX|does not compile|no kernel"),
        (".version 8.0\n.target sm_80\n???", r"not PTX: cannot read '\?\?\?' at line 3"),
        (
            ".version 8.0\n.target sm_80\n.visible .entry k() { add.u32 %r0 1; }",
            "not PTX: expected ';', found '1' at line 3",
        ),
        (".version 8.0\n.entry k() {", "not PTX: the text ends in the middle of a statement"),
        (".version 8.0\n.entry k() { .reg .b32 %r<2>; bra NOWHERE; }", "branch to unknown label NOWHERE"),
    ],
)
def test_text_that_is_not_ptx(text, message):
    with pytest.raises(EmulatorError, match=message):
        RawModule(code=text).get_function("k")


# -- Numba ----------------------------------------
@cuda.jit(device=True)
def clipped(v, low, high):
    return min(max(v, low), high)


@cuda.jit
def combine(x, y, out, alpha, shift, pair, flag):
    i, j = cuda.grid(2)
    if i < out.shape[0] and j < out.shape[1]:
        v = x[i, j] * alpha + y[j] + shift
        out[i, j] = clipped(v, pair[0], pair[1]) if flag else v


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_numba_kernel_on_arrays_of_any_strides(dtype, flag):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 21)).astype(dtype)[::-1, ::2].T[2:]
    y = rng.standard_normal(120).astype(dtype)[::3]
    out = np.zeros((9, 80), dtype)[:, ::2]
    emulator.launch(combine, (2, 6), (8, 8), x, y, out, np.float32(0.5), 3, (-1.0, 4.0), flag)
    want = x.astype("f8") * 0.5 + y + 3
    np.testing.assert_allclose(out, np.clip(want, -1, 4) if flag else want, rtol=1e-5, atol=1e-5)


@cuda.jit
def tiled_matmul(a, b, c):
    s, t = cuda.shared.array((8, 8), float32), cuda.shared.array((8, 8), float32)
    row, column = cuda.grid(2)
    i, j = cuda.threadIdx.x, cuda.threadIdx.y
    total = float32(0)
    for k in range((a.shape[1] + 7) // 8):
        s[i, j] = a[row, k * 8 + j] if row < a.shape[0] and k * 8 + j < a.shape[1] else 0
        t[i, j] = b[k * 8 + i, column] if k * 8 + i < b.shape[0] and column < b.shape[1] else 0
        cuda.syncthreads()
        for m in range(8):
            total += s[i, m] * t[m, j]
        cuda.syncthreads()
    if row < c.shape[0] and column < c.shape[1]:
        c[row, column] = total


@pytest.mark.parametrize("m, n, k", [(1, 1, 1), (8, 8, 8), (7, 9, 17), (20, 33, 5), (64, 48, 40)])
def test_tiled_matmul_in_numba(m, n, k):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), dtype="f4"), rng.standard_normal((n, k), dtype="f4").T
    c = emulator.empty((m, n), np.float32)
    emulator.launch(tiled_matmul, (-(-m // 8), -(-n // 8)), (8, 8), a, b, c)
    bound = 2 * k * np.finfo("f4").eps * (np.abs(a) @ np.abs(b))
    assert (np.abs(c - a.astype("f8") @ b) <= bound).all()


def test_numba_atomics_print_and_race(capsys):
    @cuda.jit
    def kernel(x, total, racy):
        i = cuda.grid(1)
        cuda.atomic.add(total, 0, x[i])
        racy[0] = i
        if i == 3:
            print("lane", i, x[i])

    x, total = np.arange(64, dtype="i8"), np.zeros(1, "i8")
    with emulator.sanitize() as findings:
        emulator.launch(kernel, 2, 32, x, total, np.zeros(1, "i8"))
    assert total[0] == 2016 and capsys.readouterr().out == "lane 3 3\n"
    assert (
        [f.tool for f in findings] == ["racecheck"]
        and "test_host.py" in findings[0].source
        and findings[0].kernel == "kernel"
    )


def test_numba_arguments_that_cannot_be_passed():
    with pytest.raises(EmulatorError, match=r"decorated with @cuda.jit"):
        emulator.launch(lambda x: x, 1, 1, np.zeros(1))
    with pytest.raises(EmulatorError, match="Numba has no type for an argument of tiled_matmul"):
        emulator.launch(tiled_matmul, 1, 1, object(), 1, 2)
    with pytest.raises(EmulatorError, match="Numba cannot compile tiled_matmul"):
        emulator.launch(tiled_matmul, 1, 1, np.zeros(3), np.zeros(3), np.zeros(3))


# -- the whole ----------------------------------------
REGISTER_TILE = """#define BM 64
#define BN 64
#define BK 8
extern "C" __global__ void matmul(const float* a, const float* b, float* c, int m, int n, int k) {
  __shared__ float s[BK][BM + 4];
  __shared__ __align__(16) float t[BK][BN];
  int tid = threadIdx.x, row = tid / 16 * 4, column = tid % 16 * 4;
  float acc[4][4] = {};
  for (int k0 = 0; k0 < k; k0 += BK) {
    for (int i = tid; i < BM * BK; i += 256) {
      int r = blockIdx.y * BM + i / BK, q = k0 + i % BK;
      s[i % BK][i / BK] = r < m && q < k ? a[r * k + q] : 0.0f;
    }
    for (int i = tid; i < BN * BK; i += 256) {
      int q = k0 + i / BN, col = blockIdx.x * BN + i % BN;
      t[i / BN][i % BN] = q < k && col < n ? b[q * n + col] : 0.0f;
    }
    __syncthreads();
    for (int q = 0; q < BK; q++) {
      float4 u = *(float4*)&s[q][row], v = *(float4*)&t[q][column];
      float x[4] = {u.x, u.y, u.z, u.w}, y[4] = {v.x, v.y, v.z, v.w};
      for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) acc[i][j] += x[i] * y[j];
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) {
    int r = blockIdx.y * BM + row + i, col = blockIdx.x * BN + column + j;
    if (r < m && col < n) c[r * n + col] = acc[i][j];
  }
}"""


@pytest.mark.parametrize("m, n, k", [(1, 1, 1), (63, 65, 7), (64, 64, 8), (130, 70, 33), (256, 256, 256)])
def test_register_tiled_matmul_in_cuda(m, n, k):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), dtype="f4"), rng.standard_normal((k, n), dtype="f4")
    kernel = RawModule(code=REGISTER_TILE).get_function("matmul")
    bound = 2 * k * np.finfo("f4").eps * (np.abs(a) @ np.abs(b))
    for checks, limit in ((True, 20), (False, 5)):
        c = emulator.empty((m, n), np.float32)
        start = time.process_time()
        with emulator.checks(checks):
            kernel((-(-n // 64), -(-m // 64)), (256,), (a, b, c, np.int32(m), np.int32(n), np.int32(k)))
        assert time.process_time() - start < limit
        assert (np.abs(c - a.astype("f8") @ b) <= bound).all()


def test_importing_the_emulator_loads_neither_numba_nor_nvrtc():
    """What packages load by themselves when Python starts, as CUDA 12's bindings do, does not count."""
    code = """import sys
before = set(sys.modules)
import tinygan_kernels.emulator as e
assert not {'numba', 'cuda', 'numba.cuda', 'cuda.bindings'} & (set(sys.modules) - before)
assert 'RawModule' in dir(e)"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_extra_there_is_one_clear_line():
    code = """import sys
sys.modules['cuda'] = sys.modules['cuda.bindings'] = None
sys.modules['numba.cuda.dispatcher'] = None
import tinygan_kernels.emulator as e
for use in (lambda: e.RawModule(code='__global__ void k() {}'), lambda: e.launch(None, 1, 1)):
    try:
        use()
    except e.EmulatorError as error:
        assert "pip install -e '.[emulator]'" in str(error) and len(str(error).splitlines()) == 1
    else:
        raise SystemExit("no error")
text = e.RawModule(code='.version 8.0\\n.target sm_80\\n.address_size 64\\n.visible .entry k() { ret; }')
text.get_function('k')((1,), (1,), ())"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reports_name_the_file_and_the_line_that_called_a_header():
    code = """#include <cuda_fp16.h>
extern "C" __global__ void k(__half2* x) {
  x[threadIdx.x] = __hfma2(x[0], x[1], x[2]);
  x[99] = x[0];
}"""
    kernel = RawModule(code=code, filename="halves.cu").get_function("k")
    with emulator.count() as c, emulator.sanitize() as findings:
        kernel((1,), (1,), (np.ones(8, "f2"),))
    assert [f.source for f in findings] == ["halves.cu:4"]
    assert c.lines("k")[3]["flop"] == 4  # two lanes of a half2, two operations each


@cuda.jit
def functions_of_numbers(x, out, table):
    shared = cuda.shared.array(0, float32)
    own = cuda.local.array(4, float32)
    i = cuda.grid(1)
    if i >= x.size:
        return
    v = x[i]
    for j in range(4):
        own[j] = v * j
    shared[cuda.threadIdx.x] = v
    out[0, i] = math.exp(v) + math.log(abs(v) + 1) + math.sqrt(abs(v)) + math.tanh(v) + math.erf(v)
    out[1, i] = (
        math.sin(v) * math.cos(v) + math.floor(v) + math.copysign(2.0, v) + math.pow(abs(v), 1.5) + v // 3 + v % 3
    )
    out[2, i] = own[i % 4] + table[i % 3] + shared[cuda.threadIdx.x]
    out[3, i] = cuda.shfl_down_sync(0xFFFFFFFF, i, 1) + cuda.popc(i) + cuda.ffs(i) + cuda.atomic.max(table, 1, 0.0)


def test_numba_functions_memory_and_intrinsics():
    x = np.random.default_rng(0).uniform(-3, 3, 64)
    out, table = np.zeros((4, 64)), np.array([1.0, 2.0, 3.0])
    emulator.launch(functions_of_numbers, 2, 32, x, out, table, shared_mem=128)
    erf = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(
        out[0], np.exp(x) + np.log(np.abs(x) + 1) + np.sqrt(np.abs(x)) + np.tanh(x) + erf, rtol=1e-13
    )
    want = np.sin(x) * np.cos(x) + np.floor(x) + np.copysign(2, x) + np.abs(x) ** 1.5 + x // 3 + x % 3
    np.testing.assert_allclose(out[1], want, rtol=1e-12)
    i = np.arange(64)
    np.testing.assert_allclose(out[2], (x * (i % 4)).astype("f4") + table[i % 3] + x.astype("f4"), rtol=1e-6)
    below = np.where(i % 32 < 31, i + 1, i)
    assert out[3].tolist() == [
        int(b) + bin(k).count("1") + (k & -k).bit_length() + 2 for b, k in zip(below, i.tolist(), strict=True)
    ]

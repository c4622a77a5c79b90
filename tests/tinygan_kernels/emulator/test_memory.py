"""State spaces, widths, atomics, asynchronous copies, printf, assert."""

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, KernelAssertion
from tinygan_kernels.emulator.execute.memory import GlobalMemory


def launch(code: str, grid, block, *args, name: str = "k", shared_mem: int = 0) -> None:
    emulator.RawModule(code=code).get_function(name)((grid,), (block,), args, shared_mem=shared_mem)


WIDTHS = {
    "unsigned char": "u1",
    "signed char": "i1",
    "unsigned short": "u2",
    "short": "i2",
    "int": "i4",
    "long long": "i8",
    "float": "f4",
    "double": "f8",
}


@pytest.mark.parametrize("kind", WIDTHS)
def test_every_width_through_every_space(kind):
    code = f"""__device__ {kind} everywhere[64];
__constant__ {kind} fixed[4] = {{1, 2, 3, 100}};
extern "C" __global__ void k(const {kind}* __restrict__ x, {kind}* y, int n) {{
  __shared__ {kind} s[64];
  {kind} own[4];
  int t = threadIdx.x;
  s[t] = x[t];
  everywhere[t] = x[t];
  __syncthreads();
  for (int j = 0; j < 4; j++) own[(j + n) & 3] = s[63 - t] + fixed[j];
  y[t] = own[(t + n) & 3] + everywhere[t];
}}"""
    dtype = np.dtype(WIDTHS[kind])
    rng = np.random.default_rng(0)
    x = (
        rng.integers(0, 256, 64 * 8, "u1").view(dtype)[:64]
        if dtype.kind != "f"
        else rng.standard_normal(64).astype(dtype)
    ).copy()
    y = np.zeros_like(x)
    launch(code, 1, 64, x, y, np.int32(5))
    fixed = np.array([1, 2, 3, 100], dtype)[np.arange(64) % 4]
    with np.errstate(over="ignore"):
        assert y.tolist() == ((x[::-1] + fixed).astype(dtype) + x).astype(dtype).tolist()


@pytest.mark.parametrize(
    "kind, n",
    [("float4", 4), ("float2", 2), ("int4", 4), ("uchar4", 4), ("short2", 2), ("double2", 2), ("longlong2", 2)],
)
def test_vector_loads_and_stores(kind, n):
    dtype = {"f": "f4", "i": "i4", "u": "u1", "s": "i2", "d": "f8", "l": "i8"}[kind[0]]
    swap = "v.x = v.y; v.y = u;" + ("v.z = v.w;" if n == 4 else "")
    code = f"""extern "C" __global__ void k({kind}* x) {{
  {kind} v = x[threadIdx.x];
  auto u = v.x;
  {swap}
  __syncwarp();
  x[31 - threadIdx.x] = v;
}}"""
    raw = np.zeros(32 * n * 8 + 16, "u1")
    x = raw[-raw.ctypes.data % 16 :][: 32 * n * np.dtype(dtype).itemsize].view(dtype).reshape(32, n)
    x[...] = np.arange(32 * n).reshape(32, n) % 251
    want = x[::-1][:, [1, 0, 3, 3] if n == 4 else [1, 0]].copy()
    launch(code, 1, 32, x)
    assert (x == want).all()


def test_generic_pointers_reach_every_space():
    code = """__device__ __noinline__ float get(const float* p, int i) { return p[i]; }
__constant__ float c[4] = {1, 2, 3, 4};
extern "C" __global__ void k(float* x, int n) {
  __shared__ float s[4];
  float own[4] = {n + 0.5f, n + 1.5f, n + 2.5f, n + 3.5f};
  int t = threadIdx.x;
  if (t < 4) s[t] = 10 * t;
  __syncthreads();
  const float* from = t % 4 == 0 ? x : t % 4 == 1 ? s : t % 4 == 2 ? own : c;
  float v = get(from, t / 4 % 4);
  __syncthreads();
  x[t + 32] = v + (__isShared(from) ? 1000 : 0) + (__isGlobal(from) ? 100 : 0) + (__isLocal(from) ? 10000 : 0);
}"""
    x = np.arange(64, dtype="f4")
    launch(code, 1, 32, x, np.int32(7))
    table = [lambda i: i + 100, lambda i: 10 * i + 1000, lambda i: i + 7.5 + 10000, lambda i: i + 1]
    got, want = x[32:].tolist(), [table[t % 4](t // 4 % 4) for t in range(32)]
    assert [g % 100 if t % 4 == 3 else g for t, g in enumerate(got)] == want  # constant memory may count as global


def test_dynamic_and_static_shared_memory_do_not_overlap():
    code = """extern __shared__ double d[];
extern "C" __global__ void k(double* x) {
  __shared__ int a[5];
  __shared__ double b[32];
  int t = threadIdx.x;
  if (t < 5) a[t] = -1;
  b[t] = t; d[t] = 100 + t;
  __syncthreads();
  x[t] = a[t % 5] + b[31 - t] + d[31 - t];
}"""
    x = np.zeros(32)
    launch(code, 1, 32, x, shared_mem=256)
    assert x.tolist() == [-1 + 2 * (31 - t) + 100 for t in range(32)]


def test_module_variables_persist_and_are_visible_to_the_host():
    code = """__device__ int counter = 5;
__device__ float table[3] = {1.5f, -2.0f};
__constant__ int scale;
__device__ int* where = &counter;
extern "C" __global__ void k(int* out) { *where += scale; out[0] = counter; table[2] = counter; }"""
    module = emulator.RawModule(code=code)
    module.get_global("scale").view("i4")[0] = 10
    out = np.zeros(1, "i4")
    for want in (15, 25):
        module.get_function("k")((1,), (1,), (out,))
        assert out[0] == want
    assert module.get_global("table").view("f4").tolist() == [1.5, -2, 25]
    with pytest.raises(EmulatorError, match="no variable named 'tables'"):
        module.get_global("tables")


def test_strided_and_overlapping_arrays():
    code = """extern "C" __global__ void k(float* x, float* y, int pitch) {
  y[threadIdx.x * pitch] = x[threadIdx.x * pitch] + 1;
}"""
    base = np.zeros((16, 10), "f4")
    base[:, 3] = np.arange(16)
    launch(code, 1, 16, base[:, 3], base[:, 7], np.int32(10))
    assert base[:, 7].tolist() == list(range(1, 17)) and base.sum() == 120 + 136


# -- atomics ----------------------------------------
def test_integer_atomics_with_collisions():
    code = """extern "C" __global__ void k(int* x, unsigned* u, int* old) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  old[i] = atomicAdd(x, 1);
  atomicMin(x + 1, -i); atomicMax(x + 2, i * 7 % 100); atomicAnd(x + 3, ~(1 << i % 31)); atomicOr(x + 4, 1 << i % 31);
  atomicXor(x + 5, i); atomicSub(x + 6, 2);
  u[2 + i] = atomicInc(u, 4); u[102 + i] = atomicDec(u + 1, 4);
}"""
    x, u, old = np.array([0, 0, 0, -1, 0, 0, 0], "i4"), np.zeros(202, "u4"), np.zeros(100, "i4")
    launch(code, 2, 50, x, u, old)
    assert sorted(old.tolist()) == list(range(100))
    assert x.tolist() == [
        100,
        -99,
        99,
        np.bitwise_and.reduce([~(1 << i) for i in range(31)]),
        2**31 - 1,
        np.bitwise_xor.reduce(range(100)),
        -200,
    ]
    assert np.bincount(u[2:102]).tolist() == [20] * 5 and np.bincount(u[102:]).tolist() == [20] * 5


def test_compare_and_swap_and_exchange():
    code = """extern "C" __global__ void k(unsigned long long* x, int* swaps, float* f) {
  int i = threadIdx.x;
  for (int j = 0; j < 3; j++) {
    unsigned long long old = *(volatile unsigned long long*)x, seen;
    while ((seen = atomicCAS(x, old, old * 3 + 1)) != old) { old = seen; atomicAdd(swaps, 1); }
  }
  f[1 + i] = atomicExch(f, (float)i);
}"""
    x, swaps, f = np.zeros(1, "u8"), np.zeros(1, "i4"), np.full(34, -1, "f4")
    launch(code, 1, 33, x, swaps, f)
    want = 0
    for _ in range(99):
        want = (want * 3 + 1) % 2**64
    assert x[0] == want and swaps[0] > 0
    assert sorted([f[0], *f[1:34]]) == [-1, *range(33)]


def test_floating_atomics_add_every_term():
    code = """#include <cuda_fp16.h>
extern "C" __global__ void k(float* x, double* y, __half2* h, float* old) {
  __shared__ float s;
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (threadIdx.x == 0) s = 0;
  __syncthreads();
  atomicAdd(&s, 0.5f);
  old[i] = atomicAdd(x, 1.0f);
  atomicAdd(y, 0.1);
  atomicAdd(h, __floats2half2_rn(1.0f, -2.0f));
  __syncthreads();
  if (threadIdx.x == 0) atomicAdd(x + 1, s);
}"""
    x, y, h, old = np.zeros(2, "f4"), np.zeros(1), np.zeros(2, "f2"), np.zeros(96, "f4")
    launch(code, 3, 32, x, y, h, old)
    assert x.tolist() == [96, 48] and sorted(old) == list(range(96))
    assert y[0] == sum([0.1] * 96) and h.tolist() == [96, -192]


# -- cp.async ----------------------------------------
ASYNC = """extern "C" __global__ void k(const float4* x, float4* y, int wait) {
  __shared__ float4 s[2][32];
  int t = threadIdx.x;
  for (int j = 0; j < 2; j++) {
    s[j][t] = make_float4(-1, -1, -1, -1);
    unsigned to = (unsigned)__cvta_generic_to_shared(&s[j][t]);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(to), "l"(x + 32 * j + t));
    asm volatile("cp.async.commit_group;");
  }
  if (wait == 0) asm volatile("cp.async.wait_group 0;");
  if (wait == 1) asm volatile("cp.async.wait_group 1;");
  if (wait == 2) asm volatile("cp.async.wait_all;");
  __syncthreads();
  y[t] = s[0][31 - t]; y[32 + t] = s[1][31 - t];
}"""


def test_async_copies_arrive_when_waited_for():
    raw = np.zeros(1000, "f4")
    x = raw[-raw.ctypes.data % 16 // 4 :][:256].reshape(64, 4)
    x[...] = np.arange(256).reshape(64, 4)
    for wait, ready in ((0, 2), (1, 1), (2, 2), (3, 0)):
        y = np.zeros((64, 4), "f4")
        y = y if y.ctypes.data % 16 == 0 else pytest.skip("NumPy gave memory that is not aligned to 16 bytes")
        with emulator.sanitize() as findings:
            launch(ASYNC, 1, 32, x, y, np.int32(wait))
        assert len(findings) == (ready < 2) and all("a cp.async has yet to bring" in f.message for f in findings)
        for j in (0, 1):
            assert (y[32 * j : 32 * j + 32] == (x[32 * j : 32 * j + 32][::-1] if j < ready else -1)).all()


def test_async_copy_with_a_source_size_fills_with_zeros():
    code = """extern "C" __global__ void k(const float* x, float* y) {
  __shared__ float4 s[32];
  int t = threadIdx.x;
  unsigned to = (unsigned)__cvta_generic_to_shared(&s[t]);
  asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(x + 4 * t), "r"(t % 5 * 4));
  asm volatile("cp.async.wait_all;");
  y[t] = s[t].x + 10 * s[t].y + 100 * s[t].z + 1000 * s[t].w;
}"""
    raw = np.ones(1000, "f4")
    y = np.zeros(32, "f4")
    launch(
        code, 1, 32, raw[-raw.ctypes.data % 16 // 4 :][:125], y
    )  # the last lane reads 4 of 16 bytes: the rest is outside
    assert y.tolist() == [[0, 1, 11, 111, 1111][t % 5] for t in range(32)]


# -- printf and assert ----------------------------------------
def test_printf(capsys):
    code = r"""extern "C" __global__ void k(int n) {
  int i = threadIdx.x;
  const char* name = i == 1 ? "one" : "three";
  if (i % 2) printf("%d|%5.2f|%s|%c|%lld|%u|%x|%%|%-4d|%e\n", i, i / 4.0f, name, 'a' + i, -5000000000LL,
    4000000000u, 255, i, 0.5);
  else printf("even\n");
}"""
    launch(code, 1, 4, np.int32(0))
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted(
        [
            "even",
            "even",
            "1| 0.25|one|b|-5000000000|4000000000|ff|%|1   |5.000000e-01",
            "3| 0.75|three|d|-5000000000|4000000000|ff|%|3   |5.000000e-01",
        ]
    )


def test_assert_names_its_thread():
    code = 'extern "C" __global__ void k(int n) { assert(threadIdx.x + blockIdx.x < 40); }'
    launch(code, 1, 40, np.int32(0))
    with pytest.raises(
        KernelAssertion,
        match=r"kernel.cu:1: .*block \(1, 0, 0\), thread \(39, 0, 0\): assertion `threadIdx.x \+ blockIdx.x < 40`",
    ):
        launch(code, 2, 40, np.int32(0))


def test_ranges_of_memory_stay_apart_and_in_order():
    """Whatever is added, of which some overlap or touch: the ranges are those that a set of the bytes gives."""
    data, rng = np.zeros(512, "u1"), np.random.default_rng(4)
    base = data.__array_interface__["data"][0]
    for _ in range(20):
        memory, parts = GlobalMemory(), []
        for number in range(24):
            start, size = int(rng.integers(0, 500)), int(rng.integers(1, 12))
            memory.add_range(base + start, size, str(number), True, None)
            touching = [p for p in parts if p[0] < start + size and start < p[1]]
            whole = (min([start, *(p[0] for p in touching)]), max([start + size, *(p[1] for p in touching)]))
            parts = [*(p for p in parts if p not in touching), whole]
        assert [(r.base - base, r.end - base) for r in memory.ranges] == sorted(parts)
        assert memory.bases == [r.base for r in memory.ranges]
        assert sorted(name for r in memory.ranges for name in r.name.split(" / ")) == sorted(map(str, range(24)))

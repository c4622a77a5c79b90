"""Counters against numbers worked out by hand."""

import json

import numpy as np
import pytest
from numba import cuda, float32
from tinygan_kernels import emulator

GLOBAL = """extern "C" __global__ void k(const float* x, float* y, int stride, int offset) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = x[i * stride + offset];
}
extern "C" __global__ void k4(const float4* x, float4* y, int stride) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = x[i * stride];
}"""
LD, ST = "l1tex__t_{}_pipe_lsu_mem_global_op_ld.sum", "l1tex__t_{}_pipe_lsu_mem_global_op_st.sum"


def aligned(n: int) -> np.ndarray:
    """Return zeros that start at a multiple of 128 bytes, as GPU allocations do."""
    raw = np.zeros(n + 32, "f4")
    return raw[-raw.ctypes.data % 128 // 4 :][:n]


def counted(code: str, grid, block, *args, name: str = "k", shared_mem: int = 0):
    kernel = emulator.RawModule(code=code).get_function(name)
    with emulator.count() as c:
        kernel(grid, block, args, shared_mem=shared_mem)
    return c


@pytest.mark.parametrize(
    "stride, offset, sectors",
    [(1, 0, 4), (1, 1, 5), (1, 8, 4), (2, 0, 8), (4, 0, 16), (8, 0, 32), (32, 0, 32), (0, 0, 1), (-1, 127, 4)],
)
def test_sectors_of_a_global_load(stride, offset, sectors):
    c = counted(GLOBAL, (2,), (64,), aligned(6000), aligned(128), np.int32(stride), np.int32(offset))
    assert c[LD.format("requests")] == c[ST.format("requests")] == 4
    assert c[LD.format("sectors")] == 4 * sectors
    assert c[LD.format("bytes")] == 4 * sectors * 32
    assert c[ST.format("sectors")] == 4 * 4


def test_sectors_of_float4():
    c = counted(GLOBAL, (1,), (64,), aligned(4096), aligned(256), np.int32(1), name="k4")
    assert (c[LD.format("requests")], c[LD.format("sectors")]) == (2, 32)  # 4 sectors a quarter-warp: 16 a request
    assert counted(GLOBAL, (1,), (32,), aligned(4096), aligned(256), np.int32(2), name="k4")[LD.format("sectors")] == 32
    assert counted(GLOBAL, (1,), (32,), aligned(4096), aligned(256), np.int32(0), name="k4")[LD.format("sectors")] == 1


def test_part_of_a_warp():
    c = counted(GLOBAL, (1,), (40,), aligned(4096), aligned(256), np.int32(1), np.int32(0))
    assert (c[LD.format("requests")], c[LD.format("sectors")]) == (2, 5)  # 32 lanes: 4 sectors, 8 lanes: 1
    assert c["smsp__warps_launched.sum"] == 2


SHARED = """extern "C" __global__ void k(float* y, int row, int column, int pitch) {
  extern __shared__ float s[];
  int t = threadIdx.x;
  for (int i = t; i < 33 * 32; i += 32) s[i] = i;
  __syncthreads();
  y[t] = s[t * row * pitch + t * column];
}
extern "C" __global__ void wide(float* y, int stride) {
  extern __shared__ float4 s4[];
  int t = threadIdx.x;
  s4[t * stride] = make_float4(t, t, t, t);
  y[t] = 0;
}
extern "C" __global__ void wide2(float* y, int stride) {
  extern __shared__ float2 s2[];
  int t = threadIdx.x;
  s2[t * stride] = make_float2(t, t);
  y[t] = 0;
}"""
CONFLICTS = "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_{}.sum"
WAVES = "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_{}.sum"


@pytest.mark.parametrize(
    "row, column, pitch, conflicts",
    [
        (0, 1, 32, 0),  # a row: each lane its own bank
        (1, 0, 32, 31),  # a column: all lanes in one bank
        (1, 0, 33, 0),  # a column with padding
        (0, 0, 32, 0),  # one word for all: a broadcast
        (0, 2, 32, 1),  # stride 2: two lanes a bank
        (0, 4, 32, 3),
        (0, 3, 32, 0),
        (0, 32, 32, 31),
    ],
)
def test_bank_conflicts_of_loads(row, column, pitch, conflicts):
    c = counted(
        SHARED, (1,), (32,), aligned(32), np.int32(row), np.int32(column), np.int32(pitch), shared_mem=33 * 32 * 4
    )
    assert c[CONFLICTS.format("ld")] == conflicts
    assert c[WAVES.format("ld")] == conflicts + 1
    assert c[CONFLICTS.format("st")] == 0 and c[WAVES.format("st")] == 33
    assert c["l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum"] == conflicts


@pytest.mark.parametrize(
    "name, stride, waves, conflicts",
    [
        ("wide", 1, 4, 0),  # float4: four phases of 8 lanes, 32 different banks in each
        ("wide", 2, 8, 4),  # every second float4: 8 lanes in 16 banks, two words each
        ("wide2", 1, 2, 0),
        ("wide2", 2, 4, 2),
    ],
)
def test_wide_accesses_run_in_phases(name, stride, waves, conflicts):
    c = counted(SHARED, (1,), (32,), aligned(32), np.int32(stride), name=name, shared_mem=32 * 16 * stride)
    assert (c[WAVES.format("st")], c[CONFLICTS.format("st")]) == (waves, conflicts)


def test_instructions_and_flops():
    code = """extern "C" __global__ void k(float* x) {
  int i = threadIdx.x;
  float v = x[i];
  for (int j = 0; j < 10; j++) v = fmaf(v, v, 1.0f);
  x[i] = v;
}"""
    c = counted(code, (1,), (64,), aligned(64))
    assert c["smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"] == 640
    assert c["flop"] == 1280
    assert c["global_bytes"] == 64 * 8
    assert c["arithmetic_intensity"] == 1280 / 512
    assert c.lines("k")[4]["flop"] == 1280 and c.lines("k")[3][LD.format("requests")] == 2
    assert c["smsp__inst_executed.sum"] * 32 == c["smsp__thread_inst_executed.sum"]


def ptx(body: str) -> str:
    return f""".version 8.0
.target sm_80
.address_size 64
.visible .entry k() {{ .reg .b32 %r<8>; .reg .pred %p<4>; .reg .f32 %f<4>;
{body}
}}"""


def test_instructions_are_counted_a_warp():
    c = counted(ptx("mov.u32 %r0, %tid.x; add.u32 %r1, %r0, 1; ret;"), (5,), (70,))
    assert c["smsp__inst_executed.sum"] == 3 * 5 * 3 and c["smsp__thread_inst_executed.sum"] == 3 * 350


@pytest.mark.parametrize(
    "bound, parted, executed",
    [
        (16, 1, (7, 6)),  # the first warp runs both sides: 3, then mov and bra, then mov, then ret
        (32, 0, (5, 6)),
        (0, 0, (6, 6)),
        (64, 0, (5, 5)),
    ],
)
def test_divergence_is_counted_where_warps_part(bound, parted, executed):
    body = """mov.u32 %r0, %tid.x; setp.lt.u32 %p0, %r0, BOUND; @%p0 bra L1;
      mov.u32 %r1, 1; bra L2; L1: mov.u32 %r1, 2; L2: ret;"""
    c = counted(ptx(body.replace("BOUND", str(bound))), (1,), (64,))
    assert c["smsp__sass_branch_targets_threads_divergent.sum"] == parted
    assert c["smsp__inst_executed.sum"] == sum(executed)


def test_lanes_that_leave_a_loop_early_wait_for_the_others():
    body = """mov.u32 %r0, %tid.x; mov.u32 %r1, 0;
      LOOP: add.u32 %r1, %r1, 1; setp.ge.u32 %p0, %r1, %r0; @%p0 bra OUT;
      and.b32 %r2, %r1, 1; setp.eq.u32 %p1, %r2, 0; @%p1 bra LOOP;
      xor.b32 %r3, %r3, %r1; bra LOOP;
      OUT: mul.lo.u32 %r3, %r3, 5; mul.lo.u32 %r3, %r3, 7; ret;"""
    c = counted(ptx(body), (1,), (32,))
    turns = 31  # of the lane that stays longest; the others' are among them
    even = (turns - 1) // 2  # turns that go back without the xor
    assert c["smsp__inst_executed.sum"] == 2 + 3 * turns + 3 * (turns - 1) + 2 * (turns - 1 - even) + 3
    assert c["smsp__sass_branch_targets_threads_divergent.sum"] == turns - 1


def test_a_guard_that_is_false_counts_no_access():
    code = """extern "C" __global__ void k(float* x, int n) { if (threadIdx.x < n) x[threadIdx.x] = 1; }"""
    c = counted(code, (1,), (128,), aligned(128), np.int32(40))
    assert c[ST.format("requests")] == 2 and c[ST.format("sectors")] == 5


def test_lanes_that_a_guard_takes_out_do_no_operations():
    body = "mov.u32 %r0, %tid.x; setp.lt.u32 %p0, %r0, 10; mov.f32 %f0, 1.5; @%p0 fma.rn.f32 %f1, %f0, %f0, %f0; ret;"
    c = counted(ptx(body), (1,), (64,))
    assert c["smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"] == 10 and c["flop"] == 20
    assert c["smsp__inst_executed.sum"] == 10 and c["smsp__thread_inst_executed.sum"] == 320


def test_atomics_without_a_use_of_the_result_are_reductions():
    code = (
        """extern "C" __global__ void k(int* x, int* y) { y[threadIdx.x] = atomicAdd(x, 1); atomicMax(x + 64, 3); }"""
    )
    c = counted(code, (1,), (64,), np.zeros(65, "i4"), np.zeros(64, "i4"))
    assert c["l1tex__t_requests_pipe_lsu_mem_global_op_atom.sum"] == 2
    assert c["l1tex__t_requests_pipe_lsu_mem_global_op_red.sum"] == 2
    assert c[LD.format("requests")] == 0


def test_launches_add_up_and_contexts_nest():
    kernel = emulator.RawModule(code=GLOBAL).get_function("k")
    args = (aligned(64), aligned(64), np.int32(1), np.int32(0))
    with emulator.count() as outer:
        kernel((1,), (32,), args)
        with emulator.count() as inner:
            kernel((2,), (32,), args)
        with emulator.count() as nothing:
            pass
    assert (inner[LD.format("requests")], outer[LD.format("requests")], nothing[LD.format("requests")]) == (2, 3, 0)
    assert outer["launches"] == 2 and outer.kernels() == ["k"] and outer.kernel("k")[LD.format("sectors")] == 12
    kernel((1,), (32,), args)
    assert outer["launches"] == 2


def test_unknown_names_are_refused():
    with emulator.count() as c:
        pass
    with pytest.raises(KeyError, match="unknown metric 'sectors'"):
        c["sectors"]
    with pytest.raises(KeyError, match="'mm' was not launched"):
        c.kernel("mm")


@cuda.jit
def transpose_through_shared(x, y):
    tile = cuda.shared.array((32, 32), float32)
    i, j = cuda.threadIdx.y, cuda.threadIdx.x
    tile[i, j] = x[i, j]
    cuda.syncthreads()
    y[i, j] = tile[j, i]


def test_numba_kernels_count_too():
    x, y = aligned(1024).reshape(32, 32), aligned(1024).reshape(32, 32)
    x[...] = np.arange(1024).reshape(32, 32)
    with emulator.count() as c:
        emulator.launch(transpose_through_shared, 1, (32, 32), x, y)
    assert (y == x.T).all()
    assert c[CONFLICTS.format("ld")] == 31 * 32 and c[CONFLICTS.format("st")] == 0
    assert c[LD.format("sectors")] == c[ST.format("sectors")] == 128
    line = transpose_through_shared.py_func.__code__.co_firstlineno + 6
    assert c.lines("transpose_through_shared")[line][CONFLICTS.format("ld")] == 31 * 32


# ---- how counts are shown --------------------------------------------------------------------------------------------------------


def test_counts_are_a_table_a_mapping_and_json():
    x, y = aligned(64), aligned(64)
    module = emulator.RawModule(code=GLOBAL)
    with emulator.count() as c:
        module.get_function("k")((2,), (32,), (x, y, np.int32(1), np.int32(0)))
        module.get_function("k4")((1,), (8,), (x, y, np.int32(1)))
    rows = {line.split()[0]: line.split()[1:] for line in str(c).splitlines()}
    assert rows["metric"] == ["k", "k4", "together"] and repr(c) == str(c)
    assert rows[LD.format("sectors")] == ["8", "4", "12"] and rows["launches"] == ["1", "1", "2"]
    assert "smsp__sass_branch_targets_threads_divergent.sum" not in rows, "nothing of it was counted"
    assert dict(c) == c.metrics() and set(c) == set(c.keys()) and len(c) == len(c.keys()) and LD.format("sectors") in c
    assert "no such metric" not in c
    found = json.loads(c.to_json())
    assert found["metrics"][LD.format("sectors")] == 12 and found["kernels"]["k"]["metrics"][LD.format("sectors")] == 8
    assert found["kernels"]["k"]["lines"]["3"][LD.format("sectors")] == 8
    assert str(c.kernel("k4")).splitlines()[0].split() == ["metric", "k4"] and c.kernel("k4").keys()


def test_counts_of_nothing_and_without_memory_can_be_shown():
    with emulator.count() as c:
        pass
    assert str(c) == "no kernel was launched" and json.loads(c.to_json())["kernels"] == {}
    with emulator.count() as c:
        emulator.RawModule(code='extern "C" __global__ void f(float x) { if (x * x == 3.0f) __trap(); }').get_function("f")(
            (1,), (32,), (np.float32(2),)
        )
    assert c["arithmetic_intensity"] == float("inf") and "inf" in str(c)
    assert json.loads(c.to_json(indent=1), parse_constant=pytest.fail)["metrics"]["arithmetic_intensity"] is None

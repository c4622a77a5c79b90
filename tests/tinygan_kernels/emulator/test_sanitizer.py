"""Planted bugs of every kind, each found where it is; and kernels without a bug, in which nothing is found."""

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, SanitizerError

from tests.support.sanitized import findings_of, line_of, one


def floats(n: int) -> np.ndarray:
    return np.zeros(n, np.float32)


# -- memcheck ----------------------------------------
OUT_OF_BOUNDS = """extern "C" __global__ void k(float* x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  x[i + n] = 1.0f;  // BUG
}"""


def test_out_of_bounds_write_names_its_thread():
    x = floats(70)
    found = one(OUT_OF_BOUNDS, "memcheck", (2,), (32,), x, np.int32(10))
    assert "out-of-bounds write of 4 bytes; 0 bytes after the end of argument 0" in found.message
    assert (found.count, found.block, found.thread) == (4, (1, 0, 0), (28, 0, 0))
    assert found.address == x.ctypes.data + 70 * 4 and found.space == "global"
    assert x[10:].all() and not x[:10].any()


def test_out_of_bounds_before_the_array():
    found = one(OUT_OF_BOUNDS, "memcheck", (1,), (32,), floats(70), np.int32(-3))
    assert "12 bytes before argument 0" in found.message and found.thread == (0, 0, 0) and found.count == 3


def test_out_of_bounds_raises_by_default_and_without_checks():
    kernel = emulator.RawModule(code=OUT_OF_BOUNDS).get_function("k")
    with pytest.raises(SanitizerError, match=r"out-of-bounds write.*kernel.cu:3") as error:
        kernel((2,), (32,), (floats(20), np.int32(0)))
    assert error.value.findings[0].count == 44
    with emulator.checks(False), pytest.raises(EmulatorError, match="out-of-bounds"):
        kernel((2,), (32,), (floats(20), np.int32(0)))


def test_gap_between_two_arrays_is_out_of_bounds_and_so_is_the_other_array():
    code = 'extern "C" __global__ void k(float* x, float* y, long long d) { x[d] = 5; }  // BUG'
    x, y = floats(8), floats(8)
    distance = (y.ctypes.data - x.ctypes.data) // 4
    found = one(code, "memcheck", (1,), (1,), x, y, np.int64(distance))
    assert "argument 0 (32 bytes), inside argument 1" in found.message
    found = one(code, "memcheck", (1,), (1,), x, y, np.int64(distance + 8))
    assert "the end of argument 1 (32 bytes)" in found.message


def test_two_views_of_one_array_are_one_allocation():
    """A kernel that is given parts of a buffer may go from one into the other, as it may in one cudaMalloc."""
    code = 'extern "C" __global__ void k(float* x, float* y, long long d) { x[d] = 5; }'
    buffer = floats(64)
    assert not findings_of(code, (1,), (1,), buffer[:8], buffer[40:], np.int64(41)) and buffer[41] == 5


def test_an_address_that_may_come_from_either_of_two_pointers_may_lie_in_both():
    code = """extern "C" __global__ void k(float* x, float* y, int n) {
  float* p = n > 3 ? x : y;
  for (int i = 0; i < n; ++i) { p[i] = 1; p = p == x ? y : x; }
}"""
    assert not findings_of(code, (1,), (1,), floats(8), floats(8), np.int32(8))


def test_misaligned_vector_load():
    code = """extern "C" __global__ void k(float* x, float* y) {
  float4 v = *(float4*)(x + threadIdx.x);  // BUG
  y[threadIdx.x] = v.x + v.w;
}"""
    x = np.zeros(64, np.float32)
    x = x[(-x.ctypes.data % 16) // 4 :][:40]
    found = one(code, "memcheck", (1,), (32,), x, floats(32))
    assert found.message == "misaligned read of 16 bytes" and found.thread == (1, 0, 0) and found.count == 24


def test_shared_memory_bounds():
    code = """extern "C" __global__ void k(float* x, int n) {
  __shared__ float s[32];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = s[threadIdx.x + n];  // BUG
}"""
    assert not findings_of(code, (1,), (32,), floats(32), np.int32(0))
    found = one(code, "memcheck", (1,), (32,), floats(32), np.int32(1))
    assert (found.space, found.address, found.thread, found.count) == ("shared", 128, (31, 0, 0), 1)


def test_null_pointer():
    code = 'extern "C" __global__ void k(float* x) { x[threadIdx.x] = 1; }  // BUG'
    found = one(code, "memcheck", (1,), (1,), None)
    assert found.address == 0


def test_read_only_array():
    code = 'extern "C" __global__ void k(float* x) { x[threadIdx.x] = 1; }  // BUG'
    x = floats(4)
    x.flags.writeable = False
    assert "read-only" in one(code, "memcheck", (1,), (4,), x).message
    assert not x.any()


# -- initcheck ----------------------------------------
def test_uninitialised_shared_memory():
    code = """extern "C" __global__ void k(float* x) {
  extern __shared__ float s[];
  if (threadIdx.x != 5) s[threadIdx.x] = 1;
  __syncthreads();
  x[threadIdx.x] = s[31 - threadIdx.x];  // BUG
}"""
    found = one(code, "initcheck", (1,), (32,), floats(32), shared_mem=128)
    assert (found.thread, found.count, found.address) == ((26, 0, 0), 1, 20)


def test_uninitialised_local_memory():
    code = """extern "C" __global__ void k(float* x, float* y, int n) {
  float own[8];
  for (int i = 0; i < n; i++) own[i * 3 & 7] = x[i];
  y[threadIdx.x] = own[threadIdx.x];  // BUG
}"""
    assert not findings_of(code, (1,), (8,), floats(8), floats(8), np.int32(8))
    found = one(code, "initcheck", (1,), (8,), floats(8), floats(8), np.int32(7))
    assert found.thread == (5, 0, 0) and found.count == 1 and found.space == "local"


def test_uninitialised_global_memory():
    code = """extern "C" __global__ void k(float* x, float* y, int n) {
  int i = threadIdx.x;
  if (i < n) x[i] = i;
  y[i] = x[i];  // BUG
}"""
    x = emulator.empty(8, np.float32)
    assert one(code, "initcheck", (1,), (8,), x, floats(8), np.int32(6)).thread == (6, 0, 0)
    assert one(code, "initcheck", (1,), (8,), x, floats(8), np.int32(7)).count == 1  # earlier launches count
    x[7:] = 0
    assert not findings_of(code, (1,), (8,), x, floats(8), np.int32(0))  # so does the host
    y = emulator.empty((4, 4), np.float32)
    assert np.isnan(y).all()
    assert one(code, "initcheck", (1,), (4,), y[1], floats(4), np.int32(3)).thread == (
        3,
        0,
        0,
    )  # and views share the marks
    assert not findings_of(code, (1,), (3,), y[1], floats(4), np.int32(0))


def test_results_of_host_arithmetic_are_initialised():
    code = 'extern "C" __global__ void k(float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }'
    x = emulator.empty(8, np.float32)
    for derived in (x + 1, x.copy(), np.maximum(x, 0)):
        assert not findings_of(code, (1,), (8,), derived, floats(8))
    assert findings_of(code, (1,), (8,), x.reshape(2, 4)[::-1][::-1], floats(8))[0].count == 8


def test_an_exchange_whose_old_value_is_dropped_only_writes():
    """A lock or a flag in fresh memory may be set by atomicExch; then it is written, on each thread's own element alone."""
    code = """extern "C" __global__ void k(int* x, int* y, int mode) {
  int i = threadIdx.x;
  if (i < 6) atomicExch(&x[i], i);
  if (mode == 1) y[i] = atomicExch(&x[7 - i], 3);  // BUG
  if (mode == 2) y[i] = x[i];  // BUG
}"""
    for mode, found in ((0, 0), (1, 2), (2, 2)):
        x = emulator.empty(8, np.int32)
        given = findings_of(code, (1,), (8,), x, np.zeros(8, np.int32), np.int32(mode))
        assert [f.count for f in given if f.tool == "initcheck"] == [found] * (mode > 0), mode
        assert x[:6].tolist() == list(range(6)) or mode == 1


# -- racecheck ----------------------------------------
REVERSE = """extern "C" __global__ void k(float* x, int n) {{
  __shared__ float s[128];
  int t = threadIdx.x;
  for (int j = 0; j < n; j++) {{
    s[t] = x[t] + j;{write}
    {first}
    x[t] = s[blockDim.x - 1 - t];{read}
    {second}
  }}
}}"""
SYNC = "__syncthreads();"


def test_clean_reverse_has_no_race():
    x = np.arange(128, dtype="f4")
    assert not findings_of(REVERSE.format(first=SYNC, second=SYNC, read="", write=""), (1,), (128,), x, np.int32(3))
    assert x.tolist() == [127 - i + 0 + 1 + 2 for i in range(128)]


def test_read_after_write_without_barrier():
    found = one(
        REVERSE.format(first="", second=SYNC, read="  // BUG", write=""),
        "racecheck",
        (1,),
        (64,),
        floats(64),
        np.int32(1),
    )
    assert (
        "read of bytes written by another thread" in found.message and "the other is thread (63, 0, 0)" in found.message
    )
    assert found.thread == (0, 0, 0) and found.count == 64 and found.address == 63 * 4


def test_write_after_read_without_barrier():
    found = one(
        REVERSE.format(first=SYNC, second="", read="", write="  // BUG"),
        "racecheck",
        (1,),
        (64,),
        floats(64),
        np.int32(2),
    )
    assert "write of bytes read by another thread" in found.message


def test_write_after_write_of_another_value():
    code = """extern "C" __global__ void k(float* x, int same) {
  __shared__ float s[4];
  s[threadIdx.x & 3] = same ? 1.0f : threadIdx.x;  // BUG
  __syncthreads();
  x[threadIdx.x] = s[threadIdx.x & 3];
}"""
    assert not findings_of(code, (1,), (64,), floats(64), np.int32(1))
    found = findings_of(code, (1,), (64,), floats(64), np.int32(0))
    assert found and {f.tool for f in found} == {"racecheck"} and {f.source for f in found} == {"kernel.cu:3"}


def test_missing_syncwarp_within_a_warp():
    code = """extern "C" __global__ void k(float* x, int sync) {{
  __shared__ float s[32];
  s[threadIdx.x] = x[threadIdx.x];
  {sync}
  x[threadIdx.x] = s[threadIdx.x ^ 1];  // BUG
}}"""
    assert "written" in one(code.format(sync=""), "racecheck", (1,), (32,), floats(32), np.int32(0)).message
    assert not findings_of(code.format(sync="__syncwarp();"), (1,), (32,), floats(32), np.int32(0))
    assert not findings_of(code.format(sync="__syncthreads();"), (1,), (32,), floats(32), np.int32(0))


@pytest.mark.parametrize("writer", [0, 7, 31])
def test_write_by_one_of_many_readers(writer):
    """All lanes read a word, then one of them writes it: the others' reads are not forgotten for its own."""
    code = f"""extern "C" __global__ void k(float* x) {{
  __shared__ float s[1];
  if (threadIdx.x == 0) s[0] = 1;
  __syncthreads();
  x[threadIdx.x] = s[0];
  if (threadIdx.x == {writer}) s[0] = 2;  // BUG
}}"""
    assert "bytes read by another thread" in one(code, "racecheck", (1,), (32,), floats(32)).message


def test_syncwarp_does_not_order_warps():
    code = REVERSE.format(first="__syncwarp();", second=SYNC, read="  // BUG", write="")
    assert not findings_of(code, (1,), (32,), floats(32), np.int32(2))
    one(code, "racecheck", (1,), (64,), floats(64), np.int32(2))


def test_named_barrier_orders_only_those_who_meet():
    code = """extern "C" __global__ void k(float* x) {
  __shared__ float s[96];
  int t = threadIdx.x, w = t / 32;
  s[t] = x[t];
  if (w < 2) asm volatile("bar.sync 1, 64;");
  x[t] = w == 0 ? s[t + 32] : w == 1 ? s[t - 32] : s[t - FROM];  // BUG
}"""
    assert not findings_of(code.replace("FROM", "0"), (1,), (96,), floats(96))
    found = one(code.replace("FROM", "32"), "racecheck", (1,), (96,), floats(96))
    assert found.thread[0] >= 64 and found.count == 32


def test_a_barrier_teaches_only_those_who_meet():
    """Warps 0 and 2 meet, then 1 and 3: warp 1 still knows nothing of warp 0."""
    code = """extern "C" __global__ void k(float* x) {
  __shared__ float s[32];
  int t = threadIdx.x, w = t / 32;
  if (w == 0) s[t] = 1;
  if (w == 0 || w == 2) asm volatile("bar.sync 1, 64;");
  if (w == 2) asm volatile("bar.arrive 3, 64;");
  if (w == 1 || w == 3) asm volatile("bar.sync 2, 64;");
  if (w == READER) x[t] = s[t % 32];  // BUG
  if (w == 1) asm volatile("bar.sync 3, 64;");
}"""
    assert not findings_of(code.replace("READER", "2"), (1,), (128,), floats(128))
    assert one(code.replace("READER", "1"), "racecheck", (1,), (128,), floats(128)).count == 32


def test_what_follows_an_arrival_is_not_ordered_by_it():
    code = """extern "C" __global__ void k(float* x, int late) {
  __shared__ float s[32];
  int t = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    if (!late) s[t] = 1;
    asm volatile("bar.arrive 1, 64;" ::: "memory");
    if (late) s[t] = 1;  // BUG
  } else {
    asm volatile("bar.sync 1, 64;" ::: "memory");
    x[t] = late ? 0 : s[t];
    if (late) s[t] = 2;  // BUG
  }
}"""
    assert not findings_of(code, (1,), (64,), floats(32), np.int32(0))
    assert [f.tool for f in findings_of(code, (1,), (64,), floats(32), np.int32(1))] == ["racecheck"]


def test_the_same_value_twice_is_no_race():
    code = """extern "C" __global__ void k(float* x, float other) {
  __shared__ float s[1];
  if (threadIdx.x < 32) s[0] = 1;
  else if (x[0] == 0) s[0] = other;  // BUG
  __syncthreads();
  x[threadIdx.x] = s[0];
}"""
    assert not findings_of(code, (1,), (64,), floats(64), np.float32(1))
    found = one(code, "racecheck", (1,), (64,), floats(64), np.float32(2))
    assert "write of bytes written by another thread" in found.message


def test_shared_atomics_do_not_race_with_each_other_but_with_plain_reads():
    code = """extern "C" __global__ void k(int* x) {
  __shared__ int total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  atomicAdd(&total, (int)threadIdx.x);
  SYNC
  x[threadIdx.x] = total;  // BUG
}"""
    x = np.zeros(64, "i4")
    assert not findings_of(code.replace("SYNC", SYNC), (1,), (64,), x) and (x == 2016).all()
    assert findings_of(code.replace("SYNC", ""), (1,), (64,), x)[0].tool == "racecheck"


def test_narrow_accesses_are_told_apart():
    code = """extern "C" __global__ void k(unsigned char* x, int d) {
  __shared__ unsigned char s[64];
  s[threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = s[threadIdx.x ^ d];  // BUG
}"""
    assert not findings_of(code, (1,), (64,), np.zeros(64, "u1"), np.int32(0))
    one(code, "racecheck", (1,), (64,), np.zeros(64, "u1"), np.int32(1))


def test_blocks_that_write_the_same_place():
    code = """extern "C" __global__ void k(float* x, int n) {
  x[(blockIdx.x * blockDim.x + threadIdx.x) % n] = blockIdx.x;  // BUG
}"""
    assert not findings_of(code, (4,), (32,), floats(128), np.int32(128))
    found = one(code, "racecheck", (4,), (32,), floats(128), np.int32(100))
    assert (
        "global-memory race between blocks: write of bytes that another block writes" in found.message
        and found.count == 28
    )


def test_blocks_that_read_what_another_writes():
    code = """extern "C" __global__ void k(float* x) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  float v = x[(i + 1) % 64];  // BUG
  x[i] = v + 1;  // BUG
}"""
    found = findings_of(code, (2,), (32,), floats(64))
    assert {f.tool for f in found} == {"racecheck"} and sum(f.count for f in found) == 64
    assert "within a block" in one(code.replace("  // BUG", "", 1), "racecheck", (1,), (64,), floats(64)).message
    ordered = code.replace("x[i] = v", "__syncthreads(); x[i] = v")
    assert not findings_of(ordered, (1,), (64,), floats(64))
    assert sum(f.count for f in findings_of(ordered, (2,), (32,), floats(64))) == 2  # a barrier does not order two blocks


@pytest.mark.parametrize("writer", [0, 2, 3])
def test_write_of_what_every_block_reads(writer):
    code = f"""extern "C" __global__ void k(float* x, float* y) {{
  y[blockIdx.x * blockDim.x + threadIdx.x] = x[0];
  if (blockIdx.x == {writer} && threadIdx.x == 5) x[0] = 2;  // BUG
}}"""
    message = one(code, "racecheck", (4,), (32,), floats(1), floats(128)).message
    assert "another block reads" in message or "bytes read by another thread" in message


def test_races_are_seen_across_chunks_of_blocks():
    """More blocks than run at once: the record of a launch outlives a chunk."""
    code = """extern "C" __global__ void k(float* x) {
  if (blockIdx.x == 0 || blockIdx.x == gridDim.x - 1) x[threadIdx.x] = blockIdx.x;  // BUG
}"""
    assert one(code, "racecheck", (40,), (1024,), floats(1024)).count == 1024


LAST_BLOCK = """__device__ unsigned int done = 0;
extern "C" __global__ void k(float* part, float* out) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    part[blockIdx.x] = blockIdx.x + 1;
    FENCE
    last = atomicInc(&done, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float s = 0;
    for (int i = 0; i < gridDim.x; i++) s += part[i];  // BUG
    *out = s;
  }
}"""


def test_last_block_reduction_is_ordered_by_its_fence():
    part, out = floats(20), floats(1)
    assert not findings_of(LAST_BLOCK.replace("FENCE", "__threadfence();"), (20,), (32,), part, out) and out[0] == 210
    assert one(LAST_BLOCK.replace("FENCE", ""), "racecheck", (20,), (32,), part, out).count == 19


PIPELINE = """extern "C" __global__ void k(const float* x, float* y, int n) {
  __shared__ float s[2][64];
  int t = threadIdx.x;
  float total = 0;
  #define COPY(j) asm volatile("cp.async.ca.shared.global [%0], [%1], 4; cp.async.commit_group;" \\
    :: "r"((unsigned)__cvta_generic_to_shared(&s[(j) % 2][t])), "l"(x + 64 * (j) + t) : "memory")
  COPY(0);
  for (int j = 0; j < n; j++) {
    if (j + 1 < n) { COPY(j + 1); asm volatile("cp.async.wait_group 1;" ::: "memory"); }  // ISSUE
    else asm volatile("cp.async.wait_group 0;" ::: "memory");
    BEFORE
    total += s[j % 2][63 - t];  // READ
    AFTER
  }
  y[t] = total;
}"""


def test_a_double_buffered_pipeline():
    x, y = np.random.default_rng(0).integers(0, 9, 64 * 6).astype("f4"), floats(64)
    clean = PIPELINE.replace("BEFORE", SYNC).replace("AFTER", SYNC)
    assert not findings_of(clean, (1,), (64,), x, y, np.int32(6))
    assert (y == x.reshape(6, 64)[:, ::-1].sum(axis=0)).all()
    found = findings_of(PIPELINE.replace("BEFORE", "").replace("AFTER", SYNC), (1,), (64,), x, y, np.int32(6))
    assert {f.tool for f in found} == {"racecheck"} and f"kernel.cu:{line_of(clean, 'READ')}" in {
        f.source for f in found
    }
    found = findings_of(PIPELINE.replace("BEFORE", SYNC).replace("AFTER", ""), (1,), (64,), x, y, np.int32(6))
    assert {f.tool for f in found} == {"racecheck"}
    assert {f.source for f in found} == {f"kernel.cu:{line_of(clean, 'ISSUE')}"}  # the copy overwrites what others read


# -- synccheck ----------------------------------------
def test_barrier_in_divergent_code():
    code = """extern "C" __global__ void k(float* x, int n) {
  __shared__ float s[64];
  s[threadIdx.x] = 1;
  if (threadIdx.x < n) { x[threadIdx.x] = 2; __syncthreads(); x[threadIdx.x] += s[63 - threadIdx.x]; }  // BUG
  else { __syncthreads(); x[threadIdx.x] = s[63 - threadIdx.x]; }
}"""
    assert not findings_of(code, (1,), (64,), floats(64), np.int32(64))
    assert "different barriers" in findings_of(code, (1,), (64,), floats(64), np.int32(32))[0].message  # whole warps
    found = findings_of(code, (1,), (64,), floats(64), np.int32(40))
    assert {f.tool for f in found} == {"synccheck"} and "only some threads of a warp" in found[0].message


def test_deadlock_is_reported_not_waited_for():
    code = """extern "C" __global__ void k(float* x) {
  if (threadIdx.x < 32) asm volatile("bar.sync 1, 64;");  // BUG
  else asm volatile("bar.sync 2, 64;");
}"""
    with pytest.raises(SanitizerError, match="deadlock"):
        emulator.RawModule(code=code).get_function("k")((1,), (64,), (floats(1),))
    with emulator.checks(False), pytest.raises(EmulatorError, match="deadlock"):
        emulator.RawModule(code=code).get_function("k")((1,), (64,), (floats(1),))


def test_shuffle_that_names_absent_lanes():
    code = """extern "C" __global__ void k(int* x, unsigned mask) {
  if (threadIdx.x < 16)
    x[threadIdx.x] = __shfl_xor_sync(mask, x[threadIdx.x], 1);  // BUG
}"""
    x = np.arange(32, dtype="i4")
    assert not findings_of(code, (1,), (32,), x.copy(), np.uint32(0xFFFF))
    found = one(code, "synccheck", (1,), (32,), x, np.uint32(0xFFFFFFFF))
    assert "names threads of the warp that do not execute it" in found.message


# -- clean kernels ----------------------------------------
TRANSPOSE = """extern "C" __global__ void k(const float* x, float* y, int rows, int columns) {
  __shared__ float tile[16][17];
  int c = blockIdx.x * 16 + threadIdx.x, r = blockIdx.y * 16 + threadIdx.y;
  if (r < rows && c < columns) tile[threadIdx.y][threadIdx.x] = x[r * columns + c];
  __syncthreads();
  c = blockIdx.y * 16 + threadIdx.x; r = blockIdx.x * 16 + threadIdx.y;
  if (r < columns && c < rows) y[r * rows + c] = tile[threadIdx.x][threadIdx.y];
}"""


@pytest.mark.parametrize("rows, columns", [(1, 1), (16, 16), (17, 15), (33, 50)])
def test_a_clean_transpose(rows, columns):
    x = np.random.default_rng(0).standard_normal((rows, columns), dtype="f4")
    y = emulator.empty((columns, rows), np.float32)
    assert not findings_of(
        TRANSPOSE, (-(-columns // 16), -(-rows // 16)), (16, 16), x, y, np.int32(rows), np.int32(columns)
    )
    assert (y == x.T).all()


def test_findings_of_several_launches_are_collected_and_printed():
    kernel = emulator.RawModule(code=OUT_OF_BOUNDS).get_function("k")
    with emulator.sanitize() as findings:
        kernel((1,), (32,), (floats(20), np.int32(0)))
        kernel((1,), (32,), (floats(30), np.int32(0)))
    assert [f.count for f in findings] == [12, 2]
    text = str(findings[0])
    for part in (
        "memcheck",
        "out-of-bounds",
        "thread (20, 0, 0)",
        "block (0, 0, 0)",
        "in k",
        "kernel.cu:3",
        "0x",
        "(12 times)",
    ):
        assert part in text


# -- order through memory ----------------------------------------
ATOMIC_REF = """#include <cuda/atomic>
__device__ int flag[4], lock, done;
extern "C" __global__ void k(int* y) {
  int b = blockIdx.x;
  using Ref = cuda::atomic_ref<int, cuda::thread_scope_device>;
  if (threadIdx.x == 0) {
    int before = 0;
    if (b) { while (Ref(flag[b - 1]).load(cuda::memory_order_acquire) == 0); before = y[b - 1]; }
    y[b] = before + b;
    Ref(flag[b]).store(1, cuda::memory_order_release);
    int none = 0;
    while (!Ref(lock).compare_exchange_strong(none, 1, cuda::memory_order_acquire)) none = 0;
    y[10] += 1;
    Ref(lock).store(0, cuda::memory_order_release);
    cuda::atomic_thread_fence(cuda::memory_order_release, cuda::thread_scope_device);
    if (Ref(done).fetch_add(1, cuda::memory_order_relaxed) == gridDim.x - 1) {
      cuda::atomic_thread_fence(cuda::memory_order_acquire, cuda::thread_scope_device);
      for (int i = 0; i < gridDim.x; i++) y[20] += y[i];
    }
  }
}"""


def test_flags_locks_and_fences_of_libcu():
    """cuda::atomic_ref, as the libraries use it: a chain of flags, a lock, a last block."""
    y = np.zeros(64, "i4")
    assert not findings_of(ATOMIC_REF, (4,), (32,), y)
    assert y[:4].tolist() == [0, 1, 3, 6] and y[10] == 4 and y[20] == 10


def test_a_chain_of_blocks_over_several_chunks():
    """A scan whose blocks take their numbers from a counter and wait for the one before: long chains of what is known."""
    code = """__device__ unsigned counter; __device__ volatile int status[300]; __device__ int value[300];
extern "C" __global__ void k(int* y) {
  __shared__ int b, before;
  if (threadIdx.x == 0) {
    b = atomicAdd(&counter, 1);
    before = 0;
    if (b) { while (!status[b - 1]); FENCE before = value[b - 1]; }
    value[b] = before + 64;
    __threadfence();
    status[b] = 1;
  }
  __syncthreads();
  y[b * 64 + threadIdx.x] = before;
}"""
    y = np.zeros(150 * 64, "i4")
    assert not findings_of(code.replace("FENCE", "__threadfence();"), (150,), (64,), y)
    assert (y == np.arange(150).repeat(64) * 64).all()
    assert findings_of(code.replace("FENCE", ""), (150,), (64,), y)[0].tool == "racecheck"


def test_a_race_names_both_sides():
    code = """extern "C" __global__ void k(int* x) {
  if (blockIdx.x == 1 && threadIdx.x == 7) x[3] = 5;
  if (blockIdx.x == 2 && threadIdx.x == 9)
    x[3] = 6;  // BUG
}"""
    found = one(code, "racecheck", (3,), (32,), np.zeros(8, "i4"))
    assert (found.block, found.thread) == ((2, 0, 0), (9, 0, 0))
    assert "the other is block (1, 0, 0), thread (7, 0, 0), kernel.cu:2 (PTX line" in found.message


# -- frames, copies of unwritten bytes, collectives at several places ---------------------------------------------------------
PADDED = """struct P { char c; int v; };
extern "C" __global__ void k(int* x, int* y, int n) {
  P a[4], b[4]; P *p = a, *q = b;
  asm volatile("" : "+l"(p), "+l"(q) :: "memory");
  for (int i = 0; i < n; ++i) { p[(i + n) & 3].c = i; p[(i + n) & 3].v = x[i]; }
  for (int i = 0; i < 4; ++i) q[i] = p[(i + 1) & 3];
  asm volatile("" ::: "memory");
  y[threadIdx.x] = q[n & 3].v + q[n & 3].c;  // BUG
}"""


def test_padding_may_be_copied_unwritten():
    assert not findings_of(PADDED, (1,), (32,), np.arange(4, dtype=np.int32), np.zeros(32, np.int32), np.int32(4))


def test_a_field_that_was_copied_unwritten_is_found_where_it_is_used():
    one(PADDED, "initcheck", (1,), (32,), np.arange(4, dtype=np.int32), np.zeros(32, np.int32), np.int32(1))


def test_a_copy_of_unwritten_local_bytes_into_an_array_is_found_at_the_read():
    code = """extern "C" __global__ void k(int* y, int n) {
  int own[4];
  if (n > 4) own[n & 3] = 1;
  asm volatile("" :: "l"(own) : "memory");
  y[threadIdx.x] = own[(n + 1) & 3];  // BUG
}"""
    found = one(code, "initcheck", (1,), (32,), np.zeros(32, np.int32), np.int32(9))
    assert found.count == 32 and found.space == "local"


def test_a_frame_is_unwritten_at_every_call_and_gone_after_it():
    """Recursion has frames on a stack, other functions have theirs at a fixed place."""
    code = """__device__ __noinline__ int* deep(int n) {
  int own[2];
  own[n & 1] = n;
  int* p = own;
  asm volatile("" : "+l"(p) :: "memory");
  return n > 0 ? deep(n - 1) : p;
}
extern "C" __global__ void k(int* y, int n) {
  int* p = deep(n);
  y[threadIdx.x] = *p;  // BUG
}"""
    found = one(code, "memcheck", (1,), (32,), np.zeros(32, np.int32), np.int32(3))
    assert "after the function whose variable it was has returned" in found.message


def test_threads_of_a_warp_may_meet_at_different_syncwarps():
    code = """extern "C" __global__ void k(int* y) {
  __shared__ int s[64];
  int t = threadIdx.x;
  s[t] = t;
  if (t % 32 < 16) { y[t + 64] = 1; __syncwarp(); y[t] = s[t + 16]; }
  else { y[t + 64] = 2; __syncwarp(); y[t] = s[t - 16]; }
}"""
    y = np.zeros(128, np.int32)
    assert not findings_of(code, (1,), (64,), y) and (y[:64] == np.arange(64) ^ 16).all()
    wrong = code.replace("y[t] = s[t - 16];", "y[t] = s[t ^ 48];  // BUG\n")
    assert one(wrong, "racecheck", (1,), (64,), np.zeros(128, np.int32)).count == 32


def test_threads_of_a_warp_may_execute_a_collective_at_different_places():
    """All branches of a warp bring their operands; what lanes at other places bring is read, whatever the registers there hold."""
    code = """extern "C" __global__ void k(int* y, int n) {
  int t = threadIdx.x, lane = t % 32, a = 3 * t + n, b = 5 * t + n, all = 0xffffffff;
  if (lane % 3 == 0) {
    y[t] = __shfl_sync(all, a, lane ^ 1); y[t + 64] = __ballot_sync(all, a % 2); y[t + 128] = __match_any_sync(all, a % 4);
    y[t + 192] = __reduce_add_sync(all, a);
  } else if (lane % 3 == 1) {
    a += 7;
    y[t] = __shfl_sync(all, b, lane ^ 1); y[t + 64] = __ballot_sync(all, b % 2); y[t + 128] = __match_any_sync(all, b % 4);
    y[t + 192] = __reduce_add_sync(all, b);
  } else {
    y[t] = __shfl_sync(all, 9, lane ^ 1); y[t + 64] = __ballot_sync(all, 1); y[t + 128] = __match_any_sync(all, 1);
    y[t + 192] = __reduce_add_sync(all, -n);
  }
}"""
    y, t = np.zeros((4, 64), np.int32), np.arange(64)
    assert not findings_of(code, (1,), (64,), y, np.int32(2))
    branch = t % 32 % 3
    kinds = lambda last: np.select([branch == 0, branch == 1], [3 * t + 2, 5 * t + 2], last).reshape(2, 32)  # noqa: E731
    same = [(row[:, None] == row) for row in np.where(branch.reshape(2, 32) == 2, 1, kinds(0) % 4)]
    assert (y[0] == kinds(9).ravel()[t ^ 1]).all()
    assert y[1].view("u4").tolist() == [sum(1 << i for i in range(32) if row[i] % 2) for row in kinds(1) for _ in range(32)]
    assert y[2].view("u4").tolist() == [sum(1 << i for i in range(32) if line[i]) for warp in same for line in warp]
    assert y[3].tolist() == np.repeat(kinds(-2).sum(axis=1), 32).tolist()


@pytest.mark.parametrize("exchange", ["__syncwarp(m); y[t] = s[t ^ 8]", "y[t] = __shfl_xor_sync(m, t, 8)"])
def test_those_who_meet_at_different_places_name_the_same_lanes(exchange):
    """Two pairs of eight lanes, at four places in any order: a pair does not take along lanes that wait for the other one."""
    branch = "if (place[t / 8] == {}) {{ s[t] = t; EXCHANGE; }}"
    code = f"""extern "C" __global__ void k(int* y, const int* place, int other) {{
  __shared__ int s[32];
  int t = threadIdx.x;
  unsigned m = (t < 16 ? 0xffff : 0xffff0000) ^ (t / 8 == 1 ? other : 0);
  {" else ".join(branch.format(i) for i in range(4))}
}}""".replace("EXCHANGE", exchange)
    for place in ((0, 1, 2, 3), (0, 2, 1, 3), (3, 1, 2, 0)):
        y = np.full(32, -1, np.int32)
        assert not findings_of(code, (1,), (32,), y, np.array(place, np.int32), np.int32(0)), place
        assert (y == np.arange(32) ^ 8).all()
    found = findings_of(code, (1,), (32,), y, np.arange(4, dtype=np.int32), np.int32(1 << 20))
    assert any("names threads of the warp that do not execute it" in f.message for f in found)


def test_a_fence_of_each_thread_before_the_barrier_releases_what_it_wrote():
    """__threadfence() is a fence.sc: it counts for the thread that sets the flag after a barrier, and before reads after one."""
    code = """__device__ int count;
extern "C" __global__ void k(int* y) {
  int t = threadIdx.x, b = blockIdx.x;
  y[b * 64 + t] = t;
  FIRST
  __syncthreads();
  if (t == 0) { atomicAdd(&count, 1); while (*(volatile int*)&count < gridDim.x); }
  __syncthreads();
  SECOND
  y[1024 + b * 64 + t] = y[(b + 1) % gridDim.x * 64 + t];  // BUG
}"""
    fence = "__threadfence();"
    alone = f"if (t == 0) {fence}"
    for first, second, right in ((fence, fence, True), ("", fence, False), (fence, "", False), (alone, fence, False)):
        text = code.replace("FIRST", first).replace("SECOND", second)
        found = findings_of(text, (4,), (64,), np.zeros(2048, np.int32))
        assert (not found) == right, [str(f) for f in found]


# -- addresses that do not come from one argument alone -----------------------------------------------------------------------
def pointers(*arrays: np.ndarray) -> np.ndarray:
    return np.array([a.ctypes.data for a in arrays], np.uint64)


FROM_ELSEWHERE = {
    "an argument or a pointer that was read": """extern "C" __global__ void k(float* x, float* y, float** all, int n) {
  float* p = n > 4 ? x : all[1];
  p[threadIdx.x + n] = 1;
}""",
    "a list that begins at an argument": """struct Node { Node* next; float v[6]; };
extern "C" __global__ void k(Node* x, float* y, Node** all, int n) {
  if (threadIdx.x == 0) { x->next = all[1]; all[1]->next = nullptr; }
  __syncthreads();
  for (Node* p = x; p; p = p->next) p->v[(threadIdx.x + n) & 3] = 1;
}""",
    "the distance of one array from another": """extern "C" __global__ void k(char* x, char* y, char** all, int n) {
  long long away = y - x;
  for (char* p = x + threadIdx.x; p < x + n; p += 4) p[away] = *p;
}""",
    "a pointer that is moved with its array": """extern "C" __global__ void k(char* x, char* y, char** all, int n) {
  char* to = all[1] + (all[0] + threadIdx.x + n - x);
  *to = 1;
}""",
}


@pytest.mark.parametrize("code", FROM_ELSEWHERE.values(), ids=FROM_ELSEWHERE.keys())
def test_an_address_that_is_computed_from_more_than_one_argument_may_lie_in_either(code):
    x, y = floats(8), floats(8)
    assert not findings_of(code, (1,), (4,), x, y, pointers(x, y), np.int32(4))
    assert y.view(np.uint8).any() or "away" in code


def test_an_argument_that_is_chosen_against_an_address_given_as_a_number():
    code = """extern "C" __global__ void k(float* x, float* y, int n) { float* p = n ? x : y; p[threadIdx.x + n] = 1; }"""
    x, y = floats(8), floats(8)
    assert not findings_of(code, (1,), (4,), pointers(x)[0], y, np.int32(1)) and x[1:5].all() and not y.any()


def test_an_argument_or_nothing_is_one_argument():
    code = """extern "C" __global__ void k(float* x, float* y, int n) {
  float* p = n ? x : nullptr;
  if (p) p[n] = y[0];  // BUG
}"""
    x, y = floats(8), floats(8)
    one(code, "memcheck", (1,), (1,), x, y, np.int32((y.ctypes.data - x.ctypes.data) // 4))


ASYNC_COPY = """extern "C" __global__ void k(float* x, float* y, long long d) {
  __shared__ float s[32];
  unsigned to = (unsigned)__cvta_generic_to_shared(&s[threadIdx.x]);
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(to), "l"(x + threadIdx.x + d) : "memory");  // COPY
  y[32] = s[3];  // READ
  asm volatile("cp.async.wait_all;" ::: "memory");
  y[threadIdx.x] = s[threadIdx.x];
}"""


def test_an_asynchronous_copy_has_to_read_in_the_array_of_its_pointer():
    code = ASYNC_COPY.replace("  y[32] = s[3];  // READ\n", "").replace("COPY", "BUG")
    x, y = floats(40), floats(40)
    assert not findings_of(code, (1,), (32,), x, y, np.int64(8))
    assert "inside argument 1" in one(code, "memcheck", (1,), (32,), x, y, np.int64((y.ctypes.data - x.ctypes.data) // 4)).message


def test_a_read_before_an_asynchronous_copy_arrives_names_the_copy():
    found = next(f for f in findings_of(ASYNC_COPY, (1,), (32,), floats(40), floats(40), np.int64(0)) if "cp.async" in f.message)
    assert found.source == f"kernel.cu:{line_of(ASYNC_COPY, 'READ')}"
    assert f"the copy is by thread (3, 0, 0) of block (0, 0, 0), kernel.cu:{line_of(ASYNC_COPY, 'COPY')} (PTX" in found.message


STRUCTURES = """struct P { FIELDS };
extern "C" __global__ void k(P* x, P* y) {
  __shared__ P s[32];
  int t = threadIdx.x;
  s[t].c = t; x[t].c = t;
  VALUES
  __syncthreads();
  y[t] = s[31 - t];  // BUG
  y[t + 32] = x[31 - t];
}"""


@pytest.mark.parametrize(
    "fields", ["char c; int v;", "int c; double v;", "double c; int v;", "double v; short c;", "short c; int v;"]
)
def test_padding_may_be_copied_from_shared_and_global_memory(fields):
    x, y, code = emulator.empty(512, np.uint8), np.zeros(1024, np.uint8), STRUCTURES.replace("FIELDS", fields)
    assert not findings_of(code.replace("VALUES", "s[t].v = x[t].v = -t;"), (1,), (32,), x, y)
    one(code.replace("VALUES", "x[t].v = -t;"), "initcheck", (1,), (32,), x, y)

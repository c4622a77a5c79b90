"""Where a check could be wrong by one element, one byte, one block or one reader: findings that are easily lost, and false ones."""

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator.sanitizer.strength import strength_of

from tests.support.sanitized import findings_of, one


def integers(n: int) -> np.ndarray:
    return np.zeros(n, np.int32)


# -- wide accesses ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("unwritten", [0, 1, 3])
def test_each_element_of_a_wide_read_is_looked_at(unwritten):
    code = """extern "C" __global__ void k(float4* x, float* y) {
  float4 v = *x;  // BUG
  y[0] = v.x + v.y + v.z + v.w;
}"""
    x = emulator.empty(4, np.float32)
    x[np.arange(4) != unwritten] = 1
    found = one(code, "initcheck", (1,), (1,), x, np.zeros(1, np.float32))
    assert (found.address, found.space, found.count) == (x.ctypes.data, "global", 1)
    x[:] = 1
    assert not findings_of(code, (1,), (1,), x, np.zeros(1, np.float32))


def test_each_element_of_a_wide_store_is_written():
    code = """extern "C" __global__ void k(float4* x, float* y) {
  x[threadIdx.x] = make_float4(1, 2, 3, 4);
  __syncthreads();
  for (int i = 0; i < 4; ++i) y[threadIdx.x * 4 + i] = ((float*)x)[(threadIdx.x * 4 + i + 4) % 16];
}"""
    y = np.zeros(16, np.float32)
    assert not findings_of(code, (1,), (4,), emulator.empty(16, np.float32), y) and y.tolist() == [1, 2, 3, 4] * 4


@pytest.mark.parametrize("element", range(4))
def test_a_race_with_each_element_of_a_wide_store(element):
    code = f"""extern "C" __global__ void k(float* y) {{
  __shared__ float4 s[1];
  if (threadIdx.x == 0) s[0] = make_float4(1, 2, 3, 4);
  if (threadIdx.x == 1) y[0] = ((volatile float*)s)[{element}];  // BUG
}}"""
    found = one(code, "racecheck", (1,), (32,), np.zeros(1, np.float32))
    assert (found.thread, found.address, found.sides) == ((1, 0, 0), 4 * element, (1, 0))


# -- the last byte, the last block --------------------------------------------------------------------------------------------
def test_the_byte_behind_a_shared_array():
    code = """extern "C" __global__ void k(unsigned char* y, int n) {
  __shared__ unsigned char a[32], b[32];
  a[threadIdx.x] = 1; b[threadIdx.x] = 2;
  __syncthreads();
  y[threadIdx.x] = a[threadIdx.x + n];  // BUG
  y[threadIdx.x] += b[threadIdx.x];
}"""
    y = np.zeros(32, np.uint8)
    assert not findings_of(code, (1,), (32,), y, np.int32(0))
    found = one(code, "memcheck", (1,), (32,), y, np.int32(1))
    assert "read of 1 bytes; 0 bytes after the end of shared array a (32 bytes), inside another" in found.message
    assert (found.thread, found.address, found.count) == ((31, 0, 0), 32, 1)
    found = one(code, "memcheck", (1,), (32,), y, np.int32(2))
    assert (found.thread, found.count) == ((30, 0, 0), 2)


SHARED = """extern "C" __global__ void k(int* y) {
  __shared__ int s[64];
  int t = threadIdx.x;
  WRITE
  if (blockIdx.x == 2) y[t] = s[t ^ 1];  // BUG
}"""


@pytest.mark.parametrize(("write", "tool", "thread", "address", "sides"), [
    ("if (blockIdx.x != 2 || t != 9) s[t] = t; __syncthreads();", "initcheck", 8, 36, None),
    ("s[t] = t; if (blockIdx.x != 2) __syncthreads();", "racecheck", 0, 4, (2 << 10, 2 << 10 | 1)),
], ids=("initcheck", "racecheck"))  # fmt: skip
def test_shared_addresses_are_those_of_the_thread_s_own_block(write, tool, thread, address, sides):
    found = one(SHARED.replace("WRITE", write), tool, (3,), (64,), integers(64))
    assert (found.block, found.thread, found.address, found.sides) == ((2, 0, 0), (thread, 0, 0), address, sides)


def test_bytes_are_told_apart_in_a_kernel_that_has_words_too():
    code = """extern "C" __global__ void k(int* y) {
  __shared__ unsigned char s[64];
  __shared__ int r[64];
  int t = threadIdx.x;
  s[t] = t; r[t] = t;
  y[t] = s[t] + r[t];
}"""
    y = integers(64)
    assert not findings_of(code, (1,), (64,), y) and (y == 2 * np.arange(64)).all()


# -- scopes -------------------------------------------------------------------------------------------------------------------
FLAG = """__device__ int flag;
extern "C" __global__ void k(int* y) {
  if (threadIdx.x == 0 && blockIdx.x == 0) { y[0] = 1; FENCE(); *(volatile int*)&flag = 1; }
  if (threadIdx.x == 0 && blockIdx.x == 1) {
    while (!*(volatile int*)&flag);
    __threadfence();
    y[1] = y[0];  // BUG
  }
}"""


@pytest.mark.parametrize(("name", "flags", "acquires", "releases"), [
    ("ld.global.u32", 0, False, False), ("st.shared.v4.f32", 0, False, False), ("mbarrier.init.shared.b64", 0, False, False),
    ("ld.volatile.global.u32", 3, False, False), ("ld.relaxed.cta.global.u32", 1, False, False),
    ("ld.mmio.relaxed.sys.global.u32", 3, False, False), ("ld.acquire.gpu.u32", 3, True, False),
    ("ld.acquire.cta.u32", 1, True, False), ("st.release.gpu.global.u32", 3, False, True),
    ("st.release.cta.u32", 1, False, True), ("atom.global.add.u32", 3, False, False),
    ("atom.relaxed.cta.global.add.u32", 1, False, False), ("atom.acq_rel.gpu.global.cas.b32", 3, True, True),
    ("red.release.cluster.global.add.u32", 3, False, True), ("red.shared.add.u32", 3, False, False),
    ("atom.acquire.cta.exch.b32", 1, True, False), ("fence.sc.gpu", 3, True, True),
    ("mbarrier.arrive.release.cta.shared.b64", 1, False, True), ("mbarrier.try_wait.acquire.cluster.b64", 3, True, False),
    ("cp.async.mbarrier.arrive.shared.b64", 3, False, False), ("cp.reduce.async.bulk.global.shared", 3, False, False),
    ("cp.async.bulk.shared.global", 0, False, False),
])  # fmt: skip
def test_what_an_instruction_is_in_the_memory_model(name, flags, acquires, releases):
    """flags: 1 of a strong access, 2 more of one whose scope is wider than a block."""
    assert strength_of(name) == (flags, acquires, releases)


def test_a_fence_of_the_block_releases_nothing_to_other_blocks():
    assert not findings_of(FLAG.replace("FENCE", "__threadfence"), (2,), (32,), integers(2))
    one(FLAG.replace("FENCE", "__threadfence_block"), "racecheck", (2,), (32,), integers(2))


def test_atomics_of_the_block_race_with_those_of_other_blocks():
    code = """extern "C" __global__ void k(int* y) {
  if (threadIdx.x == 0 && blockIdx.x == 0) atomicAdd_block(y, 1);
  if (threadIdx.x == 0 && blockIdx.x == 1) atomicMax_block(y, 7);  // BUG
}"""
    one(code, "racecheck", (2,), (32,), integers(1))
    assert not findings_of(code.replace("_block", ""), (2,), (32,), integers(1))
    within = code.replace("blockIdx.x == 0", "blockIdx.x == 1")
    assert not findings_of(within, (2,), (32,), integers(1))


# -- readers that are kept ----------------------------------------------------------------------------------------------------
def test_reading_twice_does_not_hide_who_read_before():
    code = """extern "C" __global__ void k(int* y) {
  __shared__ int s[1];
  int t = threadIdx.x;
  if (t == 0) s[0] = 1;
  __syncthreads();
  if (t == 3) y[3] = s[0];
  if (t == 5) { y[5] = s[0]; asm volatile("" ::: "memory"); y[6] = s[0]; s[0] = 2; }  // BUG
}"""
    found = one(code, "racecheck", (1,), (32,), integers(8))
    assert "write of bytes read by another thread" in found.message and found.sides == (5, 3)


def test_a_reader_in_another_block_does_not_hide_one_in_this_block():
    """Block 0 has read and has said so, which the writer in block 1 has heard. A third thread, of block 1, has only read."""
    code = """__device__ int flag;
extern "C" __global__ void k(int* x, int* y) {
  int t = threadIdx.x, b = blockIdx.x;
  if (b == 1 && t == 0) y[0] = *x;
  if (b == 1 && t == 32) y[1] = *x;
  if (b == 0 && t == 0) { y[2] = *x; __threadfence(); *(volatile int*)&flag = 1; }
  if (b == 1 && t == 32) {
    while (!*(volatile int*)&flag);
    __threadfence();
    *x = 5;  // BUG
  }
}"""
    found = one(code, "racecheck", (2,), (64,), integers(1), integers(3))
    assert found.sides == (1 << 10 | 32, 1 << 10) and "write of bytes read by another thread" in found.message
    assert not findings_of(code.replace("y[0] = *x", "y[0] = 0"), (2,), (64,), integers(1), integers(3))


# -- copies under way ---------------------------------------------------------------------------------------------------------
COPIES = """extern "C" __global__ void k(float* x, float* z, float* y) {
  __shared__ float s[32];
  int t = threadIdx.x;
  float* from = t < 16 ? x + t : z + t;
  unsigned to = (unsigned)__cvta_generic_to_shared(&s[t]);
  if (blockIdx.x == 1)
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(to), "l"(from) : "memory");  // COPY
  if (blockIdx.x == 1 && t == 5) z[20] = 1;  // BUG
  asm volatile("cp.async.wait_all;" ::: "memory");
  if (blockIdx.x == 1) y[t] = s[t];
}"""


def of_copies(code: str, *arrays: np.ndarray) -> list[emulator.Finding]:
    return [f for f in findings_of(code, (2,), (32,), *arrays) if "cp.async" in f.message]


@pytest.mark.parametrize(("store", "storer", "copier"), [
    ("t == 5) z[20]", 5, 20), ("t == 20) z[20]", 20, 20), ("t == 31) x[0]", 31, 0)])  # fmt: skip
def test_a_store_to_what_a_copy_reads_names_who_stores_and_who_copies(store, storer, copier):
    """Half of the threads copy from one array and half from another."""
    arrays = [np.zeros(32, np.float32) for _ in range(3)]
    (found,) = of_copies(COPIES.replace("t == 5) z[20]", store), *arrays)
    assert f"the copy is by thread ({copier}, 0, 0) of block (1, 0, 0), kernel.cu:7 (PTX line" in found.message
    assert (found.block, found.thread, found.count, found.space) == ((1, 0, 0), (storer, 0, 0), 1, "global")
    assert found.address == arrays[copier > 15].ctypes.data + 4 * copier
    assert not findings_of(COPIES.replace("z[20] = 1", "z[5] = 1"), (2,), (32,), *arrays)


def test_a_read_of_what_copies_have_yet_to_bring():
    code = COPIES.replace("if (blockIdx.x == 1 && t == 5) z[20] = 1;", "if (blockIdx.x == 1 && t > 28) y[0] = s[t - 20];")
    (copy,) = of_copies(code, *(np.zeros(32, np.float32) for _ in range(3)))
    assert (copy.tool, copy.block, copy.thread, copy.count, copy.space) == ("racecheck", (1, 0, 0), (29, 0, 0), 3, "shared")
    assert copy.address == 4 * 9 and "the copy is by thread (9, 0, 0) of block (1, 0, 0), kernel.cu:7 (PTX line" in copy.message


# -- local memory of other threads --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("space", ["shared", "global"])
def test_the_address_of_another_thread_s_variable_names_where_it_was_read(space):
    code = """extern "C" __global__ void k(int* y, int** z) {
  __shared__ int* s[34];
  int own[2] = {1, 2}, t = threadIdx.x;
  int** p = z;
  if (t == 3) p[blockDim.x + 1] = own;
  __syncthreads();
  if (t == 7) y[0] = *p[blockDim.x + 1];  // BUG
}"""
    code = code.replace("p = z", "p = s") if space == "shared" else code
    found = findings_of(code, (1,), (32,), integers(1), np.zeros(34, np.int64))
    (load,) = [f for f in found if "another thread's local variable" in f.message]
    assert (load.tool, load.space, load.thread, load.count) == ("memcheck", space, (7, 0, 0), 1)
    assert "it was stored by thread (3, 0, 0) of block (0, 0, 0), kernel.cu:5 (PTX line" in load.message
    assert space == "global" or load.address == 33 * 8

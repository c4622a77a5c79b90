"""Bulk copies of contiguous bytes, reductions, st.async and red.async, with the mbarriers that count their bytes."""

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="needs NVRTC: pip install -e '.[emulator]'")

from tinygan_kernels import emulator
from tinygan_kernels.emulator import SanitizerError

PARTS = r"""
__device__ unsigned place(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ void make(unsigned long long* bar, int count) {
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" :: "r"(place(bar)), "r"(count) : "memory");
}
__device__ void expect(unsigned long long* bar, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(place(bar)), "r"(bytes) : "memory");
}
__device__ void wait(unsigned long long* bar, int parity) {
    asm volatile("{ .reg .pred p; L: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @!p bra L; }"
                 :: "r"(place(bar)), "r"(parity) : "memory");
}
__device__ void fetch(void* to, const void* from, int bytes, unsigned long long* bar) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
                 :: "r"(place(to)), "l"(from), "r"(bytes), "r"(place(bar)) : "memory");
}
__device__ void put(void* to, const void* from, int bytes) {
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" :: "l"(to), "r"(place(from)), "r"(bytes) : "memory");
}
__device__ void publish() { asm volatile("fence.proxy.async;" ::: "memory"); }     // what was stored, to copies
__device__ void finish() {
    asm volatile("cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0;" ::: "memory");
}
"""
KERNELS = PARTS + r"""
extern "C" __global__ void pipeline(const float* x, float* y, int tiles) {    // two stages
    __shared__ alignas(128) float stage[2][128], result[128];
    __shared__ alignas(8) unsigned long long full[2];
    int t = threadIdx.x;
    if (t == 0) { make(&full[0], 1); make(&full[1], 1); }
    __syncthreads();
    if (t == 0) { expect(&full[0], 512); fetch(stage[0], x, 512, &full[0]); }
    for (int i = 0; i < tiles; i++) {
        if (t == 0 && i + 1 < tiles) {
            expect(&full[(i + 1) % 2], 512);
            fetch(stage[(i + 1) % 2], x + 128 * (i + 1), 512, &full[(i + 1) % 2]);
        }
        wait(&full[i % 2], i / 2 % 2);
        result[t] = 2 * stage[i % 2][127 - t] + i;
        publish();
        __syncthreads();
        if (t == 0) { put(y + 128 * i, result, 512); finish(); }
        __syncthreads();
    }
}
extern "C" __global__ void copy(const int* x, int* y, int bytes, int skew, int waits) {
    __shared__ alignas(16) int s[72];
    __shared__ alignas(8) unsigned long long bar;
    if (threadIdx.x == 0) { make(&bar, 1); }
    __syncthreads();
    if (threadIdx.x == 0) { fetch(s, x + skew, bytes, &bar); expect(&bar, bytes); }    // come before they are expected
    if (waits) wait(&bar, 0);
    y[threadIdx.x] = s[threadIdx.x];
}
extern "C" __global__ void from_heap(int* y, int bytes) {
    __shared__ alignas(16) int s[16];
    __shared__ alignas(8) unsigned long long bar;
    int* p = (int*)malloc(40);
    for (int i = 0; i < 10; i++) p[i] = i;
    publish();
    make(&bar, 1);
    fetch(s, p, bytes, &bar);
    expect(&bar, bytes);
    wait(&bar, 0);
    y[0] = s[7];
    free(p);
}
"""
REDUCE = PARTS + r"""
extern "C" __global__ void reduce(TYPE* out, const TYPE* x) {
    __shared__ alignas(16) TYPE s[32];
    s[threadIdx.x] = x[32 * blockIdx.x + threadIdx.x];
    publish();
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.OPERATION [%0], [%1], %2;"
                     :: "l"(out), "r"(place(s)), "r"((int)sizeof(s)) : "memory");
        finish();
    }
}
"""
CLUSTER = PARTS + r"""
extern "C" __global__ void __cluster_dims__(4, 1, 1) multicast(const int* x, int* y) {    // for blocks 0, 2, 3
    __shared__ alignas(16) int s[32];
    __shared__ alignas(8) unsigned long long bar;
    int rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    if (threadIdx.x == 0) { make(&bar, 1); s[0] = -1; if (rank != 1) expect(&bar, 128); }
    asm volatile("barrier.cluster.arrive; barrier.cluster.wait;" ::: "memory");
    if (rank == 2 && threadIdx.x == 0)
        asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
                     "[%0], [%1], 128, [%2], %3;"
                     :: "r"(place(s)), "l"(x), "r"(place(&bar)), "h"((short)0b1101) : "memory");
    if (rank != 1) { wait(&bar, 0); y[32 * blockIdx.x + threadIdx.x] = s[threadIdx.x]; }
    asm volatile("barrier.cluster.arrive; barrier.cluster.wait;" ::: "memory");
}
extern "C" __global__ void __cluster_dims__(2, 1, 1) sent(int* y) {
    __shared__ alignas(16) int s[64];
    __shared__ alignas(8) unsigned long long bar;
    int rank, t = threadIdx.x;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    s[32 + t] = 5;
    if (t == 0) { make(&bar, 1); expect(&bar, 256); }
    asm volatile("barrier.cluster.arrive; barrier.cluster.wait;" ::: "memory");
    unsigned to, count;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(to) : "r"(place(&s[t])), "r"(rank ^ 1));
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(count) : "r"(place(&bar)), "r"(rank ^ 1));
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.s32 [%0], %1, [%2];"
                 :: "r"(to), "r"(100 * rank + t), "r"(count) : "memory");
    asm volatile("red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%0], %1, [%2];"
                 :: "r"(to + 128), "r"(t), "r"(count) : "memory");
    wait(&bar, 0);
    y[64 * blockIdx.x + t] = s[t];
    y[64 * blockIdx.x + 32 + t] = s[32 + t];
    asm volatile("barrier.cluster.arrive; barrier.cluster.wait;" ::: "memory");
}
"""


@pytest.fixture(scope="module")
def kernels():
    return emulator.RawModule(code=KERNELS, arch="compute_90", filename="bulk.cu")


def test_a_pipeline_of_bulk_copies(kernels):
    x, y = np.random.default_rng(0).normal(size=(5, 128)).astype("f4"), np.zeros((5, 128), "f4")
    with emulator.count() as counts:
        kernels.get_function("pipeline")((1,), (128,), (x, y, np.int32(5)))
    assert (y == 2 * x[:, ::-1] + np.arange(5, dtype="f4")[:, None]).all()
    assert counts["global_bytes"] == 2 * x.nbytes


def test_a_stage_that_is_overwritten_while_others_read_it_is_a_race():
    """Without the second barrier the producer fetches the tile after next before all have read the last one."""
    code = KERNELS.replace("finish(); }\n        __syncthreads();", "finish(); }")
    code = code.replace("        __syncthreads();\n        if (t == 0) { put", "if (t == 0) { put")
    assert code.count("__syncthreads") == KERNELS.count("__syncthreads") - 2
    x, y = np.ones((5, 128), "f4"), np.zeros((5, 128), "f4")
    with pytest.raises(SanitizerError, match="racecheck: shared-memory race"):
        emulator.RawModule(code=code, arch="compute_90").get_function("pipeline")((1,), (128,), (x, y, np.int32(5)))


def copied(kernels, elements: int, size: int, skew: int = 0, waits: int = 1, threads: int = 32) -> np.ndarray:
    x, y = np.arange(elements + 4, dtype="i4"), np.full(threads, -1, "i4")
    kernels.get_function("copy")((1,), (threads,), (x[:elements], y, np.int32(size), np.int32(skew), np.int32(waits)))
    return y


def test_what_is_copied_and_what_cannot_be(kernels):
    assert copied(kernels, 32, 128).tolist() == list(range(32))
    assert copied(kernels, 36, 128, skew=4).tolist() == list(range(4, 36))
    for arguments, message in (
        ((32, 120), "memcheck: misaligned bulk copy of 120 bytes: .* multiples of 16"),
        ((40, 128, 1), "memcheck: misaligned bulk copy of 128 bytes"),
        ((31, 128), "memcheck: out-of-bounds read of 4 bytes; 0 bytes after the end of argument 0"),
        ((200, 512), "memcheck: out-of-bounds write of 4 bytes at shared address"),
        ((32, 64), r"initcheck: read of uninitialised shared memory .*\(16 times\)"),
        ((32, 128, 0, 0), "racecheck: shared-memory race"),
    ):
        with pytest.raises(SanitizerError, match=message):
            copied(kernels, *arguments)


@pytest.mark.parametrize(("operation", "kind", "dtype", "function"), [
    ("add.u32", "unsigned", "u4", np.add), ("min.s32", "int", "i4", np.minimum), ("max.s32", "int", "i4", np.maximum),
    ("and.b32", "unsigned", "u4", np.bitwise_and), ("xor.b64", "unsigned long long", "u8", np.bitwise_xor),
    ("add.u64", "unsigned long long", "u8", np.add), ("add.f64", "double", "f8", np.add), ("add.f32", "float", "f4", np.add),
])  # fmt: skip
def test_reductions_into_global_memory(operation, kind, dtype, function):
    code = REDUCE.replace("TYPE", kind).replace("OPERATION", operation)
    rng = np.random.default_rng(1)
    x, out = rng.integers(-50, 50, (3, 32)).astype("i8").astype(dtype), rng.integers(-50, 50, 32).astype("i8").astype(dtype)
    want = out.copy()
    for row in x:
        want = function(want, row)
    emulator.RawModule(code=code, arch="compute_90").get_function("reduce")((3,), (32,), (out, x))
    assert (out == want).all(), "blocks may add to the same place: reductions are atomic"


def test_the_smallest_of_bf16_numbers():
    """Their bits are compared as numbers: of negative ones, that with the larger bits is the smaller."""
    numbers = np.random.default_rng(2).normal(size=(4, 32)).astype("f4").view("u4") & np.uint32(0xFFFF0000)
    x, values = (numbers[1:] >> 16).astype("u2"), numbers.view("f4")
    for operation, function in (("min.bf16", np.min), ("max.bf16", np.max)):
        out = (numbers[0] >> 16).astype("u2")
        code = REDUCE.replace("TYPE", "unsigned short").replace("OPERATION", operation)
        emulator.RawModule(code=code, arch="compute_90").get_function("reduce")((3,), (32,), (out, x))
        assert ((out.astype("u4") << 16).view("f4") == function(values, axis=0)).all()


def test_the_end_of_a_block_from_malloc_is_seen(kernels):
    y = np.zeros(1, "i4")
    kernels.get_function("from_heap")((1,), (1,), (y, np.int32(32)))
    assert y[0] == 7
    with pytest.raises(SanitizerError, match="out-of-bounds read of 4 bytes; 0 bytes after the end of a block of 40 bytes"):
        kernels.get_function("from_heap")((1,), (1,), (y, np.int32(48)))


def test_copies_to_several_blocks_and_stores_into_another():
    module = emulator.RawModule(code=CLUSTER, arch="compute_90")
    x, y = np.arange(32, dtype="i4") * 3, np.full((8, 32), -7, "i4")
    module.get_function("multicast")((8,), (32,), (x, y))
    assert all((y[b] == (x if b % 4 != 1 else -7)).all() for b in range(8))
    y = np.zeros((4, 2, 32), "i4")
    module.get_function("sent")((4,), (32,), (y,))
    lane, rank = np.arange(32), np.arange(4)[:, None] % 2
    assert (y[:, 0] == 100 * (1 - rank) + lane).all() and (y[:, 1] == 5 + lane).all()


PLACES = PARTS + r"""
extern "C" __global__ void stored(int* y, int fences, int waits) {
    __shared__ alignas(16) int s[32];
    s[threadIdx.x] = threadIdx.x;
    if (fences == 1) publish();
    __syncthreads();
    if (threadIdx.x == 0) {
        if (fences == 2) publish();
        asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], 128;" :: "l"(y), "r"(place(s)) : "memory");
        asm volatile("cp.async.bulk.commit_group;" ::: "memory");
        if (waits == 1) asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
        if (waits == 2) asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
    }
    __syncthreads();
    s[threadIdx.x] = -1;
    if (waits == 2) y[threadIdx.x] += 100;
}
"""


def stored(fences: int, waits: int, source: str = PLACES) -> np.ndarray:
    y = np.zeros(32, "i4")
    emulator.RawModule(code=source, arch="compute_90").get_function("stored")((1,), (32,), (y, np.int32(fences), np.int32(waits)))
    return y


def test_a_copy_sees_what_was_stored_after_a_proxy_fence():
    """The fence may be the writers' or, after the barrier, that of the thread that copies. (PTX ISA, 8.8, "causality order")"""
    for fences in (1, 2):
        assert (stored(fences, 1) == np.arange(32)).all()
    for one_way in ("release.sync_restrict::shared::cta", "acquire.sync_restrict::shared::cluster"):
        source = PLACES.replace("fence.proxy.async;", f"fence.proxy.async::generic.{one_way}.cluster;")
        assert source != PLACES
        for fences in (1, 2):
            assert (stored(fences, 1, source) == np.arange(32)).all()
    assert (stored(1, 2) == np.arange(32) + 100).all(), "after the whole wait the copy's writes are there too"
    with pytest.raises(SanitizerError, match=r"racecheck: missing proxy fence: cp.async.bulk.* reads shared memory that"):
        stored(0, 1)


AHEAD = PARTS + r"""
extern "C" __global__ void ahead(int* y, int rounds) {
    __shared__ alignas(16) int s[32], own[32];
    int t = threadIdx.x;
    if (t < 32) {
        s[t] = t;
        publish();
        asm volatile("bar.arrive 1, 64;" ::: "memory");
        for (int i = 0; i < rounds; i++) { own[t] = i; publish(); }
    } else {
        asm volatile("bar.sync 1, 64;" ::: "memory");
        if (t == 32) { put(y, s, 128); finish(); }
    }
}
"""


def test_a_fence_is_remembered_while_its_warp_runs_ahead():
    y = np.zeros(32, "i4")
    emulator.RawModule(code=AHEAD, arch="compute_90").get_function("ahead")((1,), (64,), (y, np.int32(40)))
    assert (y == np.arange(32)).all()


def test_a_source_that_is_overwritten_before_the_wait():
    message = "shared-memory race: write of bytes read by an asynchronous operation that nothing has waited for; it was issued by"
    with pytest.raises(SanitizerError, match=message) as caught:
        stored(1, 0)
    assert any("the thread ends before this copy has read shared memory" in str(f) for f in caught.value.findings)

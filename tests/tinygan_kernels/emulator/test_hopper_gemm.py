"""Matrix products as CUTLASS shapes them for Hopper: tensor maps fill stages of shared memory, wgmma multiplies them."""

import re

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="needs NVRTC: pip install -e '.[emulator]'")

from tinygan_kernels import emulator

PARTS = r"""
#include <cuda.h>
typedef unsigned long long u64;
__device__ unsigned place(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ void make(u64* bar, int count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(place(bar)), "r"(count) : "memory");
}
__device__ void expect(u64* bar, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(place(bar)), "r"(bytes) : "memory");
}
__device__ void arrive(u64* bar, int rank) {      // at the barrier at the same place in a block of the cluster
    asm volatile("{ .reg .b32 r; mapa.shared::cluster.u32 r, %0, %1; mbarrier.arrive.shared::cluster.b64 _, [r]; }"
                 :: "r"(place(bar)), "r"(rank) : "memory");
}
__device__ void wait(u64* bar, int parity) {
    asm volatile("{ .reg .pred p; L: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1, 0x989680; @!p bra L; }"
                 :: "r"(place(bar)), "r"(parity) : "memory");
}
__device__ void fetch(void* to, const CUtensorMap* map, int x, int y, u64* bar) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
                 :: "r"(place(to)), "l"(map), "r"(place(bar)), "r"(x), "r"(y) : "memory");
}
__device__ void multicast(void* to, const CUtensorMap* map, int x, int y, u64* bar, short ranks) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
                 "[%0], [%1, {%3, %4}], [%2], %5;"
                 :: "r"(place(to)), "l"(map), "r"(place(bar)), "r"(x), "r"(y), "h"(ranks) : "memory");
}
__device__ u64 describe(const void* p) {          // K-major, swizzle of 128 bytes: 1024 bytes from 8 rows to the next 8
    return (u64)((place(p) & 0x3FFFF) >> 4) | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}
__device__ void cluster_sync() { asm volatile("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;" ::: "memory"); }
"""


def products(n: int) -> str:
    """Return a function multiply(d, a, b, scale) for m64n<n>k16, f16 to f32."""
    count = n // 2
    registers = ", ".join(f"%{i}" for i in range(count))
    outputs = ", ".join(f'"+f"(d[{i}])' for i in range(count))
    return f"""
__device__ void multiply(float (&d)[{count}], u64 a, u64 b, int scale) {{
    asm volatile("{{ .reg .pred p; setp.ne.b32 p, %{count + 2}, 0;"
        "wgmma.mma_async.sync.aligned.m64n{n}k16.f32.f16.f16 {{{registers}}}, %{count}, %{count + 1}, p, 1, 1, 0, 0; }}"
        : {outputs} : "l"(a), "l"(b), "r"(scale));
}}
"""


GEMM = PARTS + products(128) + r"""
constexpr int STAGES = 3, TILE = 128 * 64;
// C (M, N) = A (M, K) B^T for B (N, K), all row-major; tiles of 128 x 128 x 64. Warp 8 loads, two warpgroups multiply.
extern "C" __global__ void CLUSTER __launch_bounds__(288) gemm(
        const __grid_constant__ CUtensorMap map_a, const __grid_constant__ CUtensorMap map_b,
        const __grid_constant__ CUtensorMap map_c, int k_tiles) {
    extern __shared__ __align__(1024) char memory[];
    unsigned short* a = (unsigned short*)memory;                     // [stage][128][64]
    unsigned short* b = a + STAGES * TILE;
    float* c = (float*)(b + STAGES * TILE);                          // [128][32]
    __shared__ alignas(8) u64 full[STAGES], empty[STAGES];
    int warp = threadIdx.x / 32, rank = 0;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) { make(&full[i], 1); make(&empty[i], CONSUMERS); }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    CLUSTER_SYNC
    if (warp == 8) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x % 32 == 0)
            for (int i = 0; i < k_tiles; i++) {
                int s = i % STAGES;
                wait(&empty[s], (i / STAGES & 1) ^ 1);
                expect(&full[s], BYTES);
                LOAD_A
                fetch(b + s * TILE, &map_b, 64 * i, 128 * blockIdx.x, &full[s]);
            }
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        int group = warp / 4;
        float d[64];
        for (int i = 0; i < 64; i++) d[i] = 0;
        for (int i = 0; i < k_tiles; i++) {
            int s = i % STAGES;
            wait(&full[s], i / STAGES & 1);
            asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
            for (int k = 0; k < 4; k++)
                multiply(d, describe(a + s * TILE + group * 64 * 64 + 16 * k), describe(b + s * TILE + 16 * k), i || k);
            asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
            asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
            if (threadIdx.x % 128 == 0) { RELEASE }
        }
        int t = threadIdx.x % 32, row = 64 * group + 16 * (warp % 4) + t / 4;
        for (int part = 0; part < 4; part++) {                       // 32 columns at a time
            for (int j = 0; j < 16; j++)
                c[(row + 8 * (j / 2 % 2)) * 32 + 8 * (j / 4) + 2 * (t % 4) + j % 2] = d[16 * part + j];
            asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
            asm volatile("bar.sync 1, 256;" ::: "memory");
            if (threadIdx.x == 0) {
                asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];"
                             :: "l"(&map_c), "r"(place(c)), "r"(128 * blockIdx.x + 32 * part), "r"(128 * blockIdx.y) : "memory");
                asm volatile("cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0;" ::: "memory");
            }
            asm volatile("bar.sync 1, 256;" ::: "memory");
        }
    }
    CLUSTER_SYNC
}
"""
ONE = {"CLUSTER_SYNC": "", "CLUSTER": "", "CONSUMERS": "2", "BYTES": "4 * TILE", "RELEASE": "arrive(&empty[s], rank);",
       "LOAD_A": "fetch(a + s * TILE, &map_a, 64 * i, 128 * blockIdx.y, &full[s]);"}  # fmt: skip
TWO = {**ONE, "CLUSTER_SYNC": "cluster_sync();", "CLUSTER": "__cluster_dims__(2, 1, 1)", "CONSUMERS": "4",
       "RELEASE": "arrive(&empty[s], 0); arrive(&empty[s], 1);",
       "LOAD_A": "multicast(a + s * TILE + rank * 64 * 64, &map_a, 64 * i, 128 * blockIdx.y + 64 * rank, &full[s], 3);",
       }  # fmt: skip
SHARED = 3 * 4 * 128 * 64 + 128 * 32 * 4


def source(words: dict[str, str], *changes: tuple[str, str]) -> str:
    code = re.sub("|".join(words), lambda m: words[m[0]], GEMM)
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    return code


def launched(code: str, m: int, n: int, k: int, rows: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Return (C, A B^T) for numbers whose products and sums are exact."""
    rng = np.random.default_rng(m + n + k)
    a, b = (rng.integers(-8, 8, (size, k)).astype("f2") for size in (m, n))
    c = emulator.empty((m, n), "f4")
    maps = (emulator.tensor_map(a, (rows, 64), swizzle=128), emulator.tensor_map(b, (128, 64), swizzle=128),
            emulator.tensor_map(c, (128, 32)))  # fmt: skip
    kernel = emulator.RawKernel(code, "gemm", arch="compute_90a", filename="gemm.cu")
    kernel((-(-n // 128), -(-m // 128)), (288,), (*maps, np.int32(-(-k // 64))), shared_mem=SHARED)
    return c, a.astype("f4") @ b.astype("f4").T


def test_a_pipelined_product_of_specialised_warps():
    """4 tiles of k over 3 stages; sizes that are no multiples of the tiles, so that the edges are filled and cut."""
    c, want = launched(source(ONE), 136, 72, 232)
    assert (c == want).all()


def test_a_cluster_of_two_shares_the_tiles_of_a():
    c, want = launched(source(TWO), 128, 256, 256, rows=64)
    assert (c == want).all()

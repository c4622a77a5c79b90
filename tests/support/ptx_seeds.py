"""PTX for the fuzzer to change: texts with the instructions that real kernels for the newer architectures use.

Each text has a kernel `k` whose parameters are pointers to 64 words of 32 bits, or numbers of 32 bits. It runs in a block of 64
threads, and a text that nobody has changed runs to its end without a finding.
"""

from functools import lru_cache

from tinygan_kernels import emulator

FLOATS = """
extern "C" __global__ void k(float* x, float* y, int n) {
    __shared__ float sums[64];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float s = 0;
    for (int j = 0; j < 4; ++j) s += i + j < n ? x[i + j] * j : expf(s);
    sums[threadIdx.x] = s;
    __syncthreads();
    if (threadIdx.x < 32) s += __shfl_down_sync(0xffffffffu, sums[threadIdx.x + 1], 1);
    switch (i % 5) {
        case 0: s += 1; break;
        case 1: s *= 2; break;
        case 2: s -= x[0]; break;
        case 3: s = sqrtf(s); break;
        default: s /= 3;
    }
    if (i < n) { y[i] = s; atomicAdd(y + n - 1, 1.0f); }
}
"""
CALLS = """
typedef int (*Function)(int, int);
__device__ __noinline__ int twice(int x, int n) { return 2 * x + n; }
__device__ __noinline__ int power(int x, int n) {
    int p[5];
    p[0] = 1;
    for (int i = 0; i < n; i++) p[i + 1] = p[i] * x;
    return p[n];
}
__device__ Function table[2] = {twice, power};
__device__ __noinline__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
struct Shape { int side; __device__ Shape(int s) : side(s) {} __device__ virtual int area() const = 0; };
struct Square : Shape { __device__ Square(int s) : Shape(s) {} __device__ int area() const override { return side * side; } };
struct Strip : Shape { __device__ Strip(int s) : Shape(s) {} __device__ int area() const override { return side; } };
extern "C" __global__ void k(int* x, int* y) {
    int i = threadIdx.x;
    Shape* shape = i % 2 ? (Shape*)new Square(i) : new Strip(i);
    y[i] = table[x[i] % 2](i, i % 5) + fibonacci(i % 5) + shape->area();
    delete shape;
}
"""
BULK = """
__device__ unsigned place(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
extern "C" __global__ void k(const int* x, int* y) {
    __shared__ alignas(16) int stage[64];
    __shared__ alignas(8) unsigned long long full;
    int t = threadIdx.x;
    if (t == 0) asm volatile("mbarrier.init.shared.b64 [%0], 1;" :: "r"(place(&full)) : "memory");
    __syncthreads();
    if (t == 0) {
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 256;" :: "r"(place(&full)) : "memory");
        asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], 256, [%2];"
                     :: "r"(place(stage)), "l"(x), "r"(place(&full)) : "memory");
    }
    asm volatile("{ .reg .pred p; L: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], 0; @!p bra L; }"
                 :: "r"(place(&full)) : "memory");
    int v = stage[63 - t];
    __syncthreads();
    stage[t] = 3 * v;
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    if (t == 0) {
        asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], 256;" :: "l"(y), "r"(place(stage)) : "memory");
        asm volatile("cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0;" ::: "memory");
    }
}
"""
HEAD = """.version 8.3
.target sm_90
.address_size 64
"""
MATRICES = (
    HEAD
    + """.visible .entry k(.param .u64 px, .param .u64 py) {
.reg .b32 %r<60>;
.reg .b64 %q<6>;
.reg .pred %p<3>;
.shared .align 16 .b8 tile[2048];
mov.u32 %r0, %tid.x;
setp.gt.u32 %p0, %r0, 31;
@%p0 bra DONE;
ld.param.u64 %q0, [px];
ld.param.u64 %q1, [py];
mad.wide.u32 %q2, %r0, 4, %q0;
ld.global.u32 %r1, [%q2];
mov.u32 %r2, tile;
mad.lo.u32 %r3, %r0, 64, %r2;
st.shared.v4.b32 [%r3], {%r1, %r0, %r1, %r0};
st.shared.v4.b32 [%r3+16], {%r0, %r1, %r0, %r1};
st.shared.v4.b32 [%r3+32], {%r1, %r0, %r1, %r0};
st.shared.v4.b32 [%r3+48], {%r0, %r1, %r0, %r1};
bar.warp.sync 0xffffffff;
wmma.load.a.sync.aligned.row.m16n16k16.shared.f16 {%r4, %r5, %r6, %r7, %r8, %r9, %r10, %r11}, [tile], 16;
wmma.load.b.sync.aligned.col.m16n16k16.shared.f16 {%r12, %r13, %r14, %r15, %r16, %r17, %r18, %r19}, [tile+512], 16;
wmma.load.c.sync.aligned.row.m16n16k16.shared.f32 {%r20, %r21, %r22, %r23, %r24, %r25, %r26, %r27}, [tile+1024], 16;
wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32
 {%r28, %r29, %r30, %r31, %r32, %r33, %r34, %r35}, {%r4, %r5, %r6, %r7, %r8, %r9, %r10, %r11},
 {%r12, %r13, %r14, %r15, %r16, %r17, %r18, %r19}, {%r20, %r21, %r22, %r23, %r24, %r25, %r26, %r27};
bar.warp.sync 0xffffffff;
wmma.store.d.sync.aligned.row.m16n16k16.shared.f32 [tile+1024], {%r28, %r29, %r30, %r31, %r32, %r33, %r34, %r35}, 16;
bar.warp.sync 0xffffffff;
mad.lo.u32 %r36, %r0, 16, %r2;
ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r37, %r38, %r39, %r40}, [%r36];
ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%r41, %r42}, [%r36];
mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r43, %r44, %r45, %r46},
 {%r37, %r38, %r39, %r40}, {%r41, %r42}, {%r1, %r1, %r0, %r0};
match.any.sync.b32 %r47, %r1, 0xffffffff;
redux.sync.add.u32 %r48, %r47, 0xffffffff;
vote.sync.ballot.b32 %r49, %p0, 0xffffffff;
activemask.b32 %r50;
dp4a.u32.s32 %r51, %r50, %r49, %r48;
prmt.b32 %r52, %r51, %r43, 0x3120;
mad.wide.u32 %q3, %r0, 4, %q1;
st.global.u32 [%q3], %r52;
DONE: ret;
}
"""
)
CLUSTERS = (
    HEAD
    + """.visible .entry k(.param .u64 px, .param .u64 py) .reqnctapercluster 1 {
.reg .b32 %r<20>;
.reg .b64 %q<9>;
.reg .pred %p<3>;
.shared .align 8 .b32 box[64];
.shared .align 8 .b64 bar;
mov.u32 %r0, %tid.x;
ld.param.u64 %q0, [px];
ld.param.u64 %q1, [py];
mad.wide.u32 %q2, %r0, 4, %q0;
mad.wide.u32 %q3, %r0, 4, %q1;
ld.global.u32 %r1, [%q2];
mov.u32 %r2, box;
mad.lo.u32 %r3, %r0, 4, %r2;
st.shared.u32 [%r3], %r1;
setp.ne.u32 %p0, %r0, 0;
@%p0 bra SKIP;
mbarrier.init.shared.b64 [bar], 64;
SKIP: barrier.cluster.arrive.release;
barrier.cluster.wait.acquire;
mov.u32 %r4, %cluster_ctarank;
mov.u32 %r5, %cluster_nctarank;
xor.b32 %r6, %r3, 4;
mapa.shared::cluster.u32 %r7, %r6, %r4;
getctarank.shared::cluster.u32 %r8, %r7;
ld.shared::cluster.u32 %r9, [%r7];
mov.u32 %r10, bar;
mapa.shared::cluster.u32 %r11, %r10, 0;
mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r11];
WAIT: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p1, [bar], 0;
@!%p1 bra WAIT;
atom.shared::cluster.add.u32 %r12, [%r7], 1;
fence.acq_rel.cluster;
atom.global.cas.b32 %r13, [%q3], %r12, %r9;
barrier.cluster.arrive;
barrier.cluster.wait;
mbarrier.test_wait.parity.shared.b64 %p2, [bar], 1;
add.u32 %r14, %r9, %r5;
st.global.u32 [%q3], %r14;
ret;
}
"""
)


@lru_cache
def texts() -> dict[str, str]:
    """Return {name: PTX}: what NVRTC makes of CUDA C++, and texts written by hand."""
    sources = {"floats": (FLOATS, "80"), "calls": (CALLS, "80"), "bulk": (BULK, "90")}
    made = {
        name: emulator.RawModule(code=source, options=(f"-arch=compute_{arch}",)).get_function("k").translated.module.text
        for name, (source, arch) in sources.items()
    }
    return {**made, "matrices": MATRICES, "clusters": CLUSTERS}

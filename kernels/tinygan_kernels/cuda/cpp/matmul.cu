// C = A B in six versions, each right on every shape. A (M, K), B (K, N), C (M, N), row-major; with trans_a the memory of A
// holds (K, M), with trans_b that of B holds (N, K). Every grid is one-dimensional: block number -> tile of C, row by row, so
// that no side of a matrix meets the 65,535 limit of gridDim.y.
//
// A version is measured by counters (the profile gives Nsight Compute's names): sectors a global request, shared-memory
// instructions and bank conflicts an FFMA, and FFMA an issue cycle of the inner loop.

typedef long long i64;

__device__ __forceinline__ int ceil_div(int a, int b) { return (a + b - 1) / b; }

// ---- 1: naive -----------------------------------------------------------------------------------------------------------------
// One thread an element of C, with consecutive threads on consecutive ROWS, as one would write it down.
// Hurts: the lanes of a warp read A and write C with a stride of a whole row, so a request of 32 floats touches 32 sectors
// where 4 would hold them.

template <typename T>
__device__ void one_element(const T* a, const T* b, T* c, int M, int N, int K, int trans_a, int trans_b, i64 row, i64 col) {
    if (row >= M || col >= N) return;
    i64 a_row = trans_a ? 1 : K, a_k = trans_a ? M : 1, b_k = trans_b ? 1 : N, b_col = trans_b ? K : 1;
    T sum = 0;
    for (int k = 0; k < K; ++k) sum += a[row * a_row + k * a_k] * b[k * b_k + col * b_col];
    c[row * N + col] = sum;
}

template <typename T>
__device__ void naive(const T* a, const T* b, T* c, int M, int N, int K, int trans_a, int trans_b) {
    int tiles = ceil_div(N, 8);
    i64 row = (i64)(blockIdx.x / tiles) * 32 + threadIdx.x, col = (i64)(blockIdx.x % tiles) * 8 + threadIdx.y;
    one_element(a, b, c, M, N, K, trans_a, trans_b, row, col);
}

// ---- 2: coalesced -------------------------------------------------------------------------------------------------------------
// Changed: consecutive threads take consecutive COLUMNS. Helps: a warp reads 32 neighbours of B and writes 32 neighbours of C
// (4 sectors a request), and all its lanes read the same element of A (1 sector, a broadcast).
// Hurts: every element of A and B still comes from global memory once for each element of C that needs it, 2 loads an FFMA; and a
// transposed B is read with the stride that version 1 has.

template <typename T>
__device__ void coalesced(const T* a, const T* b, T* c, int M, int N, int K, int trans_a, int trans_b) {
    int tiles = ceil_div(N, 32);
    i64 row = (i64)(blockIdx.x / tiles) * 8 + threadIdx.y, col = (i64)(blockIdx.x % tiles) * 32 + threadIdx.x;
    one_element(a, b, c, M, N, K, trans_a, trans_b, row, col);
}

// ---- 3: shared-memory tile ----------------------------------------------------------------------------------------------------
// Changed: a block of 32x32 threads copies 32x32 tiles of A and B into shared memory and multiplies them there. Helps: global
// loads fall by 32, and a transposed operand is read along its own rows, so it is coalesced as well. The 33rd column shifts
// each row by one bank: without it the transposed store would put a whole warp into one bank.
// Hurts: 2 shared loads an FFMA; the load unit, not the arithmetic, is what a warp waits for.

template <typename T>
__device__ void shared_tile(const T* a, const T* b, T* c, int M, int N, int K, int trans_a, int trans_b) {
    __shared__ T as[32][33], bs[32][33];
    int tiles = ceil_div(N, 32), tx = threadIdx.x, ty = threadIdx.y;
    int row0 = (blockIdx.x / tiles) * 32, col0 = (blockIdx.x % tiles) * 32;
    // (i, j) of the tile that this thread copies: tx always runs along the operand's rows in memory
    int ai = trans_a ? tx : ty, ak = trans_a ? ty : tx, bk = trans_b ? tx : ty, bj = trans_b ? ty : tx;
    i64 a_at = trans_a ? (i64)ak * M + row0 + ai : (i64)(row0 + ai) * K + ak, a_step = trans_a ? (i64)32 * M : 32;
    i64 b_at = trans_b ? (i64)(col0 + bj) * K + bk : (i64)bk * N + col0 + bj, b_step = trans_b ? 32 : (i64)32 * N;
    T sum = 0;
    for (int k0 = 0; k0 < K; k0 += 32, a_at += a_step, b_at += b_step) {
        as[ai][ak] = row0 + ai < M && k0 + ak < K ? a[a_at] : T(0);
        bs[bk][bj] = col0 + bj < N && k0 + bk < K ? b[b_at] : T(0);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 32; ++k) sum += as[ty][k] * bs[k][tx];
        __syncthreads();
    }
    if (row0 + ty < M && col0 + tx < N) c[(i64)(row0 + ty) * N + col0 + tx] = sum;
}

#define SIMPLE(name, function, T) \
    extern "C" __global__ void name(const T* a, const T* b, T* c, int M, int N, int K, int trans_a, int trans_b) { \
        function<T>(a, b, c, M, N, K, trans_a, trans_b); \
    }
SIMPLE(matmul_v1_f32, naive, float)
SIMPLE(matmul_v1_f64, naive, double)
SIMPLE(matmul_v2_f32, coalesced, float)
SIMPLE(matmul_v2_f64, coalesced, double)
SIMPLE(matmul_v3_f32, shared_tile, float)
SIMPLE(matmul_v3_f64, shared_tile, double)

// ---- 4: register tile and float4 ----------------------------------------------------------------------------------------------
// Changed: 16x16 threads work on a 64x64 tile, each on 4x4 elements in registers; A's tile lies transposed, so that both
// fragments are one float4. Helps: 16 FFMA for 2 shared loads, where version 3 pays 2 for each; global memory is read as float4
// where rows are aligned to it (a uniform branch finds out) and float by float where they are not.
// Hurts: 2-way bank conflicts where A's tile is stored transposed; copying and multiplying wait for each other.

constexpr int TILE4 = 64, DEPTH4 = 16, PITCH4 = TILE4 + 4;

__device__ __forceinline__ float4 load4(const float* p, int valid, bool vector) {
    if (vector && valid >= 4) return *reinterpret_cast<const float4*>(p);
    float4 v = {0, 0, 0, 0};
    if (valid > 0) v.x = p[0];
    if (valid > 1) v.y = p[1];
    if (valid > 2) v.z = p[2];
    if (valid > 3) v.w = p[3];
    return v;
}

__device__ __forceinline__ void store4(float* p, const float* v, int valid, bool vector) {
    if (vector && valid >= 4) {
        *reinterpret_cast<float4*>(p) = make_float4(v[0], v[1], v[2], v[3]);
    } else {
#pragma unroll
        for (int j = 0; j < 4; ++j)
            if (j < valid) p[j] = v[j];
    }
}

__device__ __forceinline__ bool rows_of_float4(const float* p, int row) { return (((size_t)p & 15) | (row & 3)) == 0; }

// One operand's 64 x 16 tile, one float4 a thread, into tile[k][i]; `rows` counts along i (rows of A, columns of B).
// ALONG_K: k is the contiguous direction of the operand's memory, otherwise i is.
template <bool ALONG_K>
__device__ __forceinline__ void fill4(float (*tile)[PITCH4], const float* p, int rows, int row0, int K, int k0, bool vector) {
    int t = threadIdx.x;
    if (ALONG_K) {
        int i = t / 4, k = t % 4 * 4;
        float4 v = load4(p + (i64)(row0 + i) * K + k0 + k, row0 + i < rows ? K - k0 - k : 0, vector);
        tile[k][i] = v.x, tile[k + 1][i] = v.y, tile[k + 2][i] = v.z, tile[k + 3][i] = v.w;
    } else {
        int k = t / 16, i = t % 16 * 4;
        float4 v = load4(p + (i64)(k0 + k) * rows + row0 + i, k0 + k < K ? rows - row0 - i : 0, vector);
        *reinterpret_cast<float4*>(&tile[k][i]) = v;
    }
}

template <bool TRANS_A, bool TRANS_B>
__device__ __forceinline__ void register_tile(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ __align__(16) float as[DEPTH4][PITCH4], bs[DEPTH4][PITCH4];
    int tiles = ceil_div(N, TILE4), row0 = blockIdx.x / tiles * TILE4, col0 = blockIdx.x % tiles * TILE4;
    int i = threadIdx.x / 16 * 4, j = threadIdx.x % 16 * 4;
    bool a4 = rows_of_float4(a, TRANS_A ? M : K), b4 = rows_of_float4(b, TRANS_B ? K : N);
    float sum[4][4] = {};
    for (int k0 = 0; k0 < K; k0 += DEPTH4) {
        fill4<!TRANS_A>(as, a, M, row0, K, k0, a4);
        fill4<TRANS_B>(bs, b, N, col0, K, k0, b4);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH4; ++k) {
            float4 x = *reinterpret_cast<float4*>(&as[k][i]), y = *reinterpret_cast<float4*>(&bs[k][j]);
            float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
            for (int e = 0; e < 16; ++e) sum[e / 4][e % 4] += xs[e / 4] * ys[e % 4];
        }
        __syncthreads();
    }
    bool c4 = rows_of_float4(c, N);
#pragma unroll
    for (int r = 0; r < 4; ++r)
        if (row0 + i + r < M) store4(c + (i64)(row0 + i + r) * N + col0 + j, sum[r], N - col0 - j, c4);
}

// ---- 5: warp tile, double-buffered ----------------------------------------------------------------------------------------------
// Changed: a block's 128x128 tile is cut into 8 warps' 64x32, a warp's into its lanes' 8x8 (four 4x4 patches, so that a
// fragment is two float4 and the lanes of a warp read 128 neighbouring bytes). cp.async copies the next tile straight into the
// other half of shared memory while this one is multiplied. Helps: 64 FFMA for 4 shared loads, no bank conflicts (a pitch of
// 132 puts 8 k times 4 rows into 32 different banks), one barrier for 1024 FFMA.
// C leaves through shared memory, so that 32 lanes write 32 neighbours whatever N is. 1024 FFMA issue in about 1,240 cycles on
// sm_90 and in about 2,140 on sm_80, whose pipe takes one every other cycle.
// Hurts: copies go 4 bytes at a time, the price of one path for every alignment and transpose; small matrices fill few SMs.

constexpr int TILE5 = 128, DEPTH5 = 16, PITCH5 = TILE5 + 4;

// shared <- global, 4 bytes, zero where !valid (then nothing is read). Before sm_80 there is no such instruction: a plain copy.
__device__ __forceinline__ void copy_async(float* to, const float* from, bool valid) {
#if __CUDA_ARCH__ >= 800
    unsigned address = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(address), "l"(from), "r"(valid ? 4 : 0));
#else
    *to = valid ? *from : 0.0f;
#endif
}

// Everything that this thread copied has arrived; a barrier makes it so for the block.
__device__ __forceinline__ void copies_arrive() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
    __syncthreads();
}

// One operand's stream of 128 x 16 tiles, 8 elements a thread. Rows past the end repeat the last one: what they lead to is never
// stored. ALONG_K: k is the contiguous direction of the operand's memory, and a warp covers 4 rows of 8 k; otherwise it covers
// 32 rows of one k: either way 4 sectors a request. Addresses are laid out so that the loop adds few and keeps few: the kernel
// has to stay within 128 registers for two blocks to fit an SM.
template <bool ALONG_K>
struct Stream;

template <>
struct Stream<true> {
    const char* base;    // the tile's first byte, the same in all threads, so it lies in uniform registers
    unsigned offset[4];  // bytes; 32 bits reach over 128 rows as long as K < 2^23, which the host sees to
    int k, i;

    __device__ __forceinline__ Stream(const float* p, int rows, int row0, int K) : k(threadIdx.x % 8), i(threadIdx.x / 8) {
        base = reinterpret_cast<const char*>(p + (i64)row0 * K);
#pragma unroll
        for (int n = 0; n < 4; ++n) offset[n] = 4u * ((unsigned)min(i + 32 * n, rows - 1 - row0) * K + k);
    }

    // Start copying element n (0, 1, ..., 7 in turn) of the next tile, of which `left` k's exist, to the Stage's place for (k, i).
    template <typename Stage, int PITCH>
    __device__ __forceinline__ void copy(int n, int left, float (*tile)[PITCH]) {
        int kn = k + n % 2 * 8;
        const char* from = base + offset[n / 2] + n % 2 * 8 * sizeof(float);
        copy_async(&tile[kn][Stage::place(kn, i + 32 * (n / 2))], reinterpret_cast<const float*>(from), kn < left);
        if (n == 7) base += DEPTH5 * sizeof(float);
    }
};

template <>
struct Stream<false> {
    const float* from;
    i64 step;
    int k, i;

    __device__ __forceinline__ Stream(const float* p, int rows, int row0, int K) : k(threadIdx.x / 128), i(threadIdx.x % 128) {
        from = p + (i64)k * rows + min(row0 + i, rows - 1);
        step = 2 * (i64)rows;
    }

    template <typename Stage, int PITCH>
    __device__ __forceinline__ void copy(int n, int left, float (*tile)[PITCH]) {
        copy_async(&tile[k + 2 * n][Stage::place(k + 2 * n, i)], from, k + 2 * n < left);
        from += step;
    }
};

struct Stage5 {
    float a[DEPTH5][PITCH5], b[DEPTH5][PITCH5];
    static __device__ __forceinline__ int place(int, int i) { return i; }
};

__device__ __forceinline__ void load8(float* v, const float* p, int apart) {
    float4 x = *reinterpret_cast<const float4*>(p), y = *reinterpret_cast<const float4*>(p + apart);
    v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w, v[4] = y.x, v[5] = y.y, v[6] = y.z, v[7] = y.w;
}

// sum += this thread's share of the product of one stage; i and j are its first row and column in the tile.
template <typename Copy>
__device__ __forceinline__ void multiply5(float (*sum)[8], const Stage5& stage, int i, int j, Copy copy) {
    float x[2][8], y[2][8];  // the fragments of the next k are under way while this one's are used
    load8(x[0], &stage.a[0][i], 32);
    load8(y[0], &stage.b[0][j], 16);
#pragma unroll
    for (int k = 0; k < DEPTH5; ++k) {
        if (k < 8) copy(k);  // spread out: a row of them would hold up the load unit
        if (k + 1 < DEPTH5) {
            load8(x[(k + 1) % 2], &stage.a[k + 1][i], 32);
            load8(y[(k + 1) % 2], &stage.b[k + 1][j], 16);
        }
#pragma unroll
        for (int e = 0; e < 64; ++e) sum[e / 8][e % 8] += x[k % 2][e / 8] * y[k % 2][e % 8];
    }
}

// The 8x32 results that a warp has put into its own corner of shared memory go to C, 32 lanes to 32 neighbours; its rows there
// are row0, row0 + APART, and so on.
template <int PITCH, int APART>
__device__ __forceinline__ void drain(const float* mine, float* c, int M, int N, int row0, int col) {
    int lane = threadIdx.x % 32;
    __syncwarp();
#pragma unroll 1  // all 64 results are alive here, addresses of 8 lines at a time would not fit beside them
    for (int line = 0; line < 8; ++line) {
        int row = row0 + line * APART;
        if (row < M && col + lane < N) c[(i64)row * N + col + lane] = mine[line * PITCH + lane];
    }
    __syncwarp();
}

// A warp's 64x32 results, 8 rows at a time. A pitch of 48 puts two rows of float4 into different banks.
__device__ __forceinline__ void store5(float (*sum)[8], float* shared, float* c, int M, int N, int row0, int col0) {
    constexpr int PITCH = 48;
    int lane = threadIdx.x % 32;
    float* mine = shared + threadIdx.x / 32 * 8 * PITCH;
    float4* here = reinterpret_cast<float4*>(mine) + lane / 4 * (PITCH / 4) + lane % 4;
#pragma unroll
    for (int r = 0; r < 8; ++r) {
        here[0] = make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
        here[4] = make_float4(sum[r][4], sum[r][5], sum[r][6], sum[r][7]);
        drain<PITCH, 4>(mine, c, M, N, row0 + r % 4 + r / 4 * 32, col0);
    }
}

// Copies one tile of both operands into a stage: copies(n) starts element n of this thread's 8 of each. Here and below a structure
// stands where one would write a lambda: before CUDA 13.2, NVRTC takes a generic lambda in a device function for one of the host.
template <typename StreamA, typename StreamB, typename Stage>
struct Copies {
    StreamA& a;
    StreamB& b;
    Stage& stage;
    int left;

    __device__ __forceinline__ void operator()(int n) const {
        a.template copy<Stage>(n, left, stage.a);
        b.template copy<Stage>(n, left, stage.b);
    }
};

// Tile by tile: wait for one, then multiply(stage, copies) it, which calls copies(0), ..., copies(7) to have the next one copied
// meanwhile. After the last tile nothing is left to copy: the other stage is filled with zeros, which nobody reads.
template <bool TRANS_A, bool TRANS_B, typename Stage, typename Multiply>
__device__ __forceinline__ void pipeline(const float* a, const float* b, Stage* stages, int M, int N, int K, int row0, int col0,
                                         Multiply multiply) {
    using StreamA = Stream<!TRANS_A>;
    using StreamB = Stream<TRANS_B>;
    using CopyTile = Copies<StreamA, StreamB, Stage>;
    StreamA a_stream(a, M, row0, K);
    StreamB b_stream(b, N, col0, K);
    CopyTile first{a_stream, b_stream, stages[0], K};
#pragma unroll
    for (int n = 0; n < 8; ++n) first(n);
    int now = 0;
    for (int left = K; left > 0; left -= DEPTH5, now ^= 1) {
        copies_arrive();  // and nobody reads the other stage any more
        multiply(stages[now], CopyTile{a_stream, b_stream, stages[now ^ 1], left - DEPTH5});
    }
    copies_arrive();
}

struct Multiply5 {
    float (*sum)[8];
    int i, j;

    template <typename Copy>
    __device__ __forceinline__ void operator()(const Stage5& stage, Copy copy) const {
        multiply5(sum, stage, i, j, copy);
    }
};

template <bool TRANS_A, bool TRANS_B>
__device__ __forceinline__ void warp_tile(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ __align__(16) Stage5 stages[2];
    int tiles = ceil_div(N, TILE5), row0 = blockIdx.x / tiles * TILE5, col0 = blockIdx.x % tiles * TILE5;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, wi = warp / 4 * 64, wj = warp % 4 * 32;
    float sum[8][8] = {};
    Multiply5 multiply{sum, wi + lane / 4 * 4, wj + lane % 4 * 4};
    pipeline<TRANS_A, TRANS_B>(a, b, stages, M, N, K, row0, col0, multiply);
#if __CUDA_ARCH__ >= 1000
    // Worked out again, from a number that the compiler cannot know to be the same: kept over the loop, both would be spilled there.
    unsigned block;
    asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(block));
    row0 = block / tiles * TILE5, col0 = block % tiles * TILE5;
#endif
    store5(sum, &stages[0].a[0][0], c, M, N, row0 + wi, col0 + wj);
}

// ---- 6: tensor cores, TF32 ------------------------------------------------------------------------------------------------------
// Changed: version 5's tiles and copies, but a warp multiplies 16x8 by 8x8 in one mma.sync. Helps: one instruction does the work
// of 32 FFMA, so arithmetic no longer bounds the loop. The pitch is 128 and an exclusive-or swizzle keeps the banks apart, for the
// copies (8 k times 4 rows) as for the fragments (4 k times 8 rows), which no pitch does for both.
// Hurts: operands keep 10 of their 23 fraction bits (round to nearest, ties away), a relative error of 2^-11 each: for those who
// ask for it. Fragments are single floats: 24 shared loads for 16 mma.

struct Stage6 {
    float a[DEPTH5][TILE5], b[DEPTH5][TILE5];
    static __device__ __forceinline__ int place(int k, int i) { return i ^ (k % 4 * 8 + k / 4 % 2 * 4); }
};

__device__ __forceinline__ unsigned tf32(float x) {
    unsigned bits = 0;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
#endif
    return bits;
}

// d (16, 8) += a (16, 8) b (8, 8), spread over a warp as the PTX ISA says for mma.m16n8k8.
__device__ __forceinline__ void mma(float* d, const unsigned* a, const unsigned* b) {
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    __trap();  // no TF32 before sm_80; the host refuses it first
#endif
}

// sum[i][j] is the warp's 16x8 tile (i, j); wi and wj its first row and column in the block's tile.
__device__ __forceinline__ void multiply6(float (*sum)[4][4], const Stage6& stage, int wi, int wj) {
    int group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
#pragma unroll
    for (int k0 = 0; k0 < DEPTH5; k0 += 8) {
        unsigned x[4][4], y[4][2];
#pragma unroll
        for (int n = 0; n < 16; ++n) {
            int k = k0 + member + n % 4 / 2 * 4, i = wi + n / 4 * 16 + group + n % 2 * 8;
            x[n / 4][n % 4] = tf32(stage.a[k][Stage6::place(k, i)]);
        }
#pragma unroll
        for (int n = 0; n < 8; ++n) {
            int k = k0 + member + n % 2 * 4, j = wj + n / 2 * 8 + group;
            y[n / 2][n % 2] = tf32(stage.b[k][Stage6::place(k, j)]);
        }
#pragma unroll
        for (int n = 0; n < 16; ++n) mma(sum[n / 4][n % 4], x[n / 4], y[n % 4]);
    }
}

// As store5; a pitch of 40 keeps the banks of a half-warp's float2 apart.
__device__ __forceinline__ void store6(float (*sum)[4][4], float* shared, float* c, int M, int N, int row0, int col0) {
    constexpr int PITCH = 40;
    int lane = threadIdx.x % 32;
    float* mine = shared + threadIdx.x / 32 * 8 * PITCH;
    float2* here = reinterpret_cast<float2*>(mine) + lane / 4 * (PITCH / 2) + lane % 4;
#pragma unroll
    for (int r = 0; r < 8; ++r) {
#pragma unroll
        for (int j = 0; j < 4; ++j) here[j * 4] = make_float2(sum[r / 2][j][r % 2 * 2], sum[r / 2][j][r % 2 * 2 + 1]);
        drain<PITCH, 1>(mine, c, M, N, row0 + r * 8, col0);
    }
}

struct Multiply6 {
    float (*sum)[4][4];
    int wi, wj;

    template <typename Copy>
    __device__ __forceinline__ void operator()(const Stage6& stage, Copy copy) const {
#pragma unroll
        for (int n = 0; n < 8; ++n) copy(n);
        multiply6(sum, stage, wi, wj);
    }
};

template <bool TRANS_A, bool TRANS_B>
__device__ __forceinline__ void tensor_cores(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ __align__(16) Stage6 stages[2];
    int tiles = ceil_div(N, TILE5), row0 = blockIdx.x / tiles * TILE5, col0 = blockIdx.x % tiles * TILE5;
    int warp = threadIdx.x / 32, wi = warp / 4 * 64, wj = warp % 4 * 32;
    float sum[4][4][4] = {};
    Multiply6 multiply{sum, wi, wj};
    pipeline<TRANS_A, TRANS_B>(a, b, stages, M, N, K, row0, col0, multiply);
    store6(sum, &stages[0].a[0][0], c, M, N, row0 + wi, col0 + wj);
}

// ---- entry points: matmul_v4_nn, ..._nt, _tn, _tt; the letters say which operand is transposed ----------------------------------

#if __CUDA_ARCH__ == 750
constexpr int BLOCKS5 = 1;  // a multiprocessor of sm_75 has 64 KiB of shared memory, two blocks of version 5 take 66
#else
constexpr int BLOCKS5 = 2;
#endif

#define TILED(name, function, blocks, TRANS_A, TRANS_B) \
    extern "C" __global__ void __launch_bounds__(256, blocks) \
        name(const float* a, const float* b, float* c, int M, int N, int K) { \
        function<TRANS_A, TRANS_B>(a, b, c, M, N, K); \
    }
#define TRANSPOSES(name, function, blocks) \
    TILED(name##_nn, function, blocks, false, false) \
    TILED(name##_nt, function, blocks, false, true) \
    TILED(name##_tn, function, blocks, true, false) \
    TILED(name##_tt, function, blocks, true, true)
TRANSPOSES(matmul_v4, register_tile, 2)
TRANSPOSES(matmul_v5, warp_tile, BLOCKS5)
TRANSPOSES(matmul_v6, tensor_cores, 1)

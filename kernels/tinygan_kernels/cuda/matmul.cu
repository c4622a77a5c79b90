// C = A B in six steps, each right on every shape. A (M, K), B (K, N), C (M, N), row-major; with trans_a the memory of A
// holds (K, M), with trans_b that of B holds (N, K). Every grid is one-dimensional: block number -> tile of C, row by row, so
// that no side of a matrix meets the 65,535 limit of gridDim.y.
//
// What a step is measured by (Nsight Compute's names are in the profile): sectors a global request, shared-memory instructions
// and bank conflicts an FFMA, and FFMA an issue cycle of the inner loop.

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
// Hurts: every element of A and B still comes from global memory once for each element of C that needs it, 2 loads an FFMA.

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

#define SIMPLE(name, function, T)                                                                                     \
    extern "C" __global__ void name(const T* a, const T* b, T* c, int M, int N, int K, int trans_a, int trans_b) {    \
        function<T>(a, b, c, M, N, K, trans_a, trans_b);                                                              \
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
// 132 puts 8 k times 4 rows into 32 different banks), one barrier a tile, and 512 FFMA between two visits to an address.
// C leaves through shared memory, so that 32 lanes write 32 neighbours whatever N is.
// Hurts: copies go 4 bytes at a time, the price of one path for every alignment and transpose; small matrices fill few SMs.

constexpr int TILE5 = 128, DEPTH5 = 8, PITCH5 = TILE5 + 4, OUT_PITCH5 = 48;

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

// One operand's stream of 128 x 8 tiles, 4 elements a thread. Rows past the end repeat the last one: what they lead to is never
// stored. A warp covers 4 rows of 8 k (ALONG_K) or 32 rows of one k: either way 4 sectors a request.
template <bool ALONG_K, int COPIES = 4>
struct Stream {
    const float* from[COPIES];
    i64 step;
    int k, i;

    __device__ __forceinline__ Stream(const float* p, int rows, int row0, int K) {
        int t = threadIdx.x;
        k = ALONG_K ? t % 8 : t / 128;
        i = ALONG_K ? t / 8 : t % 128;
        step = ALONG_K ? 8 : (i64)8 * rows;
#pragma unroll
        for (int n = 0; n < COPIES; ++n) {
            int row = min(row0 + i + (ALONG_K ? 32 * n : 0), rows - 1);
            from[n] = ALONG_K ? p + (i64)row * K + k : p + (i64)(k + 2 * n) * rows + row;
        }
    }

    // Start copying the next tile, of which `left` k's exist, to place(k, i).
    template <typename Place>
    __device__ __forceinline__ void next(int left, Place place) {
#pragma unroll
        for (int n = 0; n < COPIES; ++n) {
            int kn = ALONG_K ? k : k + 2 * n;
            copy_async(place(kn, ALONG_K ? i + 32 * n : i), from[n], kn < left);
            from[n] += step;
        }
    }
};

struct Stage5 {
    float a[DEPTH5][PITCH5], b[DEPTH5][PITCH5];
};

__device__ __forceinline__ void load8(float* v, const float* p, int apart) {
    float4 x = *reinterpret_cast<const float4*>(p), y = *reinterpret_cast<const float4*>(p + apart);
    v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w, v[4] = y.x, v[5] = y.y, v[6] = y.z, v[7] = y.w;
}

// sum += this thread's share of the product of one stage; i and j are its first row and column in the tile.
__device__ __forceinline__ void multiply5(float (*sum)[8], const Stage5& stage, int i, int j) {
    float x[2][8], y[2][8];  // the fragments of the next k are under way while this one's are used
    load8(x[0], &stage.a[0][i], 32);
    load8(y[0], &stage.b[0][j], 16);
#pragma unroll
    for (int k = 0; k < DEPTH5; ++k) {
        if (k + 1 < DEPTH5) {
            load8(x[(k + 1) % 2], &stage.a[k + 1][i], 32);
            load8(y[(k + 1) % 2], &stage.b[k + 1][j], 16);
        }
#pragma unroll
        for (int e = 0; e < 64; ++e) sum[e / 8][e % 8] += x[k % 2][e / 8] * y[k % 2][e % 8];
    }
}

// A warp's 64x32 results through its own 8 x 48 floats of shared memory (48: two rows of float4 fall into different banks).
__device__ __forceinline__ void store5(float (*sum)[8], float* staging, float* c, int M, int N, int row0, int col0) {
    int lane = threadIdx.x % 32, li = lane / 4, lj = lane % 4 * 4;
    float* mine = staging + threadIdx.x / 32 * 8 * OUT_PITCH5;
    int col = col0 + lane;
#pragma unroll
    for (int r = 0; r < 8; ++r) {
        float4 left = make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
        float4 right = make_float4(sum[r][4], sum[r][5], sum[r][6], sum[r][7]);
        *reinterpret_cast<float4*>(&mine[li * OUT_PITCH5 + lj]) = left;
        *reinterpret_cast<float4*>(&mine[li * OUT_PITCH5 + lj + 16]) = right;
        __syncwarp();
#pragma unroll
        for (int line = 0; line < 8; ++line) {
            int row = row0 + line * 4 + r % 4 + r / 4 * 32;
            if (row < M && col < N) c[(i64)row * N + col] = mine[line * OUT_PITCH5 + lane];
        }
        __syncwarp();
    }
}

template <bool TRANS_A, bool TRANS_B>
__device__ __forceinline__ void warp_tile(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ __align__(16) Stage5 stages[2];
    int tiles = ceil_div(N, TILE5), row0 = blockIdx.x / tiles * TILE5, col0 = blockIdx.x % tiles * TILE5;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, wi = warp / 4 * 64, wj = warp % 4 * 32;
    Stream<!TRANS_A> a_stream(a, M, row0, K);
    Stream<TRANS_B> b_stream(b, N, col0, K);
    auto copy = [&](Stage5& stage, int left) {
        a_stream.next(left, [&](int k, int i) { return &stage.a[k][i]; });
        b_stream.next(left, [&](int k, int i) { return &stage.b[k][i]; });
    };
    float sum[8][8] = {};
    copy(stages[0], K);
    int now = 0;
    for (int left = K; left > 0; left -= DEPTH5, now ^= 1) {
        copies_arrive();  // and nobody reads the other stage any more
        if (left > DEPTH5) copy(stages[now ^ 1], left - DEPTH5);
        multiply5(sum, stages[now], wi + lane / 4 * 4, wj + lane % 4 * 4);
    }
    copies_arrive();
    store5(sum, &stages[0].a[0][0], c, M, N, row0 + wi, col0 + wj);
}

#define TILED(name, function, threads, blocks)                                                                        \
    extern "C" __global__ void __launch_bounds__(threads, blocks) name##_nn(TILED_ARGUMENTS) { function<0, 0>(a, b, c, M, N, K); } \
    extern "C" __global__ void __launch_bounds__(threads, blocks) name##_nt(TILED_ARGUMENTS) { function<0, 1>(a, b, c, M, N, K); } \
    extern "C" __global__ void __launch_bounds__(threads, blocks) name##_tn(TILED_ARGUMENTS) { function<1, 0>(a, b, c, M, N, K); } \
    extern "C" __global__ void __launch_bounds__(threads, blocks) name##_tt(TILED_ARGUMENTS) { function<1, 1>(a, b, c, M, N, K); }
#define TILED_ARGUMENTS const float *a, const float *b, float *c, int M, int N, int K
TILED(matmul_v4, register_tile, 256, 2)
TILED(matmul_v5, warp_tile, 256, 2)

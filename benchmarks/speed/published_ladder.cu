// Eight products C = A B in float32, from naive to tiles of warps, with the structure of the kernels whose speed on an RTX A6000 is
// published in github.com/siboehm/SGEMM_CUDA (README): the same blocks, tiles and order of accesses, written anew. Like those they
// take sides that are multiples of their tiles, as 4096 is, without guards. benchmarks/speed/time_model.py counts them.

typedef unsigned u32;

// ---- 1: a thread an element, neighbours in threadIdx.x down the columns ---------------------------------------------------------
// launch: naive<<<dim3(M / 32, N / 32), dim3(32, 32)>>>(a, b, c, M, N, K)
extern "C" __global__ void naive(const float* a, const float* b, float* c, int M, int N, int K) {
    u32 row = blockIdx.x * 32 + threadIdx.x, col = blockIdx.y * 32 + threadIdx.y;
    float sum = 0;
    for (int k = 0; k < K; ++k) sum += a[row * K + k] * b[k * N + col];
    c[row * N + col] = sum;
}

// ---- 2: neighbours along the rows -----------------------------------------------------------------------------------------------
// launch: coalesced<<<dim3(M / 32, N / 32), 1024>>>(a, b, c, M, N, K)
extern "C" __global__ void coalesced(const float* a, const float* b, float* c, int M, int N, int K) {
    u32 row = blockIdx.x * 32 + threadIdx.x / 32, col = blockIdx.y * 32 + threadIdx.x % 32;
    float sum = 0;
    for (int k = 0; k < K; ++k) sum += a[row * K + k] * b[k * N + col];
    c[row * N + col] = sum;
}

// ---- 3: tiles of 32 x 32 in shared memory ---------------------------------------------------------------------------------------
// launch: shared_tiles<<<dim3(M / 32, N / 32), 1024>>>(a, b, c, M, N, K)
extern "C" __global__ void shared_tiles(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[32 * 32], bs[32 * 32];
    u32 y = threadIdx.x / 32, x = threadIdx.x % 32, row = blockIdx.x * 32 + y, col = blockIdx.y * 32 + x;
    float sum = 0;
    for (int k0 = 0; k0 < K; k0 += 32) {
        as[y * 32 + x] = a[row * K + k0 + x];
        bs[y * 32 + x] = b[(k0 + y) * N + col];
        __syncthreads();
        for (int k = 0; k < 32; ++k) sum += as[y * 32 + k] * bs[k * 32 + x];
        __syncthreads();
    }
    c[row * N + col] = sum;
}

// ---- 4: tiles of 64 x 64, a thread 8 elements of a column -----------------------------------------------------------------------
// launch: column_tiles<<<dim3(N / 64, M / 64), 512>>>(a, b, c, M, N, K)
extern "C" __global__ void column_tiles(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[64 * 8], bs[8 * 64];
    u32 t = threadIdx.x, x = t % 64, y = t / 64;
    a += blockIdx.y * 64 * K, b += blockIdx.x * 64, c += blockIdx.y * 64 * N + blockIdx.x * 64;
    float sums[8] = {};
    for (int k0 = 0; k0 < K; k0 += 8) {
        as[t] = a[t / 8 * K + t % 8];
        bs[t] = b[t / 64 * N + t % 64];
        __syncthreads();
        a += 8, b += 8 * N;
        for (int k = 0; k < 8; ++k) {
            float of_b = bs[k * 64 + x];
            for (int i = 0; i < 8; ++i) sums[i] += as[(y * 8 + i) * 8 + k] * of_b;
        }
        __syncthreads();
    }
    for (int i = 0; i < 8; ++i) c[(y * 8 + i) * N + x] = sums[i];
}

// ---- 5: tiles of 128 x 128, a thread 8 x 8 elements in registers ----------------------------------------------------------------
// launch: square_tiles<<<dim3(N / 128, M / 128), 256>>>(a, b, c, M, N, K)
extern "C" __global__ void __launch_bounds__(256, 1) square_tiles(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[128 * 8], bs[8 * 128];
    u32 t = threadIdx.x, x = t % 16, y = t / 16;
    a += blockIdx.y * 128 * K, b += blockIdx.x * 128, c += blockIdx.y * 128 * N + blockIdx.x * 128;
    float sums[8][8] = {}, of_a[8], of_b[8];
    for (int k0 = 0; k0 < K; k0 += 8) {
        for (u32 d = 0; d < 128; d += 32) as[(t / 8 + d) * 8 + t % 8] = a[(t / 8 + d) * K + t % 8];
        for (u32 d = 0; d < 8; d += 2) bs[(t / 128 + d) * 128 + t % 128] = b[(t / 128 + d) * N + t % 128];
        __syncthreads();
        a += 8, b += 8 * N;
        for (int k = 0; k < 8; ++k) {
            for (int i = 0; i < 8; ++i) of_a[i] = as[(y * 8 + i) * 8 + k];
            for (int j = 0; j < 8; ++j) of_b[j] = bs[k * 128 + x * 8 + j];
            for (int i = 0; i < 8; ++i)
                for (int j = 0; j < 8; ++j) sums[i][j] += of_a[i] * of_b[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < 8; ++i)
        for (int j = 0; j < 8; ++j) c[(y * 8 + i) * N + x * 8 + j] = sums[i][j];
}

// ---- 6 and 9: the same, in float4, A's tile transposed; with steps of 8 and of 16 along k ---------------------------------------
__device__ __forceinline__ const float4& four(const float& first) { return reinterpret_cast<const float4&>(first); }
__device__ __forceinline__ float4& four(float& first) { return reinterpret_cast<float4&>(first); }

template <int STEP, int SIDE, int THREADS>
__device__ __forceinline__ void copy_tiles(const float* a, const float* b, float* as, float* bs, int N, int K) {
    u32 t = threadIdx.x;
#pragma unroll
    for (u32 row = t / (STEP / 4); row < SIDE; row += THREADS * 4 / STEP) {
        float4 v = four(a[row * K + t % (STEP / 4) * 4]);
        u32 k = t % (STEP / 4) * 4;
        as[k * SIDE + row] = v.x, as[(k + 1) * SIDE + row] = v.y, as[(k + 2) * SIDE + row] = v.z, as[(k + 3) * SIDE + row] = v.w;
    }
#pragma unroll
    for (u32 k = t / (SIDE / 4); k < STEP; k += THREADS * 4 / SIDE)
        four(bs[k * SIDE + t % (SIDE / 4) * 4]) = four(b[k * N + t % (SIDE / 4) * 4]);
}

template <int STEP>
__device__ __forceinline__ void vectors(const float* a, const float* b, float* c, int N, int K) {
    __shared__ __align__(16) float as[STEP * 128], bs[STEP * 128];
    u32 x = threadIdx.x % 16, y = threadIdx.x / 16;
    a += blockIdx.y * 128 * K, b += blockIdx.x * 128, c += blockIdx.y * 128 * N + blockIdx.x * 128;
    float sums[8][8] = {}, of_a[8], of_b[8];
    for (int k0 = 0; k0 < K; k0 += STEP) {
        copy_tiles<STEP, 128, 256>(a, b, as, bs, N, K);
        __syncthreads();
        a += STEP, b += STEP * N;
        for (int k = 0; k < STEP; ++k) {
            for (int i = 0; i < 8; ++i) of_a[i] = as[k * 128 + y * 8 + i];
            for (int j = 0; j < 8; ++j) of_b[j] = bs[k * 128 + x * 8 + j];
            for (int i = 0; i < 8; ++i)
                for (int j = 0; j < 8; ++j) sums[i][j] += of_a[i] * of_b[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < 8; ++i)
        for (int j = 0; j < 8; j += 4)
            four(c[(y * 8 + i) * N + x * 8 + j]) = make_float4(sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]);
}

// launch: float4_tiles<<<dim3(N / 128, M / 128), 256>>>(a, b, c, M, N, K)
extern "C" __global__ void __launch_bounds__(256) float4_tiles(const float* a, const float* b, float* c, int M, int N, int K) {
    vectors<8>(a, b, c, N, K);
}

// launch: tuned_tiles<<<dim3(N / 128, M / 128), 256>>>(a, b, c, M, N, K)
extern "C" __global__ void __launch_bounds__(256) tuned_tiles(const float* a, const float* b, float* c, int M, int N, int K) {
    vectors<16>(a, b, c, N, K);
}

// ---- 10: tiles of warps, 64 x 64 of a block's 128 x 128; a lane 4 times 8 x 4 elements ------------------------------------------
// launch: warp_tiles<<<dim3(N / 128, M / 128), 128>>>(a, b, c, M, N, K)
extern "C" __global__ void __launch_bounds__(128) warp_tiles(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ __align__(16) float as[16 * 128], bs[16 * 128];
    u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, top = warp / 2 * 64 + lane / 4 * 8, left = warp % 2 * 64 + lane % 4 * 4;
    a += blockIdx.y * 128 * K, b += blockIdx.x * 128, c += blockIdx.y * 128 * N + blockIdx.x * 128;
    float sums[8][16] = {}, of_a[8], of_b[16];
    for (int k0 = 0; k0 < K; k0 += 16) {
        copy_tiles<16, 128, 128>(a, b, as, bs, N, K);
        __syncthreads();
        for (int k = 0; k < 16; ++k) {
            for (int i = 0; i < 8; ++i) of_a[i] = as[k * 128 + top + i];
            for (int p = 0; p < 4; ++p)
                for (int j = 0; j < 4; ++j) of_b[p * 4 + j] = bs[k * 128 + left + p * 16 + j];
            for (int i = 0; i < 8; ++i)
                for (int j = 0; j < 16; ++j) sums[i][j] += of_a[i] * of_b[j];
        }
        a += 16, b += 16 * N;
        __syncthreads();
    }
    for (int i = 0; i < 8; ++i)
        for (int p = 0; p < 4; ++p)
            four(c[(top + i) * N + left + p * 16]) =
                make_float4(sums[i][p * 4], sums[i][p * 4 + 1], sums[i][p * 4 + 2], sums[i][p * 4 + 3]);
}

// Convolution and its two adjoints, in two steps, each right on every shape. Images are NHWC, filters (KH, KW, C_in, C_out):
//   conv2d     y[n,i,j,o]  = sum over u,v,c of x[n, i s + u - p, j s + v - p, c] w[u,v,c,o]
//   conv2d_dx  dx[n,y,x,c] = sum over u,v,o of g[n, (y + p - u) / s, (x + p - v) / s, o] w[u,v,c,o], where s divides both
//   conv2d_dw  dw[u,v,c,o] = sum over n,i,j of x[n, i s + u - p, j s + v - p, c] g[n,i,j,o]
// A pixel outside of its image counts as zero. Offsets of images are 64-bit, counts of pixels and taps 32-bit.

typedef long long i64;

#define GEOMETRY int images, int H, int W, int C_in, int OH, int OW, int C_out, int KH, int KW, int stride, int pad
#define GEOMETRY_VALUES images, H, W, C_in, OH, OW, C_out, KH, KW, stride, pad

__device__ __forceinline__ int ceil_div(int a, int b) { return (a + b - 1) / b; }

// ---- 1: direct ----------------------------------------------------------------------------------------------------------------
// One thread an output element, with consecutive threads on consecutive channels: stores are coalesced, and so are the loads of
// conv2d and conv2d_dw; of the pixel that all lanes share, one broadcast.
// Hurts: 2 global loads an FFMA, as each output gathers all of its inputs by itself. conv2d_dx reads w along C_in, whose
// neighbours lie C_out apart: up to 32 sectors a request. conv2d_dw has few outputs, so few threads, each with a long sum.

template <typename T>
__device__ void direct(const T* x, const T* w, T* y, GEOMETRY) {
    i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (i64)images * OH * OW * C_out) return;
    int o = at % C_out, j = at / C_out % OW, i = at / C_out / OW % OH, n = at / C_out / OW / OH;
    T sum = 0;
    for (int u = 0; u < KH; ++u)
        for (int v = 0; v < KW; ++v) {
            int row = i * stride + u - pad, col = j * stride + v - pad;
            if (row < 0 || row >= H || col < 0 || col >= W) continue;
            const T* pixel = x + (((i64)n * H + row) * W + col) * C_in;
            const T* tap = w + ((i64)u * KW + v) * C_in * C_out + o;
            for (int c = 0; c < C_in; ++c) sum += pixel[c] * tap[(i64)c * C_out];
        }
    y[at] = sum;
}

template <typename T>
__device__ void direct_dx(const T* g, const T* w, T* dx, GEOMETRY) {
    i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (i64)images * H * W * C_in) return;
    int c = at % C_in, col = at / C_in % W, row = at / C_in / W % H, n = at / C_in / W / H;
    T sum = 0;
    for (int u = 0; u < KH; ++u)
        for (int v = 0; v < KW; ++v) {
            int i = row + pad - u, j = col + pad - v;
            if (i < 0 || j < 0 || i % stride || j % stride || i / stride >= OH || j / stride >= OW) continue;
            const T* pixel = g + (((i64)n * OH + i / stride) * OW + j / stride) * C_out;
            const T* tap = w + (((i64)u * KW + v) * C_in + c) * C_out;
            for (int o = 0; o < C_out; ++o) sum += pixel[o] * tap[o];
        }
    dx[at] = sum;
}

template <typename T>
__device__ void direct_dw(const T* x, const T* g, T* dw, GEOMETRY) {
    i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (i64)KH * KW * C_in * C_out) return;
    int o = at % C_out, c = at / C_out % C_in, v = at / C_out / C_in % KW, u = at / C_out / C_in / KW;
    T sum = 0;
    for (int n = 0; n < images; ++n)
        for (int i = 0; i < OH; ++i)
            for (int j = 0; j < OW; ++j) {
                int row = i * stride + u - pad, col = j * stride + v - pad;
                if (row < 0 || row >= H || col < 0 || col >= W) continue;
                sum += x[(((i64)n * H + row) * W + col) * C_in + c] * g[(((i64)n * OH + i) * OW + j) * C_out + o];
            }
    dw[at] = sum;
}

#define DIRECT(name, function, T)                                                                                     \
    extern "C" __global__ void name(const T* first, const T* second, T* out, GEOMETRY) {                              \
        function<T>(first, second, out, GEOMETRY_VALUES);                                                             \
    }
DIRECT(conv2d_v1_f32, direct, float)
DIRECT(conv2d_v1_f64, direct, double)
DIRECT(conv2d_dx_v1_f32, direct_dx, float)
DIRECT(conv2d_dx_v1_f64, direct_dx, double)
DIRECT(conv2d_dw_v1_f32, direct_dw, float)
DIRECT(conv2d_dw_v1_f64, direct_dw, double)

// ---- 2: implicit GEMM -----------------------------------------------------------------------------------------------------------
// Changed: each of the three is a matrix product whose left factor is gathered from the image while it is copied into shared
// memory; the unrolled patches never exist in global memory. 16x16 threads multiply 64x16 by 16x64 tiles, each 4x4 elements in
// registers; the next tile is on its way to registers meanwhile. Helps: a global load serves 64 outputs, 16 FFMA cost 2 shared
// loads, and every warp loads and stores neighbours: 16 channels of 2 pixels, or 32 channels.
// Hurts: a tile is 64 channels wide even if an image has 3; conv2d_dx multiplies by the zeros between the pixels of a strided g.
//
//   product     left factor (M, K)                      right factor (K, N)      M rows          N columns   K summed
//   conv2d      x at pixel m, tap k                     w                        pixels of y     C_out       taps (u, v, c)
//   conv2d_dx   g at pixel m, tap k                     w, a tap's rows apart    pixels of x     C_in        taps (u, v, o)
//   conv2d_dw   x at pixel k, tap m                     g                        taps (u, v, c)  C_out       pixels of y

struct Geometry {
    int images, H, W, C_in, OH, OW, C_out, KH, KW, stride, pad;
};

struct Pixel {
    i64 image;  // where its image begins
    int y, x;   // what a tap's (u, v) is added to (or, in conv2d_dx, subtracted from)
};

struct Tap {
    int u, v, channel, number;
};

__device__ __forceinline__ Tap tap_of(int number, int channels, int KW) {
    int uv = number / channels;
    return {uv / KW, uv % KW, number % channels, number};
}

// A pixel of y, and the corner of the patch of x that it sees.
__device__ __forceinline__ Pixel patch_of(int number, const Geometry& s) {
    int ij = number % (s.OH * s.OW);
    return {(i64)(number / (s.OH * s.OW)) * s.H * s.W * s.C_in, ij / s.OW * s.stride - s.pad, ij % s.OW * s.stride - s.pad};
}

__device__ __forceinline__ float seen(const float* x, Pixel p, Tap t, const Geometry& s) {
    int row = p.y + t.u, col = p.x + t.v;
    bool inside = row >= 0 && row < s.H && col >= 0 && col < s.W;
    return inside ? x[p.image + ((i64)row * s.W + col) * s.C_in + t.channel] : 0.0f;
}

// Each problem says how its factors are gathered; ALONG_K: which direction neighbouring threads take, that of memory.
struct Forward {
    static constexpr bool LEFT_ALONG_K = true, RIGHT_ALONG_K = false;
    typedef Pixel Row;
    typedef Tap Term;
    const float *x, *w;
    Geometry s;
    __device__ int M() const { return s.images * s.OH * s.OW; }
    __device__ int N() const { return s.C_out; }
    __device__ int K() const { return s.KH * s.KW * s.C_in; }
    __device__ Row row(int m) const { return patch_of(m, s); }
    __device__ Term term(int k) const { return tap_of(k, s.C_in, s.KW); }
    __device__ float left(Row m, Term k) const { return seen(x, m, k, s); }
    __device__ float right(Term k, int n) const { return w[(i64)k.number * s.C_out + n]; }
};

struct ByImage {
    static constexpr bool LEFT_ALONG_K = true, RIGHT_ALONG_K = true;
    typedef Pixel Row;
    typedef Tap Term;
    const float *g, *w;
    Geometry s;
    __device__ int M() const { return s.images * s.H * s.W; }
    __device__ int N() const { return s.C_in; }
    __device__ int K() const { return s.KH * s.KW * s.C_out; }
    __device__ Row row(int m) const {
        int yx = m % (s.H * s.W);
        return {(i64)(m / (s.H * s.W)) * s.OH * s.OW * s.C_out, yx / s.W + s.pad, yx % s.W + s.pad};
    }
    __device__ Term term(int k) const { return tap_of(k, s.C_out, s.KW); }
    __device__ float left(Row m, Term k) const {
        int i = m.y - k.u, j = m.x - k.v, oi = i / s.stride, oj = j / s.stride;
        bool inside = i >= 0 && j >= 0 && oi * s.stride == i && oj * s.stride == j && oi < s.OH && oj < s.OW;
        return inside ? g[m.image + ((i64)oi * s.OW + oj) * s.C_out + k.channel] : 0.0f;
    }
    __device__ float right(Term k, int n) const {
        return w[(((i64)k.u * s.KW + k.v) * s.C_in + n) * s.C_out + k.channel];
    }
};

struct ByFilter {
    static constexpr bool LEFT_ALONG_K = false, RIGHT_ALONG_K = false;
    typedef Tap Row;
    struct Term {
        Pixel pixel;
        int number;
    };
    const float *x, *g;
    Geometry s;
    __device__ int M() const { return s.KH * s.KW * s.C_in; }
    __device__ int N() const { return s.C_out; }
    __device__ int K() const { return s.images * s.OH * s.OW; }
    __device__ Row row(int m) const { return tap_of(m, s.C_in, s.KW); }
    __device__ Term term(int k) const { return {patch_of(k, s), k}; }
    __device__ float left(Row m, Term k) const { return seen(x, k.pixel, m, s); }
    __device__ float right(Term k, int n) const { return g[(i64)k.number * s.C_out + n]; }
};

constexpr int TILE = 64, DEPTH = 16, PITCH = TILE + 4;

// Thread t copies elements n = 0..3 of a 64 x 16 tile: 16 k's of 4 rows if memory runs along k, else 4 k's of one row.
template <bool ALONG_K>
__device__ __forceinline__ int k_of(int n) { return ALONG_K ? threadIdx.x % 16 : threadIdx.x / 64 + 4 * n; }
template <bool ALONG_K>
__device__ __forceinline__ int i_of(int n) { return ALONG_K ? threadIdx.x / 16 + 16 * n : threadIdx.x % 64; }

// Where (k, i) lies. With pitch 68, 8 k's of 2 rows lie in different banks; exchanging pairs for k >= 8 makes it 16 k's.
__device__ __forceinline__ int place(int k, int i) { return k * PITCH + (i ^ k / 8 * 2); }

// One thread's part of the two tiles at k0, on its way from global to shared memory.
template <typename Problem>
struct Cargo {
    static constexpr bool LEFT = Problem::LEFT_ALONG_K, RIGHT = Problem::RIGHT_ALONG_K;
    typename Problem::Row rows[LEFT ? 4 : 1];
    float left[4], right[4];

    __device__ __forceinline__ Cargo(const Problem& p, int row0) {
#pragma unroll
        for (int n = 0; n < (LEFT ? 4 : 1); ++n) rows[n] = p.row(row0 + i_of<LEFT>(n));
    }

    __device__ __forceinline__ void load(const Problem& p, int row0, int col0, int k0, int k_end) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            int k = k0 + k_of<LEFT>(n);
            left[n] = k < k_end && row0 + i_of<LEFT>(n) < p.M() ? p.left(rows[LEFT ? n : 0], p.term(k)) : 0.0f;
        }
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            int k = k0 + k_of<RIGHT>(n), col = col0 + i_of<RIGHT>(n);
            right[n] = k < k_end && col < p.N() ? p.right(p.term(k), col) : 0.0f;
        }
    }

    __device__ __forceinline__ void store(float* a, float* b) const {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            a[place(k_of<LEFT>(n), i_of<LEFT>(n))] = left[n];
            b[place(k_of<RIGHT>(n), i_of<RIGHT>(n))] = right[n];
        }
    }
};

__device__ __forceinline__ void multiply(float (*sum)[4], const float* a, const float* b, int i, int j) {
#pragma unroll
    for (int k = 0; k < DEPTH; ++k) {
        float4 x = *reinterpret_cast<const float4*>(a + k * PITCH + i), y = *reinterpret_cast<const float4*>(b + k * PITCH + j);
        float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
        int pair = k / 8 * 2;  // undoes the exchange of place(); k is known when this is compiled
#pragma unroll
        for (int e = 0; e < 16; ++e) sum[e / 4][e % 4] += xs[e / 4 ^ pair] * ys[e % 4 ^ pair];
    }
}

// One 64x64 tile of the product, summed over k_begin <= k < k_end; it leaves through shared memory, a row of 64 at a time.
template <typename Problem>
__device__ __forceinline__ void implicit_gemm(const Problem& p, float* out, int tile, int k_begin, int k_end) {
    __shared__ __align__(16) float shared[TILE * TILE];
    float *a = shared, *b = shared + DEPTH * PITCH;
    int M = p.M(), N = p.N(), tiles = ceil_div(N, TILE), row0 = tile / tiles * TILE, col0 = tile % tiles * TILE;
    int i = threadIdx.x / 16 * 4, j = threadIdx.x % 16 * 4;
    Cargo<Problem> cargo(p, row0);
    float sum[4][4] = {};
    cargo.load(p, row0, col0, k_begin, k_end);
    for (int k0 = k_begin; k0 < k_end; k0 += DEPTH) {
        cargo.store(a, b);
        __syncthreads();
        cargo.load(p, row0, col0, k0 + DEPTH, k_end);
        multiply(sum, a, b, i, j);
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < 4; ++r)
        *reinterpret_cast<float4*>(&shared[(i + r) * TILE + j]) = make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
    __syncthreads();
    int col = threadIdx.x % TILE;
    for (int r = threadIdx.x / TILE; r < TILE && row0 + r < M; r += 256 / TILE)
        if (col0 + col < N) out[(i64)(row0 + r) * N + col0 + col] = shared[r * TILE + col];
}

extern "C" __global__ void __launch_bounds__(256) conv2d_v2(const float* x, const float* w, float* y, GEOMETRY) {
    Forward p = {x, w, {GEOMETRY_VALUES}};
    implicit_gemm(p, y, blockIdx.x, 0, p.K());
}

extern "C" __global__ void __launch_bounds__(256) conv2d_dx_v2(const float* g, const float* w, float* dx, GEOMETRY) {
    ByImage p = {g, w, {GEOMETRY_VALUES}};
    implicit_gemm(p, dx, blockIdx.x, 0, p.K());
}

// The sum over pixels is long and the filter small, so `parts` blocks share the sum of a tile. Each writes its own copy of dw into
// partial (parts, KH, KW, C_in, C_out); conv2d_dw_v2_sum adds them in order, so that the result is the same in every run.
extern "C" __global__ void __launch_bounds__(256) conv2d_dw_v2(const float* x, const float* g, float* partial, GEOMETRY, int parts) {
    ByFilter p = {x, g, {GEOMETRY_VALUES}};
    int part = blockIdx.x % parts, share = ceil_div(ceil_div(p.K(), parts), DEPTH) * DEPTH;
    i64 begin = (i64)part * share, end = begin + share;
    implicit_gemm(p, partial + (i64)part * p.M() * p.N(), blockIdx.x / parts, min(begin, (i64)p.K()), min(end, (i64)p.K()));
}

extern "C" __global__ void conv2d_dw_v2_sum(const float* partial, float* dw, int size, int parts) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= size) return;
    float sum = 0;
    for (int part = 0; part < parts; ++part) sum += partial[(i64)part * size + at];
    dw[at] = sum;
}

// Convolution and its two adjoints, in two versions, each right on every shape. Images are NHWC, filters (KH, KW, C_in, C_out):
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
// conv2d and conv2d_dw, where the pixel that all lanes share is one broadcast.
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
// loads, and every warp loads and stores neighbours: 16 channels of 2 pixels, or 32 channels. Taps and pixels are counted on like
// an odometer, as a division costs more than the 16 FFMA that would pay for it. conv2d_dx splits a strided convolution into
// stride^2 phases of stride 1, so that no product meets one of the zeros between the pixels of g.
// Hurts: a tile is 64 channels wide even if an image has 3; of 450 to 530 instructions a tile, 256 are FFMA, the others mostly
// addresses and bounds.
//
//   product            left factor (M, K)       right factor (K, N)     M rows                 N columns  K summed
//   conv2d             x at pixel m, tap k      w                       pixels of y            C_out      taps (u, v, c)
//   conv2d_dx, phase   g at pixel m, tap k      w, the phase's taps     pixels of x in phase   C_in       its taps (u, v, o)
//   conv2d_dw          x at pixel k, tap m      g                       taps (u, v, c)         C_out      pixels of y (n, i, j)

struct Geometry {
    int images, H, W, C_in, OH, OW, C_out, KH, KW, stride, pad;
};

// A number written as (hi, mid, lo), lo < lo_end and mid < mid_end, which `advance` moves on by a fixed step without dividing.
struct Digits {
    int hi, mid, lo;
};

__device__ __forceinline__ Digits digits_of(int number, int mid_end, int lo_end) {
    return {number / lo_end / mid_end, number / lo_end % mid_end, number % lo_end};
}

__device__ __forceinline__ void advance(Digits& d, Digits step, int mid_end, int lo_end) {
    d.lo += step.lo, d.mid += step.mid, d.hi += step.hi;
    if (d.lo >= lo_end) d.lo -= lo_end, ++d.mid;
    if (d.mid >= mid_end) d.mid -= mid_end, ++d.hi;
}

// An element is gathered from the address corner + tap. A corner or tap that does not exist is so far away (NOWHERE) that the
// element is outside of every image, and counts as zero.
struct Image {
    const float* p;
    int H, W, C;
};

struct Corner {
    i64 at;
    int y, x;
};

struct Tap {
    int at, y, x;
};

constexpr int NOWHERE = -(1 << 30);

__device__ __forceinline__ Corner corner_of(const Image& s, int n, int y, int x) {
    return {(((i64)n * s.H + y) * s.W + x) * s.C, y, x};
}

__device__ __forceinline__ Tap tap_of(const Image& s, int y, int x, int c) { return {(y * s.W + x) * s.C + c, y, x}; }

__device__ __forceinline__ float gather(const Image& s, const Corner& corner, const Tap& tap) {
    bool inside = (unsigned)(corner.y + tap.y) < s.H && (unsigned)(corner.x + tap.x) < s.W;
    return inside ? s.p[corner.at + tap.at] : 0.0f;
}

// Forward, ByImage and ByFilter describe the three products: how the elements of their factors are gathered. k is counted in digits
// (K = hi * mid_end * lo_end in all). ALONG_K: neighbouring threads copy neighbours along k, as that is how the factor's memory runs.
struct Forward {
    static constexpr bool LEFT_ALONG_K = true, RIGHT_ALONG_K = false;
    typedef Corner Row;
    Geometry s;
    Image x;
    const float* w;
    int M, N, K, mid_end, lo_end;

    __device__ Forward(const float* x_, const float* w_, Geometry s_) : s(s_), x{x_, s_.H, s_.W, s_.C_in}, w(w_) {
        M = s.images * s.OH * s.OW, N = s.C_out, K = s.KH * s.KW * s.C_in, mid_end = s.KW, lo_end = s.C_in;
    }
    __device__ Row row(int m) const {
        Digits nij = digits_of(m, s.OH, s.OW);
        return m < M ? corner_of(x, nij.hi, nij.mid * s.stride - s.pad, nij.lo * s.stride - s.pad) : Corner{0, NOWHERE, 0};
    }
    __device__ float left(Row m, Digits uvc) const { return gather(x, m, tap_of(x, uvc.hi, uvc.mid, uvc.lo)); }
    __device__ float right(Digits, int k, int n) const { return w[(i64)k * N + n]; }
    __device__ i64 out(int m) const { return (i64)m * N; }
};

// Phase (py, px) has the pixels of x with (y + pad) % stride = py and the taps with u % stride = py, likewise across.
struct ByImage {
    static constexpr bool LEFT_ALONG_K = true, RIGHT_ALONG_K = true;
    typedef Corner Row;
    Geometry s;
    Image g;
    const float* w;
    int py, px, first_y, first_x, rows, cols, M, N, K, mid_end, lo_end;

    __device__ ByImage(const float* g_, const float* w_, Geometry s_, int phase) : s(s_), g{g_, s_.OH, s_.OW, s_.C_out}, w(w_) {
        py = phase / s.stride, px = phase % s.stride;
        first_y = (py + (s.stride - s.pad % s.stride)) % s.stride, first_x = (px + (s.stride - s.pad % s.stride)) % s.stride;
        rows = ceil_div(max(s.H - first_y, 0), s.stride), cols = ceil_div(max(s.W - first_x, 0), s.stride);
        mid_end = ceil_div(max(s.KW - px, 0), s.stride), lo_end = s.C_out;
        M = s.images * rows * cols, N = s.C_in, K = ceil_div(max(s.KH - py, 0), s.stride) * mid_end * lo_end;
    }
    __device__ Row row(int m) const {
        if (m >= M) return {0, NOWHERE, 0};
        Digits nyx = digits_of(m, rows, cols);
        return corner_of(g, nyx.hi, nyx.mid + (first_y + s.pad) / s.stride, nyx.lo + (first_x + s.pad) / s.stride);
    }
    __device__ float left(Row m, Digits uvo) const { return gather(g, m, tap_of(g, -uvo.hi, -uvo.mid, uvo.lo)); }
    __device__ float right(Digits uvo, int, int n) const {
        int u = py + uvo.hi * s.stride, v = px + uvo.mid * s.stride;
        return w[(((i64)u * s.KW + v) * s.C_in + n) * s.C_out + uvo.lo];
    }
    __device__ i64 out(int m) const {
        Digits nyx = digits_of(m, rows, cols);
        return (((i64)nyx.hi * s.H + first_y + nyx.mid * s.stride) * s.W + first_x + nyx.lo * s.stride) * N;
    }
};

struct ByFilter {
    static constexpr bool LEFT_ALONG_K = false, RIGHT_ALONG_K = false;
    typedef Tap Row;
    Geometry s;
    Image x;
    const float* g;
    int M, N, K, mid_end, lo_end;

    __device__ ByFilter(const float* x_, const float* g_, Geometry s_) : s(s_), x{x_, s_.H, s_.W, s_.C_in}, g(g_) {
        M = s.KH * s.KW * s.C_in, N = s.C_out, K = s.images * s.OH * s.OW, mid_end = s.OH, lo_end = s.OW;
    }
    __device__ Row row(int m) const {
        Digits uvc = digits_of(m, s.KW, s.C_in);
        return m < M ? tap_of(x, uvc.hi, uvc.mid, uvc.lo) : Tap{0, NOWHERE, 0};
    }
    __device__ float left(Row m, Digits nij) const {
        return gather(x, corner_of(x, nij.hi, nij.mid * s.stride - s.pad, nij.lo * s.stride - s.pad), m);
    }
    __device__ float right(Digits, int k, int n) const { return g[(i64)k * N + n]; }
    __device__ i64 out(int m) const { return (i64)m * N; }
};

constexpr int TILE = 64, DEPTH = 16, PITCH = TILE + 4;

// Thread t copies elements n = 0..3 of a 64 x 16 tile: one k of 4 rows if memory runs along k, else 4 k's of one row.
template <bool ALONG_K>
__device__ __forceinline__ int k_of(int n) { return ALONG_K ? threadIdx.x % 16 : threadIdx.x / 64 + 4 * n; }
template <bool ALONG_K>
__device__ __forceinline__ int i_of(int n) { return ALONG_K ? threadIdx.x / 16 + 16 * n : threadIdx.x % 64; }

// Where (k, i) lies. With pitch 68, 8 k's of 2 rows lie in different banks; exchanging pairs for k >= 8 makes it 16 k's.
__device__ __forceinline__ int place(int k, int i) { return k * PITCH + (i ^ k / 8 * 2); }

// One thread's part of the next two tiles, held in registers on its way from global to shared memory.
template <typename Problem>
struct Cargo {
    static constexpr bool LEFT = Problem::LEFT_ALONG_K, RIGHT = Problem::RIGHT_ALONG_K;
    static_assert(LEFT || !RIGHT, "right(Digits, ...) is given the digits of left's k, which are its own only if both run along k");
    const Problem& p;
    int col0, k0, k_end;
    Digits digits, step;
    typename Problem::Row rows[LEFT ? 4 : 1];
    float left[4], right[4];

    __device__ __forceinline__ Cargo(const Problem& p, int row0, int col0, int k0, int k_end)
        : p(p), col0(col0), k0(k0), k_end(k_end) {
        digits = digits_of(k0 + k_of<LEFT>(0), p.mid_end, p.lo_end), step = digits_of(LEFT ? DEPTH : 4, p.mid_end, p.lo_end);
#pragma unroll
        for (int n = 0; n < (LEFT ? 4 : 1); ++n) rows[n] = p.row(row0 + i_of<LEFT>(n));
    }

    __device__ __forceinline__ void load() {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            int k = k0 + k_of<RIGHT>(n), col = col0 + i_of<RIGHT>(n);
            right[n] = k < k_end && col < p.N ? p.right(digits, k, col) : 0.0f;
        }
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            left[n] = k0 + k_of<LEFT>(n) < k_end ? p.left(rows[LEFT ? n : 0], digits) : 0.0f;
            if (!LEFT || n == 3) advance(digits, step, p.mid_end, p.lo_end);
        }
        k0 += DEPTH;
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
    int tiles = ceil_div(p.N, TILE), row0 = tile / tiles * TILE, col0 = tile % tiles * TILE;
    int i = threadIdx.x / 16 * 4, j = threadIdx.x % 16 * 4;
    if (row0 >= p.M) return;
    float sum[4][4] = {};
    if (k_begin < k_end) {  // and so no radix of the digits is zero
        Cargo<Problem> cargo(p, row0, col0, k_begin, k_end);
        cargo.load();
        for (int k0 = k_begin; k0 < k_end; k0 += DEPTH) {
            cargo.store(a, b);
            __syncthreads();
            cargo.load();
            multiply(sum, a, b, i, j);
            __syncthreads();
        }
    }
#pragma unroll
    for (int r = 0; r < 4; ++r)
        *reinterpret_cast<float4*>(&shared[(i + r) * TILE + j]) = make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
    __syncthreads();
    int col = threadIdx.x % TILE;
    for (int r = threadIdx.x / TILE; r < TILE && row0 + r < p.M; r += 256 / TILE)
        if (col0 + col < p.N) out[p.out(row0 + r) + col0 + col] = shared[r * TILE + col];
}

extern "C" __global__ void __launch_bounds__(256) conv2d_v2(const float* x, const float* w, float* y, GEOMETRY) {
    Forward p(x, w, {GEOMETRY_VALUES});
    implicit_gemm(p, y, blockIdx.x, 0, p.K);
}

// The grid has stride^2 phases, each with as many tiles as the largest one needs.
extern "C" __global__ void __launch_bounds__(256) conv2d_dx_v2(const float* g, const float* w, float* dx, GEOMETRY) {
    ByImage p(g, w, {GEOMETRY_VALUES}, blockIdx.x % (stride * stride));
    implicit_gemm(p, dx, blockIdx.x / (stride * stride), 0, p.K);
}

// The sum over pixels is long and the filter small, so `parts` blocks share the sum of a tile. Each writes its own copy of dw into
// partial (parts, KH, KW, C_in, C_out); conv2d_dw_v2_sum adds them in order, so that the result is the same in every run.
extern "C" __global__ void __launch_bounds__(256)
    conv2d_dw_v2(const float* x, const float* g, float* partial, GEOMETRY, int parts) {
    ByFilter p(x, g, {GEOMETRY_VALUES});
    i64 part = blockIdx.x % parts, share = ceil_div(ceil_div(p.K, parts), DEPTH) * DEPTH, K = p.K;
    implicit_gemm(p, partial + part * p.M * p.N, blockIdx.x / parts, min(part * share, K), min((part + 1) * share, K));
}

extern "C" __global__ void conv2d_dw_v2_sum(const float* partial, float* dw, int size, int parts) {
    unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= size) return;
    float sum = 0;
    for (int part = 0; part < parts; ++part) sum += partial[(i64)part * size + at];
    dw[at] = sum;
}

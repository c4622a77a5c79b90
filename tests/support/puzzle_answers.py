"""Solutions of the puzzles, by name and suffix. They are not part of the package, so that nobody stumbles over them."""

SOLUTIONS: dict[str, dict[str, str]] = {}

SOLUTIONS["bias-act"] = {
    ".cu": """// launch: bias_act<<<dim3((channels + 31) / 32, (rows + 31) / 32), dim3(32, 8)>>>(x, b, y, rows, channels, slope)
extern "C" __global__ void bias_act(const float* x, const float* b, float* y, int rows, int channels, float slope) {
    __shared__ float tile[32];
    int channel = blockIdx.x * 32 + threadIdx.x;
    if (threadIdx.y == 0 && channel < channels) tile[threadIdx.x] = b[channel];
    __syncthreads();
    for (int i = threadIdx.y; i < 32; i += 8) {
        int row = blockIdx.y * 32 + i;
        if (row < rows && channel < channels) {
            float s = x[row * channels + channel] + tile[threadIdx.x];
            y[row * channels + channel] = s > 0 ? s : slope * s;
        }
    }
}
""",
    ".py": """from numba import cuda, float32
# launch: bias_act[(ceil_div(channels, 32), ceil_div(rows, 32)), (32, 8)](x, b, y, slope)
@cuda.jit
def bias_act(x, b, y, slope):
    tile = cuda.shared.array(32, float32)
    rows, channels = x.shape
    channel = cuda.blockIdx.x * 32 + cuda.threadIdx.x
    if cuda.threadIdx.y == 0 and channel < channels:
        tile[cuda.threadIdx.x] = b[channel]
    cuda.syncthreads()
    for i in range(cuda.threadIdx.y, 32, 8):
        row = cuda.blockIdx.y * 32 + i
        if row < rows and channel < channels:
            s = x[row, channel] + tile[cuda.threadIdx.x]
            y[row, channel] = s if s > 0 else slope * s
""",
}
SOLUTIONS["leaky-grad"] = {
    ".cu": """// launch: leaky_grad<<<2, 128>>>(g, y, dx, slope, n)
extern "C" __global__ void leaky_grad(const float* g, const float* y, float* dx, float slope, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        dx[i] = y[i] > 0 ? g[i] : slope * g[i];
}
""",
    ".py": """from numba import cuda
# launch: leaky_grad[2, 128](g, y, dx, slope)
@cuda.jit
def leaky_grad(g, y, dx, slope):
    for i in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        dx[i] = g[i] if y[i] > 0 else slope * g[i]
""",
}
SOLUTIONS["adam"] = {
    ".cu": """// launch: adam<<<(n + 255) / 256, 256>>>(g, theta, m, v, rate, beta1, beta2, correct1, correct2, eps, n)
extern "C" __global__ void adam(const float* g, float* theta, float* m, float* v, float rate, float beta1, float beta2,
                                float correct1, float correct2, float eps, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        float mi = beta1 * m[i] + (1 - beta1) * g[i], vi = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        theta[i] += rate * (mi / correct1) / (sqrtf(vi / correct2) + eps);
        m[i] = mi, v[i] = vi;
    }
}
""",
    ".py": """import math
from numba import cuda
# launch: adam[ceil_div(n, 256), 256](g, theta, m, v, rate, beta1, beta2, correct1, correct2, eps)
@cuda.jit
def adam(g, theta, m, v, rate, beta1, beta2, correct1, correct2, eps):
    i = cuda.grid(1)
    if i < theta.size:
        gi = g[i]
        mi, vi = beta1 * m[i] + (1 - beta1) * gi, beta2 * v[i] + (1 - beta2) * gi * gi
        theta[i] += rate * (mi / correct1) / (math.sqrt(vi / correct2) + eps)
        m[i], v[i] = mi, vi
""",
}
SOLUTIONS["bce-backward"] = {
    ".cu": """// launch: bce_backward<<<(n + 255) / 256, 256>>>(s, t, ds, n)
extern "C" __global__ void bce_backward(const float* s, const float* t, float* ds, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        float p = 1 / (1 + expf(-s[i])), q = 1 / (1 + expf(s[i]));
        ds[i] = ((1 - t[i]) * p - t[i] * q) / n;
    }
}
""",
    ".py": """import math
from numba import cuda
# launch: bce_backward[ceil_div(n, 256), 256](s, t, ds)
@cuda.jit
def bce_backward(s, t, ds):
    i = cuda.grid(1)
    if i < s.size:
        p, q = 1 / (1 + math.exp(-s[i])), 1 / (1 + math.exp(s[i]))
        ds[i] = ((1 - t[i]) * p - t[i] * q) / s.size
""",
}
SOLUTIONS["sum"] = {
    ".cu": """// launch: sum<<<1, 256>>>(x, y, n)
extern "C" __global__ void sum(const float* x, float* y, int n) {
    __shared__ float tile[256];
    float own = 0;
    for (int i = threadIdx.x; i < n; i += 256) own += x[i];
    tile[threadIdx.x] = own;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) tile[threadIdx.x] += tile[threadIdx.x + half];
    }
    if (threadIdx.x == 0) *y = tile[0];
}
""",
    ".py": """from numba import cuda, float32
# launch: sum[1, 256](x, y)
@cuda.jit
def sum(x, y):
    tile = cuda.shared.array(256, float32)
    thread = cuda.threadIdx.x
    own = float32(0)
    for i in range(thread, x.size, 256):
        own += x[i]
    tile[thread] = own
    half = 128
    while half > 0:
        cuda.syncthreads()
        if thread < half:
            tile[thread] += tile[thread + half]
        half //= 2
    if thread == 0:
        y[()] = tile[0]
""",
}
SOLUTIONS["bce-forward"] = {
    ".cu": """// launch: bce_forward<<<1, 256>>>(s, t, loss, n)
extern "C" __global__ void bce_forward(const float* s, const float* t, float* loss, int n) {
    __shared__ float tile[256];
    float own = 0;
    for (int i = threadIdx.x; i < n; i += 256) own += fmaxf(s[i], 0) - t[i] * s[i] + log1pf(expf(-fabsf(s[i])));
    tile[threadIdx.x] = own;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) tile[threadIdx.x] += tile[threadIdx.x + half];
    }
    if (threadIdx.x == 0) *loss = tile[0] / n;
}
""",
    ".py": """import math
from numba import cuda, float32
# launch: bce_forward[1, 256](s, t, loss, n)
@cuda.jit
def bce_forward(s, t, loss, n):
    tile = cuda.shared.array(256, float32)
    thread = cuda.threadIdx.x
    own = float32(0)
    for i in range(thread, n, 256):
        own += max(s[i], float32(0)) - t[i] * s[i] + math.log1p(math.exp(-abs(s[i])))
    tile[thread] = own
    half = 128
    while half > 0:
        cuda.syncthreads()
        if thread < half:
            tile[thread] += tile[thread + half]
        half //= 2
    if thread == 0:
        loss[()] = tile[0] / n
""",
}
SOLUTIONS["transpose"] = {
    ".cu": """// launch: transpose<<<dim3((columns + 31) / 32, (rows + 31) / 32), dim3(32, 8)>>>(x, y, rows, columns)
extern "C" __global__ void transpose(const float* x, float* y, int rows, int columns) {
    __shared__ float tile[32][33];
    int lane = threadIdx.x, row0 = blockIdx.y * 32, column0 = blockIdx.x * 32;
    for (int i = threadIdx.y; i < 32; i += 8)
        if (row0 + i < rows && column0 + lane < columns) tile[i][lane] = x[(row0 + i) * columns + column0 + lane];
    __syncthreads();
    for (int i = threadIdx.y; i < 32; i += 8)
        if (column0 + i < columns && row0 + lane < rows) y[(column0 + i) * rows + row0 + lane] = tile[lane][i];
}
""",
    ".py": """from numba import cuda, float32
# launch: transpose[(ceil_div(columns, 32), ceil_div(rows, 32)), (32, 8)](x, y)
@cuda.jit
def transpose(x, y):
    tile = cuda.shared.array((32, 33), float32)
    lane, row0, column0 = cuda.threadIdx.x, cuda.blockIdx.y * 32, cuda.blockIdx.x * 32
    for i in range(cuda.threadIdx.y, 32, 8):
        if row0 + i < x.shape[0] and column0 + lane < x.shape[1]:
            tile[i, lane] = x[row0 + i, column0 + lane]
    cuda.syncthreads()
    for i in range(cuda.threadIdx.y, 32, 8):
        if column0 + i < x.shape[1] and row0 + lane < x.shape[0]:
            y[column0 + i, row0 + lane] = tile[lane, i]
""",
}
SOLUTIONS["batch-norm"] = {
    ".cu": """// launch: batch_norm<<<(channels + 31) / 32, dim3(32, 8)>>>(x, gamma, beta, y, mean, inv_std, rows, channels, eps)
__device__ float total(float (*tile)[32], float own) {
    tile[threadIdx.y][threadIdx.x] = own;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < 8; ++i) sum += tile[i][threadIdx.x];
    __syncthreads();
    return sum;
}
extern "C" __global__ void batch_norm(const float* x, const float* gamma, const float* beta, float* y, float* mean,
                                      float* inv_std, int rows, int channels, float eps) {
    __shared__ float tile[8][32];
    int channel = blockIdx.x * 32 + threadIdx.x, end = channel < channels ? rows : 0;
    float own = 0, squares = 0;
    for (int row = threadIdx.y; row < end; row += 8) own += x[row * channels + channel];
    float mu = total(tile, own) / rows;
    for (int row = threadIdx.y; row < end; row += 8) {
        float d = x[row * channels + channel] - mu;
        squares += d * d;
    }
    float scale = 1 / sqrtf(total(tile, squares) / rows + eps);
    if (channel >= channels) return;
    if (threadIdx.y == 0) mean[channel] = mu, inv_std[channel] = scale;
    float slope = gamma[channel], shift = beta[channel];
    for (int row = threadIdx.y; row < rows; row += 8)
        y[row * channels + channel] = slope * ((x[row * channels + channel] - mu) * scale) + shift;
}
""",
    ".py": """import math
from numba import cuda, float32
@cuda.jit(device=True)
def total(tile, own):
    tile[cuda.threadIdx.y, cuda.threadIdx.x] = own
    cuda.syncthreads()
    found = float32(0)
    for i in range(8):
        found += tile[i, cuda.threadIdx.x]
    cuda.syncthreads()
    return found
# launch: batch_norm[ceil_div(channels, 32), (32, 8)](x, gamma, beta, y, mean, inv_std, eps)
@cuda.jit
def batch_norm(x, gamma, beta, y, mean, inv_std, eps):
    tile = cuda.shared.array((8, 32), float32)
    rows, channels = x.shape
    channel = cuda.blockIdx.x * 32 + cuda.threadIdx.x
    end = rows if channel < channels else 0
    own = float32(0)
    for row in range(cuda.threadIdx.y, end, 8):
        own += x[row, channel]
    mu = total(tile, own) / float32(rows)
    squares = float32(0)
    for row in range(cuda.threadIdx.y, end, 8):
        squares += (x[row, channel] - mu) ** 2
    scale = float32(1) / math.sqrt(total(tile, squares) / float32(rows) + eps)
    if channel < channels:
        if cuda.threadIdx.y == 0:
            mean[channel] = mu
            inv_std[channel] = scale
        slope, shift = gamma[channel], beta[channel]
        for row in range(cuda.threadIdx.y, rows, 8):
            y[row, channel] = slope * ((x[row, channel] - mu) * scale) + shift
""",
}
SOLUTIONS["matmul-tiled"] = {
    ".cu": """// launch: matmul<<<dim3((N + 15) / 16, (M + 15) / 16), dim3(16, 16)>>>(a, b, c, M, N, K)
extern "C" __global__ void matmul(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[16][16], bs[16][16];
    int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 16 + y, column = blockIdx.x * 16 + x;
    float sum = 0;
    for (int k0 = 0; k0 < K; k0 += 16) {
        as[y][x] = row < M && k0 + x < K ? a[row * K + k0 + x] : 0;
        bs[y][x] = k0 + y < K && column < N ? b[(k0 + y) * N + column] : 0;
        __syncthreads();
        for (int k = 0; k < 16; ++k) sum += as[y][k] * bs[k][x];
        __syncthreads();  // before the next tile
    }
    if (row < M && column < N) c[row * N + column] = sum;
}
""",
    ".py": """from numba import cuda, float32
# launch: matmul[(ceil_div(N, 16), ceil_div(M, 16)), (16, 16)](a, b, c)
@cuda.jit
def matmul(a, b, c):
    left = cuda.shared.array((16, 16), float32)
    right = cuda.shared.array((16, 16), float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    row, column = cuda.blockIdx.y * 16 + y, cuda.blockIdx.x * 16 + x
    total = float32(0)
    for k0 in range(0, a.shape[1], 16):
        left[y, x] = a[row, k0 + x] if row < c.shape[0] and k0 + x < a.shape[1] else 0
        right[y, x] = b[k0 + y, column] if k0 + y < b.shape[0] and column < c.shape[1] else 0
        cuda.syncthreads()
        for k in range(16):
            total += left[y, k] * right[k, x]
        cuda.syncthreads()
    if row < c.shape[0] and column < c.shape[1]:
        c[row, column] = total
""",
}
SOLUTIONS["matmul-registers"] = {
    ".cu": """// launch: matmul<<<dim3((N + 31) / 32, (M + 31) / 32), dim3(8, 8)>>>(a, b, c, M, N, K)
extern "C" __global__ void matmul(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[32][8], bs[8][32];
    int x = threadIdx.x, y = threadIdx.y, thread = y * 8 + x, row0 = blockIdx.y * 32, column0 = blockIdx.x * 32;
    float sum[4][4] = {};
    for (int k0 = 0; k0 < K; k0 += 8) {
        for (int i = thread; i < 256; i += 64) {
            int ra = i / 8, ka = i % 8, kb = i / 32, cb = i % 32;
            as[ra][ka] = row0 + ra < M && k0 + ka < K ? a[(row0 + ra) * K + k0 + ka] : 0;
            bs[kb][cb] = k0 + kb < K && column0 + cb < N ? b[(k0 + kb) * N + column0 + cb] : 0;
        }
        __syncthreads();
        for (int k = 0; k < 8; ++k) {
            float fa[4], fb[4];
            for (int i = 0; i < 4; ++i) fa[i] = as[y + 8 * i][k], fb[i] = bs[k][x + 8 * i];
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j) sum[i][j] += fa[i] * fb[j];
        }
        __syncthreads();  // before the next tile
    }
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
            int row = row0 + y + 8 * i, column = column0 + x + 8 * j;
            if (row < M && column < N) c[row * N + column] = sum[i][j];
        }
}
""",
    ".py": """from numba import cuda, float32
# launch: matmul[(ceil_div(N, 32), ceil_div(M, 32)), (8, 8)](a, b, c)
@cuda.jit
def matmul(a, b, c):
    left = cuda.shared.array((32, 8), float32)
    right = cuda.shared.array((8, 32), float32)
    total = cuda.local.array((4, 4), float32)
    fb = cuda.local.array(4, float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    (rows, terms), columns = a.shape, b.shape[1]
    row0, column0 = cuda.blockIdx.y * 32, cuda.blockIdx.x * 32
    for i in range(4):
        for j in range(4):
            total[i, j] = 0
    for k0 in range(0, terms, 8):
        for i in range(y * 8 + x, 256, 64):
            ra, ka, kb, cb = i // 8, i % 8, i // 32, i % 32
            left[ra, ka] = a[row0 + ra, k0 + ka] if row0 + ra < rows and k0 + ka < terms else 0
            right[kb, cb] = b[k0 + kb, column0 + cb] if k0 + kb < terms and column0 + cb < columns else 0
        cuda.syncthreads()
        for k in range(8):
            for j in range(4):
                fb[j] = right[k, x + 8 * j]
            for i in range(4):
                fa = left[y + 8 * i, k]
                for j in range(4):
                    total[i, j] += fa * fb[j]
        cuda.syncthreads()
    for i in range(4):
        for j in range(4):
            row, column = row0 + y + 8 * i, column0 + x + 8 * j
            if row < rows and column < columns:
                c[row, column] = total[i, j]
""",
}
SOLUTIONS["matmul-async"] = {
    ".cu": """// launch: matmul<<<dim3((N + 15) / 16, (M + 15) / 16), dim3(16, 16)>>>(a, b, c, M, N, K)
__device__ void copy_async(float* to, const float* from, bool valid) {
    unsigned address = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(address), "l"(from), "r"(valid ? 4 : 0) : "memory");
}
__device__ void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int running> __device__ void wait_for_groups() { asm volatile("cp.async.wait_group %0;" ::"n"(running) : "memory"); }
extern "C" __global__ void matmul(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[2][16][16], bs[2][16][16];
    int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 16 + y, column = blockIdx.x * 16 + x;
    float sum = 0;
    auto begin = [&](int tile) {
        int stage = tile % 2, k0 = tile * 16;
        if (k0 < K) {
            copy_async(&as[stage][y][x], a + row * K + k0 + x, row < M && k0 + x < K);
            copy_async(&bs[stage][y][x], b + (k0 + y) * N + column, k0 + y < K && column < N);
        }
        end_group();
    };
    begin(0);
    for (int tile = 0; tile * 16 < K; ++tile) {
        begin(tile + 1);
        wait_for_groups<1>();
        __syncthreads();  // all have arrived
        for (int k = 0; k < 16; ++k) sum += as[tile % 2][y][k] * bs[tile % 2][k][x];
        __syncthreads();  // all have read
    }
    if (row < M && column < N) c[row * N + column] = sum;
}
""",
}
SOLUTIONS["conv"] = {
    ".cu": """// launch: conv<<<dim3((C_out + 15) / 16, (images * OH * OW + 15) / 16), dim3(16, 16)>>>(\
x, w, y, images, H, W, C_in, OH, OW, C_out, KH, KW, stride, pad)
extern "C" __global__ void conv(const float* x, const float* w, float* y, int images, int H, int W, int C_in, int OH, int OW,
                                int C_out, int KH, int KW, int stride, int pad) {
    __shared__ float as[16][16], bs[16][16];
    int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * 16 + ty, o = blockIdx.x * 16 + tx;
    int rows = images * OH * OW, terms = KH * KW * C_in;
    int j = row % OW, i = row / OW % OH, n = row / (OH * OW);
    float sum = 0;
    for (int k0 = 0; k0 < terms; k0 += 16) {
        int k = k0 + tx, c = k % C_in, v = k / C_in % KW, u = k / (C_in * KW);
        int h = i * stride + u - pad, q = j * stride + v - pad;
        bool inside = row < rows && k < terms && h >= 0 && h < H && q >= 0 && q < W;
        as[ty][tx] = inside ? x[((n * H + h) * W + q) * C_in + c] : 0;
        bs[ty][tx] = k0 + ty < terms && o < C_out ? w[(k0 + ty) * C_out + o] : 0;
        __syncthreads();
        for (int t = 0; t < 16; ++t) sum += as[ty][t] * bs[t][tx];
        __syncthreads();  // before the next tile
    }
    if (row < rows && o < C_out) y[row * C_out + o] = sum;
}
""",
    ".py": """from numba import cuda, float32
# launch: conv[(ceil_div(C_out, 16), ceil_div(images * OH * OW, 16)), (16, 16)](x, w, y, stride, pad)
@cuda.jit
def conv(x, w, y, stride, pad):
    left = cuda.shared.array((16, 16), float32)
    right = cuda.shared.array((16, 16), float32)
    images, height, width, c_in = x.shape
    kh, kw = w.shape[0], w.shape[1]
    oh, ow, c_out = y.shape[1], y.shape[2], y.shape[3]
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    row, o = cuda.blockIdx.y * 16 + ty, cuda.blockIdx.x * 16 + tx
    rows, terms = images * oh * ow, kh * kw * c_in
    n, i, j = row // (oh * ow), row // ow % oh, row % ow
    total = float32(0)
    for k0 in range(0, terms, 16):
        k = k0 + tx
        h, q = i * stride + k // c_in // kw - pad, j * stride + k // c_in % kw - pad
        inside = row < rows and k < terms and 0 <= h < height and 0 <= q < width
        left[ty, tx] = x[n, h, q, k % c_in] if inside else 0
        k = k0 + ty
        right[ty, tx] = w[k // c_in // kw, k // c_in % kw, k % c_in, o] if k < terms and o < c_out else 0
        cuda.syncthreads()
        for t in range(16):
            total += left[ty, t] * right[t, tx]
        cuda.syncthreads()
    if row < rows and o < c_out:
        y[n, i, j, o] = total
""",
}

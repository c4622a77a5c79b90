"""Wrong answers to the puzzles: (name, suffix, what is wrong, words that the judge has to say to it).

What is wrong is a text of its own, or a mistake planted in the solution: pieces of its text, each with what stands there instead.
"""

from puzzle_answers import SOLUTIONS

ALONE = """// launch: sum<<<1, 256>>>(x, y, n)
extern "C" __global__ void sum(const float* x, float* y, int n) {
    float own = 0;
    if (threadIdx.x == 0) for (int i = 0; i < n; ++i) own += x[i];
    if (threadIdx.x == 0) *y = own;
}
"""
ATOMIC = """// launch: sum<<<1, 256>>>(x, y, n)
extern "C" __global__ void sum(const float* x, float* y, int n) {
    __shared__ float total;
    if (threadIdx.x == 0) total = 0;
    __syncthreads();
    float own = 0;
    for (int i = threadIdx.x; i < n; i += 256) own += x[i];
    atomicAdd(&total, own);
    __syncthreads();
    if (threadIdx.x == 0) *y = total;
}
"""
NAIVE = """// launch: transpose<<<dim3((columns + 31) / 32, (rows + 31) / 32), dim3(32, 8)>>>(x, y, rows, columns)
extern "C" __global__ void transpose(const float* x, float* y, int rows, int columns) {
    int column = blockIdx.x * 32 + threadIdx.x;
    for (int row = blockIdx.y * 32 + threadIdx.y; row < min(rows, (int)blockIdx.y * 32 + 32); row += 8)
        if (column < columns) y[column * rows + row] = x[row * columns + column];
}
"""
DOWN_THE_ROWS = """// launch: batch_norm<<<channels, 32>>>(x, gamma, beta, y, mean, inv_std, rows, channels, eps)
__device__ float total(float own) {
    for (int step = 16; step > 0; step /= 2) own += __shfl_xor_sync(0xffffffff, own, step);
    return own;
}
extern "C" __global__ void batch_norm(const float* x, const float* gamma, const float* beta, float* y, float* mean,
                                      float* inv_std, int rows, int channels, float eps) {
    int c = blockIdx.x;
    float mu = 0, var = 0, slope = gamma[c], shift = beta[c];
    for (int r = threadIdx.x; r < rows; r += 32) mu += x[r * channels + c];
    mu = total(mu) / rows;
    for (int r = threadIdx.x; r < rows; r += 32) var += (x[r * channels + c] - mu) * (x[r * channels + c] - mu);
    float scale = 1 / sqrtf(total(var) / rows + eps);
    if (threadIdx.x == 0) mean[c] = mu, inv_std[c] = scale;
    for (int r = threadIdx.x; r < rows; r += 32) y[r * channels + c] = slope * (x[r * channels + c] - mu) * scale + shift;
}
"""
STABLE = "fmaxf(s[i], 0) - t[i] * s[i] + log1pf(expf(-fabsf(s[i])))"
ACROSS = """// launch: matmul<<<dim3((M + 15) / 16, (N + 15) / 16), dim3(16, 16)>>>(a, b, c, M, N, K)
extern "C" __global__ void matmul(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[16][17], bs[16][17];
    int x = threadIdx.x, y = threadIdx.y, row = blockIdx.x * 16 + x, column = blockIdx.y * 16 + y;
    float sum = 0;
    for (int k0 = 0; k0 < K; k0 += 16) {
        as[y][x] = row < M && k0 + y < K ? a[row * K + k0 + y] : 0;
        bs[y][x] = k0 + x < K && column < N ? b[(k0 + x) * N + column] : 0;
        __syncthreads();
        for (int k = 0; k < 16; ++k) sum += as[k][x] * bs[y][k];
        __syncthreads();
    }
    if (row < M && column < N) c[row * N + column] = sum;
}
"""
BY_COLUMNS = """// launch: bias_act<<<dim3((channels + 31) / 32, (rows + 31) / 32), dim3(32, 8)>>>(x, b, y, rows, channels, slope)
extern "C" __global__ void bias_act(const float* x, const float* b, float* y, int rows, int channels, float slope) {
    __shared__ float tile[32];
    int lane = threadIdx.x, row = blockIdx.y * 32 + lane;
    if (threadIdx.y == 0 && blockIdx.x * 32 + lane < channels) tile[lane] = b[blockIdx.x * 32 + lane];
    __syncthreads();
    for (int i = threadIdx.y; i < 32; i += 8) {
        int channel = blockIdx.x * 32 + i;
        if (row < rows && channel < channels) {
            float s = x[row * channels + channel] + tile[i];
            y[row * channels + channel] = s > 0 ? s : slope * s;
        }
    }
}
"""
IN_PIECES = """// launch: leaky_grad<<<2, 128>>>(g, y, dx, slope, n)
extern "C" __global__ void leaky_grad(const float* g, const float* y, float* dx, float slope, int n) {
    int part = (n + 255) / 256, first = part * (blockIdx.x * 128 + threadIdx.x);
    for (int i = first; i < first + part && i < n; ++i) dx[i] = y[i] > 0 ? g[i] : slope * g[i];
}
"""
CU, PY = ".cu", ".py"
NAMED = "int rows, int channels, float slope) {"
WRONG = [
    ("bias-act", CU, [("__syncthreads();", "")], ["racecheck", "one is missing"]),
    ("bias-act", CU, [("row < rows &&", "row <= rows &&")], ["memcheck", "runs out of"]),
    ("bias-act", CU, [("+ tile[threadIdx.x]", "")], ["the bias is not added"]),
    ("bias-act", CU, [("slope * s;", "0;")], ["that is ReLU"]),
    ("bias-act", CU, [("s > 0 ? s : slope * s", "s")], ["the activation is missing"]),
    ("bias-act", CU, [("s > 0 ? s : slope * s", "s > 0 ? slope * s : s")], ["the two sides are swapped"]),
    ("bias-act", CU, [(NAMED, "int, int, float slope) { const int rows = 32, channels = 32;")],
     ["numbers right at 0 x 3; 1 x 1; 32 x 32\nnumbers wrong at 31 x 33", "a size written into the code"]),
    ("bias-act", CU, [("+ tile[threadIdx.x]", "+ b[channel]")], ["the numbers are right, and 2 numbers are read", "into the tile"]),
    ("bias-act", CU, BY_COLUMNS, ["numbers are right, and line", "32 sectors a request, and 4 would do", "run along the rows"]),
    ("bias-act", CU, [("slope * s;", "0.2f * s;")], ["numbers wrong at 65 x 40, slope 0.3"]),
    ("leaky-grad", CU, [("i += gridDim.x * blockDim.x", "i += n")], ["at n = 257: dx", "no thread has written it"]),
    ("leaky-grad", CU, [("> 0 ?", ">= 0 ?")], ["compare by >, not by >="]),
    ("leaky-grad", CU, [("slope * g[i]", "0")], ["that is the derivative of ReLU"]),
    ("leaky-grad", CU, [("g[i] : slope * g[i]", "1 : slope")], ["the chain rule wants it times g"]),
    ("leaky-grad", CU, [("y[i] > 0", "g[i] > 0")], ["the sign is that of g"]),
    ("leaky-grad", CU, [("slope * g[i]", "0.2f * g[i]")], ["it is not dL/dx of leaky ReLU"]),
    ("leaky-grad", CU, [("<<<2, 128>>>", "<<<(n + 127) / 128, 128>>>")], ["64 warps are launched", "leave the launch"]),
    ("leaky-grad", CU, IN_PIECES, ["32 sectors a request", "not a piece for each thread"]),
    ("leaky-grad", PY, [("cuda.gridsize(1)", "cuda.gridsize(1) + 1")], ["no thread has written"]),
    ("adam", CU, [("if (i < n)", "if (i <= n)")], ["memcheck", "runs out of"]),
    ("adam", CU, [("mi / correct1", "mi"), ("vi / correct2", "vi")], ["the corrections are missing"]),
    ("adam", CU, [("sqrtf(vi / correct2) + eps", "sqrtf(vi / correct2 + eps)")], ["eps stands inside the root"]),
    ("adam", CU, [("theta[i] += rate", "theta[i] -= rate")], ["the sign is wrong"]),
    ("adam", CU, [("* g[i] * g[i]", "* g[i]")], ["v is to average g^2"]),
    ("adam", CU, [("beta1 * m[i] + (1 - beta1)", "beta2 * m[i] + (1 - beta2)"),
                  ("beta2 * v[i] + (1 - beta2)", "beta1 * v[i] + (1 - beta1)")], ["beta1 and beta2 are swapped"]),
    ("adam", CU, [("(mi / correct1) / (sqrtf(vi", "(m[i] / correct1) / (sqrtf(v[i]")], ["by the old m and v"]),
    ("adam", CU, [("float mi =", "m[i] = beta1 * m[i]; float mi ="), ("beta1 * m[i] + (1", "m[i] + (1")],
     ["written to global memory"]),
    ("adam", CU, [("int i = blockIdx.x * blockDim.x + threadIdx.x;", "int i = threadIdx.x * gridDim.x + blockIdx.x;")],
     ["16 sectors a request", "run along the rows"]),
    ("adam", CU, [("+ eps)", "+ 1e-4f)")], ["numbers wrong at n = 257, t = 7, betas 0.75 and 0.9375, eps 0.01"]),
    ("adam", PY, [("1 - beta2", "1 - beta1")], ["numbers wrong at"]),
    ("bce-backward", CU, [(") / n;", ");")], ["the mean is lost"]),
    ("bce-backward", CU, [("((1 - t[i]) * p - t[i] * q)", "(p - t[i])")], ["has lost its digits", "sigmoid(-s)"]),
    ("bce-backward", CU, [("((1 - t[i]) * p - t[i] * q)", "(expf(s[i]) / (1 + expf(s[i])) - t[i])")], ["infinity is NaN"]),
    ("bce-backward", CU, [("(1 - t[i]) * p - t[i] * q", "t[i] * q - (1 - t[i]) * p")], ["the sign is wrong"]),
    ("bce-backward", CU, [("(1 - t[i]) * p - t[i] * q", "t[i] * p - (1 - t[i]) * q")], ["the labels are swapped"]),
    ("bce-backward", CU, [(", int n) {", ", int) { const int n = 256;")], ["a size written into the code"]),
    ("bce-backward", CU, [("blockIdx.x * blockDim.x + threadIdx.x", "threadIdx.x * gridDim.x + blockIdx.x")],
     ["16 sectors a request"]),
    ("bce-backward", PY, [("/ s.size", "")], ["the mean is lost"]),
    ("sum", CU, [("        __syncthreads();\n", "")], ["racecheck", "one is missing"]),
    ("sum", CU, [("i < n;", "i < n / 256 * 256;")], ["no whole round of 256"]),
    ("sum", CU, [("i < n;", "i < n && i < 1024;")], ["n = 1000\nnumbers wrong at n = 4096"]),
    ("sum", CU, [("half = 128", "half = 64")], ["the upper half of the tile is left out"]),
    ("sum", CU, [("if (threadIdx.x < half) tile[threadIdx.x] += tile[threadIdx.x + half];",
                  "if (threadIdx.x < half) { __syncthreads(); tile[threadIdx.x] += tile[threadIdx.x + half]; }")],
     ["the same barrier"]),
    ("sum", CU, [("int half = 128; half > 0; half /= 2", "int step = 1; step < 256; step *= 2"),
                 ("if (threadIdx.x < half) tile[threadIdx.x] += tile[threadIdx.x + half];",
                  "int i = 2 * step * threadIdx.x; if (i < 256) tile[i] += tile[i + step];")],
     ["the numbers are right, and line", "conflicts", "half a tile further"]),
    ("sum", CU, [("<<<1, 256>>>", "<<<2, 256>>>")], ["16 warps are launched, and 8 have to do"]),
    ("sum", CU, [("const float* x", "float* x"), ("float own = 0;", "float own = 0; if (n) x[0] = 1;")],
     ["write of 4 bytes to a read-only array", "an input is to stay as it is"]),
    ("sum", CU, ALONE, ["the numbers are right, and", "instructions are executed for each 32 inputs"]),
    ("sum", CU, ATOMIC, ["numbers are changed atomically in shared memory", "always adds in the same order"]),
    ("sum", CU, [("float* y, int n) {", "float* y, int) { const int n = 256;")],
     ["n = 257; n = 1000", "a size written into the code"]),
    ("bce-forward", CU, [("tile[0] / n", "tile[0]")], ["the terms are summed"]),
    ("bce-forward", CU, [("- t[i] * s[i]", "- (1 - t[i]) * s[i]")], ["the labels are swapped"]),
    ("bce-forward", CU, [(STABLE, "t[i] * logf(1 + expf(-s[i])) + (1 - t[i]) * logf(1 + expf(s[i]))")],
     ["infinite or NaN at large logits"]),
    ("bce-forward", CU, [(STABLE, "-t[i] * logf(1 / (1 + expf(-s[i]))) - (1 - t[i]) * logf(1 - 1 / (1 + expf(-s[i])))")],
     ["sigmoid(s) is rounded to 0 or 1"]),
    ("bce-forward", CU, [(STABLE, "-t[i] * logf(1e-8f + 1 / (1 + expf(-s[i]))) - (1 - t[i]) * logf(1e-8f + 1 / (1 + expf(s[i])))")],
     ["a small number added"]),
    ("bce-forward", CU, [(STABLE, "t[i] * (fmaxf(-s[i], 0) + log1pf(expf(-fabsf(s[i]))))")], ["the part of the fakes"]),
    ("bce-forward", CU, [("int i = threadIdx.x; i < n; i += 256", "int i = n / 256 * threadIdx.x + min(n % 256, threadIdx.x), e ="
                          " n / 256 * (threadIdx.x + 1) + min(n % 256, threadIdx.x + 1); i < e; ++i")], ["sectors a request"]),
    ("transpose", CU, [("    __syncthreads();\n", "")], ["racecheck", "one is missing"]),
    ("transpose", CU, [("[32][33]", "[32][32]")], ["31 conflicts", "tile[32][33]"]),
    ("transpose", CU, NAIVE, ["32 sectors a request, and 4 would do", "turn the tile in shared memory"]),
    ("transpose", CU, [("= tile[lane][i]", "= tile[i][lane]")], ["is not turned itself"]),
    ("transpose", CU, [("y[(column0 + i) * rows + row0 + lane]", "y[(column0 + i) * columns + row0 + lane]")],
     ["numbers right at 0 x 3; 1 x 1; 32 x 32"]),
    ("transpose", CU, [("int rows, int columns) {", "int, int) { const int rows = 32, columns = 32;")],
     ["a size written into the code"]),
    ("transpose", PY, [("(32, 33)", "(32, 32)")], ["31 conflicts"]),
    ("batch-norm", CU, [("    __syncthreads();\n    float", "    float")], ["racecheck", "one is missing"]),
    ("batch-norm", CU, [(" / rows + eps", " / rows + 1e-2f")], ["numbers wrong at 41 x 5, eps 0.5"]),
    ("batch-norm", CU, [("squares) / rows", "squares) / (rows - 1)")], ["the biased one"]),
    ("batch-norm", CU, [(" / rows + eps", " / rows")], ["eps is missing"]),
    ("batch-norm", CU, [("1 / sqrtf(", "sqrtf(")], ["the std, not its inverse"]),
    ("batch-norm", CU, [(" + shift;", ";")], ["beta is not added"]),
    ("batch-norm", CU, [("float d = x[row * channels + channel] - mu;\n        squares += d * d",
                         "float d = x[row * channels + channel];\n        squares += d * d"),
                        ("squares) / rows + eps", "squares) / rows - mu * mu + eps")], ["numbers wrong at 24 x 3, mean 200"]),
    ("batch-norm", CU, [("int rows, int channels, float eps) {", "int rows, int, float eps) { const int channels = 32;")],
     ["a size written into the code"]),
    ("batch-norm", CU, DOWN_THE_ROWS, ["sectors a request"]),
    ("matmul-tiled", CU, [("        __syncthreads();  // before the next tile\n", "")], ["racecheck"]),
    ("matmul-tiled", CU, [("k0 < K;", "k0 + 16 <= K;")], ["no multiple of 16, the rest is left out"]),
    ("matmul-tiled", CU, [("        as[y][x]", "        sum = 0; as[y][x]")], ["it begins anew with each tile"]),
    ("matmul-tiled", CU, [("a[row * K + k0 + x]", "a[(k0 + x) * M + row]")], ["A is read as if it were stored by columns"]),
    ("matmul-tiled", CU, [("as[y][k] * bs[k][x]", "a[row * K + k0 + k] * bs[k][x]"), ("for (int k = 0; k < 16; ++k)",
                          "for (int k = 0; k < 16 && row < M && k0 + k < K; ++k)")], ["for each output, and 4 would do"]),
    ("matmul-tiled", CU, [("int M, int N, int K) {", "int M, int N, int) { const int K = 16;")], ["16x16 @ 16x16"]),
    ("matmul-tiled", CU, ACROSS, ["sectors a request", "run along the rows"]),
    ("matmul-registers", CU, [("        __syncthreads();  // before the next tile\n", "")], ["racecheck"]),
    ("matmul-registers", CU, [("as[y + 8 * i][k]", "as[4 * y + i][k]"), ("row0 + y + 8 * i", "row0 + 4 * y + i")],
     ["the numbers are right, and line", "(3 conflicts)", "rows y + 8 i"]),
    ("matmul-registers", CU, [("fb[i] = bs[k][x + 8 * i]", "fb[i] = bs[k][x + 4 * i]")], ["numbers wrong at"]),
    ("matmul-registers", CU, [("int M, int N, int K) {", "int M, int N, int) { const int K = 8;")], ["32x8 @ 8x32"]),
    ("matmul-registers", CU, SOLUTIONS["matmul-tiled"][CU],
     ["numbers are read from shared memory for each multiply-add", "use each of them four times"]),
    ("matmul-async", CU, [("wait_for_groups<1>()", "wait_for_groups<0>()")],
     ["no copy is under way", "before waiting for this one's"]),
    ("matmul-async", CU, [("wait_for_groups<1>()", "end_group(), wait_for_groups<1>()")], ["no copy is under way"]),
    ("matmul-async", CU, [("        wait_for_groups<1>();\n", "")], ["has not waited for it"]),
    ("matmul-async", CU, [("        __syncthreads();  // all have arrived\n", "")], ["racecheck"]),
    ("matmul-async", CU, [("        __syncthreads();  // all have read\n", "")], ["racecheck"]),
    ("matmul-async", CU, [("copy_async(&as[stage][y][x], a + row * K + k0 + x, row < M && k0 + x < K);",
                           "as[stage][y][x] = row < M && k0 + x < K ? a[row * K + k0 + x] : 0;"),
                          ("copy_async(&bs[stage][y][x], b + (k0 + y) * N + column, k0 + y < K && column < N);",
                           "bs[stage][y][x] = k0 + y < K && column < N ? b[(k0 + y) * N + column] : 0;")],
     ["no cp.async is executed"]),
    ("matmul-async", CU, [("int M, int N, int K) {", "int M, int N, int) { const int K = 16;")], ["16x16 @ 16x16"]),
    ("conv", CU, [("        __syncthreads();  // before the next tile\n", "")], ["racecheck"]),
    ("conv", CU, [("as[ty][tx] = inside ?", "as[ty][tx] = row < rows && k < terms ?")], ["memcheck"]),
    ("conv", CU, [("i * stride + u - pad, q = j * stride + v - pad", "i * stride + u, q = j * stride + v")],
     ["pad is not subtracted"]),
    ("conv", CU, [("i * stride + u - pad, q = j * stride + v - pad", "i + u - pad, q = j + v - pad")], ["the stride is missing"]),
    ("conv", CU, [("w[(k0 + ty) * C_out + o]", "w[((KH * KW - 1 - (k0 + ty) / C_in) * C_in + (k0 + ty) % C_in) * C_out + o]")],
     ["the filter is turned over"]),
    ("conv", CU, [("row % OW, i = row / OW % OH", "row % OH, i = row / OH % OW")], ["numbers wrong at"]),
    ("conv", CU, [("as[ty][t] * bs[t][tx]", "as[ty][t] * (o < C_out && k0 + t < terms ? w[(k0 + t) * C_out + o] : 0)")],
     ["numbers are read from global memory for each output", "each filter once"]),
    ("conv", CU, [("int KH, int KW, int stride, int pad) {", "int, int, int stride, int pad) { const int KH = 3, KW = 3;")],
     ["numbers wrong at"]),
]  # fmt: skip

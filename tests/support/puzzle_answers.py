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

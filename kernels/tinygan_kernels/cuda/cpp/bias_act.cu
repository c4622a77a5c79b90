// Bias and activation in one pass, and their gradient from the output alone. x, y, g, dx (rows, C), b and db (C,).
// Fused, a layer's output is read and written once: 8 bytes an element, where an addition and an activation of their own take 16.

enum Activation { LINEAR, LEAKY_RELU, TANH, SIGMOID };  // in the order of shapes.ACTIVATIONS

template <typename T>
__device__ __forceinline__ T activate(T s, int act, T slope) {
    if (act == LEAKY_RELU) return s > 0 ? s : slope == 0 && s == s ? slope : slope * s;  // 0 * -inf would be NaN
    if (act == TANH) return tanh(s);
    if (act != SIGMOID) return s;
    T e = exp(-fabs(s));  // at most 1, so nothing overflows
    return (s >= 0 ? T(1) : e) / (1 + e);
}

// g act'(x + b), computed from y = act(x + b) alone: y > 0 exactly where x + b > 0.
template <typename T>
__device__ __forceinline__ T times_slope(T g, T y, int act, T slope) {
    if (act == LEAKY_RELU) return y > 0 ? g : slope == 0 ? slope : g * slope;  // 0 times an infinite g would be NaN
    if (act == TANH) return g * (1 - y * y);
    return act == SIGMOID ? g * (y * (1 - y)) : g;
}

// One thread an element; x and y may be the same memory.
template <typename T>
__device__ void forward(const T* x, const T* b, T* y, int size, int channels, int act, T slope) {
    unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < size) y[at] = activate(x[at] + b[at % channels], act, slope);
}

// A block takes 32 channels (one a lane, so requests are coalesced) of `share` rows, 8 at a time. Its sums of dx go to
// partial[part]; with one part that is db itself, otherwise sum_parts adds the parts in order: the same bits in every run.
// Hurts: an image of 3 channels leaves 29 of 32 lanes idle.
template <typename T>
__device__ void backward(const T* g, const T* y, T* dx, T* partial, int rows, int channels, int act, T slope, int share) {
    __shared__ T sums[8][33];
    int strips = (channels + 31) / 32, part = blockIdx.x / strips;
    int lane = threadIdx.x, line = threadIdx.y, channel = blockIdx.x % strips * 32 + lane;
    T sum = 0;
    if (channel < channels)
        for (long long row = (long long)part * share + line; row < min((long long)rows, (long long)(part + 1) * share); row += 8) {
            long long at = row * channels + channel;
            T d = times_slope(g[at], y[at], act, slope);
            dx[at] = d;
            sum += d;
        }
    sums[line][lane] = sum;
    __syncthreads();
    if (line > 0 || channel >= channels) return;
    for (int other = 1; other < 8; ++other) sum += sums[other][lane];
    partial[(long long)part * channels + channel] = sum;
}

template <typename T>
__device__ void sum_parts(const T* partial, T* db, int channels, int parts) {
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= channels) return;
    T sum = 0;
    for (int part = 0; part < parts; ++part) sum += partial[(long long)part * channels + channel];
    db[channel] = sum;
}

#define INSTANCES(suffix, T)                                                                                                      \
    extern "C" __global__ void bias_act_v1_##suffix(const T* x, const T* b, T* y, int size, int channels, int act, T slope) {     \
        forward(x, b, y, size, channels, act, slope);                                                                             \
    }                                                                                                                             \
    extern "C" __global__ void bias_act_grad_v1_##suffix(const T* g, const T* y, T* dx, T* partial, int rows, int channels,       \
                                                         int act, T slope, int share) {                                           \
        backward(g, y, dx, partial, rows, channels, act, slope, share);                                                           \
    }                                                                                                                             \
    extern "C" __global__ void bias_act_grad_v1_sum_##suffix(const T* partial, T* db, int channels, int parts) {                  \
        sum_parts(partial, db, channels, parts);                                                                                  \
    }
INSTANCES(f32, float)
INSTANCES(f64, double)

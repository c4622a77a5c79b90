// Adam (Kingma and Ba 2015, Algorithm 1) over one flat buffer of parameters, with the sign of the step in sight: +1 ascends, -1
// descends. Rate and step count are read from memory, so that a captured launch sees their new values when it is replayed.
// Fused, a parameter costs 28 bytes (four numbers read, three written), against 120 as a dozen array operations.

// One thread: count the step, and work out what all parameters share, in double as 1 - beta^t cancels for beta near 1.
template <typename T>
__device__ void begin(const T* rate, T* t, T* factors, int sign, double beta1, double beta2) {
    double steps = (double)*t + 1;
    *t = (T)steps;
    factors[0] = (T)(sign * (double)*rate / (1 - pow(beta1, steps)));
    factors[1] = (T)(1 / (1 - pow(beta2, steps)));
}

template <typename T>
__device__ void update(const T* g, T* theta, T* m, T* v, const T* factors, T beta1, T rest1, T beta2, T rest2, T eps, int size) {
    unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= size) return;
    T slope = g[at], m_new = beta1 * m[at] + rest1 * slope, v_new = beta2 * v[at] + rest2 * slope * slope;
    m[at] = m_new;
    v[at] = v_new;
    theta[at] += factors[0] * m_new / (sqrt(v_new * factors[1]) + eps);
}

#define INSTANCES(suffix, T)                                                                                                      \
    extern "C" __global__ void adam_v1_begin_##suffix(const T* rate, T* t, T* factors, int sign, double beta1, double beta2) {    \
        begin(rate, t, factors, sign, beta1, beta2);                                                                              \
    }                                                                                                                             \
    extern "C" __global__ void adam_v1_##suffix(const T* g, T* theta, T* m, T* v, const T* factors, T beta1, T rest1, T beta2,    \
                                                T rest2, T eps, int size) {                                                       \
        update(g, theta, m, v, factors, beta1, rest1, beta2, rest2, eps, size);                                                   \
    }
INSTANCES(f32, float)
INSTANCES(f64, double)

// The game's loss and its gradient, from logits s and labels t, n of each:
//   loss = mean of t softplus(-s) + (1-t) softplus(s)        ds = ((1-t) sigmoid(s) - t sigmoid(-s)) / n
// With e = exp(-|s|) <= 1 nothing overflows: softplus(s) = max(s, 0) + log1p(e), sigmoid(s) = (s >= 0 ? 1 : e) / (1 + e).
// Sums are taken in one fixed order, so that the same logits give the same loss, bit for bit, in every run.

template <typename T>
struct Term {
    T loss, slope;
};

template <typename T>
__device__ __forceinline__ Term<T> term_of(T s, T t) {
    T e = exp(-fabs(s)), one = 1, zero = 0, hard = (one - t) * fmax(s, zero) + t * fmax(-s, zero);
    T rising = (one - t) * (s >= 0 ? one : e) - t * (s >= 0 ? e : one);
    return {s == s ? hard + log1p(e) : s, s == s ? rising / (one + e) : s};  // fmax would swallow a NaN
}

// ---- 1: two passes ------------------------------------------------------------------------------------------------------------
// One kernel writes every loss term and slope; a second adds up the terms with one block, in a tree over shared memory.
// Hurts: the terms go to global memory and back (20 bytes an element, of which 8 are in vain), the tree meets a barrier at
// each of its 8 levels with half of the threads idle at the first and 255 of 256 at the last, and there are two launches.

template <typename T>
__device__ void two_pass_terms(const T* s, const T* t, T* terms, T* ds, int n) {
    unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= n) return;
    Term<T> term = term_of(s[at], t[at]);
    terms[at] = term.loss;
    ds[at] = term.slope / n;
}

template <typename T>
__device__ void two_pass_mean(const T* terms, T* loss, int n) {
    __shared__ T sums[256];
    T sum = 0;
    for (int at = threadIdx.x; at < n; at += 256) sum += terms[at];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) *loss = sums[0] / n;
}

// ---- 2: one pass, warp shuffles -------------------------------------------------------------------------------------------------
// Changed: slopes are written and terms added up in the same kernel: within a warp by shuffles, which need neither shared memory
// nor barriers, then over the block's 8 warps, then over blocks by whichever block finishes last. Helps: 12 bytes an element
// instead of 20, 3 barriers instead of 9, one launch.
// Hurts: blocks meet at one ticket; for few logits (a GAN's batch) the launch itself is what takes the time.

template <typename T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
    for (int apart = 16; apart > 0; apart /= 2) value += __shfl_down_sync(0xffffffffu, value, apart);
    return value;  // lane 0's is the sum
}

// The sum over a block of 256 threads, right in thread 0.
template <typename T>
__device__ __forceinline__ T block_sum(T value) {
    __shared__ T sums[8];
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
    __syncthreads();
    value = threadIdx.x < 8 ? sums[threadIdx.x] : T(0);
    __syncthreads();
    return threadIdx.x < 32 ? warp_sum(value) : T(0);
}

// Atomic, as other blocks read it in the same launch.
__device__ __forceinline__ void publish(float* to, float value) { atomicExch(to, value); }
__device__ __forceinline__ void publish(double* to, double value) {
    atomicExch(reinterpret_cast<unsigned long long*>(to), (unsigned long long)__double_as_longlong(value));
}

// True in all threads of the block that comes last. atomicInc wraps round to 0, ready for the next launch.
__device__ __forceinline__ bool comes_last(unsigned* ticket) {
    __shared__ bool last;
    if (threadIdx.x == 0) {
        __threadfence();  // the partial sum is seen before the ticket is
        last = atomicInc(ticket, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    return last;
}

// partials: one a block; ticket: 0 at first and again afterwards.
template <typename T>
__device__ void one_pass(const T* s, const T* t, T* loss, T* ds, T* partials, unsigned* ticket, int n) {
    T sum = 0;
    for (long long at = blockIdx.x * 256 + threadIdx.x; at < n; at += gridDim.x * 256) {
        Term<T> term = term_of(s[at], t[at]);
        ds[at] = term.slope / n;
        sum += term.loss;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) publish(&partials[blockIdx.x], sum);
    if (!comes_last(ticket)) return;
    sum = 0;
    for (int block = threadIdx.x; block < gridDim.x; block += 256) sum += *(volatile T*)&partials[block];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *loss = sum / n;
}

#define INSTANCES(suffix, T)                                                                                                      \
    extern "C" __global__ void bce_logits_v1_terms_##suffix(const T* s, const T* t, T* terms, T* ds, int n) {                     \
        two_pass_terms(s, t, terms, ds, n);                                                                                       \
    }                                                                                                                             \
    extern "C" __global__ void __launch_bounds__(256) bce_logits_v1_mean_##suffix(const T* terms, T* loss, int n) {               \
        two_pass_mean(terms, loss, n);                                                                                            \
    }                                                                                                                             \
    extern "C" __global__ void __launch_bounds__(256)                                                                             \
        bce_logits_v2_##suffix(const T* s, const T* t, T* loss, T* ds, T* partials, unsigned* ticket, int n) {                    \
        one_pass(s, t, loss, ds, partials, ticket, n);                                                                            \
    }
INSTANCES(f32, float)
INSTANCES(f64, double)

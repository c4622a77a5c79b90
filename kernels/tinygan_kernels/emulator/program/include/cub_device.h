// cub's device-wide algorithms under their names, as host code over the device's memory, one element after the other. A first call,
// without temporary storage, says how much of it is needed, as in cub. Sums of floating-point numbers are rounded in this order; as
// in cub, an operator's result has the type that it returns, so that a sum of bytes is one of ints.
#pragma once
#include <cub/util_type.cuh>
#include <algorithm>
#include <device_scope.h>
#include <utility>
#include <vector>
extern "C" cudaError_t host_cudaNotCaptured(cudaStream_t stream);  // an error where a graph is made of what the stream is given
namespace cub {
// Returns true where a call only asks for the size of its temporary storage.
inline bool host_asks(void* storage, size_t& bytes) {
    if (storage == nullptr) bytes = 256;
    return storage == nullptr;
}
#define HOST_BEGIN                                                                                                                   \
    if (host_asks(storage, bytes)) return cudaSuccess;                                                                              \
    if (host_cudaNotCaptured(stream) != cudaSuccess) return cudaErrorStreamCaptureUnsupported;                                       \
    HOST_DEVICE_SCOPE
template <class I> using host_value = cuda::std::decay_t<decltype(*cuda::std::declval<I&>())>;
template <class F, class T, class I> using host_total = cuda::std::decay_t<decltype(cuda::std::declval<F&>()(cuda::std::declval<T>(), *cuda::std::declval<I&>()))>;
struct host_sum { template <class T, class U> auto operator()(T a, U b) const { return a + b; } };
// What an output iterator takes; for one that does not say it (void), what the input has.
template <class O, class I> using host_output_value = cuda::std::conditional_t<cuda::std::is_void<typename cuda::std::iterator_traits<O>::value_type>::value, host_value<I>, typename cuda::std::iterator_traits<O>::value_type>;

struct DeviceReduce {
    template <class I, class O, class F, class T>
    static cudaError_t Reduce(void* storage, size_t& bytes, I in, O out, long n, F f, T first, cudaStream_t stream = 0) {
        HOST_BEGIN
        host_total<F, T, I> total = first;
        for (long i = 0; i < n; i++) total = f(total, in[i]);
        *out = total;
        return cudaSuccess;
    }
    template <class I, class O> static cudaError_t Sum(void* storage, size_t& bytes, I in, O out, long n, cudaStream_t stream = 0) {
        return Reduce(storage, bytes, in, out, n, host_sum(), host_output_value<O, I>(), stream);
    }
    template <class I, class O> static cudaError_t Min(void* storage, size_t& bytes, I in, O out, long n, cudaStream_t stream = 0) {
        typedef host_value<I> T;
        return Reduce(storage, bytes, in, out, n, [](T a, T b) { return b < a ? b : a; }, cuda::std::numeric_limits<T>::max(), stream);
    }
    template <class I, class O> static cudaError_t Max(void* storage, size_t& bytes, I in, O out, long n, cudaStream_t stream = 0) {
        typedef host_value<I> T;
        return Reduce(storage, bytes, in, out, n, [](T a, T b) { return a < b ? b : a; }, cuda::std::numeric_limits<T>::lowest(), stream);
    }
};

struct DeviceScan {
    template <class I, class O, class F, class T>
    static cudaError_t ExclusiveScan(void* storage, size_t& bytes, I in, O out, F f, T first, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        host_total<F, T, I> total = first;
        for (long i = 0; i < n; i++) {
            host_total<F, T, I> next = f(total, in[i]);  // in and out may be the same
            out[i] = total;
            total = next;
        }
        return cudaSuccess;
    }
    template <class I, class O, class F>
    static cudaError_t InclusiveScan(void* storage, size_t& bytes, I in, O out, F f, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        if (n <= 0) return cudaSuccess;
        host_total<F, host_value<I>, I> total = in[0];
        out[0] = total;
        for (long i = 1; i < n; i++) out[i] = total = f(total, in[i]);
        return cudaSuccess;
    }
    template <class I, class O> static cudaError_t ExclusiveSum(void* storage, size_t& bytes, I in, O out, long n, cudaStream_t stream = 0) {
        return ExclusiveScan(storage, bytes, in, out, host_sum(), host_value<I>(), n, stream);
    }
    template <class I, class O> static cudaError_t InclusiveSum(void* storage, size_t& bytes, I in, O out, long n, cudaStream_t stream = 0) {
        return InclusiveScan(storage, bytes, in, out, host_sum(), n, stream);
    }
};

class DeviceRadixSort {
    template <class K> static unsigned long long digits(K key, int begin, int end) {  // the bits that are sorted by, in their order
        unsigned long long bits = 0;
        memcpy(&bits, &key, sizeof(K));
        const unsigned long long top = 1ull << (8 * sizeof(K) - 1);
        if ((K)0.5 != (K)0 && bits == top) bits = 0;  // -0.0 and 0.0 are equal
        if ((K)0.5 != (K)0) bits = bits & top ? ~bits : bits | top;
        else if ((K)-1 < (K)0) bits ^= top;
        int width = end - begin;
        return bits >> begin & (width >= 64 ? ~0ull : (1ull << width) - 1);
    }
    template <class K, class V>
    static void sort(const K* keys, K* sorted, const V* values, V* moved, long n, int begin, int end, bool down) {
        std::vector<cuda::std::pair<unsigned long long, long>> order;
        std::vector<K> k;
        std::vector<V> v;
        for (long i = 0; i < n; i++) {
            order.push_back({digits(keys[i], begin, end), i});
            k.push_back(keys[i]);
            if (values) v.push_back(values[i]);
        }
        typedef cuda::std::pair<unsigned long long, long> entry;
        std::stable_sort(order.begin(), order.end(), [=](const entry& a, const entry& b) { return down ? b.first < a.first : a.first < b.first; });
        for (long i = 0; i < n; i++) {
            sorted[i] = k[order[i].second];
            if (values) moved[i] = v[order[i].second];
        }
    }

public:
#define HOST_SORT(keys_name, pairs_name, down)                                                                                       \
    template <class K>                                                                                                              \
    static cudaError_t keys_name(void* storage, size_t& bytes, const K* in, K* out, long n, int begin = 0, int end = 8 * sizeof(K),  \
                                 cudaStream_t stream = 0) {                                                                                \
        HOST_BEGIN                                                                                                                  \
        sort(in, out, (const char*)nullptr, (char*)nullptr, n, begin, end, down);                                                    \
        return cudaSuccess;                                                                                                         \
    }                                                                                                                               \
    template <class K>                                                                                                              \
    static cudaError_t keys_name(void* storage, size_t& bytes, DoubleBuffer<K>& keys, long n, int begin = 0,                         \
                                 int end = 8 * sizeof(K), cudaStream_t stream = 0) {                                                        \
        HOST_BEGIN                                                                                                                  \
        sort(keys.Current(), keys.Alternate(), (const char*)nullptr, (char*)nullptr, n, begin, end, down);                           \
        keys.selector ^= 1;                                                                                                         \
        return cudaSuccess;                                                                                                         \
    }                                                                                                                               \
    template <class K, class V>                                                                                                     \
    static cudaError_t pairs_name(void* storage, size_t& bytes, const K* in, K* out, const V* values, V* moved, long n,              \
                                  int begin = 0, int end = 8 * sizeof(K), cudaStream_t stream = 0) {                                        \
        HOST_BEGIN                                                                                                                  \
        sort(in, out, values, moved, n, begin, end, down);                                                                           \
        return cudaSuccess;                                                                                                         \
    }                                                                                                                               \
    template <class K, class V>                                                                                                     \
    static cudaError_t pairs_name(void* storage, size_t& bytes, DoubleBuffer<K>& keys, DoubleBuffer<V>& values, long n,              \
                                  int begin = 0, int end = 8 * sizeof(K), cudaStream_t stream = 0) {                                        \
        HOST_BEGIN                                                                                                                  \
        sort(keys.Current(), keys.Alternate(), values.Current(), values.Alternate(), n, begin, end, down);                           \
        keys.selector ^= 1;                                                                                                         \
        values.selector ^= 1;                                                                                                       \
        return cudaSuccess;                                                                                                         \
    }
    HOST_SORT(SortKeys, SortPairs, false)
    HOST_SORT(SortKeysDescending, SortPairsDescending, true)
#undef HOST_SORT
};

struct DeviceSelect {
    template <class I, class O, class N, class P>
    static cudaError_t If(void* storage, size_t& bytes, I in, O out, N count, long n, P wanted, cudaStream_t stream = 0) {
        HOST_BEGIN
        long found = 0;
        for (long i = 0; i < n; i++) if (wanted(in[i])) out[found++] = in[i];
        *count = found;
        return cudaSuccess;
    }
    template <class I, class F, class O, class N>
    static cudaError_t Flagged(void* storage, size_t& bytes, I in, F flags, O out, N count, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        long found = 0;
        for (long i = 0; i < n; i++) if (flags[i]) out[found++] = in[i];
        *count = found;
        return cudaSuccess;
    }
    template <class I, class O, class N>
    static cudaError_t Unique(void* storage, size_t& bytes, I in, O out, N count, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        long found = 0;
        for (long i = 0; i < n; i++) if (i == 0 || !(in[i] == in[i - 1])) out[found++] = in[i];
        *count = found;
        return cudaSuccess;
    }
};

struct DeviceRunLengthEncode {
    template <class I, class O, class L, class N>
    static cudaError_t Encode(void* storage, size_t& bytes, I in, O unique, L lengths, N count, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        long runs = 0;
        for (long i = 0; i < n; i++) {
            if (i > 0 && in[i] == in[i - 1]) {
                lengths[runs - 1] = lengths[runs - 1] + 1;
                continue;
            }
            unique[runs] = in[i];
            lengths[runs++] = 1;
        }
        *count = runs;
        return cudaSuccess;
    }
};

struct DeviceHistogram {  // levels - 1 bins of one width; what lies outside is not counted
    template <class I, class C, class L>
    static cudaError_t HistogramEven(void* storage, size_t& bytes, I in, C* histogram, int levels, L lower, L upper, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        for (int i = 0; i < levels - 1; i++) histogram[i] = 0;
        for (long i = 0; i < n; i++) {
            typedef cuda::std::common_type_t<L, host_value<I>> T;
            T sample = (T)in[i], least = (T)lower, end = (T)upper;
            if (sample < least || !(sample < end)) continue;
            bool real = (T)0.5 != (T)0;
            long bin = real ? (long)((sample - least) * (T)((levels - 1) / (double)(end - least)))
                            : (long)((unsigned long long)(sample - least) * (levels - 1) / (unsigned long long)(end - least));
            histogram[bin] = histogram[bin] + 1;
        }
        return cudaSuccess;
    }
};
#undef HOST_BEGIN
}  // namespace cub

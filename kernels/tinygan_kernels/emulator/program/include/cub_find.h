// Searches of cub's, and the k largest or smallest elements. (CCCL 3.3 and later)
#pragma once
#include <cub_sort.h>
#if __has_include(<cuda/__execution/output_ordering.h>)
#include <cuda/__execution/determinism.h>
#include <cuda/__execution/output_ordering.h>
#include <cuda/__execution/require.h>
#endif
namespace cub {
// The stream of a call whose last argument is one or an environment. What stream an environment says is not looked at, so it stands
// for whichever is being captured.
struct host_no_environment {};
inline cudaStream_t host_stream_of(cudaStream_t stream) { return stream; }
inline cudaStream_t host_stream_of(host_no_environment) { return 0; }
template <class E> cudaStream_t host_stream_of(const E&) { return (cudaStream_t)-1l; }

struct DeviceFind {
    template <class I, class O, class P, class E = host_no_environment>
    HOST_ALGORITHM FindIf(void* storage, size_t& bytes, I in, O out, P fits, long n, const E& environment = E()) {
        cudaStream_t stream = host_stream_of(environment);
        HOST_BEGIN
        long i = 0;
        while (i < n && !fits(in[i])) i++;
        *out = i;
        return cudaSuccess;
    }
    // Where each value would stand in a sorted range: before the elements that are equal to it (LowerBound) or after them
    template <class R, class I, class O, class F, class E = host_no_environment>
    HOST_ALGORITHM LowerBound(void* storage, size_t& bytes, R range, long size, I values, long n, O out, F before,
                              const E& environment = E()) {
        cudaStream_t stream = host_stream_of(environment);
        HOST_BEGIN
        for (long i = 0; i < n; i++) out[i] = partition_point(size, [&](long at) { return before(range[at], values[i]); });
        return cudaSuccess;
    }
    template <class R, class I, class O, class F, class E = host_no_environment>
    HOST_ALGORITHM UpperBound(void* storage, size_t& bytes, R range, long size, I values, long n, O out, F before,
                              const E& environment = E()) {
        cudaStream_t stream = host_stream_of(environment);
        HOST_BEGIN
        for (long i = 0; i < n; i++) out[i] = partition_point(size, [&](long at) { return !before(values[i], range[at]); });
        return cudaSuccess;
    }

private:
    template <class F> static long partition_point(long size, F first) {
        long low = 0;
        while (low < size) {
            long middle = low + (size - low) / 2;
            if (first(middle)) low = middle + 1;
            else size = middle;
        }
        return low;
    }
};

class DeviceTopK {
    // Returns the places of the k first keys of their order, in the order of the places: cub leaves the order open.
    template <class I> static std::vector<long> places(I keys, long n, long k, bool down) {
        std::vector<unsigned long long> digits;
        for (long i = 0; i < n; i++) digits.push_back(host_digits<host_value<I>>(keys[i], 0, 8 * sizeof(host_value<I>)));
        std::vector<long> order = host_order(digits, down);
        if (k < n) order.resize(k);
        std::sort(order.begin(), order.end());
        return order;
    }

public:
#define HOST_TOP(keys_name, pairs_name, down) \
    template <class I, class O, class E = host_no_environment> \
    HOST_ALGORITHM keys_name(void* storage, size_t& bytes, I in, O out, long n, long k, const E& environment = E()) { \
        HOST_REQUIRED(E) \
        cudaStream_t stream = host_stream_of(environment); \
        HOST_BEGIN \
        long at = 0; \
        for (long place : places(in, n, k, down)) out[at++] = in[place]; \
        return cudaSuccess; \
    } \
    template <class I, class O, class V, class W, class E = host_no_environment> \
    HOST_ALGORITHM pairs_name(void* storage, size_t& bytes, I in, O out, V values, W moved, long n, long k, \
                              const E& environment = E()) { \
        HOST_REQUIRED(E) \
        cudaStream_t stream = host_stream_of(environment); \
        HOST_BEGIN \
        long at = 0; \
        for (long place : places(in, n, k, down)) { \
            out[at] = in[place]; \
            moved[at++] = values[place]; \
        } \
        return cudaSuccess; \
    }
#define HOST_REQUIRED(E) \
    static_assert(cuda::std::is_class<E>::value && !cuda::std::is_same<E, host_no_environment>::value, \
                  "cub::DeviceTopK wants an environment that requires determinism::not_guaranteed and output_ordering::unsorted");
    HOST_TOP(MaxKeys, MaxPairs, true)
    HOST_TOP(MinKeys, MinPairs, false)
#undef HOST_REQUIRED
#undef HOST_TOP
};
}  // namespace cub

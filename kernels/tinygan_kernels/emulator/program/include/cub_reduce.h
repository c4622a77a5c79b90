// Reductions of cub's: of all elements, of segments, and of runs of equal keys.
#pragma once
#include <cub_common.h>
namespace cub {
// The total of elements, each of which is of the total's type A when f gets it, as in cub.
template <class A, class I, class F> inline A host_reduced(I in, long begin, long end, F f, A total) {
    for (long i = begin; i < end; i++) total = f(total, (A)in[i]);
    return total;
}
// The first of the smallest elements (f: host_before), or of the largest: {its number, its value}; of none {1, first}, as in cub.
template <class I, class F> inline KeyValuePair<long, host_value<I>> host_best(I in, long begin, long end, F f,
        host_value<I> first) {
    KeyValuePair<long, host_value<I>> best(1, first);
    for (long i = begin; i < end; i++)
        if (i == begin || f(in[i], best.value)) best = KeyValuePair<long, host_value<I>>(i - begin, in[i]);
    return best;
}
template <class O, class P> inline void host_store_pair(O out, const P& best) {  // cub's pairs have keys of another type
    auto pair = host_output_value<O, P*>();
    pair.key = best.key;
    pair.value = best.value;
    *out = pair;
}
struct host_after { template <class T, class U> bool operator()(const T& a, const U& b) const { return b < a; } };

struct DeviceReduce {
    template <class I, class O, class F, class T>
    HOST_ALGORITHM Reduce(void* storage, size_t& bytes, I in, O out, long n, F f, T first, cudaStream_t stream = 0) {
        HOST_BEGIN
        *out = host_reduced<host_total<F, T, I>>(in, 0, n, f, first);
        return cudaSuccess;
    }
    template <class I, class O> HOST_ALGORITHM Sum(void* storage, size_t& bytes, I in, O out, long n, cudaStream_t stream = 0) {
        return Reduce(storage, bytes, in, out, n, host_sum(), host_output_value<O, I>(), stream);
    }
    template <class I, class O> HOST_ALGORITHM Min(void* storage, size_t& bytes, I in, O out, long n, cudaStream_t stream = 0) {
        return Reduce(storage, bytes, in, out, n, host_least(), host_most<host_value<I>>(), stream);
    }
    template <class I, class O> HOST_ALGORITHM Max(void* storage, size_t& bytes, I in, O out, long n, cudaStream_t stream = 0) {
        return Reduce(storage, bytes, in, out, n, host_greatest(), host_lowest<host_value<I>>(), stream);
    }
    template <class I, class O, class F, class G, class T>
    HOST_ALGORITHM TransformReduce(void* storage, size_t& bytes, I in, O out, long n, F f, G map, T first,
                                       cudaStream_t stream = 0) {
        HOST_BEGIN
        typedef cuda::std::decay_t<decltype(f(first, map(in[0])))> A;
        A total = first;
        for (long i = 0; i < n; i++) total = f(total, (A)map(in[i]));
        *out = total;
        return cudaSuccess;
    }
// The output is a KeyValuePair, or a value and an index of their own, as in later versions of cub.
#define HOST_ARG(name, f, first) \
    template <class I, class O> \
    HOST_ALGORITHM name(void* storage, size_t& bytes, I in, O out, long n, cudaStream_t stream = 0) { \
        HOST_BEGIN \
        host_store_pair(out, host_best(in, 0, n, f(), first<host_value<I>>())); \
        return cudaSuccess; \
    } \
    template <class I, class O, class X, HOST_NO_NUMBER(X)> \
    HOST_ALGORITHM name(void* storage, size_t& bytes, I in, O out, X index, long n, cudaStream_t stream = 0) { \
        HOST_BEGIN \
        auto best = host_best(in, 0, n, f(), first<host_value<I>>()); \
        *out = best.value; \
        *index = best.key; \
        return cudaSuccess; \
    }
    HOST_ARG(ArgMin, host_before, host_most)
    HOST_ARG(ArgMax, host_after, host_lowest)
#undef HOST_ARG
    template <class K, class U, class I, class O, class N, class F>
    HOST_ALGORITHM ReduceByKey(void* storage, size_t& bytes, K keys, U unique, I values, O totals, N count, F f, long n,
                                   cudaStream_t stream = 0) {
        HOST_BEGIN
        long runs = 0;
        for (long start = 0, end = 0; start < n; start = end) {
            while (end < n && keys[end] == keys[start]) end++;
            unique[runs] = keys[start];
            totals[runs++] = host_reduced<host_total<F, host_value<I>, I>>(values, start + 1, end, f, values[start]);
        }
        *count = runs;
        return cudaSuccess;
    }
};

struct DeviceSegmentedReduce {
    template <class I, class O, class B, class E, class F, class T, HOST_NO_NUMBER(B)>
    HOST_ALGORITHM Reduce(void* storage, size_t& bytes, I in, O out, long segments, B begins, E ends, F f, T first,
                              cudaStream_t stream = 0) {
        HOST_BEGIN
        for (long s = 0; s < segments; s++) out[s] = host_reduced<host_total<F, T, I>>(in, begins[s], ends[s], f, first);
        return cudaSuccess;
    }
    template <class I, class O, class F, class T>  // segments of one size
    HOST_ALGORITHM Reduce(void* storage, size_t& bytes, I in, O out, long segments, int size, F f, T first,
                              cudaStream_t stream = 0) {
        HOST_BEGIN
        for (long s = 0; s < segments; s++) out[s] = host_reduced<host_total<F, T, I>>(in, s * size, (s + 1) * size, f, first);
        return cudaSuccess;
    }
#define HOST_SEGMENTED(name, f, ...) \
    template <class I, class O, class B, class E, HOST_NO_NUMBER(B)> \
    HOST_ALGORITHM name(void* storage, size_t& bytes, I in, O out, long segments, B begins, E ends, cudaStream_t stream = 0) { \
        return Reduce(storage, bytes, in, out, segments, begins, ends, f(), __VA_ARGS__, stream); \
    } \
    template <class I, class O> \
    HOST_ALGORITHM name(void* storage, size_t& bytes, I in, O out, long segments, int size, cudaStream_t stream = 0) { \
        return Reduce(storage, bytes, in, out, segments, size, f(), __VA_ARGS__, stream); \
    }
    HOST_SEGMENTED(Sum, host_sum, host_output_value<O, I>())
    HOST_SEGMENTED(Min, host_least, host_most<host_value<I>>())
    HOST_SEGMENTED(Max, host_greatest, host_lowest<host_value<I>>())
#undef HOST_SEGMENTED
#define HOST_SEGMENTED_ARG(name, f, first) \
    template <class I, class O, class B, class E, HOST_NO_NUMBER(B)> \
    HOST_ALGORITHM name(void* storage, size_t& bytes, I in, O out, long segments, B begins, E ends, cudaStream_t stream = 0) { \
        HOST_BEGIN \
        for (long s = 0; s < segments; s++) \
            host_store_pair(out + s, host_best(in, begins[s], ends[s], f(), first<host_value<I>>())); \
        return cudaSuccess; \
    } \
    template <class I, class O> \
    HOST_ALGORITHM name(void* storage, size_t& bytes, I in, O out, long segments, int size, cudaStream_t stream = 0) { \
        HOST_BEGIN \
        for (long s = 0; s < segments; s++) \
            host_store_pair(out + s, host_best(in, s * size, (s + 1) * size, f(), first<host_value<I>>())); \
        return cudaSuccess; \
    }
    HOST_SEGMENTED_ARG(ArgMin, host_before, host_most)
    HOST_SEGMENTED_ARG(ArgMax, host_after, host_lowest)
#undef HOST_SEGMENTED_ARG
};
}  // namespace cub

// Scans of cub's: of all elements, and of each run of equal keys. Input and output may be the same memory.
#pragma once
#include <cub_common.h>
namespace cub {
class DeviceScan {
    template <class I, class O, class F, class T> static void exclusive(I in, O out, long begin, long end, F f, T first) {
        typedef host_total<F, T, I> A;
        A total = first;
        for (long i = begin; i < end; i++) {
            A next = f(total, (A)in[i]);
            out[i] = total;
            total = next;
        }
    }
    template <class I, class O, class F> static void inclusive(I in, O out, long begin, long end, F f) {
        if (begin >= end) return;
        typedef host_total<F, host_value<I>, I> A;
        A total = in[begin];
        out[begin] = total;
        for (long i = begin + 1; i < end; i++) out[i] = total = f(total, (A)in[i]);
    }
    template <class K, class E> static long end_of_run(K keys, long begin, long n, E same) {
        long end = begin + 1;
        while (end < n && same(keys[end - 1], keys[end])) end++;
        return end;
    }

public:
    template <class I, class O, class F, class T>
    HOST_ALGORITHM ExclusiveScan(void* storage, size_t& bytes, I in, O out, F f, T first, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        exclusive(in, out, 0, n, f, first);
        return cudaSuccess;
    }
    template <class I, class O, class F, class T, class P>  // with a first value that an earlier kernel has still to compute
    HOST_ALGORITHM ExclusiveScan(void* storage, size_t& bytes, I in, O out, F f, FutureValue<T, P> first, long n,
                                     cudaStream_t stream = 0) {
        HOST_BEGIN
        exclusive(in, out, 0, n, f, (T)first);
        return cudaSuccess;
    }
    template <class I, class F, class T>
    HOST_ALGORITHM ExclusiveScan(void* storage, size_t& bytes, I data, F f, T first, long n, cudaStream_t stream = 0) {
        return ExclusiveScan(storage, bytes, data, data, f, first, n, stream);
    }
    template <class I, class O, class F>
    HOST_ALGORITHM InclusiveScan(void* storage, size_t& bytes, I in, O out, F f, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        inclusive(in, out, 0, n, f);
        return cudaSuccess;
    }
    template <class I, class F> HOST_ALGORITHM InclusiveScan(void* storage, size_t& bytes, I data, F f, long n,
                                                                 cudaStream_t stream = 0) {
        return InclusiveScan(storage, bytes, data, data, f, n, stream);
    }
    template <class I, class O, class F, class T>
    HOST_ALGORITHM InclusiveScanInit(void* storage, size_t& bytes, I in, O out, F f, T first, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        typedef host_total<F, T, I> A;
        A total = first;
        for (long i = 0; i < n; i++) out[i] = total = f(total, (A)in[i]);
        return cudaSuccess;
    }
    template <class I, class O, HOST_NO_NUMBER(O)>
    HOST_ALGORITHM ExclusiveSum(void* storage, size_t& bytes, I in, O out, long n, cudaStream_t stream = 0) {
        return ExclusiveScan(storage, bytes, in, out, host_sum(), host_value<I>(), n, stream);
    }
    template <class I> HOST_ALGORITHM ExclusiveSum(void* storage, size_t& bytes, I data, long n, cudaStream_t stream = 0) {
        return ExclusiveSum(storage, bytes, data, data, n, stream);
    }
    template <class I, class O, HOST_NO_NUMBER(O)>
    HOST_ALGORITHM InclusiveSum(void* storage, size_t& bytes, I in, O out, long n, cudaStream_t stream = 0) {
        return InclusiveScan(storage, bytes, in, out, host_sum(), n, stream);
    }
    template <class I> HOST_ALGORITHM InclusiveSum(void* storage, size_t& bytes, I data, long n, cudaStream_t stream = 0) {
        return InclusiveSum(storage, bytes, data, data, n, stream);
    }
    template <class K, class I, class O, class F, class T, class E = host_same>
    HOST_ALGORITHM ExclusiveScanByKey(void* storage, size_t& bytes, K keys, I in, O out, F f, T first, long n, E same = E(),
                                          cudaStream_t stream = 0) {
        HOST_BEGIN
        for (long i = 0, end; i < n; i = end) {
            end = end_of_run(keys, i, n, same);
            exclusive(in, out, i, end, f, first);
        }
        return cudaSuccess;
    }
    template <class K, class I, class O, class F, class E = host_same>
    HOST_ALGORITHM InclusiveScanByKey(void* storage, size_t& bytes, K keys, I in, O out, F f, long n, E same = E(),
                                          cudaStream_t stream = 0) {
        HOST_BEGIN
        for (long i = 0, end; i < n; i = end) {
            end = end_of_run(keys, i, n, same);
            inclusive(in, out, i, end, f);
        }
        return cudaSuccess;
    }
    template <class K, class I, class O, class E = host_same>
    HOST_ALGORITHM ExclusiveSumByKey(void* storage, size_t& bytes, K keys, I in, O out, long n, E same = E(),
                                         cudaStream_t stream = 0) {
        return ExclusiveScanByKey(storage, bytes, keys, in, out, host_sum(), host_value<I>(), n, same, stream);
    }
    template <class K, class I, class O, class E = host_same>
    HOST_ALGORITHM InclusiveSumByKey(void* storage, size_t& bytes, K keys, I in, O out, long n, E same = E(),
                                         cudaStream_t stream = 0) {
        return InclusiveScanByKey(storage, bytes, keys, in, out, host_sum(), n, same, stream);
    }
};
}  // namespace cub

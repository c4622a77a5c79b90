// Selections and partitions of cub's, and runs of equal elements.
#pragma once
#include <cub_common.h>
namespace cub {
struct DeviceSelect {
    template <class I, class O, class N, class P>
    HOST_ALGORITHM If(void* storage, size_t& bytes, I in, O out, N count, long n, P wanted, cudaStream_t stream = 0) {
        HOST_BEGIN
        long found = 0;
        for (long i = 0; i < n; i++) if (wanted(in[i])) out[found++] = in[i];
        *count = found;
        return cudaSuccess;
    }
    template <class I, class N, class P>
    HOST_ALGORITHM If(void* storage, size_t& bytes, I data, N count, long n, P wanted, cudaStream_t stream = 0) {
        return If(storage, bytes, data, data, count, n, wanted, stream);
    }
    template <class I, class F, class O, class N, class P>
    HOST_ALGORITHM FlaggedIf(void* storage, size_t& bytes, I in, F flags, O out, N count, long n, P wanted,
                                 cudaStream_t stream = 0) {
        HOST_BEGIN
        long found = 0;
        for (long i = 0; i < n; i++) if (wanted(flags[i])) out[found++] = in[i];
        *count = found;
        return cudaSuccess;
    }
    template <class I, class F, class N, class P>
    HOST_ALGORITHM FlaggedIf(void* storage, size_t& bytes, I data, F flags, N count, long n, P wanted,
                                 cudaStream_t stream = 0) {
        return FlaggedIf(storage, bytes, data, flags, data, count, n, wanted, stream);
    }
    template <class I, class F, class O, class N, HOST_NO_NUMBER(N)>
    HOST_ALGORITHM Flagged(void* storage, size_t& bytes, I in, F flags, O out, N count, long n, cudaStream_t stream = 0) {
        return FlaggedIf(storage, bytes, in, flags, out, count, n, [](host_value<F> flag) { return (bool)flag; }, stream);
    }
    template <class I, class F, class N>
    HOST_ALGORITHM Flagged(void* storage, size_t& bytes, I data, F flags, N count, long n, cudaStream_t stream = 0) {
        return Flagged(storage, bytes, data, flags, data, count, n, stream);
    }
    template <class I, class O, class N>
    HOST_ALGORITHM Unique(void* storage, size_t& bytes, I in, O out, N count, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        long found = 0;
        for (long i = 0; i < n; i++) if (i == 0 || !(in[i] == in[i - 1])) out[found++] = in[i];
        *count = found;
        return cudaSuccess;
    }
    template <class K, class I, class L, class O, class N, class E, HOST_NO_NUMBER(E)>
    HOST_ALGORITHM UniqueByKey(void* storage, size_t& bytes, K keys, I values, L unique, O out, N count, long n, E same,
                                   cudaStream_t stream = 0) {
        HOST_BEGIN
        long found = 0;
        for (long i = 0; i < n; i++) {
            if (i > 0 && same(keys[i - 1], keys[i])) continue;
            unique[found] = keys[i];
            out[found++] = values[i];
        }
        *count = found;
        return cudaSuccess;
    }
    template <class K, class I, class L, class O, class N>
    HOST_ALGORITHM UniqueByKey(void* storage, size_t& bytes, K keys, I values, L unique, O out, N count, long n,
                                   cudaStream_t stream = 0) {
        return UniqueByKey(storage, bytes, keys, values, unique, out, count, n, host_same(), stream);
    }
};

class DevicePartition {  // what is not selected comes last, in reverse order
    template <class I, class O, class W> static long parted(I in, O out, long n, W wanted) {
        long found = 0, rest = n;
        for (long i = 0; i < n; i++) {
            if (wanted(i)) out[found++] = in[i];
            else out[--rest] = in[i];
        }
        return found;
    }

public:
    template <class I, class F, class O, class N>
    HOST_ALGORITHM Flagged(void* storage, size_t& bytes, I in, F flags, O out, N count, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        *count = parted(in, out, n, [=](long i) { return (bool)flags[i]; });
        return cudaSuccess;
    }
    template <class I, class O, class N, class P>
    HOST_ALGORITHM If(void* storage, size_t& bytes, I in, O out, N count, long n, P wanted, cudaStream_t stream = 0) {
        HOST_BEGIN
        *count = parted(in, out, n, [=](long i) { return (bool)wanted(in[i]); });
        return cudaSuccess;
    }
    template <class I, class O, class Q, class R, class N, class P, class S>  // in three parts, each in the order of the input
    HOST_ALGORITHM If(void* storage, size_t& bytes, I in, O first, Q second, R others, N counts, long n, P of_first,
                          S of_second,
                          cudaStream_t stream = 0) {
        HOST_BEGIN
        long a = 0, b = 0, c = 0;
        for (long i = 0; i < n; i++) {
            if (of_first(in[i])) first[a++] = in[i];
            else if (of_second(in[i])) second[b++] = in[i];
            else others[c++] = in[i];
        }
        counts[0] = a;
        counts[1] = b;
        return cudaSuccess;
    }
};

struct DeviceRunLengthEncode {
    template <class I, class O, class L, class N>
    HOST_ALGORITHM Encode(void* storage, size_t& bytes, I in, O unique, L lengths, N count, long n, cudaStream_t stream = 0) {
        HOST_BEGIN
        long runs = 0;
        for (long start = 0, end = 0; start < n; start = end) {
            while (end < n && in[end] == in[start]) end++;
            unique[runs] = in[start];
            lengths[runs++] = end - start;
        }
        *count = runs;
        return cudaSuccess;
    }
    template <class I, class O, class L, class N>
    HOST_ALGORITHM NonTrivialRuns(void* storage, size_t& bytes, I in, O offsets, L lengths, N count, long n,
                                      cudaStream_t stream = 0) {
        HOST_BEGIN
        long runs = 0;
        for (long start = 0, end = 0; start < n; start = end) {
            while (end < n && in[end] == in[start]) end++;
            if (end - start < 2) continue;
            offsets[runs] = start;
            lengths[runs++] = end - start;
        }
        *count = runs;
        return cudaSuccess;
    }
};
}  // namespace cub

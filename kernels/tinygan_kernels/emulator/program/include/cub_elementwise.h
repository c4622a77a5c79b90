// Algorithms of cub's that compute each element by itself or from its neighbour, copies of many ranges at once, and cub's allocator.
#pragma once
#include <cub_common.h>
#include <cuda/std/tuple>
namespace cub {
struct DeviceAdjacentDifference {
    template <class I, class O, class F = host_difference>
    HOST_ALGORITHM SubtractLeftCopy(void* storage, size_t& bytes, I in, O out, long n, F f = F(), cudaStream_t stream = 0) {
        HOST_BEGIN
        for (long i = n - 1; i > 0; i--) out[i] = f(in[i], in[i - 1]);  // from the end, as in and out may be the same
        if (n > 0) out[0] = in[0];
        return cudaSuccess;
    }
    template <class I, class O, class F = host_difference>
    HOST_ALGORITHM SubtractRightCopy(void* storage, size_t& bytes, I in, O out, long n, F f = F(), cudaStream_t stream = 0) {
        HOST_BEGIN
        for (long i = 0; i + 1 < n; i++) out[i] = f(in[i], in[i + 1]);
        if (n > 0) out[n - 1] = in[n - 1];
        return cudaSuccess;
    }
    template <class I, class F = host_difference>
    HOST_ALGORITHM SubtractLeft(void* storage, size_t& bytes, I data, long n, F f = F(), cudaStream_t stream = 0) {
        return SubtractLeftCopy(storage, bytes, data, data, n, f, stream);
    }
    template <class I, class F = host_difference>
    HOST_ALGORITHM SubtractRight(void* storage, size_t& bytes, I data, long n, F f = F(), cudaStream_t stream = 0) {
        return SubtractRightCopy(storage, bytes, data, data, n, f, stream);
    }
};

struct DeviceFor {  // each with temporary storage, or without
    template <class F> HOST_ALGORITHM Bulk(long n, F f, cudaStream_t stream = 0) {
        HOST_BEGIN_AT_ONCE
        for (long i = 0; i < n; i++) f(i);
        return cudaSuccess;
    }
    template <class I, class F> HOST_ALGORITHM ForEachN(I first, long n, F f, cudaStream_t stream = 0) {
        HOST_BEGIN_AT_ONCE
        for (long i = 0; i < n; i++) f(first[i]);
        return cudaSuccess;
    }
    template <class I, class F> HOST_ALGORITHM ForEachCopyN(I first, long n, F f, cudaStream_t stream = 0) {
        HOST_BEGIN_AT_ONCE
        for (long i = 0; i < n; i++) {
            host_value<I> copy = first[i];
            f(copy);
        }
        return cudaSuccess;
    }
    template <class I, class F> HOST_ALGORITHM ForEach(I first, I last, F f, cudaStream_t stream = 0) {
        return ForEachN(first, last - first, f, stream);
    }
    template <class I, class F> HOST_ALGORITHM ForEachCopy(I first, I last, F f, cudaStream_t stream = 0) {
        return ForEachCopyN(first, last - first, f, stream);
    }
#define HOST_WITH_STORAGE(name) \
    template <class... A> HOST_ALGORITHM name(void* storage, size_t& bytes, A... arguments) { \
        HOST_STORAGE \
        return name(arguments...); \
    }
    HOST_WITH_STORAGE(Bulk)
    HOST_WITH_STORAGE(ForEach)
    HOST_WITH_STORAGE(ForEachN)
    HOST_WITH_STORAGE(ForEachCopy)
    HOST_WITH_STORAGE(ForEachCopyN)
#undef HOST_WITH_STORAGE
};

struct DeviceTransform {
    template <class I, class O, class F> HOST_ALGORITHM Transform(I in, O out, long n, F f, cudaStream_t stream = 0) {
        return Transform(cuda::std::tuple<I>(in), out, n, f, stream);
    }
    template <class... I, class O, class F>  // of several inputs
    HOST_ALGORITHM Transform(cuda::std::tuple<I...> in, O out, long n, F f, cudaStream_t stream = 0) {
        HOST_BEGIN_AT_ONCE
        for (long i = 0; i < n; i++) out[i] = cuda::std::apply([&](I... each) { return f(each[i]...); }, in);
        return cudaSuccess;
    }
    template <class O, class T> HOST_ALGORITHM Fill(O out, long n, T value, cudaStream_t stream = 0) {
        HOST_BEGIN_AT_ONCE
        for (long i = 0; i < n; i++) out[i] = value;
        return cudaSuccess;
    }
    template <class O, class F> HOST_ALGORITHM Generate(O out, long n, F f, cudaStream_t stream = 0) {
        HOST_BEGIN_AT_ONCE
        for (long i = 0; i < n; i++) out[i] = f();
        return cudaSuccess;
    }
};

struct DeviceMemcpy {
    template <class I, class O, class S>
    HOST_ALGORITHM Batched(void* storage, size_t& bytes, I from, O to, S sizes, long ranges, cudaStream_t stream = 0) {
        HOST_BEGIN
        for (long r = 0; r < ranges; r++)
            for (size_t i = 0; i < (size_t)sizes[r]; i++) ((char*)to[r])[i] = ((const char*)from[r])[i];
        return cudaSuccess;
    }
};
struct DeviceCopy {
    template <class I, class O, class S>
    HOST_ALGORITHM Batched(void* storage, size_t& bytes, I from, O to, S sizes, long ranges, cudaStream_t stream = 0) {
        HOST_BEGIN
        for (long r = 0; r < ranges; r++)
            for (size_t i = 0; i < (size_t)sizes[r]; i++) to[r][i] = from[r][i];
        return cudaSuccess;
    }
};

// cub's allocator, which on a GPU keeps freed memory for the next request; here it is given back at once.
struct CachingDeviceAllocator {
    template <class... A> CachingDeviceAllocator(A...) {}
    cudaError_t DeviceAllocate(void** pointer, size_t bytes, cudaStream_t = 0) { return host_cudaMalloc(pointer, bytes); }
    cudaError_t DeviceAllocate(int, void** pointer, size_t bytes, cudaStream_t = 0) { return host_cudaMalloc(pointer, bytes); }
    cudaError_t DeviceFree(void* pointer) { return host_cudaFree(pointer); }
    cudaError_t DeviceFree(int, void* pointer) { return host_cudaFree(pointer); }
    cudaError_t FreeAllCached() { return cudaSuccess; }
};
}  // namespace cub
#ifndef CubDebug
#define CubDebug(call) (call)
#define CubDebugExit(call) \
    do { \
        if ((call) != cudaSuccess) exit(1); \
    } while (0)
#endif

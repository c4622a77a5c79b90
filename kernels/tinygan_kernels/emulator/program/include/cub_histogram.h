// Histograms of cub's, of samples or of pixels with several channels, in a row or in rows of a picture. What lies outside is not counted.
#pragma once
#include <cub_common.h>
namespace cub {
class DeviceHistogram {
    // The bin of a sample, of `levels - 1` bins of one width; -1 outside.
    template <class S, class L> static long even_bin(S given, int levels, L lower, L upper) {
        typedef cuda::std::common_type_t<L, S> T;
        T sample = (T)given, least = (T)lower, end = (T)upper;
        if (!(sample >= least) || !(sample < end)) return -1;
        bool real = (T)0.5 != (T)0;
        return real ? (long)((sample - least) * (T)((levels - 1) / (double)(end - least)))
                    : (long)((unsigned long long)(sample - least) * (levels - 1) / (unsigned long long)(end - least));
    }
    // The bin of a sample between levels in ascending order; -1 outside.
    template <class S, class L> static long bin_between(S sample, int levels, const L* level) {
        if (!(sample >= level[0])) return -1;
        for (int i = 1; i < levels; i++) if (sample < level[i]) return i - 1;
        return -1;
    }
    // Counts a channel of pixels in rows that begin `stride` bytes apart.
    template <class I, class C, class B>
    static void count(I in, int channels, int channel, C* histogram, int levels, long columns, long rows, size_t stride, B bin_of) {
        for (int i = 0; i < levels - 1; i++) histogram[i] = 0;
        const long step = rows > 1 ? stride / sizeof(host_value<I>) : 0;
        for (long row = 0; row < rows; row++) {
            for (long i = 0; i < columns; i++) {
                long bin = bin_of(in[row * step + i * channels + channel]);
                if (bin >= 0) histogram[bin] = histogram[bin] + 1;
            }
        }
    }

public:
    template <class I, class C, class L>
    HOST_ALGORITHM HistogramEven(void* storage, size_t& bytes, I in, C* histogram, int levels, L lower, L upper, long columns,
                                     long rows,
                                     size_t stride, cudaStream_t stream = 0) {
        HOST_BEGIN
        count(in, 1, 0, histogram, levels, columns, rows, stride, [=](host_value<I> s) { return even_bin(s, levels, lower,
        upper); });
        return cudaSuccess;
    }
    template <class I, class C, class L>
    HOST_ALGORITHM HistogramEven(void* storage, size_t& bytes, I in, C* histogram, int levels, L lower, L upper, long n,
                                     cudaStream_t stream = 0) {
        return HistogramEven(storage, bytes, in, histogram, levels, lower, upper, n, 1, 0, stream);
    }
    template <class I, class C, class L>
    HOST_ALGORITHM HistogramRange(void* storage, size_t& bytes, I in, C* histogram, int levels, const L* level, long columns,
                                      long rows,
                                      size_t stride, cudaStream_t stream = 0) {
        HOST_BEGIN
        count(in, 1, 0, histogram, levels, columns, rows, stride, [=](host_value<I> s) { return bin_between(s, levels, level); });
        return cudaSuccess;
    }
    template <class I, class C, class L>
    HOST_ALGORITHM HistogramRange(void* storage, size_t& bytes, I in, C* histogram, int levels, const L* level, long n,
                                      cudaStream_t stream = 0) {
        return HistogramRange(storage, bytes, in, histogram, levels, level, n, 1, 0, stream);
    }
    // Of pixels of `channels` samples, the first `active` of which are counted, each with levels of its own.
    template <int channels, int active, class I, class C, class N, class L, class U>
    HOST_ALGORITHM MultiHistogramEven(void* storage, size_t& bytes, I in, C histogram, N levels, L lower, U upper,
                                          long columns, long rows,
                                          size_t stride, cudaStream_t stream = 0) {
        HOST_BEGIN
        for (int c = 0; c < active; c++)
            count(in, channels, c, histogram[c], levels[c], columns, rows, stride,
                  [=](host_value<I> s) { return even_bin(s, levels[c], lower[c], upper[c]); });
        return cudaSuccess;
    }
    template <int channels, int active, class I, class C, class N, class L, class U>
    HOST_ALGORITHM MultiHistogramEven(void* storage, size_t& bytes, I in, C histogram, N levels, L lower, U upper, long n,
                                          cudaStream_t stream = 0) {
        return MultiHistogramEven<channels, active>(storage, bytes, in, histogram, levels, lower, upper, n, 1, 0, stream);
    }
    template <int channels, int active, class I, class C, class N, class L>
    HOST_ALGORITHM MultiHistogramRange(void* storage, size_t& bytes, I in, C histogram, N levels, L level, long columns,
                                           long rows,
                                           size_t stride, cudaStream_t stream = 0) {
        HOST_BEGIN
        for (int c = 0; c < active; c++)
            count(in, channels, c, histogram[c], levels[c], columns, rows, stride,
                  [=](host_value<I> s) { return bin_between(s, levels[c], &level[c][0]); });
        return cudaSuccess;
    }
    template <int channels, int active, class I, class C, class N, class L>
    HOST_ALGORITHM MultiHistogramRange(void* storage, size_t& bytes, I in, C histogram, N levels, L level, long n,
                                           cudaStream_t stream = 0) {
        return MultiHistogramRange<channels, active>(storage, bytes, in, histogram, levels, level, n, 1, 0, stream);
    }
};
}  // namespace cub

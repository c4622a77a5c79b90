// cub's algorithms of a whole device, over small arrays. test_cub_of_programs.py computes the same with NumPy.
#include <cub/device/device_reduce.cuh>
#include <cub/device/device_scan.cuh>
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_select.cuh>
#include <cub/device/device_run_length_encode.cuh>
#include <cub/device/device_find.cuh>
#include <cub/device/device_histogram.cuh>
#include <cub/device/device_adjacent_difference.cuh>
#include <cub/device/device_copy.cuh>
#include <cub/device/device_for.cuh>
#include <cub/device/device_merge.cuh>
#include <cub/device/device_merge_sort.cuh>
#include <cub/device/device_partition.cuh>
#include <cub/device/device_segmented_radix_sort.cuh>
#include <cub/device/device_segmented_reduce.cuh>
#include <cub/device/device_segmented_sort.cuh>
#include <cub/device/device_topk.cuh>
#include <cub/device/device_transform.cuh>
#include <cub/util_allocator.cuh>
#include <cuda_fp16.h>
#include <cmath>
#include <cstdio>
// Calls an algorithm twice, as cub wants it: once for the size of its temporary storage, and once for its work.
#define RUN(algorithm, ...)                                 \
    do {                                                    \
        void* room = nullptr;                               \
        size_t bytes = 0;                                   \
        cub::algorithm(room, bytes, __VA_ARGS__);           \
        cudaMalloc(&room, bytes);                           \
        cub::algorithm(room, bytes, __VA_ARGS__);           \
        cudaFree(room);                                     \
    } while (0)
struct Odd { __host__ __device__ bool operator()(int x) const { return x % 2 != 0; } };
struct Product { __host__ __device__ double operator()(double a, double b) const { return a * b; } };
template <class T> T* made(int n) {
    T* p;
    cudaMallocManaged(&p, n * sizeof(T));
    return p;
}
template <class T> void tell(const T* values, int n) {
    for (int i = 0; i < n; i++) printf("%g ", (double)values[i]);
    printf("\n");
}
// -- what cub has besides ------------------------------------------------------------------------------------------------
struct Less { __host__ __device__ bool operator()(int a, int b) const { return a < b; } };
struct Parity { __host__ __device__ bool operator()(int a, int b) const { return a % 2 < b % 2; } };
struct Square { __host__ __device__ long long operator()(int a) const { return (long long)a * a; } };
struct Sum { template <class T> __host__ __device__ auto operator()(T a, T b) const { return a + b; } };
struct Large { __host__ __device__ bool operator()(int a) const { return a > 40; } };
struct Small { __host__ __device__ bool operator()(int a) const { return a < -40; } };
template <class T> T* copied(std::initializer_list<T> given) {
    T* p = made<T>(given.size());
    int i = 0;
    for (T v : given) p[i++] = v;
    return p;
}
const int N = 40, SEGMENTS = 5;
int *data, *others, *out, *moved, *count, *begins, *ends;

__noinline__ void reductions() {
    auto* best = made<cub::KeyValuePair<int, int>>(SEGMENTS);
    int* index = made<int>(1);
    RUN(DeviceReduce::ArgMin, data, best, N);
    printf("%d %d ", best->key, best->value);
    RUN(DeviceReduce::ArgMax, data, out, index, N);
    printf("%d %d ", *index, *out);
    RUN(DeviceReduce::ArgMin, data, best, 0);
    printf("%d %d\n", best->key, best->value);
    auto* squares = made<long long>(1);
    RUN(DeviceReduce::TransformReduce, data, squares, N, Sum(), Square(), 7ll);
    tell(squares, 1);
    unsigned char* small = made<unsigned char>(N);
    for (int i = 0; i < N; i++) small[i] = 200;
    RUN(DeviceReduce::ReduceByKey, others, moved, small, out, count, Sum(), N);
    tell(moved, *count);
    tell(out, *count);
    RUN(DeviceSegmentedReduce::Sum, data, out, SEGMENTS, begins, ends);
    tell(out, SEGMENTS);
    RUN(DeviceSegmentedReduce::Min, data, out, SEGMENTS, begins, ends);
    tell(out, SEGMENTS);
    RUN(DeviceSegmentedReduce::Max, data, out, 5, 8);
    tell(out, 5);
    RUN(DeviceSegmentedReduce::Reduce, data, out, SEGMENTS, begins, ends, Sum(), 1000);
    tell(out, SEGMENTS);
    RUN(DeviceSegmentedReduce::ArgMax, data, best, SEGMENTS, begins, ends);
    for (int s = 0; s < SEGMENTS; s++) printf("%d %d ", best[s].key, best[s].value);
    printf("\n");
}
__noinline__ void scans() {
    RUN(DeviceScan::ExclusiveSumByKey, others, data, out, N);
    tell(out, N);
    RUN(DeviceScan::InclusiveSumByKey, others, data, out, N);
    tell(out, N);
    RUN(DeviceScan::ExclusiveScanByKey, others, data, out, Sum(), 100, N, Parity());
    tell(out, N);
    RUN(DeviceScan::InclusiveScanInit, data, out, Sum(), 100, N);
    tell(out, N);
    cudaMemcpy(out, data, N * sizeof(int), cudaMemcpyDefault);
    RUN(DeviceScan::ExclusiveSum, out, N);
    tell(out, N);
    RUN(DeviceScan::ExclusiveScan, data, out, Sum(), cub::FutureValue<int>(begins + 1), N);
    tell(out, N);
}
__noinline__ void sorts() {
    RUN(DeviceSegmentedSort::SortKeys, data, out, N, SEGMENTS, begins, ends);
    tell(out, N);
    RUN(DeviceSegmentedRadixSort::SortPairsDescending, data, out, others, moved, N, SEGMENTS, begins, ends);
    tell(out, N);
    tell(moved, N);
    cub::DoubleBuffer<int> keys(data, out), values(others, moved);
    RUN(DeviceSegmentedSort::StableSortPairs, keys, values, N, SEGMENTS, begins, ends);
    tell(values.Current() + begins[3], ends[3] - begins[3]);
    RUN(DeviceMergeSort::SortKeysCopy, data, out, N, Less());
    tell(out, N);
    cudaMemcpy(out, data, N * sizeof(int), cudaMemcpyDefault);
    cudaMemcpy(moved, others, N * sizeof(int), cudaMemcpyDefault);
    RUN(DeviceMergeSort::StableSortPairs, moved, out, N, Parity());
    tell(out, N);
    int *a = copied({1, 3, 3, 9}), *b = copied({2, 3, 10}), *c = made<int>(7), *of = made<int>(7);
    RUN(DeviceMerge::MergePairs, a, others, 4, b, data, 3, c, of, Less());
    tell(c, 7);
    tell(of, 7);
    __half *halves = made<__half>(4), *up = made<__half>(4);
    const float some[] = {1.5f, -2, 0.25f, -65504};
    for (int i = 0; i < 4; i++) halves[i] = __float2half(some[i]);
    RUN(DeviceRadixSort::SortKeysDescending, halves, up, 4);
    for (int i = 0; i < 4; i++) printf("%g ", __half2float(up[i]));
    signed char *chars = copied<signed char>({-128, 127, 0, -1}), *ordered = made<signed char>(4);
    RUN(DeviceRadixSort::SortKeys, chars, ordered, 4);
    tell(ordered, 4);
}
__noinline__ void selections() {
    RUN(DevicePartition::If, data, out, count, N, Odd());
    tell(out, N);
    int *low = made<int>(N), *two = made<int>(2);
    RUN(DevicePartition::If, data, out, low, moved, two, N, Large(), Small());
    tell(out, two[0]);
    tell(low, two[1]);
    tell(moved, N - two[0] - two[1]);
    RUN(DevicePartition::Flagged, data, others, out, count, N);
    tell(out, N);
    RUN(DeviceSelect::FlaggedIf, data, others, out, count, N, Odd());
    tell(out, *count);
    RUN(DeviceSelect::UniqueByKey, others, data, moved, out, count, N);
    tell(out, *count);
    cudaMemcpy(out, data, N * sizeof(int), cudaMemcpyDefault);
    RUN(DeviceSelect::If, out, count, N, Large());
    tell(out, *count);
    RUN(DeviceRunLengthEncode::NonTrivialRuns, others, out, moved, count, N);
    tell(out, *count);
    tell(moved, *count);
}
__noinline__ void histograms() {
    int *levels = copied({-50, -10, 0, 1, 60}), *counts = made<int>(4), *more = made<int>(3);
    RUN(DeviceHistogram::HistogramRange, data, counts, 5, levels, N);
    tell(counts, 4);
    RUN(DeviceHistogram::HistogramEven, data, counts, 5, -40, 40, 3, 4, 8 * sizeof(int));  // 3 of each 8 samples
    tell(counts, 4);
    int* both[] = {counts, more};
    int of[] = {5, 4}, lower[] = {-40, -60}, upper[] = {40, 60};
    auto counted = [&](void* room, size_t& bytes) {
        return cub::DeviceHistogram::MultiHistogramEven<4, 2>(room, bytes, data, both, of, lower, upper, N / 4);
    };
    size_t size = 0;
    counted(nullptr, size);
    counted(made<char>(size), size);
    tell(counts, 4);
    tell(more, 3);
}
__noinline__ void elements() {
    RUN(DeviceAdjacentDifference::SubtractLeftCopy, data, out, N);
    tell(out, N);
    RUN(DeviceAdjacentDifference::SubtractRight, out, N, Sum());
    tell(out, N);
    cub::DeviceFor::ForEachN(out, N, [] __device__(int& v) { v = v % 10; });
    tell(out, N);
    int* p = out;
    RUN(DeviceFor::Bulk, N, [p] __device__(int i) { p[i] += 100 * i; });
    tell(out, N);
    cub::DeviceTransform::Transform(cuda::std::make_tuple(data, others), out, N, [] __device__(int a, int b) { return a * 10 + b; });
    tell(out, N);
    int *from[] = {data, data + 30}, *to[] = {out + 3, out + 10}, sizes[] = {2, 3};
    RUN(DeviceCopy::Batched, from, to, sizes, 2);
    tell(out, 14);
}
__noinline__ void besides() {
    data = made<int>(N), others = made<int>(N), out = made<int>(N), moved = made<int>(N), count = made<int>(1);
    for (int i = 0; i < N; i++) {
        data[i] = (i * 37 + 11) % 101 - 50;
        others[i] = i * i % 23 / 6;
    }
    begins = copied({0, 7, 7, 9, 38}), ends = copied({7, 7, 9, 38, 40});
    cub::CachingDeviceAllocator allocator(true);
    void* room = nullptr;
    CubDebugExit(allocator.DeviceAllocate(&room, 100));
    CubDebugExit(allocator.DeviceFree(room));
    reductions();
    scans();
    sorts();
    selections();
    histograms();
    elements();
}

// DeviceTopK leaves the order of its output open: it is sorted before it is printed.
void searches() {
    RUN(DeviceFind::FindIf, data, count, Large(), N);
    tell(count, 1);
    RUN(DeviceFind::FindIf, data, count, Large(), 0, (cudaStream_t)0);
    tell(count, 1);
    int* sorted = made<int>(N);
    RUN(DeviceRadixSort::SortKeys, others, sorted, N);
    RUN(DeviceFind::LowerBound, sorted, N, data, N, out, Less());
    tell(out, N);
    RUN(DeviceFind::UpperBound, sorted, N, others, N, out, Less());
    tell(out, N);
    RUN(DeviceFind::UpperBound, sorted, 0, others, 2, out, Less());
    tell(out, 2);
#if __has_include(<cuda/__execution/output_ordering.h>)
    auto any = cuda::execution::require(cuda::execution::determinism::not_guaranteed, cuda::execution::output_ordering::unsorted);
    RUN(DeviceTopK::MaxKeys, data, out, N, 5, any);
    RUN(DeviceRadixSort::SortKeys, out, moved, 5);
    tell(moved, 5);
    RUN(DeviceTopK::MinPairs, data, out, others, moved, N, 3, any);
    for (int i = 0; i < 3; i++) sorted[i] = 100 * out[i] + moved[i];
    RUN(DeviceRadixSort::SortKeys, sorted, out, 3);
    tell(out, 3);
    float* reals = copied<float>({2, -0.f, INFINITY, 0, -3});
    float* least = made<float>(8);
    RUN(DeviceTopK::MinKeys, reals, least, 5, 8, any);
    tell(least, 5);
#else
    printf("no requirements\n");
#endif
}
int main() {
    const int n = 600;
    unsigned char* flags;  // of which there are more than a byte can count
    unsigned char given[n];
    for (int i = 0; i < n; i++) given[i] = i % 3 != 0;
    cudaMalloc(&flags, n);
    cudaMemcpy(flags, given, n, cudaMemcpyHostToDevice);
    int *sums = made<int>(n), *count = made<int>(1);
    RUN(DeviceReduce::Sum, flags, count, n);
    tell(count, 1);
    RUN(DeviceScan::ExclusiveSum, flags, sums, n);
    tell(sums + 297, 4);
    RUN(DeviceScan::InclusiveSum, flags, sums, n);
    tell(sums + 596, 4);
    RUN(DeviceScan::InclusiveSum, sums, sums, n);  // in its place
    tell(sums + 598, 2);

    float *keys = made<float>(7), *sorted = made<float>(7), *best = made<float>(1);
    const float all[] = {3, -0.f, 2.5f, 0, -1, INFINITY, -0.f};
    int *values = made<int>(7), *moved = made<int>(7);
    for (int i = 0; i < 7; i++) { keys[i] = all[i]; values[i] = i; }
    RUN(DeviceRadixSort::SortPairs, keys, sorted, values, moved, 7);
    tell(sorted, 7);
    tell(moved, 7);
    RUN(DeviceRadixSort::SortPairsDescending, keys, sorted, values, moved, 7);
    tell(moved, 7);
    unsigned *words = made<unsigned>(4), *ordered = made<unsigned>(4);
    const unsigned some[] = {0x31, 0x12, 0x33, 0x11};
    for (int i = 0; i < 4; i++) words[i] = some[i];
    RUN(DeviceRadixSort::SortKeys, words, ordered, 4, 4, 8);  // by the bits from 4 to 7
    tell(ordered, 4);
    RUN(DeviceReduce::Min, keys, best, 7);
    tell(best, 1);
    RUN(DeviceReduce::Max, keys, best, 7);
    tell(best, 1);
    double* product = made<double>(1);
    RUN(DeviceReduce::Reduce, words, product, 4, Product(), 0.5);
    tell(product, 1);
    RUN(DeviceReduce::Reduce, words, product, 0, Product(), 0.5);  // of nothing
    tell(product, 1);

    const int runs[] = {5, 5, 2, 7, 7, 7, 5};
    for (int i = 0; i < 7; i++) values[i] = runs[i];
    RUN(DeviceSelect::If, values, moved, count, 7, Odd());
    tell(moved, *count);
    RUN(DeviceSelect::Flagged, values, flags, moved, count, 7);
    tell(moved, *count);
    RUN(DeviceSelect::Unique, values, moved, count, 7);
    tell(moved, *count);
    RUN(DeviceRunLengthEncode::Encode, values, moved, sums, count, 7);
    tell(sums, *count);
    const float samples[] = {0, 0.5f, 9.99f, 10, -0.1f, NAN, 4.75f};
    for (int i = 0; i < 7; i++) keys[i] = samples[i];
    RUN(DeviceHistogram::HistogramEven, keys, sums, 21, 0, 10, 7);  // 20 bins of a half; levels are ints, samples floats
    tell(sums, 20);

    besides();
    searches();

    cudaStream_t stream;
    cudaGraph_t graph;
    cudaStreamCreate(&stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    size_t bytes = 256;
    *count = -1;
    printf("%s ", cudaGetErrorName(cub::DeviceReduce::Sum(sums, bytes, flags, count, n, stream)));
    printf("%s %d\n", cudaGetErrorName(cudaStreamEndCapture(stream, &graph)), *count);
}

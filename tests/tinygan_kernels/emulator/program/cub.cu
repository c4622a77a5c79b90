// cub's algorithms of a whole device, over small arrays. test_cub_of_programs.py computes the same with NumPy.
#include <cub/device/device_reduce.cuh>
#include <cub/device/device_scan.cuh>
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_select.cuh>
#include <cub/device/device_run_length_encode.cuh>
#include <cub/device/device_histogram.cuh>
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

    cudaStream_t stream;
    cudaGraph_t graph;
    cudaStreamCreate(&stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    size_t bytes = 1;
    *count = -1;
    printf("%s ", cudaGetErrorName(cub::DeviceReduce::Sum(sums, bytes, flags, count, n, stream)));
    printf("%s %d\n", cudaGetErrorName(cudaStreamEndCapture(stream, &graph)), *count);
}

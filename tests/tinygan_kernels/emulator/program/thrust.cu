// Thrust in host code, beside kernels.
#include <thrust/device_vector.h>
#include <thrust/execution_policy.h>
#include <thrust/random.h>
#include <thrust/reduce.h>
#include <thrust/sort.h>
#include <cstdio>
#include <iostream>
#include <iterator>
__global__ void twice(int* p, int n) { if (threadIdx.x < n) p[threadIdx.x] *= 2; }
int main(int argc, char** argv) {
    int given[8] = {5, 3, 8, 1, 9, 2, 7, 4}, *raw;
    thrust::device_vector<int> d(given, given + 8);
    thrust::sort(d.begin(), d.end());
    twice<<<1, 32>>>(thrust::raw_pointer_cast(d.data()), 8);
    d[0] = 100;
    for (int v : d) printf("%d ", v);
    cudaMalloc(&raw, sizeof given);
    cudaMemcpy(raw, given, sizeof given, cudaMemcpyHostToDevice);
    thrust::for_each(thrust::device, raw, raw + 8, [] __device__(int& v) { v -= 1; });
    printf("%d %d\n", thrust::reduce(d.begin(), d.end()), thrust::reduce(thrust::device, raw, raw + 8));
    thrust::minstd_rand engine(17);
    engine.discard(3);
    std::cout << engine() << ": ";
    thrust::copy(d.begin(), d.begin() + 3, std::ostream_iterator<int>(std::cout, ", "));
    std::copy(given, given + 2, std::ostream_iterator<double>(std::cout));
    std::cout << std::endl;
    return argc > 1 ? *thrust::raw_pointer_cast(d.data()) : 0;
}

// Thrust in host code, beside kernels.
#include <thrust/device_vector.h>
#include <thrust/execution_policy.h>
#include <thrust/reduce.h>
#include <thrust/sort.h>
#include <cstdio>
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
    return argc > 1 ? *thrust::raw_pointer_cast(d.data()) : 0;
}

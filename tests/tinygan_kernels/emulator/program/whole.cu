// A program as tutorials have them: vectors, random data, streams, events, a template kernel, a check on the host.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <functional>
#include <iostream>
#include <random>
#include <stdexcept>
#include <vector>
#include "scale.cuh"

#define CHECK(call)                                                                        \
    do {                                                                                   \
        cudaError_t status = (call);                                                       \
        if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));   \
    } while (0)

__managed__ int launches = 0;
__device__ unsigned long long total;

template <int TILE> __global__ void matmul(const float* a, const float* b, float* c, int n) {
    __shared__ float s[TILE][TILE], t[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;
    for (int k = 0; k < n; k += TILE) {
        s[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
        t[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
        __syncthreads();
        for (int i = 0; i < TILE; i++) sum += s[threadIdx.y][i] * t[i][threadIdx.x];
        __syncthreads();
    }
    c[row * n + column] = sum;
    if (row == 0 && column == 0) launches++;
}
__global__ void halves(const __half* x, float* y) { y[threadIdx.x] = __half2float(x[threadIdx.x]); }
__global__ void count(const int* x, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&total, (unsigned long long)x[i]);
}

void on_host(const std::vector<float>& a, const std::vector<float>& b, std::vector<float>& c, int n) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int k = 0; k < n; k++) sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}

int main(int argc, char** argv) {
    try {
        const int n = 32;
        size_t bytes = n * n * sizeof(float);
        std::vector<float> a(n * n), b(n * n), c(n * n), expected(n * n);
        std::mt19937 generator(1);
        std::uniform_real_distribution<float> uniform(-1, 1);
        for (auto& value : a) value = uniform(generator);
        for (auto& value : b) value = uniform(generator);
        float *da, *db, *dc;
        CHECK(cudaMalloc(&da, bytes));
        CHECK(cudaMalloc(&db, bytes));
        CHECK(cudaMalloc(&dc, bytes));
        CHECK(cudaMemcpy(da, a.data(), bytes, cudaMemcpyHostToDevice));
        CHECK(cudaMemcpy(db, b.data(), bytes, cudaMemcpyHostToDevice));
        cudaStream_t stream;
        cudaEvent_t start, stop;
        CHECK(cudaStreamCreate(&stream));
        CHECK(cudaEventCreate(&start));
        CHECK(cudaEventCreate(&stop));
        CHECK(cudaEventRecord(start, stream));
        matmul<16><<<dim3(n / 16, n / 16), dim3(16, 16), 0, stream>>>(da, db, dc, n);
        CHECK(cudaGetLastError());
        CHECK(cudaEventRecord(stop, stream));
        CHECK(cudaEventSynchronize(stop));
        float milliseconds = -1;
        CHECK(cudaEventElapsedTime(&milliseconds, start, stop));
        auto before = std::chrono::steady_clock::now();
        on_host(a, b, expected, n);
        std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - before;
        CHECK(cudaMemcpy(c.data(), dc, bytes, cudaMemcpyDeviceToHost));
        double worst = 0;
        for (int i = 0; i < n * n; i++) worst = std::max(worst, (double)std::fabs(c[i] - expected[i]));
        std::cout << (worst > 0 && worst < 1e-5) << (milliseconds > 0) << (seconds.count() > 0) << launches << std::endl;

        __half h[4], *dh;
        float back[4], *dback;
        for (int i = 0; i < 4; i++) h[i] = __float2half(i + 0.1f);
        CHECK(cudaMalloc(&dh, sizeof(h)));
        CHECK(cudaMalloc(&dback, sizeof(back)));
        CHECK(cudaMemcpy(dh, h, sizeof(h), cudaMemcpyHostToDevice));
        halves<<<1, 4>>>(dh, dback);
        CHECK(cudaMemcpy(back, dback, sizeof(back), cudaMemcpyDeviceToHost));
        printf("%.6f %.6f %d\n", back[1], back[3], back[3] == __half2float(h[3]));

        int *x;
        CHECK(cudaMallocManaged(&x, 1000 * sizeof(int)));
        for (int i = 0; i < 1000; i++) x[i] = i;
        scale<<<4, 256>>>(x, FACTOR, 1000);
        count<<<4, 256>>>(x, 1000);
        CHECK(cudaDeviceSynchronize());
        unsigned long long sum;
        CHECK(cudaMemcpyFromSymbol(&sum, total, sizeof(sum)));
        printf("%llu %d\n", sum, x[999]);
        CHECK(cudaFree(x));
        if (argc > 1) CHECK(cudaFree(x));
        return 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << std::endl;
        return 1;
    }
}

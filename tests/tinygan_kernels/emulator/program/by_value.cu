// Arguments of kernels with copy constructors and destructors of their own, in a program that catches what it does not throw.
#include <omp.h>
#include <stdio.h>
#include <xmmintrin.h>
#include <cublas_v2.h>
struct Counted {
    float* x;
    int copies;
    Counted() : x(0), copies(0) { printf("made\n"); }
    Counted(const Counted& other) : x(other.x), copies(other.copies + 1) { printf("copied\n"); }
    ~Counted() { printf("gone\n"); }
};
namespace inner {
__global__ void plain(Counted c) { c.x[0] = c.copies; }
template <class T, int N> __global__ void filled(Counted c, T* x, double more) { x[threadIdx.x] = c.copies + N + more; }
}
__global__ void last(float* x) { x[3] = 5; }  // its launch stays as it is

int main() {
    double begun = omp_get_wtime();
    try {
        Counted c;
        cudaMallocManaged(&c.x, 4 * sizeof(float));
        inner::plain<<<1, 1>>>(c);
        inner::filled<float, 4><<<dim3(1), dim3(2, 1), 0, cudaStream_t(0)>>>(
            c,  // a comment, with <<< and a bracket (
            c.x + 1, 5);
        last<<<1, 1>>>(c.x);
        cudaDeviceSynchronize();
        printf("%g %g %g %g\n", c.x[0], c.x[1], c.x[2], c.x[3]);
    } catch (...) {
        printf("never\n");
    }
    int total = 0;
#pragma omp parallel for reduction(+ : total)
    for (int i = 0; i < 10; i++) total += i * omp_get_num_threads();
    printf("%d %d\n", total, omp_get_wtime() >= begun);
    return 0;
}

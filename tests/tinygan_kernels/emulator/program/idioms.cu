// What programs often have, above all what host code and kernels see differently. It reads 12 5 hex ff from standard input.
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <complex>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <vector>
using std::cout;
using std::endl;
using std::vector;

namespace sizes { __constant__ float scale; }
__device__ float bias[2], gain[2];
__host__ __device__ int side() {
#ifdef __CUDA_ARCH__
    return 1;
#else
    return 2;
#endif
}
template <class F> __global__ void apply(F f, float* x) {
    x[threadIdx.x] = f(x[threadIdx.x]) * sizes::scale * gain[1] + bias[1] + side();
}

// Texts, tables of functions and virtual functions, which have other addresses in kernels than in host code
struct Shape { __host__ __device__ virtual float area() const = 0; };
struct Square : Shape {
    float side;
    __host__ __device__ Square(float side) : side(side) {}
    __host__ __device__ float area() const override { return side * side; }
};
__host__ __device__ int twice(int x) { return 2 * x; }
__host__ __device__ int thrice(int x) { return 3 * x; }
typedef int (*Operation)(int);
__device__ Operation of_kernels[] = {twice, thrice};
Operation of_host[] = {twice, thrice};
const Operation of_both[] = {thrice, twice};
static const char* const names[] = {"alpha", "beta"};
__host__ __device__ void tell(const Shape& shape, const Operation* own, int i) {
    printf("%s %g %d %d\n", names[i], shape.area(), own[i](10), of_both[i](10));
}
__global__ void tell_in_kernel(int i) { tell(Square(3), of_kernels, i); }

int main(int argc, char** argv) {
    float two[2] = {0, 2}, three = 3, *x;
    cudaMemcpyToSymbol(sizes::scale, &three, sizeof(float));
    cudaMemcpyToSymbol(bias, two, sizeof(two));
    cudaMemcpyToSymbol(gain, two, sizeof(two));
    vector<float> v(4);
    std::generate(begin(v), end(v), [] { return rand() % 1 + 0.5f; });
    cudaMalloc(&x, 16);
    cudaMemcpy(x, v.data(), 16, cudaMemcpyHostToDevice);
    apply<<<1, 4>>>([=] __device__ (float value) { return value + 1; }, x);
    cudaMemcpy(v.data(), x, 16, cudaMemcpyDeviceToHost);
    cout << v[3] << " " << side() << endl;

    tell_in_kernel<<<1, 1>>>(1);
    tell(Square(4), of_host, 0);

    float tiny = 1e-40f, third = v[3] / 7;
    printf("%d %.9g %.9g\n", tiny * 2 > 0, third, sqrtf(third));
    int length = snprintf(nullptr, 0, "%d", 12345);
    printf("%d %" PRId64 "\n", length, (int64_t)1 << 40);
    std::vector<std::unique_ptr<int>> owners;
    owners.push_back(std::make_unique<int>(5));
    owners.emplace_back(new int(7));
    auto zeros = std::make_unique<float[]>(3);
    printf("%d %d %g\n", *owners[0], *owners[1], zeros[2]);
    std::chrono::milliseconds part(1500);
    std::chrono::seconds second(1);
    printf("%lld %d\n", (long long)(second + part).count(), std::chrono::hours(1) >= part);
    std::mt19937_64 words(7);
    std::uniform_int_distribution<int> die(1, 6);
    std::uniform_int_distribution<long long> wide(0, 1000000000000LL);
    for (int i = 0; i < 4; i++) { int a = die(words); long long b = wide(words); printf("%d %lld ", a, b); }
    std::complex<float> c(1, 2);
    printf("%g %lld\n", (c * c).imag(), llround(2.5));

    int one, other, octal;
    unsigned hex;
    char word[8], key[8], value[8], letter;
    printf("%d ", scanf("%d", &one));
    printf("%d ", scanf("%d %7s %x", &other, word, &hex));
    printf("%d: %d %d %s %x\n", scanf("%d", &one), one, other, word, hex);
    int read = sscanf("a = b c;x", "%7[^= ]%*[ =]%7[^;];%c", key, value, &letter);
    sscanf("010", "%i", &octal);
    printf("%d [%s] [%s] %c %d\n", read, key, value, letter, octal);

    FILE* f = fopen(argv[1], "w");
    for (int i = 0; i < 2000; i++) fprintf(f, "%d ", i);
    printf("%d %d\n", fread(&one, 4, 1, f) == 0, fgetc(f));
    fclose(f);
    f = fopen(argv[1], "r");
    long sum = 0;
    while (!feof(f)) if (fscanf(f, "%d", &one) == 1) sum += one;
    printf("%ld %d\n", sum, fprintf(f, "no"));
    fclose(f);
}

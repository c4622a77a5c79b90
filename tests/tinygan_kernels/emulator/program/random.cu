// Random numbers of cuRAND's: drawn by its functions of the host, and by kernels with tables that the host hands them.
#include <curand.h>
#include <curand_kernel.h>
#include <curand_mtgp32_host.h>
#include <curand_mtgp32dc_p_11213.h>
#include <cstdio>
#include <cstdlib>
template <class T> void tell(const char* what, const T* values, int n) {
    printf("%s ", what);
    for (int i = 0; i < n; i++) printf("%.17g ", (double)values[i]);
    printf("\n");
}
__global__ void sobol(curandDirectionVectors32_t* vectors, unsigned* constants, unsigned* plain, unsigned* scrambled, int n) {
    int dimension = threadIdx.x;
    curandStateSobol32 s;
    curandStateScrambledSobol32 t;
    curand_init(vectors[dimension], 2, &s);
    curand_init(vectors[dimension], constants[dimension], 2, &t);
    for (int i = 0; i < n; i++) {
        plain[dimension * n + i] = curand(&s);
        scrambled[dimension * n + i] = curand(&t);
    }
}
__global__ void mersenne(curandStateMtgp32* states, unsigned* out) { out[threadIdx.x] = curand(states); }
const int N = 16;
int main(int argc, char** argv) {
    curandGenerator_t generator, second;
    unsigned *words, host[4 * N];
    float* reals;
    int version;
    cudaMalloc(&words, 4 * N * sizeof(unsigned));
    cudaMalloc(&reals, 1000 * sizeof(float));
    printf("%d\n", curandGetVersion(&version) == CURAND_STATUS_SUCCESS && version == CURAND_VERSION);

    curandCreateGenerator(&generator, CURAND_RNG_PSEUDO_XORWOW);
    curandSetPseudoRandomGeneratorSeed(generator, 1234ULL);
    curandSetGeneratorOffset(generator, 1);
    curandGenerate(generator, words, N);
    cudaMemcpy(host, words, N * sizeof(unsigned), cudaMemcpyDeviceToHost);
    tell("xorwow", host, N);
    float given[1000];
    curandGenerateNormal(generator, reals, 1000, 5.0f, 0.5f);
    cudaMemcpy(given, reals, sizeof given, cudaMemcpyDeviceToHost);
    tell("normal", given, 1000);
    curandGeneratePoisson(generator, words, 4 * N, 7.5);
    cudaMemcpy(host, words, sizeof host, cudaMemcpyDeviceToHost);
    tell("poisson", host, 4 * N);
    double* of_host = (double*)malloc(2 * N * sizeof(double));
    curandCreateGeneratorHost(&second, CURAND_RNG_QUASI_SOBOL32);
    curandSetQuasiRandomGeneratorDimensions(second, 2);
    curandGenerateUniformDouble(second, of_host, 2 * N);
    tell("sobol", of_host, 2 * N);

    curandDirectionVectors32_t *vectors, *on_device;
    unsigned *constants, *of_device;
    curandGetDirectionVectors32(&vectors, CURAND_DIRECTION_VECTORS_32_JOEKUO6);
    curandGetScrambleConstants32(&constants);
    cudaMalloc(&on_device, 2 * sizeof(*vectors));
    cudaMalloc(&of_device, 2 * sizeof(unsigned));
    cudaMemcpy(on_device, vectors, 2 * sizeof(*vectors), cudaMemcpyHostToDevice);
    cudaMemcpy(of_device, constants, 2 * sizeof(unsigned), cudaMemcpyHostToDevice);
    sobol<<<1, 2>>>(on_device, of_device, words, words + 2 * N, N);
    cudaMemcpy(host, words, sizeof host, cudaMemcpyDeviceToHost);
    tell("kernel", host, 2 * N);
    tell("scrambled", host + 2 * N, 2 * N);
    tell("constants", constants, 2);

    mtgp32_kernel_params* parameters;
    curandStateMtgp32* states;
    unsigned *drawn, of_kernel[256], of_library[256];
    cudaMalloc(&parameters, sizeof(*parameters));
    cudaMalloc(&states, sizeof(*states));
    cudaMalloc(&drawn, sizeof of_kernel);
    curandMakeMTGP32Constants(mtgp32dc_params_fast_11213, parameters);
    curandMakeMTGP32KernelState(states, mtgp32dc_params_fast_11213, parameters, 1, 77);
    mersenne<<<1, 256>>>(states, drawn);
    cudaMemcpy(of_kernel, drawn, sizeof of_kernel, cudaMemcpyDeviceToHost);
    curandGenerator_t twister;
    curandCreateGenerator(&twister, CURAND_RNG_PSEUDO_MTGP32);
    curandSetPseudoRandomGeneratorSeed(twister, 77);
    curandGenerate(twister, drawn, 256);
    cudaMemcpy(of_library, drawn, sizeof of_library, cudaMemcpyDeviceToHost);
    tell("mtgp32", of_kernel, 256);
    tell("library", of_library, 256);

    printf("%d ", curandGenerateNormal(generator, reals, 3, 0, 1));            // an odd number of normal ones
    printf("%d ", curandGenerate(generator, host, 4));                         // the host's memory
    printf("%d ", curandGenerate(generator, words, 4 * N + 1));                // one more than there is room for
    printf("%d ", curandGenerate(generator, words, (size_t)1 << 60));
    curandDestroyGenerator(generator);
    printf("%d\n", curandGenerate(generator, words, N));
    if (argc > 1) curandGenerateUniform(second, reals, 2);  // a generator of the host's, and memory of the device
}

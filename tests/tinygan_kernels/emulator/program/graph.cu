// CUDA graphs, captured and built node by node; an object of file scope that a constructor makes.
#include <cstdio>
#include <vector>
#include <cuda_runtime.h>
#define CK(x) do { cudaError_t e = x; if (e != cudaSuccess) { printf("error %s line %d\n", cudaGetErrorString(e), __LINE__); return 1; } } while (0)
__global__ void axpy(float a, const float* x, float* y, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) y[i] += a * x[i]; }
__global__ void scale(float a, float* y, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) y[i] *= a; }
std::vector<float> filled(3, 2.0f);
void CUDART_CB hostFn(void* p) { ++*(int*)p; }
int main() {
    const int n = 1000; std::vector<float> x(n), y(n); for (int i = 0; i < n; i++) { x[i] = i; y[i] = 1; }
    float *dx, *dy; CK(cudaMalloc(&dx, n * 4)); CK(cudaMalloc(&dy, n * 4));
    cudaStream_t s; CK(cudaStreamCreate(&s));
    cudaGraph_t graph; cudaGraphExec_t exec;
    CK(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
    CK(cudaMemcpyAsync(dx, x.data(), n * 4, cudaMemcpyHostToDevice, s));
    CK(cudaMemcpyAsync(dy, y.data(), n * 4, cudaMemcpyHostToDevice, s));
    for (int k = 0; k < 3; k++) axpy<<<(n + 255) / 256, 256, 0, s>>>(2.0f, dx, dy, n);
    scale<<<(n + 255) / 256, 256, 0, s>>>(0.5f, dy, n);
    CK(cudaMemcpyAsync(y.data(), dy, n * 4, cudaMemcpyDeviceToHost, s));
    int calls = 0; CK(cudaLaunchHostFunc(s, hostFn, &calls));
    CK(cudaStreamEndCapture(s, &graph));
    printf("before launch %g %d\n", y[10], calls);
    size_t nodes = 0; CK(cudaGraphGetNodes(graph, nullptr, &nodes)); printf("nodes %zu\n", nodes);
    CK(cudaGraphInstantiate(&exec, graph, NULL, NULL, 0));
    for (int it = 0; it < 2; it++) { CK(cudaGraphLaunch(exec, s)); CK(cudaStreamSynchronize(s)); printf("y[10] = %g calls %d\n", y[10], calls); }
    CK(cudaGraphExecDestroy(exec)); CK(cudaGraphDestroy(graph));
    // explicit nodes
    cudaGraph_t g2; CK(cudaGraphCreate(&g2, 0));
    cudaGraphNode_t copyNode, kernelNode, memsetNode; 
    cudaMemsetParams ms = {0}; ms.dst = dy; ms.value = 0; ms.pitch = 0; ms.elementSize = sizeof(float); ms.width = n; ms.height = 1;
    CK(cudaGraphAddMemsetNode(&memsetNode, g2, NULL, 0, &ms));
    float a = 3; int nn = n; void* args[] = {&a, &dx, &dy, &nn};
    cudaKernelNodeParams kp = {0}; kp.func = (void*)axpy; kp.gridDim = dim3(4); kp.blockDim = dim3(256); kp.sharedMemBytes = 0; kp.kernelParams = args; kp.extra = NULL;
    CK(cudaGraphAddKernelNode(&kernelNode, g2, &memsetNode, 1, &kp));
    CK(cudaGraphAddMemcpyNode1D(&copyNode, g2, &kernelNode, 1, y.data(), dy, n * 4, cudaMemcpyDeviceToHost));
    a = 100;
    CK(cudaGraphInstantiate(&exec, g2, 0));
    CK(cudaGraphLaunch(exec, s)); CK(cudaStreamSynchronize(s)); printf("y[7] = %g\n", y[7]);
    printf("%zu %g\n", filled.size(), filled[2]);
    kp.kernelParams = args; CK(cudaGraphExecKernelNodeSetParams(exec, kernelNode, &kp));
    CK(cudaGraphLaunch(exec, s)); CK(cudaStreamSynchronize(s)); printf("y[7] = %g\n", y[7]);
    return 0;
}

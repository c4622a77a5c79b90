// One mistake, or its right twin, for each of the numbers that the program is given, one after the other.
#include <stdio.h>
#include <stdlib.h>
#include <assert.h>
__device__ float table[4] = {1, 2, 3, 4};
__constant__ float coef[3];
int hostcount = 3;
__global__ void twice(float* x, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] *= 2; } __global__ void copy(const float* a, float* b) { b[threadIdx.x] = a[threadIdx.x]; }
__global__ void use(float* x) { x[threadIdx.x] = table[threadIdx.x] * coef[0]; }
__global__ void usehost(float* x) { x[0] = hostcount; hostcount = 5; }
struct Pt { float x, y, z; int id; }; struct Two { cudaStream_t s, u; cudaEvent_t e; Two() { cudaStreamCreate(&s); cudaStreamCreate(&u); cudaEventCreate(&e); } };
__global__ void pts(Pt p, float* o) { o[0] = p.x + p.y + p.z + p.id; }
int deep(int n) { volatile int a[100]; a[n % 100] = n; return deep(n + 1) + a[n % 100]; }
int main(int argc, char** argv) {
  for (int each = 1; each < argc; each++) { int which = atoi(argv[each]), two = 2;
  float *d, *h = (float*)malloc(16), *m, *p;
  cudaMalloc(&d, 16); cudaMallocManaged(&m, 16); cudaMallocHost(&p, 16);
  for (int i = 0; i < 4; i++) h[i] = m[i] = p[i] = i;
  cudaMemcpy(d, h, 16, cudaMemcpyHostToDevice);
  switch (which) {
    case 0: printf("%f\n", d[0]); break;
    case 1: twice<<<1, 4>>>(h, 4); break;
    case 2: twice<<<1, 4>>>(m, 4); printf("%f\n", m[0]); break;
    case 3: twice<<<1, 4>>>(m, 4); cudaDeviceSynchronize(); printf("%f\n", m[3]); break;
    case 4: h[4] = 1; break;
    case 5: free(h); h[0] = 1; break;
    case 6: free(h); free(h); break;
    case 7: free(d); break;
    case 8: printf("%d\n", cudaMemcpy(h, d, 16, cudaMemcpyHostToDevice)); break;
    case 9: printf("%s\n", cudaGetErrorString(cudaMemcpy(h, d, 32, cudaMemcpyDeviceToHost))); break;
    case 10: { float c[3] = {10, 20, 30}; cudaMemcpyToSymbol(coef, c, 12); use<<<1, 4>>>(d); cudaMemcpy(h, d, 16, cudaMemcpyDeviceToHost); printf("%f\n", h[3]); break; }
    case 11: printf("%f\n", table[0]); break;
    case 12: usehost<<<1, 1>>>(d); break;
    case 13: twice<<<1, 2000>>>(d, 4); printf("%s\n", cudaGetErrorString(cudaGetLastError())); printf("%s\n", cudaGetErrorName(cudaGetLastError())); break;
    case 14: deep(0); break;
    case 15: printf("%d\n", 5 / (argc - 2)); break;
    case 16: assert(argc == 7); break;
    case 17: { Pt q = {1, 2, 3, 4}; pts<<<1, 1>>>(q, d); cudaMemcpy(h, d, 4, cudaMemcpyDeviceToHost); printf("%f\n", h[0]); break; }
    case 18: { void* args[] = {&d, &two}; cudaLaunchKernel(twice, dim3(1), dim3(4), args, 0, 0); cudaMemcpy(h, d, 16, cudaMemcpyDeviceToHost); printf("%f %f\n", h[1], h[3]); break; }
    case 19: { cudaDeviceProp prop; cudaGetDeviceProperties(&prop, 0); printf("%s %d.%d %d %zu %d\n", prop.name, prop.major, prop.minor, prop.warpSize, prop.sharedMemPerBlock, prop.maxThreadsDim[2]); break; }
    case 20: { float* e; cudaMalloc(&e, 16); cudaMemcpy(h, e, 16, cudaMemcpyDeviceToHost); break; }
    case 21: { float* z = 0; z[1] = 2; break; }
    case 22: { cudaStream_t s; cudaStreamCreate(&s); cudaMemcpyAsync(p, d, 16, cudaMemcpyDeviceToHost, s); printf("%f\n", p[1]); break; }
    case 23: { cudaStream_t s; cudaStreamCreate(&s); cudaMemcpyAsync(p, d, 16, cudaMemcpyDeviceToHost, s); cudaStreamSynchronize(s); printf("%f\n", p[1]); cudaStreamDestroy(s); break; }
    case 24: twice<<<1, 4>>>(d, 5); twice<<<2, 4>>>(d, 8); break;
    case 25: exit(7);
    case 26: cudaFree(d); cudaFree(d); printf("%s\n", cudaGetErrorName(cudaGetLastError())); break;
    case 27: cudaFree(d); twice<<<1, 4>>>(d, 4); break;
    case 28: twice<<<1, 4, 50000>>>(d, 4); printf("%s\n", cudaGetErrorString(cudaGetLastError())); break;
    case 29: { float* e; cudaGetSymbolAddress((void**)&e, table); twice<<<1, 4>>>(e, 4); cudaMemcpyFromSymbol(h, table, 16); printf("%f\n", h[3]); break; }
    case 30: while (argc) { argc |= 1; } break;
    case 31: abort();
    case 32: { volatile int least = -2147483647 - 1, minus = -1; printf("%d\n", least / minus); break; }
    case 33: { Two t; twice<<<1, 4, 0, t.s>>>(d, 4); twice<<<1, 4, 0, t.u>>>(d, 4); break; }
    case 34: { Two t; cudaEventRecord(t.e, t.s); twice<<<1, 4, 0, t.s>>>(d, 4); cudaStreamWaitEvent(t.u, t.e); copy<<<1, 4, 0, t.u>>>(d, m); break; }
    case 35: { Two t; twice<<<1, 4, 0, t.s>>>(d, 4); cudaMemcpyAsync(p, d, 16, cudaMemcpyDeviceToHost, t.u); break; }
    case 36: { cudaStream_t s; cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking); twice<<<1, 4>>>(d, 4); twice<<<1, 4, 0, s>>>(d, 4); break; }
    case 37: { Two t; cudaMemcpyAsync(p, d, 16, cudaMemcpyDeviceToHost, t.s); cudaStreamSynchronize(t.u); printf("%f\n", p[1]); break; }
    case 38: { Two t; cudaEventRecord(t.e, t.s); cudaMemcpyAsync(p, d, 16, cudaMemcpyDeviceToHost, t.s); cudaEventSynchronize(t.e); printf("%f\n", p[1]); break; }
    case 39: { Two t; cudaMemcpyAsync(d, p, 8, cudaMemcpyHostToDevice, t.s); p[2] = 5; p[1] = 5; break; }
    case 40: { copy<<<1, 2>>>(m, d); printf("%f\n", m[0]); m[2] = 3; m[1] = 3; break; }
    case 41: { Two t; twice<<<1, 3, 0, t.s>>>(d, 3); twice<<<1, 2, 0, t.u>>>(d + 2, 2); break; }
    case 42: { Two t; float* f; cudaMallocAsync(&f, 16, t.s); cudaMemsetAsync(f, 0, 16, t.s); cudaFreeAsync(f, t.u); break; }
    case 43: { Two t; cudaMemcpy2DAsync(d, 8, h, 8, 4, 2, cudaMemcpyHostToDevice, t.s); cudaMemsetAsync(d + 2, 0, 4, t.u); break; }
    case 44: { Two t; twice<<<1, 4, 0, t.s>>>(d, 4); cudaEventRecord(t.e, t.s); cudaStreamWaitEvent(t.u, t.e); twice<<<1, 4, 0, t.u>>>(d, 4); twice<<<1, 4>>>(d, 4);
      twice<<<1, 4, 0, t.s>>>(d, 4); cudaMemcpyAsync(p, d, 16, cudaMemcpyDeviceToHost, t.s); cudaStreamSynchronize(t.s); printf("%f\n", p[1]); break; }
    case 45: { Two t; twice<<<1, 2, 0, t.s>>>(d, 2); twice<<<1, 2, 0, t.u>>>(d + 2, 2); cudaDeviceSynchronize(); copy<<<1, 4, 0, t.s>>>(d, m); copy<<<1, 4, 0, t.u>>>(d, p); cudaFree(d);
      cudaMemcpy2DAsync(m, 8, h, 8, 4, 2, cudaMemcpyHostToDevice, t.s); cudaMemcpy2DAsync(m + 1, 8, h, 8, 4, 2, cudaMemcpyHostToDevice, t.u); cudaMemset(p, 0, 16); printf("%f\n", p[0]); break; }
    case 46: { Two t; float* f; cudaMallocAsync(&f, 16, t.s); cudaMemsetAsync(f, 0, 16, t.s); cudaEventRecord(t.e, t.s); cudaStreamWaitEvent(t.u, t.e); cudaFreeAsync(f, t.u);
      cudaMemcpyAsync(d, p, 8, cudaMemcpyHostToDevice, t.s); p[2] = 5; copy<<<1, 2>>>(m, d); m[2] = 3; cudaMemcpyAsync(h, d, 16, cudaMemcpyDeviceToHost, 0); m[1] = p[1] = 4; printf("%f\n", h[1]); break; }
    case 47: printf("%s\n", cudaGetErrorName(cudaMallocAsync(&d, 16, (cudaStream_t)64))); break;
  }}
  return 0;
}

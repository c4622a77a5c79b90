// What every CUDA C++ program finds without an #include of its own: the CUDA runtime, as functions that the emulator carries out.
//
// NVRTC compiles the host's code as if it were a device's, so a name of CUDA's device runtime (cudaMalloc in a kernel) is taken
// already. Macros put the functions of this file in their places. Those with extern "C" are written in Python (program/cuda_runtime.py);
// device and host code differ in nothing else here. NVRTC declares the types (cudaError_t, cudaDeviceProp, dim3) itself.
#pragma once
#undef __host__
#define __host__
#include "host_math.h"

extern "C" {
cudaError_t host_cudaMalloc(void** pointer, size_t bytes);
cudaError_t host_cudaMallocManaged(void** pointer, size_t bytes);
cudaError_t host_cudaMallocHost(void** pointer, size_t bytes);
cudaError_t host_cudaHostRegister(void* pointer, size_t bytes);
cudaError_t host_cudaHostUnregister(void* pointer);
cudaError_t host_cudaFree(void* pointer);
cudaError_t host_cudaFreeHost(void* pointer);
cudaError_t host_cudaMemcpy(void* to, const void* from, size_t bytes, int kind);
cudaError_t host_cudaMemcpyAsync(void* to, const void* from, size_t bytes, int kind, cudaStream_t stream);
cudaError_t host_cudaMemset(void* to, int value, size_t bytes);
cudaError_t host_cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height, int kind);
cudaError_t host_cudaSymbol(void** pointer, const void* symbol);
size_t host_cudaSymbolSize(const void* symbol);
cudaError_t host_cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t host_cudaPointerType(const void* pointer, int* type);
cudaError_t host_cudaSynchronize(cudaStream_t stream);
cudaError_t host_cudaDeviceSynchronize();
cudaError_t host_cudaDeviceReset();
cudaError_t host_cudaSetDevice(int device);
cudaError_t host_cudaGetLastError();
cudaError_t host_cudaPeekAtLastError();
const char* host_cudaGetErrorString(int error);
const char* host_cudaGetErrorName(int error);
cudaError_t host_cudaStreamCreate(cudaStream_t* stream);
cudaError_t host_cudaStreamDestroy(cudaStream_t stream);
cudaError_t host_cudaEventCreate(cudaEvent_t* event);
cudaError_t host_cudaEventDestroy(cudaEvent_t event);
cudaError_t host_cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t host_cudaEventSynchronize(cudaEvent_t event);
cudaError_t host_cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end);
cudaError_t host_cudaDeviceGetAttribute(int* value, int attribute, int device);
cudaError_t host_cudaLaunchKernel(const void* kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                  void** arguments, size_t shared, cudaStream_t stream, int cooperative);
cudaError_t host_cudaFuncSetAttribute(const void* kernel, int attribute, int value);
cudaError_t host_cudaFuncGetAttribute(const void* kernel, int attribute, int* value);
}

#include "host_tensor_maps.h"
#include "host_textures.h"

// -- memory --------------------------------------------------------------------------------------------------------------
template <class T> inline cudaError_t host_malloc(T** pointer, size_t bytes) { return host_cudaMalloc((void**)pointer, bytes); }
template <class T> inline cudaError_t host_mallocAsync(T** pointer, size_t bytes, cudaStream_t) {
    return host_cudaMalloc((void**)pointer, bytes);
}
template <class T> inline cudaError_t host_mallocManaged(T** pointer, size_t bytes, unsigned = 1) {
    return host_cudaMallocManaged((void**)pointer, bytes);
}
template <class T> inline cudaError_t host_mallocHost(T** pointer, size_t bytes, unsigned = 0) {
    return host_cudaMallocHost((void**)pointer, bytes);
}
template <class T> inline cudaError_t host_mallocPitch(T** pointer, size_t* pitch, size_t width, size_t height) {
    *pitch = (width + 511) / 512 * 512;
    return host_cudaMalloc((void**)pointer, *pitch * height);
}
template <class T> inline cudaError_t host_hostGetDevicePointer(T** device, void* host, unsigned) {
    *device = (T*)host;
    return cudaSuccess;
}
inline cudaError_t host_hostRegister(void* pointer, size_t bytes, unsigned = 0) { return host_cudaHostRegister(pointer, bytes); }
inline cudaError_t host_freeAsync(void* pointer, cudaStream_t) { return host_cudaFree(pointer); }
inline cudaError_t host_memcpyAsync(void* to, const void* from, size_t bytes, int kind, cudaStream_t stream = 0) {
    return host_cudaMemcpyAsync(to, from, bytes, kind, stream);
}
inline cudaError_t host_memsetAsync(void* to, int value, size_t bytes, cudaStream_t = 0) {
    return host_cudaMemset(to, value, bytes);
}
inline cudaError_t host_memcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                                      int kind, cudaStream_t = 0) {
    return host_cudaMemcpy2D(to, to_pitch, from, from_pitch, width, height, kind);
}
template <class T>
inline cudaError_t host_memcpyToSymbol(const T& symbol, const void* from, size_t bytes, size_t offset = 0,
                                       int kind = cudaMemcpyHostToDevice) {
    void* address = 0;
    cudaError_t found = host_cudaSymbol(&address, (const void*)&symbol);
    return found != cudaSuccess ? found : host_cudaMemcpy((char*)address + offset, from, bytes, kind);
}
template <class T>
inline cudaError_t host_memcpyFromSymbol(void* to, const T& symbol, size_t bytes, size_t offset = 0,
                                         int kind = cudaMemcpyDeviceToHost) {
    void* address = 0;
    cudaError_t found = host_cudaSymbol(&address, (const void*)&symbol);
    return found != cudaSuccess ? found : host_cudaMemcpy(to, (char*)address + offset, bytes, kind);
}
template <class T>
inline cudaError_t host_memcpyToSymbolAsync(const T& symbol, const void* from, size_t bytes, size_t offset, int kind,
                                            cudaStream_t = 0) {
    return host_memcpyToSymbol(symbol, from, bytes, offset, kind);
}
template <class T>
inline cudaError_t host_memcpyFromSymbolAsync(void* to, const T& symbol, size_t bytes, size_t offset, int kind, cudaStream_t = 0) {
    return host_memcpyFromSymbol(to, symbol, bytes, offset, kind);
}
template <class P, class T> inline cudaError_t host_getSymbolAddress(P** pointer, const T& symbol) {
    return host_cudaSymbol((void**)pointer, (const void*)&symbol);
}
template <class T> inline cudaError_t host_getSymbolSize(size_t* bytes, const T& symbol) {
    *bytes = host_cudaSymbolSize((const void*)&symbol);
    return cudaSuccess;
}
inline cudaError_t host_pointerGetAttributes(cudaPointerAttributes* given, const void* pointer) {
    int type = 0;
    cudaError_t found = host_cudaPointerType(pointer, &type);
    given->type = (cudaMemoryType)type;
    given->device = type == 0 ? -2 : 0;
    given->devicePointer = type >= 1 ? (void*)pointer : 0;
    given->hostPointer = type == 1 || type == 3 ? (void*)pointer : 0;
    return found;
}
template <class... Any> inline cudaError_t host_nothing(Any...) { return cudaSuccess; }

// -- the device ----------------------------------------------------------------------------------------------------------
inline int host_attribute(int attribute) {
    int value = 0;
    host_cudaDeviceGetAttribute(&value, attribute, 0);
    return value;
}
inline cudaError_t host_getDeviceProperties(cudaDeviceProp* p, int device) {
    if (device != 0) return host_cudaSetDevice(device);
    memset((void*)p, 0, sizeof(cudaDeviceProp));
    const char* name = "tinygan emulator";
    for (int i = 0; i < 17; i++) p->name[i] = name[i];
    size_t free = 0;
    host_cudaMemGetInfo(&free, &p->totalGlobalMem);
    p->major = host_attribute(cudaDevAttrComputeCapabilityMajor);
    p->minor = host_attribute(cudaDevAttrComputeCapabilityMinor);
    p->sharedMemPerBlock = host_attribute(cudaDevAttrMaxSharedMemoryPerBlock);
    p->sharedMemPerBlockOptin = host_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
    p->sharedMemPerMultiprocessor = host_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
    p->regsPerBlock = host_attribute(cudaDevAttrMaxRegistersPerBlock);
    p->regsPerMultiprocessor = host_attribute(cudaDevAttrMaxRegistersPerMultiprocessor);
    p->warpSize = host_attribute(cudaDevAttrWarpSize);
    p->memPitch = host_attribute(cudaDevAttrMaxPitch);
    p->maxThreadsPerBlock = host_attribute(cudaDevAttrMaxThreadsPerBlock);
    p->maxThreadsPerMultiProcessor = host_attribute(cudaDevAttrMaxThreadsPerMultiProcessor);
    p->maxThreadsDim[0] = host_attribute(cudaDevAttrMaxBlockDimX);
    p->maxThreadsDim[1] = host_attribute(cudaDevAttrMaxBlockDimY);
    p->maxThreadsDim[2] = host_attribute(cudaDevAttrMaxBlockDimZ);
    p->maxGridSize[0] = host_attribute(cudaDevAttrMaxGridDimX);
    p->maxGridSize[1] = host_attribute(cudaDevAttrMaxGridDimY);
    p->maxGridSize[2] = host_attribute(cudaDevAttrMaxGridDimZ);
    p->totalConstMem = host_attribute(cudaDevAttrTotalConstantMemory);
    p->multiProcessorCount = host_attribute(cudaDevAttrMultiProcessorCount);
    p->unifiedAddressing = p->managedMemory = p->canMapHostMemory = 1;
    return cudaSuccess;
}
inline cudaError_t host_deviceGetAttribute(int* value, int attribute, int device) {
    return host_cudaDeviceGetAttribute(value, attribute, device);
}
inline cudaError_t host_getDeviceCount(int* count) { *count = 1; return cudaSuccess; }
inline cudaError_t host_getDevice(int* device) { *device = 0; return cudaSuccess; }
inline cudaError_t host_getVersion(int* version) { *version = CUDART_VERSION; return cudaSuccess; }
inline cudaError_t host_deviceGetLimit(size_t* value, int) { *value = 8 << 20; return cudaSuccess; }
template <class F>
inline cudaError_t host_occupancy(int* blocks, F, int threads, size_t shared) {
    int by_threads = threads < 1 ? 0 : host_attribute(cudaDevAttrMaxThreadsPerMultiProcessor) / threads;
    int most = host_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
    int by_shared = shared == 0 ? 32 : most / (int)shared;
    *blocks = by_threads < by_shared ? (by_threads < 32 ? by_threads : 32) : by_shared;
    return cudaSuccess;
}
template <class F>
inline cudaError_t host_occupancySize(int* grid, int* block, F kernel, size_t = 0, int limit = 0) {
    int most = 1024;
    host_cudaFuncGetAttribute((const void*)kernel, 0, &most);
    *block = limit > 0 && limit < most ? limit : most;
    *grid = host_attribute(cudaDevAttrMaxThreadsPerMultiProcessor) / *block;
    return cudaSuccess;
}

// -- streams, events, launches -------------------------------------------------------------------------------------------
inline cudaError_t host_streamCreate(cudaStream_t* stream, unsigned = 0, int = 0) { return host_cudaStreamCreate(stream); }
inline cudaError_t host_streamWaitEvent(cudaStream_t, cudaEvent_t, unsigned = 0) { return cudaSuccess; }
inline cudaError_t host_eventCreate(cudaEvent_t* event, unsigned = 0) { return host_cudaEventCreate(event); }
inline cudaError_t host_eventRecord(cudaEvent_t event, cudaStream_t stream = 0) { return host_cudaEventRecord(event, stream); }
inline cudaError_t host_streamPriorities(int* least, int* greatest) { *least = *greatest = 0; return cudaSuccess; }
template <class F>
inline cudaError_t host_launchKernel(F kernel, dim3 grid, dim3 block, void** arguments, size_t shared = 0, cudaStream_t stream = 0) {
    return host_cudaLaunchKernel((const void*)kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z, arguments, shared, stream, 0);
}
template <class F>
inline cudaError_t host_launchCooperative(F kernel, dim3 grid, dim3 block, void** arguments, size_t shared = 0, cudaStream_t stream = 0) {
    return host_cudaLaunchKernel((const void*)kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z, arguments, shared, stream, 1);
}
template <class F> inline cudaError_t host_funcSetAttribute(F kernel, int attribute, int value) {
    return host_cudaFuncSetAttribute((const void*)kernel, attribute, value);
}
template <class F> inline cudaError_t host_funcGetAttributes(cudaFuncAttributes* given, F kernel) {
    memset((void*)given, 0, sizeof(cudaFuncAttributes));
    int value = 0;
    cudaError_t found = host_cudaFuncGetAttribute((const void*)kernel, 0, &value);
    given->maxThreadsPerBlock = value;
    host_cudaFuncGetAttribute((const void*)kernel, 1, &value);
    given->sharedSizeBytes = value;
    host_cudaFuncGetAttribute((const void*)kernel, 2, &value);
    given->localSizeBytes = value;
    given->binaryVersion = given->ptxVersion = 80;
    return found;
}

#define cudaMalloc host_malloc
#define cudaMallocAsync host_mallocAsync
#define cudaMallocManaged host_mallocManaged
#define cudaMallocHost host_mallocHost
#define cudaHostAlloc host_mallocHost
#define cudaMallocPitch host_mallocPitch
#define cudaHostGetDevicePointer host_hostGetDevicePointer
#define cudaHostRegister host_hostRegister
#define cudaHostUnregister host_cudaHostUnregister
#define cudaFree host_cudaFree
#define cudaFreeAsync host_freeAsync
#define cudaFreeHost host_cudaFreeHost
#define cudaMemcpy host_cudaMemcpy
#define cudaMemcpyAsync host_memcpyAsync
#define cudaMemcpy2D host_cudaMemcpy2D
#define cudaMemcpy2DAsync host_memcpy2DAsync
#define cudaMemset host_cudaMemset
#define cudaMemsetAsync host_memsetAsync
#define cudaMemcpyToSymbol host_memcpyToSymbol
#define cudaMemcpyFromSymbol host_memcpyFromSymbol
#define cudaMemcpyToSymbolAsync host_memcpyToSymbolAsync
#define cudaMemcpyFromSymbolAsync host_memcpyFromSymbolAsync
#define cudaGetSymbolAddress host_getSymbolAddress
#define cudaGetSymbolSize host_getSymbolSize
#define cudaPointerGetAttributes host_pointerGetAttributes
#define cudaMemGetInfo host_cudaMemGetInfo
#define cudaMemPrefetchAsync host_nothing
#define cudaMemAdvise host_nothing
#define cudaGetDeviceProperties host_getDeviceProperties
#define cudaDeviceGetAttribute host_deviceGetAttribute
#define cudaGetDeviceCount host_getDeviceCount
#define cudaGetDevice host_getDevice
#define cudaSetDevice host_cudaSetDevice
#define cudaInitDevice host_nothing
#define cudaSetDeviceFlags host_nothing
#define cudaDeviceReset host_cudaDeviceReset
#define cudaDeviceSynchronize host_cudaDeviceSynchronize
#define cudaThreadSynchronize host_cudaDeviceSynchronize
#define cudaDeviceSetCacheConfig host_nothing
#define cudaDeviceSetSharedMemConfig host_nothing
#define cudaDeviceSetLimit host_nothing
#define cudaDeviceGetLimit host_deviceGetLimit
#define cudaRuntimeGetVersion host_getVersion
#define cudaDriverGetVersion host_getVersion
#define cudaGetLastError host_cudaGetLastError
#define cudaPeekAtLastError host_cudaPeekAtLastError
#define cudaGetErrorString host_cudaGetErrorString
#define cudaGetErrorName host_cudaGetErrorName
#define cudaStreamCreate host_streamCreate
#define cudaStreamCreateWithFlags host_streamCreate
#define cudaStreamCreateWithPriority host_streamCreate
#define cudaDeviceGetStreamPriorityRange host_streamPriorities
#define cudaStreamDestroy host_cudaStreamDestroy
#define cudaStreamSynchronize host_cudaSynchronize
#define cudaStreamQuery host_cudaSynchronize
#define cudaStreamWaitEvent host_streamWaitEvent
#define cudaEventCreate host_eventCreate
#define cudaEventCreateWithFlags host_eventCreate
#define cudaEventDestroy host_cudaEventDestroy
#define cudaEventRecord host_eventRecord
#define cudaEventSynchronize host_cudaEventSynchronize
#define cudaEventQuery host_cudaEventSynchronize
#define cudaEventElapsedTime host_cudaEventElapsedTime
#define cudaLaunchKernel host_launchKernel
#define cudaLaunchCooperativeKernel host_launchCooperative
#define cudaFuncSetAttribute host_funcSetAttribute
#define cudaFuncGetAttributes host_funcGetAttributes
#define cudaFuncSetCacheConfig host_nothing
#define cudaFuncSetSharedMemConfig host_nothing
#define cudaOccupancyMaxActiveBlocksPerMultiprocessor host_occupancy
#define cudaOccupancyMaxPotentialBlockSize host_occupancySize
#define cudaProfilerStart host_nothing
#define cudaProfilerStop host_nothing

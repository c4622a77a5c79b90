// What every CUDA C++ program finds without an #include of its own: the CUDA runtime, as functions that the emulator carries out.
//
// NVRTC compiles the host's code as if it were a device's, so a name of CUDA's device runtime (cudaMalloc in a kernel) is taken
// already. Macros put the functions of this file in their places. Those with extern "C" are written in Python (program/cuda_runtime.py);
// device and host code differ in nothing else here. NVRTC declares the types (cudaError_t, cudaDeviceProp, dim3) itself.
#pragma once
#undef __host__
#define __host__
#include "host_math.h"
#include <math.h>

extern "C" {
cudaError_t host_cudaMalloc(void** pointer, size_t bytes);
cudaError_t host_cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t stream);
cudaError_t host_cudaMallocManaged(void** pointer, size_t bytes);
cudaError_t host_cudaMallocHost(void** pointer, size_t bytes);
cudaError_t host_cudaHostRegister(void* pointer, size_t bytes);
cudaError_t host_cudaHostUnregister(void* pointer);
cudaError_t host_cudaFree(void* pointer);
cudaError_t host_cudaFreeAsync(void* pointer, cudaStream_t stream);
cudaError_t host_cudaFreeHost(void* pointer);
cudaError_t host_cudaMemcpy(void* to, const void* from, size_t bytes, int kind);
cudaError_t host_cudaMemcpyAsync(void* to, const void* from, size_t bytes, int kind, cudaStream_t stream);
cudaError_t host_cudaMemset(void* to, int value, size_t bytes);
cudaError_t host_cudaMemset2DAsync(void* to, size_t pitch, int value, int element, size_t width, size_t height, cudaStream_t stream,
                                   int waits);
cudaError_t host_cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height, int kind);
cudaError_t host_cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height, int kind,
                                   cudaStream_t stream);
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
cudaError_t host_cudaStreamCreate(cudaStream_t* stream, int flags);
cudaError_t host_cudaStreamDestroy(cudaStream_t stream);
cudaError_t host_cudaEventCreate(cudaEvent_t* event);
cudaError_t host_cudaEventDestroy(cudaEvent_t event);
cudaError_t host_cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t host_cudaEventSynchronize(cudaEvent_t event);
cudaError_t host_cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end);
cudaError_t host_cudaDeviceGetAttribute(int* value, int attribute, int device);
cudaError_t host_cudaLaunchKernel(const void* kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                  void** arguments, size_t shared, cudaStream_t stream, int cooperative, const unsigned* cluster);
cudaError_t host_cudaLaunchHostFunc(cudaStream_t stream, void (*function)(void*), void* data);
cudaError_t host_cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event);
cudaError_t host_cudaFuncSetAttribute(const void* kernel, int attribute, int value);
cudaError_t host_cudaFuncGetAttribute(const void* kernel, int attribute, int* value);
}

#include "host_tensor_maps.h"
#include "host_textures.h"

// -- memory --------------------------------------------------------------------------------------------------------------
template <class T> inline cudaError_t host_malloc(T** pointer, size_t bytes) { return host_cudaMalloc((void**)pointer, bytes); }
template <class T> inline cudaError_t host_mallocAsync(T** pointer, size_t bytes, cudaStream_t stream) {
    return host_cudaMallocAsync((void**)pointer, bytes, stream);
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
inline cudaError_t host_freeAsync(void* pointer, cudaStream_t stream) { return host_cudaFreeAsync(pointer, stream); }
inline cudaError_t host_memcpyAsync(void* to, const void* from, size_t bytes, int kind, cudaStream_t stream = 0) {
    return host_cudaMemcpyAsync(to, from, bytes, kind, stream);
}
inline cudaError_t host_memsetAsync(void* to, int value, size_t bytes, cudaStream_t stream = 0) {
    return host_cudaMemset2DAsync(to, bytes, value, 1, bytes, 1, stream, 0);
}
inline cudaError_t host_memset2D(void* to, size_t pitch, int value, size_t width, size_t height) {
    return host_cudaMemset2DAsync(to, pitch, value, 1, width, height, 0, 1);
}
inline cudaError_t host_memset2DAsync(void* to, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream = 0) {
    return host_cudaMemset2DAsync(to, pitch, value, 1, width, height, stream, 0);
}
inline cudaError_t host_memcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                                      int kind, cudaStream_t stream = 0) {
    return host_cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, width, height, kind, stream);
}
inline cudaError_t host_memcpyPeer(void* to, int, const void* from, int, size_t bytes) {
    return host_cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToDevice);
}
inline cudaError_t host_memcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, cudaStream_t stream = 0) {
    return host_cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
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
                                            cudaStream_t stream = 0) {
    void* address = 0;
    cudaError_t found = host_cudaSymbol(&address, (const void*)&symbol);
    return found != cudaSuccess ? found : host_cudaMemcpyAsync((char*)address + offset, from, bytes, kind, stream);
}
template <class T>
inline cudaError_t host_memcpyFromSymbolAsync(void* to, const T& symbol, size_t bytes, size_t offset, int kind,
                                              cudaStream_t stream = 0) {
    void* address = 0;
    cudaError_t found = host_cudaSymbol(&address, (const void*)&symbol);
    return found != cudaSuccess ? found : host_cudaMemcpyAsync(to, (char*)address + offset, bytes, kind, stream);
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
    p->l2CacheSize = host_attribute(cudaDevAttrL2CacheSize);
    p->memoryBusWidth = host_attribute(cudaDevAttrGlobalMemoryBusWidth);
    p->maxBlocksPerMultiProcessor = host_attribute(cudaDevAttrMaxBlocksPerMultiprocessor);
    p->asyncEngineCount = host_attribute(cudaDevAttrAsyncEngineCount);
    p->concurrentKernels = p->cooperativeLaunch = p->concurrentManagedAccess = p->pageableMemoryAccess = 1;
    p->unifiedAddressing = p->managedMemory = p->canMapHostMemory = p->streamPrioritiesSupported = p->memoryPoolsSupported = 1;
    return cudaSuccess;
}
inline cudaError_t host_deviceGetAttribute(int* value, int attribute, int device) {
    return host_cudaDeviceGetAttribute(value, attribute, device);
}
inline cudaError_t host_getDeviceCount(int* count) { *count = 1; return cudaSuccess; }
inline cudaError_t host_getDevice(int* device) { *device = 0; return cudaSuccess; }
inline cudaError_t host_getVersion(int* version) { *version = CUDART_VERSION; return cudaSuccess; }
inline size_t* host_limits() {  // by cudaLimit: what a program sets is told again, and limits nothing
    static size_t limits[] = {1024, 1 << 20, 8 << 20, 2, 2048, 128, 0};
    return limits;
}
inline cudaError_t host_deviceGetLimit(size_t* value, int limit) {
    if (limit < 0 || limit > 6) return cudaErrorUnsupportedLimit;
    *value = host_limits()[limit];
    return cudaSuccess;
}
inline cudaError_t host_deviceSetLimit(int limit, size_t value) {
    if (limit < 0 || limit > 6) return cudaErrorUnsupportedLimit;
    host_limits()[limit] = value;
    return cudaSuccess;
}
// Blocks of a multiprocessor, by threads (in whole warps), shared memory (1 KiB more a block from sm_80 on) and their number.
// Registers are not counted, as there are none in PTX.
template <class F>
inline cudaError_t host_occupancy(int* blocks, F kernel, int threads, size_t shared, unsigned = 0) {
    int fixed = 0, whole = (threads + 31) / 32 * 32;
    host_cudaFuncGetAttribute((const void*)kernel, 1, &fixed);
    int by_threads = threads < 1 ? 0 : host_attribute(cudaDevAttrMaxThreadsPerMultiProcessor) / whole;
    int by_shared = host_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor) / ((int)shared + fixed + 1024);
    int most = by_threads < by_shared ? by_threads : by_shared;
    *blocks = most < 32 ? most : 32;
    return threads < 1 ? cudaErrorInvalidValue : cudaSuccess;
}
template <class F, class S>
inline cudaError_t host_occupancySizeOf(int* grid, int* block, F kernel, S shared_of, int limit = 0) {
    int most = 1024, best = 0, blocks = 0;
    host_cudaFuncGetAttribute((const void*)kernel, 0, &most);
    if (limit > 0 && limit < most) most = limit;
    for (int threads = most / 32 * 32 ? most / 32 * 32 : most; threads > 0; threads -= 32) {
        host_occupancy(&blocks, kernel, threads, shared_of(threads));
        if (blocks * threads <= best) continue;
        best = blocks * threads;
        *block = threads;
        *grid = blocks * host_attribute(cudaDevAttrMultiProcessorCount);
    }
    return cudaSuccess;
}
template <class F>
inline cudaError_t host_occupancySize(int* grid, int* block, F kernel, size_t shared = 0, int limit = 0) {
    return host_occupancySizeOf(grid, block, kernel, [=](int) { return shared; }, limit);
}
template <class F> inline cudaError_t host_occupancyShared(size_t* bytes, F kernel, int blocks, int threads) {
    int fixed = 0;
    host_cudaFuncGetAttribute((const void*)kernel, 1, &fixed);
    *bytes = host_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor) / (blocks > 0 ? blocks : 1) - 1024 - fixed;
    return threads < 1 || blocks < 1 ? cudaErrorInvalidValue : cudaSuccess;
}
inline cudaError_t host_noPeer(int* can, int, int) { *can = 0; return cudaSuccess; }
inline cudaError_t host_enablePeer(int peer, unsigned = 0) { return host_cudaSetDevice(peer == 0 ? 1 : peer); }
inline cudaError_t host_getFlags(unsigned* flags) { *flags = 0; return cudaSuccess; }
inline cudaError_t host_chooseDevice(int* device, const cudaDeviceProp*) { *device = 0; return cudaSuccess; }
inline cudaError_t host_memPool(cudaMemPool_t* pool, int) { *pool = (cudaMemPool_t)16; return cudaSuccess; }
inline cudaError_t host_memPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps*) { *pool = (cudaMemPool_t)16; return cudaSuccess; }
template <class T> inline cudaError_t host_mallocFromPool(T** pointer, size_t bytes, cudaMemPool_t, cudaStream_t stream) {
    return host_cudaMallocAsync((void**)pointer, bytes, stream);
}

// -- streams, events, launches -------------------------------------------------------------------------------------------
inline cudaError_t host_streamCreate(cudaStream_t* stream, unsigned flags = 0, int = 0) { return host_cudaStreamCreate(stream, flags); }
inline cudaError_t host_streamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned = 0) {
    return host_cudaStreamWaitEvent(stream, event);
}
inline cudaError_t host_streamGetFlags(cudaStream_t, unsigned* flags) { *flags = 0; return cudaSuccess; }
inline cudaError_t host_streamGetPriority(cudaStream_t, int* priority) { *priority = 0; return cudaSuccess; }
typedef void (*cudaStreamCallback_t)(cudaStream_t stream, cudaError_t status, void* data);
inline cudaError_t host_streamAddCallback(cudaStream_t stream, cudaStreamCallback_t function, void* data, unsigned) {
    cudaError_t waited = host_cudaSynchronize(stream);
    if (waited == cudaSuccess) function(stream, cudaSuccess, data);
    return waited;
}
inline cudaError_t host_eventCreate(cudaEvent_t* event, unsigned = 0) { return host_cudaEventCreate(event); }
inline cudaError_t host_eventRecord(cudaEvent_t event, cudaStream_t stream = 0) { return host_cudaEventRecord(event, stream); }
inline cudaError_t host_streamPriorities(int* least, int* greatest) { *least = *greatest = 0; return cudaSuccess; }
template <class F>
inline cudaError_t host_launchKernel(F kernel, dim3 grid, dim3 block, void** arguments, size_t shared = 0, cudaStream_t stream = 0) {
    return host_cudaLaunchKernel((const void*)kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z, arguments, shared, stream, 0, nullptr);
}
template <class F>
inline cudaError_t host_launchCooperative(F kernel, dim3 grid, dim3 block, void** arguments, size_t shared = 0, cudaStream_t stream = 0) {
    return host_cudaLaunchKernel((const void*)kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z, arguments, shared, stream, 1, nullptr);
}
inline cudaError_t host_launchKernelExC(const cudaLaunchConfig_t* config, const void* kernel, void** arguments) {
    unsigned cluster[3] = {0, 0, 0};
    int cooperative = 0;
    for (unsigned i = 0; i < config->numAttrs; i++) {
        const cudaLaunchAttribute& a = config->attrs[i];
        if (a.id == cudaLaunchAttributeCooperative) cooperative = a.val.cooperative;
        if (a.id == cudaLaunchAttributeClusterDimension) {
            cluster[0] = a.val.clusterDim.x;
            cluster[1] = a.val.clusterDim.y;
            cluster[2] = a.val.clusterDim.z;
        }
    }
    return host_cudaLaunchKernel(kernel, config->gridDim.x, config->gridDim.y, config->gridDim.z, config->blockDim.x, config->blockDim.y,
                                 config->blockDim.z, arguments, config->dynamicSmemBytes, config->stream, cooperative,
                                 cluster[0] ? cluster : nullptr);
}
template <class... P> struct host_launch_by_value {  // in the place of `kernel<<<...>>>`, where arguments are more than their bytes
    const void* kernel;
    dim3 grid, block;
    size_t shared;
    cudaStream_t stream;
    void operator()(P... given) const {
        void* arguments[] = {(void*)&given..., nullptr};
        host_launchKernel(kernel, grid, block, arguments, shared, stream);
    }
};
template <class... P>
inline host_launch_by_value<P...> host_launching(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared = 0, cudaStream_t stream = 0) {
    return {(const void*)kernel, grid, block, shared, stream};
}
template <class... P> struct host_launcher {  // converts arguments to the types of the kernel's parameters
    const cudaLaunchConfig_t* config;
    const void* kernel;
    cudaError_t operator()(P... parameters) const {
        void* arguments[] = {(void*)&parameters..., nullptr};
        return host_launchKernelExC(config, kernel, arguments);
    }
};
template <class... P, class... A>
inline cudaError_t host_launchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
    return host_launcher<P...>{config, (const void*)kernel}(static_cast<A&&>(arguments)...);
}
template <class F> inline cudaError_t host_occupancyClusters(int* clusters, F, const cudaLaunchConfig_t* config) {
    unsigned blocks = 1;
    for (unsigned i = 0; i < config->numAttrs; i++) {
        const cudaLaunchAttribute& a = config->attrs[i];
        if (a.id == cudaLaunchAttributeClusterDimension) blocks = a.val.clusterDim.x * a.val.clusterDim.y * a.val.clusterDim.z;
    }
    int most = blocks ? host_attribute(cudaDevAttrMultiProcessorCount) / (int)blocks : 0;
    *clusters = most > 0 ? most : blocks >= 1 && blocks <= 16;
    return cudaSuccess;
}
template <class F> inline cudaError_t host_occupancyClusterSize(int* blocks, F, const cudaLaunchConfig_t*) {
    *blocks = 8;
    return cudaSuccess;
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
#define cudaDeviceSetLimit host_deviceSetLimit
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
#define cudaMemset2D host_memset2D
#define cudaMemset2DAsync host_memset2DAsync
#define cudaMemcpyPeer host_memcpyPeer
#define cudaMemcpyPeerAsync host_memcpyPeerAsync
#define cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags host_occupancy
#define cudaOccupancyMaxPotentialBlockSizeVariableSMem host_occupancySizeOf
#define cudaOccupancyAvailableDynamicSMemPerBlock host_occupancyShared
#define cudaOccupancyMaxActiveClusters host_occupancyClusters
#define cudaOccupancyMaxPotentialClusterSize host_occupancyClusterSize
#define cudaDeviceCanAccessPeer host_noPeer
#define cudaDeviceEnablePeerAccess host_enablePeer
#define cudaDeviceDisablePeerAccess host_nothing
#define cudaGetDeviceFlags host_getFlags
#define cudaChooseDevice host_chooseDevice
#define cudaDeviceGetDefaultMemPool host_memPool
#define cudaDeviceGetMemPool host_memPool
#define cudaDeviceSetMemPool host_nothing
#define cudaMemPoolCreate host_memPoolCreate
#define cudaMemPoolDestroy host_nothing
#define cudaMemPoolSetAttribute host_nothing
#define cudaMemPoolTrimTo host_nothing
#define cudaMallocFromPoolAsync host_mallocFromPool
#define cudaStreamAttachMemAsync host_nothing
#define cudaStreamGetFlags host_streamGetFlags
#define cudaStreamGetPriority host_streamGetPriority
#define cudaStreamAddCallback host_streamAddCallback
#define cudaStreamSetAttribute host_nothing
#define cudaCtxResetPersistingL2Cache host_nothing
#define cudaEventRecordWithFlags host_eventRecord
#define cudaLaunchHostFunc host_cudaLaunchHostFunc
#define cudaLaunchKernelEx host_launchKernelEx
#define cudaLaunchKernelExC host_launchKernelExC
#include "host_graphs.h"

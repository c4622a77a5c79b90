// CUDA arrays, textures and surfaces for host code. host_program.h includes this file.
//
// Descriptions (cudaResourceDesc, cudaTextureDesc, cudaMemcpy3DParms) are taken apart here, into tables of numbers, so that Python
// (program/cuda_arrays.py) need not know how the compiler lays them out.
#pragma once

extern "C" {
cudaError_t host_cudaMallocArray(void** array, const int* format, size_t width, size_t height, size_t depth, unsigned flags);
cudaError_t host_cudaFreeArray(void* array);
cudaError_t host_cudaArrayInfo(const void* array, long long* info);
cudaError_t host_cudaCopyBox(const long long* box, cudaStream_t stream, int waits);
cudaError_t host_cudaCopyRun(const void* array, size_t x, size_t y, const void* memory, size_t bytes, int to_array, int kind,
                             cudaStream_t stream, int waits);
cudaError_t host_cudaCreateTexture(unsigned long long* object, const long long* resource, const long long* how, const float* border);
cudaError_t host_cudaCreateSurface(unsigned long long* object, const long long* resource);
cudaError_t host_cudaDestroyBindless(unsigned long long object, int of_texture);
cudaError_t host_cudaMallocMipmapped(void** array, const int* format, size_t width, size_t height, size_t depth, unsigned levels,
                                     unsigned flags);
cudaError_t host_cudaMipmappedLevel(void** array, const void* mipmapped, unsigned level);
cudaError_t host_cudaFreeMipmapped(void* mipmapped);
}

// -- formats and sizes ---------------------------------------------------------------------------------------------------
inline cudaChannelFormatDesc host_createChannelDesc(int x, int y, int z, int w, cudaChannelFormatKind kind) {
    cudaChannelFormatDesc made;
    made.x = x; made.y = y; made.z = z; made.w = w; made.f = kind;
    return made;
}
template <class T> inline cudaChannelFormatDesc host_createChannelDesc() {
    return host_createChannelDesc(0, 0, 0, 0, cudaChannelFormatKindNone);
}
#define HOST_CHANNELS(T, count, kind)                                                                                             \
    template <> inline cudaChannelFormatDesc host_createChannelDesc<T>() {                                                        \
        int bits = 8 * sizeof(T) / count;                                                                                         \
        return host_createChannelDesc(bits, count > 1 ? bits : 0, count > 2 ? bits : 0, count > 3 ? bits : 0, kind);              \
    }
#define HOST_VECTORS(T, vector, kind)                                                                                             \
    HOST_CHANNELS(T, 1, kind) HOST_CHANNELS(vector##1, 1, kind) HOST_CHANNELS(vector##2, 2, kind) HOST_CHANNELS(vector##4, 4, kind)
HOST_CHANNELS(char, 1, cudaChannelFormatKindSigned)
HOST_VECTORS(signed char, char, cudaChannelFormatKindSigned)
HOST_VECTORS(unsigned char, uchar, cudaChannelFormatKindUnsigned)
HOST_VECTORS(short, short, cudaChannelFormatKindSigned)
HOST_VECTORS(unsigned short, ushort, cudaChannelFormatKindUnsigned)
HOST_VECTORS(int, int, cudaChannelFormatKindSigned)
HOST_VECTORS(unsigned int, uint, cudaChannelFormatKindUnsigned)
HOST_VECTORS(float, float, cudaChannelFormatKindFloat)
#undef HOST_VECTORS
#undef HOST_CHANNELS
inline cudaChannelFormatDesc host_createChannelDescHalf() { return host_createChannelDesc(16, 0, 0, 0, cudaChannelFormatKindFloat); }
inline cudaChannelFormatDesc host_createChannelDescHalf2() { return host_createChannelDesc(16, 16, 0, 0, cudaChannelFormatKindFloat); }
inline cudaChannelFormatDesc host_createChannelDescHalf4() { return host_createChannelDesc(16, 16, 16, 16, cudaChannelFormatKindFloat); }
inline cudaExtent host_makeExtent(size_t width, size_t height, size_t depth) {
    cudaExtent made;
    made.width = width; made.height = height; made.depth = depth;
    return made;
}
inline cudaPos host_makePos(size_t x, size_t y, size_t z) {
    cudaPos made;
    made.x = x; made.y = y; made.z = z;
    return made;
}
inline cudaPitchedPtr host_makePitchedPtr(void* pointer, size_t pitch, size_t width, size_t height) {
    cudaPitchedPtr made;
    made.ptr = pointer; made.pitch = pitch; made.xsize = width; made.ysize = height;
    return made;
}

// -- arrays --------------------------------------------------------------------------------------------------------------
inline cudaError_t host_malloc3DArray(cudaArray_t* array, const cudaChannelFormatDesc* format, cudaExtent size, unsigned flags = 0) {
    int bits[5] = {format->x, format->y, format->z, format->w, (int)format->f};
    return host_cudaMallocArray((void**)array, bits, size.width, size.height, size.depth, flags);
}
inline cudaError_t host_mallocArray(cudaArray_t* array, const cudaChannelFormatDesc* format, size_t width, size_t height = 0,
                                    unsigned flags = 0) {
    return host_malloc3DArray(array, format, host_makeExtent(width, height, 0), flags);
}
inline cudaError_t host_freeArray(cudaArray_t array) { return host_cudaFreeArray((void*)array); }
inline cudaError_t host_arrayGetInfo(cudaChannelFormatDesc* format, cudaExtent* size, unsigned* flags, cudaArray_t array) {
    long long info[9];
    cudaError_t found = host_cudaArrayInfo((const void*)array, info);
    if (found != cudaSuccess) return found;
    if (format) *format = host_createChannelDesc(info[0], info[1], info[2], info[3], (cudaChannelFormatKind)info[4]);
    if (size) *size = host_makeExtent(info[5], info[6], info[7]);
    if (flags) *flags = (unsigned)info[8];
    return found;
}
inline cudaError_t host_getChannelDesc(cudaChannelFormatDesc* format, cudaArray_const_t array) {
    return host_arrayGetInfo(format, 0, 0, (cudaArray_t)array);
}
inline cudaError_t host_malloc3D(cudaPitchedPtr* pointer, cudaExtent size) {
    size_t pitch = (size.width + 511) / 512 * 512;
    *pointer = host_makePitchedPtr(0, pitch, size.width, size.height);
    return host_cudaMalloc(&pointer->ptr, pitch * size.height * size.depth);
}
inline cudaError_t host_mallocMipmappedArray(cudaMipmappedArray_t* array, const cudaChannelFormatDesc* format, cudaExtent size,
                                             unsigned levels, unsigned flags = 0) {
    int bits[5] = {format->x, format->y, format->z, format->w, (int)format->f};
    return host_cudaMallocMipmapped((void**)array, bits, size.width, size.height, size.depth, levels, flags);
}
inline cudaError_t host_getMipmappedArrayLevel(cudaArray_t* array, cudaMipmappedArray_const_t mipmapped, unsigned level) {
    return host_cudaMipmappedLevel((void**)array, (const void*)mipmapped, level);
}
inline cudaError_t host_freeMipmappedArray(cudaMipmappedArray_t array) { return host_cudaFreeMipmapped((void*)array); }

// A copy of a box, as numbers: of the source and of the destination the array (0: memory), the address, the pitch, the rows of a
// slice, x, y, z; then width, height, depth, the kind, and whether width and the x of arrays count elements (1) or bytes (0).
inline cudaError_t host_memcpy3D(const cudaMemcpy3DParms* p, cudaStream_t stream = 0, int waits = 1) {
    long long box[19] = {
        (long long)p->srcArray, (long long)p->srcPtr.ptr, (long long)p->srcPtr.pitch, (long long)p->srcPtr.ysize,
        (long long)p->srcPos.x, (long long)p->srcPos.y, (long long)p->srcPos.z,
        (long long)p->dstArray, (long long)p->dstPtr.ptr, (long long)p->dstPtr.pitch, (long long)p->dstPtr.ysize,
        (long long)p->dstPos.x, (long long)p->dstPos.y, (long long)p->dstPos.z,
        (long long)p->extent.width, (long long)p->extent.height, (long long)p->extent.depth, (long long)p->kind, 1};
    return host_cudaCopyBox(box, stream, waits);
}
inline cudaError_t host_memcpy2DToArray(cudaArray_t array, size_t x, size_t y, const void* from, size_t pitch, size_t width,
                                        size_t height, cudaMemcpyKind kind, cudaStream_t stream = 0, int waits = 1) {
    long long box[19] = {0, (long long)from, (long long)pitch, (long long)height, 0, 0, 0, (long long)array, 0, 0, 0,
                         (long long)x, (long long)y, 0, (long long)width, (long long)height, 1, (long long)kind, 0};
    return host_cudaCopyBox(box, stream, waits);
}
inline cudaError_t host_memcpy2DFromArray(void* to, size_t pitch, cudaArray_const_t array, size_t x, size_t y, size_t width,
                                          size_t height, cudaMemcpyKind kind, cudaStream_t stream = 0, int waits = 1) {
    long long box[19] = {(long long)array, 0, 0, 0, (long long)x, (long long)y, 0, 0, (long long)to, (long long)pitch,
                         (long long)height, 0, 0, 0, (long long)width, (long long)height, 1, (long long)kind, 0};
    return host_cudaCopyBox(box, stream, waits);
}
inline cudaError_t host_memcpy2DArrayToArray(cudaArray_t to, size_t to_x, size_t to_y, cudaArray_const_t from, size_t x, size_t y,
                                             size_t width, size_t height, cudaMemcpyKind kind = cudaMemcpyDeviceToDevice) {
    long long box[19] = {(long long)from, 0, 0, 0, (long long)x, (long long)y, 0, (long long)to, 0, 0, 0, (long long)to_x,
                         (long long)to_y, 0, (long long)width, (long long)height, 1, (long long)kind, 0};
    return host_cudaCopyBox(box, 0, 1);
}
inline cudaError_t host_memcpyToArray(cudaArray_t array, size_t x, size_t y, const void* from, size_t bytes, cudaMemcpyKind kind,
                                      cudaStream_t stream = 0, int waits = 1) {
    return host_cudaCopyRun((const void*)array, x, y, from, bytes, 1, (int)kind, stream, waits);
}
inline cudaError_t host_memcpyFromArray(void* to, cudaArray_const_t array, size_t x, size_t y, size_t bytes, cudaMemcpyKind kind,
                                        cudaStream_t stream = 0, int waits = 1) {
    return host_cudaCopyRun((const void*)array, x, y, to, bytes, 0, (int)kind, stream, waits);
}

// Copies that do not wait are done in their stream, or noted where that is being captured.
inline cudaError_t host_memcpy3DAsync(const cudaMemcpy3DParms* p, cudaStream_t stream = 0) { return host_memcpy3D(p, stream, 0); }
inline cudaError_t host_memcpy2DToArrayAsync(cudaArray_t array, size_t x, size_t y, const void* from, size_t pitch, size_t width,
                                             size_t height, cudaMemcpyKind kind, cudaStream_t stream = 0) {
    return host_memcpy2DToArray(array, x, y, from, pitch, width, height, kind, stream, 0);
}
inline cudaError_t host_memcpy2DFromArrayAsync(void* to, size_t pitch, cudaArray_const_t array, size_t x, size_t y, size_t width,
                                               size_t height, cudaMemcpyKind kind, cudaStream_t stream = 0) {
    return host_memcpy2DFromArray(to, pitch, array, x, y, width, height, kind, stream, 0);
}
inline cudaError_t host_memcpyToArrayAsync(cudaArray_t array, size_t x, size_t y, const void* from, size_t bytes, cudaMemcpyKind kind,
                                           cudaStream_t stream = 0) {
    return host_memcpyToArray(array, x, y, from, bytes, kind, stream, 0);
}
inline cudaError_t host_memcpyFromArrayAsync(void* to, cudaArray_const_t array, size_t x, size_t y, size_t bytes, cudaMemcpyKind kind,
                                             cudaStream_t stream = 0) {
    return host_memcpyFromArray(to, array, x, y, bytes, kind, stream, 0);
}

// -- objects -------------------------------------------------------------------------------------------------------------
// A resource, as numbers: its kind, the array (mipmapped or not) or the address, the format (5 numbers), width in elements or the bytes of linear
// memory, height, pitch.
inline void host_flatten(long long* to, const cudaResourceDesc* from) {
    for (int i = 0; i < 10; i++) to[i] = 0;
    to[0] = (long long)from->resType;
    if (from->resType == cudaResourceTypeArray) to[1] = (long long)from->res.array.array;
    if (from->resType == cudaResourceTypeMipmappedArray) to[1] = (long long)from->res.mipmap.mipmap;
    const cudaChannelFormatDesc* format = 0;
    if (from->resType == cudaResourceTypeLinear) {
        format = &from->res.linear.desc;
        to[1] = (long long)from->res.linear.devPtr;
        to[7] = (long long)from->res.linear.sizeInBytes;
    }
    if (from->resType == cudaResourceTypePitch2D) {
        format = &from->res.pitch2D.desc;
        to[1] = (long long)from->res.pitch2D.devPtr;
        to[7] = (long long)from->res.pitch2D.width;
        to[8] = (long long)from->res.pitch2D.height;
        to[9] = (long long)from->res.pitch2D.pitchInBytes;
    }
    if (format) {
        to[2] = format->x; to[3] = format->y; to[4] = format->z; to[5] = format->w; to[6] = (long long)format->f;
    }
}
inline cudaError_t host_createTextureObject(cudaTextureObject_t* object, const cudaResourceDesc* resource, const cudaTextureDesc* how,
                                            const cudaResourceViewDesc* view) {
    long long numbers[10], modes[11] = {
        (long long)how->addressMode[0], (long long)how->addressMode[1], (long long)how->addressMode[2], (long long)how->filterMode,
        (long long)how->readMode, how->sRGB, how->normalizedCoords, (long long)how->maxAnisotropy, how->seamlessCubemap,
        view != 0 && view->format != cudaResViewFormatNone, (long long)how->mipmapFilterMode};
    float fractions[7] = {how->borderColor[0], how->borderColor[1], how->borderColor[2], how->borderColor[3],
                          how->mipmapLevelBias, how->minMipmapLevelClamp, how->maxMipmapLevelClamp};
    host_flatten(numbers, resource);
    return host_cudaCreateTexture((unsigned long long*)object, numbers, modes, fractions);
}
inline cudaError_t host_createSurfaceObject(cudaSurfaceObject_t* object, const cudaResourceDesc* resource) {
    long long numbers[10];
    host_flatten(numbers, resource);
    return host_cudaCreateSurface((unsigned long long*)object, numbers);
}
inline cudaError_t host_destroyTextureObject(cudaTextureObject_t object) { return host_cudaDestroyBindless(object, 1); }
inline cudaError_t host_destroySurfaceObject(cudaSurfaceObject_t object) { return host_cudaDestroyBindless(object, 0); }

#define cudaCreateChannelDesc host_createChannelDesc
#define cudaCreateChannelDescHalf host_createChannelDescHalf
#define cudaCreateChannelDescHalf1 host_createChannelDescHalf
#define cudaCreateChannelDescHalf2 host_createChannelDescHalf2
#define cudaCreateChannelDescHalf4 host_createChannelDescHalf4
#define make_cudaExtent host_makeExtent
#define make_cudaPos host_makePos
#define make_cudaPitchedPtr host_makePitchedPtr
#define cudaMallocArray host_mallocArray
#define cudaMalloc3DArray host_malloc3DArray
#define cudaMalloc3D host_malloc3D
#define cudaFreeArray host_freeArray
#define cudaArrayGetInfo host_arrayGetInfo
#define cudaGetChannelDesc host_getChannelDesc
#define cudaMallocMipmappedArray host_mallocMipmappedArray
#define cudaGetMipmappedArrayLevel host_getMipmappedArrayLevel
#define cudaFreeMipmappedArray host_freeMipmappedArray
#define cudaMemcpy3D host_memcpy3D
#define cudaMemcpy3DAsync host_memcpy3DAsync
#define cudaMemcpy2DToArray host_memcpy2DToArray
#define cudaMemcpy2DToArrayAsync host_memcpy2DToArrayAsync
#define cudaMemcpy2DFromArray host_memcpy2DFromArray
#define cudaMemcpy2DFromArrayAsync host_memcpy2DFromArrayAsync
#define cudaMemcpy2DArrayToArray host_memcpy2DArrayToArray
#define cudaMemcpyToArray host_memcpyToArray
#define cudaMemcpyToArrayAsync host_memcpyToArrayAsync
#define cudaMemcpyFromArray host_memcpyFromArray
#define cudaMemcpyFromArrayAsync host_memcpyFromArrayAsync
#define cudaCreateTextureObject host_createTextureObject
#define cudaDestroyTextureObject host_destroyTextureObject
#define cudaCreateSurfaceObject host_createSurfaceObject
#define cudaDestroySurfaceObject host_destroySurfaceObject

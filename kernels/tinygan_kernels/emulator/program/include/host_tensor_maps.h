// Tensor maps for host code: cuTensorMapEncodeTiled and ...Im2col, by their names and as entry points of the driver. host_program.h includes this
// file; the types of cuda.h stand here as the numbers and pointers that they are, as a program need not include it.
#pragma once
#define HOST_TENSOR_MAPS

extern "C" int host_tensorMapEncodeTiled(void* map, int kind, unsigned rank, void* address, const void* sizes, const void* strides,
                                         const void* box, const void* steps, int interleave, int swizzle, int promotion, int fill);

extern "C" int host_tensorMapEncodeIm2col(void* map, int kind, unsigned rank, void* address, const void* sizes, const void* strides,
                                          const void* lower, const void* upper, unsigned channels, unsigned pixels, const void* steps,
                                          int interleave, int swizzle, int promotion, int fill);

inline int host_encodeTiled(void* map, int kind, unsigned rank, void* address, const void* sizes, const void* strides, const void* box,
                            const void* steps, int interleave, int swizzle, int promotion, int fill) {
    return host_tensorMapEncodeTiled(map, kind, rank, address, sizes, strides, box, steps, interleave, swizzle, promotion, fill);
}
inline int host_encodeIm2col(void* map, int kind, unsigned rank, void* address, const void* sizes, const void* strides, const void* lower,
                             const void* upper, unsigned channels, unsigned pixels, const void* steps, int interleave, int swizzle,
                             int promotion, int fill) {
    return host_tensorMapEncodeIm2col(map, kind, rank, address, sizes, strides, lower, upper, channels, pixels, steps, interleave, swizzle,
                                      promotion, fill);
}

// Entry points: the two functions that there are; of others a program hears that they are not found.
inline bool host_sameName(const char* name, const char* known) {
    int i = 0;
    while (name[i] && name[i] == known[i]) ++i;
    return name[i] == known[i];
}
inline cudaError_t host_getDriverEntryPoint(const char* name, void** function, unsigned long long = 0,
                                            cudaDriverEntryPointQueryResult* found = 0) {
    *function = host_sameName(name, "cuTensorMapEncodeTiled") ? (void*)host_encodeTiled
              : host_sameName(name, "cuTensorMapEncodeIm2col") ? (void*)host_encodeIm2col : (void*)0;
    if (found) *found = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}
inline cudaError_t host_getDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long flags = 0,
                                                     cudaDriverEntryPointQueryResult* found = 0) {
    return host_getDriverEntryPoint(name, function, flags, found);
}
#define cudaGetDriverEntryPoint host_getDriverEntryPoint
#define cudaGetDriverEntryPointByVersion host_getDriverEntryPointByVersion

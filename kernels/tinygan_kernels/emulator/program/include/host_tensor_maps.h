// Tensor maps for host code: cuTensorMapEncodeTiled, by its name and as an entry point of the driver. host_program.h includes this
// file; the types of cuda.h stand here as the numbers and pointers that they are, as a program need not include it.
#pragma once
#define HOST_TENSOR_MAPS

extern "C" int host_tensorMapEncodeTiled(void* map, int kind, unsigned rank, void* address, const void* sizes, const void* strides,
                                         const void* box, const void* steps, int interleave, int swizzle, int promotion, int fill);

inline int host_encodeTiled(void* map, int kind, unsigned rank, void* address, const void* sizes, const void* strides, const void* box,
                            const void* steps, int interleave, int swizzle, int promotion, int fill) {
    return host_tensorMapEncodeTiled(map, kind, rank, address, sizes, strides, box, steps, interleave, swizzle, promotion, fill);
}

// Entry points: the one function that there is; of others a program hears that they are not found.
inline cudaError_t host_getDriverEntryPoint(const char* name, void** function, unsigned long long = 0,
                                            cudaDriverEntryPointQueryResult* found = 0) {
    const char* known = "cuTensorMapEncodeTiled";
    int i = 0;
    while (name[i] && name[i] == known[i]) ++i;
    bool same = name[i] == known[i];
    *function = same ? (void*)host_encodeTiled : (void*)0;
    if (found) *found = same ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}
inline cudaError_t host_getDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long flags = 0,
                                                     cudaDriverEntryPointQueryResult* found = 0) {
    return host_getDriverEntryPoint(name, function, flags, found);
}
#define cudaGetDriverEntryPoint host_getDriverEntryPoint
#define cudaGetDriverEntryPointByVersion host_getDriverEntryPointByVersion

"""What of cuda.h, the header of the CUDA driver, kernels and programs use: tensor maps. (CUDA Driver API, "Tensor Map Object
Management")"""

from __future__ import annotations


def _enumeration(name: str, values: dict[str, int]) -> str:
    listed = ", ".join(f"{key} = {value}" for key, value in values.items())
    return f"typedef enum {name}_enum {{ {listed} }} {name};\n"


_ERRORS = {"CUDA_SUCCESS": 0, "CUDA_ERROR_INVALID_VALUE": 1, "CUDA_ERROR_OUT_OF_MEMORY": 2, "CUDA_ERROR_NOT_INITIALIZED": 3,
           "CUDA_ERROR_DEINITIALIZED": 4, "CUDA_ERROR_INVALID_CONTEXT": 201, "CUDA_ERROR_NOT_FOUND": 500,
           "CUDA_ERROR_NOT_SUPPORTED": 801, "CUDA_ERROR_UNKNOWN": 999}  # fmt: skip
_KINDS = [
    "UINT8", "UINT16", "UINT32", "INT32", "UINT64", "INT64", "FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16", "FLOAT32_FTZ", "TFLOAT32",
    "TFLOAT32_FTZ",
]  # fmt: skip


def _numbered(prefix: str, names: list[str]) -> dict[str, int]:
    return {f"CU_TENSOR_MAP_{prefix}_{name}": number for number, name in enumerate(names)}


_PARAMETERS = (
    "CUtensorMap* map, CUtensorMapDataType kind, cuuint32_t rank, void* address, const cuuint64_t* sizes, "
    "const cuuint64_t* strides, const cuuint32_t* box, const cuuint32_t* steps, CUtensorMapInterleave interleave, "
    "CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill"
)
_IM2COL = _PARAMETERS.replace(
    "const cuuint32_t* box, ", "const int* lower, const int* upper, cuuint32_t channels, cuuint32_t pixels, "
)
TEXT = (
    "#ifndef __cuda_cuda_h__\n#define __cuda_cuda_h__\n"
    "typedef unsigned int cuuint32_t;\ntypedef unsigned long long cuuint64_t;\n"
    "#define CU_TENSOR_MAP_NUM_QWORDS 16\n"
    "typedef struct CUtensorMap_st { alignas(128) cuuint64_t opaque[CU_TENSOR_MAP_NUM_QWORDS]; } CUtensorMap;\n"
    + _enumeration("CUresult", _ERRORS).replace("CUresult_enum", "cudaError_enum")
    + _enumeration("CUtensorMapDataType", _numbered("DATA_TYPE", _KINDS))
    + _enumeration("CUtensorMapInterleave", _numbered("INTERLEAVE", ["NONE", "16B", "32B"]))
    + _enumeration("CUtensorMapSwizzle", _numbered("SWIZZLE", ["NONE", "32B", "64B", "128B"]))
    + _enumeration("CUtensorMapL2promotion", _numbered("L2_PROMOTION", ["NONE", "L2_64B", "L2_128B", "L2_256B"]))
    + _enumeration("CUtensorMapFloatOOBfill", _numbered("FLOAT_OOB_FILL", ["NONE", "NAN_REQUEST_ZERO_FMA"]))
    + "#ifdef HOST_TENSOR_MAPS\n"
    f"inline CUresult cuTensorMapEncodeTiled({_PARAMETERS}) {{\n"
    "    return (CUresult)host_tensorMapEncodeTiled(map, kind, rank, address, sizes, strides, box, steps, interleave, swizzle,\n"
    "                                               promotion, fill);\n}\n"
    f"inline CUresult cuTensorMapEncodeIm2col({_IM2COL}) {{\n"
    "    return (CUresult)host_tensorMapEncodeIm2col(map, kind, rank, address, sizes, strides, lower, upper, channels, pixels,\n"
    "                                                steps, interleave, swizzle, promotion, fill);\n}\n"
    "#endif\n#endif\n"
)
TYPEDEFS = (
    "#pragma once\n#include <cuda.h>\n"
    f"typedef CUresult (*PFN_cuTensorMapEncodeTiled_v12000)({_PARAMETERS});\n"
    "typedef PFN_cuTensorMapEncodeTiled_v12000 PFN_cuTensorMapEncodeTiled;\n"
    f"typedef CUresult (*PFN_cuTensorMapEncodeIm2col_v12000)({_IM2COL});\n"
    "typedef PFN_cuTensorMapEncodeIm2col_v12000 PFN_cuTensorMapEncodeIm2col;\n"
)
"""cudaTypedefs.h: the types of pointers to the driver's functions, of which the emulator has two."""

"""The errors of the CUDA runtime: their numbers, names and texts."""

from __future__ import annotations

SUCCESS, INVALID_VALUE, OUT_OF_MEMORY, INVALID_CONFIGURATION, INVALID_PITCH, INVALID_SYMBOL = 0, 1, 2, 9, 12, 13
INVALID_DIRECTION, INVALID_FUNCTION, INVALID_DEVICE, INVALID_HANDLE, OUT_OF_RESOURCES, NOT_SUPPORTED = 21, 98, 101, 400, 701, 801
UNSUPPORTED, INVALIDATED, UNMATCHED, UNJOINED, IMPLICIT, UPDATE_FAILED, INVALID_CLUSTER = 900, 901, 903, 904, 906, 910, 912
ERRORS = {
    SUCCESS: ("cudaSuccess", "no error"),
    INVALID_VALUE: ("cudaErrorInvalidValue", "invalid argument"),
    OUT_OF_MEMORY: ("cudaErrorMemoryAllocation", "out of memory"),
    INVALID_CONFIGURATION: ("cudaErrorInvalidConfiguration", "invalid configuration argument"),
    INVALID_PITCH: ("cudaErrorInvalidPitchValue", "invalid pitch argument"),
    INVALID_SYMBOL: ("cudaErrorInvalidSymbol", "invalid device symbol"),
    INVALID_DIRECTION: ("cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"),
    INVALID_FUNCTION: ("cudaErrorInvalidDeviceFunction", "invalid device function"),
    100: ("cudaErrorNoDevice", "no CUDA-capable device is detected"),
    INVALID_DEVICE: ("cudaErrorInvalidDevice", "invalid device ordinal"),
    INVALID_HANDLE: ("cudaErrorInvalidResourceHandle", "invalid resource handle"),
    600: ("cudaErrorNotReady", "device not ready"),
    700: ("cudaErrorIllegalAddress", "an illegal memory access was encountered"),
    OUT_OF_RESOURCES: ("cudaErrorLaunchOutOfResources", "too many resources requested for launch"),
    710: ("cudaErrorAssert", "device-side assert triggered"),
    719: ("cudaErrorLaunchFailure", "unspecified launch failure"),
    NOT_SUPPORTED: ("cudaErrorNotSupported", "operation not supported"),
    UNSUPPORTED: ("cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"),
    INVALIDATED: ("cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"),
    UNMATCHED: ("cudaErrorStreamCaptureUnmatched", "capture was not ended in the same stream as it began"),
    UNJOINED: ("cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"),
    IMPLICIT: ("cudaErrorStreamCaptureImplicit", "operation would make the legacy stream depend on a capturing blocking stream"),
    UPDATE_FAILED: (
        "cudaErrorGraphExecUpdateFailure",
        "the graph update was not performed because it included changes which violated constraints specific to instantiated graph "
        "update",
    ),
    INVALID_CLUSTER: ("cudaErrorInvalidClusterSize", "cluster misconfiguration"),
}
"""{cudaError_t: (its name, what cudaGetErrorString says)}. (CUDA Runtime API, "Data types used by CUDA Runtime")"""


class CudaError(Exception):
    """Raised inside of a function of the runtime for an error that it returns as a cudaError_t."""

    def __init__(self, code: int, why: str):
        super().__init__(why)
        self.code = code

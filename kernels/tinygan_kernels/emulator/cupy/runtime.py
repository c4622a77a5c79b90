"""`cupy.cuda.runtime` of `emulator.cupy`: what scripts ask CUDA's runtime, and copies by address.

The device is the one that the emulator stands for, of compute capability 8.0; a number that it has not is 0.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from tinygan_kernels.emulator.host.numba_device import ATTRIBUTES, CAPABILITY
from tinygan_kernels.emulator.host.script_order import ORDER
from tinygan_kernels.emulator.program.graphs import MEMCPY, MEMSET
from tinygan_kernels.emulator.sanitizer.streams import DEFAULT

from .errors import CUDARuntimeError
from .memory import DEVICE_BYTES, free_bytes, noted
from .streams import GLOBAL, RELAXED, THREAD_LOCAL, ExternalStream, get_current_stream, in_stream, refuse
from .texture import CONSTANTS

VERSION = 13000
"""The version of CUDA that is answered: 13.0."""
memcpyHostToHost, memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice, memcpyDefault = range(5)
streamDefault, streamNonBlocking, eventDefault, eventBlockingSync, eventDisableTiming, eventInterprocess = 0, 1, 0, 1, 2, 4
streamCaptureModeGlobal, streamCaptureModeThreadLocal, streamCaptureModeRelaxed = GLOBAL, THREAD_LOCAL, RELAXED
is_hip = False
globals().update(CONSTANTS)


def getDeviceCount() -> int:
    return 1


def getDevice() -> int:
    return 0


def setDevice(device: int) -> None:
    """Choose the device. Raises CUDARuntimeError for another number than 0."""
    if device != 0:
        raise CUDARuntimeError(101)


def deviceSynchronize() -> None:
    """Let the host wait for all streams. Raises CUDARuntimeError while a stream is captured."""
    refuse("cudaDeviceSynchronize")
    ORDER.host_waits()


def streamSynchronize(stream: int) -> None:
    """Let the host wait for a stream. Raises CUDARuntimeError while it is captured."""
    refuse("cudaStreamSynchronize", ExternalStream(stream))
    ORDER.host_waits(stream)


def deviceGetAttribute(attribute: int, device: int) -> int:
    """Return an attribute of the device by CUDA's number for it. Raises CUDARuntimeError for another device than 0."""
    setDevice(device)
    from cuda.bindings import driver

    return ATTRIBUTES.get(driver.CUdevice_attribute(attribute).name.removeprefix("CU_DEVICE_ATTRIBUTE_"), 0)


def getDeviceProperties(device: int) -> dict:
    """Return the properties of the device, under CUDA's names. Raises CUDARuntimeError for another device than 0."""
    setDevice(device)
    a = ATTRIBUTES
    return {
        "name": b"tinygan_kernels.emulator", "totalGlobalMem": DEVICE_BYTES, "major": CAPABILITY[0], "minor": CAPABILITY[1],
        "multiProcessorCount": a["MULTIPROCESSOR_COUNT"], "warpSize": a["WARP_SIZE"], "clockRate": 0, "memoryClockRate": 0,
        "maxThreadsPerBlock": a["MAX_THREADS_PER_BLOCK"], "maxThreadsPerMultiProcessor": a["MAX_THREADS_PER_MULTIPROCESSOR"],
        "maxThreadsDim": tuple(a[f"MAX_BLOCK_DIM_{axis}"] for axis in "XYZ"),
        "maxGridSize": tuple(a[f"MAX_GRID_DIM_{axis}"] for axis in "XYZ"),
        "sharedMemPerBlock": a["MAX_SHARED_MEMORY_PER_BLOCK"],
        "sharedMemPerMultiprocessor": a["MAX_SHARED_MEMORY_PER_MULTIPROCESSOR"],
        "sharedMemPerBlockOptin": a["MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"], "regsPerBlock": a["MAX_REGISTERS_PER_BLOCK"],
        "regsPerMultiprocessor": a["MAX_REGISTERS_PER_MULTIPROCESSOR"], "totalConstMem": a["TOTAL_CONSTANT_MEMORY"],
        "memoryBusWidth": 0, "l2CacheSize": 0, "integrated": 1, "canMapHostMemory": 1, "unifiedAddressing": 1, "managedMemory": 1,
        "concurrentKernels": 0, "ECCEnabled": 0, "pciBusID": 0, "pciDeviceID": 0, "pciDomainID": 0, "cooperativeLaunch": 1,
    }  # fmt: skip


def runtimeGetVersion() -> int:
    return VERSION


def driverGetVersion() -> int:
    return VERSION


def memGetInfo() -> tuple[int, int]:
    """Return the bytes that the device has free, and that it has in all. What arrays and allocations hold is not free."""
    return free_bytes(), DEVICE_BYTES


def memcpy(dst: int, src: int, size: int, kind: int) -> None:
    """Copy bytes from one address to another. On a GPU the kind of copy has to fit them; all memory is the host's here.

    Raises CUDARuntimeError for a null pointer, for a kind that there is not, and while a stream is captured.
    """
    refuse("cudaMemcpy")
    _copy(dst, src, size, kind)()
    noted(DEFAULT, "memcpy", (dst, size, True), (src, size, False))
    if kind != memcpyDeviceToDevice:
        ORDER.host_waits(DEFAULT)


def memcpyAsync(dst: int, src: int, size: int, kind: int, stream: int) -> None:
    """Copy bytes as `memcpy` does, in a stream, which may be captured."""
    copy = _copy(dst, src, size, kind)

    def work() -> None:
        copy()
        noted(get_current_stream().ptr, "memcpyAsync", (dst, size, True), (src, size, False))

    in_stream(work, ExternalStream(stream), MEMCPY)


def _copy(dst: int, src: int, size: int, kind: int) -> Callable[[], object]:
    """Return what does a copy. Raises CUDARuntimeError for one that there is not."""
    if kind not in range(5):
        raise CUDARuntimeError(21, "cudaErrorInvalidMemcpyDirection: invalid copy direction for memcpy")
    _check(size, dst, src)
    return lambda: ctypes.memmove(dst, src, size)


def memset(ptr: int, value: int, size: int) -> None:
    """Set bytes at an address. Raises CUDARuntimeError for a null pointer, and while a stream is captured."""
    refuse("cudaMemset")
    _check(size, ptr)
    ctypes.memset(ptr, value, size)
    noted(DEFAULT, "memset", (ptr, size, True))


def memsetAsync(ptr: int, value: int, size: int, stream: int) -> None:
    """Set bytes as `memset` does, in a stream, which may be captured."""
    _check(size, ptr)

    def work() -> None:
        ctypes.memset(ptr, value, size)
        noted(get_current_stream().ptr, "memsetAsync", (ptr, size, True))

    in_stream(work, ExternalStream(stream), MEMSET)


def _check(size: int, *addresses: int) -> None:
    """Raise CUDARuntimeError where bytes are wanted of a null pointer, or fewer than none."""
    if size < 0 or (size and not all(addresses)):
        raise CUDARuntimeError(1, "cudaErrorInvalidValue: invalid argument")


def profilerStart() -> None: ...


def profilerStop() -> None: ...


def __getattr__(name: str) -> Any:
    raise AttributeError(f"emulator.cupy.cuda.runtime has no {name}: it has properties of the device, copies and constants")

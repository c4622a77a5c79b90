"""`cupy.cuda.runtime` of `emulator.cupy`: what scripts ask CUDA's runtime, and copies by address.

The device is the one that the emulator stands for, of compute capability 8.0; a number that it has not is 0.
"""

from __future__ import annotations

import ctypes
from typing import Any

from tinygan_kernels.emulator.host.numba_device import ATTRIBUTES, CAPABILITY

from .memory import DEVICE_BYTES
from .texture import CONSTANTS

VERSION = 13000
"""The version of CUDA that is answered: 13.0."""
memcpyHostToHost, memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice, memcpyDefault = range(5)
streamDefault, streamNonBlocking, eventDefault, eventBlockingSync, eventDisableTiming, eventInterprocess = 0, 1, 0, 1, 2, 4
is_hip = False
globals().update(CONSTANTS)


class CUDARuntimeError(RuntimeError):
    """What CuPy raises where CUDA returns an error: its name and its text."""

    def __init__(self, status: int, text: str = "cudaErrorInvalidDevice: invalid device ordinal"):
        super().__init__(text)
        self.status = status


def getDeviceCount() -> int:
    return 1


def getDevice() -> int:
    return 0


def setDevice(device: int) -> None:
    """Choose the device. Raises CUDARuntimeError for another number than 0."""
    if device != 0:
        raise CUDARuntimeError(101)


def deviceSynchronize() -> None: ...


def streamSynchronize(stream: int) -> None: ...


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
    """Return the bytes that the device has free, and that it has in all."""
    return DEVICE_BYTES, DEVICE_BYTES


def memcpy(dst: int, src: int, size: int, kind: int) -> None:
    """Copy bytes from one address to another. On a GPU the kind of copy has to fit them; all memory is the host's here.

    Raises CUDARuntimeError for a null pointer, and for a kind that there is not.
    """
    if kind not in range(5):
        raise CUDARuntimeError(21, "cudaErrorInvalidMemcpyDirection: invalid copy direction for memcpy")
    _check(size, dst, src)
    ctypes.memmove(dst, src, size)


def memcpyAsync(dst: int, src: int, size: int, kind: int, stream: int) -> None:
    memcpy(dst, src, size, kind)


def memset(ptr: int, value: int, size: int) -> None:
    """Set bytes at an address. Raises CUDARuntimeError for a null pointer."""
    _check(size, ptr)
    ctypes.memset(ptr, value, size)


def memsetAsync(ptr: int, value: int, size: int, stream: int) -> None:
    memset(ptr, value, size)


def _check(size: int, *addresses: int) -> None:
    """Raise CUDARuntimeError where bytes are wanted of a null pointer, or fewer than none."""
    if size < 0 or (size and not all(addresses)):
        raise CUDARuntimeError(1, "cudaErrorInvalidValue: invalid argument")


def profilerStart() -> None: ...


def profilerStop() -> None: ...


def __getattr__(name: str) -> Any:
    raise AttributeError(f"emulator.cupy.cuda.runtime has no {name}: it has properties of the device, copies and constants")

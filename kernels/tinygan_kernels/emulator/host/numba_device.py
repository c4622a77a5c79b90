"""The driver that Numba CUDA calls, in host memory: allocations, copies, streams and events of a device that is not there.

Numba's own code does the rest: device arrays, the types of arguments, what happens to a kernel's exceptions. Everything is carried
out at once, and an event has happened as soon as it is recorded; what a GPU could do in another order `script_order` finds.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from bisect import bisect_right, insort

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute.memory import bytes_at, empty
from tinygan_kernels.emulator.execute.residency import PROCESSORS, resident_blocks
from tinygan_kernels.emulator.sanitizer.streams import DEFAULT, OF_THREAD, Use

from .script_order import ORDER

CAPABILITY = (8, 0)
ATTRIBUTES = {
    "MAX_THREADS_PER_BLOCK": 1024, "MAX_BLOCK_DIM_X": 1024, "MAX_BLOCK_DIM_Y": 1024, "MAX_BLOCK_DIM_Z": 64,
    "MAX_GRID_DIM_X": 2**31 - 1, "MAX_GRID_DIM_Y": 65535, "MAX_GRID_DIM_Z": 65535, "MAX_SHARED_MEMORY_PER_BLOCK": 48 * 1024,
    "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN": 163 * 1024, "MAX_SHARED_MEMORY_PER_MULTIPROCESSOR": 164 * 1024,
    "TOTAL_CONSTANT_MEMORY": 65536, "WARP_SIZE": 32, "MAX_PITCH": 2**31 - 1, "MAX_REGISTERS_PER_BLOCK": 65536,
    "MAX_REGISTERS_PER_MULTIPROCESSOR": 65536, "MAX_THREADS_PER_MULTIPROCESSOR": 2048, "MULTIPROCESSOR_COUNT": 1, "INTEGRATED": 1,
    "CAN_MAP_HOST_MEMORY": 1, "COMPUTE_MODE": 0, "CONCURRENT_KERNELS": 0, "ECC_ENABLED": 0, "PCI_BUS_ID": 0, "PCI_DEVICE_ID": 0,
    "PCI_DOMAIN_ID": 0, "TCC_DRIVER": 0, "ASYNC_ENGINE_COUNT": 0, "UNIFIED_ADDRESSING": 1, "MANAGED_MEMORY": 1,
    "COMPUTE_CAPABILITY_MAJOR": CAPABILITY[0], "COMPUTE_CAPABILITY_MINOR": CAPABILITY[1], "KERNEL_EXEC_TIMEOUT": 0,
    "CLOCK_RATE": 0, "MEMORY_CLOCK_RATE": 0, "GLOBAL_MEMORY_BUS_WIDTH": 0, "L2_CACHE_SIZE": 0, "COOPERATIVE_LAUNCH": 1,
}  # fmt: skip
"""What the device says of itself: the limits of compute capability 8.0, which the emulator keeps; 0 where it has no such thing."""


class Allocations:
    """The device's memory: arrays by their addresses."""

    def __init__(self):
        self.starts: list[int] = []
        self.arrays: dict[int, np.ndarray] = {}
        self.of_host: set[int] = set()  # addresses of pinned memory, which takes nothing of the device's
        self.managed: set[int] = set()  # addresses of memory that the host reads and writes too

    def add(self, array: np.ndarray, of_host: bool = False) -> int:
        """Make the bytes of an array memory that the device reaches; return their address."""
        address = array.__array_interface__["data"][0]
        if address not in self.arrays:
            insort(self.starts, address)
        self.arrays[address] = array
        if of_host:
            self.of_host.add(address)
        return address

    def device_bytes(self) -> int:
        """Return the bytes of the device's own memory that are in use."""
        return sum(array.size for address, array in self.arrays.items() if address not in self.of_host)

    def remove(self, address: int) -> None:
        """Take memory away from the device, if it is there."""
        if self.arrays.pop(address, None) is not None:
            self.starts.remove(address)
            self.of_host.discard(address)
            self.managed.discard(address)

    def at(self, address: int) -> np.ndarray | None:
        """Return the memory that holds an address, None where there is none."""
        i = bisect_right(self.starts, address) - 1
        if i < 0:
            return None
        array = self.arrays[self.starts[i]]
        return array if address < self.starts[i] + array.size else None

    def seen_by_host(self, address: int) -> bool:
        """Return whether the host reads and writes the memory that holds an address too: pinned, mapped or managed."""
        i = bisect_right(self.starts, address) - 1
        return i >= 0 and (self.starts[i] in self.of_host or self.starts[i] in self.managed)


def number_of(handle) -> int:
    """Return the number of a handle: one of CUDA's bindings, or of ctypes, as some of numba-cuda's versions wrap these."""
    return (handle.value or 0) if isinstance(handle, ctypes.c_void_p) else int(handle or 0)


class HostDriver:
    """The functions of the CUDA driver that Numba calls, under their names. What is missing raises EmulatorError."""

    def __init__(self, binding):
        self.binding = binding
        self.allocations = Allocations()
        self.modules: dict = {}  # handle -> LoadedCode
        self.handles = ORDER.handles
        ORDER.finders.append(self.allocations.at)
        self.events: dict[int, float] = {}
        self.context = binding.CUcontext(1)
        self.stacks = threading.local()

    # -- the device and its context ---------------------------------------------------------------------------------
    def cuInit(self, _flags) -> None: ...

    def cuDriverGetVersion(self) -> int:
        return 13000

    def cuDeviceGetCount(self) -> int:
        return 1

    def cuDeviceGetAttribute(self, code, _device) -> int:
        return ATTRIBUTES.get(code.name.removeprefix("CU_DEVICE_ATTRIBUTE_"), 0)

    def cuDeviceCanAccessPeer(self, _device, _peer) -> int:
        return 0

    def _stack(self) -> list:
        if not hasattr(self.stacks, "contexts"):
            self.stacks.contexts = []
        return self.stacks.contexts

    def cuCtxGetCurrent(self):
        return self.context if self._stack() else self.binding.CUcontext(0)

    def cuCtxGetDevice(self) -> int:
        return 0

    def cuCtxPushCurrent(self, context) -> None:
        self._stack().append(context)

    def cuCtxPopCurrent(self):
        return self._stack().pop()

    def cuCtxSynchronize(self) -> None:
        ORDER.host_waits()

    def cuDevicePrimaryCtxRetain(self, _device):
        return self.context

    def cuDevicePrimaryCtxRelease(self, _device) -> None: ...

    def cuDevicePrimaryCtxReset(self, _device) -> None:
        ORDER.host_waits()

    def cuProfilerStart(self) -> None: ...

    def cuProfilerStop(self) -> None: ...

    # -- memory -----------------------------------------------------------------------------------------------------
    def _pointer(self, address: int):
        return self.binding.CUdeviceptr(address)

    def cuMemAlloc(self, size: int):
        """Allocate memory that counts as unwritten."""
        return self._pointer(self.allocations.add(empty(max(int(size), 1), np.uint8)))

    def cuMemAllocManaged(self, size: int, _flags):
        address = self.allocations.add(empty(max(int(size), 1), np.uint8)[:].view(np.ndarray))
        self.allocations.managed.add(address)
        return self._pointer(address)

    def cuMemHostAlloc(self, size: int, _flags):
        """Allocate memory of the host that the device sees too; the host writes it unseen, so it does not count as unwritten."""
        return self._pointer_of_host(np.zeros(max(int(size), 1), np.uint8))

    def _pointer_of_host(self, array: np.ndarray) -> int:
        return self.allocations.add(array, of_host=True)

    def cuMemFree(self, pointer) -> None:
        """Free memory, once everything before has ended, as cuMemFree waits."""
        ORDER.host_waits()
        self.allocations.remove(int(pointer))

    def cuMemFreeHost(self, pointer) -> None:
        self.allocations.remove(int(pointer))

    def cuMemHostRegister(self, pointer, size: int, _flags) -> None:
        self.allocations.add(bytes_at(int(pointer), int(size)), of_host=True)

    def cuMemHostUnregister(self, pointer) -> None:
        self.allocations.remove(int(pointer))

    def cuMemHostGetDevicePointer(self, pointer, _flags):
        return self._pointer(int(pointer))

    def cuPointerGetAttribute(self, _attribute, pointer):
        return pointer

    def cuMemGetAddressRange(self, pointer):
        array = self.allocations.at(int(pointer))
        if array is None:
            raise EmulatorError(f"{int(pointer):#x} is no address of device memory")
        return self._pointer(array.__array_interface__["data"][0]), array.size

    def cuMemGetInfo(self) -> tuple[int, int]:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return max(total - self.allocations.device_bytes(), 0), total

    # -- copies -----------------------------------------------------------------------------------------------------
    def _device_bytes(self, pointer, size: int) -> np.ndarray:
        """Return bytes of device memory, of a module's variable, or of a host array that was passed to a kernel."""
        address = int(pointer)
        array = self.allocations.at(address)
        if array is None:
            return bytes_at(address, size)
        start = address - array.__array_interface__["data"][0]
        if start + size > array.size:
            raise EmulatorError(f"a copy of {size} bytes goes over the end of device memory of {array.size - start} bytes")
        return array[start : start + size]

    def cuMemcpyHtoD(self, to, source, size: int) -> None:
        self._copy_in("a copy to the device", DEFAULT, to, source, size)
        ORDER.host_waits(self.own(DEFAULT))

    def cuMemcpyDtoH(self, to, source, size: int) -> None:
        self._copy_out("a copy to the host", DEFAULT, to, source, size)
        ORDER.host_waits(self.own(DEFAULT))

    def cuMemcpyDtoD(self, to, source, size: int) -> None:
        self.cuMemcpyDtoDAsync(to, source, size, DEFAULT)

    def cuMemsetD8(self, to, value: int, size: int) -> None:
        self.cuMemsetD8Async(to, value, size, DEFAULT)

    def cuMemcpyHtoDAsync(self, to, source, size: int, stream) -> None:
        self._copy_in("a copy to the device", number_of(stream), to, source, size)

    def cuMemcpyDtoHAsync(self, to, source, size: int, stream) -> None:
        self._copy_out("a copy to the host", number_of(stream), to, source, size)

    def cuMemcpyDtoDAsync(self, to, source, size: int, stream) -> None:
        if size := int(size):
            target, taken = self._device_bytes(to, size), self._device_bytes(source, size)
            target[...] = np.array(taken, subok=False)
            self._touched(number_of(stream), "a copy on the device", [taken], [target])

    def cuMemsetD8Async(self, to, value: int, size: int, stream) -> None:
        if size := int(size):
            target = self._device_bytes(to, size)
            target[...] = value & 0xFF
            self._touched(number_of(stream), "a memset", [], [target])

    def _copy_in(self, what: str, stream: int, to, source, size: int) -> None:
        if size := int(size):
            target, taken = self._device_bytes(to, size), bytes_at(int(source), size)
            target[...] = taken
            self._touched(stream, what, self._pinned(taken), [target])

    def _copy_out(self, what: str, stream: int, to, source, size: int) -> None:
        if size := int(size):
            target, taken = bytes_at(int(to), size), self._device_bytes(source, size)
            target[...] = taken
            self._touched(stream, what, [taken], self._pinned(target))

    def _pinned(self, of_host: np.ndarray) -> list[np.ndarray]:
        """Return the host's side of a copy where it is pinned, as a part of that memory; [] for other memory of the host's.

        A copy of other memory "might be synchronous with respect to host" (CUDA Driver API, "API synchronization behavior").
        """
        address = of_host.__array_interface__["data"][0]
        return [] if self.allocations.at(address) is None else [self._device_bytes(address, of_host.size)]

    def _touched(self, stream: int, what: str, reads: list[np.ndarray], writes: list[np.ndarray]) -> None:
        sizes = [a.size for a in (*reads, *writes)]
        ORDER.touched(self.own(stream), what, reads, writes, f"{max(sizes)} bytes")

    def own(self, stream: int) -> int:
        """Return the stream that a handle means: 0 is the default stream, or that of the thread where the program has chosen so."""
        per_thread = stream == DEFAULT and os.environ.get("CUDA_PYTHON_CUDA_PER_THREAD_DEFAULT_STREAM", "0") not in ("", "0")
        return OF_THREAD if per_thread else stream

    def uses(self, used: list[Use], stream: int) -> list[Use]:
        """Return what counts of a launch's uses. Not looked at is what the default stream does with memory that the host sees too.

        Numba copies arrays of the host for a launch, and back: that is memory that no other launch sees.
        """
        known = [(use, self.allocations.at(use.start)) for use in used]
        seen = self.allocations.seen_by_host
        return [use for use, at in known if at is None or stream != DEFAULT or not seen(use.start)]

    # -- streams and events -----------------------------------------------------------------------------------------
    def cuStreamCreate(self, flags):
        return self.binding.CUstream(ORDER.made(bool(int(flags) & 1)))  # CU_STREAM_NON_BLOCKING

    def cuStreamDestroy(self, stream) -> None:
        ORDER.ended(number_of(stream))

    def cuStreamSynchronize(self, stream) -> None:
        ORDER.host_waits(self.own(number_of(stream)))

    def cuStreamWaitEvent(self, stream, event, _flags) -> None:
        ORDER.waits(self.own(number_of(stream)), number_of(event))

    def cuEventCreate(self, _flags):
        return self.binding.CUevent(next(self.handles))

    def cuEventDestroy(self, event) -> None:
        self.events.pop(number_of(event), None)
        ORDER.ended(number_of(event))

    def cuEventRecord(self, event, stream) -> None:
        self.events[number_of(event)] = time.perf_counter()
        ORDER.recorded(number_of(event), self.own(number_of(stream)))

    def cuEventQuery(self, event) -> None:
        """Say that an event has happened, which the host then knows."""
        ORDER.host_waits(event=number_of(event))

    def cuEventSynchronize(self, event) -> None:
        ORDER.host_waits(event=number_of(event))

    def cuEventElapsedTime(self, start, end) -> float:
        """Return milliseconds between two events, as the emulator ran: nothing about a GPU follows from them."""
        if number_of(start) not in self.events or number_of(end) not in self.events:
            raise EmulatorError("an event whose time is asked for was never recorded")
        return 1e3 * (self.events[number_of(end)] - self.events[number_of(start)])

    # -- modules ----------------------------------------------------------------------------------------------------
    def cuLibraryGetGlobal(self, handle, name: bytes):
        memory = self.modules[int(handle)].variables.get(name.decode())
        if memory is None:
            raise EmulatorError(f"no variable named {name.decode()!r} in the module")
        return self._pointer(memory.base), memory.data.size

    def cuLibraryUnload(self, handle) -> None:
        self.modules.pop(int(handle), None)

    def cuKernelSetCacheConfig(self, *_) -> None: ...

    def cuKernelSetAttribute(self, *_) -> None: ...

    def cuOccupancyMaxActiveBlocksPerMultiprocessor(self, kernel, block: int, dynamic: int) -> int:
        static = kernel.attributes.shared_size_bytes if hasattr(kernel, "attributes") else 0
        return resident_blocks(-(-int(block) // 32) * 32, static + int(dynamic)) // PROCESSORS

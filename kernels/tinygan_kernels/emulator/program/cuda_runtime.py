"""The functions of the CUDA runtime that host code calls: launches, streams, events and errors, and those of `cuda_memory`.

Everything is carried out at once. What a kernel or an asynchronous copy changed in memory that the host sees as well stays marked
until the host waits, so that a missing synchronisation is found.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygan_kernels.emulator.execute.memory import Memory, bytes_at
from tinygan_kernels.emulator.host.launch import MAX_THREADS, STATIC_SHARED, run_kernel
from tinygan_kernels.emulator.host.numba_device import ATTRIBUTES
from tinygan_kernels.emulator.sanitizer.findings import checking
from tinygan_kernels.emulator.sanitizer.streams import Use, uses_of
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

from .cuda_errors import (
    ERRORS,
    INVALID_DEVICE,
    INVALID_FUNCTION,
    INVALID_HANDLE,
    INVALID_VALUE,
    SUCCESS,
    CudaError,
)
from .cuda_memory import CudaMemory
from .graphs import HOST_CALL, KERNEL
from .launch import Launch
from .memory import HOST, Region
from .process import Process
from .tensor_maps import TensorMaps

ARGUMENTS = 32 << 10


class CudaRuntime(CudaMemory):
    """The functions, over a process.

    kernel_of: gives a kernel by the address that host code knows it by, translated, or raises KeyError; variables: what kernels may
    touch of the module's; symbols: {address: region} of variables that cudaMemcpyToSymbol may name.
    """

    def __init__(
        self,
        process: Process,
        kernel_of: Callable[[int], TranslatedKernel],
        variables: dict[str, Memory],
        symbols: dict[int, Region],
    ):
        super().__init__(process, symbols)
        self.kernel_of, self.variables = kernel_of, variables
        self.last = SUCCESS
        self.times: dict[int, float | None] = {}
        self.texts: dict[str, int] = {}
        self.shared_limit: dict[int, int] = {}
        self.pending: Launch | None = None
        room = np.zeros(ARGUMENTS, np.uint8)
        self.arguments = process.memory.add(Region(room.ctypes.data, ARGUMENTS, HOST, "the arguments of a launch", room))

    def functions(self) -> dict[str, int]:
        """Return {name: address} of them all."""
        table: dict[str, tuple[Callable[..., None], str]] = {
            "cudaMalloc": (self.malloc, "pp"),
            "cudaMallocAsync": (self.malloc_async, "ppp"),
            "cudaMallocManaged": (self.malloc_managed, "pp"),
            "cudaMallocHost": (self.malloc_host, "pp"),
            "cudaHostRegister": (self.host_register, "pp"),
            "cudaHostUnregister": (self.host_unregister, "p"),
            "cudaFree": (self.free, "p"),
            "cudaFreeAsync": (self.free_async, "pp"),
            "cudaFreeHost": (self.free_host, "p"),
            "cudaMemcpy": (self.memcpy, "pppi"),
            "cudaMemcpyAsync": (self.memcpy_async, "pppip"),
            "cudaMemcpy2D": (self.memcpy_2d, "ppppppi"),
            "cudaMemcpy2DAsync": (self.memcpy_2d_async, "ppppppip"),
            "cudaMemset": (self.memset, "pip"),
            "cudaMemset2DAsync": (self.memset_2d, "ppiipppi"),
            "cudaLaunchHostFunc": (self.launch_host, "ppp"),
            "cudaStreamWaitEvent": (self.stream_wait, "pp"),
            "cudaSymbol": (self.symbol, "pp"),
            "cudaTemporaryStorage": (self.temporary_storage, "ppp"),
            "cudaMemGetInfo": (self.memory_info, "pp"),
            "cudaPointerType": (self.pointer_type, "pp"),
            "cudaSynchronize": (self.stream_synchronize, "p"),
            "cudaDeviceSynchronize": (self.synchronize, ""),
            "cudaDeviceReset": (self.synchronize, ""),
            "cudaSetDevice": (self.set_device, "i"),
            "cudaStreamCreate": (self.create_stream, "pi"),
            "cudaStreamDestroy": (self.destroy, "p"),
            "cudaEventCreate": (self.create_event, "p"),
            "cudaEventDestroy": (self.destroy, "p"),
            "cudaEventRecord": (self.event_record, "pp"),
            "cudaEventSynchronize": (self.event_synchronize, "p"),
            "cudaEventElapsedTime": (self.event_elapsed, "ppp"),
            "cudaDeviceGetAttribute": (self.attribute, "pii"),
            "cudaLaunchKernel": (self.launch_with, "piiiiiipppip"),
            "cudaFuncSetAttribute": (self.set_attribute, "pii"),
            "cudaFuncGetAttribute": (self.kernel_attribute, "pip"),
            **self.cuda_arrays.functions(),
        }
        made = {f"host_{name}": self.process.callback(self.returning(f, name), args, "i") for name, (f, args) in table.items()}
        plain: dict[str, tuple[Callable[..., Any], str, str]] = {
            "host_cudaGetLastError": (self.get_last_error, "", "i"),
            "host_cudaPeekAtLastError": (lambda: self.last, "", "i"),
            "host_cudaGetErrorString": (lambda code: self._text(code, 1), "i", "p"),
            "host_cudaGetErrorName": (lambda code: self._text(code, 0), "i", "p"),
            "host_cudaSymbolSize": (lambda address: self._symbol(address).size, "p", "p"),
            "__cudaCDP2GetParameterBufferV2": (self.prepare, "pppi", "p"),
            "__cudaCDP2LaunchDeviceV2": (self.returning(self.launch, "a launch"), "pp", "i"),
            **TensorMaps(self.process).functions(),
        }
        return made | {name: self.process.callback(*entry) for name, entry in plain.items()}

    def returning(self, function: Callable[..., None], name: str) -> Callable[..., int]:
        """Return a function that gives a cudaError_t back, and says on standard error why where it is none of success."""

        def called(*arguments: int) -> int:
            try:
                function(*arguments)
            except CudaError as error:
                self.last = error.code
                sys.stdout.flush()
                print(f"{self.process.place()}: {name}: {ERRORS[error.code][1]}: {error}", file=sys.stderr)
                return error.code
            return SUCCESS

        return called

    # -- errors -----------------------------------------------------------------------------------------------------------------
    def get_last_error(self) -> int:
        code, self.last = self.last, SUCCESS
        return code

    def _text(self, code: int, which: int) -> int:
        text = ERRORS.get(code, ("unrecognized error code",) * 2)[which]
        if text not in self.texts:
            self.texts[text] = self.process.constant_text(text)
        return self.texts[text]

    # -- order ------------------------------------------------------------------------------------------------------------------
    def synchronize(self) -> None:
        """Let the host wait for all that it has asked for."""
        self.graphs.refuse("cudaDeviceSynchronize")
        self._host_waits()

    def stream_synchronize(self, stream: int) -> None:
        self._known(stream, "stream")
        self.graphs.refuse("cudaStreamSynchronize", (stream,))
        self._host_waits(stream)

    def stream_wait(self, stream: int, event: int) -> None:
        self._known(stream, "stream")
        self._known(event, "event")
        self.graphs.waits(stream, event)
        self.streams.waits(stream, event)

    def launch_host(self, stream: int, function: int, data: int) -> None:
        """cudaLaunchHostFunc: the function sees what was done before it in its stream."""
        if function not in self.process.functions:
            raise CudaError(INVALID_VALUE, f"{function:#x} is no function of the host")
        self.in_stream(stream, HOST_CALL, lambda _: self._call_host(function, data))

    def _call_host(self, function: int, data: int) -> None:
        kept, self.streams.uses = self.streams.uses, []
        self.process.forget_ranges()
        self.process.call(function, data)
        self.streams.uses = kept
        self.process.forget_ranges()

    def create_stream(self, pointer: int, flags: int) -> None:
        """Make a stream. flags: 1 (cudaStreamNonBlocking) for one that is independent of the default stream."""
        self.streams.made(self._created(pointer), bool(flags & 1))

    def create_event(self, pointer: int) -> None:
        self._created(pointer)

    def _created(self, pointer: int) -> int:
        handle = self._new_handle()
        self.handles.add(handle)
        self.times[handle] = None
        self.process.store(pointer, "u8", handle)
        return handle

    def destroy(self, handle: int) -> None:
        self._known(handle, "stream or event")
        self.handles.discard(handle)
        self.streams.ended(handle)

    def event_record(self, event: int, stream: int) -> None:
        self._known(event, "event")
        self._known(stream, "stream")
        if not self.graphs.recorded(event, stream):
            self.times[event] = time.perf_counter()
            self.streams.recorded(event, stream)

    def event_synchronize(self, event: int) -> None:
        self._known(event, "event")
        self.graphs.refuse("cudaEventSynchronize", of_event=event)
        self._host_waits(event=event)

    def event_elapsed(self, result: int, start: int, end: int) -> None:
        for event in (start, end):
            self._known(event, "event")
        first, last = self.times[start], self.times[end]
        if first is None or last is None:
            raise CudaError(INVALID_HANDLE, "an event whose time is asked for was never recorded")
        self.process.store(result, "f4", 1e3 * (last - first))

    # -- the device -------------------------------------------------------------------------------------------------------------
    def set_device(self, device: int) -> None:
        if device != 0:
            raise CudaError(INVALID_DEVICE, f"there is device 0 alone, not {device}")

    def attribute(self, pointer: int, code: int, device: int) -> None:
        from cuda.bindings.driver import CUdevice_attribute

        self.set_device(device)
        try:
            name = CUdevice_attribute(code).name.removeprefix("CU_DEVICE_ATTRIBUTE_")
        except ValueError:
            raise CudaError(INVALID_VALUE, f"{code} is no attribute of a device") from None
        self.process.store(pointer, "i4", ATTRIBUTES.get(name, 0))

    # -- launches ---------------------------------------------------------------------------------------------------------------
    def prepare(self, kernel: int, grid: int, block: int, shared: int) -> int:
        """Begin a launch `<<<grid, block, shared>>>`; return where its arguments go."""
        sizes = [tuple(int(v) for v in bytes_at(address, 12).view("u4")) for address in (grid, block)]
        self.pending = Launch(kernel, sizes[0], sizes[1], shared & 0xFFFFFFFF)
        return self.arguments.base

    def launch(self, _arguments: int, stream: int) -> None:
        """Carry out the launch that was prepared."""
        launch, self.pending = self.pending, None
        if launch is None:
            raise CudaError(INVALID_VALUE, "no launch was prepared")
        self._launch(launch, self.arguments.array.tobytes(), stream)

    def launch_with(
        self, kernel: int, gx: int, gy: int, gz: int, bx: int, by: int, bz: int, arguments: int, shared: int, stream: int,
        cooperative: int, cluster: int,
    ) -> None:
        """cudaLaunchKernel: the arguments are where a table of pointers says. cluster: the address of its three sizes, or 0."""
        translated = self._kernel(kernel)
        raw = bytearray()
        for i, variable in enumerate(translated.entry.params):
            raw += bytes(-len(raw) % variable.align)
            raw += self.process.bytes(int(self.process.load(arguments + 8 * i, "u8")), variable.size).tobytes()
        sizes = [tuple(v & 0xFFFFFFFF for v in three) for three in ((gx, gy, gz), (bx, by, bz))]
        x, y, z = (int(v) for v in bytes_at(cluster, 12).view("u4")) if cluster else (1, 1, 1)
        launch = Launch(kernel, sizes[0], sizes[1], shared, bool(cooperative), (x, y, z) if cluster else None)
        self._launch(launch, bytes(raw), stream)

    def _launch(self, launch: Launch, raw: bytes, stream: int) -> None:
        kernel = self._kernel(launch.kernel)
        launch.check(kernel, self.shared_limit.get(launch.kernel, STATIC_SHARED - kernel.static_shared))
        self.in_stream(stream, KERNEL, lambda s: self._run(launch, raw, s))

    def _kernel(self, address: int) -> TranslatedKernel:
        try:
            return self.kernel_of(address)
        except KeyError:
            raise CudaError(INVALID_FUNCTION, f"{address:#x} is no kernel") from None

    def _run(self, launch: Launch, raw: bytes, stream: int) -> None:
        kernel = self._kernel(launch.kernel)
        values, at = [], 0
        for variable in kernel.entry.params:
            at = -(-at // variable.align) * variable.align
            values.append(np.void(raw[at : at + variable.size]))
            at += variable.size
        memory = self.process.memory
        memory.see_stores_of_the_host()
        regions = [r for r in memory.for_device() if r.base not in self.symbols]
        both = [r for r in memory.for_device() if r.on_host]
        before = [] if checking() else [r.array.tobytes() for r in both]
        arrays = [(r.array, r.name) for r in regions]
        sys.stdout.flush()
        stream, used = self.streams.begin(stream), list[Use]()
        run_kernel(
            kernel, self.variables, launch.grid, launch.block, tuple(values), launch.shared, arrays,
            cooperative=launch.cooperative, cluster=launch.cluster, foreign=memory.describe,
            touched=lambda ranges: used.extend(uses_of(r for r in ranges if self._shared(r.base))),
        )  # fmt: skip
        changed = [r for r, was in zip(both, before, strict=False) if r.array.tobytes() != was]  # without the sanitizer
        used += [Use(r.base, r.end, True, r.name) for r in changed]
        self._note(stream, f"kernel {kernel.title} (launched at {self.process.place()})", used)

    def set_attribute(self, kernel: int, attribute: int, value: int) -> None:
        """cudaFuncSetAttribute; 8 is the most dynamic shared memory, all others are hints."""
        translated = self._kernel(kernel)
        if attribute == 8:
            most = ATTRIBUTES["MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"] - translated.static_shared
            if not 0 <= value <= most:
                raise CudaError(INVALID_VALUE, f"0 to {most} bytes of dynamic shared memory are possible, not {value}")
            self.shared_limit[kernel] = value

    def kernel_attribute(self, kernel: int, which: int, result: int) -> None:
        """0: the most threads of a block; 1: bytes of static shared memory; 2: bytes of local memory of a thread."""
        translated = self._kernel(kernel)
        most = int(np.prod(translated.entry.limits.get("maxntid", (MAX_THREADS,))))
        self.process.store(result, "i4", (most, translated.static_shared, translated.local_bytes)[which])

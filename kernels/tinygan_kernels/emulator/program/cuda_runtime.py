"""The functions of the CUDA runtime that host code calls: memory, copies, launches, streams, events, errors.

Everything is carried out at once. What a kernel or an asynchronous copy changed in memory that the host sees as well stays marked
until the host waits, so that a missing synchronisation is found.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygan_kernels.emulator.execute.memory import Memory, bytes_at, unwritten_bytes
from tinygan_kernels.emulator.host.launch import MAX_THREADS, STATIC_SHARED, run_kernel
from tinygan_kernels.emulator.host.numba_device import ATTRIBUTES
from tinygan_kernels.emulator.sanitizer.findings import checking
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

from .cuda_arrays import CudaArrays
from .cuda_errors import (
    ERRORS,
    INVALID_DEVICE,
    INVALID_DIRECTION,
    INVALID_FUNCTION,
    INVALID_HANDLE,
    INVALID_PITCH,
    INVALID_SYMBOL,
    INVALID_VALUE,
    OUT_OF_MEMORY,
    SUCCESS,
    CudaError,
)
from .graphs import HOST_CALL, KERNEL, MEMCPY, MEMSET, Graphs
from .launch import Launch
from .memory import DEVICE, HOST, MANAGED, NOWHERE, PINNED, Region
from .process import HostFault, Process
from .tensor_maps import TensorMaps

TO_HOST_FROM_HOST, TO_DEVICE, FROM_DEVICE, ON_DEVICE, BY_ADDRESS = range(5)
_SIDES = {TO_HOST_FROM_HOST: (False, False), TO_DEVICE: (True, False), FROM_DEVICE: (False, True), ON_DEVICE: (True, True)}
ARGUMENTS = 32 << 10


class CudaRuntime:
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
        self.process, self.kernel_of, self.variables, self.symbols = process, kernel_of, variables, symbols
        self.last = SUCCESS
        self.handles: set[int] = set()
        self.next_handle = 0x1000
        self.times: dict[int, float | None] = {}
        self.texts: dict[str, int] = {}
        self.shared_limit: dict[int, int] = {}
        self.pending: Launch | None = None
        self.graphs = Graphs(self._new_handle, lambda: int(process.site[0]))
        self.instead: Callable[[int, Callable[[int], None]], None] | None = None  # takes the next piece of work, of a graph's node
        self.cuda_arrays = CudaArrays(process, self._side, self._region, self._array_copy)
        room = np.zeros(ARGUMENTS, np.uint8)
        self.arguments = process.memory.add(Region(room.ctypes.data, ARGUMENTS, HOST, "the arguments of a launch", room))

    def functions(self) -> dict[str, int]:
        """Return {name: address} of them all."""
        table: dict[str, tuple[Callable[..., None], str]] = {
            "cudaMalloc": (self.malloc, "pp"),
            "cudaMallocManaged": (self.malloc_managed, "pp"),
            "cudaMallocHost": (self.malloc_host, "pp"),
            "cudaHostRegister": (self.host_register, "pp"),
            "cudaHostUnregister": (self.host_unregister, "p"),
            "cudaFree": (self.free, "p"),
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
            "cudaMemGetInfo": (self.memory_info, "pp"),
            "cudaPointerType": (self.pointer_type, "pp"),
            "cudaSynchronize": (self.stream_synchronize, "p"),
            "cudaDeviceSynchronize": (self.synchronize, ""),
            "cudaDeviceReset": (self.synchronize, ""),
            "cudaSetDevice": (self.set_device, "i"),
            "cudaStreamCreate": (self.create, "p"),
            "cudaStreamDestroy": (self.destroy, "p"),
            "cudaEventCreate": (self.create, "p"),
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

    # -- memory -----------------------------------------------------------------------------------------------------------------
    def _allocate(self, pointer: int, size: int, kind: str, name: str) -> None:
        if size > self._free_bytes():
            raise CudaError(OUT_OF_MEMORY, f"{size} bytes are more than there are")
        if size == 0:
            self.process.store(pointer, "u8", 0)
            return
        region = self.process.memory.allocate(size, kind, f"{size} bytes of {name} at {self.process.place()}")
        self.process.store(pointer, "u8", region.base)

    def malloc(self, pointer: int, size: int) -> None:
        self.graphs.refuse("cudaMalloc", strict=True)
        self._allocate(pointer, size, DEVICE, "cudaMalloc")

    def malloc_managed(self, pointer: int, size: int) -> None:
        self._allocate(pointer, size, MANAGED, "cudaMallocManaged")

    def malloc_host(self, pointer: int, size: int) -> None:
        self._allocate(pointer, size, PINNED, "cudaMallocHost")

    def host_register(self, pointer: int, size: int) -> None:
        region = self._region(pointer, size, "the memory to register")
        if region.kind == HOST:
            region.kind = PINNED

    def host_unregister(self, pointer: int) -> None:
        region = self._region(pointer, 1, "the memory to unregister")
        if region.kind == PINNED and "allocated at" in region.name:
            region.kind = HOST

    def _region(self, address: int, size: int, what: str) -> Region:
        region = self.process.memory.at(address)
        if region is None:
            raise CudaError(INVALID_VALUE, f"{what} is at {address:#x}, where nothing was allocated")
        if region.freed:
            raise CudaError(INVALID_VALUE, f"{what} was freed at {region.freed}: {region.name}")
        if address + size > region.end:
            most = region.end - address
            raise CudaError(INVALID_VALUE, f"{size} bytes are wanted, {most} are left there: {what} is {region.name}")
        return region

    def free(self, pointer: int) -> None:
        self._free(pointer, (DEVICE, MANAGED), "cudaMalloc")

    def free_host(self, pointer: int) -> None:
        self._free(pointer, (PINNED,), "cudaMallocHost")

    def _free(self, pointer: int, kinds: tuple[str, ...], by: str) -> None:
        if pointer == 0:
            return
        region = self._region(pointer, 1, "what is to be freed")
        if region.kind not in kinds or region.base != pointer or pointer in self.symbols:
            raise CudaError(INVALID_VALUE, f"it is no address that {by} returned: {region.name}")
        self.graphs.refuse("cudaFree", strict=True)
        self._all_seen()
        self.process.memory.free(region, self.process.place())

    def _free_bytes(self) -> int:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return max(total - sum(r.size for r in self.process.memory.regions.values() if not r.freed), 0)

    def memory_info(self, free: int, total: int) -> None:
        self.process.store(free, "u8", self._free_bytes())
        self.process.store(total, "u8", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))

    def pointer_type(self, pointer: int, kind: int) -> None:
        region = self.process.memory.at(pointer)
        known = {PINNED: 1, DEVICE: 2, MANAGED: 3}.get(region.kind, 0) if region and not region.freed else 0
        self.process.store(kind, "i4", known)

    # -- copies -----------------------------------------------------------------------------------------------------------------
    def _side(self, address: int, size: int, on_device: bool | None, writes: bool, what: str) -> np.ndarray:
        """Return the bytes of one side of a copy. Raises CudaError as the runtime does, HostFault for the host's memory."""
        region = self.process.memory.at(address)
        if region is not None and not region.freed and on_device is not None:
            if on_device and not region.on_device:
                raise CudaError(INVALID_VALUE, f"{what} should be memory of the device, it is {region.name}")
            if not on_device and not region.on_host:
                raise CudaError(INVALID_VALUE, f"{what} should be memory of the host, it is {region.name}")
        if region is not None and region.kind == HOST:
            return self.process.bytes(address, size, writes)
        region = self._region(address, size, what)
        return region.array[address - region.base : address - region.base + size]

    def in_stream(self, stream: int, kind: int, action: Callable[[int], None]) -> None:
        """Do something in a stream, or note it where it is for a graph. action: does it, in the stream that it is given."""
        self._known(stream, "stream")
        if self.instead is not None:
            self.instead(kind, action)
        elif not self.graphs.taken(stream, kind, action):
            action(stream)

    def memcpy(self, to: int, source: int, size: int, kind: int) -> None:
        self.graphs.refuse("cudaMemcpy")
        self._copy(to, source, size, kind)
        self._all_seen()

    def memcpy_async(self, to: int, source: int, size: int, kind: int, stream: int) -> None:
        self.in_stream(stream, MEMCPY, lambda s: self._copy_async(to, source, size, kind, s))

    def _copy_async(self, to: int, source: int, size: int, kind: int, stream: int) -> None:
        self._copy(to, source, size, kind)
        self._written_by_copy(to, kind, stream)

    def _written_by_copy(self, to: int, kind: int, stream: int) -> None:
        """Note that an asynchronous copy wrote memory which the host sees as well."""
        region = self.process.memory.at(to)
        if region is not None and region.kind == PINNED and kind != TO_HOST_FROM_HOST:
            region.changed_by, region.stream = f"the cudaMemcpyAsync at {self.process.place()} writes", stream
            self.process.forget_ranges()

    def _copy(self, to: int, source: int, size: int, kind: int) -> None:
        if kind not in (*_SIDES, BY_ADDRESS):
            raise CudaError(INVALID_DIRECTION, f"{kind} is no cudaMemcpyKind")
        if size == 0:
            return
        into, outof = _SIDES.get(kind, (None, None))
        taken = self._side(source, size, outof, False, "the source")
        given = self._side(to, size, into, True, "the destination")
        marks, room = unwritten_bytes(taken), unwritten_bytes(given)
        if marks is not None and marks.all() and kind != ON_DEVICE and checking():
            name = (self.process.memory.at(source) or NOWHERE).name
            raise HostFault(f"initcheck: cudaMemcpy reads device memory that nothing has written: {name}; {self.process.place()}")
        kept = None if marks is None else marks.copy()
        given[...] = np.array(taken, subok=False)
        if kept is not None and room is not None:
            room[...] = kept

    def memcpy_2d(self, to: int, to_pitch: int, source: int, from_pitch: int, width: int, height: int, kind: int) -> None:
        if width > to_pitch or width > from_pitch:
            raise CudaError(INVALID_PITCH, f"rows of {width} bytes are longer than a pitch")
        self.graphs.refuse("cudaMemcpy2D")
        self._copy_rows(to, to_pitch, source, from_pitch, width, height, kind)
        self._all_seen()

    def memcpy_2d_async(
        self, to: int, to_pitch: int, source: int, from_pitch: int, width: int, height: int, kind: int, stream: int
    ) -> None:
        if width > to_pitch or width > from_pitch:
            raise CudaError(INVALID_PITCH, f"rows of {width} bytes are longer than a pitch")

        def action(s: int) -> None:
            self._copy_rows(to, to_pitch, source, from_pitch, width, height, kind)
            self._written_by_copy(to, kind, s)

        self.in_stream(stream, MEMCPY, action)

    def _copy_rows(self, to: int, to_pitch: int, source: int, from_pitch: int, width: int, height: int, kind: int) -> None:
        for row in range(height):
            self._copy(to + row * to_pitch, source + row * from_pitch, width, kind)

    def memset_2d(self, to: int, pitch: int, value: int, element: int, width: int, height: int, stream: int, waits: int) -> None:
        """Fill rows of `width` elements of 1, 2 or 4 bytes with a value, cudaMemset2DAsync's and of a graph's node.

        waits: 1 for cudaMemset2D, which no stream that is being captured takes.
        """
        if element not in (1, 2, 4) or (height > 1 and width * element > pitch):
            raise CudaError(INVALID_VALUE, f"rows of {width} elements of {element} bytes do not fit a pitch of {pitch}")
        if waits:
            self.graphs.refuse("cudaMemset2D")
        row = np.full(width, value & (1 << 8 * element) - 1, f"u{element}").view(np.uint8)

        def action(_stream: int) -> None:
            for i in range(height if row.size else 0):
                self._side(to + i * pitch, row.size, True, True, "the destination")[...] = row

        self.in_stream(stream, MEMSET, action)

    def _array_copy(self, action: Callable[[], None], to: int, kind: int, stream: int, waits: int) -> None:
        """Carry out a copy to or from CUDA arrays: one that waits at once, another in its stream. to: the memory written, or 0."""

        def in_order(s: int) -> None:
            action()
            self._written_by_copy(to, kind, s)

        if not waits:
            self.in_stream(stream, MEMCPY, in_order)
            return
        self.graphs.refuse("a copy that waits")
        action()
        self._all_seen()

    def memset(self, to: int, value: int, size: int) -> None:
        self.graphs.refuse("cudaMemset")
        if size:
            self._side(to, size, True, True, "the destination")[...] = value & 255

    def _symbol(self, address: int) -> Region:
        if address not in self.symbols:
            raise CudaError(INVALID_SYMBOL, "what is given is no __device__ or __constant__ variable")
        return self.symbols[address]

    def symbol(self, pointer: int, address: int) -> None:
        self.process.store(pointer, "u8", self._symbol(address).base)

    # -- order ------------------------------------------------------------------------------------------------------------------
    def synchronize(self) -> None:
        """Let the host wait for all that it has asked for."""
        self.graphs.refuse("cudaDeviceSynchronize")
        self._all_seen()

    def _all_seen(self) -> None:
        """Let the host see what was changed before."""
        for region in self.process.memory.regions.values():
            region.changed_by = ""
        self.process.forget_ranges()

    def stream_synchronize(self, stream: int) -> None:
        self._known(stream, "stream")
        self.graphs.refuse("cudaStreamSynchronize", (stream,))
        self._all_seen()

    def stream_wait(self, stream: int, event: int) -> None:
        self._known(stream, "stream")
        self._known(event, "event")
        self.graphs.waits(stream, event)

    def launch_host(self, stream: int, function: int, data: int) -> None:
        """cudaLaunchHostFunc: the function sees what was done before it in its stream."""
        if function not in self.process.functions:
            raise CudaError(INVALID_VALUE, f"{function:#x} is no function of the host")
        self.in_stream(stream, HOST_CALL, lambda _: self._call_host(function, data))

    def _call_host(self, function: int, data: int) -> None:
        marked = [(region, region.changed_by) for region in self.process.memory.regions.values() if region.changed_by]
        self._all_seen()
        self.process.call(function, data)
        for region, by in marked:
            region.changed_by = by
        self.process.forget_ranges()

    def _new_handle(self) -> int:
        self.next_handle += 16
        return self.next_handle

    def create(self, pointer: int) -> None:
        handle = self._new_handle()
        self.handles.add(handle)
        self.times[handle] = None
        self.process.store(pointer, "u8", handle)

    def _known(self, handle: int, what: str) -> None:
        if (handle > 2 and handle not in self.handles) or (what == "event" and handle <= 2):  # 1 and 2 are CUDA's own streams
            raise CudaError(INVALID_HANDLE, f"{handle:#x} is no {what}")

    def destroy(self, handle: int) -> None:
        self._known(handle, "stream or event")
        self.handles.discard(handle)

    def event_record(self, event: int, stream: int) -> None:
        self._known(event, "event")
        self._known(stream, "stream")
        if not self.graphs.recorded(event, stream):
            self.times[event] = time.perf_counter()

    def event_synchronize(self, event: int) -> None:
        self._known(event, "event")
        self.graphs.refuse("cudaEventSynchronize", of_event=event)
        self._all_seen()

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
        regions = [r for r in memory.for_device() if r.base not in self.symbols]
        seen_by_both = [(r, r.array.tobytes()) for r in memory.for_device() if r.on_host]
        arrays = [(r.array, r.name) for r in regions]
        sys.stdout.flush()
        run_kernel(
            kernel, self.variables, launch.grid, launch.block, tuple(values), launch.shared, arrays,
            cooperative=launch.cooperative, cluster=launch.cluster, foreign=memory.describe,
        )  # fmt: skip
        for region, before in seen_by_both:
            if region.array.tobytes() != before:
                region.changed_by, region.stream = f"kernel {kernel.title} (launched at {self.process.place()}) writes", stream
        self.process.forget_ranges()

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

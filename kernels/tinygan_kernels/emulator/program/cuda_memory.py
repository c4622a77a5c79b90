"""The memory that host code asks the CUDA runtime for: allocations, copies and fillings, in a stream or at once.

What an asynchronous copy changed in memory that the host sees as well stays marked until the host waits, so that a missing
synchronisation is found.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import numpy as np

from tinygan_kernels.emulator.execute.memory import unwritten_bytes
from tinygan_kernels.emulator.sanitizer.findings import checking
from tinygan_kernels.emulator.sanitizer.streams import DEFAULT, Streams, Use

from .cuda_arrays import SIDES, CudaArrays, Rows
from .cuda_errors import (
    INVALID_DIRECTION,
    INVALID_HANDLE,
    INVALID_PITCH,
    INVALID_SYMBOL,
    INVALID_VALUE,
    OUT_OF_MEMORY,
    CudaError,
)
from .graphs import MEMCPY, MEMSET, Graphs
from .memory import DEVICE, HOST, MANAGED, NOWHERE, PINNED, Region
from .process import HostFault, Process

TO_HOST_FROM_HOST, ON_DEVICE = 0, 3  # of cudaMemcpyKind


class CudaMemory:
    """The runtime's functions on memory, over a process.

    symbols: {address: region} of variables that cudaMemcpyToSymbol may name. handles: the streams and events that there are.
    """

    def __init__(self, process: Process, symbols: dict[int, Region]):
        self.process, self.symbols = process, symbols
        self.handles: set[int] = set()
        self.next_handle = 0x1000
        self.graphs = Graphs(self._new_handle, lambda: int(process.site[0]))
        self.instead: Callable[[int, Callable[[int], None]], None] | None = None  # takes the next piece of work, of a graph's node
        self.cuda_arrays = CudaArrays(process, self._side, self._region, self._array_copy)

    # -- memory -----------------------------------------------------------------------------------------------------------------
    def _allocate(self, pointer: int, size: int, kind: str, name: str) -> None:
        if size > self._free_bytes(HOST, DEVICE, MANAGED, PINNED):
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

    def malloc_async(self, pointer: int, size: int, stream: int) -> None:
        """cudaMallocAsync: what comes later in the stream may use the memory, and what is ordered after that."""
        self._known(stream, "stream")
        self.graphs.refuse("cudaMallocAsync", strict=True)
        self._allocate(pointer, size, DEVICE, "cudaMallocAsync")
        address = int(self.process.load(pointer, "u8"))
        self._used(self.streams.begin(stream), "the cudaMallocAsync", [(address, size, True)])

    def free_async(self, pointer: int, stream: int) -> None:
        """cudaFreeAsync: the memory is given back when what came earlier in the stream is done."""
        self._known(stream, "stream")
        self._free(pointer, (DEVICE, MANAGED), "cudaMallocAsync", stream)

    def free_host(self, pointer: int) -> None:
        self._free(pointer, (PINNED,), "cudaMallocHost")

    def _free(self, pointer: int, kinds: tuple[str, ...], by: str, stream: int | None = None) -> None:
        """Free memory, in the order of a stream if one is given; else the host waits for everything before."""
        if pointer == 0:
            return
        region = self._region(pointer, 1, "what is to be freed")
        if region.kind not in kinds or region.base != pointer or pointer in self.symbols:
            raise CudaError(INVALID_VALUE, f"it is no address that {by} returned: {region.name}")
        self.graphs.refuse("cudaFree", strict=True)
        if stream is None:
            self._host_waits()
        else:
            self._used(self.streams.begin(stream), "the cudaFreeAsync", [(region.base, region.size, True)])
        self.process.memory.free(region, self.process.place())

    def _free_bytes(self, *kinds: str) -> int:
        """Return the bytes of the machine's memory that no allocation of these kinds holds."""
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return max(total - sum(r.size for r in self.process.memory.regions.values() if not r.freed and r.kind in kinds), 0)

    def memory_info(self, free: int, total: int) -> None:
        """cudaMemGetInfo: what cudaMalloc and cudaMallocManaged gave, and cudaFree has not had back, is not free."""
        self.process.store(free, "u8", self._free_bytes(DEVICE, MANAGED))
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

    def output(self, to: int, size: int, on_device: bool, who: str) -> np.ndarray:
        """Return the bytes that a library is to write, of the device or of the host. Raises CudaError, HostFault."""
        return self._side(to, size, on_device, True, f"the output of {who}")

    def write(self, to: int, values: np.ndarray, on_device: bool, who: str, stream: int) -> None:
        """Write bytes as a library does, into memory of the device in a stream, or into the host's. Raises CudaError, HostFault."""
        self.output(to, values.size, on_device, who)[...] = values
        if on_device:
            self._used(self.streams.begin(stream), who, [(to, values.size, True)])

    def in_stream(self, stream: int, kind: int, action: Callable[[int], None]) -> None:
        """Do something in a stream, or note it where it is for a graph. action: does it, in the stream that it is given."""
        self._known(stream, "stream")
        if self.instead is not None:
            self.instead(kind, action)
        elif not self.graphs.taken(stream, kind, action):
            action(stream)

    # -- order ------------------------------------------------------------------------------------------------------------------
    @property
    def streams(self) -> Streams:
        return self.process.memory.streams

    def _used(self, stream: int, what: str, runs: list[tuple[int, int, bool]]) -> None:
        """Note what a piece of work of a stream touches: runs of bytes as (address, size, whether it writes them).

        stream: as `Streams.begin` returned it. Raises HostFault for a race.
        """
        used = []
        for writes in (False, True):
            some = [(at, size) for at, size, does in runs if does == writes and size and self._shared(at)]
            if some:
                start, end = min(at for at, _ in some), max(at + size for at, size in some)
                each = math.gcd(*(n for at, size in some for n in (size, at - start)))  # one mark for so many bytes
                marks = np.zeros((end - start) // each, bool)
                for at, size in some:
                    marks[(at - start) // each : (at + size - start) // each] = True
                used.append(Use(start, end, writes, (self.process.memory.at(start) or NOWHERE).name, marks, each))
        self._note(stream, f"{what} at {self.process.place()}", used)

    def _shared(self, address: int) -> bool:
        """Say whether another stream or the host may touch memory at the same time."""
        region = self.process.memory.at(address)
        return region is not None and region.on_device and (self.streams.several or region.on_host)

    def _note(self, stream: int, by: str, used: list[Use]) -> None:
        """Note the uses of a piece of work. Raises HostFault for a race, if the sanitizer is on."""
        wrong = self.streams.use(stream, by, used)
        self.process.forget_ranges()
        if wrong and checking():
            raise HostFault(f"racecheck: {wrong}; {self.process.place()}")

    def memcpy(self, to: int, source: int, size: int, kind: int) -> None:
        self.graphs.refuse("cudaMemcpy")
        self._copy(to, source, size, kind)
        self._copied(DEFAULT, "the cudaMemcpy", to, source, size, kind)
        self._host_waits(DEFAULT)

    def memcpy_async(self, to: int, source: int, size: int, kind: int, stream: int) -> None:
        self.in_stream(stream, MEMCPY, lambda s: self._copy_async(to, source, size, kind, s))

    def _copy_async(self, to: int, source: int, size: int, kind: int, stream: int) -> None:
        self._copy(to, source, size, kind)
        self._copied(stream, "the cudaMemcpyAsync", to, source, size, kind)

    def _copied(
        self, stream: int, what: str, to: int, source: int, size: int, kind: int, rows: int = 1, pitches: tuple[int, int] = (0, 0)
    ) -> None:
        """Note what a copy touches, rows of bytes. Raises HostFault for a race."""
        runs = [(at + row * pitch, size, writes)
                for at, pitch, writes in ((to, pitches[0], True), (source, pitches[1], False)) for row in range(rows)]
        self._copied_runs(stream, what, runs, kind)

    def _copied_runs(self, stream: int, what: str, runs: list[tuple[int, int, bool]], kind: int) -> None:
        """Note what a copy touches, as `_used` has it. Raises HostFault for a race.

        Memory of the host that is not pinned is read before an asynchronous copy returns, and one into such memory has then ended.
        (CUDA Runtime API, "API synchronization behavior")
        """
        stream = self.streams.begin(stream)
        self._used(stream, what, runs)
        region = self.process.memory.at(next((at for at, _, writes in runs if writes), 0))
        if region is not None and region.kind == HOST and kind != TO_HOST_FROM_HOST:
            self._host_waits(stream)

    def _copy(self, to: int, source: int, size: int, kind: int) -> None:
        if kind not in SIDES:
            raise CudaError(INVALID_DIRECTION, f"{kind} is no cudaMemcpyKind")
        if size == 0:
            return
        outof, into = SIDES[kind]
        taken = self._side(source, size, outof, False, "the source")
        given = self._side(to, size, into, True, "the destination")
        self.process.memory.see_stores_of_the_host()
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
        self._copied(DEFAULT, "the cudaMemcpy2D", to, source, width, kind, height, (to_pitch, from_pitch))
        self._host_waits(DEFAULT)

    def memcpy_2d_async(
        self, to: int, to_pitch: int, source: int, from_pitch: int, width: int, height: int, kind: int, stream: int
    ) -> None:
        if width > to_pitch or width > from_pitch:
            raise CudaError(INVALID_PITCH, f"rows of {width} bytes are longer than a pitch")

        def action(s: int) -> None:
            self._copy_rows(to, to_pitch, source, from_pitch, width, height, kind)
            self._copied(s, "the cudaMemcpy2DAsync", to, source, width, kind, height, (to_pitch, from_pitch))

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

        def action(s: int) -> None:
            for i in range(height if row.size else 0):
                self._side(to + i * pitch, row.size, True, True, "the destination")[...] = row
            runs = [(to + i * pitch, row.size, True) for i in range(height)]
            self._filled(s, runs, bool(waits))

        self.in_stream(stream, MEMSET, action)

    def _array_copy(self, action: Callable[[], Rows], kind: int, stream: int, waits: int) -> None:
        """Carry out a copy to or from CUDA arrays: one that waits at once, another in its stream."""

        def in_order(s: int) -> None:
            written = [(at, size, True) for at, size in action()]
            self._copied_runs(s, "the asynchronous copy", written, kind)

        if not waits:
            self.in_stream(stream, MEMCPY, in_order)
            return
        self.graphs.refuse("a copy that waits")
        action()
        self.streams.begin(DEFAULT)
        self._host_waits(DEFAULT)

    def memset(self, to: int, value: int, size: int) -> None:
        self.graphs.refuse("cudaMemset")
        if size:
            self._side(to, size, True, True, "the destination")[...] = value & 255
            self._filled(DEFAULT, [(to, size, True)], waits=True)

    def _filled(self, stream: int, runs: list[tuple[int, int, bool]], waits: bool) -> None:
        """Note a cudaMemset, which the host waits for (unless it is asynchronous) where it sees the memory itself."""
        stream = self.streams.begin(stream)
        self._used(stream, "the cudaMemset", runs)
        region = self.process.memory.at(runs[0][0]) if runs else None
        if waits and region is not None and region.on_host:
            self._host_waits(stream)

    def temporary_storage(self, storage: int, size: int, needed: int) -> None:
        """Look at the temporary storage that an algorithm of cub's is given, of `size` bytes as the program says.

        Raises CudaError where it says too few, as cub does, and HostFault where the memory has not so many, which cub cannot see.
        """
        if size < needed:
            told = "call it with a null pointer first, which sets the size, and pass that"
            raise CudaError(INVALID_VALUE, f"temporary storage of {size} bytes is given, {needed} are needed: {told}")
        try:
            self._side(storage, needed, True, True, "the temporary storage")
        except CudaError as error:
            what = f"an algorithm of cub's writes its temporary storage: {error}"
            raise HostFault(f"memcheck: {what}; {self.process.place()}") from None

    def _symbol(self, address: int) -> Region:
        if address not in self.symbols:
            raise CudaError(INVALID_SYMBOL, "what is given is no __device__ or __constant__ variable")
        return self.symbols[address]

    def symbol(self, pointer: int, address: int) -> None:
        self.process.store(pointer, "u8", self._symbol(address).base)

    # -- order and handles -------------------------------------------------------------------------------------------------------
    def _host_waits(self, stream: int | None = None, event: int | None = None) -> None:
        """Let the host wait for a stream or an event, or for everything, and see what was changed before."""
        self.streams.host_waits(stream, event)
        self.process.forget_ranges()

    def _new_handle(self) -> int:
        self.next_handle += 16
        return self.next_handle

    def _known(self, handle: int, what: str) -> None:
        if (handle > 2 and handle not in self.handles) or (what == "event" and handle <= 2):  # 1 and 2 are CUDA's own streams
            raise CudaError(INVALID_HANDLE, f"{handle:#x} is no {what}")

"""Memory of `emulator.cupy` beside arrays: allocations, pointers to them, pools and pinned memory, under CuPy's names.

An allocation is a NumPy array of bytes. Pools keep nothing, as memory of the host costs no time to allocate:
they count what is in use, by arrays and by allocations.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygan_kernels.emulator.execute.memory import array_over, bytes_at, extent
from tinygan_kernels.emulator.host.host_arrays import HostArray
from tinygan_kernels.emulator.host.script_order import ORDER
from tinygan_kernels.emulator.program.graphs import MEMCPY, MEMSET
from tinygan_kernels.emulator.sanitizer.streams import DEFAULT, Use

from .streams import Stream, get_current_stream, in_stream, refuse

DEVICE_BYTES = 16 << 30
"""What the device says that it has of memory. The host's memory is what counts."""


class Memory:
    """An allocation: `ptr`, `size` in bytes, `device_id`; array: its bytes."""

    device_id = 0

    def __init__(self, size: int):
        self.array = np.empty(int(size), np.uint8)
        self.size = int(size)
        _held[id(self.array)] = self.array

    @property
    def ptr(self) -> int:
        return int(self.array.ctypes.data)


_held: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()
"""The bytes of allocations, which a pointer keeps alive, or an array that lies over them."""
_arrays: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()
"""The arrays of `emulator.cupy` that there are."""


_pinned: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()
"""The pinned memory that there is."""


def array_at(address: int) -> np.ndarray | None:
    """Return an array or an allocation that holds an address, of the device or pinned; None where there is none."""
    for kept in (_held, _arrays, _pinned):
        for array in (a for reference in kept.valuerefs() if (a := reference()) is not None):
            start, size = extent(array)
            if start <= address < start + size:
                return array
    return None


ORDER.finders.append(array_at)


def note(array: np.ndarray) -> None:
    """Count the memory of an array as the device's, as long as the array is there. Views of one memory count once."""
    _arrays[id(array)] = array


def bytes_in_use() -> int:
    """Return the bytes of all arrays and allocations together. Memory that another library owns is not counted."""
    sizes: dict[int, int] = {}
    # `valuerefs` gives lists, so that other threads may make arrays meanwhile.
    held = (reference() for kept in (_held, _arrays) for reference in kept.valuerefs())
    for array in (a for a in held if a is not None):
        while isinstance(array.base, np.ndarray):
            array = array.base
        if array.base is None and array.nbytes:
            sizes[int(array.__array_interface__["data"][0])] = array.nbytes
    return sum(sizes.values())


def free_bytes() -> int:
    """Return how many bytes the device has left."""
    return max(DEVICE_BYTES - bytes_in_use(), 0)


class UnownedMemory:
    """Memory that somebody else allocated: `size` bytes at address `ptr`. owner: what keeps it alive; so do arrays over it."""

    device_id = 0

    def __init__(self, ptr: int, size: int, owner: object, device_id: int = -1):
        self.ptr, self.size, self.owner = int(ptr), int(size), owner
        known = owner if isinstance(owner, np.ndarray) and owner.nbytes else None
        if not self.size:
            self.array = np.empty(0, np.uint8)
        elif known is not None and known.ctypes.data == ptr and known.flags.c_contiguous:
            self.array = known.view(np.ndarray).reshape(-1).view(np.uint8)[:size]
        else:
            self.array = array_over({"typestr": "|u1", "shape": (self.size,), "data": (self.ptr, False)}, owner)


class MemoryPointer:
    """A place in an allocation, which a kernel may get as an integer: `ptr`. `pointer + n` is n bytes further."""

    def __init__(self, mem: Memory | UnownedMemory, offset: int):
        self.mem, self.offset = mem, int(offset)

    @property
    def ptr(self) -> int:
        """The address."""
        return self.mem.ptr + self.offset

    @property
    def device_id(self) -> int:
        return 0

    def bytes(self, size: int | None = None) -> np.ndarray:
        """Return the bytes from here on, `size` of them or all. Raises ValueError where the allocation has not so many."""
        if not 0 <= self.offset <= self.mem.array.size:
            raise ValueError(f"a pointer is {self.offset} bytes after the beginning of an allocation of {self.mem.array.size}")
        rest = self.mem.array[self.offset :]
        if size is not None and not 0 <= size <= rest.size:
            raise ValueError(f"{size} bytes are wanted, and the allocation has {rest.size} from here on")
        return rest if size is None else rest[:size]

    def __add__(self, bytes_further: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self.offset + int(bytes_further))

    __radd__ = __add__

    def __sub__(self, bytes_back: int) -> MemoryPointer:
        return self + -int(bytes_back)

    def __int__(self) -> int:
        return self.ptr

    def copy_from_device(self, src: MemoryPointer, size: int) -> None:
        """Copy bytes from another pointer of this kind. Raises CUDARuntimeError, as all that waits, while a stream is captured."""
        refuse("cudaMemcpy")
        self.bytes(size)[...] = src.bytes(size)
        noted(DEFAULT, "a copy on the device", (self.ptr, size, True), (src.ptr, size, False))

    def copy_from_host(self, mem: int | ctypes.c_void_p, size: int) -> None:
        """Copy bytes from an address of the host. Raises ValueError for a null pointer."""
        refuse("cudaMemcpy")
        self.bytes(size)[...] = _of_host(mem, size)
        noted(DEFAULT, "a copy to the device", (self.ptr, size, True), (_address(mem), size, False))
        ORDER.host_waits(DEFAULT)

    def copy_to_host(self, mem: int | ctypes.c_void_p, size: int) -> None:
        """Copy bytes to an address of the host. Raises ValueError for a null pointer."""
        refuse("cudaMemcpy")
        _of_host(mem, size)[...] = self.bytes(size)
        noted(DEFAULT, "a copy to the host", (self.ptr, size, False), (_address(mem), size, True))
        ORDER.host_waits(DEFAULT)

    def memset(self, value: int, size: int) -> None:
        """Set bytes to a value, of which the lowest 8 bits count."""
        refuse("cudaMemset")
        self.bytes(size)[...] = int(value) & 0xFF
        noted(DEFAULT, "a memset", (self.ptr, size, True))

    def copy_from(self, mem: MemoryPointer | int | ctypes.c_void_p, size: int) -> None:
        """Copy bytes from another pointer of this kind, or from an address of the host."""
        if isinstance(mem, MemoryPointer):
            self.copy_from_device(mem, size)
        else:
            self.copy_from_host(mem, size)

    # -- in a stream (None: the current one), which may be captured ----------------------------------------------------------
    def copy_from_async(self, mem: Any, size: int, stream: Stream | None = None) -> None:
        source = mem.bytes(size) if isinstance(mem, MemoryPointer) else _of_host(mem, size)
        _copy_in(stream, self.bytes(size), source)

    def copy_from_device_async(self, src: MemoryPointer, size: int, stream: Stream | None = None) -> None:
        _copy_in(stream, self.bytes(size), src.bytes(size))

    def copy_from_host_async(self, mem: Any, size: int, stream: Stream | None = None) -> None:
        _copy_in(stream, self.bytes(size), _of_host(mem, size))

    def copy_to_host_async(self, mem: Any, size: int, stream: Stream | None = None) -> None:
        _copy_in(stream, _of_host(mem, size), self.bytes(size))

    def memset_async(self, value: int, size: int, stream: Stream | None = None) -> None:
        target = self.bytes(size)

        def work() -> None:
            target.fill(int(value) & 0xFF)
            noted(get_current_stream().ptr, "a memset", (self.ptr, size, True))

        in_stream(work, stream, MEMSET)


def _copy_in(stream: Stream | None, target: np.ndarray, source: np.ndarray) -> None:
    """Copy bytes in a stream."""

    def work() -> None:
        np.copyto(target, source)
        ends = [a.__array_interface__["data"][0] for a in (target, source)]
        noted(get_current_stream().ptr, "an asynchronous copy", (ends[0], target.size, True), (ends[1], source.size, False))

    in_stream(work, stream, MEMCPY)


def noted(stream: int, what: str, *sides: tuple[int, int, bool]) -> None:
    """Note what a copy or a filling in a stream touches: (address, bytes, whether they are written) of each side.

    What is neither memory of the device nor pinned is left out. Raises SanitizerError for a race.
    """
    if ORDER.wanted(stream):
        found = [(side, owner) for side in sides if side[1] and (owner := ORDER.array_at(side[0])) is not None]
        used = [Use(at, at + size, writes, f"{size} bytes") for (at, size, writes), _ in found]
        if used:
            ORDER.work(stream, what, used, [owner for _, owner in found])


def _address(mem: int | ctypes.c_void_p) -> int:
    return int(getattr(mem, "value", mem) or 0)


def _of_host(mem: int | ctypes.c_void_p, size: int) -> np.ndarray:
    """Return the bytes at an address of the host. Raises ValueError for a null pointer, and for a negative size."""
    address = _address(mem)
    if size < 0 or (size and not address):
        raise ValueError(f"{size} bytes are wanted at the address {address:#x} of the host")
    return bytes_at(address, size)


class OutOfMemoryError(MemoryError):
    """Raised where a pool's limit does not allow an allocation, and where the device has not so much memory left."""


def alloc(size: int) -> MemoryPointer:
    """Return a pointer to fresh memory, from the allocator that `set_allocator` or `using_allocator` chose."""
    return get_allocator()(size)


def malloc(size: int) -> MemoryPointer:
    """Return a pointer to fresh memory. Raises OutOfMemoryError where the device has not so much left."""
    if size > (left := free_bytes()):
        raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes (the device has {left:,} bytes left).")
    return MemoryPointer(Memory(size), 0)


malloc_managed = malloc_async = malloc
Allocator = Callable[[int], MemoryPointer]


class _Chosen(threading.local):
    """The allocators that `using_allocator` chose, in each thread its own, the innermost last."""

    def __init__(self) -> None:
        self.allocators: list[Allocator] = []


_chosen = _Chosen()


def set_allocator(allocator: Allocator | None = None) -> None:
    """Let `alloc` call this in all threads; None: allocate plainly. Arrays are NumPy's, which have an allocator of their own.

    Raises ValueError inside of `using_allocator`.
    """
    global _of_all_threads
    if _chosen.allocators:
        raise ValueError("the allocator of all threads cannot be set inside of using_allocator")
    _of_all_threads = allocator or malloc


def get_allocator() -> Allocator:
    """Return what `alloc` calls in this thread."""
    return _chosen.allocators[-1] if _chosen.allocators else _of_all_threads


@contextmanager
def using_allocator(allocator: Allocator | None = None) -> Iterator[None]:
    """Let `alloc` call another allocator inside of a `with`, in this thread."""
    _chosen.allocators.append(allocator or malloc)
    try:
        yield
    finally:
        _chosen.allocators.pop()


class MemoryPool:
    """A pool that keeps nothing: freed memory goes back at once.

    Every pool counts all that arrays have, and what was allocated otherwise and somebody still holds.
    """

    def __init__(self, allocator: Callable[[int], MemoryPointer] | None = None):
        self._allocator, self._limit = allocator or malloc, 0

    def malloc(self, size: int) -> MemoryPointer:
        """Return a pointer to fresh memory. Raises OutOfMemoryError beyond the limit."""
        if self._limit and self.used_bytes() + size > self._limit:
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes (limit set to: {self._limit:,} bytes).")
        return self._allocator(size)

    def used_bytes(self) -> int:
        return bytes_in_use()

    total_bytes = used_bytes

    def free_bytes(self) -> int:
        return 0

    def n_free_blocks(self) -> int:
        return 0

    def free_all_blocks(self, stream: Stream | None = None) -> None:
        """Give CUDA back the blocks that are free: those of a stream, or of all. It waits for the device, as cudaFree does."""
        if self is default_pool:
            ORDER.given_back(None if stream is None else stream.ptr)

    free_all_free = free_all_blocks

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Set the limit of what `malloc` hands out: in bytes, or as a part of the device's memory. 0 or nothing: no limit.

        Raises ValueError for both, for a negative size, and for a fraction that is not from 0 to 1.
        """
        if size is not None and fraction is not None:
            raise ValueError("set_limit takes size or fraction, not both")
        if (size or 0) < 0 or not 0 <= (fraction or 0) <= 1:
            raise ValueError(f"size {size}, fraction {fraction}: a size is 0 or more, a fraction from 0 to 1")
        self._limit = int(size or (fraction or 0) * DEVICE_BYTES)

    def get_limit(self) -> int:
        return self._limit


MemoryAsyncPool = MemoryPool


class PinnedMemoryPool:
    """A pool of pinned memory, which keeps nothing."""

    def malloc(self, size: int) -> np.ndarray:
        return alloc_pinned_memory(size)

    def n_free_blocks(self) -> int:
        return 0

    def free_all_blocks(self) -> None: ...


def alloc_pinned_memory(size: int) -> np.ndarray:
    """Return memory of the host, over which `numpy.frombuffer` makes arrays."""
    return PinnedMemory(size)


class PinnedMemory(np.ndarray):
    """Pinned memory: bytes, with the `ptr` and the `mem` that CuPy's has."""

    def __new__(cls, size: int) -> PinnedMemory:
        made = np.empty(int(size), np.uint8).view(cls)
        _pinned[id(made)] = made
        return made

    @property
    def ptr(self) -> int:
        return int(self.__array_interface__["data"][0])

    @property
    def mem(self) -> PinnedMemory:
        return self


def set_pinned_memory_allocator(allocator: object = None) -> None: ...


def pinned(array: np.ndarray) -> np.ndarray:
    """Return an array of the host as one that is pinned: streams copy from and to it while the host goes on."""
    made = array.view(HostArray)
    _pinned[id(made)] = made
    return made


default_pool, default_pinned_pool = MemoryPool(), PinnedMemoryPool()
_of_all_threads: Allocator = default_pool.malloc


def uses_the_pool() -> bool:
    """Return whether arrays of this thread are given blocks of the default pool."""
    return get_allocator() == default_pool.malloc

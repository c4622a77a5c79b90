"""Memory of `emulator.cupy` beside arrays: allocations, pointers to them, pools and pinned memory, under CuPy's names.

An allocation is a NumPy array of bytes. Pools keep nothing, as memory of the host costs no time to allocate:
they count what is in use.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygan_kernels.emulator.execute.memory import array_over, bytes_at

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
        """Copy bytes from another pointer of this kind."""
        self.bytes(size)[...] = src.bytes(size)

    def copy_from_host(self, mem: int | ctypes.c_void_p, size: int) -> None:
        """Copy bytes from an address of the host. Raises ValueError for a null pointer."""
        self.bytes(size)[...] = _of_host(mem, size)

    def copy_to_host(self, mem: int | ctypes.c_void_p, size: int) -> None:
        """Copy bytes to an address of the host. Raises ValueError for a null pointer."""
        _of_host(mem, size)[...] = self.bytes(size)

    def memset(self, value: int, size: int) -> None:
        """Set bytes to a value, of which the lowest 8 bits count."""
        self.bytes(size)[...] = int(value) & 0xFF

    def copy_from(self, mem: MemoryPointer | int | ctypes.c_void_p, size: int) -> None:
        """Copy bytes from another pointer of this kind, or from an address of the host."""
        if isinstance(mem, MemoryPointer):
            self.copy_from_device(mem, size)
        else:
            self.copy_from_host(mem, size)

    def copy_from_async(self, mem: Any, size: int, stream: object = None) -> None:
        self.copy_from(mem, size)

    def copy_from_device_async(self, src: MemoryPointer, size: int, stream: object = None) -> None:
        self.copy_from_device(src, size)

    def copy_from_host_async(self, mem: Any, size: int, stream: object = None) -> None:
        self.copy_from_host(mem, size)

    def copy_to_host_async(self, mem: Any, size: int, stream: object = None) -> None:
        self.copy_to_host(mem, size)

    def memset_async(self, value: int, size: int, stream: object = None) -> None:
        self.memset(value, size)


def _of_host(mem: int | ctypes.c_void_p, size: int) -> np.ndarray:
    """Return the bytes at an address of the host. Raises ValueError for a null pointer, and for a negative size."""
    address = int(getattr(mem, "value", mem) or 0)
    if size < 0 or (size and not address):
        raise ValueError(f"{size} bytes are wanted at the address {address:#x} of the host")
    return bytes_at(address, size)


def alloc(size: int) -> MemoryPointer:
    """Return a pointer to fresh memory, from the allocator that `set_allocator` chose."""
    return _allocators[-1](size)


def malloc(size: int) -> MemoryPointer:
    """Return a pointer to fresh memory."""
    return MemoryPointer(Memory(size), 0)


malloc_managed = malloc_async = malloc


def set_allocator(allocator: Callable[[int], MemoryPointer] | None = None) -> None:
    """Let `alloc` call this; None: allocate plainly. Arrays are NumPy's, which have an allocator of their own."""
    _allocators[-1] = allocator or malloc


def get_allocator() -> Callable[[int], MemoryPointer]:
    return _allocators[-1]


@contextmanager
def using_allocator(allocator: Callable[[int], MemoryPointer] | None = None) -> Iterator[None]:
    """Let `alloc` call another allocator inside of a `with`."""
    _allocators.append(allocator or malloc)
    try:
        yield
    finally:
        _allocators.pop()


class MemoryPool:
    """A pool that keeps nothing: freed memory goes back at once. It counts what `alloc` handed out and somebody still holds."""

    def __init__(self, allocator: Callable[[int], MemoryPointer] | None = None):
        self._allocator, self._limit = allocator or malloc, 0

    def malloc(self, size: int) -> MemoryPointer:
        """Return a pointer to fresh memory. Raises OutOfMemoryError beyond the limit."""
        if self._limit and self.used_bytes() + size > self._limit:
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes (limit set to: {self._limit:,} bytes).")
        return self._allocator(size)

    def used_bytes(self) -> int:
        return sum(array.nbytes for array in list(_held.values()))

    total_bytes = used_bytes

    def free_bytes(self) -> int:
        return 0

    def n_free_blocks(self) -> int:
        return 0

    def free_all_blocks(self, stream: object = None) -> None: ...

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


class OutOfMemoryError(MemoryError):
    """Raised where a pool's limit does not allow an allocation."""


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
        return np.empty(int(size), np.uint8).view(cls)

    @property
    def ptr(self) -> int:
        return int(self.__array_interface__["data"][0])

    @property
    def mem(self) -> PinnedMemory:
        return self


def set_pinned_memory_allocator(allocator: object = None) -> None: ...


default_pool, default_pinned_pool = MemoryPool(), PinnedMemoryPool()
_allocators: list[Callable[[int], MemoryPointer]] = [default_pool.malloc]

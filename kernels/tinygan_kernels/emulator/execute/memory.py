"""The memory of a launch: global memory is the NumPy arrays themselves; shared memory is one window for each block, local
memory one for each thread.

Every access is checked against the bounds: reading or writing outside cannot be carried out, so it is a finding, with the
sanitizer or without.
"""

from __future__ import annotations

import ctypes
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.semantics.generic_addresses import REMOTE

UNWRITTEN, GONE = 1, 2
"""Marks of bytes that nothing has written, and of local ones of a function that has returned; 0 is written."""


class Memory:
    """A run of bytes at an address, seen as elements of any type that is aligned in it."""

    def __init__(self, data: np.ndarray, base: int, name: str = "", writable: bool = True):
        self.data, self.base, self.end = data, base, base + data.size
        self.name, self.writable = name, writable
        self.unwritten: np.ndarray | None = None  # the mark of each byte, where that is tracked
        self.races = None  # the sanitizer's record of who touched what
        self.owners: set[int] = set()  # which allocations its arrays are views of
        self.heap = None  # for the range of malloc: the Heap, which knows its blocks
        self._views: dict[str, tuple[np.ndarray, int]] = {}

    def view(self, code: str) -> tuple[np.ndarray, int]:
        """Return (elements of that type, address of the first). The view starts at the first aligned address."""
        if code not in self._views:
            size = int(code[1])
            skip = -self.base % size
            count = max(0, (self.data.size - skip) // size)
            self._views[code] = self.data[skip : skip + count * size].view(code), self.base + skip
        return self._views[code]


def bytes_at(address: int, size: int) -> np.ndarray:
    """Return a view of memory that somebody else owns and keeps alive."""
    if size == 0:
        return np.empty(0, np.uint8)
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), np.uint8)


def array_over(interface: dict[str, Any], owner: object) -> np.ndarray:
    """Return an array over the memory that a `__cuda_array_interface__` describes. It keeps `owner`, whose memory it is, alive."""
    dtype = np.dtype(interface["typestr"])
    if dtype.kind == "V" and interface.get("descr"):
        dtype = np.dtype(interface["descr"])
    described = {"typestr": dtype.str, "descr": dtype.descr, "shape": tuple(interface["shape"]), "version": 3,
                 "data": interface["data"], "strides": interface.get("strides")}  # fmt: skip
    return np.asarray(SimpleNamespace(__array_interface__=described, owner=owner))


def extent(array: np.ndarray) -> tuple[int, int]:
    """Return (lowest address, number of bytes) of the range that an array of any strides reaches."""
    low = high = array.__array_interface__["data"][0]
    if array.size == 0:
        return low, 0
    for n, stride in zip(array.shape, array.strides, strict=True):
        low += min(0, (n - 1) * stride)
        high += max(0, (n - 1) * stride)
    return low, high + array.itemsize - low


class GlobalMemory:
    """The arrays a launch may touch. Overlapping arrays (two views of one) count as one range."""

    def __init__(self):
        self.ranges: list[Memory] = []
        self.version = 0  # counts the instructions that may have changed bytes of it
        self.bases: list[int] = []
        self.kept: list[np.ndarray] = []  # arrays that were found during the launch
        self.finder: Callable[[GlobalMemory], bool] | None = None
        self.grid_workspace = 0  # the address that %envreg1 and %envreg2 hold, of what this_grid().sync() counts in; 0: none
        self.describe: Callable[[int], str] | None = None  # says what an address is that nothing here holds

    def find_more(self) -> bool:
        """Let `finder` add arrays that pointers lead to, once in a launch; return whether it added any."""
        finder, self.finder = self.finder, None
        return finder is not None and finder(self)

    def add(self, array: np.ndarray, name: str, unwritten: np.ndarray | None = None) -> None:
        address, size = extent(array)
        if size:
            self.add_range(address, size, name, array.flags.writeable, unwritten, _allocation(array))

    def add_range(
        self, address: int, size: int, name: str, writable: bool, unwritten: np.ndarray | None, owner: int | None = None
    ) -> None:
        """Add a range of bytes, merged with the ranges that it overlaps. owner: the allocation that it is a part of."""
        first, after = bisect_right(self.bases, address), bisect_left(self.bases, address + size)  # ranges are apart, in order
        if first and address < self.ranges[first - 1].end:
            first -= 1
        touching = self.ranges[first : max(first, after)]
        start = min([address, *(r.base for r in touching)])
        end = max([address + size, *(r.end for r in touching)])
        merged = Memory(
            bytes_at(start, end - start),
            start,
            " / ".join([*(r.name for r in touching), name]),
            writable or any(r.writable for r in touching),
        )
        merged.owners = {o for o in (owner, *(o for r in touching for o in r.owners)) if o is not None}
        marked = [(r.base, r.unwritten) for r in touching if r.unwritten is not None]
        merged.unwritten = _joined(start, end, marked + ([(address, unwritten)] if unwritten is not None else []))
        self.ranges[first : first + len(touching)] = [merged]
        self.bases[first : first + len(touching)] = [start]

    def add_grid_workspace(self) -> None:
        """Give the launch the memory in which cooperative_groups' grid barrier counts: its size, then the barrier, 4 bytes each."""
        data = np.zeros(8, "u4")
        data[0] = data.nbytes
        self.kept.append(data)
        self.grid_workspace = data.__array_interface__["data"][0]
        self.add_range(self.grid_workspace, data.nbytes, "the workspace of the grid", True, None)

    def find(self, address: int) -> Memory | None:
        """Return the range that holds an address, None if there is none."""
        i = bisect_right(self.bases, address) - 1
        return self.ranges[i] if i >= 0 and address < self.ranges[i].end else None


def _allocation(array: np.ndarray) -> int:
    """Return a number of the allocation that an array is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return id(array if array.base is None else array.base)


def _joined(start: int, end: int, marks: list) -> np.ndarray | None:
    """Return the marks of unwritten bytes of a range that is merged out of several."""
    if not marks:
        return None
    first = marks[0][1]
    if all(np.shares_memory(first, m) for _, m in marks):
        base = first
        while base.base is not None:
            base = base.base
        offset = first.__array_interface__["data"][0] - base.__array_interface__["data"][0] - (marks[0][0] - start)
        return base[offset : offset + end - start]
    raise EmulatorError("overlapping arguments from different uninitialised arrays")


class GlobalSpace:
    """Global memory as the lanes of one launch see it."""

    name = "global"

    def __init__(self, memory: GlobalMemory):
        self.memory = memory
        self.last: Memory | None = None  # most accesses go where the last one went

    def locate(self, address: np.ndarray, size: int, lanes):
        """Yield (memory, positions, chosen) for parts of the lanes: chosen is a mask over them, None for all of them; memory is
        None where no array holds the address."""
        low, high = int(address.min()), int(address.max())
        memory = self.last
        if memory is None or low < memory.base or high + size > memory.end:
            memory = self.memory.find(low)
        if memory is not None and high + size <= memory.end:
            self.last = memory
            yield memory, address, None
            return
        yield from self._locate_each(address, size)

    def _locate_each(self, address, size):
        """Yield (memory, positions, chosen) for lanes whose addresses lie in several arrays."""
        bases = np.array(self.memory.bases, "i8")
        which = np.searchsorted(bases, address, side="right") - 1
        ends = np.array([r.end for r in self.memory.ranges], "i8")  # compared by difference: a sum may overflow
        inside = (which >= 0) & (address <= ends[which] - size) if len(ends) else np.zeros(address.shape, bool)
        if self.memory.finder and not inside.all() and self.memory.find_more():
            yield from self._locate_each(address, size)
            return
        for i in np.unique(which[inside]):
            chosen = inside & (which == i)
            yield self.memory.ranges[i], address[chosen], chosen
        if not inside.all():
            yield None, address[~inside], ~inside


class WindowSpace:
    """Shared (local) memory: every block (thread) has the same addresses, from 0 on, and bytes of its own."""

    def __init__(self, name: str, size: int, owners: int, owner_of_lane: np.ndarray):
        self.name, self.size = name, size
        self.pitch = -(-size // 16) * 16
        self.memory = Memory(np.zeros(self.pitch * owners, np.uint8), 0, name)
        self.start = owner_of_lane.astype("i8") * self.pitch
        self.peers: np.ndarray | None = None  # (lanes, ranks): where the windows of the cluster's blocks start; -1: it has ended

    def locate(self, address: np.ndarray, size: int, lanes):
        """Yield (memory, positions, chosen), as GlobalSpace does."""
        positions = address + (self.start if lanes.full else self.start[lanes.index])
        low, high = int(address.min()), int(address.max())
        if low >= 0 and high + size <= self.size:
            yield self.memory, positions, None
            return
        if high >= REMOTE and self.name == "shared":
            yield from self._locate_remote(address, size, lanes)
            return
        inside = (address >= 0) & (address <= self.size - size)  # a sum with `size` could overflow
        if inside.any():
            yield self.memory, positions[inside], inside
        yield None, address[~inside], ~inside


    def _locate_remote(self, address: np.ndarray, size: int, lanes):
        """Yield what `locate` yields, for addresses of which some lead to other blocks of the cluster."""
        rank, low = address // REMOTE - 1, address % REMOTE
        every = self.start[:, None] if self.peers is None else self.peers
        peers = every if lanes.full else every[lanes.index]
        known = (rank >= 0) & (rank < peers.shape[1])
        there = peers[np.arange(len(peers)), np.where(known, rank, 0)]
        start = np.where(rank == -1, self.start if lanes.full else self.start[lanes.index], np.where(known, there, -1))
        inside = (start >= 0) & (low <= self.size - size)
        if inside.any():
            yield self.memory, (start + low)[inside], inside
        if not inside.all():
            yield None, address[~inside], ~inside


# -- arrays whose bytes count as unwritten -----------------------------------------------------------------------------
class Uninitialised(np.ndarray):
    """An array whose bytes count as uninitialised until a kernel, or `a[...] = value` on the host, writes them."""

    def __array_finalize__(self, source):
        """Give views a share of the marks; results of arithmetic and copies are arrays like any other."""
        marks = getattr(source, "marks", None)
        low, size = extent(self) if marks else (0, 0)
        inside = marks is not None and marks[0] <= low and low + size <= marks[0] + marks[1].size
        self.marks = marks if inside else None

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        if self.marks is not None:
            low = self.marks[0]
            offset = self.__array_interface__["data"][0] - low
            if 0 <= offset < self.marks[1].size:
                element = f"V{self.itemsize}"
                seen = np.ndarray(self.shape, element, self.marks[1], offset, self.strides)
                seen[key] = np.zeros((), element)[()]  # all bytes False


ALIGNMENT = 256


def empty(shape, dtype=np.float32) -> np.ndarray:
    """Return an array as numpy.empty does, of which the sanitizer reports reads of elements that nothing has written yet.

    The array is aligned to 256 bytes, as cudaMalloc's memory is: how many sectors a warp touches depends on it.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    data = np.ndarray(shape, dtype, raw, -raw.ctypes.data % ALIGNMENT)
    bytes_at(*extent(data))[...] = 0xFF  # NaN as a float, -1 as an integer: noticed on the host too
    array = data.view(Uninitialised)
    low, size = extent(data)
    array.marks = (low, np.ones(size, bool))
    return array


def unwritten_bytes(array: np.ndarray) -> np.ndarray | None:
    """Return the marks for exactly the bytes that `array` reaches, or None if they are not tracked."""
    marks = getattr(array, "marks", None)
    if marks is None:
        return None
    low, size = extent(array)
    start = low - marks[0]
    inside = start >= 0 and start + size <= marks[1].size
    return marks[1][start : start + size] if inside else None

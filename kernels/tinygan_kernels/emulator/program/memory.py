"""The memory of a program: what was allocated where, on the host, on the device or for both, and what became of it."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from tinygan_kernels.emulator.execute.memory import empty, unwritten_bytes
from tinygan_kernels.emulator.sanitizer.streams import Streams

HOST, DEVICE, MANAGED, PINNED = "host", "device", "managed", "pinned"
FRESH = np.frombuffer(bytes.fromhex("b7a3c5ff3dc9f4ff"), np.uint8)
"""What managed memory holds until something writes it: NaN, as a double and as two floats. Stores of host code leave no marks, so
memory counts as unwritten where it still holds these 8 bytes."""
STACK = 64 << 20
"""Bytes of the stack for the host's local variables."""
KEPT_AFTER_FREE = 256 << 20
"""Bytes of freed memory that is kept, so that a late access meets nothing else there."""


@dataclass
class Region:
    """A run of bytes that the program may know an address of."""

    base: int
    size: int
    kind: str  # of whom: HOST, DEVICE, or both: MANAGED, PINNED
    name: str  # "4096 bytes of cudaMalloc at add.cu:14"
    array: np.ndarray = field(repr=False)
    writable: bool = True
    freed: str = ""  # where

    @property
    def end(self) -> int:
        return self.base + self.size

    @property
    def on_host(self) -> bool:
        return self.kind != DEVICE

    @property
    def on_device(self) -> bool:
        return self.kind != HOST


NOWHERE = Region(0, 0, HOST, "no memory", np.empty(0, np.uint8))


class ProgramMemory:
    """All regions, by their addresses, and what streams do with them."""

    def __init__(self) -> None:
        self.streams = Streams()
        self.starts: list[int] = []
        self.regions: dict[int, Region] = {}
        self.freed: deque[Region] = deque()
        self.freed_bytes = 0

    def add(self, region: Region) -> Region:
        if region.base not in self.regions:
            insort(self.starts, region.base)
        self.regions[region.base] = region
        return region

    def allocate(self, size: int, kind: str, name: str) -> Region:
        """Return new memory. Memory of the device alone, and managed memory, counts as unwritten until something writes it."""
        array = empty(max(size, 1), np.uint8)
        if kind == MANAGED:
            array.view(np.ndarray)[...] = np.resize(FRESH, array.size)
        elif kind != DEVICE:
            array = array[:].view(np.ndarray)
        return self.add(Region(array.__array_interface__["data"][0], max(size, 1), kind, name, array))

    def free(self, region: Region, place: str) -> None:
        """Mark a region as freed; its bytes are kept for a while, and then given back, the oldest first."""
        region.freed = place
        self.freed.append(region)
        self.freed_bytes += region.size
        while self.freed_bytes > KEPT_AFTER_FREE:
            oldest = self.freed.popleft()
            self.freed_bytes -= oldest.size
            self.starts.remove(oldest.base)
            del self.regions[oldest.base]
            self.streams.forget(oldest.base, oldest.end)

    def at(self, address: int) -> Region | None:
        """Return the region that holds an address, freed or not; None where there is none."""
        i = bisect_right(self.starts, address) - 1
        if i < 0:
            return None
        region = self.regions[self.starts[i]]
        return region if address < region.end else None

    def nearest(self, address: int) -> Region | None:
        """Return the region that begins or ends nearest to an address."""
        i = bisect_right(self.starts, address)
        near = [self.regions[self.starts[j]] for j in (i - 1, i) if 0 <= j < len(self.starts)]
        return min(near, key=lambda r: max(r.base - address, address - r.end), default=None)

    def see_stores_of_the_host(self) -> None:
        """Mark as written what host code has stored to managed memory: all words of 8 bytes that do not hold FRESH any more."""
        for region in self.regions.values():
            marks = unwritten_bytes(region.array) if region.kind == MANAGED and not region.freed else None
            if marks is None or not marks.any():
                continue
            data, whole = region.array.view(np.ndarray), region.size // 8 * 8
            marks[:whole].reshape(-1, 8)[data[:whole].view("u8") != FRESH.view("u8")[0]] = False
            rest = data[whole:]  # fewer than 4 bytes may equal FRESH by chance, and count as written
            if rest.size < 4 or (rest != FRESH[: rest.size]).any():
                marks[whole:] = False

    def for_device(self) -> list[Region]:
        """Return what kernels may touch."""
        return [r for r in self.regions.values() if r.on_device and not r.freed]

    def describe(self, address: int) -> str:
        """Say what an address is that a kernel may not touch, "" if nothing is known of it."""
        if 0 <= address < 4096:
            return "; this is a null pointer"
        region = self.at(address)
        if region is None:
            return ""
        if region.freed:
            return f"; this is freed memory: {region.name}, freed at {region.freed}"
        if not region.on_device:
            return f"; this is memory of the host: {region.name}"
        return ""


def refusal(memory: ProgramMemory, address: int, size: int, writes: bool, library: bool = False) -> tuple[str, Region]:
    """Say why host code may not read or write bytes, "" if it may; with the region that holds them (NOWHERE for none).

    library: whether it belongs to an algorithm that a GPU would run, in the order of its stream: then the device's memory may be
    touched, and counts as written.
    """
    verb = f"{'writes' if writes else 'reads'} {size} byte{'s' if size > 1 else ''}"
    region = memory.at(address)
    if region is None:
        if 0 <= address < 4096:
            return f"{verb} through a null pointer", NOWHERE
        return f"{verb} outside of all memory{_near(memory, address)}", NOWHERE
    if region.freed:
        return f"{verb} of freed memory: {region.name}, freed at {region.freed}", region
    if library and region.on_device:
        marks = unwritten_bytes(region.array)
        if writes and marks is not None:
            marks[...] = 0
    elif not region.on_host:
        return f"{verb} of device memory: {region.name}; copy it with cudaMemcpy, or use cudaMallocManaged", region
    if address + size > region.end:
        return f"{verb} across the end of {region.name}", region
    if writes and not region.writable:
        return f"{verb} of constant memory: {region.name}", region
    use = memory.streams.in_use(address, size, writes) if region.on_device and not library else None
    if use is not None:
        text = f"{verb} of {region.name}, which {use.by} {'writes' if use.writes else 'reads'}: the host has not waited for it"
        return f"{text} (cudaDeviceSynchronize)", region
    return "", region


def _near(memory: ProgramMemory, address: int) -> str:
    region = memory.nearest(address)
    if region is None:
        return ""
    gap = address - region.end if address >= region.end else region.base - address
    where = "after the end of" if address >= region.end else "before"
    return f": {gap} bytes {where} {region.name}" if gap < 1 << 20 else f", at {address:#x}"

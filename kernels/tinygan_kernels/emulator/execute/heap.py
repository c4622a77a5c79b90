"""The heap of malloc and free in kernels, which new and delete use. It outlives launches: a later kernel may free a block.

It has 8 MiB, as CUDA's has unless a program asks for more (cudaLimitMallocHeapSize); malloc returns a null pointer where it is
full. Blocks have gaps between them, and are used again only where nothing else is left, so that an access outside of them is seen.
Freed neighbours are not joined to a larger block, unless no block is left: then the heap is whole again.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.translate.kernel import Site

from .access import Access
from .lanes import Lanes
from .memory import GlobalMemory, Memory

SIZE, ALIGNMENT, GAP = 8 << 20, 16, 32
NAME = "memory from malloc"


class Heap:
    """One heap. Offsets count from its beginning; `allocated` marks the bytes that blocks have, `unwritten` those never written."""

    def __init__(self) -> None:
        self.data: np.ndarray | None = None
        self.live: dict[int, int] = {}  # address of a block -> its bytes
        self.freed: dict[int, int] = {}
        self.room: dict[int, int] = {}  # address of a block, live or freed -> the bytes that a block there may have

    def attach(self, memory: GlobalMemory) -> Memory:
        """Add the heap to the memory of a launch, once, and return it as a range of that memory."""
        if self.data is None:
            self.data = np.zeros(SIZE + ALIGNMENT, np.uint8)
            address = self.data.__array_interface__["data"][0]
            self.base = -(-address // ALIGNMENT) * ALIGNMENT
            self.next, self.end = self.base, self.base + SIZE
            self.allocated, self.unwritten = np.zeros(SIZE, bool), np.ones(SIZE, bool)
        found = memory.find(self.base)
        if found is None:
            memory.add_range(self.base, SIZE, NAME, True, self.unwritten)
            found = memory.find(self.base)
            assert found is not None
            found.heap = self  # type: ignore[assignment]
        return found

    def take(self, size: int, memory: Memory) -> int:
        """Return the address of a new block, 0 if there is no room for it."""
        whole = -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
        if whole > self.end - self.next - GAP and not self.live:  # begin anew, as freed blocks are not joined to larger ones
            self.next = self.base
            self.freed.clear()
            self.room.clear()
            if memory.races is not None:
                memory.races.forget(self.base, self.end)
        if whole <= self.end - self.next - GAP:
            address, self.next = self.next, self.next + whole + GAP
            self.room[address] = whole
        else:
            address = next((a for a in self.freed if self.room[a] >= size), 0)
            if not address:
                return 0
            del self.freed[address]
            if memory.races is not None:
                memory.races.forget(address, address + size)
        at = address - self.base
        self.live[address] = size
        self.allocated[at : at + size] = self.unwritten[at : at + size] = True
        return address

    def give_back(self, address: int) -> str:
        """Free a block. Return what is wrong with it, "" if nothing is."""
        if address == 0:
            return ""
        size = self.live.pop(address, None)
        if size is None:
            return "double free of a block" if address in self.freed else "free of an address that malloc did not return"
        self.freed[address] = size
        self.allocated[address - self.base : address - self.base + size] = False
        return ""

    def used(self) -> int:
        """Return how many bytes from its beginning have ever been part of a block."""
        return 0 if self.data is None else self.next - self.base

    def state(self) -> tuple:
        """Return which blocks there are, for `set_back`; () if no kernel has asked for one yet."""
        if self.data is None:
            return ()
        used = self.used()
        blocks = dict(self.live), dict(self.freed), dict(self.room)
        return self.next, *blocks, self.allocated[:used].copy(), self.unwritten[:used].copy()

    def set_back(self, state: tuple) -> None:
        """Have the blocks again that there were when `state` gave this. Their bytes are left as they are."""
        if self.data is not None:
            now = self.used()
            self.next, live, freed, room, allocated, unwritten = state or (self.base, {}, {}, {}, [], [])
            self.live, self.freed, self.room, used = dict(live), dict(freed), dict(room), self.used()
            self.allocated[:used], self.unwritten[:used] = allocated, unwritten
            self.allocated[used:now], self.unwritten[used:now] = False, True

    def holds(self, address: np.ndarray, size: int) -> np.ndarray:
        """Return, for addresses in the heap, whether a block has the `size` bytes there. (The gaps are wider than an access.)"""
        first = address - self.base
        return self.allocated[first] & self.allocated[first + size - 1]

    def describe(self, address: int) -> str:
        """Say what is at an address of the heap that no block has."""
        for blocks, text in ((self.live, "{} bytes after the end of a block of {} bytes from malloc"),
                             (self.freed, "in a block that was freed, {} bytes from its beginning, of {} bytes")):  # fmt: skip
            for start, size in blocks.items():
                if start <= address < start + max(size, 1) + GAP:
                    past = address - start - (size if blocks is self.live else 0)
                    if blocks is self.live and past < 0:
                        return f"across the end of a block of {size} bytes from malloc"
                    if blocks is self.live or past < size:
                        return text.format(past, size)
        return "in no block that malloc returned"


HEAP = Heap()


def malloc(access: Access, site: Site, lanes: Lanes, result: np.ndarray, sizes: np.ndarray) -> None:
    """Allocate memory for each lane. The parameters are 64-bit, one row per lane."""
    if lanes.count == 0:
        return
    memory = HEAP.attach(access.spaces["global"].memory)
    access.changes += 1
    wanted, given = sizes.view("u8")[:, 0], result.view("u8")[:, 0]
    for lane in lanes.index:
        given[lane] = HEAP.take(int(wanted[lane]), memory)


def free(access: Access, site: Site, lanes: Lanes, _result: None, pointers: np.ndarray) -> None:
    """Free a block for each lane, and report addresses that are none."""
    if lanes.count == 0:
        return
    memory = HEAP.attach(access.spaces["global"].memory)
    access.changes += 1
    for lane in lanes.index:
        address = int(pointers.view("u8")[lane, 0])
        if access.check and address in HEAP.live:
            access.check.freed(site, memory, address, HEAP.live[address], int(lane))
        wrong = HEAP.give_back(address)
        if wrong:
            access.report.add("memcheck", wrong, site, access.machine, lane, address, "global")

"""The blocks of CuPy's memory pool: which stream's they are, and what may still touch one that was freed.

The pool keeps freed blocks by the stream that was current when they were allocated, and gives one out again, without waiting for
anything, to the next allocation in that stream; the sizes of blocks are multiples of 512 bytes. So work of another stream that
was still using the block then meets what the block is used for next. (CuPy, cupy/cuda/memory.pyx, SingleDeviceMemoryPool)
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from tinygan_kernels.emulator.sanitizer.streams import Use

UNIT = 512
MOST_BLOCKS = 1000
"""How many freed blocks of one size and stream are kept in mind."""


class PoolBlocks:
    """The blocks that arrays have, and those that are free."""

    def __init__(self) -> None:
        self._arenas: dict[int, int] = {}  # by address, of blocks that arrays have, the stream that they belong to
        self._free: defaultdict[tuple[int, int], list[tuple[int, list[Use]]]] = defaultdict(list)

    def arena_of(self, start: int) -> int | None:
        """Return the stream that the block at an address belongs to, None where no array was given one there."""
        return self._arenas.get(start)

    def taken(self, span: tuple[int, int], stream: int) -> list[Use]:
        """Note an allocation in a stream. Return what may still touch the block that it is given, at its new addresses.

        Of several free blocks of the size one is taken that nothing may touch, as nobody knows which one the pool would give.
        """
        start, end = span
        if start in self._arenas:
            return []
        self._arenas[start] = stream
        free = self._free[stream, -(-(end - start) // UNIT)]
        if not free:
            return []
        at = next((i for i, (_, uses) in enumerate(free) if not uses), len(free) - 1)
        old, uses = free.pop(at)
        return [moved for use in uses if (moved := _moved(use, start - old, end)) is not None]

    def freed(self, start: int, end: int, uses: list[Use]) -> None:
        """Note that an array is gone. uses: those of its memory that its block's stream is not ordered after."""
        free = self._free[self._arenas.pop(start), -(-(end - start) // UNIT)]
        free.append((start, uses))
        del free[:-MOST_BLOCKS]

    def given_back(self, stream: int | None) -> bool:
        """Forget the free blocks, of a stream or of all, as they are the pool's no longer. Return whether there were any."""
        mine = [key for key, blocks in self._free.items() if blocks and stream in (None, key[0])]
        for key in mine:
            del self._free[key]
        return bool(mine)


def _moved(use: Use, by: int, most: int) -> Use | None:
    """Return a use at other addresses, below `most`, which says where it is from; None where nothing is left of it."""
    start, end = use.start + by, min(use.end + by, most)
    if start >= end:
        return None
    marks = None if use.marks is None else use.marks[: -(-(end - start) // use.unit)]
    told = f"{use.by}, on an array that was freed since and whose block CuPy's memory pool gives out again,"
    return replace(use, start=start, end=end, marks=marks, by=told)

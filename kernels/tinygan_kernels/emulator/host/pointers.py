"""Arrays that a kernel reaches through pointers inside its arguments: structs, tables of pointers, addresses as integers.

On a GPU any allocation can be reached by its address. Here a launch knows the arrays among its arguments; when an access finds no
array, the other live arrays of the process are looked through for those that the arguments hold an address of. Arrays to which no
address was handed over stay out of reach, so that an access beyond the end of one array cannot fall into another.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator

import numpy as np

from tinygan_kernels.emulator.execute.memory import GlobalMemory, extent

LEAST, MOST = 1 << 16, 1 << 47  # between which a process has its memory


class HandedPointers:
    """Finds arrays by the addresses that lie in a launch's parameters, in its arrays, and in the module's variables.

    words: the bytes of parameters and variables; arrays: those among the arguments.
    """

    def __init__(self, words: list[np.ndarray], arrays: list[np.ndarray]):
        self.words, self.arrays = words, arrays

    def __call__(self, memory: GlobalMemory) -> bool:
        """Add to `memory` the arrays that are pointed to, directly or through one another; return whether there were any."""
        fresh = _addresses(self.words + [table for a in self.arrays if (table := _table(a)) is not None], memory)
        if not fresh:
            return False
        live, added = _Live(), False
        while fresh:
            found = {id(array): array for address in fresh if (array := live.at(address)) is not None}
            for array in found.values():
                memory.add(array, f"the array at {extent(array)[0]:#x} that a pointer in the arguments leads to")
                memory.kept.append(array)
            added = added or bool(found)
            fresh = _addresses([table for a in found.values() if (table := _table(a)) is not None], memory)
        return added


def _table(array: np.ndarray) -> np.ndarray | None:
    """Return the bytes of an array that may hold addresses: of 64-bit integers or of structures."""
    if array.dtype.kind not in "iuV" or array.dtype.hasobject or (array.dtype.kind != "V" and array.itemsize != 8):
        return None
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _addresses(words: list[np.ndarray], memory: GlobalMemory) -> list[int]:
    """Return what may be addresses among aligned words of eight bytes, but for those that `memory` already holds."""
    values = [np.unique(w[: w.size // 8 * 8].view(np.uint64)) for w in words if w.size >= 8]
    likely = {int(v) for each in values for v in each[(each >= LEAST) & (each < MOST)]}
    return [address for address in likely if memory.find(address) is None]


class _Live:
    """The arrays that the process holds at one moment, by their addresses."""

    def __init__(self):
        arrays = {}
        for array in live_arrays():
            low, size = extent(array)
            if size and not array.dtype.hasobject:
                arrays[low, size] = array
        self.places = sorted(arrays)
        self.arrays = arrays
        self.starts = np.array([low for low, _ in self.places], "u8")

    def at(self, address: int) -> np.ndarray | None:
        """Return the array that holds an address, None if there is none."""
        i = int(np.searchsorted(self.starts, np.uint64(address), side="right")) - 1
        if i < 0 or address >= sum(self.places[i]):
            return None
        return self.arrays[self.places[i]]


def live_arrays() -> Iterator[np.ndarray]:
    """Yield the arrays that variables, containers and objects of the process hold. A view is replaced by the array behind it."""
    seen: set[int] = set()
    for value in _referents([*gc.get_objects(), *_locals()]):
        if not issubclass(type(value), np.ndarray):  # isinstance would ask a weak proxy, whose object may be gone
            continue
        while isinstance(value.base, np.ndarray):
            value = value.base
        if id(value) not in seen:
            seen.add(id(value))
            yield value


def _locals() -> Iterator[dict]:
    """Yield the local variables of all calls that are going on in all threads."""
    for frame in sys._current_frames().values():
        while frame is not None:
            yield dict(frame.f_locals)
            frame = frame.f_back


def _referents(objects: Iterable) -> Iterator[object]:
    """Yield what objects refer to. Tuples and dicts that Python's collector does not list are opened as well."""
    for value in gc.get_referents(*objects):
        yield value
        if issubclass(type(value), (tuple, dict)) and not gc.is_tracked(value):
            yield from _referents([value])

"""Arrays that a kernel reaches through pointers inside its arguments: structs, tables of pointers, addresses as integers.

On a GPU any allocation can be reached by its address. Here a launch knows the arrays among its arguments; when an access finds no
array, the other live arrays of the process are looked through for those that the arguments hold an address of. Arrays to which no
address was handed over stay out of reach, so that an access beyond the end of one array cannot fall into another.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import numpy as np

from tinygan_kernels.emulator.execute.memory import GlobalMemory, extent
from tinygan_kernels.emulator.semantics.tensor_maps import BYTES

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
    """Return the bytes of an array that may hold addresses: of 64-bit integers or of structures, or bytes of tensor maps."""
    if array.dtype == np.uint8 and array.ndim and array.shape[-1] == BYTES:
        return np.ascontiguousarray(array).reshape(-1)
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
    """Yield the arrays that variables, containers and objects of the process hold. A view is replaced by the array behind it.

    A process has millions of objects, so they are looked at in bulk, and by their exact type: isinstance would also ask a weak
    proxy, whose object may be gone.
    """
    kinds, seen = _with_subclasses(np.ndarray), set()
    objects: list[object] = [*gc.get_objects(), *_locals()]
    while objects:
        referents = gc.get_referents(*objects)
        for array in [value for value in referents if type(value) in kinds]:
            while isinstance(array.base, np.ndarray):
                array = array.base
            if id(array) not in seen:
                seen.add(id(array))
                yield array
        # Python's collector does not list containers of plain things, as arrays are for it
        objects = [value for value in referents if type(value) in (tuple, dict) and not gc.is_tracked(value)]


def _with_subclasses(kind: type) -> set[type]:
    """Return a class with all that derive from it."""
    return {kind}.union(*map(_with_subclasses, kind.__subclasses__()))


def _locals() -> Iterator[dict]:
    """Yield the local variables of all calls that are going on in all threads."""
    for frame in sys._current_frames().values():
        while frame is not None:
            yield dict(frame.f_locals)
            frame = frame.f_back

"""Notes of writes: which memory was written to, and when, so that whoever keeps an array can find out whether it was changed.

Memory is known by its addresses. So a write through one view of a buffer counts for every view that overlaps it, and for no other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

REMEMBERED = 10_000  # different places; beyond them the one that was written least recently is forgotten

Spans = tuple[tuple[int, int], ...]
"""Stretches of memory, each by its first address and the first one behind it."""


class Writes:
    """The writes into arrays of one backend, in order.

    now: the number of the latest event, which counts from 0. latest: the number of the latest event that was a write.
    """

    __slots__ = ("_places", "latest", "now")

    def __init__(self) -> None:
        self.now = 0
        self.latest = 0
        self._places: dict[Hashable, tuple[int, Spans]] = {}  # the least recently written first

    def tick(self) -> int:
        """Count an event that is no write, and return its number."""
        self.now += 1
        return self.now

    def note(self, arrays: Iterable[Any]) -> None:
        """Note that these arrays were written to."""
        spans = tuple(span(array) for array in arrays)
        self.note_spans(spans, spans)

    def note_spans(self, key: Hashable, spans: Spans) -> None:
        """Note a write into these stretches of memory. Writes of the same key are always into the same ones."""
        self.latest = self.tick()
        self._places.pop(key, None)
        self._places[key] = self.now, spans
        if len(self._places) > REMEMBERED:
            del self._places[next(iter(self._places))]

    def since(self, array: Any, when: int) -> bool:
        """Return whether memory of the array was written to after the event of number `when`."""
        if self.latest <= when:
            return False
        start, stop = span(array)
        for number, spans in reversed(self._places.values()):
            if number <= when:
                return False
            if any(low < stop and start < high for low, high in spans):
                return True
        return False


def owner_of(array: Any) -> Any:
    """Return the array that owns the memory that `array` is a view of."""
    while getattr(array, "base", None) is not None and hasattr(array.base, "dtype"):
        array = array.base
    return array


def span(array: Any) -> tuple[int, int]:
    """Return the first address of an array's elements, and the first one behind them; on a GPU those of its memory."""
    interface = getattr(array, "__array_interface__", None) or array.__cuda_array_interface__
    start = interface["data"][0]
    if array.flags.c_contiguous or not array.size:
        return start, start + array.nbytes
    reach = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
    return start + sum(r for r in reach if r < 0), start + sum(r for r in reach if r > 0) + array.itemsize


def merged(arrays: Sequence[Any]) -> Spans:
    """Return the stretches of memory that the arrays lie in, in order and without overlaps."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(map(span, arrays)):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(stop, found[-1][1])
        else:
            found.append((start, stop))
    return tuple(found)

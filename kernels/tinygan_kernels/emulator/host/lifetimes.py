"""How long memory lives that work was seen to touch: as long as the array that has allocated it.

Memory that is freed is soon another array's, of which what was seen before says nothing.
"""

from __future__ import annotations

import weakref
from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygan_kernels.emulator.execute.memory import extent


def root_of(array: np.ndarray) -> np.ndarray:
    """Return the array that another is a view of, at any depth, as far as arrays lead."""
    while True:
        base: Any = array.base
        if isinstance(base, SimpleNamespace):  # of `array_over`
            base = getattr(base, "owner", None)
        if not isinstance(base, np.ndarray):
            return array
        array = base


class Lifetimes:
    """The arrays whose memory is watched, and the memory of those that are gone.

    An array may go at any moment, in the middle of anything: its memory is noted then, and looked at when `gone` is called.
    """

    def __init__(self) -> None:
        self._watched: dict[int, tuple[weakref.ref, tuple[int, int]]] = {}
        self._gone: deque[tuple[int, int]] = deque()

    def watch(self, array: np.ndarray) -> None:
        """Note when the memory of an array is freed."""
        root = root_of(array)
        key, span = id(root), _span(root)
        if key not in self._watched:

            def forget(_reference: weakref.ref) -> None:
                self._watched.pop(key, None)
                self._gone.append(span)

            self._watched[key] = weakref.ref(root, forget), span

    def span(self, array: np.ndarray) -> tuple[int, int]:
        """Return the addresses from the first byte to after the last of the memory that an array is a part of."""
        return _span(root_of(array))

    def gone(self) -> list[tuple[int, int]]:
        """Return the memory, as addresses (start, end), of the arrays that have gone since the last call."""
        found = []
        while self._gone:
            found.append(self._gone.popleft())
        return found


def _span(array: np.ndarray) -> tuple[int, int]:
    start, size = extent(array)
    return start, start + size

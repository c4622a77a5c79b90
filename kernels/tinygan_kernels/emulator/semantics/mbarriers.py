"""The state of an mbarrier, an opaque 64-bit object in shared memory: phase, arrivals pending and expected, and its tx-count.

A phase is complete when no arrival is pending and the tx-count, bytes that asynchronous copies have yet to bring, is zero. Then the
next one begins, with all its arrivals pending. (PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier")
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MOST_ARRIVALS = (1 << 20) - 1
_VALID, _PHASES = 1 << 63, 4


class Barrier(NamedTuple):
    """One mbarrier. phase: its number, modulo 4; a waiter can only ask for the current phase or the one before it."""

    pending: int
    expected: int
    tx: int = 0
    phase: int = 0

    def encoded(self) -> int:
        """Return the 64 bits that stand for the state in memory, and for the operand `state` of arrive and test_wait."""
        return _VALID | self.phase << 61 | (self.tx + MOST_ARRIVALS) << 40 | self.expected << 20 | self.pending

    def arrived(self, count: int, bytes_expected: int = 0, drops: bool = False) -> Barrier:
        """Return the state after `count` arrivals, which may expect bytes, and may not come back in later phases (drops).

        Raises ValueError where a count leaves its range.
        """
        if not 1 <= count <= self.pending:
            raise ValueError(f"{count} arrivals, where {self.pending} of {self.expected} are pending")
        expected = self.expected - count if drops else self.expected
        return self._replace(pending=self.pending - count, expected=expected).transacted(bytes_expected)

    def transacted(self, change: int) -> Barrier:
        """Return the state after a change of the tx-count, with the next phase begun if this one is complete."""
        tx = self.tx + change
        if abs(tx) > MOST_ARRIVALS:
            raise ValueError(f"a tx-count of {tx}, where at most {MOST_ARRIVALS} bytes can be under way")
        if self.pending == 0 and tx == 0:
            return Barrier(self.expected, self.expected, 0, (self.phase + 1) % _PHASES)
        return self._replace(tx=tx)


def decoded(word: int) -> Barrier | None:
    """Return the mbarrier that 64 bits stand for, None for bits that no mbarrier has."""
    if not word & _VALID:
        return None
    return Barrier(word & MOST_ARRIVALS, word >> 20 & MOST_ARRIVALS, (word >> 40 & (1 << 21) - 1) - MOST_ARRIVALS, word >> 61 & 3)


def pending_count(state: np.ndarray) -> np.ndarray:
    """Compute mbarrier.pending_count: the arrivals that were pending before the arrive-on operation that returned a state."""
    return (state & np.uint64(MOST_ARRIVALS)).astype("u4")

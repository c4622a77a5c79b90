"""The barriers of thread blocks: which lanes wait at them, and when they go on. (PTX ISA, bar, barrier)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.translate.kernel import TranslatedBlock

from .lanes import Lanes
from .machine import Machine


class Waiting:
    """Lanes that have arrived at a barrier: its number, how many threads it waits for (None: all), predicates of bar.red."""

    def __init__(self, basic: TranslatedBlock, key: tuple, lanes: Lanes, number: int, threads: np.ndarray | None, predicate: Any):
        self.basic, self.key, self.lanes, self.number = basic, key, lanes, number
        self.threads, self.predicate = threads, predicate
        self.told: tuple[np.ndarray, Any] | None = None  # for bar.arrive: what the sanitizer lets the waiting threads know


class Barriers:
    """The barriers of all thread blocks of one machine. add: lets lanes go on at a position."""

    def __init__(self, machine: Machine, add: Callable[[tuple, Lanes], None]):
        self.machine, self.add = machine, add
        self.names = machine.names
        self.waiting: list[Waiting] = []

    def arrive(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, payload: tuple) -> int | None:
        """Let lanes wait; at once go on to the next block in the usual case that all threads of all blocks are here."""
        number, threads, predicate = payload
        if (
            not basic.arrives_only
            and threads is None
            and not self.waiting
            and lanes.count == self.machine.live.count
            and np.ndim(number) == 0
            and not basic.reduction
            and lanes.count == self.machine.shape.blocks * self.machine.shape.threads
        ):
            if self.machine.check:
                self.machine.check.block_barrier()
            return basic.after
        self._wait(basic, outer, lanes, number, threads, predicate)
        return None

    def _wait(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, number: Any, threads: Any, predicate: Any) -> None:
        """Let lanes wait at a barrier, or only arrive there (bar.arrive) and go on."""
        number = np.broadcast_to(number, lanes.mask.shape)
        for n in np.unique(number[lanes.mask]):
            some = lanes.only(number == n)
            count = None if threads is None else np.broadcast_to(threads, lanes.mask.shape)
            if count is not None and self.machine.check:
                self.machine.check.barrier_count(basic.site, count, some)
                self.machine.check.arrives_after_others(basic.site, int(n), some)
            self.waiting.append(Waiting(basic, (*outer, 2 * basic.after), some, int(n), count, predicate))
            if basic.arrives_only:
                if self.machine.check:
                    self.waiting[-1].told = self.machine.check.arrive(some)
                self.add((*outer, 2 * basic.after), some)
        self.release()

    def _check_convergence(self, there: list[Waiting], complete: np.ndarray) -> None:
        """Report complete aligned barriers that threads of a warp or a block reached at different instructions, or not at all.

        A thread that comes later than others of its warp is no fault: the branch between them ends before the barrier.
        """
        aligned = [w for w in there if w.basic.aligned]
        if not self.machine.check or not aligned:
            return
        mask = np.repeat(complete, self.machine.shape.stride)
        places = list(dict.fromkeys(w.key for w in aligned))
        at = np.zeros(mask.size, "i8")  # the number of the barrier that each lane is at, from 1
        for w in aligned:
            at[w.lanes.mask & mask] = places.index(w.key) + 1
        warps = at.reshape(-1, WARP)
        some, parted = (warps > 0).any(axis=1), np.zeros(len(warps), bool)
        if any(w.threads is not None for w in there):
            parted = (self.machine.live.mask.reshape(-1, WARP) & (warps == 0)).any(axis=1)
        parted = some & (parted | (np.where(warps > 0, warps, len(places)).min(axis=1) < warps.max(axis=1)))
        if parted.any():
            self._report_parted("barrier reached by only some threads of a warp", aligned, at, np.repeat(parted, WARP))
        elif len(places) > 1 and all(w.threads is None and w.number == 0 for w in aligned):
            blocks = at.reshape(len(complete), -1)
            parted = np.where(blocks > 0, blocks, len(places)).min(axis=1) < blocks.max(axis=1)
            if parted.any():
                text = "threads of a block meet at different barriers, which all of its threads have to reach"
                self._report_parted(text, aligned, at, np.repeat(parted, self.machine.shape.stride))

    def _report_parted(self, text: str, aligned: list[Waiting], at: np.ndarray, mask: np.ndarray) -> None:
        """Report lanes, chosen by `mask`, of one warp or block that are at different barriers. at: the number of each lane's."""
        lanes = np.flatnonzero(mask & (at > 0))
        first = int(lanes[at[lanes] == at[lanes].min()][0])
        basic = next(w.basic for w in aligned if w.lanes.mask[first])
        others = [w.basic.site.source for w in aligned if w.basic is not basic and (w.lanes.mask & mask).any()]
        other = f"; the others are at {others[0]}" if others else ""
        self.machine.report.add("synccheck", text + other, basic.site, self.machine, first, count=int(lanes.size))

    def _report_more(self, there: list[Waiting], blocks: np.ndarray, wanted: int) -> None:
        """Report, in some blocks, a barrier at which more threads are at once than it waits for."""
        mask = np.logical_or.reduce([w.lanes.mask for w in there]) & np.repeat(blocks, self.machine.shape.stride)
        lane, last = int(np.flatnonzero(mask)[0]), there[-1].basic.site
        text = f"more threads arrive at barrier {there[0].number} than the {wanted} that it waits for"
        text += "; which of them meet is not known"
        self.machine.report.add("synccheck", text, last, self.machine, lane, count=int(mask.sum()))

    def release(self) -> None:
        """Let the thread blocks go on in which a barrier is complete."""
        for number in sorted({w.number for w in self.waiting}):
            there = [w for w in self.waiting if w.number == number]
            arrived = sum(self._per_block(w.lanes) for w in there)
            wanted = self._wanted(there)
            complete = (arrived >= wanted) & (arrived > 0)
            if complete.any():
                more = (arrived > wanted) & (wanted % WARP == 0)  # of another count it has been told that it cannot be
                if self.machine.check and more.any():
                    self._report_more(there, more, int(wanted[more][0]))
                self._complete(there, complete)

    def _per_block(self, lanes: Lanes) -> np.ndarray:
        """Return how many of the lanes each thread block has."""
        return lanes.mask.reshape(self.machine.shape.blocks, -1).sum(axis=1)

    def _wanted(self, there: list[Waiting]) -> np.ndarray:
        """Return how many threads each thread block's barrier waits for: its operand, or all that have not exited."""
        wanted = self._per_block(self.machine.live)
        for w in there:
            if w.threads is not None:
                counts = np.where(w.lanes.mask, w.threads, 0).reshape(self.machine.shape.blocks, -1).max(axis=1)
                wanted = np.where(counts > 0, counts, wanted)
        return wanted

    def _complete(self, there: list[Waiting], complete: np.ndarray) -> None:
        """Let the lanes of the complete thread blocks go on after the barrier."""
        mask = np.repeat(complete, self.machine.shape.stride)
        self._check_convergence(there, complete)
        parts = [(w, w.lanes.only(mask)) for w in there]
        if self.machine.check:
            waited = [some.mask for w, some in parts if not w.basic.arrives_only]
            told = [(np.where(complete[:, None], w.told[0], 0), w.told[1]) for w, _ in parts if w.told is not None]
            if all(w.threads is None for w in there):
                self.machine.check.block_barrier(complete)
            elif waited:
                here = next(w for w, _ in parts if not w.basic.arrives_only)
                self.machine.check.barrier(here.basic.site, here.number, Lanes(np.logical_or.reduce(waited)), told)
        self._reduce(parts)
        for w, some in parts:
            w.lanes = w.lanes.without(some)
            if not w.basic.arrives_only:
                self.add(w.key, some)
        self.waiting = [w for w in self.waiting if w.lanes.count]

    def _reduce(self, parts: list) -> None:
        """Carry out bar.red: every thread gets the count, AND or OR of all threads' predicates."""
        parts = [(w, some) for w, some in parts if w.basic.reduction and some.count]
        if not parts:
            return
        shape = self.machine.shape
        yes = np.zeros(shape.width, bool)
        here = np.zeros(shape.width, bool)
        for w, some in parts:
            here |= some.mask
            yes |= some.mask & w.predicate
        count = yes.reshape(shape.blocks, -1).sum(axis=1)
        total = here.reshape(shape.blocks, -1).sum(axis=1)
        for w, some in parts:
            operation, name = w.basic.reduction
            result = {"popc": count, "and": count == total, "or": count > 0}[operation]
            np.copyto(
                self.names[name], np.repeat(result, shape.stride).astype(self.names[name].dtype), where=some.where
            )

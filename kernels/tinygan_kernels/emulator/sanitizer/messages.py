"""Order that passes through memory: what one thread releases with a strong write, another acquires with a strong read.

A release is a write with .release, or a fence and then any strong write; an acquire is a read with .acquire, or any strong read
and then a fence. A read-modify-write passes on what the writes before it released. (PTX ISA, "Release and Acquire Patterns")

A __threadfence() is a fence.sc. Of two such fences one comes before the other, so the fence and the strong access may also be those
of two threads with a barrier between: all threads fence, the block meets, and one thread sets the flag. (PTX ISA, "Fence-SC")

Beyond PTX, a relaxed read-modify-write counts as an acquire without a fence: CUDA's own samples leave that fence out ("last block"
reductions, locks by atomicCAS), and the hardware's atomics bypass the cache in which old bytes could be found.
"""

from __future__ import annotations

from itertools import count
from typing import NamedTuple

import numpy as np

from tinygan_kernels.emulator.execute.lanes import WARP, Lanes

from .knowledge import BLOCK, THREAD, View, joined, own_view
from .knowledge import WARP as OF_WARP
from .order import THREAD_BITS, Order
from .strength import WIDE, Strength

_IDS = count(1)


class Message(NamedTuple):
    """What lies at an address for those who acquire there. near: for threads of the block `block`; wide: for all."""

    number: int
    thread: int
    block: int
    near: View | None
    wide: View | None


class Mailbox:
    """The messages at the addresses of a launch's global memory, or of a chunk's shared memory."""

    def __init__(self):
        self.at: dict[int, Message] = {}


class Messages:
    """The releases and acquires of one chunk's threads."""

    def __init__(self, order: Order):
        self.order = order
        width = order.shape.width
        self.released = np.full((2, width), None, object)  # the view at the last fence, once asked: of any scope, of a wide one
        self.fenced = np.zeros((2, 3, width), "i8")  # when that fence was, and what the lane then knew of its block and warp
        self.before = np.full((2, width), None, object)  # ... and its view
        self.pending = np.full((2, width), None, object)  # read by relaxed reads, not yet acquired by a fence: near, wide
        self.last_read = np.zeros(width, "i8")  # the last message that the lane has put into `pending`
        self.last_acquired = np.zeros(width, "i8")  # the last one that it knows: a relaxed read before does not replace that
        self.exposed = np.full((2, width), None, object)  # what fences have released of lanes that have met this one since
        self.fenced_since = np.zeros(width, bool)  # lanes whose last fence has not been told to others yet
        self.fences = self.waits = self.shares = False  # whether there was a fence; whether `pending` and `exposed` hold anything

    def fence(self, wide: bool, lanes: Lanes) -> None:
        """Note a fence of these lanes: it acquires what they read before, and what they write next releases what they know now."""
        order, index = self.order, lanes.index
        order.clock.tick()
        for kind in (0, 1) if wide else (0,):
            if self.waits:
                for lane in index:
                    order.learn(lane, self.pending[kind, lane])
                    self.pending[kind, lane] = None
        now = np.full(index.size, order.clock.now)
        known = np.stack([now, order.block_time[order.block_of[index]], order.warp_time[index // WARP]])
        for kind in (0, 1) if wide else (0,):
            self.released[kind, index], self.before[kind, index] = None, order.views[index]
            self.fenced[kind][:, index] = known
            if order.lane_rows is not None or order.warp_rows is not None:
                for lane in index:  # rows change in place, so what they say now is noted now
                    self.released[kind, lane] = order.view_of(lane)
        self.fences = self.fences or lanes.count > 0
        self.fenced_since[index] = True
        order.clock.tick()

    def blocks_met(self, complete: np.ndarray | None) -> None:
        """Note a barrier of all threads of these blocks (a mask over the chunk's; None: all)."""
        if self.fences or self.waits:
            stride = self.order.shape.stride
            for block in range(self.order.shape.blocks) if complete is None else np.flatnonzero(complete):
                self.met(np.arange(block * stride, (block + 1) * stride))

    def groups_met(self, groups: np.ndarray, lanes: Lanes) -> None:
        """Note that those of the lanes have met which have the same number in `groups`, one for each lane of the chunk."""
        if self.fences or self.waits:
            here = groups[lanes.index]
            for group in np.unique(here):
                self.met(lanes.index[here == group])

    def met(self, lanes: np.ndarray) -> None:
        """Let lanes that have met share what their fences released, and what they have read and not acquired yet."""
        if self.fenced_since[lanes].any():
            self.shares = True
            for kind in (0, 1):
                fenced = lanes[self.fenced[kind, 0, lanes] > 0]
                if fenced.size:
                    self.exposed[kind, lanes] = self._fences_of(kind, lanes, fenced)
            self.fenced_since[lanes] = False
        elif self.shares:
            for kind in (0, 1):
                self._share(self.exposed[kind], lanes)
        if self.waits:
            for kind in (0, 1):
                self._share(self.pending[kind], lanes)

    def _share(self, views: np.ndarray, lanes: np.ndarray) -> None:
        together = joined(*views[lanes])
        if together is not None:
            views[lanes] = together

    def _fences_of(self, kind: int, lanes: np.ndarray, fenced: np.ndarray) -> View:
        """Return what the last fences of the lanes `fenced` have released together, and what was exposed to `lanes` before."""
        numbers, (times, blocks, warps) = self.order.number[fenced], self.fenced[kind][:, fenced]
        own: dict[int, int] = {}
        for of, keys, known in ((THREAD, numbers, times), (OF_WARP, numbers >> 5, warps), (BLOCK, numbers >> THREAD_BITS, blocks)):
            for key, time in zip((4 * keys + of).tolist(), known.tolist(), strict=True):
                if time > own.get(key, 0):
                    own[key] = time
        views = (*self.before[kind, fenced], *self.released[kind, fenced], *self.exposed[kind, lanes])
        return View(own, *{id(v): v for v in views if v is not None}.values())

    def _released(self, kind: int, lane: int) -> View | None:
        """Return what a lane's next strong write releases by its last fence; None if there was no fence."""
        if self.released[kind, lane] is None:
            now, block, warp = self.fenced[kind, :, lane].tolist()
            if kind and now == self.fenced[0, 0, lane]:  # no narrower fence came after
                self.released[1, lane] = self._released(0, lane)
                return self.released[1, lane]
            if now:
                number, before = int(self.order.number[lane]), self.before[kind, lane]
                view = own_view(number, now, block, warp)
                self.released[kind, lane] = View(view, before) if before is not None else View(view)
        return self.released[kind, lane]

    def _both_released(self, lane: int) -> tuple[View | None, View | None]:
        """Return what a lane's next strong write releases to its block, and to others."""
        near, wide = self.released[:, lane]
        if near is None or wide is None:
            near, wide = self._released(0, lane), self._released(1, lane)
        if self.shares:
            exposed = self.exposed[:, lane]
            near, wide = joined(near, exposed[0]), joined(wide, exposed[1])
        return near, wide

    def read(self, strength: Strength, box: Mailbox, positions: np.ndarray, lanes: Lanes) -> None:
        """Note a strong read."""
        if box.at:
            for lane, position in zip(lanes.index.tolist(), positions.tolist(), strict=True):
                self._read(box, lane, position, strength.acquires)

    def write(self, strength: Strength, box: Mailbox, positions: np.ndarray, lanes: Lanes) -> None:
        """Note a strong write."""
        if self._says_something(strength, box):
            for lane, position in zip(lanes.index.tolist(), positions.tolist(), strict=True):
                self._write(strength, box, lane, position, False)

    def modify(self, strength: Strength, box: Mailbox, positions: np.ndarray, lanes: Lanes) -> None:
        """Note a read-modify-write, one lane after the other, as lanes that meet at an address take turns."""
        if self._says_something(strength, box):
            for lane, position in zip(lanes.index.tolist(), positions.tolist(), strict=True):
                self._read(box, lane, position, True)
                self._write(strength, box, lane, position, True)

    def _says_something(self, strength: Strength, box: Mailbox) -> bool:
        """Say whether a strong write could release anything, or replace what another has released."""
        return strength.releases or self.fences or bool(box.at)

    def _read(self, box: Mailbox, lane: int, position: int, acquires: bool) -> None:
        message, last = box.at.get(position), self.last_acquired if acquires else self.last_read
        if message is None or message.number == last[lane]:
            return
        last[lane] = message.number
        same = message.block == int(self.order.number[lane]) >> THREAD_BITS
        view = message.near if same else message.wide
        if acquires:
            self.order.learn(lane, view)
        else:
            kind = 0 if same else 1
            self.waits = True
            self.pending[kind, lane] = joined(self.pending[kind, lane], view)

    def _write(self, strength: Strength, box: Mailbox, lane: int, position: int, modifies: bool) -> None:
        near, wide = self._both_released(lane) if self.fences else (None, None)
        if strength.releases:
            near = self.order.view_of(lane)
            wide = near if strength.flags & WIDE else wide
        thread, before = int(self.order.number[lane]), box.at.get(position)
        if before is not None and (modifies or before.thread == thread):
            if modifies and near is None and wide is None:
                return
            same = near is wide
            seen = before.near if before.block == thread >> THREAD_BITS else before.wide
            near = joined(near, seen)
            wide = near if same and seen is before.wide else joined(wide, before.wide)
        if near is None and wide is None:
            box.at.pop(position, None)
        else:
            box.at[position] = Message(next(_IDS), thread, thread >> THREAD_BITS, near, wide)

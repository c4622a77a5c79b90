"""The order that passes through mbarriers: whoever sees a phase complete comes after all that arrived in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.semantics.warps import WARP

from .knowledge import BLOCK, View, joined
from .knowledge import WARP as OF_WARP
from .order import THREAD_BITS, Order


@dataclass
class _Phase:
    """What those who arrived in one phase know. whole: the time of the arrival, if all threads of the block arrived at once."""

    views: list[View] = field(default_factory=list)
    whole: int = 0


class MbarrierOrder:
    """The phases of a chunk's mbarriers, by memory, position and number of the phase (modulo 4)."""

    def __init__(self, order: Order):
        self.order = order
        self.phases: dict[tuple[int, int, int], _Phase] = {}

    def begin(self, memory: Memory, positions: np.ndarray) -> None:
        """Forget the phases of barriers that are made anew."""
        for position in positions.tolist():
            for phase in range(4):
                self.phases.pop((memory.base, position, phase), None)

    def arrive(self, memory: Memory, positions: np.ndarray, phases: np.ndarray, lanes: Lanes) -> None:
        """Note arrivals of lanes, which release all that they know; phases: of the barrier when each arrived."""
        keys = positions * 4 + phases
        for key in np.unique(keys[phases >= 0]):
            position, phase = divmod(int(key), 4)
            mask = np.zeros(lanes.mask.size, bool)
            mask[lanes.index[keys == key]] = True
            self.phases.pop((memory.base, position, (phase + 1) % 4), None)
            found = self.phases.setdefault((memory.base, position, phase), _Phase())
            found.views += self._views(mask)
            if self._whole_block(mask):
                found.whole = self.order.clock.now
        self.order.clock.tick()

    def wait(self, memory: Memory, positions: np.ndarray, phases: np.ndarray, index: np.ndarray) -> None:
        """Note that lanes have seen a phase complete."""
        keys = positions * 4 + phases
        for key in np.unique(keys):
            position, phase = divmod(int(key), 4)
            found = self.phases.get((memory.base, position, phase))
            if found is None:
                continue
            some = index[keys == key]
            mask = np.zeros(self.order.shape.width, bool)
            mask[some] = True
            if found.whole and self._whole_block(mask):
                self.order.known_up_to(int(self.order.block_of[some[0]]), found.whole)
                if not self.order.has_views:
                    continue
            view = joined(*found.views)
            made: dict[int, View | None] = {}
            for lane in some.tolist():  # lanes that knew the same know the same again
                before = self.order.views[lane]
                made.setdefault(id(before), joined(before, view))
                self.order.learn(lane, made[id(before)])

    def _whole_block(self, mask: np.ndarray) -> bool:
        """Say whether a mask is all threads, of one block, that have not ended."""
        shape = self.order.shape
        block = int(np.flatnonzero(mask)[0]) // shape.stride
        alive = self.order.machine.alive.reshape(shape.blocks, -1)[block]
        return bool((mask.reshape(shape.blocks, -1)[block] == alive).all())

    def _views(self, mask: np.ndarray) -> list[View]:
        """Return what the lanes of a mask know: one view for each whole warp, and one for each lane of another."""
        order, rows = self.order, mask.reshape(-1, WARP)
        alive = order.machine.alive.reshape(-1, WARP)
        plain = order.lane_rows is None and order.warp_rows is None
        views: list[View] = []
        for warp in np.flatnonzero(rows.any(axis=1)).tolist():
            lanes = warp * WARP + np.flatnonzero(rows[warp])
            if not plain or not (rows[warp] == alive[warp]).all():
                views += [order.view_of(int(lane)) for lane in lanes]
                continue
            number = int(order.number[lanes[0]])
            own = {4 * (number >> 5) + OF_WARP: order.clock.now,
                   4 * (number >> THREAD_BITS) + BLOCK: int(order.block_time[order.block_of[lanes[0]]])}  # fmt: skip
            parts = {id(v): v for v in order.views[lanes] if v is not None}
            views.append(View(own, *parts.values()))
        return views

"""The order that passes through mbarriers: whoever sees a phase complete comes after all that arrived in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.memory import Memory

from .knowledge import View, joined
from .order import Order


@dataclass
class _Phase:
    """What those who arrived in one phase know. arrivals: how many instructions there were; whole: the time of one by which all
    threads of a block arrived at once, `block`."""

    views: list[View] = field(default_factory=list)
    arrivals: int = 0
    whole: int = 0
    block: int = -1


class MbarrierOrder:
    """The phases of a chunk's mbarriers, by memory, position and number of the phase (modulo 4)."""

    def __init__(self, order: Order):
        self.order, self.exists = order, order.shape.exists()
        self.phases: dict[tuple[int, int, int], _Phase] = {}

    def begin(self, memory: Memory, positions: np.ndarray) -> None:
        """Forget the phases of barriers that are made anew."""
        for position in positions.tolist():
            for phase in range(4):
                self.phases.pop((memory.base, position, phase), None)

    def arrive(
        self, memory: Memory, positions: np.ndarray, phases: np.ndarray, lanes: Lanes, brought: View | None = None
    ) -> None:
        """Note arrivals of lanes, which release all that they know; phases: of the barrier when each arrived; brought: what those
        know besides who see the phase complete."""
        keys = positions * 4 + phases
        for key in np.unique(keys[phases >= 0]):
            position, phase = divmod(int(key), 4)
            mask = np.zeros(lanes.mask.size, bool)
            mask[lanes.index[keys == key]] = True
            self.phases.pop((memory.base, position, (phase + 1) % 4), None)
            found = self.phases.setdefault((memory.base, position, phase), _Phase())
            found.views += self.order.views_of(mask) if brought is None else [*self.order.views_of(mask), brought]
            found.arrivals += 1
            if self._whole_block(mask):
                found.whole, found.block = self.order.clock.now, self._block(mask)
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
            if found.whole and found.block == self._block(mask) and self._whole_block(mask):
                self.order.known_up_to(found.block, found.whole)
                if found.arrivals == 1 and not self.order.has_views:
                    continue
            self.order.learn_together(some, joined(*found.views))

    def _block(self, mask: np.ndarray) -> int:
        """Return the block of the first thread of a mask."""
        return int(np.flatnonzero(mask)[0]) // self.order.shape.stride

    def _whole_block(self, mask: np.ndarray) -> bool:
        """Say whether a mask is all threads of one block. Where some have ended they have not arrived, so nothing orders them."""
        blocks, block = self.order.shape.blocks, self._block(mask)
        threads = self.exists.reshape(blocks, -1)[block]
        return bool((mask.reshape(blocks, -1)[block] == threads).all()) and np.count_nonzero(mask) == np.count_nonzero(threads)

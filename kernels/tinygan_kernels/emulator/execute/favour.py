"""Schedulers of runs that are made for comparison: with a budget for all machines together, and with some lanes that run first."""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError

from .lanes import Lanes
from .machine import Machine
from .progress import Watch
from .scheduler import Scheduler

LOOK = 64
"""Steps after which such a run asks whether its lanes only wait: it is small, and its blocks wait for others more often."""
PATIENCE = 500
"""Turns that favoured lanes get in a row before the others get theirs too, as the favoured may wait for them."""


class _Ahead(tuple):
    """The key of a group of favoured lanes, which is not that of the other lanes at the same position."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ahead) and tuple.__eq__(self, other)

    def __hash__(self) -> int:
        return hash((tuple(self), True))


class Comparison:
    """A run that is made for comparison. steps: how many all its machines together may take."""

    def __init__(self, steps: int):
        self.steps = steps
        self.machines: list[Machine] = []

    def spent(self) -> bool:
        return sum(m.blocks_run for m in self.machines) > self.steps


class BoundedScheduler(Scheduler):
    """A scheduler of one machine of a comparison. Raises EmulatorError where the comparison has used up its steps."""

    def __init__(self, machine: Machine, comparison: Comparison):
        super().__init__(machine)
        self.comparison = comparison
        self.watch = Watch(machine, LOOK)
        comparison.machines.append(machine)

    def _has_to_pause(self) -> bool:
        if self.comparison.spent():
            raise EmulatorError("this order takes too many steps")
        return super()._has_to_pause()


class FavouringScheduler(BoundedScheduler):
    """Runs favoured lanes apart from the others and before them, up to barriers and collectives, where they wait for the others.

    favoured: a mask over the machine's lanes.
    """

    def __init__(self, machine: Machine, comparison: Comparison, favoured: np.ndarray):
        super().__init__(machine, comparison)
        self.favoured, self.in_a_row = favoured, 0
        self.groups.clear()
        self.add((0,), self.machine.live)

    def add(self, key: tuple, lanes: Lanes) -> None:
        """Let lanes go on at a position: the favoured ones apart, unless they meet others there."""
        if self.basic_blocks[key[-1] // 2].meets:
            super().add(tuple(key), lanes)
            return
        first = lanes.only(self.favoured)
        super().add(_Ahead(key), first)
        super().add(tuple(key), lanes.without(first) if first.count else lanes)

    def _next(self) -> tuple:
        ahead = [key for key in self.groups if isinstance(key, _Ahead)]
        self.in_a_row = self.in_a_row + 1 if ahead else 0
        if not ahead or self.in_a_row % (2 * PATIENCE) > PATIENCE:
            return super()._next()
        return min(ahead)

    def _run_group(self, key: tuple, lanes: Lanes) -> None:
        super()._run_group(tuple(key), lanes)

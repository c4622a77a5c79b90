"""The barriers of clusters: which lanes wait for their cluster, and when they go on. (PTX ISA, barrier.cluster)"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from tinygan_kernels.emulator.translate.kernel import TranslatedBlock

from .clusters import ClusterBarrier
from .lanes import Lanes
from .machine import Machine


class ClusterBarriers:
    """The barriers of all clusters of one machine. add: lets lanes go on at a position."""

    def __init__(self, machine: Machine, add: Callable[[tuple, Lanes], None]):
        self.machine, self.add = machine, add
        self.waiting: dict[tuple, tuple[TranslatedBlock, Lanes]] = {}  # by where the lanes go on

    @cached_property
    def barrier(self) -> ClusterBarrier:
        """The arrivals and phases; made when the first lanes arrive, as most kernels have no clusters."""
        return ClusterBarrier(self.machine.shape, self.machine.members)

    def exited(self) -> None:
        """Let lanes go on that waited for others of their cluster, where the last of those have exited."""
        if "barrier" in self.__dict__:
            self.release()

    def arrive(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, ordered: bool) -> None:
        """Let lanes arrive at the barrier of their cluster, and go on."""
        twice = self.barrier.arrive(lanes)
        if twice.any() and self.machine.check:
            text = f"{basic.site.name}: the thread has arrived already, and has not waited since"
            first = int(np.flatnonzero(twice)[0])
            self.machine.report.add("synccheck", text, basic.site, self.machine, first, count=int(twice.sum()))
        if ordered and self.machine.check:
            self.machine.check.cluster_arrive(lanes)
        self.release()
        self.add((*outer, 2 * basic.after), lanes)

    def wait(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, ordered: bool) -> None:
        """Let lanes wait until all threads of their cluster that have not exited have arrived."""
        key = (*outer, 2 * basic.after)
        early = lanes.mask & ~self.barrier.owes
        if early.any() and self.machine.check:
            text = f"{basic.site.name}: the thread has not arrived since it last waited"
            first = int(np.flatnonzero(early)[0])
            self.machine.report.add("synccheck", text, basic.site, self.machine, first, count=int(early.sum()))
        passed = self.barrier.passed(lanes)
        if passed.count and ordered and self.machine.check:
            self.machine.check.cluster_wait(passed)
        self.add(key, passed)
        rest = lanes.without(passed)
        if rest.count:
            there = self.waiting.get(key)
            self.waiting[key] = (basic, rest if there is None else there[1] | rest)

    def release(self) -> None:
        """Let lanes go on that waited for their cluster, where a phase of its barrier is complete."""
        done = self.barrier.complete(self.machine.live.mask)
        if not done.any():
            return
        if self.machine.check:
            self.machine.check.cluster_complete(done)
        for key, (basic, lanes) in list(self.waiting.items()):
            passed = self.barrier.passed(lanes)
            if passed.count:
                if self.machine.check and "relaxed" not in basic.site.name:
                    self.machine.check.cluster_wait(passed)
                del self.waiting[key]
                if passed.count < lanes.count:
                    self.waiting[key] = (basic, lanes.without(passed))
                self.add(key, passed)

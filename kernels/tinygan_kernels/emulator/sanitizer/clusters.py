"""The order that the barrier of a cluster gives: whoever has waited comes after all that its threads did before they arrived."""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.execute.clusters import Membership
from tinygan_kernels.emulator.execute.lanes import Lanes

from .knowledge import View, joined
from .order import Order


class ClusterOrder:
    """What the threads of each cluster of a chunk have released by arriving, and what those who wait acquire."""

    def __init__(self, order: Order, members: Membership):
        self.order = order
        self.cluster_of = np.repeat(members.cluster, order.shape.stride)
        self.gathering: list[list[View]] = [[] for _ in members.blocks]
        self.complete: list[View | None] = [None] * len(members.blocks)

    def arrive(self, lanes: Lanes) -> None:
        """Note an arrival that releases what these lanes know."""
        for cluster in np.unique(self.cluster_of[lanes.mask]).tolist():
            self.gathering[cluster] += self.order.views_of(lanes.mask & (self.cluster_of == cluster))
        self.order.clock.tick()

    def completed(self, clusters: np.ndarray) -> None:
        """Note the clusters (a mask) in which a phase is complete."""
        for cluster in np.flatnonzero(clusters).tolist():
            self.complete[cluster] = joined(*self.gathering[cluster])
            self.gathering[cluster] = []

    def wait(self, lanes: Lanes) -> None:
        """Note that lanes have waited, and acquire what was released."""
        for cluster in np.unique(self.cluster_of[lanes.mask]).tolist():
            self.order.learn_together(np.flatnonzero(lanes.mask & (self.cluster_of == cluster)), self.complete[cluster])

"""Clusters: which blocks of a chunk belong together, and the barrier of their threads. (PTX ISA, "Cluster of CTAs")

In the window of shared memory, a block's own bytes begin at 0. Those of the block of rank r in its cluster, for all blocks of the
cluster, begin at (r + 1) * REMOTE: that is what mapa gives, and generic addresses are the same above SHARED.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .lanes import Lanes, Shape


@dataclass(frozen=True)
class Membership:
    """The blocks of a chunk as members of clusters.

    rank, cluster: of each block (in the chunk); blocks: (clusters, ranks), the number of each member in the chunk.
    """

    rank: np.ndarray
    cluster: np.ndarray
    blocks: np.ndarray


def members_of(shape: Shape, first: int) -> Membership:
    """Return the clusters of a chunk whose first block has the number `first` in the grid. A cluster lies in one chunk."""
    number = first + np.arange(shape.blocks)
    (x, y, _), (cx, cy, cz) = shape.grid, shape.cluster
    place = number % x, number // x % y, number // (x * y)
    rank = place[0] % cx + cx * (place[1] % cy + cy * (place[2] % cz))
    across = x // cx, y // cy
    name = place[0] // cx + across[0] * (place[1] // cy + across[1] * (place[2] // cz))
    _, cluster = np.unique(name, return_inverse=True)
    blocks = np.empty((int(cluster.max()) + 1, cx * cy * cz), "i8")
    blocks[cluster, rank] = np.arange(shape.blocks)
    return Membership(rank, cluster, blocks)


class ClusterBarrier:
    """barrier.cluster of all clusters of a chunk: arrivals of lanes, and how many phases each cluster has completed."""

    def __init__(self, shape: Shape, members: Membership):
        self.cluster_of = np.repeat(members.cluster, shape.stride)
        self.arrivals = np.zeros(shape.width, "i8")
        self.owes = np.zeros(shape.width, bool)  # lanes that have arrived and not waited since
        self.phases = np.zeros(len(members.blocks), "i8")

    def arrive(self, lanes: Lanes) -> np.ndarray:
        """Note an arrival of lanes. Return a mask of those that had arrived already, and not waited since, which cannot be."""
        twice = lanes.mask & self.owes
        self.arrivals[lanes.mask & ~twice] += 1
        self.owes |= lanes.mask
        return twice

    def complete(self, live: np.ndarray) -> np.ndarray:
        """Complete the phases in which all threads that have not exited have arrived; return the clusters (a mask)."""
        missing = live & (self.arrivals <= self.phases[self.cluster_of])
        done = np.bincount(self.cluster_of[missing], minlength=self.phases.size) == 0
        done &= np.bincount(self.cluster_of[live], minlength=self.phases.size) > 0
        self.phases[done] += 1
        return done

    def passed(self, lanes: Lanes) -> Lanes:
        """Return those of the lanes, which wait, whose last arrival was in a phase that is complete."""
        self.owes &= ~lanes.mask
        return lanes.only(self.arrivals <= self.phases[self.cluster_of])

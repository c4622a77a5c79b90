"""Sets of lanes (threads) that run together, and the layout of lanes in vectors.

All threads of many blocks run as one wide vector. Lane numbers are block-major; a block is padded to whole warps with
lanes that never run, so `mask.reshape(blocks, threads)` and `mask.reshape(-1, 32)` give the blocks and the warps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinygan_kernels.emulator.semantics.warps import WARP


@dataclass(frozen=True)
class Shape:
    """The layout of a chunk of a launch: how many thread blocks run at once, their dimensions, the grid's and the cluster's
    in blocks (x, y, z)."""

    blocks: int
    block: tuple[int, int, int]
    grid: tuple[int, int, int]
    cluster: tuple[int, int, int] = (1, 1, 1)

    @property
    def threads(self) -> int:
        """Number of threads of a block."""
        return self.block[0] * self.block[1] * self.block[2]

    @property
    def stride(self) -> int:
        """Number of lanes of a block: its threads, padded to whole warps."""
        return -(-self.threads // WARP) * WARP

    @property
    def warps(self) -> int:
        """Number of warps of a block."""
        return self.stride // WARP

    @property
    def width(self) -> int:
        """Number of lanes of all blocks."""
        return self.blocks * self.stride

    def exists(self) -> np.ndarray:
        """Return a mask of the lanes that are threads, not padding."""
        mask = np.zeros((self.blocks, self.stride), bool)
        mask[:, : self.threads] = True
        return mask.ravel()

    def thread(self, lane):
        """Return (x, y, z) of a lane's thread in its block; `lane` may be a vector of lane numbers."""
        linear = lane % self.stride
        x, y, _ = self.block
        return linear % x, linear // x % y, linear // (x * y)


@dataclass(frozen=True)
class Meeting:
    """A collective that lanes of a warp execute at different places. mask: all lanes that take part; members, values: one for each
    lane, its member mask and the operand that it brings (None where the collective has no such operand)."""

    mask: np.ndarray
    members: np.ndarray
    values: np.ndarray | None


class Lanes:
    """An immutable set of lanes. `where` is what NumPy's `where=` takes: True if it has all lanes, the fast case, else a mask."""

    meeting: Meeting | None = None  # where these lanes execute a collective together with lanes at other places

    def __init__(self, mask: np.ndarray, count: int | None = None):
        self.mask = mask
        self.count = int(np.count_nonzero(mask)) if count is None else count
        self.full = self.count == mask.size
        self.where = True if self.full else mask

    @cached_property
    def index(self) -> np.ndarray:
        """The numbers of the lanes, ascending."""
        return np.flatnonzero(self.mask)

    @cached_property
    def column(self):
        """`where`, for arrays with one row per lane."""
        return True if self.full else self.mask[:, None]

    @cached_property
    def warps(self) -> int:
        """The number of warps that have a lane in the set."""
        return int(np.count_nonzero(self.mask.reshape(-1, WARP).any(axis=1)))

    # -- a collective's operands, over these lanes and those that meet them from other places
    @property
    def together(self) -> np.ndarray:
        """A mask of all lanes that execute a collective with these lanes."""
        return self.mask if self.meeting is None else self.meeting.mask

    def offered(self, values):
        """Return a collective's operand, given what it is at the place of these lanes."""
        return values if self.meeting is None else self.meeting.values

    def members(self, masks):
        """Return a collective's member masks, given what they are at the place of these lanes."""
        return masks if self.meeting is None else self.meeting.members

    def pick(self, values: np.ndarray) -> np.ndarray:
        """Return the values of these lanes, in lane order; a scalar is repeated for each."""
        if np.ndim(values) == 0:
            return np.broadcast_to(values, (self.count,))
        return values if self.full else values[self.index]

    def put(self, target: np.ndarray, values: np.ndarray) -> None:
        """Write one value per lane of this set (in lane order) into a register."""
        if self.full:
            target[...] = values
        else:
            target[self.index] = values

    def only(self, condition: np.ndarray) -> Lanes:
        """Return those of these lanes for which the condition, a mask over all lanes, holds."""
        return Lanes(condition & self.mask)

    def __or__(self, other: Lanes) -> Lanes:
        return Lanes(self.mask | other.mask, self.count + other.count)  # groups of lanes never overlap

    def without(self, other: Lanes) -> Lanes:
        """Return these lanes but for the others."""
        return Lanes(self.mask & ~other.mask)


def one_lane(lane: int, width: int, count: int) -> Lanes:
    """Return one lane as a set in which it stands `count` times, for as many accesses of it in one instruction."""
    mask = np.zeros(width, bool)
    mask[lane] = True
    lanes = Lanes(mask, count)
    lanes.full, lanes.where = False, mask
    lanes.__dict__["index"] = np.full(count, lane)
    return lanes

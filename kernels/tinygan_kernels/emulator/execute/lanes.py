"""A set of lanes (threads) that run together, and how lanes are laid out.

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
    """How many blocks run at once, of which dimensions, in a grid of which dimensions (x, y, z)."""

    blocks: int
    block: tuple[int, int, int]
    grid: tuple[int, int, int]

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.block[0] * self.block[1] * self.block[2]

    @property
    def stride(self) -> int:
        """Lanes of a block: its threads, padded to whole warps."""
        return -(-self.threads // WARP) * WARP

    @property
    def warps(self) -> int:
        """Warps of a block."""
        return self.stride // WARP

    @property
    def width(self) -> int:
        """Lanes in all."""
        return self.blocks * self.stride

    def exists(self) -> np.ndarray:
        """The lanes that are threads, not padding."""
        mask = np.zeros((self.blocks, self.stride), bool)
        mask[:, : self.threads] = True
        return mask.ravel()

    def thread(self, lane):
        """(x, y, z) of a lane's thread in its block."""
        linear = lane % self.stride
        x, y, _ = self.block
        return linear % x, linear // x % y, linear // (x * y)


class Lanes:
    """An immutable set of lanes. `where` is what NumPy's `where=` takes: True for all lanes, which is the fast case."""

    def __init__(self, mask: np.ndarray, count: int | None = None):
        self.mask = mask
        self.count = int(np.count_nonzero(mask)) if count is None else count
        self.full = self.count == mask.size
        self.where = True if self.full else mask

    @cached_property
    def index(self) -> np.ndarray:
        """Numbers of the lanes, ascending."""
        return np.flatnonzero(self.mask)

    @cached_property
    def column(self):
        """`where`, for arrays with one row per lane."""
        return True if self.full else self.mask[:, None]

    @cached_property
    def warps(self) -> int:
        """How many warps have a lane here."""
        return int(np.count_nonzero(self.mask.reshape(-1, WARP).any(axis=1)))

    def pick(self, values):
        """The values of these lanes, in lane order; a scalar is spread over them."""
        if np.ndim(values) == 0:
            return np.broadcast_to(values, (self.count,))
        return values if self.full else values[self.index]

    def put(self, target: np.ndarray, values) -> None:
        """Write one value per lane of this set (in lane order) into a register."""
        if self.full:
            target[...] = values
        else:
            target[self.index] = values

    def only(self, condition: np.ndarray) -> Lanes:
        """Those of these lanes for which the condition holds."""
        return Lanes(condition & self.mask)

    def __or__(self, other: Lanes) -> Lanes:
        return Lanes(self.mask | other.mask, self.count + other.count)  # groups of lanes never overlap

    def without(self, other: Lanes) -> Lanes:
        return Lanes(self.mask & ~other.mask)

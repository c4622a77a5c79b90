"""Blocking: which tile a matrix product takes, how C is cut into parts for threads, and how long its blocks are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tinygan_kernels.cpu.runtime.simd import lanes, level_2_bytes, registers

# Height and width (in registers) of the tiles to choose from, the width of those that fill up a row of them, and how much slower
# than the best each runs: all fit their sums, their width of B and one number of A into the registers. The flatter read more of B,
# which may come from far; the highest keep more addresses than there are registers for those. The last two are for C of one to
# three rows, at a price at which nothing higher takes them.
_OF_32 = ((8, 3, 2, 1.0), (6, 4, 3, 1.02), (14, 2, 1, 1.1), (4, 4, 3, 1.15), (24, 1, 1, 2.2), (2, 4, 2, 2.5), (1, 4, 2, 4.0))
_OF_16 = ((4, 3, 2, 1.0), (6, 2, 1, 1.01), (5, 2, 1, 1.02), (4, 2, 1, 1.28), (8, 1, 1, 1.7), (2, 4, 2, 2.5), (1, 4, 2, 4.0))
FLAT = 4  # rows below which a tile reads so much of B for what it multiplies that B has to lie in the level-2 cache
SHAPES = _OF_32 if registers() == 32 else _OF_16
COPYING, TURNING, GATHERING = 3, 10, 10  # multiply-adds in the time that a number of B, of a transposed B, of A takes to copy
FETCHING = 16  # the same for reading a number at all: what a part needs of A and B may lie in another core's cache
PANEL_BYTES = level_2_bytes() // 6  # of a panel of B: a tile multiplies so long with what it loads that the level-2 cache keeps up
BLOCK_BYTES = level_2_bytes() // 2  # of a block of A that passes the panels by
PACKED_ROWS = 32  # of A that have to pass a panel by before packing it pays
LINE_NUMBERS = 16  # columns that threads share out: a cache line of floats, so that no line is written to by two
FAR = 2048  # bytes between what follows each other: a level-1 cache keeps few such, and pages are soon as many as it knows


# ---- from shapes to jobs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """How C (m, n) is shared out: tiles of `height` rows and `across` registers, or `edge` where that leaves less to overlap, and
    `parts` runs of rows or of columns.

    block and block_rows: how much of k and of A's rows is worked on at a time.
    """

    height: int
    across: int
    edge: int
    item: int
    by_columns: bool
    parts: int
    packed: bool
    turned: bool
    gathered: bool
    block: int
    block_rows: int

    @property
    def width(self) -> int:
        """Columns of a wide tile."""
        return self.across * lanes(self.item)

    @property
    def narrow(self) -> int:
        """Columns of a narrow tile."""
        return self.edge * lanes(self.item)

    def regions(self, m: int, n: int) -> list[tuple[int, int, int, int]]:
        """(top, bottom, left, right) of each part, all disjoint and none smaller than a tile."""
        unit, size = (LINE_NUMBERS, n) if self.by_columns else (self.height, m)
        least = -(-self.narrow // unit) * unit if self.by_columns else unit
        parts = max(1, min(self.parts, size // least))
        edges = [p * (size // unit) // parts * unit for p in range(parts)] + [size]
        return [(0, m, *run) if self.by_columns else (*run, 0, n) for run in pairwise(edges)]

    def wide(self, columns: int) -> tuple[int, int]:
        """(how many of a run of columns are done by wide tiles, the others by narrow ones; how many all tiles together compute, as
        the last of either kind may overlap): what makes these the fewest.
        """
        found = [(-(-columns // self.width) * self.width, columns)] if columns >= self.width else []
        for count in range(columns // self.width, max(-1, columns // self.width - self.across), -1):
            rest = columns - count * self.width
            if rest and (count or rest >= self.narrow):
                found.append((count * self.width + -(-rest // self.narrow) * self.narrow, count * self.width))
        computed, wide = min(found, key=lambda f: f[0])
        return wide, computed

    def describe(self, jobs: np.ndarray) -> None:
        """To each job, how it is to go about it."""
        for name in ("packed", "turned", "gathered", "block", "block_rows"):
            jobs[name] = getattr(self, name)
        flat = jobs.reshape(-1)
        flat["done"] = flat["left"]
        flat["narrow"] = [left + self.wide(right - left)[0] for left, right in zip(flat["left"], flat["right"], strict=True)]

    def work(self, m: int, n: int) -> int:
        """Numbers of C that the part with most to do computes, overlaps counted twice, and what it reads and copies, likewise."""

        def of(rows: int, columns: int) -> int:
            rows, columns = -(-rows // self.height) * self.height, self.wide(columns)[1]
            of_b = TURNING if self.turned else COPYING if self.packed else 0
            return (rows + of_b) * columns + GATHERING * self.gathered * rows + FETCHING * (rows + columns)

        return max(of(bottom - top, right - left) for top, bottom, left, right in self.regions(m, n))


def cut(
    m: int, n: int, depth: int, item: int, parts: int, b_step: int = 0, turned: bool = False, gathered: bool = False
) -> Cut | None:
    """The fastest way to share out C (m, n) among `parts` threads, by a count of multiply-adds for each k; None if no tile fits.

    b_step: bytes between the rows of B, 0 where they are not to be packed. turned: B lies transposed. gathered: A is to be copied.
    """
    found: list[tuple[float, int, Cut]] = []
    for number, (height, across, edge, slower) in enumerate(SHAPES):
        width = across * lanes(item)
        if m < height or n < edge * lanes(item) or (height < FLAT and depth * n * item > BLOCK_BYTES):
            continue
        packed = turned or (n > width and m >= PACKED_ROWS and b_step > width * item)
        block = _evenly(depth, PANEL_BYTES // (width * item)) if b_step else max(depth, 1)
        block_rows = _evenly(-(-m // height), BLOCK_BYTES // (block * item) // height) * height if b_step else m
        for by_columns in (False, True):
            chosen = Cut(height, across, edge, item, by_columns, parts, packed, turned, gathered, block, block_rows)
            found.append((slower * chosen.work(m, n), number, chosen))
    return min(found, key=lambda f: f[:2])[2] if found else None


def _evenly(size: int, most: int) -> int:
    """The length of the fewest equal pieces of `size` that are no longer than `most`, or 1."""
    return max(1, -(-size // -(-size // max(1, most)))) if size else 1

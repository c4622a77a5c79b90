"""Blocking of a matrix product: which register tile it takes, how C is shared out among threads, how long its cache blocks are.

All constants of this choice are measured by `python -m benchmarks.speed.tune`; benchmarks/results/tune.json has what a machine
gave, and what each set value costs there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tinygan_kernels.cpu.runtime.simd import lanes, level_2_bytes, registers

# The register tiles to choose from: (height in rows, width in registers, width of the narrower tiles that fill up a row of wide
# ones, time per multiply-add relative to the best tile). Each keeps its sums, one row of B and one number of A in registers. Flat
# tiles read more of B, which may come from far; the highest ones need more addresses than there are general registers. The last two
# are for C of one to three rows: at their price no higher C takes them.
TILES_OF_32_REGISTERS = (
    (8, 3, 2, 1.0), (6, 4, 3, 1.02), (14, 2, 1, 1.1), (4, 4, 3, 1.15), (24, 1, 1, 2.2), (2, 4, 2, 2.5), (1, 4, 2, 4.0),
)  # fmt: skip
TILES_OF_16_REGISTERS = (
    (4, 3, 2, 1.0), (6, 2, 1, 1.01), (5, 2, 1, 1.02), (4, 2, 1, 1.28), (8, 1, 1, 1.7), (2, 4, 2, 2.5), (1, 4, 2, 4.0),
)  # fmt: skip
TILES = TILES_OF_32_REGISTERS if registers() == 32 else TILES_OF_16_REGISTERS
# `python -m benchmarks.speed.tune` measures what these values cost next to others.
FLAT = 2  # rows below which a tile reads so much of B per multiplication that B has to lie in the level-2 cache

# Costs in multiply-adds per number, measured by `python -m benchmarks.speed.tune`.
COPYING = 3  # copying a number of B into a packed panel
TRANSPOSING = 10  # the same for a B that lies transposed
GATHERING = 10  # copying a number of an A that lies transposed into a strip
FETCHING = 4  # reading a number of A or B for the first time: it may lie in another core's cache

# Sizes of pieces, parts of the level-2 cache: `python -m benchmarks.speed.tune` tries others.
PANEL_BYTES = level_2_bytes() // 6  # of a panel of B, at most: tiles take so long over it that the level-2 cache keeps up
BLOCK_BYTES = level_2_bytes() // 2  # of a block of A, at most: one panel of B after another is multiplied with it
# Where copying pays: `python -m benchmarks.speed.tune` times both ways on both sides of these values.
PACKING_ROWS = 32  # rows of A from which packing a panel of B, which each of them reads, pays
FAR = 2048  # bytes between rows from which A is packed: the level-1 cache holds few lines, the TLB few pages, at such a distance
LINE_NUMBERS = 16  # threads share out columns in multiples of a cache line of floats, so that no line is written to by two


@dataclass(frozen=True)
class Blocking:
    """The plan of a product C (m, n) of numbers of `item` bytes, as far as tiles, blocks and parts go.

    height, across: rows of a tile, and its width in registers. narrow_across: the width of the narrower tiles, which end a row of
    tiles where a wide one would compute more columns twice. by_columns, parts: C is shared out in that many runs of columns, or of
    rows. pack_b: panels of B are copied into one piece. b_transposed: B lies transposed. pack_a: A lies transposed and is copied
    into strips. block, block_rows: the length of a block of k, and of a block of A's rows.
    """

    height: int
    across: int
    narrow_across: int
    item: int
    by_columns: bool
    parts: int
    pack_b: bool
    b_transposed: bool
    pack_a: bool
    block: int
    block_rows: int

    @property
    def width(self) -> int:
        """Columns of a wide tile."""
        return self.across * lanes(self.item)

    @property
    def narrow_width(self) -> int:
        """Columns of a narrow tile."""
        return self.narrow_across * lanes(self.item)

    def regions(self, m: int, n: int) -> list[tuple[int, int, int, int]]:
        """Return (top, bottom, left, right) of each part of C (m, n): disjoint, and none smaller than a tile."""
        unit, size = (LINE_NUMBERS, n) if self.by_columns else (self.height, m)
        least = -(-self.narrow_width // unit) * unit if self.by_columns else unit
        parts = max(1, min(self.parts, size // least))
        edges = [p * (size // unit) // parts * unit for p in range(parts)] + [size]
        return [(0, m, *run) if self.by_columns else (*run, 0, n) for run in pairwise(edges)]

    def split_columns(self, columns: int) -> tuple[int, int]:
        """Split a run of columns between wide tiles, which come first, and narrow ones, so that all together compute the fewest.

        Returns (columns that wide tiles take, columns that all tiles compute). The last tile of a kind may overlap the one before;
        columns that are computed twice count twice.
        """
        found = [(-(-columns // self.width) * self.width, columns)] if columns >= self.width else []
        for count in range(columns // self.width, max(-1, columns // self.width - self.across), -1):
            rest = columns - count * self.width
            if rest and (count or rest >= self.narrow_width):
                found.append((count * self.width + -(-rest // self.narrow_width) * self.narrow_width, count * self.width))
        computed, wide = min(found, key=lambda f: f[0])
        return wide, computed

    def describe(self, jobs: np.ndarray) -> None:
        """Write this blocking into the jobs, whose edges are set already."""
        for name in ("pack_b", "b_transposed", "pack_a", "block", "block_rows"):
            jobs[name] = getattr(self, name)
        flat = jobs.reshape(-1)
        flat["done_to"] = flat["left"]
        edges = zip(flat["left"], flat["right"], strict=True)
        flat["narrow_from"] = [left + self.split_columns(right - left)[0] for left, right in edges]

    def cost(self, m: int, n: int) -> int:
        """Return the time for one k, in multiply-adds, of the part of C (m, n) that has most to compute, read and copy."""

        def of(rows: int, columns: int) -> int:
            rows, columns = -(-rows // self.height) * self.height, self.split_columns(columns)[1]
            of_b = TRANSPOSING if self.b_transposed else COPYING if self.pack_b else 0
            return (rows + of_b) * columns + GATHERING * self.pack_a * rows + FETCHING * (rows + columns)

        return max(of(bottom - top, right - left) for top, bottom, left, right in self.regions(m, n))


def choose_blocking(
    m: int, n: int, depth: int, item: int, parts: int, b_step: int = 0, b_transposed: bool = False, pack_a: bool = False
) -> Blocking | None:
    """Return the cheapest blocking of C (m, n), sums of `depth` terms, for `parts` threads; None if no tile is as small as C.

    item: bytes of a number. b_step: bytes between the rows of B; 0 where panels and blocks are not wanted.
    """
    found: list[tuple[float, int, Blocking]] = []
    for number, (height, across, narrow_across, slowness) in enumerate(TILES):
        width = across * lanes(item)
        if m < height or n < narrow_across * lanes(item) or (height < FLAT and depth * n * item > BLOCK_BYTES):
            continue
        pack_b = b_transposed or (n > width and m >= PACKING_ROWS and b_step > width * item)
        block = even_length(depth, PANEL_BYTES // (width * item)) if b_step else max(depth, 1)
        block_rows = even_length(-(-m // height), BLOCK_BYTES // (block * item) // height) * height if b_step else m
        for by_columns in (False, True):
            chosen = Blocking(
                height, across, narrow_across, item, by_columns, parts, pack_b, b_transposed, pack_a, block, block_rows
            )
            found.append((slowness * chosen.cost(m, n), number, chosen))
    return min(found, key=lambda f: f[:2])[2] if found else None


def even_length(size: int, most: int) -> int:
    """Return the length of the pieces when `size` is cut into the fewest equal pieces that are no longer than `most`, or 1."""
    return max(1, -(-size // -(-size // max(1, most)))) if size else 1

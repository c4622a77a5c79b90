"""The execution of wgmma: four warps multiply matrices out of shared memory into their registers, asynchronously.

A product is computed where it is issued. What it reads and writes counts as under way until the warps wait for its group: the
sanitizer is told of that, and reports who touches the registers before, or changes them without a fence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygan_kernels.emulator.semantics import warpgroups
from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.translate.kernel import Site

from .access import Access
from .lanes import Lanes, one_lane

Flags = tuple[tuple[bool, bool], tuple[bool, bool]]


class Warpgroups:
    """The wgmma operations that generated code calls."""

    def __init__(self, access: Access):
        self.access, self.machine = access, access.machine

    # -- groups -----------------------------------------------------------------------------------------------------------------
    def fence(self, lanes: Lanes) -> None:
        """Carry out wgmma.fence: what was done to registers before comes before products that are issued later."""
        if self.access.check:
            self.access.check.products.fence(lanes)

    def commit(self, lanes: Lanes) -> None:
        """Close the group that the next products would belong to."""
        if self.access.check:
            self.access.check.products.commit(lanes)

    def wait(self, newest: int, lanes: Lanes) -> None:
        """Wait for all groups but the `newest` last ones."""
        if self.access.check:
            self.access.check.products.wait(newest, lanes)

    def touched(self, site: Site, read: tuple[int, ...], written: tuple[int, ...], lanes: Lanes) -> None:
        """Note that an instruction reads and writes registers, by their numbers, that products hold."""
        if self.access.check:
            self.access.check.products.touched(site, read, written, lanes)

    def moved(self, _site: Site, read: tuple[int, ...], written: tuple[int, ...], lanes: Lanes) -> None:
        """Note that a register was copied into another, of which ptxas makes one."""
        if self.access.check:
            self.access.check.products.moved(read[0], written[0], lanes)

    # -- products ---------------------------------------------------------------------------------------------------------------
    def multiply(
        self, site: Site, about: tuple[tuple[str, ...], int, Flags | tuple, tuple, bool], targets: Sequence[np.ndarray],
        a: np.ndarray | Sequence[np.ndarray], b: np.ndarray, accumulates: np.ndarray | bool, results: tuple[int, ...],
        held: tuple[int, ...], sparsity: tuple[np.ndarray, int] | None, lanes: Lanes,
    ) -> None:  # fmt: skip
        """Compute D = A B + D, or A B, for the warpgroups of these lanes.

        about: (types of D, A and B, n, which of A and B are negated, which are M- and N-major, whether integers are clamped);
        a: A's descriptor or its registers; b: B's descriptor; results, held: the numbers of the registers of D, and of A; sparsity:
        the metadata of a sparse A, and their selector.
        """
        shape, (kinds, width, negated, transposed, clamp) = self.machine.shape, about
        bad = warpgroups.incomplete(lanes.mask, lanes.mask, shape.stride)
        bad |= lanes.mask & (self._partial(lanes) > 0)
        if bad.any():
            text = f"{site.name}: a product needs the 128 threads of four warps, the first of them number 0, 4, 8, ... of its block"
            self._report("synccheck", site, text, int(np.flatnonzero(bad)[0]), int(bad.sum()))
            lanes = lanes.only(~bad)
        if not lanes.count:
            return
        if self.access.check:
            self.access.check.products.issued(site, results, held, lanes)
        groups = lanes.index.reshape(-1, warpgroups.WARPS * WARP)
        depth = warpgroups.DEPTH[kinds[1]]
        if isinstance(a, tuple):
            left = warpgroups.held_rows([r[lanes.index] for r in a], kinds[1])
        else:
            left = self._matrices(site, np.asarray(a), groups, (warpgroups.ROWS, depth), kinds[1], transposed[0])
        if sparsity is not None:
            left = warpgroups.placed(left, np.broadcast_to(sparsity[0], lanes.mask.shape)[lanes.index], kinds[1], sparsity[1])
            depth *= 2
        right = self._matrices(site, b, groups, (width, depth), kinds[2], transposed[1]).transpose(0, 2, 1)
        left, right = (-m if minus else m for m, minus in zip((left, right), negated, strict=True))
        flags = np.broadcast_to(accumulates, lanes.mask.shape)[groups[:, 0]]
        before = [t[lanes.index] * np.repeat(flags, groups.shape[1]).astype(t.dtype) for t in targets] if flags.any() else None
        values = warpgroups.accumulated(left, right, before, kinds[0], clamp)
        for target, value in zip(targets, values, strict=True):
            lanes.put(target, value)

    def _partial(self, lanes: Lanes) -> np.ndarray:
        """Return for each lane how many lanes of its warpgroup are missing."""
        groups = warpgroups.groups_of(lanes.mask.size, self.machine.shape.stride)
        return (warpgroups.WARPS * WARP - np.bincount(groups[lanes.mask], minlength=int(groups[-1]) + 1))[groups]

    def _matrices(
        self, site: Site, words: np.ndarray, groups: np.ndarray, size: tuple[int, int], kind: str, transposed: bool
    ) -> np.ndarray:
        """Return the matrices (warpgroups, rows, k) that each warpgroup's descriptor describes."""
        words = np.broadcast_to(words, (self.machine.shape.width,)).astype("u8")
        found = np.zeros((len(groups), *size))
        for i, group in enumerate(groups):
            word = int(words[group[0]])
            if (words[group] != words[group[0]]).any():
                text = f"{site.name}: the threads of a warpgroup give different matrix descriptors"
                self._report("synccheck", site, text, int(group[0]), group.size)
            raw = self._read(site, warpgroups.described(word), int(group[0]), size, kind, transposed)
            found[i] = warpgroups.values_of(raw, kind)
        return found

    def _read(
        self, site: Site, matrix: warpgroups.Descriptor, lane: int, size: tuple[int, int], kind: str, transposed: bool
    ) -> np.ndarray:
        """Return the elements (rows, k) of one matrix, unsigned integers; of b1 (rows, k / 8) bytes."""
        item = warpgroups.element_bytes(kind)
        rows, columns = size[0], size[1] // 8 if kind == "b1" else size[1]
        address = warpgroups.matrix_places(matrix, rows, columns, item, transposed)
        raw = np.zeros(address.shape, f"u{item}")
        words = np.unique(address.ravel() & ~3)
        word = Site(site.name, site.ptx_line, site.source, site.line, "shared", "u4", 4, 1, site.number)
        space, width = self.access.spaces["shared"], self.machine.shape.width
        some = one_lane(lane, width, words.size)
        for memory, positions, chosen in space.locate(words, 4, some):
            part = some if chosen is None else one_lane(lane, width, positions.size)
            if memory is None:
                self.access.fault(word, "shared", "out-of-bounds", positions, part, "ld")
                continue
            if self.access.check:
                self.access.check.asynchronous_read(word, memory, positions, part)
                self.access.check.product_read(lane)
            start = int(space.start[lane])
            good = (address >= 0) & (address + item <= space.size)
            places = np.where(good, address + start, 0)
            raw = np.where(good, memory.view(f"u{item}")[0][places // item], 0).astype(raw.dtype)
        return raw

    def _report(self, tool: str, site: Site, text: str, lane: int, count: int) -> None:
        self.access.report.add(tool, text, site, self.machine, lane, count=count)

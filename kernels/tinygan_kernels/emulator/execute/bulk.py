"""The execution of bulk copies, cp.async.bulk and cp.reduce.async.bulk: one thread moves many bytes, which arrive at once.

A copy is carried out where it is issued. Who may see it, and who may write what it reads, is a matter of order, which the sanitizer
follows: those may who have waited for the mbarrier whose bytes it brings, or for its bulk group.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygan_kernels.emulator.semantics.generic_addresses import REMOTE
from tinygan_kernels.emulator.translate.kernel import Site

from .access import Access
from .lanes import Lanes, one_lane
from .mbarriers import Mbarriers
from .memory import Memory

STEP = 16
"""Bytes to which addresses and sizes of bulk copies are multiples."""


class BulkCopies:
    """The bulk copies that generated code issues. Operands are vectors over all lanes or scalars."""

    def __init__(self, access: Access, mbarriers: Mbarriers):
        self.access, self.machine, self.mbarriers = access, access.machine, mbarriers

    def copy(
        self, source: Site, target: Site, to: np.ndarray, address: np.ndarray, size: np.ndarray | int, lanes: Lanes,
        barrier: tuple[Site, np.ndarray] | None = None, ranks: np.ndarray | int | None = None, function: Callable | None = None,
    ) -> None:  # fmt: skip
        """Copy `size` bytes for each lane, from its `address` to `to`.

        source, target: sites with the element type and space of both sides. barrier: site and address of the mbarrier that counts
        the bytes. ranks: a mask of the blocks of the cluster that get them (multicast). function: combines what is there with what
        comes (cp.reduce).
        """
        places, sources, sizes = (np.broadcast_to(v, lanes.mask.shape).astype("i8") for v in (to, address, size))
        masks = None if ranks is None else np.broadcast_to(ranks, lanes.mask.shape)
        for lane in lanes.index.tolist():
            length, start, end = int(sizes[lane]), int(sources[lane]), int(places[lane])
            if length < 0 or (start | end | length) % STEP:
                text = f"bulk copy of {length} bytes: size and addresses (here 0x{start:x} to 0x{end:x}) are multiples of {STEP}"
                self.access.report.add("memcheck", f"misaligned {text}", target, self.machine, lane, end, target.space)
                continue
            ends = [end] if masks is None else [(r + 1) * REMOTE + end % REMOTE for r in range(16) if int(masks[lane]) >> r & 1]
            for place in ends:
                self._one(source, target, start, place, length, lane, function)
            if barrier is not None:
                self.count(barrier, lane, length, None if masks is None else [place // REMOTE for place in ends])
            elif self.access.check:
                self.access.check.bulk_copied(source, lane, source.space == "shared")

    def commit(self, lanes: Lanes) -> None:
        """Close the bulk group that each thread's next copies would belong to."""
        if self.access.check:
            self.access.check.bulk_commit(lanes)

    def wait(self, newest: int, only_reads: bool, lanes: Lanes) -> None:
        """Wait for all bulk groups of these threads but the `newest` last ones, or only until they have read their sources."""
        if self.access.check:
            self.access.check.bulk_wait(newest, only_reads, lanes)

    def _one(self, source: Site, target: Site, start: int, end: int, length: int, lane: int, function: Callable | None) -> None:
        """Copy bytes from one place to another for one lane."""
        counter = self.access.counter
        if counter:
            for site in (source, target):
                counter.bulk(site, length)
        data = [memory.view(site.code)[0][index] for site, memory, index in self._elements(source, start, length, lane, False)]
        values = np.concatenate(data) if data else np.empty(0, source.code)
        for site, memory, index in list(self._elements(target, end, length, lane, True, function is not None)):
            if index.size != values.size:
                return  # a part of the bytes cannot be read or written, which has been reported
            view = memory.view(site.code)[0]
            view[index] = values if function is None else function(view[index], values)
            self.access.changed(memory)

    def _elements(self, site: Site, start: int, length: int, lane: int, writes: bool, reduces: bool = False):  # type: ignore[no-untyped-def]
        """Yield (site, memory, indices of the elements in its view) for bytes that one lane reads or writes; report the others."""
        address = start + np.arange(0, length, site.size, dtype="i8")
        some = one_lane(lane, self.machine.shape.width, address.size)
        if not address.size:
            return
        for memory, positions, chosen in self.access.spaces[site.space].locate(address, site.size, some):
            part = some if chosen is None else one_lane(lane, self.machine.shape.width, positions.size)
            if memory is None or (writes and not memory.writable):
                kind = "out-of-bounds" if memory is None else "read-only"
                self.access.fault(site, site.space, kind, positions, part, "st" if writes else "ld")
                continue
            good = np.ones(positions.size, bool) if memory.heap is None else memory.heap.holds(positions, site.size)
            if not good.all():
                bad = one_lane(lane, self.machine.shape.width, int((~good).sum()))
                self.access.fault(site, site.space, "unallocated", positions[~good], bad, "st" if writes else "ld", memory)
                continue
            self._check(site, memory, positions, part, writes, reduces)
            yield site, memory, (positions - memory.view(site.code)[1]) >> site.shift

    def _check(self, site: Site, memory: Memory, positions: np.ndarray, lanes: Lanes, writes: bool, reduces: bool) -> None:
        check = self.access.check
        if check and writes:
            check.asynchronous_write(site, memory, positions, lanes, reduces)
        elif check:
            check.asynchronous_read(site, memory, positions, lanes)

    def count(self, barrier: tuple[Site, np.ndarray], lane: int, length: int, ranks: list[int] | None) -> None:
        """Tell an mbarrier, or that at the same place in each of several blocks, that bytes are there."""
        site, address = barrier
        mask = np.zeros(self.machine.shape.width, bool)
        mask[lane] = True
        places = np.broadcast_to(address, mask.shape).astype("i8")
        for rank in [0] if ranks is None else ranks:
            place = rank * REMOTE + places % REMOTE if rank else places
            brought = self.access.check.brought(lane) if self.access.check else None
            self.mbarriers.transact(site, place, length, -1, Lanes(mask, 1), brought)

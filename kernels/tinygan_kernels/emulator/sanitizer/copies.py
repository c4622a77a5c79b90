"""The checks of cp.async: between its issue and the wait for it, nobody may read where it writes or write what it reads."""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.memory import Memory

from .order import FLAG_BITS, THREAD_BITS


class ChecksCopies:
    """The part of a ChunkSanitizer that follows asynchronous copies."""

    def time(self) -> int:
        """Return the time of the launch, by which `source_kept` knows later stores."""
        return self.clock.now

    def issued(self, site, memory, positions, lanes: Lanes) -> None:
        """Check the write of a copy that is issued, and note that its bytes are under way."""
        self.write(site, memory, positions, lanes, initialises=False)
        self._mark(site, memory, positions, 1)

    def arrived(self, site, memory, positions, lanes: Lanes) -> None:
        """Check the write of a copy that arrives, as its thread waits for it."""
        self._mark(site, memory, positions, 0)
        self.write(site, memory, positions, lanes)

    def _mark(self, site, memory, positions, under_way: int) -> None:
        if memory is not self.shared:
            return
        if self.flight is None:
            self.flight = Memory(np.zeros(self.shared.data.size, np.uint8), 0)
        self.flying += positions.size if under_way else -positions.size
        view, _ = self.flight.view("u1")
        view[positions[:, None] + np.arange(site.bytes)] = under_way

    def not_flying(self, site, positions, lanes: Lanes, action: str) -> None:
        """Report lanes that read or write (`action`) shared bytes which a copy will still write."""
        if not self.flying:
            return
        view, _ = self.flight.view("u1")
        bad = (view[positions[:, None] + np.arange(site.bytes)] != 0).any(axis=1)
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            address = int(positions[i]) - int(self.machine.access.spaces["shared"].start[lanes.index[i]])
            copier = self._copier(int(positions[i]), site.bytes)
            message = f"{action} of bytes that a cp.async has yet to bring; its thread has not waited for it{copier}"
            self.report.add("racecheck", message, site, self.machine, lanes.index[i], address, "shared", int(bad.sum()))

    def _copier(self, position: int, size: int) -> str:
        """Say whose copy, of which line, will write some of these shared bytes; "" if none is found."""
        for copy in self.machine.access.copies.pending:
            near = (copy.position < position + size) & (position < copy.position + copy.site.bytes)
            if copy.memory is self.shared and near.any():
                block, thread = self.machine.position(int(copy.lane[np.flatnonzero(near)[0]]))
                return f"; the copy is by thread {thread} of block {block}, {copy.site.source} (PTX line {copy.site.ptx_line})"
        return ""

    def source_kept(self, site, address: np.ndarray, lanes: Lanes, issued: int) -> None:
        """Report stores to the bytes that these lanes' copies, issued at that time, read: they may be read after the store."""
        for memory, positions, chosen in self.machine.access.spaces["global"].locate(address, site.bytes, lanes):
            records = memory.races if memory is not None else None
            if records is None or not records.written:
                continue
            index = lanes.index if chosen is None else lanes.index[chosen]
            stamps = np.maximum.reduce([records.writer[at] for _, at in records.granules(site, positions)])
            late = stamps >> self.clock.shift > issued
            if late.any():
                i = int(np.flatnonzero(late)[0])
                self._report_source(site, int(positions[i]), int(index[i]), int(stamps[i]), int(late.sum()))

    def _report_source(self, site, address: int, copier: int, stamp: int, count: int) -> None:
        """Report a store, named by its stamp, to the source of a copy by the thread of lane `copier`."""
        number = (stamp & self.clock.who_mask) >> FLAG_BITS
        store = self.clock.sites[stamp >> self.clock.shift]
        lane = ((number >> THREAD_BITS) - self.machine.first) * self.machine.shape.stride + (number & 1023)
        block, thread = self.machine.position(copier)
        message = (
            "write of bytes that a cp.async reads, before the wait for it; "
            f"the copy is by thread {thread} of block {block}, {site.source} (PTX line {site.ptx_line})"
        )
        lane = lane if 0 <= lane < self.machine.shape.width else copier
        self.report.add("racecheck", message, store or site, self.machine, lane, address, "global", count)

"""The checks of collectives: masks that leave out their caller, and shuffles from lanes that the mask does not name."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinygan_kernels.emulator.execute.lanes import WARP, Lanes
from tinygan_kernels.emulator.semantics.warps import sources
from tinygan_kernels.emulator.translate.kernel import Site

from .order import FLAG_BITS, THREAD_BITS

_LANE = np.arange(WARP)


class Meeting(NamedTuple):
    """The last time that warps of a block met at a barrier with a count: when, the numbers of their first threads, and where."""

    time: int
    numbers: np.ndarray
    site: Site


class Undefined(NamedTuple):
    """A shift of shfl.sync by which a lane of a machine gets what a lane holds that the mask does not name."""

    site: Site
    machine: Any
    lane: int
    source: int


class ChecksCollectives:
    """The part of a ChunkSanitizer that looks at the masks of shfl, vote, match, redux, __syncwarp, and at barriers with counts."""

    machine: Any
    launch: Any
    order: Any
    report: Any
    meetings: dict[tuple[int, int], Meeting]  # by block of the chunk and number of the barrier

    def members(self, site, mask, lanes: Lanes) -> None:
        """Report lanes that execute a collective whose mask does not name them."""
        if np.ndim(mask) == 0 and int(mask) & 0xFFFFFFFF == 0xFFFFFFFF:
            return
        masks = lanes.pick(mask)
        bad = masks >> (lanes.index % WARP).astype("u4") & np.uint32(1) == 0
        if bad.any():
            lane = int(lanes.index[np.flatnonzero(bad)[0]])
            message = f"{site.name}: the mask leaves out the thread that executes it"
            self.report.add("synccheck", message, site, self.machine, lane, count=int(bad.sum()))

    def barrier_count(self, site, counts: np.ndarray, lanes: Lanes) -> None:
        """Report lanes whose barrier names a number of threads that is not a multiple of the warp's size, which PTX demands."""
        bad = counts[lanes.index] % WARP != 0
        if bad.any():
            lane = int(lanes.index[np.flatnonzero(bad)[0]])
            message = f"{site.name}: the barrier's thread count is {int(counts[lane])}; it has to be a multiple of {WARP}"
            self.report.add("synccheck", message, site, self.machine, lane, count=int(bad.sum()))

    def note_meeting(self, site: Site, number: int, lanes: Lanes) -> None:
        """Note that these lanes meet at a barrier now."""
        firsts = np.flatnonzero(lanes.mask.reshape(-1, WARP).any(axis=1)) * WARP
        blocks = self.order.block_of[firsts]
        for block in np.unique(blocks).tolist():
            self.meetings[block, number] = Meeting(self.order.clock.now, self.order.number[firsts[blocks == block]], site)

    def arrives_after_others(self, site: Site, number: int, lanes: Lanes) -> None:
        """Report lanes at a barrier with a count that do not know that those who met there last are through.

        Then they could have come to that meeting in the place of others: threads would wait that need not, and go on that must not.
        """
        firsts = np.flatnonzero(lanes.mask.reshape(-1, WARP).any(axis=1)) * WARP
        for lane in firsts.tolist():
            last = self.meetings.get((int(self.order.block_of[lane]), number))
            if last is None:
                continue
            stamps = last.numbers << FLAG_BITS | last.time << self.order.clock.shift
            if self.order.unordered(stamps, np.full(stamps.size, lane)).all():
                thread = tuple(int(t) for t in self.machine.shape.thread(int(last.numbers[0]) & (1 << THREAD_BITS) - 1))
                message = (
                    f"{site.name}: other threads have met at barrier {number} before, and nothing orders that before this use of "
                    f"it; one of them is thread {thread}, {last.site.source} (PTX line {last.site.ptx_line})"
                )
                self.report.add("synccheck", message, site, self.machine, lane)

    def shuffle(self, site, mode: str, b, c, mask, lanes: Lanes, values: np.ndarray) -> np.ndarray:
        """Report lanes of shfl.sync that read from a lane which the mask does not name: what they get is undefined.

        A shift by .down or .up reads past the mask's lanes at its end, where sums over part of a warp have no use for what they
        get. It is reported here only where no lane of the warp reads from a lane of the mask; else it is noted, so that the launch
        can be run again with other values (`host.schedules`). values: what lanes get. Returns them, or those others.
        """
        if np.ndim(mask) == 0 and int(mask) & 0xFFFFFFFF == 0xFFFFFFFF:
            return values
        width = lanes.mask.size
        source, inside = sources(mode, b, c, width)
        masks = np.broadcast_to(mask, (width,)).reshape(-1, WARP)
        reads = lanes.mask.reshape(-1, WARP) & inside & (source != _LANE)
        named = masks >> source.astype("u4") & np.uint32(1) != 0
        bad = reads & ~named
        if mode in ("up", "down"):
            open_ = bad & (reads & named).any(axis=1, keepdims=True)
            bad &= ~open_
            if open_.any():
                lane = int(np.flatnonzero(open_)[0])
                self.launch.undefined.setdefault(site.ptx_line, Undefined(site, self.machine, lane, int(source.ravel()[lane])))
                if site.ptx_line in self.launch.replaced:
                    values = np.where(open_.ravel(), self.launch.replace_by(values), values)
                    self.launch.given.update(self.order.number[open_.ravel()].tolist())
        if bad.any():
            lane = int(np.flatnonzero(bad)[0])
            message = f"{site.name}: reads from a lane that the mask does not name; here lane {int(source.ravel()[lane])}"
            self.report.add("synccheck", message, site, self.machine, lane, count=int(bad.sum()))
        return values

"""The sanitizer of one chunk of thread blocks: the way of every access to the checks, and what orders threads.

memcheck (bounds, alignment) is part of execute/access.py, synccheck of execute/barriers.py, cluster_barriers.py and collectives.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinygan_kernels.emulator.execute.lanes import WARP, Lanes, one_lane
from tinygan_kernels.emulator.execute.memory import UNWRITTEN, Memory

from .clusters import ClusterOrder
from .collectives import ChecksCollectives, Undefined
from .copies import ChecksCopies
from .extents import extents_of, homes_of
from .frames import ChecksFrames, frames_of
from .initialisation import ChecksInitialisation, Unwritten, copies_of
from .mbarriers import MbarrierOrder
from .messages import Mailbox, Messages
from .order import FLAG_BITS, THREAD_BITS, LaunchTime, Order
from .products import Products
from .proxies import ChecksProxies, is_asynchronous
from .races import Races, Records
from .strength import STRONG, WEAK, WIDE, Strength, order_of, strength_of

WEAKLY = Strength(WEAK, False, False)
COMPARED = Strength(STRONG | WIDE, False, False)
"""A load whose value only a compare-and-swap compares, see `strength`."""


class LaunchSanitizer:
    """What the sanitizers of a launch's chunks share: its clock, the messages in global memory, what the kernel has of order."""

    def __init__(self, kernel, blocks: int, report):
        self.kernel, self.report = kernel, report
        instructions = [i for block in kernel.basic_blocks for i in block.instructions]
        self.units_of = blocks if any(map(is_asynchronous, instructions)) else 0
        self.blocks, self.clock = blocks, LaunchTime(3 * blocks if self.units_of else blocks)
        self.mailbox = Mailbox()
        self.order = order_of(kernel)
        self.frames, self.copies = frames_of(kernel), copies_of(kernel)
        self.homes: dict[int, Memory] | None = None  # by PTX line, the memory that the access has to lie in
        self.undefined: dict[int, Undefined] = {}  # by PTX line, shuffles from lanes that the mask does not name
        self.replaced: frozenset[int] = frozenset()  # lines of those of which lanes are given another value ...
        self.replace_by: Callable[[np.ndarray], np.ndarray] = np.invert  # ... by this function of the usual one
        self.given: set[int] = set()  # numbers of the threads of those lanes
        self.escaped: dict[tuple, tuple] = {}  # where addresses of local variables lie, and who stored them
        self.granules = {space: granule_of(kernel, space) for space in ("global", "shared")}


class ChunkSanitizer(ChecksInitialisation, ChecksCopies, ChecksCollectives, ChecksFrames, ChecksProxies):
    """Is told every access, barrier and fence of a machine, and checks them."""

    def __init__(self, machine, spaces: dict, launch: LaunchSanitizer):
        self.machine, self.launch, self.report = machine, launch, launch.report
        self.shared, self.local = spaces["shared"].memory, spaces["local"].memory
        for memory in (self.shared, self.local):
            memory.unwritten = np.full(memory.data.size, UNWRITTEN, np.uint8)
        if launch.kernel.reserved_shared and self.shared.unwritten is not None:  # which is not the kernel's own to initialise
            self.shared.unwritten.reshape(machine.shape.blocks, -1)[:, machine.reserved :] = 0
        self.frames = launch.frames
        self.order, self.clock = Order(machine, launch.clock, launch.units_of), launch.clock
        if launch.units_of:
            self.begin_proxies()
            self.products = Products(self, launch.kernel.held)
        self.messages = Messages(self.order) if launch.order.messages else None
        self.mailbox = Mailbox()  # of shared memory
        self.mbarriers = MbarrierOrder(self.order)
        self.clusters = ClusterOrder(self.order, machine.members)
        known = launch.order
        self.races = {
            space: Races(self.order, space, self.report, space in known.mixed, known.updates) for space in ("global", "shared")
        }
        self.shared.races = Records(self.shared.data.size, launch.granules["shared"], 0)
        self.meetings = {}
        self.marks: dict[int, Memory] = {}
        self.copies = launch.copies
        self.unwritten_registers: dict[tuple[str, str], Unwritten] = {}
        if launch.homes is None:
            launch.homes = homes_of(launch.kernel, spaces["global"].memory)
        self.homes = launch.homes
        self.extents = extents_of(launch.kernel, machine.dynamic_shared) if self.shared.data.size else {}
        self.flight: Memory | None = None  # bytes of shared memory that a cp.async will still write
        self.flying = 0

    # -- accesses ---------------------------------------------------------------------------------------------
    def read(self, site, memory, positions, lanes: Lanes) -> None:
        """Check a load for bytes that were never written and for races."""
        if memory.unwritten is not None:
            self.initialised(site, memory, positions, lanes)
        if memory is self.local:
            return
        if self.launch.escaped and site.size == 8:
            self.address_loaded(site, memory, positions, lanes)
        if memory is self.shared:
            self._within_array(site, positions, lanes, "read")
            self.not_flying(site, positions, lanes, "read")
        else:
            self._at_home(site, memory, positions, lanes, "read")
        strength = COMPARED if site.ptx_line in self.launch.order.compared else strength_of(site.name)
        races, records, box = self._of(memory)
        if not self._reserved(memory, positions, lanes):
            races.read(site, strength, memory, records, positions, lanes)
        if self.messages and strength.flags:
            self.messages.read(strength, box, positions, lanes)

    def write(self, site, memory, positions, lanes: Lanes, values=None, initialises: bool = True) -> None:
        """Note that a store writes its bytes (if it `initialises` them) and check it for races. values: what it stores, or None."""
        if memory is self.local and self.frames.ends:
            self.not_gone(site, positions, lanes, "write")
        if initialises and (memory.unwritten is not None or self.unwritten_registers):
            self.written(site, memory, positions, lanes)
        if memory is self.local:
            return
        if self.frames.escapes and site.size == 8 and values is not None:
            self.address_stored(site, memory, positions, lanes, values)
        if memory is self.shared:
            self._within_array(site, positions, lanes, "write")
            if site.name[:2] == "st":
                self.not_flying(site, positions, lanes, "write")
        else:
            self._at_home(site, memory, positions, lanes, "write")
        strength = strength_of(site.name)
        races, records, box = self._of(memory)
        if not self._reserved(memory, positions, lanes):
            races.write(site, strength, memory, records, positions, lanes, values)
        if self.messages and strength.flags:
            self.messages.write(strength, box, positions, lanes)

    def atomic(self, site, memory, positions, lanes: Lanes) -> None:
        """Check an atomic, which reads and writes, for bytes that were never written and for races with weak accesses."""
        if site.ptx_line in self.copies.swaps:
            if memory.unwritten is not None or self.unwritten_registers:
                self.written(site, memory, positions, lanes)
        elif memory.unwritten is not None:
            self.initialised(site, memory, positions, lanes)
        if memory is self.local:
            return
        if memory is self.shared:
            self._within_array(site, positions, lanes, "atomic")
        else:
            self._at_home(site, memory, positions, lanes, "atomic")
        strength = strength_of(site.name)
        races, records, box = self._of(memory)
        if not self._reserved(memory, positions, lanes):
            races.write(site, strength, memory, records, positions, lanes, None)
        if self.messages:
            self.messages.modify(strength, box, positions, lanes)

    def _reserved(self, memory: Memory, positions, lanes: Lanes) -> bool:
        """Say whether lanes access reserved shared memory, which only NVIDIA's own code for groups of several warps does.

        That code counts on the lanes of a warp staying together there, which PTX does not promise. It is no fault of the kernel's,
        so races are not looked for; what is released and acquired there orders threads as everywhere.
        """
        if memory is not self.shared or not self.launch.kernel.reserved_shared:
            return False
        start = self.machine.access.spaces["shared"].start
        return bool((positions - (start if lanes.full else start[lanes.index]) >= self.machine.reserved).all())

    def freed(self, site, memory: Memory, address: int, size: int, lane: int) -> None:
        """Check that nothing else may still use a block of malloc's that a lane frees."""
        if memory.races is None or not size:
            return
        races, records, _ = self._of(memory)
        positions = np.arange(address, address + size, records.granule)
        piece = replace(site, size=records.granule, count=1)
        lanes = one_lane(lane, self.machine.shape.width, positions.size)
        races.write(piece, WEAKLY, memory, records, positions, lanes, None, "free")

    def _within_array(self, site, positions, lanes: Lanes, action: str) -> None:
        """Report lanes that leave the shared array which their address was computed from, and are in another."""
        extent = self.extents.get(site.ptx_line)
        if extent is None:
            return
        start = self.machine.access.spaces["shared"].start
        address = positions - (start if lanes.full else start[lanes.index])
        bad = (address < extent.start) | (address > extent.end - site.bytes)
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            far = f"{address[i] - extent.end} bytes after the end of" if address[i] >= extent.start else "before"
            size = extent.end - extent.start
            where = f"{far} shared array {extent.name} ({size} bytes), inside another"
            message = f"out-of-bounds {action} of {site.bytes} bytes; {where}"
            self.report.add("memcheck", message, site, self.machine, lanes.index[i], address[i], "shared", int(bad.sum()))

    def _at_home(self, site, memory: Memory, positions, lanes: Lanes, action: str) -> None:
        """Report lanes that leave the array whose pointer the kernel was given, and are in another."""
        home = self.homes.get(site.ptx_line)
        if home is None or home is memory or home.owners & memory.owners or memory.base <= home.base < memory.end:
            return
        size, address = home.end - home.base, int(positions[0])
        far = f"{address - home.end} bytes after the end of" if address >= home.end else f"{home.base - address} bytes before"
        message = f"out-of-bounds {action} of {site.bytes} bytes; {far} {home.name} ({size} bytes), inside {memory.name}"
        self.report.add("memcheck", message, site, self.machine, lanes.index[0], address, "global", lanes.count)

    def _of(self, memory: Memory) -> tuple[Races, Records, Mailbox]:
        """Return the racecheck, the records and the messages of a memory."""
        if memory is self.shared:
            return self.races["shared"], memory.races, self.mailbox
        if memory.races is None:
            memory.races = Records(memory.data.size, self.launch.granules["global"], memory.base)
        return self.races["global"], memory.races, self.launch.mailbox

    def own_address(self, memory, position: int, lane: int) -> int:
        """Return the address of a position in memory as the thread sees it."""
        if memory is self.shared:
            return position - self.machine.access.spaces["shared"].start[lane]
        if memory is self.local:
            return position - self.machine.access.spaces["local"].start[lane]
        return position

    # -- order ------------------------------------------------------------------------------------------------
    def block_barrier(self, complete: np.ndarray | None = None) -> None:
        """Note a barrier that all threads of these blocks (a mask over the chunk's; None: all) have passed."""
        self.order.block_barrier(complete)
        if self.messages:
            self.messages.blocks_met(complete)

    def cluster_arrive(self, lanes: Lanes) -> None:
        """Note a barrier.cluster.arrive of these lanes that releases."""
        self.clusters.arrive(lanes)

    def cluster_complete(self, clusters: np.ndarray) -> None:
        """Note the clusters (a mask over the chunk's) in which a phase of the barrier is complete."""
        self.clusters.completed(clusters)

    def cluster_wait(self, lanes: Lanes) -> None:
        """Note that these lanes have passed a barrier.cluster.wait that acquires."""
        self.clusters.wait(lanes)

    def blocks_ended(self, lanes: Lanes) -> None:
        """Check the shared memory of blocks of clusters whose last threads these lanes are: others may not access it any more."""
        order, records, space = self.order, self.shared.races, self.machine.access.spaces["shared"]
        for block in np.unique(order.block_of[lanes.index]).tolist():
            threads = np.flatnonzero((order.block_of == block) & self.machine.exists)  # those too that have ended before
            if self.machine.live.mask[threads].any():
                continue
            first = int(space.start[threads[0]]) // records.granule
            part = slice(first, first + -(-space.size // records.granule))
            stamps = np.concatenate([s[part] for s in (*records.writers(), *records.readers) if s is not None])
            others = stamps[(stamps != 0) & ((stamps ^ order.own[threads[0]]) & self.clock.block_mask != 0)]
            for lane in threads:
                if others.size:
                    others = others[order.unordered(others, np.full(others.size, lane))]
            if others.size:
                self._report_ended(block, int(others.max()), others.size)

    def _report_ended(self, block: int, stamp: int, count: int) -> None:
        """Report an access, named by its stamp, to the shared memory of a block that may have ended before."""
        site, number = self.races["shared"].site_of(stamp), self.order.thread_of((stamp & self.clock.who_mask) >> FLAG_BITS)[0]
        lane = ((number >> THREAD_BITS) - self.machine.first) * self.machine.shape.stride + (number & (1 << THREAD_BITS) - 1)
        owner = self.machine.block_position(block)
        message = f"shared-memory race: access to the shared memory of block {owner}, which may have ended"
        message += "; no barrier.cluster is between"
        self.report.add("racecheck", message, site, self.machine, lane, None, "shared", count)

    def barrier(self, site, number: int, lanes: Lanes, arrived: list) -> None:
        """Note a barrier at which these lanes met, with what `arrive` returned for those that only arrived."""
        self.note_meeting(site, number, lanes)
        self.order.barrier(lanes, arrived)
        if self.messages:
            self.messages.groups_met(self.order.block_of, lanes)

    def arrive(self, lanes: Lanes) -> tuple:
        """Note a bar.arrive. Return what the threads that wait at the barrier come after."""
        return self.order.arrive(lanes)

    def warp_sync(self, members, lanes: Lanes) -> None:
        """Note a __syncwarp of these lanes, each of which names the lanes of the mask `members`."""
        self.order.warp_sync(members, lanes)
        if self.messages:
            named = np.broadcast_to(members, lanes.mask.shape).astype("i8")
            self.messages.groups_met(self.order.warp_of << 32 | named, lanes)

    def met_across(self, members: np.ndarray, lanes: Lanes) -> None:
        """Note that these lanes, which are at different __syncwarps, meet there, each those of its members that came."""
        bits = np.packbits(lanes.mask.reshape(-1, WARP), axis=1, bitorder="little").view("<u4").ravel()
        self.warp_sync(np.repeat(bits, WARP) & members, lanes)

    def fence(self, wide: bool, lanes: Lanes) -> None:
        """Note a __threadfence (wide) or a __threadfence_block by these lanes."""
        if self.messages:
            self.messages.fence(wide, lanes)


def granule_of(kernel, space: str) -> int:
    """Return the size of the pieces in which races are tracked: 4 bytes, 1 if the kernel has narrower accesses to the space."""
    spaces = (space, "generic", "surface") if space == "global" else (space, "generic")
    return 4 if all(s.size >= 4 for s in kernel.sites if s.space in spaces) else 1

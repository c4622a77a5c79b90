"""The loads, stores and asynchronous copies of a running kernel: find the bytes, report faults, then move the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.semantics.generic_addresses import REMOTE, window_of
from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.translate.kernel import Site

from .lanes import Lanes
from .memory import Memory
from .progress import careful


def widen(address, offset: int = 0):
    """Return an address register plus a constant, as int64."""
    address = address if address.dtype == "i8" else address.astype("i8")
    return address + offset if offset else address


class Access:
    """The memory operations that the generated code calls."""

    def __init__(self, machine, spaces: dict, report, check, counter):
        self.machine, self.spaces, self.report = machine, spaces, report
        self.check, self.counter = check, counter
        self.copies = AsyncCopies(self, machine.shape.width)
        self.changes = 0  # how often something that loads can see, or output, may have changed

    def memory_version(self) -> int:
        """Return a number that differs after any chunk of the launch may have changed global memory."""
        return self.spaces["global"].memory.version

    def changed(self, memory: Memory) -> None:
        """Note that bytes of a memory may have changed."""
        self.changes += 1
        if memory is not self.spaces["shared"].memory:
            self.spaces["global"].memory.version += 1

    # -- what kernels do --------------------------------------------------------------------------------------
    def load(self, site: Site, targets, address, lanes: Lanes) -> None:
        """Load site.count elements at each lane's address into the registers `targets` (None: drop that element)."""
        for memory, positions, some in self.pieces(site, address, lanes):
            if self.check:
                self.check.read(site, memory, positions, some)
            view, first = memory.view(site.code)
            index = (positions - first) >> site.shift
            for j, target in enumerate(targets):
                if target is None:
                    continue
                at = index + j if j else index
                if some.full and target.dtype == view.dtype and target.flags.c_contiguous:
                    view.take(at, out=target, mode="clip")  # bounds are checked; clip spares NumPy a buffer
                else:
                    some.put(target, view[at])

    def store(self, site: Site, values, address, lanes: Lanes) -> None:
        """Store site.count elements, one vector or scalar each, at each lane's address."""
        for memory, positions, some in self.pieces(site, address, lanes, "st"):
            if self.check:
                self.check.write(site, memory, positions, some, values)
            view, first = memory.view(site.code)
            index = (positions - first) >> site.shift
            if not careful(self.machine.blocks_run) or any((view[index + j] != some.pick(v)).any() for j, v in enumerate(values)):
                self.changed(memory)
            for j, value in enumerate(values):
                view[index + j] = some.pick(value)

    def load_rows(self, site: Site, matrices: int, address, lanes: Lanes) -> np.ndarray:
        """Load ldmatrix's rows: (lanes, bytes of the site), at the addresses of the first 8 * matrices lanes of each warp."""
        rows = np.zeros((lanes.mask.size, site.bytes), np.uint8)
        named = lanes.only(np.arange(lanes.mask.size) % WARP < 8 * matrices)
        for memory, positions, some in self.pieces(site, address, named):
            if self.check:
                self.check.read(site, memory, positions, some)
            rows[some.index] = memory.data[(positions - memory.base)[:, None] + np.arange(site.bytes)]
        return rows

    def aligned_rows(self, site: Site, matrices: int, address, lanes: Lanes) -> Lanes:
        """Return the lanes whose rows ldmatrix loads in part; report those whose address is no multiple of a whole row's bytes,
        which `site` has."""
        named = lanes.only(np.arange(lanes.mask.size) % WARP < 8 * matrices)
        at = np.asarray(named.pick(np.asarray(address, "i8")))
        aligned = at & (site.bytes - 1) == 0
        if aligned.all():
            return named
        self.fault(site, "shared", "misaligned", at[~aligned], subset(named, ~aligned), "ld")
        return subset(named, aligned)

    def store_rows(self, site: Site, rows: np.ndarray, matrices: int, address, lanes: Lanes) -> None:
        """Store stmatrix's rows, (lanes, 16) bytes, at the addresses of the first 8 * matrices lanes of each warp."""
        named = lanes.only(np.arange(lanes.mask.size) % WARP < 8 * matrices)
        words = rows.view("u8")
        self.store(site, (np.ascontiguousarray(words[:, 0]), np.ascontiguousarray(words[:, 1])), address, named)

    # -- where the bytes are ----------------------------------------------------------------------------------
    def pieces(self, site: Site, address, lanes: Lanes, operation: str = "ld"):
        """Yield (memory, positions, lanes) for the lanes whose access can be carried out; report the others.

        operation: ld, st, atom or red.
        """
        if lanes.count == 0:
            return
        address = np.asarray(lanes.pick(np.asarray(address, "i8")))
        if site.space != "generic":
            yield from self._pieces_in(site.space, site, address, lanes, operation)
            return
        for space, base, chosen in window_of(address):
            some = lanes if chosen is None else subset(lanes, chosen)
            local = address if chosen is None else address[chosen]
            yield from self._pieces_in(space, site, local - base if base else local, some, operation)

    def _pieces_in(self, space: str, site: Site, address, lanes: Lanes, operation: str):
        """Yield what `pieces` yields, for lanes whose addresses lie in one state space."""
        if self.counter:
            self.counter.access(site, space, address, lanes, operation)
        if site.bytes > 1 and int(np.bitwise_or.reduce(address)) & (site.bytes - 1):
            aligned = address & (site.bytes - 1) == 0
            self.fault(site, space, "misaligned", address[~aligned], subset(lanes, ~aligned), operation)
            if not aligned.any():
                return
            address, lanes = address[aligned], subset(lanes, aligned)
        for memory, positions, chosen in self.spaces[space].locate(address, site.bytes, lanes):
            some = lanes if chosen is None else subset(lanes, chosen)
            if memory is None:
                self.fault(site, space, "out-of-bounds", positions, some, operation)
            elif operation != "ld" and not memory.writable:
                self.fault(site, space, "read-only", positions, some, operation)
            elif memory.heap is not None:
                yield from self._in_blocks(site, memory, positions, some, operation)
            else:
                yield memory, positions, some

    def _in_blocks(self, site: Site, memory: Memory, positions: np.ndarray, lanes: Lanes, operation: str):
        """Yield what `pieces` yields, for addresses in the heap: a lane has to be inside of a block that malloc returned."""
        good = memory.heap.holds(positions, site.bytes)
        if not good.all():
            self.fault(site, "global", "unallocated", positions[~good], subset(lanes, ~good), operation, memory)
            positions, lanes = positions[good], subset(lanes, good)
        if lanes.count:
            yield memory, positions, lanes

    def fault(self, site: Site, space: str, kind: str, address, lanes: Lanes, operation: str, memory: Memory | None = None) -> None:
        """Report lanes whose access cannot be carried out. With the checks off, raise at once."""
        action = "read" if operation == "ld" else "write"
        text = {
            "misaligned": f"misaligned {action} of {site.bytes} bytes",
            "out-of-bounds": f"out-of-bounds {action} of {site.bytes} bytes",
            "read-only": f"write of {site.bytes} bytes to a read-only array",
            "unallocated": f"out-of-bounds {action} of {site.bytes} bytes",
        }[kind]
        if memory is not None:
            text += f"; {memory.heap.describe(int(address[0]))}"
        if kind == "out-of-bounds" and space == "global":
            text += self._nearest(int(address[0]), site.bytes)
        if kind == "out-of-bounds" and space == "shared" and address[0] >= REMOTE:
            rank = int(address[0]) // REMOTE - 1
            text += f" in the shared memory of block {rank} of the cluster, which has ended or has no such bytes"
        self.report.add("memcheck", text, site, self.machine, lanes.index[0], address[0], space, lanes.count)
        if not self.check:
            self.report.deliver()
            raise EmulatorError("the kernel made an illegal memory access")

    def _nearest(self, address: int, size: int) -> str:
        """Describe where a wrong address lies, relative to the nearest array, which was probably meant."""
        memory = self.spaces["global"].memory
        told, ranges = memory.describe(address) if memory.describe else "", memory.ranges
        if told or not ranges:
            return told
        gap = lambda r: max(r.base - address, address + size - r.end)  # noqa: E731
        near = min(ranges, key=gap)
        if address + size > near.end:
            where = f"{address - near.end} bytes after the end of" if address >= near.end else "across the end of"
        else:
            where = f"{near.base - address} bytes before"
        return f"; {where} {near.name} ({near.end - near.base} bytes)"


def subset(lanes: Lanes, chosen: np.ndarray) -> Lanes:
    """Return those of the lanes for which `chosen`, one value per lane in lane order, holds."""
    mask = np.zeros(lanes.mask.size, bool)
    mask[lanes.index[chosen]] = True
    return Lanes(mask)


@dataclass
class _Copy:
    """Bytes of one cp.async, for all its lanes, on their way to shared memory."""

    site: Site
    memory: Memory
    lane: np.ndarray
    position: np.ndarray
    data: np.ndarray
    group: np.ndarray  # the commit group of its thread that the copy belongs to
    source: Site
    address: np.ndarray  # where the bytes came from
    issued: int  # the sanitizer's time of it


class AsyncCopies:
    """The copies of cp.async: bytes are read when issued, and arrive in shared memory when the thread waits for their group.

    So a kernel that reads too early sees the old bytes, as it may on a GPU.
    """

    def __init__(self, access: Access, width: int):
        self.access = access
        self.groups = np.zeros(width, "i8")  # groups committed, per thread
        self.pending: list[_Copy] = []

    def issue(self, source: Site, target: Site, to, address, length, lanes: Lanes) -> None:
        """Copy target.bytes bytes, of which the first `length` come from `address` and the rest are zeros."""
        data = np.zeros((lanes.mask.size, target.bytes), np.uint8)
        self._read(source, data, address, length, lanes)
        issued = self.access.check.time() if self.access.check else 0
        address = np.broadcast_to(np.asarray(address, "i8"), lanes.mask.shape)
        if length is not None:  # a copy that reads nothing, or less, is not followed: -1 is nobody's address
            address = np.where(np.broadcast_to(length >= source.bytes, lanes.mask.shape), address, -1)
        for memory, positions, some in self.access.pieces(target, to, lanes, "st"):
            if self.access.check:
                self.access.check.issued(target, memory, positions, some)
            lane = some.index
            copy = _Copy(target, memory, lane, positions, data[lane], self.groups[lane], source, address[lane], issued)
            self.pending.append(copy)

    def _read(self, source: Site, data, address, length, lanes: Lanes) -> None:
        """Read the bytes of copies of full length, then those of shorter ones."""
        full = lanes if length is None else lanes.only(np.broadcast_to(length >= source.bytes, lanes.mask.shape))
        for memory, positions, some in self.access.pieces(source, address, full):
            if self.access.check:
                self.access.check.read(source, memory, positions, some)
            offsets = (positions - memory.base)[:, None] + np.arange(source.bytes)
            data[some.index] = memory.data[offsets]
        if length is not None:
            self._read_short(source, data, address, length, lanes)

    def _read_short(self, source: Site, data, address, length, lanes: Lanes) -> None:
        """Read copies of less than their full length byte by byte, by the lanes of each length."""
        for size in range(1, source.bytes):
            part = lanes.only(np.broadcast_to(length == size, lanes.mask.shape))
            for i in range(size if part.count else 0):
                byte = Site(source.name, source.ptx_line, source.source, source.line, source.space, "u1", 1)
                for memory, positions, some in self.access.pieces(byte, np.asarray(address, "i8") + i, part):
                    data[some.index, i] = memory.data[positions - memory.base]

    def commit(self, lanes: Lanes) -> None:
        """Close the group that each thread's next copies would belong to."""
        self.groups[lanes.mask] += 1

    def wait(self, newest: int | None, lanes: Lanes) -> None:
        """Complete all groups of these threads but the `newest` last ones; with None, everything that they issued."""
        limit = self.groups - newest if newest is not None else self.groups + 1
        for copy in self.pending:
            ready = lanes.mask[copy.lane] & (copy.group < limit[copy.lane])
            if ready.any():
                self._arrive(copy, ready)
        self.pending = [c for c in self.pending if c.lane.size]

    def _arrive(self, copy: _Copy, ready: np.ndarray) -> None:
        """Write the bytes of the lanes that are ready to shared memory, and keep those of the others."""
        self.access.changed(copy.memory)
        positions = copy.position[ready]
        offsets = positions[:, None] + np.arange(copy.site.bytes)
        copy.memory.data[offsets - copy.memory.base] = copy.data[ready]
        if self.access.check:
            mask = np.zeros(self.groups.size, bool)
            mask[copy.lane[ready]] = True
            order = np.argsort(copy.lane[ready], kind="stable")
            self.access.check.arrived(copy.site, copy.memory, positions[order], Lanes(mask))
            self.access.check.source_kept(copy.source, copy.address[ready][order], Lanes(mask), copy.issued)
        copy.lane, copy.position, copy.address = copy.lane[~ready], copy.position[~ready], copy.address[~ready]
        copy.data, copy.group = copy.data[~ready], copy.group[~ready]

"""The execution of copies by tensor maps: boxes of a tensor in global memory, to and from shared memory. (PTX ISA, 5.5)"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tinygan_kernels.emulator.semantics import atomics
from tinygan_kernels.emulator.semantics import tensor_maps as maps
from tinygan_kernels.emulator.semantics.generic_addresses import REMOTE, window_of
from tinygan_kernels.emulator.semantics.tensor_maps import ALIGNMENT, BYTES, TensorMap
from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.translate.kernel import Site

from .access import Access
from .bulk import BulkCopies
from .lanes import Lanes, one_lane
from .memory import Memory

BOX_ALIGNMENT = 128
"""Bytes to which the address of a box in shared memory is aligned. (PTX ISA, cp.async.bulk.tensor)"""
_REDUCED = {"f32 ftz": "f32", "tf32": "f32", "tf32 ftz": "f32"}
_NO_MAP = "there is no tensor map at that address: emulator.tensor_map(...) and cuTensorMapEncodeTiled make them"


class TensorCopies:
    """The copies by tensor maps that generated code issues. Operands are vectors over all lanes or scalars."""

    def __init__(self, access: Access, bulk: BulkCopies):
        self.access, self.machine, self.bulk = access, access.machine, bulk
        self.known: dict[bytes, TensorMap | str] = {}  # by its bytes a map, or what is wrong with them

    # -- instructions -----------------------------------------------------------------------------------------------------------
    def load(
        self, source: Site, target: Site, address: np.ndarray, coordinates: Sequence, pixels: bool, to: np.ndarray, lanes: Lanes,
        barrier: tuple[Site, np.ndarray] | None = None, ranks: np.ndarray | int | None = None, offsets: Sequence = (),
    ) -> None:  # fmt: skip
        """Copy a box into shared memory for each lane, at `to`, with zeros (or NaN) for what lies outside of the tensor.

        source, target: sites for both sides; address: of the tensor map; coordinates: of the box, innermost dimension first;
        pixels: whether the map has to be an im2col one; barrier: site and address of the mbarrier that counts the bytes; ranks: a
        mask of the blocks of the cluster that get the box; offsets: of im2col.
        """
        width = lanes.mask.size
        places, masks = np.broadcast_to(to, (width,)).astype("i8"), None if ranks is None else np.broadcast_to(ranks, (width,))
        for lane in lanes.index.tolist():
            made = self._map(source, address, lane, len(coordinates), pixels)
            end = int(places[lane])
            if made is None or not self._aligned(target, end, lane):
                continue
            values = self._gathered(source, made, [_at(c, lane) for c in coordinates], [_at(o, lane) for o in offsets], lane)
            ends = [end] if masks is None else [(r + 1) * REMOTE + end % REMOTE for r in range(16) if int(masks[lane]) >> r & 1]
            for place in ends:
                self._put(target, made, place, values, lane)
            if barrier is not None:
                self.bulk.count(barrier, lane, made.box_bytes, None if masks is None else [place // REMOTE for place in ends])

    def store(
        self, source: Site, target: Site, address: np.ndarray, coordinates: Sequence, pixels: bool, start: np.ndarray, lanes: Lanes,
        operation: str = "",
    ) -> None:  # fmt: skip
        """Copy a box from shared memory, at `start`, into the tensor, or combine it with what is there by an operation."""
        places = np.broadcast_to(start, (lanes.mask.size,)).astype("i8")
        for lane in lanes.index.tolist():
            made = self._map(target, address, lane, len(coordinates), pixels)
            begin = int(places[lane])
            if made is None or not self._aligned(source, begin, lane) or not self._reducible(target, operation, made.kind, lane):
                continue
            where, inside = maps.box_addresses(made, [_at(c, lane) for c in coordinates], (0,) * (made.rank - 2))
            values = self._fetched(source, made, maps.box_places(made, begin), lane)
            if values is not None:
                self._scattered(target, made, where[inside], values[inside], lane, operation)
            if self.access.check:
                self.access.check.bulk_copied(target, lane, True)

    def prefetch(
        self, source: Site, _target: Site, address: np.ndarray, coordinates: Sequence, pixels: bool, lanes: Lanes
    ) -> None:
        """Check the map of a prefetch, which changes nothing."""
        for lane in lanes.index.tolist():
            self._map(source, address, lane, len(coordinates), pixels)

    def replace(
        self, site: Site, field: str, ordinal: np.ndarray | int, value: np.ndarray, address: np.ndarray, lanes: Lanes
    ) -> None:
        """Carry out tensormap.replace: change one field of a map in memory."""
        for lane in lanes.index.tolist():
            found = self._bytes(site, address, lane, writes=True)
            if found is None:
                continue
            try:
                found[...] = maps.replaced(found, field, _at(ordinal, lane), _at(value, lane, "u8"))
            except ValueError as error:
                self._report("memcheck", site, str(error), lane)
            self.access.changes += 1

    def publish(self, target: Site, origin: Site, to: np.ndarray, source: np.ndarray, lanes: Lanes) -> None:
        """Carry out tensormap.cp_fenceproxy, which a warp does once: copy a map from shared to global memory, before its uses."""
        first = np.unique(lanes.index // WARP, return_index=True)[1]
        for lane in lanes.index[first].tolist():
            taken, given = self._bytes(origin, source, lane), self._bytes(target, to, lane, writes=True)
            if taken is not None and given is not None:
                given[...] = taken
                self.access.changes += 1

    # -- maps -------------------------------------------------------------------------------------------------------------------
    def _bytes(self, site: Site, address: np.ndarray, lane: int, writes: bool = False) -> np.ndarray | None:
        """Return a view of the 128 bytes of the map that a lane names, None (and a report) where there is none.

        writes: whether the bytes are to be changed, which those of arguments and of read-only arrays cannot be.
        """
        where = np.broadcast_to(np.asarray(address, "i8"), (self.machine.shape.width,))[lane : lane + 1]
        some = one_lane(lane, self.machine.shape.width, 1)
        space, base = (site.space, 0) if site.space == "shared" else window_of(where)[0][:2]
        whole = Site(site.name, site.ptx_line, site.source, site.line, space, "u8", 8, BYTES // 8, site.number)
        if int(where[0] - base) % ALIGNMENT:
            text = f"misaligned tensor map: its address is a multiple of {ALIGNMENT} bytes"
            self._report("memcheck", site, text, lane, int(where[0]))
            return None
        for memory, positions, _ in self.access.spaces[space].locate(where - base, BYTES, some):
            if memory is None or (writes and not memory.writable):
                kind = "out-of-bounds" if memory is None else "read-only"
                self.access.fault(whole, space, kind, where - base, some, "st" if writes else "ld")
                return None
            start = int(positions[0]) - memory.base
            return memory.data[start : start + BYTES]
        return None

    def _map(self, site: Site, address: np.ndarray, lane: int, rank: int, pixels: bool) -> TensorMap | None:
        """Return the map that a lane names, None (and a report) where it is none of that rank and mode."""
        raw = self._bytes(replace_space(site, "global"), address, lane)
        if raw is None:
            return None
        key = raw.tobytes()
        if key not in self.known:
            try:
                self.known[key] = maps.decoded(raw) or _NO_MAP
            except ValueError as error:
                self.known[key] = f"there cannot be such a tensor map: {error}"
        made, text = self.known[key], ""
        if isinstance(made, str):
            text = made
        elif made.rank != rank:
            text = f"the tensor map has a rank of {made.rank}, the instruction one of {rank}"
        elif pixels != (made.lower is not None):
            text = f"the tensor map is {'tiled' if made.lower is None else 'an im2col one'}, the instruction is not"
        if isinstance(made, str) or text:
            self._report("memcheck", site, f"{site.name}: {text}", lane)
            return None
        return made

    def _aligned(self, site: Site, address: int, lane: int) -> bool:
        if address % BOX_ALIGNMENT == 0:
            return True
        text = f"misaligned box of a tensor: its address in shared memory is a multiple of {BOX_ALIGNMENT} bytes"
        self._report("memcheck", site, text, lane, address, "shared")
        return False

    def _reducible(self, site: Site, operation: str, kind: str, lane: int) -> bool:
        """Return whether there is an operation of cp.reduce for elements of a type; report it where there is none."""
        if not operation or operation in ("add", "min", "max"):
            return True
        if kind == "u32" or (kind not in maps.FLOATS and operation in ("and", "or", "xor")):
            return True
        self._report("memcheck", site, f"{site.name}: there is no .{operation} of elements of type {kind}", lane)
        return False

    # -- global memory ----------------------------------------------------------------------------------------------------------
    def _pieces(self, site: Site, made: TensorMap, address: np.ndarray, lane: int, writes: bool):  # type: ignore[no-untyped-def]
        """Yield (memory, positions, which of the addresses) for elements of a tensor that can be reached; report the others.

        A tensor lies in one array, so that what another one has at an element's address is no part of it.
        """
        if not address.size:
            return
        width, item = self.machine.shape.width, made.item
        element = Site(site.name, site.ptx_line, site.source, site.line, "global", f"u{item}", item, 1, site.number)
        some = one_lane(lane, width, address.size)
        for memory, positions, chosen in self.access.spaces["global"].locate(address, item, some):
            part = some if chosen is None else one_lane(lane, width, positions.size)
            if memory is None or (writes and not memory.writable):
                kind = "out-of-bounds" if memory is None else "read-only"
                self.access.fault(element, "global", kind, positions, part, "st" if writes else "ld")
                continue
            if self.access.check and not self._at_home(element, made, memory, positions, part, writes):
                continue
            yield memory, positions, np.arange(address.size) if chosen is None else np.flatnonzero(chosen)

    def _at_home(self, site: Site, made: TensorMap, memory: Memory, positions: np.ndarray, lanes: Lanes, writes: bool) -> bool:
        """Return whether elements are in the array in which their tensor begins; report those that are in another one."""
        home, address = self.access.spaces["global"].memory.find(made.address), int(positions[0])
        if home is memory or (home is not None and home.owners & memory.owners):
            return True
        text = f"out-of-bounds {'write' if writes else 'read'} of {made.item} bytes; inside {memory.name}"
        if home is not None:
            far = f"{address - home.end} bytes after the end of" if address >= home.end else f"{home.base - address} bytes before"
            text += f", {far} {home.name} ({home.end - home.base} bytes), in which the tensor of the map begins"
        self.access.report.add("memcheck", text, site, self.machine, lanes.index[0], address, "global", lanes.count)
        return False

    def _gathered(self, site: Site, made: TensorMap, coordinates: list[int], offsets: list[int], lane: int) -> np.ndarray:
        """Return the elements of a box as they lie in shared memory, unsigned integers."""
        address, inside = maps.box_addresses(made, coordinates, offsets)
        values = np.full(address.size, maps.fill_value(made), f"u{made.item}")
        at = np.flatnonzero(inside)
        if self.access.counter:
            self.access.counter.bulk(replace_space(site, "global"), at.size * made.item)
        for memory, positions, which in self._pieces(site, made, address[at], lane, False):
            view, first = memory.view(f"u{made.item}")
            values[at[which]] = maps.converted(view[(positions - first) // made.item], made.kind)
            words = whole_words(positions, made.item)
            if self.access.check and words.size:
                few = one_lane(lane, self.machine.shape.width, words.size)
                self.access.check.asynchronous_read(replace_space(site, "global"), memory, words, few)
        return values

    def _scattered(self, site: Site, made: TensorMap, address: np.ndarray, values: np.ndarray, lane: int, operation: str) -> None:
        """Write elements into a tensor, or combine them with what is there."""
        if self.access.counter:
            self.access.counter.bulk(site, address.size * made.item)
        for memory, positions, which in self._pieces(site, made, address, lane, True):
            view, first = memory.view(f"u{made.item}")
            index = (positions - first) // made.item
            given = values[which]
            if operation:
                for once in each_once(index):
                    view[index[once]] = combined(view[index[once]], given[once], operation, made.kind)
            else:
                view[index] = given
            self.access.changed(memory)
            if memory.unwritten is not None:  # halves of words too, of which the check below knows nothing
                memory.unwritten[(positions - memory.base)[:, None] + np.arange(made.item)] = 0
            words = whole_words(positions, made.item)
            if self.access.check and words.size:
                few = one_lane(lane, self.machine.shape.width, words.size)
                self.access.check.asynchronous_write(site, memory, words, few, bool(operation))

    # -- shared memory ----------------------------------------------------------------------------------------------------------
    def _box(self, site: Site, made: TensorMap, places: np.ndarray, lane: int, writes: bool) -> tuple[Memory, np.ndarray] | None:
        """Return (memory, positions) of the elements of a box in shared memory, checked; None where it is not inside."""
        words = whole_words(places, made.item)
        some = one_lane(lane, self.machine.shape.width, words.size)
        if self.access.counter:
            self.access.counter.bulk(replace_space(site, "shared"), made.box_bytes)
        shared, operation = replace_space(site, "shared"), "st" if writes else "ld"
        pieces = list(self.access.spaces["shared"].locate(words, 4, some))
        for memory, positions, chosen in pieces:
            if memory is None:
                part = some if chosen is None else one_lane(lane, self.machine.shape.width, positions.size)
                self.access.fault(shared, "shared", "out-of-bounds", positions, part, operation)
                return None
        memory, positions, _ = pieces[0]
        check = self.access.check
        if check and writes:
            check.asynchronous_write(shared, memory, positions, some)
        elif check:
            check.asynchronous_read(shared, memory, positions, some)
        return memory, places + (int(positions[0]) - int(words[0]))

    def _put(self, site: Site, made: TensorMap, start: int, values: np.ndarray, lane: int) -> None:
        """Write the elements of a box into shared memory."""
        found = self._box(site, made, maps.box_places(made, start), lane, True)
        if found is not None:
            memory, positions = found
            view, first = memory.view(f"u{made.item}")
            view[(positions - first) // made.item] = values
            self.access.changed(memory)

    def _fetched(self, site: Site, made: TensorMap, places: np.ndarray, lane: int) -> np.ndarray | None:
        """Return the elements of a box in shared memory, None where it is not inside."""
        found = self._box(site, made, places, lane, False)
        if found is None:
            return None
        memory, positions = found
        view, first = memory.view(f"u{made.item}")
        return view[(positions - first) // made.item]

    def _report(self, tool: str, site: Site, text: str, lane: int, address: int | None = None, space: str = "") -> None:
        self.access.report.add(tool, text, site, self.machine, lane, address, space)
        if not self.access.check:
            self.access.report.deliver()


def _at(values: np.ndarray | int, lane: int, code: str = "i8") -> int:
    """Return an operand's value for one lane."""
    values = np.asarray(values)
    return int((values if values.ndim == 0 else values[lane]).astype(code))


def replace_space(site: Site, space: str) -> Site:
    """Return a site for the words that an instruction touches in a state space."""
    if (site.space, site.size, site.count) == (space, 4, 1):
        return site
    return Site(site.name, site.ptx_line, site.source, site.line, space, "u4", 4, 1, site.number)


def whole_words(address: np.ndarray, item: int) -> np.ndarray:
    """Return the addresses of the aligned words of 4 bytes that elements of `item` bytes fill, in ascending order."""
    if item >= 4:
        return np.sort((address[:, None] + np.arange(0, item, 4)).ravel())
    words, count = np.unique(address & ~3, return_counts=True)
    return words[count * item == 4]


def each_once(index: np.ndarray) -> Iterator[np.ndarray]:
    """Yield positions in `index`, all of them in turn, so that none of its values is there twice at a time.

    A tensor with a stride of 0 has several elements at one place, and a reduction combines each of them with what is there.
    """
    left = np.arange(index.size)
    while left.size:
        first = np.unique(index[left], return_index=True)[1]
        yield left[first]
        left = np.delete(left, first)


def combined(before: np.ndarray, given: np.ndarray, operation: str, kind: str) -> np.ndarray:
    """Return what cp.reduce.async.bulk.tensor leaves of elements, unsigned integers of their size."""
    kind = _REDUCED.get(kind, kind)
    code = {"f16": "f2", "bf16": "u2"}.get(kind, kind[0] + str(before.dtype.itemsize)).replace("s", "i")
    return np.asarray(atomics.operation(operation, kind)(before.view(code), given.view(code))).astype(code).view(before.dtype)

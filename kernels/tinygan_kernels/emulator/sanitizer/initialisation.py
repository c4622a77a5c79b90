"""initcheck: reads of memory that nothing has written.

A load whose registers are only stored again is a copy, as of a structure with padding. An element of which some bytes are written
and others, the padding, are not may be copied: the marks go along. So may padding that is an element of its own. Of local memory,
wholly unwritten elements may be copied too, and a copy of those to memory whose marks are not kept (an ordinary array) is the read
that is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.syntax.ptx import WIDTH, Address, Register, Vector, names_in
from tinygan_kernels.emulator.translate.kernel import TranslatedBlock, TranslatedKernel

Registers = dict[int, tuple[tuple[str, str], ...]]  # PTX line -> (function, register) of each element


class Copies(NamedTuple):
    """The loads of a kernel whose registers are only stored, the stores of such registers, and whether it stores single bytes other
    than those.

    padding: those of the registers that may hold nothing but a structure's padding; unused: PTX lines of loads of which some values
    are known to be dropped; swaps: those of atomic exchanges of which nothing uses the old value, so that they read nothing.
    """

    loads: Registers
    stores: Registers
    bytes: bool
    padding: frozenset[tuple[str, str]]
    unused: frozenset[int]
    swaps: frozenset[int] = frozenset()


_KNOWN: WeakKeyDictionary[TranslatedKernel, Copies] = WeakKeyDictionary()


def copies_of(kernel: TranslatedKernel) -> Copies:
    """Return the copies of a kernel. The result is kept with the kernel."""
    if kernel not in _KNOWN:
        uses: Counter = Counter()  # of a register, other than as the value of a store
        kept: Counter = Counter()  # how often a register is the value of a store
        loads: dict[int, list] = {}
        stores: dict[int, list] = {}
        exchanges: dict[int, list] = {}
        for block in kernel.basic_blocks:
            for ins in block.instructions:
                named = [(block.function, n) for n in names_in(ins.operands, Register)]
                moved = ins.opcode in ("ld", "st") and "param" not in ins.modifiers and len(ins.operands) == 2
                held = _elements(ins.operands[ins.opcode == "st"], block.function) if moved else []
                if held:
                    (loads if ins.opcode == "ld" else stores)[ins.ptx_line] = held
                if ins.opcode == "atom" and "exch" in ins.modifiers:
                    exchanges[ins.ptx_line] = [(block.function, n) for n in names_in(ins.operands[0], Register)]
                uses.update(named)
                if held and ins.opcode == "st":
                    uses.subtract(held)
                    kept.update(held)
        unused = _lines_of(kernel, MAY_READ_UNWRITTEN)
        copied = {name for held in loads.values() for name in held if uses[name] == 1} & {n for s in stores.values() for n in s}
        stored = [(i, block.function) for block in kernel.basic_blocks for i in block.instructions if i.opcode == "st"]
        narrow = [(i, function) for i, function in stored if i.modifiers[-1] in ("u8", "s8", "b8") and "param" not in i.modifiers]
        _KNOWN[kernel] = Copies(
            {line: tuple(held) for line, held in loads.items() if copied.issuperset(held)},
            {line: tuple(held) for line, held in stores.items() if copied.intersection(held)},
            any(not copied.issuperset(_elements(i.operands[-1], function) or [None]) for i, function in narrow),
            frozenset(name for block in kernel.basic_blocks for name in _padding(block, copied)),
            unused,
            frozenset(line for line, old in exchanges.items() if all(uses[n] == 1 and not kept[n] for n in old)),
        )
    return _KNOWN[kernel]


def _lines_of(kernel: TranslatedKernel, headers: tuple[str, ...]) -> frozenset[int]:
    """Return the PTX lines of the instructions that are written in one of these headers."""
    files = {number for number, name in kernel.module.files.items() if name.endswith(headers)}
    if not files:
        return frozenset()
    return frozenset(i.ptx_line for block in kernel.basic_blocks for i in block.instructions if i.origin in files)


def _padding(block: TranslatedBlock, copied: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Return the copied registers of 4 bytes that may be a structure's padding alone.

    {double, short} is copied as 8, 2, 1 + 1 and 4 bytes. What tells padding from other integers are the copies of shorter elements
    right before it, and one of 8 bytes, without which a structure has no padding of 4.
    The int of {double, short, int} looks alike.
    """
    loads = []
    for ins in block.instructions:
        held = _elements(ins.operands[0], block.function) if ins.opcode == "ld" and len(ins.operands) == 2 else []
        if held and copied.issuperset(held) and isinstance(ins.operands[1], Address):
            loads.append((ins.operands[1].base, ins.operands[1].offset, WIDTH[ins.modifiers[-1]], held))
    for base, offset, size, held in loads:
        beside = [(o - offset, s) for b, o, s, _ in loads if b == base]
        aligned = any(s == 8 and o % 8 == 4 for o, s in beside)
        if size == 4 and len(held) == 1 and aligned and any(s < 4 and -4 <= o < 0 for o, s in beside):
            yield held[0]


def _elements(operand, function: str) -> list:
    """Return the registers of an operand, none if some element is not a register."""
    items = operand.items if isinstance(operand, Vector) else (operand,)
    return [(function, i.name) for i in items] if all(isinstance(i, Register) for i in items) else []


MAY_READ_UNWRITTEN = ("cub/block/block_merge_sort.cuh",)
"""Headers whose loads from shared memory may meet an element that nobody has written, and drop it. (cub, SerialMerge: "One more
item may be read but is not used".)"""


class Unwritten(NamedTuple):
    """What a register holds that was copied from unwritten memory: the marks of its bytes by lane, and where it was read."""

    marks: np.ndarray
    site: object
    addresses: dict[int, int]  # by lane


class ChecksInitialisation:
    """The part of a ChunkSanitizer that keeps the marks of unwritten bytes."""

    def mark_view(self, site, memory: Memory, positions):
        """Return (the marks of unwritten bytes, seen in elements of the access's size; the index of each lane's first element)."""
        marks = self.marks.get(id(memory))
        if marks is None:
            marks = self.marks[id(memory)] = Memory(memory.unwritten.view("u1"), memory.base)
        view, first = marks.view(f"u{site.size}")
        return view, (positions - first) >> site.shift

    def initialised(self, site, memory: Memory, positions, lanes: Lanes) -> None:
        """Report the lanes that read bytes which were never written, unless they only copy them."""
        view, index = self.mark_view(site, memory, positions)
        if memory is self.shared and site.ptx_line in self.copies.unused:
            return
        bad = view[index] != 0
        for j in range(1, site.count):
            bad |= view[index + j] != 0
        if bad.any() and memory is self.local and self.frames.ends:
            gone = self.not_gone(site, positions, lanes, "read")
            bad = bad if gone is None else bad & ~gone
        copied = self.copies.loads.get(site.ptx_line, ())
        if copied and (bad.any() or any(name in self.unwritten_registers for name in copied)):
            elements = [view[index + j] for j in range(site.count)]
            whole = [np.zeros(index.shape, bool)] * site.count if memory is self.local else self._whole(site, elements)
            if copied[0] in self.copies.padding:
                whole = [whole[0] & self._unit_unwritten(site, memory, positions)]
            kept = [np.where(w, 0, e).astype(e.dtype) for e, w in zip(elements, whole, strict=True)]
            self._copied(copied, site, memory, kept, positions, lanes, bad)
            bad = np.logical_or.reduce(whole)
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            address = self.own_address(memory, positions[i], lanes.index[i])
            self._report_unwritten(site, memory, lanes.index[i], address, int(bad.sum()))

    def _report_unwritten(self, site, memory: Memory, lane: int, address: int, count: int) -> None:
        space = "shared" if memory is self.shared else "local" if memory is self.local else "global"
        self.report.add("initcheck", f"read of uninitialised {space} memory", site, self.machine, lane, address, space, count)

    def _copied(self, names: tuple, site, memory: Memory, elements: list, positions, lanes: Lanes, bad: np.ndarray) -> None:
        """Note what a copy's registers hold of unwritten bytes. elements: the marks, for each register one of each lane; bad: the
        lanes that have read unwritten bytes, but for those whose variable is gone, which have been told that."""
        for name, element in zip(names, elements, strict=True):
            kept = self.unwritten_registers.get(name)
            if not bad.any() and kept is None:
                continue
            marks = np.zeros(self.machine.shape.width, element.dtype) if kept is None else kept.marks
            marks[lanes.index] = np.where(bad, element, 0)
            addresses = {} if kept is None else kept.addresses
            for i in np.flatnonzero(bad):
                addresses[int(lanes.index[i])] = self.own_address(memory, positions[i], lanes.index[i])
            self.unwritten_registers[name] = Unwritten(marks, site, addresses)

    def written(self, site, memory: Memory, positions, lanes: Lanes) -> None:
        """Note that a store writes its bytes, which are unwritten still where it stores what was copied from such bytes."""
        view = index = None
        if memory.unwritten is not None:
            view, index = self.mark_view(site, memory, positions)
            for j in range(site.count):
                view[index + j] = 0
        if not self.unwritten_registers:
            return
        names = self.copies.stores.get(site.ptx_line, ())
        if not any(name in self.unwritten_registers for name in names):
            return
        held = [self.unwritten_registers.get(name) for name in names]
        marks = [h.marks[lanes.index] if h is not None else np.zeros(lanes.index.size, f"u{site.size}") for h in held]
        whole = self._whole(site, marks)
        for j, source in enumerate(held):
            if source is None:
                continue
            if view is not None and marks[j].dtype == view.dtype:
                view[index + j] = marks[j]
            elif whole[j].any() and names[j] not in self.copies.padding:
                lane, count = int(lanes.index[np.flatnonzero(whole[j])[0]]), int(np.count_nonzero(whole[j]))
                self._report_unwritten(source.site, self.local, lane, source.addresses[lane], count)

    def _unit_unwritten(self, site, memory: Memory, positions) -> np.ndarray:
        """Return in which lanes nothing is written of the 8 bytes, aligned, that an element of 4 bytes lies in."""
        view, index = self.mark_view(site, memory, positions)
        other = np.where(positions & 7, index - 1, np.minimum(index + 1, view.size - 1))
        return view[other] == np.iinfo(view.dtype).max // 255

    def _whole(self, site, elements: list[np.ndarray]) -> list[np.ndarray]:
        """Return, for each element of a copy, in which lanes it has no written byte. elements: their marks, one integer each.

        Structures are copied by short vectors of integers, each of which counts as one element; their padding also by single
        bytes, of which none counts in a kernel that writes no other bytes one by one.
        """
        found = [np.ascontiguousarray(e).view("u1").reshape(e.size, -1).all(axis=1) for e in elements]
        if site.code == "u1" and not self.copies.bytes:
            return [np.zeros_like(f) for f in found]
        return [np.logical_and.reduce(found)] * len(found) if site.code[0] == "u" and site.bytes <= 8 else found

"""Asynchronous copies under way: which bytes nobody may touch, whose copy it is, and stores to what copies still read."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels.emulator.execute.lanes import Lanes, Shape
from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.sanitizer.copies import ChecksCopies
from tinygan_kernels.emulator.sanitizer.order import FLAG_BITS, THREAD_BITS, LaunchTime
from tinygan_kernels.emulator.sanitizer.races import Records
from tinygan_kernels.emulator.translate.kernel import Site

FIRST, GRID = 3, 8  # the chunk's first block; the grid's blocks
SHAPE = Shape(2, (20, 1, 1), (GRID, 1, 1))
STRIDE, BYTES, BASE = 32, 128, 4096  # lanes of a block, bytes of its shared memory, where global memory begins
COPY = Site("cp.async.ca.shared.global", 30, "k.cu:5", (1, 5), "shared", "u4", 4, 4)  # 16 bytes
WORD = Site("ld.shared.u32", 40, "k.cu:9", (1, 9), "shared", "u4", 4)
STORE = Site("st.global.u32", 50, "k.cu:7", (1, 7), "global", "u4", 4)


class Copies(ChecksCopies):
    """The checks under test, in a chunk of two blocks of 20 threads, with lists of what they report and of what they write."""

    def __init__(self):
        self.said, self.wrote, self.flight, self.flying = [], [], None, 0
        self.clock, self.report = LaunchTime(GRID), SimpleNamespace(add=lambda *said: self.said.append(said))
        self.shared, self.array = Memory(np.zeros(2 * BYTES, np.uint8), 0), Memory(np.zeros(256, np.uint8), BASE)
        other = Memory(np.zeros(64, np.uint8), BASE + 1024)
        start = np.arange(2 * STRIDE) // STRIDE * BYTES
        self.spaces = {"shared": SimpleNamespace(start=start), "global": SimpleNamespace(locate=self.locate)}
        self.machine = SimpleNamespace(
            shape=SHAPE, first=FIRST, access=SimpleNamespace(spaces=self.spaces, copies=SimpleNamespace(pending=[])),
            position=lambda lane: ((FIRST + lane // STRIDE, 0, 0), (lane % STRIDE, 0, 0)))  # fmt: skip
        self.memories = (self.array, other)

    def locate(self, addresses, size, lanes):
        """Yield each memory that some lanes are in, those lanes' places, and which of the lanes these are (None: all)."""
        for memory in self.memories:
            inside = (addresses >= memory.base) & (addresses < memory.end)
            if inside.any():
                yield memory, addresses[inside], None if inside.all() else np.flatnonzero(inside)
        outside = ~np.logical_or.reduce([(addresses >= m.base) & (addresses < m.end) for m in self.memories])
        if outside.any():
            yield None, addresses[outside], np.flatnonzero(outside)

    def write(self, site, memory, positions, lanes, values=None, initialises=True):
        self.wrote.append((site.ptx_line, positions.tolist(), initialises))


def lanes_of(*index: int) -> Lanes:
    return Lanes(np.isin(np.arange(2 * STRIDE), index))


def pending(copies: Copies, lanes: Lanes, positions: np.ndarray, site: Site = COPY, memory: Memory | None = None) -> None:
    """Let copies be known to the machine as waited for by nobody yet."""
    copies.machine.access.copies.pending.append(
        SimpleNamespace(memory=memory or copies.shared, position=positions, site=site, lane=lanes.index))


# -- the target ---------------------------------------------------------------------------------------------------------------
def test_a_copy_writes_when_it_is_issued_and_again_when_it_arrives():
    copies, lanes, positions = Copies(), lanes_of(1, 40), np.array([16, BYTES + 32])
    copies.issued(COPY, copies.shared, positions, lanes)
    assert copies.wrote == [(30, [16, BYTES + 32], False)] and copies.flying == 2
    copies.arrived(COPY, copies.shared, positions, lanes)
    assert copies.wrote[1:] == [(30, [16, BYTES + 32], True)] and copies.flying == 0


def test_a_copy_into_other_memory_is_not_under_way_in_shared_memory():
    copies = Copies()
    copies.issued(COPY, copies.array, np.array([BASE]), lanes_of(1))
    assert copies.flight is None and copies.flying == 0


@pytest.mark.parametrize("action", ["read", "write"])
def test_each_byte_under_way_is_looked_at(action):
    """A copy brings bytes 16 to 31 of the second block; the lanes 33 to 38 touch words around them, at 12, 16, ..., 32."""
    copies, lanes = Copies(), lanes_of(*range(33, 39))
    copy = np.array([BYTES + 16])
    copies.not_flying(WORD, BYTES + np.arange(12, 36, 4), lanes, action)
    copies.issued(COPY, copies.shared, copy, lanes_of(45))
    copies.not_flying(WORD, np.arange(12, 36, 4), lanes_of(*range(6)), action)  # the same places of the first block
    assert not copies.said
    copies.not_flying(WORD, BYTES + np.arange(12, 36, 4), lanes, action)
    message = f"{action} of bytes that a cp.async has yet to bring; its thread has not waited for it"
    assert copies.said == [("racecheck", message, WORD, copies.machine, 34, 16, "shared", 4)]
    copies.said.clear()
    pair = Site("ld.shared.v2.u32", 41, "k.cu:9", (1, 9), "shared", "u4", 4, 2)
    pending(copies, lanes_of(45), copy)
    copies.not_flying(pair, BYTES + np.array([8, 12, 28, 32]), lanes_of(33, 34, 35, 36), action)
    (said,) = copies.said
    assert said[1] == f"{message}; the copy is by thread (13, 0, 0) of block (4, 0, 0), k.cu:5 (PTX line 30)"
    assert said[4:] == (34, 12, "shared", 2)
    copies.said.clear()
    copies.arrived(COPY, copies.shared, copy, lanes_of(45))
    copies.not_flying(pair, BYTES + np.array([8, 12, 28, 32]), lanes_of(33, 34, 35, 36), action)
    assert not copies.said


def test_bytes_are_free_when_their_own_copy_has_arrived():
    copies = Copies()
    copies.issued(COPY, copies.shared, np.array([0, 64]), lanes_of(2, 3))
    copies.arrived(COPY, copies.shared, np.array([0]), lanes_of(2))
    copies.not_flying(WORD, np.array([12]), lanes_of(4), "read")
    assert not copies.said
    copies.not_flying(WORD, np.array([76, 60, 64]), lanes_of(4, 5, 6), "read")
    assert [said[4:] for said in copies.said] == [(4, 76, "shared", 2)]


@pytest.mark.parametrize(("position", "size", "named"), [
    (28, 4, 10), (32, 4, 11), (47, 1, 11), (31, 1, 10), (12, 4, ""), (48, 4, ""), (12, 8, 10), (40, 16, 11), (15, 1, ""),
    (16, 1, 10),
])  # fmt: skip
def test_the_copy_that_brings_some_bytes_is_named(position, size, named):
    """Lanes 10 and 11 copy to 16 to 31 and 32 to 47; a third copy at these places is one to another memory."""
    copies = Copies()
    pending(copies, lanes_of(12), np.array([position]), memory=copies.array)
    pending(copies, lanes_of(10, 11), np.array([16, 32]))
    text = f"; the copy is by thread ({named}, 0, 0) of block (3, 0, 0), k.cu:5 (PTX line 30)" if named else ""
    assert copies._copier(position, size) == text


# -- the source ---------------------------------------------------------------------------------------------------------------
def stored(copies: Copies, number: int, address: int) -> int:
    """Note that a thread (block << 10 | thread) stores a word now. Returns when that was."""
    time = copies.clock.tick(STORE)
    stamp = time << copies.clock.shift | number << FLAG_BITS | 3
    copies.array.races.writer[(address - BASE) // 4], copies.array.races.written = stamp, True
    return time


@pytest.mark.parametrize("word", range(4))
def test_a_store_to_any_byte_that_a_copy_still_reads_is_told(word):
    """Lanes 5 and 37 copy 16 bytes each; the thread 7 of block 4 stores to those of lane 37, before or after these were issued."""
    copies, lanes = Copies(), lanes_of(5, 37)
    copies.array.races = Records(256, 4, BASE)
    sources = np.array([BASE + 32, BASE + 64])
    copies.source_kept(COPY, sources, lanes, copies.time())
    before = stored(copies, 4 << THREAD_BITS | 7, BASE + 64 + 4 * word)
    assert before == copies.time()
    stored(copies, 4 << THREAD_BITS | 7, BASE + 48)
    stored(copies, 4 << THREAD_BITS | 7, BASE + 80)
    copies.source_kept(COPY, sources, lanes, before)
    assert not copies.said
    copies.source_kept(COPY, sources, lanes, before - 1)
    message = ("write of bytes that a cp.async reads, before the wait for it; the copy is by thread (5, 0, 0) of block (4, 0, 0), "
               "k.cu:5 (PTX line 30)")  # fmt: skip
    assert copies.said == [("racecheck", message, STORE, copies.machine, 32 + 7, BASE + 64, "global", 1)]


@pytest.mark.parametrize(("number", "lane"), [
    (3 << 10, 0), (4 << 10 | 19, 51), (2 << 10 | 19, 9), (5 << 10, 9), (0, 9), (3 << 10 | 9, 9)])  # fmt: skip
def test_a_store_by_a_thread_of_another_chunk_is_told_of_the_copier(number, lane):
    copies = Copies()
    copies.array.races = Records(256, 4, BASE)
    stored(copies, number, BASE + 4)
    copies.source_kept(COPY, np.array([BASE]), lanes_of(9), 1)
    assert [said[4] for said in copies.said] == [lane]


def test_stores_are_told_of_each_memory_that_copies_read():
    """Four lanes copy from two arrays and from nowhere; of one that nothing has written there is nothing to tell."""
    copies, lanes = Copies(), lanes_of(1, 2, 3, 35)
    addresses = np.array([BASE + 1024, BASE, BASE + 9999, BASE + 16])
    copies.array.races, copies.memories[1].races = Records(256, 4, BASE), Records(64, 4, BASE + 1024)
    stored(copies, 3 << THREAD_BITS | 9, BASE + 8)
    stored(copies, 3 << THREAD_BITS | 9, BASE + 20)
    copies.source_kept(COPY, addresses, lanes, 1)
    assert [said[4:] for said in copies.said] == [(9, BASE, "global", 2)]
    assert "by thread (2, 0, 0) of block (3, 0, 0)" in copies.said[0][1]
    stamp = copies.array.races.writer[2]
    copies.memories[1].races.writer[1], copies.memories[1].races.written, copies.array.races = stamp, True, None
    copies.said.clear()
    copies.source_kept(COPY, addresses, lanes, 1)
    assert [said[4:] for said in copies.said] == [(9, BASE + 1024, "global", 1)]
    assert "by thread (1, 0, 0) of block (3, 0, 0)" in copies.said[0][1]

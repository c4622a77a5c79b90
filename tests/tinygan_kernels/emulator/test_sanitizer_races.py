"""What the racecheck finds, access by access, against a model that goes through lanes one by one and asks whole vector clocks."""

from dataclasses import replace
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.sanitizer.races import Races, Records, stale_way
from tinygan_kernels.emulator.sanitizer.strength import STRONG, WIDE, Strength
from tinygan_kernels.emulator.translate.kernel import Site

from tests.support.vector_clocks import BLOCKS, FIRST, STRIDE, WIDTH, Both

BASE, WORDS = 4096, 6  # where the memory begins, and how many words of it are used, in shared memory by each block
WORD, PAIR = Site("st.global.u32", 0, "", (1, 0), "global", "u4", 4), Site("st.global.v2.u32", 0, "", (1, 0), "global", "u4", 4, 2)
NEWEST, SAME_WARP, SAME_BLOCK, ELSEWHERE = range(4)
BY_OTHER, BY_BLOCK = "another thread with no barrier between", "another block"


class Access(NamedTuple):
    """One access of a lane. flags: those of its strength."""

    lane: int
    time: int
    flags: int
    line: int


class AtMemory(Both):
    """Accesses to a few words. The model keeps, of each granule, four writers and four readers, each as an Access."""

    def __init__(self, seed: int, space: str, granule: int, clustered: bool = False):
        super().__init__(seed)
        self.space, self.granule, self.across = space, granule, space == "global" or clustered
        self.apart = 0 if self.across else WORDS * 4  # bytes from one block's words to those of the next
        self.said: list[tuple] = []
        self.complete_machine(clustered)
        self.races = Races(self.order, space, SimpleNamespace(add=lambda *said: self.said.append(said)))
        self.memory = Memory(np.zeros(BLOCKS * WORDS * 4 + 8, np.uint8), BASE)
        self.records = Records(self.memory.data.size, granule, BASE)
        self.writers: dict[tuple[int, int], Access] = {}  # by granule and kind
        self.readers: dict[tuple[int, int], Access] = {}
        self.met = np.zeros(BLOCKS, "i8")  # when each block met as a whole, the last time
        self.line = 0

    def complete_machine(self, clustered: bool) -> None:
        """Give the order's machine what the races want to know of one. Shared memory of a block begins at `start` of its lanes."""
        machine = self.order.machine
        self.start = np.arange(WIDTH) // STRIDE * (1000 if self.space == "shared" else 0)
        machine.members = SimpleNamespace(blocks=np.zeros((1, 2) if clustered else (2, 1)))
        machine.block_position = lambda block: ((FIRST + block) % 20, (FIRST + block) // 20, 0)
        machine.access = SimpleNamespace(spaces={"shared": SimpleNamespace(start=self.start)})

    # -- accesses -----------------------------------------------------------------------------------------------
    def drawn(self, name: str, wide: bool) -> tuple[Site, Lanes, np.ndarray]:
        """Return an instruction, some lanes, and the address of each."""
        self.line += 1
        site = replace(PAIR if wide else WORD, name=name, ptx_line=self.line, source=f"k.cu:{self.line}")
        mask, alive = np.zeros(WIDTH, bool), np.flatnonzero(self.truth.alive)
        mask[self.random.choice(alive[alive % STRIDE < 40], self.random.integers(1, 6), replace=False)] = True
        lanes = Lanes(mask)
        words = self.random.integers(WORDS // site.count, size=lanes.count) * site.count
        return site, lanes, BASE + 4 * words + self.apart * self.block[lanes.index]

    def spans(self, site: Site, position: int) -> list[int]:
        """Return the granules that an access spans."""
        return [(position - BASE) // self.granule + j for j in range(site.bytes // self.granule)]

    def read(self) -> None:
        flags, stale = self.random.choice([0, 0, STRONG, STRONG | WIDE]), self.random.random() < 0.1
        site, lanes, positions = self.drawn("ld.global.nc.u32" if stale else "ld.global.u32", self.random.random() < 0.3)
        self.races.read(site, Strength(int(flags), False, False), self.memory, self.records, positions, lanes)
        accesses = [Access(lane, self.clock.now, int(flags), self.line) for lane in lanes.index.tolist()]
        expected = []
        for j in range(site.bytes // self.granule):
            at = [self.spans(site, position)[j] for position in positions.tolist()]
            if stale:
                found = [i for i, place in enumerate(at) if (place, NEWEST) in self.writers]
                expected += self.stale(site, found, [self.writers.get((place, NEWEST)) for place in at], accesses, positions)
            else:
                expected += self.first_of(range(4), self.writers, at, site, accesses, positions, "read", "written")
            self.note(self.readers, at, accesses)
        self.compare(expected)

    def write(self) -> None:
        kind = self.random.integers(4)
        flags, atomic = (0, 0, STRONG, STRONG | WIDE)[kind], kind >= 2 and self.random.random() < 0.5
        name, wide = "atom.global.add.u32" if atomic else "st.global.u32", not atomic and self.random.random() < 0.3
        site, lanes, positions = self.drawn(name, wide)
        values = self.random.integers(1, 3, (site.count, WIDTH)).astype("u4")
        given = None if atomic else list(values)
        self.races.write(site, Strength(flags, False, False), self.memory, self.records, positions, lanes, given)
        accesses = [Access(lane, self.clock.now, flags, self.line) for lane in lanes.index.tolist()]
        expected, view = [], self.memory.view("u4")[0]
        for j in range(site.bytes // self.granule):
            element = j * self.granule // 4
            at = [self.spans(site, position)[j] for position in positions.tolist()]
            stored = [int(values[element, lane]) for lane in lanes.index]
            before = [int(view[(position - BASE) // 4 + element]) for position in positions.tolist()]
            changes = [atomic or stored[i] != before[i] for i in range(len(at))]
            found = self.first_of(range(4), self.writers, at, site, accesses, positions, "write", "written", changes)
            expected += found or self.first_of(range(3, -1, -1), self.readers, at, site, accesses, positions, "write", "read")
            last = {place: i for i, place in enumerate(at)}
            if flags:
                self.note(self.writers, at, accesses)
            else:
                self.writers.update({(place, NEWEST): accesses[i] for place, i in last.items()})
            expected += self.at_once(site, at, last, accesses, positions, None if atomic else stored)
        if not atomic:
            for i, position in enumerate(positions.tolist()):
                view[(position - BASE) // 4 :][: site.count] = values[:, lanes.index[i]]
        self.compare(expected)

    def first_of(self, kinds, table, at, site, accesses, positions, action, earlier, changes=None) -> list[tuple]:
        """Return the finding of a race with those of the first kind that any lane races with. changes: lanes whose race counts."""
        for kind in kinds:
            others = [table.get((place, kind)) for place in at]
            found = [i for i, other in enumerate(others) if self.race(accesses[i], other) and (changes is None or changes[i])]
            if found:
                return self.told(site, found, others, accesses, positions, action, earlier)
        return []

    def note(self, table: dict[tuple[int, int], Access], at: list[int], accesses: list[Access]) -> None:
        """The last lane of the instruction is the newest one. Who is displaced is kept by how far it is from who came."""
        old, last = {place: table.get((place, NEWEST)) for place in at}, dict(zip(at, accesses, strict=True))
        kept: dict[tuple[int, int], Access] = {}
        for place, access in zip(at, accesses, strict=True):
            before = old[place]
            if before is not None and before.lane != access.lane and not self.met_since(before, access):
                kept[place, self.distance(before, access)] = before
        table.update(kept)
        kept = {(place, self.distance(access, last[place])): access
                for place, access in zip(at, accesses, strict=True) if access != last[place]}
        table.update(kept | {(place, NEWEST): access for place, access in last.items()})

    def met_since(self, before: Access, access: Access) -> bool:
        """Return whether the block of both has met as a whole between the two."""
        here = self.block[before.lane] == self.block[access.lane]
        return bool(here and before.time <= self.met[self.block[access.lane]])

    def distance(self, one: Access, other: Access) -> int:
        if self.warp[one.lane] == self.warp[other.lane]:
            return SAME_WARP
        return SAME_BLOCK if self.block[one.lane] == self.block[other.lane] else ELSEWHERE

    # -- what is found ------------------------------------------------------------------------------------------
    def race(self, access: Access, other: Access | None) -> bool:
        """Return whether an access races with an earlier one: another thread's, not ordered, and not both strong enough."""
        if other is None or other.lane == access.lane:
            return False
        wanted = STRONG if self.block[access.lane] == self.block[other.lane] else STRONG | WIDE
        both = access.flags & other.flags & wanted == wanted
        return not both and self.truth.known[access.lane, other.lane] < other.time

    def told(self, site, found, others, accesses, positions, action, earlier) -> list[tuple]:
        """Return the finding of a race by lanes that are `found`, in words."""
        if not found:
            return []
        mine, other = accesses[found[0]], others[found[0]]
        same = self.block[mine.lane] == self.block[other.lane]
        what = f"bytes {earlier} by another thread with no barrier between" if same else (
            f"bytes that another block {'writes' if earlier == 'written' else 'reads'}, with no order between")  # fmt: skip
        return [self.finding(site, f"{self.where(same)}: {action} of {what}", other, mine, positions[found[0]], len(found))]

    def stale(self, site, found, others, accesses, positions) -> list[tuple]:
        if not found:
            return []
        message = "stale read: read through the read-only cache (ld.global.nc, __ldg) of bytes that this launch has written"
        return [self.finding(site, message, others[found[0]], accesses[found[0]], positions[found[0]], len(found))]

    def at_once(self, site, at, last, accesses, positions, stored) -> list[tuple]:
        """Return the finding of lanes that write one place at once: other values, or strong for their own block alone."""
        flags, found = accesses[0].flags, []
        for i, place in enumerate(at):
            winner = last[place]
            apart = self.block[accesses[winner].lane] != self.block[accesses[i].lane]
            if i != winner and (stored[i] != stored[winner] if not flags else apart and flags == STRONG and self.across):
                found.append(i)
        if not found:
            return []
        mine, other = accesses[found[0]], accesses[last[at[found[0]]]]
        same = self.block[mine.lane] == self.block[other.lane]
        what = "threads write different values to the same bytes in one instruction" if same else (
            "write of bytes that another block writes in the same instruction")  # fmt: skip
        return [self.finding(site, f"{self.where(same)}: {what}", other, mine, positions[found[0]], len(found))]

    def where(self, same: bool) -> str:
        if self.space == "shared":
            return "shared-memory race"
        return "global-memory race within a block" if same else "global-memory race between blocks"

    def finding(self, site, message, other: Access, mine: Access, position, count) -> tuple:
        block = FIRST + int(self.block[other.lane])
        thread = f"thread ({other.lane % STRIDE}, 0, 0)"
        if self.block[mine.lane] != self.block[other.lane]:
            thread = f"block ({block % 20}, {block // 20}, 0), {thread}"
        numbers = [int(self.order.number[each.lane]) for each in (mine, other)]
        sides = None if numbers[0] == numbers[1] else tuple(numbers)
        address = int(position) - int(self.start[mine.lane])
        whole = f"{message}; the other is {thread}, k.cu:{other.line} (PTX line {other.line})"
        return "racecheck", whole, site.ptx_line, mine.lane, address, self.space, count, sides

    def compare(self, expected: list[tuple]) -> None:
        said = [(tool, message, site.ptx_line, *rest) for tool, message, site, _, *rest in self.said]
        self.said.clear()
        assert said == expected

    # -- order --------------------------------------------------------------------------------------------------
    def blocks_meet(self) -> None:
        before = self.order.block_time.copy()
        self.block_barrier()
        self.met = np.where(self.order.block_time > before, self.order.block_time, self.met)


EVENTS = (AtMemory.read, AtMemory.read, AtMemory.read, AtMemory.write, AtMemory.write, AtMemory.blocks_meet, AtMemory.warp_sync,
          AtMemory.acquire)  # fmt: skip


@pytest.mark.parametrize(("space", "granule", "clustered"), [
    ("global", 4, False), ("global", 1, False), ("shared", 4, False), ("shared", 4, True), ("shared", 1, False)])  # fmt: skip
@pytest.mark.parametrize("seed", range(4))
def test_races_are_those_of_the_model(seed, space, granule, clustered):
    both = AtMemory(seed, space, granule, clustered)
    for _ in range(120):
        EVENTS[both.random.integers(len(EVENTS))](both)
        both.clock.tick()


# -- records ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("granule", "start", "end", "gone"), [
    (4, BASE + 8, BASE + 16, [2, 3]), (4, BASE + 8, BASE + 13, [2, 3]), (4, BASE + 10, BASE + 12, [2]), (4, BASE, BASE + 4, [0]),
    (1, BASE + 8, BASE + 11, [8, 9, 10]), (4, BASE + 20, BASE + 24, [5]), (4, BASE + 4, BASE + 4, []),
])  # fmt: skip
def test_bytes_that_are_allocated_anew_were_touched_by_nobody(granule, start, end, gone):
    records = Records(24, granule, BASE)
    kept = [records.writer, records.slot(records.older, ELSEWHERE), records.slot(records.readers, NEWEST)]
    for stamps in kept:
        stamps[:] = 7
    records.forget(start, end)
    for stamps in kept:
        assert np.flatnonzero(stamps == 0).tolist() == gone and (stamps[stamps != 0] == 7).all()
    assert records.readers[SAME_WARP] is None and not records.slot(records.readers, SAME_WARP).any()


@pytest.mark.parametrize(("size", "granule"), [(24, 4), (25, 4), (27, 4), (28, 4), (5, 1)])
def test_records_reach_to_the_last_byte(size, granule):
    records = Records(size, granule, BASE)
    last = [at for _, at in records.granules(SimpleNamespace(bytes=1), np.array([BASE + size - 1]))]
    assert [int(at[0]) for at in last] == [(size - 1) // granule] and records.writer.size > (size - 1) // granule
    assert not records.written and records.slot(records.readers, ELSEWHERE).size == records.writer.size


@pytest.mark.parametrize(("name", "way"), [
    ("ld.global.u32", ""), ("ld.global.nc.u32", "through the read-only cache (ld.global.nc, __ldg)"), ("st.global.u32", ""),
    ("tex.2d.v4.f32.s32", "through a texture"), ("tld4.r.2d.v4.f32.f32", "through a texture"),
    ("suld.b.2d.b32.trap", "through a surface"), ("sust.b.2d.b32.trap", ""), ("atom.global.add.u32", ""),
])  # fmt: skip
def test_ways_on_which_a_launch_may_not_see_its_writes(name, way):
    assert stale_way(name) == way


@pytest.mark.parametrize(("name", "size", "line", "found"), [
    ("st.volatile.global.u64", 8, 1, "of 8 and 4 bytes"), ("st.volatile.global.u32", 4, 1, ""),
    ("st.volatile.global.u8", 1, 1, ""),
    ("st.volatile.global.u32", 4, 9, "three steps"), ("atom.global.add.u32", 4, 1, ""),
    ("ld.volatile.global.u64", 8, 1, "of 8 and 4"),
    ("ld.volatile.global.u32", 4, 9, ""), ("st.global.u32", 4, 9, "with no order between"),
])  # fmt: skip
def test_strong_accesses_race_if_their_sizes_differ_or_one_is_written_back(name, size, line, found):
    """Block 0 has added to a word; line 9 is a store of what was read there."""
    both = AtMemory(0, "global", 4)
    both.races.mixed, both.races.updates = True, frozenset({9})
    strong = Strength(STRONG | WIDE, False, False)
    one, other = (Lanes(np.arange(WIDTH) == lane) for lane in (0, STRIDE))
    site = replace(WORD, name="atom.global.add.u32", ptx_line=2)
    both.races.write(site, strong, both.memory, both.records, np.array([BASE]), one, None)
    site = replace(WORD, name=name, size=size, code=f"u{size}", ptx_line=line)
    given = strong if "volatile" in name or "atom" in name else Strength(0, False, False)
    if name.startswith("ld"):
        both.races.read(site, given, both.memory, both.records, np.array([BASE]), other)
    else:
        values = None if name.startswith("atom") else [np.ones(WIDTH, f"u{size}")]
        both.races.write(site, given, both.memory, both.records, np.array([BASE]), other, values)
    said = [message for _, message, *_ in both.said]
    assert len(said) == bool(found) and all(found in message for message in said)


def test_an_add_after_an_update_of_another_block_and_updates_at_once_lose_one():
    both = AtMemory(0, "global", 4)
    both.races.updates = frozenset({9})
    strong, update = Strength(STRONG | WIDE, False, False), replace(WORD, name="st.volatile.global.u32", ptx_line=9)
    one, two = Lanes(np.arange(WIDTH) == 0), Lanes(np.isin(np.arange(WIDTH), (0, STRIDE)))
    both.races.write(update, strong, both.memory, both.records, np.array([BASE]), one, [np.ones(WIDTH, "u4")])
    assert not both.said
    add = replace(WORD, name="atom.global.add.u32", ptx_line=2)
    both.races.write(add, strong, both.memory, both.records, np.array([BASE]), Lanes(np.arange(WIDTH) == STRIDE), None)
    both.races.write(update, strong, both.memory, both.records, np.array([BASE + 8] * 2), two, [np.ones(WIDTH, "u4")])
    told = [(message, "three steps" in message, "in the same instruction" in message) for _, message, *_ in both.said]
    assert [found for _, *found in told] == [[True, False], [True, True]]

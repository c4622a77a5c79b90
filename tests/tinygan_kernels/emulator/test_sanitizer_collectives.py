"""Masks of collectives and counts of barriers, lane by lane against what PTX demands."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels.emulator.execute.lanes import WARP, Lanes
from tinygan_kernels.emulator.sanitizer.collectives import ChecksCollectives

WARPS = 3
WIDTH = WARPS * WARP
ALL = np.uint32(0xFFFFFFFF)
SITE = SimpleNamespace(name="an.instruction", ptx_line=7)


class Collectives(ChecksCollectives):
    """The checks under test, with a list of what they report: messages, lanes and counts."""

    def __init__(self):
        self.machine, self.said = SimpleNamespace(), []
        self.launch = SimpleNamespace(undefined={}, replaced=frozenset(), replace_by=np.invert, given=set())
        self.order = SimpleNamespace(number=np.arange(WIDTH) + 1000)
        self.report = SimpleNamespace(add=self.add)

    def add(self, tool, message, site, machine, lane, count):
        assert tool == "synccheck" and site is SITE and machine is self.machine and message.startswith("an.instruction: ")
        self.said.append((message.removeprefix("an.instruction: "), lane, count))


def some_lanes(random: np.random.Generator) -> Lanes:
    return Lanes(random.random(WIDTH) < random.choice([0.1, 0.5, 1.1]))


@pytest.mark.parametrize("seed", range(6))
def test_a_mask_has_to_name_who_executes(seed):
    random = np.random.default_rng(seed)
    for _ in range(20):
        lanes = some_lanes(random)
        masks = random.integers(0, 1 << 32, WIDTH).astype(np.uint32) | random.choice([np.uint32(0), ALL], WIDTH)
        bad = [lane for lane in lanes.index.tolist() if not int(masks[lane]) >> lane % WARP & 1]
        checks = Collectives()
        checks.members(SITE, masks, lanes)
        assert checks.said == ([("the mask leaves out the thread that executes it", bad[0], len(bad))] if bad else [])


@pytest.mark.parametrize(("mask", "lanes", "found"), [
    (0xFFFFFFFF, [0, 31, 95], None), (-1, [3], None), (0xFFFFFFFE, [5, 64, 32], (32, 2)), (0x7FFFFFFF, [30, 94], None),
    (0x7FFFFFFF, [31, 95], (31, 2)), (1, [0, 32], None), (0, [7], (7, 1)),
])  # fmt: skip
def test_one_mask_for_all(mask, lanes, found):
    checks, there = Collectives(), np.isin(np.arange(WIDTH), lanes)
    checks.members(SITE, np.full(WIDTH, mask & 0xFFFFFFFF, np.uint32) if found else np.int64(mask), Lanes(there))
    assert [said[1:] for said in checks.said] == ([found] if found else [])


def test_the_count_of_a_barrier_is_a_multiple_of_the_warp():
    counts = np.full(WIDTH, 64)
    counts[[4, 40, 41, 80]] = 33, 96, 16, 1
    for lanes, found in (
        ([0, 1, 40], None), ([0, 4, 41], (4, 33, 2)), ([41, 80, 90], (41, 16, 2)), ([80], (80, 1, 1)), ([95], None),
    ):  # fmt: skip
        checks = Collectives()
        checks.barrier_count(SITE, counts, Lanes(np.isin(np.arange(WIDTH), lanes)))
        assert checks.said == ([] if found is None else [
            (f"the barrier's thread count is {found[1]}; it has to be a multiple of 32", found[0], found[2])])  # fmt: skip


# -- shuffles -----------------------------------------------------------------------------------------------------------------
def source_of(mode: str, lane: int, b: int, segment: int) -> int | None:
    """Return the lane of the warp that a lane reads from, None if it keeps its own. segment: lanes that exchange, a power of two.

    (PTX ISA, shfl.sync)
    """
    first, last = lane // segment * segment, lane // segment * segment + segment - 1
    source = {"idx": first + b % segment, "up": lane - b, "down": lane + b, "bfly": lane ^ b}[mode]
    return source if (mode == "bfly" and source <= last) or (mode != "bfly" and first <= source <= last) else None


@pytest.mark.parametrize("mode", ["idx", "up", "down", "bfly"])
@pytest.mark.parametrize("seed", range(5))
def test_a_shuffle_reads_from_lanes_that_its_mask_names(seed, mode):
    """A shift reads past its mask at the end of sums; it is told where no lane of the warp reads from a lane of the mask.

    Else it is noted, and where that is wanted, lanes get another value from there.
    """
    random = np.random.default_rng(seed)
    for _ in range(25):
        lanes, segment = some_lanes(random), int(random.choice([8, 16, 32]))
        b = random.integers(0, segment, WIDTH if random.random() < 0.5 else 1).astype(np.int32) + np.zeros(WIDTH, np.int32)
        c = np.full(WIDTH, (WARP - segment) << 8 | (0 if mode == "up" else 31), np.int32)
        masks = random.integers(0, 1 << 32, WIDTH).astype(np.uint32) | random.choice([np.uint32(0), np.uint32(1 << 12), ALL], WIDTH)
        if random.random() < 0.5:
            masks = np.repeat(np.uint32([0xFF, 0xFFFF0000, ALL]), WARP)
        checks, bad, noted, values = Collectives(), [], [], random.integers(0, 1 << 32, WIDTH).astype(np.uint32)
        replaced = random.random() < 0.5
        checks.launch.replaced = frozenset({7} if replaced else {8})
        got = checks.shuffle(SITE, mode, b, c, masks, lanes, values)
        for warp in range(WARPS):
            reads = [(lane, source) for lane in lanes.index.tolist() if lane // WARP == warp
                     and (source := source_of(mode, lane % WARP, int(b[lane]), segment)) not in (None, lane % WARP)]
            outside = [(lane, source) for lane, source in reads if not int(masks[lane]) >> source & 1]
            told = mode in ("idx", "bfly") or len(outside) == len(reads)
            (bad if told else noted).extend(outside)
        other = np.isin(np.arange(WIDTH), [lane for lane, _ in noted]) & replaced
        assert (got == np.where(other, ~values, values)).all()
        assert checks.launch.given == {1000 + int(lane) for lane in np.flatnonzero(other)}
        first = {line: (used.lane, used.source) for line, used in checks.launch.undefined.items()}
        assert first == ({7: noted[0]} if noted else {})
        message = "reads from a lane that the mask does not name; here lane {}"
        assert checks.said == ([(message.format(bad[0][1]), bad[0][0], len(bad))] if bad else [])


def test_a_shuffle_of_the_whole_warp_is_not_looked_at():
    for mask, found in ((0xFFFFFFFF, 0), (-1, 0), (0xFFFF, WARPS)):
        checks = Collectives()
        checks.shuffle(SITE, "idx", np.full(WIDTH, 20), np.full(WIDTH, 31), np.int64(mask), Lanes(np.arange(WIDTH) % WARP == 3),
                       np.zeros(WIDTH, np.uint32))  # fmt: skip
        assert sum(count for *_, count in checks.said) == found

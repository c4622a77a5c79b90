"""The order between threads is that of vector clocks, whatever the levels at which it is kept."""

from types import SimpleNamespace

import numpy as np
import pytest
from tinygan_kernels.emulator.execute.lanes import Lanes, Shape
from tinygan_kernels.emulator.sanitizer.order import FLAG_BITS, READS, THREAD_BITS, WRITES, LaunchTime, Order

from tests.support.vector_clocks import STRIDE, WIDTH, Both

EVENTS = (Both.block_barrier, Both.arrive, Both.barrier, Both.warp_sync, Both.warp_sync, Both.acquire, Both.acquire,
          Both.acquire_from_another_chunk, Both.arrive_and_wait, Both.known_up_to)  # fmt: skip


@pytest.mark.parametrize("seed", range(24))
def test_the_order_is_that_of_vector_clocks(seed):
    """Few kinds of events in one launch, as each kind that a launch never uses leaves out a level."""
    both = Both(seed)
    kinds = both.random.choice(len(EVENTS), 4, replace=False)
    for _ in range(14):
        for _ in range(both.random.integers(1, 4)):
            both.clock.tick()
        EVENTS[both.random.choice(kinds)](both)
        both.clock.tick()
        both.asked()


def test_lanes_access_memory_as_themselves_again_whatever_happens_to_their_units():
    both = Both(0)
    order = Order(both.order.machine, both.clock, units_of=8)
    with pytest.raises(ZeroDivisionError), order.acting(WRITES):
        assert (order.who != order.own).all()
        1 / 0  # noqa: B018
    assert (order.who == order.own).all()


def test_a_thread_knows_itself():
    both = Both(0)
    lanes = np.flatnonzero(both.truth.alive)
    later = np.full(lanes.size, 10**6) << both.clock.shift | both.order.who[lanes]
    assert not both.order.unordered(later, lanes).any()


@pytest.mark.parametrize("complete", [None, np.array([True, False]), np.array([False, True])])
def test_the_floor_is_the_first_stamp_that_a_barrier_does_not_cover(complete):
    both = Both(1)
    both.clock.tick()
    now = both.clock.now
    both.order.block_barrier(complete)
    covered = np.ones(WIDTH, bool) if complete is None else np.repeat(complete, STRIDE)
    assert (both.order.floor == np.where(covered, (now + 1) << both.clock.shift, 0)).all()
    assert both.clock.now == now + 1
    both.order.known_up_to(0, now + 5)
    both.order.known_up_to(1, 0)
    assert (both.order.floor[:STRIDE] == (now + 6) << both.clock.shift).all()
    assert (both.order.floor[STRIDE:] == np.where(covered[STRIDE:], (now + 1) << both.clock.shift, 1 << both.clock.shift)).all()


@pytest.mark.parametrize(("partial", "expected"), [(False, [1, 7, 20]), (True, [32, 7, 20])])
def test_whole_warps_release_one_view_and_lanes_of_others_one_each(partial, expected):
    """After a __syncwarp of some lanes each lane may know something else, and so each has a view of its own."""
    both = Both(2)
    both.truth.alive[:] = both.order.machine.alive[:] = True
    if partial:
        both.order.warp_sync(np.uint32(3), Lanes(np.arange(WIDTH) < 2))
    for first, size, count in zip((0, 32, 64), (32, 7, 20), expected, strict=True):
        assert len(both.order.views_of(np.isin(np.arange(WIDTH), range(first, first + size)))) == count
    assert len(both.order.views_of(np.isin(np.arange(WIDTH), [*range(39), *range(64, 84)]))) == sum(expected)


def test_a_barrier_of_some_warps_tells_nothing_of_other_blocks():
    """Blocks of one warp, which have met at barriers of their own."""
    shape = Shape(2, (32, 1, 1), (2, 1, 1))
    order = Order(SimpleNamespace(shape=shape, first=0, alive=shape.exists()), LaunchTime(2))
    stamps = (1 << order.clock.shift) | order.who
    order.clock.tick()
    order.barrier(Lanes(shape.exists()), [])
    lanes, others = np.arange(64), np.arange(64) ^ 1
    assert not order.unordered(stamps[others], lanes).any()
    assert order.unordered(stamps[(lanes + 32) % 64], lanes).all()


# -- stamps ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("blocks", [1, 2, 3, 255, 256, 65535, 2**31 - 1])
def test_the_parts_of_a_stamp_do_not_overlap(blocks):
    """Flags, thread, block and time, from the lowest bit to the highest of 63."""
    clock, flags = LaunchTime(blocks), (1 << FLAG_BITS) - 1
    for number in (blocks - 1 << THREAD_BITS | 1023, blocks << THREAD_BITS):
        who = number << FLAG_BITS
        assert who & clock.who_mask == who and who & clock.block_mask == number >> THREAD_BITS << FLAG_BITS + THREAD_BITS
    assert clock.who_mask & flags == 0 and clock.who_mask | flags == (1 << clock.shift) - 1
    assert clock.block_mask & (1 << FLAG_BITS + THREAD_BITS) - 1 == 0 and clock.block_mask & ~clock.who_mask == 0
    assert (1 << clock.block_bits) > blocks >= 1 << clock.block_bits - 1
    assert (clock.last + 1 << clock.shift) < 1 << 63 <= (clock.last + 3 << clock.shift)  # a floor is a time later than a stamp


def test_each_time_belongs_to_its_instruction_until_the_clock_has_no_bits_left():
    clock = LaunchTime(2)
    assert (clock.now, clock.sites) == (1, [None, None])
    assert [clock.tick("a"), clock.tick(), clock.tick("b")] == [2, 3, 4] and clock.sites == [None, None, "a", None, "b"]
    clock.last = 5
    assert [clock.tick("c"), clock.tick("d"), clock.tick("e")] == [5, 5, 5] and clock.sites[5:] == ["c", "d", "e"]


def test_asynchronous_units_are_threads_beyond_the_grid():
    """The grid has 7 blocks, of which the chunk has the blocks 3 and 4."""
    machine = SimpleNamespace(shape=Shape(2, (80, 1, 1), (7, 1, 1)), first=3)
    order, plain = Order(machine, LaunchTime(21), 7), Order(machine, LaunchTime(7))
    own = order.who.copy()
    for lane, block, thread in ((0, 3, 0), (79, 3, 79), (96 + 5, 4, 5)):
        number = block << THREAD_BITS | thread
        assert int(order.number[lane]) == number and order.thread_of(number) == plain.thread_of(number) == (number, 0)
        for unit in (WRITES, READS):
            assert order.unit(lane, unit) == block + 7 * unit << THREAD_BITS | thread
            assert order.thread_of(order.unit(lane, unit)) == (number, unit)
            with order.acting(unit):
                assert int(order.who[lane]) == order.unit(lane, unit) << FLAG_BITS
            assert (order.who == own).all() and order.who is order.own

"""The order between threads is that of vector clocks, whatever the levels at which it is kept."""

import numpy as np
import pytest

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

"""The order that mbarriers and barriers of clusters give, against whole vector clocks."""

from types import SimpleNamespace

import numpy as np
import pytest
from tinygan_kernels.emulator.execute.lanes import WARP, Lanes
from tinygan_kernels.emulator.sanitizer.clusters import ClusterOrder
from tinygan_kernels.emulator.sanitizer.mbarriers import MbarrierOrder
from tinygan_kernels.emulator.sanitizer.order import FLAG_BITS

from tests.support.vector_clocks import BLOCKS, STRIDE, WIDTH, Both

MEMORIES = (SimpleNamespace(base=0), SimpleNamespace(base=1 << 40))
PLACES = np.array([16, 24, 32])


class AtBarriers(Both):
    """Threads that arrive at mbarriers and wait for their phases. The model keeps, of each phase, what was released in it."""

    def __init__(self, seed: int):
        super().__init__(seed)
        self.mbarriers, self.released = MbarrierOrder(self.order), {}

    def some(self) -> Lanes:
        """Return some lanes: those of a whole block as often as any others."""
        if self.random.random() < 0.5:
            return Lanes(self.some_lanes())
        return Lanes(self.truth.alive & (self.block == self.random.integers(BLOCKS)))

    def where(self, count: int) -> tuple[SimpleNamespace, np.ndarray, np.ndarray]:
        """Return a memory, and for each of some lanes a barrier there and a phase: the same for all, or others."""
        size = 1 if self.random.random() < 0.6 else count
        places, phases = self.random.choice(PLACES[:2], size), self.random.integers(0, 4, size)
        return MEMORIES[self.random.integers(2)], np.resize(places, count), np.resize(phases, count)

    def at_mbarrier(self) -> None:
        lanes = self.some()
        memory, places, phases = self.where(lanes.count)
        phases = np.where(self.random.random(lanes.count) < self.random.choice([0, 0.2]), -1, phases)  # -1: it gives no phase
        now = self.clock.now
        self.mbarriers.arrive(memory, places, phases, lanes)
        assert self.clock.now == now + 1
        for place, phase in sorted({(p, f) for p, f in zip(places.tolist(), phases.tolist(), strict=True) if f >= 0}):
            some = lanes.index[(places == place) & (phases == phase)]
            self.released.pop((memory.base, place, (phase + 1) % 4), None)
            before = self.released.get((memory.base, place, phase), 0)
            self.released[memory.base, place, phase] = np.maximum(before, self.truth.told(some, now))

    def phase_seen(self) -> None:
        lanes = self.some()
        memory, places, phases = self.where(lanes.count)
        self.mbarriers.wait(memory, places, phases, lanes.index)
        for place, phase in set(zip(places.tolist(), phases.tolist(), strict=True)):
            told = self.released.get((memory.base, place, phase))
            if told is not None:
                self.truth.learn(lanes.index[(places == place) & (phases == phase)], told)

    def begun_anew(self) -> None:
        memory, place = MEMORIES[self.random.integers(2)], self.random.choice(PLACES)
        self.mbarriers.begin(memory, np.array([place]))
        self.released = {key: told for key, told in self.released.items() if key[:2] != (memory.base, place)}


MBARRIERS = (AtBarriers.at_mbarrier, AtBarriers.at_mbarrier, AtBarriers.phase_seen, AtBarriers.phase_seen, AtBarriers.begun_anew)
BESIDE = ((), (AtBarriers.block_barrier,), (AtBarriers.warp_sync,), (AtBarriers.acquire,), (AtBarriers.barrier, AtBarriers.acquire))


@pytest.mark.parametrize("seed", range(25))
def test_mbarriers_order_as_vector_clocks_do(seed):
    both = AtBarriers(seed)
    events = (*MBARRIERS, *BESIDE[seed % len(BESIDE)])
    for _ in range(25):
        both.clock.tick()
        events[both.random.integers(len(events))](both)
        both.clock.tick()
        both.asked(200)


@pytest.mark.parametrize("ended", [False, True])
def test_a_block_that_waits_for_its_own_arrival_needs_no_views(ended):
    """All threads of a block arrive by one instruction, and wait by one: the order is the block's, as after __syncthreads().

    A warp that has ended has not arrived, so nothing orders what it did.
    """
    both = AtBarriers(3)
    threads = np.flatnonzero(both.order.shape.exists() & (both.block == 1))
    here = np.isin(np.arange(WIDTH), threads[: 2 * WARP] if ended else threads)
    both.order.machine.alive = here
    lanes = Lanes(here)
    places, phases = np.full(lanes.count, 16), np.zeros(lanes.count, int)
    both.mbarriers.arrive(MEMORIES[0], places, phases, lanes)
    both.mbarriers.wait(MEMORIES[0], places, phases, lanes.index)
    of_last = np.array([both.order.number[threads[-1]] << FLAG_BITS | 1 << both.clock.shift])
    assert both.order.unordered(of_last, threads[:1]).tolist() == [ended] == [both.order.has_views]
    assert both.order.block_time.tolist() == [0, not ended]


@pytest.mark.parametrize("of", [[0, 0], [0, 1]])
@pytest.mark.parametrize("seed", range(6))
def test_barriers_of_clusters_order_as_vector_clocks_do(seed, of):
    """of: the cluster of each block. A barrier gives what was released up to its last completion, whoever waits."""
    both = Both(seed)
    cluster = np.array(of)
    blocks = np.array([np.flatnonzero(cluster == each) for each in np.unique(cluster)])
    clusters = ClusterOrder(both.order, SimpleNamespace(cluster=cluster, blocks=blocks))
    gathered, complete = np.zeros((2, WIDTH + STRIDE), "i8"), np.zeros((2, WIDTH + STRIDE), "i8")
    for _ in range(25):
        both.clock.tick()
        event, lanes, now = both.random.integers(4), Lanes(both.some_lanes()), both.clock.now
        if event == 0:
            done = both.random.random(len(blocks)) < 0.7
            clusters.completed(done)
            complete[np.flatnonzero(done)], gathered[np.flatnonzero(done)] = gathered[np.flatnonzero(done)], 0
        elif event == 1:
            clusters.wait(lanes)
        elif event == 2:
            clusters.arrive(lanes)
            assert both.clock.now == now + 1
        else:
            both.acquire()
        for each in np.unique(cluster):
            some = lanes.index[cluster[both.block[lanes.index]] == each]
            if event == 1:
                both.truth.learn(some, complete[each])
            elif event == 2 and some.size:
                gathered[each] = np.maximum(gathered[each], both.truth.told(some, now))
        both.clock.tick()
        both.asked(200)

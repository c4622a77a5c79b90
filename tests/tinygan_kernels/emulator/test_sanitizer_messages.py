"""What passes through memory, against a model that keeps whole vector clocks: releases, acquires, fences, barriers between them."""

import numpy as np
import pytest
from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.sanitizer.messages import Mailbox, Messages
from tinygan_kernels.emulator.sanitizer.strength import STRONG, WIDE, Strength

from tests.support.vector_clocks import BLOCKS, STRIDE, WIDTH, Both

PLACES = 3
NEAR, FAR = 0, 1  # what is for threads of one's own block, and what is for all
RELAXED, RELAXED_CTA = Strength(STRONG | WIDE, False, False), Strength(STRONG, False, False)
ACQUIRE, RELEASE = Strength(STRONG | WIDE, True, False), Strength(STRONG | WIDE, False, True)
RELEASE_CTA = Strength(STRONG, False, True)


class Passed(Both):
    """Messages under test, and the model. Vectors are those of `Truth`; one of zeros says nothing."""

    def __init__(self, seed: int):
        super().__init__(seed)
        self.messages, self.box = Messages(self.order), Mailbox()
        self.length = self.truth.known.shape[1]
        self.fenced = np.zeros((2, WIDTH, self.length), "i8")  # what each lane's last fence released: of any scope, of a wide one
        self.exposed, self.waiting = np.zeros_like(self.fenced), np.zeros_like(self.fenced)
        self.at: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}  # place -> who wrote last, for its block, for all

    def few(self) -> np.ndarray:
        """Return a mask of a few living lanes."""
        mask = np.zeros(WIDTH, bool)
        mask[self.random.choice(np.flatnonzero(self.truth.alive), self.random.integers(1, 5), replace=False)] = True
        return mask

    def places(self, lanes: Lanes) -> np.ndarray:
        return self.random.integers(PLACES, size=lanes.count)

    # -- events -------------------------------------------------------------------------------------------------
    def fence(self) -> None:
        lanes, wide = Lanes(self.few()), bool(self.random.integers(2))
        self.messages.fence(wide, lanes)
        for lane in lanes.index:
            for kind in (NEAR, FAR) if wide else (NEAR,):
                self.truth.learn(np.array([lane]), self.waiting[kind, lane])
                self.waiting[kind, lane] = 0
            for kind in (NEAR, FAR) if wide else (NEAR,):
                self.fenced[kind, lane] = self.truth.told(np.array([lane]), self.clock.now - 1)

    def read(self) -> None:
        lanes, strength = Lanes(self.few()), (RELAXED, ACQUIRE)[self.random.integers(2)]
        places = self.places(lanes)
        self.messages.read(strength, self.box, places, lanes)
        for lane, place in zip(lanes.index, places, strict=True):
            self.seen(lane, place, strength.acquires)

    def seen(self, lane: int, place: int, acquires: bool) -> None:
        if place in self.at:
            writer, near, far = self.at[place]
            kind = NEAR if self.block[writer] == self.block[lane] else FAR
            told = (near, far)[kind]
            if acquires:
                self.truth.learn(np.array([lane]), told)
            else:
                self.waiting[kind, lane] = np.maximum(self.waiting[kind, lane], told)

    def write(self) -> None:
        lanes, strength = Lanes(self.few()), (RELAXED, RELAXED_CTA, RELEASE, RELEASE_CTA)[self.random.integers(4)]
        places = self.places(lanes)
        self.messages.write(strength, self.box, places, lanes)
        for lane, place in zip(lanes.index, places, strict=True):
            self.written(lane, place, strength, passes_on=place in self.at and self.at[place][0] == lane)

    def modify(self) -> None:
        """An atomic, which acquires, as CUDA's own samples take for granted."""
        lanes, strength = Lanes(self.few()), (RELAXED, RELEASE, RELEASE_CTA)[self.random.integers(3)]
        places = self.places(lanes)
        self.messages.modify(strength, self.box, places, lanes)
        for lane, place in zip(lanes.index, places, strict=True):
            self.seen(lane, place, True)
            self.written(lane, place, strength, passes_on=place in self.at)

    def written(self, lane: int, place: int, strength: Strength, passes_on: bool) -> None:
        """passes_on: whether the write goes on with what lies at its place, and does not replace it."""
        near, far = (np.maximum(self.fenced[kind, lane], self.exposed[kind, lane]) for kind in (NEAR, FAR))
        if strength.releases:
            near = self.truth.told(np.array([lane]), self.clock.now)
            far = near if strength.flags & WIDE else far
        if passes_on:
            writer, before_near, before_far = self.at[place]
            if writer != lane and not (near.any() or far.any()):
                return  # what lies there stays, as what its writer has released
            near = np.maximum(near, before_near if self.block[writer] == self.block[lane] else before_far)
            far = np.maximum(far, before_far)
        self.at[place] = (lane, near, far)

    def meet(self, lanes: np.ndarray) -> None:
        for kind in (NEAR, FAR):
            self.exposed[kind, lanes] = np.maximum(self.fenced[kind, lanes], self.exposed[kind, lanes]).max(axis=0)
            self.waiting[kind, lanes] = self.waiting[kind, lanes].max(axis=0)

    def blocks_meet(self) -> None:
        complete = None if self.random.random() < 0.3 else self.random.random(BLOCKS) < 0.5
        now = self.clock.now
        self.order.block_barrier(complete)
        self.messages.blocks_met(complete)
        for block in range(BLOCKS) if complete is None else np.flatnonzero(complete):
            lanes = np.flatnonzero(self.block == block)
            self.truth.meet(lanes, now)
            self.meet(lanes)

    def lanes_meet(self) -> None:
        """A __syncwarp of some lanes of a warp."""
        warp = self.random.integers(WIDTH // 32)
        mask = (self.warp == warp) & self.truth.alive & (self.random.random(WIDTH) < 0.5)
        lanes, names = np.flatnonzero(mask), (1 << np.flatnonzero(mask) % 32).sum().astype("u4")
        now = self.clock.now
        self.order.warp_sync(names, Lanes(mask))
        self.messages.groups_met(self.warp, Lanes(mask))
        if lanes.size:
            self.truth.meet(lanes, now)
            self.meet(lanes)


EVENTS = (Passed.fence, Passed.fence, Passed.read, Passed.read, Passed.write, Passed.write, Passed.modify, Passed.modify)
MEETINGS = ((), (Passed.blocks_meet,), (Passed.lanes_meet,), (Passed.blocks_meet, Passed.lanes_meet))


@pytest.mark.parametrize("seed", range(24))
def test_what_passes_through_memory_is_what_the_model_passes(seed):
    both = Passed(seed)
    few = both.random.choice(np.flatnonzero(both.truth.alive), 6, replace=False)
    both.truth.alive[:] = np.isin(np.arange(WIDTH), [*few, 0, 1, 2, STRIDE])  # they meet each other's messages often
    both.order.machine.alive[:] = both.truth.alive
    events = EVENTS + MEETINGS[seed % 4] * 2
    for _ in range(40):
        both.clock.tick()
        events[both.random.integers(len(events))](both)
        both.clock.tick()
        both.asked(200)

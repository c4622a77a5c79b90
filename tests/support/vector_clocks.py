"""Vector clocks written out in full, up to when each thread knows every other one, beside the order that the sanitizer keeps."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from tinygan_kernels.emulator.execute.lanes import WARP, Lanes, Shape
from tinygan_kernels.emulator.sanitizer.knowledge import View, joined, own_view
from tinygan_kernels.emulator.sanitizer.order import FLAG_BITS, THREAD_BITS, LaunchTime, Order

FIRST, BLOCKS, THREADS, EARLIER = 5, 2, 80, 4
STRIDE = 96  # lanes of a block: its threads, padded to whole warps
WIDTH = BLOCKS * STRIDE


@dataclass
class Truth:
    """known[t, u]: up to what time lane t of the chunk knows lane u; behind those of the chunk stand the lanes of block EARLIER."""

    known: np.ndarray
    alive: np.ndarray

    def told(self, lanes: np.ndarray, now: int) -> np.ndarray:
        """Return what these lanes know together, each of them all of its own accesses."""
        together = self.known[lanes].max(axis=0)
        together[lanes] = now
        return together

    def learn(self, lanes: np.ndarray, told: np.ndarray) -> None:
        self.known[lanes] = np.maximum(self.known[lanes], told)

    def meet(self, lanes: np.ndarray, now: int, told: tuple[np.ndarray, ...] = ()) -> None:
        self.learn(lanes, np.maximum.reduce([self.told(lanes, now), *told]))


class Both:
    """The sanitizer's order and the truth, which are told the same random events; `asked` compares them.

    Two blocks of the grid, from block FIRST on, of two and a half warps each. Some of their threads have ended. Block EARLIER is in
    another chunk, and its threads are known by what is acquired from them alone.
    """

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        shape = Shape(BLOCKS, (THREADS, 1, 1), (20, 1, 1))
        alive = shape.exists() & (self.random.random(WIDTH) > 0.02)  # some threads have ended
        self.clock = LaunchTime(20)
        self.order = Order(SimpleNamespace(shape=shape, first=FIRST, alive=alive), self.clock)
        self.truth = Truth(np.zeros((WIDTH, WIDTH + STRIDE), "i8"), alive)
        self.block, self.warp = np.arange(WIDTH) // STRIDE, np.arange(WIDTH) // WARP
        self.arrived: list = []

    def some_warps(self, of: np.ndarray) -> np.ndarray:
        """Return the living lanes of some of the warps in a mask."""
        warps = np.unique(self.warp[of])
        chosen = warps[self.random.random(warps.size) < 0.6]
        return np.isin(self.warp, chosen) & self.truth.alive

    def some_lanes(self) -> np.ndarray:
        """Return a mask of some lanes, and of whole warps more often than chance would have it."""
        whole = np.repeat(self.random.random(WIDTH // WARP) < 0.5, WARP)
        return (whole | (self.random.random(WIDTH) < 0.3)) & self.truth.alive

    # -- events, each told to both ------------------------------------------------------------------------------
    def block_barrier(self) -> None:
        complete = None if self.random.random() < 0.3 else self.random.random(BLOCKS) < 0.5
        now = self.clock.now
        self.order.block_barrier(complete)
        for block in range(BLOCKS) if complete is None else np.flatnonzero(complete):
            self.truth.meet(np.flatnonzero(self.block == block), now)

    def arrive(self) -> None:
        here, now = self.some_warps(self.truth.alive), self.clock.now
        told = [self.truth.told(np.flatnonzero(here & (self.block == b)), now) if here[self.block == b].any() else None
                for b in range(BLOCKS)]
        self.arrived.append((self.order.arrive(Lanes(here)), told))
        for warp in np.unique(self.warp[here]):
            lanes = np.flatnonzero(self.warp == warp)
            self.truth.known[np.ix_(lanes, lanes)] = now

    def barrier(self) -> None:
        here, now = self.some_warps(self.truth.alive), self.clock.now
        arrived, self.arrived = self.arrived, []
        self.order.barrier(Lanes(here), [returned for returned, _ in arrived])
        for block in range(BLOCKS):
            lanes = np.flatnonzero(here & (self.block == block))
            if lanes.size:
                self.truth.meet(lanes, now, tuple(told[block] for _, told in arrived if told[block] is not None))

    def warp_sync(self) -> None:
        here, now, alive = self.some_lanes(), self.clock.now, self.truth.alive
        names = np.zeros(WIDTH, "u4")
        kind = self.random.integers(0, 3, WIDTH // WARP)  # of each warp: a mask of all lanes, of those here, one for each half
        for warp in np.unique(self.warp[here]):
            lanes = self.warp == warp
            bits = (1 << (np.flatnonzero(lanes & (here if kind[warp] else alive)) % WARP)).sum()
            names[lanes] = 0xFFFFFFFF if kind[warp] == 0 else bits
            if kind[warp] == 2:
                low = np.arange(WIDTH) % WARP < WARP // 2
                names[lanes & low], names[lanes & ~low] = bits & 0xFFFF, bits & 0xFFFF0000
        self.order.warp_sync(names, Lanes(here))
        for warp in np.unique(self.warp[here]):
            for name in np.unique(names[here & (self.warp == warp)]):
                self.truth.meet(np.flatnonzero(here & (self.warp == warp) & (names == name)), now)

    def acquire(self) -> None:
        """Let a lane acquire what another has released."""
        giver, taker = self.random.choice(np.flatnonzero(self.truth.alive), 2, replace=False)
        told = self.truth.told(np.array([giver]), self.clock.now)
        self.order.learn(int(taker), self.order.view_of(int(giver)))
        self.truth.learn(np.array([taker]), told)

    def acquire_from_another_chunk(self) -> None:
        taker, thread = int(self.random.choice(np.flatnonzero(self.truth.alive))), int(self.random.integers(STRIDE))
        now, warp, block = np.sort(self.random.integers(1, self.clock.now + 1, 3))[::-1].tolist()
        self.order.learn(taker, View(own_view(EARLIER << THREAD_BITS | thread, now, block, warp)))
        told = np.zeros(WIDTH + STRIDE, "i8")
        told[WIDTH:] = block
        told[WIDTH + thread // WARP * WARP : WIDTH + thread // WARP * WARP + WARP] = warp
        told[WIDTH + thread] = now
        self.truth.learn(np.array([taker]), told)

    def arrive_and_wait(self) -> None:
        """Let lanes learn together what others released together, as at an mbarrier."""
        givers, takers = self.some_lanes(), self.some_lanes()
        if givers.any() and takers.any():
            told = self.truth.told(np.flatnonzero(givers), self.clock.now)
            self.order.learn_together(np.flatnonzero(takers), joined(*self.order.views_of(givers)))
            self.truth.learn(np.flatnonzero(takers), told)

    def known_up_to(self) -> None:
        block, time = int(self.random.integers(BLOCKS)), int(self.random.integers(self.clock.now))
        self.order.known_up_to(block, time)
        lanes = np.flatnonzero(self.block == block)
        self.truth.known[np.ix_(lanes, lanes)] = np.maximum(self.truth.known[np.ix_(lanes, lanes)], time)

    # -- the question ---------------------------------------------------------------------------------------------
    def asked(self, count: int = 600) -> None:
        """Ask about random pairs of threads, at the last time that is known and at the next one."""
        lanes = self.random.choice(np.flatnonzero(self.truth.alive), count)
        of = self.random.choice(np.flatnonzero(np.append(self.truth.alive, np.arange(STRIDE) < THREADS)), count)
        of[: count // 4] = np.clip(lanes[: count // 4] // WARP * WARP + self.random.integers(WARP, size=count // 4), 0, None)
        others = (of != lanes) & np.append(self.truth.alive, np.ones(STRIDE, bool))[of]
        lanes, of = lanes[others], of[others]
        known = self.truth.known[lanes, of]
        numbers = np.where(of < WIDTH, (FIRST + of // STRIDE) << THREAD_BITS | of % STRIDE, EARLIER << THREAD_BITS | of - WIDTH)
        stamp = lambda time: time << self.clock.shift | numbers << FLAG_BITS | self.random.integers(0, 4, numbers.size)  # noqa: E731
        assert self.order.unordered(stamp(known + 1), lanes).all()
        assert not (self.order.unordered(stamp(known), lanes) & (known > 0)).any()  # at time 0 there was no access

"""The execution of mbarrier: each lane's operation on its barrier in turn, in lane order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygan_kernels.emulator.semantics.mbarriers import MOST_ARRIVALS, Barrier, decoded
from tinygan_kernels.emulator.translate.kernel import Site

from .access import Access
from .lanes import Lanes


class Mbarriers:
    """The mbarrier operations that generated code calls. Operands are vectors over all lanes or scalars."""

    def __init__(self, access: Access):
        self.access, self.machine = access, access.machine

    def init(self, site: Site, address: np.ndarray, count: np.ndarray, lanes: Lanes) -> None:
        """Make barriers that wait for `count` arrivals in each phase. inval, count 0: take the barrier's bytes for other use."""
        counts = np.broadcast_to(count, lanes.mask.shape).astype("i8")
        least = 0 if site.name.startswith("mbarrier.inval") else 1
        if (bad := lanes.only((counts < least) | (counts > MOST_ARRIVALS))).count:
            given = counts[bad.index[0]]
            self._report(site, f"mbarrier.init with a count of {given}, from 1 to {MOST_ARRIVALS} are possible", bad.index)
            lanes = lanes.without(bad)
        words = np.array([Barrier(n, n).encoded() if n else 0 for n in counts.tolist()], "u8")
        for memory, positions, _ in self.access.pieces(site, address, lanes, "st"):
            if self.access.check:
                self.access.check.mbarriers.begin(memory, positions)
        self.access.store(site, (words,), address, lanes)

    def arrive(
        self, site: Site, address: np.ndarray, count: np.ndarray | int, target: np.ndarray | None, lanes: Lanes,
        transactions: np.ndarray | int = 0, drops: bool = False, ordered: bool = True,
    ) -> None:  # fmt: skip
        """Arrive at barriers. target: takes the states before; transactions: bytes to expect; ordered: whether it releases."""
        counts, expected = (np.broadcast_to(v, lanes.mask.shape) for v in (count, transactions))

        def change(barrier: Barrier, lane: int) -> Barrier:
            return barrier.arrived(int(counts[lane]), int(expected[lane]), drops)

        self._update(site, address, target, change, lanes, ordered)

    def transact(
        self, site: Site, address: np.ndarray, change: np.ndarray | int, sign: int, lanes: Lanes, brought: object = None
    ) -> None:
        """Expect bytes (sign 1), or note that they are there (sign -1), which releases the writes that brought them.

        brought: of an asynchronous copy, what the sanitizer has of these writes.
        """
        bytes_of = np.broadcast_to(change, lanes.mask.shape)
        one = lambda barrier, lane: barrier.transacted(sign * int(bytes_of[lane]))  # noqa: E731
        self._update(site, address, None, one, lanes, sign < 0, brought)

    def _update(
        self, site: Site, address: np.ndarray, target: np.ndarray | None, change: Callable[[Barrier, int], Barrier], lanes: Lanes,
        ordered: bool, brought: object = None,
    ) -> None:  # fmt: skip
        """Change the lanes' barriers one after the other; `target` takes what each lane found."""
        check = self.access.check
        for memory, positions, some in self.access.pieces(site, address, lanes, "atom"):
            if check:
                check.atomic(site, memory, positions, some)
            view, first = memory.view("u8")
            before, phases = np.empty(positions.size, "u8"), np.empty(positions.size, "i8")
            for i, (at, lane) in enumerate(zip(((positions - first) >> 3).tolist(), some.index.tolist(), strict=True)):
                before[i] = view[at]
                barrier = decoded(int(before[i]))
                phases[i] = barrier.phase if barrier else -1
                try:
                    if barrier is None:
                        raise ValueError("the mbarrier is not initialised")
                    view[at] = change(barrier, lane).encoded()
                except ValueError as error:
                    self._report(site, f"{site.name}: {error}", np.array([lane]))
            if check and ordered:
                check.mbarriers.arrive(memory, positions, phases, some, brought)
            if target is not None:
                some.put(target, before)
            self.access.changed(memory)

    def wait(
        self, site: Site, address: np.ndarray, asked: np.ndarray | int, parity: bool, target: np.ndarray | None, lanes: Lanes,
        ordered: bool = True,
    ) -> None:  # fmt: skip
        """Test whether a phase is complete: that of a state, or the current or last one, of even or odd number (parity)."""
        check, wanted = self.access.check, np.broadcast_to(asked, lanes.mask.shape)
        done = np.zeros(lanes.mask.size, bool)
        for memory, positions, some in self.access.pieces(site, address, lanes, "ld"):
            if check:
                check.read(site, memory, positions, some)
            view, first = memory.view("u8")
            words, operands = view[(positions - first) >> 3], some.pick(wanted)
            now = (words >> np.uint64(61) & np.uint64(3)).astype("i8")
            missing = words >> np.uint64(63) == 0
            if missing.any():
                self._report(site, f"{site.name}: the mbarrier is not initialised", some.index[missing])
            if parity:
                complete = (now ^ operands.astype("i8")) & 1 != 0
            else:
                complete = now != (operands.astype("u8") >> np.uint64(61) & np.uint64(3)).astype("i8")
            complete |= missing  # what nobody can wait for
            some.put(done, complete)
            if check and ordered:
                check.mbarriers.wait(memory, positions[complete], (now[complete] - 1) % 4, some.index[complete])
            if not complete.all():
                self.machine.yields = True
        if target is not None:
            np.copyto(target, done, where=lanes.where)

    def _report(self, site: Site, text: str, index: np.ndarray) -> None:
        self.access.report.add("synccheck", text, site, self.machine, int(index[0]), count=int(index.size))

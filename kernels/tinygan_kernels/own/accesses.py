"""What the lanes of a warp did at each source line: the addresses of each instruction's worst request, and where warps parted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from tinygan_kernels.emulator.counters import Counts, LaunchCounter, by_warp, sectors_by_row, wavefronts_by_row
from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.translate.kernel import Site, TranslatedBlock, TranslatedKernel


@dataclass
class Instruction:
    """A memory instruction of a source line. operation: ld, st, atom or red; size: bytes a lane.

    requests, transactions: over the launch, the latter sectors of global or wavefronts of shared memory. worst: how many the
    request took that took most, the first of them; addresses: of its 32 lanes, -1 for one that did not take part. alike: how many
    instructions of an unrolled loop it stands for.
    """

    line: int
    space: str
    operation: str
    size: int
    requests: int = 0
    transactions: int = 0
    worst: int = 0
    addresses: tuple[int, ...] = ()
    alike: int = 1

    @property
    def stride(self) -> int | None:
        """How many bytes each lane is beyond the one before it, None where that is not the same for all."""
        present = [a for a in self.addresses if a >= 0]
        steps = set(np.diff(present).tolist())
        return int(steps.pop()) if len(steps) == 1 else None

    @property
    def best(self) -> int:
        """The fewest transactions that the lanes of the worst request could do with: the sectors that the bytes fill, or one
        wavefront of shared memory for each phase, of which an access of 8 bytes a lane has two and one of 16 bytes four.
        """
        if self.space == "shared":
            return max(1, self.size // 4)
        used = len({a for a in self.addresses if a >= 0}) * self.size
        return max(1, -(-used // 32))

    @property
    def excess(self) -> int:
        """How many transactions more than that, if all requests are like the worst one."""
        return max(0, self.transactions - self.requests * self.best)


def merged(found: Iterable[Instruction]) -> list[Instruction]:
    """Return instructions with those of a line that do alike, as an unrolled loop has them, taken together."""
    groups: dict[tuple, Instruction] = {}
    for i in found:
        key = (i.line, i.space, i.operation, i.size, i.worst, i.stride, sum(a >= 0 for a in i.addresses))
        if key not in groups:
            groups[key] = i
            continue
        one = groups[key]
        requests, transactions = one.requests + i.requests, one.transactions + i.transactions
        groups[key] = replace(one, requests=requests, transactions=transactions, alike=one.alike + 1)
    return list(groups.values())


MOST_WARPS = 32  # warps of a branch that are kept for a picture


@dataclass
class Parting:
    """A branch at which a warp parts. warps: how often one does; taken: for the 32 lanes of the first, "1" and "0", " " for absent
    ones; beside: the same for the warps, parting or not, that came to the branch with it, the first of them.
    """

    line: int
    warps: int = 0
    taken: str = ""
    beside: tuple[str, ...] = ()


class Recorder(LaunchCounter):
    """Observes a launch: counts, and keeps the worst request of each memory instruction and each branch at which a warp parts.

    found, partings: where these are kept, by instruction and by branch; counts: what gets the counters.
    """

    def __init__(self, kernel: TranslatedKernel, found: dict, partings: dict, *counts: Counts) -> None:
        super().__init__(kernel, counts)
        self.found, self.partings = found, partings

    def access(self, site: Site, space: str, address: np.ndarray, lanes: Lanes, operation: str) -> None:
        super().access(site, space, address, lanes, operation)
        if space not in ("global", "shared"):
            return
        line = self.kernel.files.own_line(site.line)
        table = by_warp(address, lanes)
        costs = (sectors_by_row if space == "global" else wavefronts_by_row)(table, site.bytes)
        key = self.kernel.title, site.number, space, operation
        kept = self.found.setdefault(key, Instruction(line, space, operation, site.bytes))
        kept.requests += len(table)
        kept.transactions += int(costs.sum())
        if int(costs.max()) > kept.worst:
            row = int(costs.argmax())
            active = lanes.mask.reshape(-1, WARP)
            active = active[active.any(axis=1)][row]
            kept.worst = int(costs[row])
            kept.addresses = tuple(int(a) if on else -1 for a, on in zip(table[row], active, strict=True))

    def divergence(self, basic: TranslatedBlock, goes: Lanes, stays: Lanes) -> None:
        super().divergence(basic, goes, stays)
        taken, left = goes.mask.reshape(-1, WARP), stays.mask.reshape(-1, WARP)
        both = np.flatnonzero(taken.any(axis=1) & left.any(axis=1))
        if not both.size:
            return
        branch = basic.instructions[-1]
        kept = self.partings.setdefault(id(branch), Parting(self.kernel.files.own_line(branch.source)))
        kept.warps += both.size
        if not kept.taken:
            there = np.flatnonzero((taken | left).any(axis=1))[:MOST_WARPS]
            kept.taken = _sides(taken[both[0]], left[both[0]])
            kept.beside = tuple(_sides(taken[warp], left[warp]) for warp in there)


def _sides(taken: np.ndarray, left: np.ndarray) -> str:
    """Return "1" for each lane of a warp that jumps, "0" for one that does not, " " for one that is not there."""
    return "".join("1" if t else "0" if s else " " for t, s in zip(taken, left, strict=True))

"""The collectives of warps: which lanes wait at one for others that it names, and when they execute it.

A collective (shfl.sync, vote.sync, match.sync, redux.sync, bar.warp.sync, ...) names the lanes that execute it together. Lanes that
reach one before the others wait for them. Where the others cannot come any more, those that wait execute it without them, which the
synccheck reports.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygan_kernels.emulator.semantics.warpgroups import incomplete
from tinygan_kernels.emulator.semantics.warps import WARP, all_met, named_and_absent
from tinygan_kernels.emulator.translate.kernel import TranslatedBlock

from .lanes import Lanes, Meeting
from .machine import Machine


class Collectives:
    """The collectives of all warps of one machine, at which some lanes wait for others.

    add: lets lanes go on at a position; run_once: runs the block at a position with lanes; others: says whether lanes that are
    elsewhere could still come.
    """

    def __init__(
        self,
        machine: Machine,
        add: Callable[[tuple, Lanes], None],
        run_once: Callable[[tuple, Lanes], None],
        others: Callable[[], bool],
    ):
        self.machine, self.add, self.run_once, self.others = machine, add, run_once, others
        self.names = machine.names
        self.meeting: dict[tuple, Lanes] = {}  # by the position of the collective

    def exited(self) -> None:
        """Let all lanes look again whether those that their collective names are there, as some of them may be gone."""
        for key in list(self.meeting):
            self.add(key, self.meeting.pop(key))

    def go_on_without(self) -> None:
        """Let all lanes that wait go on without those that they miss, and report it."""
        for key in list(self.meeting):
            lanes = self.meeting.pop(key, None)
            if lanes is None:  # it has met others below
                continue
            basic = self.machine.kernel.basic_blocks[key[-1] // 2]
            absent = self._absent(basic, self.names[basic.meets](lanes), lanes, self.machine.exists)
            if not self._meet_across(basic, key, lanes):
                self._report_absent(basic, lanes, absent | lanes.mask)
                self.run_once(key, lanes)

    def all_met(self, basic: TranslatedBlock, key: tuple, lanes: Lanes) -> bool:
        """Say whether all lanes that the instruction names are here. If not, the lanes that miss some wait at it."""
        if lanes.count == self.machine.live.count and lanes.count == self.machine.shape.blocks * self.machine.shape.threads:
            return True
        mask = self.names[basic.meets](lanes)
        lacking = self._absent(basic, mask, lanes, self.machine.exists)
        if not lacking.any():  # whoever waits here already is of another warp, or named by another mask
            return True
        if key in self.meeting:
            self.add(key, lanes | self.meeting.pop(key))
            return False
        if self._meet_across(basic, key, lanes):
            return False
        able = self._absent(basic, mask, lanes, self.machine.live.mask)
        if not self.others() or not able.any():
            self._report_absent(basic, lanes, lacking)
            return True
        lacking_warps = np.repeat(lacking.reshape(-1, WARP).any(axis=1), WARP)
        wait = lanes.only(lacking_warps)
        other = self.meeting.get(key)
        self.meeting[key] = wait if other is None else other | wait
        rest = lanes.without(wait)
        if rest.count:
            self.add(key, rest)
        return False

    def _absent(self, basic: TranslatedBlock, mask: np.ndarray, lanes: Lanes, wanted: np.ndarray) -> np.ndarray:
        """Mark the lanes at a collective that misses lanes of `wanted`: those that their masks name, or of their warpgroup."""
        if basic.meets_warpgroup:
            return incomplete(lanes.mask, wanted, self.machine.shape.stride)
        return named_and_absent(mask, lanes.mask, wanted)

    def _meet_across(self, basic: TranslatedBlock, key: tuple, lanes: Lanes) -> bool:
        """Let lanes at a collective execute it with lanes that wait at others of the same kind, where all that they name are there.

        Return whether some did. From sm_70 on, threads of a warp that execute one with the same qualifiers and the same mask may do
        so at different places. (PTX ISA, shfl.sync, vote.sync, match.sync, redux.sync, bar.warp.sync)
        """
        blocks = {k: self.machine.kernel.basic_blocks[k[-1] // 2] for k in (*self.meeting, key)}
        places = {k: self.meeting.get(k, lanes) for k, b in blocks.items() if b.offers and b.site.name == basic.site.name}
        if not basic.offers or len(places) < 2:
            return False
        meeting = self._meeting({k: blocks[k] for k in places}, places)
        if not (meeting.mask & lanes.mask).any():
            return False
        parts = {k: some.only(meeting.mask) for k, some in places.items()}
        for k, some in parts.items():
            rest = places[k].without(some)
            self.meeting.pop(k, None)
            if k == key:
                self.add(k, rest)
            elif rest.count:
                self.meeting[k] = rest
        if self.machine.check and basic.site.name.startswith("bar.warp.sync"):
            self.machine.check.met_across(meeting.members, Lanes(meeting.mask))
        for k, some in parts.items():
            if some.count:
                some.meeting = meeting
                if self.machine.check:
                    self.machine.check.members(blocks[k].site, meeting.members, some)
                self.run_once(k, some)
        return True

    def _meeting(self, blocks: dict[tuple, TranslatedBlock], places: dict[tuple, Lanes]) -> Meeting:
        """Return the meeting of those lanes, of several places, whose member masks agree and name nobody else."""
        width = self.machine.shape.width
        present, members, values = np.zeros(width, bool), np.zeros(width, "u4"), None
        for k, lanes in places.items():
            present |= lanes.mask
            np.copyto(members, self.names[blocks[k].meets](lanes), where=lanes.mask)
            offered = self.names[blocks[k].offers](lanes)
            if offered is not None:
                values = np.zeros(width, np.asarray(offered).dtype) if values is None else values
                np.copyto(values, offered, where=lanes.mask)
        return Meeting(all_met(members, present, self.machine.live.mask), members, values)

    def _report_absent(self, basic: TranslatedBlock, lanes: Lanes, lacking: np.ndarray) -> None:
        """Report a collective that names threads which do not execute it."""
        if self.machine.check:
            who = "is not executed by all threads of the warpgroup" if basic.meets_warpgroup else (
                "names threads of the warp that do not execute it"
            )  # fmt: skip
            self.machine.report.add(
                "synccheck",
                f"{basic.site.name} {who}",
                basic.site,
                self.machine,
                int(np.flatnonzero(lacking)[0]),
                count=int(lacking.sum()),
            )

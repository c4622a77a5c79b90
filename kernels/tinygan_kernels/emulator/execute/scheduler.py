"""The scheduler of a machine: which group of lanes runs next, where groups part and meet again.

A group is a set of lanes at the same basic block with the same calls open. Its key is the list of positions, outermost
first: (position in the kernel,) or (call in the kernel, position in the callee), ... A position is twice the block's
number, plus 1 while a call from it is open. The group with the smallest key runs; groups with equal keys merge. A group
that waits in a loop for others (a lock) must not starve them: after PATIENCE turns with several groups, or sooner where it
runs in a circle, all get turns.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.translate.kernel import TranslatedBlock

from .barriers import Barriers
from .cluster_barriers import ClusterBarriers
from .collectives import Collectives
from .frames import Frames
from .lanes import Lanes
from .machine import Machine
from .progress import SHORT_CIRCLES, TURNS, Watch

PATIENCE = 2_000


class Scheduler:
    """Runs the lanes of one machine to the end of their kernel. Raises EmulatorError for a trap or a deadlock."""

    def __init__(self, machine: Machine):
        self.machine, self.basic_blocks, self.code = machine, machine.kernel.basic_blocks, machine.code
        self.groups: dict[tuple, Lanes] = {}
        self.barriers = Barriers(machine, self.add)
        self.cluster_barriers = ClusterBarriers(machine, self.add)
        self.collectives = Collectives(machine, self.add, self._run_once, lambda: bool(self.groups or self.barriers.waiting))
        self.names = machine.names
        self.ends = {
            "switch": self._switch,
            "call": self._call,
            "indirect": self._indirect,
            "return": self._return,
            "exit": self._exit,
            "trap": self._trap,
            "barrier": self.barriers.arrive,
            "cluster_arrive": self.cluster_barriers.arrive,
            "cluster_wait": self.cluster_barriers.wait,
        }
        self.frames = Frames(machine)
        self.counter = machine.counter
        self.turns, self.sampled = 0, ()
        self.watch = Watch(machine)
        self.ended, self.seen_version = False, 0
        self.groups[(0,)] = machine.live

    def run(self) -> None:
        """Run group after group until no lane is left (`ended`), or until `watch` says that the others have to go on first."""
        while self.groups or self.barriers.waiting or self.collectives.meeting or self.cluster_barriers.waiting:
            if not self.groups:
                self._nobody_can_go_on()
                continue
            if self.machine.blocks_run >= self.watch.due and self._has_to_pause():
                self.seen_version = self.machine.access.memory_version()
                return
            key = self._next()
            self._run_group(key, self.groups.pop(key))
        self.ended = True

    def blocks_left(self) -> int:
        """Return how many of the machine's thread blocks have threads that have not exited."""
        return int(self.machine.alive.reshape(self.machine.shape.blocks, -1).any(axis=1).sum())

    def _has_to_pause(self) -> bool:
        """Say whether `watch` wants this machine to stop, knowing whether every group gets its turns now, and who waits."""
        waiting = sum(w.lanes.count for w in self.barriers.waiting)
        waiting += sum(lanes.count for lanes in self.collectives.meeting.values())
        waiting += sum(lanes.count for _, lanes in self.cluster_barriers.waiting.values())
        return self.watch.pause(self.groups, waiting, len(self.groups) == 1 or self.turns > PATIENCE)

    def _next(self) -> tuple:
        """Choose the group that runs next."""
        if len(self.groups) == 1:
            self.turns = 0
            return next(iter(self.groups))
        self.turns += 1
        if self.machine.yields:
            self.turns, self.machine.yields = max(self.turns, PATIENCE), False
        ordered = sorted(self.groups)
        if self.turns % SHORT_CIRCLES == 0 and self.turns < PATIENCE:
            before, self.sampled = self.sampled, self.watch.sample(ordered[0], self.groups[ordered[0]])
            if before == self.sampled:  # it runs in a circle: patience would not help
                self.turns = PATIENCE
        if self.turns > PATIENCE:
            return ordered[self.turns // TURNS % len(ordered)]
        return ordered[0]

    def add(self, key: tuple, lanes: Lanes) -> None:
        """Let lanes go on at a position, together with those that are already there."""
        if lanes.count:
            other = self.groups.get(key)
            self.groups[key] = lanes if other is None else other | lanes

    # -- one group --------------------------------------------------------------------------------------------
    def _run_group(self, key: tuple, lanes: Lanes) -> None:
        """Run one block after the other as long as the group stays whole and no other group could join it."""
        outer, at = key[:-1], key[-1] // 2
        machine, counter, watch = self.machine, self.counter, self.watch
        while True:
            if machine.blocks_run >= watch.due:
                self.add((*outer, 2 * at), lanes)
                return
            basic = self.basic_blocks[at]
            if basic.meets and lanes is not machine.live and not self.collectives.all_met(basic, (*outer, 2 * at), lanes):
                return
            if basic.meets and machine.check:
                machine.check.members(basic.site, self.names[basic.meets](lanes), lanes)
            machine.blocks_run += 1
            guard, payload = self.code[at](lanes)
            if counter:
                counter.block(at, lanes)
            if basic.end == "fall":
                following = basic.after
            elif basic.end == "branch":
                following = self._branch(basic, outer, lanes, guard)
            else:
                following = self._leave(basic, outer, lanes, guard, payload)
            if following is None:
                return
            if self.groups:
                self.add((*outer, 2 * following), lanes)
                return
            at = following

    def _branch(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, guard) -> int | None:
        """Return the block that all lanes go on to, or None if they part."""
        if guard is None:
            return basic.targets[0]
        taken = guard if lanes.full else guard & lanes.mask
        count = int(np.count_nonzero(taken))
        if count == lanes.count:
            return basic.targets[0]
        if count == 0:
            return basic.after
        goes = Lanes(taken.copy() if taken is guard else taken, count)  # the register may change
        stays = Lanes(lanes.mask & ~taken, lanes.count - count)
        if self.counter:
            self.counter.divergence(basic, goes, stays)
        self.add((*outer, 2 * basic.targets[0]), goes)
        self.add((*outer, 2 * basic.after), stays)
        return None

    def _leave(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, guard, payload) -> int | None:
        """Carry out the end of a block other than a branch. Lanes whose guard is false go on to `after`.

        Return the block that all lanes go on to, or None.
        """
        if guard is not None:
            chosen = lanes.only(guard)
            if chosen.count < lanes.count:
                self.add((*outer, 2 * basic.after), lanes.without(chosen))
            lanes = chosen
            if lanes.count == 0:
                return None
        return self.ends[basic.end](basic, outer, lanes, payload)

    def _switch(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, index) -> None:
        """Let each lane go on at the target that its index picks (brx.idx)."""
        index = np.broadcast_to(index, lanes.mask.shape)
        picked = np.unique(index[lanes.mask])
        if self.counter and picked.size > 1:
            self.counter.divergence(basic, lanes.only(index == picked[0]), lanes.only(index != picked[0]))
        for i in picked:
            if i >= len(basic.targets):
                raise EmulatorError(
                    f"brx.idx with index {i} of {len(basic.targets)} targets in {self.machine.kernel.title}"
                )
            self.add((*outer, 2 * basic.targets[int(i)]), lanes.only(index == i))

    def _call(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, _payload) -> None:
        """Let lanes go on in the device function that the block calls."""
        if self.machine.check:
            self.machine.check.entered(self.basic_blocks[basic.callee].function, lanes)
        self.add((*outer, 2 * basic.number + 1, 2 * basic.callee), lanes)

    def _indirect(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, address) -> None:
        """Let each lane go on in the function that its pointer names, or in one that recurs."""
        address = np.broadcast_to(address, lanes.mask.shape)
        called = np.unique(address[lanes.mask])
        if self.counter and called.size > 1:
            self.counter.divergence(basic, lanes.only(address == called[0]), lanes.only(address != called[0]))
        for value in called:
            some = lanes.only(address == value)
            call = self.frames.reached(basic, int(value), some)
            self.frames.enter(basic, call, len(outer), some)
            if self.machine.check:
                self.machine.check.entered(self.basic_blocks[call.first].function, some)
            self.add((*outer, 2 * basic.number + 1, 2 * call.first), some)

    def _return(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, _payload) -> None:
        """Let lanes go on after the call that they came from; return from the kernel itself is an exit."""
        if not outer:
            self._exit(basic, outer, lanes, None)
            return
        if self.machine.check:
            self.machine.check.left(basic.function, lanes)
        caller = self.basic_blocks[outer[-1] // 2]
        if caller.callees:
            address = self.machine.kernel.module.function_address(basic.function)
            self.frames.leave(caller.callees[address], len(outer) - 1, lanes)
        else:
            self.names[f"returned_{caller.number}"](lanes)
        self.add((*outer[:-1], 2 * caller.after), lanes)

    def _exit(self, _basic: TranslatedBlock, _outer: tuple, lanes: Lanes, _payload) -> None:
        """Take lanes out of the kernel, and let those go on that waited for them."""
        machine, live = self.machine, self.machine.live
        machine.live = Lanes(live.mask & ~lanes.mask, live.count - lanes.count)
        if machine.check and machine.check.bulk_copies:
            machine.check.exited(lanes)
        if self.barriers.waiting:
            self.barriers.release()
        self.collectives.exited()
        if machine.members.blocks.shape[1] > 1:
            if machine.check:
                machine.check.blocks_ended(lanes)
            machine.blocks_ended()
        self.cluster_barriers.exited()

    def _trap(self, basic: TranslatedBlock, _outer: tuple, lanes: Lanes, _payload) -> None:
        """Raise the error of a trap instruction, after what the sanitizer found."""
        of_grid, thread = self.machine.position(lanes.index[0])
        self.machine.report.deliver()
        text = f"trap in {self.machine.kernel.title} at {basic.site.source} by thread {thread} of block {of_grid}"
        if "%envreg2" in self.machine.kernel.specials and not self.machine.cooperative:
            text += "; this_grid() can synchronise in a cooperative launch only: RawModule(..., enable_cooperative_groups=True)"
        raise EmulatorError(text)

    def _nobody_can_go_on(self) -> None:
        """Act when all groups wait: collectives go on without the lanes they miss (a finding); barriers alone are a deadlock."""
        if self.collectives.meeting:
            self.collectives.go_on_without()
            return
        if self.barriers.waiting:
            site, lanes = self.barriers.waiting[0].basic.site, self.barriers.waiting[0].lanes
        else:
            basic, lanes = next(iter(self.cluster_barriers.waiting.values()))
            site = basic.site
        self.machine.report.add(
            "synccheck",
            "deadlock: barrier never reached by all threads it waits for",
            site,
            self.machine,
            lanes.index[0],
        )
        self.machine.report.deliver()
        raise EmulatorError(
            f"deadlock in {self.machine.kernel.title}: threads wait at a barrier that others never reach "
            f"({site.source})"
        )

    def _run_once(self, key: tuple, lanes: Lanes) -> None:
        """Run one block that would otherwise wait, with the lanes that are there."""
        outer, at = key[:-1], key[-1] // 2
        basic = self.basic_blocks[at]
        self.machine.blocks_run += 1
        guard, payload = self.code[at](lanes)
        if self.counter:
            self.counter.block(at, lanes)
        if basic.end == "branch":
            following = self._branch(basic, outer, lanes, guard)
        elif basic.end == "fall":
            following = basic.after
        else:
            following = self._leave(basic, outer, lanes, guard, payload)
        if following is not None:
            self.add((*outer, 2 * following), lanes)

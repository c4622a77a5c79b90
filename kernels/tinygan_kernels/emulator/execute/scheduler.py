"""The scheduler of a machine: which group of lanes runs next, where groups part, wait and meet again.

A group is a set of lanes at the same basic block with the same calls open. Its key is the list of positions, outermost
first: (position in the kernel,) or (call in the kernel, position in the callee), ... A position is twice the block's
number, plus 1 while a call from it is open. The group with the smallest key runs; groups with equal keys merge. A group
that waits in a loop for others (a lock) must not starve them: after PATIENCE turns with several groups, or sooner where it
runs in a circle, all get turns.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.semantics.warps import WARP, all_met, named_and_absent
from tinygan_kernels.emulator.translate.kernel import TranslatedBlock

from .clusters import ClusterBarrier
from .frames import Frames
from .lanes import Lanes, Meeting
from .machine import Machine
from .progress import SHORT_CIRCLES, TURNS, Watch

PATIENCE = 2_000


class Scheduler:
    """Runs the lanes of one machine to the end of their kernel. Raises EmulatorError for a trap or a deadlock."""

    def __init__(self, machine: Machine):
        self.machine, self.basic_blocks, self.code = machine, machine.kernel.basic_blocks, machine.code
        self.groups: dict[tuple, Lanes] = {}
        self.waiting: list[_Waiting] = []  # at barriers
        self.meeting: dict[tuple, Lanes] = {}  # at collectives that name lanes not there yet
        self.at_clusters: dict[tuple, tuple[TranslatedBlock, Lanes]] = {}  # at barrier.cluster.wait, by where they go on
        self.live = machine.live()
        self.names = machine.names
        self.frames = Frames(machine)
        self.counter = machine.counter
        self.turns, self.sampled = 0, ()
        self.watch = Watch(machine)
        self.ended, self.seen_version = False, 0
        self.groups[(0,)] = self.live

    def run(self) -> None:
        """Run group after group until no lane is left (`ended`), or until `watch` says that the others have to go on first."""
        while self.groups or self.waiting or self.meeting or self.at_clusters:
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
        return int(self.live.mask.reshape(self.machine.shape.blocks, -1).any(axis=1).sum())

    def _has_to_pause(self) -> bool:
        """Say whether `watch` wants this machine to stop, knowing whether every group gets its turns now, and who waits."""
        waiting = sum(w.lanes.count for w in self.waiting) + sum(lanes.count for lanes in self.meeting.values())
        waiting += sum(lanes.count for _, lanes in self.at_clusters.values())
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
            if basic.meets and lanes is not self.live and not self._all_met(basic, (*outer, 2 * at), lanes):
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
        return getattr(self, f"_{basic.end}")(basic, outer, lanes, payload)

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
        self.live = Lanes(self.live.mask & ~lanes.mask, self.live.count - lanes.count)
        self.machine.alive = self.live.mask
        if self.waiting:
            self._release()
        for key in list(self.meeting):  # who was named may be gone: look again
            self.add(key, self.meeting.pop(key))
        if self.machine.members.blocks.shape[1] > 1:
            self.machine.blocks_ended()
        if "cluster_barrier" in self.__dict__:
            self._release_clusters()

    def _trap(self, basic: TranslatedBlock, _outer: tuple, lanes: Lanes, _payload) -> None:
        """Raise the error of a trap instruction, after what the sanitizer found."""
        of_grid, thread = self.machine.position(lanes.index[0])
        self.machine.report.deliver()
        text = f"trap in {self.machine.kernel.title} at {basic.site.source} by thread {thread} of block {of_grid}"
        if "%envreg2" in self.machine.kernel.specials and not self.machine.cooperative:
            text += "; this_grid() can synchronise in a cooperative launch only: RawModule(..., enable_cooperative_groups=True)"
        raise EmulatorError(text)

    # -- barriers of clusters ---------------------------------------------------------------------------------
    @cached_property
    def cluster_barrier(self) -> ClusterBarrier:
        return ClusterBarrier(self.machine.shape, self.machine.members)

    def _cluster_arrive(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, ordered: bool) -> None:
        """Let lanes arrive at the barrier of their cluster, and go on."""
        twice = self.cluster_barrier.arrive(lanes)
        if twice.any() and self.machine.check:
            text = f"{basic.site.name}: the thread has arrived already, and has not waited since"
            first = int(np.flatnonzero(twice)[0])
            self.machine.report.add("synccheck", text, basic.site, self.machine, first, count=int(twice.sum()))
        if ordered and self.machine.check:
            self.machine.check.cluster_arrive(lanes)
        self._release_clusters()
        self.add((*outer, 2 * basic.after), lanes)

    def _cluster_wait(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, ordered: bool) -> None:
        """Let lanes wait until all threads of their cluster that have not exited have arrived."""
        key = (*outer, 2 * basic.after)
        passed = self.cluster_barrier.passed(lanes)
        if passed.count and ordered and self.machine.check:
            self.machine.check.cluster_wait(passed)
        self.add(key, passed)
        rest = lanes.without(passed)
        if rest.count:
            there = self.at_clusters.get(key)
            self.at_clusters[key] = (basic, rest if there is None else there[1] | rest)

    def _release_clusters(self) -> None:
        """Let lanes go on that waited for their cluster, where a phase of its barrier is complete."""
        done = self.cluster_barrier.complete(self.live.mask)
        if not done.any():
            return
        if self.machine.check:
            self.machine.check.cluster_complete(done)
        for key, (basic, lanes) in list(self.at_clusters.items()):
            passed = self.cluster_barrier.passed(lanes)
            if passed.count:
                if self.machine.check and "relaxed" not in basic.site.name:
                    self.machine.check.cluster_wait(passed)
                del self.at_clusters[key]
                if passed.count < lanes.count:
                    self.at_clusters[key] = (basic, lanes.without(passed))
                self.add(key, passed)

    # -- barriers ---------------------------------------------------------------------------------------------
    def _barrier(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, payload) -> int | None:
        """Let lanes wait; at once go on to the next block in the usual case that all threads of all blocks are here."""
        number, threads, predicate = payload
        if (
            not basic.arrives_only
            and threads is None
            and not self.waiting
            and lanes.count == self.live.count
            and np.ndim(number) == 0
            and not basic.reduction
            and lanes.count == self.machine.shape.blocks * self.machine.shape.threads
        ):
            if self.machine.check:
                self.machine.check.block_barrier()
            return basic.after
        return self._wait(basic, outer, lanes, number, threads, predicate)

    def _wait(self, basic: TranslatedBlock, outer: tuple, lanes: Lanes, number, threads, predicate) -> None:
        """Let lanes wait at a barrier, or only arrive there (bar.arrive) and go on."""
        number = np.broadcast_to(number, lanes.mask.shape)
        for n in np.unique(number[lanes.mask]):
            some = lanes.only(number == n)
            count = None if threads is None else np.broadcast_to(threads, lanes.mask.shape)
            if count is not None and self.machine.check:
                self.machine.check.barrier_count(basic.site, count, some)
            self.waiting.append(_Waiting(basic, (*outer, 2 * basic.after), some, int(n), count, predicate))
            if basic.arrives_only:
                if self.machine.check:
                    self.waiting[-1].told = self.machine.check.arrive(some)
                self.add((*outer, 2 * basic.after), some)
        self._release()

    def _check_convergence(self, there: list[_Waiting], complete: np.ndarray) -> None:
        """Report complete aligned barriers that threads of a warp or a block reached at different instructions, or not at all.

        A thread that comes later than others of its warp is no fault: the branch between them ends before the barrier.
        """
        aligned = [w for w in there if w.basic.aligned]
        if not self.machine.check or not aligned:
            return
        mask = np.repeat(complete, self.machine.shape.stride)
        places = list(dict.fromkeys(w.key for w in aligned))
        at = np.zeros(mask.size, "i8")  # the number of the barrier that each lane is at, from 1
        for w in aligned:
            at[w.lanes.mask & mask] = places.index(w.key) + 1
        warps = at.reshape(-1, WARP)
        some, parted = (warps > 0).any(axis=1), np.zeros(len(warps), bool)
        if any(w.threads is not None for w in there):
            parted = (self.live.mask.reshape(-1, WARP) & (warps == 0)).any(axis=1)
        parted = some & (parted | (np.where(warps > 0, warps, len(places)).min(axis=1) < warps.max(axis=1)))
        if parted.any():
            self._report_parted("barrier reached by only some threads of a warp", aligned, at, np.repeat(parted, WARP))
        elif len(places) > 1 and all(w.threads is None and w.number == 0 for w in aligned):
            blocks = at.reshape(len(complete), -1)
            parted = np.where(blocks > 0, blocks, len(places)).min(axis=1) < blocks.max(axis=1)
            if parted.any():
                text = "threads of a block meet at different barriers, which all of its threads have to reach"
                self._report_parted(text, aligned, at, np.repeat(parted, self.machine.shape.stride))

    def _report_parted(self, text: str, aligned: list[_Waiting], at: np.ndarray, mask: np.ndarray) -> None:
        """Report lanes, chosen by `mask`, of one warp or block that are at different barriers. at: the number of each lane's."""
        lanes = np.flatnonzero(mask & (at > 0))
        first = int(lanes[at[lanes] == at[lanes].min()][0])
        basic = next(w.basic for w in aligned if w.lanes.mask[first])
        others = [w.basic.site.source for w in aligned if w.basic is not basic and (w.lanes.mask & mask).any()]
        other = f"; the others are at {others[0]}" if others else ""
        self.machine.report.add("synccheck", text + other, basic.site, self.machine, first, count=int(lanes.size))

    def _release(self) -> None:
        """Let the thread blocks go on in which a barrier is complete."""
        for number in sorted({w.number for w in self.waiting}):
            there = [w for w in self.waiting if w.number == number]
            arrived = sum(self._per_block(w.lanes) for w in there)
            wanted = self._wanted(there)
            complete = (arrived >= wanted) & (arrived > 0)
            if complete.any():
                self._complete(there, complete)

    def _per_block(self, lanes: Lanes) -> np.ndarray:
        """Return how many of the lanes each thread block has."""
        return lanes.mask.reshape(self.machine.shape.blocks, -1).sum(axis=1)

    def _wanted(self, there: list[_Waiting]) -> np.ndarray:
        """Return how many threads each thread block's barrier waits for: its operand, or all that have not exited."""
        wanted = self._per_block(self.live)
        for w in there:
            if w.threads is not None:
                counts = np.where(w.lanes.mask, w.threads, 0).reshape(self.machine.shape.blocks, -1).max(axis=1)
                wanted = np.where(counts > 0, counts, wanted)
        return wanted

    def _complete(self, there: list[_Waiting], complete: np.ndarray) -> None:
        """Let the lanes of the complete thread blocks go on after the barrier."""
        mask = np.repeat(complete, self.machine.shape.stride)
        self._check_convergence(there, complete)
        parts = [(w, w.lanes.only(mask)) for w in there]
        if self.machine.check:
            waited = [some.mask for w, some in parts if not w.basic.arrives_only]
            told = [(np.where(complete[:, None], w.told[0], 0), w.told[1]) for w, _ in parts if w.told is not None]
            if all(w.threads is None for w in there):
                self.machine.check.block_barrier(complete)
            elif waited:
                self.machine.check.barrier(Lanes(np.logical_or.reduce(waited)), told)
        self._reduce(parts)
        for w, some in parts:
            w.lanes = w.lanes.without(some)
            if not w.basic.arrives_only:
                self.add(w.key, some)
        self.waiting = [w for w in self.waiting if w.lanes.count]

    def _reduce(self, parts: list) -> None:
        """Carry out bar.red: every thread gets the count, AND or OR of all threads' predicates."""
        parts = [(w, some) for w, some in parts if w.basic.reduction and some.count]
        if not parts:
            return
        shape = self.machine.shape
        yes = np.zeros(shape.width, bool)
        here = np.zeros(shape.width, bool)
        for w, some in parts:
            here |= some.mask
            yes |= some.mask & w.predicate
        count = yes.reshape(shape.blocks, -1).sum(axis=1)
        total = here.reshape(shape.blocks, -1).sum(axis=1)
        for w, some in parts:
            operation, name = w.basic.reduction
            result = {"popc": count, "and": count == total, "or": count > 0}[operation]
            np.copyto(
                self.names[name], np.repeat(result, shape.stride).astype(self.names[name].dtype), where=some.where
            )

    # -- collectives ------------------------------------------------------------------------------------------
    def _all_met(self, basic: TranslatedBlock, key: tuple, lanes: Lanes) -> bool:
        """Say whether all lanes that the instruction names are here. If not, the lanes that miss some wait at it."""
        if lanes.count == self.live.count and lanes.count == self.machine.shape.blocks * self.machine.shape.threads:
            return True
        if key in self.meeting:
            self.add(key, lanes | self.meeting.pop(key))
            return False
        mask = self.names[basic.meets](lanes)
        lacking = named_and_absent(mask, lanes.mask, self.machine.exists)
        if not lacking.any():
            return True
        if self._meet_across(basic, key, lanes):
            return False
        able = named_and_absent(mask, lanes.mask, self.live.mask)
        if not (self.groups or self.waiting) or not able.any():
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

    def _meet_across(self, basic: TranslatedBlock, key: tuple, lanes: Lanes) -> bool:
        """Let lanes at a collective execute it with lanes that wait at others of the same kind, where all that they name are there.

        Return whether some did. From sm_70 on, threads of a warp that execute one with the same qualifiers and the same mask may do
        so at different places. (PTX ISA, shfl.sync, vote.sync, match.sync, redux.sync, bar.warp.sync)
        """
        blocks = {k: self.basic_blocks[k[-1] // 2] for k in (*self.meeting, key)}
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
                self._run_once(k, some)
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
        return Meeting(all_met(members, present, self.live.mask), members, values)

    def _report_absent(self, basic: TranslatedBlock, lanes: Lanes, lacking: np.ndarray) -> None:
        """Report a collective that names threads which do not execute it."""
        if self.machine.check:
            self.machine.report.add(
                "synccheck",
                f"{basic.site.name} names threads of the warp that do not execute it",
                basic.site,
                self.machine,
                int(np.flatnonzero(lacking)[0]),
                count=int(lacking.sum()),
            )

    def _nobody_can_go_on(self) -> None:
        """Act when all groups wait: collectives go on without the lanes they miss (a finding); barriers alone are a deadlock."""
        if self.meeting:
            for key in list(self.meeting):
                lanes = self.meeting.pop(key, None)
                if lanes is None:  # it has met others below
                    continue
                basic = self.basic_blocks[key[-1] // 2]
                absent = named_and_absent(self.names[basic.meets](lanes), lanes.mask, self.machine.exists)
                if not self._meet_across(basic, key, lanes):
                    self._report_absent(basic, lanes, absent | lanes.mask)
                    self._run_once(key, lanes)
            return
        if self.waiting:
            site, lanes = self.waiting[0].basic.site, self.waiting[0].lanes
        else:
            basic, lanes = next(iter(self.at_clusters.values()))
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


class _Waiting:
    """Lanes that have arrived at a barrier: its number, how many threads it waits for (None: all), predicates of bar.red."""

    def __init__(self, basic: TranslatedBlock, key: tuple, lanes: Lanes, number: int, threads, predicate):
        self.basic, self.key, self.lanes, self.number = basic, key, lanes, number
        self.threads, self.predicate = threads, predicate
        self.told = None  # for bar.arrive: what the sanitizer lets the waiting threads know

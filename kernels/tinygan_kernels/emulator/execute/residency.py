"""Run the thread blocks of a launch, a chunk after the other; chunks that wait for one another run in turns, as resident blocks do.

A block that waits for a later one (a flag, a barrier of the grid) can go on only if both are resident on a GPU at the same time. So
a chunk whose lanes only wait is set aside, and the next chunks begin, as long as all that have begun would fit on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.syntax.ptx import Instruction
from tinygan_kernels.emulator.translate.kernel import Site, TranslatedBlock, TranslatedKernel

from .machine import Machine
from .scheduler import Scheduler

WHOLE = 4
"""How many times the step budget all blocks of a launch together may take, one chunk of them after the other."""
PROCESSORS, THREADS, BLOCKS, SHARED = 108, 2048, 32, 164 * 1024
"""An A100: its multiprocessors, and the threads, thread blocks and bytes of shared memory of one. (CUDA C++ Programming Guide)"""


def resident_blocks(threads: int, shared: int) -> int:
    """Return how many blocks of so many threads (padded to warps) and bytes of shared memory run at once on a GPU."""
    each = min(BLOCKS, THREADS // max(1, threads), SHARED // shared if shared else BLOCKS)
    return PROCESSORS * max(1, each)


def run_chunks(machines: Iterable[Machine], most: int, scheduler: Callable[[Machine], Scheduler] = Scheduler) -> int:
    """Run the chunks of a launch to their ends, and return how many steps that took.

    most: how many thread blocks are resident at the same time; scheduler: makes what runs one machine.

    Raises EmulatorError, naming the lines, where threads wait for ever or use up their step budget.
    """
    aside: list[Scheduler] = []
    steps = 0
    machines = iter(machines)
    while True:
        room = most - sum(s.blocks_left() for s in aside)
        machine = next(machines, None) if room > 0 else None
        if machine is not None:
            aside.append(scheduler(machine))
            _give_turn(aside[-1])
        elif not _round(aside):
            _stuck(aside, next(machines, None))
        steps += sum(s.machine.blocks_run for s in aside if s.ended)
        if aside and steps > WHOLE * aside[0].watch.budget:
            raise EmulatorError(
                f"kernel {aside[0].machine.kernel.title}: its blocks together have taken {steps:,} steps, {WHOLE} times the budget "
                "of those that run at once; emulator.step_budget(...) allows more"
            )
        aside = [s for s in aside if not s.ended]
        if not aside and machine is None and room > 0:  # without room nobody has asked for the next chunk
            return steps


def _give_turn(scheduler: Scheduler) -> None:
    """Let a scheduler run until it ends or has to wait. Raises EmulatorError if its budget is used up."""
    scheduler.run()
    if not scheduler.ended and scheduler.watch.exhausted():
        count = scheduler.watch.budget
        _report(scheduler, f"the budget of {count:,} steps is used up; emulator.step_budget(...) allows more")


def _round(aside: list[Scheduler]) -> bool:
    """Give a turn to all that may go on, and say whether there was one: memory has changed, or it has only used up its time."""
    moved = False
    for scheduler in aside:
        if not scheduler.watch.stalled or scheduler.machine.access.memory_version() != scheduler.seen_version:
            scheduler.watch.resume()
            _give_turn(scheduler)
            moved = True
    return moved


def _stuck(aside: list[Scheduler], outside: Machine | None) -> None:
    """Raise the error of threads that wait for ever. outside: a machine whose blocks cannot begin, None if all have."""
    if not aside:
        return
    text = "the thread waits for ever, as nothing that it reads there changes any more"
    if outside is not None:
        text += (
            f"; block {outside.block_position(0)} and those after it have not begun, as no more blocks are resident "
            "at once: a block must not wait for a later one unless both are resident"
        )
    _report(aside[0], text)


def _report(scheduler: Scheduler, why: str) -> None:
    """Raise EmulatorError for the threads of a scheduler that does not end, after what the sanitizer has found."""
    machine = scheduler.machine
    key = min(scheduler.groups)
    lanes = scheduler.groups[key]
    basic = machine.kernel.basic_blocks[key[-1] // 2]
    instruction = polled(machine.kernel, basic)
    source = machine.kernel.files.describe(instruction.source)
    site = Site(instruction.name, instruction.ptx_line, source, instruction.source, "", "u1", 1)
    lines = ", ".join(_lines(machine.kernel, scheduler))
    message = f"endless loop: {why}; lines at which threads are: {lines}"
    machine.report.add("synccheck", message, site, machine, lanes.index[0], count=sum(s.count for s in scheduler.groups.values()))
    machine.report.deliver()
    raise EmulatorError(f"kernel {machine.kernel.title} does not end, {source}: {message}")


def _lines(kernel: TranslatedKernel, scheduler: Scheduler) -> list[str]:
    """Return the source lines at which a scheduler's lanes read in their loops or wait at barriers and collectives, each once."""
    at = (polled(kernel, kernel.basic_blocks[key[-1] // 2]) for key in sorted(scheduler.groups))
    waiting = [w.basic.site.source for w in scheduler.barriers.waiting]
    waiting += [kernel.basic_blocks[key[-1] // 2].site.source for key in scheduler.collectives.meeting]
    return list(dict.fromkeys([*(kernel.files.describe(i.source) for i in at), *waiting]))


def polled(kernel: TranslatedKernel, basic: TranslatedBlock) -> Instruction:
    """Return the instruction that a loop around a basic block waits at: its first that reads memory, else its first with a line."""
    loop = sorted(_loop_of(kernel, basic.number))
    instructions = [i for number in loop for i in kernel.basic_blocks[number].instructions]
    reads = [i for i in instructions if i.opcode in ("ld", "atom") and "param" not in i.modifiers]
    placed = [i for i in instructions if i.source[1]]
    return (reads or placed or instructions)[0]


def _loop_of(kernel: TranslatedKernel, number: int) -> set[int]:
    """Return the blocks that lead from a block back to itself, at least the block."""
    following = {b.number: [t for t in (*b.targets, b.after) if t >= 0] for b in kernel.basic_blocks}

    def reached(start: int) -> set[int]:
        found, work = set(), list(following[start])
        while work:
            node = work.pop()
            if node not in found:
                found.add(node)
                work += following[node]
        return found

    return {b for b in reached(number) if number in reached(b)} | {number}

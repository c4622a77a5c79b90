"""How the threads of a team wait for one another: first by looking again and again, then asleep, until they are woken.

Looking costs nothing on an idle machine, and whoever looks goes on within tenths of a microsecond; to be woken takes tens of them.
But where other programs want the core, each look is time taken from the very thread that is waited for, or from this thread's own
share for later. So every thread notices how much of its time others took: the time that went by, less what it ran (the clock of its
own CPU time), less what it slept. If that is more than a few percent, the team is on a crowded machine, and for the next HOLD
nanoseconds whoever has to wait falls asleep almost at once. The measurements are taken while a thread has nothing to do but wait.

All of the team's memory is one array of 64-bit words, and the functions below take its address. Offsets are in bytes.
"""

from __future__ import annotations

from .atomics import atomic_add, atomic_load, atomic_store, call_address, pause
from .jit import njit_inner
from .system import FOREVER

WORD = 8
LINE = 64  # bytes of a cache line: words that different threads write keep that far from each other

# ---- the team's memory -----------------------------------------------------------------------------------------------------------

(CLOCK, MONOTONIC, THREAD_CLOCK, UNIT, LOCK, UNLOCK, SLEEP, WAKE_ALL) = (WORD * i for i in range(8))  # SystemFunctions, as words
PATIENCE, SHORT_PATIENCE = LINE, LINE + WORD  # nanoseconds that a thread looks before it sleeps: idle machine, crowded one
CROWDED_UNTIL, HOLD = 2 * LINE, 2 * LINE + WORD  # the time until which the machine counts as crowded; for how long it was set ahead
DOCK, STAGES = 3 * LINE, 6 * LINE  # two places to sleep at: where workers wait for a job, and where threads wait within one
MUTEX, CONDITION = LINE, 2 * LINE  # at a place: how many sleep there (one word), a mutex, a condition variable
GENERATION, BUSY, STOP = 9 * LINE, 10 * LINE, 11 * LINE  # used by `team`
JOB = 12 * LINE  # used by `team`
PACE = 13 * LINE  # used by `pace`
THREADS = 14 * LINE  # from here on: a line for each thread
# Words in a thread's line. TIME: two words into which the system writes what a clock says. BEGUN, BEGUN_CPU: the time, and the
# thread's CPU time, when its window began, the stretch that is being measured. SLEPT: how long it has slept in that window.
# LEFT: when its last job ended, if it is the thread that calls. USED, TAKEN: how long it ran, and how much time others took, in
# all windows before.
TIME, BEGUN, BEGUN_CPU, SLEPT, LEFT, USED, TAKEN = (WORD * i for i in (0, 2, 3, 4, 5, 6, 7))

LOOKS = 64  # looks at a counter between two looks at the clock: a microsecond or two
WINDOW = 2_000_000  # nanoseconds after which a thread works out anew how much of its time others took
SHORT_WINDOW = 300_000  # the same at the end of a job
GAP = 50_000  # nanoseconds between two jobs that count as one stretch of work of the thread that calls
A_FEW_PERCENT = 10  # a thread whose time was taken by this part, one tenth, is on a crowded machine
AT_LEAST = 100_000  # nanoseconds: less than that is an interrupt
A_STOP = 1_000_000_000  # nanoseconds: more than that, with next to no work beside it, is Ctrl-Z or a debugger, not a crowd
SHORTEST_HOLD, LONGEST_HOLD = 20_000_000, 640_000_000  # nanoseconds


# ---- time ------------------------------------------------------------------------------------------------------------------------


@njit_inner
def read_clock(team, mine, which):
    """Return the time of the clock MONOTONIC or THREAD_CLOCK in nanoseconds. mine: the address of the calling thread's line."""
    number = atomic_load(team + which)
    call_address(atomic_load(team + CLOCK), (number if number >= 0 else mine + TIME, mine + TIME))
    return atomic_load(mine + TIME) * atomic_load(team + UNIT) + atomic_load(mine + TIME + WORD)


@njit_inner
def begin_window(team, mine, now):
    """Begin to measure how much of this thread's time others take."""
    if atomic_load(team + THREAD_CLOCK) >= 0:
        atomic_store(mine + BEGUN_CPU, read_clock(team, mine, THREAD_CLOCK))
    atomic_store(mine + SLEPT, 0)
    atomic_store(mine + BEGUN, now)


@njit_inner
def end_window(team, mine, now):
    """Work out how much of this thread's time others took, let the machine count as crowded if it was much, and begin a window."""
    if atomic_load(team + THREAD_CLOCK) < 0:
        return
    cpu = read_clock(team, mine, THREAD_CLOCK)
    begun, used = atomic_load(mine + BEGUN), cpu - atomic_load(mine + BEGUN_CPU)
    taken = now - begun - used - atomic_load(mine + SLEPT)
    if taken > A_STOP and taken > 100 * used:
        taken = 0
    if taken > AT_LEAST and taken * A_FEW_PERCENT > now - begun:
        expect_a_crowd(team, now)
    atomic_store(mine + USED, atomic_load(mine + USED) + used)
    atomic_store(mine + TAKEN, atomic_load(mine + TAKEN) + max(taken, 0))
    atomic_store(mine + BEGUN_CPU, cpu)
    atomic_store(mine + SLEPT, 0)
    atomic_store(mine + BEGUN, now)


@njit_inner
def expect_a_crowd(team, now):
    """Let the machine count as crowded for HOLD nanoseconds from now on.

    HOLD is set when a crowd is noticed on a machine that does not count as crowded: to twice as much if the last crowd ended less
    than HOLD ago, as it is probably the same one, otherwise to SHORTEST_HOLD.
    """
    until, hold = atomic_load(team + CROWDED_UNTIL), atomic_load(team + HOLD)
    if now > until:
        hold = min(2 * hold, LONGEST_HOLD) if now - until < hold else SHORTEST_HOLD
        atomic_store(team + HOLD, hold)
    atomic_store(team + CROWDED_UNTIL, now + hold)


@njit_inner
def resume_window(team, mine):
    """Begin a window, as the thread that calls, at the start of a job; go on with the one before, if that job has just ended.

    Returns the time.
    """
    now = read_clock(team, mine, MONOTONIC)
    if now - atomic_load(mine + LEFT) > GAP:
        begin_window(team, mine, now)
    return now


@njit_inner
def leave_window(team, mine):
    """End the window, as the thread that calls, at the end of a job, if it has been long enough. Returns the time."""
    now = read_clock(team, mine, MONOTONIC)
    if now - atomic_load(mine + BEGUN) > SHORT_WINDOW:
        end_window(team, mine, now)
    atomic_store(mine + LEFT, now)
    return now


# ---- waiting and waking ----------------------------------------------------------------------------------------------------------


@njit_inner
def wait_for(team, mine, place, counter, target):
    """Return as soon as the word at address `counter` is at least `target`. mine: the calling thread's line. place: DOCK or STAGES.

    Whoever raises the word calls `wake` afterwards.
    """
    begun = 0
    while True:
        for _ in range(LOOKS):
            if atomic_load(counter) >= target:
                return
            pause()
        now = read_clock(team, mine, MONOTONIC)
        begun = begun or now
        if now - atomic_load(mine + BEGUN) > WINDOW:
            end_window(team, mine, now)
        crowded = now < atomic_load(team + CROWDED_UNTIL)
        if now - begun >= atomic_load(team + (SHORT_PATIENCE if crowded else PATIENCE)):
            sleep(team, place, counter, target)
            slept = read_clock(team, mine, MONOTONIC) - now
            atomic_store(mine + SLEPT, atomic_load(mine + SLEPT) + slept)
            return


@njit_inner
def sleep(team, place, counter, target):
    """Sleep until the word is at least `target`."""
    here = team + place
    call_address(atomic_load(team + LOCK), (here + MUTEX,))
    # Here and in `wake` lies the promise that no wake-up is lost. This thread first counts itself in and then looks at the
    # word; who raises the word does so first and then looks at the count. Both are sequentially consistent, so one of them sees
    # the other: either this thread does not fall asleep, or it is woken. Between its look and its sleep it holds the mutex,
    # without which nobody wakes.
    atomic_add(here, 1)
    while atomic_load(counter) < target:
        call_address(atomic_load(team + SLEEP), (here + CONDITION, here + MUTEX, FOREVER, 0))
    atomic_add(here, -1)
    call_address(atomic_load(team + UNLOCK), (here + MUTEX,))


@njit_inner
def wake(team, place):
    """Wake all who sleep at `place`. The caller has raised the word that they wait for before, by `atomic_add` (see `sleep`)."""
    here = team + place
    if atomic_load(here) > 0:
        call_address(atomic_load(team + LOCK), (here + MUTEX,))
        call_address(atomic_load(team + WAKE_ALL), (here + CONDITION,))
        call_address(atomic_load(team + UNLOCK), (here + MUTEX,))

"""Whether a team goes through its jobs with all threads or with one, while others want the cores too.

Several threads have several shares of a crowded machine, but each of them waits for whichever was put aside. What is faster depends
on who else runs. So while the machine counts as crowded, jobs are done for a while with all threads, for a while by the calling one
alone, and then for PERIODS times as long in the way that took less time for a stage. The results are the same: a job's parts are
what they are, whoever does them.

On an idle machine all threads work. One thread alone often leaves the others a core and so does not notice a crowd that is still
there. Therefore what was found out is forgotten only when no crowd has been noticed for another HOLD nanoseconds (`waiting`).
"""

from __future__ import annotations

from .atomics import atomic_load, atomic_store
from .jit import njit_inner
from .waiting import CROWDED_UNTIL, HOLD, PACE, WORD

# The state, one of the four below; in it so far: nanoseconds of work, and stages done; nanoseconds after which it ends; and how
# many nanoseconds 1024 stages took with all threads, when that was tried
STATE, SPENT, DONE, LIMIT, PACE_OF_ALL = (PACE + WORD * i for i in range(5))
TRY_ALL, TRY_ONE, KEEP_ALL, KEEP_ONE = range(4)
TRIAL = 100_000_000  # nanoseconds of work, or one job if that takes longer
PERIODS = 16


@njit_inner
def chosen_threads(team, now, threads):
    """Return with how many of its `threads` threads the team does a job that begins at `now`: all, or one."""
    idle_for = now - atomic_load(team + CROWDED_UNTIL)
    if idle_for >= 0:
        if idle_for >= atomic_load(team + HOLD):
            begin(team, TRY_ALL, TRIAL)
        return threads
    state = atomic_load(team + STATE)
    return 1 if state in (TRY_ONE, KEEP_ONE) else threads


@njit_inner
def note_pace(team, now, spent, stages):
    """Take a job of so many stages into account that took `spent` nanoseconds."""
    if now >= atomic_load(team + CROWDED_UNTIL):
        return
    spent, stages = spent + atomic_load(team + SPENT), stages + atomic_load(team + DONE)
    atomic_store(team + SPENT, spent)
    atomic_store(team + DONE, stages)
    if spent < max(atomic_load(team + LIMIT), TRIAL):
        return
    state, pace = atomic_load(team + STATE), (spent << 10) // max(stages, 1)
    if state == TRY_ALL:
        atomic_store(team + PACE_OF_ALL, pace)
        begin(team, TRY_ONE, TRIAL)
    elif state == TRY_ONE:
        begin(team, KEEP_ONE if pace < atomic_load(team + PACE_OF_ALL) else KEEP_ALL, PERIODS * spent)
    else:
        begin(team, TRY_ALL, TRIAL)


@njit_inner
def begin(team, state, limit):
    """Begin to count anew, in this state, for so many nanoseconds."""
    atomic_store(team + STATE, state)
    atomic_store(team + LIMIT, limit)
    atomic_store(team + SPENT, 0)
    atomic_store(team + DONE, 0)

"""How a team of threads goes through a list of stages together and shares out the parts of each by atomic counters.

A list of stages that the team is to do is a job. It is given as a `table`: an array of records, one for each stage, with the
address of its compiled loop, the address of its arguments, and the number of its parts.

The thread that calls is the first of the team, and the others, the workers, stay from one job to the next. A job ends as soon
as all its parts are done: nobody waits for a worker that was late and found nothing left. Such a worker may wake up in the
middle of the next job, or while that job is being written down. Three things keep it from doing harm:

- Each job has a number, its generation, which every counter holds above the parts that it counts. A thread takes a part by
  compare-and-swap, which fails unless the counter is of the job that the thread knows. A late worker finds its counters full, or of
  a later job, and leaves.
- The generation is odd while a job is written down. A worker reads it before and after it reads the job, and takes the job only if
  both are the same even number (a seqlock).
- What a late worker may still read, the rows of the table and the counters, is memory of the team's own, which is never freed.
"""

from __future__ import annotations

import numba

from . import waiting
from .atomics import atomic_add, atomic_load, atomic_store, call_address, compare_and_swap
from .jit import njit, njit_inner, njit_parallel
from .pace import chosen_threads, note_pace
from .waiting import (
    BUSY,
    DOCK,
    GENERATION,
    JOB,
    LINE,
    MONOTONIC,
    STAGES,
    STOP,
    THREADS,
    WORD,
    begin_window,
    leave_window,
    read_clock,
    resume_window,
)

BITS = 20  # of a counter that count parts; above them lies the generation
MOST_PARTS = (1 << BITS) - 1
LAST_GENERATION = 1 << (62 - BITS)  # the last job's: then the team stops, before a counter overflows, which takes more than a year
ROW = 3 * WORD  # bytes of a stage in a table
# Where these words lie in the team's memory. The first four describe the job: the addresses of its rows and counters, the number of
# its stages, the number of its threads. The others describe the team: for how many stages it has room, the addresses of that room
# for rows and counters, the number of its threads.
ROWS, COUNTERS, LENGTH, SHARES, CAPACITY, TEAM_ROWS, TEAM_COUNTERS, MOST = (JOB + WORD * i for i in range(8))
SERIAL = BUSY + WORD  # the serial number of the table that lies in TEAM_ROWS


# ---- the work of a thread --------------------------------------------------------------------------------------------------------


@njit_inner
def go_through(team, me, job, rows, counters, length, threads):
    """Go through the stages of a job as thread `me` of `threads`, waiting after each until all of its parts are done.

    job: the generation. rows, counters: addresses of the job's table and of its counters: for each stage a line for the parts taken
    of each thread's share, and one for the parts that are done.
    """
    most = atomic_load(team + MOST)
    mine, base = team + THREADS + me * LINE, job << BITS
    for s in range(length):
        row, taken = rows + s * ROW, counters + s * (most + 1) * LINE
        done, parts = taken + most * LINE, atomic_load(row + 2 * WORD)
        count = take_parts(row, taken, parts, me, job, threads)
        if count < 0:
            return
        if count and atomic_add(done, count) + count == base + parts:
            waiting.wake(team, STAGES)
        elif atomic_load(done) < base + parts:
            waiting.wait_for(team, mine, STAGES, done, base + parts)


@njit_inner
def take_parts(row, taken, parts, me, job, threads):
    """Do parts of a stage until none is left, first of this thread's own share, then of the others'.

    Returns how many it did; -1 if the job is over.
    """
    code, block, count = atomic_load(row), atomic_load(row + WORD), 0
    for turn in range(threads):
        owner = (me + turn) % threads
        start, stop, counter = owner * parts // threads, (owner + 1) * parts // threads, taken + owner * LINE
        now = atomic_load(counter)
        while now >> BITS == job and now - (job << BITS) < stop - start:
            found = compare_and_swap(counter, now, now + 1)
            if found == now:
                call_address(code, (block, start + now - (job << BITS), parts, me))
                count += 1
                found = atomic_load(counter)
            now = found
        if now >> BITS != job:
            return -1
    return count


@njit
def work(team, me):
    """Be thread `me` of a team: wait for jobs and help with each, until the team stops."""
    mine, next_job = team + THREADS + me * LINE, 2
    begin_window(team, mine, read_clock(team, mine, MONOTONIC))
    while atomic_load(team + STOP) == 0:
        waiting.wait_for(team, mine, DOCK, team + GENERATION, next_job)
        job = atomic_load(team + GENERATION)
        rows, counters = atomic_load(team + ROWS), atomic_load(team + COUNTERS)
        length, threads = atomic_load(team + LENGTH), atomic_load(team + SHARES)
        next_job = job + 1
        if job & 1 or atomic_load(team + GENERATION) != job:  # the next job is just being written down
            continue
        next_job = job + 2
        if me < threads:
            go_through(team, me, job, rows, counters, length, threads)


# ---- the work of the thread that calls -------------------------------------------------------------------------------------------


@njit
def run_alone(table, length):
    """Do all stages in the calling thread. table: its address. length: its stages."""
    run_stages_alone(table, length)


@njit_inner
def run_stages_alone(table, length):
    for row in range(table, table + length * ROW, ROW):
        parts = atomic_load(row + 2 * WORD)
        for part in range(parts):
            call_address(atomic_load(row), (atomic_load(row + WORD), part, parts, 0))


@njit_inner
def occupy(team, length):
    """Occupy the team for a job of so many stages. Returns whether it could: the team has no other job, has room, and goes on."""
    if length > atomic_load(team + CAPACITY) or atomic_load(team + STOP) != 0:
        return False
    return compare_and_swap(team + BUSY, 0, 1) == 0


@njit
def run_together(team, serial, table, length, threads):
    """Do all stages with `threads` threads of the team, the calling one included; alone, if the team cannot be occupied.

    serial: a number that no other table has.
    """
    if not occupy(team, length):
        run_stages_alone(table, length)
        return
    begun = resume_window(team, team + THREADS)
    if chosen_threads(team, begun, threads) == 1:
        run_stages_alone(table, length)
    else:
        job = publish(team, serial, table, length, threads)
        go_through(team, 0, job, atomic_load(team + ROWS), atomic_load(team + COUNTERS), length, threads)
    now = leave_window(team, team + THREADS)
    note_pace(team, now, now - begun, length)
    atomic_store(team + BUSY, 0)


@njit_parallel
def run_with_numbas_threads(team, serial, table, length, threads):
    """Do the same as `run_together` with threads that Numba starts or wakes for this call, in a team that has no workers."""
    if not occupy(team, length):
        run_stages_alone(table, length)
        return
    job = publish(team, serial, table, length, threads)
    for me in numba.prange(threads):
        mine = team + THREADS + me * LINE
        begin_window(team, mine, read_clock(team, mine, MONOTONIC))
        go_through(team, me, job, atomic_load(team + ROWS), atomic_load(team + COUNTERS), length, threads)
        leave_window(team, mine)
    atomic_store(team + BUSY, 0)


@njit_inner
def publish(team, serial, table, length, threads):
    """Write a job down where the workers find it, and wake them. Returns its generation.

    A worker that is late may still read what is overwritten here. So the generation is odd meanwhile, and all counters are set
    before any row: whoever has read a new row finds afterwards that the counter is not of the job that it knows. The rows are not
    written if those of the same table are still there.
    """
    job = atomic_add(team + GENERATION, 1) + 2
    if job >= LAST_GENERATION:
        atomic_store(team + STOP, 1)
    rows, counters, most = atomic_load(team + TEAM_ROWS), atomic_load(team + TEAM_COUNTERS), atomic_load(team + MOST)
    for counter in range(counters, counters + length * (most + 1) * LINE, LINE):
        atomic_store(counter, job << BITS)
    if atomic_load(team + SERIAL) != serial or atomic_load(team + ROWS) != rows:
        for offset in range(0, length * ROW, WORD):
            atomic_store(rows + offset, atomic_load(table + offset))
        atomic_store(team + SERIAL, serial)
    atomic_store(team + ROWS, rows)
    atomic_store(team + COUNTERS, counters)
    atomic_store(team + LENGTH, length)
    atomic_store(team + SHARES, threads)
    atomic_add(team + GENERATION, 1)
    waiting.wake(team, DOCK)
    return job


@njit
def give_room(team, rows, counters, capacity):
    """Give the team other memory, for jobs of `capacity` stages. rows, counters: its addresses.

    Another thread may be starting a job meanwhile. It reads the capacity first and the addresses after it; here they are written in
    the opposite order. So the memory that it finds has at least the room that it has read.
    """
    atomic_store(team + TEAM_ROWS, rows)
    atomic_store(team + TEAM_COUNTERS, counters)
    atomic_store(team + CAPACITY, capacity)


@njit
def dismiss(team):
    """Let no further job begin, and send the workers away. Returns whether they go: not as long as the team has a job."""
    atomic_store(team + STOP, 1)
    if compare_and_swap(team + BUSY, 0, 1) != 0:
        return False
    atomic_add(team + GENERATION, 2)
    waiting.wake(team, DOCK)
    return True


@njit
def prepare(function, memory):
    """Call a function of the system that makes a mutex or a condition variable of memory. Both are addresses."""
    call_address(function, (memory, 0))

"""A team of threads: every part once and in order, whoever comes late, however they wait, and on one core."""

import copy
import ctypes
import os
import threading
import time
from contextlib import contextmanager
from itertools import pairwise

import numba
import numpy as np
import pytest
from tinygan_kernels.cpu.runtime import atomics, pace, stages, system, team, waiting, workers
from tinygan_kernels.cpu.runtime.stages import ParallelLoop
from tinygan_kernels.cpu.runtime.workers import Team


@ParallelLoop
def count(done, part, parts):
    done[part] += 1


@ParallelLoop
def sum_before(before, after, part, parts):
    """Add up what every part of the stage before wrote; parts take different times, so one that does not wait gets a wrong sum."""
    total = 0
    for _ in range(1 + 300 * (part % 3)):
        total = 0
        for i in range(before.size):
            total += before[i]
    after[part] = total + 1


@ParallelLoop
def who(seen, part, parts, thread):
    seen[part] = thread


@ParallelLoop
def meet(arrived, met, part, parts):
    """Each part waits until all have begun, which needs a thread for each; it gives up after a minute or so."""
    address = arrived.ctypes.data
    atomics.atomic_add(address, 1)
    for _ in range(3 * 10**8):
        if atomics.atomic_load(address) >= parts:
            met[part] += 1
            break
        atomics.pause()


@numba.njit
def go_through(*arguments):
    team.go_through(*arguments)


@numba.njit
def publish(*arguments):
    return team.publish(*arguments)


@numba.njit
def expect_a_crowd(*arguments):
    waiting.expect_a_crowd(*arguments)


@numba.njit
def end_window(*arguments):
    waiting.end_window(*arguments)


@numba.njit
def choose(*arguments):
    return pace.chosen_threads(*arguments)


@numba.njit
def note(*arguments):
    pace.note_pace(*arguments)


KEPT = []  # a table holds only addresses: somebody has to keep what lies there


def table_of(bound):
    KEPT.extend(bound)
    return np.array([(s.loop.code(s.names), s.block.ctypes.data, s.parts) for s in bound], stages.TABLE)


def run(crew, table, serial=1, threads=None):
    crew.make_room(len(table))
    team.run_together(crew.address, serial, table.ctypes.data, len(table), threads or crew.threads)


def word(crew, offset):
    return ctypes.c_int64.from_address(crew.address + offset)


@pytest.fixture
def crew():
    made = []

    def make(threads, **options):
        made.append(Team(threads, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@contextmanager
def pinned():
    """Let all threads of this process that start meanwhile run on one core."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot pin a process to a core")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def expected_sums(rows):
    """What `sum_before` writes, stage by stage, from the first row."""
    made = rows.copy()
    for s in range(1, len(made)):
        made[s] = made[s - 1].sum() + 1
    return made


# ---- each part once, in order ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sleepless", [0, 5_000, 1 << 62], ids=["asleep at once", "awake a while", "always awake"])
def test_no_wake_up_is_lost_and_no_stage_begins_early(crew, sleepless):
    """Thousands of rounds with more threads than cores; whoever waits sleeps at once, after a moment, never."""
    threads = 6 if sleepless < 1 << 62 else 2
    together, rounds = crew(threads), 2000 if sleepless < 1 << 62 else 300
    word(together, waiting.THREAD_CLOCK).value = -1  # all threads, though this is a crowd
    word(together, waiting.PATIENCE).value = word(together, waiting.SHORT_PATIENCE).value = sleepless
    rows = np.zeros((4, 5), np.int64)
    expected = expected_sums(rows)
    table = table_of([sum_before.stage(5, before, after) for before, after in pairwise(rows)])
    for _ in range(rounds):
        rows[1:] = -1
        run(together, table)
        np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("threads", [2, 5])
def test_all_threads_take_part(crew, threads):
    together, arrived, met = crew(threads), np.zeros(1, np.int64), np.zeros(threads, np.int64)
    word(together, waiting.THREAD_CLOCK).value = -1  # no crowd is noticed, which could leave the job to one thread
    table = table_of([meet.stage(threads, arrived, met)])
    for times in range(1, 20):
        arrived[0] = 0
        run(together, table)
        assert (met == times).all()


def test_many_threads_on_one_core(crew):
    with pinned():
        together, done = crew(8), np.zeros((20, 16), np.int64)
        table = table_of([count.stage(16, row) for row in done])
        for times in range(1, 200):
            run(together, table)
            assert (done == times).all()


def test_other_tables_in_turns(crew):
    """The rows in the team's memory have to be those of the job, whether its table is the one before or another."""
    together, done = crew(3), np.zeros((3, 7), np.int64)
    tables = [table_of([count.stage(7, row)] * (k + 1)) for k, row in enumerate(done)]
    for turn, k in enumerate([0, 0, 1, 2, 2, 1, 0, 1, 0, 2] * 30):
        run(together, tables[k], serial=k + 1)
        assert done[k].min() == done[k].max(), turn
    assert done[:, 0].tolist() == [1 * 4 * 30, 2 * 3 * 30, 3 * 3 * 30]


def test_a_job_that_is_longer_than_all_before(crew):
    """The team's memory grows between two jobs."""
    together, done = crew(3), np.zeros(5, np.int64)
    for serial, length in enumerate((1, 300, 3, 1000, 300)):
        run(together, table_of([count.stage(5, done)] * length), serial)
    assert (done == 1 + 300 + 3 + 1000 + 300).all()


def test_without_room_a_job_is_done_alone(crew):
    together, done = crew(2), np.zeros(64, np.int64)
    table = table_of([who.stage(64, done)] * 257)
    done[:] = -1
    team.run_together(together.address, 1, table.ctypes.data, len(table), 2)
    assert (done == 0).all()


def test_fewer_threads_than_the_team_has(crew):
    together, seen = crew(4), np.full(64, -1, np.int64)
    for _ in range(50):
        run(together, table_of([who.stage(64, seen)]), threads=2)
        assert set(seen) <= {0, 1}


# ---- whoever comes late ----------------------------------------------------------------------------------------------------------


def late(crew, me, job, length, threads=3):
    rows, counters = word(crew, team.TEAM_ROWS).value, word(crew, team.TEAM_COUNTERS).value
    go_through(crew.address, me, job, rows, counters, length, threads)


def test_one_of_three_gets_through_alone_and_the_others_find_nothing_left(crew):
    alone, done = crew(3, workers=False), np.zeros((5, 7), np.int64)
    table = table_of([count.stage(7, row) for row in done])
    for times in range(1, 4):
        run(alone, table)
        assert (done == times).all()
        for other in (1, 2):
            late(alone, other, 2 * times, len(table))
        assert (done == times).all()


def test_a_worker_of_an_older_job_touches_nothing_of_a_newer_one(crew):
    """It finds the new job's rows and untouched counters, as after a preemption of a whole job's length, and has to leave."""
    alone, done = crew(3, workers=False), np.zeros((2, 7), np.int64)
    first, second = (table_of([count.stage(7, row)]) for row in done)
    run(alone, first, serial=1)
    publish(alone.address, 2, second.ctypes.data, 1, 3)
    late(alone, 1, 2, 1)
    assert (done[0] == 1).all() and (done[1] == 0).all()
    late(alone, 1, 4, 1)  # the planted fault: with the newer job's number the same call does its parts
    assert (done[1] == 1).all()


def test_two_callers_at_once(crew):
    """The second one does its job alone instead of waiting or spoiling the first's."""
    together, failures = crew(2), []

    def call(serial):
        done = np.zeros((10, 8), np.int64)
        table = table_of([count.stage(8, row) for row in done])
        for times in range(1, 300):
            run(together, table, serial)
            if not (done == times).all():
                failures.append((serial, times))

    callers = [threading.Thread(target=call, args=(serial,)) for serial in (1, 2, 3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not failures


def test_a_team_that_stopped_still_does_its_jobs(crew):
    together, seen = crew(3), np.full(9, -1, np.int64)
    together.stop()
    assert not any(worker.is_alive() for worker in together._workers)
    run(together, table_of([who.stage(9, seen)]))
    assert (seen == 0).all()


# ---- the crowd -------------------------------------------------------------------------------------------------------------------


def test_a_crowd_is_noticed_and_forgotten(crew):
    """Four threads that never sleep on one core take each other's time; later the machine does not count as crowded any more."""
    with pinned():
        together, done = crew(4), np.zeros((40, 16), np.int64)
        if word(together, waiting.THREAD_CLOCK).value < 0:
            pytest.skip("this system has no clock of a thread's own")
        assert word(together, waiting.CROWDED_UNTIL).value == 0
        table = table_of([count.stage(16, row) for row in done])
        for _ in range(3000):
            run(together, table)
            if word(together, waiting.CROWDED_UNTIL).value:
                break
        assert word(together, waiting.CROWDED_UNTIL).value and together.shares()[1] > 0
    assert word(together, waiting.HOLD).value <= 640_000_000


def test_the_time_of_a_crowd_doubles_while_it_lasts_and_starts_anew_after_a_pause(crew):
    alone = crew(2, workers=False)
    holds, now = [], 10**12
    for wait in (1, 1, 1, 1, 1, 1, 1, 2, 1):
        expect_a_crowd(alone.address, now)
        until, hold = word(alone, waiting.CROWDED_UNTIL).value, word(alone, waiting.HOLD).value
        assert until == now + hold
        holds.append(hold // 10**6)
        now = until + (10**6 if wait == 1 else hold + 10**6)
    assert holds == [20, 40, 80, 160, 320, 640, 640, 640, 20]


def test_on_a_crowded_machine_the_faster_number_of_threads_is_kept(crew):
    """Played with times that are given: first all threads are tried, then one, then the faster of both is kept for a while."""
    alone, now, trial = crew(3, workers=False), 10**12, 100_000_000
    assert choose(alone.address, now, 3) == 3  # idle
    word(alone, waiting.CROWDED_UNTIL).value = 10**15
    for all_take, one_takes, kept in ((5, 4, 1), (4, 5, 3)):  # hundredths of a trial
        seen = []
        for _ in range(900):
            seen.append(choose(alone.address, now, 3))
            note(alone.address, now, trial // 100 * (one_takes if seen[-1] == 1 else all_take), 7)
        tried_all, tried_one = 100 // all_take, 100 // one_takes
        assert seen[: tried_all + tried_one] == [3] * tried_all + [1] * tried_one
        later = seen[tried_all + tried_one :]
        assert later[:400] == [kept] * 400 and set(later) == {1, 3}  # 16 trials long; then both are tried anew
        word(alone, waiting.CROWDED_UNTIL).value = 0
        assert choose(alone.address, now, 3) == 3  # idle again: all, and everything is forgotten
        word(alone, waiting.CROWDED_UNTIL).value = 10**15


def test_ctrl_z_is_no_crowd(crew):
    """A stopped process loses a minute, but not to other programs. If it also worked for seconds meanwhile, it was a crowd."""
    alone = crew(2, workers=False)
    if word(alone, waiting.THREAD_CLOCK).value < 0:
        pytest.skip("this system has no clock of a thread's own")
    now, line = 10**15, waiting.THREADS
    for used, crowded in ((2 * 10**6, False), (10**10, True)):
        word(alone, line + waiting.BEGUN).value = now - 60 * 10**9
        word(alone, line + waiting.BEGUN_CPU).value = time.thread_time_ns() - used
        end_window(alone.address, alone.address + line, now)
        assert (word(alone, waiting.CROWDED_UNTIL).value > 0) == crowded == (alone.shares()[1] > 40)


def played(crew, seconds, crowded):
    """Play a run with times that are given: 3 ms for a job with all threads in a crowd, 1 ms otherwise, so that one is faster.

    Only a job of all threads notices the crowd. crowded(t): whether there is one. Returns [(t, threads of the job), ...].
    """
    alone, start, seen, now = crew(2, workers=False), 10**12, [], 10**12
    while now < start + seconds * 10**9:
        t = (now - start) / 1e9
        chosen = choose(alone.address, now, 2)
        seen.append((t, chosen))
        begun, now = now, now + (3_000_000 if chosen == 2 and crowded(t) else 1_000_000)
        if chosen == 2 and crowded(t):
            expect_a_crowd(alone.address, now)
        note(alone.address, now, now - begun, 7)
    return seen


def test_a_decision_outlives_a_moment_in_which_the_crowd_was_not_noticed(crew):
    """One thread alone does not notice a crowd that leaves it a core, but that is no reason to try everything anew."""
    seen = played(crew, 8, lambda t: True)
    assert sum(chosen == 2 for _, chosen in seen) * 0.003 < 0.08 * 8


def test_a_crowd_that_left_is_forgotten(crew):
    """All threads work again after LONGEST_HOLD at the latest, and go on to; a crowd long after it is judged anew."""
    seen = played(crew, 5, lambda t: t < 2 or t > 4)
    assert {chosen for t, chosen in seen if 2.65 < t < 4} == {2}
    assert {chosen for t, chosen in seen if 4.003 < t < 4.1} == {2} and any(chosen == 1 for t, chosen in seen if t > 4.1)


# ---- what goes wrong -------------------------------------------------------------------------------------------------------------


def test_after_a_year_of_jobs_they_are_still_done(crew):
    """The generation stands above the parts in a counter: when it gets too large for that, jobs are done alone."""
    together, seen = crew(3), np.zeros((4, 7), np.int64)
    table = table_of([count.stage(7, row) for row in seen])
    for times, generation in enumerate((1 << 39, team.LAST_GENERATION - 2, 1 << 61), 1):
        word(together, waiting.GENERATION).value = generation
        run(together, table)
        assert (seen == times).all()


def test_a_system_that_starts_no_more_threads(crew, monkeypatch):
    """The threads that there are do the parts of all, and one line says so."""
    start = threading.Thread.start

    def limited(thread):
        if thread.name in ("tinygan-2", "tinygan-3"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.warns(RuntimeWarning, match="works with 2 of 4 threads") as said:
        together = crew(4)
    assert len(said) == 1
    done = np.zeros((5, 9), np.int64)
    run(together, table_of([count.stage(9, row) for row in done]))
    assert (done == 1).all()


def test_ctrl_c_while_the_workers_start_leaves_none_behind(monkeypatch):
    start, started = threading.Thread.start, []

    def interrupted(thread):
        if thread.name == "tinygan-2":
            raise KeyboardInterrupt
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Team(3)
    assert [thread.is_alive() for thread in started] == [False]


def test_a_team_grows_for_one_thread_at_a_time(crew, monkeypatch):
    """Were the memory for the rows of a short job and the counters of a long one, the long one would write beyond its end."""
    alone, kept = crew(2, workers=False), workers._kept_for_ever
    sizes = []

    def interrupted(size):
        sizes.append(size)
        if len(sizes) == 1:
            alone.make_room(5000)  # as another thread does, or a signal's handler
        return kept(size)

    monkeypatch.setattr(workers, "_kept_for_ever", interrupted)
    alone.make_room(300)
    assert sizes == [512 * team.ROW, 512 * 3 * waiting.LINE] and word(alone, team.CAPACITY).value == 512
    alone.make_room(5000)
    assert word(alone, team.CAPACITY).value == 5000


def test_ctrl_c_while_a_team_grows_is_made_up_for(crew, monkeypatch):
    alone, done = crew(2, workers=False), np.zeros(3, np.int64)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "_kept_for_ever", lambda size: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            alone.make_room(300)
    run(alone, table_of([count.stage(3, done)] * 300))
    assert (done == 300).all() and word(alone, team.CAPACITY).value == 512


def test_a_team_stops_after_the_job_that_it_has(crew):
    """At the end of the process another thread may be in the middle of a job: no further one begins, and the workers go."""
    together, begun, stopping = crew(2), threading.Event(), threading.Event()
    done = np.zeros((10, 8), np.int64)
    table, times = table_of([count.stage(8, row) for row in done]), [0]

    def call():
        while not stopping.is_set():
            run(together, table)
            times[0] += 1
            begun.set()

    caller = threading.Thread(target=call)
    caller.start()
    begun.wait()
    together.stop(patience=60.0)
    alive = [worker.is_alive() for worker in together._workers]
    stopping.set()
    caller.join()
    assert alive == [False] and (done == times[0]).all()


def test_a_stage_is_neither_copied_nor_pickled():
    """A copy would hold the addresses of the original's arrays, and write there."""
    bound = stages.Pipeline([count.stage(3, np.zeros(3, np.int64))])
    for attempt in (lambda: copy.deepcopy(bound), lambda: bound.stages[0].__reduce_ex__(4)):  # which is what pickle calls
        with pytest.raises(TypeError, match="holds the addresses of its arrays"):
            attempt()


def test_a_clock_that_counts_whole_ticks_is_not_used():
    """By such a clock every thread would seem to be put aside all the time."""
    reads = iter(range(10**6))
    assert system.moves_on(lambda: 1000 * next(reads))
    assert not system.moves_on(lambda: 10_000_000 * (next(reads) // 250)) and not system.moves_on(lambda: 0)

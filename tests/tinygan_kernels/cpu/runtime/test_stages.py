"""Stages run by a team of threads: every part once, no stage before the one before it is done, whoever comes and whenever."""

import gc
import weakref
from itertools import pairwise

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygan_kernels.cpu.runtime import arguments, stages
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, Pipeline, Stage
from tinygan_kernels.cpu.runtime.threads import thread_count

KIND = np.dtype([("first", np.int64), ("second", np.float64)])


@ParallelLoop
def count(done, part, parts):
    """Raise the number that belongs to this part, so that a part done twice or never shows."""
    done[part] += 1


@ParallelLoop
def sum_of_all(before, after, part, parts):
    """Add up what every part of the stage before wrote; parts take different times, so one that does not wait gets a wrong sum."""
    total = 0.0
    for _ in range(1 + 50 * (part % 3)):
        total = 0.0
        for i in range(before.size):
            total += before[i]
    after[part] = total + part


@ParallelLoop
def describe(flat, matrix, view, single, records, whole, short, long, sizes, out, part, parts):
    out[0] = flat[1]
    out[1] = matrix[1, 2]
    out[2] = view[2, 1]
    out[3] = single[()]
    out[4] = records[1].first + records[1].second
    out[5] = whole
    out[6] = short
    out[7] = long
    out[8] = len(sizes)
    out[9] = matrix.shape[1] * 100 + view.strides[0]


@ParallelLoop
def who(seen, part, parts, thread):
    seen[part] = thread


@pytest.fixture
def always_a_team(monkeypatch):
    """Make every piece of work, however small, start a team of threads."""
    monkeypatch.setattr(stages, "WORTH_A_TEAM", 0)


# ---- cutting --------------------------------------------------------------------------------------------------------------------


@given(n=st.integers(0, 500), parts=st.integers(1, 9))
def test_spans_and_shares_cover_everything_once(n, parts):
    for cut, unit in ((stages.span.py_func, 16), (stages.share.py_func, 1)):
        runs = [cut(n, parts, p) for p in range(parts)]
        assert [i for start, stop in runs for i in range(start, stop)] == list(range(n))
        assert all(start % unit == 0 or start == n for start, _ in runs)
        sizes = [stop - start for start, stop in runs]
        assert max(sizes) - min(sizes) < 2 * unit


def test_what_is_small_is_not_shared_out():
    threads = thread_count()
    assert stages.parts_for_elements(stages.WORTH_SHARING - 1) == 1 and stages.parts_for_elements(stages.WORTH_SHARING) == threads
    assert stages.parts_for_items(0, 10**9) == 0 and stages.parts_for_items(3, 10) == 1
    assert stages.parts_for_items(10**6, 10**9) == (4 * threads) and stages.parts_for_items(2, 10**9) == 2


# ---- arguments ------------------------------------------------------------------------------------------------------------------


def test_arguments_arrive_as_they_were_given():
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    records = np.array([(1, 0.5), (7, 0.25)], KIND)
    out = np.zeros(10)
    describe(np.array([3, -5]), matrix, matrix[:, ::2], np.array(2.5), records, -9, np.float32(0.1), 0.1, (0,) * 3, out)
    assert out.tolist() == [-5, 6, 10, 2.5, 7.25, -9, np.float32(0.1), 0.1, 3, 416]


OTHER_KIND = np.dtype([("first", np.float64), ("second", np.int64)])


@ParallelLoop
def first_of(records, out, part, parts):
    out[0] = records[0].first


def test_records_of_one_size_are_told_apart_by_their_fields():
    """NumPy calls both records "|V16": keyed by that name, one would be read with the other's fields."""
    assert KIND.str == OTHER_KIND.str and KIND.itemsize == OTHER_KIND.itemsize == 16
    for kind, value in ((KIND, 7), (OTHER_KIND, 0.5), (KIND, 3)):
        out = np.zeros(1)
        first_of(np.array([(value, 1)], kind), out)
        assert out[0] == value
    assert arguments.record_type(arguments.record_name(OTHER_KIND)) == OTHER_KIND
    assert arguments.record_name(KIND) != arguments.record_name(OTHER_KIND)


def test_records_with_gaps_are_refused():
    gaps = np.dtype({"names": ["first", "second"], "formats": [np.int32, np.float64], "offsets": [0, 8], "itemsize": 16})
    with pytest.raises(TypeError, match="without gaps"):
        first_of.stage(1, np.zeros(1, gaps), np.zeros(1))


def test_a_loop_is_compiled_once_for_each_kind_of_arguments():
    loop = ParallelLoop(count.function)
    first, again, other = (loop.stage(1, np.zeros(3, dtype)).names for dtype in (np.int64, np.int64, np.float64))
    loop.compile(first)
    assert not loop.compile(again)
    assert loop.code(first) == loop.code(again) != loop.code(other)


def test_a_stage_keeps_its_arrays_alive():
    done = np.zeros(4, np.int64)
    kept, stage = weakref.ref(done), count.stage(1, done)
    del done
    gc.collect()
    Pipeline([stage])()
    assert kept()[0] == 1


# ---- the team -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 64])
def test_every_part_is_done_once(parts, always_a_team):
    done = [np.zeros(parts, np.int64) for _ in range(20)]
    work = Pipeline(count.stage(parts, d) for d in done)
    for times in range(1, 30):
        work()
        assert all((d == times).all() for d in done)


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_no_stage_begins_before_the_one_before_is_done(parts, always_a_team):
    rows = np.zeros((30, parts))
    work = Pipeline(sum_of_all.stage(parts, before, after) for before, after in pairwise(rows))
    expected = rows.copy()
    for s in range(1, len(rows)):
        expected[s] = expected[s - 1].sum() + np.arange(parts)
    for _ in range(50):
        rows[1:] = np.nan
        work()
        np.testing.assert_array_equal(rows, expected)


def test_threads_are_numbered_for_their_scratch_memory(always_a_team):
    seen = np.full(64, -1, np.int64)
    Pipeline([who.stage(64, seen)])()
    assert seen.min() >= 0 and seen.max() < thread_count()


def test_small_work_is_done_by_the_thread_that_calls():
    seen = np.full(8, -1, np.int64)
    Pipeline([who.stage(8, seen, size=stages.WORTH_A_TEAM - 1)])()
    assert (seen == 0).all()


def test_nothing_to_do(always_a_team):
    Pipeline([])()
    done = np.zeros(2, np.int64)
    Pipeline([Stage(count, "", np.zeros(1, np.int64), 0, (), 0), count.stage(2, done)])()
    assert (done == 1).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_numbers_of_threads(threads, always_a_team):
    before = numba.get_num_threads()
    if threads > before:
        pytest.skip(f"there is but {before} thread here")
    try:
        numba.set_num_threads(threads)
        done = np.zeros(9, np.int64)
        Pipeline([count.stage(9, done)] * 3)()
        assert (done == 3).all()
    finally:
        numba.set_num_threads(before)


# ---- works in a row -------------------------------------------------------------------------------------------------------------


def test_neighbours_are_joined_and_what_stands_between_stays_there():
    order, done = [], np.zeros((4, 1), np.int64)
    works = [Pipeline([count.stage(1, d)]) for d in done]

    def between():
        order.append(done[:, 0].tolist())

    calls = stages.joined([works[0], works[1], between, works[2], works[3], between])
    assert [type(call) is Pipeline for call in calls] == [True, False, True, False]
    for call in calls:
        call()
    assert order == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert stages.joined([]) == [] and stages.in_order(works[0], between) is None

"""Products that leave out A's zeros: the same numbers as with all terms, the terms listed that count and no others, and lists used
where they pay and nowhere else."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, normal
from tinygan_kernels.cpu.matmul import jobs, nonzero_lists, zero_skipping
from tinygan_kernels.cpu.row_formulas import address_of
from tinygan_kernels.cpu.runtime import simd

pytestmark = pytest.mark.skipif(simd.register_bytes() < 32, reason="lists are not used where registers are as narrow as here")
LANES = {np.float32: simd.lanes(4), np.float64: simd.lanes(8)}
PATTERNS = ("any", "rows", "columns", "first term only", "last term only", "none left")


def with_zeros(rng, rows, terms, pattern, dtype):
    """A (rows, terms) with zeros of both signs in a pattern, more than half of it."""
    a = normal(rng, (rows, terms), dtype)
    a[a == 0] = 1
    kept = {
        "any": rng.random(a.shape) < 0.3,
        "rows": rng.random((rows, 1)) < 0.4,
        "columns": rng.random((1, terms)) < 0.4,
        "first term only": np.arange(terms) == np.zeros((rows, 1)),
        "last term only": np.arange(terms) == np.full((rows, 1), terms - 1),
        "none left": np.zeros((1, 1), bool),
    }[pattern]
    return np.where(kept, a, np.where(rng.random(a.shape) < 0.5, dtype(0), -dtype(0)))


def bound(a, b, c, trans_a, trans_b, add, bias, listed, threads=1):
    """(C by tiles, with lists where they pay or with all terms, as Pipeline; {use: scratch memory}).

    The fewer columns a thread has, the less lists pay: with one it does not depend on the machine whether there are any.
    """
    taken, before = {}, numba.get_num_threads()

    def take(use, shape, dtype):
        return taken.setdefault(use, np.zeros(shape, dtype))

    skip = zero_skipping.SkipZeros.WHERE_IT_PAYS if listed else None
    try:
        numba.set_num_threads(min(threads, before))
        work = jobs.tiled_products(a[None], b[None], c[None], trans_a, trans_b, add, bias, 0.2, take, skip)
    finally:
        numba.set_num_threads(before)
    assert len(work.stages) == 1 + listed
    return work, taken


def product(*arguments, listed):
    """Bind the same product, run it, and return the scratch memory that holds its lists."""
    work, taken = bound(*arguments, listed)
    work()
    return taken.get("lists")


def done_by_lists(work):
    """Return, for each job, the share of its columns that were computed by lists."""
    (found,) = (a for a in work.stages[0].alive if isinstance(a, np.ndarray) and a.dtype == jobs.JOB)
    return (found["done_to"] - found["left"]) / (found["right"] - found["left"])


def placed(array):
    """(the same matrix, in the midst of memory full of a number; that memory)"""
    memory = np.full(array.size + 128, 7, array.dtype)
    view = memory[64 : 64 + array.size].reshape(array.shape)
    view[...] = array
    return view, memory


def listed_first(memory, terms, dtype):
    """The first list in the memory of a thread: (factors, k)."""
    item, at = np.dtype(dtype).itemsize, panel_bytes(terms)
    count = int(memory[at : at + nonzero_lists.COUNT].view(np.int64)[0])
    runs = memory[at + nonzero_lists.COUNT :]
    room = zero_skipping.terms_at_a_time(terms) + LANES[dtype]
    return runs[: count * item].view(dtype), runs[room * item :][: count * item].view(f"i{item}")


def panel_bytes(terms):
    """Return how many bytes of scratch memory the panel takes, after which the lists begin."""
    return zero_skipping.terms_at_a_time(terms) * zero_skipping.WIDE * simd.register_bytes()


@settings(max_examples=80, deadline=None)
@given(
    rows=st.sampled_from([16, 17, 31, 64, 127, 128, 130, 257]), terms=st.sampled_from([32, 33, 48, 65, 127, 130, 300]),
    registers=st.sampled_from([4, 7, 9, 16, 21]), more=st.sampled_from([0, 1, 3]), trans=st.tuples(st.booleans(), st.booleans()),
    add=st.booleans(), biased=st.booleans(), dtype=st.sampled_from(DTYPES), pattern=st.sampled_from(PATTERNS),
    threads=st.sampled_from([1, 2]), seed=st.integers(0, 1000),
)
def test_the_same_numbers_as_with_all_terms(rows, terms, registers, more, trans, add, biased, dtype, pattern, threads, seed):
    rng, columns = np.random.default_rng(seed), registers * LANES[dtype] + more
    left, right = with_zeros(rng, rows, terms, pattern, dtype), normal(rng, (terms, columns), dtype)
    a, b = (placed(np.ascontiguousarray(x.T if t else x))[0] for x, t in zip((left, right), trans, strict=True))
    bias = normal(rng, columns, dtype) if biased else None
    start = normal(rng, (rows, columns), dtype)
    (few, around), (every, _) = placed(start), placed(start)
    work, _ = bound(a, b, few, *trans, add, bias, True, threads)
    work()
    product(a, b, every, *trans, add, bias, listed=False)
    np.testing.assert_array_equal(few, every)
    if threads == 1 and registers >= 16 and pattern not in ("rows", "columns"):  # of which the sample may see too few zeros
        assert (done_by_lists(work) > 0).all(), "lists are on trial here"
    assert (around[:64] == 7).all() and (around[64 + few.size :] == 7).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_zero_times_what_is_not_finite_is_nan(value, trans_a, dtype):
    """0 times infinity or NaN is NaN wherever it lies in B: in wide panels, the last registers, the last columns, the first or
    last block of terms.
    """
    rng, terms, columns = np.random.default_rng(0), 400, 14 * LANES[dtype] + 3
    left = with_zeros(rng, 40, terms, "any", dtype)
    a = np.ascontiguousarray(left.T if trans_a else left)
    for k, j in ((0, 0), (terms - 1, 4 * LANES[dtype] - 1), (200, 13 * LANES[dtype]), (1, columns - 1)):
        b = normal(rng, (terms, columns), dtype)
        b[k, j] = value
        few, every = np.empty((2, 40, columns), dtype)
        product(a, b, few, trans_a, False, False, None, listed=True)
        product(a, b, every, trans_a, False, False, None, listed=False)
        assert np.isnan(every[left[:, k] == 0, j]).all() and np.isfinite(np.delete(every, j, axis=1)).all()
        np.testing.assert_array_equal(few, every)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_in_a_counts(value, dtype):
    rng, columns = np.random.default_rng(0), 6 * LANES[dtype]
    a, b = with_zeros(rng, 40, 100, "any", dtype), normal(rng, (100, columns), dtype)
    a[3, 50] = value
    c = np.zeros((40, columns), dtype)
    product(a, b, c, False, False, False, None, listed=True)
    assert not np.isfinite(c[3]).any() and np.isfinite(np.delete(c, 3, axis=0)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("terms", [32, 77, 500])
def test_lists_hold_the_terms_that_count(terms, trans_a, dtype):
    """Scratch memory still holds the lists of the last block of terms: they name the terms that count, and no others."""
    rng, columns = np.random.default_rng(0), 13 * LANES[dtype]
    left = with_zeros(rng, 40, terms, "any", dtype)
    b, c = normal(rng, (terms, columns), dtype), np.empty((40, columns), dtype)
    memory = product(np.ascontiguousarray(left.T if trans_a else left), b, c, trans_a, False, False, None, listed=True)
    (worked_in,) = (of_thread for of_thread in memory if of_thread.any())
    factors, k = listed_first(worked_in, terms, dtype)
    block = zero_skipping.terms_at_a_time(terms)
    first = (terms - 1) // block * block
    expected = np.flatnonzero(left[0, first:])
    np.testing.assert_array_equal(k, expected)
    np.testing.assert_array_equal(factors, left[0, first:][expected])
    assert 0 < len(k) < terms - first, "that would show nothing"


@pytest.mark.parametrize(("kept", "expected"), [(1.0, False), (0.97, False), (0.3, True), (0.0, True)])
@pytest.mark.parametrize("pattern", ["anywhere", "whole columns"])
@pytest.mark.parametrize("trans_a", [False, True])
def test_lists_are_made_where_they_pay(trans_a, pattern, kept, expected):
    """Lists are made where they pay; with or without lists all columns are computed, and a second run has other numbers."""
    rng, columns = np.random.default_rng(0), 20 * LANES[np.float32]
    mask = rng.random((128, 300) if pattern == "anywhere" else (1, 300)) < kept
    left = (rng.uniform(1, 2, (128, 300)) * mask).astype(np.float32)
    a, b = np.ascontiguousarray(left.T if trans_a else left), normal(rng, (300, columns), np.float32)
    c = np.full((128, columns), np.nan, np.float32)
    work, _ = bound(a, b, c, trans_a, False, False, None, listed=True)
    for again in (False, True):
        a[...] = 1 if again else a
        work()
        assert (done_by_lists(work) == 1).all() == (expected and not again) and np.isfinite(c).all()
    np.testing.assert_allclose(c, np.broadcast_to(b.sum(axis=0), c.shape), rtol=1e-3, atol=1e-3)


def test_few_columns_and_small_products_go_without_lists():
    rng = np.random.default_rng(0)
    a, b = with_zeros(rng, 64, 100, "any", np.float32), normal(rng, (100, 2 * LANES[np.float32]), np.float32)
    work, _ = bound(a, b, np.empty((64, b.shape[1]), np.float32), False, False, False, None, listed=True)
    work()
    assert (done_by_lists(work) == 0).all()
    assert not zero_skipping.may_pay(64, 64, 64) and zero_skipping.may_pay(512, 512, 512)


@numba.njit
def finite(like, memory, count):
    return nonzero_lists.all_finite(like, address_of(memory), count)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_number_that_is_not_finite_is_seen_anywhere(dtype):
    numbers = np.full(3 * LANES[dtype], np.finfo(dtype).max)
    assert finite(numbers, numbers, 3)
    for place in range(numbers.size):
        for value in (np.inf, -np.inf, np.nan):
            bad = numbers.copy()
            bad[place] = value
            assert not finite(bad, bad, 3)


def test_the_comparison_sees_a_term_that_is_lost():
    """A planted mistake loses each row's last term; the comparison of the test above must see it."""
    rng = np.random.default_rng(0)
    a, b = with_zeros(rng, 64, 100, "any", np.float32), normal(rng, (100, 6 * LANES[np.float32]), np.float32)
    lost = a.copy()
    for row in lost:
        row[np.flatnonzero(row)[-1]] = 0
    few, every = np.empty((2, 64, b.shape[1]), np.float32)
    product(lost, b, few, False, False, False, None, listed=True)
    product(a, b, every, False, False, False, None, listed=False)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(few, every)

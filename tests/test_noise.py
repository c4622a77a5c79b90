"""Normal numbers from random bits: their distribution, and that they are a function of the generator's state alone."""

import numpy as np
import pytest
from scipy import stats
from tinygan_kernels.noise import Normals


def drawn(n, seed=0, dtype=np.float32):
    return Normals(np.full(n, np.nan, dtype))(np.random.default_rng(seed))


def test_their_distribution_is_normal_far_into_the_tails():
    x = drawn(4_000_000).astype(np.float64)
    assert stats.kstest(x, "norm").pvalue > 1e-3
    assert abs(x.mean()) < 5 / np.sqrt(x.size) and abs(x.var() - 1) < 5 * np.sqrt(2 / x.size)
    for bound in (3, 4, 4.5):
        expected = 2 * stats.norm.sf(bound) * x.size
        assert abs((np.abs(x) > bound).sum() - expected) < 5 * np.sqrt(expected), bound


def test_the_two_of_a_pair_and_neighbours_are_independent():
    x = drawn(2_000_000).astype(np.float64)
    first, second = np.split(x, 2)
    for a, b in ((first, second), (first[:-1], first[1:]), (first[:-1], second[1:])):
        for power in (1, 2):
            assert abs(np.corrcoef(a**power, b**power)[0, 1]) < 5 / np.sqrt(a.size)


def test_all_quarters_of_the_circle_come_alike():
    first, second = np.split(drawn(400_000), 2)
    counts, _ = np.histogram(np.arctan2(second, first), 16, (-np.pi, np.pi))
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("n", [0, 1, 2, 7, 16, 4097])
def test_any_size_is_filled(n):
    x = drawn(n)
    assert np.isfinite(x).all() and len(np.unique(x)) == n


def test_the_same_state_gives_the_same_numbers_and_another_state_others():
    rng, normals = np.random.default_rng(3), Normals(np.empty((2, 3, 5), np.float32))
    first = normals(rng).copy()
    state = rng.bit_generator.state
    second = normals(rng).copy()
    rng.bit_generator.state = state
    np.testing.assert_array_equal(normals(rng), second)
    assert (first != second).all()
    np.testing.assert_array_equal(Normals(np.empty(30, np.float32))(np.random.default_rng(3)), first.reshape(-1))


def test_double_precision_is_numpys():
    np.testing.assert_array_equal(drawn(9, dtype=np.float64), np.random.default_rng(0).standard_normal(9))


def test_the_extreme_bits():
    """No word gives an infinite number, or one that is none."""
    class Bits:
        def __init__(self, word):
            self.bit_generator, self.word = self, word

        def random_raw(self, n):
            return np.full(n, self.word, np.uint64)

    for word in (0, 2**64 - 1, 2**63, 2**31 - 1, 0x7FFFFFFF00000000, 0x0000000100000001, 0x00FFFFFF00FFFFFF):
        x = Normals(np.empty(8, np.float32))(Bits(word))
        assert np.isfinite(x).all() and np.abs(x).max() < 6.67


OTHERS = {"half": np.empty(4, np.float16), "int": np.empty(4, int), "strided": np.empty((4, 4), np.float32)[:, ::2]}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_arrays_are_refused(kind):
    with pytest.raises(ValueError, match="normal numbers fill C-contiguous arrays of float32 or float64"):
        Normals(OTHERS[kind])

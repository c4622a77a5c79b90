"""Normal numbers from random bits: their distribution, and that they are a function of the generator's state alone."""

import numpy as np
import pytest
from scipy import stats
from tinygan_kernels.cpu.normal_rng import Normals, box_muller, philox
from tinygan_kernels.cpu.runtime.stages import Pipeline


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


def philox_by_hand(counter, key):
    """Philox 4x32-10 as its paper has it (Salmon et al. 2011, section 3), on Python's whole numbers."""
    (c0, c1, c2, c3), (k0, k1), low = counter, key, 2**32 - 1
    for _ in range(10):
        p, q = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (q >> 32) ^ c1 ^ k0, q & low, (p >> 32) ^ c3 ^ k1, p & low
        k0, k1 = (k0 + 0x9E3779B9) & low, (k1 + 0xBB67AE85) & low
    return [c0, c1, c2, c3]


KNOWN = {  # the known answers that the authors' Random123 is tested with
    ((0,) * 4, (0,) * 2): "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2): "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)): "d16cfe09 94fdcceb 5001e420 24126ea1",
}


@pytest.mark.parametrize(("given", "words"), KNOWN.items())
def test_philox_by_hand_gives_the_known_answers(given, words):
    assert " ".join(f"{word:08x}" for word in philox_by_hand(*given)) == words


def test_the_loop_is_philox_whatever_the_parts():
    low, rng = 2**32 - 1, np.random.default_rng(1)
    key = np.array([*rng.integers(0, 2**64, 2, np.uint64)])
    words = np.zeros((4, 37), np.int32)
    Pipeline([philox.stage(5, key, words)])()
    k, c = (int(word) for word in key)
    for i in (0, 1, 17, 36):
        assert philox_by_hand((i, 0, c & low, c >> 32), (k & low, k >> 32)) == words.view(np.uint32)[:, i].tolist()


def test_the_extreme_bits():
    """No word of random bits gives an infinite number or NaN."""
    extreme = np.array([0, 1, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1], np.uint32).view(np.int32)
    lengths, turns = (grid.reshape(-1) for grid in np.meshgrid(extreme, extreme))
    x = np.full((2, lengths.size), np.nan, np.float32)
    box_muller(lengths, turns, *x)
    assert np.isfinite(x).all() and np.abs(x).max() < 6.67


OTHERS = {"half": np.empty(4, np.float16), "int": np.empty(4, int), "strided": np.empty((4, 4), np.float32)[:, ::2]}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_arrays_are_refused(kind):
    with pytest.raises(ValueError, match="normal numbers fill C-contiguous arrays of float32 or float64"):
        Normals(OTHERS[kind])

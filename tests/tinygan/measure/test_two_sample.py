"""The two-sample test: MMD^2 by its definition, p by all permutations there are, and how often it finds planted errors."""

from itertools import combinations
from math import comb
from statistics import mean, pstdev

import numpy as np
import pytest
from scipy.stats import permutation_test

from tinygan.measure.two_sample import View, two_sample_test


def mmd_by_loops(x, y, bandwidth):
    """Compute Gretton et al. 2012, eq. 3, word for word."""
    def kernel(a, b):
        return np.exp(-sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / (2 * bandwidth**2))

    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (7, 4), (5, 12)])
def test_mmd_by_its_definition(n, m):
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((n, 3)), 0.5 + rng.standard_normal((m, 3))
    found = two_sample_test([View(x, y, b) for b in (0.5, 2.0)], rng, permutations=3)
    np.testing.assert_allclose(found.mmd, [mmd_by_loops(x, y, b) for b in (0.5, 2.0)], rtol=1e-12)


@pytest.mark.parametrize(("n", "m", "shift"), [(4, 4, 1.5), (3, 5, 1.0)])
def test_p_against_every_permutation(n, m, shift):
    """SciPy goes through all partitions of so few samples; 5,000 random ones come within 4 standard errors of its p."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((n, 1)), shift + rng.standard_normal((m, 1))
    exact = permutation_test((x[:, 0], y[:, 0]), lambda a, b: mmd_by_loops(a[:, None], b[:, None], 1.0), alternative="greater",
                             vectorized=False, n_resamples=np.inf).pvalue
    found = two_sample_test([View(x, y, 1.0)], rng, permutations=5000)
    assert abs(found.p - exact) < 4 * np.sqrt(exact * (1 - exact) / 5000) + 1 / 5000
    assert 0.02 < exact < 0.9


class Every:
    """Gives every choice of n among n + m samples but the first, as permutations."""

    def __init__(self, n, m):
        splits = list(combinations(range(n + m), n))[1:]
        self.given = iter([[*split, *set(range(n + m)).difference(split)] for split in splits])

    def permutation(self, n):
        return np.array(next(self.given))


def test_the_score_and_p_of_two_views_over_every_split():
    """MMD^2 of each split by the definition, less its mean and over its standard deviation; the larger of the two views counts."""
    n, m, widths = 3, 4, (0.4, 2.0)
    pool = np.random.default_rng(8).standard_normal((n + m, 2)) + np.repeat([[0.0], [0.8]], [n, m], axis=0)
    found = two_sample_test([View(pool[:n], pool[n:], b) for b in widths], Every(n, m), permutations=comb(n + m, n) - 1)
    splits = [[*split, *set(range(n + m)).difference(split)] for split in combinations(range(n + m), n)]
    of_views = [[mmd_by_loops(pool[split[:n]], pool[split[n:]], b) for split in splits] for b in widths]
    scores = np.max([(np.array(values) - mean(values)) / pstdev(values) for values in of_views], axis=0)
    assert found.score == pytest.approx(scores[0], rel=1e-9)
    assert found.p == np.mean(scores >= scores[0] - 1e-9) and 0.02 < found.p < 0.9


def test_p_is_right_whatever_the_number_of_views():
    """Without a difference p is uniform: of 200 tests by three views about 20 fall to 0.1 or below."""
    rng = np.random.default_rng(0)
    low = 0
    for _ in range(200):
        x, y = rng.standard_normal((2, 30, 2))
        low += two_sample_test([View(x, y, b) for b in (0.2, 1.0, 5.0)], rng, permutations=39).p <= 0.1
    assert 8 <= low <= 34  # 20 +- 3.3 standard deviations


def test_one_view_that_sees_a_difference_is_enough():
    rng = np.random.default_rng(1)
    same, x, y = rng.standard_normal((3, 80, 2))
    other = 2 + y
    assert two_sample_test([View(x, same, 1.0), View(x, other, 1.0)], rng).p == 1 / 200
    assert two_sample_test([View(x, same, 1.0)], rng).p > 0.05


def test_samples_that_are_all_alike():
    rng = np.random.default_rng(0)
    found = two_sample_test([View(np.ones((4, 2)), np.ones((3, 2)), 1.0)], rng)
    assert (found.p, found.score, found.mmd) == (1.0, 0.0, (pytest.approx(0, abs=1e-12),))


@pytest.mark.parametrize(("views", "options", "message"), [
    ([], {}, "views is empty"),
    ([View(np.ones((1, 2)), np.ones((4, 2)), 1.0)], {}, "1 real and 4 generated samples"),
    ([View(np.ones((3, 2)), np.ones((4, 2)), 1.0), View(np.ones((3, 2)), np.ones((5, 2)), 1.0)], {}, "different numbers"),
    ([View(np.ones((3, 2)), np.ones((4, 2)), 0.0)], {}, "bandwidth of a view is 0.0"),
    ([View(np.ones((3, 2)), np.ones((4, 2)), 1.0)], {"permutations": 0}, "permutations is 0"),
])
def test_what_cannot_be_tested(views, options, message):
    with pytest.raises(ValueError, match=message):
        two_sample_test(views, np.random.default_rng(0), **options)

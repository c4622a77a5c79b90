"""The birthday test against the birthday paradox itself, and what it refuses."""

import numpy as np
import pytest

from tinygan.measure.birthday import birthday_test


def uniform(n, seed=0):
    """Return a function that draws from n numbers, each as likely."""
    rng = np.random.default_rng(seed)
    return lambda s: rng.integers(n, size=(s, 1))


def test_twenty_three_people():
    """Two of 23 share a birthday with a probability of 0.507."""
    found = birthday_test(uniform(365), 23, 4000)
    assert found.share == pytest.approx(0.507, abs=0.025)
    assert found.support == pytest.approx(365, rel=0.1)


def test_the_support_does_not_depend_on_the_batch():
    for batch in (10, 20, 40):
        assert birthday_test(uniform(500), batch, 4000).support == pytest.approx(500, rel=0.15), batch


def test_uneven_draws_have_the_support_of_their_squares():
    rng = np.random.default_rng(1)
    p = np.repeat([0.5 / 100, 0.5 / 900], [100, 900])
    found = birthday_test(lambda s: rng.choice(1000, (s, 1), p=p), 22, 4000)
    assert found.support == pytest.approx(1 / (p**2).sum(), rel=0.1)


def test_batches_that_cannot_tell():
    assert birthday_test(lambda s: np.arange(s), 9, 3).support == float("inf")
    assert birthday_test(lambda s: np.zeros((s, 2, 2)), 9, 3) == birthday_test(lambda s: np.ones(s), 2, 1)
    assert birthday_test(lambda s: np.zeros(s), 9, 3).support == 0.0
    assert birthday_test(lambda s: np.full((s, 2), np.nan), 9, 3).share == 0


def test_the_tolerance_is_a_distance():
    points = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert birthday_test(lambda s: points, 2, 1, 5.0).share == 1
    assert birthday_test(lambda s: points, 2, 1, 4.99).share == 0


@pytest.mark.parametrize(("batch", "trials", "tolerance"), [(1, 5, 0), (5, 0, 0), (5, 5, -1), (5, 5, float("nan"))])
def test_what_is_refused(batch, trials, tolerance):
    with pytest.raises(ValueError, match="they have to be at least 2, 1 and 0"):
        birthday_test(uniform(5), batch, trials, tolerance)

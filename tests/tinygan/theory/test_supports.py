"""Claims about Parzen windows and about supports: each fails under a planted mistake."""

import numpy as np
import pytest
from tinygan_kernels import load

from tinygan.measure import birthday, metrics
from tinygan.measure.metrics import Parzen
from tinygan.theory import likelihood, supports
from tinygan.theory.all import claims, judge

CPU = load("cpu")
BY_NAME = {claim.name: claim for claim in claims()}


@pytest.fixture(autouse=True)
def no_cached_runs():
    """Forget what was measured under a planted mistake."""
    yield
    likelihood.parzen_table.cache_clear()
    supports.on_lines.cache_clear()


def failing(name):
    """Return what a claim measures and finds wrong."""
    (verdict,) = judge([BY_NAME[name]], CPU)
    return [m.what for m in verdict.measured if not m.passed] or ([verdict.error] if verdict.error else [])


# ---- Parzen windows -------------------------------------------------------------------------------------------------------------


def without_training(monkeypatch):
    """Let noise stand for the small GAN's samples: what is on trial is the measure."""
    monkeypatch.setattr(likelihood, "_samples_of_a_gan",
                        lambda train, backend, rng: np.clip(train[-300:] + 0.17 * rng.standard_normal((300, 64)), 0, 1))


def test_the_table_stands_without_a_trained_gan(monkeypatch):
    without_training(monkeypatch)
    likelihood.parzen_table.cache_clear()
    assert not failing("parzen-table")


def test_windows_that_do_not_rank_are_caught(monkeypatch):
    without_training(monkeypatch)
    likelihood.parzen_table.cache_clear()
    monkeypatch.setattr(likelihood, "parzen", lambda *_: Parzen(1.0, 0.5, 0.2))
    assert {"centres over digits, in standard errors of the difference"} <= set(failing("parzen-table"))


def test_centres_that_are_digits_are_caught(monkeypatch):
    import sklearn.cluster

    class Drawn:
        def __init__(self, n, **_):
            self.n = n

        def fit(self, x):
            self.cluster_centers_ = x[-self.n :]
            return self

    without_training(monkeypatch)
    likelihood.parzen_table.cache_clear()
    monkeypatch.setattr(sklearn.cluster, "KMeans", Drawn)
    assert len(failing("parzen-table")) >= 2


@pytest.mark.parametrize("wrong", [
    lambda fake, points, sigma: _plain(fake, points, sigma) + np.log(len(fake)),  # a sum for the mean
    lambda fake, points, sigma: _plain(fake, points, sigma) + fake.shape[1] * np.log(sigma),  # without the width in the constant
])
def test_a_wrong_window_is_caught(wrong, monkeypatch):
    monkeypatch.setattr(metrics, "_log_likelihood", wrong)
    assert failing("parzen-likelihood")


_plain = metrics._log_likelihood


# ---- supports -------------------------------------------------------------------------------------------------------------------


def test_a_birthday_test_that_misses_repeats_is_caught(monkeypatch):
    plain = birthday._repeats
    monkeypatch.setattr(birthday, "_repeats", lambda samples, tolerance: plain(samples[: len(samples) * 3 // 4], tolerance))
    assert len(failing("birthday")) >= 4


def test_a_tolerance_that_is_twice_as_wide_is_caught(monkeypatch):
    plain = birthday._repeats
    monkeypatch.setattr(birthday, "_repeats", lambda samples, tolerance: plain(samples, 2 * tolerance))
    assert failing("birthday") == ["1,024 exact samples of the ring, the same if within 0.02: support found"]


def test_objectives_that_are_swapped_are_caught(monkeypatch):
    plain = supports.on_lines.__wrapped__
    monkeypatch.setattr(supports, "on_lines", lambda *a: (lambda v, weak, strong: (v, strong, weak))(*plain(*a)))
    failed = failing("perfect-d")
    assert any(what.startswith("|dV/dtheta|") and "after 100" in what for what in failed)
    assert any(what.startswith("the non-saturating gradient") for what in failed)


def test_a_d_that_cannot_become_perfect_is_caught(monkeypatch):
    plain = supports.weighted_value
    monkeypatch.setattr(supports, "weighted_value", lambda s, p, q: plain(s, 0.9 * p + 0.1 * q, q))
    supports.on_lines.cache_clear()
    assert "V of a D trained for 100 iterations: a perfect D" in failing("perfect-d")


def test_a_pull_that_points_the_other_way_is_caught(monkeypatch):
    plain = supports.noisy_pull
    monkeypatch.setattr(supports, "noisy_pull", lambda *a: (lambda d, pull, slope: (d, -pull, slope))(*plain(*a)))
    assert sum("dV/dtheta" in what for what in failing("perfect-d-noise")) == 2


def test_noise_on_the_fakes_alone_is_caught(monkeypatch):
    plain = supports.mixture_density
    monkeypatch.setattr(supports, "mixture_density", lambda x, c, std: plain(x, c, std if c[0, 0] else 0.3 * std))
    assert failing("perfect-d-noise")


def test_the_divergence_of_lines_comes_from_their_points():
    assert supports.divergence_of_lines(0.0) == 0
    assert supports.divergence_of_lines(1e-9) == pytest.approx(np.log(2), abs=1e-12)

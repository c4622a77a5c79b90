"""Distances to a known density, Frechet distance and Parzen estimate: against closed forms and against brute force."""

import numpy as np
import pytest

from tinygan.data.named import grid_centres, ring_centres
from tinygan.measure.metrics import (
    PARZEN_CAUTION,
    PcaFeatures,
    against_optimum,
    frechet_distance,
    missed_share,
    mixture_jsd,
    parzen,
    typical_gap,
)

RING, STD = ring_centres(), 0.01


def _ring(n, modes=8, seed=0, std=STD):
    rng = np.random.default_rng(seed)
    return RING[rng.integers(modes, size=n)] + std * rng.standard_normal((n, 2))


# ---- JSD on cells -------------------------------------------------------------------------------------------------------------


def test_exact_samples_leave_only_the_bias():
    n, cells = 20_000, 8 * 6 * 4
    values = [mixture_jsd(_ring(n, seed=s), RING, STD) for s in range(5)]
    assert np.mean(values) == pytest.approx((cells - 1) / (8 * n), rel=0.2)


@pytest.mark.parametrize("modes", [1, 4, 7])
def test_missing_modes_have_a_closed_form(modes):
    """q uniform on a share a of the cells: JSD = log 2 - (a + 1)/2 log(1 + a) + a/2 log a, which is log 2 at a = 0."""
    a = modes / 8
    expected = np.log(2) - (1 + a) / 2 * np.log(1 + a) + a / 2 * np.log(a)
    assert mixture_jsd(_ring(200_000, modes), RING, STD) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("samples", [_ring(5000, std=STD / 3), _ring(5000, std=3 * STD), _ring(5000) + np.array([STD, 0])])
def test_wrong_widths_and_places_are_seen(samples):
    """Narrow modes score a perfect HQ share; the cells see them, and a shift that keeps all distances small too."""
    assert mixture_jsd(samples, RING, STD) > 0.1


def test_jsd_in_other_units():
    rng = np.random.default_rng(0)
    centres = grid_centres()
    samples = centres[rng.integers(25, size=50_000)] + 0.05 * rng.standard_normal((50_000, 2))
    assert mixture_jsd(samples, centres, 0.05) < 0.003


# ---- D against D* -------------------------------------------------------------------------------------------------------------


def _density(x, modes=8):
    squared = ((x[:, None, :] - RING[None, :modes]) ** 2).sum(axis=2)
    return np.exp(-squared / (2 * STD**2)).mean(axis=1)


def test_the_optimal_d_is_near_its_own_optimum():
    """G makes four of the eight modes. D* is then 1/3 there (p : 2p) and 1 on the others."""
    samples = _ring(400_000, modes=4)

    def d_star(x):
        p, q = _density(x), _density(x, 4)
        return (p + 1e-300) / (p + q + 2e-300)

    found = against_optimum(d_star, samples, RING, STD)
    assert found.l1 < 0.02
    assert found.weight.sum() == pytest.approx(1, abs=1e-5)
    constant = against_optimum(lambda x: np.full(len(x), 0.5), samples, RING, STD)
    # |1/2 - 1/3| on the four modes, with 3/4 of the mass of (p + q)/2; |1/2 - 1| on the others, with 1/4
    assert constant.l1 == pytest.approx(0.75 / 6 + 0.25 / 2, abs=0.01)


def test_d_of_the_other_side_is_far():
    samples = _ring(100_000, modes=4)
    swapped = against_optimum(lambda x: 1 - _density(x) / (_density(x) + _density(x, 4) + 1e-300), samples, RING, STD)
    assert swapped.l1 > 0.4


def test_fakes_far_from_all_modes_count():
    found = against_optimum(lambda x: np.ones(len(x)), np.full((1000, 2), 0.3), RING, STD)
    assert found.l1 == pytest.approx(0.5, abs=1e-5)  # D* is 0 where all the fakes are, and they have half of the mass


# ---- regions, gaps ------------------------------------------------------------------------------------------------------------


def test_missed_share_is_that_of_the_missing_modes():
    real = _ring(800)
    assert missed_share(real, _ring(800, seed=1), bins=8) == 0
    assert missed_share(real, _ring(800, modes=6, seed=1), bins=8) == pytest.approx(0.25, abs=0.05)


def test_typical_gap():
    assert typical_gap(np.array([[0.0, 0], [3, 4], [3, 5], [10, 0]])) == pytest.approx(np.median([5, 1, 1, np.hypot(7, 4)]))


# ---- Frechet ------------------------------------------------------------------------------------------------------------------


def test_frechet_of_the_same_samples_is_zero():
    x = np.random.default_rng(0).standard_normal((50, 6))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_of_gaussians_along_axes():
    """Diagonal covariances: sum of (mu - nu)^2 + (sigma - tau)^2. Samples are given the exact moments."""
    rng = np.random.default_rng(1)
    white = rng.standard_normal((200, 3))
    white -= white.mean(axis=0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    a, b = white * [1, 2, 3] + [0, 0, 1], white * [2, 2, 1] + [1, 0, 0]
    assert frechet_distance(a, b) == pytest.approx((1 + 1) + (1 + 4), rel=1e-9)


def test_frechet_of_covariances_that_do_not_commute():
    """Against the trace of a matrix root by SciPy, of a product that is not symmetric."""
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((80, 4)) @ rng.standard_normal((4, 4)), rng.standard_normal((90, 4)) @ rng.standard_normal((4, 4))
    A, B = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(A + B - 2 * sqrtm(A @ B).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    with pytest.raises(ValueError, match="two of each"):
        frechet_distance(a, b[:1])


def test_pca_features_keep_the_leading_axes():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((300, 5)) * [10, 5, 0.1, 0.1, 0.1]
    features = PcaFeatures.of(x, kept=2)(x)
    assert features.shape == (300, 2)
    assert features.var(axis=0).sum() == pytest.approx(x.var(axis=0)[:2].sum(), rel=1e-3)
    assert np.abs(features.mean(axis=0)).max() < 1e-9


# ---- Parzen -------------------------------------------------------------------------------------------------------------------


def test_parzen_by_brute_force():
    rng = np.random.default_rng(4)
    fake, valid, test = (rng.random((n, 3)) for n in (20, 8, 15))
    sigma = 0.5
    kernels = [[np.exp(-((t - f) ** 2).sum() / (2 * sigma**2)) / (2 * np.pi * sigma**2) ** 1.5 for f in fake] for t in test]
    density = np.mean(kernels, axis=1)
    found = parzen(fake, valid, test, np.array([sigma]))
    assert found.mean == pytest.approx(np.log(density).mean(), rel=1e-12)
    assert found.standard_error == pytest.approx(np.log(density).std(ddof=1) / np.sqrt(15), rel=1e-9)


def test_parzen_chooses_the_best_width_on_validation():
    rng = np.random.default_rng(5)
    fake, valid, test = (rng.standard_normal((n, 1)) for n in (2000, 300, 300))
    found = parzen(fake, valid, test, np.array([0.01, 0.2, 5.0]))
    assert found.sigma == 0.2
    entropy = 0.5 * np.log(2 * np.pi * np.e)
    assert found.mean == pytest.approx(-entropy, abs=0.1)


def test_parzen_in_many_dimensions_stays_finite():
    rng = np.random.default_rng(6)
    found = parzen(*(rng.random((n, 784)) for n in (50, 20, 20)))
    assert np.isfinite(found.mean) and found.sigma in np.logspace(-1, 0, 10)
    assert "advise against" in PARZEN_CAUTION

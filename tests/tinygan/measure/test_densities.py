"""Densities, the optimal D and the Jensen-Shannon divergence: against SciPy's distributions and sums written out."""

import numpy as np
import pytest
from scipy import stats

from tinygan.measure.densities import grid, jsd, mixture_density, normal_density, optimal

# ---- the optimal D --------------------------------------------------------------------------------------------------------------


def test_the_optimal_d_is_the_share_of_the_data():
    """Goodfellow et al. 2014, Proposition 1; 1/2 where there is nothing, and no warning of a division by zero."""
    p, q = np.array([[3.0, 0.0, 2.0], [0.0, 1e-300, 5.0]]), np.array([[1.0, 0.0, 0.0], [4.0, 1e-300, 5.0]])
    np.testing.assert_array_equal(optimal(p, q), [[0.75, 0.5, 1.0], [0.0, 0.5, 0.5]])


# ---- JSD ------------------------------------------------------------------------------------------------------------------------


def divergence(p, q):
    """Compute the JSD in nats term by term."""
    total = 0.0
    for a, b in zip(np.asarray(p, float), np.asarray(q, float), strict=True):
        for c in (a, b):
            total += c / 2 * np.log(c / ((a + b) / 2)) if c else 0.0
    return total


@pytest.mark.parametrize(("p", "q"), [
    ([0.5, 0.25, 0.25], [0.1, 0.1, 0.8]), ([1, 0], [0, 1]), ([1.0], [1.0]), ([0.0, 0.3, 0.7], [0.4, 0.6, 0.0]),
    (np.float32([0.5, 0.5]), [0.25, 0.75]),
], ids=str)  # fmt: skip
def test_the_divergence_is_its_sum(p, q):
    assert jsd(p, q) == pytest.approx(divergence(p, q), rel=1e-14, abs=1e-16)
    assert jsd(q, p) == pytest.approx(jsd(p, q), rel=1e-14, abs=1e-16)


def test_the_divergence_of_disjoint_distributions_is_log_2():
    assert jsd([1, 0, 0], [0, 0.5, 0.5]) == pytest.approx(np.log(2), rel=1e-15)


def test_the_divergence_of_float32_is_computed_in_float64():
    """In float32 the logarithms of two distributions that are this near would be noise."""
    rng = np.random.default_rng(0)
    p = rng.random(64).astype(np.float32)
    p, q = p / p.sum(), np.roll(p, 1) / p.sum()
    q = (0.9999 * p + 0.0001 * q).astype(np.float32)
    assert jsd(p, q) == pytest.approx(divergence(p.astype(float), q.astype(float)), rel=1e-9)
    assert jsd(q, p.astype(np.float64)) == jsd(p.astype(np.float64), q)


@pytest.mark.parametrize("wrong", [[0.5, 0.5 + 2e-6], [0.5, 0.4], [1.5, -0.5], [-1e-9, 1 + 1e-9], [0.2, np.nan], [0.5, 0.5, 1.0]])
def test_what_is_no_distribution_is_named(wrong):
    fine = np.full(len(wrong), 1 / len(wrong))
    with pytest.raises(ValueError, match=r"^p is no distribution; it sums to"):
        jsd(wrong, fine)
    with pytest.raises(ValueError, match=r"^q is no distribution; it sums to"):
        jsd(fine, wrong)
    assert jsd([0.5, 0.5 + 5e-7], [0.5, 0.5]) == pytest.approx(0, abs=1e-6)


# ---- densities ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("std", [0.5, 2.0])
def test_the_density_of_a_mixture_is_the_mean_of_its_modes(d, std):
    rng = np.random.default_rng(d)
    points, centres = rng.normal(size=(7, d)), rng.normal(size=(4, d)) + 1
    wanted = np.mean([stats.multivariate_normal(c, std**2 * np.eye(d)).pdf(points) for c in centres], axis=0)
    np.testing.assert_allclose(mixture_density(points, centres, std), wanted, rtol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_density_of_a_linear_generator(d):
    """y = z factor + mean has the covariance factor^T factor, and a factor that turns space round has a density too."""
    rng = np.random.default_rng(d)
    points, mean, factor = rng.normal(size=(7, d)), rng.normal(size=d) + 1, rng.normal(size=(d, d))
    factor[0] *= -np.sign(np.linalg.det(factor))
    wanted = stats.multivariate_normal(mean, factor.T @ factor).pdf(points)
    np.testing.assert_allclose(normal_density(points, mean, factor), wanted, rtol=1e-10)


def test_a_grid_is_the_centres_of_its_cells_in_order():
    np.testing.assert_allclose(grid(1.0, 4.0, 3, 1), [[1.5], [2.5], [3.5]], rtol=1e-15)
    np.testing.assert_allclose(grid(-1.0, 3.0, 2, 2), [[0, 0], [0, 2], [2, 0], [2, 2]], atol=1e-15)
    assert grid(0.0, 1.0, 4, 3).shape == (64, 3)

"""Distances to a known density, Frechet distance and Parzen estimate: against closed forms and against brute force."""

import numpy as np
import pytest
import scipy.spatial.distance
from scipy import stats

from tinygan.data.named import grid_centres, ring_centres
from tinygan.measure import metrics
from tinygan.measure.clusters import cluster_sizes, clustered
from tinygan.measure.metrics import (
    PARZEN_CAUTION,
    CollapseSigns,
    PcaFeatures,
    against_optimum,
    collapse_signs,
    frechet_distance,
    missed_share,
    mixture_jsd,
    neighbours,
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


def test_jsd_of_modes_that_are_no_reflection_of_themselves():
    """Every cell's share counted by hand: by the angle and by the Gaussian's share inside the distance."""
    centres, rng = np.array([[1.0, 0.0], [5.0, 2.0], [-7.0, 3.0]]), np.random.default_rng(0)
    samples = centres[rng.integers(3, size=400)] + 0.3 * rng.standard_normal((400, 2))
    counts = np.zeros((3, 6, 4))
    for x in samples:
        mode = min(range(3), key=lambda i: np.hypot(*(x - centres[i])))
        dx, dy = (x - centres[mode]) / 0.3
        inside = stats.chi2(2).cdf(dx * dx + dy * dy)
        counts[mode, min(int(6 * inside), 5), [[2, 3], [1, 0]][int(dy >= 0)][int(dx >= 0)]] += 1
    q = counts.ravel() / 400
    middle = (q + 1 / 72) / 2
    wanted = 0.5 * stats.entropy(np.full(72, 1 / 72), middle) + 0.5 * stats.entropy(q, middle)
    assert mixture_jsd(samples, centres, 0.3) == pytest.approx(wanted, rel=1e-12)
    assert mixture_jsd(samples, centres, 0.3) == mixture_jsd(samples, centres, 0.3, shells=6, sectors=4)


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


@pytest.mark.parametrize("cells_per_std", [None, 1.0])
def test_d_and_its_optimum_cell_by_cell(cells_per_std):
    """The cells within 5 std of a centre's own, and those of samples: their probabilities by differences of the normal CDF."""
    centres, std = np.array([[1.03, 0.02], [5.0, 2.2]]), 0.4
    samples = np.array([[1.0, 0.1], [1.01, 0.11], [40.0, -3.0], [5.2, 2.0]])
    judge = lambda x: 1 / (1 + np.exp(-x[:, 0] + 2 * x[:, 1]))  # noqa: E731
    given = {} if cells_per_std is None else {"cells_per_std": cells_per_std}
    found, side = against_optimum(judge, samples, centres, std, **given), std / (cells_per_std or 2)
    reach = int(5 * (cells_per_std or 2))
    steps = range(-reach, reach + 1)
    where = lambda x: tuple(int(i) for i in np.floor(x / side))  # noqa: E731
    of_data = {(where(x)[0] + i, where(x)[1] + j) for x in centres for i in steps for j in steps}
    cells = sorted(of_data | {where(x) for x in samples})
    cdf = lambda edges, c: stats.norm.cdf(edges * side, c, std)  # noqa: E731
    xy = np.array(cells)
    p = np.mean([np.prod([cdf(xy[:, i] + 1, c[i]) - cdf(xy[:, i], c[i]) for i in (0, 1)], axis=0) for c in centres], axis=0)
    q = np.array([np.mean([where(x) == cell for x in samples]) for cell in cells])
    order = np.lexsort(found.points.T[::-1])
    np.testing.assert_allclose(found.points[order], (xy + 0.5) * side, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.weight[order], (p + q) / 2, rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(found.d_star[order], p / (p + q), rtol=1e-6)
    np.testing.assert_array_equal(found.d, judge(found.points))
    assert found.l1 == pytest.approx((np.abs(judge((xy + 0.5) * side) - p / (p + q)) * (p + q) / 2).sum(), rel=1e-6)


def test_d_of_the_other_side_is_far():
    samples = _ring(100_000, modes=4)
    swapped = against_optimum(lambda x: 1 - _density(x) / (_density(x) + _density(x, 4) + 1e-300), samples, RING, STD)
    assert swapped.l1 > 0.4


def test_fakes_far_from_all_modes_count():
    found = against_optimum(lambda x: np.ones(len(x)), np.full((1000, 2), 0.3), RING, STD)
    assert found.l1 == pytest.approx(0.5, abs=1e-5)  # D* is 0 where all the fakes are, and they have half of the mass


def test_distances_are_computed_by_blocks_of_ten_millions(monkeypatch):
    """Two blocks for 20 million distances, one for up to 19; blocks do not change the numbers."""
    shapes, cdist = [], scipy.spatial.distance.cdist
    monkeypatch.setattr(scipy.spatial.distance, "cdist", lambda a, b: shapes.append((len(a), len(b))) or cdist(a, b))
    fake, points = np.linspace(-1, 1, 1_000_000)[:, None], np.array([[0.0]] * 20)
    two = parzen(fake, points[:2], points, np.array([0.5]))
    assert shapes == [(2, 1_000_000), (10, 1_000_000), (10, 1_000_000)]
    one = parzen(fake, points[:2], points[:9], np.array([0.5]))
    assert shapes[-1] == (9, 1_000_000) and two.mean == pytest.approx(one.mean, rel=1e-12)


# ---- regions, gaps ------------------------------------------------------------------------------------------------------------


def test_missed_share_is_that_of_the_missing_modes():
    real = _ring(800)
    assert missed_share(real, _ring(800, seed=1), bins=8) == 0
    assert missed_share(real, _ring(800, modes=6, seed=1), bins=8) == pytest.approx(0.25, abs=0.05)


def test_regions_are_found_in_float64_from_one_start(monkeypatch):
    """Without more starts than one, of which k-means keeps the best: regions need not be good ones."""
    seen = []
    monkeypatch.setattr(metrics, "clustered", lambda x, *a, **named: seen.append((x.dtype, named)) or clustered(x, *a, **named))
    monkeypatch.setattr(metrics, "cluster_sizes", lambda model, x: seen.append(x.dtype) or cluster_sizes(model, x))
    missed_share(_ring(40).astype(np.float32), _ring(40, seed=1).astype(np.float32))
    assert seen == [(np.float64, {"n_init": 1, "random_state": 0}), np.float64, np.float64]


def test_missed_share_is_that_of_the_clusters_that_are_described():
    """16 cells of k-means with one start and a seed; less than a fifth as frequent is missed, and just a fifth is not."""
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(0)
    real, fake = rng.standard_normal((200, 3)), rng.standard_normal((150, 3)) * 0.5 + 0.7
    model = KMeans(16, n_init=1, random_state=0).fit(real)
    shares = [[np.mean(model.predict(x) == i) for i in range(16)] for x in (real, fake)]
    wanted = sum(a for a, b in zip(*shares, strict=True) if b < 0.2 * a)
    assert 0.1 < wanted < 0.9 and missed_share(real, fake) == pytest.approx(wanted, rel=1e-12)
    assert missed_share(real, np.full((4, 3), 9.0)) > 0.8, "all fakes in one cell, and none in the last"
    two = np.repeat([[0.0], [100.0]], 10, axis=0) + np.arange(20)[:, None] * 1e-3
    assert missed_share(two, np.repeat([[0.0], [100.0]], [18, 2], axis=0), bins=2) == 0.0
    assert missed_share(two, np.repeat([[0.0], [100.0]], [19, 1], axis=0), bins=2) == 0.5
    assert missed_share(two[:3], two[:3]) == 0.0, "no more cells than samples"


def test_the_signs_of_collapse_are_the_measures_that_they_are_named_after():
    """Samples may have any shape, as they come."""
    rng = np.random.default_rng(0)
    real, fake = rng.standard_normal((60, 2, 2)), 0.4 * rng.standard_normal((60, 2, 2)) + 0.5
    flat, made = real.reshape(60, 4), fake.reshape(60, 4)
    near = neighbours(flat, made)
    wanted = CollapseSigns(near.precision, near.coverage, missed_share(flat, made), typical_gap(made) / typical_gap(flat))
    assert collapse_signs(real, fake) == collapse_signs(flat, made) == wanted
    assert len({near.precision, near.coverage, wanted.missed, wanted.crowding}) == 4
    crowded = np.repeat(np.arange(20.0), 2)[:, None]  # each real sample is there twice, so the nearest other one is 0 away
    assert collapse_signs(crowded, np.arange(40.0)[:, None]).crowding == pytest.approx(1 / 1e-12)


@pytest.mark.parametrize(("precision", "coverage", "missed", "crowding", "collapsed"), [
    (1.0, 0.9, 0.0, 1.0, False), (1.0, 0.9, 0.3, 1.0, False), (1.0, 0.9, 0.31, 1.0, True), (1.0, 0.9, 0.0, 0.1, False),
    (1.0, 0.9, 0.0, 0.099, True), (0.6, 0.4, 0.0, 1.0, True), (0.5, 0.4, 0.0, 1.0, False), (0.6, 0.5, 0.0, 1.0, False),
    (0.1, 0.1, 0.0, 1.0, False),
])  # fmt: skip
def test_collapse_is_one_of_three_signs(precision, coverage, missed, crowding, collapsed):
    assert CollapseSigns(precision, coverage, missed, crowding).collapsed == collapsed


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


def test_frechet_of_two_samples_each():
    """On a line: means 1 and 4, variances 2 and 8."""
    a, b = np.array([[0.0], [2.0]]), np.array([[2.0], [6.0]])
    assert frechet_distance(a, b) == pytest.approx((4 - 1) ** 2 + (np.sqrt(8) - np.sqrt(2)) ** 2, rel=1e-12)
    for one, other in ((a[:1], b), (a, b[:1]), (a[:0], b)):
        with pytest.raises(ValueError, match=f"{len(one)} real and {len(other)} generated samples: a covariance needs two of each"):
            frechet_distance(one, other)


def test_frechet_of_fewer_samples_than_features():
    """Covariances without full rank have eigenvalues that rounding leaves below 0; their roots are 0 and not NaN."""
    for seed in range(8):
        a, b = np.random.default_rng(seed).standard_normal((2, 3, 9))
        assert 0 < frechet_distance(a, b) < np.inf and frechet_distance(a, a) == pytest.approx(0, abs=1e-5)


def test_frechet_of_float32_far_from_zero_is_computed_in_float64():
    rng = np.random.default_rng(0)
    a, b = ((rng.standard_normal((7, 2)) + 30_000).astype(np.float32) for _ in range(2))
    wanted = frechet_distance(a.astype(np.float64), b.astype(np.float64))
    assert [frechet_distance(*pair) for pair in ((a, b), (a.astype(np.float64), b), (a, b.astype(np.float64)))] == [wanted] * 3


def test_pca_axes_are_of_the_centred_data_and_32_by_default():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((60, 40)) * np.linspace(3, 0.1, 40) + np.linspace(-50, 900, 40)
    features = PcaFeatures.of(x)
    _, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
    overlap = np.abs(features.axes.T @ vectors[:, ::-1][:, :32])
    np.testing.assert_allclose(np.diag(overlap), 1, rtol=1e-6)
    assert features.axes.shape == (40, 32) and PcaFeatures.of(x, 33).axes.shape == (40, 33)
    np.testing.assert_allclose(features.mean, x.mean(axis=0), rtol=1e-14)
    assert PcaFeatures.of(x[:5]).axes.shape == (40, 5), "no more axes than samples have"


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


@pytest.mark.parametrize("best", [0.1, 1.0])
def test_parzen_tries_the_widths_of_the_paper(best):
    """Widths of logspace(-1, 0, 10): the first and the last are both among them, and nothing beyond."""
    rng = np.random.default_rng(7)
    fake = np.zeros((1, 2))
    valid, test = (best * rng.standard_normal((200, 2)) for _ in range(2))
    found = parzen(fake, valid, test)
    assert found.sigma == pytest.approx(best) and found == parzen(fake, valid, test, np.logspace(-1, 0, 10))
    assert parzen(fake, valid / 9 if best == 0.1 else valid * 9, test).sigma == pytest.approx(best)


def test_parzen_in_many_dimensions_stays_finite():
    rng = np.random.default_rng(6)
    found = parzen(*(rng.random((n, 784)) for n in (50, 20, 20)))
    assert np.isfinite(found.mean) and found.sigma in np.logspace(-1, 0, 10)
    assert "advise against" in PARZEN_CAUTION

"""Widths and places of modes, against their definitions and planted errors; exact samplers beside them; the test's power."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from tinygan.data.named import grid_centres, ring_centres
from tinygan.measure.mixture_quality import exact_samples, mixture_quality, mixture_test, mode_shapes

MIXTURES = {"ring": (ring_centres(), 0.01), "grid": (grid_centres(), 0.05)}


def planted(name, n, seed=0, spread=(1.0, 1.0), shift=(0.0, 0.0), missing=0):
    """Return n samples of a mixture: modes `spread` times as wide along each axis, moved by `shift` std, the first few missing."""
    centres, std = MIXTURES[name]
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, 2)) * spread + shift
    return centres[rng.integers(missing, len(centres), size=n)] + std * noise


def by_loops(samples, centres, std):
    """Compute the std ratio and the shift of each mode from sums over its samples."""
    ratios, shifts = [], []
    for k, centre in enumerate(centres):
        own = [s for s in samples if min(range(len(centres)), key=lambda j: np.hypot(*(s - centres[j]))) == k
               and np.hypot(*(s - centre)) <= 5 * std]
        mean = sum(own) / len(own)
        variances = sum((s - mean) ** 2 for s in own) / (len(own) - 1)
        ratios.append(np.sqrt(variances.mean()) / std)
        shifts.append(np.hypot(*(mean - centre)) / std)
    return ratios, shifts


@pytest.mark.parametrize("name", MIXTURES)
def test_shapes_by_their_definition(name):
    samples = np.concatenate([planted(name, 400, spread=(0.7, 1.3)), planted(name, 40, seed=1, spread=(6, 6))])
    found = mode_shapes(samples, *MIXTURES[name])
    ratios, shifts = by_loops(samples, *MIXTURES[name])
    np.testing.assert_allclose(found.std_ratio, ratios)
    np.testing.assert_allclose(found.shift, shifts)


def test_axes_against_the_principal_components_of_another_library():
    """Modes that are narrow along a slanted axis: the smaller and the larger standard deviation, the samples decomposed."""
    centres, std = MIXTURES["ring"]
    turned = np.array([[0.4, 0.0], [0.0, 1.2]]) @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    samples = np.repeat(centres, 30, axis=0) + std * np.random.default_rng(2).standard_normal((240, 2)) @ turned
    found = mode_shapes(samples, centres, std)
    wanted = [np.sqrt(PCA().fit(own).explained_variance_)[::-1] / std for own in samples.reshape(8, 30, 2)]
    np.testing.assert_allclose(found.axes, wanted, rtol=1e-9)


@pytest.mark.parametrize("name", MIXTURES)
def test_planted_widths_and_places(name):
    """Each number comes out as it was planted, within 5 standard errors of the c samples in a mode."""
    n = 50_000
    found = mode_shapes(planted(name, n, spread=(0.5, 1.2), shift=(0.3, -0.4)), *MIXTURES[name])
    c = n / len(found.count)
    np.testing.assert_allclose(found.axes, np.tile([0.5, 1.2], (len(found.count), 1)), rtol=5 / np.sqrt(2 * c))
    np.testing.assert_allclose(found.std_ratio, np.sqrt((0.5**2 + 1.2**2) / 2), rtol=5 / np.sqrt(2 * c))
    np.testing.assert_allclose(found.shift, 0.5, atol=5 * 1.2 / np.sqrt(c))


def test_a_line_a_point_and_nothing():
    centres, std = MIXTURES["ring"]
    line = centres[0] + std * np.linspace(-2, 2, 100)[:, None] * [1.0, 1.0]
    point = np.tile(centres[1] + [0.03, 0.0], (50, 1))
    far = centres[2:3] * 1.2  # nearest to that mode, but 20 std away
    found = mode_shapes(np.concatenate([line, point, far, centres[3:4]]), centres, std)
    assert found.count.tolist() == [100, 50, 0, 1, 0, 0, 0, 0]
    assert found.axes[0, 0] == pytest.approx(0, abs=1e-6)
    assert found.axes[0, 1] == pytest.approx(np.std(line[:, 0], ddof=1) * 2**0.5 / std)
    assert found.std_ratio[1] == pytest.approx(0, abs=1e-6) and found.shift[1] == pytest.approx(3)
    assert np.isnan(found.std_ratio[2:]).all() and np.isnan(found.shift[2:]).all()


@pytest.mark.parametrize("name", MIXTURES)
def test_an_exact_sampler_beside_itself(name):
    centres, std = MIXTURES[name]
    rng = np.random.default_rng(0)
    n = mixture_quality(exact_samples(25_000, centres, std, rng), centres, std, rng).numbers()
    assert n["modes"] == len(centres) and n["mmd_p"] > 0.01
    assert n["hq"] == pytest.approx(n["exact_hq"], abs=0.01) and n["exact_hq"] == pytest.approx(0.98889, abs=0.004)
    assert n["jsd"] == pytest.approx(n["exact_jsd"], rel=0.5)
    cells = 24 * len(centres)
    assert n["exact_jsd"] == pytest.approx((cells - 1) / (8 * 25_000), rel=0.2)
    assert n["exact_reverse_kl"] == pytest.approx((len(centres) - 1) / (2 * 2500), rel=0.6)
    assert n["exact_reverse_kl_of_all"] == pytest.approx((len(centres) - 1) / (2 * 25_000), rel=0.6)
    assert n["hq_of_all"] == pytest.approx(0.98889, abs=0.003) and n["exact_hq_of_all"] == pytest.approx(0.98889, abs=0.002)
    assert 0.9 < n["std_ratio_min"] <= n["std_ratio"] <= n["std_ratio_max"] < 1.1 and n["shift_max"] < 0.15


def test_shares_that_2500_samples_cannot_tell_from_chance():
    """Half of the modes have 17 % more samples than the others: a reverse KL of 0.0032, and chance gives 2,500 samples 0.0048."""
    centres, std = MIXTURES["grid"]
    share = np.where(np.arange(25) % 2, 1.08, 0.92) / np.where(np.arange(25) % 2, 1.08, 0.92).sum()
    rng = np.random.default_rng(0)
    samples = centres[rng.choice(25, 25_000, p=share)] + std * rng.standard_normal((25_000, 2))
    n = mixture_quality(samples, centres, std, rng).numbers()
    by_chance, wanted = 24 / 50_000, float((share * np.log(25 * share)).sum())
    spread = np.sqrt(2 * 24 + 4 * wanted * 50_000) / 50_000  # 50,000 times the estimate is a noncentral chi-squared
    assert n["reverse_kl_of_all"] == pytest.approx(wanted + by_chance, abs=3 * spread)
    assert n["reverse_kl_of_all"] > 3 * n["exact_reverse_kl_of_all"] and n["reverse_kl"] < 3 * n["exact_reverse_kl"]


def test_what_hq_does_not_see():
    """A point mass on each mode has all modes, an HQ of 100 % and a small reverse KL; all that was added sees it."""
    centres, std = MIXTURES["ring"]
    n = mixture_quality(planted("ring", 5000, spread=(0.0, 0.0)), centres, std, np.random.default_rng(0)).numbers()
    assert (n["modes"], n["hq"]) == (8, 1.0) and n["reverse_kl"] < 0.01
    assert n["std_ratio_max"] < 1e-6 and n["jsd"] > 0.3 > 0.1 > n["exact_jsd"] and n["mmd_p"] == 1 / 200


def test_modes_without_samples_do_not_hide_the_others():
    centres, std = MIXTURES["grid"]
    n = mixture_quality(planted("grid", 4000, missing=20), centres, std, np.random.default_rng(0)).numbers()
    assert n["modes"] == 5 and 0.9 < n["std_ratio_min"] <= n["std_ratio_max"] < 1.1
    nowhere = mixture_quality(np.full((10, 2), 100.0), centres, std, np.random.default_rng(0)).numbers()
    assert nowhere["modes"] == 0 and np.isnan(nowhere["std_ratio"]) and np.isnan(nowhere["shift_max"])


ERRORS = {"20 % narrower": {"spread": (0.8, 0.8)}, "shifted by 0.3 std": {"shift": (0.3, 0.0)}, "one mode missing": {"missing": 1}}


@pytest.mark.parametrize("name", MIXTURES)
def test_the_power_of_the_test(name):
    """With 1,000 samples of each sort the test finds each planted error in nearly every trial, and nothing where nothing is."""
    centres, std = MIXTURES[name]

    def found(seed, **error):
        rng = np.random.default_rng([seed, 7])
        real = exact_samples(1000, centres, std, rng)
        return mixture_test(real, planted(name, 1000, seed, **error), centres, std, rng, permutations=39).p <= 0.05

    assert sum(found(seed) for seed in range(4)) <= 1
    for what, error in ERRORS.items():
        trials = [found(seed, **error) for seed in range(2)]
        assert all(trials) or (what == "one mode missing" and name == "grid"), what

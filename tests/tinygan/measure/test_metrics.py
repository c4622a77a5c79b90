"""The numbers that judge a run, against their definitions written as loops and against samplers whose numbers are known."""

import numpy as np
import pytest
import sklearn.linear_model
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.model_selection import train_test_split

from tinygan.data import load
from tinygan.data.named import grid_centres, ring_centres
from tinygan.measure.metrics import Memorisation, MixtureCoverage, class_balance, memorisation, mixture_coverage, neighbours

MIXTURES = {"ring": (ring_centres(), 0.01), "grid": (grid_centres(), 0.05)}
HQ = 1 - np.exp(-4.5)  # of an exact sampler: within 3 std of its mode, in two dimensions


def exact(name, n=2500, seed=0, spread=1.0):
    """Return n samples of a mixture, its components `spread` times as wide as they should be."""
    centres, std = MIXTURES[name]
    rng = np.random.default_rng(seed)
    return centres[rng.integers(len(centres), size=n)] + spread * std * rng.standard_normal((n, 2))


# ---- mixtures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MIXTURES)
def test_an_exact_sampler(name):
    """All modes; the HQ share within 4 standard deviations of a binomial; n times twice the reverse KL is nearly chi-squared."""
    centres, std = MIXTURES[name]
    n, k = 200_000, len(centres)
    found = mixture_coverage(exact(name, n), centres, std)
    assert (found.modes, found.of) == (k, k)
    assert abs(found.hq - HQ) < 4 * np.sqrt(HQ * (1 - HQ) / n)
    assert round(HQ, 5) == 0.98889
    assert 0 < found.reverse_kl < (k - 1 + 6 * np.sqrt(2 * (k - 1))) / (2 * n)


@pytest.mark.parametrize("name", MIXTURES)
def test_the_samplers_of_the_data_are_exact(name):
    dataset = load(name)
    samples = dataset.codec.decode(dataset.sampler(50_000, np.random.default_rng(0)).next())
    found = mixture_coverage(samples, dataset.centres, dataset.std)
    assert found.modes == found.of and abs(found.hq - HQ) < 4 * np.sqrt(HQ * (1 - HQ) / 50_000)


@pytest.mark.parametrize(("spread", "share"), [(0.5, 1 - np.exp(-18)), (2.0, 1 - np.exp(-4.5 / 4)), (3.0, 1 - np.exp(-0.5))])
def test_modes_too_narrow_or_too_wide(spread, share):
    centres, std = MIXTURES["grid"]
    assert mixture_coverage(exact("grid", 20_000, spread=spread), centres, std).hq == pytest.approx(share, abs=0.015)


def test_collapse():
    centres, std = MIXTURES["ring"]
    found = mixture_coverage(np.tile(centres[3], (2500, 1)), centres, std)
    assert (found.modes, found.hq) == (1, 1.0) and found.reverse_kl == pytest.approx(np.log(8))
    half = mixture_coverage(np.repeat(centres[:4], 10, axis=0), centres, std)
    assert half.modes == 4 and half.reverse_kl == pytest.approx(np.log(2))


def test_only_samples_of_quality_count():
    """A mode is not captured by a sample that merely lies nearest to it, nor does that one weigh in the histogram."""
    centres, std = MIXTURES["ring"]
    samples = np.concatenate([centres[[0]], centres[1:] * (1 + 3.01 * std)])
    found = mixture_coverage(samples, centres, std)
    assert (found.modes, found.hq) == (1, 1 / 8) and found.reverse_kl == pytest.approx(np.log(8))
    assert mixture_coverage(centres * (1 + 2.99 * std), centres, std).modes == 8


def test_uneven_shares():
    centres, std = MIXTURES["ring"]
    counts = np.array([1, 2, 3, 4, 5, 6, 7, 0])
    found = mixture_coverage(np.repeat(centres, counts, axis=0), centres, std)
    p = counts[:7] / 28
    assert found.modes == 7 and found.reverse_kl == pytest.approx(sum(q * np.log(q / (1 / 8)) for q in p))


def test_no_sample_of_quality():
    centres, std = MIXTURES["grid"]
    found = mixture_coverage(np.ones((5, 2)), centres, std)
    assert (found.modes, found.hq, found.reverse_kl) == (0, 0.0, np.inf)


# ---- nearest neighbours -------------------------------------------------------------------------------------------------


def by_loops(real, fake, k):
    """Compute Kynkaanniemi et al. 2019, eq. 1 and 2, and Naeem et al. 2020, eq. 3 and 4, word for word."""
    def distance(a, b):
        return np.sqrt(((np.asarray(a, float) - b) ** 2).sum())

    def radius(points, i):
        return sorted(distance(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    real_radius, fake_radius = ([radius(points, i) for i in range(len(points))] for points in (real, fake))
    inside = [[distance(x, y) <= r for y in fake] for x, r in zip(real, real_radius, strict=True)]
    precision = np.mean([any(row[j] for row in inside) for j in range(len(fake))])
    recall = np.mean([any(distance(x, y) <= r for y, r in zip(fake, fake_radius, strict=True)) for x in real])
    return precision, recall, np.sum(inside) / (k * len(fake)), np.mean([any(row) for row in inside])


def as_tuple(found):
    return found.precision, found.recall, found.density, found.coverage


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(5, 12), st.integers(5, 12), st.integers(1, 3), st.integers(0, 2**31), st.floats(-2, 2))
def test_neighbours_by_their_definitions(k, n, m, features, seed, shift):
    rng = np.random.default_rng(seed)
    real, fake = rng.standard_normal((n, features)), rng.standard_normal((m, features)) * 0.7 + shift
    np.testing.assert_allclose(as_tuple(neighbours(real, fake, k)), by_loops(real, fake, k))


def test_neighbours_by_hand():
    """On a line, k = 1: real balls are [-1, 1], [0, 2], [1, 19], fake ones [-0.5, 1.5], [0.5, 2.5], [-60.5, 0.5]."""
    real, fake = np.array([[0.0], [1.0], [10.0]]), np.array([[0.5], [1.5], [-30.0]])
    found = neighbours(real, fake, k=1)
    assert as_tuple(found) == (2 / 3, 2 / 3, (2 + 2 + 0) / 3, 1.0)


def test_identical_sets():
    points = np.random.default_rng(0).standard_normal((60, 3))
    found = neighbours(points, points)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density == pytest.approx(6 / 5)  # every ball holds its k neighbours and its own centre


def test_disjoint_sets():
    points = np.random.default_rng(0).standard_normal((60, 3))
    assert as_tuple(neighbours(points, points + 1000)) == (0, 0, 0, 0)


def test_two_samples_of_one_distribution_and_a_collapsed_one():
    rng = np.random.default_rng(0)
    real, other = rng.standard_normal((2, 400, 4))
    same, collapsed = neighbours(real, other), neighbours(real, real[:1] + 1e-3 * rng.standard_normal((400, 4)))
    assert min(same.precision, same.recall) > 0.85 and 0.9 < same.density < 1.1 and same.coverage > 0.9
    assert collapsed.precision == 1 and collapsed.recall < 0.02 and collapsed.coverage < 0.1


def test_neighbours_in_float32_far_from_zero():
    """Squares of distances lose their digits in float32 long before these."""
    rng = np.random.default_rng(0)
    real, fake = (1000 + rng.standard_normal((30, 2))).astype(np.float32), (1000 + rng.standard_normal((30, 2))).astype(np.float32)
    np.testing.assert_allclose(as_tuple(neighbours(real, fake, 3)), by_loops(real, fake, 3))


@pytest.mark.parametrize(("n", "m"), [(5, 50), (50, 5), (0, 50), (50, 0)])
def test_too_few_for_their_neighbours(n, m):
    with pytest.raises(ValueError, match="too few for 5 nearest neighbours"):
        neighbours(np.zeros((n, 2)), np.zeros((m, 2)))


# ---- classes ------------------------------------------------------------------------------------------------------------


def test_class_balance():
    """Three classes far apart: shares are those of the fakes, confidence falls where they lie between the classes."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    centres = np.array([[0, 0], [20, 0], [0, 20]])
    real = centres[labels] + rng.standard_normal((120, 2))
    counts = np.array([1, 3, 6])
    found = class_balance(real, labels, np.repeat(centres, counts, axis=0).astype(float))
    assert found.shares == (0.1, 0.3, 0.6) and found.rarest == 0.1
    assert found.confidence > 0.99 and found.real_confidence > 0.99
    between = class_balance(real, labels, np.tile([[10.0, 0.0]], (5, 1)))
    assert between.confidence < 0.9 and between.real_confidence == found.real_confidence and between.rarest == 0.0


def test_class_balance_of_the_digits():
    digits = load("digits")
    x, labels = digits.x.reshape(len(digits.x), -1)[:400], digits.labels[:400]
    found = class_balance(x, labels, x)
    assert len(found.shares) == 10 and sum(found.shares) == pytest.approx(1) and 0.08 < found.rarest <= 0.1
    assert 0.85 < found.real_confidence < found.confidence < 1  # half of these it was fitted on


def test_class_balance_against_a_regression_that_scipy_fits():
    """The logarithms of the probabilities of the other half, and half the square of the weights, as small as they can be."""
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], [30, 40, 50])
    real = np.array([[0, 0], [2, 0], [0, 2]])[labels] + rng.standard_normal((120, 2))
    fake = np.array([[0.7, 0.6]]) + 0.8 * rng.standard_normal((40, 2))
    x, held, y, _ = train_test_split(real, labels, test_size=0.5, random_state=0, stratify=labels)

    def goal(theta):
        logs = log_softmax(x @ theta[:6].reshape(2, 3) + theta[6:], axis=1)
        return -logs[np.arange(len(y)), y].sum() + (theta[:6] ** 2).sum() / 2

    theta = minimize(goal, np.zeros(9), options={"gtol": 1e-6}).x
    of_fake, of_held = (softmax(points @ theta[:6].reshape(2, 3) + theta[6:], axis=1) for points in (fake, held))
    found = class_balance(real, labels, fake)
    assert found.confidence == pytest.approx(of_fake.max(axis=1).mean(), abs=1e-4)
    assert found.real_confidence == pytest.approx(of_held.max(axis=1).mean(), abs=1e-4)
    assert found.shares == pytest.approx([np.mean(of_fake.argmax(axis=1) == c) for c in range(3)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_class_balance_is_the_classifier_that_is_described(dtype):
    """A logistic regression of one half, asked for its probabilities on the other half and on the fakes; no class is left out."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [30, 40, 50])
    real = (np.array([[0, 0], [2, 0], [0, 2]])[labels] + rng.standard_normal((120, 2))).astype(dtype)
    fake = (np.array([[0.3, 0.2]]) + 0.5 * rng.standard_normal((9, 2))).astype(dtype)
    fake = fake[LogisticRegression().fit(real, labels).predict(fake) != 2]  # the last class has no sample
    learnt, held, classes, _ = train_test_split(real, labels, test_size=0.5, random_state=0, stratify=labels)
    model = LogisticRegression(max_iter=2000).fit(learnt, classes)
    found = class_balance(real, labels, fake)
    assert found.confidence == np.mean([max(p) for p in model.predict_proba(fake)])
    assert found.real_confidence == np.mean([max(p) for p in model.predict_proba(held)])
    assert found.shares == tuple(np.mean(model.predict(fake) == c) for c in range(3)) and found.rarest == 0.0


# ---- memorisation -------------------------------------------------------------------------------------------------------


def test_memorisation_by_hand():
    """Gaps of the real points are 1, 1, 8 and 10, so 4.5 is typical; the fakes are 0.5, 0.5 and 3 away, from two of them."""
    real, fake = np.array([[0.0], [1.0], [9.0], [19.0]]), np.array([[1.5], [8.5], [6.0]])
    assert memorisation(real, fake) == Memorisation(distinct=2, ratio=0.5 / 4.5)
    assert memorisation(real, np.array([[19.0]])) == Memorisation(distinct=1, ratio=0.0)
    assert memorisation(real, real + 9.0).ratio > 0


def test_memorisation_tells_copies_from_fresh_samples():
    rng = np.random.default_rng(0)
    real, other = rng.standard_normal((2, 300, 3))
    fresh, copies = memorisation(real, other), memorisation(real, real[:40])
    assert 0.7 < fresh.ratio < 1.4 and fresh.distinct > 100
    assert copies == Memorisation(distinct=40, ratio=0.0)
    same = memorisation(np.zeros((5, 2)), np.ones((3, 2)))  # real samples that are all one: their typical gap is 0
    assert same.ratio == pytest.approx(np.sqrt(2) / 1e-12) and same.distinct == 1


# ---- modes that lie anywhere --------------------------------------------------------------------------------------------


CENTRES = np.array([[1.0, 0.0], [5.0, 2.0], [-7.0, 3.0]])  # no reflection of themselves, as those of a ring are


def test_modes_are_where_their_centres_are():
    found = mixture_coverage(np.array([[1.0, 3.0], [5.0, 2.0], [20.0, 0.0], [-1.0, 0.0]]), CENTRES, 1.0)
    assert (found.modes, found.of, found.hq) == (2, 3, 0.75), "3 std away is still of high quality"
    assert found.reverse_kl == pytest.approx(2 / 3 * np.log(2) + 1 / 3 * np.log(1))
    assert mixture_coverage(np.array([[100.0, 0.0]]), CENTRES, 1.0) == MixtureCoverage(0, 3, 0.0, np.inf)


def test_a_real_sample_on_the_edge_of_a_ball_counts():
    """On a line, k = 1: the fakes' balls are [0, 2] and [1, 3]; the reals are on their edges."""
    found = neighbours(np.array([[0.0], [3.0]]), np.array([[1.0], [2.0]]), k=1)
    assert as_tuple(found) == (1.0, 1.0, 2.0, 1.0)


def test_the_classifier_has_2000_iterations_to_converge(monkeypatch):
    asked, regression = [], sklearn.linear_model.LogisticRegression
    monkeypatch.setattr(sklearn.linear_model, "LogisticRegression", lambda **named: asked.append(named) or regression(**named))
    class_balance(np.repeat([[0.0], [1.0]], 4, axis=0), np.repeat([0, 1], 4), np.array([[0.5]]))
    assert asked == [{"max_iter": 2000}]

"""Measures against held-out data, the test for memorisation against an exact binomial and planted copies, the spread over z."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from tinygan.data import DataError, Dataset, load
from tinygan.data.kinds import Points
from tinygan.measure.metrics import PcaFeatures, neighbours
from tinygan.measure.sample_quality import Spread, memorisation_test, sample_quality, sample_scores


def cloud(n, seed=0, features=4):
    return np.random.default_rng(seed).standard_normal((n, features))


def table(tmp_path, n=200, share=0.3):
    np.save(tmp_path / "t.npy", cloud(n))
    return load(tmp_path / "t.npy", held_out=share)


# ---- holding out ----------------------------------------------------------------------------------------------------------------


def test_parts_are_disjoint_and_all_there(tmp_path):
    np.save(tmp_path / "t.npy", cloud(50))
    whole = load(tmp_path / "t.npy")
    parts = load(tmp_path / "t.npy", held_out=0.3)
    assert (len(parts.x), len(parts.held.x)) == (35, 15)
    rows = {tuple(row) for row in np.concatenate([parts.x, parts.held.x])}
    assert rows == {tuple(row) for row in whole.x} and len(rows) == 50
    again = load(tmp_path / "t.npy", held_out=0.3)
    np.testing.assert_array_equal(again.held.x, parts.held.x)
    assert parts.chosen["held_out"] == 0.3 and any("15 of 50" in note for note in parts.notes)
    assert not np.array_equal(parts.held.x, whole.x[-15:]) and whole.held is None


def test_labels_go_with_their_samples():
    whole, parts = load("digits"), load("digits", held_out=0.2)
    assert len(parts.labels) == len(parts.x) and len(parts.held.labels) == len(parts.held.x) == 359
    by_pixels = {x.tobytes(): label for x, label in zip(whole.x, whole.labels, strict=True)}
    assert all(by_pixels[x.tobytes()] == label for x, label in zip(parts.held.x, parts.held.labels, strict=True))
    assert len(set(parts.held.labels)) == 10


def test_windows_of_sound_do_not_overlap_across_the_parts(tmp_path):
    from scipy.io import wavfile

    wavfile.write(tmp_path / "a.wav", 8000, np.arange(2000, dtype=np.int16))
    parts = load(tmp_path / "a.wav", held_out=0.25, window=100)
    assert parts.x.max() < parts.held.x.min()


@pytest.mark.parametrize(("data", "share", "message"), [("ring", 0.2, "drawn fresh"), ("digits", 0.001, "puts 2 aside"),
                                                      ("digits", 0.95, "between 0 and 0.9")])
def test_what_cannot_be_held_out(data, share, message):
    with pytest.raises(DataError, match=message):
        load(data, held_out=share)


# ---- memorisation ---------------------------------------------------------------------------------------------------------------


def test_memorisation_against_another_library():
    inside, outside, fake = cloud(60, 1), cloud(60, 2), cloud(500, 3)
    model = NearestNeighbors(n_neighbors=1).fit(np.concatenate([inside, outside]))
    nearest = model.kneighbors(fake, return_distance=False)[:, 0]
    found = memorisation_test(inside, outside, fake, np.random.default_rng(0))
    assert found.nearer == (nearest < 60).mean()
    count = np.bincount(nearest, minlength=120)
    # the std of the sum of 60 of 120 numbers, drawn without replacement
    exact = np.sqrt(count.var() * 120 / 119 * 60 * (1 - 60 / 120)) / 500
    assert found.by_chance == pytest.approx(exact, rel=0.1)


def test_copies_are_found_and_fresh_samples_are_not():
    rng = np.random.default_rng(5)
    inside, outside = cloud(150, 1), cloud(150, 2)
    copies = inside[rng.integers(150, size=400)] + 0.05 * rng.standard_normal((400, 4))
    some = np.concatenate([copies[:120], cloud(280, 4)])
    found = [memorisation_test(inside, outside, fake, rng) for fake in (copies, some, cloud(400, 6))]
    assert found[0].nearer > 0.98 and found[0].p == 1 / 1000
    assert 0.58 < found[1].nearer < 0.75 and found[1].p < 0.01
    assert abs(found[2].nearer - 0.5) < 4 * found[2].by_chance and found[2].p > 0.01


def test_p_and_the_spread_are_those_of_all_deals():
    """There are 252 ways to deal ten samples to two sides; 20,000 random deals come within four standard errors."""
    pool = cloud(10, 7)
    fake = np.concatenate([pool[[0, 0, 0, 1, 2, 2, 3, 5, 6, 6, 8]] + 1e-3, pool[[4]] + 1e-3])
    count = [3, 1, 2, 1, 1, 1, 2, 0, 1, 0]
    found = memorisation_test(pool[:5], pool[5:], fake, np.random.default_rng(0), 20_000)
    dealt = [sum(count[i] for i in deal) for deal in combinations(range(10), 5)]
    p = np.mean([one >= 8 for one in dealt])
    assert found.nearer == 8 / 12 and found.by_chance == pytest.approx(np.std(dealt) / 12, rel=0.02)
    assert abs(found.p - p) < 4 * np.sqrt(p * (1 - p) / 20_000) + 1 / 20_000 and 0.1 < p < 0.5


def test_ties_count_for_neither_side():
    points = cloud(40, 1)
    assert abs(memorisation_test(points, points, cloud(2000, 2), np.random.default_rng(0)).nearer - 0.5) < 0.25


@pytest.mark.parametrize(("n", "m", "fakes"), [(3, 4, 2), (0, 0, 2), (3, 3, 0)])
def test_what_memorisation_needs(n, m, fakes):
    with pytest.raises(ValueError, match="as many held"):
        memorisation_test(cloud(n), cloud(m), cloud(fakes), np.random.default_rng(0))


# ---- all of it ------------------------------------------------------------------------------------------------------------------


def test_a_sampler_that_copies_is_told_from_one_that_does_not(tmp_path):
    """Copies of the training data score best there, and no better than fresh samples against held-out data."""
    data = table(tmp_path, share=0.5)  # else some copies would be of samples that are in neither set of the memorisation test
    rng = np.random.default_rng(0)
    n = sample_quality(data, lambda n: data.x[rng.integers(len(data.x), size=n)], rng, draws=3).numbers()
    assert n["precision"] == 1.0 and n["held_out_precision"] < 1.0
    assert n["nearer_training"] > 0.95 and n["nearer_p"] < 0.01
    fresh = sample_quality(data, lambda n: data.codec.encode(cloud(n, rng.integers(10**6))), rng, draws=3).numbers()
    assert fresh["nearer_p"] > 0.01 and fresh["precision_z_std"] > 0
    assert abs(fresh["real_recall"] - fresh["held_out_recall"]) < 0.2


def test_the_numbers_are_those_of_their_parts(tmp_path):
    data = table(tmp_path)
    fakes = iter([cloud(140, 1), cloud(140, 2)])
    drawn = [cloud(140, 1), cloud(140, 2)]
    found = sample_quality(data, lambda n: next(fakes), np.random.default_rng(0), draws=2)
    near = [neighbours(data.x, fake) for fake in drawn]
    assert found.training["recall"].mean == pytest.approx(np.mean([one.recall for one in near]))
    assert found.training["density"].std == pytest.approx(np.std([one.density for one in near], ddof=1))
    held = found.held_out
    assert held.n == 60
    features = PcaFeatures.of(data.x)
    outside = [sample_scores(data.held.x, fake[:60], features) for fake in drawn]  # a permutation of all of them changes nothing
    assert held.held_out["coverage"].mean == pytest.approx(np.mean([one.coverage for one in outside]))
    assert held.held_out["frechet"].mean == pytest.approx(np.mean([one.frechet for one in outside]), rel=1e-9)


def test_data_without_held_out_samples_and_too_few(tmp_path):
    np.save(tmp_path / "t.npy", cloud(30))
    data, rng = load(tmp_path / "t.npy"), np.random.default_rng(0)
    found = sample_quality(data, cloud, rng)
    assert found.held_out is None and "held_out_recall" not in found.numbers() and np.isnan(found.numbers()["recall_z_std"])
    few = Dataset("few", Points((2,), (0.0, 0.0), (1.0, 1.0), ("x", "y")), cloud(5, features=2).astype(np.float32))
    with pytest.raises(DataError, match="few has 5 samples"):
        sample_quality(few, cloud, rng)


def test_spread_as_text():
    assert f"{Spread.of([1.0, 3.0]):.2f}" == "2.00 ± 1.41" and f"{Spread.of([1.0]):.2f}" == "1.00"

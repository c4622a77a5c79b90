"""The 2014 paper's Table 1: how digits are split, whom the networks and the recipe are from, and where sigma is chosen."""

import gzip
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from data_files import idx
from tinygan_kernels import load

from benchmarks.quality import parzen
from benchmarks.quality.parzen import Digits, centres_of_clusters, gaussian_samples, measured, networks, read, samples_of_gan, split
from tinygan.data import DataError
from tinygan.measure import metrics
from tinygan.nn import Dropout

RNG = np.random.default_rng(5)
STROKES = (RNG.random((120, 28, 28)) < 0.2).astype(np.uint8) * 255


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(parzen, "WIDTH", 8)
    monkeypatch.setattr(parzen, "UNITS", 4)
    monkeypatch.setattr(parzen, "SAMPLES", 30)
    monkeypatch.setattr(parzen, "load_backend", lambda name: load({"cpu": "reference"}[name]))  # which compiles nothing


def command(monkeypatch, capsys, *arguments):
    """Run the command, and return its exit status and what it wrote to stdout and to stderr."""
    monkeypatch.setattr(sys, "argv", ["parzen", *map(str, arguments)])
    code = parzen.main()
    return code, *capsys.readouterr()


def images(path, pixels=STROKES, **options):
    path.write_bytes(idx(pixels, **options))
    return path


# ---- the command ----------------------------------------------------------------------------------------------------------------


def test_a_file_is_split_trained_on_and_measured(small, tmp_path, monkeypatch, capsys):
    file, out = tmp_path / "strokes-idx3-ubyte.gz", tmp_path / "parzen.json"
    file.write_bytes(gzip.compress(idx(STROKES)))
    code, told, _ = command(monkeypatch, capsys, file, "--steps", 12, "--json", out)
    assert code == 0 and "Theis et al. 2016 advise against" in told and "adversarial nets 225 ± 2" in told
    assert "strokes-idx3-ubyte.gz: 96 digits to train on, 12 to choose sigma on, 12 to test on (shuffled; another task" in told
    assert "12 steps with batches of 100, 12 passes" in told and "momentum stays at 0.5" in told
    found = json.loads(out.read_text())
    assert found["split"] == {"training": 96, "validation": 12, "test": 12} and not found["as_published"]
    assert {name: row["points"] for name, row in found["rows"].items()} == {
        parzen.GAN: 30, parzen.GAUSSIAN: 30, parzen.TRAINING: 30, parzen.CENTRES: 19}
    for name, row in found["rows"].items():
        assert parzen.told(name, row) in told and np.isfinite(row["mean"]) and row["standard_error"] > 0
    assert (found["steps"], found["batch"], found["seed"]) == (12, 100, 0) and "commit" in found["stamp"]


WRONG = {
    "another shape": (lambda folder: [images(folder / "a.idx", STROKES[:, :8, :8])],
                      "a.idx: 120 images of 8x8 pixels, grey; the paper's networks"),
    "points": (lambda folder: ["ring"], "ring: points of the plane, drawn fresh from a mixture of Gaussians; the paper's networks"),
    "too few": (lambda folder: [images(folder / "a.idx", STROKES[:99])], "99 images are too few to train on"),
    "labels": (lambda folder: [images(folder / "a.idx", magic=0x801)], "holds labels"),
    "no file": (lambda folder: [folder / "none.idx"], "no file or folder of that name"),
    "twice": (lambda folder: [images(folder / "a.idx"), folder / "." / "a.idx"], "digits would be there twice"),
    "no steps": (lambda folder: [images(folder / "a.idx"), "--steps", 0], "--steps is 0, it has to be at least 1"),
    "a seed below 0": (lambda folder: [images(folder / "a.idx"), "--seed", -1], "--seed is -1, it has to be between 0 and 4,294"),
    "a seed of 33 bits": (lambda folder: [images(folder / "a.idx"), "--seed", 2**32], "--seed is 4294967296, it has to be"),
    "no folder": (lambda folder: [images(folder / "a.idx"), "--json", folder / "no" / "a.json"], "there is no folder"),
    "a folder": (lambda folder: [images(folder / "a.idx"), "--json", folder], "give the path of a file in it"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_measured_is_refused_in_one_line(case, tmp_path, monkeypatch, capsys):
    arguments, said = WRONG[case]
    monkeypatch.setattr(parzen, "table", lambda *_: pytest.fail("nothing may be trained"))
    code, told, refused = command(monkeypatch, capsys, *arguments(tmp_path))
    assert code == 2 and not told and said in refused and len(refused.splitlines()) == 1 and "Traceback" not in refused


def test_a_run_that_diverges_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    def diverged(*_):
        raise FloatingPointError("step 3: V is nan")

    monkeypatch.setattr(parzen, "table", diverged)
    code, _, refused = command(monkeypatch, capsys, images(tmp_path / "a.idx"))
    assert code == 1 and refused == "parzen: step 3: V is nan\n"


# ---- the split ------------------------------------------------------------------------------------------------------------------


def numbered(n, mean):
    """n images of one pixel, each with a value of its own, and this mean."""
    return (mean + 1e-9 * (np.arange(n) - (n - 1) / 2))[:, None]


@pytest.mark.parametrize("cuts", [[], [60_000]])
def test_the_whole_of_mnist_is_split_as_in_the_paper(cuts):
    """In one piece, as scikit-learn has it, or as the training file and the test file."""
    pixels = numbered(70_000, 0.13092)
    found = split(np.split(pixels, cuts), "two files")
    assert found.as_published and found.name == "MNIST" and "split as in the paper" in parzen.heading(found, 1)
    for part, (begin, end) in {"training": (0, 50_000), "validation": (50_000, 51_000), "test": (60_000, 70_000)}.items():
        np.testing.assert_array_equal(getattr(found, part), pixels[begin:end])


@pytest.mark.parametrize(("n", "mean", "cuts", "sizes", "name"), [
    (10_000, 0.13251, [], (8000, 1000, 1000), "MNIST's test set alone"),
    (60_000, 0.13066, [], (53_000, 1000, 6000), "MNIST's training set alone"),
    (70_000, 0.13092, [10_000], (62_000, 1000, 7000), "MNIST"),
    (70_000, 0.28604, [60_000], (62_000, 1000, 7000), "clothes"),
    (10_000, 0.28685, [], (8000, 1000, 1000), "clothes"),
    (100, 0.13, [], (80, 10, 10), "clothes"),
], ids=["test set", "training set", "files in the wrong order", "70,000 other images", "10,000 other images", "few"])
def test_anything_else_is_shuffled_and_said_to_be_another_task(n, mean, cuts, sizes, name):
    pixels = numbered(n, mean)
    found = split(np.split(pixels, cuts), "clothes", seed=3)
    assert tuple(found.sizes.values()) == sizes and found.name == name and not found.as_published
    parts = [found.training[:, 0], found.validation[:, 0], found.test[:, 0]]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), pixels[:, 0], "each image is in one part, once")
    assert all(abs(np.searchsorted(pixels[:, 0], part).mean() / n - 0.5) < 0.3 for part in parts), "in no order"
    assert "another task than the paper's" in parzen.heading(found, 1)
    assert np.array_equal(split([pixels], "", seed=3).test, found.test) or cuts
    assert not np.array_equal(split([pixels], "", seed=4).test, found.test)


def test_pixels_lie_between_0_and_1(tmp_path):
    found = read([str(images(tmp_path / "a.idx")), str(images(tmp_path / "b.idx", 255 - STROKES))])
    every = np.concatenate([found.training, found.validation, found.test])
    assert found.name == "a.idx and b.idx" and every.shape == (240, 784) and set(np.unique(every)) == {0.0, 1.0}
    with pytest.raises(DataError, match=r"^mnist .*a\.idx: some digits would be there twice"):
        read(["mnist", str(tmp_path / "a.idx")])


# ---- the recipe -----------------------------------------------------------------------------------------------------------------


def test_the_networks_are_those_of_the_paper():
    marginals = np.linspace(0, 1, 784)
    G, D = networks(marginals, load("reference"), seed=0)
    assert [t.shape for t in G.parameters().values()] == [(100, 1200), (1200,), (1200, 1200), (1200,), (1200, 784), (784,)]
    assert [t.shape for t in D.parameters().values()] == [(784, 1200), (1200,), (240, 1200), (1200,), (240, 1), (1,)]
    assert [(layer.act, layer.slope) for layer in G] == [("leaky_relu", 0.0)] * 2 + [("sigmoid", 0.0)]
    assert [layer.p for layer in D if isinstance(layer, Dropout)] == [0.2, 0.5, 0.5]
    assert [layer.pieces for layer in D[1:4:2]] == [5, 5]
    for network, most in ((G, 0.05), (D, 0.005)):
        for name, tensor in network.parameters().items():
            if name.endswith("w"):
                values = tensor.numpy()
                assert 0.95 * most < values.max() <= most * (1 + 1e-6) and abs(values.std() - most / 3**0.5) < 0.05 * most
    begins = 1 / (1 + np.exp(-G[2].b.numpy().astype(np.float64)))
    np.testing.assert_allclose(begins, marginals, atol=2e-6)


def test_the_recipe_is_that_of_the_authors(small, monkeypatch):
    """Half of D's loss is what the authors descend, so D's rate is half of G's on the whole of it."""
    called = {}

    def fit(G, D, data, **options):
        called.update(options, data=data, own=(D.parameters(), G.parameters()))
        return SimpleNamespace(sample=lambda n, seed: np.zeros((n, 784)), alarms={"strong-d": "a line"})

    monkeypatch.setattr(parzen, "fit", fit)
    training = STROKES.reshape(120, 784) / 255
    samples, alarms = samples_of_gan(training, 7, 1, print)
    assert samples.shape == (30, 784) and alarms == ["strong-d"] and called["data"] is training
    for name, rate, own in zip(("optim_d", "optim_g"), (0.05, 0.1), called["own"], strict=True):
        optimiser = called[name]
        assert optimiser.kernel == "momentum" and optimiser.constants == {"mu": 0.5} and optimiser.rate == pytest.approx(rate)
        assert {id(t) for t in optimiser.parameters} == {id(t) for t in own.values()}
    wanted = {"objective": "nonsaturating", "update": "simultaneous", "batch": 100, "steps": 7, "seed": 1, "r1": 0.0, "ema": 0.0,
              "decay": 0.0, "standardise": False}
    assert {name: called[name] for name in wanted} == wanted


def test_every_set_is_made_of_the_training_digits_alone(monkeypatch):
    """Whatever looks at the other digits, before it is measured, fails here."""
    training = RNG.random((60, 9))
    monkeypatch.setattr(parzen, "samples_of_gan", lambda given, *_: (given[:4] * 1.0, []))
    monkeypatch.setattr(parzen, "measured", lambda points, digits: points)
    monkeypatch.setattr(parzen, "told", lambda name, row: name)
    rows = parzen.table(Digits("", False, training, None, None), 1, 0, lambda line: None)["rows"]
    np.testing.assert_array_equal(rows[parzen.TRAINING], training)
    assert rows[parzen.CENTRES].shape == (12, 9) and rows[parzen.GAUSSIAN].shape == (10_000, 9)


def test_centres_are_means_of_their_digits():
    groups = np.repeat(np.eye(9) * 10, 30, axis=0)
    training = groups + 0.1 * RNG.standard_normal(groups.shape)
    centres = centres_of_clusters(training, 0)
    assert len(centres) == 270 // 5
    near = ((training[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    for i in range(len(centres)):
        np.testing.assert_allclose(centres[i], training[near == i].mean(axis=0), atol=1e-9)


def test_the_gaussian_has_the_mean_and_the_covariance_of_the_digits():
    training = RNG.standard_normal((500, 3)) @ np.array([[1.0, 0.5, 0], [0, 0.3, 0], [0, 0, 2.0]]) + [1, 2, 3]
    points = gaussian_samples(training, 0)
    np.testing.assert_allclose(points.mean(axis=0), training.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(np.cov(points.T), np.cov(training.T), atol=0.2)


# ---- the measure ----------------------------------------------------------------------------------------------------------------

NARROW, WIDE = (std * RNG.standard_normal((200, 2)) for std in (0.1, 1.0))


def assert_sigma_is_that_of_the_validation_digits():
    """From one point, the best width for points of a Gaussian is its std: 0.1 for those of NARROW, 1 for those of WIDE."""
    point = np.zeros((6, 2))
    assert measured(point, Digits("", False, point, NARROW, WIDE))["sigma"] == pytest.approx(0.1)
    assert measured(point, Digits("", False, point, WIDE, NARROW))["sigma"] == pytest.approx(1.0)


def test_sigma_is_chosen_on_the_validation_digits():
    assert_sigma_is_that_of_the_validation_digits()


@pytest.mark.parametrize("fault", [
    lambda points, validation, test: (points, test, test),
    lambda points, validation, test: (points, np.concatenate([validation, test]), test),
    lambda points, validation, test: (points, test, validation),
], ids=["on the test digits", "on both", "the two are swapped"])
def test_sigma_chosen_elsewhere_is_noticed(fault, monkeypatch):
    right = metrics.parzen
    monkeypatch.setattr(metrics, "parzen", lambda *digits: right(*fault(*digits)))
    with pytest.raises(AssertionError):
        assert_sigma_is_that_of_the_validation_digits()


def test_the_estimate_is_that_of_the_test_digits():
    found = measured(np.zeros((6, 2)), Digits("", False, np.zeros((6, 2)), WIDE, NARROW))
    logs = -0.5 * (NARROW**2).sum(axis=1) - np.log(2 * np.pi)
    assert found["mean"] == pytest.approx(logs.mean()) and found["points"] == 6
    assert found["standard_error"] == pytest.approx(logs.std(ddof=1) / 200**0.5)


def test_precision_is_the_share_of_points_that_look_like_test_digits(monkeypatch):
    monkeypatch.setattr(parzen, "JUDGED", 40)
    points = np.concatenate([NARROW[100:130], NARROW[130:140] + 50, NARROW[140:] + 50])
    digits = Digits("", False, points, NARROW[:20], NARROW[:100])
    assert measured(points, digits)["precision"] == pytest.approx(0.75, abs=0.1), "30 of the first 40"

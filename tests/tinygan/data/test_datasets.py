"""Named data sets, mixtures and samplers: what is drawn, in which order, and going on bit for bit after a restore."""

import subprocess
import sys
import urllib.error
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from data_files import PIXELS, error_of, save
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile
from scipy.stats import chi2
from sklearn import datasets

from tinygan.data import NAMES, Dataset, load
from tinygan.data import datasets as sources
from tinygan.data.kinds import Images, Table
from tinygan.data.named import NamedSet


def numbered(n: int) -> Dataset:
    """Return a set whose sample i holds the number i twice, so that a batch tells which samples it drew."""
    codec = Table((2,), mean=(0.0, 0.0), std=(1.0, 1.0), columns=("a", "b"))
    return Dataset("numbered", codec, np.arange(n, dtype=np.float32).repeat(2).reshape(n, 2))


def drawn(sampler, batches: int) -> np.ndarray:
    """Return the sample numbers of `batches` batches of a `numbered` set, end to end."""
    found = np.concatenate([sampler.next() for _ in range(batches)])
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    return found[:, 0].astype(int)


# ---- mixtures (VEEGAN, Srivastava et al. 2017) ----------------------------------------------------------------------

def test_ring_has_eight_distinct_centres_on_the_unit_circle():
    ring = load("ring")
    assert ring.centres.shape == (8, 2)
    np.testing.assert_allclose(np.hypot(*ring.centres.T), 1, rtol=1e-15)
    gaps = np.linalg.norm(ring.centres[:, None] - ring.centres[None], axis=-1) + 9 * np.eye(8)
    # Neighbours stand at the side of a regular octagon: seven distinct centres would have another, or zero.
    np.testing.assert_allclose(gaps.min(axis=1), 2 * np.sin(np.pi / 8), rtol=1e-12)
    np.testing.assert_allclose(ring.centres[0], [1, 0])


def test_grid_has_the_twenty_five_centres_and_trains_at_a_quarter():
    grid = load("grid")
    assert {tuple(c) for c in grid.centres} == {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert len(grid.centres) == 25
    np.testing.assert_array_equal(grid.codec.encode(grid.centres), (grid.centres / 4).astype(np.float32))
    np.testing.assert_array_equal(load("ring").codec.std, [1, 1])


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_mixtures_are_divided_by_the_scale_for_the_networks_alone(name):
    usual, data = load(name), load(name, scale=2)
    np.testing.assert_array_equal(data.centres, usual.centres)
    assert data.std == usual.std and data.codec.std == (2.0, 2.0) and load(name, scale=None).codec == usual.codec
    assert data.defaults() == {**usual.defaults(), "scale": 2.0} and "scale" not in usual.defaults(), "a run stores what was chosen"
    x = data.codec.encode(data.centres)
    np.testing.assert_array_equal(x, (data.centres / 2).astype(np.float32))
    np.testing.assert_allclose(data.codec.decode(x), data.centres, rtol=1e-6)


@pytest.mark.parametrize(("name", "scale", "message"), [
    ("ring", 0, "scale is 0, it has to be between 0.001 and 1000"), ("grid", float("nan"), "scale is nan"),
    ("grid", True, "scale is True, it has to be a finite number"), ("digits", 2.0, "digits: scale is for points, this is images"),
])
def test_a_scale_that_does_not_fit_is_refused(name, scale, message):
    assert message in error_of(load, name, scale=scale)


@pytest.mark.parametrize(("name", "std"), [("ring", 0.01), ("grid", 0.05)])
def test_mixture_draws_have_the_exact_statistics(name, std):
    data, n = load(name), 40_000
    assert data.std == std and data.x is None and data.labels is None
    points = data.codec.decode(data.sampler(n, np.random.default_rng(3)).next())
    offsets = points[:, None] - data.centres[None]
    nearest = np.linalg.norm(offsets, axis=-1).argmin(axis=1)
    offsets = offsets[np.arange(n), nearest]
    # High quality within 3 std: P(r <= 3 std) = 1 - exp(-9/2) in two dimensions. Five standard errors.
    share, p = (np.linalg.norm(offsets, axis=1) <= 3 * std).mean(), 1 - np.exp(-4.5)
    assert abs(share - p) < 5 * np.sqrt(p * (1 - p) / n)
    counts, k = np.bincount(nearest, minlength=len(data.centres)), len(data.centres)
    # Pearson's statistic, from both sides: draws by turns would be too even to be independent.
    low, high = chi2.ppf([1e-6, 1 - 1e-6], k - 1)
    assert low < ((counts - n / k) ** 2).sum() / (n / k) < high
    # Means 0, variances std^2, no correlation between the axes.
    assert np.abs(offsets.mean(axis=0)).max() < 5 * std / np.sqrt(n)
    covariance = offsets.T @ offsets / n / std**2
    assert np.abs(covariance - np.eye(2)).max() < 5 * np.sqrt(2 / n)


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_mixtures_draw_fresh_points_each_time(name):
    sampler = load(name).sampler(64, np.random.default_rng(0))
    assert len(np.unique(np.concatenate([sampler.next() for _ in range(4)]), axis=0)) == 256


# ---- named sets -----------------------------------------------------------------------------------------------------

def test_digits_are_scikit_learns_scaled_to_unit_range():
    digits, bunch = load("digits"), datasets.load_digits()
    assert digits.x.shape == (1797, 8, 8, 1) and digits.x.dtype == np.float32 and digits.x.flags.c_contiguous
    np.testing.assert_array_equal(digits.x[..., 0], bunch.images / 8 - 1)
    np.testing.assert_array_equal(digits.labels, bunch.target)
    assert digits.labels.dtype == np.int64 and digits.codec == Images((8, 8, 1))
    shown = digits.codec.decode(digits.x)
    assert (shown.min(), shown.max()) == (0, 255)
    assert np.abs(shown[..., 0] - bunch.images * 255 / 16).max() <= 0.5 + 1e-6


def test_size_resizes_the_central_square():
    digits = load("digits", size=16)
    assert digits.x.shape == (1797, 16, 16, 1) and digits.codec.shape == (16, 16, 1)
    assert np.abs(digits.x).max() <= 1
    small = load("digits", size=4).x  # a quarter of the area: means of the neighbourhood, orientation kept
    blocks = load("digits").x.reshape(-1, 4, 2, 4, 2, 1).mean(axis=(2, 4))
    assert np.corrcoef(small.ravel(), blocks.ravel())[0, 1] > 0.95
    assert np.corrcoef(small.swapaxes(1, 2).ravel(), blocks.ravel())[0, 1] < 0.9


def test_faces_through_the_fetcher(monkeypatch):
    images = np.random.default_rng(0).random((5, 64, 64)).astype(np.float32)
    monkeypatch.setattr(datasets, "fetch_olivetti_faces", lambda: SimpleNamespace(images=images))
    faces = load("faces")
    assert faces.codec.shape == (64, 64, 1) and faces.labels is None
    np.testing.assert_allclose(faces.x[..., 0], images * 2 - 1, atol=1e-6)
    assert load("faces", size=32).x.shape == (5, 32, 32, 1)


def test_mnist_through_the_fetcher(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 784))

    def fetch(name, **options):
        assert name == "mnist_784" and options["as_frame"] is False and options["parser"] == "liac-arff"
        return SimpleNamespace(data=pixels.astype(float), target=np.array(list("504192"), dtype=object))

    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    mnist = load("mnist")
    np.testing.assert_array_equal(mnist.codec.decode(mnist.x).reshape(6, 784), pixels)
    assert mnist.labels.tolist() == [5, 0, 4, 1, 9, 2]


@pytest.mark.parametrize(("name", "fetcher"), [("faces", "fetch_olivetti_faces"), ("mnist", "fetch_openml")])
@pytest.mark.parametrize("failure", [
    urllib.error.URLError("Temporary failure in name resolution"), TimeoutError("timed out"),
    urllib.error.HTTPError("http://example.org", 503, "down", None, None), ValueError("a damaged\ncache"), EOFError()])
def test_without_the_network_one_line_says_so(monkeypatch, name, fetcher, failure):
    def offline(*_, **__):
        warnings.warn("Retry downloading", stacklevel=1)  # as scikit-learn does, and the user is not to see
        raise failure

    monkeypatch.setattr(datasets, fetcher, offline)
    message = error_of(load, name)
    assert message.startswith(f"{name}: ") and "network" in message and "digits" in message


def test_a_planted_row_makes_a_named_set(monkeypatch):
    row = NamedSet("planted", Table, lambda: numbered(5), {"steps": 7})
    monkeypatch.setattr(sources, "NAMED_SETS", (*sources.NAMED_SETS, row))
    assert load("planted").defaults() == {"steps": 7} and load("planted").defaults("dcgan")["steps"] == 10_000
    assert "size is for images, this is table" in error_of(load, "planted", size=4)
    monkeypatch.setattr(sources, "NAMED_SETS", (NamedSet("planted", Table, lambda: numbered(5)),))
    assert load("planted").defaults() == Table.defaults


@pytest.mark.parametrize("name", ["digits", "grid"])
def test_a_folder_named_like_a_set_keeps_the_defaults_of_its_kind(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    for i in range(2):
        save(PIXELS[0][:, :4], tmp_path / name / f"{i}.png")
    assert (load(Path(name)).x == load(f"./{name}").x).all(), "a Path is a path, whatever its name"
    folder = load(f"./{name}")
    assert folder.name == name and folder.defaults() == Images.defaults != load(name).defaults()


# ---- specs ----------------------------------------------------------------------------------------------------------

NEAR_MISSES = {"digit": "digits", "DIGITS": "digits", "rings": "ring", "minst": "mnist"}


@pytest.mark.parametrize(("spec", "hint"), NEAR_MISSES.items())
def test_a_near_miss_is_answered(spec, hint):
    assert f"did you mean {hint!r}?" in error_of(load, spec)


@pytest.mark.parametrize("spec", ["", " ", "zzzzzzzz", "no/such/file.csv", "a\0b", "~nobody-of-that-name/x", "a\nb"])
def test_unknown_data_lists_what_is_known(spec):
    message = error_of(load, spec)
    assert all(name in message for name in (*NAMES, ".npz", ".csv", ".wav", "idx", "folder"))
    assert "did you mean" not in message


def test_a_name_too_long_for_the_file_system():
    error_of(load, "x" * 5000)


@pytest.mark.parametrize("size", [0, 1, -3, 5000, 2.5, "8"])
def test_sizes_that_make_no_sense(size):
    assert "size" in error_of(load, "digits", size=size)


def test_options_may_be_numpy_s_own_numbers(tmp_path):
    """A window of np.int64(512) is one of 512; nothing of NumPy's is left in the codec, which has to become JSON."""
    wavfile.write(tmp_path / "a.wav", 8000, np.arange(4000, dtype=np.int16))
    assert load(tmp_path / "a.wav", window=np.int64(512)).codec == load(tmp_path / "a.wav", window=512).codec
    assert load("digits", size=np.uint8(4)).codec.to_json()["shape"] == [4, 4, 1]


@pytest.mark.parametrize("window", [0, 1, -3, 2.5])
def test_windows_that_make_no_sense(window):
    assert "window" in error_of(load, "digits", window=window)


def test_options_of_other_kinds_are_refused():
    assert "size is for images" in error_of(load, "ring", size=8)
    assert "window is for sound" in error_of(load, "digits", window=512)


def test_importing_is_cheap():
    heavy = "{'sklearn', 'scipy', 'PIL', 'matplotlib'}"
    code = f"import sys, tinygan.data; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# ---- samplers -------------------------------------------------------------------------------------------------------

@settings(deadline=None)
@given(n=st.integers(2, 30), m=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
def test_batches_end_to_end_are_permutations_end_to_end(n, m, seed):
    found = drawn(numbered(n).sampler(m, np.random.default_rng(seed)), batches=3 * n // m + 1)
    for start in range(0, len(found) - n + 1, n):
        assert sorted(found[start:start + n]) == list(range(n))
    tail = found[len(found) // n * n:]
    assert len(set(tail)) == len(tail)


def test_epochs_are_shuffled_each_anew():
    found = drawn(numbered(100).sampler(100, np.random.default_rng(0)), batches=3)
    epochs = found.reshape(3, 100)
    for a, b in [(epochs[0], np.arange(100)), (epochs[1], epochs[0]), (epochs[2], epochs[1])]:
        assert (a == b).mean() < 0.2


def test_first_places_are_uniform():
    """Over many epochs every sample opens about equally often: a cyclic shift or a sorted order would not do."""
    rng, sampler_of = np.random.default_rng(5), numbered(4).sampler
    firsts = np.array([drawn(sampler_of(4, rng), 1) for _ in range(4000)])
    codes, counts = np.unique(firsts @ [64, 16, 4, 1], return_counts=True)
    assert len(codes) == 24
    assert np.abs(counts - 4000 / 24).max() < 5 * np.sqrt(4000 / 24)


DATA = {"digits": lambda: load("digits"), "ring": lambda: load("ring"), "tiny": lambda: numbered(5)}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("before", [0, 1, 3, 40])
def test_restored_sampler_goes_on_bit_for_bit(name, before):
    data = DATA[name]()
    rng = np.random.default_rng(11)
    sampler = data.sampler(48, rng)
    for _ in range(before):
        sampler.next()
    state, bits = sampler.state(), rng.bit_generator.state
    expected = [sampler.next() for _ in range(45)]  # past the end of an epoch of the digits
    other = np.random.default_rng(99)
    restored = data.sampler(48, other)
    restored.next()
    restored.restore(state)
    other.bit_generator.state = bits
    for batch in expected:
        np.testing.assert_array_equal(restored.next(), batch)


def test_state_is_a_copy_of_plain_values():
    sampler = numbered(7).sampler(3, np.random.default_rng(0))
    sampler.next()
    state = sampler.state()
    assert (state["epoch"], state["position"]) == (1, 3) and state["order"].dtype == np.int64
    kept = {k: np.copy(v) for k, v in state.items()}
    expected = drawn(sampler, 5)
    for key, value in kept.items():
        np.testing.assert_array_equal(state[key], value)
    other = numbered(7).sampler(3, np.random.default_rng(1))
    other.restore(state)
    state["order"][:] = 0  # what was restored from must not be what is drawn from
    np.testing.assert_array_equal(drawn(other, 1), expected[:3])


@pytest.mark.parametrize("change", [
    {"order": np.arange(6)}, {"order": np.zeros(7, int)}, {"order": np.arange(7.0)}, {"order": np.arange(1, 8)},
    {"order": "abc"}, {"position": 8}, {"position": -1}, {"position": 1.5}, {"position": None}, {"epoch": -1}], ids=str)
def test_foreign_states_are_refused_and_change_nothing(change):
    sampler = numbered(7).sampler(3, np.random.default_rng(0))
    sampler.next()
    before = sampler.state()
    assert "sampler state" in error_of(sampler.restore, {**before, **change})
    for key, value in sampler.state().items():
        np.testing.assert_array_equal(value, before[key])


def test_states_do_not_pass_between_kinds_of_data():
    ring, digits = (load(n).sampler(4, np.random.default_rng(0)) for n in ("ring", "digits"))
    error_of(ring.restore, digits.state())
    error_of(digits.restore, ring.state())


@pytest.mark.parametrize("name", DATA)
def test_next_fills_the_buffer_it_is_given(name):
    data = DATA[name]()
    fresh = data.sampler(6, np.random.default_rng(2)).next()
    assert fresh.dtype == np.float32 and fresh.flags.c_contiguous and fresh.shape == (6, *data.codec.shape)
    out = np.full_like(fresh, np.nan)
    assert data.sampler(6, np.random.default_rng(2)).next(out=out) is out
    np.testing.assert_array_equal(out, fresh)
    for wrong in (np.empty((5, *data.codec.shape), np.float32), np.empty(fresh.shape)):
        with pytest.raises(ValueError, match="out must be"):
            data.sampler(6, np.random.default_rng(2)).next(out=wrong)


def test_batches_are_copies():
    data = numbered(4)
    data.sampler(4, np.random.default_rng(0)).next()[...] = -1
    np.testing.assert_array_equal(data.x[:, 0], np.arange(4))


@pytest.mark.parametrize("m", [0, -1, 2.0, None])
def test_batch_size_must_be_positive(m):
    assert "batch size" in error_of(numbered(4).sampler, m, np.random.default_rng(0))


def test_the_global_generator_is_no_generator():
    with pytest.raises(TypeError, match="Generator"):
        numbered(4).sampler(2, np.random)

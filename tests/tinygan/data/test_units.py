"""Codec: encode and decode undo each other, files hold what was decoded, a failed write loses nothing."""

import csv
import json
import os

import numpy as np
import pytest
from data_files import error_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy.io import wavfile

from tinygan.data.kinds import Images, Points, Sound, Table, codec_from_json
from tinygan.data.kinds.images import contact_sheet
from tinygan.data.units import DataError

POINTS = Points((2,), mean=(0.0, 0.0), std=(4.0, 4.0), columns=("x", "y"))
TABLE = Table((3,), mean=(1.5, -2e6, 0.1), std=(0.3, 1e4, 7.0), columns=("a", "b, c", "d"))
IMAGES = Images((16, 16, 1))
SOUND = Sound((256,), rate=8000)
ALL = {"points": POINTS, "table": TABLE, "images": IMAGES, "sound": SOUND}

finite = st.floats(-1e6, 1e6, allow_subnormal=False)


# ---- encode and decode ----------------------------------------------------------------------------------------------

def test_every_uint8_level_survives_encode_and_decode():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    x = IMAGES.encode(levels)
    assert (x.dtype, x.min(), x.max()) == (np.float32, -1.0, 1.0)
    np.testing.assert_array_equal(IMAGES.decode(x), levels)


def test_every_int16_value_survives_encode_and_decode():
    values = np.arange(-32768, 32768).astype(np.int16).reshape(256, 256)
    x = SOUND.encode(values)
    assert x.min() >= -1 and x.max() <= 1
    decoded = SOUND.decode(x)
    assert decoded.dtype == np.int16
    np.testing.assert_array_equal(decoded, values)


@given(hnp.arrays(np.float64, st.tuples(st.integers(0, 5), st.just(3)), elements=finite))
def test_table_round_trip_within_float32(rows):
    encoded = TABLE.encode(rows)
    mean, std = np.array(TABLE.mean), np.array(TABLE.std)
    back = TABLE.decode(encoded)
    assert back.dtype == np.float64
    # One rounding to float32 of (row - mean) / std, the rest in float64.
    bound = 2.0**-24 * np.abs(rows - mean) + 1e-14 * (np.abs(rows) + np.abs(mean)) + 1e-38 * std
    assert (np.abs(back - rows) <= bound).all()


def test_table_encode_is_the_standard_score():
    rows = np.array([[1.8, -2e6, 14.1]])
    np.testing.assert_allclose(TABLE.encode(rows), [[1.0, 0.0, 2.0]], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(POINTS.encode(np.array([[4.0, -2.0]])), [[1.0, -0.5]])


def test_bounded_kinds_clip_rather_than_wrap():
    assert IMAGES.decode(np.full((1, 16, 16, 1), 1.5)).min() == 255
    assert IMAGES.decode(np.full((1, 16, 16, 1), -1.5)).max() == 0
    assert SOUND.decode(np.full((1, 256), 1.0)).min() == 32767


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ALL)
def test_a_diverged_generator_is_named(kind, bad):
    x = np.zeros((2, *ALL[kind].shape))
    x[-1].flat[-1] = bad
    assert "NaN or inf" in error_of(ALL[kind].decode, x)


@pytest.mark.parametrize("shape", [(), (2,), (3, 4), (2, 3, 1)])
def test_decode_refuses_other_shapes(shape):
    assert "expected an array (n, 3)" in error_of(TABLE.decode, np.zeros(shape))


# ---- JSON -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ALL)
def test_json_round_trip_is_exact(kind):
    assert codec_from_json(json.loads(json.dumps(ALL[kind].to_json()))) == ALL[kind]


@given(st.lists(st.tuples(finite, st.floats(1e-300, 1e300), st.text()), min_size=1, max_size=4))
def test_json_round_trip_of_any_table(columns):
    mean, std, names = zip(*columns, strict=True)
    codec = Table((len(columns),), mean=mean, std=std, columns=names)
    assert codec_from_json(json.loads(json.dumps(codec.to_json()))) == codec


@pytest.mark.parametrize("change", [
    {"kind": "video"}, {"shape": [3, 1]}, {"shape": []}, {"shape": ["3"]}, {"shape": [0]}, {"shape": [True]},
    {"shape": 3}, {"bounded": True}, {"bounded": 0}, {"mean": [0.0, 0.0]}, {"mean": None}, {"mean": [0.0, None, 0.0]},
    {"std": [1.0, 0.0, 1.0]}, {"std": [1.0, -1.0, 1.0]}, {"std": [1.0, float("nan"), 1.0]}, {"std": ["1", "1", "1"]},
    {"mean": [0.0, 10**400, 0.0]}, {"columns": ["a"]}, {"columns": [1, 2, 3]}, {"rate": 8000}, {"kind": ["table"]},
    {"kind": {}},
], ids=str)
def test_a_record_that_contradicts_itself_is_refused(change):
    assert error_of(codec_from_json, {**TABLE.to_json(), **change}).startswith("codec: ")


@pytest.mark.parametrize("rate", [None, 0, -1, 1.5, True, "8000", 2**31])
def test_sound_needs_a_rate(rate):
    assert "rate" in error_of(codec_from_json, {**SOUND.to_json(), "rate": rate})


@pytest.mark.parametrize("record", [None, [], {}, "table", {"kind": "table"}, {**TABLE.to_json(), "more": 1}])
def test_a_foreign_record_is_refused(record):
    assert "expected the fields" in error_of(codec_from_json, record)


def test_samples_past_the_largest_number_are_refused():
    codec = Table((2,), mean=(0.0, 0.0), std=(1.0, 1e308), columns=("a", "b"))
    assert codec.decode(np.array([[9.0, 1.0]])).tolist() == [[9.0, 1e308]]
    whole = Table((2,), mean=(2**64, 0), std=(1, 2**70), columns=("a", "b"))  # as JSON of another's hand may have them
    assert whole.decode(np.array([[9.0, 1.0]])).dtype == np.float64
    assert "column b pass the largest number" in error_of(codec.decode, np.array([[9.0, 1.0], [9.0, 99.0]]))


# ---- writing --------------------------------------------------------------------------------------------------------

def test_npy_holds_the_decoded_array(tmp_path):
    for kind, codec in ALL.items():
        x = np.random.default_rng(0).uniform(-1, 1, (3, *codec.shape)).astype(np.float32)
        codec.write(tmp_path / f"{kind}.npy", x)
        written = np.load(tmp_path / f"{kind}.npy", allow_pickle=False)
        np.testing.assert_array_equal(written, codec.decode(x))
        assert written.dtype == codec.decode(x).dtype


@pytest.mark.parametrize("codec", [POINTS, TABLE], ids=lambda c: c.kind)
def test_csv_holds_names_and_exact_floats(tmp_path, codec):
    x = np.random.default_rng(1).standard_normal((7, *codec.shape))
    codec.write(tmp_path / "s.csv", x)
    with open(tmp_path / "s.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == codec.columns
    np.testing.assert_array_equal(np.array(rows, dtype=float), codec.decode(x))


def test_wav_holds_the_windows_in_order(tmp_path):
    x = np.random.default_rng(2).uniform(-1, 1, (3, 256))
    SOUND.write(tmp_path / "s.wav", x)
    rate, sound = wavfile.read(tmp_path / "s.wav")
    assert (rate, sound.dtype) == (8000, np.int16)
    np.testing.assert_array_equal(sound, SOUND.decode(x).reshape(-1))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_png_sheet_shows_every_image_in_reading_order(tmp_path, n, channels):
    codec = Images((8, 5, channels))
    user = np.random.default_rng(n).integers(0, 256, (n, 8, 5, channels), dtype=np.uint8)
    codec.write(tmp_path / "s.PNG", codec.encode(user))
    sheet = np.asarray(Image.open(tmp_path / "s.PNG"))
    sheet = sheet.reshape(*sheet.shape[:2], channels)
    across = int(np.ceil(np.sqrt(n)))
    for i in range(n):  # 8 pixels grow to 48, by 6; gaps of 2
        y, x = 2 + i // across * 50, 2 + i % across * 32
        tile = sheet[y:y + 48, x:x + 30]
        np.testing.assert_array_equal(tile, np.kron(user[i], np.ones((6, 6, 1), np.uint8)))
    assert sheet.shape[:2] == (2 + -(-n // across) * 50, 2 + across * 32)
    assert (sheet[0, :, 0] == 128).all()


def test_large_images_do_not_grow():
    assert contact_sheet(np.zeros((4, 64, 64, 3), np.uint8)).shape == (134, 134, 3)


@pytest.mark.parametrize(("kind", "suffix"), [
    (kind, suffix) for kind in ALL for suffix in (".png", ".csv", ".wav", ".npy", ".jpg", "")
    if suffix not in ALL[kind].written()])
def test_wrong_suffix_names_the_right_ones(tmp_path, kind, suffix):
    codec = ALL[kind]
    message = error_of(codec.write, tmp_path / f"s{suffix}", np.zeros((1, *codec.shape)))
    assert " or ".join(ALL[kind].written()) in message
    assert not list(tmp_path.iterdir())


def test_png_of_five_channels_is_refused(tmp_path):
    codec = Images((4, 4, 5))
    assert "1 to 4 channels" in error_of(codec.write, tmp_path / "s.png", np.zeros((1, 4, 4, 5)))


@pytest.mark.parametrize("kind", ALL)
def test_no_samples_is_refused(tmp_path, kind):
    assert "no samples" in error_of(ALL[kind].write, tmp_path / "s.npy", np.zeros((0, *ALL[kind].shape)))


def test_missing_folder_and_folder_in_the_way(tmp_path):
    x = np.zeros((1, 2))
    assert "cannot be written" in error_of(POINTS.write, tmp_path / "none" / "s.csv", x)
    (tmp_path / "taken.csv").mkdir()
    assert "cannot be written" in error_of(POINTS.write, tmp_path / "taken.csv", x)
    (tmp_path / "file").write_text("")
    assert "cannot be written" in error_of(POINTS.write, tmp_path / "file" / "s.csv", x)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken.csv"]


@pytest.mark.parametrize("stage", ["fsync", "replace"])
def test_a_full_disk_keeps_the_earlier_file(tmp_path, monkeypatch, stage):
    path = tmp_path / "s.csv"
    path.write_text("earlier")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, stage, full)
    assert "No space left on device" in error_of(POINTS.write, path, np.zeros((1, 2)))
    assert [p.name for p in tmp_path.iterdir()] == ["s.csv"]
    assert path.read_text() == "earlier"


def test_errors_are_one_line_whatever_they_quote():
    assert str(DataError("a\nb:\r\n  c")) == "a b: c"

"""Pixels that do not fill their 8 bits, or pass them, are scaled by what is there, with a note, and come back as they were."""

import io

import numpy as np
import pytest
from data_files import npy, refusal_of, save, shown
from PIL import Image

from tinygan.data import load
from tinygan.data.kinds import Images, codec_from_json

RNG = np.random.default_rng(9)


@pytest.mark.parametrize(("white", "dtype"), [
    (1, np.uint8), (16, np.int64), (20, np.uint16), (127, np.uint8), (256, np.int32), (4095, np.uint16), (65535, np.uint16),
    (16, np.float64), (255, np.float32), (4095, np.float32)])
def test_whole_numbers_by_their_largest(tmp_path, white, dtype):
    pixels = RNG.integers(0, white + 1, (6, 5, 5))
    pixels[0, 0, 0], pixels[1, 1, 1] = 0, white
    data = load(npy(tmp_path, pixels.astype(dtype)))
    assert (data.x.min(), data.x.max()) == (-1, 1) and data.codec == Images((5, 5, 1), white=white)
    back = shown(data)
    np.testing.assert_array_equal(back[..., 0], pixels)
    assert back.dtype == (np.uint8 if white <= 255 else np.uint16)
    note = f"pixels are whole numbers from 0 to {white:g}; {white:,} is taken for white"
    assert data.notes == (() if white == 255 else (note,))
    assert codec_from_json(data.codec.to_json()) == data.codec


@pytest.mark.parametrize("high", [128, 200, 255])
def test_eight_bits_that_are_in_use_stay(tmp_path, high):
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[1, 1, 1] = high
    data = load(npy(tmp_path, pixels))
    assert data.codec.white == 255 and data.notes == ()
    assert data.x[1, 1, 1, 0] == np.float32(high) / np.float32(127.5) - 1


def test_black_alone_stays_black(tmp_path):
    data = load(npy(tmp_path, np.zeros((2, 3, 3), np.uint8)))
    assert (data.x == -1).all() and data.codec == Images((3, 3, 1)) and data.notes == ()


def test_a_codec_of_before_has_a_white_of_255():
    record = Images((3, 3, 1)).to_json()
    assert "white" not in record and codec_from_json(record).white == 255
    assert "white" in refusal_of(codec_from_json, {**record, "white": 0})
    assert "white" in refusal_of(codec_from_json, {**record, "white": 65536})
    assert "white" in refusal_of(codec_from_json, {**record, "white": 1.5})


@pytest.mark.parametrize("white", [1, 16, 4095])
def test_pictures_that_are_written_have_eight_bits(white):
    codec = Images((48, 48, 1), white=white)
    user = np.zeros((1, 48, 48, 1), np.uint16)
    user[0, :24] = white
    sheet = np.asarray(Image.open(io.BytesIO(codec.file_bytes(".png", user))))
    assert (sheet[2:26, 2:50] == 255).all() and (sheet[26:50, 2:50] == 0).all()


# ---- pictures of other depths ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("high", "dtype", "white"), [
    (1, np.uint16, 1), (255, np.int32, 255), (4000, np.uint16, 4095), (40_000, np.uint16, 65535), (65535, np.uint16, 65535),
    (2**24 - 1, np.int32, 2**24 - 1)])
def test_deep_greys_by_the_bits_that_are_in_use(tmp_path, high, dtype, white):
    deep = RNG.integers(0, high + 1, (2, 6, 6))
    deep[1, 1, 1] = high
    for i in range(2):
        save(deep[i].astype(dtype), tmp_path / f"{i}.tif")
    data = load(tmp_path)
    expected = np.rint(deep / (white / 255))
    np.testing.assert_array_equal(shown(data)[..., 0], expected)
    told = f"greys of 16 or 32 bits reach no higher than {white:,}, which is taken for white"
    assert data.notes == (() if white == 65535 else (told,))


def test_masks_in_pictures_of_eight_bits(tmp_path):
    masks = RNG.integers(0, 2, (3, 6, 6), dtype=np.uint8)
    for i in range(3):
        save(masks[i], tmp_path / f"{i}.png")
    data = load(tmp_path)
    np.testing.assert_array_equal(data.x[..., 0], masks * 2.0 - 1)
    assert data.notes == ("pixels are whole numbers from 0 to 1; 1 is taken for white",)


# ---- floats ----------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("low", "high", "least"), [(0, 1 + 1e-7, 0), (-1e-9, 1, 0), (-1, 1.0005, -1), (-1.0005, 0.9, -1)])
def test_floats_that_rounding_brought_out_of_range(tmp_path, low, high, least):
    pixels = np.full((2, 2, 2), 0.25)
    pixels[0, 0, 0], pixels[1, 1, 1] = low, high
    data = load(npy(tmp_path, pixels))
    kept = np.clip(pixels, least, 1).astype(np.float32)
    np.testing.assert_array_equal(data.x[..., 0], kept * 2 - 1 if least == 0 else kept)
    assert data.notes == (f"pixels from {low:.9g} to {high:.9g} were clipped to [{least}, 1]",)


def test_a_nan_is_named_by_its_place(tmp_path):
    pixels = np.zeros((2, 3, 3))
    pixels[1, 2, 0] = np.nan
    message = refusal_of(load, npy(tmp_path, pixels))
    assert "pixel [1, 2, 0, 0] is nan" in message


# ---- other data in the units of a run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("white", "other"), [(16, 15), (255, 100), (4000, 4095), (4095, 300), (255, 255)])
def test_other_whole_numbers_are_seen_at_the_scale_of_the_run(tmp_path, white, other):
    theirs = RNG.integers(0, other + 1, (4, 3, 3))
    theirs[0, 0, 0] = other
    seen = load(npy(tmp_path, theirs)).in_units_of(Images((3, 3, 1), white=white)).x[..., 0]
    np.testing.assert_allclose(seen, theirs / (white / 2) - 1, atol=1e-6)


SCALES = {"bools": (0, 1, bool), "masks": (0, 1, np.uint8), "unit": (0, 1, float), "signed": (-1, 1, float),
          "sixteen": (0, 16, int), "bytes": (0, 255, np.uint8), "whole floats": (0, 255, float),
          "twelve bits": (0, 4095, int), "dark": (0, 99, int)}


def of_scale(tmp_path, name):
    """Return pixels (n, 3, 3) of a row of SCALES as they are stored and as they are read."""
    least, most, dtype = SCALES[name]
    whole = dtype is not float or most > 1
    stored = RNG.integers(least, most + 1, (40, 3, 3)) if whole else RNG.uniform(least, most, (40, 3, 3))
    stored[0, 0, 0], stored[1, 1, 1] = least, most
    return stored.astype(dtype), load(npy(tmp_path, stored.astype(dtype), f"{name}.npy"))


@pytest.mark.parametrize("run", SCALES)
@pytest.mark.parametrize("other", SCALES)
def test_other_pixels_are_scaled_as_those_of_the_run_or_refused(tmp_path, run, other):
    """What a number of the file is for the networks is decided by the run's data alone. Numbers in other units are refused."""
    own, (stored, theirs) = of_scale(tmp_path, run)[1], of_scale(tmp_path, other)
    black, white, _ = SCALES[run]
    units = stored.astype(float)
    far = units.max() > 1.125 * white - 0.125 * black or units.min() < black - 0.125 * (white - black)
    if far or units.max() <= 1 < white:
        assert "give data in the same units" in refusal_of(theirs.in_units_of, codec_from_json(own.codec.to_json()))
        return
    seen = theirs.in_units_of(codec_from_json(own.codec.to_json()))
    np.testing.assert_allclose(seen.x[..., 0], (units - black) / ((white - black) / 2) - 1, atol=1e-6)
    assert seen.codec == own.codec and seen.x.dtype == np.float32
    brightness = "dark" if seen.x.max() <= 0 else "bright" if seen.x.min() >= 0 else None
    assert (f"so they are {brightness}" in seen.notes[-1]) if brightness else not any("so they are" in note for note in seen.notes)


def test_a_run_of_an_earlier_version_knows_in_what_numbers_its_samples_come_back(tmp_path):
    """Its codec says nothing of the numbers in its file: 0/1 masks beside 0 and 255 are refused either way."""
    theirs = load(npy(tmp_path, RNG.random((40, 3, 3)) > 0.5))
    assert "in the run's data black is 0 and white 1;" in refusal_of(theirs.in_units_of, Images((3, 3, 1), white=1))
    masks = load(npy(tmp_path, (RNG.random((40, 3, 3)) > 0.5).astype(np.uint8)))
    assert "in the run's data black is 0 and white 255;" in refusal_of(masks.in_units_of, Images((3, 3, 1)))
    seen = masks.in_units_of(Images((3, 3, 1), white=1))
    np.testing.assert_array_equal(seen.x, masks.x)


@pytest.mark.parametrize(("own", "other"), [(4095, 2047), (2047, 2100), (65535, 40_000), (4095, 65535), (4095, 255), (255, 255)])
def test_deep_pictures_are_scaled_as_those_of_the_run(tmp_path, own, other):
    """Greys of 16 bits that use fewer bits than those of the run are not stretched to the same white."""
    for name, high in (("own", own), ("other", other)):
        (tmp_path / name).mkdir()
        deep = RNG.integers(0, high + 1, (2, 6, 6)).astype(np.uint16)
        deep[0, 0, 0], deep[1, 1, 1] = 0, high
        for i in range(2):
            save(deep[i], tmp_path / name / f"{i}.tif")
    run = load(tmp_path / "own")
    white = (1 << own.bit_length()) - 1
    assert run.codec.stored == (0, white)
    if other > 1.2 * white:
        refusal_of(load(tmp_path / "other").in_units_of, run.codec)
    else:
        seen = load(tmp_path / "other").in_units_of(run.codec).x[..., 0]
        np.testing.assert_allclose(seen, deep / (white / 2) - 1, atol=2 / 255 + 1e-6)


def test_pictures_of_several_depths_have_no_one_scale(tmp_path):
    save(RNG.integers(0, 256, (6, 6), dtype=np.uint8), tmp_path / "0.png")
    save(RNG.integers(0, 4096, (6, 6)).astype(np.uint16), tmp_path / "1.tif")
    mixed = load(tmp_path)
    assert mixed.codec.stored == ()
    for codec in (mixed.codec, Images((6, 6, 1), stored=(0.0, 255.0))):
        assert "of several depths" in refusal_of(mixed.in_units_of, codec)
    plain = load(npy(tmp_path, RNG.integers(0, 256, (4, 6, 6), dtype=np.uint8)))
    assert "the run are of several depths" in refusal_of(plain.in_units_of, codec_from_json(mixed.codec.to_json()))


@pytest.mark.parametrize("stored", [[0], [1.0, 0.0], [0, "1"], "white", [0, float("nan")], [0, 1, 2], [True, 2]], ids=str)
def test_a_scale_of_a_damaged_record_is_refused(stored):
    assert "stored is" in refusal_of(codec_from_json, {**Images((3, 3, 1)).to_json(), "stored": stored})

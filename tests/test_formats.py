"""Files of every format, written by hand: what is read from them, and one line for each way they can be wrong."""

import gzip
import io
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_line import error_of
from PIL import Image
from scipy.io import wavfile

from tinygan.codec import Codec, DataError
from tinygan.data import load

RNG = np.random.default_rng(7)
PIXELS = RNG.integers(0, 256, (3, 4, 5), dtype=np.uint8)


def shown(data) -> np.ndarray:
    """The whole set in user units, after checking what every set promises."""
    assert data.x.dtype == np.float32 and data.x.flags.c_contiguous and data.x.shape[1:] == data.codec.shape
    assert np.isfinite(data.x).all() and (not data.codec.bounded or np.abs(data.x).max() <= 1)
    return data.codec.decode(data.x)


# ---- idx ------------------------------------------------------------------------------------------------------------

def idx(pixels=PIXELS, magic=0x803) -> bytes:
    return struct.pack(">4I", magic, *pixels.shape) + pixels.tobytes()


@pytest.mark.parametrize("name", ["a.idx", "train-images-idx3-ubyte", "x.idx3-ubyte", "a.idx.gz", "a.gz", "b.idx"])
def test_idx_pixels(tmp_path, name):
    # Gzip is told by its first bytes, whatever the name: b.idx is gzipped without saying so.
    path = tmp_path / name
    path.write_bytes(gzip.compress(idx()) if name.endswith("gz") or name == "b.idx" else idx())
    data = load(path)
    np.testing.assert_array_equal(shown(data)[..., 0], PIXELS)
    assert data.name == name and load(str(path), size=8).codec.shape == (8, 8, 1)


@pytest.mark.parametrize(("content", "says"), [
    (b"", "too short"), (idx()[:3], "too short"), (idx()[:15], "too short"), (idx()[:-1], "promises"),
    (idx() + b"x", "promises"), (idx(magic=0x802), "expected 0x803"), (idx(magic=0xD03), "expected 0x803"),
    (struct.pack(">2I", 0x801, 3) + b"123", "labels"), (struct.pack(">4I", 0x803, *[2**32 - 1] * 3), "promises"),
    (idx(PIXELS[:1]), "at least 2"), (idx(PIXELS[:0]), "at least 2"), (idx(PIXELS[:, :0]), "at least 1 pixel"),
    (gzip.compress(idx())[:-9], "gzip"), (b"\x1f\x8b\x08rubbish", "gzip"), (gzip.compress(idx()[:-1]), "promises"),
])
def test_bad_idx(tmp_path, content, says):
    (tmp_path / "a.idx").write_bytes(content)
    assert says in error_of(load, tmp_path / "a.idx")


# ---- a folder -------------------------------------------------------------------------------------------------------

def save(array, path, **options):
    Image.fromarray(array).save(path, **options)


def test_folder_of_equal_squares_keeps_size_and_grey(tmp_path):
    squares = RNG.integers(0, 256, (3, 9, 9), dtype=np.uint8)
    for name, square in zip("cab", squares, strict=True):
        save(square, tmp_path / f"{name}.png")
    data = load(tmp_path)
    np.testing.assert_array_equal(shown(data)[..., 0], squares[[1, 2, 0]])  # sorted by name
    assert data.notes == () and data.name == tmp_path.name


def test_folder_of_mixed_modes_becomes_rgb(tmp_path):
    grey, rgb = RNG.integers(0, 256, (6, 6), dtype=np.uint8), RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    save(grey, tmp_path / "a.png")
    (tmp_path / "deeper").mkdir()
    save(rgb, tmp_path / "deeper" / "b.bmp")
    pictures = shown(load(tmp_path))
    np.testing.assert_array_equal(pictures, np.stack([grey[..., None].repeat(3, axis=2), rgb]))


@pytest.mark.parametrize(("mode", "channels", "pixel", "expected"), [
    ("1", 1, 1, 255), ("L", 1, 77, 77), ("LA", 1, (10, 0), 255), ("LA", 1, (10, 255), 10), ("P", 3, 0, None),
    ("RGBA", 3, (9, 9, 9, 0), 255), ("RGBA", 3, (9, 9, 9, 255), 9), ("RGB", 3, (5, 5, 5), 5),
    ("I;16", 1, 257 * 200, 200),
])
def test_modes(tmp_path, mode, channels, pixel, expected):
    for name in "ab":
        Image.new(mode, (4, 4), pixel).save(tmp_path / f"{name}.png")
    pictures = shown(load(tmp_path))
    assert pictures.shape == (2, 4, 4, channels)
    assert expected is None or (pictures == expected).all()


def test_cmyk_and_palette_with_transparency(tmp_path):
    Image.new("CMYK", (4, 4), (0, 0, 0, 255)).save(tmp_path / "a.jpg")
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([200, 100, 50] * 256)
    palette.save(tmp_path / "b.png", transparency=bytes([0] * 256))
    pictures = shown(load(tmp_path))
    assert pictures[0].max() < 10 and (pictures[1] == 255).all()


@pytest.mark.parametrize(("size", "side"), [(None, 64), (12, 12)])
def test_other_shapes_are_cropped_to_the_middle_and_resized(tmp_path, size, side):
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 200  # the central square
    save(wide, tmp_path / "a.png")
    save(wide.T.copy(), tmp_path / "b.png")
    pictures = shown(load(tmp_path, size=size))
    assert pictures.shape == (2, side, side, 1)
    assert (pictures == 200).all()


def test_exif_rotation_is_applied(tmp_path):
    half = np.zeros((8, 8), np.uint8)
    half[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise: the white top comes to stand on the right
    for name in "ab":
        save(half, tmp_path / f"{name}.png", exif=exif)
    assert (shown(load(tmp_path))[:, :, 4:] == 255).all()


def test_what_is_no_picture_is_skipped_and_told(tmp_path):
    for name in "abc":
        save(PIXELS[0], tmp_path / f"{name}.png")
    whole = (tmp_path / "c.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[:len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden").write_text("")
    data = load(tmp_path)
    assert len(data.x) == 3
    assert data.notes[0].startswith("1 file(s) that are not pictures")
    assert data.notes[1].startswith("2 unreadable picture(s)") and "broken.png" in data.notes[1]


def test_bad_folders(tmp_path):
    assert "no pictures" in error_of(load, tmp_path)
    (tmp_path / "a.txt").write_text("x")
    assert "no pictures" in error_of(load, tmp_path)
    (tmp_path / "a.png").write_text("x")
    assert "none of its 1 pictures" in error_of(load, tmp_path)
    save(PIXELS[0], tmp_path / "b.png")
    message = error_of(load, tmp_path)
    assert "holds 1 image" in message and "1 unreadable" in message


def test_one_picture_is_not_a_set(tmp_path):
    save(PIXELS[0], tmp_path / "b.png")
    assert "give the folder" in error_of(load, tmp_path / "b.png")


def test_float_pictures_are_unreadable(tmp_path):
    for name in "ab":
        save(np.ones((4, 4), np.float32), tmp_path / f"{name}.tiff")
    assert "float" in error_of(load, tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_folder_without_permission(tmp_path):
    (tmp_path / "in").mkdir(mode=0)
    try:
        assert "Permission denied" in error_of(load, tmp_path / "in")
    finally:
        (tmp_path / "in").chmod(0o700)


# ---- NumPy ----------------------------------------------------------------------------------------------------------

def npy(tmp_path, array, name="a.npy"):
    np.save(tmp_path / name, array)
    return tmp_path / name


def test_uint8_images(tmp_path):
    np.testing.assert_array_equal(shown(load(npy(tmp_path, PIXELS)))[..., 0], PIXELS)
    colour = RNG.integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(shown(load(npy(tmp_path, colour))), colour)
    np.testing.assert_array_equal(shown(load(npy(tmp_path, np.asfortranarray(colour.astype(np.int64))))), colour)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8"])
def test_float_images_by_their_range(tmp_path, dtype):
    unit = np.linspace(0, 1, 24).reshape(2, 3, 4).astype(dtype)
    np.testing.assert_allclose(load(npy(tmp_path, unit)).x[..., 0], unit.astype(float) * 2 - 1, atol=1e-6)
    signed = (np.linspace(-1, 1, 24).reshape(2, 3, 4)).astype(dtype)
    np.testing.assert_array_equal(load(npy(tmp_path, signed)).x[..., 0], signed.astype(np.float32))


def test_arrays_are_cropped_to_the_middle_and_resized(tmp_path):
    wide = np.zeros((2, 10, 30, 3), np.uint8)
    wide[:, :, 10:20] = [10, 100, 200]
    np.testing.assert_array_equal(shown(load(npy(tmp_path, wide), size=7)), np.tile([10, 100, 200], (2, 7, 7, 1)))
    assert load(npy(tmp_path, wide)).codec.shape == (10, 30, 3)  # without --size they stay as they are


def test_boolean_images(tmp_path):
    np.testing.assert_array_equal(load(npy(tmp_path, PIXELS > 99)).x[..., 0], np.where(PIXELS > 99, 1, -1))


@pytest.mark.parametrize(("low", "high", "dtype"), [
    (0, 255, float), (-1.01, 1, float), (0, np.nan, float), (0, np.inf, float), (0, 256, int), (-1, 5, int)])
def test_images_of_other_ranges_are_refused(tmp_path, low, high, dtype):
    images = np.zeros((2, 2, 2), dtype)
    images[0, 0, 0], images[1, 1, 1] = low, high
    assert "images need" in error_of(load, npy(tmp_path, images))


@pytest.mark.parametrize("array", [
    np.array([{}, 1]), np.array(["a", "b"]), np.zeros(3, complex), np.zeros((2, 2), [("a", int)]), np.zeros(5),
    np.float64(3), np.zeros((2, 3, 8, 8)), np.zeros((2, 8, 8, 5)), np.zeros((2, 2, 2, 2, 2)), np.zeros((1, 4)),
    np.zeros((0, 4)), np.zeros((4, 0)), np.zeros((1, 8, 8)), np.zeros((0, 8, 8)), np.zeros((2, 0, 8)),
    np.array([["a", "b"]]), np.zeros((3, 2), "M8[s]"), np.array([[1.0, np.nan], [2, 3]]),
    np.array([[1e308], [-1e308], [1e308]]),
], ids=lambda a: f"{a.dtype}{a.shape}")
def test_arrays_that_cannot_be_used(tmp_path, array):
    assert "a.npy: " in error_of(load, npy(tmp_path, array))


def test_bad_cells_of_an_array_are_told_by_row_and_column(tmp_path):
    rows = np.ones((9, 4))
    rows[6, 2] = np.inf
    assert "row 7, column 3 (x2)" in error_of(load, npy(tmp_path, rows))


def test_channels_first_is_recognised(tmp_path):
    assert "transpose(0, 2, 3, 1)" in error_of(load, npy(tmp_path, np.zeros((2, 3, 8, 8))))


def test_nothing_is_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    bombs = np.array([Bomb(), Bomb()], dtype=object)
    np.save(tmp_path / "a.npy", bombs, allow_pickle=True)
    np.savez(tmp_path / "a.npz", bombs)
    error_of(load, tmp_path / "a.npy")
    error_of(load, tmp_path / "a.npz")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("names", [["only"], ["x", "y"], ["y", "data"], ["labels", "images"]])
def test_npz_by_name(tmp_path, names):
    good = next((n for n in names if n in ("x", "data", "images")), names[0])
    np.savez(tmp_path / "a.npz", **{n: PIXELS if n == good else np.zeros(3) for n in names})
    np.testing.assert_array_equal(shown(load(tmp_path / "a.npz"))[..., 0], PIXELS)


def test_npz_that_leaves_the_choice_open(tmp_path):
    np.savez(tmp_path / "a.npz", train=PIXELS, test=PIXELS)
    message = error_of(load, tmp_path / "a.npz")
    assert "train, test" in message
    np.savez(tmp_path / "a.npz")
    assert "none" in error_of(load, tmp_path / "a.npz")


# ---- tables ---------------------------------------------------------------------------------------------------------

def table(tmp_path, text, **options):
    path = tmp_path / "t.csv"
    path.write_text(text, **options)
    return path


@pytest.mark.parametrize("text", [
    "a,b\n1,2\n3,5\n8,13\n", "a;b\n1;2\n3;5\n8;13", "a\tb\r\n1\t2\r\n3\t5\r\n8\t13\r\n",
    '\ufeff"a","b"\n1,2\n\n3, 5\n8,"13"\n,\n'])
def test_csv_with_a_header(tmp_path, text):
    data = load(table(tmp_path, text, encoding="utf-8"))
    assert data.codec.columns == ("a", "b") and data.codec.kind == "table" and not data.codec.bounded
    np.testing.assert_allclose(shown(data), [[1, 2], [3, 5], [8, 13]], rtol=1e-6)
    np.testing.assert_allclose(data.x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(data.x.std(axis=0), 1, atol=1e-6)


def test_csv_without_a_header(tmp_path):
    data = load(table(tmp_path, "1,2e3\n-3.5,5\n"))
    assert data.codec.columns == ("x0", "x1")
    np.testing.assert_allclose(shown(data), [[1, 2000], [-3.5, 5]], rtol=1e-6)


def test_constant_columns_come_back_exactly(tmp_path):
    rows = np.tile([0.1, 3.0, -1e300, 5e-324], (7, 1))
    rows[:, 1] += np.arange(7)
    rows[3, 3] = 0  # too small a spread to divide by
    data = load(npy(tmp_path, rows))
    assert data.codec.std[0] == data.codec.std[2] == data.codec.std[3] == 1
    assert (data.x[:, [0, 2]] == 0).all()
    np.testing.assert_array_equal(shown(data)[:, [0, 2]], rows[:, [0, 2]])


def test_tiny_and_huge_columns_are_standardised_all_the_same(tmp_path):
    rows = np.array([[1.0, 3.0], [2.0, 5.0], [4.0, 4.0]]) * [1e-290, 1e290]
    data = load(npy(tmp_path, rows))
    np.testing.assert_allclose(data.x.std(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(shown(data), rows, rtol=1e-6)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*[st.floats(-1e9, 1e9, allow_subnormal=False)] * 2), min_size=2, max_size=12))
def test_what_a_codec_writes_loads_again(tmp_path, rows):
    codec = Codec("table", (2,), bounded=False, mean=(0.0, 1.0), std=(1.0, 3.0), columns=("a", 'b "c", d'))
    codec.write(tmp_path / "w.csv", np.array(rows))
    data = load(tmp_path / "w.csv")
    assert data.codec.columns == codec.columns
    user = codec.decode(np.array(rows))
    spread = np.abs(user - user.mean(axis=0)).max(axis=0)
    assert (np.abs(shown(data) - user) <= 2.0**-23 * spread + 1e-13 * np.abs(user).max(axis=0)).all()


@pytest.mark.parametrize(("text", "says"), [
    ("", "empty table"), ("\n\n , \n", "empty table"), ("a,b\n", "0 row(s)"), ("a,b\n1,2\n", "1 row(s)"),
    ("1,2", "1 row(s)"),
    ("a,b\n1,2\n3,x\n", "line 3, column 2 (b): 'x'"), ("a,b\n\n1,nan\n3,4\n", "line 3, column 2 (b): 'nan'"),
    ("a,b\n1,2\n3,-inf\n", "line 3, column 2 (b): '-inf'"), ("a,b\n1,2\n,4\n", "line 3, column 1 (a): ''"),
    ("a,b\n1,2\n1_0,4\n", "'1_0'"), ("a,b\n1,2\n3\n", "line 3 has 1 cells"),
    ("a,b\n1,2\n3,4,5\n", "line 3 has 3 cells"), ("1,n/a\n1,2\n3,4\n", "line 1, column 2 (x1): 'n/a'"),
    ("name,age\nann,3\nbob,4\n", "line 2, column 1 (name): 'ann'"),
    ("a,b\n1,2\n3,1e999\n", "'1e999'"), ("a\n1e308\n-1e308\n1e308", "pass 1e300"), ('a,b\n1,"2\n3,4\n', "line 3"),
])
def test_bad_csv_is_told_by_line_and_column(tmp_path, text, says):
    assert says in error_of(load, table(tmp_path, text))


NO_TEXT = [b"a,b\n1,\xff\n3,4\n", b"a,b\n1,2\x00\n3,4\n", b"\x89PNG\r\n\x1a\n\x00\x00", b"a\n" + b"1" * 200_000]


@pytest.mark.parametrize("content", NO_TEXT, ids=lambda c: repr(c[:8]))
def test_csv_that_is_no_text(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    error_of(load, tmp_path / "t.csv")


# ---- sound ----------------------------------------------------------------------------------------------------------

WAVE = np.sin(np.arange(4000) * 0.05) * 0.5


def wav24(path, values, rate=8000):
    """24-bit PCM by hand: scipy writes none."""
    data = b"".join(int(v).to_bytes(3, "little", signed=True) for v in values)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 3, 3, 24,
                       b"data", len(data))
    path.write_bytes(head + data)


@pytest.mark.parametrize(("scale", "dtype", "step"), [
    (2**15, np.int16, 2**-15), (2**31, np.int32, 2**-24), (1, np.float32, 2**-24), (1, np.float64, 2**-24)])
def test_sound_of_every_depth(tmp_path, scale, dtype, step):
    wavfile.write(tmp_path / "a.wav", 8000, (WAVE * scale).astype(dtype))
    data = load(tmp_path / "a.wav", window=1000)
    assert data.codec == Codec("sound", (1000,), bounded=True, rate=8000)
    assert data.x.shape == (7, 1000)
    for i in range(7):
        np.testing.assert_allclose(data.x[i], WAVE[i * 500:i * 500 + 1000], atol=step)
    assert shown(data).dtype == np.int16 and data.notes == ()


def test_eight_bit_sound_is_unsigned(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, np.rint(WAVE * 128 + 128).astype(np.uint8))
    np.testing.assert_allclose(load(tmp_path / "a.wav").x[0], WAVE[:1024], atol=0.5 / 128 + 1e-7)


def test_24_bit_sound(tmp_path):
    wav24(tmp_path / "a.wav", np.rint(WAVE * 2**23))
    np.testing.assert_allclose(load(tmp_path / "a.wav").x[0], WAVE[:1024], atol=2.0**-23)


def test_channels_are_averaged(tmp_path):
    left, right = (WAVE * 2**15).astype(np.int16), np.full(4000, 4096, np.int16)
    wavfile.write(tmp_path / "a.wav", 8000, np.stack([left, right], axis=1))
    np.testing.assert_allclose(load(tmp_path / "a.wav").x[0], (left[:1024] / 2**15 + 0.125) / 2, atol=1e-7)


def test_int16_sound_survives_load_write_load(tmp_path):
    sound = RNG.integers(-32768, 32768, 2048).astype(np.int16)
    wavfile.write(tmp_path / "a.wav", 44100, sound)
    data = load(tmp_path / "a.wav")
    data.codec.write(tmp_path / "b.wav", data.x[::2])  # windows overlap by half: every other one is the sound again
    rate, again = wavfile.read(tmp_path / "b.wav")
    assert rate == 44100
    np.testing.assert_array_equal(again, sound)


def test_loud_floats_are_scaled_and_told(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, (WAVE * 6).astype(np.float32))
    data = load(tmp_path / "a.wav")
    assert "scaled" in data.notes[0]
    np.testing.assert_allclose(data.x[0], WAVE[:1024] * 6 / np.abs(WAVE * 6).max(), atol=1e-6)


def test_silence_is_fine(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, np.zeros(1536, np.int16))
    assert (load(tmp_path / "a.wav").x == 0).all() and load(tmp_path / "a.wav").x.shape == (2, 1024)


@pytest.mark.parametrize("length", [0, 1, 1024, 1535])
def test_short_sound_is_refused(tmp_path, length):
    wavfile.write(tmp_path / "a.wav", 8000, np.ones(length, np.int16))
    message = error_of(load, tmp_path / "a.wav")
    assert "too short" in message and "1536" in message


def test_sound_cut_short_is_refused_even_if_enough_is_left(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, (WAVE * 2**15).astype(np.int16))
    raw = (tmp_path / "a.wav").read_bytes()
    for length in (len(raw) - 1, len(raw) - 2, len(raw) - 1000, len(raw) - 1001):
        (tmp_path / "a.wav").write_bytes(raw[:length])
        assert "WAV" in error_of(load, tmp_path / "a.wav")


def test_sound_with_nan_is_refused(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, np.full(4000, np.nan, np.float32))
    assert "NaN" in error_of(load, tmp_path / "a.wav")


def test_unknown_chunks_are_passed_over(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, (WAVE * 2**15).astype(np.int16))
    raw = (tmp_path / "a.wav").read_bytes()
    extra = raw[12:] + b"odd " + struct.pack("<I", 4) + b"1234"
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(extra) + 4) + b"WAVE" + extra)
    assert load(tmp_path / "a.wav").x.shape == (6, 1024)


# ---- damage ---------------------------------------------------------------------------------------------------------

def buffer_of(write) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


WHOLE = {
    "a.idx": idx(),
    "a.gz": gzip.compress(idx()),
    "a.npy": buffer_of(lambda f: np.save(f, PIXELS)),
    "a.npz": buffer_of(lambda f: np.savez_compressed(f, PIXELS)),
    "a.wav": buffer_of(lambda f: wavfile.write(f, 8000, (WAVE[:2000] * 2**15).astype(np.int16))),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_load(tmp_path, name):
    (tmp_path / name).write_bytes(WHOLE[name])
    assert len(load(tmp_path / name).x) >= 2


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_truncated_files_never_load(tmp_path, name, data):
    length = data.draw(st.one_of(st.integers(0, len(WHOLE[name]) - 1), st.integers(0, 64)))
    (tmp_path / name).write_bytes(WHOLE[name][:length])
    error_of(load, tmp_path / name)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_mutated_files_load_or_give_one_line(tmp_path, name, data):
    raw = bytearray(WHOLE[name])
    ends = st.one_of(st.integers(0, min(len(raw), 130) - 1), st.integers(0, len(raw) - 1))
    for at, value in data.draw(st.lists(st.tuples(ends, st.integers(0, 255)), min_size=1, max_size=4)):
        raw[at] = value
    (tmp_path / name).write_bytes(raw)
    try:
        shown(load(tmp_path / name))
    except DataError as error:
        assert len(str(error).splitlines()) == 1


COLOURS = Image.fromarray(RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8))
PICTURES = {name: buffer_of(lambda f, n=name: COLOURS.save(f, n)) for name in ("png", "jpeg", "gif", "bmp", "tiff")}


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(PICTURES)), st.data())
def test_mutated_pictures_are_read_or_left_out(tmp_path, suffix, data):
    raw = bytearray(PICTURES[suffix])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=4)):
        raw[at] = value
    for i in range(2):
        save(PIXELS[0], tmp_path / f"whole{i}.png")
    (tmp_path / f"a.{suffix}").write_bytes(raw[:data.draw(st.integers(0, len(raw)))])
    loaded = load(tmp_path, size=8)
    assert shown(loaded).shape[:3] == (3 - len(loaded.notes), 8, 8)
    (tmp_path / f"a.{suffix}").unlink()


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="1203456789.,;-+eE\t\n\r\"ax \0_", max_size=40))
def test_any_text_as_csv_loads_or_gives_one_line(tmp_path, text):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8", newline="")
    try:
        shown(load(tmp_path / "t.csv"))
    except DataError as error:
        assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.csv.zip"])
def test_unknown_formats_list_the_known(tmp_path, name):
    (tmp_path / name).write_text("1,2\n3,4\n")
    assert ".npz, .csv, .wav" in error_of(load, tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    assert "neither a file nor a folder" in error_of(load, tmp_path / "a.csv")

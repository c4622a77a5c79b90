"""Arrays, tables and sound in files written by hand: what is read, and one line for each way they can be wrong."""

import os
import struct

import numpy as np
import pytest
from data_files import PIXELS, error_of, npy, shown
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from tinygan.data import load
from tinygan.data.kinds import Sound, Table

RNG = np.random.default_rng(7)


# ---- NumPy ----------------------------------------------------------------------------------------------------------

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
    (0, 254.5, float), (-1.01, 1, float), (0, 1.01, float), (0, np.nan, float), (0, np.inf, float), (0, 65536, int), (-1, 5, int),
    (0, 65536, float)])
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
    codec = Table((2,), mean=(0.0, 1.0), std=(1.0, 3.0), columns=("a", 'b "c", d'))
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
    ("name,age\n4,3\nbob,4\n", "line 3, column 1 (name): 'bob'"),
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
    """Write a 24-bit PCM file by hand, as scipy writes none."""
    data = b"".join(int(v).to_bytes(3, "little", signed=True) for v in values)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 3, 3, 24,
                       b"data", len(data))
    path.write_bytes(head + data)


@pytest.mark.parametrize(("scale", "dtype", "step"), [
    (2**15, np.int16, 2**-15), (2**31, np.int32, 2**-24), (1, np.float32, 2**-24), (1, np.float64, 2**-24)])
def test_sound_of_every_depth(tmp_path, scale, dtype, step):
    wavfile.write(tmp_path / "a.wav", 8000, (WAVE * scale).astype(dtype))
    data = load(tmp_path / "a.wav", window=1000)
    assert data.codec == Sound((1000,), rate=8000)
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

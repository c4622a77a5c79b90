"""WAV headers as programs write them: every depth, streamed sizes, big-endian, RF64; and reasons that are true."""

import struct

import numpy as np
import pytest
from data_files import refusal_of, shown

from tinygan.data import load
from tinygan.data.kinds import Sound

SOUND = np.rint(np.sin(np.arange(3000) * 0.05) * 0.5 * 2**15).astype(np.int64)


def wav(body, *, tag=1, channels=1, bits=16, rate=8000, data=None, riff=None, kind=b"RIFF", order="<", extra=b"", block=None,
        extensible=False, before=b""):
    """Return a WAV file with `body` as its sound; data and riff: the sizes that its header states."""
    block = block or channels * ((bits + 7) // 8)
    form = struct.pack(f"{order}HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * block, block, bits)
    if extensible:
        guid = struct.pack(f"{order}H", tag) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
        form += struct.pack(f"{order}HHI", 22, bits, 0) + guid
    chunks = before + b"fmt " + struct.pack(f"{order}I", len(form)) + form + extra
    data = len(body) if data is None else data
    riff = 4 + len(chunks) + 8 + len(body) if riff is None else riff
    return kind + struct.pack(f"{order}I", riff) + b"WAVE" + chunks + b"data" + struct.pack(f"{order}I", data) + body


def loaded(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    return load(tmp_path / "a.wav")


def bytes_of(values, bits, order="<"):
    """Return integers in 16 bits' scale as those of another depth."""
    if bits == 8:
        return ((values >> 8) + 128).astype(np.uint8).tobytes()
    width, sign = bits // 8, "little" if order == "<" else "big"
    return b"".join(int(v << (bits - 16)).to_bytes(width, sign, signed=True) for v in values.tolist())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("extensible", [False, True])
def test_integers_of_every_depth(tmp_path, bits, order, extensible):
    kind = b"RIFX" if order == ">" else b"RIFF"
    data = loaded(tmp_path, wav(bytes_of(SOUND, bits, order), bits=bits, order=order, kind=kind, extensible=extensible))
    kept = SOUND if bits > 8 else SOUND >> 8 << 8
    np.testing.assert_array_equal(shown(data)[0], kept[:1024])
    assert data.codec == Sound((1024,), rate=8000) and data.notes == ()


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("extensible", [False, True])
def test_floats(tmp_path, bits, extensible):
    body = (SOUND / 2**15).astype(f"<f{bits // 8}").tobytes()
    np.testing.assert_array_equal(shown(loaded(tmp_path, wav(body, tag=3, bits=bits, extensible=extensible)))[1], SOUND[512:1536])


def test_twelve_bits_in_two_bytes_stand_to_the_left(tmp_path):
    data = loaded(tmp_path, wav((SOUND & ~15).astype("<i2").tobytes(), bits=12, block=2))
    np.testing.assert_array_equal(shown(data)[0], (SOUND & ~15)[:1024])


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_channels_are_averaged(tmp_path, channels):
    many = np.zeros((3000, channels), "<i2")
    many[:, -1] = SOUND
    data = loaded(tmp_path, wav(many.tobytes(), channels=channels))
    np.testing.assert_allclose(data.x[0], SOUND[:1024] / 2**15 / channels, atol=1e-7)


# ---- sizes that are not known while a program writes ----------------------------------------------------------------------------

BODY = SOUND.astype("<i2").tobytes()


@pytest.mark.parametrize(("riff", "data"), [
    (2**32 - 1, 2**32 - 1), (0, 0), (36, 0), (0, 2**32 - 1), (2**32 - 1, 0), (0x7FFFF024, 0x7FFFF000), (0x7FFFFFFF, 0x7FFFFFDB)])
@pytest.mark.parametrize("rest", [b"", b"\1"])
def test_streamed_sizes_go_to_the_end_of_the_file(tmp_path, riff, data, rest):
    found = loaded(tmp_path, wav(BODY + rest, riff=riff, data=data))
    np.testing.assert_array_equal(shown(found), np.lib.stride_tricks.sliding_window_view(SOUND, 1024)[::512])
    assert "does not say how long" in found.notes[0]


def test_a_riff_size_that_is_wrong_where_the_sound_is_whole(tmp_path):
    for riff in (36 + len(BODY) + 1000, 36 + len(BODY) - 1000, 1):
        assert loaded(tmp_path, wav(BODY, riff=riff)).notes == ()


def test_sound_that_is_really_empty_stays_empty(tmp_path):
    assert "0 samples are too short" in refusal_of(loaded, tmp_path, wav(b""))
    listed = b"LIST" + struct.pack("<I", 3000) + bytes(3000)  # a chunk behind no sound is no sound
    assert "0 samples are too short" in refusal_of(loaded, tmp_path, wav(listed, data=0))


def test_rf64_takes_its_size_from_ds64(tmp_path):
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 0, len(BODY) - 1000, 0, 0)
    found = loaded(tmp_path, wav(BODY, kind=b"RF64", riff=2**32 - 1, data=2**32 - 1, before=ds64))
    assert found.notes == () and len(found.x) == (3000 - 500 - 1024) // 512 + 1


def test_chunks_of_odd_lengths_before_the_sound(tmp_path):
    extra = b"junk" + struct.pack("<I", 3) + b"abc\0"
    np.testing.assert_array_equal(shown(loaded(tmp_path, wav(BODY, extra=extra)))[0], SOUND[:1024])


# ---- what is refused ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("content", "says"), [
    (b"", "does not begin as a WAV file"), (b"OggS" + bytes(100), "does not begin as a WAV file"),
    (wav(BODY, tag=0x11, bits=4, block=1), "0x11, IMA ADPCM; convert it"), (wav(BODY, tag=7, bits=8), "mu-law"),
    (wav(BODY, tag=0x1234), "format 0x1234; convert it"), (wav(BODY, rate=0), "a rate of 0 Hz"),
    (wav(BODY, channels=0, block=2), "0 channel(s)"), (wav(BODY, bits=40, block=5), "40-bit integers"),
    (wav(BODY, tag=3, bits=16), "16-bit floats"), (wav(BODY, bits=24, block=2), "24-bit integers in 2 bytes"),
    (wav(BODY)[:-1], "cut short"), (wav(BODY, data=10**9), "promises 1,000,000,000 bytes"), (wav(BODY)[:36], "without a sound"),
    (b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd", "without a description"), (b"RIFF\0\0\0\0WAVEfmt \4\0\0\0abcd", "has 4 bytes"),
    (wav(np.full(3000, np.inf, "<f4").tobytes(), tag=3, bits=32), "NaN or infinity"),
])
def test_the_reason_is_the_true_one(tmp_path, content, says):
    message = refusal_of(loaded, tmp_path, content)
    assert says in message and "damaged" not in message


def test_what_is_written_names_its_maker_and_reads_back(tmp_path):
    codec = Sound((101,), rate=8000)  # of an odd number of samples
    x = np.random.default_rng(0).uniform(-1, 1, (3, 101)).astype(np.float32)
    codec.write(tmp_path / "a.wav", x)
    content = (tmp_path / "a.wav").read_bytes()
    assert b"ISFT" in content and struct.unpack("<I", content[4:8])[0] == len(content) - 8 and len(content) % 2 == 0
    np.testing.assert_array_equal(shown(load(tmp_path / "a.wav", window=101))[0], codec.decode(x)[0])

"""Data that are too large are refused by their headers, with the size and the option that lifts the limit.

Slow readings say how far they are.
"""

import gzip
import io
import math
import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from data_files import PIXELS, idx, npy, refusal_of, save
from scipy.io import wavfile

from tinygan.cli.main import run as command
from tinygan.data import load, reading
from tinygan.data.kinds import Images
from tinygan.data.units import DataError

GB = 10**9


def packed_zeros(head: bytes, count: int) -> bytes:
    """A gzip stream of a header and `count` zeros, made without holding these."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts, zeros = [pack.compress(head)], bytes(1 << 20)
    parts += [pack.compress(zeros) for _ in range(count >> 20)]
    return b"".join([*parts, pack.flush()])


def asked(monkeypatch):
    """Note how many bytes are read from files in all, by those readers that read bytes of their own."""
    read = []
    plain = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size=-1: read.append(size) or plain(self, size))
    return read


# ---- every format --------------------------------------------------------------------------------------------------------------

def test_an_idx_file_that_inflates_is_refused_by_its_header(tmp_path, monkeypatch):
    head = struct.pack(">4I", 0x803, 6_000_000, 32, 32)
    (tmp_path / "a.idx.gz").write_bytes(packed_zeros(head, 1 << 22))
    read = asked(monkeypatch)
    message = refusal_of(load, tmp_path / "a.idx.gz")
    assert "6,000,000 images of 32x32" in message and "limit of 4 GB" in message and "--max-memory 81" in message
    assert sum(read) <= 64, "no more than the header"


def test_what_a_gzip_stream_holds_beyond_its_header_is_not_unpacked(tmp_path, monkeypatch):
    (tmp_path / "a.idx.gz").write_bytes(packed_zeros(idx(), 1 << 24))
    read = asked(monkeypatch)
    assert "promises" in refusal_of(load, tmp_path / "a.idx.gz")
    assert 0 < sum(read) < 10_000


def lying_npy(shape, dtype="<f4", body=b"") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + body


def test_arrays_by_their_headers(tmp_path):
    (tmp_path / "a.npy").write_bytes(lying_npy((10**9, 100)))
    assert "its header promises" in refusal_of(load, tmp_path / "a.npy")
    with open(tmp_path / "a.npy", "ab") as file:
        file.truncate(file.tell() + 4 * 10**11)  # a sparse file: as long as it says, and takes no disk
    message = refusal_of(load, tmp_path / "a.npy")
    assert "limit of 4 GB" in message and "--max-memory" in message


def test_npz_by_the_header_inside(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((10_000_000, 1), np.uint8))
    message = refusal_of(load, tmp_path / "a.npz", max_memory=0.1)
    assert "(10000000, 1) numbers" in message and "limit of 0.1 GB" in message
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("x.npy", lying_npy((10**9, 100)))
    assert "its header promises" in refusal_of(load, tmp_path / "b.npz")


def test_sound_by_its_header(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, np.zeros(100, np.int16))
    with open(tmp_path / "a.wav", "r+b") as file:
        file.seek(40)
        file.write(struct.pack("<I", 2 * GB))
        file.truncate(44 + 2 * GB)
    assert "2,000,000,000 bytes of sound" in refusal_of(load, tmp_path / "a.wav")
    wavfile.write(tmp_path / "b.wav", 8000, np.zeros(100, np.int16))
    assert "2 files of sound" in refusal_of(load, tmp_path)


def test_a_table_of_a_million_columns_is_refused_by_its_first_line(tmp_path):
    line = ",".join(["1"] * 1_000_000)
    (tmp_path / "a.csv").write_text(f"{line}\n{line}\n")
    message = refusal_of(load, tmp_path / "a.csv")
    assert "networks for samples of 1000000 numbers take about 8.19 GB" in message and "--columns" in message
    (tmp_path / "b.csv").write_text("a,b,c\n1,2,3\n4,5,7\n")
    assert "networks for samples of 3 numbers" in refusal_of(load, tmp_path / "b.csv", max_memory=2e-5)
    assert load(tmp_path / "b.csv", columns="a,c", max_memory=2e-5).codec.shape == (2,)


def test_pictures_by_their_headers(tmp_path):
    for i in range(2):
        save(np.zeros((3000, 3000, 3), np.uint8), tmp_path / f"{i}.png")
        content = bytearray((tmp_path / f"{i}.png").read_bytes())
        content[1000:] = b""  # were a pixel decoded, the pictures would be unreadable
        (tmp_path / f"{i}.png").write_bytes(content)
    message = refusal_of(load, tmp_path)
    assert "networks for samples of 3000x3000x3 = 27,000,000 numbers" in message and "--size 64" in message
    assert "--max-memory 224" in message


def test_many_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "NETWORK_BYTES", 1)
    for i in range(3):
        save(PIXELS[0][:, :4], tmp_path / f"{i}.png")
    message = refusal_of(load, tmp_path, max_memory=5e-7)
    assert "its 3 pictures of 4x4" in message and "give a smaller --size, or use fewer pictures" in message


@pytest.mark.parametrize("text", ["1\n" * 100_000, "1," * 50_000 + "1\n"])
def test_text_that_unpacks_to_more_than_the_limit(tmp_path, text):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert "--max-memory" in refusal_of(load, tmp_path / "a.csv.gz", max_memory=1e-4)


def test_what_grows_while_it_is_read(tmp_path, monkeypatch):
    """Pictures that --size makes larger, and categories, of which each is a column, take more than their files."""
    monkeypatch.setattr(reading, "NETWORK_BYTES", 1)
    message = refusal_of(load, "digits", size=4096)
    assert "its 1,797 images of 4096x4096" in message and "give a smaller --size" in message
    assert "images of 64x64" in refusal_of(load, npy(tmp_path, PIXELS), size=64, max_memory=1e-4)
    (tmp_path / "a.csv").write_text("a,b\n" + "".join(f"{i},n{i % 90}\n" for i in range(900)))
    assert len(load(tmp_path / "a.csv", max_memory=0.01).x) == 900
    message = refusal_of(load, tmp_path / "a.csv", max_memory=0.002)
    assert "its 900 rows of 91 numbers" in message and "--columns" in message


def test_an_array_in_memory_has_no_limit_that_nothing_could_lift():
    """As `fit` hands it over: the array is there, and the networks are the user's own."""
    assert Images.from_array(Path("data"), np.zeros((2, 800, 800), np.uint8)).codec.shape == (800, 800, 1)
    assert reading.memory_limit() == math.inf
    with reading.reading():
        assert reading.memory_limit() == 4e9


def test_a_line_without_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr("tinygan.data.readers.text.LONGEST_LINE", 1000)
    (tmp_path / "a.csv").write_text("1," * 600)
    assert "a line of more than 1,000 characters" in refusal_of(load, tmp_path / "a.csv")


# ---- the option ----------------------------------------------------------------------------------------------------------------

def test_the_option_lifts_and_lowers_the_limit(tmp_path):
    path = npy(tmp_path, PIXELS)
    assert len(load(path, max_memory=0.001).x) == 3
    assert "--max-memory 1" in refusal_of(load, path, max_memory=1e-7)
    assert "--max-memory is 0" in refusal_of(load, path, max_memory=0)
    assert load("digits", max_memory=5).codec.shape == (8, 8, 1) and load("ring", max_memory=5).x is None


def test_what_is_advised_is_enough(tmp_path):
    """The number of gigabytes in the message, given back, is not refused again."""
    for needed in (1.0, 3.999e9, 4e9, 4.0001e9, 8e9, 8.192e9, 1e13, 12345678901):
        with reading.reading(1e-9), pytest.raises(DataError) as caught:
            reading.require_memory("a", needed + 2, "they")
        with reading.reading(float(str(caught.value).rsplit(" ", 1)[1])):
            reading.require_memory("a", needed + 2, "they")


def test_the_command_line_says_the_limit_and_takes_the_option(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert command(["train", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--max-memory" in shown and "estimated from headers; more is refused before it is read. Default: 4." in shown
    npy(tmp_path, PIXELS)
    assert command(["train", "a.npy", "--max-memory", "1e-7", "--backend", "reference"]) == 2
    assert "raise the limit: --max-memory 1" in capsys.readouterr().err


# ---- progress --------------------------------------------------------------------------------------------------------------------

def test_slow_readings_say_how_far_they_are(tmp_path, monkeypatch):
    for i in range(5):
        save(PIXELS[0], tmp_path / f"{i}.png")
    clock = iter(range(0, 10**6, 3))
    monkeypatch.setattr(reading.time, "monotonic", lambda: next(clock))
    said = []
    load(tmp_path, say=said.append)
    assert [f"reading {tmp_path}: {i} of 5 pictures" for i in range(5)] == said
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 5000)
    said.clear()
    load(tmp_path / "a.csv", say=said.append)
    assert f"reading {tmp_path / 'a.csv'}: 4,096 rows" in said


def test_quick_readings_say_nothing(tmp_path):
    said = []
    begun = time.monotonic()
    load(npy(tmp_path, PIXELS), say=said.append)
    assert said == [] or time.monotonic() - begun > reading.QUIET_SECONDS

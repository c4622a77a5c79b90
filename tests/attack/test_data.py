"""An attack on every format of data: a right result or one stated error, whatever is in a file.

Each case is made from one number, so that a case that fails can be had again: `case(seed)`. Whole files are written in a random
dialect of their format and have to come out as the numbers that went in. Damaged ones (bytes changed, cut, repeated; headers that
promise other or absurd sizes; names of other formats) have to load as finite numbers of the shape that their codec states, or to
raise DataError in one line. Neither may take more memory than its limit allows.
"""

import csv
import gzip
import io
import os
import struct
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from tinygan.data import DataError, load

resource = pytest.importorskip("resource", reason="this system does not tell how much memory a process has taken")

LIMIT = 0.05  # gigabytes that a load may take by its own estimate
MOST_GROWTH = 6e8  # bytes by which all cases together may make this process grow: no gigabytes


# ---- whole files: what is written, and what has to come out --------------------------------------------------------------------


def whole_csv(rng, path):
    """A table in a random dialect; returns its rows in user units as the columns of `load`."""
    separator = str(rng.choice([",", ";", "\t", "|"]))
    comma = separator != "," and rng.random() < 0.4
    rows, columns = int(rng.integers(2, 9)), int(rng.integers(2, 6))
    values = np.round(rng.normal(size=(rows, columns)) * 10.0 ** rng.integers(-3, 6, columns), 3)
    texts = list(map(str, rng.choice(["red", "größe", "a b", "x;y", 'q"u', "=1+1", "-", "a,b"], rows)))
    texts = texts if rng.random() < 0.5 else []
    names = [f"c{j}" for j in range(columns)] if rng.random() < 0.8 or comma else None
    cells = [[repr(float(v)).replace(".", ",") if comma else repr(float(v)) for v in row] for row in values]
    buffer = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if rng.random() < 0.3 else csv.QUOTE_MINIMAL
    writer = csv.writer(buffer, delimiter=separator, quoting=quoting, lineterminator=str(rng.choice(["\n", "\r\n"])))
    if names:
        writer.writerow([*names, *(["text"] if texts else [])])
    for i, row in enumerate(cells):
        writer.writerow([*row, *([texts[i]] if texts else [])])
        if rng.random() < 0.1:
            buffer.write("\n")
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    content = buffer.getvalue().encode(encoding)
    path = path.with_suffix(".csv.gz") if rng.random() < 0.3 else path.with_suffix(".csv")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    hot = sorted(set(texts)) if texts else []
    return path, np.hstack([values, *[[[float(t == h)] for t in texts] for h in hot]]), {}


def whole_array(rng, path):
    images = rng.random() < 0.5
    shape = (int(rng.integers(2, 6)), *map(int, rng.integers(1, 7, 2))) if images else tuple(map(int, rng.integers(2, 7, 2)))
    white = int(rng.choice([1, 9, 16, 127, 255, 4095, 65535]))
    array = rng.integers(0, white + 1, shape) if images else rng.normal(size=shape) * 10.0 ** rng.integers(-9, 9)
    if images:
        array.flat[0] = white
        array = array.astype(str(rng.choice(["<i4", ">i8", "<u2", "<f8"] if white > 1 else ["<i4", "|u1"])))
    if rng.random() < 0.5:
        array = np.asfortranarray(array)
    if rng.random() < 0.5:
        path = path.with_suffix(".npz")
        (np.savez if rng.random() < 0.5 else np.savez_compressed)(path, **{str(rng.choice(["x", "data", "my"])): array})
    else:
        path = path.with_suffix(".npy")
        np.save(path, array)
    return path, array[..., None] if images else array, {}


def whole_idx(rng, path):
    pixels = rng.integers(0, 256, (int(rng.integers(2, 6)), *map(int, rng.integers(1, 7, 2))), dtype=np.uint8)
    pixels.flat[0] = 255
    content = struct.pack(">4I", 0x803, *pixels.shape) + pixels.tobytes()
    path = path.with_suffix(".idx")
    path.write_bytes(gzip.compress(content) if rng.random() < 0.5 else content)
    return path, pixels[..., None], {}


def whole_wav(rng, path):
    length, window = int(rng.integers(60, 200)), int(rng.integers(2, 30))
    sound = rng.integers(-2**15, 2**15, length).astype("<i2")
    buffer = io.BytesIO()
    wavfile.write(buffer, int(rng.integers(1, 50_000)), sound)
    content = bytearray(buffer.getvalue())
    if rng.random() < 0.3:  # a program that streams
        content[4:8] = content[40:44] = b"\xff" * 4 if rng.random() < 0.5 else bytes(4)
    path = path.with_suffix(".wav")
    path.write_bytes(content)
    return path, np.lib.stride_tricks.sliding_window_view(sound, window)[::window // 2], {"window": window}


def whole_folder(rng, path):
    path.mkdir()
    n, side = int(rng.integers(2, 5)), int(rng.integers(1, 9))
    pictures = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    pictures[0, 0, 0] = 255, 0, 1
    for i, picture in enumerate(pictures):
        below = path / ["", "deeper", "ünder"][int(rng.integers(3))]
        below.mkdir(exist_ok=True)
        Image.fromarray(picture).save(below / f"{i}.{['png', 'bmp', 'tif'][int(rng.integers(3))]}")
    order = sorted(range(n), key=lambda i: next(path.rglob(f"{i}.*")))
    (path / ".hidden").mkdir()
    Image.fromarray(pictures[0]).save(path / ".hidden" / "9.png")
    if rng.random() < 0.3:
        os.symlink(path, path / "round", target_is_directory=True)
    return path, pictures[order], {}


WHOLE = (whole_csv, whole_array, whole_idx, whole_wav, whole_folder)


# ---- damaged files --------------------------------------------------------------------------------------------------------------

EXTREMES = [0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
STRAY = [b"\0", b"\xff\xfe", b'"', b"\n\n", b"nan", b"1e999", b";;", b"\r", b",", b"99999999999"]
SUFFIXES = [".csv", ".tsv", ".csv.gz", ".npy", ".npz", ".idx", ".gz", ".wav"]


def damaged(rng, content: bytes) -> bytes:
    """Return the content of a file with a few things wrong."""
    raw = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(raw) + 1)) if rng.random() < 0.5 else int(rng.integers(0, min(len(raw), 130) + 1))
        action = int(rng.integers(6))
        if action == 0:
            del raw[at:]
        elif action == 1:
            raw[at:at + int(rng.integers(0, 9))] = rng.bytes(int(rng.integers(0, 9)))
        elif action == 2 and at < len(raw):
            raw[at] ^= 1 << int(rng.integers(8))
        elif action == 3:  # a size in a header: four bytes, in either order
            raw[at:at + 4] = struct.pack(str(rng.choice(["<I", ">I"])), int(rng.choice(EXTREMES)))
        elif action == 4:
            raw[at:at] = raw[at:at + int(rng.integers(1, 200))]
        else:
            raw[at:at] = STRAY[int(rng.integers(len(STRAY)))]
    return bytes(raw)


def absurd_npy(rng) -> bytes:
    """A header of NumPy's that promises anything, as it is or in a zip."""
    shape = tuple(int(n) for n in rng.choice([0, 1, 2, 3, 10**3, 10**9, 2**63 - 1, 2**64, -1], int(rng.integers(0, 6))))
    buffer = io.BytesIO()
    descr = str(rng.choice(["<f8", "|u1", "|b1", "<c8", "|O", "<U3", "<M8[s]", "|V0", "<f2"]))
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": bool(rng.integers(2)), "shape": shape})
    buffer.write(rng.bytes(int(rng.integers(0, 100))))
    if rng.random() < 0.5:
        return buffer.getvalue()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", buffer.getvalue())
    return packed.getvalue()


def damaged_file(rng, folder):
    """Write a damaged file, or damage some of a folder; return its path and the options to load it with."""
    kind = int(rng.integers(8))
    if kind == 0:
        path = folder / f"a{rng.choice(['.npy', '.npz'])}"
        path.write_bytes(absurd_npy(rng))
        return path, {}
    if kind == 1:
        path = folder / "a.idx"
        content = struct.pack(">4I", 0x803, *(int(n) for n in rng.choice(EXTREMES, 3))) + rng.bytes(20)
        path.write_bytes(gzip.compress(content + bytes(1 << 20)) if rng.random() < 0.5 else content)
        return path, {}
    path, _, options = WHOLE[int(rng.integers(len(WHOLE)))](rng, folder / "a")
    files = [path] if path.is_file() else [p for p in path.rglob("*.*") if p.is_file() and "round" not in p.parts]
    for file in files:
        if len(files) == 1 or rng.random() < 0.5:
            file.write_bytes(damaged(rng, file.read_bytes()))
    if path.is_file() and rng.random() < 0.1:
        path = path.rename(path.with_name(f"a{rng.choice(SUFFIXES)}"))
        options = {}
    return path, options


# ---- the attack -----------------------------------------------------------------------------------------------------------------


def checked(dataset):
    """Raise AssertionError unless a data set is what it promises to be; return it in user units."""
    codec = dataset.codec
    assert dataset.x.dtype == np.float32 and dataset.x.shape[1:] == codec.shape and len(dataset.x) >= 2, dataset.x.shape
    assert np.isfinite(dataset.x).all() and (not codec.bounded or np.abs(dataset.x).max() <= 1)
    assert all(len(line.splitlines()) == 1 for line in (dataset.summary, *dataset.notes)), dataset.notes
    return codec.decode(dataset.x)


def case(seed: int) -> None:
    """Try one case. Raises AssertionError, or whatever error a reader let through."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        if rng.random() < 0.3:
            path, expected, options = WHOLE[int(rng.integers(len(WHOLE)))](rng, Path(name) / "a")
            found = checked(load(path, max_memory=LIMIT, **options))
            assert found.shape == expected.shape, (found.shape, expected.shape)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
            return
        path, options = damaged_file(rng, Path(name))
        if rng.random() < 0.2 and path.suffix != ".wav":
            options = {"size": 4} if path.is_dir() else {"drop_missing": True} if ".csv" in path.name else {}
        try:
            checked(load(path, max_memory=LIMIT, **options))
        except DataError as error:
            assert str(error) and len(str(error).splitlines()) == 1, str(error)


def attack(rng: np.random.Generator, count: int) -> int:
    """Try `count` cases, their seeds from `rng`; return how many were tried.

    Raises AssertionError with the seed of the one that fails.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for done in range(count):
        seed = int(rng.integers(2**63))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                case(seed)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise AssertionError(f"tests/attack/test_data.py: case({seed}), number {done + 1}, fails: {what}") from error
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        assert grown < MOST_GROWTH, f"case({seed}): this process has grown by {grown:,} bytes"
    return count


def test_data_of_every_format():
    assert attack(np.random.default_rng(17), 250) == 250


def test_the_attack_sees_what_is_wrong(monkeypatch):
    """A reader that gives other numbers, NaN, or another class of errors is caught."""
    from tinygan.data.kinds import Images, Table

    for kind, name, planted in (
        (Table, "of_rows", lambda plain: lambda path, rows, *rest: plain(path, rows + 1e-3, *rest)),
        (Images, "of_pixels", lambda plain: lambda *a, **b: (_ for _ in ()).throw(KeyError("planted"))),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(kind, name, planted(getattr(kind, name)))
            with pytest.raises(AssertionError, match=r"case\(\d+\)"):
                attack(np.random.default_rng(17), 250)

"""Readers, one for each file format: from a path to plain NumPy arrays in the file's own units.

Each reader raises DataError with one line for every file that it cannot use, however damaged; none unpickles anything.
"""

from __future__ import annotations

import csv
import gzip
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .units import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
ARRAY_SUFFIXES = (".npy", ".npz")
DEFAULT_SIZE = 64  # pixels a side


@contextmanager
def _decoding(path: Path, what: str) -> Iterator[None]:
    """Turn every failure inside into a DataError about `path`; warnings of the decoding library stay silent."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (DataError, MemoryError):
        raise
    # A decoder fed mutated bytes raises nearly any class there is (struct.error, SyntaxError, ZeroDivisionError ...).
    except Exception as error:
        raise DataError(f"{path}: not a readable {what} ({error or type(error).__name__}); "
                        f"it may be damaged, make it again") from error


# ---- idx: the format of MNIST (http://yann.lecun.com/exdb/mnist) ----------------------------------------------------

def read_idx(path: Path) -> np.ndarray:
    """Return the images of an idx file, plain or gzipped: (n, H, W) uint8. Raises DataError.

    Layout: magic 0x00000803 (unsigned byte, 3 dimensions), then n, H, W as big-endian 32-bit, then n H W bytes.
    """
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = _gunzip(path, raw)
    magic = int.from_bytes(raw[:4], "big")
    if len(raw) >= 4 and magic == 0x801:
        raise DataError(f"{path}: holds labels (idx magic 0x801), not images; give the file of images (magic 0x803)")
    if len(raw) >= 4 and magic != 0x803:
        raise DataError(f"{path}: idx magic {magic:#x}, expected 0x803 (unsigned bytes, 3 dimensions)")
    if len(raw) < 16:
        raise DataError(f"{path}: {len(raw)} bytes are too short for an idx header of 16; fetch the file again")
    shape = struct.unpack(">3I", raw[4:16])
    expected = 16 + shape[0] * shape[1] * shape[2]
    if len(raw) != expected:
        raise DataError(f"{path}: {len(raw):,} bytes, but its header promises {expected:,} for {shape} images; "
                        f"fetch the file again")
    return np.frombuffer(raw, np.uint8, offset=16).reshape(shape)


def _gunzip(path: Path, raw: bytes) -> bytes:
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: its gzip stream is damaged or cut short ({error}); fetch the file again") from error


# ---- a folder of pictures -------------------------------------------------------------------------------------------

class Pictures(NamedTuple):
    """The pictures of a folder, (n, S, S, C) uint8, and notes on what was left out or changed."""

    pixels: np.ndarray
    notes: tuple[str, ...]


def read_folder(folder: Path, size: int | None) -> Pictures:
    """Return every picture in `folder` and below, sorted by path.

    C is 1 if all pictures are grey, stored as such or as three equal channels, otherwise 3. Transparency is laid over
    white, 16-bit greys are scaled to 8, EXIF rotation is applied. Each picture is cropped to its central square and
    resized to S = `size`; without a `size`, S is the common side if all are squares of one size, otherwise 64. Raises DataError.
    """
    paths = _files(folder)
    pictures = [p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES]
    if not pictures:
        raise DataError(f"{folder}: no pictures in this folder; it needs at least 2 of {' '.join(IMAGE_SUFFIXES)}")
    side = size or _common_side(pictures) or DEFAULT_SIZE
    arrays, failures = [], []
    for path in pictures:
        try:
            arrays.append(_read_picture(path, side))
        except DataError as error:
            failures.append(str(error))
    if not arrays:
        raise DataError(f"{folder}: none of its {len(pictures)} pictures can be read; first: {failures[0]}")
    pixels, mixed = _stack(arrays)
    return Pictures(pixels, (*_left_out(len(paths) - len(pictures), failures), *mixed))


def _files(folder: Path) -> list[Path]:
    walk = os.walk(folder, onerror=_reraise)
    found = [Path(root, name) for root, _, names in walk for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.is_file())


def _reraise(error: OSError) -> None:
    raise error  # os.walk passes over folders that it may not read


def _common_side(paths: list[Path]) -> int | None:
    """Return the side of the pictures if all are squares of one size, else None. It reads headers only."""
    from PIL import Image

    sizes = set()
    for path in paths:
        try:
            with _decoding(path, "picture"), Image.open(path) as image:
                sizes.add(image.size)
        except DataError:
            continue  # reported when its pixels are read
    width, height = sizes.pop() if len(sizes) == 1 else (0, 1)
    return width if width == height else None


def _read_picture(path: Path, side: int) -> np.ndarray:
    """Return a picture as uint8: (side, side) if it is grey, otherwise (side, side, 3). Raises DataError."""
    from PIL import Image, ImageOps

    with _decoding(path, "picture"), Image.open(path) as image:
        return np.array(resized(_opaque(ImageOps.exif_transpose(image)), side))


def resized(image, side: int):
    """Return the central square of a Pillow image, resampled to side x side pixels (Lanczos; floats may overshoot)."""
    from PIL import Image

    least = min(image.size)
    left, top = (image.width - least) // 2, (image.height - least) // 2
    # Cropped first: resize(box=...) would mix in pixels from outside the box.
    square = image.crop((left, top, left + least, top + least))
    return square if least == side else square.resize((side, side), Image.Resampling.LANCZOS)


def _opaque(image):
    """Convert a Pillow image of any mode to "L" if it is a grey one, otherwise to "RGB", its transparency laid over white."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("32-bit float pictures have no fixed white; save it as 8 or 16 bit")
    if image.mode.startswith("I"):  # 16-bit greys: convert("L") would clip them at 255
        return Image.fromarray(np.clip(np.rint(np.asarray(image) / 257.0), 0, 255).astype(np.uint8))
    target = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(target)


def _stack(arrays: list[np.ndarray]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Stack pictures to (n, S, S, C), and note where colour would surprise: a coloured one gives all of them three channels."""
    deep = [a if a.ndim == 3 else a[..., None] for a in arrays]
    grey = [bool((a == a[..., :1]).all()) for a in deep]
    if all(grey):
        return np.stack([a[..., :1] for a in deep]), ()
    note = f"{sum(grey)} of {len(grey)} pictures are grey; the others are not, so all are read in colour"
    return np.stack([a.repeat(3 // a.shape[2], axis=2) for a in deep]), (note,) if any(grey) else ()


def _left_out(others: int, failures: list[str]) -> tuple[str, ...]:
    """Return notes on `others`, the number of files that are no pictures, and on pictures that could not be read."""
    notes = []
    if others:
        notes.append(f"{others} file(s) that are not pictures were skipped")
    if failures:
        notes.append(f"{len(failures)} unreadable picture(s) were skipped; first: {failures[0]}")
    return tuple(notes)


# ---- NumPy arrays ---------------------------------------------------------------------------------------------------

def read_array(path: Path) -> np.ndarray:
    """Return the array of an .npy file, or of an .npz file its only array or the one named x, data or images. Raises DataError."""
    # Opened here, because np.load leaves a file that it opened and cannot read to the garbage collector.
    with _decoding(path, "NumPy file of plain numbers"), open(path, "rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return loaded[_key(path, loaded.files)]


def _key(path: Path, names: list[str]) -> str:
    """Return the name of the array to read from an .npz file that holds arrays of these names. Raises DataError."""
    if len(names) == 1:
        return names[0]
    for name in ("x", "data", "images"):
        if name in names:
            return name
    held = ", ".join(names) or "none"
    raise DataError(f"{path}: cannot choose among its arrays ({held}); name one x, data or images, or save only one")


# ---- CSV ------------------------------------------------------------------------------------------------------------

class NamedColumns(NamedTuple):
    """A table of numbers, (n, F) float64, and the names of its F columns."""

    values: np.ndarray
    columns: tuple[str, ...]


def read_csv(path: Path) -> NamedColumns:
    """Return the table in a CSV file; columns are called x0, x1, ... where it does not name them.

    The first row is a header if none of its cells is a number. Cells are separated by commas, or by semicolons or
    tabs if the first line has those. Raises DataError, naming line and column, for any other cell that is not a finite number.
    """
    lines = _lines(path)
    if not lines:
        raise DataError(f"{path}: an empty table; it needs a row of numbers for each sample")
    numeric = [_number(cell) is not None for cell in lines[0].cells]
    header = lines.pop(0).cells if not any(numeric) else [""] * len(numeric)
    columns = tuple(name.strip() or f"x{j}" for j, name in enumerate(header))
    values = np.array([_floats(path, line, cells, columns) for line, cells in lines])
    return NamedColumns(values.reshape(-1, len(columns)), columns)


class _Line(NamedTuple):
    """A line of a CSV file: its number in the file, counted from 1, and its cells."""

    number: int
    cells: list[str]


def _lines(path: Path) -> list[_Line]:
    """Return every line of a CSV file that is not blank."""
    with _decoding(path, "CSV file"), open(path, newline="", encoding="utf-8-sig") as file:
        first = file.readline()
        file.seek(0)
        separator = next((s for s in ";\t" if s in first), ",")
        reader = csv.reader(file, delimiter=separator)
        return [_Line(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]


def _floats(path: Path, line: int, cells: list[str], columns: tuple[str, ...]) -> list[float]:
    """Return the numbers in one line's cells, one for each column. Raises DataError."""
    if len(cells) != len(columns):
        raise DataError(f"{path}: line {line} has {len(cells)} cells, the first row has {len(columns)}; "
                        f"every row needs as many")
    values = [_number(cell) for cell in cells]
    for j, value in enumerate(values):
        if value is None or not np.isfinite(value):
            raise DataError(f"{path}: line {line}, column {j + 1} ({columns[j]}): {cells[j]!r} is not a finite "
                            f"number; remove the row, or the column if it is not numeric")
    return values


def _number(cell: str) -> float | None:
    """Return the number in a cell, or None where there is none."""
    try:
        return None if "_" in cell else float(cell)  # float() takes 1_000, a table does not mean it
    except ValueError:
        return None


# ---- WAV ------------------------------------------------------------------------------------------------------------

class Recording(NamedTuple):
    """Mono sound (length,), float32 in [-1, 1], its rate in Hz, and notes on what was changed."""

    sound: np.ndarray
    rate: int
    notes: tuple[str, ...]


def read_wav(path: Path) -> Recording:
    """Return the sound of a WAV file. Raises DataError.

    The file may hold 8-bit unsigned, 16-, 24- or 32-bit integers, or floats; its channels are averaged. Floats that pass 1
    are scaled so that their peak is 1, and a note says so.
    """
    from scipy.io import wavfile

    with _decoding(path, "WAV file"):
        warnings.filterwarnings("error", message="Reached EOF", category=wavfile.WavFileWarning)
        rate, sound = wavfile.read(path)
        sound = _unit_scale(np.asarray(sound))
        mono = sound.mean(axis=1) if sound.ndim == 2 else sound
    if rate <= 0 or not np.isfinite(mono).all():
        raise DataError(f"{path}: sound with a rate of {rate} Hz or with NaN in it cannot be used; export it again")
    peak = float(np.abs(mono).max(initial=0.0))
    if peak > 1:
        return Recording((mono / peak).astype(np.float32), int(rate), (f"its peak of {peak:.3g} was scaled to 1",))
    return Recording(mono.astype(np.float32), int(rate), ())


def _unit_scale(sound: np.ndarray) -> np.ndarray:
    """Scale integers to [-1, 1), float64. 8-bit WAV is unsigned around 128, and 24 bits come as the high bits of an int32."""
    if sound.dtype.kind == "f":
        return sound.astype(np.float64)
    if sound.dtype == np.uint8:
        return (sound - 128.0) / 128.0
    return sound / -float(np.iinfo(sound.dtype).min)

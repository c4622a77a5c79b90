"""User units to what a network trains on, and back: the part of a data set that a checkpoint keeps.

A generator saved with its `Codec` needs no data to make pictures, rows or sound.
"""

from __future__ import annotations

import csv
import io
import math
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np


class DataError(ValueError):
    """Data that cannot be used. The message is always one line: what is wrong, where, and what to do."""

    def __init__(self, message: str):
        # Messages quote file names and other libraries' errors, either of which may hold line breaks.
        super().__init__(" ".join(str(message).split()))


SUFFIXES = {
    "points": (".csv", ".npy"),
    "table": (".csv", ".npy"),
    "images": (".png", ".npy"),
    "sound": (".wav", ".npy"),
}
_RANKS = {"points": 1, "table": 1, "images": 3, "sound": 1}


@dataclass(frozen=True)
class Codec:
    """All that turns generator output into user units.

    kind     "points", "images", "table" or "sound"
    shape    of one sample: (2,) points, (H, W, C) images, (F,) table, (window,) sound
    bounded  samples lie in [-1, 1], so a generator for them ends in tanh: images and sound
    mean, std  one float a column (points and table): encoded = (user - mean) / std
    columns  names, one a column (points and table)
    rate     samples a second, Hz (sound)

    Raises DataError if the fields contradict each other.
    """

    kind: str
    shape: tuple[int, ...]
    bounded: bool
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    columns: tuple[str, ...] = ()
    rate: int | None = None

    def __post_init__(self):
        problem = _contradiction(self)
        if problem:
            raise DataError(f"codec: {problem}")

    def to_json(self) -> dict:
        """A dict of JSON types only; floats survive json.dumps and loads bit for bit."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_json(cls, record: dict) -> Codec:
        """The inverse of `to_json`. Raises DataError for anything that `to_json` did not write."""
        names = {f.name for f in fields(cls)}
        if not isinstance(record, dict) or set(record) != names:
            raise DataError(f"codec: expected the fields {', '.join(sorted(names))}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in record.items()})

    def encode(self, user) -> np.ndarray:
        """User units (n, *shape) -> float32 (n, *shape), C-contiguous: what the discriminator sees as real.

        Images are uint8 in [0, 255], sound int16; points and tables any real dtype.
        """
        user = self._checked(user)
        if self.kind == "images":
            user = user / 127.5 - 1.0
        elif self.kind == "sound":
            user = user / 32768.0
        else:
            user = (user - np.array(self.mean)) / np.array(self.std)
        return np.ascontiguousarray(user, dtype=np.float32)

    def decode(self, x) -> np.ndarray:
        """Generator output (n, *shape), any float dtype -> user units: uint8 images, int16 sound, float64 otherwise.

        Bounded kinds are rounded and clipped. Raises DataError for another shape, and for NaN or inf in `x`.
        """
        x = self._checked(x)
        if self.kind == "images":
            return np.clip(np.rint((x + 1.0) * 127.5), 0, 255).astype(np.uint8)
        if self.kind == "sound":
            return np.clip(np.rint(x * 32768.0), -32768, 32767).astype(np.int16)
        return x * np.array(self.std) + np.array(self.mean)

    def write(self, path, x) -> None:
        """Decode generator output `x` (n, *shape) and write it to `path`, in the format that its suffix names.

        .npy  any kind, the array that `decode` gives
        .png  images: all samples on one near-square sheet (see `contact_sheet`)
        .csv  points and table: a line of column names, then one row a sample, at full precision
        .wav  sound: the windows one after the other, 16-bit mono

        Pictures and sound are not written as .csv: their shape or rate would be lost; .npy keeps it.
        The file appears complete or not at all. Raises DataError for another suffix or an unwritable path.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES[self.kind]:
            raise DataError(f"{path}: {self.kind} can be written to {' or '.join(SUFFIXES[self.kind])} only; "
                            f"give a file name that ends so")
        user = self.decode(x)
        if len(user) == 0:
            raise DataError(f"{path}: no samples to write; ask for at least 1")
        _replace(path, self._render(suffix, user))

    def _render(self, suffix: str, user: np.ndarray) -> bytes:
        if suffix == ".png":
            return _png(contact_sheet(user))
        if suffix == ".csv":
            return _csv(self.columns, user)
        if suffix == ".wav":
            return _wav(self.rate, user)
        buffer = io.BytesIO()
        np.save(buffer, user, allow_pickle=False)
        return buffer.getvalue()

    def _checked(self, x) -> np.ndarray:
        """`x` as float64, refused unless it is (n, *shape) and finite."""
        x = np.asarray(x, dtype=np.float64)
        if x.ndim == 0 or x.shape[1:] != self.shape:
            raise DataError(f"{self.kind}: expected an array (n, {', '.join(map(str, self.shape))}), got {x.shape}")
        if not np.isfinite(x).all():
            raise DataError(f"{self.kind}: the samples hold NaN or inf; a generator that makes them has diverged")
        return x


def _contradiction(c: Codec) -> str | None:
    """What is wrong with the fields of `c`, or None. Written for records read from a damaged or foreign file."""
    if not isinstance(c.kind, str) or c.kind not in _RANKS:
        return f"unknown kind {c.kind!r}; known: {', '.join(_RANKS)}"
    if not isinstance(c.shape, tuple) or len(c.shape) != _RANKS[c.kind] or not all(map(_is_count, c.shape)):
        return f"{c.kind} need a shape of {_RANKS[c.kind]} positive integers, got {c.shape!r}"
    if c.bounded is not (c.kind in ("images", "sound")):
        return f"bounded is {c.bounded!r}, which {c.kind} are not"
    if (c.kind == "sound") != (c.rate is not None) or not (c.rate is None or _is_count(c.rate)):
        return f"rate is {c.rate!r}; sound needs a positive integer (Hz), other kinds have none"
    width = c.shape[0] if c.kind in ("points", "table") else 0
    if any(not isinstance(v, tuple) or len(v) != width for v in (c.mean, c.std, c.columns)):
        return f"mean, std and columns need {width} entries each for {c.kind} of shape {c.shape}"
    if not all(map(_is_finite, c.mean + c.std)) or min(c.std, default=1) <= 0:
        return "mean and std must be finite numbers, std above 0"
    return None if all(isinstance(name, str) for name in c.columns) else "column names must be text"


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_finite(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def contact_sheet(images: np.ndarray, gap: int = 2, least: int = 48) -> np.ndarray:
    """(n, H, W, C) uint8 -> (rows, cols, C) uint8: the images in reading order on a near-square grey grid.

    Images smaller than `least` pixels grow by a whole factor, so that 8x8 digits can be seen without any smoothing.
    """
    n, height, width, channels = images.shape
    scale = max(1, math.ceil(least / max(height, width)))
    across = math.ceil(math.sqrt(n))
    down = math.ceil(n / across)
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    step_y, step_x = height * scale + gap, width * scale + gap
    sheet = np.full((down * step_y + gap, across * step_x + gap, channels), 128, np.uint8)
    if channels in (2, 4):
        sheet[..., -1] = 255  # the gaps are opaque
    for i, image in enumerate(images):
        y, x = gap + i // across * step_y, gap + i % across * step_x
        sheet[y:y + height * scale, x:x + width * scale] = image
    return sheet


def _png(sheet: np.ndarray) -> bytes:
    from PIL import Image

    if sheet.shape[2] > 4:
        raise DataError(f"a .png has 1 to 4 channels, these images have {sheet.shape[2]}; write .npy")
    buffer = io.BytesIO()
    Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet).save(buffer, format="PNG")
    return buffer.getvalue()


def _csv(columns: tuple[str, ...], rows: np.ndarray) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows.tolist())  # Python floats print the shortest text that reads back as the same float
    return text.getvalue().encode("utf-8")


def _wav(rate: int, windows: np.ndarray) -> bytes:
    from scipy.io import wavfile

    buffer = io.BytesIO()
    wavfile.write(buffer, rate, windows.reshape(-1))
    return buffer.getvalue()


def _replace(path: Path, content: bytes) -> None:
    """Write beside `path`, then rename over it: a full disk or a kill leaves the earlier file as it was."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with open(beside, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); choose another place") from error

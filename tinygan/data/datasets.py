"""What is trained on: named sets, mixtures and files, all as `Dataset`.

`load(spec)` is the one way in. Nothing here draws at random; samplers do, from a generator that the caller hands over.
"""

from __future__ import annotations

import difflib
import operator
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from tinygan.data import readers

from .batches import EpochSampler, MixtureSampler, Sampler
from .units import Codec, DataError

__all__ = ["NAMES", "Codec", "DataError", "Dataset", "EpochSampler", "MixtureSampler", "Sampler", "load"]

NAMES = ("digits", "ring", "grid", "faces", "mnist")
FORMATS = "idx (.gz), a folder of pictures, .npy, .npz, .csv, .wav"
DEFAULT_WINDOW = 1024

# What a run does unless told otherwise: the set-ups that train well on a named set, or else on each kind of data.
# G deeper than D: the samples between the modes of a mixture are those z that G cannot tear apart, and depth makes it steeper.
MIXTURE = {
    "batch": 256, "z": 16, "r1": 0.01, "lr_d": 2e-3, "lr_g": 2e-3, "hidden": (128, 128, 128, 128), "hidden_d": (128, 128, 128),
}
NAMED: dict[str, dict[str, Any]] = {
    "ring": {**MIXTURE, "hidden_d": (128, 128), "steps": 18_000, "decay": 0.6},
    "grid": {**MIXTURE, "steps": 24_000, "decay": 0.7},
    "digits": {"hidden": (256, 256), "steps": 16_000, "z": 64, "r1": 0.1, "lr_d": 1e-3, "lr_g": 1e-3, "decay": 0.4},
}
KINDS: dict[str, dict[str, Any]] = {
    "images": {"steps": 20_000, "batch": 64, "hidden": (256, 512), "z": 64, "r1": 1.0, "decay": 0.5},
    "table": {"hidden": (256, 256), "z": 32},
    "sound": {"hidden": (256, 512), "z": 64},
}
DCGAN = {"steps": 10_000, "lr_d": 2e-4, "lr_g": 2e-4, "beta1": 0.5, "beta2": 0.999, "batch": 64, "z": 100, "r1": 0.0, "decay": 0.0}



@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples, and what they mean.

    name     the spec's name, or the file's
    codec    from encoded samples to user units
    x        (n, *codec.shape) float32, C-contiguous, encoded; None for the mixtures, which are drawn fresh
    labels   (n,) int64 or None
    centres  (k, 2) float64 in user units, and `std` of every component: mixtures only
    notes    lines worth telling the user: what was skipped or scaled
    """

    name: str
    codec: Codec
    x: np.ndarray | None
    labels: np.ndarray | None = None
    centres: np.ndarray | None = None
    std: float | None = None
    notes: tuple[str, ...] = ()

    def sampler(self, m: int, rng: np.random.Generator) -> Sampler:
        """Batches of `m` samples, every random draw taken from `rng`. Raises DataError unless m >= 1."""
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")
        m = _whole("the batch size", m, least=1)
        if self.x is None:
            return MixtureSampler(self.name, self.codec, self.centres, self.std, m, rng)
        return EpochSampler(self.name, self.codec, self.x, m, rng)

    def defaults(self, arch: str | None = None) -> dict[str, Any]:
        """Return the options of a run (fields of training.Config) that suit this set: by its name, or else by its kind.

        `arch` "dcgan" brings the settings of that architecture's paper.
        """
        own = NAMED.get(self.name)
        is_meant = own and (self.name in ("ring", "grid")) == (self.centres is not None)  # a folder may be called grid too
        chosen = dict(own if is_meant else KINDS[self.codec.kind])
        return {**chosen, **DCGAN} if arch == "dcgan" else chosen


def load(spec: str | Path, *, size: int | None = None, window: int | None = None) -> Dataset:
    """The data that `spec` names.

    digits  scikit-learn's 1,797 8x8 digits          faces  400 64x64 faces, fetched once by scikit-learn
    ring    8 Gaussians on the unit circle, std 0.01   mnist  70,000 28x28 digits, fetched once likewise
    grid    25 Gaussians on {-4, -2, 0, 2, 4}^2, std 0.05, encoded as a quarter of user units
    a path  idx (.gz), a folder of pictures, .npy, .npz, .csv, .wav; a path named like a set is reached as ./digits

    `size` resizes images to size x size, after cropping to the central square. `window` is the number of samples in a
    window of sound (1024), a new window starting every window // 2; a tail that fills no window is dropped.
    Raises DataError, one line, for everything that cannot be used.
    """
    size = None if size is None else _whole("--size", size, least=2, most=4096)
    window = None if window is None else _whole("--window", window, least=2)
    name = str(spec)
    try:
        dataset = _named(name, size) if name in NAMES else _from_path(name, size, window)
    except MemoryError as error:
        raise DataError(f"{name}: too large for this machine's memory; use a part of it") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error})") from error
    if dataset.codec.kind != "images" and size is not None:
        raise DataError(f"{name}: --size is for images, this is {dataset.codec.kind}; leave it out")
    if dataset.codec.kind != "sound" and window is not None:
        raise DataError(f"{name}: --window is for sound, this is {dataset.codec.kind}; leave it out")
    return dataset


def _whole(what: str, value, least: int, most: int | None = None) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or (most is not None and number > most):
        limit = f"at least {least}" if most is None else f"from {least} to {most}"
        raise DataError(f"{what} must be a whole number, {limit}; got {value!r}")
    return number


def _named(name: str, size: int | None) -> Dataset:
    makers: dict[str, Callable[[], Dataset]] = {
        "digits": lambda: _digits(size),
        "ring": lambda: _mixture("ring", ring_centres(), std=0.01, scale=1.0),
        "grid": lambda: _mixture("grid", grid_centres(), std=0.05, scale=4.0),
        "faces": lambda: _faces(size),
        "mnist": lambda: _mnist(size),
    }
    return makers[name]()


def _from_path(spec: str, size: int | None, window: int | None) -> Dataset:
    path = Path(os.path.expanduser(spec))  # unlike Path.expanduser, leaves an unknown ~user alone
    if not spec.strip() or "\0" in spec or not path.exists():
        raise DataError(_unknown(spec))
    if path.is_dir():
        pictures, notes = readers.read_folder(path, size)
        return _images(path.absolute().name, pictures, None, notes=notes)
    if not path.is_file():
        raise DataError(f"{path}: neither a file nor a folder")
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return _from_array(path, readers.read_array(path), size)
    if suffix == ".csv":
        return _table(path, *readers.read_csv(path))
    if suffix == ".wav":
        return _sound(path, window or DEFAULT_WINDOW)
    if suffix in readers.IMAGE_SUFFIXES:
        raise DataError(f"{path}: one picture is not a data set; give the folder with all of them")
    if suffix == ".gz" or "idx" in path.name.lower():  # also train-images-idx3-ubyte, as MNIST is distributed
        return _images(path.name, readers.read_idx(path)[..., None], size)
    raise DataError(f"{path}: unknown format {suffix or '(no suffix)'!r}; known: {FORMATS}")


def _unknown(spec: str) -> str:
    close = difflib.get_close_matches(spec.lower(), NAMES, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    known = f"Known: {', '.join(NAMES)}, or {FORMATS}"
    return f"unknown data {spec!r}, and no file or folder of that name{hint or '.'} {known}"


# ---- mixtures -------------------------------------------------------------------------------------------------------

def ring_centres() -> np.ndarray:
    """(8, 2): angles 2 pi i / 8. A linspace over [0, 2 pi] with both ends would give seven distinct ones."""
    angles = 2 * np.pi * np.arange(8) / 8
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def grid_centres() -> np.ndarray:
    """(25, 2): {-4, -2, 0, 2, 4}^2."""
    ticks = np.arange(-4.0, 5.0, 2.0)
    return np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)


def _mixture(name: str, centres: np.ndarray, std: float, scale: float) -> Dataset:
    codec = Codec("points", (2,), bounded=False, mean=(0.0, 0.0), std=(scale, scale), columns=("x", "y"))
    return Dataset(name, codec, None, centres=centres, std=std)


# ---- images ---------------------------------------------------------------------------------------------------------

def _digits(size: int | None) -> Dataset:
    from sklearn import datasets

    bunch = datasets.load_digits()
    return _images("digits", bunch.images[..., None] / 16.0, size, bunch.target)


def _faces(size: int | None) -> Dataset:
    from sklearn import datasets

    bunch = _fetch("faces", datasets.fetch_olivetti_faces)
    return _images("faces", bunch.images[..., None], size)


def _mnist(size: int | None) -> Dataset:
    from sklearn import datasets

    # The liac-arff parser is slower than the default, which would need pandas.
    bunch = _fetch("mnist", lambda: datasets.fetch_openml("mnist_784", version=1, as_frame=False, parser="liac-arff"))
    pixels = np.asarray(bunch.data).reshape(-1, 28, 28, 1).astype(np.uint8)
    return _images("mnist", pixels, size, np.asarray(bunch.target).astype(np.int64))


def _fetch(name: str, fetch: Callable):
    """scikit-learn keeps what it fetched, so only the first time needs the network."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns before each of its retries
            return fetch()
    except (OSError, EOFError, HTTPException, ValueError) as error:
        raise DataError(f"{name}: could not be fetched ({type(error).__name__}: {error}); the first use needs the "
                        f"network, later ones do not. 'digits' never does") from error


def _images(name: str, images: np.ndarray, size: int | None, labels=None, notes=()) -> Dataset:
    """images (n, H, W, C): uint8, or floats in [0, 1] or [-1, 1]."""
    if min(images.shape) < 1 or len(images) < 2:
        raise DataError(f"{name}: holds {len(images)} image(s) of shape {images.shape[1:]}; at least 2 are needed, "
                        f"of at least 1 pixel. {' '.join(notes)}")
    x = _to_unit(name, images)
    if size is not None and x.shape[1:3] != (size, size):
        x = _resized(x, size)
    codec = Codec("images", x.shape[1:], bounded=True)
    labels = None if labels is None else np.asarray(labels, np.int64)
    return Dataset(name, codec, np.ascontiguousarray(x), labels=labels, notes=tuple(notes))


def _to_unit(name: str, images: np.ndarray) -> np.ndarray:
    """-> float32 in [-1, 1]. Floats without a negative value count as [0, 1]."""
    if images.dtype == bool:
        return images.astype(np.float32) * 2 - 1
    low, high = float(images.min()), float(images.max())
    if images.dtype.kind in "iu" and low >= 0 and high <= 255:
        return images.astype(np.float32) / np.float32(127.5) - 1
    if images.dtype.kind == "f" and low >= 0 and high <= 1:
        return images.astype(np.float32) * 2 - 1
    if images.dtype.kind == "f" and low >= -1 and high <= 1:
        return images.astype(np.float32)
    raise DataError(f"{name}: pixels of dtype {images.dtype} from {low:g} to {high:g}; images need integers in "
                    f"[0, 255], or floats in [0, 1] or [-1, 1]")


def _resized(x: np.ndarray, size: int) -> np.ndarray:
    """(n, H, W, C) float32 -> (n, size, size, C), from the central square, channel by channel, kept in [-1, 1]."""
    from PIL import Image

    y = np.empty((len(x), size, size, x.shape[3]), np.float32)
    for i, c in np.ndindex(len(x), x.shape[3]):
        y[i, :, :, c] = readers.resized(Image.fromarray(np.ascontiguousarray(x[i, :, :, c])), size)
    return np.clip(y, -1, 1)


# ---- arrays, tables, sound ------------------------------------------------------------------------------------------

def _from_array(path: Path, array: np.ndarray, size: int | None) -> Dataset:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path}: dtype {array.dtype} is not a real number; save plain integers or floats")
    if array.ndim == 2:
        return _table(path, array, tuple(f"x{j}" for j in range(array.shape[1])))
    if array.ndim == 3:
        return _images(path.name, array[..., None], size)
    if array.ndim == 4 and 1 <= array.shape[3] <= 4:
        return _images(path.name, array, size)
    if array.ndim == 4 and 1 <= array.shape[1] <= 4:
        raise DataError(f"{path}: shape {array.shape} looks like channels first; save x.transpose(0, 2, 3, 1)")
    raise DataError(f"{path}: shape {array.shape}; expected (n, F) for a table, (n, H, W) or (n, H, W, C) with "
                    f"C from 1 to 4 for images")


def _table(path: Path, rows: np.ndarray, columns: tuple[str, ...]) -> Dataset:
    """Standardised by column; the codec undoes it."""
    if rows.shape[0] < 2 or rows.shape[1] < 1:
        raise DataError(f"{path}: {rows.shape[0]} row(s) of {rows.shape[1]} column(s); at least 2 rows are needed")
    rows = np.asarray(rows, np.float64)
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        i, j = bad[0]
        raise DataError(f"{path}: row {i + 1}, column {j + 1} ({columns[j]}): {rows[i, j]} is not a finite number; "
                        f"remove the row")
    mean, std = _moments(path, rows, columns)
    codec = Codec("table", (len(columns),), bounded=False, mean=mean, std=std, columns=columns)
    return Dataset(path.name, codec, codec.encode(rows))


def _moments(path: Path, rows: np.ndarray, columns: tuple[str, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation by column; a constant column gets 1, so that it encodes to exact zeros."""
    largest = np.abs(rows).max(axis=0)
    for j in np.flatnonzero(largest > 1e300):
        raise DataError(f"{path}: column {j + 1} ({columns[j]}): its values pass 1e300, which cannot be standardised; "
                        f"rescale it")
    # Taken of rows / largest: the squares of tiny numbers are 0 and those of huge ones inf, and a constant column
    # becomes exact ones, whose mean is exact and whose std is exactly 0.
    scaled = rows / np.where(largest == 0, 1.0, largest)
    mean, std = scaled.mean(axis=0) * largest, scaled.std(axis=0) * largest
    std = np.where(std == 0, 1.0, std)
    return tuple(mean.tolist()), tuple(std.tolist())


def _sound(path: Path, window: int) -> Dataset:
    sound, rate, notes = readers.read_wav(path)
    hop = window // 2
    if len(sound) < window + hop:
        raise DataError(f"{path}: {len(sound)} samples are too short; two windows of {window} need {window + hop}, "
                        f"so give a longer file or a smaller --window")
    windows = np.lib.stride_tricks.sliding_window_view(sound, window)[::hop]
    codec = Codec("sound", (window,), bounded=True, rate=rate)
    return Dataset(path.name, codec, np.ascontiguousarray(windows), notes=notes)

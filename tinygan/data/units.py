"""Codec, the root class of every kind of data: it maps user units to what a network trains on, and back.

A checkpoint keeps the codec of its run, so a generator makes pictures, rows or sound without the data.
"""

from __future__ import annotations

import io
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinygan.atomic_files import require_writable_folder, write_atomically
from tinygan.options import NamesOptions, Option, Options, options_of

from .comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DataError(NamesOptions, ValueError):
    """Data that cannot be used. The message is always one line: what is wrong, where, and what to do."""

    def __init__(self, message: str):
        # Messages quote file names and other libraries' errors, either of which may hold line breaks.
        super().__init__(" ".join(str(message).split()))


class ForeignOptionError(DataError):
    """An option of `load` that is for data of another kind.

    kind: the kind of the data that were to be read, in words, such as "images".
    """

    def __init__(self, message: str, kind: str):
        super().__init__(message)
        self.kind = kind


def unlike_the_run(name: str, what: str, other: Any, own: Any) -> str:
    """Return the sentence that refuses data whose samples a run's network does not make.

    name: of the data. what: in which the samples differ, such as "shape". other, own: what those of the data have, and the run's.
    """
    return f"{name}: its samples have the {what} {other}, and those of the run {own}; give such data"


@dataclass(frozen=True)
class Codec(ABC):
    """A kind of data: a subclass is a kind, and one instance of it holds the units of one data set.

    The class knows how its files are recognised and read, how a run on it starts, and how samples are written and drawn.
    CONTRIBUTING.md, "A kind of data", has a whole example. The fields of an instance are
        shape      of one sample: (2,) points, (H, W, C) images, (F,) table, (window,) sound
        mean, std  one float a column (points and table): encoded = (user - mean) / std
        columns    their names (points and table)
        rate       samples a second, Hz (sound)
    and a subclass may add fields of JSON types, tuples included. Raises DataError if the fields contradict each other.
    """

    shape: tuple[int, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    columns: tuple[str, ...] = ()
    rate: int | None = None

    # What a subclass states:
    kind: ClassVar[str]  # its name, in messages and in checkpoints
    rank: ClassVar[int]  # the number of axes of one sample
    bounded: ClassVar[bool]  # encoded samples lie in [-1, 1], so that a generator for them ends in tanh
    formats: ClassVar[tuple[str, ...]] = ()  # what `read` and `from_array` accept, in words, for the list of known formats
    suffixes: ClassVar[tuple[str, ...]] = ()  # the files that `read` is for; no two kinds have one in common
    in_folders: ClassVar[tuple[str, ...]] = ()  # the files of which `read` takes a whole folder; no two kinds have one in common
    overlapping: ClassVar[bool] = False  # neighbouring samples share numbers, as windows of sound do
    arrays: ClassVar[str] = ""  # what `from_array` is for, in words
    options: ClassVar[type[Options] | None] = None  # declares what `read` and `from_array` take by keyword, all None by default
    writes: ClassVar[tuple[str, ...]] = ()  # the suffixes that `file_bytes` can write, besides .npy
    defaults: ClassVar[Mapping[str, Any]] = {}  # options of a run (fields of training.Config) that suit this kind
    defaults_by_arch: ClassVar[Mapping[str, Mapping[str, Any]]] = {  # and what an architecture changes about them
        "dcgan": {"steps": 10_000, "lr_d": 2e-4, "lr_g": 2e-4, "beta1": 0.5, "beta2": 0.999, "batch": 64, "z": 100, "r1": 0.0,
                  "decay": 0.0},  # its paper's: Radford et al. 2016, section 4
    }
    drawn: ClassVar[int] = 64  # generated samples in the picture that ends a run

    @classmethod
    def options_taken(cls) -> dict[str, Option]:
        """Return the options of `load` that this kind takes, by name."""
        return options_of(cls.options) if cls.options else {}

    # ---- where samples come from ------------------------------------------------------------------------------------

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `read` is for the file `path`, whose suffix no kind lists."""
        return False

    @classmethod
    def read(cls, path: Path, **options: Any):
        """Return the Dataset in `path`. Raises DataError."""
        raise NotImplementedError(f"{cls.kind} are read from no file")

    @classmethod
    def takes_array(cls, shape: tuple[int, ...]) -> bool:
        """Return whether `from_array` is for arrays of this shape."""
        return False

    @classmethod
    def from_array(cls, path: Path, array: np.ndarray, **options: Any):
        """Return the Dataset of an array of real numbers that was read from `path`. Raises DataError."""
        raise NotImplementedError(f"{cls.kind} are made from no array")

    # ---- units ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def to_network(self, user: np.ndarray) -> np.ndarray:
        """Map user units (n, *shape), float64, to what a network trains on."""

    @abstractmethod
    def to_user(self, x: np.ndarray) -> np.ndarray:
        """Map generator output (n, *shape), float64, to user units, in the dtype that users expect."""

    def encode(self, user) -> np.ndarray:
        """Map user units (n, *shape) to float32 (n, *shape), C-contiguous: what the discriminator sees as real.

        Images are uint8 in [0, 255], sound int16; points and tables any real dtype.
        """
        return np.ascontiguousarray(self.to_network(self._checked(user)), dtype=np.float32)

    def decode(self, x) -> np.ndarray:
        """Map generator output (n, *shape), any float dtype, to user units: uint8 images, int16 sound, float64 otherwise.

        Bounded kinds are rounded and clipped. Raises DataError for another shape, and for NaN or inf in `x`.
        """
        return self.to_user(self._checked(x))

    def _checked(self, x) -> np.ndarray:
        """Return `x` as float64. Raises DataError unless it is (n, *shape) and finite."""
        x = np.asarray(x, dtype=np.float64)
        if x.ndim == 0 or x.shape[1:] != self.shape:
            raise DataError(f"{self.kind}: expected an array (n, {', '.join(map(str, self.shape))}), got {x.shape}")
        if not np.isfinite(x).all():
            raise DataError(f"{self.kind}: the samples hold NaN or inf; a generator that makes them has diverged")
        return x

    def brought(self, name: str, theirs: Codec, x: np.ndarray | None) -> tuple[np.ndarray | None, tuple[str, ...]]:
        """Return samples `x`, encoded by the codec `theirs`, as this codec encodes them, and notes on it.

        name: of the data, for messages. x is None for a mixture, which is drawn fresh. Raises DataError for samples of another
        kind, shape, rate or columns, and for those that are in other units.
        """
        for what, other, own in (("kind", theirs.kind, self.kind), ("shape", theirs.shape, self.shape),
                                 ("rate", theirs.rate, self.rate)):
            if other != own:
                raise DataError(unlike_the_run(name, what, other, own))
        return (None if x is None else self.encode(theirs.decode(x))), ()

    def to_json(self) -> dict:
        """Return a dict of JSON types only; floats survive json.dumps and loads bit for bit. See `kinds.codec_from_json`.

        A field that a subclass adds is left out where it has its default, so that older checkpoints, which lack it, compare equal.
        """
        stored = {name: _lists_for_tuples(value) for name, value in asdict(self).items()}
        added = {field.name: field.default for field in fields(self)[len(fields(Codec)):]}
        neutral = [name for name, default in added.items() if default is not MISSING and getattr(self, name) == default]
        return {"kind": self.kind, "bounded": self.bounded, **{k: v for k, v in stored.items() if k not in neutral}}

    def described(self, n: int | None) -> str:
        """Return in a few words what a set of n samples is; n is None where they are drawn fresh."""
        return f"{'' if n is None else f'{n:,} '}samples of {self.kind}, shape {self.shape}"

    def __post_init__(self):
        problem = self.shape_problem() or self.rate_problem() or self.column_problem()
        if problem:
            raise DataError(f"codec: {problem}")

    def shape_problem(self) -> str | None:
        """Return what is wrong with `shape`, or None. The fields may come from a damaged or foreign file."""
        if isinstance(self.shape, tuple) and len(self.shape) == self.rank and all(map(is_count, self.shape)):
            return None
        return f"{self.kind} need a shape of {self.rank} positive integers, got {self.shape!r}"

    def rate_problem(self) -> str | None:
        """Return what is wrong with `rate`, or None. Only sound has one."""
        return None if self.rate is None else f"rate is {self.rate!r}; only sound has one, {self.kind} have none"

    def column_problem(self) -> str | None:
        """Return what is wrong with `mean`, `std` and `columns`, or None. Only points and tables have them."""
        return self.column_count_problem(0)

    def column_count_problem(self, width: int) -> str | None:
        """Return what is wrong with the lengths of mean, std and columns, or None where each has `width` entries."""
        if any(not isinstance(v, tuple) or len(v) != width for v in (self.mean, self.std, self.columns)):
            return f"mean, std and columns need {width} entries each for {self.kind} of shape {self.shape}"
        return None

    # ---- files and pictures -----------------------------------------------------------------------------------------

    def write(self, path, x) -> None:
        """Decode generator output `x` (n, *shape) and write it to `path`, in the format that its suffix names.

        .npy, for any kind, holds the array that `decode` returns; each kind's `file_bytes` says what its other formats hold.
        The file appears complete or not at all. Raises DataError for another suffix or an unwritable path.
        """
        path, suffix = Path(path), self.suffix_of(path)
        user = self.decode(x)
        if len(user) == 0:
            raise DataError(f"{path}: no samples to write; ask for at least 1")
        _replace(path, _npy(user) if suffix == ".npy" else self.file_bytes(suffix, user))

    def check_path(self, path) -> None:
        """Raise DataError where `write` could not write to `path`: for another suffix, or a folder that takes no files."""
        self.suffix_of(path)
        try:
            require_writable_folder(Path(path).parent)
        except OSError as error:
            raise _unwritable(path, error) from error

    def suffix_of(self, path) -> str:
        """Return the suffix of a file of samples, in small letters. Raises DataError for one that this kind does not write."""
        suffix = Path(path).suffix.lower()
        if suffix not in self.written():
            raise DataError(f"{path}: {self.kind} can be written to {' or '.join(self.written())} only; "
                            f"give a file name that ends so")
        return suffix

    @classmethod
    def written(cls) -> tuple[str, ...]:
        """Return the suffixes of all files that `write` can make."""
        return (*cls.writes, ".npy")

    def writing_notes(self, suffix: str) -> tuple[str, ...]:
        """Return lines worth telling about what `write` changes in files with this suffix."""
        return ()

    def file_bytes(self, suffix: str, user: np.ndarray) -> bytes:
        """Return the bytes of a file of samples (n, *shape) in user units; `suffix` is one of `writes`. Raises DataError."""
        raise NotImplementedError(f"{self.kind} list {suffix} in `writes`, but do not write it")

    @abstractmethod
    def draw(self, pair: Comparison) -> Figure:
        """Return a picture of real samples beside generated ones."""


def _lists_for_tuples(value: Any) -> Any:
    return list(map(_lists_for_tuples, value)) if isinstance(value, tuple) else value


def is_count(value) -> bool:
    """Return whether `value` is a positive int, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_finite(value) -> bool:
    """Return whether `value` is a finite int or float, and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _npy(user: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, user, allow_pickle=False)
    return buffer.getvalue()


def _replace(path: Path, content: bytes) -> None:
    """Write a file, all of it or nothing. Raises DataError."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be written ({error.strerror or error}); choose another place")

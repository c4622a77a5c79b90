"""`load`, which finds and reads the data that a name or a path stands for.

There are several kinds of data: images, points, tables, sound. Each has a class in kinds/, which recognises its files and reads
them. `load` asks these classes, and refuses in one line what none of them can use.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinygan.options import OptionError, options_of, plain

from . import kinds, readers
from .batches import Dataset
from .comparison import shortened
from .named import NAMED_SETS, NAMES, NamedSet
from .reading import ReadingOptions, reading
from .units import Codec, DataError, ForeignOptionError

__all__ = ["NAMES", "Dataset", "known_data", "known_outputs", "load"]


def load(spec: str | os.PathLike, *, say: Callable[[str], None] | None = None, **options: Any) -> Dataset:
    """Return the data that `spec` names.

    digits  1,797 images of handwritten digits, 8x8, which scikit-learn brings along
    faces   400 images of faces, 64x64, which scikit-learn downloads once and keeps on disk
    mnist   70,000 images of handwritten digits, 28x28, downloaded in the same way
    ring    8 Gaussians on the unit circle, std 0.01
    grid    25 Gaussians on {-4, -2, 0, 2, 4}^2, std 0.05; networks see a quarter of these numbers, or those that `scale` says
    a path  a file or folder in one of the formats that `known_data()` lists; a Path, or a string such as "./digits" where a file
            has the name of a set

    options: those that the kind of data takes; an option that is None counts as not given. `scale` is what the points of ring and
    grid are divided by for the networks, 1 and 4 if it is not given. `size` crops images to their central
    square and resizes them to size x size. `window` is the number of samples in a window of sound, 1024 if it is not given; a new
    window starts every window // 2 samples, and samples at the end that fill no window are dropped. `columns` and `categories` are
    names of a table's columns, separated by commas: those to read, and those of numbers to take as categories; `drop_missing`
    leaves out rows that lack a value; `header` says whether the first row of a text file has the names. `max_memory` is for any
    data: gigabytes that they, and networks for samples of their size, may take, 4 if it is not given; what is larger is refused by
    its header, before it is read. `held_out` is for any data too: the share of the samples that are put aside, as the Dataset's
    `held` (`Dataset.hold_out`).

    say: is told now and then how far a reading is that takes long.
    Raises DataError, whose message is one line, for data that cannot be used; TypeError for an option that no kind has.
    """
    given = _checked(options)
    name = str(spec)
    try:
        with reading(given.pop("max_memory", None), say):
            row = None if isinstance(spec, os.PathLike) else next((row for row in NAMED_SETS if row.name == name), None)
            share = given.pop("held_out", 0)
            dataset = _named(row, given) if row else _from_path(name, given)
            return dataset.hold_out(share) if share else dataset
    except MemoryError as error:
        raise DataError(f"{name}: too large for this machine's memory; use a part of it") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error})") from error


def known_data() -> str:
    """Return what `load` knows, in words: the named sets, then the formats of every kind."""
    return f"{', '.join(NAMES)}, or a path: {_formats()}"


def known_outputs() -> str:
    """Return the suffixes that samples of each kind can be written to, in words."""
    return "; ".join(f"{kind.kind}: {' or '.join(kind.written())}" for kind in kinds.KINDS)


def _formats() -> str:
    return ", ".join(dict.fromkeys(words for kind in kinds.KINDS for words in kind.formats))


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given. Raises DataError for one out of its range, TypeError for one that no kind has."""
    known = {name: option for kind in kinds.KINDS for name, option in kind.options_taken().items()} | options_of(ReadingOptions)
    if unknown := set(options) - set(known):
        raise TypeError(f"no kind of data has an option {sorted(unknown)[0]!r}; there are {', '.join(sorted(known))}")
    given = {name: plain(value) for name, value in options.items() if value is not None}
    try:
        for name, value in given.items():
            known[name].check(value)
    except OptionError as error:
        raise DataError(error.with_flags) from None
    return given


def _refuse_foreign(name: str, kind: type[Codec], given: dict[str, Any]) -> None:
    """Raise ForeignOptionError, which is a DataError, for an option that other kinds have, and this one has not."""
    for option in given:
        owners = {other.kind: other.options_taken()[option] for other in kinds.KINDS if option in other.options_taken()}
        if kind.kind not in owners:
            flag = next(iter(owners.values())).flag
            raise ForeignOptionError(f"{name}: {flag} is for {' and '.join(owners)}, this is {kind.kind}; leave it out", kind.kind)


def _named(row: NamedSet, given: dict[str, Any]) -> Dataset:
    _refuse_foreign(row.name, row.kind, given)
    return row.load(**given)


def _from_path(spec: str, given: dict[str, Any]) -> Dataset:
    """Return the data in a file or folder. Raises DataError."""
    path = Path(os.path.expanduser(spec))  # unlike Path.expanduser, leaves an unknown ~user alone
    if not spec.strip() or "\0" in spec or not path.exists():
        raise DataError(_unknown(spec))
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: neither a file nor a folder")
    if path.is_file() and path.suffix.lower() in readers.ARRAY_SUFFIXES:
        array = readers.read_array(path)
        kind = _kind_of_array(path, array)
        _refuse_foreign(spec, kind, given)
        return kind.from_array(path, array, **given)
    kind = _kind_of(path)
    _refuse_foreign(spec, kind, given)
    return kind.read(path, **given)


def _kind_of(path: Path) -> type[Codec]:
    """Return the kind of a file or folder: by its suffix, else by what the kinds recognise. Raises DataError."""
    if path.is_dir():
        return _kind_of_folder(path)
    name = path.name.lower()
    ending = max((suffix for kind in kinds.KINDS for suffix in kind.suffixes if name.endswith(suffix)), key=len, default=None)
    for kind in kinds.KINDS:
        if ending in kind.suffixes or (ending is None and kind.recognises(path)):
            return kind
    raise DataError(f"{path}: unknown format {path.suffix.lower() or '(no suffix)'!r}; known: {_formats()}")


def _kind_of_folder(folder: Path) -> type[Codec]:
    """Return the kind of which a folder has most files. Raises DataError for one without any."""
    wanted = [suffix for kind in kinds.KINDS for suffix in kind.in_folders]
    files, notes = readers.list_folder(folder, wanted)
    found = Counter(path.suffix.lower() for path in files)
    counts = {kind: sum(found[suffix] for suffix in kind.in_folders) for kind in kinds.KINDS if kind.in_folders}
    best = max(counts, key=lambda kind: counts[kind])
    if counts[best]:
        return best
    others = [path.name for path in files if path.suffix.lower() in readers.ARRAY_SUFFIXES or any(
        path.name.lower().endswith(suffix) for kind in kinds.KINDS for suffix in kind.suffixes)]
    hint = f" It has {others[0]}, which can be read as a file: give its path." if others else ""
    needs = " or ".join(f"{kind.kind} ({' '.join(kind.in_folders)})" for kind in counts)
    raise DataError(f"{folder}: no pictures and no sound in this folder; it needs at least 2 pictures or a file of sound: {needs}."
                    f"{hint or _suffixes(found)} {'. '.join(notes)}")


def _suffixes(found: Counter[str]) -> str:
    """Say which files a folder has, by their suffixes."""
    shown = [f"{count:,} {shortened(suffix) or 'without a suffix'}" for suffix, count in found.most_common(5)]
    return f" Its files are {', '.join(shown)}{' and others' if len(found) > 5 else ''}." if found else ""


def _kind_of_array(path: Path, array: np.ndarray) -> type[Codec]:
    """Return the kind that an array is made into, by its shape. Raises DataError."""
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path}: dtype {array.dtype} is not a real number; save plain integers or floats")
    for kind in kinds.KINDS:
        if kind.takes_array(array.shape):
            return kind
    expected = ", ".join(kind.arrays for kind in kinds.KINDS if kind.arrays)
    raise DataError(f"{path}: shape {array.shape}; expected {expected}")


def _unknown(spec: str) -> str:
    close = difflib.get_close_matches(spec.lower(), NAMES, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown data {spec!r}, and no file or folder of that name{hint or '.'} Known: {known_data()}"

"""NumPy's .npy and .npz files, of plain numbers: nothing is unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..reading import require_memory
from ..units import DataError
from .decoding import decoding

ARRAY_SUFFIXES = (".npy", ".npz")
NEEDED = 28  # bytes of memory a number besides the file's own: float64, float32, and the copies made on the way


def read_array(path: Path) -> np.ndarray:
    """Return the array of an .npy file, or of an .npz file its only array or the one named x, data or images. Raises DataError.

    The header is read first: an array that is too large, holds no plain numbers, or is not all there, is refused before its body.
    """
    with decoding(path, "NumPy file"), open(path, "rb") as file:
        start = file.read(6)
        file.seek(0)
        if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            return _of_npz(path, file)
        if start != b"\x93NUMPY":
            raise DataError(f"{path}: does not begin as NumPy's files do; save the array by np.save or np.savez")
        return _of_npy(path, file, path.stat().st_size)


def _of_npz(path: Path, file: BinaryIO) -> np.ndarray:
    with zipfile.ZipFile(file) as archive:
        held = {name.removesuffix(".npy"): name for name in archive.namelist()}
        member = archive.getinfo(held[_key(path, list(held))])
        with archive.open(member) as one:
            array = _of_npy(path, one, member.file_size)
            one.read(1)  # at its end, where the checksum is compared
            return array


def _of_npy(path: Path, file: Any, length: int) -> np.ndarray:
    """Return the array in an open file of `length` bytes. Raises DataError."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{path}: .npy of version {'.'.join(map(str, version))}, which is for no plain numbers; save integers "
                        f"or floats")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise DataError(f"{path}: holds Python objects, which are not unpickled; save an array of numbers, all rows equally long")
    count = int(np.prod(shape, dtype=object))
    promised = file.tell() + count * dtype.itemsize
    if min(shape, default=1) < 0 or promised != length:
        raise DataError(f"{path}: {length:,} bytes, but its header promises {promised:,} for an array {shape}; fetch or save it "
                        f"again")
    require_memory(path, (dtype.itemsize + NEEDED) * count, f"its {shape} numbers")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _key(path: Path, names: list[str]) -> str:
    """Return the name of the array to read from an .npz file that holds arrays of these names. Raises DataError."""
    if len(names) == 1:
        return names[0]
    for name in ("x", "data", "images"):
        if name in names:
            return name
    held = ", ".join(names) or "none"
    raise DataError(f"{path}: cannot choose among its arrays ({held}); name one x, data or images, or save only one")

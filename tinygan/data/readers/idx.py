"""The idx format, in which MNIST is distributed (http://yann.lecun.com/exdb/mnist), plain or gzipped."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ..reading import require_memory, require_networks
from ..units import DataError
from .decoding import decoding, opened

HEADER = 16  # bytes
NEEDED = 13  # bytes of memory a pixel: the file's own, and float32 with the copies made on the way


def read_idx(path: Path, size: int | None = None) -> np.ndarray:
    """Return the images of an idx file, plain or gzipped: (n, H, W) uint8. Raises DataError.

    Layout: magic 0x00000803 (unsigned byte, 3 dimensions), then n, H, W as big-endian 32-bit, then n H W bytes. No more than the
    header is read of a file that it tells to be too large, and never more than it promises. size: the side to which the images
    will be resized, as far as it is known.
    """
    with decoding(path, "idx file"), opened(path) as (file, packed):
        shape = _shape(path, file.read(HEADER))
        expected = HEADER + shape[0] * shape[1] * shape[2]
        if not packed:
            _check_length(path, path.stat().st_size, expected, shape)
        require_memory(path, NEEDED * expected, f"its {shape[0]:,} images of {shape[1]}x{shape[2]}")
        require_networks(path, (size, size, 1) if size else (*shape[1:], 1), "give --size 64, which makes them smaller")
        body = file.read(expected - HEADER)
        more = bool(file.read(1))  # which also has gzip compare its checksum
        _check_length(path, HEADER + len(body) + more, expected, shape, more)
    return np.frombuffer(body, np.uint8).reshape(shape)


def _shape(path: Path, head: bytes) -> tuple[int, int, int]:
    """Return (n, H, W) from the header. Raises DataError."""
    magic = int.from_bytes(head[:4], "big")
    if len(head) >= 4 and magic == 0x801:
        raise DataError(f"{path}: holds labels (idx magic 0x801), not images; give the file of images (magic 0x803)")
    if len(head) >= 4 and magic != 0x803:
        raise DataError(f"{path}: idx magic {magic:#x}, expected 0x803 (unsigned bytes, 3 dimensions)")
    if len(head) < HEADER:
        raise DataError(f"{path}: {len(head)} bytes are too short for an idx header of {HEADER}; fetch the file again")
    n, height, width = struct.unpack(">3I", head[4:])
    return n, height, width


def _check_length(path: Path, length: int, expected: int, shape: tuple[int, ...], more: bool = False) -> None:
    if length != expected:
        found = f"more than {length - 1:,}" if more else f"{length:,}"
        raise DataError(f"{path}: {found} bytes, but its header promises {expected:,} for {shape} images; fetch the file again")

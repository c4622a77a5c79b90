"""What all readers share: failures of decoders turned into one true line, and files that may be compressed by gzip."""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..units import DataError

GZIP = b"\x1f\x8b"  # what a gzip stream begins with (RFC 1952, section 2.3.1)


@contextmanager
def decoding(path: Path, what: str) -> Iterator[None]:
    """Turn every failure inside into a DataError about `path`; warnings of the decoding library stay silent.

    The message gives the decoder's reason and guesses at no cure, but for the reasons that are known here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (DataError, MemoryError):
        raise
    # A decoder fed mutated bytes raises nearly any class there is (struct.error, SyntaxError, ZeroDivisionError ...).
    except Exception as error:
        raise failure(path, what, error) from error


def failure(path: Path, what: str, error: Exception) -> DataError:
    """Return the DataError for what a decoder of `path` raised."""
    if isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile)):
        return DataError(f"{path}: it is cut short, or its gzip stream is damaged ({error}); fetch or make the file again")
    if isinstance(error, OSError) and error.errno is not None:  # the system's reason, such as a missing permission
        return DataError(f"{path}: cannot be read ({error.strerror})")
    return DataError(f"{path}: not a readable {what} ({str(error) or type(error).__name__})")


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, bool]]:
    """Open a file for reading bytes, unpacked if it begins as a gzip stream does; also whether it is one. Raises OSError."""
    with open(path, "rb") as file:
        packed = file.read(2) == GZIP
        file.seek(0)
        if not packed:
            yield file, False
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked, True  # type: ignore[misc]  # it reads as a file does

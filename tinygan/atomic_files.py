"""Files that are replaced as a whole or not at all, however a write ends: a full disk, a kill, a power cut.

Whether a folder takes files can be asked before there is anything to write.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path, content: bytes, mark: str = "") -> None:
    """Replace `path` by a file with `content`, or leave it as it was. Raises OSError.

    The content is written to a file beside it, called `path` + mark + ".tmp", which is then renamed. mark: tells processes apart
    that may write the same path at the same time; without one, what a killed process left behind is overwritten by the next.
    """
    beside = path.with_name(f"{path.name}{mark}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:  # a second Ctrl-C too
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Flush a rename to the disk. Windows needs no such thing, and could not open a folder for it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def nearest_that_exists(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists. Raises OSError for a path that cannot be, as below a file."""
    for candidate in (path, *path.parents):
        with suppress(FileNotFoundError):
            candidate.stat()
            return candidate
    return Path.cwd()


def require_writable_folder(folder: Path) -> None:
    """Raise OSError where no file could be written into the folder. Nothing is written."""
    if not stat.S_ISDIR(folder.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

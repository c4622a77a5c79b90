"""Files that are replaced as a whole or not at all, however a write ends: a full disk, a kill, a power cut.

No write follows a symbolic link, so nobody who can place one in a folder chooses which other file is overwritten. Whether a folder
takes files can be asked before there is anything to write.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LEFT_BEHIND = re.compile(r"tinygan-[0-9a-f]{16}\.tmp")  # the names of the files that `write_atomically` renames
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)  # Windows has the last one only


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by a file with `content`, or leave it as it was. Raises OSError.

    The content is written to a file beside it, which is then renamed. That file is new, and nobody can know its name beforehand:
    it is no link that somebody placed there, and no file that another process writes. A link at `path` is replaced itself, what it
    points to stays. A killed process leaves the file behind; `remove_left_behind` removes it.
    """
    beside = path.with_name(f"tinygan-{secrets.token_hex(8)}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o666)  # less what the umask takes off
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:  # a second Ctrl-C too
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_left_behind(folder: Path) -> None:
    """Remove what killed processes left in a folder that nobody else writes to. Raises OSError where the folder cannot be read."""
    for name in os.listdir(folder):
        if LEFT_BEHIND.fullmatch(name):
            with suppress(OSError):  # such as a folder of that name, which is none of ours
                (folder / name).unlink()


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Append lines, each with its line break, to a text file in UTF-8; it is made if it is not there.

    Raises OSError, also where `path` is a link, or anything else that is no file of its own.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | _NO_LINK, 0o666)
    with open(descriptor, "a", encoding="utf-8", newline="\n") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        file.writelines(lines)


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

"""One owner for each run's folder: a lock that the system takes away from a process that ends, however it ends.

The lock is the system's own, on the file run.lock in the folder: flock on Linux and macOS, which NFS and SMB pass on to the server,
so that it holds between machines; a locked byte on Windows. A process that is killed, or a machine that is switched off, loses it,
and the file that stays behind locks nothing. What stands in the file, the machine, the process and the time, only explains to
others whom they wait for.

Where a file system has no locks at all, the file itself is the lock: nobody makes it twice, and one that a dead process of this
machine left behind is taken over.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from .checkpoint import CheckpointError

LOCK = "run.lock"
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}  # by file systems that have none
BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}  # the lock is another's
FAR_BEHIND = 1 << 30  # the byte that is locked on Windows, where nobody reads a locked one: behind the text
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
_OURS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class FolderLock:
    """The lock of a run's folder, held within a `with`, in which the same object may be entered again.

    The folder is made if it is not there, and taken away if nothing came into it. Raises CheckpointError, in one line, where
    another run has the folder, in this process or another, and where no file can be made in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._descriptor: int | None = None
        self._depth = 0
        self._made = False

    def __enter__(self) -> FolderLock:
        if self._depth == 0:
            self._take()
        self._depth += 1
        return self

    def __exit__(self, *exception: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._give_back()

    def require_free(self) -> None:
        """Raise CheckpointError where another run has the folder. Nothing is made."""
        if os.path.lexists(self.folder / LOCK):
            with self:
                pass

    def move_folder(self, to: Path) -> None:
        """Rename the folder, and lock a new one in its place, as the holder of the lock. Raises OSError, CheckpointError."""
        if os.name == "nt":  # which moves no folder with an open file in it
            self._give_back()
            os.rename(self.folder, to)
            self._take()
            return
        os.rename(self.folder, to)
        old, self._descriptor = self._descriptor, None
        try:
            self._take()
        finally:
            (to / LOCK).unlink(missing_ok=True)
            if old is not None:
                os.close(old)

    def _take(self) -> None:
        try:
            self._made = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = _locked(self.folder / LOCK)
        except OSError as error:
            raise CheckpointError(f"cannot write to {self.folder}: {error.strerror}; choose another --out") from error
        if self._descriptor is None:
            raise CheckpointError(f"another run is at work in {self.folder}: {_owner(self.folder / LOCK)}; wait for its end, or "
                                  f"choose another --out")
        _HELD.add(self)

    def _give_back(self) -> None:
        """Remove the file and let the lock go, in this order, so that nobody gets hold of the file in between."""
        descriptor, self._descriptor = self._descriptor, None
        _HELD.discard(self)
        if descriptor is None:  # in a child after a fork: the lock is the parent's
            return
        path = self.folder / LOCK
        if os.name == "nt":  # which removes no open file
            os.close(descriptor)
            with suppress(OSError):
                path.unlink()
        else:
            with suppress(OSError):
                if os.path.samestat(path.lstat(), os.fstat(descriptor)):
                    path.unlink()
            os.close(descriptor)
        if self._made:
            with suppress(OSError):  # such as: it is not empty
                self.folder.rmdir()

    def leave_to_parent(self) -> None:
        """Forget the lock, in a child after a fork: it stays the parent's, and goes with the parent alone."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _locked(path: Path) -> int | None:
    """Return a descriptor of the file, which holds its lock, or None where the lock is another's. Raises OSError."""
    while True:
        try:
            descriptor, new = os.open(path, _NEW | _OURS, 0o666), True
        except FileExistsError:
            try:
                descriptor, new = os.open(path, os.O_RDWR | _OURS), False
            except FileNotFoundError:  # its owner ended in between
                continue
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, f"{LOCK} is no file")
            mine = _lock(descriptor)
            if mine is None:
                mine = new or _left_by_the_dead(path)
            current = mine and path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        if current:
            _explain(descriptor)
            return descriptor
        os.close(descriptor)
        if not mine:
            return None


def _lock(descriptor: int) -> bool | None:
    """Lock an open file. Returns whether it is ours now, or None where the file system has no locks. Raises OSError."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, FAR_BEHIND, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in BUSY:
            return False
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def _explain(descriptor: int) -> None:
    """Write into the file who has the lock. A disk that is full keeps nobody from having it."""
    began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    text = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "process": _begun(os.getpid()), "since": began})
    with suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{text}\n".encode())


def _read(path: Path) -> dict[str, Any]:
    """Return what stands in a lock's file; {} where nothing that makes sense does."""
    with suppress(OSError, ValueError, RecursionError):
        with open(path, "rb") as file:
            found = json.loads(file.read(1000))
        if isinstance(found, dict) and isinstance(found.get("pid"), int) and isinstance(found.get("host"), str):
            return found
    return {}


def _owner(path: Path) -> str:
    """Say who has a lock."""
    found = _read(path)
    if not found:
        return f"it has just begun, or {path} was left behind"
    if (found["pid"], found["host"]) == (os.getpid(), socket.gethostname()):
        return "one of this very process"
    return " ".join(f"process {found['pid']} on {found['host']}, since {found.get('since', 'some time')}".split())


def _left_by_the_dead(path: Path) -> bool:
    """Return whether a lock's file was left behind by a process of this machine that is dead, on a file system without locks."""
    found = _read(path)
    if not found or found["host"] != socket.gethostname() or os.name == "nt":
        return False
    try:
        os.kill(found["pid"], 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    begun = _begun(found["pid"])
    return begun is not None and found.get("process") not in (None, begun)  # another process has that number by now


def _begun(pid: int) -> str | None:
    """Return when a process began, as Linux counts it, with the boot that it counts from; None on other systems."""
    with suppress(OSError, IndexError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    return None


_HELD: WeakSet[FolderLock] = WeakSet()


def _after_fork() -> None:
    """Leave the locks to the parent: a child that kept them open would hold them after the parent's death."""
    for lock in list(_HELD):
        lock.leave_to_parent()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

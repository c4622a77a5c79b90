"""Other processes, started so that no file of the working directory is run as code.

`python -m` and `python -c` look for modules in the working directory first: beside somebody's data may lie a numba.py. So a child
here is started isolated (-I), and gets the places where this process looks for modules, less the working directory.
"""

from __future__ import annotations

import json
import locale
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

HOME = Path(__file__).parents[1]  # the folder that tinygan_kernels lies in
PRINTED = 4000  # bytes that are kept of what a child prints
PYTHON = re.compile(r"(python|pypy)[\w.-]*", re.IGNORECASE)  # the names of interpreters, as files
_TAKE_PLACES = """import json, sys
given = json.loads(sys.argv.pop(1))
sys.path[:] = given + [place for place in sys.path if place not in given]
"""


class NoChildError(OSError):
    """A process of Python cannot be started from here; the message says why."""


def python_command(code: str, arguments: Sequence[str] = ()) -> list[str]:
    """Return the command that runs `code` in another Python, with `arguments` in its sys.argv[1:]. Raises NoChildError.

    The other Python imports what this process could import, and nothing from the working directory. An interpreter that is frozen
    into a program, or lies inside one, has no Python to start: sys.executable would start the program itself.
    """
    if getattr(sys, "frozen", False) or not sys.executable or not PYTHON.fullmatch(Path(sys.executable).name):
        raise NoChildError(f"there is no Python to start (sys.executable is {sys.executable or 'empty'})")
    flags = ["-I", *(["-B"] if sys.dont_write_bytecode else []), *(["-X", "utf8"] if sys.flags.utf8_mode else [])]
    return [sys.executable, *flags, "-c", f"{_TAKE_PLACES}{code}", json.dumps(module_places()), *arguments]


def ended_in_time(command: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Execute a command and return (its exit code, the end of what it printed).

    After so many seconds it is ended, and the exit code is None.
    """
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
    assert process.stdout is not None
    kept = bytearray()
    reader = threading.Thread(target=_keep_the_end, args=(process.stdout, kept), daemon=True)
    reader.start()
    try:
        exit_code: int | None = process.wait(seconds)
    except subprocess.TimeoutExpired:
        exit_code = None
    finally:
        process.kill()
        process.wait()
    reader.join(1.0)  # a process that the file started may hold the pipe open for as long as it likes
    return exit_code, bytes(kept).decode(locale.getpreferredencoding(False), "replace").strip()


def _keep_the_end(stream: IO[bytes], kept: bytearray) -> None:
    """Read a stream to its end, and keep the last bytes of it: a file may print without end."""
    with stream:
        while piece := stream.read(1 << 16):
            kept += piece
            del kept[:-PRINTED]


def module_places() -> list[str]:
    """Return where this process looks for modules, less the working directory, unless this package itself lies in it."""
    return [place for place in dict.fromkeys(map(str, sys.path)) if place and (not _same(place, os.curdir) or _same(place, HOME))]


@contextmanager
def only_installed_programs() -> Iterator[None]:
    """Leave on PATH, for the time of a `with`, only absolute folders that are not the working directory.

    For modules of Python's own that look for programs themselves, as `webbrowser` does: an empty entry of PATH means the working
    directory, where a `www-browser` that lies beside somebody's data would be found and run. What is started gets the same PATH.
    Windows looks in the working directory first, unless a variable forbids it. PATH is the whole process's: other
    threads that start programs meanwhile see it too.
    """
    cleaned = installed_programs_alone()
    before = {name: os.environ.get(name) for name in cleaned}
    os.environ.update(cleaned)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def installed_programs_alone(first: Iterable[str] = ()) -> dict[str, str]:
    """Return the variables of the environment with which no program of the working directory is found: PATH, and Windows's own.

    PATH keeps its absolute folders that are not the working directory; those of `first` come before them.
    """
    folders = [folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if _is_elsewhere(folder)]
    return {"PATH": os.pathsep.join([*first, *folders]) or os.defpath, "NoDefaultCurrentDirectoryInExePath": "1"}


def _is_elsewhere(folder: str) -> bool:
    """Return whether a folder of PATH is an absolute one that exists, and not the working directory."""
    return os.path.isabs(folder) and os.path.isdir(folder) and not _same(folder, os.curdir)


def _same(place: str | Path, other: str | Path) -> bool:
    """Return whether two paths lead to the same folder."""
    try:
        return os.path.samefile(place, other)
    except OSError:
        return False

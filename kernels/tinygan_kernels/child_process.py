"""Other processes of Python, started so that no file of the working directory is run as code.

`python -m` and `python -c` look for modules in the working directory first: beside somebody's data may lie a numba.py. So a child
here is started isolated (-I), and gets the places where this process looks for modules, less the working directory.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

HOME = Path(__file__).parents[1]  # the folder that tinygan_kernels lies in
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


def module_places() -> list[str]:
    """Return where this process looks for modules, less the working directory, unless this package itself lies in it."""
    return [place for place in dict.fromkeys(map(str, sys.path)) if place and (not _same(place, os.curdir) or _same(place, HOME))]


def _same(place: str | Path, other: str | Path) -> bool:
    """Return whether two paths lead to the same folder."""
    try:
        return os.path.samefile(place, other)
    except OSError:
        return False

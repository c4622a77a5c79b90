"""Compiling with the help of a second process: a first step needs some fifty loops, each a few tenths of a second of one core.

Where a loop is not on disk yet, and many more wait behind it, a helper process compiles them from the other end of the list. What
the helper is done with lies on disk, where this process finds it when its turn comes; where the two meet, a loop may be compiled
twice.

The helper's `main` reads [[module, loop, names of types], ...] as JSON from standard input and compiles them in that order. It is
only there to save time: where it cannot be started, as in a sandbox, or ends early, this process says so in a line and compiles
everything itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from tinygan_kernels.child_process import python_command

PACKAGE = f"{__package__.rpartition('.')[0]}."  # tinygan_kernels.cpu.: the helper imports modules of this package alone
MANY = 6  # so many loops take longer to compile than a helper takes to start


def compile_all(wanted: Sequence[tuple[Any, str]]) -> None:
    """Make the code of these (loop, names of its arguments' types) ready in this process."""
    waiting = list(dict.fromkeys(wanted))
    helper, tried = None, False
    try:
        while waiting:
            loop, names = waiting.pop(0)
            if loop.compile(names) and not tried and len(waiting) >= MANY and (os.cpu_count() or 1) > 1:
                tried = True
                helper = _helper([(loop, names) for loop, names in reversed(waiting) if named(loop)])
    finally:
        if helper is not None:
            _end(helper)


def _end(helper: subprocess.Popen[bytes]) -> None:
    """End the helper, and say so if it came to nothing by itself."""
    ended = helper.poll()
    helper.kill()
    helper.wait()
    if ended:
        _alone(f"it ended with exit code {ended}")


def _alone(why: str) -> None:
    """Say, once in a process, that there is no helper."""
    if not _SAID:
        _SAID.append(why)
        warnings.warn(f"kernels are compiled without a second process, which takes longer: {why}", RuntimeWarning, stacklevel=2)


_SAID: list[str] = []


def named(loop: Any) -> bool:
    """Return whether another process can find the loop by its module and name."""
    module = sys.modules.get(loop.function.__module__)
    return loop.function.__module__.startswith(PACKAGE) and getattr(module, loop.function.__name__, None) is loop


def _helper(wanted: Sequence[tuple[Any, str]]) -> subprocess.Popen[bytes] | None:
    """Start the helper process on these loops; None where it cannot be started."""
    try:
        command = python_command(f"from {__name__} import main; main()")
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _alone(" ".join(str(error).split()))
        return None
    places = [(loop.function.__module__, loop.function.__name__, names) for loop, names in wanted]
    try:
        process.stdin.write(json.dumps(places).encode())
        process.stdin.close()
    except OSError:  # it has ended already; then everything is compiled here
        pass
    return process


def main() -> None:
    """Compile what standard input lists: the helper process."""
    for module, name, names in json.load(sys.stdin):
        getattr(import_module(module), name).compile(names)

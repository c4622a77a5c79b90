"""Compiling with the help of a second process: a first step needs some fifty loops, each a few tenths of a second of one core.

Where a loop is not on disk yet, and many more wait behind it, a helper process compiles them from the other end of the list. What
the helper is done with lies on disk, where this process finds it when its turn comes; where the two meet, a loop may be compiled
twice.

    python -m tinygan_kernels.cpu.runtime.compile_helper

reads [[module, loop, names of types], ...] as JSON from standard input and compiles them in that order.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

PACKAGE = f"{__package__.rpartition('.')[0]}."  # tinygan_kernels.cpu.: the helper imports modules of this package alone
MANY = 6  # so many loops take longer to compile than a helper takes to start


def compile_all(wanted: Sequence[tuple[Any, str]]) -> None:
    """Make the code of these (loop, names of its arguments' types) ready in this process."""
    waiting = list(dict.fromkeys(wanted))
    helper = None
    try:
        while waiting:
            loop, names = waiting.pop(0)
            if loop.compile(names) and helper is None and len(waiting) >= MANY and (os.cpu_count() or 1) > 1:
                helper = _helper([(loop, names) for loop, names in reversed(waiting) if named(loop)])
    finally:
        if helper is not None:
            helper.kill()
            helper.wait()


def named(loop: Any) -> bool:
    """Return whether another process can find the loop by its module and name."""
    module = sys.modules.get(loop.function.__module__)
    return loop.function.__module__.startswith(PACKAGE) and getattr(module, loop.function.__name__, None) is loop


def _helper(wanted: Sequence[tuple[Any, str]]) -> subprocess.Popen[bytes]:
    """Start the helper process on these loops."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    places = [(loop.function.__module__, loop.function.__name__, names) for loop, names in wanted]
    try:
        process.stdin.write(json.dumps(places).encode())
        process.stdin.close()
    except OSError:  # it could not start; then everything is compiled here
        pass
    return process


def main() -> None:
    """Compile what standard input lists: the helper process."""
    for module, name, names in json.load(sys.stdin):
        getattr(import_module(module), name).compile(names)


if __name__ == "__main__":
    main()

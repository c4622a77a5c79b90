"""Where a Python script is: the line that called the emulator, and the names that it has for its streams."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np


@cache
def _not_the_scripts() -> tuple[str, ...]:
    """Return the beginnings of the files whose lines are none of a script's: the emulator's, Python's own, installed packages'."""
    folders = [Path(__file__).parents[1], Path(contextlib.__file__).parent, Path(np.__file__).parents[1]]
    found = (find_spec(name) for name in ("numba", "numba_cuda"))
    folders += [Path(spec.origin).parent for spec in found if spec is not None and spec.origin]
    return (*(f"{folder}/" for folder in folders), "<frozen ", "<__array_function__")


def frame_of_script() -> FrameType | None:
    """Return the frame of the script that called the emulator, None where there is none."""
    frame: FrameType | None = sys._getframe(1)
    others = _not_the_scripts()
    while frame is not None and frame.f_code.co_filename.startswith(others):
        frame = frame.f_back
    return frame


def place() -> str:
    """Return the line of the script that called the emulator: "script.py:12"."""
    frame = frame_of_script()
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame is not None else "no line of Python"


def variable_of(stream: int) -> str:
    """Return the script's name for a stream, such as s1 or streams[0], "" where it has none. stream: its handle."""
    frame = frame_of_script()
    for names in (frame.f_locals, frame.f_globals) if frame is not None else ():
        for name, value in _named(dict(names)):
            if _handle(value) == stream:
                return name
    return ""


def _named(names: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the values of names, and those in lists, tuples and dicts, as (how Python writes it, value)."""
    for name, value in names.items():
        if not name.startswith("_"):
            yield name, value
            if type(value) in (list, tuple) and len(value) <= 64:
                yield from ((f"{name}[{i}]", part) for i, part in enumerate(value))
            elif type(value) is dict and len(value) <= 64:
                yield from ((f"{name}[{key!r}]", part) for key, part in value.items())


def _handle(value: Any) -> int | None:
    """Return the handle of a stream of any library, by the CUDA stream protocol; None for what is none."""
    if isinstance(value, type) or not hasattr(type(value), "__cuda_stream__"):
        return None
    return int(value.__cuda_stream__()[1])

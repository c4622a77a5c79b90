"""The process that runs a learner's file: it executes the file, judges what it defines, and writes the verdict down."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from tinygan_kernels.source_files import executed

from .exercise import Exercise, Verdict
from .table import EXERCISES


def main() -> None:
    """Judge the file sys.argv[2] by the exercise sys.argv[1]; the verdict goes as JSON into the file sys.argv[3]."""
    name, path, answer = sys.argv[1:]
    verdict = judged(EXERCISES[name], Path(path))
    Path(answer).write_text(json.dumps([verdict.passed, verdict.message]), encoding="utf-8")


def judged(exercise: Exercise, path: Path) -> Verdict:
    """Execute a file and judge what it defines."""
    try:
        defined = _executed(path)
        if not hasattr(defined, exercise.function):
            return Verdict(False, f"it defines no {exercise.function}; tinygan exercises start {exercise.name} writes it")
        return exercise.verdict(getattr(defined, exercise.function))
    except BaseException as error:  # whatever the learner's code raises, SystemExit too
        return Verdict(False, f"it raises {_told(error, path)}")


def _executed(path: Path) -> Any:
    """Execute a Python file, whatever its suffix, and return its module. It may import what lies beside it."""
    sys.path.append(str(path.parent))  # the last place: a numpy.py that lies there as well takes nothing's place
    return executed(path, "answer")


def _told(error: BaseException, path: Path) -> str:
    """Return an error as "ValueError: message (line 12)", with the last line of the learner's file that led to it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    message = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    return f"{type(error).__name__}{f': {message}' if message else ''}{f' (line {line})' if line else ''}"

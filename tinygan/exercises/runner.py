"""The judging of a file in a process of its own, with a time limit: a file that hangs or crashes harms nobody else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tinygan_kernels.child_process import ended_in_time, module_places, python_command

from .exercise import Verdict
from .table import EXERCISES

SECONDS = 120.0  # compiling the CPU's kernels for the first time takes most of a minute


def check(name: str, path: str | Path, seconds: float = SECONDS) -> Verdict:
    """Judge the file of an exercise. It is executed in another Python process, which is ended after so many seconds.

    Raises ValueError where there is no such exercise, FileNotFoundError where there is no such file, IsADirectoryError where it
    is a folder.
    """
    if name not in EXERCISES:
        raise ValueError(f"there is no exercise {name!r}; there are {', '.join(EXERCISES)}")
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name the file with your answer")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; `tinygan exercises start {name} {path}` writes one to begin with")
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "verdict.json"
        code = f"{_place()}from {__package__}.child import main; main()"
        exit_code, printed = ended_in_time(python_command(code, [name, str(path.resolve()), str(answer)]), seconds)
        if exit_code is None:
            passed, message = False, f"it was not done after {seconds:g} seconds, and was ended: is there a loop that never ends?"
        else:
            try:
                passed, message = json.loads(answer.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                passed, message = False, f"its process ended before there was a verdict (exit code {exit_code})"
    return Verdict(passed, message, printed)


def _place() -> str:
    """Return the line with which the child finds this package where it lies in the working directory, as in a checkout."""
    home = str(Path(__file__).parents[2])
    return "" if home in module_places() else f"import sys; sys.path.insert(0, {home!r})\n"

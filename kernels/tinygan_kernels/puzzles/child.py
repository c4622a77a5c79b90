"""The process that runs a learner's file, with a time limit: a file that hangs or crashes harms nobody else."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tinygan_kernels import BackendError
from tinygan_kernels.child_process import ended_in_time, python_command
from tinygan_kernels.shapes import ContractError

from .judge import check, puzzle_named
from .puzzle import Verdict

SECONDS = 120.0


def main() -> None:
    """Judge the file sys.argv[2] by the puzzle sys.argv[1]; the verdict goes as JSON into the file sys.argv[3]."""
    name, path, answer = sys.argv[1:]
    try:
        verdict = check(name, path)
        found: list[object] = [verdict.passed, verdict.message]
    except (BackendError, ContractError, OSError) as error:
        told = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        found = [None, told]
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def check_apart(name: str, file: str | Path, seconds: float = SECONDS) -> Verdict:
    """Judge a file as `check` does, in another Python process, which is ended after so many seconds.

    Raises ContractError as `check` does, for a file that cannot be read too, and where the time is over or the process ends
    without a verdict.
    """
    puzzle_named(name)
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "verdict.json"
        command = python_command(f"from {__name__} import main; main()", [name, str(file), str(answer)])
        exit_code, printed = ended_in_time(command, seconds)
        if exit_code is None:
            raise ContractError(f"{file}: it was not done after {seconds:g} seconds, and was ended; is there an endless loop?")
        try:
            passed, message = json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ContractError(f"{file}: its process ended before there was a verdict (exit code {exit_code})") from None
    if passed is None:
        raise ContractError(message)
    return Verdict(passed, message, printed)

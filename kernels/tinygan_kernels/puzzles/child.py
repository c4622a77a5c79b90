"""The process that runs a learner's files, with a time limit: a file that hangs or crashes harms nobody else."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tinygan_kernels import BackendError
from tinygan_kernels.child_process import ended_in_time, python_command
from tinygan_kernels.own.host import OwnHost
from tinygan_kernels.own.kernel_file import read
from tinygan_kernels.shapes import ContractError

from .answers import answer_files, read_answers
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


def load() -> None:
    """Execute the Python files sys.argv[2:]; the file sys.argv[1] gets a byte for each that has ended, however it ended."""
    done, *files = sys.argv[1:]
    for file in files:
        with suppress(BackendError, ContractError, OSError):  # the process that asked meets them too, and says them
            read(file)
        with Path(done).open("ab") as stream:
            stream.write(b".")


def read_answers_in_time(folder: str | Path, seconds: float = SECONDS) -> dict[str, OwnHost]:
    """Return the answers in a folder as `read_answers` does, whose errors it raises.

    Python files are executed in another process first. Raises ContractError, with the file's name, where they are not done after so
    many seconds, or end that process.
    """
    files = [str(file) for file in answer_files(folder).values() if file.suffix == ".py"]
    with tempfile.TemporaryDirectory() as own:
        done = Path(own) / "done"
        done.touch()
        command = python_command(f"from {__name__} import load; load()", [str(done), *files])
        exit_code, _ = ended_in_time(command, seconds) if files else (0, "")
        ended = done.stat().st_size
    if ended < len(files):
        why = (f"it was not done after {seconds:g} seconds, and was ended; is there an endless loop?" if exit_code is None
               else f"its process ended before its kernel was read (exit code {exit_code})")  # fmt: skip
        raise ContractError(f"{files[ended]}: {why}")
    return read_answers(folder)

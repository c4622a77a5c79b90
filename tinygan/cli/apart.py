"""Commands on a Python file of the user's, in a process of their own: with a time limit, and ended by Ctrl-C whatever they do.

A file is executed as an import does, and may do what it likes: loop without end, also where Python cannot interrupt it, or ignore
signals. So the command that was typed is carried out once more in another process, which this one waits for and can end.
"""

from __future__ import annotations

import locale
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Annotated, Any, NoReturn

import typer
from tinygan_kernels import ContractError
from tinygan_kernels.child_process import module_places, python_command

SECONDS = 300.0  # the limit where none is given
GRACE = 1.0  # seconds that a process has after Ctrl-C to end by itself
LONGEST = 10**6  # seconds
Seconds = Annotated[float | None, typer.Option("--seconds", show_default=False,
                                               help="After how long the command is ended; 0: never. A Python file: after 300.")]
typed: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())
"""The words of the command line that is carried out."""
_marks: list[Path] = []  # in the process that carries out a command for another one: the folder for its marks
_CHILD = "import sys; sys.path += {places!r}; from tinygan.cli import main; main.apart()"


def in_time(file: str, seconds: float | None) -> int | None:
    """Carry out the present command in another process, where it executes a Python file or has a limit; return its exit code.

    file: as it was typed, FILE or FILE:KERNEL. seconds: the limit, 0 for none, None if none was given. None is returned where the
    command is to be carried out here: this is that process already, or there is no need for one. Raises ContractError where the
    time is over, and where the process ends before the command does; BadParameter for another limit.
    """
    from tinygan_kernels.own.kernel_file import split_name

    if seconds is not None and not 0 <= seconds <= LONGEST:  # which nan is not either
        raise typer.BadParameter(f"{seconds:g} is not between 0, for no limit, and {LONGEST}", param_hint="--seconds")
    python = split_name(file)[0].suffix == ".py"
    if _marks or not typed.get() or (seconds is None and not python):
        return None
    limit = SECONDS if seconds is None else seconds
    with tempfile.TemporaryDirectory() as folder:
        places = [place for place in [str(Path(__file__).parents[2])] if place not in module_places()]
        command = python_command(_CHILD.format(places=places), [folder, f"{limit:g}", *typed.get()])
        with _streams() as (streams, relay):
            code = _ended(command, streams, limit, Path(folder))
            relay()
        done = Path(folder) / "code"
        if code is None:
            loop = "; is there an endless loop?" if python else ";"
            longer = f"--seconds {2 * limit:g} gives it longer, --seconds 0 as long as it takes"
            raise ContractError(f"{file}: it was not done after {limit:g} seconds, and was ended{loop} {longer}")
        if not done.exists():
            raise ContractError(f"{file}: its process ended before the command was done (exit code {code})")
        return int(done.read_text())


def _ended(command: list[str], streams: dict[str, Any], limit: float, folder: Path) -> int | None:
    """Execute a command and return its exit code, None if it was ended as the limit was reached. Raises KeyboardInterrupt."""
    process = subprocess.Popen(command, **streams)
    try:
        try:
            return process.wait(limit or None)
        except subprocess.TimeoutExpired:
            return process.wait() if (folder / "executed").exists() else None
    except KeyboardInterrupt:  # which the other process has got too, if it was typed in a terminal
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        raise
    finally:
        process.kill()
        process.wait()


@contextmanager
def _streams() -> Iterator[tuple[dict[str, Any], Callable[[], None]]]:
    """Yield what a process's standard streams are to be, and a function that prints what it has printed, when it has ended.

    They are those of this process, but where Python's own have been replaced, as in a notebook: then they are files.
    """
    printed: list[tuple[Any, IO[bytes]]] = []
    given: dict[str, Any] = {}
    encoding = locale.getpreferredencoding(False)

    def relay() -> None:
        for stream, file in printed:
            file.seek(0)
            stream.write(file.read().decode(encoding, "replace"))

    with ExitStack() as files:
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            stream = getattr(sys, name)
            if stream is None:
                given[name] = subprocess.DEVNULL
            elif not _is_own(stream, number):
                given[name] = file = files.enter_context(tempfile.TemporaryFile())
                if name == "stdin":
                    file.write(_read(stream).encode(encoding, "replace"))
                    file.seek(0)
                else:
                    printed.append((stream, file))
            elif name != "stdin":
                stream.flush()
        yield given, relay


def _read(stream: Any) -> str:
    """Return what a standard input that was replaced holds, "" where it cannot be read."""
    try:
        return str(stream.read())
    except (OSError, ValueError):
        return ""


def _is_own(stream: Any, descriptor: int) -> bool:
    """Return whether one of Python's standard streams is that which the process was started with."""
    try:
        return bool(stream.fileno() == descriptor)
    except (AttributeError, OSError, ValueError):
        return False


# ---- in the other process --------------------------------------------------------------------------------------------------------


def executed() -> None:
    """Say that the user's code has been executed, and that no time limit holds any more: a command is now read from its user."""
    for folder in _marks:
        (folder / "executed").touch()
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def carried_out(run: Callable[[list[str]], int]) -> NoReturn:
    """Carry out the command sys.argv[3:] by `run`, leave its exit code in the folder sys.argv[1], and end the process.

    sys.argv[2] is the time limit. Well after it the system ends the process, in case that the one which waits for it is gone.
    """
    folder, limit, *words = sys.argv[1:]
    _marks.append(Path(folder))
    if float(limit) and hasattr(signal, "alarm"):
        signal.alarm(int(float(limit)) + 30)
    code = run(words)
    with suppress(OSError):
        Path(folder, "code").write_text(str(code))
    os._exit(code)  # what the user's file has left running, or registered for the end, keeps nobody waiting

"""The consoles that commands print to, and the loading of the backend that a command was asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from tinygan_kernels import Backend, load, names

from tinygan.data import NAMES
from tinygan.options import OptionError


class Results(Console):
    """The console of a command's results. A reader that has gone away, as in `tinygan theory | head -1`, raises BrokenPipeError."""

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except (OSError, ValueError) as error:
            with suppress(OSError, ValueError):
                self.begin_capture()  # takes what was not printed out of the buffer, where the next print would find it
                self.end_capture()
            if isinstance(error, OSError) and error.errno is not None:  # which of the two streams, for whoever says it
                raise OSError(error.errno, error.strerror, "the standard output") from error
            raise

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Remarks(Results):
    """The console of what is told on the way. A remark that cannot be printed, as on a full disk, is lost, and the run goes on."""

    def print(self, *objects: Any, **options: Any) -> None:
        with suppress(OSError, ValueError):
            super().print(*objects, **options)


out = Results()
err = Remarks(stderr=True)

RunPlace = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, or a checkpoint file.", show_default=False)]
BackendName = Annotated[str, typer.Option("--backend", help=f"Where kernels run: {', '.join(names())}.")]
Emulate = Annotated[bool, typer.Option("--emulate", help="Execute a CUDA backend's kernels on the CPU: no GPU, no driver. "
                                                         "Default: off.")]


def tell(console: Console, line: str) -> None:
    """Print a line as it is: not wrapped, and without Rich's markup, whose brackets and colons file names may have."""
    console.print(Text(line), soft_wrap=True)


def require_data(data: str, what_else: str) -> None:
    """Raise OptionError where the name of data is that of a run's folder. what_else: what to type; {data} is the run's data."""
    from tinygan.training.checkpoint import CHECKPOINT
    from tinygan.training.config import read_config

    if data not in NAMES and (Path(data) / CHECKPOINT).is_file():
        advice = what_else.replace("{data}", read_config(Path(data)).data)  # not str.format: the path may hold braces
        raise OptionError(f"{data} is the folder of a run, and data are wanted; {advice}")


def require_page(path: Path | None, option: str) -> None:
    """Raise BadParameter where an option names a file to write a page to that is no .html: it would replace another file."""
    if path is not None and path.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"{path} is no name of a page, which ends in .html", param_hint=option)


def load_backend(name: str, emulate: bool = False) -> Backend:
    """Return the backend of that name. The first time in a process that one has to compile, a line on stderr says so.

    Raises BackendError.
    """
    backend = load(name, emulate)
    if name == "cpu":
        _announce_compilation()
    return backend


@cache
def _announce_compilation() -> None:
    """Ask for the line about compiling, once in a process, however many backends are loaded in it."""
    from tinygan_kernels.cpu.backend import announce_compilation

    announce_compilation(lambda line: tell(err, f"tinygan: {line}"))


@contextmanager
def every_name_printable() -> Iterator[None]:
    """Print what a stream's encoding has no character for as an escape such as \\xe9 within the `with`.

    Names of files and columns may hold anything, a terminal may be ASCII, and no result is to be lost to that.
    """
    before: list[tuple[Any, str]] = []
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and stream.errors == "strict":
            before.append((stream, stream.errors))
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in before:
            with suppress(OSError, ValueError):  # what could not be written still cannot
                stream.reconfigure(errors=errors)


@contextmanager
def unchecked(backend: Backend) -> Iterator[None]:
    """Switch the emulator's sanitizer off within the `with`, as it slows every launch down; `tinygan kernels verify` uses it."""
    if not backend.emulated:
        yield
        return
    from tinygan_kernels import emulator

    with emulator.checks(False):
        yield

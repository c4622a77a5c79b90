"""The consoles that commands print to, and the loading of the backend that a command was asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text
from tinygan_kernels import Backend, load, names

out = Console()
err = Console(stderr=True)

BackendName = Annotated[str, typer.Option("--backend", help=f"Where kernels run: {', '.join(names())}.")]
Emulate = Annotated[bool, typer.Option("--emulate", help="Execute a CUDA backend's kernels on the CPU: no GPU, no driver.")]


def tell(console: Console, line: str) -> None:
    """Print a line as it is: not wrapped, and without Rich's markup, whose brackets and colons file names may have."""
    console.print(Text(line), soft_wrap=True)


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

    announce_compilation(lambda line: print(f"tinygan: {line}", file=sys.stderr))


@contextmanager
def unchecked(backend: Backend) -> Iterator[None]:
    """Switch the emulator's sanitizer off within the `with`, as it slows every launch down; `tinygan kernels verify` uses it."""
    if not backend.emulated:
        yield
        return
    from tinygan_kernels import emulator

    with emulator.checks(False):
        yield

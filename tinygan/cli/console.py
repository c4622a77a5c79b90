"""What the commands share: the backend that they were asked for, and how they print."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    """A line as it is: neither wrapped, nor searched for the brackets and colons of Rich's markup, which file names may have."""
    console.print(Text(line), soft_wrap=True)


def load_backend(name: str, emulate: bool = False) -> Backend:
    """The backend, and on stderr a word if it has to compile something first. Raises BackendError."""
    backend = load(name, emulate)
    if name == "cpu":
        from tinygan_kernels.cpu.backend import announce_compilation

        announce_compilation(lambda line: print(f"tinygan: {line}", file=sys.stderr))
    return backend


@contextmanager
def unchecked(backend: Backend) -> Iterator[None]:
    """Without the emulator's sanitizer, which slows every launch down; `tinygan kernels verify` is where it runs."""
    if not backend.emulated:
        yield
        return
    from tinygan_kernels import emulator

    with emulator.checks(False):
        yield

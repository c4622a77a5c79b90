"""The progress bar of a run that trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .console import err

if TYPE_CHECKING:
    from tinygan.training.run import Run


@contextmanager
def progress(run: Run) -> Iterator[Callable[[dict[str, float]], None]]:
    """Yield a function that shows a reading on a live bar if stderr is a terminal, and that does nothing otherwise."""
    if not err.is_terminal:
        yield lambda reading: None
        return
    from tinygan.fitting.progress import bar

    with bar(run, err) as show:
        yield show

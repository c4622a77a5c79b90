"""What a reader may ask while it reads: whether data are too large for the limit, and whether it is time to say how far it is.

`load` opens a reading; whatever reads inside of it, of any kind, calls `require_memory` as soon as a header tells the size, before
the body is read, and `progress` on the way.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from tinygan.options import Options, option

from .units import DataError

DEFAULT_GB = 4.0  # gigabytes (10^9 bytes) that one data set may take, unless --max-memory says otherwise
# Two networks with a layer of 256 units at the sample's end, each with its gradient and Adam's two averages, in float32.
NETWORK_BYTES = 2 * 4 * 256 * 4  # for each number of a sample
QUIET_SECONDS = 2.0  # before the first line of progress, and between two


@dataclass(frozen=True, kw_only=True)
class ReadingOptions(Options):
    """The options of every reading, whatever the kind of data."""

    title = "Data"

    max_memory: float | None = option(None, help="Gigabytes that the data, and networks for samples of their size, may take as "
                                                 "estimated from headers; more is refused before it is read. "
                                                 f"Default: {DEFAULT_GB:g}.",
                                      above=0, neutral=None, may_change=True)
    held_out: float = option(0.0, help="Share of the samples that training leaves out, for tinygan evaluate to judge by.",
                             at_least=0, at_most=0.9, neutral=0.0)


@dataclass
class _Reading:
    """One reading: its limit in bytes, who is told lines of progress, and when the last one was."""

    limit: float = DEFAULT_GB * 1e9
    say: Callable[[str], None] = lambda line: None
    told: float = field(default_factory=lambda: time.monotonic())


_current: ContextVar[_Reading | None] = ContextVar("reading", default=None)


@contextmanager
def reading(max_memory: float | None = None, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Have a limit in gigabytes, and progress told to `say`, within the `with`."""
    opened = _Reading((max_memory or DEFAULT_GB) * 1e9)
    if say is not None:
        opened.say = say
    token = _current.set(opened)
    try:
        yield
    finally:
        _current.reset(token)


def memory_limit() -> float:
    """Return the limit of the reading at hand, in bytes; infinity outside of `load`, where nothing could lift it."""
    opened = _current.get()
    return math.inf if opened is None else opened.limit


def require_memory(path: Path | str, needed: float, what: str, cure: str = "use a part of it") -> None:
    """Raise DataError where `needed` bytes pass the limit. what: takes that memory, in the plural. cure: what else to do."""
    limit = memory_limit()
    if needed > limit:
        raise DataError(f"{path}: {what} take about {needed / 1e9:.3g} GB of memory, more than the limit of {limit / 1e9:g} GB; "
                        f"{cure}, or raise the limit: --max-memory {_whole_gigabytes(needed)}")


def require_networks(path: Path | str, shape: tuple[int, ...], cure: str = "use a part of it") -> None:
    """Raise DataError where networks for samples of this shape would pass the limit."""
    numbers = math.prod(shape)
    across = "x".join(map(str, shape))
    what = f"networks for samples of {across}{f' = {numbers:,}' if len(shape) > 1 else ''} numbers"
    require_memory(path, NETWORK_BYTES * numbers, what, cure)


def _whole_gigabytes(needed: float) -> str:
    return f"{math.ceil(needed / 1e9 * 1.01)}"


def progress(path: Path | str, done: int, what: str, total: int | None = None) -> None:
    """Say how far the reading is, where the last such line is a while ago. what: is counted, in the plural."""
    opened = _current.get()
    if opened is None or (now := time.monotonic()) - opened.told < QUIET_SECONDS:
        return
    opened.told = now
    of = f" of {total:,}" if total else ""
    opened.say(f"reading {path}: {done:,}{of} {what}")

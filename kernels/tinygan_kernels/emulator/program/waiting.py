"""How long a thread of the host may look at atomic variables that nobody changes, before it is taken to wait for another for ever.

Threads of the host run one after the other, each when it is made, so that a loop which only reads cannot end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

READS = 1 << 28
"""The default budget, which takes some seconds."""
_BUDGET: ContextVar[int] = ContextVar("reads", default=READS)


@contextmanager
def spin_budget(reads: int) -> Iterator[None]:
    """Let programs inside of the `with` block read atomic variables at most `reads` times (2^28 by default) without a change.

    std::this_thread::yield() counts as 256 reads, sleep_for() as 4096. A program that reads more often ends with exit code 134 and
    a line that says so. Raises ValueError unless `reads` is a whole number from 1 to 2^62.
    """
    if isinstance(reads, bool) or not isinstance(reads, int) or not 1 <= reads <= 1 << 62:
        raise ValueError(f"reads is {reads!r}: give a whole number of reads, from 1 to 2^62")
    token = _BUDGET.set(reads)
    try:
        yield
    finally:
        _BUDGET.reset(token)


def budget() -> int:
    """Return how many reads without a change there may be."""
    return _BUDGET.get()

"""What Ctrl-C does to a run: it stops after the step at hand, so that nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def interruptible(numbers: Sequence[int] = (signal.SIGINT, signal.SIGTERM)) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether one of the signals came, so that a run can stop after the step at hand.

    A second Ctrl-C does not wait for that: it raises KeyboardInterrupt. Outside the main thread, where Python hands nobody a
    signal, nothing is set up and the function says False. A handler of the user's own, or one from outside Python, stays.
    """
    caught: list[int] = []

    def note(number: int, frame: Any) -> None:
        caught.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    in_charge = threading.current_thread() is threading.main_thread()
    usual = (signal.default_int_handler, signal.SIG_DFL)
    ours = [number for number in numbers if in_charge and signal.getsignal(number) in usual]
    before = {number: signal.signal(number, note) for number in ours}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""What Ctrl-C and other signals do to a run: it stops after the step at hand, so that nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# Ctrl-C; what a system and its job queues send to whom they want to end; a terminal that is closed; Ctrl-Break on Windows
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


@contextmanager
def interruptible(
    numbers: Sequence[int] = ENDING, passed_on: Sequence[int] = ()
) -> Iterator[Callable[[], signal.Signals | None]]:
    """Yield a function that returns which of the signals came, or None, so that a run can stop after the step at hand.

    A second Ctrl-C does not wait for that: it raises KeyboardInterrupt. A second one of the other signals ends the process at once.
    Outside the main thread, where Python hands nobody a signal, nothing is set up and the function returns None. A handler of the
    user's own, or one from outside Python, stays, and so does a signal that is ignored, as SIGHUP is under nohup. The handlers are
    as before when the block is left. passed_on: the signals that then come once more, to end the process as they would have.
    """
    caught: list[signal.Signals] = []

    def note(number: int, frame: Any) -> None:
        caught.append(signal.Signals(number))
        for ending in before:
            signal.signal(ending, signal.default_int_handler if ending == signal.SIGINT else signal.SIG_DFL)

    in_charge = threading.current_thread() is threading.main_thread()
    usual = (signal.default_int_handler, signal.SIG_DFL)
    ours = [number for number in numbers if in_charge and signal.getsignal(number) in usual]
    before = {number: signal.getsignal(number) for number in ours}
    for number in ours:
        signal.signal(number, note)
    try:
        yield lambda: caught[0] if caught else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in caught[:1]:
            if number in passed_on:
                signal.raise_signal(number)

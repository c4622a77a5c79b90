"""A second Ctrl-C always ends the command, also where Python cannot act on it: in the middle of a long compiled loop."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

GRACE = 3.0  # seconds that the command has after a second Ctrl-C to end by itself
INTERRUPTED = 130  # the exit code


@contextmanager
def second_interrupt_ends(grace: float = GRACE) -> Iterator[None]:
    """Within the `with`, let a second Ctrl-C end the process after `grace` seconds, where it has not ended by itself before.

    Python acts on a signal in its main thread, between two of its own instructions. The system's handler behind that also writes
    the signal's number to a socket, at once, and a thread of its own reads it there. Nothing is set up outside the main thread, or
    where somebody else has such a socket.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(reader, ended, grace), name="second Ctrl-C", daemon=True)
    try:
        if before == -1:
            watcher.start()
        else:
            signal.set_wakeup_fd(before)
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        writer.close()  # then the watcher's `recv` ends, and the watcher with it
        if watcher.is_alive():
            watcher.join()
        reader.close()


def _watch(reader: socket.socket, ended: threading.Event, grace: float) -> None:
    """Count the signals that come, and end the process after the second Ctrl-C."""
    count = 0
    while numbers := reader.recv(64):
        count += numbers.count(signal.SIGINT)
        if count >= 2:
            if not ended.wait(grace):
                sys.stderr.write("tinygan: ended by a second Ctrl-C; what was not saved yet is lost\n")
                sys.stderr.flush()
                os._exit(INTERRUPTED)
            return

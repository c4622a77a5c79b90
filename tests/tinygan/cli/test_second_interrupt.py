"""A second Ctrl-C ends a command that cannot act on it, and no other."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from tinygan.cli.second_interrupt import INTERRUPTED, second_interrupt_ends

posix = pytest.mark.skipif(os.name != "posix", reason="processes on Windows are not sent a Ctrl-C of their own")

# A compiled loop that does not end, and lets other threads run
LOOP = """
import signal
import numba, numpy as np
from tinygan.cli.second_interrupt import second_interrupt_ends
@numba.njit(nogil=True)
def endless(x):
    while x[0] == 0:
        x[1] += 1
signal.signal(signal.SIGINT, lambda number, frame: None)  # wherever the first one comes, it changes nothing
with second_interrupt_ends(grace=0.2):
    endless(np.array([1.0, 0.0]))
    print("stuck", flush=True)
    endless(np.zeros(2))
"""


@posix
def test_a_second_interrupt_ends_an_endless_compiled_loop():
    """The first one does nothing, as Python cannot act on it."""
    with subprocess.Popen([sys.executable, "-c", LOOP], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "stuck\n"
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):  # it is still there, as long as there is no second one
            process.wait(1)
        while process.poll() is None:  # again and again, as the system makes one of two that come before the process runs
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
        assert process.returncode == INTERRUPTED
        assert process.stderr.read() == "tinygan: ended by a second Ctrl-C; what was not saved yet is lost\n"


@posix
def test_a_command_that_acts_on_it_is_left_alone():
    """The end by KeyboardInterrupt has the time that it needs, within the grace."""
    with pytest.raises(KeyboardInterrupt), second_interrupt_ends(grace=600):
        signal.raise_signal(signal.SIGINT)
    before = threading.active_count()
    with second_interrupt_ends(grace=600):
        pass
    assert threading.active_count() <= before
    assert signal.set_wakeup_fd(-1) == -1, "the socket is given back"


def test_other_threads_and_sockets_of_others_are_left_alone():
    done = []

    def elsewhere():
        with second_interrupt_ends():
            done.append(True)

    thread = threading.Thread(target=elsewhere)
    thread.start(), thread.join()
    assert done == [True]
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        try:
            with second_interrupt_ends():
                assert signal.set_wakeup_fd(writer.fileno()) == writer.fileno()
        finally:
            assert signal.set_wakeup_fd(-1) == writer.fileno()

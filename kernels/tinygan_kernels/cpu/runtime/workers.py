"""The threads of a team: how they start, where the team's memory lies, and what becomes of them at a fork and at the end."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from dataclasses import astuple

import numba
import numpy as np

from . import waiting
from .system import system_functions
from .team import CAPACITY, MOST, ROW, TEAM_COUNTERS, TEAM_ROWS, dismiss, prepare, work
from .threads import MOST_THREADS, numbas_own, patience
from .waiting import DOCK, LINE, STAGES, THREADS, WORD


class Team:
    """A team of `threads` threads, of which the caller's is the first. Jobs with more stages than it has room for are done alone.

    workers: whether it starts the other threads itself; otherwise its jobs are for `run_with_numbas_threads`.
    """

    def __init__(self, threads: int, workers: bool = True) -> None:
        self.threads, self.has_workers, self._capacity = threads, workers, 0
        self.address = _kept_for_ever(THREADS + threads * LINE)
        system = system_functions()
        *words, prepare_lock, prepare_condition = astuple(system)
        self._write(0, *words)
        self._write(waiting.PATIENCE, *patience(os.environ))
        self._write(MOST, threads)
        for place in (DOCK, STAGES):
            for offset, function in ((waiting.MUTEX, prepare_lock), (waiting.CONDITION, prepare_condition)):
                if function:
                    prepare(function, self.address + place + offset)
        self.make_room(256)
        self._workers = [
            threading.Thread(target=work, args=(self.address, me), name=f"tinygan-{me}", daemon=True)
            for me in range(1, threads if workers else 1)
        ]
        if self._workers:
            work.compile("void(int64, int64)")  # here, and not in every worker at once
        for worker in self._workers:
            worker.start()

    def make_room(self, stages: int) -> None:
        """See to it that jobs of so many stages find room. The memory before stays: somebody may still be in it."""
        if stages <= self._capacity:
            return
        self._capacity = max(stages, 2 * self._capacity)
        self._write(TEAM_ROWS, _kept_for_ever(self._capacity * ROW))
        self._write(TEAM_COUNTERS, _kept_for_ever(self._capacity * (self.threads + 1) * LINE))
        self._write(CAPACITY, self._capacity)

    def stop(self) -> None:
        """End the workers, if the team has no job. What is run afterwards is done by the thread that calls."""
        if dismiss(self.address):
            for worker in self._workers:
                worker.join()

    def shares(self) -> tuple[float, float]:
        """Return the seconds that the team's threads ran, and those in which they wanted to run while others had their cores.

        Both are sums over the windows that were measured.
        """
        lines = [THREADS + me * LINE for me in range(self.threads)]
        used, taken = (sum(self._read(line + word) for line in lines) for word in (waiting.USED, waiting.TAKEN))
        return used / 1e9, taken / 1e9

    def _write(self, offset: int, *words: int) -> None:
        for i, word in enumerate(words):
            ctypes.c_int64.from_address(self.address + offset + WORD * i).value = word

    def _read(self, offset: int) -> int:
        return ctypes.c_int64.from_address(self.address + offset).value


def _kept_for_ever(size: int) -> int:
    """Return the address of so many bytes of zeros, at the start of a cache line, that are never freed."""
    memory = np.zeros(size + LINE, np.uint8)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))
    return memory.ctypes.data + -memory.ctypes.data % LINE


_TEAM: list[Team] = []  # the process's own, from the first job on
_MAKING = threading.Lock()


def the_team() -> Team:
    """Return the process's team; the first call starts it."""
    if not _TEAM:
        with _MAKING:
            if not _TEAM:
                _TEAM.append(Team(MOST_THREADS, workers=not numbas_own(numba.config.THREADING_LAYER)))
    return _TEAM[0]


def shares() -> tuple[float, float]:
    """Return the seconds that this process's team ran, and those in which it wanted to run while others had its cores.

    As `Team.shares`; zeros before there is a team.
    """
    return _TEAM[0].shares() if _TEAM else (0.0, 0.0)


def _forget() -> None:
    """Forget the team in a child after a fork: its threads are the parent's. The child starts one of its own when it needs one."""
    global _MAKING
    _MAKING = threading.Lock()
    _TEAM.clear()


@atexit.register
def _stop() -> None:
    """Stop the workers before the interpreter takes the machine code away that they run."""
    for team in _TEAM:
        team.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

"""The threads of a team: how they start, where the team's memory lies, and what becomes of them at a fork and at the end."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
import warnings
from dataclasses import astuple

import numba
import numpy as np

from . import waiting
from .system import system_functions
from .team import MOST, ROW, dismiss, give_room, prepare, work
from .threads import MOST_THREADS, patience, started_layer, uses_numbas_threads
from .waiting import DOCK, LINE, STAGES, THREADS, WORD


class Team:
    """A team of `threads` threads, of which the caller's is the first. Jobs with more stages than it has room for are done alone.

    workers: whether it starts the other threads itself; otherwise its jobs are for `run_with_numbas_threads`. capacity: the stages
    that it has room for.
    """

    def __init__(self, threads: int, workers: bool = True) -> None:
        self.threads, self.has_workers, self.capacity = threads, workers, 0
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
        self._growing, self._stopped = threading.Lock(), False
        self.make_room(256)
        self._workers: list[threading.Thread] = []
        if workers and threads > 1:
            try:
                self._start_workers()
            except BaseException:  # such as Ctrl-C: nobody else knows of those that have started
                self.stop()
                raise

    def _start_workers(self) -> None:
        """Start the other threads, or as many of them as the system allows: whoever is there does the parts of all."""
        work.compile("void(int64, int64)")  # here, and not in every worker at once
        for me in range(1, self.threads):
            worker = threading.Thread(target=work, args=(self.address, me), name=f"tinygan-{me}", daemon=True)
            try:
                worker.start()
            except RuntimeError as error:
                warnings.warn(
                    f"the CPU backend works with {me} of {self.threads} threads, as the system starts no more of them ({error}); "
                    f"NUMBA_NUM_THREADS={me} asks for no more", RuntimeWarning, stacklevel=2,
                )
                return
            self._workers.append(worker)

    def make_room(self, stages: int) -> None:
        """See to it that jobs of so many stages find room. The memory before stays: somebody may still be in it.

        Nothing is done if another thread is at it, or the code that a signal's handler interrupted: then a job that is too long is
        done by the thread that calls, alone.
        """
        if stages <= self.capacity or not self._growing.acquire(blocking=False):
            return
        try:
            capacity = max(stages, 2 * self.capacity)
            rows, counters = (_kept_for_ever(capacity * size) for size in (ROW, (self.threads + 1) * LINE))
            give_room(self.address, rows, counters, capacity)
            self.capacity = capacity  # last: if Ctrl-C comes in between, the next call does it again
        finally:
            self._growing.release()

    def stop(self, patience: float = 1.0) -> None:
        """End the workers. From now on whoever calls does the job alone.

        patience: for how many seconds to wait for a job of another thread. If it takes longer, the workers leave after it.
        """
        if self._stopped:
            return
        deadline = time.monotonic() + patience
        while not dismiss(self.address):
            if time.monotonic() > deadline:
                return
            time.sleep(0.001)
        self._stopped = True
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
_OPENMP_WAS_FORKED = False  # whether this is a child of a process in which Numba had started OpenMP's threads


def the_team() -> Team | None:
    """Return the process's team; the first call starts it.

    Returns None, and a job is then done alone, while another thread starts the team, or the code that a signal's handler
    interrupted, which cannot go on before the handler returns; also at the end of the process, if there has been no team before.
    """
    if _TEAM:
        return _TEAM[0]
    making = _MAKING  # a fork in a signal's handler would put another one in its place
    if not making.acquire(blocking=False):
        return None
    try:
        if not _TEAM:
            workers = _OPENMP_WAS_FORKED or not uses_numbas_threads(numba.config.THREADING_LAYER)
            _TEAM.append(Team(MOST_THREADS, workers=workers))
        return _TEAM[0]
    finally:
        making.release()


def shares() -> tuple[float, float]:
    """Return the seconds that this process's team ran, and those in which it wanted to run while others had its cores.

    As `Team.shares`; zeros before there is a team.
    """
    return _TEAM[0].shares() if _TEAM else (0.0, 0.0)


def _forget() -> None:
    """Forget the team in a child after a fork: its threads are the parent's. The child starts one of its own when it needs one.

    GNU's OpenMP cannot start threads again in the child, and Numba ends a child that asks for them. So the child's team has workers
    of its own where Numba had started OpenMP in the parent, even if NUMBA_THREADING_LAYER asks for OpenMP.
    """
    global _MAKING, _OPENMP_WAS_FORKED
    _MAKING = threading.Lock()
    _OPENMP_WAS_FORKED = started_layer() == "omp"
    _TEAM.clear()


@atexit.register
def _stop() -> None:
    """Stop the workers before the interpreter takes the machine code away that they run, and let nobody start a team any more."""
    _MAKING.acquire(timeout=1.0)  # and never release it; another thread may be starting the team just now
    for team in _TEAM:
        team.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

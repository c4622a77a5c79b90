"""The functions of the operating system by which compiled code reads clocks and sleeps: their addresses, as words for the team.

On POSIX systems these are clock_gettime and the mutexes and condition variables of pthreads. On Windows they are
QueryPerformanceCounter, slim reader/writer locks and condition variables, which take the same arguments in the same places; a
function does not look at arguments beyond its own. Windows has no clock of a thread's own that is fine enough to tell who else ran.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FOREVER = 0xFFFFFFFF  # INFINITE in Windows; pthread_cond_wait does not look at it


@dataclass(frozen=True)
class SystemFunctions:
    """Addresses of C functions, and the numbers that they are called with.

    clock(monotonic, address of two words): writes the time, first word * unit + second word, in nanoseconds.
    thread_clock: the number of the clock of this thread's own CPU time; -1 where there is none that is fine enough.
    lock(mutex), unlock(mutex), sleep(condition, mutex, FOREVER, 0), wake_all(condition): what they are called with.
    prepare_lock, prepare_condition(memory, 0): make a mutex or a condition variable of 64 bytes of memory, the most that one takes
    (macOS: 64; glibc and musl on 64-bit machines: 48); 0 where zeros will do.
    """

    clock: int
    monotonic: int
    thread_clock: int
    unit: int
    lock: int
    unlock: int
    sleep: int
    wake_all: int
    prepare_lock: int = 0
    prepare_condition: int = 0


def system_functions() -> SystemFunctions:
    """Return the functions of this operating system."""
    return _windows() if sys.platform == "win32" else _posix()


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def moves_on(clock: Callable[[], int]) -> bool:
    """Return whether a clock of CPU time moves on within a fraction of a millisecond of work.

    Some sandboxes count whole ticks of 4 or 10 ms. By such a clock a thread that ran all the time seems to have been put aside.
    """
    return len({clock() for _ in range(300)}) > 2  # one tick may fall in between


def _posix() -> SystemFunctions:
    c = ctypes.CDLL(None)
    names = ("pthread_mutex_lock", "pthread_mutex_unlock", "pthread_cond_wait", "pthread_cond_broadcast",
             "pthread_mutex_init", "pthread_cond_init")
    fine = hasattr(time, "CLOCK_THREAD_CPUTIME_ID") and moves_on(time.thread_time_ns)
    thread_clock = time.CLOCK_THREAD_CPUTIME_ID if fine else -1
    clock = _address(c.clock_gettime)
    return SystemFunctions(clock, time.CLOCK_MONOTONIC, thread_clock, 10**9, *(_address(getattr(c, name)) for name in names))


def _windows() -> SystemFunctions:
    kernel = ctypes.WinDLL("kernel32")
    a_second = ctypes.c_int64()
    kernel.QueryPerformanceFrequency(ctypes.byref(a_second))
    names = ("AcquireSRWLockExclusive", "ReleaseSRWLockExclusive", "SleepConditionVariableSRW", "WakeAllConditionVariable")
    clock = _address(kernel.QueryPerformanceCounter)
    # QueryPerformanceCounter takes the address first: the team hands the address over in the place of the clock's number too
    return SystemFunctions(clock, -1, -1, max(1, 10**9 // a_second.value), *(_address(getattr(kernel, name)) for name in names))

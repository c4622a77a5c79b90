"""How many threads there are, and how long they wait awake: what the environment says, and where it says nothing, a default.

    NUMBA_NUM_THREADS, OMP_NUM_THREADS   the most threads; without them, one for each core that the process may use, and in a
                                         container no more than its limit says (docker run --cpus=2)
    OMP_WAIT_POLICY                      "passive": whoever waits sleeps at once; "active": nobody ever sleeps
    NUMBA_THREADING_LAYER                "omp", "tbb" or "workqueue": Numba's threads of that kind in place of the team's own,
                                         but in a child after a fork, where OpenMP's threads cannot be started again

NUMBA_NUM_THREADS counts before OMP_NUM_THREADS. `numba.set_num_threads` sets a smaller number for what is bound afterwards. All of
this is read and never written: other libraries see the environment, and their own threads, as they were.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numba
from numba.np.ufunc import parallel

IDLE, CROWDED = 1_000_000, 5_000  # nanoseconds: PATIENCE and SHORT_PATIENCE of `waiting`
FOR_EVER = 1 << 62  # nanoseconds


def container_cores(groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the limit of a Linux container, in cores, rounded up; None if there is none or it cannot be read.

    groups: the container's control group, of version 2 (the file cpu.max) or 1 (a folder cpu). A limit is a time for each period.
    """
    with suppress(OSError, ValueError, ZeroDivisionError):
        if (groups / "cpu.max").exists():
            quota, period = (groups / "cpu.max").read_text().split()  # "200000 100000", or "max 100000"
        else:
            quota, period = ((groups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))  # -1: no limit
        return -(-int(quota) // int(period)) if int(quota) > 0 else None
    return None


def most_threads(environment: Mapping[str, str], cores: int, limit: int | None = None) -> int:
    """Return the most threads of this process.

    cores: Numba's own count, which follows NUMBA_NUM_THREADS. limit: that of the container, which counts where neither variable
    says anything.
    """
    if "NUMBA_NUM_THREADS" in environment:
        return cores
    wanted = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list is for nested teams; its first is the outermost
    if wanted.isdecimal() and int(wanted) > 0:
        return min(int(wanted), cores)
    return min(limit or cores, cores)


MOST_THREADS = most_threads(os.environ, numba.config.NUMBA_NUM_THREADS, container_cores())  # scratch memory is made for so many


def thread_count() -> int:
    """Return how many threads a pipeline that is bound now will have: MOST_THREADS, or fewer after `numba.set_num_threads`."""
    # Before any parallel code of Numba's has run nobody can have set another number, and to ask would start threads of Numba's.
    started = getattr(parallel, "_is_initialized", True)
    return min(numba.get_num_threads(), MOST_THREADS) if started else MOST_THREADS


def patience(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return how many nanoseconds a thread waits awake on an idle machine, and on a crowded one."""
    policy = environment.get("OMP_WAIT_POLICY", "").strip().lower()
    return {"passive": (0, 0), "active": (FOR_EVER, FOR_EVER)}.get(policy, (IDLE, CROWDED))


def uses_numbas_threads(setting: str) -> bool:
    """Return whether Numba's threads are to be used instead of the team's own.

    setting: `numba.config.THREADING_LAYER`, which is "default" unless the user has set it.
    """
    return setting.lower() != "default"


def started_layer() -> str | None:
    """Return which of Numba's threads run in this process, "omp", "tbb" or "workqueue"; None if Numba has not started any."""
    try:
        return numba.threading_layer()
    except ValueError:  # "Threading layer is not initialized"
        return None


def why_unusable() -> str | None:
    """Return a line that says why the threads that NUMBA_THREADING_LAYER asks for are not to be had, or None. If it asks for any,
    Numba's threads are started to find out.
    """
    layer = numba.config.THREADING_LAYER
    if not uses_numbas_threads(layer):
        return None
    try:
        numba.get_num_threads()  # which starts them
    except ValueError as error:
        said = ": ".join(line.strip(" .:") for line in str(error).splitlines())
        return f"NUMBA_THREADING_LAYER is {layer!r}, and Numba has no such threads here ({said}); leave the variable out"
    return None

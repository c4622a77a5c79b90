"""How many threads there are, and how long they wait awake: what the environment says, and where it says nothing, a default.

    NUMBA_NUM_THREADS, OMP_NUM_THREADS   the most threads; without them, one for each core that the process may use
    OMP_WAIT_POLICY                      "passive": whoever waits sleeps at once; "active": nobody ever sleeps
    NUMBA_THREADING_LAYER                "omp", "tbb" or "workqueue": Numba's threads of that kind in place of the team's own

`numba.set_num_threads` sets a smaller number for what is bound afterwards. All of this is read and never written: other libraries
see the environment, and their own threads, as they were.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numba
from numba.np.ufunc import parallel

IDLE, CROWDED = 1_000_000, 5_000  # nanoseconds: PATIENCE and SHORT_PATIENCE of `waiting`
FOR_EVER = 1 << 62


def most_threads(environment: Mapping[str, str], cores: int) -> int:
    """Return the most threads of this process. cores: what Numba says, which has read NUMBA_NUM_THREADS."""
    wanted = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list is for nested teams; its first is the outermost
    if "NUMBA_NUM_THREADS" in environment or not wanted.isdecimal() or int(wanted) == 0:
        return cores
    return min(int(wanted), cores)


MOST_THREADS = most_threads(os.environ, numba.config.NUMBA_NUM_THREADS)  # each has its scratch memory beforehand


def thread_count() -> int:
    """Return how many threads what is bound now will have: MOST_THREADS, or fewer after `numba.set_num_threads`."""
    # Before any parallel code of Numba's has run nobody can have set another number, and to ask would start threads of Numba's.
    started = getattr(parallel, "_is_initialized", True)
    return min(numba.get_num_threads(), MOST_THREADS) if started else MOST_THREADS


def patience(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return how many nanoseconds a thread waits awake on an idle machine, and on a crowded one."""
    policy = environment.get("OMP_WAIT_POLICY", "").strip().lower()
    return {"passive": (0, 0), "active": (FOR_EVER, FOR_EVER)}.get(policy, (IDLE, CROWDED))


def numbas_own(setting: str) -> bool:
    """Return whether Numba's threads are to be used. setting: `numba.config.THREADING_LAYER`, by which a user chooses them."""
    return setting.lower() != "default"


def why_unusable() -> str | None:
    """Say in one line why the threads that NUMBA_THREADING_LAYER asks for cannot be had; None if they can, or if nobody asks."""
    layer = numba.config.THREADING_LAYER
    if not numbas_own(layer):
        return None
    try:
        numba.get_num_threads()  # which starts them
    except ValueError as error:
        said = ": ".join(line.strip(" .:") for line in str(error).splitlines())
        return f"NUMBA_THREADING_LAYER is {layer!r}, and Numba has no such threads here ({said}); leave the variable out"
    return None

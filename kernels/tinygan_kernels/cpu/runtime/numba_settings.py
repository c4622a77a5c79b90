"""Whether Numba can compile here, as the environment sets it; asked before anything is imported that needs it to."""

from __future__ import annotations

import os


def why_unusable() -> str | None:
    """Say in one line which setting of Numba's keeps kernels from being compiled; None if none does."""
    try:
        from numba import config
        from numba.np.ufunc import parallel  # noqa: F401  # which reads the number of threads
    except ValueError as error:
        threads = os.environ.get("NUMBA_NUM_THREADS")
        return f"NUMBA_NUM_THREADS is {threads!r}, and Numba refuses it ({error}); give at least 1, or leave the variable out"
    if config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT is set, and kernels are there only when they are compiled; leave the variable out"
    return None

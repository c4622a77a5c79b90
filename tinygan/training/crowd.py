"""A notice, given once, that other programs take the cores of a run: its steps take far longer than its work does."""

from __future__ import annotations

import time
from collections.abc import Callable

from tinygan_kernels import Backend

EVERY = 10.0  # seconds between two looks
FAR_MORE = 1.5  # times as long as on an idle machine


class CrowdNotice:
    """Say once, by `say(line)`, that steps take FAR_MORE times as long or more because others use the cores, and what helps.

    Called at any time, as often as one likes: it looks every EVERY seconds. What it looks at are the backend's shares: how long its
    threads ran since the last look, and how long they wanted to run and could not.
    """

    def __init__(self, backend: Backend, say: Callable[[str], None], clock: Callable[[], float] = time.perf_counter) -> None:
        self._backend, self._say, self._clock = backend, say, clock
        self._looked, self._before = clock(), backend.shares()
        self._said = False

    def __call__(self) -> None:
        """Look, if it is time to, and say it if it is so."""
        now = self._clock()
        if self._said or now - self._looked < EVERY:
            return
        shares = self._backend.shares()
        ran, wanted = (after - before for after, before in zip(shares, self._before, strict=True))
        self._looked, self._before = now, shares
        if ran > 0 and ran + wanted >= FAR_MORE * ran:
            self._said = True
            self._say(f"other programs use the cores: steps take about {1 + wanted / ran:.1f} times as long as on an idle machine. "
                      "Fewer programs at a time help; for several runs side by side, NUMBA_NUM_THREADS=1 for each of them does")

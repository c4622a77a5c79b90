"""Generated samples of a run in progress, from a generator of random numbers that is not the run's own."""

from __future__ import annotations

import numpy as np

from tinygan.training.run import Run
from tinygan.training.samples import samples_of


def fake_samples(run: Run, n: int, rng: np.random.Generator, average: bool = True) -> np.ndarray:
    """Return n samples (n, *shape), float32, of the G that `tinygan sample` would use: the average of G where there is one.

    With average=False they are of the G in play.
    """
    G = (average and run.game.average) or run.game.G
    return samples_of(G, rng.standard_normal((n, run.config.z), np.float32), run.backend, rng, at_once=512)

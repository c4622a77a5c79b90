"""A moment of a run: all that its course depends on, kept in memory, so that the run can go back to it."""

from __future__ import annotations

import copy

import numpy as np

from .run import Run


class Moment:
    """All that a run's course depends on, as it is when the moment is made: its arrays are copied."""

    def __init__(self, run: Run) -> None:
        self.step = run.step
        self.arrays = {name: np.array(array) for name, array in run.saved_arrays().items()}
        self.state = copy.deepcopy(run.course())

    def restore(self, run: Run) -> None:
        """Take the run back to this moment."""
        run.restore(self.arrays, self.state)

    @property
    def nbytes(self) -> int:
        """The memory that the arrays take."""
        return sum(array.nbytes for array in self.arrays.values())

    def is_now(self, run: Run) -> bool:
        """Return whether the run is at this moment, to the bit."""
        now = run.saved_arrays()
        same = all(np.array_equal(bits_of(array), bits_of(self.arrays[name])) for name, array in now.items())
        return same and set(now) == set(self.arrays) and run.course() == self.state


def bits_of(array: np.ndarray) -> np.ndarray:
    """Return an array's bytes (n,) uint8, by which NaN equals NaN, and 0.0 differs from -0.0."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)

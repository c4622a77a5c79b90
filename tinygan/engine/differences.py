"""Derivatives by differences, with a test for kinks: what `gradcheck` and `check_derivation` both measure by.

A function of one number t is evaluated at five points, t = h, h/2, 0, -h/2, -h. Together these give
- a derivative whose error is of order h^4 (Richardson extrapolation of the two central differences),
- a test for kinks: on smooth ground the two central differences C(h), C(h/2) agree, and the jump between the slopes to the
  right and to the left, J(h), halves with h. At a kink within h of t = 0 one of the two fails, wherever in the window the kink is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

POINTS = (1, 0.5, 0, -0.5, -1)  # of h, in the order in which `slopes` takes the values there
SHORTER = (1.0, 0.1, 0.01)  # of h, in turn until no kink is seen: what is only steep is smooth at a shorter step, a kink is not
KINK = 1e-3  # slopes that disagree by this share are no rounding and no curvature


@dataclass(frozen=True)
class Slopes:
    """What five values of a function say of its derivative: numbers, or arrays with one element for each function.

    wide, narrow: the central differences at h and h/2. jump_wide, jump_narrow: the slope to the right less that to the left, at
    these steps. right, left: the one-sided slopes at h/2.
    """

    wide: Any
    narrow: Any
    jump_wide: Any
    jump_narrow: Any
    right: Any
    left: Any

    @property
    def numeric(self) -> Any:
        """Return the derivative, extrapolated from both steps."""
        return (4 * self.narrow - self.wide) / 3

    @property
    def scale(self) -> Any:
        """Return the size of the largest slope that was seen."""
        sizes = abs(self.wide), abs(self.narrow), abs(self.jump_narrow)
        return max(sizes) if isinstance(self.wide, float) else _largest(sizes)

    def disagreement(self) -> Any:
        """Return by how much the slopes differ that agree where the function is smooth."""
        found = abs(self.wide - self.narrow), abs(self.jump_wide - 2 * self.jump_narrow)
        return max(found) if isinstance(self.wide, float) else _largest(found)

    def kink(self, rounding: Any) -> Any:
        """Return whether the function has a kink within h, where rounding alone moves a slope by `rounding`."""
        return self.disagreement() > KINK * self.scale + 10 * rounding


def at_shorter_steps(
    measure: Callable[[float], Slopes], h: float, noise: Any, kinked: Callable[[Slopes, Any], Any] = Slopes.kink
) -> tuple[Slopes, float]:
    """Return the slopes at the longest step of h * SHORTER at which no kink is seen, and that step.

    measure(step) gives the slopes at a step. noise: how far rounding alone moves a difference of two values; divided by the step it
    is how far it moves a slope, which `kinked(slopes, rounding)` allows for. A step at which rounding could hide the kink that was
    seen before is not tried. Where every step sees a kink, the slopes are those of the last one.
    """
    found, step = measure(h), h
    first = found.scale
    for factor in SHORTER[1:]:
        if not np.any(kinked(found, noise / step)) or np.any(10 * noise / (factor * h) > KINK * first):
            break
        found, step = measure(factor * h), factor * h
    return found, step


def _largest(arrays: Sequence[Any]) -> Any:
    return np.maximum.reduce(arrays)


def slopes(values: Sequence[Any], h: float) -> Slopes:
    """Return the slopes of a function with these values at the five POINTS times h. The values are numbers, or arrays alike."""
    right, half_right, here, half_left, left = values
    return Slopes(
        wide=(right - left) / (2 * h),
        narrow=(half_right - half_left) / h,
        jump_wide=(right - 2 * here + left) / h,
        jump_narrow=(half_right - 2 * here + half_left) / (h / 2),
        right=(half_right - here) / (h / 2),
        left=(here - half_left) / (h / 2),
    )

"""The curves of a game: a point now and then, thinned so that a game of any length keeps a bounded number of them."""

from __future__ import annotations

from typing import Any

MOST = 600  # points

Point = dict[str, Any]


class Charts:
    """Points by step, in order. Where there are too many, every other one is dropped, and from then on they lie further apart.

    ghost: the points of the future that was given up when the game last went back; a fork can be compared with it.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most, self.points, self.ghost, self.apart = most, list[Point](), list[Point](), 1

    def add(self, point: Point) -> bool:
        """Add a point, if its step lies far enough from the last one. Return whether it was added."""
        if self.points and point["step"] < self.points[-1]["step"] + self.apart:
            return False
        self.points.append(point)
        if len(self.points) > self.most:
            self.points = self.points[::2]
            span = self.points[-1]["step"] - self.points[0]["step"]
            self.apart = max(self.apart, 2 * span // self.most)
        return True

    def cut_back(self, step: int) -> None:
        """Go back to a step: later points become the ghost."""
        later = [point for point in self.points if point["step"] > step]
        if later:
            self.ghost = later
        self.points = [point for point in self.points if point["step"] <= step]

    def clear(self) -> None:
        """Forget all points and the ghost."""
        self.points, self.ghost, self.apart = [], [], 1

"""All exercises by name, from the easy ones on."""

from __future__ import annotations

from .derivatives import DERIVATIVES
from .exercise import Exercise
from .games import GAMES

# Every exercise by its name, in the order in which one best does them.
EXERCISES: dict[str, Exercise] = {exercise.name: exercise for exercise in (*DERIVATIVES, *GAMES)}

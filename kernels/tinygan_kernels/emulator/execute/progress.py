"""What keeps a launch from running for ever: the step budget, and the discovery that threads only wait for others.

A step is one basic block run by one group of lanes. Execution is deterministic, so if the whole state of a machine (where its lanes
are, its registers, memory) is what it was some steps ago, its lanes run in a circle that only another thread block can end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

STEPS = 2_000_000
"""The default budget: steps that the thread blocks which run at once may take, about a minute or two."""
_BUDGET: ContextVar[int] = ContextVar("steps", default=STEPS)

FIRST_LOOK, CIRCLE, SLICE = 4096, 61, 200_000
SOON = 64
"""The first look at a cooperative launch, whose blocks are known to wait for one another."""
TURNS, SHORT_CIRCLES = 16, 24
"""Turns that each of several groups gets, where all do; circles of 1, 2, 3, 4, 6, 8, 12 or 24 turns are seen at once."""


@contextmanager
def step_budget(steps: int) -> Iterator[None]:
    """Let the thread blocks that run at once take at most `steps` steps in launches inside the `with` block (2,000,000 by default).

    A step is one basic block that one group of threads runs; a launch that needs more raises EmulatorError, with the lines that
    its threads are at. Raises ValueError unless `steps` is a whole number above 0.
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ValueError(f"steps is {steps!r}: give a whole number of basic blocks, 1 or more")
    token = _BUDGET.set(int(steps))
    try:
        yield
    finally:
        _BUDGET.reset(token)


def careful(steps: int) -> bool:
    """Say whether a store counts as a change only if it changes bytes: in an eighth of the steps, as looking costs time."""
    return steps & 0x1C00 == 0x1C00


class Watch:
    """Looks at a scheduler now and then, when its machine has run `due` steps, and says whether its lanes only run in a circle."""

    def __init__(self, machine, first_look: int = FIRST_LOOK):
        self.machine, self.budget = machine, _BUDGET.get()
        self.first_look = SOON if machine.cooperative else first_look
        self.stalled = False  # whether the last pause was because nothing can change from inside
        self.resume()

    def resume(self) -> None:
        """Begin to look anew, as memory has changed or time has passed."""
        self.begun = self.machine.blocks_run
        self.due = min(self.begun + self.first_look, self.budget + 1)
        self.seen: tuple | None = None
        self.seen_at = 0
        self.window = self.first_look

    def exhausted(self) -> bool:
        """Say whether the budget is used up."""
        return self.machine.blocks_run > self.budget

    def pause(self, groups: dict, waiting: int, fair: bool) -> bool:
        """Say whether the scheduler has to stop here: its lanes run in a circle, have had their slice of time, or their budget.

        groups: its groups by position; waiting: how many lanes wait at barriers and collectives; fair: whether all groups get
        turns, without which a circle means nothing. (Brent's way to find a cycle)
        """
        run = self.machine.blocks_run
        if run > self.budget:
            return True
        if not fair or (careful(run) and not careful(self.seen_at)):
            self.seen = None
        self.stalled = self.seen is not None and run > self.seen_at and self._repeats(groups, waiting)
        if self.stalled or run - self.begun > SLICE:
            return True
        if fair and (self.seen is None or run - self.seen_at > self.window):
            self.window *= 1 if self.seen is None else 2
            self.seen, self.seen_at = self._state(groups, waiting), run
        step = CIRCLE if len(groups) == 1 else TURNS * len(groups)  # a whole round of the groups
        self.due = min(run + step, self.budget + 1)
        return False

    def _place(self, groups: dict, waiting: int) -> tuple:
        return tuple(sorted((key, lanes.count) for key, lanes in groups.items())), waiting, self.machine.access.changes

    def sample(self, key: tuple, lanes) -> tuple:
        """Return where a group is, its first lane's registers, a count of changes to memory: with progress, one changes."""
        lane = lanes.index[0]
        return key, self.machine.access.changes, *(table[:, lane].tobytes() for table in self.machine.tables)

    def _state(self, groups: dict, waiting: int) -> tuple:
        masks = {key: lanes.mask for key, lanes in groups.items()}
        registers = [table.copy() for table in self.machine.tables]
        return self._place(groups, waiting), self.sample(*_first(groups)), masks, registers

    def _repeats(self, groups: dict, waiting: int) -> bool:
        """Say whether the state is the one that was noted, cheapest comparison first."""
        place, sample, masks, registers = self.seen
        if place != self._place(groups, waiting) or sample != self.sample(*_first(groups)):
            return False
        return all((masks[key] == lanes.mask).all() for key, lanes in groups.items()) and _same(registers, self.machine.tables)


def _same(some: list[np.ndarray], others: list[np.ndarray]) -> bool:
    """Say whether two lists of arrays hold the same bytes."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(some, others, strict=True))


def _first(groups: dict) -> tuple:
    key = min(groups)
    return key, groups[key]

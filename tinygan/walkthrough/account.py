"""The account of a step: moves, each with lines of a formula and a number, as text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One number of an account. key: its short name, unique in a move. formula: how it is computed, from numbers above it.

    value: the number. by_hand: the same, computed by NumPy alone; None where that was not asked for or cannot be done.
    """

    key: str
    formula: str
    value: float
    by_hand: float | None = None

    @property
    def difference(self) -> float | None:
        return None if self.by_hand is None else abs(self.value - self.by_hand)


@dataclass(frozen=True)
class Move:
    """One move.

    title: what happens. code: the function that does it, with its line. remarks: what flows where, and what is held.
    """

    title: str
    code: str
    remarks: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()

    def __getitem__(self, key: str) -> float:
        """Return the number of a line. Raises KeyError."""
        for line in self.lines:
            if line.key == key:
                return line.value
        raise KeyError(f"the move {self.title!r} has no number {key!r}; it has {', '.join(line.key for line in self.lines)}")


@dataclass(frozen=True)
class Account:
    """An account of one step, which `str` gives to read.

    moves: in their order. why_not_by_hand: one line, where NumPy was asked for and cannot follow.
    """

    title: str
    moves: tuple[Move, ...]
    why_not_by_hand: str = ""

    def move(self, words: str) -> Move:
        """Return the first move whose title contains these words. Raises LookupError."""
        for move in self.moves:
            if words in move.title:
                return move
        raise LookupError(f"no move is called {words!r}; there are {', '.join(repr(m.title) for m in self.moves)}")

    @property
    def differences(self) -> list[tuple[Move, Line]]:
        """The lines that were computed by hand as well, with their moves."""
        return [(move, line) for move in self.moves for line in move.lines if line.by_hand is not None]

    @property
    def worst(self) -> float:
        """The largest difference between a number and the same by hand, as a share of the number, or of 1 where that is more."""
        return max(((line.difference or 0.0) / max(abs(line.value), 1.0) for _, line in self.differences), default=0.0)

    def __str__(self) -> str:
        parts = [self.title]
        for move in self.moves:
            parts += ["", move.title, f"   {move.code}", *(f"   {remark}" for remark in move.remarks)]
            parts += _table(move.lines)
        if self.why_not_by_hand:
            parts += ["", f"not by hand: {self.why_not_by_hand}"]
        elif self.differences:
            parts += ["", f"by hand: {len(self.differences)} numbers by NumPy alone, in float64; the largest difference is "
                          f"{self.worst:.1e} of the number, or of 1 where that is more"]
        return "\n".join(parts)

    __repr__ = __str__


def _table(lines: tuple[Line, ...]) -> list[str]:
    """Return the lines of a move in columns."""
    hand = any(line.by_hand is not None for line in lines)
    keys = max((len(line.key) for line in lines), default=0)
    rows = []
    for line in lines:
        beside = f"  by hand {line.by_hand:+.8g}, off by {line.difference:.1e}" if hand and line.by_hand is not None else ""
        rows.append(f"   {line.key.ljust(keys)} = {line.value:+.8g}{beside}   [{line.formula}]")
    return rows

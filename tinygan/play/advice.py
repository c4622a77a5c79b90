"""The alarms of training in the page: what was seen, since when, and a button for each cure that an alarm names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tinygan.measure.alarms import Alarms
from tinygan.training.config import Config
from tinygan.training.run import Run


@dataclass(frozen=True)
class Cure:
    """One thing that helps. label: what the button says. changes: the options that it sets."""

    label: str
    changes: dict[str, Any]


# What a button does for each piece of advice that alarms.py gives, as changes of the options in force.
CURES: dict[str, Callable[[Config], Cure]] = {
    "add --r1": lambda c: Cure("add R1, gamma 0.3", {"r1": 0.3}),
    "add --noise": lambda c: Cure("add instance noise, std 0.1", {"noise": 0.1}),
    "add --pack 2": lambda c: Cure("let D judge packs of 2 (D begins anew)", {"pack": 2}),
    "add --unroll": lambda c: Cure("let G look 3 steps ahead", {"unroll": 3, "unroll_rate": 0.01}),
    "lower --lr-d": lambda c: Cure(f"halve D's rate to {c.lr_d / 2:.3g}", {"lr_d": c.lr_d / 2}),
    "lower --k": lambda c: Cure("k = 1", {"k": 1}),
    "raise --k": lambda c: Cure(f"k = {min(c.k + 4, 1000)}", {"k": min(c.k + 4, 1000)}),
}


def advice_in(line: str) -> list[str]:
    """Return the pieces of advice behind "To cure it:" in the line of an alarm: ["add --r1", "lower --lr-d"]."""
    _, _, advice = line.partition("To cure it: ")
    return [piece for piece in re.split(r", | or ", advice) if piece]


@dataclass(frozen=True)
class Warned:
    """An alarm that is on, or was. name: its name. text: what was seen. since: the step. over: whether it ended since."""

    name: str
    text: str
    since: int
    over: bool
    cures: list[Cure]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Watch:
    """The alarms of a session's run, which begin anew where the game goes back or another one begins."""

    def __init__(self, run: Run) -> None:
        self._alarms = Alarms(run, lambda line: None)
        self._since: dict[str, int] = {}

    def look(self, run: Run, reading: dict[str, float]) -> bool:
        """Hand the alarms a reading of the run. Return whether what they say has changed."""
        before = self.said()
        self._alarms.run = run  # options may have changed, and the run with them
        self._alarms(reading)
        for name in self._alarms.said:
            if name not in self._since or (name in {w.name for w in before if w.over} and name not in self._alarms.over):
                self._since[name] = int(reading["step"])
        return self.said() != before

    def said(self) -> list[Warned]:
        """Return the alarms that went off, those that are over included."""
        alarms, config = self._alarms, self._alarms.run.config
        return [Warned(name, _plain(line), self._since.get(name, 0), name in alarms.over,
                       [] if name in alarms.over else [CURES[piece](config) for piece in advice_in(line) if piece in CURES])
                for name, line in alarms.said.items()]


def _plain(line: str) -> str:
    """Return the line of an alarm without its step and its advice, which the page shows by itself."""
    text = re.sub(r"^step [\d,]+: ", "", line.partition(" To cure it:")[0])
    return f"{text[:1].upper()}{text[1:]}"

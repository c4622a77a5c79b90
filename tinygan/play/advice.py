"""The alarms of training in the page: what was seen, since when, and a button for each cure that an alarm names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tinygan.measure.alarms import Alarms
from tinygan.options import options_of
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
    """An alarm that is on, or was.

    name: its name. text: what was seen. at: the step at which it went off. over_at: the step at which it was seen to be over, or
    None. cures: what may help now. tried: the changes of options since it went off, each as a line: "step 1,200: --k 1 → 5".
    """

    name: str
    text: str
    at: int
    over_at: int | None
    cures: list[Cure]
    tried: list[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Watch:
    """The alarms of a session's run, which begin anew where the game goes back or another one begins."""

    def __init__(self, run: Run) -> None:
        self._alarms = Alarms(run, lambda line: None)
        self._at: dict[str, int] = {}
        self._over_at: dict[str, int] = {}
        self._tried: dict[str, list[str]] = {}

    def look(self, run: Run, reading: dict[str, float]) -> bool:
        """Hand the alarms a reading of the run. Return whether what they say has changed."""
        before = self.said()
        self._alarms.run = run  # options may have changed, and the run with them
        self._alarms(reading)
        for name in self._alarms.said:
            if name in self._alarms.over:
                self._over_at.setdefault(name, int(reading["step"]))
            elif name not in self._at or name in self._over_at:  # it went off just now, for the first time or again
                self._at[name], self._tried[name] = int(reading["step"]), []
                self._over_at.pop(name, None)
        return self.said() != before

    def changed(self, step: int, before: Config, after: Config) -> None:
        """Take note that options were changed, for the alarms that are on."""
        known = options_of(Config)
        what = [f"{known[name].flag} {_shown(old)} → {_shown(new)}" for name in known
                if (old := getattr(before, name)) != (new := getattr(after, name))]
        for name in self._alarms.said:
            if what and name not in self._alarms.over:
                self._tried.setdefault(name, []).append(f"step {step:,}: {', '.join(what)}")

    def said(self) -> list[Warned]:
        """Return the alarms that went off, those that are over included."""
        alarms, config = self._alarms, self._alarms.run.config
        return [Warned(name, _plain(line), self._at.get(name, 0), self._over_at.get(name),
                       [] if name in alarms.over else [CURES[piece](config) for piece in advice_in(line) if piece in CURES],
                       list(self._tried.get(name, [])))
                for name, line in alarms.said.items()]


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def _plain(line: str) -> str:
    """Return the line of an alarm without its step and its advice, which the page shows by itself."""
    text = re.sub(r"^step [\d,]+: ", "", line.partition(" To cure it:")[0])
    return f"{text[:1].upper()}{text[1:]}"

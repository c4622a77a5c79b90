"""One game that can be stepped, changed while it runs, and taken back to any of its steps, to go on from there bit for bit.

It is a run of training (training/run.py) without a folder. Moments of it are kept at intervals; whoever goes back to a step is
taken to the last moment before it, and what happened since is played again. As a run has no randomness but that of its generators,
and the generators are part of a moment, the step that is reached is the very one that was there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from tinygan_kernels import Backend

from tinygan.data import DataOptions, Dataset
from tinygan.engine.tensor import Tensor, wrap
from tinygan.game.moves import Logits
from tinygan.nn.architectures import NetworkOptions
from tinygan.options import OptionError, options_of
from tinygan.training.config import Config
from tinygan.training.moment import Moment
from tinygan.training.run import Run

MOMENT_BYTES = 64 * 2**20  # of memory for the moments of a session
FEWEST, MOST = 8, 128  # moments
FIRST_INTERVAL = 50  # steps between two moments, until there are too many

FIXED = {"data", "backend", "emulate", "save_every", "snapshots", *options_of(DataOptions)}
"""The options that cannot change while a game is played."""
NEW_GAME = {"seed", *options_of(NetworkOptions)}
"""The options that decide the networks themselves: another value begins a new game."""

Kind = Literal["d", "g", "set", "constant_d"]


@dataclass(frozen=True)
class Event:
    """Something that happened besides steps of both players: at a step, a move of one player alone, or a change of options."""

    step: int
    kind: Kind
    changes: Mapping[str, Any]

    @property
    def makes_a_step(self) -> bool:
        return self.kind in ("d", "g")


@dataclass(frozen=True)
class Kept:
    """A moment, the options that were in force, and how many events lay before it."""

    moment: Moment
    config: Config
    events: int


class Session:
    """A game on data of the page. config: all its options, of which `steps` says how far it goes.

    run: the run as it is now, which another one replaces where options change. A move of one player alone counts as a step, so a
    step has one number.
    """

    def __init__(self, config: Config, dataset: Dataset, backend: Backend) -> None:
        self.dataset, self.backend = dataset, backend
        self.begin_anew(config)

    def begin_anew(self, config: Config) -> None:
        """Begin a new game at step 0."""
        self.run = self._new_run(config)
        # of the step of both players that was the last thing to happen, in memory that the next step overwrites; else None
        self.logits: Logits | None = None
        self.events: list[Event] = []
        self.interval = FIRST_INTERVAL
        self.kept = [self._moment()]
        self.most = int(np.clip(MOMENT_BYTES // max(self.kept[0].moment.nbytes, 1), FEWEST, MOST))

    def _new_run(self, config: Config) -> Run:
        return Run(config, self.dataset, self.backend, None)

    @property
    def config(self) -> Config:
        return self.run.config

    @property
    def step(self) -> int:
        return self.run.step

    @property
    def at_end(self) -> bool:
        """True where all steps of the options are made."""
        return self.run.step >= self.run.config.steps

    # ---- forward --------------------------------------------------------------------------------------------------------------

    def play(self, steps: int = 1) -> None:
        """Make steps of both players, as training does. Raises OptionError at the end of the run."""
        for _ in range(steps):
            self._require_room()
            self._step_of_both()

    def move_d(self) -> None:
        """Move D alone, once, on a fresh batch: one ascent step. Raises OptionError at the end of the run."""
        self._alone("d")

    def move_g(self) -> None:
        """Move G alone, once, on fresh noise: one descent step. Raises OptionError at the end of the run."""
        self._alone("g")

    def _step_of_both(self) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # a game that diverges shows it
            self.logits = self.run.make_step()
        self.run.step += 1
        self._keep_if_due()

    def _alone(self, kind: Kind) -> None:
        self._require_room()
        self.events.append(Event(self.step, kind, {}))
        self._apply(self.events[-1])

    def _require_room(self) -> None:
        if self.at_end:
            raise OptionError(f"all {self.config.steps:,} steps are made; to go on, give a larger --steps")

    def _move_alone(self, kind: Kind) -> None:
        x, z = (self.tensor(batches) for batches in self.run.prepare())
        game = self.run.game
        with np.errstate(over="ignore", invalid="ignore"):
            if kind == "d":
                game.ascend_d(x[0], z[0])
            else:
                game.descend_g(z[len(z.array) - 1], x[len(x.array) - 1] if game.g_needs_data else None)
        self.run.step += 1
        self._keep_if_due()

    def tensor(self, array: np.ndarray) -> Tensor:
        """Return an array as a tensor on the session's backend, a constant."""
        return wrap(self.backend.asarray(array), self.backend)

    def reached(self, logits: Logits) -> None:
        """Take note that a step of both players was made by hand, one move after the other (moves.py)."""
        self.logits = logits
        self._keep_if_due()

    # ---- changes --------------------------------------------------------------------------------------------------------------

    def change(self, changes: Mapping[str, Any]) -> bool:
        """Change options, from the next step on. Return True if that began a new game: see NEW_GAME.

        The packs that D judges decide what D takes, so with another --pack D begins anew against the same G. Raises OptionError for
        values out of range, and for options that cannot change; nothing has changed then.
        """
        changed = {name: value for name, value in checked(changes).items() if getattr(self.config, name) != value}
        if not changed:
            return False
        config = replace(self.config, **changed)
        if config.steps < self.step:
            raise OptionError(f"--steps is {config.steps}, but the game is at step {self.step} already")
        if NEW_GAME & set(changed):
            self.begin_anew(config)
            return True
        event = Event(self.step, "set", changed)
        self._apply(event)
        self.events.append(event)
        return False

    def make_d_constant(self) -> None:
        """Set D's last layer to 0, so that D(x) = 1/2 everywhere: the trap in which V is -log 4 whatever G makes."""
        self.events.append(Event(self.step, "constant_d", {}))
        self._apply(self.events[-1])

    def _apply(self, event: Event) -> None:
        self.logits = None  # those of the last step are of other networks or options
        if event.kind == "set":
            self.run = self._carried_over(replace(self.config, **event.changes))
        elif event.kind == "constant_d":
            theta = self.run.game.D.parameters()
            last = list(theta)[-1].rpartition(".")[0]
            for name, t in theta.items():
                if name.rpartition(".")[0] == last:
                    t.array[...] = 0
        else:
            self._move_alone(event.kind)

    def _carried_over(self, config: Config) -> Run:
        """Return a run with other options that goes on from this one: with all arrays that fit, and the same generators.

        An average of G that was not there begins as G. If anything of D does not fit, D begins anew.
        """
        run, now = self._new_run(config), Moment(self.run)
        arrays = {name: np.array(array) for name, array in run.saved_arrays().items()}
        fits = {name for name, array in arrays.items() if name in now.arrays and now.arrays[name].shape == array.shape}
        if any(name.startswith("D.") and name not in fits for name in arrays):
            fits = {name for name in fits if not name.startswith("D.")}
        for name in arrays:
            if name in fits:
                arrays[name] = now.arrays[name]
            elif name.startswith("average."):
                arrays[name] = now.arrays[f"G.{name.removeprefix('average.')}"]
        run.restore(arrays, now.state)
        return run

    # ---- back -----------------------------------------------------------------------------------------------------------------

    def back(self, step: int) -> None:
        """Go back to a step, with the options that were in force when the game left it; what came later is forgotten.

        Raises OptionError for a step that is not between 0 and the present one.
        """
        if not 0 <= step <= self.step:
            raise OptionError(f"step {step:,} is not between 0 and {self.step:,}, where the game is")
        events = self.events
        while len(self.kept) > 1 and self.kept[-1].moment.step > step:
            self.kept.pop()
        start = self.kept[-1]
        if start.config != self.config:
            self.run = self._new_run(start.config)
        start.moment.restore(self.run)
        self.logits = None
        self.events = events[: start.events]
        for event in [*events[start.events :], None]:
            until = step if event is None else min(event.step, step)
            while self.step < until:
                self._step_of_both()
            if event is None or event.step > step or (event.step == step and event.makes_a_step):
                return
            self.events.append(event)
            self._apply(event)

    def _keep_if_due(self) -> None:
        if self.step % self.interval or self.step <= self.kept[-1].moment.step:
            return
        self.kept.append(self._moment())
        if len(self.kept) > self.most:
            self.interval *= 2
            self.kept = [kept for kept in self.kept if kept.moment.step % self.interval == 0]

    def _moment(self) -> Kept:
        return Kept(Moment(self.run), self.config, len(self.events))


def checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes of options, checked one by one; lists, as JSON has them, as tuples. Raises OptionError."""
    known, found = options_of(Config), {}
    for name, value in changes.items():
        if name not in known or name in FIXED:
            raise OptionError(f"{name} is no option that can change while a game is played")
        plain = tuple(value) if isinstance(value, list) else value
        known[name].check(plain)
        found[name] = float(plain) if known[name].kind is float and isinstance(plain, int) else plain
    return found


def settings_of(config: Config) -> dict[str, Any]:
    """Return the options that the page may change, by name, in JSON's types."""
    values = asdict(config)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if name not in FIXED}

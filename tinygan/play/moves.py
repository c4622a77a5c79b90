"""One step of the game in slow motion: its six moves, each with its numbers and with the line of code that makes it.

A `SlowStep` makes one step of both players by hand, with the very batches that the step would have had anyway, so that afterwards
the game is where a step in one go would have taken it, to the bit. It is made whole at once; whoever looks at a move is taken to
the moment at which it was made.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinygan.engine.tensor import Tensor
from tinygan.game.moves import Game, Logits
from tinygan.game.objectives import OBJECTIVES
from tinygan.options import OptionError
from tinygan.training.moment import Moment
from tinygan.training.run import Run

from .session import Session

SHOWN = 64  # samples of a batch that a move shows


@dataclass(frozen=True)
class Line:
    """A line of the code, where it stands and what it says."""

    file: str
    number: int
    text: str


@dataclass(frozen=True)
class Number:
    """A number of a move: what it is, its value, and its formula."""

    label: str
    value: float | str
    formula: str = ""


@dataclass(frozen=True)
class Move:
    """One of the moves. title: what is done. numbers: what it gave. line: the code that does it. at: the moment to look at.

    real, fake: up to SHOWN samples (n, ...) that are in play, in the networks' units; empty where there are none yet. logits: what
    D says to the fakes, then to the data, (n,) each, once D has judged them.
    """

    title: str
    text: str
    line: Line
    numbers: list[Number]
    at: Moment
    real: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    fake: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    d_real: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    d_fake: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


def line_of(function: Callable[..., Any], fragment: str) -> Line:
    """Return the line of a function's code that holds a fragment. Raises ValueError where none does."""
    lines, first = inspect.getsourcelines(function)
    number = next((i for i, line in enumerate(lines) if fragment in line), None)
    if number is None:
        raise ValueError(f"{function.__qualname__} has no line with {fragment!r}")
    path = Path(inspect.getsourcefile(function) or "")
    return Line("/".join(path.parts[path.parts.index("tinygan", len(path.parts) - 4) :]), first + number, lines[number].strip())


# Where each move is made. A test looks that all of these lines are there.
LINES: dict[str, tuple[Callable[..., Any], str]] = {
    "z": (Run.prepare, "self._draw_noise("),
    "fakes": (Game.ascend_d, "stop(self.G(z))"),
    "data": (Run.prepare, "self.sampler.next("),
    "judge": (Game.judged, "real, shown = self._judge(x, fake)"),
    "up": (Game.ascend_d, "self.optim_d.ascend("),
    "down": (Game.descend_g, "self.optim_g.descend("),
    "fakes at once": (Game.simultaneous_step, "self.judged(x, self.G(z))"),
    "up at once": (Game.simultaneous_step, "self.optim_d.ascend("),
    "down at once": (Game.simultaneous_step, "self.optim_g.descend("),
}


class SlowStep:
    """One step of a session, made move by move; `moves` has all of them: five for each ascent of D, and one for G's descent.

    With simultaneous players the six moves are of one batch, both gradients being taken before either player moves. Raises
    OptionError at the end of the run. The session is at the end of the step afterwards; `show(i)` takes its networks to the moment
    of a move, and `finish` back to the end.
    """

    def __init__(self, session: Session) -> None:
        if session.at_end:
            raise OptionError(f"all {session.config.steps:,} steps are made; to go on, give a larger --steps")
        self.session, self.moves = session, list[Move]()
        self.game, self.run = session.run.game, session.run
        self._make()
        self.after = Moment(self.run)

    def show(self, i: int) -> Move:
        """Take the networks to the moment of move i, and return the move."""
        self.moves[i].at.restore(self.run)
        return self.moves[i]

    def finish(self) -> None:
        """Take the session to the end of the step."""
        self.after.restore(self.run)
        self.session.reached(self._logits)

    # ---- the step -------------------------------------------------------------------------------------------------------------

    def _make(self) -> None:
        k = self.session.config.k
        xs, zs = (np.array(batches) for batches in self.run.prepare())
        with np.errstate(over="ignore", invalid="ignore"):
            if self.session.config.update == "simultaneous":
                self._logits = self._step_of_both(xs[0], zs[0])
                self.run.step += 1
                return
            for i in range(k):
                goal, s_real, s_fake = self._step_of_d(xs[i], zs[i], f" ({i + 1} of {k})" if k > 1 else "")
            real, fake_of_g = self._step_of_g(zs[k], xs[k] if self.game.g_needs_data else None)
        self._logits = Logits(s_real, s_fake, fake_of_g, goal, real)
        self.run.step += 1

    def _step_of_d(self, x: np.ndarray, z: np.ndarray, which: str) -> tuple[Tensor, Tensor, Tensor]:
        game, at = self.game, Moment(self.run)
        fakes = self._fakes(z)
        before = _theta(game.optim_d)
        goal, s_real, s_fake = game.ascend_d(self.session.tensor(x), self.session.tensor(z))
        after = Moment(self.run)
        self._add_up_to_judging(x, z, fakes, Logits(s_real, s_fake, s_fake, goal), at, which)
        self._add("up", f"D moves up{which}", "theta_d takes one step along the gradient of what D ascends.", after, [
            Number("rate of D", game.optim_d.rate, "theta_d <- theta_d + rate * direction"),
            *_change(before, _theta(game.optim_d), "theta_d")], **self._shown(x, fakes, s_real, s_fake))
        return goal, s_real, s_fake

    def _shown(self, x: np.ndarray, fakes: np.ndarray, s_real: Tensor, s_fake: Tensor) -> dict[str, np.ndarray]:
        """Return what a move shows once D has judged a batch."""
        objective, pack = OBJECTIVES[self.session.config.objective], self.session.config.pack
        d_real, d_fake = (np.repeat(_d_of(objective, s), pack)[:SHOWN] for s in (s_real, s_fake))
        return {"real": x[:SHOWN], "fake": fakes[:SHOWN], "d_real": d_real, "d_fake": d_fake}

    def _add_up_to_judging(self, x: np.ndarray, z: np.ndarray, fakes: np.ndarray, of: Logits, at: Moment, which: str = "",
                           held: bool = True) -> None:
        """Add the moves that lead to D's judgement of a batch. held: whether the fakes are held while D learns."""
        objective = OBJECTIVES[self.session.config.objective]
        shown, m = self._shown(x, fakes, of.real, of.fake), len(x)
        real, fake = shown["real"], shown["fake"]
        z_is = Number("z of sample 1", _vector(z[0]), "z ~ N(0, I)")
        self._add("z", f"draw z{which}", f"{m} vectors of {z.shape[1]} normal numbers: G's only input.", at, [
            Number("shape of z", f"{z.shape}"), z_is, Number("mean", float(z.mean())), Number("std", float(z.std()))])
        text = ("stop() holds G: D's step is not to move it." if held else
                "Nothing holds G here: both players' gradients come from this one pass.")
        self._add("fakes" if held else "fakes at once", f"make fakes{which}", f"G turns each z into a sample. {text}", at, [
            z_is, Number("G(z) of sample 1", _vector(fakes[0]), "G(z)"), Number("shape of G(z)", f"{fakes.shape}")], fake=fake)
        self._add("data", f"take data{which}", f"{m} real samples x, as many as fakes.", at, [
            Number("x of sample 1", _vector(x[0]), "x ~ p_data"), Number("shape of x", f"{x.shape}")], real=real, fake=fake)
        self._add("judge", f"D judges both{which}",
                  "D gives each sample a logit s. What it ascends is large where data get high ones and fakes low ones.", at, [
            Number("mean D(x)", float(np.mean(_d_of(objective, of.real))), "D(x) = sigmoid(s)" if objective.ascends_v else "s"),
            Number("mean D(G(z))", float(np.mean(_d_of(objective, of.fake)))),
            Number(objective.goal_name, float(objective.goal(of.real, of.fake)),
                   "E log D(x) + E log(1 - D(G(z)))" if objective.ascends_v else ""),
            Number("what D ascends", float(of.goal), "less the penalties")], **shown)

    def _step_of_g(self, z: np.ndarray, x: np.ndarray | None) -> tuple[Tensor | None, Tensor]:
        game, objective = self.game, OBJECTIVES[self.session.config.objective]
        before, of_z = _theta(game.optim_g), self._fakes(z)
        s_real, s_fake = game.descend_g(self.session.tensor(z), None if x is None else self.session.tensor(x))
        after = Moment(self.run)
        after.state["step"] += 1
        d_fake = _d_of(objective, s_fake)
        judged = np.repeat(d_fake, self.session.config.pack)[:SHOWN]
        self._add("down", "fresh z, G moves down",
                  "On a fresh batch of z, theta_g steps against the gradient of G's loss, through D, which stays.", after, [
            Number("z of sample 1", _vector(z[0]), "z ~ N(0, I), drawn anew"),
            Number("mean D(G(z)) before", float(np.mean(d_fake))), *self._of_descent(s_real, s_fake, before)],
            fake=of_z[:SHOWN], d_fake=judged)
        return s_real, s_fake

    def _of_descent(self, s_real: Tensor | None, s_fake: Tensor, before: np.ndarray) -> list[Number]:
        """Return the numbers of G's descent, which was made just now; before: theta_g before it, (n,)."""
        name, optimiser = self.session.config.objective, self.game.optim_g
        loss = float(OBJECTIVES[name].loss(s_real, s_fake))
        return [
            Number("G's loss before", loss, "-E log D(G(z))" if name == "nonsaturating" else ""),
            Number("rate of G", optimiser.rate, "theta_g <- theta_g - rate * direction"),
            *_change(before, _theta(optimiser), "theta_g"),
        ]

    def _step_of_both(self, x: np.ndarray, z: np.ndarray) -> Logits:
        """Make a simultaneous step, and its moves: one batch, one pass, two gradients, and then both players move."""
        game, at = self.game, Moment(self.run)
        fakes = self._fakes(z)
        before_d, before_g = _theta(game.optim_d), _theta(game.optim_g)
        logits = game.simultaneous_step(self.session.tensor(x), self.session.tensor(z))
        after = Moment(self.run)
        after.state["step"] += 1
        d_moved = copy.copy(after)  # as between the two updates: G is still where it was
        d_moved.state = at.state
        d_moved.arrays = {name: (at if name.startswith(("G.", "average.")) else after).arrays[name] for name in after.arrays}
        shown = self._shown(x, fakes, logits.real, logits.fake)
        self._add_up_to_judging(x, z, fakes, logits, at, held=False)
        self._add("up at once", "D moves up", "Both gradients were taken at move 4, before either player moves. "
                  "theta_d takes one step along the gradient of what D ascends.", d_moved, [
            Number("rate of D", game.optim_d.rate, "theta_d <- theta_d + rate * direction"),
            *_change(before_d, _theta(game.optim_d), "theta_d")], **shown)
        self._add("down at once", "G moves down", "theta_g steps against the gradient of G's loss on the same z, "
                  "with D as it was before its move: G does not see where D went.", after,
                  self._of_descent(logits.real, logits.fake, before_g), **shown)
        return logits

    def _add(self, key: str, title: str, text: str, at: Moment, numbers: list[Number], **shown: np.ndarray) -> None:
        self.moves.append(Move(title, text, line_of(*LINES[key]), numbers, at, **shown))

    def _fakes(self, z: np.ndarray) -> np.ndarray:
        """Return what G makes of z in training, as D sees it; running statistics that this moves are put back."""
        kept = Moment(self.run)
        made = self.game.G(self.session.tensor(z)).numpy().copy()
        kept.restore(self.run)
        return made


def _theta(optimiser: Any) -> np.ndarray:
    optimiser.flat.rejoin()
    return np.array(optimiser.flat.theta)


def _d_of(objective: Any, s: Tensor) -> np.ndarray:
    return objective.d_of(s).numpy().reshape(-1).copy()


def _change(before: np.ndarray, after: np.ndarray, name: str) -> list[Number]:
    return [
        Number(f"numbers in {name}", float(before.size)),
        Number(f"|{name}| before", float(np.linalg.norm(before))),
        Number(f"|{name}| after", float(np.linalg.norm(after))),
        Number(f"length of the step of {name}", float(np.linalg.norm(after - before)), "|after - before|"),
    ]


def _vector(values: np.ndarray, most: int = 4) -> str:
    shown = ", ".join(f"{value:.3f}" for value in values.reshape(-1)[:most])
    return f"({shown}{', ...' if values.size > most else ''})"

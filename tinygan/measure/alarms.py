"""Alarms tell what goes wrong in a run while it goes wrong, each in one line with advice.

V near -log 4 proves nothing by itself: a D that never learnt gives it too. So the diagnosis trains a copy of D to its optimum
against G as it is, and compares. No alarm draws from the run's own generators: a watched run is the same run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygan.engine.randomness import Draws
from tinygan.game.objectives import LOG4, OBJECTIVES
from tinygan.nn.architectures import discriminator
from tinygan.nn.layers import Sequential
from tinygan.training.config import Config
from tinygan.training.run import Run

from .best_d import retrained_value
from .metrics import CROWDED, CollapseSigns, collapse_signs
from .samples import fake_samples


def diagnose(run: Run, n: int = 4096) -> str:
    """Return one line: V + log 4 by the run's own D and by a D retrained against the present G, and advice on both.

    At most n real and n generated samples train and judge the retrained D.
    """
    rng = np.random.default_rng([run.config.seed, run.step, 1])
    n = run.dataset.at_most(n)
    real, fake = run.dataset.some(n, rng), fake_samples(run, n, rng)
    found = [retrained_value(D, real, fake, rng, pack=run.config.pack) for D in (_copy_of_d(run, rng), _fresh_d(run, rng))]
    best = max(retrained.gap for retrained in found)
    if not OBJECTIVES[run.config.objective].ascends_v:  # its own D is no probability, so it has no V to compare
        return f"step {run.step:,}: V + log 4 is {best:.3f} by a D retrained to its optimum; {_advice(best, best, run.config)}"
    own = round(found[0].before + LOG4, 3) + 0.0  # no "-0.000"
    return (f"step {run.step:,}: V + log 4 is {own:.3f} by this run's D, {best:.3f} by a D retrained to its optimum; "
            f"{_advice(own, best, run.config)}")


def _advice(own: float, best: float, config: Config) -> str:
    """Return advice on V + log 4 by the run's own D (`own`) and by a D at its optimum (`best`), in nats."""
    if best - own > 0.1 and own < 0.1:
        return "D has not learnt what tells real from generated: raise --k or --lr-d"
    if best > 0.5:
        steady = "" if config.r1 else ", or steady the game with --r1"
        return f"G is far from the data (2 JSD is at least {best:.2f} of 1.39 nats): train longer{steady}"
    if best - own > 0.1:
        return "D is behind G: raise --k or --lr-d"
    if best > 0.1:
        return "both agree: G still has some way to go"
    return f"both agree, and 2 JSD is about {max(best, 0):.2f} of 1.39 nats: near the equilibrium"


def _fresh_d(run: Run, rng: np.random.Generator) -> Sequential:
    """Return a D of the run's architecture with fresh weights from `rng`."""
    return discriminator(run.config.architecture(run.dataset.codec), run.backend, rng, draws=Draws(rng))


def _copy_of_d(run: Run, rng: np.random.Generator) -> Sequential:
    """Return a copy of the run's D whose dropout draws from `rng`."""
    copy, own = _fresh_d(run, rng), run.game.D
    kept = own.parameters() | own.buffers()
    for name, mine in (copy.parameters() | copy.buffers()).items():
        mine.array[...] = kept[name].array
    return copy


# ---- alarms during training -----------------------------------------------------------------------------------------------------


EVERY = 200  # steps between checks for collapse at first; a twelfth of the steps taken once that is more
CHECKS = 5  # successive checks that are judged together
# Where collapse begins. A G that is on its way to the data, or makes each mode too narrow, misses up to 47 % of the data in some
# checks; one that gives few modes misses 50 to 90 % in most. `python -m benchmarks.quality.alarms` counts who is judged wrongly.
MISSED = 0.5
FEW = 0.25  # of the data are covered, by samples most of which look real
READINGS = 100  # of which the mean decides whether D is always right
SHARE = 0.07  # of the way from a goal's bound to its equilibrium: nearer to the bound D is all but always right


class Alarms:
    """The alarms of one run, to be called with every reading of it, as `on_reading` of Run.train.

    "collapse": G gives a part of the data only. It is judged by the steps taken: by CHECKS successive checks, over at least 800
    steps (`shows_collapse`). "strong-d": D is all but always right, over READINGS readings. Each is given to `say`
    as a line with advice, which names only options that the run does not have yet; and so is the end of either, after which the
    alarm can go off again. n: samples of each sort in a check. diagnosing: say `diagnose(run)` four times in the run too.

    said: the last line of each alarm that went off. over: the names of those that ended since. checks, checks_collapsed: how
    often samples were checked, and how often they showed collapse.
    """

    def __init__(self, run: Run, say: Callable[[str], Any], n: int = 512, diagnosing: bool = False) -> None:
        self.run, self.say, self.diagnosing = run, say, diagnosing
        self.n = run.dataset.at_most(n)
        self.said: dict[str, str] = {}
        self.over: set[str] = set()
        self.checks = self.checks_collapsed = 0
        self._on: set[str] = set()
        self._recent: deque[float] = deque(maxlen=READINGS)
        self._next_check = run.step + EVERY
        self._looks: deque[tuple[int, CollapseSigns]] = deque(maxlen=CHECKS)  # the last checks, with their steps

    def __call__(self, reading: dict[str, float]) -> None:
        step = int(reading["step"])
        self._recent.append(reading["v"])
        self._check_for_strong_d(step)
        if step >= self._next_check and self.n > 5:
            self._check_for_collapse(step)
            self._next_check = step + max(EVERY, step // 12)
        if self.diagnosing and (step == self.run.config.steps or step % max(10, self.run.config.steps // 40 * 10) == 0):
            self.say(diagnose(self.run))

    def _turn_on(self, name: str, line: str) -> None:
        """Say an alarm, unless it is on."""
        if name not in self._on:
            self._on.add(name)
            self.over.discard(name)
            self.said[name] = line
            self.say(line)

    def _turn_off(self, name: str, line: str) -> None:
        """Say that an alarm is over, if it is on."""
        if name in self._on:
            self._on.remove(name)
            self.over.add(name)
            self.say(line)

    def _check_for_strong_d(self, step: int) -> None:
        """Look whether the goal has stayed near its bound, where D is always right. A goal without a bound tells nothing."""
        c, game = self.run.config, OBJECTIVES[self.run.config.objective]
        if game.sure is None or len(self._recent) < READINGS:
            return
        mean, width = float(np.mean(self._recent)), game.sure - game.goal_at_rest.value
        name = "V" if game.ascends_v else f"the {game.goal_name}"
        if mean > game.sure - SHARE * width:
            cures = _joined([*_unused(c, "r1", "noise"), "lower --lr-d", *(["lower --k"] if c.k > 1 else [])])
            self._turn_on("strong-d", f"step {step:,}: {name} has stayed near {game.sure:g} (mean {mean:.3f}): D tells real from "
                          f"fake almost always, and G learns little. To cure it: {cures}")
        elif mean < game.sure - 2 * SHARE * width:
            self._turn_off("strong-d", f"step {step:,}: {name} has left {game.sure:g} (mean {mean:.3f}): D no longer wins almost "
                           "always")

    def _check_for_collapse(self, step: int) -> None:
        """Look at samples for mode collapse."""
        rng = np.random.default_rng([self.run.config.seed, step, 2])
        signs = collapse_signs(self.run.dataset.some(self.n, rng), fake_samples(self.run, self.n, rng))
        self._looks.append((step, signs))
        looks = [signs for _, signs in self._looks]
        self.checks, self.checks_collapsed = self.checks + 1, self.checks_collapsed + shows_collapse([signs])
        if len(looks) == CHECKS and shows_collapse(looks):
            cures = _joined([*_unused(self.run.config, "r1", "pack", "unroll"), "raise --k"])
            missed = float(np.median([signs.missed for signs in looks]))
            self._turn_on("collapse", f"step {step:,}: mode collapse, since step {self._looks[0][0]:,} at least: G stays away from "
                          f"regions with {missed:.0%} of the data, and covers {signs.coverage:.0%}. To cure it: {cures}")
        elif not any(shows_collapse([signs]) for signs in looks[-2:]):
            self._turn_off("collapse", f"step {step:,}: the mode collapse is over: G stays away from regions with "
                           f"{signs.missed:.0%} of the data, and covers {signs.coverage:.0%} of it")


def shows_collapse(looks: Sequence[CollapseSigns]) -> bool:
    """Return whether successive checks of a G that is being trained show collapse.

    They do if most of them find whole regions missed, if in all of them most samples are one point, or if all find samples that
    look real and leave most of the data unreached. (`CollapseSigns.collapsed` judges samples of a G that is done, more strictly.)
    """
    missed = float(np.median([signs.missed for signs in looks])) > MISSED
    crowded = all(signs.crowding < CROWDED for signs in looks)
    return missed or crowded or all(signs.coverage < FEW and signs.precision > 0.5 for signs in looks)


ADDED = {"r1": "add --r1", "noise": "add --noise", "pack": "add --pack 2", "unroll": "add --unroll"}
"""The advice to use an option that is not in use."""


def _unused(config: Config, *names: str) -> list[str]:
    """Return the advice to use those of the options that are not in use, and that go with those that are."""
    used = {"r1": config.r1, "noise": config.noise, "pack": config.pack > 1, "unroll": config.unroll}
    fits = {"pack": config.batch % 2 == 0, "unroll": config.update == "alternating"}
    return [ADDED[name] for name in names if not used[name] and fits.get(name, True)]


def _joined(cures: list[str]) -> str:
    """Join pieces of advice to a phrase: "add --r1, add --noise or lower --lr-d"."""
    return cures[0] if len(cures) == 1 else f"{', '.join(cures[:-1])} or {cures[-1]}"

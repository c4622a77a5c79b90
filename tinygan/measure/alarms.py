"""Alarms tell what goes wrong in a run while it goes wrong, each in one line with advice.

V near -log 4 proves nothing by itself: a D that never learnt gives it too. So the diagnosis trains a copy of D to its optimum
against G as it is, and compares. No alarm draws from the run's own generators: a watched run is the same run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygan.engine.randomness import Draws
from tinygan.game.objectives import LOG4, OBJECTIVES
from tinygan.nn.architectures import discriminator
from tinygan.nn.layers import Sequential
from tinygan.training.run import Run

from .best_d import retrained_value
from .metrics import collapse_signs
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
        return f"step {run.step:,}: V + log 4 is {best:.3f} by a D retrained to its optimum; {_advice(best, best)}"
    own = round(found[0].before + LOG4, 3) + 0.0  # no "-0.000"
    return (f"step {run.step:,}: V + log 4 is {own:.3f} by this run's D, {best:.3f} by a D retrained to its optimum; "
            f"{_advice(own, best)}")


def _advice(own: float, best: float) -> str:
    """Return advice on V + log 4 by the run's own D (`own`) and by a D at its optimum (`best`), in nats."""
    if best - own > 0.1 and own < 0.1:
        return "D has not learnt what tells real from generated: raise --k or --lr-d"
    if best > 0.5:
        return f"G is far from the data (2 JSD is at least {best:.2f} of 1.39 nats): train longer, or steady the game with --r1"
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


CHECKS = 40  # checks for collapse in a run
GRACE = 0.5  # share of the run in which G may still hop between modes without being collapsed
PATIENCE = 2  # successive checks that have to agree


class Alarms:
    """The alarms of one run, to be called with every reading of it, as `on_reading` of Run.train.

    Each alarm is given to `say` once, as a line, and kept in `said` by its name ("strong-d", "collapse"). n: samples of each sort
    in a check for collapse. diagnosing: say `diagnose(run)` four times in the run too.
    """

    def __init__(self, run: Run, say: Callable[[str], Any], n: int = 512, diagnosing: bool = False) -> None:
        self.run, self.say, self.diagnosing = run, say, diagnosing
        self.n = run.dataset.at_most(n)
        self.said: dict[str, str] = {}
        self.recent: deque[float] = deque(maxlen=50)
        self.checks = self.checks_collapsed = 0  # how often samples were checked for collapse, and how often they showed it
        self._every = max(100, run.config.steps // CHECKS // 10 * 10)
        self._collapsed_in_a_row = 0

    def __call__(self, reading: dict[str, float]) -> None:
        step = int(reading["step"])
        self.recent.append(reading["v"])
        self._check_for_strong_d(step)
        if step >= GRACE * self.run.config.steps and step % self._every == 0 and self.n > 5:
            self._check_for_collapse(step)
        if self.diagnosing and (step == self.run.config.steps or step % max(10, self.run.config.steps // 40 * 10) == 0):
            self.say(diagnose(self.run))

    def _alarm(self, name: str, line: str) -> None:
        """Say an alarm, unless it has been said."""
        if name not in self.said:
            self.said[name] = line
            self.say(line)

    def _check_for_strong_d(self, step: int) -> None:
        """Raise the alarm if V has stayed near 0, its value for a D that is always right, late in the run."""
        v = float(np.mean(self.recent))
        if len(self.recent) == self.recent.maxlen and v > -0.1 and step >= GRACE * self.run.config.steps:
            self._alarm("strong-d", f"step {step:,}: V has stayed near 0 (mean {v:.3f}): D tells real from fake almost always, "
                        "and G learns little. Add --r1 or --noise, or lower --lr-d or --k")

    def _check_for_collapse(self, step: int) -> None:
        """Raise the alarm if successive checks show mode collapse."""
        rng = np.random.default_rng([self.run.config.seed, step, 2])
        signs = collapse_signs(self.run.dataset.some(self.n, rng), fake_samples(self.run, self.n, rng))
        self._collapsed_in_a_row = self._collapsed_in_a_row + 1 if signs.collapsed else 0
        self.checks, self.checks_collapsed = self.checks + 1, self.checks_collapsed + signs.collapsed
        if self._collapsed_in_a_row >= PATIENCE:
            self._alarm("collapse", f"step {step:,}: mode collapse: G stays away from regions with {signs.missed:.0%} of the "
                        f"data, and covers {signs.coverage:.0%} of it. Add --r1, --pack 2 or --unroll, or raise --k")

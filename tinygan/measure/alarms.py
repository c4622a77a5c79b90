"""What can go wrong in a run, noticed while it goes wrong: each alarm is one line with advice.

V near -log 4 proves nothing by itself: a D that never learnt gives it too. So the diagnosis trains a copy of D to its optimum
against G as it is, and compares. No alarm draws from the run's own generators: a watched run is the same run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygan.engine.tensor import wrap
from tinygan.game.objectives import LOG4
from tinygan.nn.layers import Sequential

from .best_d import retrained_value
from .metrics import look

if TYPE_CHECKING:
    from tinygan.training.run import Run


def diagnose(run: Run, n: int = 4096) -> str:
    """One line: V + log 4 by the run's own D and by one retrained on the G of the moment, and what to make of it."""
    rng = np.random.default_rng([run.config.seed, run.step, 1])
    n = n if run.dataset.x is None else min(n, len(run.dataset.x))
    real, fake = real_samples(run, n, rng), fake_samples(run, n, rng)
    found = [retrained_value(D, real, fake, rng, pack=run.config.pack) for D in (_copy_of_d(run, rng), _fresh_d(run, rng))]
    best = max(r.gap for r in found)
    if run.config.objective not in ("minimax", "nonsaturating"):  # its own D is no probability, so it has no V to compare
        return f"step {run.step:,}: V + log 4 is {best:.3f} by a D retrained to its optimum; {_advice(best, best)}"
    own = round(found[0].before + LOG4, 3) + 0.0  # no "-0.000"
    return (f"step {run.step:,}: V + log 4 is {own:.3f} by this run's D, {best:.3f} by a D retrained to its optimum; "
            f"{_advice(own, best)}")


def _advice(own: float, best: float) -> str:
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
    from tinygan.engine.randomness import Draws
    from tinygan.nn.architectures import discriminator

    return discriminator(run.config.architecture(run.dataset.codec), run.backend, rng, draws=Draws(rng))


def _copy_of_d(run: Run, rng: np.random.Generator) -> Sequential:
    copy, own = _fresh_d(run, rng), run.game.D
    kept = own.parameters() | own.buffers()
    for name, mine in (copy.parameters() | copy.buffers()).items():
        mine.array[...] = kept[name].array
    return copy


def real_samples(run: Run, n: int, rng: np.random.Generator) -> np.ndarray:
    """n encoded samples of the data: fresh ones of a mixture, else without repetition (n at most as many as there are)."""
    if run.dataset.x is None:
        return run.dataset.sampler(n, rng).next()
    return run.dataset.x[rng.permutation(len(run.dataset.x))[:n]]


def fake_samples(run: Run, n: int, rng: np.random.Generator, average: bool = True) -> np.ndarray:
    """n samples of the G that `tinygan sample` would use: the average where there is one, unless the G in play is asked for."""
    G = ((average and run.game.average) or run.game.G).eval()
    try:
        z = rng.standard_normal((n, run.config.z), np.float32)
        return np.concatenate([G(wrap(run.backend.asarray(part), run.backend)).numpy() for part in np.array_split(z, -(-n // 512))])
    finally:
        G.train()


# ---- alarms during training -----------------------------------------------------------------------------------------------------


CHECKS = 40  # looks at samples in a run
GRACE = 0.5  # share of the run in which G may still hop between modes without being collapsed
PATIENCE = 2  # successive looks that have to agree


class Watch:
    """Called with every reading of a run; says each alarm once, by `say(line)`, and keeps it in `said` by name."""

    def __init__(self, run: Run, say: Callable[[str], Any], n: int = 512, diagnosing: bool = False) -> None:
        self.run, self.say, self.diagnosing = run, say, diagnosing
        self.n = n if run.dataset.x is None else min(n, len(run.dataset.x))
        self.said: dict[str, str] = {}
        self.recent: deque[float] = deque(maxlen=50)
        self.looks = self.suspicious = 0  # how often samples were looked at, and how often they looked collapsed
        self._every = max(100, run.config.steps // CHECKS // 10 * 10)
        self._collapsed = 0

    def __call__(self, reading: dict[str, float]) -> None:
        step = int(reading["step"])
        self.recent.append(reading["v"])
        self._strong_d(step)
        if step >= GRACE * self.run.config.steps and step % self._every == 0 and self.n > 5:
            self._look(step)
        if self.diagnosing and (step == self.run.config.steps or step % max(10, self.run.config.steps // 40 * 10) == 0):
            self.say(diagnose(self.run))

    def _alarm(self, name: str, line: str) -> None:
        if name not in self.said:
            self.said[name] = line
            self.say(line)

    def _strong_d(self, step: int) -> None:
        v = float(np.mean(self.recent))
        if len(self.recent) == self.recent.maxlen and v > -0.1 and step >= GRACE * self.run.config.steps:
            self._alarm("strong-d", f"step {step:,}: V has stayed near 0 (mean {v:.3f}): D tells real from fake almost always, "
                        "and G learns little. Add --r1 or --noise, or lower --lr-d or --k")

    def _look(self, step: int) -> None:
        rng = np.random.default_rng([self.run.config.seed, step, 2])
        seen = look(real_samples(self.run, self.n, rng), fake_samples(self.run, self.n, rng))
        self._collapsed = self._collapsed + 1 if seen.collapsed else 0
        self.looks, self.suspicious = self.looks + 1, self.suspicious + seen.collapsed
        if self._collapsed >= PATIENCE:
            self._alarm("collapse", f"step {step:,}: mode collapse: G stays away from regions with {seen.missed:.0%} of the "
                        f"data, and covers {seen.coverage:.0%} of it. Add --r1, --pack 2 or --unroll, or raise --k")

"""Claims about mode collapse, the 2014 paper's "Helvetica scenario": a set-up in which it happens, the alarm, and three cures.

Data: eight Gaussians on the unit circle, std 0.1. Both players are small, and G's rate is fifteen times D's, so that G is "trained
too much without updating D" (section 6). Everything is float32 and seeded; only what is named changes from run to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from tinygan_kernels import Backend

from tinygan.data.named import ring_centres
from tinygan.engine.replay import Replayed
from tinygan.engine.tensor import Tensor, wrap
from tinygan.game.moves import Game
from tinygan.game.remedies import Remedies
from tinygan.measure.metrics import CollapseSigns, MixtureCoverage, collapse_signs, mixture_coverage
from tinygan.nn.architectures import Architecture, discriminator, generator
from tinygan.optim import Adam

from .claim import Claim, Measured

STD = 0.1
STEPS, BATCH = 1200, 64


@dataclass(frozen=True)
class Setting:
    """The options in which the runs differ: D's steps k, R1's weight, packing, and both rates."""

    k: int = 1
    r1: float = 0.0
    pack: int = 1
    lr_d: float = 2e-4
    lr_g: float = 3e-3


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: which of the eight modes its G makes, and what the collapse alarm sees."""

    coverage: MixtureCoverage
    signs: CollapseSigns


def _real(rng: np.random.Generator, n: int) -> np.ndarray:
    centres = ring_centres()
    return (centres[rng.integers(len(centres), size=n)] + STD * rng.standard_normal((n, 2))).astype(np.float32)


def _game(setting: Setting, backend: Backend, rng: np.random.Generator) -> Game:
    a = Architecture(arch="mlp", sample=(2,), bounded=False, z=8, hidden=(64, 64), pack=setting.pack)
    G, D = generator(a, backend, rng), discriminator(a, backend, rng)
    up, down = Adam(D.parameters(), setting.lr_d, 0.5, 0.99), Adam(G.parameters(), setting.lr_g, 0.5, 0.99)
    return Game(D, G, up, down, "nonsaturating", setting.r1, remedies=Remedies(pack=setting.pack))


@cache
def generated(setting: Setting, backend: Backend, seed: int = 0, steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """Train for so many steps of Algorithm 1, on batches of BATCH packs. Returns 512 real and 1024 generated points."""
    rng = np.random.default_rng(seed)
    game, m = _game(setting, backend, rng), BATCH * setting.pack

    def noise(n: int = m) -> np.ndarray:
        return rng.standard_normal((n, 8), np.float32)

    def step(*drawn: Tensor) -> tuple[Tensor, ...]:
        batches, noises = iter(drawn[:-1:2]), iter((*drawn[1::2], drawn[-1]))
        game.alternating_step(lambda: next(batches), lambda: next(noises), setting.k)
        return ()

    replayed = Replayed(step, backend)
    for _ in range(steps):
        replayed(*(draw for _ in range(setting.k) for draw in (_real(rng, m), noise())), noise())
    fake = game.G(wrap(backend.asarray(noise(1024)), backend)).numpy()
    return _real(rng, 512), fake


def play(setting: Setting, backend: Backend, seed: int = 0) -> Outcome:
    """Return the outcome of a run, which is made once for each setting and seed."""
    real, fake = generated(setting, backend, seed)
    return Outcome(mixture_coverage(fake, ring_centres(), STD), collapse_signs(real, fake[:512]))


PLAIN = Setting()
BALANCED = Setting(lr_d=3e-3)  # the control: everything else the same, D's rate as high as G's
CURES = {"k = 5": Setting(k=5), "R1 2": Setting(r1=2.0), "packing 4": Setting(pack=4)}
SEEDS = range(10)
FEWER = range(5)  # of the runs that keep their modes, which differ less


def _runs(setting: Setting, backend: Backend, seeds: range) -> list[Outcome]:
    return [play(setting, backend, seed) for seed in seeds]


def _missed(runs: list[Outcome]) -> float:
    return float(np.mean([run.signs.missed for run in runs]))


def _alarms(runs: list[Outcome]) -> int:
    return sum(run.signs.collapsed for run in runs)


def collapse(backend: Backend) -> list[Measured]:
    runs = _runs(PLAIN, backend, SEEDS)
    kl, modes = (float(np.mean([getattr(r.coverage, name) for r in runs])) for name in ("reverse_kl", "modes"))
    return [
        Measured("share of the data in regions that G avoids, mean of 10 seeds", _missed(runs), 0.3, relation=">="),
        Measured("reverse KL of the modes, mean of 10 seeds", kl, 0.7, relation=">="),
        Measured("modes captured of 8, mean of 10 seeds", modes, 6, relation="<="),
        Measured("runs of 10 in which the collapse alarm goes off", _alarms(runs), 7, relation=">="),
        *_control(backend, kl),
    ]


def _control(backend: Backend, kl: float) -> list[Measured]:
    """Measure the balanced game on five of the seeds: the same data, networks and steps, and rates that are equal."""
    runs = _runs(BALANCED, backend, FEWER)
    balanced = float(np.mean([run.coverage.reverse_kl for run in runs]))
    return [
        Measured("control, equal rates: share in avoided regions, mean of 5 seeds", _missed(runs), 0.2, relation="<="),
        Measured("control: reverse KL, over that of the collapsed runs", balanced / kl, 0.3, relation="<="),
        Measured("control: runs of 5 in which the alarm goes off", _alarms(runs), 1, relation="<="),
    ]


def cures(backend: Backend) -> list[Measured]:
    measured = []
    for name, setting in CURES.items():
        runs = _runs(setting, backend, FEWER)
        measured += [
            Measured(f"{name}: share in avoided regions, mean of 5 seeds", _missed(runs), 0.15, relation="<="),
            Measured(f"{name}: runs of 5 in which the alarm goes off", _alarms(runs), 1, relation="<="),
        ]
    return measured


CLAIMS = [
    Claim("collapse", 9, "a G that outruns D maps many z to the same x and leaves modes out; the alarm sees it",
          "Goodfellow et al. 2014, section 6", "rounding decides how one run ends: ten are judged together",
          collapse),
    Claim("collapse-cures", 9, "in the same set-up more steps of D, R1 or packing bring the modes back",
          "Goodfellow 2014, section 6; Mescheder 2018; Lin 2018", "at most half of what the plain runs leave out", cures),
]

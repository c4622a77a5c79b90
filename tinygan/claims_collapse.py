"""Claims about mode collapse, the 2014 paper's "Helvetica scenario": a set-up in which it happens, the alarm, and three cures.

Data: eight Gaussians on the unit circle, std 0.1. Both players are small, and G's rate is fifteen times D's, so that G is "trained
too much without updating D" (section 6). Everything is float32 and seeded; only what is named changes from run to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from tinygan_kernels import Backend

from .alarms import Look, look
from .data import ring_centres
from .game import Game
from .metrics import MixtureCoverage, mixture_coverage
from .networks import Architecture, discriminator, generator
from .optim import Adam
from .remedies import Remedies
from .tensor import Tensor, wrap
from .theory import Claim, Measured

STD = 0.1
STEPS, BATCH = 800, 64


@dataclass(frozen=True)
class Setting:
    """What differs between the runs: D's steps k, R1's weight, packing, and both rates."""

    k: int = 1
    r1: float = 0.0
    pack: int = 1
    lr_d: float = 2e-4
    lr_g: float = 3e-3


@dataclass(frozen=True)
class Shown:
    """What a run's G makes: how many of the eight modes, and what the collapse alarm sees."""

    coverage: MixtureCoverage
    seen: Look


def _real(rng: np.random.Generator, n: int) -> np.ndarray:
    centres = ring_centres()
    return (centres[rng.integers(len(centres), size=n)] + STD * rng.standard_normal((n, 2))).astype(np.float32)


def _game(setting: Setting, backend: Backend, rng: np.random.Generator) -> Game:
    a = Architecture("mlp", (2,), False, 8, (64, 64), pack=setting.pack)
    G, D = generator(a, backend, rng), discriminator(a, backend, rng)
    up, down = Adam(D.parameters(), setting.lr_d, 0.5, 0.99), Adam(G.parameters(), setting.lr_g, 0.5, 0.99)
    return Game(D, G, up, down, "nonsaturating", setting.r1, remedies=Remedies(pack=setting.pack))


def _fixed(values: np.ndarray, backend: Backend) -> Tensor:
    return wrap(backend.asarray(values), backend)


@cache
def generated(setting: Setting, backend: Backend, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(512 real, 1024 generated) points after STEPS steps of Algorithm 1; a batch is of BATCH packs."""
    rng = np.random.default_rng(seed)
    game, m = _game(setting, backend, rng), BATCH * setting.pack

    def batch() -> Tensor:
        return _fixed(_real(rng, m), backend)

    def noise(n: int = m) -> Tensor:
        return _fixed(rng.standard_normal((n, 8), np.float32), backend)

    for _ in range(STEPS):
        game.alternating_step(batch, noise, setting.k)
    fake = game.G(noise(1024)).numpy()
    return _real(rng, 512), fake


def play(setting: Setting, backend: Backend, seed: int = 0) -> Shown:
    """What a run shows; the run itself is made once for each setting and seed."""
    real, fake = generated(setting, backend, seed)
    return Shown(mixture_coverage(fake, ring_centres(), STD), look(real, fake[:512]))


PLAIN = Setting()
CURES = {"k = 5": Setting(k=5), "R1 2": Setting(r1=2.0), "packing 4": Setting(pack=4)}
SEEDS = range(3)


def _runs(setting: Setting, backend: Backend) -> list[Shown]:
    return [play(setting, backend, seed) for seed in SEEDS]


def _missed(runs: list[Shown]) -> float:
    return float(np.mean([run.seen.missed for run in runs]))


def collapse(backend: Backend) -> list[Measured]:
    runs = _runs(PLAIN, backend)
    return [
        Measured("share of the data in regions that G avoids, mean of 3 seeds", _missed(runs), 0.3, relation=">="),
        Measured("reverse KL of the modes, smallest of 3 seeds", min(r.coverage.reverse_kl for r in runs), 0.5, relation=">="),
        Measured("modes captured of 8, most of 3 seeds", max(r.coverage.modes for r in runs), 7, relation="<="),
        Measured("runs in which the collapse alarm goes off", sum(r.seen.collapsed for r in runs), 3),
    ]


def cures(backend: Backend) -> list[Measured]:
    measured = []
    for name, setting in CURES.items():
        runs = _runs(setting, backend)
        measured += [
            Measured(f"{name}: share in avoided regions, mean of 3 seeds", _missed(runs), 0.15, relation="<="),
            Measured(f"{name}: runs of 3 in which the alarm goes off", sum(r.seen.collapsed for r in runs), 1, relation="<="),
        ]
    return measured


CLAIMS = [
    Claim("collapse", 9, "a G that outruns D maps many z to the same x and leaves modes out; the alarm sees it",
          "Goodfellow et al. 2014, section 6", "three seeds; far from both bounds in each", collapse),
    Claim("collapse-cures", 9, "in the same set-up more steps of D, R1 or packing bring the modes back",
          "Goodfellow 2014, section 6; Mescheder 2018; Lin 2018", "at most half of what the plain run leaves out", cures),
]

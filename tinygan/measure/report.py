"""The numbers of a finished run: `tinygan evaluate`, and the map of D against D* that ends a run on a mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinygan.data.datasets import Dataset
from tinygan.engine.tensor import wrap

from .alarms import fake_samples
from .metrics import (
    PARZEN_CAUTION,
    AgainstOptimum,
    PcaFeatures,
    against_optimum,
    class_balance,
    frechet_distance,
    mixture_coverage,
    mixture_jsd,
    neighbours,
    parzen,
)

if TYPE_CHECKING:
    from tinygan.training.run import Run
    from tinygan.training.samples import Trained

Row = tuple[str, str, str]  # name, value, what it means
MOST = 2000  # samples of each kind for what compares all with all


def evaluate(dataset: Dataset, trained: Trained, rng: np.random.Generator, with_parzen: bool = False) -> list[Row]:
    """Rows of (name, value, meaning) for samples of a trained G against its data. Raises ValueError for data of fewer than 6."""
    rows = _of_mixture(dataset, trained, rng) if dataset.x is None else _of_samples(dataset, trained, rng)
    return [*rows, *_of_parzen(dataset, trained, rng)] if with_parzen else rows


def _of_mixture(dataset: Dataset, trained: Trained, rng: np.random.Generator) -> list[Row]:
    fake = dataset.codec.decode(trained.sample(25_000, rng))
    found = mixture_coverage(fake[:2500], dataset.centres, dataset.std)
    return [
        ("modes", f"{found.modes} of {found.of}", "with a sample within 3 std, of 2,500 samples"),
        ("HQ", f"{found.hq:.1%}", "within 3 std of a mode; an exact sampler has 98.9%"),
        ("reverse KL", f"{found.reverse_kl:.4f}", "nats; HQ samples over the modes, from uniform"),
        ("JSD", f"{mixture_jsd(fake, dataset.centres, dataset.std):.4f}", "nats, at most 0.6931; on cells, of 25,000 samples"),
    ]


def _of_samples(dataset: Dataset, trained: Trained, rng: np.random.Generator) -> list[Row]:
    real = dataset.x.reshape(len(dataset.x), -1)
    some = rng.permutation(len(real))[:MOST]
    fake = trained.sample(len(some), rng).reshape(len(some), -1)
    near, features = neighbours(real[some], fake), PcaFeatures.of(real)
    axes = features.axes.shape[1]
    rows = [
        ("precision", f"{near.precision:.3f}", "share of samples among the data, k = 5 nearest neighbours"),
        ("recall", f"{near.recall:.3f}", "share of the data among the samples"),
        ("density", f"{near.density:.3f}", "how deep among the data; 1 for real samples"),
        ("coverage", f"{near.coverage:.3f}", "share of the data with a sample nearby"),
        ("Frechet", f"{frechet_distance(features(real), features(fake)):.3f}", f"along {axes} principal axes of the data; no FID"),
    ]
    if dataset.labels is None:
        return rows
    balance = class_balance(real, dataset.labels, fake)
    return [
        *rows,
        ("confidence", f"{balance.confidence:.3f}", f"of a classifier; {balance.real_confidence:.3f} on held-out real samples"),
        ("rarest class", f"{balance.rarest:.1%}", "share of the samples, by that classifier"),
    ]


def _of_parzen(dataset: Dataset, trained: Trained, rng: np.random.Generator) -> list[Row]:
    """The 2014 procedure, as far as there are data: pixels in [0, 1], 10,000 samples, a tenth of the data to choose sigma."""
    real = dataset.sampler(11_000, rng).next() if dataset.x is None else dataset.x[rng.permutation(len(dataset.x))[:11_000]]
    real, fake = (x.reshape(len(x), -1).astype(np.float64) for x in (real, trained.sample(10_000, rng)))
    if dataset.codec.bounded:
        real, fake = (real + 1) / 2, (fake + 1) / 2
    cut = max(2, min(1000, len(real) // 10))
    found = parzen(fake, real[:cut], real[cut:])
    held = "fresh samples" if dataset.x is None else "the data that G was trained on, as there is no test set"
    meaning = f"nats, sigma {found.sigma:.2g}, on {held}. {PARZEN_CAUTION}"
    return [("Parzen", f"{found.mean:.1f} ± {found.standard_error:.1f}", meaning)]


def d_against_optimum(run: Run, n: int = 100_000) -> AgainstOptimum | None:
    """D in play against D* for the G in play; None where it means nothing: no density, packs, a D that is no probability.

    None on an emulated backend too, which would take hours over 100,000 samples.
    """
    c = run.config
    if run.backend.emulated or run.dataset.centres is None:
        return None
    if c.pack > 1 or c.smooth or c.objective not in ("minimax", "nonsaturating"):
        return None
    D, codec, rng = run.game.D.eval(), run.dataset.codec, np.random.default_rng([c.seed, run.step, 3])

    def judge(points: np.ndarray) -> np.ndarray:
        parts = np.array_split(codec.encode(points), -(-len(points) // 2048))
        s = np.concatenate([D(wrap(run.backend.asarray(part), run.backend)).numpy() for part in parts])
        return 1 / (1 + np.exp(-np.clip(s[:, 0].astype(np.float64), -700, 700)))

    try:
        samples = codec.decode(fake_samples(run, n, rng, average=False))
        return against_optimum(judge, samples, run.dataset.centres, run.dataset.std)
    finally:
        D.train()

"""The numbers of a finished run: `tinygan evaluate`, and the map of D against D* that ends a run on a mixture.

A data set decides which measures apply: by whether its density is known, and whether its samples have labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinygan.data import DataError, Dataset
from tinygan.engine.tensor import wrap
from tinygan.game.objectives import OBJECTIVES
from tinygan.training.run import Run
from tinygan.training.samples import Trained

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
from .samples import fake_samples

FEWEST = 6  # samples: each has 5 nearest neighbours
MOST_COMPARED = 2000  # real samples, and generated ones, for measures that compare each with each


class Measurement(NamedTuple):
    """A measure's name, its value as text, and what the value means."""

    name: str
    value: str
    meaning: str


def quality_report(dataset: Dataset, trained: Trained, rng: np.random.Generator, with_parzen: bool = False) -> list[Measurement]:
    """Measure samples of a trained G against its data, every random draw from `rng`.

    Raises DataError for fewer than FEWEST samples, and for data that are not in the units of those that G was trained on.
    """
    if dataset.codec != trained.codec:
        raise DataError(f"{dataset.name} is not in the units of the run's data; bring it: dataset.in_units_of(trained.codec)")
    if not dataset.is_mixture and len(dataset.x) < FEWEST:
        raise DataError(f"{dataset.name} has {len(dataset.x)} samples, too few to be compared by their nearest neighbours; it has "
                        f"to have at least {FEWEST}")
    found = _mixture_measures(dataset, trained, rng) if dataset.is_mixture else _sample_measures(dataset, trained, rng)
    return [*found, _parzen_measure(dataset, trained, rng)] if with_parzen else found


def _mixture_measures(dataset: Dataset, trained: Trained, rng: np.random.Generator) -> list[Measurement]:
    """Measure against the mixture's known density."""
    fake = dataset.codec.decode(trained.encoded(25_000, rng))
    found = mixture_coverage(fake[:2500], dataset.centres, dataset.std)
    return [
        Measurement("modes", f"{found.modes} of {found.of}", "with a sample within 3 std, of 2,500 samples"),
        Measurement("HQ", f"{found.hq:.1%}", "within 3 std of a mode; an exact sampler has 98.9%"),
        Measurement("reverse KL", f"{found.reverse_kl:.4f}", "nats; HQ samples over the modes, from uniform"),
        Measurement("JSD", f"{mixture_jsd(fake, dataset.centres, dataset.std):.4f}",
                    "nats, at most 0.6931; on cells, of 25,000 samples"),
    ]


def _sample_measures(dataset: Dataset, trained: Trained, rng: np.random.Generator) -> list[Measurement]:
    """Measure against the data's own samples, and by a classifier where those have labels."""
    real = dataset.x.reshape(len(dataset.x), -1)
    some = rng.permutation(len(real))[:MOST_COMPARED]
    fake = trained.encoded(len(some), rng).reshape(len(some), -1)
    near, features = neighbours(real[some], fake), PcaFeatures.of(real)
    axes = features.axes.shape[1]
    found = [
        Measurement("precision", f"{near.precision:.3f}", "share of samples among the data, k = 5 nearest neighbours"),
        Measurement("recall", f"{near.recall:.3f}", "share of the data among the samples"),
        Measurement("density", f"{near.density:.3f}", "how deep among the data; 1 for real samples"),
        Measurement("coverage", f"{near.coverage:.3f}", "share of the data with a sample nearby"),
        Measurement("Frechet", f"{frechet_distance(features(real), features(fake)):.3f}",
                    f"along {axes} principal axes of the data; no FID"),
    ]
    if dataset.labels is None:
        return found
    balance = class_balance(real, dataset.labels, fake)
    return [
        *found,
        Measurement("confidence", f"{balance.confidence:.3f}",
                    f"of a classifier; {balance.real_confidence:.3f} on held-out real samples"),
        Measurement("rarest class", f"{balance.rarest:.1%}", "share of the samples, by that classifier"),
    ]


def _parzen_measure(dataset: Dataset, trained: Trained, rng: np.random.Generator) -> Measurement:
    """Estimate as the 2014 paper does, as far as the data go: pixels in [0, 1], 10,000 samples, a tenth of the data for sigma."""
    real = dataset.some(11_000, rng)
    real, fake = (x.reshape(len(x), -1).astype(np.float64) for x in (real, trained.encoded(10_000, rng)))
    if dataset.codec.bounded:
        real, fake = (real + 1) / 2, (fake + 1) / 2
    cut = max(2, min(1000, len(real) // 10))
    found = parzen(fake, real[:cut], real[cut:])
    held = "fresh samples" if dataset.is_mixture else "the data that G was trained on, as there is no test set"
    meaning = f"nats, sigma {found.sigma:.2g}, on {held}. {PARZEN_CAUTION}"
    return Measurement("Parzen", f"{found.mean:.1f} ± {found.standard_error:.1f}", meaning)


def d_against_optimum(run: Run, n: int = 100_000) -> AgainstOptimum | None:
    """Compare D in play with D* for the G in play, on n samples of G.

    Return None where D* is not what D approaches (no known density, packs, smoothed labels, a D that is no probability), and on an
    emulated backend, which would take hours over 100,000 samples.
    """
    c = run.config
    if run.backend.emulated or not run.dataset.is_mixture:
        return None
    if c.pack > 1 or c.smooth or not OBJECTIVES[c.objective].ascends_v:
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

"""The numbers of a finished run: `tinygan evaluate`, and the map of D against D* that ends a run on a mixture.

A data set decides which measures apply: by whether its density is known, and whether its samples have labels.
"""

from __future__ import annotations

from dataclasses import fields
from typing import NamedTuple

import numpy as np

from tinygan.data import DataError, Dataset
from tinygan.engine.tensor import wrap
from tinygan.game.objectives import OBJECTIVES
from tinygan.training.run import Run
from tinygan.training.samples import Trained

from .metrics import PARZEN_CAUTION, AgainstOptimum, against_optimum, class_balance, parzen
from .mixture_quality import SAMPLES, MixtureQuality, mixture_quality
from .sample_quality import MOST_COMPARED, SampleQuality, SampleScores, sample_quality
from .samples import fake_samples

DRAWS, LARGE = 5, 1024  # draws of z to measure; of samples with more numbers than LARGE only one, as each takes many seconds


class Measurement(NamedTuple):
    """A measure's name, its value as text, and what the value means."""

    name: str
    value: str
    meaning: str


def quality_report(
    dataset: Dataset, trained: Trained, rng: np.random.Generator, with_parzen: bool = False, draws: int | None = None
) -> list[Measurement]:
    """Measure samples of a trained G against its data, every random draw from `rng`.

    draws: how often samples are drawn and compared with data of which there is a finite set; None for DRAWS, or one where a sample
    has more than LARGE numbers. Where the data have samples that were held out (`Dataset.held`), they are compared with those too.
    Raises DataError for fewer than 6 samples, and for data that are not in the units of those that G was trained on.
    """
    if dataset.codec != trained.codec:
        raise DataError(f"{dataset.name} is not in the units of the run's data; bring it: dataset.in_units_of(trained.codec)")
    if dataset.is_mixture:
        found = mixture_rows(quality_of_mixture(dataset, trained, rng))
    else:
        found = _sample_rows(dataset, trained, rng, draws or (DRAWS if dataset.x[0].size <= LARGE else 1))
    return [*found, _parzen_measure(dataset, trained, rng)] if with_parzen else found


# ---- mixtures -------------------------------------------------------------------------------------------------------------------


def quality_of_mixture(dataset: Dataset, trained: Trained, rng: np.random.Generator) -> MixtureQuality:
    """Measure SAMPLES samples of a trained G against a mixture's known density."""
    return mixture_quality(dataset.codec.decode(trained.encoded(SAMPLES, rng)), dataset.centres, dataset.std, rng)


def mixture_rows(found: MixtureQuality) -> list[Measurement]:
    """Return the measures of samples of a mixture as rows of the report."""
    scores, exact, n = found.scores, found.exact, found.numbers()
    by_chance = 1.25 / np.sqrt(max(found.shapes.count.mean(), 1))
    return [
        Measurement("modes", f"{scores.modes} of {found.of}", "with a sample within 3 std, of 2,500 samples"),
        Measurement("HQ", f"{scores.hq:.1%}", "within 3 std of a mode; an exact sampler has 98.9%"),
        Measurement("reverse KL", f"{scores.reverse_kl:.4f}",
                    f"nats; HQ samples over the modes, from uniform; an exact sampler has {exact['reverse_kl']:.4f}"),
        Measurement("shares of modes", f"{scores.reverse_kl_of_all:.4f}",
                    f"the same of 25,000 samples, where less is chance; an exact sampler has {exact['reverse_kl_of_all']:.4f}"),
        Measurement("std ratio", f"{n['std_ratio']:.3f} ({n['std_ratio_min']:.3f} to {n['std_ratio_max']:.3f})",
                    "std within a mode / true: mean, narrowest and widest mode; an exact sampler has 1"),
        Measurement("narrow axis", f"{n['narrow_axis']:.3f}", "the least such ratio along an axis; near 0 where a mode is a line"),
        Measurement("shift", f"{n['shift']:.3f} (up to {n['shift_max']:.3f})",
                    f"of a mode's mean from its place, in std; an exact sampler has about {by_chance:.3f}"),
        Measurement("JSD", f"{scores.jsd:.4f}",
                    f"nats, at most 0.6931; on cells, of 25,000 samples; an exact sampler has {exact['jsd']:.4f}"),
        Measurement("MMD test", f"p = {found.test.p:.3f}",
                    "two-sample test, 2,000 of each; an exact sampler has p <= 0.05 in one of 20 trials"),
    ]


def mixture_line(found: MixtureQuality) -> str:
    """Return the measures of samples of a mixture as one line, as training ends with it."""
    n = found.numbers()
    return (f"{n['modes']:.0f} of {found.of} modes, HQ {n['hq']:.1%}, std ratio {n['std_ratio']:.2f} ({n['std_ratio_min']:.2f} to "
            f"{n['std_ratio_max']:.2f}), shift {n['shift']:.2f} std, reverse KL {n['reverse_kl']:.4f} (an exact sampler's "
            f"{n['exact_reverse_kl']:.4f}), JSD {n['jsd']:.4f} ({n['exact_jsd']:.4f}), MMD test p = {n['mmd_p']:.3f}")


# ---- data of which there is a finite set ----------------------------------------------------------------------------------------

MEANINGS = {
    "precision": "share of samples among the data, k = 5 nearest neighbours",
    "recall": "share of the data among the samples",
    "density": "how deep among the data; 1 for real samples, above 1 where samples crowd their middle",
    "coverage": "share of the data with a sample nearby",
}


def _sample_rows(dataset: Dataset, trained: Trained, rng: np.random.Generator, draws: int) -> list[Measurement]:
    """Measure against the data's own samples, against held-out ones, and by a classifier where those have labels."""
    found = sample_quality(dataset, lambda n: trained.encoded(n, rng), rng, draws, MOST_COMPARED)
    over = f"; ± std over {draws} draws of z" if draws > 1 else ""
    rows = [Measurement(name, f"{found.training[name]:.3f}", f"{meaning}{over}") for name, meaning in MEANINGS.items()]
    rows.append(Measurement("Frechet", f"{found.training['frechet']:.3f}",
                            f"along {found.axes} principal axes of the data; no FID{over}"))
    rows += _held_out_rows(found)
    if dataset.labels is None:
        return rows
    balance = class_balance(dataset.x.reshape(len(dataset.x), -1), dataset.labels, found.fakes)
    return [
        *rows,
        Measurement("confidence", f"{balance.confidence:.3f}",
                    f"of a classifier; {balance.real_confidence:.3f} on real samples that it was not fitted on"),
        Measurement("rarest class", f"{balance.rarest:.1%}", "share of the samples, by that classifier"),
    ]


def _held_out_rows(found: SampleQuality) -> list[Measurement]:
    """Return the measures against held-out samples beside those against as many of the training data; [] where there are none."""
    held = found.held_out
    if held is None:
        return []
    rows = []
    for name in (f.name for f in fields(SampleScores)):
        meaning = (f"against {held.n:,} held-out samples; {held.training[name].mean:.3f} against as many of the training data, "
                   f"and real samples have {getattr(held.real, name):.3f}")
        rows.append(Measurement(f"held-out {name if name != 'frechet' else 'Frechet'}", f"{held.held_out[name]:.3f}", meaning))
    m = held.memorisation
    return [*rows, Measurement("nearer to training", f"{m.nearer:.1%}",
                               f"than to held-out samples, {held.n:,} of each; 50 % ± {m.by_chance:.1%} without memorisation, "
                               f"p = {m.p:.3f}")]


def _parzen_measure(dataset: Dataset, trained: Trained, rng: np.random.Generator) -> Measurement:
    """Estimate as the 2014 paper does, as far as the data go: pixels in [0, 1], 10,000 samples, a tenth of the data for sigma.

    Where samples were held out, the likelihood is theirs, and sigma is chosen on training data.
    """
    real = dataset.some(11_000, rng)
    held_out = dataset.held.x if dataset.held is not None else real[:0]
    real, held_out, fake = (x.reshape(len(x), real[0].size).astype(np.float64)
                            for x in (real, held_out, trained.encoded(10_000, rng)))
    if dataset.codec.bounded:
        real, held_out, fake = (real + 1) / 2, (held_out + 1) / 2, (fake + 1) / 2
    cut = max(2, min(1000, len(real) // 10))
    found = parzen(fake, real[:cut], held_out if len(held_out) else real[cut:])
    held = ("fresh samples" if dataset.is_mixture else "held-out data, sigma chosen on training data" if len(held_out)
            else "the data that G was trained on, as there is no test set")
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

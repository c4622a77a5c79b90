"""How well generated samples match data of which there is a finite set: those trained on, and those that were held out.

Against the samples that it was trained on a G may score well by repeating them; against others it cannot. Precision, recall,
density and coverage depend on how many samples there are, so all comparisons that stand side by side take the same number of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import numpy as np

from tinygan.data import DataError, Dataset
from tinygan.data.batches import FEWEST

from .metrics import Neighbours, PcaFeatures, frechet_distance, neighbours

MOST_COMPARED = 2000  # real samples, and generated ones, for measures that compare each with each


@dataclass(frozen=True)
class Spread:
    """The mean of a measure over draws of the noise z, and its standard deviation from draw to draw; NaN for a single draw."""

    mean: float
    std: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"))

    def __format__(self, spec: str) -> str:
        return f"{self.mean:{spec}}" if np.isnan(self.std) else f"{self.mean:{spec}} ± {self.std:{spec}}"


@dataclass(frozen=True)
class SampleScores:
    """The measures of generated samples beside as many real ones: those of `neighbours`, and the Frechet distance."""

    precision: float
    recall: float
    density: float
    coverage: float
    frechet: float


def sample_scores(real: np.ndarray, fake: np.ndarray, features: PcaFeatures) -> SampleScores:
    """Compare fake (m, f) with real (n, f): nearest neighbours with k = 5, and the Frechet distance in `features`."""
    near: Neighbours = neighbours(real, fake)
    return SampleScores(**asdict(near), frechet=frechet_distance(features(real), features(fake)))


@dataclass(frozen=True)
class MemorisationTest:
    """The result of `memorisation_test`.

    nearer: the share of the generated samples whose nearest real one is of those trained on; 0.5 without memorisation. by_chance:
    the standard deviation of that share if it did not matter which samples were trained on. p: how probable a share as large is
    then.
    """

    nearer: float
    by_chance: float
    p: float


def memorisation_test(
    trained_on: np.ndarray, held_out: np.ndarray, fake: np.ndarray, rng: np.random.Generator, permutations: int = 999
) -> MemorisationTest:
    """Test whether fake (m, f) lie nearer to samples that G was trained on (n, f) than to as many held-out ones (n, f).

    The nearest of all 2 n is found for each fake, by Euclidean distance. If G knew nothing of the single samples, the labels
    "trained on" and "held out" could be dealt anew among them: `permutations` such deals give the spread and p (a permutation test;
    the idea of the comparison is that of Meehan et al. 2020, "A Non-Parametric Test to Detect Data-Copying in Generative Models").
    Raises ValueError unless there are as many of both, and at least one of each.
    """
    n = len(trained_on)
    if n != len(held_out) or not n or not len(fake):
        raise ValueError(f"{n} samples trained on, {len(held_out)} held out and {len(fake)} generated: there have to be as many "
                         f"held out as trained on, and at least one of each")
    from scipy.spatial.distance import cdist

    pool, order = np.concatenate([trained_on, held_out]).astype(np.float64), rng.permutation(2 * n)  # of equal distances the first
    nearest = order[cdist(np.asarray(fake, np.float64), pool[order]).argmin(axis=1)]
    count = np.bincount(nearest, minlength=2 * n)
    share = count[:n].sum() / len(fake)
    dealt = np.array([count[rng.permutation(2 * n)[:n]].sum() for _ in range(permutations)]) / len(fake)
    return MemorisationTest(float(share), float(dealt.std()), float((1 + (dealt >= share - 1e-12).sum()) / (1 + permutations)))


@dataclass(frozen=True)
class HeldOutQuality:
    """Samples beside held-out data and beside a subset of the training data, n samples of each, as the scores depend on n.

    held_out, training: the scores of generated samples against either, over draws of z. real: those of the training subset, taken
    for generated samples, against the held-out data: what as many real samples reach. memorisation: of the first draw.
    """

    n: int
    held_out: dict[str, Spread]
    training: dict[str, Spread]
    real: SampleScores
    memorisation: MemorisationTest


@dataclass(frozen=True)
class SampleQuality:
    """All that is measured of samples against a data set.

    training: the scores against the data that G was trained on, over draws of z. held_out: those against data that it was not
    trained on, None where none were held out. fakes (m, f): the samples of all draws. axes: of the Frechet distance.
    """

    training: dict[str, Spread]
    held_out: HeldOutQuality | None
    fakes: np.ndarray
    axes: int

    def numbers(self) -> dict[str, float]:
        """Return every number by name, as results record them.

        precision, recall, density, coverage and frechet against the training data, each with ..._z_std, its standard deviation from
        draw to draw; the same against held-out data as held_out_..., against as many training samples as subset_..., and what real
        samples reach as real_...; nearer_training, with nearer_by_chance and nearer_p: those of the memorisation test.
        """
        found = _flat("", self.training)
        if self.held_out is not None:
            h = self.held_out
            found |= {**_flat("held_out_", h.held_out), **_flat("subset_", h.training)}
            found |= {f"real_{name}": value for name, value in asdict(h.real).items()}
            found |= {"nearer_training": h.memorisation.nearer, "nearer_by_chance": h.memorisation.by_chance,
                      "nearer_p": h.memorisation.p}
        return found


def _flat(prefix: str, spreads: dict[str, Spread]) -> dict[str, float]:
    parts = {f"{prefix}{name}": (s.mean, s.std) for name, s in spreads.items()}
    return {name: mean for name, (mean, _) in parts.items()} | {f"{name}_z_std": std for name, (_, std) in parts.items()}


def sample_quality(
    dataset: Dataset, draw: Callable[[int], np.ndarray], rng: np.random.Generator, draws: int = 1, most: int = MOST_COMPARED
) -> SampleQuality:
    """Measure generated samples against the data that G was trained on, and against those that were held out where there are any.

    draw(n) makes n samples (n, *shape), encoded as the data are; it is called `draws` times. rng: decides which
    real samples are compared, `most` at most. Raises DataError for a mixture, or for data with fewer than 6 samples.
    """
    real = _flattened(dataset)
    features = PcaFeatures.of(real)
    some = rng.permutation(len(real))[:most]
    fakes = [draw(len(some)).reshape(len(some), -1) for _ in range(draws)]
    training = _over_draws([_scores_of_part(real, some, fake, features) for fake in fakes])
    held = None if dataset.held is None else _against_held_out(real, _flattened(dataset.held), fakes, features, rng, most)
    return SampleQuality(training, held, np.concatenate(fakes), features.axes.shape[1])


def _scores_of_part(real: np.ndarray, some: np.ndarray, fake: np.ndarray, features: PcaFeatures) -> SampleScores:
    """Return the scores against the samples `some` of the data; the Frechet distance, which is cheap, against all of them."""
    near = neighbours(real[some], fake)
    return SampleScores(**asdict(near), frechet=frechet_distance(features(real), features(fake)))


def _over_draws(found: list[SampleScores]) -> dict[str, Spread]:
    return {f.name: Spread.of([getattr(one, f.name) for one in found]) for f in fields(SampleScores)}


def _flattened(dataset: Dataset) -> np.ndarray:
    """Return the samples of a data set as (n, f), encoded. Raises DataError for fewer than 6, a mixture among them."""
    n = 0 if dataset.x is None else len(dataset.x)
    if dataset.x is None or n < FEWEST:
        raise DataError(f"{dataset.name} has {n} samples, too few to be compared by their nearest neighbours; it has to have at "
                        f"least {FEWEST}")
    return dataset.x.reshape(n, -1)


def _against_held_out(
    real: np.ndarray, held: np.ndarray, fakes: list[np.ndarray], features: PcaFeatures, rng: np.random.Generator, most: int
) -> HeldOutQuality:
    """Compare the fakes (m, f) of every draw with held-out samples (h, f) and with as many of the training data (n, f)."""
    n = min(len(held), len(real), most)
    outside, inside = (x[rng.permutation(len(x))[:n]] for x in (held, real))
    return HeldOutQuality(
        n, _over_draws([sample_scores(outside, fake[:n], features) for fake in fakes]),
        _over_draws([sample_scores(inside, fake[:n], features) for fake in fakes]), sample_scores(outside, inside, features),
        memorisation_test(inside, outside, fakes[0], rng),
    )

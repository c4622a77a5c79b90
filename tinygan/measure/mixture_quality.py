"""How well samples match a mixture whose density is known: not only its modes, but the width and the place of each one.

A point mass on every mode scores all modes, 100 % HQ and a reverse KL of 0. What shows that it is no Gaussian are the std of the
samples within a mode over the true one, the shift of their mean, the Jensen-Shannon divergence and a two-sample test. Numbers that
an exact sampler does not have at 0 or 1 either stand beside those of an exact sampler with as many samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .metrics import mixture_coverage, mixture_jsd
from .two_sample import TwoSampleTest, View, two_sample_test

WITHIN = 5.0  # std: samples this near to a mode's centre tell its shape; a Gaussian in the plane has all but 4e-6 of its mass there
COUNTED, SAMPLES, TESTED = 2_500, 25_000, 2_000  # samples for modes, HQ and reverse KL; for shapes and the JSD; for the test
EXACT_DRAWS = 5  # exact samplers whose mean stands beside the numbers
COMPARED = ("hq", "reverse_kl", "jsd", "hq_of_all", "reverse_kl_of_all")  # scores that an exact sampler's stand beside


@dataclass(frozen=True)
class ModeShapes:
    """The shape of each of k modes in samples, beside the true one, which has ratios of 1 and a shift of 0.

    count (k,): the samples within WITHIN std of the mode's centre. std_ratio (k,): the root of the mean of the variances along both
    axes, about the samples' own mean, over the true std. axes (k, 2): the same along the principal axes of the mode, the narrow one
    first: a mode that is a line has a narrow one near 0. shift (k,): the distance of the samples' mean from the centre, in std.
    All but count are NaN for a mode of fewer than 3 samples.
    """

    count: np.ndarray
    std_ratio: np.ndarray
    axes: np.ndarray
    shift: np.ndarray


def mode_shapes(samples: np.ndarray, centres: np.ndarray, std: float) -> ModeShapes:
    """Measure the shape of every mode of an equal mixture of 2-D Gaussians in samples (n, 2), in user units; centres (k, 2).

    A sample counts for its nearest centre. By chance, with c exact samples in a mode, std_ratio has a standard deviation of about
    1 / (2 sqrt(c)), and shift is about 1.25 / sqrt(c).
    """
    offset, nearest = offsets(samples, centres)
    near = np.linalg.norm(offset, axis=1) <= WITHIN * std
    k = len(centres)
    count, axes, shift = np.bincount(nearest[near], minlength=k), np.full((k, 2), np.nan), np.full(k, np.nan)
    for mode in np.flatnonzero(count > 2):
        own = offset[near & (nearest == mode)] / std
        axes[mode] = np.sqrt(np.clip(np.linalg.eigvalsh(np.cov(own, rowvar=False)), 0, None))
        shift[mode] = np.linalg.norm(own.mean(axis=0))
    return ModeShapes(count, np.sqrt((axes**2).mean(axis=1)), axes, shift)


def offsets(samples: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the offset (n, 2) of each sample (n, 2) from its nearest centre, and that centre's number (n,)."""
    offset = samples[:, None, :] - centres[None, :, :]
    nearest = np.linalg.norm(offset, axis=2).argmin(axis=1)
    return offset[np.arange(len(samples)), nearest], nearest


def mixture_test(
    real: np.ndarray, fake: np.ndarray, centres: np.ndarray, std: float, rng: np.random.Generator, permutations: int = 199
) -> TwoSampleTest:
    """Test by MMD whether fake (m, 2) could be draws from the mixture that real (n, 2) were drawn from.

    Three views: the samples' offsets from their nearest centre, by a kernel of one std, which all modes share, so that it sees a
    wrong width or place; and the samples themselves, by kernels of a quarter of the smallest distance between centres and of that
    distance, which see wrong shares of the modes.
    """
    distances = np.linalg.norm(centres[:, None, :] - centres[None, :, :], axis=2)
    gap = float(distances[distances > 0].min()) if len(centres) > 1 else 4 * std
    views = [View(offsets(real, centres)[0], offsets(fake, centres)[0], std), View(real, fake, gap / 4), View(real, fake, gap)]
    return two_sample_test(views, rng, permutations)


@dataclass(frozen=True)
class MixtureScores:
    """The scores of one set of samples against a mixture: those of `mixture_coverage`, and `mixture_jsd`.

    modes, hq, reverse_kl: of the first COUNTED samples, as in the papers. hq_of_all, reverse_kl_of_all: of all samples. Counts of n
    exact samples over k modes have a reverse KL of about (k - 1) / 2n by chance: 0.005 on grid for n = 2,500, which hides what the
    shares of the modes differ by, and 0.0005 for 25,000.
    """

    modes: int
    hq: float
    reverse_kl: float
    jsd: float
    hq_of_all: float
    reverse_kl_of_all: float


@dataclass(frozen=True)
class MixtureQuality:
    """All that is measured of samples against a mixture.

    scores: modes, HQ and reverse KL of the first COUNTED samples; JSD, and HQ and reverse KL again, of all. exact: the same, as
    means over EXACT_DRAWS exact samplers with the same numbers of samples. shapes: of all samples. test: of the first TESTED
    samples.
    """

    of: int
    scores: MixtureScores
    exact: dict[str, float]
    shapes: ModeShapes
    test: TwoSampleTest

    @property
    def std_ratios(self) -> tuple[float, float, float]:
        """Return the smallest, the mean and the largest std ratio of the modes; NaN if a mode has too few samples to have one."""
        ratio = self.shapes.std_ratio
        return float(ratio.min()), float(ratio.mean()), float(ratio.max())

    def numbers(self) -> dict[str, float]:
        """Return every number by name, as results record them.

        modes, hq, reverse_kl, jsd, hq_of_all, reverse_kl_of_all, and each but modes once more as exact_...; std_ratio,
        std_ratio_min, std_ratio_max: mean, smallest and largest over the modes; narrow_axis: the smallest ratio along a principal
        axis; shift, shift_max: mean and largest shift in std; mmd_p, mmd_score: of the two-sample test. Modes that have no samples
        count for nothing in the ratios and shifts, which are NaN where no mode has any.
        """
        s, shapes = self.scores, self.shapes
        seen = shapes.count > 2
        def over(values: np.ndarray, function: str) -> float:
            return float(getattr(values[seen], function)()) if seen.any() else float("nan")

        return {
            "modes": s.modes, **{name: getattr(s, name) for name in COMPARED},
            **{f"exact_{name}": value for name, value in self.exact.items()},
            "std_ratio": over(shapes.std_ratio, "mean"), "std_ratio_min": over(shapes.std_ratio, "min"),
            "std_ratio_max": over(shapes.std_ratio, "max"), "narrow_axis": over(shapes.axes, "min"),
            "shift": over(shapes.shift, "mean"), "shift_max": over(shapes.shift, "max"),
            "mmd_p": self.test.p, "mmd_score": self.test.score,
        }


def mixture_quality(samples: np.ndarray, centres: np.ndarray, std: float, rng: np.random.Generator) -> MixtureQuality:
    """Measure samples (n, 2), in user units, against an equal mixture of 2-D Gaussians: centres (k, 2), std of each.

    rng: draws the exact samples to compare with, and the test's permutations. Raises ValueError for fewer than 2 samples.
    """
    n = len(samples)
    exact = [_scores(exact_samples(n, centres, std, rng), centres, std) for _ in range(EXACT_DRAWS)]
    means = {name: float(np.mean([getattr(e, name) for e in exact])) for name in COMPARED}
    some = samples[:TESTED]
    test = mixture_test(exact_samples(len(some), centres, std, rng), some, centres, std, rng)
    return MixtureQuality(len(centres), _scores(samples, centres, std), means, mode_shapes(samples, centres, std), test)


def exact_samples(n: int, centres: np.ndarray, std: float, rng: np.random.Generator) -> np.ndarray:
    """Draw n samples (n, d) from an equal mixture of isotropic Gaussians: centres (k, d), std of each; user units."""
    return centres[rng.integers(len(centres), size=n)] + std * rng.standard_normal((n, centres.shape[1]))


def _scores(samples: np.ndarray, centres: np.ndarray, std: float) -> MixtureScores:
    first, every = (mixture_coverage(some, centres, std) for some in (samples[:COUNTED], samples))
    return MixtureScores(first.modes, first.hq, first.reverse_kl, mixture_jsd(samples, centres, std), every.hq, every.reverse_kl)

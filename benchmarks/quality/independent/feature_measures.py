"""Measures in features and by models: Frechet distance, Parzen windows, class balance, the birthday test."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import numpy as np

from benchmarks.quality.independent import definitions
from benchmarks.quality.independent.comparison import COUNTS, LOOP, SUMS, Comparator, Comparison, named, rounding
from benchmarks.quality.independent.samples import SEED, Cloud, blurred, clouds, digits
from tinygan.measure import birthday, metrics

KEPT = 32


def in_features(cloud: Cloud) -> list[np.ndarray]:
    """Return real and generated samples along the principal axes of the real ones, by scikit-learn."""
    from sklearn.decomposition import PCA

    pca = PCA(min(KEPT, *cloud.real.shape), svd_solver="full").fit(cloud.real)
    return [pca.transform(x) for x in (cloud.real, cloud.fake)]


def frechet_sets() -> list[Cloud]:
    """Return the clouds, and a few generated samples, fewer than axes, so that their covariance has no full rank."""
    poor = clouds()[0]
    return [*clouds(), Cloud("digits, only 20 generated", poor.real, poor.fake[:20])]


def ours_in_features(cloud: Cloud) -> float:
    """Return the Frechet distance that this project reports."""
    features = metrics.PcaFeatures.of(cloud.real, KEPT)
    return metrics.frechet_distance(features(cloud.real), features(cloud.fake))


def tolerance_of(cloud: Cloud, ours: float) -> tuple[float, str]:
    """Return how far apart two Frechet distances may be: roots of eigenvalues that are 0 but for rounding are no 0."""
    if len(cloud.fake) > KEPT:
        return rounding(ours, 1e-9), "matrix roots that are found in different ways, of covariances with a condition of up to 1e4"
    return rounding(ours, 1e-5), "a covariance without full rank: the root of an eigenvalue that is 0 but for 1e-16 is 1e-8"


def torchmetrics_fid(real: np.ndarray, fake: np.ndarray) -> float:
    """Return torchmetrics' FID of what is handed in, as its network hands it on; its sums are in float64."""
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Features(torch.nn.Identity):
        num_features = real.shape[1]

    fid = FrechetInceptionDistance(feature=Features())
    fid.update(torch.from_numpy(real), real=True)
    fid.update(torch.from_numpy(fake), real=False)
    return float(fid.compute())


def frechet_by_torchmetrics() -> Iterator[Comparison]:
    """Compare the Frechet distance with torchmetrics' FID along scikit-learn's principal axes."""
    for cloud in frechet_sets():
        ours = ours_in_features(cloud)
        theirs = torchmetrics_fid(*in_features(cloud))
        yield Comparison("Frechet distance", cloud.name, ours, theirs, named("torchmetrics", "scikit-learn"),
                         *tolerance_of(cloud, ours))


def frechet() -> Iterator[Comparison]:
    """Compare the Frechet distance with SciPy's root of the product of covariances, as Heusel et al. 2017 compute it."""
    from scipy.linalg import sqrtm

    for cloud in frechet_sets():
        a, b = in_features(cloud)
        A, B = np.cov(a.T), np.cov(b.T)
        theirs = float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(A + B - 2 * np.real(sqrtm(A @ B))))
        ours = ours_in_features(cloud)
        yield Comparison("Frechet distance", cloud.name, ours, theirs, named("scipy", "scikit-learn"), *tolerance_of(cloud, ours))


# ---- Parzen windows -------------------------------------------------------------------------------------------------------------


def parzen() -> Iterator[Comparison]:
    """Compare the Parzen estimate with scikit-learn's density of kernels, its width chosen by its own score, and with a loop."""
    for cloud in (clouds()[0], clouds()[1]):
        fake, real = (cloud.fake + 1) / 2, (cloud.real + 1) / 2
        valid, test, widths = real[:60], real[60:160], np.logspace(-1, 0, 10)
        ours = metrics.parzen(fake, valid, test)
        for by, (width, logs) in ((named("scikit-learn"), by_kernel_density(fake, valid, test, widths, len(fake))),
                                  (LOOP, definitions.parzen(fake, valid, test, widths.tolist()))):
            mean, error = math.fsum(logs) / len(logs), statistics.stdev(logs) / math.sqrt(len(logs))
            yield Comparison("Parzen estimate", cloud.name, ours.mean, mean, by, rounding(mean, 1e-10), SUMS)
            yield Comparison("Parzen, standard error", cloud.name, ours.standard_error, error, by, rounding(error, 1e-10), SUMS)
            yield Comparison("Parzen, width", cloud.name, ours.sigma, width, by, 0.0, "the best of the same ten widths")


LEAVES = ("with its default leaves scikit-learn's KernelDensity is wrong where kernels are narrow (its issues 25799 and 27186); "
          "with all samples in one leaf it adds up every kernel, and is right")


def parzen_by_default_leaves() -> Iterator[Comparison]:
    """Compare the Parzen estimate with scikit-learn's by its default, which differs from its own with all samples in one leaf."""
    cloud = clouds()[0]
    fake, real = (cloud.fake + 1) / 2, (cloud.real + 1) / 2
    valid, test, widths = real[:60], real[60:160], np.logspace(-1, 0, 10)
    whole, leaves = (math.fsum(by_kernel_density(fake, valid, test, widths, size)[1]) / len(test) for size in (len(fake), 40))
    ours = metrics.parzen(fake, valid, test).mean
    yield Comparison("Parzen estimate", cloud.name, ours, leaves, named("scikit-learn"), rounding(ours, 1e-10), SUMS,
                     leaves - whole, LEAVES)


def by_kernel_density(
    fake: np.ndarray, valid: np.ndarray, test: np.ndarray, widths: np.ndarray, leaf_size: int
) -> tuple[float, list[float]]:
    """Return the width that is best on validation, and the logarithms of the density at the test points, by scikit-learn.

    leaf_size: of its tree; as many as there are samples and it adds up every kernel.
    """
    from sklearn.neighbors import KernelDensity

    models = [KernelDensity(bandwidth=width, leaf_size=leaf_size).fit(fake) for width in widths]
    best = max(models, key=lambda model: model.score(valid))
    return float(best.bandwidth), best.score_samples(test).tolist()


# ---- classes --------------------------------------------------------------------------------------------------------------------


def softmax_regression(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (f, c) and biases (c,) of the logistic regression with a penalty |W|^2 / 2, its convex goal ended by SciPy."""
    from scipy.optimize import minimize
    from scipy.special import logsumexp

    classes = np.eye(labels.max() + 1)[labels]
    f, c = x.shape[1], classes.shape[1]

    def goal(theta: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = theta[: f * c].reshape(f, c), theta[f * c :]
        s = x @ w + b
        log_total = logsumexp(s, axis=1, keepdims=True)
        slopes = np.exp(s - log_total) - classes
        loss = float((log_total[:, 0] - (s * classes).sum(axis=1)).sum() + (w**2).sum() / 2)
        return loss, np.concatenate([(x.T @ slopes + w).ravel(), slopes.sum(axis=0)])

    found = minimize(goal, np.zeros(f * c + c), jac=True, method="L-BFGS-B",
                     options={"maxiter": 5000, "maxfun": 10_000, "ftol": 0, "gtol": 1e-7, "maxcor": 30}).x
    return found[: f * c].reshape(f, c), found[f * c :]


def probabilities(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the probability of each class (n, c)."""
    from scipy.special import softmax

    return softmax(x @ w + b, axis=1)


def class_balance() -> Iterator[Comparison]:
    """Compare confidences and shares of classes with a regression that SciPy fits to the same half of the digits."""
    from sklearn.model_selection import train_test_split

    x, labels = digits()
    x, labels, rest = x[:600], labels[:600], blurred(x[600:900], 0.1, 12)
    fit_x, held_x, fit_y, _ = train_test_split(x, labels, test_size=0.5, random_state=0, stratify=labels)
    model = softmax_regression(fit_x, fit_y)
    second, first = np.sort(probabilities(rest, *model), axis=1)[:, -2:].T
    rest = rest[first - second > 0.02]  # a sample on the border of two classes could fall on either side
    ours = metrics.class_balance(x, labels, rest)
    found, held = (probabilities(points, *model) for points in (rest, held_x))
    name, by, why = "digits, blurred and noisy", named("scipy"), "scikit-learn ends its fit when no slope is above 1e-4"
    yield Comparison("classifier's confidence", name, ours.confidence, float(found.max(axis=1).mean()), by, 1e-3, why)
    yield Comparison("classifier's confidence", f"{name}: on real ones", ours.real_confidence, float(held.max(axis=1).mean()), by,
                     1e-3, why)
    shares = [float(np.mean(found.argmax(axis=1) == c)) for c in range(10)]
    yield Comparison("rarest class", name, ours.rarest, min(shares), by, rounding(1.0), COUNTS)
    for c, (share, theirs) in enumerate(zip(ours.shares, shares, strict=True)):
        yield Comparison("shares of classes", f"{name}: digit {c}", share, theirs, by, rounding(1.0), COUNTS)


# ---- the birthday test ----------------------------------------------------------------------------------------------------------


def birthday_test() -> Iterator[Comparison]:
    """Compare the share of batches with a repeat, and the support: by the paper's formula, and by the product behind it."""
    from scipy.optimize import brentq
    from scipy.special import gammaln

    x, _ = digits()
    rng = np.random.default_rng([SEED, 13])
    sets = (
        ("60 digits, drawn with replacement", [x[rng.integers(60, size=8)] for _ in range(200)], 0.125, 0),
        ("points on a grid, 5 apart or less", [rng.integers(0, 30, (6, 2)).astype(float) for _ in range(200)], 1.0, 5),
    )
    for name, batches, unit, tolerance in sets:
        given, s = iter(batches), len(batches[0])
        ours = birthday.birthday_test(lambda _, given=given: next(given), s, len(batches), tolerance)
        found = [definitions.repeats(definitions.integers_of(batch, unit), tolerance) for batch in batches]
        share = sum(found) / len(found)
        yield Comparison("birthday test, share", name, ours.share, share, f"{LOOP}, in whole numbers", rounding(1.0), COUNTS)
        by_formula = brentq(lambda n, s=s, share=share: -math.expm1(-s * (s - 1) / (2 * n)) - share, 1, 1e9, xtol=1e-12, rtol=1e-14)
        yield Comparison("birthday test, support", name, ours.support, by_formula, f"a root by {named('scipy')}",
                         rounding(by_formula, 1e-9), "a root that is found to 1e-12 of itself, of a difference near 0")
        product = brentq(lambda n, s=s, share=share: -math.expm1(gammaln(n + 1) - gammaln(n - s + 1) - s * math.log(n)) - share,
                         s, 1e6)
        yield Comparison("birthday test, support", f"{name}: the product", ours.support, product, f"a root by {named('scipy')}",
                         s * s / (6 * product), "the next term of the series, s² / 6N", (2 * s - 1) / 6,
                         "exp(-s(s - 1) / 2N), which Arora and Zhang 2018 take, is the first term of the product of 1 - i / N; "
                         "by the second one there are (2s - 1) / 6 more")


COMPARATORS = (
    Comparator("Frechet distance by torchmetrics", frechet_by_torchmetrics, ("torch", "torchmetrics")),
    Comparator("Frechet distance", frechet), Comparator("Parzen windows", parzen),
    Comparator("Parzen windows by default leaves", parzen_by_default_leaves), Comparator("class balance", class_balance),
    Comparator("birthday test", birthday_test),
)

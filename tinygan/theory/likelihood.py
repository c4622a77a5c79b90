"""Claims about Parzen windows, the 2014 paper's Table 1: what they rank, and how far from a likelihood they are.

A Parzen window puts a Gaussian of width sigma on each sample and takes the log of their mean at test points, sigma being chosen on
validation points. Theis et al. 2016 (arXiv 1511.01844) show that such a number need not rank models by their
samples: centres of clusters of the training data, which are no samples of anything, beat samples of the data themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from tinygan import data
from tinygan.measure.clusters import clustered
from tinygan.measure.metrics import Neighbours, Parzen, neighbours, parzen
from tinygan.nn.layers import Linear, Sequential

from .claim import Claim, Measured

SAMPLES = 300
SIGMAS = np.logspace(-1.3, 0, 20)
DIMENSIONS, STD = 64, 0.2


@dataclass(frozen=True)
class Row:
    """A row of the table: samples (n, 64), pixels in [0, 1], their Parzen estimate, and their precision against test digits."""

    samples: np.ndarray
    parzen: Parzen
    neighbours: Neighbours


def _digits(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 1,197 digits to learn from, 200 to choose sigma on and 400 to test on, each (n, 64) with pixels in [0, 1]."""
    x = np.asarray(data.load("digits").x)
    pixels = (x.reshape(len(x), -1)[rng.permutation(len(x))].astype(np.float64) + 1) / 2
    return pixels[:1197], pixels[1197:1397], pixels[1397:]


def _samples_of_a_gan(train: np.ndarray, backend: Backend, rng: np.random.Generator, steps: int = 1500) -> np.ndarray:
    """Train a small GAN on digits for a second or two, and return SAMPLES samples with pixels in [0, 1]."""
    from tinygan.fitting import fit  # which loads a library for its bar, that `import tinygan.theory` leaves out

    made: dict[str, Any] = {"backend": backend, "rng": rng}
    G = Sequential(Linear(16, 128, act="leaky_relu", **made), Linear(128, 64, act="tanh", **made))
    D = Sequential(Linear(64, 128, act="leaky_relu", slope=0.2, **made), Linear(128, 1, **made))
    encoded = (2 * train - 1).astype(np.float32)
    run = fit(G, D, encoded, standardise=False, steps=steps, batch=64, seed=0, progress=False, say=lambda _: None)
    return (np.asarray(run.sample(SAMPLES), np.float64) + 1) / 2


@cache
def parzen_table(backend: Backend, seed: int = 0) -> dict[str, Row]:
    """Measure four sets of 300 points as Table 1 of the 2014 paper does, on one split of the digits."""
    rng = np.random.default_rng(seed)
    train, validation, test = _digits(rng)
    centres = clustered(train, SAMPLES, n_init=1, random_state=seed, max_iter=50).cluster_centers_
    sets = {
        "a Gaussian with the digits' mean and covariance": rng.multivariate_normal(train.mean(axis=0), np.cov(train.T), SAMPLES),
        "a small GAN": _samples_of_a_gan(train, backend, rng),
        "digits themselves": train[:SAMPLES],
        "centres of clusters": centres,
    }
    return {name: Row(x, parzen(x, validation, test, SIGMAS), neighbours(test, x, 5)) for name, x in sets.items()}


def table_one(backend: Backend) -> list[Measured]:
    rows = parzen_table(backend)
    names = ["a Gaussian with the digits' mean and covariance", "a small GAN", "digits themselves", "centres of clusters"]
    measured = [Measured(f"{names[0]}: nats", rows[names[0]].parzen.mean, 5, relation="<=")]
    for lower, name in pairwise(names):
        measured.append(Measured(f"{name}: nats, against {lower}", rows[name].parzen.mean, rows[lower].parzen.mean, relation=">="))
    data_row, centres = rows[names[2]], rows[names[3]]
    errors = float(np.hypot(data_row.parzen.standard_error, centres.parzen.standard_error))
    ahead = (centres.parzen.mean - data_row.parzen.mean) / errors
    return [
        *measured,
        Measured("centres over digits, in standard errors of the difference", ahead, 5, relation=">="),
        Measured("centres: share of them that no digit of the data equals", _new(centres.samples), 0.5, relation=">="),
        Measured("the GAN: precision against test digits", rows[names[1]].neighbours.precision, 0.3, relation=">="),
    ]


def _new(points: np.ndarray) -> float:
    """Return the share of points with pixel values that no digit has: those of digits are whole sixteenths."""
    return float((np.abs(points * 16 - np.rint(points * 16)).max(axis=1) > 1e-3).mean())


def against_likelihood(backend: Backend) -> list[Measured]:
    """Estimate where the likelihood is known: 64 independent Gaussians of std 0.2, the samples being exact."""
    rng = np.random.default_rng(0)
    test = STD * rng.standard_normal((500, DIMENSIONS))
    known = float((-0.5 * (test / STD) ** 2 - np.log(STD * np.sqrt(2 * np.pi))).sum(axis=1).mean())
    estimates = {}
    for n in (100, 1000, 10_000):
        samples = STD * rng.standard_normal((n, DIMENSIONS))
        estimates[n] = parzen(samples, STD * rng.standard_normal((200, DIMENSIONS)), test, np.logspace(-1, -0.4, 8)).mean
    centre = parzen(np.zeros((1, DIMENSIONS)), test[:200], test, np.array([STD])).mean
    below = [
        Measured(f"estimate from {n:,} exact samples, nats below the true {known:.2f}", known - estimate, 5, relation=">=")
        for n, estimate in estimates.items()
    ]
    return [
        *below,
        Measured("what ten times as many samples gain, 1,000 to 10,000", estimates[10_000] - estimates[1000], 4, relation="<="),
        Measured("estimate from a single point, the mean, against the true value", centre, known, 1e-9),
    ]


_THEIS = "Theis et al. 2016"
CLAIMS = [
    Claim("parzen-table", 10, "by Parzen windows, 300 centres of clusters are a better model of digits than 300 digits",
          f"Goodfellow et al. 2014, Table 1; {_THEIS}, on Parzen windows", "an order with a margin in standard errors", table_one),
    Claim("parzen-likelihood", 10, "in 64 dimensions a Parzen estimate is far below the likelihood; that of a single point is not",
          f"{_THEIS}, on samples and likelihood",
          "the windows of a known density; that of one point is the density itself", against_likelihood),
]

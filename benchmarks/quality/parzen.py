"""Repeat the 2014 paper's Table 1 on MNIST: `python -m benchmarks.quality.parzen [DATA ...] [--steps N] [--json FILE]`

DATA is mnist, which scikit-learn downloads, or idx files (.gz or not) of MNIST's images: the training file and then the test file
make the whole of it. G and D have the sizes of the paper, and are trained with the settings that its authors published
(mnist.yaml of github.com/goodfeli/adversarial), as far as `tinygan.fit` has them; DIFFERENCES says where it has not. Then 10,000
samples of G, as many digits of the training set, a Gaussian with their mean and covariance, and the centres of clusters of them are
compared in the paper's way: a Parzen window whose width, of ten, is best on 1,000 validation digits, the mean log-likelihood of the
test digits in nats, and its standard error over them. Pixels lie in [0, 1].

The whole of MNIST is split as in the paper: 50,000 digits to train on, 1,000 of the next 10,000 to choose the width on, and the
10,000 of the test set. Anything else is shuffled, and a tenth is put aside for each of the two, at most as many as there: that is
another task than the paper's, and the output says so. Beside the estimate stands the precision of each set (k = 5, up to 1,000
points against as many test digits), as Theis et al. 2016 (arXiv 1511.01844) warn that Parzen windows need not rank models by
their samples.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tinygan_kernels import Backend
from tinygan_kernels import load as load_backend

from benchmarks.speed.timing import stamp
from tinygan.data import DataError
from tinygan.data import load as load_data
from tinygan.engine import Draws
from tinygan.fitting import fit
from tinygan.measure import metrics
from tinygan.measure.clusters import clustered
from tinygan.nn import Dropout, Init, Linear, Maxout, Sequential
from tinygan.optim import Momentum

# Goodfellow et al. 2014 (arXiv 1406.2661), Table 1, on MNIST: nats and their standard error
PUBLISHED = {"adversarial nets": (225.0, 2.0), "deep GSN": (214.0, 1.1), "DBN": (138.0, 2.0), "stacked CAE": (121.0, 1.6)}

SHAPE = (28, 28, 1)
SAMPLES, VALIDATION, TEST = 10_000, 1000, 10_000
LEAST = 100  # images: a tenth of them is what k = 5 nearest neighbours need
DIGITS_A_CENTRE = 5  # so 50,000 digits to train on give 10,000 centres, as many as there are samples
JUDGED = 1000  # points of each set that precision is measured on

Z, WIDTH, UNITS, PIECES = 100, 1200, 240, 5
BATCH, STEPS = 100, 4000
RATE, MOMENTUM = 0.1, 0.5
DIFFERENCES = (
    "z is normal, as in every run of tinygan; the paper's is uniform, and has the same variance",
    "momentum stays at 0.5; the authors let it rise to 0.7 over 250 passes",
    "the rate stays at 0.1; the authors let it fall by 4 millionths a step",
)

# The mean pixel, in [0, 1], by which MNIST and its two files are told from other images of 28x28 under the same names of files
MEANS = {70_000: ("MNIST", 0.13092), 60_000: ("MNIST's training set alone", 0.13066), 10_000: ("MNIST's test set alone", 0.13251)}
WHOLE = MEANS[70_000][0]

GAN, GAUSSIAN = "samples of G", "a Gaussian with the digits' mean and covariance"
TRAINING, CENTRES = "training digits themselves", "centres of clusters of training digits"


@dataclass(frozen=True)
class Digits:
    """Digits in three parts that share none, each (n, 784) with pixels in [0, 1]. name: what they are.

    as_published: True for the whole of MNIST in the paper's own split.
    """

    name: str
    as_published: bool
    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def sizes(self) -> dict[str, int]:
        return {"training": len(self.training), "validation": len(self.validation), "test": len(self.test)}


# ---- the digits -----------------------------------------------------------------------------------------------------------------


def read(names: list[str], seed: int = 0) -> Digits:
    """Return the digits that these names or paths stand for. seed: of the split where it is not the paper's. Raises DataError."""
    if len(names) > 1 and ("mnist" in names or len({Path(name).resolve() for name in names}) < len(names)):
        raise DataError(f"{' '.join(names)}: some digits would be there twice, for training and for the test; name each file once, "
                        f"and mnist alone")
    return split([_pixels(name) for name in names], " and ".join(Path(name).name for name in names), seed)


def _pixels(name: str) -> np.ndarray:
    """Return the images of a file, or of mnist, as (n, 784) with pixels in [0, 1]. Raises DataError."""
    found = load_data(name)
    if found.x is None or found.x.shape[1:] != SHAPE:
        raise DataError(f"{found.summary}; the paper's networks are for grey images of 28x28 pixels, such as MNIST's")
    return (found.x.reshape(len(found.x), -1) + 1) / 2


def split(parts: list[np.ndarray], name: str, seed: int = 0) -> Digits:
    """Split pixels (n, 784) of one or more files as the module's docstring says. name: of files that are not MNIST's.

    Raises DataError where there are too few.
    """
    pixels, sizes = np.concatenate(parts), [len(part) for part in parts]
    n = len(pixels)
    if n < LEAST:
        raise DataError(f"{name}: {n} images are too few to train on, choose a width on and test on; give at least {LEAST}")
    known = _known_as(pixels)
    if known == WHOLE and sizes in ([70_000], [60_000, 10_000]):
        return Digits(known, True, pixels[:50_000], pixels[50_000 : 50_000 + VALIDATION], pixels[60_000:])
    order, validation, test = np.random.default_rng(seed).permutation(n), min(n // 10, VALIDATION), min(n // 10, TEST)
    aside = validation + test
    return Digits(known or name, False, pixels[order[aside:]], pixels[order[:validation]], pixels[order[validation:aside]])


def _known_as(pixels: np.ndarray) -> str | None:
    """Return what part of MNIST these are, by their number and their mean; None for other images."""
    name, mean = MEANS.get(len(pixels), (None, 0.0))
    return name if abs(float(pixels.mean(dtype=np.float64)) - mean) < 2e-4 else None


# ---- the sets of points ---------------------------------------------------------------------------------------------------------


def _uniform(most: float) -> Init:
    return lambda rng, shape, fan_in, fan_out: rng.uniform(-most, most, shape)


def networks(marginals: np.ndarray, backend: Backend, seed: int) -> tuple[Sequential, Sequential]:
    """Return G and D as the paper has them: G begins with the data's mean at every pixel, `marginals` (784,)."""
    made: dict[str, Any] = {"backend": backend, "rng": np.random.default_rng([seed, 1])}
    wide, narrow, draws = _uniform(0.05), _uniform(0.005), Draws(np.random.default_rng([seed, 2]))
    last = Linear(WIDTH, len(marginals), act="sigmoid", init=wide, **made)
    p = np.clip(marginals.astype(np.float64), 1e-6, 1 - 1e-6)
    last.b.array[...] = backend.asarray(np.log(p / (1 - p)).astype(np.float32))
    G = Sequential(Linear(Z, WIDTH, act="relu", init=wide, **made), Linear(WIDTH, WIDTH, act="relu", init=wide, **made), last)
    D = Sequential(
        Dropout(0.2, draws), Maxout(len(marginals), UNITS, PIECES, init=narrow, **made),
        Dropout(0.5, draws), Maxout(UNITS, UNITS, PIECES, init=narrow, **made),
        Dropout(0.5, draws), Linear(UNITS, 1, init=narrow, **made),
    )
    return G, D


def samples_of_gan(training: np.ndarray, steps: int, seed: int, say: Callable[[str], None]) -> tuple[np.ndarray, list[str]]:
    """Train G and D, and return SAMPLES samples of G with pixels in [0, 1], and the names of the alarms that went off.

    The authors descend half of D's loss, and move both players by one forward pass: so D's rate is half of G's, and the players
    move simultaneously. Raises FloatingPointError where the run diverges.
    """
    G, D = networks(training.mean(axis=0), load_backend("cpu"), seed)
    optim_d, optim_g = Momentum(D.parameters(), RATE / 2, MOMENTUM), Momentum(G.parameters(), RATE, MOMENTUM)
    run = fit(G, D, training, standardise=False, optim_d=optim_d, optim_g=optim_g, objective="nonsaturating",
              update="simultaneous", steps=steps, batch=BATCH, seed=seed, r1=0.0, ema=0.0, decay=0.0, say=say)
    return run.sample(SAMPLES, seed), sorted(run.alarms)


def gaussian_samples(training: np.ndarray, seed: int) -> np.ndarray:
    """Draw SAMPLES points from the Gaussian that has the mean and the covariance of digits (n, 784)."""
    rng = np.random.default_rng([seed, 3])
    return rng.multivariate_normal(training.mean(axis=0, dtype=np.float64), np.cov(training, rowvar=False), SAMPLES, method="eigh")


def centres_of_clusters(training: np.ndarray, seed: int) -> np.ndarray:
    """Return the centres that k-means finds in digits (n, 784): one for five digits, at most SAMPLES."""
    count = min(SAMPLES, len(training) // DIGITS_A_CENTRE)
    return clustered(training, count, init="random", n_init=1, max_iter=20, random_state=seed).cluster_centers_


def measured(points: np.ndarray, digits: Digits) -> dict[str, float]:
    """Measure points (n, 784) in the paper's way. The width is chosen on the validation digits, without those of the test."""
    found = metrics.parzen(points, digits.validation, digits.test)
    near = metrics.neighbours(digits.test[:JUDGED], points[:JUDGED])
    return {"points": len(points), "mean": found.mean, "standard_error": found.standard_error, "sigma": found.sigma,
            "precision": near.precision}


def table(digits: Digits, steps: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Make all sets of points from the training digits, and return what each measures, by its name, with the alarms of the GAN."""
    training, rows = digits.training, {}
    samples, alarms = samples_of_gan(training, steps, seed, say)
    makers: dict[str, Callable[[], np.ndarray]] = {
        GAN: lambda: samples, GAUSSIAN: lambda: gaussian_samples(training, seed), TRAINING: lambda: training[:SAMPLES],
        CENTRES: lambda: centres_of_clusters(training, seed),
    }
    for name, make in makers.items():
        rows[name] = measured(make(), digits)
        say(told(name, rows[name]))
    return {"rows": rows, "alarms": alarms}


# ---- the command ----------------------------------------------------------------------------------------------------------------


def told(name: str, row: dict[str, float]) -> str:
    """Return a measured row as a line."""
    estimate = f"{row['mean']:7.1f} ± {row['standard_error']:.1f} nats"
    return f"{name:47s} {row['points']:6,} points  {estimate}  sigma {row['sigma']:.3f}  precision {row['precision']:.2f}"


def heading(digits: Digits, steps: int) -> str:
    """Return what the digits are, how they are split, and how long the GAN is trained."""
    parts = digits.sizes
    how = "split as in the paper" if digits.as_published else "shuffled; another task than the paper's"
    passes = f"{steps * BATCH / parts['training']:.0f} passes over the digits to train on"
    return (f"{digits.name}: {parts['training']:,} digits to train on, {parts['validation']:,} to choose sigma on, "
            f"{parts['test']:,} to test on ({how})\n{steps:,} steps with batches of {BATCH}, {passes}; {'; '.join(DIFFERENCES)}")


def published() -> str:
    """Return the figures of the paper, in nats."""
    return ", ".join(f"{name} {nats:g} ± {error:g}" for name, (nats, error) in PUBLISHED.items())


def _refused(error: object) -> int:
    print(f"parzen: {error}", file=sys.stderr)
    return 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", metavar="DATA", help="mnist, which is the default, or idx files of its images")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.steps < 1:
        return _refused(f"--steps is {args.steps}, it has to be at least 1")
    if not 0 <= args.seed < 2**32:  # as scikit-learn's seeds
        return _refused(f"--seed is {args.seed}, it has to be between 0 and {2**32 - 1:,}")
    if args.json and not args.json.parent.is_dir():
        return _refused(f"--json: there is no folder {args.json.parent}; make it first")
    if args.json and args.json.is_dir():
        return _refused(f"--json is the folder {args.json}; give the path of a file in it")
    try:
        digits = read(args.data or ["mnist"], args.seed)
    except DataError as error:
        return _refused(error)
    print(heading(digits, args.steps), flush=True)
    try:
        found = table(digits, args.steps, args.seed, lambda line: print(line, flush=True))
    except FloatingPointError as error:
        print(f"parzen: {error}", file=sys.stderr)
        return 1
    print(f"published, on the whole of MNIST: {published()}")
    print(metrics.PARZEN_CAUTION)
    if args.json:
        record = {"data": digits.name, "as_published": digits.as_published, "split": digits.sizes, "steps": args.steps,
                  "batch": BATCH, "seed": args.seed, "differences": DIFFERENCES, **found, "stamp": stamp()}
        args.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

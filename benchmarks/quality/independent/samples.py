"""The samples that all implementations measure: of generators whose faults are known, and some that a measure could trip over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tinygan.data import load
from tinygan.data.named import grid_centres, ring_centres

SEED = 18


class Recorded:
    """A generator of random numbers that keeps the permutations that it gave, so that another implementation can take the same."""

    def __init__(self, seed: int) -> None:
        self.rng, self.permutations = np.random.default_rng(seed), list[np.ndarray]()

    def permutation(self, n: int) -> np.ndarray:
        """Return a permutation of range(n), as the generator has it."""
        self.permutations.append(self.rng.permutation(n))
        return self.permutations[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rng, name)


@dataclass(frozen=True)
class Mixture:
    """Samples (n, 2) of a generator beside the mixture that it should have made: centres (k, 2), std of each."""

    name: str
    samples: np.ndarray
    centres: np.ndarray
    std: float


def drawn(
    centres: np.ndarray, std: float, n: int, seed: int, spread: float = 1.0, shift: float = 0.0, missing: int = 0
) -> np.ndarray:
    """Return n samples of a mixture with faults: widths times `spread`, moved by `shift` std, without the first few modes."""
    rng = np.random.default_rng([SEED, seed])
    return centres[rng.integers(missing, len(centres), n)] + std * (spread * rng.standard_normal((n, 2)) + (shift, 0.0))


def on_edges() -> Mixture:
    """Return samples that lie exactly on the limits: 3 and 5 std from a centre, on the axes, in a centre, between two centres.

    All numbers are exact in binary, and so are these distances: (3, 4, 5) times 0.75 and 1.25, the std being 1.25.
    """
    centres, std = np.array([[0.0, 0.0], [32.0, 0.0], [0.0, 32.0], [32.0, 32.0]]), 1.25
    own = [(2.25, 3.0), (-3.0, 2.25), (3.75, 0.0), (0.0, -3.75), (3.75, 5.0), (5.0, -3.75), (0.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]
    first = np.array(own)
    few = centres[1] + [[0.5, 0.25], [-1.0, 0.5], [0.25, -2.0], [0.5, 0.25]]
    others = np.array([[16.0, 0.5], [16.0, 16.0], [0.5, 32.0]])  # between modes, and one alone in a mode; the last mode has none
    return Mixture("on the limits, some twice", np.concatenate([first, first[:3], few, others]), centres, std)


@cache
def mixtures(n: int = 400) -> tuple[Mixture, ...]:
    """Return the sets of samples on which measures of mixtures are compared."""
    ring, grid = (ring_centres(), 0.01), (grid_centres(), 0.05)
    narrow, copied = drawn(*ring, n, 0, spread=0.6, shift=0.3), drawn(*ring, n // 4, 1)
    return (
        Mixture("ring, narrow and shifted", narrow, *ring),
        Mixture("grid, wide, four modes missing", drawn(*grid, n, 2, spread=1.4, missing=4), *grid),
        Mixture("ring, each sample four times", np.repeat(copied, 4, axis=0), *ring),
        on_edges(),
        Mixture("grid, all samples far from all modes", np.array([[9.0, 9.0], [-9.5, 3.0], [0.9, 1.1]]), *grid),
    )


# ---- digits ---------------------------------------------------------------------------------------------------------------------

UNIT = 0.125  # digits have pixels of 0 to 16, which networks see as -1 to 1


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's 1,797 digits (n, 64) as networks see them, in float64 and a random order, and their labels (n,)."""
    data = load("digits")
    order = np.random.default_rng(SEED).permutation(len(data.x))
    return data.x.reshape(len(data.x), -1)[order].astype(np.float64), data.labels[order]


def blurred(x: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Return what a poor generator makes of digits (n, 64): a quarter of each neighbour's ink, less contrast, and noise."""
    image = x.reshape(-1, 8, 8)
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    soft = image / 2 + (padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]) / 8
    noisy = 0.9 * soft + noise * np.random.default_rng([SEED, seed]).standard_normal(image.shape)
    return np.clip(noisy, -1, 1).reshape(len(x), -1)


@dataclass(frozen=True)
class Cloud:
    """Generated samples (m, f) beside real ones (n, f)."""

    name: str
    real: np.ndarray
    fake: np.ndarray


@cache
def clouds(n: int = 300) -> tuple[Cloud, ...]:
    """Return sets of samples without ties, on which measures by nearest neighbours are compared."""
    x, labels = digits()
    few = x[labels < 7]
    rng = np.random.default_rng([SEED, 5])
    point = x[0] + 1e-3 * rng.standard_normal((n, 64))
    return (
        Cloud("digits, blurred and noisy", x[:n], blurred(x[n : 2 * n], 0.1, 3)),
        Cloud("digits, three classes missing, others in number", x[:n], blurred(few[n : n + n // 2], 0.2, 4)),
        Cloud("digits, half of them one point", x[:n], np.concatenate([point[: n // 2], blurred(x[n : n + n // 2], 0.1, 6)])),
        Cloud("a plane, far from zero", 1000 + rng.standard_normal((n, 2)), 1000.4 + 0.7 * rng.standard_normal((n + 7, 2))),
    )


@cache
def tied(n: int = 70) -> Cloud:
    """Return digits on their own grid of pixels, where distances are often equal: each real one twice, copies among the fakes."""
    x, _ = digits()
    rounded = np.round(blurred(x[n : 2 * n], 0.05, 7) / UNIT) * UNIT
    return Cloud("digits with ties: each twice, copies among the fakes", np.repeat(x[: n // 2], 2, axis=0),
                 np.concatenate([x[: n // 4], x[: n // 4], rounded[: n // 2]]))


@cache
def line() -> Cloud:
    """Return points on a line at whole numbers: nearly all distances are equal to others, and some are 0."""
    rng = np.random.default_rng([SEED, 8])
    return Cloud("whole numbers on a line", rng.integers(0, 40, (60, 1)).astype(float), rng.integers(10, 60, (50, 1)).astype(float))

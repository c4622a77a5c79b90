"""Data sets that are known by a name: a row each, with what makes it and the options that suit a run on it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from typing import Any

import numpy as np

from .batches import Dataset
from .kinds import Images, Points
from .units import Codec, DataError


@dataclass(frozen=True)
class NamedSet:
    """A data set with a name.

    make: a function that returns the set, and takes the options of its kind by keyword. defaults: options of a run (fields of
    training.Config) that suit it; if empty, those of its kind hold.
    """

    name: str
    kind: type[Codec]
    make: Callable[..., Dataset]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def load(self, **options: Any) -> Dataset:
        """Return the data set with its defaults. Raises DataError."""
        return replace(self.make(**options), own_defaults=self.defaults)


def ring_centres() -> np.ndarray:
    """Return the centres (8, 2) at angles 2 pi i / 8. A linspace over [0, 2 pi] with both ends would give seven distinct ones."""
    angles = 2 * np.pi * np.arange(8) / 8
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def grid_centres() -> np.ndarray:
    """Return the centres (25, 2): {-4, -2, 0, 2, 4}^2."""
    ticks = np.arange(-4.0, 5.0, 2.0)
    return np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)


def _ring(scale: float | None = None) -> Dataset:
    return _storing(scale, Points.of_mixture("ring", ring_centres(), std=0.01, scale=float(scale or 1)))


def _grid(scale: float | None = None) -> Dataset:
    return _storing(scale, Points.of_mixture("grid", grid_centres(), std=0.05, scale=float(scale or 4)))


def _storing(scale: float | None, mixture: Dataset) -> Dataset:
    """Return the mixture as one whose scale a run stores, where it was chosen: whoever reads the run's data finds them so again."""
    return mixture if scale is None else replace(mixture, chosen={"scale": float(scale)})


def _digits(size: int | None = None) -> Dataset:
    from sklearn import datasets

    bunch = datasets.load_digits()
    return Images.of_pixels("digits", bunch.images[..., None] / 16.0, size, bunch.target)


def _faces(size: int | None = None) -> Dataset:
    from sklearn import datasets

    bunch = _fetched("faces", datasets.fetch_olivetti_faces)
    return Images.of_pixels("faces", bunch.images[..., None], size)


def _mnist(size: int | None = None) -> Dataset:
    from sklearn import datasets

    # The liac-arff parser is slower than the default, which would need pandas.
    bunch = _fetched("mnist", lambda: datasets.fetch_openml("mnist_784", version=1, as_frame=False, parser="liac-arff"))
    pixels = np.asarray(bunch.data).reshape(-1, 28, 28, 1).astype(np.uint8)
    return Images.of_pixels("mnist", pixels, size, np.asarray(bunch.target).astype(np.int64))


def _fetched(name: str, fetch: Callable[[], Any]) -> Any:
    """Return what `fetch` returns. scikit-learn keeps it, so only the first time needs the network. Raises DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns before each of its retries
            return fetch()
    except (OSError, EOFError, HTTPException, ValueError) as error:
        raise DataError(f"{name}: could not be fetched ({type(error).__name__}: {error}); the first use needs the "
                        f"network, later ones do not. 'digits' never does") from error


NAMED_SETS = (
    NamedSet("digits", Images, _digits, {
        "hidden": (256, 256), "steps": 16_000, "z": 64, "r1": 0.1, "lr_d": 1e-3, "lr_g": 1e-3, "decay": 0.4}),
    NamedSet("ring", Points, _ring, {**Points.defaults, "hidden_d": (128, 128), "steps": 18_000, "decay": 0.6}),
    NamedSet("grid", Points, _grid, {**Points.defaults, "steps": 24_000, "decay": 0.7}),
    NamedSet("faces", Images, _faces),
    NamedSet("mnist", Images, _mnist),
)
NAMES = tuple(row.name for row in NAMED_SETS)  # the data sets that have a name, such as `tinygan train digits` takes

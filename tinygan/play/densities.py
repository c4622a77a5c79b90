"""The data that the page offers by name, and the density that is drawn by hand: each an equal mixture of Gaussians.

As every one of them is a mixture, samples are drawn fresh, the density is known exactly, and so is the optimal D.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygan.data import NAMES, DataError, Dataset, load
from tinygan.data.kinds import Points
from tinygan.data.named import ring_centres
from tinygan.options import OptionError

DRAWN = "drawn"
MOST_DABS = 600
DAB = 0.08  # std of a dab of the brush, in user units
MOST_MODES = 32  # of a mixture whose components count as modes; a curve is a mixture of more


def _line() -> Dataset:
    t = np.linspace(-1, 1, 5)
    return Points.of_mixture("line", np.stack([1.5 * t, 0.75 * t], axis=1), std=0.06, scale=1.0)


def _moons() -> Dataset:
    t = np.linspace(0, np.pi, 40)
    upper = np.stack([np.cos(t) - 0.5, np.sin(t) - 0.25], axis=1)
    return Points.of_mixture("moons", np.concatenate([upper, -upper]), std=0.07, scale=1.0)


def _circle() -> Dataset:
    t = 2 * np.pi * np.arange(64) / 64
    return Points.of_mixture("circle", np.stack([np.cos(t), np.sin(t)], axis=1), std=0.08, scale=1.0)


def _wide_ring() -> Dataset:
    return Points.of_mixture("wide-ring", ring_centres(), std=0.1, scale=1.0)


# Data of the page by name: what makes it, and what it is.
OFFERED: Mapping[str, tuple[Callable[[], Dataset], str]] = {
    "ring": (lambda: load("ring"), "8 Gaussians on the unit circle, std 0.01"),
    "wide-ring": (_wide_ring, "8 Gaussians on the unit circle, std 0.1"),
    "grid": (lambda: load("grid"), "25 Gaussians on a grid, std 0.05"),
    "line": (_line, "5 Gaussians on a line"),
    "moons": (_moons, "two half-circles, each inside the other's bow"),
    "circle": (_circle, "a circle with a hole"),
    "digits": (lambda: load("digits"), "1,797 handwritten digits, 8x8 pixels"),
}


def drawn(points: Any) -> Dataset:
    """Return the density that was drawn by hand: a Gaussian of std DAB around each of the points [[x, y], ...], in user units.

    Raises DataError for what is no list of 1 to MOST_DABS points inside [-2, 2]^2.
    """
    try:
        centres = np.array(points, np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError):
        centres = np.zeros(0)
    if centres.ndim != 2 or centres.shape[1] != 2 or not 1 <= len(centres) <= MOST_DABS:
        raise DataError(f"what was drawn has to be 1 to {MOST_DABS} points [x, y]")
    if not np.abs(centres).max() <= 2:  # which NaN fails
        raise DataError("what was drawn has to lie inside -2 to 2 in x and y")
    return Points.of_mixture(DRAWN, centres, std=DAB, scale=1.0)


def data_of(name: str, dabs: Sequence[Any] = (), **options: Any) -> Dataset:
    """Return the data of the page: one that it offers, what was drawn (`dabs`), or what `tinygan.data.load` finds by the name.

    options: those of `tinygan.data.load`. Raises DataError for what the page cannot show: it shows points of the plane, tables of
    two columns, and pictures.
    """
    if name == DRAWN and not dabs:
        raise DataError("data are drawn by hand in the page: start it on any data, and press \"draw your own\"")
    if name == DRAWN:
        return drawn(dabs)
    given = {option: value for option, value in options.items() if value is not None}
    if name in OFFERED and name not in NAMES:
        if given:
            flag = next(iter(given)).replace("_", "-")
            raise DataError(f"{name}: it is drawn fresh by the page, and takes no options of data; leave out --{flag}")
        return OFFERED[name][0]()
    dataset = load(name, **given)
    shape = dataset.codec.shape
    if shape == (2,) or dataset.codec.kind == "images":
        return dataset
    more = "; choose two by --columns a,b" if dataset.codec.kind == "table" else ""
    raise DataError(f"{name}: its samples have the shape {shape}, and the page shows points of the plane and pictures{more}")


# The options with which the page begins on data of the plane: players that are small enough for thousands of steps a second, and
# rates that do not fall, as nobody knows beforehand how long one looks.
OF_THE_PLANE: Mapping[str, Any] = {
    "hidden": (32, 32), "hidden_d": (32, 32), "z": 4, "batch": 64, "lr_d": 2e-3, "lr_g": 1e-3, "r1": 0.05, "ema": 0.99,
    "beta1": 0.0, "beta2": 0.99, "steps": 100_000, "decay": 0.0,
}


def defaults_of(dataset: Dataset) -> dict[str, Any]:
    """Return the options of a run with which the page begins, for data that it shows."""
    if dataset.codec.shape == (2,):
        return {**dataset.defaults(), **OF_THE_PLANE}
    return {**dataset.defaults(), "decay": 0.0, "steps": 100_000}


def chosen_options(dataset: Dataset, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run: the page's defaults for the data, replaced by those given.

    Widths given for G hold for D too, as with `tinygan train`. Where more signs are given than the page's z has numbers, z is made
    longer by as many. Raises OptionError for a backend that this page does not play on.
    """
    if given.get("backend", "cpu") not in ("cpu", "reference"):
        raise OptionError(f"--backend is {given['backend']}, the page plays on cpu or on reference")
    chosen = defaults_of(dataset)
    if "hidden" in given:
        chosen.pop("hidden_d", None)
    if "z" in chosen and given.get("signs", 0) > chosen["z"]:
        chosen["z"] += given["signs"]
    return {**chosen, **given}


def is_plane(dataset: Dataset) -> bool:
    """Return whether samples are points of the plane."""
    return tuple(dataset.codec.shape) == (2,)


def has_modes(dataset: Dataset) -> bool:
    """Return whether the data are a mixture of few components, each of which is a mode to be counted."""
    return dataset.centres is not None and len(dataset.centres) <= MOST_MODES and dataset.name != DRAWN

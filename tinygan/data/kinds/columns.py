"""Kinds whose samples are rows of numbers with a name for each column: tables, and points of a known density."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..batches import Dataset
from ..comparison import FAKE, REAL, Comparison, new_figure, shortened
from ..readers import ARRAY_SUFFIXES, read_csv
from ..units import Codec, DataError, is_finite

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN_COLUMNS = 12


class Columns(Codec):
    """Rows (n, F) with a scale for each column: encoded = (user - mean) / std, decoded in float64."""

    rank, bounded = 1, False
    writes = (".csv",)

    def column_problem(self) -> str | None:
        problem = self.column_count_problem(self.shape[0])
        if problem is None and (not all(map(is_finite, self.mean + self.std)) or min(self.std, default=1) <= 0):
            problem = "mean and std must be finite numbers, std above 0"
        if problem is None and not all(isinstance(name, str) for name in self.columns):
            problem = "column names must be text"
        return problem

    def to_network(self, user: np.ndarray) -> np.ndarray:
        return (user - np.array(self.mean)) / np.array(self.std)

    def to_user(self, x: np.ndarray) -> np.ndarray:
        return x * np.array(self.std) + np.array(self.mean)

    def file_bytes(self, suffix: str, user: np.ndarray) -> bytes:
        """Return CSV: a line of column names, then one row a sample, at full precision."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(user.tolist())  # Python floats print the shortest text that reads back as the same float
        return text.getvalue().encode("utf-8")


class Points(Columns):
    """Points of the plane, drawn fresh from a mixture of Gaussians: no file holds them."""

    kind = "points"
    # G is deeper than D: samples between the modes come from those z where G passes from one mode to the next, and a deeper G
    # is steeper there.
    defaults: ClassVar = {
        "batch": 256, "z": 16, "r1": 0.01, "lr_d": 2e-3, "lr_g": 2e-3, "hidden": (128, 128, 128, 128), "hidden_d": (128, 128, 128),
    }
    drawn = 2500

    @classmethod
    def of_mixture(cls, name: str, centres: np.ndarray, std: float, scale: float) -> Dataset:
        """Return an equal mixture of Gaussians of one std at centres (k, 2), encoded as user units / scale."""
        codec = cls((2,), mean=(0.0, 0.0), std=(scale, scale), columns=("x", "y"))
        return Dataset(name, codec, None, centres=centres, std=std)

    def draw(self, pair: Comparison) -> Figure:
        figure, left, right = pair.two_panels()
        reach = 1.25 * np.abs(pair.real).max()
        for axes, points, colour in ((left, pair.real, REAL), (right, pair.fake, FAKE)):
            axes.scatter(points[:, 0], points[:, 1], s=3, alpha=0.4, color=colour, linewidths=0)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        return figure


class Table(Columns):
    """Rows of a table, standardised by column."""

    kind = "table"
    formats = (*ARRAY_SUFFIXES, ".csv")
    suffixes = (".csv",)
    arrays = "(n, F) for a table"
    defaults: ClassVar = {"hidden": (256, 256), "z": 32}
    drawn = 1000

    @classmethod
    def read(cls, path: Path) -> Dataset:
        """Return the rows of a CSV file. Raises DataError."""
        return cls.of_rows(path, *read_csv(path))

    @classmethod
    def takes_array(cls, shape: tuple[int, ...]) -> bool:
        return len(shape) == 2

    @classmethod
    def from_array(cls, path: Path, array: np.ndarray) -> Dataset:
        """Return the rows of an array (n, F), its columns named x0, x1, ... Raises DataError."""
        return cls.of_rows(path, array, tuple(f"x{j}" for j in range(array.shape[1])))

    @classmethod
    def of_rows(cls, path: Path, rows: np.ndarray, columns: tuple[str, ...]) -> Dataset:
        """Return the table of rows (n, F) with F named columns, each standardised. Raises DataError."""
        if rows.shape[0] < 2 or rows.shape[1] < 1:
            raise DataError(f"{path}: {rows.shape[0]} row(s) of {rows.shape[1]} column(s); at least 2 rows are needed")
        rows = np.asarray(rows, np.float64)
        bad = np.argwhere(~np.isfinite(rows))
        if len(bad):
            i, j = bad[0]
            raise DataError(f"{path}: row {i + 1}, column {j + 1} ({columns[j]}): {rows[i, j]} is not a finite number; "
                            f"remove the row")
        mean, std = _moments(path, rows, columns)
        codec = cls((len(columns),), mean=mean, std=std, columns=columns)
        return Dataset(path.name, codec, codec.encode(rows))

    def draw(self, pair: Comparison) -> Figure:
        """Draw a histogram a column: real filled, generated as a line, over the range that both span; heights are shares of all."""
        columns = self.columns[:DRAWN_COLUMNS]
        across = min(4, len(columns))
        down = -(-len(columns) // across)
        figure = new_figure(max(3 * across, 6), 2.2 * down + 0.6)
        more = f", {DRAWN_COLUMNS} of {len(self.columns)} columns" if len(self.columns) > DRAWN_COLUMNS else ""
        figure.suptitle(f"real (filled): {shortened(pair.name)}{more}\n{pair.title} (line)", fontsize=10, parse_math=False)
        for j, axes in enumerate(np.ravel(figure.subplots(down, across, squeeze=False))):
            if j >= len(columns):
                axes.set_axis_off()
                continue
            edges = _edges(np.concatenate([pair.real[:, j], pair.fake[:, j]]))
            for rows, style in ((pair.real, {"color": REAL, "alpha": 0.5}), (pair.fake, {"color": FAKE, "histtype": "step"})):
                axes.hist(rows[:, j], edges, weights=np.full(len(rows), 1 / len(rows)), **style)
            axes.locator_params(axis="x", nbins=5)
            axes.set_title(shortened(columns[j]), fontsize=8, parse_math=False)
        return figure


def _moments(path: Path, rows: np.ndarray, columns: tuple[str, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation by column; a constant column gets 1, so that it encodes to exact zeros."""
    largest = np.abs(rows).max(axis=0)
    for j in np.flatnonzero(largest > 1e300):
        raise DataError(f"{path}: column {j + 1} ({columns[j]}): its values pass 1e300, which cannot be standardised; "
                        f"rescale it")
    # The moments are those of rows / largest, because the squares of tiny numbers are 0 and those of huge ones inf; and a
    # constant column becomes exact ones, whose mean is exact and whose std is exactly 0.
    scaled = rows / np.where(largest == 0, 1.0, largest)
    mean, std = scaled.mean(axis=0) * largest, scaled.std(axis=0) * largest
    std = np.where(std == 0, 1.0, std)
    return tuple(mean.tolist()), tuple(std.tolist())


def _edges(values: np.ndarray, bins: int = 40) -> np.ndarray:
    """Return the edges of `bins` equal bins over the values, or of as many as floats can tell apart there."""
    low, high = values.min(), values.max()
    edges = np.unique(np.linspace(low, high, bins + 1))
    return edges if len(edges) > 1 else low + max(1.0, abs(low)) * np.array([-0.5, 0.5])

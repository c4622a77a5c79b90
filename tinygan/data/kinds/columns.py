"""Kinds whose samples are rows of numbers with a name for each column: tables, and points of a known density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from tinygan.options import Options, option

from ..batches import Dataset
from ..comparison import FAKE, REAL, Comparison, new_figure, shortened
from ..readers import ARRAY_SUFFIXES, MOST_CATEGORIES, Column, chosen, read_csv
from ..reading import require_memory, require_networks
from ..units import Codec, DataError, is_count, is_finite

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN_COLUMNS = 12
CELL = 48  # bytes of memory a number of a table with categories: float64, float32, and the copies made on the way
NAMED_COLUMNS = 8  # in the line that says what was understood
# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection"), the wide forms of East Asian text included.
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")


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
        return (user - np.array(self.mean, np.float64)) / np.array(self.std, np.float64)

    def to_user(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            user = x * np.array(self.std, np.float64) + np.array(self.mean, np.float64)
        odd = np.flatnonzero(~np.isfinite(user).all(axis=0))
        if len(odd):
            raise DataError(f"{self.kind}: samples of the column {self.columns[odd[0]]} pass the largest number that there is")
        return user

    def file_bytes(self, suffix: str, user: np.ndarray) -> bytes:
        """Return CSV: a line of column names, then one row a sample, at full precision.

        Text that a spreadsheet would run as a formula gets a ' in front of it (`without_formula`); numbers are as they are.
        """
        rows: list[Sequence[float | str]] = [[without_formula(name) for name in self.names_in_file()], *self.rows_in_file(user)]
        return "".join(f"{','.join(map(_cell, row))}\n" for row in rows).encode("utf-8", "replace")

    def brought(self, name: str, theirs: Codec, x: np.ndarray | None) -> tuple[np.ndarray | None, tuple[str, ...]]:
        """Return rows with these columns, in this order, at this scale."""
        if theirs.kind != self.kind or x is None or theirs.columns == self.columns:
            return super().brought(name, theirs, x)
        return self.encode(self.arranged(name, theirs, theirs.decode(x))), ()

    def arranged(self, name: str, theirs: Codec, user: np.ndarray) -> np.ndarray:
        """Return rows (n, *theirs.shape) in user units with these columns in this order. Raises DataError where they are others."""
        return _in_order(name, theirs.columns, self.columns, user)

    def names_in_file(self) -> Sequence[str]:
        """Return the names of the columns of a file of samples."""
        return self.columns

    def rows_in_file(self, user: np.ndarray) -> list[list[float | str]]:
        """Return the cells of a file of samples."""
        return user.tolist()  # Python floats print the shortest text that reads back as the same float


def _in_order(name: str, columns: Sequence[str], wanted: Sequence[str], rows: np.ndarray) -> np.ndarray:
    """Return rows (n, len(columns)) with the columns that are wanted, in that order. Raises DataError where there are others."""
    lacking = [column for column in wanted if column not in columns]
    besides = [column for column in columns if column not in wanted]
    if lacking or besides:
        trouble = [f"lacks the column{'s' * (len(lacking) > 1)} {_few(lacking)}"] if lacking else []
        trouble += [f"has {_few(besides)} besides"] if besides else []
        raise DataError(f"{name}: {' and '.join(trouble)}, unlike the run's data; give the same columns")
    if len(set(columns)) < len(columns) or len(set(wanted)) < len(wanted):
        raise DataError(f"{name}: several of its columns have one name, so they cannot be put into the order of the run's data")
    return rows[:, [columns.index(column) for column in wanted]]


def _few(names: Sequence[str], most: int = 6) -> str:
    """Return names for a message: the first of them, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(shortened, names[:most])) + more


def _cell(value: float | str) -> str:
    """Return a cell of CSV (RFC 4180). The csv module of older Pythons leaves a carriage return without quotes."""
    if isinstance(value, str):
        odd = not value or value != value.strip() or any(mark in value for mark in ',"\r\n;\t|')
        return '"{}"'.format(value.replace('"', '""')) if odd else value
    return repr(value)


def without_formula(text: str) -> str:
    """Return text as a cell of CSV that no spreadsheet takes for a formula: with a ' before =, +, -, @, tab or a line break.

    A number, such as -1.5, stays as it is.
    """
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text.startswith(FORMULAS) else text
    return text


@dataclass(frozen=True, kw_only=True)
class PointsOptions(Options):
    """The option with which points are drawn."""

    title = "Data"

    scale: float | None = option(None, help="Networks see the points of ring or grid divided by this. Default: 1, on grid 4.",
                                 at_least=1e-3, at_most=1e3, neutral=None)


class Points(Columns):
    """Points of the plane, drawn fresh from a mixture of Gaussians: no file holds them.

    The option `scale` is the number by which they are divided for the networks.
    """

    kind = "points"
    options = PointsOptions
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

    def described(self, n: int | None) -> str:
        return "points of the plane, drawn fresh from a mixture of Gaussians" if n is None else super().described(n)

    def draw(self, pair: Comparison) -> Figure:
        figure, left, right = pair.two_panels()
        reach = 1.25 * np.abs(pair.real).max()
        for axes, points, colour in ((left, pair.real, REAL), (right, pair.fake, FAKE)):
            axes.scatter(points[:, 0], points[:, 1], s=3, alpha=0.4, color=colour, linewidths=0)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        return figure


@dataclass(frozen=True, kw_only=True)
class TableOptions(Options):
    """The options with which tables are read."""

    title = "Data"

    columns: str | None = option(None, help="Columns of a table to read, by name: a,b,c. Default: all.", neutral=None)
    categories: str | None = option(None, help="Columns of numbers to take as categories, by name. Default: none.", neutral=None)
    drop_missing: bool | None = option(None, help="Leave out rows of a table that lack a value; otherwise they are refused.",
                                       neutral=None)
    header: bool | None = option(None, help="Whether the first row of a table has the names of its columns; otherwise told from "
                                            "its cells.", neutral=None)


@dataclass(frozen=True)
class Table(Columns):
    """Rows of a table: columns of numbers standardised, columns of categories one-hot.

    categories: for each column of categories its name, the number of its first one-hot column, and the texts of its categories.
    A column "colour" of "blue" and "red" is two columns, "colour=blue" and "colour=red", of 0 and 1 in user units and of -1 and 1
    for the networks; on the way out the larger is 1 and the others 0, and a CSV file has one column of texts again.
    """

    categories: tuple[tuple[str, int, tuple[str, ...]], ...] = ()

    kind = "table"
    formats = (*ARRAY_SUFFIXES, ".csv", ".tsv", "(.gz)")
    suffixes = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
    arrays = "(n, F) for a table"
    options = TableOptions
    defaults: ClassVar = {"hidden": (256, 256), "z": 32}
    drawn = 1000

    @classmethod
    def read(
        cls, path: Path, columns: str | None = None, categories: str | None = None, drop_missing: bool | None = None,
        header: bool | None = None,
    ) -> Dataset:
        """Return the rows of a CSV file. Raises DataError."""
        return cls.of_columns(path, *read_csv(path, columns, categories, drop_missing, header))

    @classmethod
    def takes_array(cls, shape: tuple[int, ...]) -> bool:
        return len(shape) == 2

    @classmethod
    def from_array(
        cls, path: Path, array: np.ndarray, columns: str | None = None, categories: str | None = None,
        drop_missing: bool | None = None, header: bool | None = None,
    ) -> Dataset:
        """Return the rows of an array (n, F), its columns named x0, x1, ... Raises DataError."""
        if header:
            raise DataError(f"{path}: --header is for tables in text files, an array has no names of columns; leave it out")
        names = [f"x{j}" for j in range(array.shape[1])]
        kept = chosen(path, names, columns)
        forced = set(chosen(path, names, categories)) if categories is not None else set()
        if outside := forced - set(kept):
            raise DataError(f"{path}: --categories has {names[min(outside)]}, which --columns leaves out")
        notes: tuple[str, ...] = ()
        lacking = np.isnan(array[:, kept].astype(np.float64)).any(axis=1) if drop_missing else np.zeros(len(array), bool)
        if lacking.any():
            array = array[~lacking]
            notes = (f"{lacking.sum():,} of {len(lacking):,} rows lack a value and were left out",)
        if kept == list(range(len(names))) and not forced:
            return cls.of_rows(path, array, tuple(names), notes)
        return cls.of_columns(path, [_of_numbers(path, names[j], array[:, j], j in forced) for j in kept], notes)

    @classmethod
    def of_columns(cls, path: Path, columns: Sequence[Column], notes: tuple[str, ...] = ()) -> Dataset:
        """Return the table of columns that are equally long. Raises DataError."""
        if all(column.categories is None for column in columns):
            return cls.of_rows(path, np.stack([column.values for column in columns], axis=1), tuple(c.name for c in columns), notes)
        names: list[str] = []
        parts: list[np.ndarray] = []
        groups: list[tuple[str, int, tuple[str, ...]]] = []
        for column in columns:
            if column.categories is None:
                names.append(column.name)
                parts.append(column.values[:, None])
            else:
                groups.append((column.name, len(names), column.categories))
                names += [f"{column.name}={category}" for category in column.categories]
                parts.append(column.values[:, None] == np.arange(len(column.categories)))
        require_networks(path, (len(names),), "choose columns by --columns")
        rows, width = len(parts[0]), len(names)
        require_memory(path, CELL * rows * width, f"its {rows:,} rows of {width:,} numbers", "choose columns by --columns")
        return cls.of_rows(path, np.concatenate(parts, axis=1, dtype=np.float64), tuple(names), notes, tuple(groups))

    @classmethod
    def of_rows(
        cls, path: Path, rows: np.ndarray, columns: tuple[str, ...], notes: tuple[str, ...] = (),
        categories: tuple[tuple[str, int, tuple[str, ...]], ...] = (),
    ) -> Dataset:
        """Return the table of rows (n, F) with F named columns, each standardised or part of a category. Raises DataError."""
        if rows.shape[1] < 1:
            raise DataError(f"{path}: {rows.shape[0]} row(s) without a column; at least 1 column is needed")
        if rows.shape[0] < 2:
            raise DataError(f"{path}: {rows.shape[0]} row(s) of {rows.shape[1]} column(s); at least 2 rows are needed")
        rows = np.asarray(rows, np.float64)
        bad = np.argwhere(~np.isfinite(rows))
        if len(bad):
            i, j = bad[0]
            drop = ", or leave out such rows: --drop-missing" if np.isnan(rows[i, j]) else ""
            raise DataError(f"{path}: row {i + 1}, column {j + 1} ({columns[j]}): {rows[i, j]} is not a finite number; "
                            f"remove the row{drop}")
        mean, std = _moments(path, rows, columns)
        hot = {j for _, first, texts in categories for j in range(first, first + len(texts))}
        mean, std = (tuple(0.5 if j in hot else value for j, value in enumerate(values)) for values in (mean, std))
        codec = cls((len(columns),), mean=mean, std=std, columns=columns, categories=categories)
        return Dataset(path.name, codec, codec.encode(rows), notes=notes)

    def column_problem(self) -> str | None:
        return super().column_problem() or self._category_problem()

    def _category_problem(self) -> str | None:
        """Return what is wrong with `categories`, or None. They may come from a damaged or foreign file."""
        wrong = "categories must be names, first columns and texts, one group of columns behind another"
        end = 0
        if not isinstance(self.categories, tuple):
            return wrong
        for group in self.categories:
            if not isinstance(group, tuple) or len(group) != 3:
                return wrong
            name, first, texts = group
            if not isinstance(name, str) or not ((first == 0 and isinstance(first, int)) or is_count(first)) or first < end:
                return wrong
            if not isinstance(texts, tuple) or not texts or not all(isinstance(text, str) for text in texts):
                return wrong
            end = first + len(texts)
        return wrong if end > self.shape[0] else None

    def arranged(self, name: str, theirs: Codec, user: np.ndarray) -> np.ndarray:
        """Return rows with these columns; a category of these that no row of other data is in may be missing there."""
        own, other = ({group: texts for group, _, texts in table.categories} for table in (self, cast("Table", theirs)))
        for group in own.keys() & other.keys():
            if unknown := [text for text in other[group] if text not in own[group]]:
                raise DataError(f"{name}: its column {shortened(group)} has {_few(unknown)}, which the run's data have not; leave "
                                f"such rows out")
        absent = [f"{group}={text}" for group in own.keys() & other.keys() for text in own[group] if text not in other[group]]
        return _in_order(name, (*theirs.columns, *absent), self.columns, np.pad(user, ((0, 0), (0, len(absent)))))

    def to_user(self, x: np.ndarray) -> np.ndarray:
        user = super().to_user(x)
        for _, first, texts in self.categories:
            group = slice(first, first + len(texts))
            user[:, group] = np.arange(len(texts)) == user[:, group].argmax(axis=1)[:, None]
        return user

    def names_in_file(self) -> Sequence[str]:
        return [name for name, _ in self._file_columns()]

    def rows_in_file(self, user: np.ndarray) -> list[list[float | str]]:
        if not self.categories:
            return super().rows_in_file(user)
        cells = [user[:, place].tolist() if isinstance(place, int) else
                 [without_formula(place[1][k]) for k in user[:, place[0]:place[0] + len(place[1])].argmax(axis=1)]
                 for _, place in self._file_columns()]
        return [list(row) for row in zip(*cells, strict=True)]

    def _file_columns(self) -> list[tuple[str, int | tuple[int, tuple[str, ...]]]]:
        """Return the columns of a file: the name of each, and its number or, of categories, the first number and the texts."""
        groups = {first: (name, texts) for name, first, texts in self.categories}
        found: list[tuple[str, int | tuple[int, tuple[str, ...]]]] = []
        j = 0
        while j < self.shape[0]:
            if j in groups:
                name, texts = groups[j]
                found.append((name, (j, texts)))
                j += len(texts)
            else:
                found.append((self.columns[j], j))
                j += 1
        return found

    def described(self, n: int | None) -> str:
        found = self._file_columns()
        shown = [shortened(name) if isinstance(place, int) else f"{shortened(name)} ({len(place[1])} categories)"
                 for name, place in found]
        more = f" and {len(found) - NAMED_COLUMNS:,} more" if len(found) > NAMED_COLUMNS else ""
        return f"{n:,} rows of {len(found):,} column{'s' * (len(found) > 1)}: {', '.join(shown[:NAMED_COLUMNS])}{more}"

    def writing_notes(self, suffix: str) -> tuple[str, ...]:
        texts = [*self.names_in_file(), *(text for _, _, texts in self.categories for text in texts)]
        odd = [text for text in texts if without_formula(text) != text]
        if suffix != ".csv" or not odd:
            return ()
        more = f" and {len(odd) - 1:,} more" if len(odd) > 1 else ""
        return (f"{shortened(repr(odd[0]))}{more}: a spreadsheet would take it for a formula, so it has a ' in front of it",)

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


def _of_numbers(path: Path, name: str, values: np.ndarray, forced: bool) -> Column:
    """Return a column of an array; forced: as categories, whose texts are its numbers. Raises DataError."""
    if not forced:
        return Column(name, np.asarray(values, np.float64))
    if not np.isfinite(values.astype(np.float64)).all():
        raise DataError(f"{path}: column {name} holds NaN or infinity, which is no category; leave out such rows: --drop-missing")
    used, places = np.unique(values, return_inverse=True)
    if len(used) > MOST_CATEGORIES:
        raise DataError(f"{path}: column {name} has {len(used):,} different numbers, too many for categories (at most "
                        f"{MOST_CATEGORIES}); leave it out of --categories")
    return Column(name, places.reshape(-1), tuple(str(int(value)) if value == int(value) else str(value) for value in used))


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

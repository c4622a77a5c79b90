"""Tables of numbers and categories in text files (CSV), column by column.

A column whose cells are all numbers is one of numbers; one without a number is one of categories; a mixture of both is refused.
"""

from __future__ import annotations

import csv
import difflib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..reading import progress, require_memory, require_networks
from ..units import DataError
from .text import Row, opened_table

MISSING = {"", "na", "n/a", "#n/a", "#na", "nan", "-nan", "+nan", "null", "none", "<na>", "?"}  # in small letters
MOST_CATEGORIES = 100  # a text that takes more values than this in one column is a name, a date or a remark
CHUNK = 2048  # rows that are taken apart in one go
NEEDED = 48  # bytes of memory a cell: its chunks, float64, float32, and the copies made on the way
DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
WITH_THOUSANDS = re.compile(r"[+-]?\d{1,3}((\.\d{3})+,\d+|(,\d{3})+(\.\d+)?|([' \u00a0\u202f]\d{3})+([.,]\d+)?)")


class Column(NamedTuple):
    """A column of a table: numbers (n,), float64, or the numbers (n,) of its categories, whose texts are `categories`."""

    name: str
    values: np.ndarray
    categories: tuple[str, ...] | None = None


class TextTable(NamedTuple):
    """The columns of a table, equally long, and notes on how they were read."""

    columns: tuple[Column, ...]
    notes: tuple[str, ...]


def read_csv(
    path: Path, columns: str | None = None, categories: str | None = None, drop_missing: bool | None = None
) -> TextTable:
    """Return the table in a text file; columns are called x0, x1, ... where it does not name them.

    The first row is a header if none of its cells is a number, or if text stands in it above a number. Cells are separated by tabs,
    semicolons, bars or commas, whichever outside of quotes gives all rows equally many; or by spaces. Decimal commas are read where
    something else separates cells. A first column without a name that counts the rows, as pandas writes, is left out.

    columns: the names of those to read, separated by commas. categories: names of columns of numbers to be taken as categories.
    drop_missing: leave out rows that lack a value, which are otherwise refused. Raises DataError, naming line and column.
    """
    with opened_table(path) as text:
        rows = text.rows
        first, second = next(rows, None), next(rows, None)
        if first is None:
            raise DataError(f"{path}: an empty table; it needs a row of cells for each sample")
        if columns is None:
            require_networks(path, (len(first.cells),), "choose columns by --columns")
        names, unnamed, body = _header(first, second)
        kept = chosen(path, names, columns)
        forced = set(chosen(path, names, categories)) if categories is not None else set()
        if outside := forced - set(kept):
            raise DataError(f"{path}: --categories has {names[min(outside)]}, which --columns leaves out")
        found = [_Column(path, names[j], j, j in forced, text.separator) for j in kept]
        lines: list[int] = []
        for chunk in _chunks(chain(body, rows)):
            lines += _add(path, chunk, found, len(names))
            require_memory(path, NEEDED * len(found) * len(lines), f"its {len(lines):,} rows and more of {len(found):,} columns")
            progress(path, len(lines), "rows")
        notes = [*text.notes, *([] if len(unnamed) < len(names) else ["no header: the first row was read as data"])]
    found = _without_empty(found, unnamed if columns is None else set(), len(lines), notes)
    missing = _missing(path, found, lines, bool(drop_missing), notes)
    whole = [column.finished(missing) for column in found]
    commas = [column.name for column in found if column.commas]
    notes += [f"decimal commas were read in {_some(commas)}"] if commas else []
    if columns is None and found and 0 in unnamed and len(unnamed) < len(names):
        whole = _without_index(found, whole, notes)
    return TextTable(tuple(whole), tuple(notes))


def chosen(path: Path, names: Sequence[str], wanted: str | None) -> list[int]:
    """Return the numbers of the columns that an option names, in its order; all of them for None. Raises DataError."""
    if wanted is None:
        return list(range(len(names)))
    given = [name.strip() for name in next(csv.reader([wanted], skipinitialspace=True), [])]
    for name in given:
        if names.count(name) != 1:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            trouble = "several columns are" if name in names else "no column is"
            raise DataError(f"{path}: {trouble} called {name!r}; {hint}there are {_some(names, 12)}")
        if given.count(name) > 1:
            raise DataError(f"{path}: the column {name!r} is asked for twice; name it once")
    if not given:
        raise DataError(f"{path}: no column is named; there are {_some(names, 12)}")
    return [names.index(name) for name in given]


def _some(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _header(first: Row, second: Row | None) -> tuple[list[str], set[int], list[Row]]:
    """Return the names of the columns, the numbers of those without one in the file, and the rows read that are the table's."""
    read = [row for row in (first, second) if row]
    numeric = [_number(cell) is not None for cell in first.cells]
    below = [_number(cell) is not None for cell in second.cells] if second else []
    text_above_number = any(
        not above and under and cell.strip().lower() not in MISSING
        for cell, above, under in zip(first.cells, numeric, below, strict=False)
    )
    if any(numeric) and not text_above_number:
        return [f"x{j}" for j in range(len(first.cells))], set(range(len(first.cells))), read
    names = [cell.strip() for cell in first.cells]
    names[0] = names[0].removeprefix("#").strip()  # numpy.savetxt's header begins so
    unnamed = {j for j, name in enumerate(names) if name in ("", "Unnamed: 0")}  # which pandas calls an index that it read so
    return [name or f"x{j}" for j, name in enumerate(names)], unnamed, read[1:]


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _add(path: Path, chunk: list[Row], columns: list[_Column], width: int) -> list[int]:
    """Add rows to the columns that are read, and return the numbers of their lines. Raises DataError."""
    for line, cells in chunk:
        if len(cells) != width:
            raise DataError(f"{path}: line {line} has {len(cells)} cells, the first row has {width}; every row needs as many")
    lines = [row.line for row in chunk]
    across = list(zip(*(row.cells for row in chunk), strict=True))
    for column in columns:
        column.add(across[column.index], lines)
    return lines


@dataclass
class _Column:
    """A column as it is read: chunks of numbers, NaN where a cell is none, and of numbers of categories, -1 where it is none."""

    path: Path
    name: str
    index: int
    forced: bool  # taken as categories whatever its cells are
    separator: str
    numbers: list[np.ndarray] = field(default_factory=list)
    codes: list[np.ndarray] = field(default_factory=list)
    texts: dict[str, int] = field(default_factory=dict)
    first_text: tuple[int, str] | None = None  # its line, and itself
    first_number: tuple[int, str] | None = None
    first_missing: tuple[int, str] | None = None
    commas: tuple[int, str] | None = None
    points: tuple[int, str] | None = None

    def add(self, cells: Sequence[str], lines: Sequence[int]) -> None:
        """Add cells. Raises DataError for a number that is not finite, for mixtures, and for decimal points beside commas."""
        numbers = None if self.forced else _all_numbers(cells)
        if numbers is not None:
            self.first_number = self.first_number or (lines[0], cells[0])
            if self.separator != "," and self.points is None:
                self.points = next(((at, cell) for at, cell in zip(lines, cells, strict=True) if "." in cell), None)
            self.numbers.append(numbers)
            self.codes.append(np.full(len(cells), -1, np.int32))
        else:
            self.numbers.append(np.full(len(cells), np.nan))
            self.codes.append(np.full(len(cells), -1, np.int32))
            for i, (line, cell) in enumerate(zip(lines, cells, strict=True)):
                self._add_one(i, line, cell)
        self._check()

    def _add_one(self, i: int, line: int, cell: str) -> None:
        text = cell.strip()
        if text.lower() in MISSING:
            self.first_missing = self.first_missing or (line, cell)
            return
        number = None if self.forced else self._number(line, text)
        if number is None:
            self.first_text = self.first_text or (line, cell)
            if text in self.texts or len(self.texts) <= MOST_CATEGORIES:
                self.codes[-1][i] = self.texts.setdefault(text, len(self.texts))
            else:
                self.codes[-1][i] = MOST_CATEGORIES  # refused anyway, by `_check`
            return
        if not math.isfinite(number):
            raise DataError(f"{self._at(line)}: {cell!r} is not a finite number; remove the row")
        self.first_number = self.first_number or (line, cell)
        self.numbers[-1][i] = number

    def _number(self, line: int, text: str) -> float | None:
        """Return the number in a cell, or None. A comma may be the decimal one where it does not separate cells."""
        number = _number(text)
        if number is not None:
            self.points = self.points or ((line, text) if "." in text else None)
            return number
        if self.separator != "," and DECIMAL_COMMA.fullmatch(text):
            self.commas = self.commas or (line, text)
            return float(text.replace(",", "."))
        return None

    def _at(self, line: int) -> str:
        return f"{self.path}: line {line}, column {self.index + 1} ({self.name})"

    def _check(self) -> None:
        """Raise DataError for what can be told before the end of the file."""
        leave_out = "leave the column out by --columns"
        if self.commas and self.points:
            raise DataError(f"{self._at(self.commas[0])}: {self.commas[1]!r} has a decimal comma and {self.points[1]!r} in line "
                            f"{self.points[0]} a decimal point; write all numbers in one way")
        if self.first_text and self.first_number:
            line, cell = self.first_text
            if WITH_THOUSANDS.fullmatch(cell.strip()) or DECIMAL_COMMA.fullmatch(cell.strip()):
                raise self._unclear(line, cell)
            at, number = self.first_number
            raise DataError(f"{self._at(line)}: {cell!r} is not a finite number, as {number!r} in line {at} is; correct it, "
                            f"{leave_out}, or take all as categories: --categories {self.name}")
        if len(self.texts) > MOST_CATEGORIES:
            line, cell = self.first_text or (0, "")
            raise DataError(f"{self._at(line)}: {cell!r} is text, of which the column has more than {MOST_CATEGORIES} different "
                            f"ones, too many for categories; {leave_out}")

    def _unclear(self, line: int, cell: str) -> DataError:
        return DataError(f"{self._at(line)}: {cell!r} may be a number with a decimal comma or with thousands set apart; write it "
                         f"as 1234.5, leave the column out by --columns, or take all as categories: --categories {self.name}")

    def lacks(self) -> np.ndarray:
        """Return which rows (n,) have no value here."""
        return np.isnan(np.concatenate(self.numbers)) & (np.concatenate(self.codes) < 0)

    def finished(self, without: np.ndarray) -> Column:
        """Return the column without the rows (n,) that are True there."""
        if self.first_text is None:
            return Column(self.name, np.concatenate(self.numbers)[~without] if self.numbers else np.empty(0))
        if any(WITH_THOUSANDS.fullmatch(text) or DECIMAL_COMMA.fullmatch(text) for text in self.texts) and not self.forced:
            raise self._unclear(*self.first_text)
        codes = np.concatenate(self.codes)[~without]
        texts = np.array(list(self.texts))
        used, places = np.unique(codes, return_inverse=True)
        order = sorted(range(len(used)), key=lambda k: _sorted_key(str(texts[used[k]])))
        rank = np.empty(len(used), np.int64)
        rank[order] = np.arange(len(used))
        return Column(self.name, rank[places], tuple(str(texts[used[k]]) for k in order))


def _sorted_key(text: str) -> tuple[bool, float, str]:
    """Return by what categories are sorted: numbers by their size, before texts."""
    number = _number(text)
    finite = number is not None and math.isfinite(number)
    return not finite, number if finite and number is not None else 0.0, text


def _number(cell: str) -> float | None:
    """Return the number in a cell, or None where there is none."""
    try:
        return None if "_" in cell else float(cell)  # float() takes 1_000, a table does not mean it
    except ValueError:
        return None


def _all_numbers(cells: Sequence[str]) -> np.ndarray | None:
    """Return the numbers in cells, or None where one holds none that is finite."""
    try:
        numbers = np.array(list(map(float, cells)))
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() and not any("_" in cell for cell in cells) else None


def _without_empty(found: list[_Column], unnamed: set[int], rows: int, notes: list[str]) -> list[_Column]:
    """Leave out columns without a name and without any value, as a separator at the end of each line makes."""
    empty = [c for c in found if rows and c.index in unnamed and not (c.first_number or c.first_text)]
    if empty and len(empty) < len(found):
        notes.append(f"{len(empty)} empty column(s) without a name were left out")
        return [c for c in found if c not in empty]
    return found


def _missing(path: Path, found: list[_Column], lines: list[int], drop: bool, notes: list[str]) -> np.ndarray:
    """Return which rows (n,) lack a value. Raises DataError unless they are to be dropped, or where no row would be left."""
    without = np.zeros(len(lines), bool)
    for column in found if lines else ():
        without |= column.lacks()
    count = int(without.sum())
    if not count:
        return without
    first = min((c for c in found if c.first_missing), key=lambda c: (c.first_missing, c.index))
    line, cell = first.first_missing or (0, "")
    where = f"line {line}, column {first.index + 1} ({first.name}): {cell!r}"
    if not drop:
        raise DataError(f"{path}: {count:,} of {len(lines):,} rows lack a value; first: {where} is not a finite number; fill it "
                        f"in, leave the column out by --columns, or leave such rows out: --drop-missing")
    if count == len(lines):
        empty = [c.name for c in found if not (c.first_number or c.first_text)]
        cause = f"the column(s) {_some(empty)} have no value at all; leave them out by --columns" if empty else f"first: {where}"
        raise DataError(f"{path}: every row lacks a value, so --drop-missing leaves none; {cause}")
    notes.append(f"{count:,} of {len(lines):,} rows lack a value and were left out; first: {where}")
    return without


def _without_index(found: list[_Column], whole: list[Column], notes: list[str]) -> list[Column]:
    """Leave out a first column without a name that counts the rows, as pandas writes it."""
    first = whole[0]
    if len(whole) < 2 or found[0].index != 0 or first.categories is not None or len(first.values) < 2:
        return whole
    if not ((np.diff(first.values) >= 1).all() and (first.values % 1 == 0).all()):
        return whole
    notes.append(f"the first column has no name and counts the rows: left out (--columns {first.name},... reads it)")
    return whole[1:]

"""A column of a table as it is read, cell by cell: numbers or categories, what is missing in it, and what is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..units import DataError

MISSING = {"", "na", "n/a", "#n/a", "#na", "nan", "-nan", "+nan", "null", "none", "<na>", "?"}  # in small letters
# What stands for a missing number too. In a column without numbers each is a category: a strand of DNA is "+" or "-".
MISSING_NUMBERS = {"-", "--", "---", "\u2013", "\u2014", ".", "..", "*", "\\n", "n.a.", "missing", "#div/0!", "#value!", "#ref!"}
MOST_CATEGORIES = 100  # a text that takes more values than this in one column is a name, a date or a remark
DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
WITH_THOUSANDS = re.compile(r"[+-]?\d{1,3}((\.\d{3})+,\d+|(,\d{3})+(\.\d+)?|([' \u00a0\u202f]\d{3})+([.,]\d+)?)")
DRESS = "'\"= \u00a0%$\u20ac\u00a3\u00a5"  # quotes and units in which programs write numbers


class Column(NamedTuple):
    """A column of a table: numbers (n,), float64, or the numbers (n,) of its categories, whose texts are `categories`."""

    name: str
    values: np.ndarray
    categories: tuple[str, ...] | None = None


@dataclass
class ColumnReader:
    """A column as it is read: chunks of numbers, NaN where a cell is none, and of numbers of categories, -1 where it is none."""

    path: Path
    name: str
    index: int
    forced: bool  # taken as categories whatever its cells are
    separator: str
    row_read_as_data: int | None  # the line of the first row, where nothing but its cells says that it is none of names
    may_label_rows: bool  # a first column without a name, which may have any number of texts
    numbers: list[np.ndarray] = field(default_factory=list)
    codes: list[np.ndarray] = field(default_factory=list)
    texts: dict[str, int] = field(default_factory=dict)
    first_text: tuple[int, str] | None = None  # its line, and itself
    first_mark: tuple[int, str] | None = None  # the first of MISSING_NUMBERS
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
            if text.lower() in MISSING_NUMBERS:
                self.first_mark = self.first_mark or (line, cell)
            else:
                self.first_text = self.first_text or (line, cell)
            if text in self.texts or len(self.texts) <= MOST_CATEGORIES or self.may_label_rows:
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
        number = number_in(text)
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
            names = f", or, if line {self.row_read_as_data} has the names of the columns, say so: --header"
            raise DataError(f"{self._at(line)}: {cell!r} is not a finite number, as {number!r} in line {at} is; correct it, "
                            f"{leave_out}, or take all as categories: --categories {self.name}"
                            f"{names if self.row_read_as_data in (line, at) else ''}")
        if not self.may_label_rows:
            self.check_count()

    def check_count(self) -> None:
        """Raise DataError for more categories than a column may have."""
        if len(self.texts) > MOST_CATEGORIES:
            line, cell = self.first_text or self.first_mark or (0, "")
            raise DataError(f"{self._at(line)}: {cell!r} is text, of which the column has more than {MOST_CATEGORIES} different "
                            f"ones, too many for categories; leave the column out by --columns")

    def _check_texts(self, line: int, cell: str) -> None:
        """Raise DataError for texts that look like numbers in some dress. line, cell: of the first text."""
        if any(WITH_THOUSANDS.fullmatch(text) or DECIMAL_COMMA.fullmatch(text) for text in self.texts):
            raise self._unclear(line, cell)
        bare = [text.strip(DRESS) for text in self.texts]
        if all(number_in(text) is not None or DECIMAL_COMMA.fullmatch(text) or WITH_THOUSANDS.fullmatch(text) for text in bare):
            raise DataError(f"{self._at(line)}: {cell!r} may be a number with a unit or in quotes; write the numbers alone, leave "
                            f"the column out by --columns, or take all as categories: --categories {self.name}")

    def _unclear(self, line: int, cell: str) -> DataError:
        return DataError(f"{self._at(line)}: {cell!r} may be a number with a decimal comma or with thousands set apart; write it "
                         f"as 1234.5, leave the column out by --columns, or take all as categories: --categories {self.name}")

    @property
    def is_empty(self) -> bool:
        """Whether there is no cell with a value."""
        return not (self.first_number or self.first_text or self.first_mark)

    @property
    def is_of_numbers(self) -> bool:
        """Whether this is a column of numbers, in which some may be missing."""
        return self.first_number is not None and not self.forced

    @property
    def missing_at(self) -> tuple[int, str] | None:
        """The line and the text of the first cell without a value, or None."""
        marks = [self.first_mark] if self.is_of_numbers else []
        return min((found for found in (self.first_missing, *marks) if found), default=None)

    def lacks(self) -> np.ndarray:
        """Return which rows (n,) have no value here."""
        none = np.isnan(np.concatenate(self.numbers))
        return none if self.is_of_numbers else none & (np.concatenate(self.codes) < 0)

    def finished(self, without: np.ndarray) -> Column:
        """Return the column without the rows (n,) that are True there."""
        if not self.texts or self.is_of_numbers:
            return Column(self.name, np.concatenate(self.numbers)[~without] if self.numbers else np.empty(0))
        if self.first_text and not self.forced:
            self._check_texts(*self.first_text)
        codes = np.concatenate(self.codes)[~without]
        texts = np.array(list(self.texts))
        used, places = np.unique(codes, return_inverse=True)
        order = sorted(range(len(used)), key=lambda k: _sorted_key(str(texts[used[k]])))
        rank = np.empty(len(used), np.int64)
        rank[order] = np.arange(len(used))
        return Column(self.name, rank[places], tuple(str(texts[used[k]]) for k in order))


def _sorted_key(text: str) -> tuple[bool, float, str]:
    """Return by what categories are sorted: numbers by their size, before texts."""
    number = number_in(text)
    finite = number is not None and math.isfinite(number)
    return not finite, number if finite and number is not None else 0.0, text


def number_in(cell: str) -> float | None:
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

"""Tables of numbers and categories in text files (CSV), column by column.

A column whose cells are all numbers is one of numbers; one without a number is one of categories; a mixture of both is refused.
"""

from __future__ import annotations

import csv
import difflib
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..reading import progress, require_memory, require_networks
from ..units import DataError
from .table_column import DECIMAL_COMMA, MISSING, Column, ColumnReader, number_in
from .text import Row, opened_table

CHUNK = 2048  # rows that are taken apart in one go
LOOKED_AT = 1000  # rows in which a text of the first row may stand again, where nothing else tells whether that row has names
LABELS = 10  # rows from which on a column of texts that hardly repeat is told
UNNAMED = re.compile(r"|Unnamed: \d+(\.\d+)?")  # as pandas calls columns without a name that it has read
NEEDED = 48  # bytes of memory a cell: its chunks, float64, float32, and the copies made on the way


class TextTable(NamedTuple):
    """The columns of a table, equally long, and notes on how they were read."""

    columns: tuple[Column, ...]
    notes: tuple[str, ...]


class Header(NamedTuple):
    """The names of a table's columns, and how they were found.

    unnamed: the numbers of columns without a name in the file. rows: those that were read and are the table's. note: on what else
    the first row could be, "" where that is certain. doubtful: the line of a first row that was read as data and could have names.
    """

    names: list[str]
    unnamed: set[int]
    rows: list[Row]
    note: str = ""
    doubtful: int | None = None


def read_csv(
    path: Path, columns: str | None = None, categories: str | None = None, drop_missing: bool | None = None,
    header: bool | None = None,
) -> TextTable:
    """Return the table in a text file; columns are called x0, x1, ... where it does not name them.

    The first row is a header if none of its cells is a number, unless all cells are texts and one of the first row stands again
    below it; and if text stands in it above a number. Cells are separated by tabs, semicolons, bars or commas, whichever outside of
    quotes gives all rows equally many; or by spaces. Decimal commas are read where something else separates cells. First columns
    without a name that label the rows, as pandas and R write them, are left out.

    columns: the names of those to read, separated by commas. categories: names of columns of numbers to be taken as categories.
    drop_missing: leave out rows that lack a value, which are otherwise refused. header: whether the first row is one; None to tell
    it from the cells. Raises DataError, naming line and column.
    """
    with opened_table(path) as text:
        rows = text.rows
        first = next(rows, None)
        if first is None:
            raise DataError(f"{path}: an empty table; it needs a row of cells for each sample")
        if columns is None:
            require_networks(path, (len(first.cells),), "choose columns by --columns")
        head = header_of(first, rows, text.separator, header)
        names = head.names
        kept = chosen(path, names, columns)
        forced = set(chosen(path, names, categories)) if categories is not None else set()
        if outside := forced - set(kept):
            raise DataError(f"{path}: --categories has {names[min(outside)]}, which --columns leaves out")
        may_label = columns is None and len(head.unnamed) < len(names)
        found = [ColumnReader(path, names[j], j, j in forced, text.separator, head.doubtful, may_label and j == 0 in head.unnamed)
                 for j in kept]
        lines: list[int] = []
        for chunk in _chunks(chain(head.rows, rows)):
            lines += _add(path, chunk, found, len(names))
            require_memory(path, NEEDED * len(found) * len(lines), f"its {len(lines):,} rows and more of {len(found):,} columns")
            progress(path, len(lines), "rows")
        notes = [*text.notes, *([head.note] if head.note else [])]
    found = _without_empty(found, head.unnamed if columns is None else set(), len(lines), notes)
    missing = _missing(path, found, lines, bool(drop_missing), notes)
    whole = [column.finished(missing) for column in found]
    commas = [column.name for column in found if column.commas]
    notes += [f"decimal commas were read in {_some(commas)}"] if commas else []
    if may_label:
        labels = _labels(found, whole, head.unnamed, notes)
        found, whole = found[labels:], whole[labels:]
    for reader in found:
        reader.check_count()
    return TextTable(tuple(whole), (*notes, *_doubts(whole)))


def chosen(path: Path, names: Sequence[str], wanted: str | None) -> list[int]:
    """Return the numbers of the columns that an option names, in its order; all of them for None. Raises DataError."""
    if wanted is None:
        return list(range(len(names)))
    given = _listed(path, wanted)
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


def _listed(path: Path, wanted: str) -> list[str]:
    """Return the names in an option such as `a,"b, c"`. Raises DataError."""
    try:
        rows = list(csv.reader(wanted.splitlines(keepends=True), skipinitialspace=True))
    except csv.Error as error:  # with Python 3.10 a zero byte is one
        raise DataError(f"{path}: the columns {wanted!r} cannot be read ({error}); write names with commas between them") from None
    if len(rows) > 1:
        raise DataError(f"{path}: the columns {wanted!r} have a line break outside of quotes; write names with commas between them")
    return [name.strip() for row in rows for name in row]


def _some(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def header_of(first: Row, rows: Iterator[Row], separator: str, wanted: bool | None) -> Header:
    """Return what the first row says of the columns. rows: those below, of which some may be read. wanted: as `read_csv` has it."""
    numeric = [_is_number(cell, separator) for cell in first.cells]
    read = list(islice(rows, 1)) if any(numeric) or wanted is not None else list(islice(rows, LOOKED_AT))
    if wanted is not None:
        return _named(first, read) if wanted else _without_names(first, read)
    above_number = any(_text_above_number(first, row, separator) for row in read)
    if any(numeric):
        if not above_number:
            return _without_names(first, read, "no header: the first row was read as data; --header takes it for names", first.line)
        told = "the first row has the names of the columns, as it has text above a number; --no-header takes it for data"
        return _named(first, read, told)
    if above_number:
        return _named(first, read)
    columns = [{row.cells[j].strip() for row in read if j < len(row.cells)} for j in range(len(first.cells))]
    again = next((cell for cell, below in zip(first.cells, columns, strict=True) if cell.strip() in below - {""}), None)
    if again is not None:
        return _without_names(first, read, f"no header: {again.strip()!r} stands in the first row and again below it, so that row "
                                           "was read as data; --header takes it for names", first.line)
    return _named(first, read, "the first row has the names of the columns, as none of it stands again below; --no-header takes it "
                               "for data" if read else "")


def _without_names(first: Row, read: list[Row], note: str = "", doubtful: int | None = None) -> Header:
    count = len(first.cells)
    return Header([f"x{j}" for j in range(count)], set(range(count)), [first, *read], note, doubtful)


def _named(first: Row, read: list[Row], note: str = "") -> Header:
    names = [cell.strip() for cell in first.cells]
    names[0] = names[0].removeprefix("#").strip()  # numpy.savetxt's header begins so
    unnamed = {j for j, name in enumerate(names) if UNNAMED.fullmatch(name)}
    return Header([name or f"x{j}" for j, name in enumerate(names)], unnamed, read, note)


def _is_number(cell: str, separator: str) -> bool:
    return number_in(cell) is not None or (separator != "," and DECIMAL_COMMA.fullmatch(cell.strip()) is not None)


def _text_above_number(first: Row, row: Row, separator: str) -> bool:
    return any(cell.strip().lower() not in MISSING and _is_number(under, separator) and not _is_number(cell, separator)
               for cell, under in zip(first.cells, row.cells, strict=False))


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _add(path: Path, chunk: list[Row], columns: list[ColumnReader], width: int) -> list[int]:
    """Add rows to the columns that are read, and return the numbers of their lines. Raises DataError."""
    for line, cells in chunk:
        if len(cells) != width:
            raise DataError(f"{path}: line {line} has {len(cells)} cells, the first row has {width}; every row needs as many")
    lines = [row.line for row in chunk]
    across = list(zip(*(row.cells for row in chunk), strict=True))
    for column in columns:
        column.add(across[column.index], lines)
    return lines


def _without_empty(found: list[ColumnReader], unnamed: set[int], rows: int, notes: list[str]) -> list[ColumnReader]:
    """Leave out columns without a name and without any value, as a separator at the end of each line makes."""
    empty = [c for c in found if rows and c.index in unnamed and c.is_empty]
    if empty and len(empty) < len(found):
        notes.append(f"{len(empty)} empty column(s) without a name were left out")
        return [c for c in found if c not in empty]
    return found


def _missing(path: Path, found: list[ColumnReader], lines: list[int], drop: bool, notes: list[str]) -> np.ndarray:
    """Return which rows (n,) lack a value. Raises DataError unless they are to be dropped, or where no row would be left."""
    without = np.zeros(len(lines), bool)
    for column in found if lines else ():
        without |= column.lacks()
    count = int(without.sum())
    if not count:
        return without
    first = min((c for c in found if c.missing_at), key=lambda c: (c.missing_at, c.index))
    line, cell = first.missing_at or (0, "")
    where = f"line {line}, column {first.index + 1} ({first.name}): {cell!r}"
    if not drop:
        raise DataError(f"{path}: {count:,} of {len(lines):,} rows lack a value; first: {where} is not a finite number; fill it "
                        f"in, leave the column out by --columns, or leave such rows out: --drop-missing")
    if count == len(lines):
        empty = [c.name for c in found if c.is_empty]
        cause = f"the column(s) {_some(empty)} have no value at all; leave them out by --columns" if empty else f"first: {where}"
        raise DataError(f"{path}: every row lacks a value, so --drop-missing leaves none; {cause}")
    notes.append(f"{count:,} of {len(lines):,} rows lack a value and were left out; first: {where}")
    return without


def _labels(found: list[ColumnReader], whole: list[Column], unnamed: set[int], notes: list[str]) -> int:
    """Return how many of the first columns label the rows: have no name, and another whole number or text in each row."""
    count = 0
    while count < len(whole) - 1 and found[count].index == count and count in unnamed and _all_differ(whole[count]):
        count += 1
    if count:
        names = ",".join(shlex.quote(column.name) for column in whole[:count])
        what, them = ("column has no name and labels", "it") if count == 1 else (f"{count} columns have no name and label", "them")
        notes.append(f"the first {what} the rows: left out (--columns {names},... reads {them})")
    return count


def _all_differ(column: Column) -> bool:
    """Return whether a column has whole numbers, or texts, and another one in each row."""
    if len(column.values) < 2 or (column.categories is None and not (column.values % 1 == 0).all()):
        return False
    return len(np.unique(column.values)) == len(column.values)


def _doubts(whole: list[Column]) -> list[str]:
    """Return notes on columns that would better be left out: of texts that hardly repeat, and of numbers that count the rows."""
    rows = len(whole[0].values) if whole else 0
    if rows < LABELS:
        return _cases(whole)
    texts = [f"{c.name} ({len(c.categories)} in {rows:,} rows)" for c in whole if c.categories and 2 * len(c.categories) > rows]
    counts = [c.name for c in whole if c.categories is None and (np.diff(c.values) == 1).all() and c.values[0] % 1 == 0]
    return [
        *_cases(whole),
        *([f"texts that hardly repeat are categories all the same: {_some(texts)}; leave names, dates and remarks out by --columns"]
          if texts else []),
        *([f"{_some(counts)}: counts the rows, which G will imitate; --columns leaves it out"] if counts else []),
    ]


def _cases(whole: list[Column]) -> list[str]:
    """Return a note for each column with categories that differ in capital letters alone, such as True and TRUE."""
    found = []
    for column in whole:
        alike: dict[str, list[str]] = {}
        for text in column.categories or ():
            alike.setdefault(text.casefold(), []).append(text)
        several = [" and ".join(texts) for texts in alike.values() if len(texts) > 1]
        if several:
            found.append(f"{column.name}: {_some(several)} are categories of their own, though they differ in capital letters "
                         "alone; write each in one way if it is one")
    return found

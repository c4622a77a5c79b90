"""Tables in text files as text: how they are encoded, what separates their cells, and their rows.

Python's csv module splits the rows. pandas would read more, and bring more than all of tinygan weighs.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..reading import progress, require_memory
from ..units import DataError
from .decoding import decoding, failure, opened

LONGEST_LINE = 1 << 25  # characters
SAMPLED_LINES, SAMPLED_CHARACTERS = 50, 1 << 21  # from which the separator is told
SEPARATORS = "\t;|,"  # in the order in which they are tried; a space comes last, if all cells behind the first line are numbers
# UTF-32's marks begin as UTF-16's do, so they come first.
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Row(NamedTuple):
    """A row of a table: the number of the line where it ends, counted from 1, and its cells."""

    line: int
    cells: list[str]


class Text(NamedTuple):
    """The rows of a text file that are not blank, what separates their cells, and notes on how it was read."""

    rows: Iterator[Row]
    separator: str
    notes: tuple[str, ...]


@contextmanager
def opened_table(path: Path) -> Iterator[Text]:
    """Open a text file, plain or gzipped, as rows of cells. Raises DataError."""
    encoding, notes = _encoding(path)
    with opened(path) as (file, _), io.TextIOWrapper(file, encoding, newline="") as text:
        lines = _lines(path, text)
        sample = _sample(lines)
        above, separator, told = _above_the_table(sample)
        sample = sample[above:]
        separator = separator or _separator(sample)
        yield Text(_rows(path, chain(sample, lines), separator, above), separator, (*notes, *told))


def _encoding(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return a file's encoding and notes on it: by its mark, else UTF-8 if it is that throughout, else Windows-1252."""
    with decoding(path, "table of text"), opened(path) as (file, packed):
        _require_text(path, 0 if packed else path.stat().st_size)
        start = file.read(4096)
        for mark, encoding in MARKS:
            if start.startswith(mark):
                said = f"{path.name} was read as {encoding.upper()}, as its first bytes say"
                return encoding, () if encoding == "utf-8-sig" else (said,)
        if b"\0" in start:
            raise DataError(f"{path}: holds zero bytes, so it is no text in UTF-8, nor in UTF-16 with its mark; save the table as "
                            f"UTF-8")
        if _is_utf_8(path, start, file):
            return "utf-8", ()
    # Latin-1 is a part of it but for control characters, which no table means; bytes that it has not are refused on the way.
    return "cp1252", (f"{path.name} is not UTF-8 and was read as Windows-1252 (Latin-1)",)


def _is_utf_8(path: Path, start: bytes, file: BinaryIO) -> bool:
    decoder, done = codecs.getincrementaldecoder("utf-8")(), 0
    try:
        while start:
            decoder.decode(start)
            done += len(start)
            _require_text(path, done)
            progress(path, done, "bytes looked at")
            start = file.read(1 << 20)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _require_text(path: Path, length: int) -> None:
    """Raise DataError for more bytes of text than the limit of memory: their numbers would take more memory than their text."""
    require_memory(path, length, "the numbers in its text")


def _lines(path: Path, text: io.TextIOWrapper) -> Iterator[str]:
    try:
        while line := text.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise DataError(f"{path}: has a line of more than {LONGEST_LINE:,} characters; a table has a row in each line")
            yield line
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: its text is not {text.encoding} throughout ({error.reason}); save it as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise failure(path, "table of text", error) from error


def _sample(lines: Iterator[str]) -> list[str]:
    taken, characters = [], 0
    for line in islice(lines, SAMPLED_LINES):
        taken.append(line)
        characters += len(line)
        if characters > SAMPLED_CHARACTERS:
            break
    return taken


def _above_the_table(sample: list[str]) -> tuple[int, str | None, tuple[str, ...]]:
    """Return how many first lines are none of the table's, the separator that they name or None, and notes.

    They are the line sep=; by which Excel is told what separates cells, and remarks: lines that begin with # and have not as many
    cells as the rows below. (A line that has as many may be a header, as numpy.savetxt writes it.)
    """
    named = re.fullmatch(r'"?sep=(.)"?\s*', sample[0], re.IGNORECASE) if sample else None
    if named and named[1] in SEPARATORS:
        return 1, named[1], ()
    remarks = next((i for i, line in enumerate(sample) if line.strip() and not line.startswith("#")), 0)
    below = sample[remarks:]
    separator = _separator(below)
    width = max(_widths(below[:1], separator), default=1) if separator != " " else len(below[0].split())
    while remarks and _width_of_remark(sample[remarks - 1], separator) == width:
        remarks -= 1
    count = sum(bool(line.strip()) for line in sample[:remarks])
    return remarks, None, (f"{count:,} line(s) that begin with # were left out",) if count else ()


def _width_of_remark(line: str, separator: str) -> int:
    """Return how many cells a line has that begins with #; of cells between spaces the # may be one."""
    return len(_between_spaces(line, True)) if separator == " " else max(_widths([line], separator), default=0)


def _separator(sample: list[str]) -> str:
    """Return what separates cells: the first candidate outside of quotes that gives all rows equally many, else any that occurs."""
    widths = {separator: _widths(sample, separator) for separator in SEPARATORS}
    occurring = [separator for separator in SEPARATORS if max(widths[separator][:1], default=1) > 1]
    for separator in occurring:
        if len(set(widths[separator])) == 1:
            return separator
    if occurring:
        return occurring[0] if widths[occurring[0]] else ","
    cells = [_between_spaces(line, i == 0) for i, line in enumerate(line for line in sample if line.strip())]
    if len({len(row) for row in cells}) == 1 and len(cells[0]) > 1 and all(_is_number(cell) for row in cells[1:] for cell in row):
        return " "
    return ","


def _between_spaces(line: str, is_first: bool) -> list[str]:
    """Return the cells of a line between spaces. A # before the first ones, as numpy.savetxt writes it, is none."""
    return (line.lstrip().removeprefix("#") if is_first else line).split()


def _widths(sample: list[str], separator: str) -> list[int]:
    """Return how many cells each row of the sample has; the last row is left out if its quotes are still open."""
    found: list[int] = []
    try:
        for cells in csv.reader(sample, delimiter=separator, strict=True):
            if any(cell.strip() for cell in cells):
                found.append(len(cells))
    except csv.Error:
        pass
    return found


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _rows(path: Path, lines: Iterator[str], separator: str, above: int) -> Iterator[Row]:
    """Yield every row that is not blank. above: how many lines of the file come before these."""
    if separator == " ":
        for number, line in enumerate(lines, 1 + above):
            if cells := _between_spaces(line, number == 1 + above):
                yield Row(number, cells)
        return
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}: line {above + reader.line_num}: {_reason(error)}") from None
        if any(cell.strip() for cell in cells):
            yield Row(above + reader.line_num, cells)


def _reason(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "a quote opens and is not closed before the file ends; close it"
    if "field larger" in str(error):
        return f"a cell of more than {csv.field_size_limit():,} characters; a quote may be open, or this is no table"
    if "expected after" in str(error):
        return "text follows a closing quote; double the quotes that belong to a text"
    return f"{error}; this is no table of text"

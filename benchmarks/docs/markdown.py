"""Pieces of Markdown that the scripts of the documentation share: tables, blocks between markers, numbers, the machine's stamp."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table; a `|` within a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def filled(text: str, name: str, content: str) -> str:
    """Return `text` with what stands between `<!-- begin NAME -->` and `<!-- end NAME -->` replaced.

    Raises ValueError unless both markers are there once each.
    """
    opening, closing = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if text.count(opening) != 1 or text.count(closing) != 1:
        raise ValueError(f"the page needs the markers {opening} and {closing} once each")
    before, rest = text.split(opening)
    return f"{before}{opening}\n{content}\n{closing}{rest.split(closing)[1]}"


def blocks(text: str) -> list[str]:
    """Return the names of a page's blocks, in order."""
    return re.findall(r"<!-- begin (\S+) -->", text)


def three_digits(number: float) -> str:
    """Return a number rounded to three significant digits, with commas between thousands."""
    return f"{float(f'{number:.3g}'):,g}"


def machine(stamp: dict[str, Any]) -> str:
    """Return the CPU and the number of cores of a stamp that benchmarks/speed/timing.py made."""
    return f"{stamp['cpu']}, {stamp['cores']} cores"


def measured_on(stamp: dict[str, Any]) -> str:
    """Return a sentence with a stamp's machine, versions, commit and date."""
    versions = ", ".join(f"{name} {version}" for name, version in stamp["versions"].items())
    return f"Measured on {machine(stamp)}; Python {stamp['python']}, {versions}; commit {stamp['commit']}, {stamp['date']}."

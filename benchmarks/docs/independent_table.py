"""The section of docs/results.md that shows every measure beside another implementation's number on the same samples."""

from __future__ import annotations

import re
from typing import Any

from benchmarks.docs.markdown import measured_on, table

Record = dict[str, Any]


def independent_section(record: Record) -> str:
    """Return one row for each metric, what follows another convention, and how many of all numbers agree."""
    by_metric: dict[str, list[Record]] = {}
    for one in record["comparisons"]:
        by_metric.setdefault(one["metric"], []).append(one)
    head = ["metric", "tinygan", "the other", "comparisons", "largest difference", "tolerance", "why as much", "the others"]
    rows = [_row(metric, found) for metric, found in by_metric.items()]
    agree, count = sum(one["agrees"] for one in record["comparisons"]), len(record["comparisons"])
    total = (f"{agree} of the {count} numbers agree within their tolerances, of {len(by_metric)} metrics. The two numbers of a row "
             "are the first that are neither 0 nor 1; the difference is that one of the row which is nearest to its tolerance.")
    apart = _conventions(record["comparisons"])
    return "\n\n".join([table(head, rows), total, *(["\n".join(apart)] if apart else []), measured_on(record["stamp"])])


def _row(metric: str, found: list[Record]) -> list[str]:
    """Return the row of a metric: a pair of its numbers, and the difference that is nearest to its tolerance, or beyond it."""
    first = next((one for one in found if float(one["ours"]) not in (0, 1)), found[0])
    worst = max(found, key=_share_of_tolerance)
    others = dict.fromkeys(name for one in found for name in without_versions(one["by"]))
    return [metric, _number(first["ours"]), _number(first["theirs"]), str(len(found)), _size(worst["difference"]),
            _size(worst["tolerance"]), worst["reason"], "; ".join(others)]


def _share_of_tolerance(one: Record) -> float:
    difference, tolerance = float(one["difference"]), float(one["tolerance"])
    if not one["agrees"]:
        return float("inf")  # where one of the two is no number as well
    return difference / tolerance if tolerance else 0.0


def without_versions(by: str) -> list[str]:
    """Return the implementations that are named in `by`, without their versions, which stand below the table."""
    return re.split("; | and ", re.sub(r" \d[\w.+]*", "", by))


def _number(value: float | str) -> str:
    return f"{float(value):.5g}"


def _size(value: float | str) -> str:
    """Return a difference or a tolerance; what is none is 0."""
    return f"{float(value):.0e}".replace("e-0", "e-").replace("e+00", "") if float(value) else "0"


def _conventions(found: list[Record]) -> list[str]:
    """Return a line for each convention or fault of another implementation, with the numbers that differ by that alone."""
    told: dict[str, list[str]] = {}
    for one in found:
        if one["convention"]:
            told.setdefault(one["convention"], []).append(
                f"{one['metric']} ({one['samples']}) {_number(one['ours'])} here, {_number(one['theirs'])} there")
    return [f"- Apart for a known reason: {reason}. So there are: {'; '.join(numbers)}." for reason, numbers in told.items()]

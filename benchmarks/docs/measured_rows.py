"""Rows of a measured table as Markdown: means with their errors, what samples of a mixture reach, and on which commits seeds ran.

A row is what benchmarks/quality/presets.py writes: the numbers of each seed's run, the options and the stamps (row_records.py).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from benchmarks.docs.markdown import machine, table
from benchmarks.quality.presets import summary
from benchmarks.quality.row_records import seeds_of, steps_of
from tinygan.measure.mixture_quality import WITHIN

Record = dict[str, Any]


def value(mean: float, error: float, digits: int, scale: float = 1) -> str:
    """Return a mean with its standard error, or alone where there was a single run."""
    shown = f"{mean * scale:.{digits}f}"
    return shown if error != error else f"{shown}±{error * scale:.{digits}f}"


def mixture_cell(row: Record) -> str:
    """Return modes / HQ % / reverse KL of a row's runs, each with its standard error, and how many of them diverged."""
    if not row["runs"]:
        return f"diverged, {row['diverged']} of {row['diverged']}"
    found = summary(row["runs"])
    cell = " / ".join((value(*found["modes"], 1), value(*found["hq"], 1, 100), value(*found["reverse_kl"], 3)))
    return f"{cell}; {row['diverged']} diverged" if row["diverged"] else cell


def rows_by_place(record: Record, name: str) -> dict[tuple[str, str], Record]:
    """Return the rows of a table by (data, preset)."""
    return {(row["data"], row["preset"]): row for row in record["tables"].get(name, [])}


def commits(row: Record) -> str:
    """Return the commit that a row's seeds were measured on; where there are several, each with its number of seeds."""
    seeds = Counter(commits_by_seed(row))
    return ", ".join(seeds) if len(seeds) == 1 else ", ".join(f"{commit} ({n})" for commit, n in seeds.items())


def commits_by_seed(row: Record) -> list[str]:
    """Return the commit of every seed of a row, in order. Rows of early versions of the record do not say."""
    if "stamps" not in row:
        return ["not recorded"] * seeds_of(row)
    return [stamp["commit"] for stamp in row["stamps"] for _ in range(stamp["seeds"])]


def measured_where(rows: list[Record]) -> str:
    """Return the machines that rows were measured on, and from when to when."""
    stamps = [stamp for row in rows for stamp in row.get("stamps", [])]
    machines, dates = dict.fromkeys(map(machine, stamps)), sorted({stamp["date"] for stamp in stamps})
    if not stamps:
        return "machine and date are not recorded"
    return f"{' and '.join(machines)}, {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"


def told_runs(record: Record, name: str) -> str:
    """Return how many seeds and steps the rows of a table had, and on which machine."""
    rows = [row for row in record["tables"][name] if row["runs"]]
    counts = sorted({len(row["runs"]) for row in rows})
    steps: dict[str, set[int]] = {}
    for row in rows:
        steps.setdefault(row["data"], set()).add(int(steps_of(row)))
    told = ", ".join(f"{' or '.join(f'{n:,}' for n in sorted(of_data))} ({data})" for data, of_data in steps.items())
    shown = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    return (f"Mean and standard error over {shown} seeds; steps: {told}. "
            f"Each row was measured by itself, on the commit beside it ({measured_where(rows)}).")


# ---- what counts of modes do not see ---------------------------------------------------------------------------------------------

# Columns of the cells that `density_cells` returns, and what stands in them.
DENSITY_HEAD = ["std ratio of the modes", "largest shift, std", "JSD (exact)", "told apart"]
DENSITY_LEGEND = (
    f"The std ratio is that of the samples within {WITHIN:g} std of a mode's centre to the true one, from the narrowest mode of "
    f"any seed to the widest. Samples that are spread evenly over that disc have {WITHIN / 2:g}, so a ratio near it says that the "
    "mode is wider than the disc, and not how wide. The shift is how far the mean of these samples lies from the centre, the "
    "largest of any seed; the JSD, in nats, has an exact sampler's in brackets. Told apart are the runs in which a two-sample test "
    "(MMD) has a p of at most 0.05, as one exact sampler in twenty has."
)


def has_densities(row: Record) -> bool:
    """Decide whether all runs of a row have the measures of widths and places; rows of early versions of the record do not."""
    return bool(row["runs"]) and all("std_ratio_min" in run for run in row["runs"])


def density_cells(row: Record) -> list[str]:
    """Return the measures that DENSITY_HEAD names, over all runs of a row. A run without samples at any mode has no ratio."""
    runs, found = row["runs"], summary(row["runs"])
    seen = [run for run in runs if np.isfinite(run["std_ratio_min"])]
    ratios, shift = "none", "none"
    if seen:
        ratios = f"{min(run['std_ratio_min'] for run in seen):.2f} to {max(run['std_ratio_max'] for run in seen):.2f}"
        shift = f"{max(run['shift_max'] for run in seen):.2f}"
    apart = sum(run["mmd_p"] <= 0.05 for run in runs)
    return [ratios, shift, f"{value(*found['jsd'], 3)} ({found['exact_jsd'].mean:.3f})", f"{apart} of {len(runs)}"]


def densities_table(head: list[str], lines: list[list[str]]) -> list[str]:
    """Return a table whose cells `density_cells` made, after a paragraph on what they are; nothing where it has no lines."""
    return [f"The same runs by what modes, HQ and reverse KL do not see, of 25,000 samples. {DENSITY_LEGEND}",
            table(head, lines)] if lines else []

"""Measure the constants by which the CPU backend chooses between its ways, each as the comment beside it defines it:

    python -m benchmarks.speed.tune [--quick] [--json benchmarks/results/tune.json]

Prints for each constant its file, its value in the code, its value on this machine, the range of tried values that cost no more
than 3 % over the best one, and what the set value costs over the best one where it does worst (`tuning/trials.py` has the rule).
Nothing is changed: who wants another value edits the file that is named.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numba
from tinygan_kernels import winograd_formulas
from tinygan_kernels.cpu.conv import direct, im2col, winograd
from tinygan_kernels.cpu.matmul import blocking, jobs, skinny, zero_skipping
from tinygan_kernels.cpu.runtime import stages

from .timing import stamp
from .tuning import convolutions, products, teams, zeros
from .tuning.trials import Bench, Tuned

Names = Sequence[tuple[Any, str]]
Measurement = tuple[Callable[[Bench], list[Tuned]], Names]

MEASUREMENTS: tuple[Measurement, ...] = (
    (products.tiles, [(blocking, name) for name in ("TILES", "COPYING", "TRANSPOSING", "GATHERING", "FETCHING")]),
    (products.blocks, [(blocking, name) for name in ("PANEL_BYTES", "BLOCK_BYTES", "FLAT")]),
    (products.packing, [(blocking, name) for name in ("PACKING_ROWS", "FAR")]),
    (products.few_terms, [(skinny, "FEW_TERMS")]),
    (zeros.all_constants, [(zero_skipping, name) for name in zeros.NAMES]),
    (convolutions.few_registers, [(direct, "FEW_REGISTERS")]),
    (convolutions.winograd_from, [(winograd, "LEAST_CHANNELS"), (winograd, "LEAST_PIXELS")]),
    (convolutions.moved, [(winograd_formulas, "MOVED")]),
    (convolutions.pieces, [(im2col, "PATCH_BYTES"), (direct, "PATCH_BYTES"), (winograd, "CHUNK_BYTES")]),
    (teams.all_constants, list(teams.NAMES)),
)
"""Each measurement and the constants that it measures."""

NOT_MEASURED: Mapping[tuple[Any, str], str] = {
    (blocking, "TILES_OF_32_REGISTERS"): "TILES is this or the next",
    (blocking, "TILES_OF_16_REGISTERS"): "TILES is this or the one before",
    (blocking, "LINE_NUMBERS"): "the floats of a cache line",
    (jobs, "JOB"): "a layout",
    (jobs, "TakeScratch"): "a type",
    (winograd, "LANES_32"): "the numbers of a register",
    (winograd, "LANES_64"): "the numbers of a register",
    (winograd, "PAGE"): "the bytes of a page",
    (winograd, "LINE"): "the bytes of a cache line",
    (winograd_formulas, "POINTS"): "part of the formula",
    (stages, "TABLE"): "a layout",
}
"""The other constants of these modules, and what they are instead of a choice."""


def measure(bench: Bench, measurements: Sequence[Measurement] = MEASUREMENTS) -> list[Tuned]:
    """Measure all constants, in one thread where it does not matter. Raises RuntimeError if a measurement has other constants than
    MEASUREMENTS says.
    """
    found, threads = [], numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        for function, names in measurements:
            rows = function(bench)
            made, wanted = {(row.module, row.name) for row in rows}, set(names)
            if made != wanted:
                differ = sorted(f"{Path(module.__file__).name}: {name}" for module, name in made ^ wanted)
                raise RuntimeError(f"{function.__name__} measures other constants than MEASUREMENTS says: {', '.join(differ)}")
            found += rows
    finally:
        numba.set_num_threads(threads)
    return found


def rounded(value: Any) -> Any:
    """Round to three digits, in lists and dictionaries too."""
    if isinstance(value, float):
        return float(f"{value:.3g}")
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def as_row(finding: Tuned) -> dict[str, Any]:
    """Return a finding as the report has it."""
    value = finding.value
    if finding.name == "TILES":
        value = {f"{height}x{across}": slowness for height, across, _, slowness in value}
    fields = {"value": value, "here": finding.here, "good": finding.good, "cost": finding.cost}
    texts = {"how": finding.how, "where": finding.where}
    return {"name": finding.name, "file": finding.file, **{k: rounded(v) for k, v in fields.items()}, **texts}


def line_of(row: Mapping[str, Any]) -> str:
    """Return a finding as a line of text, and a second one that says how it was measured."""
    good = "" if row["good"] is None else f"as good as the best: {row['good'][0]} to {row['good'][1]}"
    worst = f", worst at {row['where']}" if row["where"] else ""
    cost = "" if row["cost"] is None else f"the set value costs {100 * row['cost']:.1f} % more than the best{worst}"
    here = "" if row["here"] is None else f"here {row['here']}"
    parts = [f"set to {row['value']}", *(part for part in (here, good, cost) if part)]
    return f"{row['name']} ({row['file']}): {'; '.join(parts)}\n    {row['how']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="rougher, in a fraction of the time")
    parser.add_argument("--json", type=Path, help="where to write the report")
    args = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # above 0, other work shared the cores: then values are rough
    rows = [as_row(finding) for finding in measure(Bench(0.01 if args.quick else 0.1))]
    for row in rows:
        print(line_of(row))
    if args.json:
        report = {"stamp": stamp(), "quick": args.quick, "load": load, "constants": rows}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

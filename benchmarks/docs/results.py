"""Write what was measured and tried into docs/, and its headlines into README.md: `python -m benchmarks.docs.results [--check]`

The numbers come from benchmarks/results/*.json, which the scripts in benchmarks/speed/, quality/ and environments/ wrote, each with
the machine and the commit that it was measured on. A block whose file or table is missing stays as it is, and the script says so.
With --check nothing is written, and a page that is out of date is an error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.docs import (
    charts,
    density_tables,
    independent_table,
    mutation_tables,
    parzen_table,
    portability_table,
    quality_tables,
    remedy_tables,
    speed_tables,
    time_tables,
    toolkit_tables,
)
from benchmarks.docs.markdown import filled, machine
from benchmarks.docs.measured_rows import commits_by_seed, density_cells
from benchmarks.environments import beside, versions
from benchmarks.quality.presets import summary

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
DOCS = ROOT / "docs"
Report = dict[str, Any]

# page: {block: (file of results, what makes Markdown of it)}; of several files it is given a dictionary of records, by their stems
SECTIONS: dict[str, dict[str, tuple[str | tuple[str, ...], Callable[[Report], str]]]] = {
    "docs/results.md": {
        "steps": ("gan_step.json", speed_tables.steps_section),
        "kernels": ("kernels.json", speed_tables.kernels_section),
        "results": ("presets.json", quality_tables.results_section),
        "to-quality": ("to_quality.json", speed_tables.to_quality_section),
        "density": ("density.json", density_tables.density_section),
        "digits": ("digits.json", quality_tables.digits_section),
        "held-out": ("presets.json", quality_tables.held_out_section),
        "faces": ("faces.json", quality_tables.faces_section),
        "pacgan": ("presets.json", quality_tables.pacgan_section),
        "alarms": ("alarms.json", quality_tables.alarms_section),
        "remedies": ("presets.json", remedy_tables.remedies_section),
        "emulator": ("emulator.json", speed_tables.emulator_section),
        "busy": ("busy.json", speed_tables.busy_section),
        "fit": ("fit.json", speed_tables.fit_section),
        "mutation": ("mutation.json", mutation_tables.mutation_section),
        "planted": ("planted.json", mutation_tables.planted_section),
        "time": ("time_model.json", time_tables.time_section),
        "independent": ("independent.json", independent_table.independent_section),
        "parzen": ("parzen.json", parzen_table.parzen_section),
    },
    "docs/environments.md": {
        "portability": (("versions.json", "portable_arm.json", "toolkits.json", "beside.json"), portability_table.portability),
        "toolkits": ("toolkits.json", toolkit_tables.toolkits),
        "architectures": ("toolkits.json", toolkit_tables.architectures),
        "numba-toolkits": ("toolkits.json", toolkit_tables.numba),
        "beside": ("beside.json", beside.section),
        "versions": ("versions.json", versions.section),
    },
    "README.md": {
        "speed": ("gan_step.json", lambda report: speed_headline(report)),
        "quality": (("presets.json", "density.json"), lambda records: quality_headline(records)),
    },
}
# The table of a file that a block is made of, where it does not have the name of the block.
TABLE_OF = {("quality", "presets.json"): "results", ("quality", "density.json"): "density"}


def speed_headline(report: Report) -> str:
    """Return how many times as long the best peer takes for a training step, by workload. Raises ValueError without a peer."""
    workloads = report["workloads"]
    if not all(w["ratio"] for w in workloads.values()):
        raise ValueError("the headline compares with peers, and no peer was measured")
    ratios = ", ".join(f"{w['ratio']:.2f} ({name})" for name, w in workloads.items())
    stamp = report["stamp"]
    return (f"- A training step on the CPU: the best of PyTorch and JAX takes {ratios} times as long\n"
            f"  ({machine(stamp)}; commit {stamp['commit']}, {stamp['date']}).")


def quality_headline(records: dict[str, Report]) -> str:
    """Return one sentence: what the default options reach on the two mixtures and on digits, and how wide the modes are.

    records: that of the presets and that of the preset density, by the stems of their files.
    """
    rows = {row["data"]: row for row in records["presets"]["tables"]["results"] if row["runs"]}
    wide = {row["data"]: row for row in records["density"]["tables"]["density"] if row["runs"]}
    mixtures = {"ring": 8, "grid": 25}
    found = {data: summary(row["runs"]) for data, row in rows.items()}
    modes = ", ".join(f"{found[data]['modes'].mean:.1f} of {count} modes ({data})" for data, count in mixtures.items())
    widths, wider = (", ".join(f"{density_cells(of[data])[0]} ({data})" for data in mixtures) for of in (rows, wide))
    digits, seeds = found["digits"], len(rows["ring"]["runs"])
    of = ", ".join(dict.fromkeys(commit for row in (*rows.values(), *wide.values()) for commit in commits_by_seed(row)))
    return (f"- Samples of the default options: {modes}; precision {digits['precision'].mean:.2f} and recall "
            f"{digits['recall'].mean:.2f} (digits); means over {seeds} seeds.\n  Widths of these modes over the true ones: "
            f"{widths}; with `--preset density` {wider} (commits {of}).")


def report_for(name: str, file: str | tuple[str, ...]) -> Report | None:
    """Return the record that a block is made of; None, with a word on it, where its file or its table is missing.

    Of several files: a dictionary of their records, by the stems of the files' names.
    """
    if isinstance(file, tuple):
        found = {Path(one).stem: report_for(name, one) for one in file}
        return None if None in found.values() else found
    report = json.loads((RESULTS / file).read_text()) if (RESULTS / file).exists() else None
    needed = TABLE_OF.get((name, file), name)
    if report is None or needed not in report.get("tables", {needed: True}):
        print(f"{file} {'is missing' if report is None else 'has no such table'}; block {name!r} stays as it is")
        return None
    return report


def render(text: str, page: str) -> str:
    """Return a page with its blocks made anew."""
    for name, (file, section) in SECTIONS[page].items():
        report = report_for(name, file)
        if report is not None:
            text = filled(text, name, section(report))
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for name in SECTIONS:
        path = ROOT / name
        before = path.read_text()
        after = render(before, name)
        if after != before:
            stale.append(name)
            if not check:
                path.write_text(after)
    if not check and (RESULTS / "gan_step.json").exists():
        charts.draw(json.loads((RESULTS / "gan_step.json").read_text()), DOCS)
    print(f"{'out of date' if check else 'changed'}: {', '.join(stale) or 'nothing'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

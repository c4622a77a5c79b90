"""The section of docs/results.md on the preset `density`: seed by seed, and without each of its ingredients.

The record is density.json of benchmarks/quality/presets.py.
"""

from __future__ import annotations

from benchmarks.docs.markdown import table
from benchmarks.docs.measured_rows import Record, commits, commits_by_seed, measured_where, mixture_cell, value
from benchmarks.quality.presets import summary
from tinygan.data import load

# What each row of the ablation leaves out of the preset "density"; the first is in all others too.
ABLATION = {
    "all of it": "nothing, but `--r1 0.02 --r2 0.02 --penalty-fall 8 --decay-power 2`, as in all rows of this table",
    "no Fourier features": "`--fourier 0`: D sees x alone",
    "no signs in z": "`--signs 0`: the noise is normal, and connected",
    "gamma is small at once": "`--r1 0.0025 --r2 0.0025 --penalty-fall 1`: from the first step on as they would end",
    "gamma stays large": "`--penalty-fall 1`: R1 and R2 stay at 0.02", "beta2 of the defaults": "`--beta2 0.99`",
    "rates fall in a straight line": "`--decay-power 1`", "no R2": "`--r2 0`: D's slope is free at the fakes",
}


# And what each row on grid takes away of the options that grid has beside ring's; the first is in all others too.
ABLATION_GRID = {
    "a smaller gamma": "`--r1 0.02 --r2 0.02 --penalty-fall 8 --decay-power 2`, as in all rows of this table",
    "as on ring": "and `--fourier 64 --frequency 60 --lr-g 0.001`: features and rate of G as on ring",
    "G as fast as D": "and `--lr-g 0.001`: both rates are the same",
    "features as on ring": "and `--fourier 64 --frequency 60`: half as many, and slower ones",
}


def density_section(record: Record) -> str:
    """Return what the preset `density` reaches, seed by seed, and what it reaches without each of its ingredients.

    A seed that diverged has no line.
    """
    names = ("modes", "HQ %", "reverse KL (exact)", "JSD (exact)", "std ratio of the modes", "largest shift, std", "p")
    rows = record["tables"]["density"]
    lines = [[row["data"], str(seed), *_density_cells(run), commits_by_seed(row)[seed]] for row in rows
             for seed, run in _runs_by_seed(row)]
    parts = [table(["data", "seed", *names, "commit"], lines), f"{_within_goal(rows)} {_samples_counted(rows)}"]
    for name, told in (("ablation-grid", ABLATION_GRID), ("ablation", ABLATION)):
        parts += _ablation_parts(record["tables"].get(name, []), told)
    measured = [row for rows_of in record["tables"].values() for row in rows_of]
    return "\n\n".join([*parts, f"Measured on {measured_where(measured)}; each row on the commit beside it."])


def _runs_by_seed(row: Record) -> list[tuple[int, dict[str, float]]]:
    """Return the runs of a row, each with its seed. Those of early versions of the record do not name it: they are 0, 1, ..."""
    return [(int(run.get("seed", place)), run) for place, run in enumerate(row["runs"])]


def _ablation_parts(measured: list[Record], told: dict[str, str]) -> list[str]:
    """Return the table of an ablation and its caption; nothing where no row of it was run."""
    rows = {row["preset"]: row for row in measured if row["runs"]}
    if not rows:
        return []
    without = [[name, what, *_ablation_cells(rows[name]["runs"]), commits(rows[name])]
               for name, what in told.items() if name in rows]
    head = ["row", "what it leaves out", "modes / HQ % / reverse KL", "JSD", "std ratio of the modes", "commit (seeds)"]
    seeds = ", ".join(f"{name} {len(row['runs'])}" for name, row in rows.items())
    some = next(iter(rows.values()))
    caption = (f"On {some['data']}, {_steps(some)} steps, means and standard errors, HQ and reverse KL of 2,500 samples; ratios "
               f"are the least and the largest of any mode and seed. Seeds: {seeds}.")
    caption += _told_of_all(rows)
    if missing := [f'"{name}"' for name in told if name not in rows]:
        caption += f" Not measured yet: the rows {', '.join(missing)} (`--only` takes the name of one)."
    return [table(head, without), caption]


def _told_of_all(rows: dict[str, Record]) -> str:
    """Return sentences on the reverse KL of all samples, for rows in which every run has it; empty where there are none."""
    told = ""
    for name, row in rows.items():
        kl = [run["reverse_kl_of_all"] for run in row["runs"] if "reverse_kl_of_all" in run]
        if len(kl) == len(row["runs"]) > 1:
            good = sum(_is_within_goal(run, _modes(row["data"])) for run in row["runs"])
            told += (f" Of 25,000 samples, the reverse KL of {name} is {min(kl):.4f} to {max(kl):.4f}, and {good} of {len(kl)} "
                     "runs have all that the goal above asks for.")
    return told


def _of_most(run: dict[str, float], name: str) -> float:
    """Return a score of all samples of a run; records of earlier versions have it of the first 2,500 alone."""
    return run.get(f"{name}_of_all", run[name])


def _samples_counted(rows: list[Record]) -> str:
    """Return a sentence that says on how many samples the HQ and the reverse KL of each data set are."""
    data: dict[str, list[str]] = {"25,000": [], "2,500": []}
    for row in rows:
        data["25,000" if all("hq_of_all" in run for run in row["runs"]) else "2,500"].append(row["data"])
    told = " and ".join(f"of {n} samples on {' and '.join(names)}" for n, names in data.items() if names)
    return f"HQ and reverse KL are {told}."


def _within_goal(rows: list[Record]) -> str:
    """Return how many runs of each data set have right densities by all measures at once, and their steps."""
    found = []
    for row in rows:
        good = sum(_is_within_goal(run, _modes(row["data"])) for run in row["runs"])
        found.append(f"{good} of {len(row['runs'])} runs on {row['data']} ({_steps(row)} steps)")
    return (f"All modes, HQ from 97.5 to 99.5 %, reverse KL up to 0.005, JSD up to 0.02 and every std ratio from 0.9 to 1.1: "
            f"{' and '.join(found)} have all of it.")


def _modes(data: str) -> int:
    """Return how many modes a mixture has."""
    centres = load(data).centres
    assert centres is not None, "the table has mixtures alone"
    return len(centres)


def _is_within_goal(run: dict[str, float], modes: int) -> bool:
    return bool(run["modes"] == modes and 0.975 <= _of_most(run, "hq") <= 0.995 and _of_most(run, "reverse_kl") <= 0.005
                and run["jsd"] <= 0.02 and run["std_ratio_min"] >= 0.9 and run["std_ratio_max"] <= 1.1)


def _steps(row: Record) -> str:
    return f"{row['runs'][0]['steps']:,.0f}"


def _density_cells(run: dict[str, float]) -> list[str]:
    """Return the measures of one run against a mixture, an exact sampler's in brackets."""
    hq, kl, exact_kl = (_of_most(run, name) for name in ("hq", "reverse_kl", "exact_reverse_kl"))
    return [f"{run['modes']:.0f}", f"{hq:.2%}".rstrip("%"), f"{kl:.4f} ({exact_kl:.4f})",
            f"{run['jsd']:.4f} ({run['exact_jsd']:.4f})", f"{run['std_ratio_min']:.2f} to {run['std_ratio_max']:.2f}",
            f"{run['shift_max']:.2f}", f"{run['mmd_p']:.3f}"]


def _ablation_cells(runs: list[dict[str, float]]) -> list[str]:
    """Return the measures of a row's runs as means, and the smallest and the largest std ratio of a mode in any of them."""
    found = summary(runs)
    ratios = f"{min(run['std_ratio_min'] for run in runs):.2f} to {max(run['std_ratio_max'] for run in runs):.2f}"
    return [mixture_cell({"runs": runs, "diverged": 0}), value(*found["jsd"], 3), ratios]

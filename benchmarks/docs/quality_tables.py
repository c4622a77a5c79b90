"""The sections of docs/results.md that benchmarks/quality/ measured: presets, digits, faces; remedy_tables.py has the remedies.

Each function takes the record that its script wrote as JSON and returns Markdown. What was not run has no cell in a table: it is
told in a sentence or left out.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from benchmarks.docs.markdown import machine, measured_on, table
from benchmarks.quality.presets import TABLES, WIDER, summary
from benchmarks.quality.row_records import seeds_of
from tinygan.data import load

Record = dict[str, Any]

PAPER = {  # Lin et al. 2018, tables 1 and 2: ring and grid, modes, HQ %, reverse KL
    ("ring", "pacgan-gan"): "6.3±0.5 / 98.2 / 0.45", ("grid", "pacgan-gan"): "17.3±0.8 / 94.8 / 0.70",
    ("ring", "pacgan2"): "7.9±0.1 / 95.6 / 0.07", ("grid", "pacgan2"): "23.8±0.7 / 91.3 / 0.13",
    ("ring", "pacgan4"): "7.8±0.1 / 95.9 / 0.07", ("grid", "pacgan4"): "24.8±0.2 / 93.6 / 0.04",
}


def digits_section(report: Record) -> str:
    """Return the measures of the digits that `make train` generates."""
    shown = {"precision": "precision", "recall": "recall", "density": "density", "coverage": "coverage", "confidence": "confidence",
             "real_confidence": "confidence on real digits", "rarest_class": "rarest class"}
    return f"{table([*shown.values()], [[f'{report[name]:.3f}' for name in shown]])}\n\n{measured_on(report['stamp'])}"


def _value(mean: float, error: float, digits: int, scale: float = 1) -> str:
    """Return a mean with its standard error, or alone where there was a single run."""
    shown = f"{mean * scale:.{digits}f}"
    return shown if error != error else f"{shown}±{error * scale:.{digits}f}"


def mixture_cell(row: Record) -> str:
    """Return modes / HQ % / reverse KL of a row's runs, each with its standard error, and how many of them diverged."""
    if not row["runs"]:
        return f"diverged, {row['diverged']} of {row['diverged']}"
    found = summary(row["runs"])
    cell = " / ".join((_value(*found["modes"], 1), _value(*found["hq"], 1, 100), _value(*found["reverse_kl"], 3)))
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
    steps = {row["data"]: f"{int(row['runs'][0]['steps']):,}" for row in rows}
    shown = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    return (f"Mean and standard error over {shown} seeds; steps: {', '.join(f'{n} ({data})' for data, n in steps.items())}. "
            f"Rows are measured one at a time ({measured_where(rows)}), each on the commit beside it.")


def results_section(record: Record) -> str:
    """Return what the defaults reach on ring, grid and digits, with the seconds that a run took where all were timed."""
    rows = [row for row in record["tables"]["results"] if row["runs"]]
    timed = all("seconds" in summary(row["runs"]) for row in rows)
    lines = [[row["data"], _reached(row), *([_value(*summary(row["runs"])["seconds"], 0)] if timed else []), commits(row)]
             for row in rows]
    head = ["data", "reached", *(["seconds a run"] if timed else []), "commit"]
    return f"{table(head, lines)}\n\n{told_runs(record, 'results')} {_false_alarms(record)}"


def _reached(row: Record) -> str:
    """Return the measures of a row's runs in words: those of a mixture, or those of other samples."""
    found = summary(row["runs"])
    if "modes" in found:
        return f"modes / HQ % / reverse KL: {mixture_cell(row)}; JSD {_value(*found['jsd'], 3)}"
    names = ("precision", "recall", "density", "coverage", "frechet_pca32", "frechet")  # _pca32 in records of earlier versions
    return ", ".join(f"{name.replace('_pca32', '')} {_value(*found[name], 2)}" for name in names if name in found)


def _false_alarms(record: Record) -> str:
    """Return how often the collapse alarm went off in the runs of the defaults, which are healthy."""
    runs = [run for row in record["tables"]["results"] for run in row["runs"]]
    alarms, looks = sum(run["alarm_collapse"] for run in runs), sum(run["looks"] for run in runs)
    return (f"The collapse alarm, as it was on that commit, went off in {alarms:.0f} of these {len(runs)} healthy runs "
            f"({sum(run['looks_collapsed'] for run in runs):.0f} of {looks:.0f} looks).")


def alarms_section(record: Record) -> str:
    """Return how often the alarms were wrong, in healthy short runs and in collapsed ones, by `benchmarks.quality.alarms`."""
    seeds = sorted(run["seed"] for runs in record["runs"].values() for run in runs)
    stamp = record["stamp"]
    return (f"- An alarm went off in {record['false_alarms']} of {record['healthy']} short healthy runs, and in "
            f"{record['false_alarms_not_over']} of them it was not over at the end.\n- Of {record['set_up_to_collapse']} runs that "
            f"were set up to collapse {record['collapsed']} did; the collapse alarm missed {record['missed']} of these.\n\n"
            f"Seeds {seeds[0]} to {seeds[-1]}; the limits of the alarms were set on seeds 0 to 7. {machine(stamp)}, commit "
            f"{stamp['commit']}, {stamp['date']}.")


# What samples are put beside in the table of held-out digits: the prefix of the numbers of each comparison.
BESIDE = {"held_out_": "samples, against held-out digits", "subset_": "samples, against as many digits of the training set",
          "real_": "digits of the training set, against held-out ones"}


def held_out_section(record: Record) -> str:
    """Return the measures of digits against those that training left out, beside what real ones have, and the memorisation test."""
    names = ("precision", "recall", "density", "coverage", "frechet")
    by_place = rows_by_place(record, "held-out")
    rows = [by_place[place] for set_up in TABLES["held-out"] if (place := (set_up.data, set_up.row)) in by_place]
    rows, lines, told = [row for row in rows if row["runs"]], [], []
    for row in rows:
        found = summary(row["runs"])
        lines += [[row["preset"], what, *(_value(*found[prefix + name], 3) for name in names), commits(row)]
                  for prefix, what in BESIDE.items()]
        nearer = _value(*found["nearer_training"], 1, 100)
        told.append(f"- {row['preset']}, {row['options']['steps']:,} steps, {_seeds(row)}: {nearer} % of the samples are nearer to "
                    f"a digit that G was trained on than to a held-out one; 50 % without memorisation.{_differing(row, rows[0])}")
    return "\n\n".join([table(["row", "what is compared", *names, "commit"], lines), "\n".join(told), *_wider_noise(rows),
                        f"Rows are measured one at a time ({measured_where(rows)}), each on the commit beside it."])


def _wider_noise(rows: list[Record]) -> list[str]:
    """Return what the samples of wider noise have against held-out digits, beside those of the noise of training."""
    stds = {"1": "held_out_", **{f"{std:g}": f"z{std:g}_held_out_" for std in WIDER}}
    lines = []
    for row in rows:
        found = summary(row["runs"])
        lines.append([row["preset"], *(" / ".join(_value(*found[prefix + name], 3) for name in ("precision", "recall"))
                                       for prefix in stds.values())])
    head = ["row", *(f"z of std {std}" for std in stds)]
    return ["Precision / recall against held-out digits, of samples from noise as in training and from wider noise "
            "(`trained.generate(1.2 * trained.latent(1000))`):", table(head, lines)]


def _seeds(row: Record) -> str:
    return f"{len(row['runs'])} seed{'s' * (len(row['runs']) != 1)}"


def _differing(row: Record, first: Record) -> str:
    """Return the options in which a row differs from the first, as on the command line."""
    other = {name: value for name, value in row["options"].items() if first["options"].get(name) != value}
    flags = [f"--{name.replace('_', '-')} {_text(value)}" for name, value in other.items()]
    return f" Its options beside those of the first row: `{' '.join(flags)}`." if flags else ""


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else f"{value:g}"


def pacgan_section(record: Record) -> str:
    """Return a vanilla GAN and packs in PacGAN's set-up, as far as they were run here, beside the paper's numbers."""
    rows = rows_by_place(record, "pacgan")
    lines = [[data, f"`--preset {preset}`", mixture_cell(rows[data, preset]), published, commits(rows[data, preset])]
             for (data, preset), published in PAPER.items() if (data, preset) in rows]
    missing = [f"{preset} on {data} {published}" for (data, preset), published in PAPER.items() if (data, preset) not in rows]
    told = f" Not run here; the paper has for them: {', '.join(missing)}." if missing else ""
    runs = [run for row in rows.values() if row["preset"] == "pacgan-gan" for run in row["runs"]]
    count = sum(run["alarm_collapse"] for run in runs)
    alarms = f"The collapse alarm, as it was on that commit, went off in {count:.0f} of the {len(runs)} vanilla runs."
    head = ["data", "options", "here: modes / HQ % / reverse KL", "Lin et al. 2018 (400,000 steps)", "commit"]
    return f"{table(head, lines)}\n\n{told_runs(record, 'pacgan')} {alarms}{told}"


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
    return [mixture_cell({"runs": runs, "diverged": 0}), _value(*found["jsd"], 3), ratios]


def faces_section(report: Record) -> str:
    """Return what a run on photographs of faces reached."""
    measures = ", ".join(f"{name} {report[name]:.2f}" for name in ("precision", "recall", "coverage", "density"))
    n, size, alarms = report["photographs"], report["side"], ", ".join(report["alarms"]) or "none"
    too_near = " (above 1, as samples are nearer to the middle of the data than photographs are: washed out)"
    washed = too_near if report["density"] > 1.5 else ""
    took = f" ({report['seconds'] / 60:.0f} minutes)" if "seconds" in report else ""
    told = (
        f"On {n} photographs of faces (ORL, AT&T Laboratories Cambridge), resized to {size}x{size}, `tinygan train FOLDER --size "
        f"{size} --steps {report['steps']:.0f}`{took} gives {measures}{washed} (k = 5, {n} samples) and a Frechet distance of "
        f"{report['frechet_pca32']:.2f} along 32 principal axes.\n\n"
        f"- Variety: {report['distinct']} different photographs are the nearest one of some sample "
        f"({report['distinct_by_chance']:.0f} would be, for {n} draws with replacement from the photographs themselves).\n"
        f"- Memory: a sample is typically {report['ratio']:.2f} times as far from its nearest photograph as photographs are from "
        f"each other.\n- Alarms that went off: {alarms}."
    )
    return f"{told}\n\n![Photographs beside generated ones](faces.png)\n\n{measured_on(report['stamp'])}"

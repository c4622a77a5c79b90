"""The sections of docs/results.md that benchmarks/quality/ measured: the defaults, digits, faces, alarms and PacGAN's set-up.

density_tables.py has the preset of that name, remedy_tables.py the remedies.

Each function takes the record that its script wrote as JSON and returns Markdown. What was not run has no cell in a table: it is
told in a sentence or left out.
"""

from __future__ import annotations

from typing import Any

from benchmarks.docs.markdown import machine, measured_on, table
from benchmarks.docs.measured_rows import (
    DENSITY_HEAD,
    Record,
    commits,
    densities_table,
    density_cells,
    has_densities,
    measured_where,
    mixture_cell,
    rows_by_place,
    told_runs,
    value,
)
from benchmarks.quality.presets import TABLES, WIDER, summary
from benchmarks.quality.row_records import steps_of
from tinygan.training.presets import options_of_preset

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


def results_section(record: Record) -> str:
    """Return what the defaults reach on ring, grid and digits, with the seconds that a run took where all were timed."""
    rows = [row for row in record["tables"]["results"] if row["runs"]]
    timed = all("seconds" in summary(row["runs"]) for row in rows)
    lines = [[row["data"], _reached(row), *([value(*summary(row["runs"])["seconds"], 0)] if timed else []), commits(row)]
             for row in rows]
    head = ["data", "reached", *(["seconds a run"] if timed else []), "commit"]
    told = f"{told_runs(record, 'results')} {_false_alarms(record)}"
    return "\n\n".join([table(head, lines), *_densities(rows), told])


def _densities(rows: list[Record]) -> list[str]:
    """Return the table of densities of the rows of mixtures that have them."""
    lines = [[row["data"], row["preset"], *density_cells(row)] for row in rows if has_densities(row)]
    return densities_table(["data", "preset", *DENSITY_HEAD], lines)


def _reached(row: Record) -> str:
    """Return the measures of a row's runs in words: those of a mixture, or those of other samples."""
    found = summary(row["runs"])
    if "modes" in found:
        return f"modes / HQ % / reverse KL: {mixture_cell(row)}; JSD {value(*found['jsd'], 3)}"
    names = ("precision", "recall", "density", "coverage", "frechet_pca32", "frechet")  # _pca32 in records of earlier versions
    return ", ".join(f"{name.replace('_pca32', '')} {value(*found[name], 2)}" for name in names if name in found)


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
        lines += [[row["preset"], what, *(value(*found[prefix + name], 3) for name in names), commits(row)]
                  for prefix, what in BESIDE.items()]
        nearer = value(*found["nearer_training"], 1, 100)
        told.append(f"- {row['preset']}, {row['options']['steps']:,} steps, {_seeds(row)}: {nearer} % of the samples are nearer to "
                    f"a digit that G was trained on than to a held-out one; 50 % without memorisation.{_differing(row, rows[0])}")
    return "\n\n".join([table(["row", "what is compared", *names, "commit"], lines), "\n".join(told), *_wider_noise(rows),
                        f"Each row was measured by itself, on the commit beside it ({measured_where(rows)})."])


def _wider_noise(rows: list[Record]) -> list[str]:
    """Return what the samples of wider noise have against held-out digits, beside those of the noise of training."""
    stds = {"1": "held_out_", **{f"{std:g}": f"z{std:g}_held_out_" for std in WIDER}}
    lines = []
    for row in rows:
        found = summary(row["runs"])
        lines.append([row["preset"], *(" / ".join(value(*found[prefix + name], 3) for name in ("precision", "recall"))
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
    lines = [[data, f"`--preset {preset}{_steps_of_then(rows[data, preset])}`", mixture_cell(rows[data, preset]), published,
              commits(rows[data, preset])]
             for (data, preset), published in PAPER.items() if (data, preset) in rows]
    missing = [f"{preset} on {data} {published}" for (data, preset), published in PAPER.items() if (data, preset) not in rows]
    told = f" Not run here; the paper has for them: {', '.join(missing)}." if missing else ""
    runs = [run for row in rows.values() if row["preset"] == "pacgan-gan" for run in row["runs"]]
    count = sum(run["alarm_collapse"] for run in runs)
    alarms = f"The collapse alarm, as it was on that commit, went off in {count:.0f} of the {len(runs)} vanilla runs."
    head = ["data", "options", "here: modes / HQ % / reverse KL", "Lin et al. 2018 (400,000 steps)", "commit"]
    measured = [rows[place] for place in PAPER if place in rows]
    return "\n\n".join([table(head, lines), *_densities(measured), f"{told_runs(record, 'pacgan')} {alarms}{told}"])


def _steps_of_then(row: Record) -> str:
    """Return the option by which a row is repeated that was trained for other steps than its preset says now."""
    steps = steps_of(row)
    return f" --steps {steps}" if steps != options_of_preset(row["preset"], row["data"])["steps"] else ""


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

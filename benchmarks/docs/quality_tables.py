"""The sections of docs/results.md that benchmarks/quality/ measured: presets and remedies, digits, faces.

Each function takes the record that its script wrote as JSON and returns Markdown. What was not run has no cell in a table: it is
told in a sentence or left out.
"""

from __future__ import annotations

from typing import Any

from benchmarks.docs.markdown import machine, measured_on, table
from benchmarks.quality.presets import summary
from tinygan.data import load

Record = dict[str, Any]

# What a remedy changes in the formula, and when to reach for it; the numbers beside it are measured.
REMEDIES: dict[str, tuple[str, str, str]] = {
    "vanilla": ("none", "nothing: D ascends V, G descends -E log D(G(z))", "to see what goes wrong without"),
    "minimax": ("minimax, `--objective minimax`", "G descends V itself: E log(1 - D(G(z)))",
                "to study the game; it saturates where D rejects"),
    "best": ("R1, `--r1`", "D pays (gamma/2) E_data |grad_x s|^2", "always, first: without it the game need not converge"),
    "r2": ("R2, `--r2`", "the same penalty at generated samples", "beside R1, where D is sure of G's samples"),
    "wgan-gp": ("wasserstein with gradient penalty, `--objective wasserstein --gp 10 --k 5`",
                "D ascends E s(x) - E s(G(z)) - lambda E (|grad s| - 1)^2, G descends -E s(G(z))",
                "where D wins early; costs k steps of D"),
    "wgan-gp, its paper's Adam": ("the same, by its paper's Adam", "rates of 1e-4, betas of 0 and 0.9", "as its paper ran it"),
    "sngan": ("hinge and spectral normalisation, `--objective hinge --spectral`",
              "D ascends -E max(0, 1 - s(x)) - E max(0, 1 + s(G(z))), each w / sigma(w)",
              "deep convolutional D; no second derivative"),
    "lsgan": ("least-squares, `--objective least-squares`", "D fits s to 1 and 0 by squares, G to 1",
              "a cheap change where D saturates"),
    "noise": ("instance noise, `--noise`", "D sees x + n, n ~ N(0, sigma^2) falling to 0",
              "data on a thin set, D perfect from the start"),
    "smooth": ("one-sided label smoothing, `--smooth`", "E (1 - a) log D(x) + a log(1 - D(x)): D* = (1 - a) p/(p + q)",
               "an overconfident D"),
    "pack": ("packing (PacGAN), `--pack`", "D judges n samples at once", "modes are missing"),
    "unroll": ("unrolled steps of D, `--unroll`", "G descends its loss at D's parameters after n more ascents",
               "modes are missing, G hops between them"),
    "ttur": ("two rates (TTUR), `--lr-d`, `--lr-g`", "D moves faster than G", "D lags behind; cheaper than k > 1"),
}
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


def _rows(record: Record, name: str) -> dict[tuple[str, str], Record]:
    """Return the rows of a table by (data, preset)."""
    return {(row["data"], row["preset"]): row for row in record["tables"].get(name, [])}


def _runs(record: Record, name: str) -> str:
    """Return how many seeds and steps the rows of a table had, and on which machine."""
    counts = sorted({len(row["runs"]) for row in record["tables"][name] if row["runs"]})
    steps = {row["data"]: f"{int(row['runs'][0]['steps']):,}" for row in record["tables"][name] if row["runs"]}
    shown = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    stamp = record["stamp"]
    return (f"Mean and standard error over {shown} seeds; steps: {', '.join(f'{n} ({data})' for data, n in steps.items())}. "
            f"Rows are measured one at a time on {machine(stamp)}, the latest on commit {stamp['commit']}, {stamp['date']}.")


def results_section(record: Record) -> str:
    """Return what the defaults reach on ring, grid and digits, with the seconds that a run took where all were timed."""
    rows = [row for row in record["tables"]["results"] if row["runs"]]
    timed = all("seconds" in summary(row["runs"]) for row in rows)
    lines = [[row["data"], _reached(row), *([_value(*summary(row["runs"])["seconds"], 0)] if timed else [])] for row in rows]
    head = ["data", "reached", *(["seconds a run"] if timed else [])]
    return f"{table(head, lines)}\n\n{_runs(record, 'results')} {_false_alarms(record)}"


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


def pacgan_section(record: Record) -> str:
    """Return a vanilla GAN and packs in PacGAN's set-up, as far as they were run here, beside the paper's numbers."""
    rows = _rows(record, "pacgan")
    lines = [[data, f"`--preset {preset}`", mixture_cell(rows[data, preset]), published]
             for (data, preset), published in PAPER.items() if (data, preset) in rows]
    missing = [f"{preset} on {data} {published}" for (data, preset), published in PAPER.items() if (data, preset) not in rows]
    told = f" Not run here; the paper has for them: {', '.join(missing)}." if missing else ""
    runs = [run for row in rows.values() if row["preset"] == "pacgan-gan" for run in row["runs"]]
    count = sum(run["alarm_collapse"] for run in runs)
    alarms = f"The collapse alarm, as it was on that commit, went off in {count:.0f} of the {len(runs)} vanilla runs."
    head = ["data", "options", "here: modes / HQ % / reverse KL", "Lin et al. 2018 (400,000 steps)"]
    return f"{table(head, lines)}\n\n{_runs(record, 'pacgan')} {alarms}{told}"


# What each row of the ablation leaves out of the preset "density".
ABLATION = {
    "all of it": "nothing: the preset `density`, in fewer steps", "no Fourier features": "`--fourier 0`: D sees x alone",
    "no signs in z": "`--signs 0`: the noise is normal, and connected",
    "gamma is small at once": "`--r1 0.0025 --r2 0.0025 --penalty-fall 1`: from the first step on as they would end",
    "gamma stays large": "`--penalty-fall 1`: R1 and R2 stay at 0.02", "beta2 of the defaults": "`--beta2 0.99`",
    "rates fall in a straight line": "`--decay-power 1`", "no R2": "`--r2 0`: D's slope is free at the fakes",
}


def density_section(record: Record) -> str:
    """Return what the preset `density` reaches, seed by seed, and what it reaches without each of its ingredients."""
    names = ("modes", "HQ %", "reverse KL (exact)", "JSD (exact)", "std ratio of the modes", "largest shift, std", "p")
    lines = [[row["data"], str(seed), *_density_cells(run)]
             for row in record["tables"]["density"] for seed, run in enumerate(row["runs"])]
    parts = [table(["data", "seed", *names], lines), _within_goal(record["tables"]["density"])]
    rows = {row["preset"]: row for row in record["tables"].get("ablation", []) if row["runs"]}
    if rows:
        without = [[name, what, *_ablation_cells(rows[name]["runs"])] for name, what in ABLATION.items() if name in rows]
        head = ["row", "what it leaves out", "modes / HQ % / reverse KL", "JSD", "std ratio of the modes"]
        told = ", ".join(f"{name} {len(row['runs'])}" for name, row in rows.items())
        some = next(iter(rows.values()))
        caption = (f"On {some['data']}, {_steps(some)} steps, means and standard errors; ratios are the least and the largest of "
                   f"any mode and seed. Seeds: {told}.")
        if missing := [f'"{name}"' for name in ABLATION if name not in rows]:
            caption += f" Not measured yet: the rows {', '.join(missing)} (`--only` takes the name of one)."
        parts += [table(head, without), caption]
    stamp = record["stamp"]
    return "\n\n".join([*parts, f"Measured on {machine(stamp)}; the latest row on commit {stamp['commit']}, {stamp['date']}."])


def _within_goal(rows: list[Record]) -> str:
    """Return how many runs of each data set have right densities by all measures at once, and their steps."""
    found = []
    for row in rows:
        good = sum(run["modes"] == len(load(row["data"]).centres) and 0.975 <= run["hq"] <= 0.995 and run["reverse_kl"] <= 0.005
                   and run["jsd"] <= 0.02 and run["std_ratio_min"] >= 0.9 and run["std_ratio_max"] <= 1.1 for run in row["runs"])
        found.append(f"{good} of {len(row['runs'])} runs on {row['data']} ({_steps(row)} steps)")
    return (f"All modes, HQ from 97.5 to 99.5 %, reverse KL up to 0.005, JSD up to 0.02 and every std ratio from 0.9 to 1.1: "
            f"{' and '.join(found)} have all of it.")


def _steps(row: Record) -> str:
    return f"{row['runs'][0]['steps']:,.0f}"


def _density_cells(run: dict[str, float]) -> list[str]:
    """Return the measures of one run against a mixture, an exact sampler's in brackets."""
    return [f"{run['modes']:.0f}", f"{run['hq']:.2%}".rstrip("%"), f"{run['reverse_kl']:.4f} ({run['exact_reverse_kl']:.4f})",
            f"{run['jsd']:.4f} ({run['exact_jsd']:.4f})", f"{run['std_ratio_min']:.2f} to {run['std_ratio_max']:.2f}",
            f"{run['shift_max']:.2f}", f"{run['mmd_p']:.3f}"]


def _ablation_cells(runs: list[dict[str, float]]) -> list[str]:
    """Return the measures of a row's runs as means, and the smallest and the largest std ratio of a mode in any of them."""
    found = summary(runs)
    ratios = f"{min(run['std_ratio_min'] for run in runs):.2f} to {max(run['std_ratio_max'] for run in runs):.2f}"
    return [mixture_cell({"runs": runs, "diverged": 0}), _value(*found["jsd"], 3), ratios]


def remedies_section(record: Record) -> str:
    """Return each remedy that was run on both mixtures: what it changes, when to use it, and what it reaches."""
    rows = _rows(record, "remedies")
    lines = [[name, changes, _shown_options(rows, preset), when, *(mixture_cell(rows[data, preset]) for data in ("ring", "grid"))]
             for preset, (name, changes, when) in REMEDIES.items() if {("ring", preset), ("grid", preset)} <= set(rows)]
    head = ["remedy", "what it changes", "options", "when", "ring: modes / HQ % / reverse KL", "grid: the same"]
    return f"{table(head, lines)}\n\n{_common(rows)}{_runs(record, 'remedies')}"


# Options that a row of the remedies may differ in; all others are the same in every row of a data set.
VARIED = ("objective", "r1", "r2", "gp", "k", "spectral", "noise", "smooth", "pack", "unroll", "unroll_rate", "lr_d", "lr_g",
          "beta1", "beta2")


def _shown_options(rows: dict[tuple[str, str], Record], preset: str) -> str:
    """Return the flags of a row that differ from the plain game's, R1's weight always, and both data sets' where they differ."""
    shown = {}
    for name in VARIED:
        both = [rows[data, preset].get("options", {}).get(name) for data in ("ring", "grid")]
        plain = [rows.get((data, "vanilla"), {}).get("options", {}).get(name) for data in ("ring", "grid")]
        if any(value is not None for value in both) and (both != plain or name == "r1"):
            shown[name] = both
    flags = [_flag(name, values) for name, values in shown.items()]
    return f"`{' '.join(flags)}`" if flags else "not recorded"


def _flag(name: str, values: list[Any]) -> str:
    """Return an option as on the command line, with the values of ring and grid where they differ."""
    texts = list(dict.fromkeys(f"{value:g}" if isinstance(value, float) else str(value) for value in values))
    return f"--{name.replace('_', '-')}" + ("" if texts == ["True"] else f" {' / '.join(texts)}")


def _common(rows: dict[tuple[str, str], Record]) -> str:
    """Return a sentence with what all rows share, from the plain game's options."""
    told = []
    for data in ("ring", "grid"):
        options = rows.get((data, "vanilla"), {}).get("options")
        if options:
            names = ("batch", "lr_d", "lr_g", "ema", "decay", "hidden", "hidden_d")
            told.append(f"{data} " + ", ".join(f"{name} {_text(options[name])}" for name in names if name in options))
    return f"In all rows, unless they say otherwise: {'; '.join(told)}. Samples come from the average of G. " if told else ""


def _text(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, (list, tuple)) else f"{value:g}"


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

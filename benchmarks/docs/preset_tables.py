"""The README's tables of what the presets reach, from the JSON that benchmarks/quality/presets.py wrote.

results_section, pacgan_section and remedies_section each take that record, which has to hold their table, and return Markdown.
"""

from __future__ import annotations

from typing import Any

from benchmarks.quality.presets import summary

Record = dict[str, Any]

# What a remedy changes in the formula, and when to reach for it; the numbers beside it are measured.
REMEDIES: dict[str, tuple[str, str, str]] = {
    "vanilla": ("none, no average of G", "nothing: D ascends V, G descends -E log D(G(z))", "to see what goes wrong without"),
    "minimax": ("minimax, `--objective minimax`", "G descends V itself: E log(1 - D(G(z)))",
                "to study the game; it saturates where D rejects"),
    "best": ("R1, `--r1`", "D pays (gamma/2) E_data \\|grad_x s\\|^2", "always, first: without it the game need not converge"),
    "r2": ("R2, `--r2`", "the same penalty at generated samples", "beside R1, where D is sure of G's samples"),
    "wgan-gp": ("wasserstein with gradient penalty, `--objective wasserstein --gp 10 --k 5`",
                "D ascends E s(x) - E s(G(z)) - lambda E (\\|grad s\\| - 1)^2, G descends -E s(G(z))",
                "where D wins early; costs k steps of D"),
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


def _value(mean: float, error: float, digits: int, scale: float = 1) -> str:
    shown = f"{mean * scale:.{digits}f}"
    return shown if error != error else f"{shown}±{error * scale:.{digits}f}"


def mixture_cell(row: Record | None) -> str:
    """modes / HQ % / reverse KL of a row of runs, each with its standard error; what is said of runs that diverged."""
    if row is None:
        return "-"
    if not row["runs"]:
        return f"diverged, {row['diverged']} of {row['diverged']}"
    found = summary(row["runs"])
    cell = " / ".join((_value(*found["modes"], 1), _value(*found["hq"], 1, 100), _value(*found["reverse_kl"], 3)))
    return f"{cell}; {row['diverged']} diverged" if row["diverged"] else cell


def _rows(record: Record, table: str) -> dict[tuple[str, str], Record]:
    return {(row["data"], row["preset"]): row for row in record["tables"].get(table, [])}


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def _runs(record: Record, table: str) -> str:
    counts = sorted({len(row["runs"]) for row in record["tables"][table]})
    steps = {row["data"]: f"{int(row['runs'][0]['steps']):,}" for row in record["tables"][table] if row["runs"]}
    shown = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    return f"Mean and standard error over {shown} seeds; steps: {', '.join(f'{n} ({data})' for data, n in steps.items())}."


def results_section(record: Record) -> str:
    """What the defaults reach on ring, grid and digits, with the seconds that a run took where they were measured."""
    rows = [row for row in record["tables"]["results"] if row["runs"]]
    lines = [[row["data"], _reached(row), _seconds(row)] for row in rows]
    intro = ("What the defaults reach, `python -m benchmarks.quality.presets results`. Mixtures: 2,500 samples, HQ within 3 std "
             "of a mode (an exact sampler has 98.9 %), reverse KL and JSD in nats; digits: k = 5 nearest neighbours, 1,797 "
             "samples, Frechet distance along 32 principal axes.")
    table = _markdown(["data", "reached", "seconds a run"], lines)
    return f"{intro}\n\n{table}\n\n{_runs(record, 'results')} {_false_alarms(record)}"


def _reached(row: Record) -> str:
    found = summary(row["runs"])
    if "modes" in found:
        return f"modes / HQ % / reverse KL: {mixture_cell(row)}; JSD {_value(*found['jsd'], 3)}"
    names = ("precision", "recall", "density", "coverage", "frechet_pca32")
    return ", ".join(f"{name.replace('_pca32', '')} {_value(*found[name], 2)}" for name in names)


def _seconds(row: Record) -> str:
    found = summary(row["runs"])
    return _value(*found["seconds"], 0) if "seconds" in found else "-"


def _false_alarms(record: Record) -> str:
    """Of the collapse alarm, on the healthy runs of this table."""
    runs = [run for row in record["tables"]["results"] for run in row["runs"]]
    alarms, looks = sum(run["alarm_collapse"] for run in runs), sum(run["looks"] for run in runs)
    return (f"The collapse alarm went off in {alarms:.0f} of these {len(runs)} healthy runs "
            f"({sum(run['looks_collapsed'] for run in runs):.0f} of {looks:.0f} looks).")


def pacgan_section(record: Record) -> str:
    """A vanilla GAN and packs in PacGAN's set-up, beside the paper's own numbers."""
    rows = _rows(record, "pacgan")
    lines = [[data, f"`--preset {preset}`", mixture_cell(rows.get((data, preset))), published]
             for (data, preset), published in PAPER.items()]
    head = ["data", "", "here: modes / HQ % / reverse KL", "Lin et al. 2018 (400,000 steps)"]
    intro = ("A vanilla GAN in PacGAN's set-up, then D judging packs of 2 and of 4, `python -m benchmarks.quality.presets pacgan`; "
             "the paper trains twenty times as long:")
    missing = " A dash: not run." if len(rows) < len(PAPER) else ""
    runs = [run for row in rows.values() if row["preset"] == "pacgan-gan" for run in row["runs"]]
    alarms = f" The collapse alarm went off in {sum(run['alarm_collapse'] for run in runs):.0f} of the {len(runs)} vanilla runs."
    return f"{intro}\n\n{_markdown(head, lines)}\n\n{_runs(record, 'pacgan')}{alarms}{missing}"


def remedies_section(record: Record) -> str:
    """Each remedy: what it changes, when to use it, and what it does on both mixtures."""
    rows = _rows(record, "remedies")
    lines = [[name, changes, when, mixture_cell(rows.get(("ring", preset))), mixture_cell(rows.get(("grid", preset)))]
             for preset, (name, changes, when) in REMEDIES.items()]
    head = ["remedy", "what it changes", "when", "ring: modes / HQ % / reverse KL", "grid"]
    intro = ("Each remedy alone, added to the same plain game, `python -m benchmarks.quality.presets remedies` (on ring with a D "
             "of three hidden layers, which the defaults there no longer have):")
    return f"{intro}\n\n{_markdown(head, lines)}\n\n{_runs(record, 'remedies')}"

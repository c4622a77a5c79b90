"""The section of docs/results.md on the remedies: each alone in one plain game, then as its paper sets it.

The record is that of benchmarks/quality/presets.py. Options are those that a row recorded, not what its name says.
"""

from __future__ import annotations

from typing import Any

from benchmarks.docs.markdown import table
from benchmarks.docs.measured_rows import (
    DENSITY_HEAD,
    Record,
    commits,
    densities_table,
    density_cells,
    has_densities,
    mixture_cell,
    rows_by_place,
    told_runs,
)
from benchmarks.quality.papers import PAPERS

DATA = ("ring", "grid")
Rows = dict[tuple[str, str], Record]

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


def remedies_section(record: Record) -> str:
    """Return each remedy that was run on both mixtures: what it changes, when to use it, and what it reaches."""
    rows = rows_by_place(record, "remedies")
    lines = [[name, changes, _shown_options(rows, preset), when, *_cells(rows, preset)]
             for preset, (name, changes, when) in REMEDIES.items() if _on_both(rows, preset)]
    head = ["remedy", "what it changes", "options", "when", *HEAD]
    return "\n\n".join([table(head, lines), *_papers(rows), *_densities(rows), f"{_common(rows)}{told_runs(record, 'remedies')}"])


HEAD = ["ring: modes / HQ % / reverse KL", "grid: the same", "commit"]  # of the cells that `_cells` fills


def _on_both(rows: Rows, preset: str) -> bool:
    return all((data, preset) in rows for data in DATA)


def _cells(rows: Rows, preset: str) -> list[str]:
    """Return what a row reaches on ring and on grid, and the commit or commits of both."""
    both = [rows[data, preset] for data in DATA]
    of = dict(zip(DATA, map(commits, both), strict=True))
    one = of["ring"] if of["ring"] == of["grid"] else "; ".join(f"{data} {commit}" for data, commit in of.items())
    return [*map(mixture_cell, both), one]


def _papers(rows: Rows) -> list[str]:
    """Return the table of remedies as their papers set them, and a sentence on those that were not run on both mixtures yet."""
    lines = [[paper.label, paper.source, _shown_options(rows, paper.label), *_cells(rows, paper.label)]
             for paper in PAPERS.values() if _on_both(rows, paper.label)]
    missing = [f'"{paper.label}"' for paper in PAPERS.values() if not _on_both(rows, paper.label)]
    told = [f"Not measured on both yet, of the settings of papers: the rows {', '.join(missing)}."] if missing else []
    intro = "With the weights, Adam and steps of D that papers give, in the same networks and as many steps:"
    return [intro, table(["row", "settings of", "options", *HEAD], lines), *told] if lines else told


def _densities(rows: Rows) -> list[str]:
    """Return the table of what the remedies' modes are like, of rows that have it on both mixtures."""
    names = {**{preset: name for preset, (name, *_) in REMEDIES.items()}, **{paper.label: paper.label for paper in PAPERS.values()}}
    lines = [[name, *(" / ".join(density_cells(rows[data, preset])) for data in DATA)] for preset, name in names.items()
             if all((data, preset) in rows and has_densities(rows[data, preset]) for data in DATA)]
    return densities_table(["row", f"ring: {' / '.join(DENSITY_HEAD)}", "grid: the same"], lines)


# Options that a row of the remedies may differ in; all others are the same in every row of a data set.
VARIED = ("objective", "r1", "r2", "gp", "k", "spectral", "noise", "smooth", "pack", "unroll", "unroll_rate", "lr_d", "lr_g",
          "beta1", "beta2")


def _shown_options(rows: Rows, preset: str) -> str:
    """Return the flags of a row that differ from the plain game's, R1's weight always, and both data sets' where they differ."""
    shown = {}
    for name in VARIED:
        both = [rows[data, preset].get("options", {}).get(name) for data in DATA]
        plain = [rows.get((data, "vanilla"), {}).get("options", {}).get(name) for data in DATA]
        if any(value is not None for value in both) and (both != plain or name == "r1"):
            shown[name] = both
    flags = [_flag(name, values) for name, values in shown.items()]
    return f"`{' '.join(flags)}`" if flags else "not recorded"


def _flag(name: str, values: list[Any]) -> str:
    """Return an option as on the command line, with the values of ring and grid where they differ."""
    texts = list(dict.fromkeys(f"{value:g}" if isinstance(value, float) else str(value) for value in values))
    return f"--{name.replace('_', '-')}" + ("" if texts == ["True"] else f" {' / '.join(texts)}")


def _common(rows: Rows) -> str:
    """Return a sentence with what all rows share, from the plain game's options."""
    told = []
    for data in DATA:
        options = rows.get((data, "vanilla"), {}).get("options")
        if options:
            names = ("batch", "lr_d", "lr_g", "ema", "decay", "hidden", "hidden_d")
            told.append(f"{data} " + ", ".join(f"{name} {_text(options[name])}" for name in names if name in options))
    return f"In all rows, unless they say otherwise: {'; '.join(told)}. Samples come from the average of G. " if told else ""


def _text(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, (list, tuple)) else f"{value:g}"

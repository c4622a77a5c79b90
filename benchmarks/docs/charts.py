"""The charts of docs/results.md, docs/ratios.png and docs/scaling.png, drawn from what benchmarks/speed/gan_step.py measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.docs.markdown import three_digits

MINE, PEER, LINE = "#1f6f8b", "#b9b9b9", "#d1495b"


def draw(report: dict[str, Any], folder: Path) -> None:
    """Draw both charts into `folder`; the second only where steps were timed over batch sizes."""
    _ratios(report).savefig(folder / "ratios.png")
    if "scaling" in report:
        _scaling(report).savefig(folder / "scaling.png")


def _ratios(report: dict[str, Any]) -> Figure:
    """Draw two bars for each workload: the best peer's time of a step as 1, and tinygan's beside it."""
    figure = Figure(figsize=(7, 2.6), layout="constrained", dpi=110)
    axes = figure.subplots()
    for row, (_name, w) in enumerate(reversed(report["workloads"].items())):
        mine = w["sides"]["tinygan"]["median"]
        best = w["sides"][w["best_peer"]]["median"] if w["best_peer"] else mine
        axes.barh(row + 0.19, 1, 0.36, color=PEER)
        axes.barh(row - 0.19, mine / best, 0.36, color=MINE)
        axes.annotate(f"best peer: {w['best_peer']}, {three_digits(best)} ms", (0.01, row + 0.19), va="center", fontsize=8)
        axes.annotate(f"tinygan, {three_digits(mine)} ms", (0.01, row - 0.19), va="center", fontsize=8, color="white")
    axes.set_yticks(range(len(report["workloads"])), list(reversed(report["workloads"])))
    axes.set_xlabel("time of a training step, best peer = 1")
    return figure


def _scaling(report: dict[str, Any]) -> Figure:
    """Draw the time of a step over the batch size, with linear growth dashed beside it."""
    figure = Figure(figsize=(7, 3), layout="constrained", dpi=110)
    axes = figure.subplots()
    for (name, rows), colour in zip(report["scaling"].items(), (MINE, LINE, "#5b8c5a", "#8c6d1f"), strict=False):
        m, ms = [r["m"] for r in rows], [r["ms"] for r in rows]
        axes.loglog(m, ms, "o-", color=colour, label=name, markersize=4)
        axes.loglog(m, [ms[0] * x / m[0] for x in m], "--", color=colour, linewidth=0.8)
    axes.set(xlabel="batch size m (dashed: linear growth)", ylabel="ms a step", xticks=m)
    axes.set_xticks(m, [str(x) for x in m])
    axes.minorticks_off()
    axes.legend(frameon=False)
    return figure

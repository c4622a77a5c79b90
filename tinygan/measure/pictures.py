"""The pictures of a run: samples beside real data, the curves of the game with its equilibrium drawn in, and D beside D*."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinygan.atomic_files import write_atomically
from tinygan.data import Dataset
from tinygan.data.comparison import FAKE, REAL, Comparison, new_figure
from tinygan.data.readers import MADE_HERE
from tinygan.game.objectives import LOG4
from tinygan.training.checkpoint import CheckpointError

from .metrics import AgainstOptimum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

THEORY = "#6b6b6b"  # what theory says, beside REAL and FAKE


def draw_samples(dataset: Dataset, fake: np.ndarray, title: str, path: Path, rng: np.random.Generator) -> None:
    """Write a PNG of real samples beside `fake` (n, *shape), as G gives them. Raises CheckpointError if `path` is unwritable."""
    codec, real = dataset.codec, dataset.some(len(fake), rng)
    _write(codec.draw(Comparison(dataset.name, codec.decode(real), codec.decode(fake), title)), path)


def draw_curves(metrics: Path, path: Path, smooth: int = 25) -> None:
    """Write a PNG of V, of D(x) and D(G(z)), and of both losses over the steps, from metrics.jsonl.

    A faint line shows each curve as read, a bold one its moving average over `smooth` readings.
    """
    readings = [json.loads(line) for line in metrics.read_text().splitlines()]
    step = np.array([r["step"] for r in readings])
    figure = new_figure(11, 3.4, gap=0.1)
    panels = [
        ("the value of the game, nats", [("v", "V(D, G)", REAL)], [(-LOG4, "-log 4")]),
        ("what D believes, batch means", [("d_real", "D(x)", REAL), ("d_fake", "D(G(z))", FAKE)], [(0.5, "1/2")]),
        ("losses, nats", [("d_loss", "D: -V", REAL), ("g_loss", "G", FAKE)], [(LOG4, "log 4"), (LOG4 / 2, "log 2")]),
    ]
    for axes, (title, lines, levels) in zip(figure.subplots(1, 3), panels, strict=True):
        for key, label, colour in lines:
            _curve(axes, step, np.array([r[key] for r in readings]), label, colour, smooth)
        for level, label in levels:
            axes.axhline(level, color=THEORY, linewidth=1, linestyle="--")
            axes.annotate(label, (1, level), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
                          va="center", color=THEORY, fontsize=8)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        axes.legend(frameon=False, fontsize=8)
    _write(figure, path)


def _curve(axes: Axes, step: np.ndarray, values: np.ndarray, label: str, colour: str, smooth: int) -> None:
    """Draw a curve and its average over a window around each step, a tenth of the run at most; a single reading is a dot."""
    axes.plot(step, values, color=colour, alpha=0.2, linewidth=0.8)
    half = min(smooth, len(values) // 10) // 2
    window = 2 * half + 1
    mean = np.convolve(values, np.ones(window) / window, mode="valid") if len(values) else values
    axes.plot(step[half : len(step) - half], mean, color=colour, linewidth=1.6, label=label, marker="o" if len(mean) == 1 else "")


def _write(figure: Figure, path: Path) -> None:
    """Write a figure to `path` as a PNG, as a whole or not at all. Raises CheckpointError."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a column's name in a script that the font lacks
        figure.savefig(content, format="png", metadata={"Software": MADE_HERE})  # so that no run takes it for data
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}") from error


def draw_against_optimum(found: AgainstOptimum, centre: np.ndarray, std: float, path: Path) -> None:
    """Write a PNG of D, D* and their difference around one mode, titled with their distance over all modes.

    centre (2,): of that mode, in user units, like std. Raises CheckpointError if `path` is unwritable.
    """
    near = np.abs(found.points - centre).max(axis=1) <= 5 * std
    near &= found.weight > 1e-3 * found.weight[near].max()  # elsewhere a single sample decides between 0 and 1
    points = found.points[near]
    figure = new_figure(10.5, 3.4)
    figure.suptitle(f"E |D - D*| = {found.l1:.3f} over all modes; around ({centre[0]:.3g}, {centre[1]:.3g}):", fontsize=10)
    panels = ("D", found.d[near], "viridis", 0, 1), ("D* = p_data / (p_data + p_g)", found.d_star[near], "viridis", 0, 1), (
        "D - D*", (found.d - found.d_star)[near], "RdBu", -1, 1)
    for axes, (title, values, colours, low, high) in zip(figure.subplots(1, 3), panels, strict=True):
        dots = axes.scatter(*points.T, c=values, s=36, marker="s", cmap=colours, vmin=low, vmax=high, linewidths=0)
        axes.set(title=title, aspect="equal")
        axes.title.set_fontsize(9)
        figure.colorbar(dots, ax=axes)
    _write(figure, path)

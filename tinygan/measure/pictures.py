"""The pictures of a run: samples beside real data, and the curves of the game with its equilibrium drawn in."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinygan.data.datasets import Dataset
from tinygan.data.units import contact_sheet
from tinygan.game.objectives import LOG4
from tinygan.training.checkpoint import CheckpointError, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .metrics import AgainstOptimum

REAL, FAKE, THEORY = "#1f6f8b", "#d1495b", "#6b6b6b"


def draw_samples(dataset: Dataset, fake: np.ndarray, title: str, path: Path, rng: np.random.Generator) -> None:
    """Real samples on the left, `fake` (n, *shape), as G gives them, on the right. Raises CheckpointError if unwritable."""
    real = _some_real(dataset, len(fake), rng)
    draw = {"images": _draw_images, "points": _draw_points, "table": _draw_table, "sound": _draw_sound}[dataset.codec.kind]
    _write(draw(dataset, dataset.codec.decode(real), dataset.codec.decode(fake), title), path)


def draw_curves(metrics: Path, path: Path, smooth: int = 25) -> None:
    """V, D(x) and D(G(z)), and both losses over the steps, from metrics.jsonl; faint as read, bold as a moving average."""
    readings = [json.loads(line) for line in metrics.read_text().splitlines()]
    step = np.array([r["step"] for r in readings])
    figure = _figure(11, 3.4, gap=0.1)
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
    """The average is over a window around each step, a tenth of the run at most; a single reading is a dot."""
    axes.plot(step, values, color=colour, alpha=0.2, linewidth=0.8)
    half = min(smooth, len(values) // 10) // 2
    window = 2 * half + 1
    mean = np.convolve(values, np.ones(window) / window, mode="valid") if len(values) else values
    axes.plot(step[half : len(step) - half], mean, color=colour, linewidth=1.6, label=label, marker="o" if len(mean) == 1 else "")


def _figure(width: float, height: float, gap: float = 0.04) -> Figure:
    """width, height and the gap beside each panel in inches."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=gap), dpi=110)


def _write(figure: Figure, path: Path) -> None:
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a column's name in a script that the font lacks
        figure.savefig(content, format="png")
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}") from error


def _some_real(dataset: Dataset, n: int, rng: np.random.Generator) -> np.ndarray:
    if dataset.x is None:
        return dataset.sampler(n, rng).next()
    return dataset.x[rng.choice(len(dataset.x), min(n, len(dataset.x)), replace=False)]


def _two_panels(dataset: Dataset, title: str, width: float = 9, height: float = 4.8) -> tuple[Figure, Axes, Axes]:
    figure = _figure(width, height)
    left, right = figure.subplots(1, 2)
    left.set_title(f"real: {_short(dataset.name)}", color=REAL, parse_math=False)
    right.set_title(title, color=FAKE)
    return figure, left, right


def _short(name: str, most: int = 40) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _draw_images(dataset: Dataset, real: np.ndarray, fake: np.ndarray, title: str) -> Figure:
    figure, left, right = _two_panels(dataset, title)
    for axes, images in ((left, real), (right, fake)):
        sheet = contact_sheet(images)
        axes.imshow(sheet[..., 0] if sheet.shape[2] in (1, 2) else sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_axis_off()
    return figure


def _draw_points(dataset: Dataset, real: np.ndarray, fake: np.ndarray, title: str) -> Figure:
    figure, left, right = _two_panels(dataset, title)
    reach = 1.25 * np.abs(real).max()
    for axes, points, colour in ((left, real, REAL), (right, fake, FAKE)):
        axes.scatter(points[:, 0], points[:, 1], s=3, alpha=0.4, color=colour, linewidths=0)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    return figure


def _draw_table(dataset: Dataset, real: np.ndarray, fake: np.ndarray, title: str, most: int = 12) -> Figure:
    """A histogram a column: real filled, generated as a line, over the range that both span; heights are shares of all."""
    columns = dataset.codec.columns[:most]
    across = min(4, len(columns))
    down = -(-len(columns) // across)
    figure = _figure(max(3 * across, 6), 2.2 * down + 0.6)
    more = f", {most} of {len(dataset.codec.columns)} columns" if len(dataset.codec.columns) > most else ""
    figure.suptitle(f"real (filled): {_short(dataset.name)}{more}\n{title} (line)", fontsize=10, parse_math=False)
    for j, axes in enumerate(np.ravel(figure.subplots(down, across, squeeze=False))):
        if j >= len(columns):
            axes.set_axis_off()
            continue
        edges = _edges(np.concatenate([real[:, j], fake[:, j]]))
        for rows, look in ((real, {"color": REAL, "alpha": 0.5}), (fake, {"color": FAKE, "histtype": "step"})):
            axes.hist(rows[:, j], edges, weights=np.full(len(rows), 1 / len(rows)), **look)
        axes.locator_params(axis="x", nbins=5)
        axes.set_title(_short(columns[j]), fontsize=8, parse_math=False)
    return figure


def _edges(values: np.ndarray, bins: int = 40) -> np.ndarray:
    """Of `bins` bins over the values, or of as many as floats can tell apart there."""
    low, high = values.min(), values.max()
    edges = np.unique(np.linspace(low, high, bins + 1))
    return edges if len(edges) > 1 else low + max(1.0, abs(low)) * np.array([-0.5, 0.5])


def _draw_sound(dataset: Dataset, real: np.ndarray, fake: np.ndarray, title: str, rows: int = 6) -> Figure:
    figure, left, right = _two_panels(dataset, title)
    milliseconds = 1000 * np.arange(dataset.codec.shape[0]) / dataset.codec.rate
    for axes, windows, colour in ((left, real, REAL), (right, fake, FAKE)):
        for row, window in enumerate(windows[:rows]):
            axes.plot(milliseconds, window / 32768 - 2.2 * row, color=colour, linewidth=0.7)
        axes.set(xlabel="ms", yticks=[])
    return figure


def draw_against_optimum(found: AgainstOptimum, centre: np.ndarray, std: float, path: Path) -> None:
    """D, D* and their difference around one mode, and the distance over all of them. Raises CheckpointError if unwritable."""
    near = np.abs(found.points - centre).max(axis=1) <= 5 * std
    near &= found.weight > 1e-3 * found.weight[near].max()  # elsewhere a single sample decides between 0 and 1
    points = found.points[near]
    figure = _figure(10.5, 3.4)
    figure.suptitle(f"E |D - D*| = {found.l1:.3f} over all modes; around ({centre[0]:.3g}, {centre[1]:.3g}):", fontsize=10)
    panels = ("D", found.d[near], "viridis", 0, 1), ("D* = p_data / (p_data + p_g)", found.d_star[near], "viridis", 0, 1), (
        "D - D*", (found.d - found.d_star)[near], "RdBu", -1, 1)
    for axes, (title, values, colours, low, high) in zip(figure.subplots(1, 3), panels, strict=True):
        dots = axes.scatter(*points.T, c=values, s=36, marker="s", cmap=colours, vmin=low, vmax=high, linewidths=0)
        axes.set(title=title, aspect="equal")
        axes.title.set_fontsize(9)
        figure.colorbar(dots, ax=axes)
    _write(figure, path)

"""The pictures of a run: samples beside real data, the curves of the game with its equilibrium drawn in, and D beside D*."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import numpy as np

from tinygan.atomic_files import write_atomically
from tinygan.data import Dataset
from tinygan.data.comparison import FAKE, REAL, Comparison, new_figure
from tinygan.data.readers import MADE_HERE
from tinygan.game.objectives import OBJECTIVES, levels
from tinygan.training.checkpoint import CheckpointError

from .metrics import AgainstOptimum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tinygan.training.config import Config

THEORY = "#6b6b6b"  # what theory says, beside REAL and FAKE
P = ParamSpec("P")


def without_latex(draw: Callable[P, None]) -> Callable[P, None]:
    """Let a function draw with Matplotlib's own texts, whatever a file matplotlibrc says.

    Matplotlib reads one in the working directory, which may have come with somebody's data, and with text.usetex it would run LaTeX
    on commands that stand there.
    """

    @wraps(draw)
    def drawn(*args: P.args, **options: P.kwargs) -> None:
        from matplotlib import rc_context

        with rc_context({"text.usetex": False}):
            draw(*args, **options)

    return drawn


@without_latex
def draw_samples(dataset: Dataset, fake: np.ndarray, title: str, path: Path, rng: np.random.Generator) -> None:
    """Write a PNG of real samples beside `fake` (n, *shape), as G gives them. Raises CheckpointError if `path` is unwritable."""
    codec, real = dataset.codec, dataset.some(len(fake), rng)
    _write(codec.draw(Comparison(dataset.name, codec.decode(real), codec.decode(fake), title)), path)


@without_latex
def draw_curves(metrics: Path, path: Path, config: Config, samples: int | None = None, smooth: int = 25) -> None:
    """Write a PNG of the goal, of D(x) and D(G(z)), and of both losses over the steps, from metrics.jsonl.

    A faint line shows each curve as read, a bold one its moving average over `smooth` readings; a dashed one is the equilibrium of
    the game that `config` plays. Below stands what keeps the curves from it. samples: how many data there are; None where fresh
    ones are drawn from a density. Raises CheckpointError if `path` is unwritable.
    """
    readings = [json.loads(line) for line in metrics.read_text().splitlines()]
    step = np.array([r["step"] for r in readings])
    notes = reading_aids(config, samples)
    figure = new_figure(11, 3.4 + 0.2 * len(notes), gap=0.1)
    at_rest = levels(config.objective, config.smooth)
    for axes, (title, lines) in zip(figure.subplots(1, 3), panels(config), strict=True):
        for key, label, colour in lines:
            _curve(axes, step, np.array([r[key] for r in readings]), label, colour, smooth)
        for value, text in dict.fromkeys(at_rest[LEVEL[key]] for key, *_ in lines if LEVEL[key] in at_rest):
            axes.axhline(value, color=THEORY, linewidth=1, linestyle="--")
            axes.annotate(text, (1, value), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
                          va="center", color=THEORY, fontsize=8)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        axes.legend(frameon=False, fontsize=8)
    if notes:
        figure.supxlabel("\n".join(notes), fontsize=8, color=THEORY)
    _write(figure, path)


LEVEL = {"v": "v", "d_real": "d", "d_fake": "d", "d_loss": "d_loss", "g_loss": "g_loss"}
"""The level of `levels` that belongs to each reading."""


def panels(config: Config) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return the panels of the curves: each with its title and its curves, as (key of the reading, name, colour)."""
    game = OBJECTIVES[config.objective]
    unit = ", nats" if game.ascends_v else ""
    extra = " + penalties" if config.r1 or config.r2 or config.gp else ""
    of_d = f"D: -{'V' if game.ascends_v else f'({game.goal_name})'}{extra}"
    believes = "what D believes, batch means" if game.ascends_v else "D's output, no probability, batch means"
    return [
        ("the value of the game, nats" if game.ascends_v else "what D ascends", [("v", game.goal_name, REAL)]),
        (believes, [("d_real", "D(x)", REAL), ("d_fake", "D(G(z))", FAKE)]),
        (f"what each player descends{unit}", [("d_loss", of_d, REAL), ("g_loss", "G", FAKE)]),
    ]


def reading_aids(config: Config, samples: int | None) -> list[str]:
    """Return sentences, a line each, on why the curves of a healthy run stay away from the equilibrium's dashed lines."""
    found = []
    if samples is not None:
        # `python -m benchmarks.quality.by_heart` measures it on digits
        found.append(f"D sees the same {samples:,} data again and again and learns some by heart: its curves drift away from the "
                     "dashed lines while the samples may still get better.")
    if on := [name for name, weight in (("R1", config.r1), ("R2", config.r2), ("the penalty between", config.gp)) if weight]:
        found.append(f"D is kept flat by {' and '.join(on)}: it tells data from fakes less well than the best D would, so p_g may "
                     "be farther from p_data than the curves say.")
    if config.smooth:
        found.append(f"Labels are smoothed by {config.smooth:g}: the dashed lines are those of the D that is optimal then.")
    return found


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


@without_latex
def draw_against_optimum(found: AgainstOptimum, centre: np.ndarray, std: float, path: Path) -> None:
    """Write a PNG of D, D* and their difference around one mode, titled with their distance over all modes.

    centre (2,): of that mode, in user units, like std. Raises CheckpointError if `path` is unwritable.
    """
    near = np.abs(found.points - centre).max(axis=1) <= 5 * std
    near &= found.weight > 1e-3 * found.weight[near].max()  # elsewhere a single sample decides between 0 and 1
    points = found.points[near]
    figure = new_figure(10.5, 3.4)
    figure.suptitle(f"E |D - D*| = {found.l1:.3f} over all modes; around ({centre[0]:.3g}, {centre[1]:.3g}):", fontsize=10)
    figure.supxlabel("blank: cells that hold so few data and fakes that a single sample would decide between 0 and 1", fontsize=8,
                     color=THEORY)
    panels = ("D", found.d[near], "viridis", 0, 1), ("D* = p_data / (p_data + p_g)", found.d_star[near], "viridis", 0, 1), (
        "D - D*", (found.d - found.d_star)[near], "RdBu", -1, 1)
    for axes, (title, values, colours, low, high) in zip(figure.subplots(1, 3), panels, strict=True):
        dots = axes.scatter(*points.T, c=values, s=36, marker="s", cmap=colours, vmin=low, vmax=high, linewidths=0)
        axes.set(title=title, aspect="equal")
        axes.title.set_fontsize(9)
        figure.colorbar(dots, ax=axes)
    _write(figure, path)

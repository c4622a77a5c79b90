"""The error of every element of a gradient as a heat map, beside the claimed and the numeric one, with the pattern in words."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygan.atomic_files import write_atomically

from .verdict import InputVerdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawn(verdicts: Sequence[InputVerdict], name: str, path: str | Path | None = None) -> Figure:
    """Return a figure with a row for each verdict that has numbers: claimed, numeric, and claimed less numeric."""
    from matplotlib.figure import Figure

    shown = [v for v in verdicts if v.numeric.size and v.error.size]
    figure = Figure(figsize=(10, 0.6 + 2.6 * max(len(shown), 1)), layout="constrained")
    figure.suptitle(name)
    grid = figure.subplots(max(len(shown), 1), 3, squeeze=False)
    for row, v in zip(grid, shown, strict=False):
        _row(figure, row, v)
    if path is not None:
        write_atomically(Path(path), png(figure))
    return figure


def _row(figure: Figure, axes: Any, v: InputVerdict) -> None:
    same = v.claimed.shape == v.numeric.shape
    panels = [("claimed", as_plane(v.claimed)), ("numeric", as_plane(v.numeric))]
    if same:
        panels.append(("claimed - numeric", as_plane(v.claimed - v.numeric)))
    limit = max([float(np.nanmax(np.abs(p), initial=0)) for _, p in panels[:2]] + [1e-300])
    for ax, (title, plane) in zip(axes, panels, strict=False):
        error = title.startswith("claimed -")
        size = max(float(np.nanmax(np.abs(plane), initial=0)), 1e-300) if error else limit
        image = ax.imshow(plane, cmap="coolwarm", vmin=-size, vmax=size, interpolation="nearest", aspect="auto")
        ax.set_title(f"{v.name}: {title}", fontsize=9)
        figure.colorbar(image, ax=ax)
    if not same:
        axes[2].axis("off")
    said = f"{v.verdict}: {v.mistake.kind}, {v.mistake.sentence}" if v.mistake else f"{v.verdict}. {pattern(v)}"
    axes[0].set_xlabel(said[:110], fontsize=8, loc="left")


def as_plane(a: np.ndarray) -> np.ndarray:
    """Return an array of any shape as a picture: its last axis across, all others down."""
    if a.ndim == 2:
        return a
    if a.ndim < 2:
        return a.reshape(1, -1)
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def pattern(v: InputVerdict) -> str:
    """Say where in the input the error is: everywhere, in single elements, in whole rows along an axis."""
    if v.claimed.shape != v.numeric.shape or not v.numeric.size:
        return "The shapes differ."
    with np.errstate(invalid="ignore"):
        off = ~(np.abs(v.claimed - v.numeric) <= 1e-6 * np.nanmax(np.abs(v.numeric), initial=1e-300))
    off &= ~np.isnan(v.numeric)
    if not off.any():
        return "No element is off."
    if off.all():
        return "Every element is off."
    for axis in range(off.ndim):
        rest = tuple(k for k in range(off.ndim) if k != axis)
        whole, some = off.all(rest), off.any(rest)
        if (whole == some).all():
            at = np.flatnonzero(whole)
            return f"Off wherever axis {axis} is at {', '.join(map(str, at[:6]))}{' ...' if len(at) > 6 else ''}."
    return f"{int(off.sum())} of {off.size} elements are off."


def png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def as_png(verdicts: Sequence[InputVerdict], name: str) -> bytes:
    return png(drawn(verdicts, name))

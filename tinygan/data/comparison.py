"""The frame of the picture that ends a run: real samples beside generated ones. Each kind of data fills it in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REAL, FAKE = "#1f6f8b", "#d1495b"  # the colours of real and generated samples, in every picture of this project


def new_figure(width: float, height: float, gap: float = 0.04) -> Figure:
    """Return an empty figure of width x height inches with `gap` inches beside each panel. No window is opened."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=gap), dpi=110)


def shortened(name: str, most: int = 40) -> str:
    """Return `name` as a picture can show it, cut to `most` characters with an ellipsis at its end.

    What is no character, as in the name of a file that is not UTF-8, or no printable one, is shown as an escape such as \\xff.
    """
    name = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return name if len(name) <= most else f"{name[: most - 1]}…"


@dataclass(frozen=True)
class Comparison:
    """Real and generated samples to compare, in user units (n, *shape), the data set's name, and a title for the generated ones."""

    name: str
    real: np.ndarray
    fake: np.ndarray
    title: str

    def two_panels(self, width: float = 9, height: float = 4.8) -> tuple[Figure, Axes, Axes]:
        """Return a figure and its two titled panels: the left one for real samples, the right one for generated ones."""
        figure = new_figure(width, height)
        left, right = figure.subplots(1, 2)
        left.set_title(f"real: {shortened(self.name)}", color=REAL, parse_math=False)
        right.set_title(self.title, color=FAKE)
        return figure, left, right

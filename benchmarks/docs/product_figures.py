"""The pictures of docs/kernels.md: how a matrix product is cut into jobs, panels and tiles, and what a tile keeps in registers."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

A_COLOUR, B_COLOUR, C_COLOUR, EDGE, PALE = "#d1495b", "#1f6f8b", "#e0a030", "#444444", "#f1f1ee"


@dataclass(frozen=True)
class Cut:
    """A product C (m, n) = A (m, k) B (k, n) in float32, and how it is cut where there are 32 registers of 64 bytes."""

    m: int = 96
    k: int = 64
    n: int = 144
    jobs: int = 2
    height: int = 8
    across: int = 3
    lanes: int = 16

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return self.across * self.lanes


CUT = Cut()
GAP = 18  # between two matrices of a picture, in elements


def _matrix(axes: Axes, name: str, left: float, top: float, rows: int, columns: int, side: str) -> None:
    """Draw an empty matrix with its name and shape above or below it."""
    axes.add_patch(Rectangle((left, top), columns, rows, facecolor=PALE, edgecolor=EDGE, linewidth=0.8))
    y, vertical = (top - 5, "bottom") if side == "above" else (top + rows + 5, "top")
    axes.text(left + columns / 2, y, f"{name}  {rows} x {columns}", ha="center", va=vertical, fontsize=9)


def _part(axes: Axes, left: float, top: float, rows: float, columns: float, colour: str) -> None:
    """Draw a part of a matrix that takes part, in colour."""
    axes.add_patch(Rectangle((left, top), columns, rows, facecolor=colour, alpha=0.75, edgecolor=EDGE, linewidth=0.8))


def _operands(axes: Axes, title: str) -> tuple[float, float]:
    """Draw A to the left of C and B above it; return where C's upper left corner is."""
    left, top = CUT.k + GAP, CUT.k + GAP
    _matrix(axes, "A", 0, top, CUT.m, CUT.k, "below")
    _matrix(axes, "B", left, 0, CUT.k, CUT.n, "above")
    _matrix(axes, "C", left, top, CUT.m, CUT.n, "below")
    axes.set(xlim=(-6, left + CUT.n + 6), ylim=(top + CUT.m + 22, -20), aspect="equal")
    axes.set_title(title, fontsize=10, loc="left")
    axes.axis("off")
    return left, top


def product() -> Figure:
    """Draw three pictures of one product: what a job, a panel and a tile read (A red, B blue) and write (C yellow)."""
    figure = Figure(figsize=(11.5, 4.2), layout="constrained", dpi=110, facecolor="white")
    job, panel, tile = figure.subplots(1, 3)
    rows = CUT.m // CUT.jobs

    left, top = _operands(job, f"a job: {rows} rows of C, for one thread")
    _part(job, 0, top, rows, CUT.k, A_COLOUR)
    _part(job, left, 0, CUT.k, CUT.n, B_COLOUR)
    _part(job, left, top, rows, CUT.n, C_COLOUR)
    job.text(left + CUT.n / 2, top + rows / 2, "job 0", ha="center", va="center", fontsize=9)
    job.text(left + CUT.n / 2, top + 1.5 * rows, "job 1", ha="center", va="center", fontsize=9)

    left, top = _operands(panel, f"a panel of B: {CUT.width} columns, in cache")
    _part(panel, 0, top, rows, CUT.k, A_COLOUR)
    _part(panel, left, 0, CUT.k, CUT.width, B_COLOUR)
    _part(panel, left, top, rows, CUT.width, C_COLOUR)
    for edge in range(CUT.width, CUT.n, CUT.width):
        for start, length in ((0, CUT.k), (top, rows)):
            panel.plot([left + edge] * 2, [start, start + length], color=EDGE, linewidth=0.8, linestyle=":")

    left, top = _operands(tile, f"a tile: {CUT.height} x {CUT.width} of C, in registers")
    _part(tile, 0, top, CUT.height, CUT.k, A_COLOUR)
    _part(tile, left, 0, CUT.k, CUT.width, B_COLOUR)
    _part(tile, left, top, CUT.height, CUT.width, C_COLOUR)
    for edge in range(CUT.height, rows + 1, CUT.height):
        tile.plot([left, left + CUT.width], [top + edge] * 2, color=EDGE, linewidth=0.8, linestyle=":")
    return figure


def tile() -> Figure:
    """Draw one term k of a tile: registers of B along the top, numbers of A spread over a register each, and the sums."""
    figure = Figure(figsize=(8.6, 4.4), layout="constrained", dpi=110, facecolor="white")
    axes = figure.subplots()
    wide, high, gap = 10.0, 1.0, 0.25
    for q in range(CUT.across):
        x = q * (wide + 0.5)
        axes.add_patch(Rectangle((x, -2.4), wide, high, facecolor=B_COLOUR, alpha=0.75, edgecolor=EDGE, linewidth=0.8))
        first = f"j + {q * CUT.lanes}" if q else "j"
        label = f"B[k, {first} ... j + {(q + 1) * CUT.lanes - 1}]"
        axes.text(x + wide / 2, -1.9, label, ha="center", va="center", fontsize=8, color="white")
    for r in range(CUT.height):
        y = r * (high + gap)
        row = f"i + {r}" if r else "i"
        axes.add_patch(Rectangle((-7.2, y), 6.2, high, facecolor=A_COLOUR, alpha=0.75, edgecolor=EDGE, linewidth=0.8))
        axes.text(-4.1, y + high / 2, f"A[{row}, k], {CUT.lanes} times", ha="center", va="center", fontsize=8, color="white")
        for q in range(CUT.across):
            x = q * (wide + 0.5)
            axes.add_patch(Rectangle((x, y), wide, high, facecolor=C_COLOUR, alpha=0.75, edgecolor=EDGE, linewidth=0.8))
            axes.text(x + wide / 2, y + high / 2, f"sum {r * CUT.across + q} += A B", ha="center", va="center", fontsize=8)
    right = CUT.across * (wide + 0.5)
    bottom = CUT.height * (high + gap)
    axes.text(-4.1, -1.9, "for each k:", ha="center", va="center", fontsize=9)
    axes.text(right / 2, bottom + 0.35, f"{CUT.height} x {CUT.across} registers of {CUT.lanes} sums stay there until k has run",
              ha="center", va="top", fontsize=9)
    axes.set(xlim=(-7.6, right), ylim=(bottom + 1.4, -2.8))
    axes.axis("off")
    return figure

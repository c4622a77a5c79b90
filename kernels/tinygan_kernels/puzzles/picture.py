"""The picture of a puzzle: grids of cells side by side, as text in a terminal and as SVG in a page.

    print(Picture((Panel("x", ("0123",)), Panel("y", ("0123",))), "Thread i maps element i."))

A character of a row is a cell: `.` an element that the picture does not follow, a blank no cell at all, and any other character an
element, coloured by it. Equal characters in different panels are the same thing: mostly a thread, and what it reads and writes.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape

PALETTE = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#3d8f8a", "#b279a2", "#9d755d", "#a3860f")
CELL, GAP, MARGIN, HEAD, LINE, CHARACTER = 18, 54, 14, 22, 15, 6.4
TEXT_WIDTH, TEXT_GAP = 96, "  ->  "
STYLE = (
    ".p{fill:#fff}text{font:11px system-ui,sans-serif;fill:#1b1f24}"
    ".c{font:10px ui-monospace,monospace;fill:#fff;text-anchor:middle}"
    ".o{fill:#eef1f4;stroke:#c4cad0}.f{stroke:#fff}.a{stroke:#57606a;fill:none;stroke-width:1.5}"
    "@media (prefers-color-scheme:dark){.p{fill:#0d1117}text{fill:#e6edf3}.o{fill:#21262d;stroke:#484f58}.f{stroke:#0d1117}"
    ".a{stroke:#9aa4ae}}"
)


@dataclass(frozen=True)
class Panel:
    """A grid of cells under a title. rows: a character for each cell, all rows of a panel are as long as the longest is."""

    title: str
    rows: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many cells lie side by side."""
        return max(map(len, self.rows))


@dataclass(frozen=True)
class Picture:
    """Panels from left to right, in the order in which data pass them, and a caption of one or two sentences."""

    panels: tuple[Panel, ...]
    caption: str

    def __str__(self) -> str:
        """Return the picture as text: the panels side by side, with arrows between them, and the caption below."""
        height = max(len(panel.rows) for panel in self.panels)
        widths = [max(len(panel.title), panel.width) for panel in self.panels]
        titles = (" " * len(TEXT_GAP)).join(p.title.ljust(w) for p, w in zip(self.panels, widths, strict=True))
        lines = [titles.rstrip()]
        for at in range(height):
            gap = TEXT_GAP if at == (height - 1) // 2 else " " * len(TEXT_GAP)
            rows = (panel.rows[at] if at < len(panel.rows) else "" for panel in self.panels)
            lines.append(gap.join(row.ljust(w) for row, w in zip(rows, widths, strict=True)).rstrip())
        return "\n".join([*lines, "", *textwrap.wrap(self.caption, TEXT_WIDTH)])

    def svg(self) -> str:
        """Return the picture as SVG."""
        known = {c: PALETTE[i % len(PALETTE)] for i, c in enumerate(self._followed())}
        caption = textwrap.wrap(self.caption, TEXT_WIDTH)
        tall = HEAD + CELL * max(len(panel.rows) for panel in self.panels)
        parts: list[str] = []
        left = float(MARGIN)
        for number, panel in enumerate(self.panels):
            if number:
                middle = MARGIN + HEAD + (tall - HEAD) / 2
                parts.append(f'<path class="a" d="M{left - GAP + 12:g} {middle:g}h{GAP - 24}m-6 -4l6 4l-6 4"/>')
            parts.append(f'<text x="{left:g}" y="{MARGIN + 12}">{escape(panel.title)}</text>')
            parts += _cells(panel, left, MARGIN + HEAD, known)
            left += max(panel.width * CELL, len(panel.title) * CHARACTER) + GAP
        for number, line in enumerate(caption):
            parts.append(f'<text x="{MARGIN}" y="{MARGIN + tall + LINE * (number + 1) + 6}">{escape(line)}</text>')
        width = max(left - GAP + MARGIN, 2 * MARGIN + CHARACTER * max(map(len, caption)))
        height = 2 * MARGIN + tall + LINE * len(caption) + 6
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" role="img" '
                f'aria-label="{escape(self.caption)}"><style>{STYLE}</style><rect class="p" width="100%" height="100%"/>'
                f'{"".join(parts)}</svg>\n')  # fmt: skip

    def _followed(self) -> list[str]:
        """Return the characters that stand for something, in the order in which they appear."""
        every = "".join("".join(panel.rows) for panel in self.panels)
        return list(dict.fromkeys(c for c in every if c not in ". "))


def _cells(panel: Panel, left: float, top: float, colours: dict[str, str]) -> list[str]:
    """Return the cells of a panel as SVG."""
    parts = []
    for i, row in enumerate(panel.rows):
        for j, c in enumerate(row):
            x, y = left + CELL * j, top + CELL * i
            box = f'x="{x:g}" y="{y:g}" width="{CELL}" height="{CELL}"'
            if c == ".":
                parts.append(f'<rect class="o" {box}/>')
            elif c != " ":
                parts.append(f'<rect class="f" {box} fill="{colours[c]}"/>')
                parts.append(f'<text class="c" x="{x + CELL / 2:g}" y="{y + 13:g}">{escape(c)}</text>')
    return parts

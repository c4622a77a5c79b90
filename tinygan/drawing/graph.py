"""Graph: what `draw` returns. It is shown as text, SVG or a page, opened and closed, and asked for its nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinygan.engine.conversion import described

from .boxes import Picture, picture_of
from .html import page_of
from .layout import require_layout
from .nodes import Content, Node
from .svg import svg_of
from .text import text_of


@dataclass(frozen=True)
class Graph(Content):
    """The drawing of a graph: `str` for a terminal, `svg` and `html` as text, `save` for files; a notebook shows it by itself.
    """

    def node(self, number: int) -> Node:
        """Return the node of that number, as the drawing and the text show it. Raises LookupError."""
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 1 <= number <= len(self.nodes):
            raise LookupError(f"there is no node {number!r}; the graph has nodes 1 to {len(self.nodes)}")
        return self.nodes[number - 1]

    def named(self, name: str) -> Node:
        """Return the node whose tensor has that name, such as "D.0.w". Raises LookupError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise LookupError(f"no node is called {name!r}; names are {', '.join(n.name for n in self.nodes if n.name) or 'not known'}")

    def opened(self, depth: int | None) -> Graph:
        """Return the drawing with so many levels of layers opened: 0 for none, so that a network is one box; None for all.

        Raises TypeError, ValueError for what is no such number.
        """
        return replace(self, depth=checked_depth(depth))

    def with_constants(self, shown: bool = True) -> Graph:
        """Return the drawing with constants shown, or folded away."""
        return replace(self, constants=shown)

    @property
    def picture(self) -> Picture:
        """The boxes and arrows that are shown at this depth."""
        return picture_of(self)

    def text(self) -> str:
        """Return the graph as lines for a terminal, in the order of computation."""
        return text_of(self)

    def svg(self) -> str:
        """Return the drawing as SVG; where igraph, which lays it out, is missing, one line that says what to install."""
        return svg_of(self)

    def html(self) -> str:
        """Return a page with the drawing at each depth, to open in a browser: one file, without scripts, that needs no network."""
        return page_of(self)

    def save(self, path: str | Path) -> Path:
        """Write the drawing to a file by its suffix: .svg, .html or .txt. Returns the path.

        Raises ValueError for another suffix; ImportError, which says what to install, where there is no layout for a picture.
        """
        path = Path(path)
        makers: dict[str, Callable[[], str]] = {".svg": self.svg, ".html": self.html, ".txt": lambda: self.text() + "\n"}
        if path.suffix not in makers:
            odd = path.suffix or "a file without suffix"
            raise ValueError(f"{path}: a drawing is written as .svg, .html or .txt, not as {odd}")
        if path.suffix != ".txt":
            require_layout()
        path.write_text(makers[path.suffix](), encoding="utf-8")
        return path

    def _repr_svg_(self) -> str:
        return self.svg()

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)


def checked_depth(depth: Any) -> int | None:
    """Return a depth as it is. Raises TypeError, ValueError for what is none."""
    if depth is None:
        return None
    if isinstance(depth, (bool, np.bool_)) or not isinstance(depth, (int, np.integer)):
        raise TypeError(f"depth is {described(depth)}, it has to be a whole number, or None to open all layers")
    if depth < 0:
        raise ValueError(f"depth is {depth}, it has to be at least 0, which shows each network as one box")
    return int(depth)

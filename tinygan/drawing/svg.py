"""A graph as SVG: the forward pass runs down in grey, the cotangents run up in red beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from .boxes import Arrow, Box, Picture, flow_of, picture_of
from .layout import FAR, MISSING, NoLayout, Places, Point, places_of
from .nodes import Content

WIDTH, LINE, GAP_X, GAP_Y, MARGIN = 196, 13, 22, 50, 16
DETAILED = 150  # boxes up to which arrows have numbers, and boxes say on hovering which kernels ran
STYLE = """
.tg text{font:11px system-ui,sans-serif;fill:#1b1f24}.tg .t{font-weight:600;font-size:12px}
.tg .f,.tg .n{fill:#b3261e}.tg .n{font-size:10px;stroke:#fff;stroke-width:3px;paint-order:stroke}
.tg rect{fill:#f6f8fa;stroke:#8c959f}.tg .leaf rect{fill:#e3f1e5;stroke:#2f7d3a}
.tg .output rect{fill:#fff3d6;stroke:#9a6700;stroke-width:2}.tg .module rect{fill:#e4edfb;stroke:#2b62b8;stroke-width:2}
.tg .derivative rect{fill:#fbe9e7;stroke:#b3261e;stroke-dasharray:5 3}.tg .constant rect{fill:#fff;stroke:#c4cad0}
.tg path{fill:none;stroke:#57606a;stroke-width:1.2}.tg .b{stroke:#b3261e;stroke-width:1;stroke-dasharray:4 3}
.tg .h{fill:#57606a;stroke:none}.tg .hb{fill:#b3261e;stroke:none}
@media (prefers-color-scheme:dark){.tg text{fill:#e6edf3}.tg .f,.tg .n{fill:#ff8f85}.tg rect{fill:#21262d;stroke:#6e7681}
.tg .leaf rect{fill:#16301b;stroke:#57ab63}.tg .output rect{fill:#3a2d08;stroke:#d4a72c}
.tg .module rect{fill:#14253f;stroke:#6ea0f0}.tg .derivative rect{fill:#3a1a18;stroke:#ff8f85}
.tg .constant rect{fill:#161b22;stroke:#484f58}.tg path{stroke:#9aa4ae}
.tg .b{stroke:#ff8f85}.tg .n{stroke:#0d1117}.tg .h{fill:#9aa4ae}.tg .hb{fill:#ff8f85}.tg .page{fill:#0d1117}}
.tg .page{fill:#fff;stroke:none}
""".strip().replace("\n", "")


@dataclass(frozen=True)
class Ends:
    """The ends of an arrow in pixels: below its source, above its target; and whether there is room for a number at the latter."""

    start: Point
    end: Point
    roomy: bool


def svg_of(graph: Content, prefix: str = "tg") -> str:
    """Return the drawing as SVG; where the layout is missing, one line that says what to install. prefix: begins the ids in it."""
    picture = picture_of(graph)
    try:
        places = places_of(picture)
    except NoLayout as error:
        return _message(str(error) or MISSING)
    return _drawn(graph, picture, places, prefix)


def _message(text: str) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="tg" width="{7 * len(text) + 20}" height="30" role="img">'
            f'<style>{STYLE}</style><text x="10" y="20">{escape(text)}</text></svg>')


def _drawn(graph: Content, picture: Picture, places: Places, prefix: str) -> str:
    tall = 28 + LINE * max((len(_rows(box)) for box in picture.boxes), default=1)
    left = min((x for x, _ in _every(places)), default=0.0)
    top = min((y for _, y in places.boxes), default=0.0)

    def pixels(point: Point) -> Point:
        return MARGIN + (point[0] - left) * (WIDTH + GAP_X) + WIDTH / 2, MARGIN + (point[1] - top) * (tall + GAP_Y) + tall / 2

    centres = [pixels(point) for point in places.boxes]
    inner = [pixels(point) for point in _every(places)]
    legend = _legend(graph, picture, sum(bends is None for bends in places.bends))
    width = max(max((x for x, _ in inner), default=0) + WIDTH / 2 + MARGIN, 6.2 * max(map(len, legend)) + 2 * MARGIN)
    height = max((y for _, y in inner), default=0) + tall / 2 + MARGIN
    detailed = len(picture.boxes) <= DETAILED
    ends = _ends(picture, centres, tall)
    parts = ['<rect class="page" width="100%" height="100%"/>']
    for arrow, at, bends in zip(picture.arrows, ends, places.bends, strict=True):
        if bends is None:
            parts.append(_stub(picture.boxes[arrow.source], at, prefix))
        else:
            parts.append(_arrow(arrow, at, [pixels(point) for point in bends], detailed, prefix))
    parts += [_box(box, centre, tall, detailed) for box, centre in zip(picture.boxes, centres, strict=True)]
    for i, line in enumerate(legend):
        parts.append(f'<text x="{MARGIN}" y="{height + 14 + 16 * i:.0f}">{escape(line)}</text>')
    height += 16 * len(legend) + 8
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="tg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img"><title>a computation graph of {len(graph.nodes)} nodes</title>'
            f"<style>{STYLE}</style><defs>{_head(prefix, 'h')}{_head(prefix, 'hb')}</defs>{''.join(parts)}</svg>")


def _every(places: Places) -> list[Point]:
    return [*places.boxes, *(point for bends in places.bends for point in bends or ())]


def _head(prefix: str, name: str) -> str:
    """Return the definition of an arrow's head."""
    return (f'<marker id="{prefix}-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path class="{name}" d="M0 0L8 4L0 8z"/></marker>')


def _legend(graph: Content, picture: Picture, stubs: int) -> list[str]:
    """Return the lines below a drawing. stubs: how many arrows are not drawn from end to end."""
    lines = ["grey, down: values; red, up: cotangents dL/d., |.| is a norm"]
    if picture.folded:
        lines.append(f"{picture.folded} constant{'s' * (picture.folded != 1)} folded away")
    if stubs:
        lines.append(f"{stubs:,} arrows from more than {FAR} layers above are short, with the number of the box they come from")
    return [*lines, *([graph.note] if graph.note else [])]


def _ends(picture: Picture, centres: Sequence[Point], tall: float) -> list[Ends]:
    """Return the ends of each arrow: those of one box side by side, in the order of where they lead."""
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for i, arrow in enumerate(picture.arrows):
        above.setdefault(arrow.target, []).append(i)
        below.setdefault(arrow.source, []).append(i)
    starts: dict[int, Point] = {}
    ends: dict[int, tuple[Point, bool]] = {}
    for box, arrows in below.items():
        x, y = centres[box]
        for n, i in enumerate(sorted(arrows, key=lambda i: centres[picture.arrows[i].target][0]), start=1):
            starts[i] = x + WIDTH * (n / (len(arrows) + 1) - 0.5), y + tall / 2
    for box, arrows in above.items():
        x, y = centres[box]
        for n, i in enumerate(sorted(arrows, key=lambda i: centres[picture.arrows[i].source][0]), start=1):
            ends[i] = (x + WIDTH * (n / (len(arrows) + 1) - 0.5), y - tall / 2), len(arrows) <= 3
    return [Ends(starts[i], *ends[i]) for i in range(len(picture.arrows))]


def _arrow(arrow: Arrow, at: Ends, bends: Sequence[Point], detailed: bool, prefix: str) -> str:
    forward = _curve([at.start, *bends, at.end])
    flow = "" if arrow.flows is None else f"{arrow.flows:.3g}"
    title = f"<title>cotangent that flows back: {flow or 'none'}</title>"
    line = f'<path d="{forward}" marker-end="url(#{prefix}-h)">{title}</path>'
    if not flow or not detailed:
        return line
    shift = 6.0
    points = [(x + shift, y) for x, y in reversed([at.start, *bends, at.end])]
    back = f'<path class="b" d="{_curve(points)}" marker-end="url(#{prefix}-hb)">{title}</path>'
    number = f'<text class="n" x="{at.end[0] + shift + 4:.0f}" y="{at.end[1] - 8:.0f}">{flow}</text>' if at.roomy else ""
    return line + back + number


def _stub(source: Box, at: Ends, prefix: str) -> str:
    """Return the end of an arrow that comes from far above, with the number of its source."""
    x, y = at.end
    title = f"<title>from {escape(source.title)}</title>"
    return (f'<path d="M{x:.0f} {y - 16:.0f}V{y:.0f}" marker-end="url(#{prefix}-h)">{title}</path>'
            f'<text x="{x - 6:.0f}" y="{y - 18:.0f}">{source.number}</text>')


def _curve(points: Sequence[Point]) -> str:
    """Return a smooth path through points, which leaves and arrives vertically."""
    path = [f"M{points[0][0]:.0f} {points[0][1]:.0f}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        half = (to_y - y) / 2
        path.append(f"C{x:.0f} {y + half:.0f} {to_x:.0f} {to_y - half:.0f} {to_x:.0f} {to_y:.0f}")
    return "".join(path)


def _rows(box: Box) -> list[tuple[str, str]]:
    """Return the lines below a box's title, each with its class of the style."""
    flow = flow_of(box.nodes[-1]) if len(box.nodes) == 1 else "" if box.flow is None else f"|.| {box.flow:.4g}"
    return [*((line, "") for line in box.lines), *([(f"cotangent {flow}", ' class="f"')] if flow else [])]


def _box(box: Box, centre: Point, tall: float, detailed: bool) -> str:
    x, y = centre[0] - WIDTH / 2, centre[1] - tall / 2
    title = box.nodes[0].describe() if len(box.nodes) == 1 and detailed else _summary(box)
    text = [f'<text class="t" x="{x + 8:.0f}" y="{y + 15:.0f}">{escape(_short(box.title, 28))}</text>']
    for i, (line, css) in enumerate(_rows(box)):
        text.append(f'<text{css} x="{x + 8:.0f}" y="{y + 30 + LINE * i:.0f}">{escape(_short(line, 34))}</text>')
    return (f'<g class="{box.kind}"><title>{escape(title)}</title><rect x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{tall}" '
            f'rx="6"/>{"".join(text)}</g>')


def _summary(box: Box) -> str:
    """Return what a box of several nodes stands for."""
    return "\n".join(f"{node.number} {node.name or node.op} {node.tensor.shape} {node.value}" for node in box.nodes[:40])


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"

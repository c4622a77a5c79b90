"""Where boxes and arrows stand: layers from top to bottom, laid out by igraph after Sugiyama, Tagawa and Toda 1981.

igraph (https://igraph.org) comes with the extra [draw]. It orders each layer so that few arrows cross, and gives the bends of long
arrows; which layer a box is in is decided here, so that a parameter stands right above the op that uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .boxes import Picture

MISSING = 'igraph, which lays drawings out, is not installed: pip install "igraph>=1.0"; the text form works without'
Point = tuple[float, float]
FAR = 20  # layers
MOST_BENDS = 10_000  # of a picture whose long arrows are drawn from end to end


class NoLayout(ImportError):
    """The library that lays drawings out is not installed; the message says what to install."""


@dataclass(frozen=True)
class Places:
    """A layout, in units of boxes: where each box is, and the bends of each arrow between its ends.

    bends: None for an arrow that is not drawn from end to end: in a picture that would be full of long arrows, those over more than
    FAR layers.
    """

    boxes: tuple[Point, ...]
    bends: tuple[tuple[Point, ...] | None, ...]


def require_layout() -> Any:
    """Return the layout library. Raises NoLayout where it is missing, or older than the first version with bends (1.0)."""
    try:
        igraph = import_module("igraph")
    except ImportError as error:
        raise NoLayout(MISSING) from error
    if int(igraph.__version__.split(".")[0]) < 1:
        raise NoLayout(f"igraph {igraph.__version__} is too old for drawings: pip install -U igraph")
    return igraph


def layers_of(picture: Picture) -> list[int]:
    """Return the layer of each box: one below its lowest input; what has no input stands right above the first that takes it."""
    layers = [0] * len(picture.boxes)
    inputs: dict[int, list[int]] = {}
    outputs: dict[int, list[int]] = {}
    for arrow in picture.arrows:
        inputs.setdefault(arrow.target, []).append(arrow.source)
        outputs.setdefault(arrow.source, []).append(arrow.target)
    waiting = {box: len(inputs.get(box, ())) for box in range(len(layers))}
    ready = [box for box, count in waiting.items() if not count]
    while ready:
        box = ready.pop()
        for below in outputs.get(box, ()):
            layers[below] = max(layers[below], layers[box] + 1)
            waiting[below] -= 1
            if not waiting[below]:
                ready.append(below)
    for box in range(len(layers)):
        if box not in inputs and box in outputs:
            layers[box] = min(layers[below] for below in outputs[box]) - 1
    return layers


def places_of(picture: Picture) -> Places:
    """Lay a picture out. Raises NoLayout."""
    igraph = require_layout()
    layers = layers_of(picture)
    spans = [layers[a.target] - layers[a.source] for a in picture.arrows]
    crowded = sum(spans) > MOST_BENDS  # a weight that a thousand steps share would bend a thousand arrows a thousand times
    drawn = [a for a, span in zip(picture.arrows, spans, strict=True) if span <= FAR or not crowded]
    graph = igraph.Graph(len(picture.boxes), [(a.source, a.target) for a in drawn], directed=True)
    found = graph.layout_sugiyama(layers=layers)
    boxes = [(float(x), float(layer)) for (x, _), layer in zip(found.coords, layers, strict=True)]
    bends = [[(float(x), float(y)) for x, y in points] for points in found.edge_routing]
    places, routed = _apart(boxes, bends), iter(range(len(drawn)))
    return Places(places.boxes, tuple(places.bends[next(routed)] if span <= FAR or not crowded else None for span in spans))


ROOM = {(True, True): 1.0, (True, False): 0.62, (False, True): 0.62, (False, False): 0.2}  # between boxes and bends, side by side


def _apart(boxes: list[Point], bends: list[list[Point]]) -> Places:
    """Push apart what stands too close in a layer: igraph aligns boxes with their neighbours above and below, at times too well."""
    rows: dict[float, list[tuple[float, bool, list[Point], int]]] = {}  # by layer: x, whether a box, and the place of the point
    for i, (x, y) in enumerate(boxes):
        rows.setdefault(y, []).append((x, True, boxes, i))
    for points in bends:
        for i, (x, y) in enumerate(points):
            rows.setdefault(y, []).append((x, False, points, i))
    for y, row in rows.items():
        row.sort(key=lambda entry: entry[0])
        xs = [entry[0] for entry in row]
        for i in range(1, len(row)):
            xs[i] = max(xs[i], xs[i - 1] + ROOM[row[i - 1][1], row[i][1]])
        shift = sum(x - entry[0] for x, entry in zip(xs, row, strict=True)) / len(row)
        for x, (_, _, points, i) in zip(xs, row, strict=True):
            points[i] = x - shift, y
    return Places(tuple(boxes), tuple(map(tuple, bends)))

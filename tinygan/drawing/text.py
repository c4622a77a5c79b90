"""A graph as lines for a terminal."""

from __future__ import annotations

from .boxes import Picture, flow_of, picture_of
from .nodes import Content


def text_of(graph: Content) -> str:
    """Return a line for each box in the order of computation: number, what it is, shape and value, its cotangent, its inputs."""
    picture = picture_of(graph)
    rows = [("#", "op", "shape and value", "dL/d.", "from, and the cotangent that flows back")]
    for place, box in enumerate(picture.boxes):
        name = box.title.partition(" ")[2] if box.title.startswith(f"{box.number} ") else box.title
        flow = flow_of(box.nodes[-1]) if len(box.nodes) == 1 else "" if box.flow is None else f"|.| {box.flow:.4g}"
        rows.append((str(box.number), name, "; ".join(box.lines), flow, _inputs(picture, place)))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join([row[0].rjust(widths[0]), *(row[i].ljust(widths[i]) for i in (1, 2, 3)), row[4]]).rstrip() for row in rows]
    return "\n".join([*lines, *_remarks(graph, picture)])


def _inputs(picture: Picture, place: int) -> str:
    arrows = [arrow for arrow in picture.arrows if arrow.target == place]
    return ", ".join(f"{picture.boxes[a.source].number}" + (f" ({a.flows:.4g})" if a.flows is not None else "") for a in arrows)


def _remarks(graph: Content, picture: Picture) -> list[str]:
    """Return what a reader should know besides: what is not shown, and how to see it."""
    ops = sum(bool(node.tensor.parents) for node in graph.nodes)
    remarks = [f"{ops} ops; L is {' + '.join(f'node {n}' for n in graph.outputs)}"]
    if picture.folded:
        remarks.append(f"{picture.folded} constant{'s' * (picture.folded != 1)} folded away")
    if len(picture.boxes) < len(graph.nodes) - picture.folded:
        remarks.append("layers are closed, opened(None) opens them")
    return ["; ".join(remarks), *([graph.note] if graph.note else [])]

"""A page with a graph at each depth, from closed networks to single ops: one file, without scripts, without a network."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from .nodes import Content
from .svg import svg_of
from .text import text_of

STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:1rem;color:#1b1f24;background:#fff}
.level{display:none;overflow:auto;margin-top:.7rem}
label{margin-right:1rem;white-space:nowrap}pre{overflow:auto}#fit:checked~.level svg{max-width:100%;height:auto}
@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}}
"""


def page_of(graph: Content) -> str:
    """Return the page. The depth of `graph` is shown first; the others are chosen above it."""
    depths: list[int | None] = [*range(graph.levels), None]
    first = graph.depth if graph.depth in depths else None
    choice, levels, rules = [], [], []
    for depth in depths:
        name = "all" if depth is None else str(depth)
        label = "every op" if depth is None else "networks closed" if depth == 0 else f"{depth} level{'s' * (depth != 1)} open"
        checked = " checked" if depth == first else ""
        choice.append(f'<input type="radio" name="depth" id="d-{name}"{checked}><label for="d-{name}">{label}</label>')
        levels.append(f'<div class="level level-{name}">{svg_of(replace(graph, depth=depth), f"tg{name}")}</div>')
        rules.append(f"#d-{name}:checked~.level-{name}{{display:block}}")
    nodes = "\n\n".join(node.describe() for node in graph.nodes) if len(graph.nodes) <= 400 else text_of(replace(graph, depth=None))
    return ('<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>A computation graph</title><style>{STYLE}{''.join(rules)}</style><h1>A computation graph</h1>"
            "<p>Values run down in grey, cotangents up in red. Hover over a box for its formula, source lines and kernels.</p>"
            f"{''.join(choice)}<input type=\"checkbox\" id=\"fit\"><label for=\"fit\">fit to the window</label>{''.join(levels)}"
            f"<details><summary>Every node in words</summary><pre>{escape(nodes)}</pre></details></html>\n")

"""The page as one file that needs no server: its style, its modules and a recording, in one HTML file that replays a game."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any

from .messages import as_json

PAGE_FILES = (
    "index.html", "style.css", "main.js", "link.js", "state.js", "controls.js", "plane.js", "contour.js", "pictures.js",
    "charts.js", "theme.js", "motion.js", "scenes.js", "drawing.js", "address.js", "help.js", "past.js",
)
"""All files that the server gives out: nothing else is ever read from the disk for a request."""

IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z]+\.js)";\n', re.MULTILINE)
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


@cache
def page_file(name: str) -> bytes:
    """Return one of the page's files. Raises KeyError for a name that is none of them."""
    if name not in PAGE_FILES:
        raise KeyError(name)
    return (resources.files("tinygan.play") / "page" / name).read_bytes()


def joined_modules(first: str = "main.js") -> str:
    """Return a module of the page and all that it imports as one script, each behind those that it imports.

    The modules are written for this: they import by name, on lines of their own, and no two of them have a name of the top level in
    common.
    """
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in parts:
            return
        text = page_file(name).decode()
        parts[name] = ""  # a circle would come back here, and end
        for other in IMPORT.findall(text):
            add(other)
        parts.pop(name)
        parts[name] = re.sub(r"^export (?=(async )?(function|class|const|let))", "", IMPORT.sub("", text), flags=re.MULTILINE)

    add(first)
    return "\n".join(f"// ---- {name}\n{text}" for name, text in parts.items())


def exported_page(recording: dict[str, Any]) -> str:
    """Return the HTML of a page that replays a recording. It asks the network for nothing, and its policy forbids that too."""
    html = page_file("index.html").decode()
    for old, new in (
        ("<meta charset=\"utf-8\">", f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        ('<link rel="stylesheet" href="style.css">', f"<style>\n{page_file('style.css').decode()}</style>"),
        ('<script type="module" src="main.js"></script>',
         f'<script type="application/json" id="recording">{_for_html(as_json(recording))}</script>\n'
         f'<script type="module">\n{_script(joined_modules())}</script>'),
    ):
        if html.count(old) != 1:
            raise ValueError(f"index.html has to have {old} once")
        html = html.replace(old, new)
    return html


def _for_html(text: str) -> str:
    """Return JSON that an HTML parser does not take for the end of its script, or for a comment."""
    return text.replace("<", "\\u003c")


def _script(text: str) -> str:
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError("a module of the page holds what ends a script in HTML")
    return text

"""Join PTX texts into one, as a linker joins compiled files: functions that one declares and another defines meet.

Each text keeps its lines. Names that a text keeps to itself are told apart, and files of source lines are numbered on.
"""

from __future__ import annotations

import re

_HEAD = re.compile(r"^\s*\.(version|target|address_size)\b[^\n]*", re.MULTILINE)
_OWN = re.compile(r"^\s*\.(?:global|const|shared|func)\b[^;{]*?([A-Za-z_$%][\w$]*)\s*(?:\[|\(|=|;|\n)", re.MULTILINE)
_FILE = re.compile(r"^(\s*\.file\s+)(\d+)", re.MULTILINE)
_LOC = re.compile(r"(\.loc\s+|inlined_at\s+)(\d+)")


def joined(texts: list[str]) -> str:
    """Return the PTX text of all `texts` together. Its target is that of the first, its version the newest."""
    if len(texts) == 1:
        return texts[0]
    first, *others = texts
    newest = max(re.findall(r"^\s*\.version\s+(\d+\.\d+)", "\n".join(texts), re.MULTILINE), key=lambda v: [*map(int, v.split("."))])
    parts = [re.sub(r"(\.version\s+)\d+\.\d+", rf"\g<1>{newest}", first, count=1)]
    files = _last_file(first)
    for number, text in enumerate(others, 1):
        text = _HEAD.sub("", text)
        own = {name for name in _OWN.findall(text) if any(re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", p) for p in parts)}
        for name in own:
            text = re.sub(rf"(?<![\w$]){re.escape(name)}(?![\w$])", f"{name}$part{number}", text)
        parts.append(_renumbered(text, files))
        files = _last_file(parts[-1], files)
    return "\n".join(parts)


def _last_file(text: str, least: int = 0) -> int:
    return max([least, *(int(n) for _, n in _FILE.findall(text))])


def _renumbered(text: str, by: int) -> str:
    """Return a text with the numbers of its source files raised."""
    text = _FILE.sub(lambda m: f"{m[1]}{int(m[2]) + by}", text)
    return _LOC.sub(lambda m: f"{m[1]}{int(m[2]) + by}", text)

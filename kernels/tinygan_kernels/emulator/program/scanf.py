"""scanf's reading of a text: its conversions, and the text that they take pieces of."""

from __future__ import annotations

import re
from collections.abc import Callable

CONVERSION = re.compile(r"%(?P<drop>\*?)(?P<width>\d*)(?P<length>hh|h|ll|l|z|j|t|L)?(?P<kind>\[\^?\]?[^\]]*\]|[diuxXfgeEGscn%])")
_PIECE = {
    "d": r"[-+]?\d+",
    "i": r"[-+]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)",
    "u": r"\d+",
    "x": r"(?:0[xX])?[0-9a-fA-F]+",
    "X": r"(?:0[xX])?[0-9a-fA-F]+",
    "s": r"\S+",
    "f": r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:inf|nan)",
}


class ScannedText:
    """The text that scanf reads, fetched line by line; a character a byte. more: returns the next line, b"" at the end."""

    def __init__(self, more: Callable[[], bytes], text: bytes):
        self.more, self.text, self.position = more, text.decode("latin-1"), 0

    def rest(self) -> str:
        return self.text[self.position :]

    def ended(self) -> bool:
        return not self.rest()

    def fetch(self) -> bool:
        line = self.more().decode("latin-1")
        self.text += line
        return line != ""

    def skip_space(self) -> None:
        while not self.rest().strip() and self.fetch():
            pass
        self.position = len(self.text) - len(self.rest().lstrip())

    def skip(self, character: str) -> bool:
        if self.ended() and not self.fetch():
            return False
        found = self.text[self.position] == character
        self.position += found
        return found

    def piece(self, spec: re.Match) -> str | None:
        """Return what a conversion takes, None where the text has none of it."""
        kind = spec["kind"][0]
        if kind == "n":
            return str(self.position)
        if kind not in "c[":
            self.skip_space()
        most = int(spec["width"] or 0)
        while True:
            part = self.rest()[:most] if most else self.rest()
            found = re.match(_form(spec["kind"], most), part, re.IGNORECASE if kind in "fgeEG" else 0)
            whole = part and kind != "c" if found is None else kind == "c" or found.end() < len(self.rest())
            if whole or (most and len(part) == most) or not self.fetch():
                break
        if found is None:
            return None
        self.position += found.end()
        return found[0]


def _form(kind: str, most: int) -> str:
    """Return the regular expression of a conversion of scanf's."""
    if kind == "c":
        return f"(?s:.{{{most or 1}}})"
    if kind[0] == "[":
        no = "^" if kind[1] == "^" else ""
        members = re.sub(r"([]\[&~|^\\])", r"\\\1", kind[1 + len(no) : -1])
        return f"[{no}{members}]+"
    return _PIECE["f" if kind in "fgeEG" else kind]

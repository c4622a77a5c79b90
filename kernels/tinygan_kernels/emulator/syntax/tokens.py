"""Split PTX text into tokens (numbers, words, strings, marks), each with the line that it stands on."""

from __future__ import annotations

import re
import struct
from bisect import bisect_right

from tinygan_kernels.emulator.errors import EmulatorError

from .ptx import Immediate

_TOKEN = re.compile(
    r"""
    (?P<number>0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}|0[xX][0-9a-fA-F]+U?|0[bB][01]+U?
              |\d+\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+U?)
  | (?P<word>[A-Za-z_$%.][\w$]*(?:(?:\.|::)[\w$]+)*)
  | (?P<string>"[^"]*")
  | (?P<mark>[;,:{}\[\]()+\-!|@<>=&~*])
""",
    re.VERBOSE,
)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_NEWLINE, _OTHERS = re.compile(r"\n"), re.compile(r"[^\n]+")


def _blanks(comment: re.Match[str]) -> str:
    """Return as many blanks as a comment has characters, with its ends of lines."""
    return _OTHERS.sub(lambda m: " " * len(m[0]), comment[0])


def literal(token: str) -> Immediate:
    """Parse a number as PTX writes it: decimal, octal, hex, binary, or the bits of a float (0f) or double (0d)."""
    if token[:1] != "0" and token.isdecimal():  # as almost all are
        return Immediate(int(token))
    kind = token[:2].lower()
    if kind in ("0f", "0d"):
        raw = bytes.fromhex(token[2:])[::-1]
        return Immediate(struct.unpack("<f" if kind == "0f" else "<d", raw)[0], raw)
    digits = token.rstrip("U")
    if len(digits) > 1 and digits[0] == "0" and digits.isdecimal() and set(digits) & set("89"):
        raise EmulatorError(f"not PTX: {token!r} is no octal number")
    if kind in ("0x", "0b"):
        return Immediate(int(digits, 0))
    if any(c in digits for c in ".eE"):
        return Immediate(float(digits))
    return Immediate(int(digits, 8) if len(digits) > 1 and digits[0] == "0" else int(digits))


class Tokens:
    """The tokens of a text, consumed from the front. Its methods raise EmulatorError, with the line, for what is not PTX."""

    def __init__(self, text: str):
        clean = _COMMENT.sub(_blanks, text.replace("\0", ""))
        self.newlines = [match.start() for match in _NEWLINE.finditer(clean)]
        self.tokens, self.kinds, self.starts = [], [], []
        end = 0
        for match in _TOKEN.finditer(clean):  # most of the time of reading a large text is spent here
            kind, word = match.lastgroup, match.group()
            start, before = match.start(), end
            end = match.end()
            if start != before and not clean[before:start].isspace():
                self._only_blanks(clean, before, start)
            if word[0] == "." and word.rfind("."):  # .reg.b32 is two directives
                parts = [f".{part}" for part in word[1:].split(".")]
                self.tokens += parts
                self.kinds += [kind] * len(parts)
                self.starts += [start] * len(parts)
            else:
                self.tokens.append(word)
                self.kinds.append(kind)
                self.starts.append(start)
        self._only_blanks(clean, end, len(clean))
        self.at = 0

    def _only_blanks(self, text: str, start: int, end: int) -> None:
        if text[start:end].strip():
            line = bisect_right(self.newlines, start) + 1
            raise EmulatorError(f"not PTX: cannot read {text[start:end].strip()[:40]!r} at line {line}")

    # -- tokens -----------------------------------------------------------------------------------------------
    def peek(self, ahead: int = 0) -> str:
        """Return a token without consuming it, "" at the end of the text."""
        try:
            return self.tokens[self.at + ahead]
        except IndexError:
            return ""

    def kind(self) -> str:
        """Return what kind of token comes next: number, word, string or mark; "" at the end of the text."""
        return self.kinds[self.at] if self.at < len(self.kinds) else ""

    def take(self) -> str:
        if self.at >= len(self.tokens):
            raise EmulatorError("not PTX: the text ends in the middle of a statement")
        self.at += 1
        return self.tokens[self.at - 1]

    def accept(self, token: str) -> bool:
        """Consume the next token if it is this one, and say whether it was."""
        try:
            found = self.tokens[self.at] == token
        except IndexError:
            return False
        self.at += found
        return found

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise EmulatorError(f"not PTX: expected {token!r}, found {self.peek()!r} at line {self.line()}")

    def line(self) -> int:
        """Return the line of the next token, from 1."""
        return self._line_of(self.at)

    def _line_of(self, number: int) -> int:
        """Return the line of the token of this number, from 1; beyond the last token that of the last."""
        start = self.starts[min(number, len(self.starts) - 1)] if self.starts else 0
        return bisect_right(self.newlines, start) + 1

    def integer(self) -> int:
        """Read a whole number, with or without a minus before it."""
        sign, at = -1 if self.accept("-") else 1, self.at
        token = self.take()
        value = literal(token).value if self.kinds[at] == "number" else None
        if not isinstance(value, int):
            raise EmulatorError(f"not PTX: expected a whole number, found {token!r} at line {self._line_of(at)}")
        return sign * value

    def skip_statement(self) -> None:
        while self.take() != ";":
            pass

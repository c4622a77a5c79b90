"""Functions that let no exception pass, `noexcept` and destructors: an exception that would leave one ends the program.

NVRTC keeps the word and not its meaning. In a program that catches exceptions, such a function's body begins with an entry in the
list of the `try` that are being executed, at which the search for a clause ends (`host_no_exceptions` of `include/thrown.h`).
"""

from __future__ import annotations

import re

from .sources import blanked

_NEVER = re.compile(r"\)\s*(?:(?:const|volatile|&&?)\s*)*(?:noexcept\b|throw\s*\(\s*\))")
_DESTRUCTOR = re.compile(r"~\w+\s*\(\s*(?:void)?\s*\)\s*(?:(?:override|final)\s*)*\{")
_AFTER = re.compile(r"\s*(?:(?:override|final)\b\s*)*(->[^;{}]*)?")
_ITEM = re.compile(r"\s*(?:::)?[\w:]+\s*(?:<[^;{}()]*>)?\s*")


def with_noexcept(source: str) -> str:
    """Return a source in which an exception ends the program where it would leave a `noexcept` function or a destructor.

    Functions that are `constexpr`, and those for kernels alone, stay as they are. Lines stay where they are.
    """
    plain, edits = blanked(source), dict[int, str]()
    for match in _NEVER.finditer(plain):
        condition, at = _condition(plain, match)
        body = _body(plain, at)
        if body is not None and condition != "false" and not _of_compile_time(plain, match.start()):
            edits[body] = _first(condition or "true")
    for match in _DESTRUCTOR.finditer(plain):
        if not _of_compile_time(plain, match.start()):
            edits[match.end()] = _first("true")
    parts, at = [], 0
    for place in sorted(edits):
        parts += [source[at:place], edits[place]]
        at = place
    return "".join([*parts, source[at:]])


def _first(condition: str) -> str:
    """Return what the body of a function begins with. condition: a constant expression, whether it lets no exception pass."""
    return f" host_no_exceptions<{condition}>::begin(); host_no_exceptions<{condition}> host_never; "


def _condition(plain: str, match: re.Match[str]) -> tuple[str, int]:
    """Return the expression in the parentheses of a `noexcept`, "" for none, and where the text goes on."""
    opened = re.compile(r"\s*\(").match(plain, match.end()) if match[0].endswith("noexcept") else None
    if opened is None:
        return "", match.end()
    end = _closed(plain, opened.end())
    text = " ".join(plain[opened.end() : end - 1].split())
    return (text if text == "false" else f"({text})"), end


def _body(plain: str, at: int) -> int | None:
    """Return where the body begins, behind its brace, of a function whose declarator ends at a place; None where it has none."""
    after = _AFTER.match(plain, at)
    at = after.end() if after else at
    while plain[at : at + 1] == ":" or plain[at : at + 1] == ",":  # the members that a constructor initialises
        item = _ITEM.match(plain, at + 1)
        if item is None or plain[item.end() : item.end() + 1] not in ("(", "{"):
            return None
        space = re.compile(r"(?:\s|\.\.\.)*").match(plain, _closed(plain, item.end() + 1))
        at = space.end() if space else len(plain)
    return at + 1 if plain[at : at + 1] == "{" else None


def _closed(plain: str, start: int) -> int:
    """Return the place behind the parenthesis or brace that was opened before a place."""
    depth = 1
    for i in range(start, len(plain)):
        depth += (plain[i] in "({[") - (plain[i] in ")}]")
        if depth == 0:
            return i + 1
    return len(plain)


def _of_compile_time(plain: str, at: int) -> bool:
    """Return whether the function whose declarator is at a place is constexpr, or for kernels alone."""
    head = plain[max(plain.rfind(c, 0, at) for c in ";{}") + 1 : at]
    words = set(re.findall(r"\w+", head))
    return bool(words & {"constexpr", "consteval", "__global__"}) or ("__device__" in words and "__host__" not in words)

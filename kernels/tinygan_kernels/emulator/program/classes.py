"""What classes of a program that catches exceptions are given: the names of their bases, and members by which objects are noted.

`include/thrown.h` finds by the bases which clause takes an exception. `unwinding` notes an object where a constructor is called;
where the compiler makes one without a call, an aggregate or a copy of plain members, a member or a base says so.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .sources import blanked

_WITH_BASES = re.compile(
    r"\b(class|struct)\s+((?:__\w+__\s*(?:\([^()]*\))?\s*)*)(\w+)(\s*<[^;{}()]*>)?\s*(?:final\s*)?:(?!:)([^;{}()]*)\{"
)
_CLASS = re.compile(
    r"\b(?:class|struct)\s+(?:(?:__\w+__|alignas)\s*(?:\([^()]*\)\s*)?)*(\w+)\s*(?:<[^;{}()]*>\s*)?(?:final\s*)?"
    r"(?::(?!:)[^;{}()]*)?\{"
)


class Base(NamedTuple):
    """A base of a class: its name, without namespaces but std, whether it is public, and whether it is virtual."""

    name: str
    public: bool
    virtual: bool


class Described(NamedTuple):
    """What the source says of a class: its bases, and whether it has virtual functions of its own."""

    bases: tuple[Base, ...]
    virtual: bool


def described(plain: str) -> dict[str, Described | None]:
    """Return what a source without comments and texts says of its classes, by their names.

    None for templates, and where two classes have one name.
    """
    found: dict[str, Described | None] = {}
    for match in _CLASS.finditer(plain):
        before, name = plain[: match.start()].rstrip(), match[1]
        if re.search(r"\benum$", before):
            continue
        clause = re.split(r"(?<!:):(?!:)", match[0][match.end(1) - match.start() : -1], maxsplit=1)[1:]
        bases = tuple(_base(text, match[0].startswith("class")) for each in clause for text in _split(each))
        virtual = re.search(r"\bvirtual\b", plain[match.end() : _closing(plain, match.end())]) is not None
        template = re.search(r"\btemplate\s*<[^;{}#]*>$", before) or any("<" in base.name for base in bases)
        plainly = not template and name not in found
        found[name] = Described(bases, virtual) if plainly else None
    return found


def _base(text: str, private: bool) -> Base:
    """Return the base that an item of a list of bases names. private: whether bases are private that do not say it."""
    words = text.split()
    access = next((w for w in words if w in ("public", "protected", "private")), "private" if private else "public")
    name = "".join(w for w in words if w not in ("public", "protected", "private", "virtual"))
    return Base(name if name.startswith("std::") else name.rsplit("::", 1)[-1], access == "public", "virtual" in words)


def with_bases(source: str) -> str:
    """Return a source in which each class that has bases names them, as the type `host_bases`."""
    plain, parts, at = blanked(source), [], 0
    for match in _WITH_BASES.finditer(plain):
        if re.search(r"\benum\s*$", plain[: match.start()]):
            continue
        bases = [base for text in _split(match[5]) if (base := _public_base(text, match[1] == "class"))]
        after = "private: " if match[1] == "class" else ""
        named = f"typedef {match[3]} host_self; typedef host_list<{', '.join(bases)}> host_bases;"
        parts += [source[at : match.end()], f" public: {named} {after}"]
        at = match.end()
    return "".join([*parts, source[at:]])


def with_marks(source: str) -> str:
    """Return a source in which objects are noted that no constructor's call makes, of classes with a destructor.

    A class without a constructor has a member that notes its objects, `host_mark`. One with constructors and none for copies has a
    base, `host_copied`, by which the compiler's own copy becomes a call. Constructors that are deleted or the compiler's own
    (`= default`) are none, as the class may be an aggregate all the same.
    """
    plain, edits = blanked(source), dict[int, str]()
    for match in _CLASS.finditer(plain):
        name, end = match[1], _closing(plain, match.end())
        body = plain[match.end() : end]
        destructors = _bodies_of_destructor(plain, name, match.end(), end)
        written = rf"(?<![\w~:]){name}\s*\((?![^;{{}}]*\)\s*(?:noexcept\s*)?=\s*(?:default|delete)\b)"
        if not destructors or "virtual" in body:
            continue
        if re.search(written, body):
            copies = rf"(?<![\w~:]){name}\s*\(\s*(?:const\s+)?{name}\b[^,;{{}}()]*&[^;{{}}()]*\)"
            if not re.search(rf"{copies}(?!\s*(?:noexcept\s*)?=\s*(?:default|delete)\b)", body):
                edits[match.end() - 1] = f"{', ' if ':' in _head(match) else ': '}host_copied<struct host_tag_{name}> "
            continue
        edits |= dict.fromkeys(destructors, f" host_unmark<{name}>(this);")
        edits[end] = f" [[no_unique_address]] host_mark<{name}> host_marked = host_mark<{name}>(this); "
    parts, at = [], 0
    for place in sorted(edits):
        parts += [source[at:place], edits[place]]
        at = place
    return "".join([*parts, source[at:]])


def _head(match: re.Match[str]) -> str:
    """Return what stands between a class's name and its brace, without the colons of names."""
    return match[0][match.end(1) - match.start() :].replace("::", "")


def _bodies_of_destructor(plain: str, name: str, start: int, end: int) -> list[int]:
    """Return where the body of a class's destructor begins, in the class (from start to end) or behind it, as `A::~A() {`."""
    text = rf"~{name}\s*\(\s*\)[^;{{}}]*\{{"
    inside = re.compile(text).search(plain, start, end)
    if inside:
        return [inside.end()]
    if not re.compile(rf"~{name}\b").search(plain, start, end):
        return []
    return [m.end() for m in re.compile(rf"\b{name}\s*(?:<[^<>;{{}}]*>\s*)?::\s*{text}").finditer(plain, end)]


def _closing(plain: str, start: int) -> int:
    """Return where the brace that was opened before a place is closed."""
    depth = 1
    for i in range(start, len(plain)):
        depth += (plain[i] == "{") - (plain[i] == "}")
        if depth == 0:
            return i
    return len(plain)


def _split(text: str) -> list[str]:
    """Return the items of a list, cut at its commas outside of <...>."""
    depth, items = 0, [""]
    for c in text:
        depth += (c == "<") - (c == ">")
        if c == "," and depth == 0:
            items.append("")
        else:
            items[-1] += c
    return items


def _public_base(text: str, private: bool) -> str:
    """Return the class that an item of a list of bases names; "" where it is no public one."""
    words = text.split()
    access = [w for w in words if w in ("public", "protected", "private")] or (["private"] if private else [])
    return "" if access and access[0] != "public" else " ".join(w for w in words if w not in ("public", "virtual"))

"""Objects whose constructors run before `main`, or when a function is first called: NVRTC has neither, so the source is changed.

An object becomes room for it and a reference to that room; it is made by `host_before_main`, or where its declaration is reached.
"""

from __future__ import annotations

import re

from .sources import blanked

_AT_FILE_SCOPE = "dynamic initialization is not supported for a __device__ variable"
_IN_FUNCTION = "dynamic initialization is not supported for a function-scope static"
_WORDS = ("static", "inline", "const", "constexpr", "thread_local", "extern")
BEFORE_MAIN = "host_before_main"
"""The function that makes all objects of file scope."""


def refused_lines(log: str, name: str) -> tuple[set[int], set[int]]:
    """Return the lines of a file at which NVRTC refuses to make an object: those at file scope, and those in functions."""
    found: dict[str, set[int]] = {_AT_FILE_SCOPE: set(), _IN_FUNCTION: set()}
    for line, text in re.findall(rf"^{re.escape(name)}\((\d+)\): error: ([^\n]*)", log, re.MULTILINE):
        for reason, lines in found.items():
            if text.startswith(reason):
                lines.add(int(line))
    return found[_AT_FILE_SCOPE], found[_IN_FUNCTION]


def with_late_objects(source: str, at_file_scope: set[int], in_functions: set[int]) -> str:
    """Return a source in which the objects that are declared at these lines are made later. Lines stay where they are.

    A declaration that is not understood (several names, arrays, auto) stays as it is, so that the compiler goes on refusing it.
    """
    plain = blanked(source)  # of the same length
    starts = [0, *(m.end() for m in re.finditer("\n", source)), len(source)]
    places = [(starts[line - 1], True) for line in at_file_scope]
    for line in in_functions:
        found = re.finditer(r"\bstatic\b", source[starts[line - 1] : starts[line]])
        places += [(starts[line - 1] + match.start(), False) for match in found]
    made, parts, end = [], [], 0
    for start, of_file in sorted(places):
        stop = _end_of_statement(plain, start)
        declared = _declaration(source[start:stop]) if start >= end else None
        if declared is None:
            continue
        kind, name, made_by, const = declared
        room = f"alignas({kind}) static char host_room_{name}[sizeof({kind})];"
        making = f"new ((void*)host_room_{name}) {kind}{made_by};"
        if of_file:
            made.append(name)
            fresh = (
                f"{room} static {const}{kind}& {name} = reinterpret_cast<{kind}&>(host_room_{name}); "
                f"static inline void host_make_{name}() {{ {making} }}"
            )
        else:
            fresh = (
                f"{room} static bool host_made_{name}; if (!host_made_{name}) {{ host_made_{name} = true; {making} }} "
                f"{const}{kind}& {name} = *({kind}*)host_room_{name};"
            )
        lost = source[start:stop].count("\n") - fresh.count("\n")
        parts += [source[end:start], fresh, "\n" * lost]
        end = stop
    calls = " ".join(f"host_make_{name}();" for name in made)
    return "".join([*parts, source[end:]]) + (f'\nextern "C" void {BEFORE_MAIN}() {{ {calls} }}\n' if made else "")


def _end_of_statement(source: str, start: int) -> int:
    """Return where the statement that begins at a position ends, after its semicolon."""
    depth = 0
    for i in range(start, len(source)):
        depth += (source[i] in "({[") - (source[i] in ")}]")
        if source[i] == ";" and depth == 0:
            return i + 1
    return len(source)


def _declaration(text: str) -> tuple[str, str, str, str] | None:
    """Return (type, name, what makes it, "const " or ""), None for what is no plain declaration of one object."""
    body = text.strip().removesuffix(";")
    found = re.match(r"((?:(?:" + "|".join(_WORDS) + r")\s+)*)", body)
    words, rest = found[1] if found else "", body[found.end() if found else 0 :]
    depth, split = 0, None
    for match in re.finditer(r"[<>]|[\w:]+|.", rest, re.DOTALL):
        depth += (match[0] == "<") - (match[0] == ">")
        if depth == 0 and match[0] in "({=":
            split = match.start()
            break
    head = rest[:split].rstrip() if split is not None else rest.rstrip()
    named = re.fullmatch(r"(.+?[\s>])\s*(\w+)", head, re.DOTALL)
    if not named or "[" in head or "," in re.sub(r"<.*>", "", head, flags=re.DOTALL) or re.match(r"auto\b", named[1]):
        return None
    initial = rest[split:].strip() if split is not None else "()"
    if initial.startswith("="):
        value = initial[1:].strip()
        initial = value if value.startswith("{") else f"({value})"
    return named[1].strip(), named[2], initial, "const " if re.search(r"\bconst(expr)?\b", words) else ""

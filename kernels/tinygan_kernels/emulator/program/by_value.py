"""Launches whose arguments have copy constructors or destructors of their own, which NVRTC refuses: the source is changed.

nvcc copies such an argument on the host, hands its bytes to the kernel, and destroys the copy once the launch was made. So does
`host_launching` of host_program.h, which takes the place of `kernel<<<grid, block>>>`. (CUDA C++ Programming Guide, "__global__
Function Argument Processing")
"""

from __future__ import annotations

import re

from .sources import blanked

_REFUSED = r"cannot pass an argument with a user-provided (?:copy-constructor|destructor) to a device-side kernel launch"
LAUNCHING = "host_launching"


def refused_launches(log: str, name: str) -> set[int]:
    """Return the lines of a file at which NVRTC refuses an argument of a launch."""
    return set(map(int, re.findall(rf"^{re.escape(name)}\((\d+)\): error: {_REFUSED}", log, re.MULTILINE)))


def with_launches_by_value(source: str, lines: set[int]) -> str:
    """Return a source in which the launches at these lines are calls of `host_launching`. Lines stay where they are."""
    plain = blanked(source)  # of the same length
    parts, end = [], 0
    for match in re.finditer(r"<<<", plain):
        start, close = _start_of_name(plain, match.start()), plain.find(">>>", match.end())
        if start < end or close < 0:
            continue
        last = _end_of_brackets(plain, plain.find("(", close))
        if lines.isdisjoint(range(plain.count("\n", 0, start) + 1, plain.count("\n", 0, last) + 2)):
            continue
        kernel, given = source[start : match.start()], source[match.end() : close]
        parts += [source[end:start], f"{LAUNCHING}({kernel}, {given})"]
        end = close + 3
    return "".join([*parts, source[end:]])


def _start_of_name(plain: str, at: int) -> int:
    """Return where the name of a kernel begins, with its template arguments, that ends before a position."""
    at = len(plain[:at].rstrip())
    if plain[at - 1] == ">":
        depth = 0
        while at > 0:
            at -= 1
            depth += (plain[at] == ">") - (plain[at] == "<")
            if depth == 0:
                break
    found = re.search(r"[\w:]+\s*$", plain[:at])
    return found.start() if found else at


def _end_of_brackets(plain: str, at: int) -> int:
    """Return the position of the bracket that closes the one at a position."""
    depth = 0
    for i in range(max(at, 0), len(plain)):
        depth += (plain[i] == "(") - (plain[i] == ")")
        if depth == 0:
            return i
    return len(plain)

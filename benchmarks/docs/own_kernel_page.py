"""The section "Your own kernel" of docs/kernels.md: a product that is wrong, then slow, then good, and what is said of it.

The three sources are in benchmarks/docs/own_kernel/.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from tinygan_kernels.emulator.stepping.session import Session
from tinygan_kernels.own import explain_line, own_subject, verify
from tinygan_kernels.own import traced as own_traced

FOLDER = Path(__file__).parent / "own_kernel"


def source(name: str) -> str:
    """Return one of the sources as a block of code."""
    return f"```cuda\n{(FOLDER / name).read_text().rstrip()}\n```"


def changed(before: str, after: str) -> str:
    """Return the lines that differ between two of the sources, as a block of a diff."""
    old, new = ((FOLDER / name).read_text().splitlines() for name in (before, after))
    lines = [line for line in difflib.unified_diff(old, new, lineterm="", n=0) if not line.startswith(("---", "+++", "@@"))]
    return "\n".join(["```diff", *lines, "```"])


def verdict(name: str) -> str:
    """Return what `tinygan kernels verify` prints of one of the sources."""
    return f"```\n$ tinygan kernels verify {name} --as matmul\n{verify(FOLDER / name, as_='matmul')}\n```"


def wrong() -> str:
    """Return the wrong product and the verdict on it."""
    return f"{source('wrong.cu')}\n\n{verdict('wrong.cu')}"


def slow() -> str:
    """Return what makes it right, and the verdict."""
    return f"{changed('wrong.cu', 'slow.cu')}\n\n{verdict('slow.cu')}"


def explained() -> str:
    """Return what `tinygan kernels explain` prints of the slow product's inner loop."""
    found = explain_line(FOLDER / "slow.cu", "matmul", line=11, shape=(64, 64, 64))
    return f"```\n$ tinygan kernels explain slow.cu --as matmul --line 11 --shape 64 64 64\n{found}\n```"


TRACED = ("line 8", "next", "line 11", "next 3", "print sum", "back")


def traced() -> str:
    """Return what `tinygan kernels trace` prints of some steps through the slow product."""
    session = Session(own_traced(own_subject(FOLDER / "slow.cu", "matmul", debug=True), warp=1))
    said = [session.shown(), *(f"> {command}\n{session.run(command)}" for command in TRACED)]
    return "\n".join(["```", f'$ tinygan kernels trace slow.cu --as matmul --warp 1 --do "{"; ".join(TRACED)}"', *said, "```"])


def good() -> str:
    """Return what makes it fast, and the verdict."""
    return f"{changed('slow.cu', 'good.cu')}\n\n{verdict('good.cu')}"

"""One planted bug and its right twin, and what the sanitizer says of the two.

A kernel is written once, with `{{wrong|right}}` where the two versions differ. It has the parameters (int* x, int* y, int n): x are
256 integers from 0 on, y are 4096 zeros. Lines that the finding may point at end in `// BUG`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from tinygan_kernels import emulator

from .textures import PARAMETERS, objects

CHOICE = re.compile(r"\{\{(.*?)\|(.*?)\}\}", re.DOTALL)


class Runnable(ABC):
    """A source with a bug, in two versions. name: of the bug; tool: which of the sanitizer's tools has to find it; mark: what its
    lines end in; file: what findings call the source."""

    name: str
    tool: str
    mark: ClassVar[str]
    file: ClassVar[str]

    @abstractmethod
    def source(self, wrong: bool) -> str:
        """Return the source with its bug, or that of its twin."""

    @abstractmethod
    def run(self, wrong: bool) -> tuple[list[emulator.Finding], dict[str, np.ndarray]]:
        """Run one version. Return what the sanitizer finds, and the arrays by the names that the source has for them."""


@dataclass(frozen=True)
class Case(Runnable):
    """A kernel with a bug. tool: which of the sanitizer's tools has to find it; before: what precedes the kernel; fresh: whether
    nothing has written y; textures: whether the kernel has the parameters of `textures` too;
    arch: the architecture to compile for."""

    name: str
    tool: str
    body: str
    grid: int = 1
    block: int = 64
    n: int = 64
    before: str = ""
    shared_mem: int = 0
    fresh: bool = False
    textures: bool = False
    arch: str = "compute_80"

    mark = "// BUG"
    file = "kernel.cu"

    def source(self, wrong: bool) -> str:
        """Return the CUDA C++ of the kernel with its bug, or of its twin."""
        more = f", {PARAMETERS}" if self.textures else ""
        head = f'extern "C" __global__ void k(int* x, int* y, int n{more}) {{'
        text = f"{self.before}\n{head}\nint t = threadIdx.x;\n{self.body}\n}}\n"
        return CHOICE.sub(lambda m: m[1 if wrong else 2], text)

    def run(self, wrong: bool) -> tuple[list[emulator.Finding], dict[str, np.ndarray]]:
        """Run one version of the kernel. Return what the sanitizer finds, and x and y."""
        kernel = emulator.RawModule(code=self.source(wrong), arch=self.arch).get_function("k")
        x, y = np.arange(256, dtype=np.int32), np.zeros(4096, np.int32)
        if self.fresh:
            y = emulator.empty(4096, np.int32)
        given = (x, y, np.int32(self.n), *(objects(y) if self.textures else ()))
        with emulator.sanitize() as found, emulator.step_budget(200_000):
            try:
                kernel((self.grid,), (self.block,), given, shared_mem=self.shared_mem)
            except emulator.EmulatorError:
                assert found, "an error without a finding"
        return found, {"x": x, "y": y}


@dataclass(frozen=True)
class Verdict:
    """What was said of a case: whether the bug was caught, at the right line, and what was said of its twin."""

    case: Runnable
    caught: bool
    placed: bool
    said: tuple[str, ...]
    false: tuple[str, ...]
    whole: tuple[str, ...]  # of the bug, all that a finding holds, in words that are the same in every process


FAR = re.compile(r"\d{6,} bytes (before|after the end of) .*? \(\d+ bytes\)")


def whole(finding: emulator.Finding, arrays: dict[str, np.ndarray]) -> str:
    """Return all that a finding holds in words that are the same in every process: its text, and a race's two sides.

    Left out are lines of PTX, what other orders of the threads give, how far a wild address is from the array that happens to lie
    nearest, and addresses of global memory outside both arrays. An address inside one is counted from the array's beginning.
    """
    text = FAR.sub("far from every array", re.sub(r" \(PTX line \d+\)", "", str(replace(finding, schedules=()))))
    if finding.address is not None and finding.space == "global":
        inside = [f"{name} + {finding.address - a.ctypes.data}" for name, a in arrays.items()
                  if 0 <= finding.address - a.ctypes.data < a.nbytes]
        text = text.replace(f"address {finding.address:#x}", f"address {inside[0]}" if inside else "elsewhere")
    return text if finding.sides is None else f"{text}; sides {finding.sides[0]} and {finding.sides[1]}"


def judged(case: Runnable) -> Verdict:
    """Run a case and its twin."""
    marked = enumerate(case.source(True).split("\n"), 1)
    lines = {f"{case.file}:{i}" for i, line in marked if line.endswith(case.mark)}
    (found, arrays), (twin, _) = case.run(True), case.run(False)
    caught = [f for f in found if f.tool == case.tool]
    return Verdict(
        case, bool(caught), any(f.source in lines for f in caught), tuple(map(str, found)), tuple(map(str, twin)),
        tuple(whole(f, arrays) for f in found),
    )  # fmt: skip

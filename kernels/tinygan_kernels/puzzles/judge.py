"""The judge of puzzles: values on hard shapes, the sanitizer, gradients, and a budget of counters, in this order.

    from tinygan_kernels.puzzles import check
    print(check("transpose", "transpose.cu"))
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinygan_kernels import BackendError, emulator, why_unavailable
from tinygan_kernels.emulator.counters import observed
from tinygan_kernels.own.diagnosis import inside, where_wrong
from tinygan_kernels.own.host import OwnHost
from tinygan_kernels.own.judge import finding_told, require_float32, turns_for_work
from tinygan_kernels.own.kernel_file import one_line, read
from tinygan_kernels.shapes import ContractError
from tinygan_kernels.verification.cases import Case

from .footprint import Footprint, FootprintObserver
from .puzzle import Mistake, Puzzle, Verdict, as_list
from .table import PUZZLES

SLOPE_STEP, SLOPE_TOLERANCE = 1e-4, 2e-5  # of central differences in float64, and of a float32 kernel beside them
ADVICE = {
    "racecheck": "two threads meet in the same place with no __syncthreads() (cuda.syncthreads()) between them: one is missing, "
                 "or they should not meet",
    "memcheck": "an index runs out of its array: is the edge of the last tile guarded, and is a size written into the code?",
    "read-only": "an input is to stay as it is: write to the outputs alone",
    "initcheck": "a number is read that nobody has written: is each element of the tile, or of the output, written before?",
    "synccheck": "all threads of a block have to reach the same barrier: take it out of the if, or out of the loop that ends early",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a kernel did in a case. outputs: NaN where no thread wrote. wrong: for each output a mask of the elements that are."""

    case: Case
    outputs: list[np.ndarray]
    right: list[np.ndarray]
    allowed: list[np.ndarray]
    unwritten: list[np.ndarray]
    findings: list[Any]

    @property
    def wrong(self) -> list[np.ndarray]:
        """For each output a mask of the elements that are outside of their bound."""
        return [~inside(f, r, a) for f, r, a in zip(self.outputs, self.right, self.allowed, strict=True)]

    @property
    def forgotten(self) -> bool:
        """Whether nobody wrote some of the elements."""
        return any(mask.any() for mask in self.unwritten)

    @property
    def ok(self) -> bool:
        """Whether all values are right."""
        return not any(mask.any() for mask in self.wrong)


def puzzle_named(name: str) -> Puzzle:
    """Return a puzzle. Raises ContractError, naming all, where there is none of that name."""
    if name not in PUZZLES:
        raise ContractError(f"there is no puzzle {name!r}; there are {', '.join(PUZZLES)}")
    return PUZZLES[name]


def check(name: str, file: str | Path) -> Verdict:
    """Judge the answer to a puzzle. A Python file is executed. No GPU is needed.

    file: CUDA C++ (.cu), PTX (.ptx) or Python with Numba CUDA (.py), or FILE:NAME where it has several kernels. Raises
    ContractError for a puzzle that does not exist, for a file without a kernel or without a launch line, for a kernel of another
    signature, and for one that does not end; OSError for a file that cannot be read; BackendError where the emulator cannot run.
    """
    puzzle = puzzle_named(name)
    return judged(puzzle, answer(puzzle, file))


def answer(puzzle: Puzzle, file: str | Path) -> OwnHost:
    """Return the kernel of a file, ready to be launched as the puzzle's kernel. Raises what `check` raises."""
    if reason := why_unavailable("cupy", emulate=True):
        raise BackendError(f"kernels cannot be executed here: {reason}")
    own = read(file)
    if own.numba and ".py" not in puzzle.skeletons:
        raise ContractError(f"{own.title}: Numba CUDA does not have what {puzzle.name} is about; write it in CUDA C++ (.cu)")
    require_float32(own)
    return OwnHost(own, puzzle.kernel, puzzle.fixed, puzzle.sizes)


def judged(puzzle: Puzzle, host: OwnHost) -> Verdict:
    """Judge a kernel by the values, then by the gradients, then by the limits of a puzzle. Raises ContractError if it hangs."""
    try:
        outcomes = [outcome(puzzle, host, case) for case in puzzle.cases()]
        said = list(_wrong_values(puzzle, outcomes)) + list(_findings(host, outcomes)) or list(_wrong_slopes(puzzle, host))
        if not said:
            footprint, large = measured(puzzle, host)
            said = list(_wrong_values(puzzle, [*outcomes, large]))
            said = said or [f"the numbers are right, and {found}: {limit.advice}" for limit in puzzle.limits
                            if (found := limit.broken(footprint))]  # fmt: skip
    except emulator.KernelAssertion as error:
        return Verdict(False, " ".join(str(error).split()))
    return Verdict(False, "\n".join(said)) if said else Verdict(True, puzzle.praise)


def outcome(puzzle: Puzzle, host: OwnHost, case: Case) -> Outcome:
    """Run a kernel on a call, under the sanitizer. Raises ContractError where it cannot be launched or does not end."""
    right, allowed = puzzle.expected(case)
    outputs = [s.copy() for s in case.states] or [np.full(r.shape, np.nan, np.float32) for r in right]
    with emulator.sanitize() as findings:
        run(puzzle, host, case, outputs)
    unwritten = [mask.reshape(o.shape) for mask, o in zip(host.unwritten, outputs, strict=True)]
    for output, mask in zip(outputs, unwritten, strict=True):
        output[mask] = np.nan
    return Outcome(case, outputs, right, allowed, unwritten, list(findings))


def run(puzzle: Puzzle, host: OwnHost, case: Case, outputs: Sequence[np.ndarray]) -> None:
    """Launch a kernel on a call. Raises ContractError where it cannot be launched or does not end."""
    work = case.size + sum(o.size for o in outputs)
    if puzzle.kernel.flops:
        work += puzzle.kernel.flops(*(a.shape for a in case.inputs), *(o.shape for o in outputs), **case.params)
    try:
        with emulator.step_budget(turns_for_work(work)):
            host(*case.inputs, *outputs, **case.params)
    except emulator.KernelAssertion:
        raise
    except emulator.EmulatorError as error:
        raise ContractError(f"{host.own.title}, at {case.label}: {one_line(str(error))}") from None


def measured(puzzle: Puzzle, host: OwnHost) -> tuple[Footprint, Outcome]:
    """Return the footprint of a kernel on the call that the limits are about, and its numbers there. Raises ContractError."""
    case = puzzle.measured()
    right, allowed = puzzle.expected(case)
    outputs = [s.copy() for s in case.states] or [np.full(r.shape, np.nan, np.float32) for r in right]
    footprint = Footprint(sum(o.size for o in outputs), puzzle.terms)
    with emulator.checks(False), observed(lambda kernel: FootprintObserver(kernel, footprint)):
        run(puzzle, host, case, outputs)
    return footprint, Outcome(case, outputs, right, allowed, [np.zeros(o.shape, bool) for o in outputs], [])


# ---- what is said --------------------------------------------------------------------------------------------------------------


def _wrong_values(puzzle: Puzzle, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield sentences on the smallest case that is wrong, on a mistake that explains all of them, and on which cases are right."""
    wrong = [o for o in outcomes if not o.ok]
    if not wrong:
        return
    for shown in dict.fromkeys((min(wrong, key=_size), min((o for o in wrong if o.forgotten), key=_size, default=None))):
        yield from _described(puzzle, shown) if shown else ()
    told = next((m.told for m in puzzle.mistakes if _explains(m, wrong)), "") or _simple(wrong)
    if told:
        yield told
    fine = [o.case.label for o in outcomes if o.ok]
    if fine:
        yield f"numbers right at {'; '.join(fine)}"
        yield f"numbers wrong at {'; '.join(o.case.label for o in wrong)}"


def _size(o: Outcome) -> int:
    return o.case.size


def _described(puzzle: Puzzle, o: Outcome) -> Iterator[str]:
    """Yield for each wrong output of a case which elements are wrong, and how many of them nobody has written."""
    for name, found, right, mask, untouched in zip(
        puzzle.kernel.outputs, o.outputs, o.right, o.wrong, o.unwritten, strict=True
    ):
        if mask.any():
            count = int(untouched[mask].sum())
            unseen = "" if not count else f"; no thread has written {'it' if mask.sum() == 1 else f'{count} of these'}"
            yield f"at {o.case.label}: {where_wrong(name, found, right, mask)}{unseen}"


def _explains(mistake: Mistake, wrong: Sequence[Outcome]) -> bool:
    """Return whether a mistake gives all numbers of these cases, but for those that nobody wrote, and some that are wrong."""
    seen = False
    for o in wrong:
        exact = [np.array(a, np.float64) for a in (*o.case.inputs, *o.case.states)]
        with np.errstate(all="ignore"):
            made = as_list(mistake.outputs(*exact, **o.case.params))
        for found, value, allowed, mask, untouched in zip(o.outputs, made, o.allowed, o.wrong, o.unwritten, strict=True):
            if value.shape != found.shape:
                return False
            unknown = np.isnan(value) & mistake.partly
            fits = unknown | inside(found, value, 4 * allowed + 1e-6 * np.abs(value) + mistake.slack) | untouched
            if not fits.all():
                return False
            seen = seen or bool((mask & ~untouched).any())
    return seen


def _simple(wrong: Sequence[Outcome]) -> str:
    """Return a sentence where all wrong numbers are zeros, or a simple multiple of what is right."""
    for factor, what in ((0, "0"), (2, "twice what is right"), (0.5, "half what is right"), (-1, "the negative of what is right")):
        if all(inside(f, factor * r, 2 * a)[mask].all() for o in wrong
               for f, r, a, mask in zip(o.outputs, o.right, o.allowed, o.wrong, strict=True)):  # fmt: skip
            return f"all the wrong numbers are {what}"
    return ""


def _findings(host: OwnHost, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield what the sanitizer found, each kind at each line once, with what is usually to be done."""
    if host.overwritten:
        yield f"the kernel writes to its input {', '.join(sorted(host.overwritten))}"
    first: dict[tuple[str, str], Any] = {}
    for o in outcomes:
        for finding in o.findings:
            tool = "read-only" if "read-only" in finding.message else finding.tool
            first.setdefault((tool, finding.source), finding)
    yield from finding_sentences(list(first.values())[:3], host)
    for tool in dict.fromkeys(tool for tool, _ in first):
        yield ADVICE.get(tool, re.sub(r"check$", "", tool))


def finding_sentences(findings: Sequence[Any], host: OwnHost) -> list[str]:
    """Return a sentence on each of these findings of the sanitizer."""
    return [f"the sanitizer, {finding_told(finding, host.own.line.argument_texts)}" for finding in findings]


def _wrong_slopes(puzzle: Puzzle, host: OwnHost) -> Iterator[str]:
    """Yield a sentence where the output is not the slope of the loss, by central differences in float64."""
    derivative = puzzle.derivative
    if derivative is None:
        return
    case = derivative.case()
    found = outcome(puzzle, host, case).outputs[0]
    exact = [np.array(a, np.float64) for a in case.inputs]
    slopes = np.zeros(exact[derivative.of].shape)
    for index in np.ndindex(slopes.shape):
        ends = []
        for step in (SLOPE_STEP, -SLOPE_STEP):
            moved = [a.copy() for a in exact]
            moved[derivative.of][index] += step
            ends.append(derivative.loss(*moved, **case.params))
        slopes[index] = (ends[0] - ends[1]) / (2 * SLOPE_STEP)
    wrong = ~inside(found, slopes, SLOPE_TOLERANCE * (np.abs(slopes) + np.abs(slopes).max()))
    if wrong.any():
        yield f"it is not {derivative.what}: {where_wrong(puzzle.kernel.outputs[0], found, slopes, wrong)} by differences"

"""Source lines explained: which banks or sectors the 32 lanes of a warp meet there, what collides, and what would help.

    from tinygan_kernels.own import explain_line
    print(explain_line("mm.cu", "matmul", line=12))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygan_kernels import emulator
from tinygan_kernels.emulator.counters import (
    DIVERGENT,
    INSTRUCTIONS,
    SHARED_CONFLICTS,
    SHARED_WAVEFRONTS,
    THREAD_INSTRUCTIONS,
    observed,
    wavefronts_by_row,
)
from tinygan_kernels.shapes import ContractError

from .accesses import Instruction, Parting, Recorder, merged
from .judge import turns_for_work
from .kernel_file import one_line
from .launch_line import lines_of
from .subjects import Subject, own_subject

_OPERATIONS = {"ld": "load from", "st": "store to", "atom": "atomic on", "red": "atomic on"}
_SECTORS, _REQUESTS = ([f"l1tex__t_{what}_pipe_lsu_mem_global_op_{op}.sum" for op in ("ld", "st", "atom", "red")]
                       for what in ("sectors", "requests"))  # fmt: skip


class LineCounts(NamedTuple):
    """The counters of one source line, over all launches: warp instructions, the instructions of single lanes, requests to global
    memory and the sectors that they touched, wavefronts and bank conflicts of shared memory, and how often a warp parted.
    """

    instructions: int
    thread_instructions: int
    requests: int
    sectors: int
    wavefronts: int
    conflicts: int
    parted: int

    @property
    def active(self) -> float:
        """The share of lanes that were active where warps executed the line, from 0 to 1."""
        return self.thread_instructions / (32 * self.instructions) if self.instructions else 0.0

    @property
    def sectors_a_request(self) -> float | None:
        """Sectors a request to global memory touched on average, None where there was no request."""
        return self.sectors / self.requests if self.requests else None


@dataclass(frozen=True)
class KernelExplanation:
    """What every source line of a kernel does. source: the text, () where it is not known; counts: by line, 0 for other files.

    sizes: those of the call that was observed, in words. instructions: those of global and shared memory, alike ones of a line
    taken together; partings: branches at which warps part.
    """

    title: str
    sizes: str
    source: tuple[str, ...]
    counts: Mapping[int, LineCounts]
    instructions: tuple[Instruction, ...]
    partings: tuple[Parting, ...]

    @property
    def lines(self) -> list[int]:
        """The lines that there is something to show of: global or shared memory is touched there, or a warp parts."""
        return sorted({i.line for i in self.instructions} | {p.line for p in self.partings})

    def line(self, number: int | None = None) -> LineExplanation:
        """Return what is on a line, by default the one that has most transactions too many.

        Raises ContractError where nothing happens on the line.
        """
        chosen = _chosen(self.title, number, self)
        text = self.source[chosen - 1].strip() if 0 < chosen <= len(self.source) else ""
        here = tuple(sorted((i for i in self.instructions if i.line == chosen), key=lambda i: -i.excess))
        partings = tuple(p for p in self.partings if p.line == chosen)
        return LineExplanation(self.title, chosen, text, here, self.instructions, partings)


@dataclass(frozen=True)
class LineExplanation:
    """What a source line does to memory. instructions: those of the line; others: all of the kernel's; partings: its branches."""

    title: str
    line: int
    text: str
    instructions: tuple[Instruction, ...]
    others: tuple[Instruction, ...]
    partings: tuple[Parting, ...]

    def __str__(self) -> str:
        """Return the pictures, with a sentence on each."""
        text = f": {self.text}" if self.text else " of the source that it was compiled from"
        parts = [f"{self.title}, line {self.line}{text}"]
        parts += [_pictured(i, self.others, i.excess > 0 or len(self.instructions) == 1) for i in self.instructions]
        parts += [_parted(parting) for parting in self.partings]
        return "\n\n".join(parts)


def explain_line(
    file: str | Path,
    as_: str,
    *,
    line: int | None = None,
    shape: Sequence[int] | None = None,
    launch: str = "",
    signature: str = "",
    params: Mapping[str, Any] | None = None,
) -> LineExplanation:
    """Explain a source line of a kernel of one's own, by default the one that has most transactions too many.

    shape: the sizes of the call that is observed, M N K of a product. The other arguments are those of `verify`. Raises
    ContractError as `verify` does, and where nothing happens on the line; OSError; BackendError.
    """
    return explained(own_subject(file, as_, shape=shape, launch=launch, signature=signature, params=params)).line(line)


def explained(subject: Subject) -> KernelExplanation:
    """Run a kernel once and return what each of its lines does. Raises ContractError where it cannot be run."""
    counts = emulator.Counts()
    found: dict[Any, Instruction] = {}
    partings: dict[Any, Parting] = {}
    limit = turns_for_work(subject.made.work)
    try:
        with emulator.checks(False), emulator.step_budget(limit), observed(lambda k: Recorder(k, found, partings, counts)):
            subject.run()
    except emulator.EmulatorError as error:
        raise ContractError(f"{subject.title}: {one_line(str(error))}") from None
    source = tuple(lines_of(subject.source))
    return KernelExplanation(subject.title, subject.sizes, source, _by_line(counts), tuple(merged(found.values())),
                             tuple(partings.values()))  # fmt: skip


def _by_line(counts: emulator.Counts) -> dict[int, LineCounts]:
    """Return the counters of each line, over all kernels of a source file."""
    sums: dict[int, LineCounts] = {}
    for kernel in counts.kernels():
        for line, metrics in counts.lines(kernel).items():
            one = LineCounts(
                metrics[INSTRUCTIONS], metrics[THREAD_INSTRUCTIONS], sum(metrics[m] for m in _REQUESTS),
                sum(metrics[m] for m in _SECTORS), metrics[f"{SHARED_WAVEFRONTS}.sum"], metrics[f"{SHARED_CONFLICTS}.sum"],
                metrics[DIVERGENT],
            )  # fmt: skip
            before = sums.get(line, LineCounts(*[0] * len(one)))
            sums[line] = LineCounts(*(a + b for a, b in zip(before, one, strict=True)))
    return sums


def _chosen(title: str, line: int | None, of: KernelExplanation) -> int:
    """Return the line to explain. Raises ContractError where nothing happens on it, or on any."""
    lines = of.lines
    if line is None and lines:
        excess = {at: sum(i.excess for i in of.instructions if i.line == at) for at in lines}
        return max(lines, key=lambda at: excess[at])
    if line not in lines:
        known = f"lines that do: {', '.join(map(str, lines))}" if lines else "no line of it does"
        place, there = (f" on line {line}", " there") if line is not None else ("", "")
        raise ContractError(f"{title}: no global or shared memory is touched{place} and no warp parts{there}; {known}")
    return line


# ---- one instruction -------------------------------------------------------------------------------------------------------------


def _pictured(i: Instruction, others: Sequence[Instruction], rows: bool) -> str:
    """Return an instruction in words; with `rows` also its picture, a row for each lane, a column for each bank or sector."""
    picture = [] if not rows else _sector_rows(i) if i.space == "global" else _bank_rows(i)
    return "\n".join([summary(i), *picture, *advice(i, others)])


def summary(i: Instruction) -> str:
    """Return in a sentence what an instruction does, and how many transactions it takes."""
    unit = "sector" if i.space == "global" else "wavefront"
    unrolled = f" ({i.alike} instructions alike)" if i.alike > 1 else ""
    return (f"{_OPERATIONS[i.operation]} {i.space} memory{unrolled}, {i.size} bytes a lane: {_several(i.worst, unit)} where "
            f"{i.best} would do; in all {i.transactions:,} for {i.requests:,} requests")  # fmt: skip


def advice(i: Instruction, others: Sequence[Instruction]) -> list[str]:
    """Return sentences: what collides in the worst request of an instruction, and what would help. others: the kernel's."""
    return _on_sectors(i) if i.space == "global" else _on_banks(i, others)


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _rows(columns: Sequence[Sequence[int]], width: int) -> list[str]:
    """Return a row of marks for each lane. columns: the columns that each lane meets, () for a lane that takes no part."""
    rows = []
    for lane, met in enumerate(columns):
        marks = "".join("#" if column in met else "." for column in range(width)) if met else "(takes no part)"
        rows.append(f"  lane {lane:2d}  {marks}")
    return rows


def _ruler(what: str, width: int) -> str:
    return f"  {what:>7s}  " + "".join(f"{n:<8d}" for n in range(0, width, 8)).rstrip()


def _bank_rows(i: Instruction) -> list[str]:
    banks = [[(a // 4 + k) % 32 for k in range(max(1, i.size // 4))] if a >= 0 else [] for a in i.addresses]
    return [_ruler("bank", 32), *_rows(banks, 32)]


def _sector_rows(i: Instruction) -> list[str]:
    touched = sorted({s for a in i.addresses if a >= 0 for s in range(a // 32, (a + i.size - 1) // 32 + 1)})
    place = {sector: n for n, sector in enumerate(touched)}
    met = [[place[s] for s in range(a // 32, (a + i.size - 1) // 32 + 1)] if a >= 0 else [] for a in i.addresses]
    return [_ruler("sector", len(touched)), *_rows(met, len(touched))]


def _on_sectors(i: Instruction) -> list[str]:
    if i.worst <= i.best:
        return ["These are as few sectors as the bytes need."]
    stride = i.stride
    if stride == i.size:
        first = min(a for a in i.addresses if a >= 0) % 32
        return [f"Neighbouring lanes take neighbours, but the first of them begins at byte {first} of its sector; from byte 0 on, "
                f"{i.best} would do."]  # fmt: skip
    used = len({a for a in i.addresses if a >= 0}) * i.size
    apart = f"Neighbouring lanes are {abs(stride)} bytes apart, and s" if stride else "S"
    return [f"{apart}o of {32 * i.worst} bytes that are moved {used} are used. If neighbours in threadIdx.x took neighbouring "
            f"elements, {_several(i.best, 'sector')} would do."]  # fmt: skip


def _on_banks(i: Instruction, others: Sequence[Instruction]) -> list[str]:
    """Say which lanes collide, and what a pad and a swizzle would do here and at the kernel's other shared accesses."""
    if i.worst <= i.best:
        return ["No two lanes meet in a bank at different words."]
    words: dict[int, dict[int, list[int]]] = {}
    for lane, a in enumerate(i.addresses):
        if a >= 0:
            words.setdefault(a // 4 % 32, {}).setdefault(a // 4, []).append(lane)
    bank, most = max(words.items(), key=lambda item: len(item[1]))
    lanes = sorted(lane for group in most.values() for lane in group)
    said = [f"Bank {bank} is asked for {len(most)} different words, by lanes {_spans(lanes)}: one after the other."]
    shared = [other for other in others if other.space == "shared"]
    return said + [f"{remedy.title}: {_effects(i, shared, remedy.moved)}." for remedy in remedies(i)]


class Remedy(NamedTuple):
    """Another layout of an array in shared memory. moved: where the word with a number lies in it."""

    title: str
    moved: Callable[[np.ndarray], np.ndarray]


def remedies(i: Instruction) -> list[Remedy]:
    """Return the layouts that could take an instruction's bank conflicts away: a pad, and a swizzle where rows are whole banks."""
    pitch = _pitch(i)
    if i.space != "shared" or i.worst <= i.best or pitch is None:
        return []
    pad = Remedy(f"A pad, rows of {pitch + 1} words in place of {pitch}", lambda w: w + w // pitch)
    if pitch % 32:
        return [pad]
    return [pad, Remedy(f"A swizzle, column ^ (row % 32) in rows of {pitch} words", lambda w: w ^ (w // pitch % 32))]


def _pitch(i: Instruction) -> int | None:
    """Return how many words the rows have that the lanes step over, None where lanes do not step evenly."""
    stride = i.stride
    return abs(stride) // 4 if stride and stride % 4 == 0 and abs(stride) > 4 else None


def _effects(i: Instruction, shared: Sequence[Instruction], moved: Callable[[np.ndarray], np.ndarray]) -> str:
    """Return the wavefronts of this instruction and of the kernel's other shared accesses after their words have been moved."""
    after = _waves(i, moved)
    changes: dict[int, list[str]] = {}
    for other in shared:
        if other.line != i.line and (now := _waves(other, moved)) != other.worst:
            changes.setdefault(other.line, []).append(f"{other.worst} to {now}")
    lines = [f"line {line} {' and '.join(dict.fromkeys(found))}" for line, found in sorted(changes.items())]
    return f"{_several(after, 'wavefront')} here in place of {i.worst}" + (f"; elsewhere {', '.join(lines)}" if lines else "")


def _waves(i: Instruction, moved: Callable[[np.ndarray], np.ndarray]) -> int:
    """Return the wavefronts of an instruction whose words lie elsewhere."""
    present = [a for a in i.addresses if a >= 0]
    table = np.array([a if a >= 0 else present[0] for a in i.addresses], "i8")
    return int(wavefronts_by_row((4 * moved(table // 4) + table % 4)[None, :], i.size)[0])


def _spans(numbers: Sequence[int]) -> str:
    """Return numbers as one says them: 0 to 31, or 0, 4, 8."""
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def parted(parting: Parting) -> str:
    """Return in a sentence what happens at a branch at which warps part."""
    ones, zeros = parting.taken.count("1"), parting.taken.count("0")
    part = f"a branch at which {_several(parting.warps, 'warp')} part{'s' if parting.warps == 1 else ''}"
    return f"{part}: of the first, {ones} lanes jump and {zeros} do not, and the two sides are executed one after the other"


def _parted(parting: Parting) -> str:
    """Return the picture of a branch at which warps part."""
    marks = parting.taken.replace("1", "#").replace("0", ".")
    return f"{parted(parting)}\n{_ruler('lane', 32)}\n{'':11s}{marks}"
